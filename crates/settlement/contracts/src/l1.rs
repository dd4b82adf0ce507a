//! The contracts on L1: created by transactions, or there from the beginning.

use crate::{
    L1Settings, OutputOracle, Portal, SettingsError, SystemConfig,
    storage::{Slots, word},
};
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolConstructor;
use std::collections::BTreeMap;

/// What the portal takes `l2Sender` for while there is none.
const NOBODY: u64 = 0xdead;

/// The price of deposited gas that the portal begins with, in wei.
const FIRST_RESOURCE_PRICE: u64 = 1_000_000_000;

/// Where the contracts of a rollup are on L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1Addresses {
    /// [`OutputOracle`].
    pub output_oracle: Address,
    /// [`SystemConfig`].
    pub system_config: Address,
    /// [`Portal`], the deposit contract of the rollup's configuration; in a union a
    /// [`UnionPortal`](crate::UnionPortal).
    pub portal: Address,
}

impl L1Addresses {
    /// Where they are when `deployer` creates them with the nonces `nonce` to `nonce + 2`, in the
    /// order of [`l1_deployments`].
    pub fn created_by(deployer: Address, nonce: u64) -> Self {
        Self {
            output_oracle: deployer.create(nonce),
            system_config: deployer.create(nonce.saturating_add(1)),
            portal: deployer.create(nonce.saturating_add(2)),
        }
    }
}

/// A contract that a transaction creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Where it will be.
    pub address: Address,
    /// The input of the transaction: code and constructor arguments.
    pub init_code: Bytes,
}

/// The contracts to create, in this order, for them to be at `addresses`
/// (see [`L1Addresses::created_by`]).
///
/// # Errors
/// When a constructor would refuse its settings.
pub fn l1_deployments(
    settings: &L1Settings,
    addresses: &L1Addresses,
) -> Result<[Deployment; 3], SettingsError> {
    settings.validate()?;
    let [oracle, config] = deployments_before_portal(settings, addresses);
    let arguments = Portal::constructorCall {
        oracle: addresses.output_oracle,
        config: addresses.system_config,
    };
    Ok([oracle, config, deployment(addresses.portal, &Portal::BYTECODE, &arguments)])
}

/// What a portal of either kind relies on. The settings are valid.
pub(crate) fn deployments_before_portal(
    settings: &L1Settings,
    addresses: &L1Addresses,
) -> [Deployment; 2] {
    let oracle = OutputOracle::constructorCall { config: oracle_config(settings) };
    let config = SystemConfig::constructorCall { config: system_config(settings, addresses) };
    [
        deployment(addresses.output_oracle, &OutputOracle::BYTECODE, &oracle),
        deployment(addresses.system_config, &SystemConfig::BYTECODE, &config),
    ]
}

/// The contracts as accounts of a development L1's genesis, as if created in its first block.
///
/// # Errors
/// When a constructor would refuse its settings.
pub fn l1_genesis_accounts(
    settings: &L1Settings,
    addresses: &L1Addresses,
) -> Result<BTreeMap<Address, GenesisAccount>, SettingsError> {
    settings.validate()?;
    let mut accounts = BTreeMap::from(accounts_before_portal(settings, addresses));
    let portal = portal_slots(addresses).into_account(&Portal::DEPLOYED_BYTECODE);
    accounts.insert(addresses.portal, portal);
    Ok(accounts)
}

/// What a portal of either kind relies on. The settings are valid.
pub(crate) fn accounts_before_portal(
    settings: &L1Settings,
    addresses: &L1Addresses,
) -> [(Address, GenesisAccount); 2] {
    [
        (addresses.output_oracle, oracle_account(settings)),
        (addresses.system_config, system_config_account(settings, addresses)),
    ]
}

pub(crate) fn deployment(
    address: Address,
    code: &Bytes,
    arguments: &impl SolConstructor,
) -> Deployment {
    let init_code = [code.as_ref(), &arguments.abi_encode()].concat().into();
    Deployment { address, init_code }
}

