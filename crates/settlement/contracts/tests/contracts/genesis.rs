//! A genesis begins as the constructors would have left it.

use crate::machine::Machine;
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address};
use alloy_sol_types::{SolCall, SolConstructor};
use lockstep_chain::OpHardfork;
use lockstep_contracts::{
    FeeRecipient, FeeVault, L1Addresses, L1Settings, MAX_ELASTICITY, MAX_GAS_LIMIT, MIN_GAS_LIMIT,
    SEQUENCER_FEE_VAULT, SettingsError, SystemConfig, l1_deployments, l1_genesis_accounts,
    predeploys,
};
use std::collections::BTreeMap;

pub(crate) const OWNER: Address = address!("00000000000000000000000000000000000000a1");
pub(crate) const PROPOSER: Address = address!("00000000000000000000000000000000000000a2");
pub(crate) const CHALLENGER: Address = address!("00000000000000000000000000000000000000a3");
const DEPLOYER: Address = address!("00000000000000000000000000000000000000a4");

/// Settings of which no two fields are the same.
pub(crate) const SETTINGS: L1Settings = L1Settings {
    owner: OWNER,
    batcher: address!("00000000000000000000000000000000000000b1"),
    batch_inbox: address!("00000000000000000000000000000000000000b2"),
    unsafe_block_signer: address!("00000000000000000000000000000000000000b3"),
    proposer: PROPOSER,
    challenger: CHALLENGER,
    l2_chain_id: 901,
    gas_limit: 60_000_001,
    base_fee_scalar: 1_368,
    blob_base_fee_scalar: 810_949,
    eip1559_denominator: 250,
    eip1559_elasticity: 6,
    operator_fee_scalar: 11,
    operator_fee_constant: 12,
    min_base_fee: 13,
    da_footprint_gas_scalar: 400,
    start_block: 14,
    submission_interval: 15,
    l2_block_time_s: 2,
    starting_block_number: 16,
    starting_timestamp_s: 1_699_999_000,
    finalization_period_s: 17,
};

pub(crate) fn storage(account: &GenesisAccount) -> BTreeMap<U256, U256> {
    let slots = account.storage.iter().flatten();
    slots.map(|(slot, value)| ((*slot).into(), (*value).into())).collect()
}

pub(crate) fn storage_of(machine: &Machine, address: Address) -> BTreeMap<U256, U256> {
    let account = machine.state.get(&address).expect("it exists");
    account.storage.iter().map(|(slot, value)| (*slot, *value)).collect()
}

pub(crate) fn code_of(machine: &Machine, address: Address) -> Bytes {
    let account = machine.state.get(&address).expect("it exists");
    machine.state.code_of(&account.info.code_hash).expect("it has code").original_bytes()
}

/// Creates the contracts on L1 by transactions.
pub(crate) fn deploy(machine: &mut Machine, settings: &L1Settings) -> L1Addresses {
    let nonce = machine.state.get(&DEPLOYER).map_or(0, |account| account.info.nonce);
    let addresses = L1Addresses::created_by(DEPLOYER, nonce);
    for deployment in l1_deployments(settings, &addresses).unwrap() {
        let created = machine.transact(DEPLOYER, TxKind::Create, 0, deployment.init_code);
        created.expect("the constructor succeeds");
        assert!(!code_of(machine, deployment.address).is_empty());
    }
    addresses
}

#[test]
fn contracts_on_l1_are_the_same_in_a_genesis_as_created() {
    let mut machine = Machine::new(OpHardfork::Isthmus, BTreeMap::new());
    let addresses = deploy(&mut machine, &SETTINGS);
    // The portal notes the block in which it begins.
    let first_block = machine.slot(addresses.portal, U256::ZERO) >> 192;
    assert_eq!(first_block, U256::from(3));

    let mut accounts = l1_genesis_accounts(&SETTINGS, &addresses).unwrap();
    let portal = accounts.get_mut(&addresses.portal).unwrap().storage.as_mut().unwrap();
    let params = portal.get_mut(&B256::ZERO).unwrap();
    *params = B256::from(U256::from_be_bytes(params.0) | first_block << 192);

    assert_eq!(accounts.len(), 3);
    for (address, account) in &accounts {
        assert_eq!(storage(account), storage_of(&machine, *address), "{address}");
        assert_eq!(account.code, Some(code_of(&machine, *address)));
        assert_eq!(account.nonce, machine.state.get(address).map(|account| account.info.nonce));
    }
}