fn oracle_config(settings: &L1Settings) -> OutputOracle::Config {
    OutputOracle::Config {
        submissionInterval: U256::from(settings.submission_interval),
        l2BlockTime: U256::from(settings.l2_block_time_s),
        startingBlockNumber: U256::from(settings.starting_block_number),
        startingTimestamp: U256::from(settings.starting_timestamp_s),
        proposer: settings.proposer,
        challenger: settings.challenger,
        finalizationPeriodSeconds: U256::from(settings.finalization_period_s),
    }
}

fn system_config(settings: &L1Settings, addresses: &L1Addresses) -> SystemConfig::Config {
    SystemConfig::Config {
        owner: settings.owner,
        optimismPortal: addresses.portal,
        batchInbox: settings.batch_inbox,
        batcher: settings.batcher,
        unsafeBlockSigner: settings.unsafe_block_signer,
        l2ChainId: U256::from(settings.l2_chain_id),
        startBlock: U256::from(settings.start_block),
        gasLimit: settings.gas_limit,
        basefeeScalar: settings.base_fee_scalar,
        blobbasefeeScalar: settings.blob_base_fee_scalar,
        eip1559Denominator: settings.eip1559_denominator,
        eip1559Elasticity: settings.eip1559_elasticity,
        operatorFeeScalar: settings.operator_fee_scalar,
        operatorFeeConstant: settings.operator_fee_constant,
        minBaseFee: settings.min_base_fee,
        daFootprintGasScalar: settings.da_footprint_gas_scalar,
    }
}

fn oracle_account(settings: &L1Settings) -> GenesisAccount {
    // Slot 0 is the number of claims.
    Slots::default()
        .pack(1, [(U256::from(settings.submission_interval), 256)])
        .pack(2, [(U256::from(settings.l2_block_time_s), 256)])
        .pack(3, [(U256::from(settings.starting_block_number), 256)])
        .pack(4, [(U256::from(settings.starting_timestamp_s), 256)])
        .pack(5, [(U256::from(settings.finalization_period_s), 256)])
        .pack(6, [(word(settings.proposer), 160)])
        .pack(7, [(word(settings.challenger), 160)])
        .into_account(&OutputOracle::DEPLOYED_BYTECODE)
}

fn system_config_account(settings: &L1Settings, addresses: &L1Addresses) -> GenesisAccount {
    let base_fee_scalar = U256::from(settings.base_fee_scalar);
    let blob_base_fee_scalar = U256::from(settings.blob_base_fee_scalar);
    let signer: B256 = keccak256("systemconfig.unsafeblocksigner");
    Slots::default()
        .pack(
            0,
            [
                (word(settings.owner), 160),
                (U256::from(settings.gas_limit), 64),
                (base_fee_scalar, 32),
            ],
        )
        .pack(2, [(settings.system_config().scalar, 256)])
        .pack(3, [(word(settings.batcher), 256)])
        .pack(
            4,
            [
                (blob_base_fee_scalar, 32),
                (U256::from(settings.eip1559_denominator), 32),
                (U256::from(settings.eip1559_elasticity), 32),
                (U256::from(settings.operator_fee_scalar), 32),
                (U256::from(settings.operator_fee_constant), 64),
                (U256::from(settings.min_base_fee), 64),
            ],
        )
        .pack(
            5,
            [(U256::from(settings.da_footprint_gas_scalar), 16), (word(settings.batch_inbox), 160)],
        )
        .pack(6, [(word(addresses.portal), 160)])
        .pack(7, [(U256::from(settings.start_block), 256)])
        .pack(8, [(U256::from(settings.l2_chain_id), 256)])
        .set(signer, word(settings.unsafe_block_signer))
        .into_account(&SystemConfig::DEPLOYED_BYTECODE)
}

pub(crate) fn portal_slots(addresses: &L1Addresses) -> Slots {
    // The price, then the gas sold and the block, both zero.
    Slots::default()
        .pack(0, [(U256::from(FIRST_RESOURCE_PRICE), 128)])
        .pack(1, [(U256::from(NOBODY), 160)])
        .pack(2, [(word(addresses.output_oracle), 160)])
        .pack(3, [(word(addresses.system_config), 160)])
}