#[test]
fn vaults_are_the_same_in_a_genesis_as_created() {
    let recipient = Address::repeat_byte(0x77);
    for (network, fees_to) in
        [(0, FeeRecipient::OnL1(recipient)), (1, FeeRecipient::OnRollup(recipient))]
    {
        let mut machine = Machine::new(OpHardfork::Isthmus, BTreeMap::new());
        let arguments =
            FeeVault::constructorCall { to: recipient, network, minimum: U256::from(9) };
        let init_code = [FeeVault::BYTECODE.as_ref(), &arguments.abi_encode()].concat();
        machine.transact(DEPLOYER, TxKind::Create, 0, init_code).expect("it is created");
        let vault = DEPLOYER.create(0);

        let accounts = predeploys(OpHardfork::Isthmus, fees_to, U256::from(9));
        let account = &accounts[&SEQUENCER_FEE_VAULT];
        assert_eq!(storage(account), storage_of(&machine, vault));
        assert_eq!(account.code, Some(code_of(&machine, vault)));
    }
}

#[test]
fn settings_that_a_constructor_refuses_are_refused() {
    let with = |change: fn(&mut L1Settings)| {
        let mut settings = SETTINGS;
        change(&mut settings);
        let addresses = L1Addresses::created_by(DEPLOYER, 0);
        let error = l1_genesis_accounts(&settings, &addresses).unwrap_err();
        assert_eq!(l1_deployments(&settings, &addresses).unwrap_err(), error);
        error
    };
    let low = with(|settings| settings.gas_limit = MIN_GAS_LIMIT - 1);
    assert_eq!(low, SettingsError::GasLimit { got: MIN_GAS_LIMIT - 1 });
    let high = with(|settings| settings.gas_limit = MAX_GAS_LIMIT + 1);
    assert_eq!(high, SettingsError::GasLimit { got: MAX_GAS_LIMIT + 1 });
    let elastic = with(|settings| settings.eip1559_elasticity = MAX_ELASTICITY + 1);
    assert_eq!(elastic, SettingsError::Elasticity { got: MAX_ELASTICITY + 1 });
    let zero = |field| SettingsError::Zero { field };
    assert_eq!(with(|settings| settings.eip1559_denominator = 0), zero("eip1559_denominator"));
    assert_eq!(with(|settings| settings.eip1559_elasticity = 0), zero("eip1559_elasticity"));
    assert_eq!(with(|settings| settings.submission_interval = 0), zero("submission_interval"));
    assert_eq!(with(|settings| settings.l2_block_time_s = 0), zero("l2_block_time_s"));
    let nobody = |field| SettingsError::Nobody { field };
    assert_eq!(with(|settings| settings.owner = Address::ZERO), nobody("owner"));
    assert_eq!(with(|settings| settings.proposer = Address::ZERO), nobody("proposer"));
    assert_eq!(with(|settings| settings.challenger = Address::ZERO), nobody("challenger"));
}

/// The limits are those of the contract, too.
#[test]
fn the_limits_of_settings_are_those_of_the_contract() {
    for gas_limit in [MIN_GAS_LIMIT, MAX_GAS_LIMIT] {
        let mut machine = Machine::new(OpHardfork::Isthmus, BTreeMap::new());
        deploy(&mut machine, &L1Settings { gas_limit, ..SETTINGS });
    }
    let mut machine = Machine::new(OpHardfork::Isthmus, BTreeMap::new());
    let settings = L1Settings { eip1559_elasticity: MAX_ELASTICITY, ..SETTINGS };
    let addresses = deploy(&mut machine, &settings);
    let mut set = |elasticity| {
        let call =
            SystemConfig::setEIP1559ParamsCall { newDenominator: 1, newElasticity: elasticity };
        let to = TxKind::Call(addresses.system_config);
        machine.transact(OWNER, to, 0, call.abi_encode()).is_some()
    };
    assert!(set(MAX_ELASTICITY));
    assert!(!set(MAX_ELASTICITY + 1));
}

/// One after the other, each checked: without the first two there is no portal that takes ether.
#[test]
fn a_portal_is_not_created_before_the_contracts_that_it_relies_on() {
    let mut machine = Machine::new(OpHardfork::Isthmus, BTreeMap::new());
    let addresses = L1Addresses::created_by(DEPLOYER, 0);
    let [.., portal] = l1_deployments(&SETTINGS, &addresses).unwrap();
    assert!(machine.transact(DEPLOYER, TxKind::Create, 0, portal.init_code).is_none());
}
