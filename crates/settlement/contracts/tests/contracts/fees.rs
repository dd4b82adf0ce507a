//! Wallets are told the fees that the execution engine charges.

use crate::machine::Machine;
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, Bytes, U256};
use lockstep_chain::OpHardfork;
use lockstep_contracts::{
    FeeRecipient, GAS_PRICE_ORACLE, GasPriceOracle, L1_BLOCK, L1Block, predeploys,
};
use lockstep_protocol::{L1Attributes, upgrade_transactions};
use op_alloy_consensus::OpTxEnvelope;
use op_revm::{L1BlockInfo, OpSpecId, estimate_tx_compressed_size};
use proptest::{collection::vec, prelude::*};

/// What the oracle adds for the signature of a transaction, in bytes.
const SIGNATURE_BYTES: u64 = 68;

/// A rollup whose first block said this.
fn rollup(fork: OpHardfork, attributes: &L1Attributes) -> Machine {
    let recipient = FeeRecipient::OnRollup(Address::ZERO);
    let mut machine = Machine::new(fork, predeploys(fork, recipient, U256::ZERO));
    machine.deposit(attributes.deposit(fork)).expect("the deposit succeeds");
    machine
}

/// Bytes of which some repeat, behind some that do not: too long for the least estimate.
fn transactions() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        vec(any::<u8>(), 0..40),
        (any::<u8>(), 0usize..700).prop_map(|(byte, count)| vec![byte; count]),
        (vec(any::<u8>(), 1..20), 1usize..40).prop_map(|(word, count)| word.repeat(count)),
    ];
    (vec(any::<u8>(), 250), vec(piece, 0..6)).prop_map(|(mut bytes, pieces)| {
        bytes.extend(pieces.concat());
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Prices are chosen so that the fee is the estimate of the size itself.
    #[test]
    fn the_size_of_a_transaction_is_estimated_as_by_the_engine(bytes in transactions()) {
        let prices =
            L1Attributes { base_fee: 62_500_000_000, base_fee_scalar: 1, ..Default::default() };
        let mut machine = rollup(OpHardfork::Fjord, &prices);
        let call = GasPriceOracle::getL1FeeCall { data: Bytes::from(bytes.clone()) };
        let told = machine.read(GAS_PRICE_ORACLE, &call);
        // The oracle is asked about an unsigned transaction.
        let signature = U256::from(SIGNATURE_BYTES * 836_500);
        prop_assert_eq!(told, U256::from(estimate_tx_compressed_size(&bytes)) + signature);
    }

    #[test]
    fn the_operator_fee_is_that_of_the_engine(gas: u64, scalar: u32, constant: u64) {
        let prices = L1Attributes {
            operator_fee_scalar: scalar,
            operator_fee_constant: constant,
            ..Default::default()
        };
        for (fork, spec) in
            [(OpHardfork::Isthmus, OpSpecId::ISTHMUS), (OpHardfork::Jovian, OpSpecId::JOVIAN)]
        {
            let mut machine = rollup(fork, &prices);
            let call = GasPriceOracle::getOperatorFeeCall { gasUsed: U256::from(gas) };
            let told = machine.read(GAS_PRICE_ORACLE, &call);
            let info = L1BlockInfo {
                operator_fee_scalar: Some(U256::from(scalar)),
                operator_fee_constant: Some(U256::from(constant)),
                ..Default::default()
            };
            prop_assert_eq!(told, info.operator_fee_charge(&[2], U256::from(gas), spec));
        }
    }
}

/// Which formulas the oracle was switched to.
fn formulas(machine: &mut Machine) -> [bool; 4] {
    [
        machine.read(GAS_PRICE_ORACLE, &GasPriceOracle::isEcotoneCall {}),
        machine.read(GAS_PRICE_ORACLE, &GasPriceOracle::isFjordCall {}),
        machine.read(GAS_PRICE_ORACLE, &GasPriceOracle::isIsthmusCall {}),
        machine.read(GAS_PRICE_ORACLE, &GasPriceOracle::isJovianCall {}),
    ]
}

#[test]
fn the_oracle_begins_with_the_formula_of_its_fork() {
    let begin = |fork| formulas(&mut rollup(fork, &L1Attributes::default()));
    assert_eq!(begin(OpHardfork::Bedrock), [false; 4]);
    assert_eq!(begin(OpHardfork::Ecotone), [true, false, false, false]);
    assert_eq!(begin(OpHardfork::Granite), [true, true, false, false]);
    assert_eq!(begin(OpHardfork::Isthmus), [true, true, true, false]);
    assert_eq!(begin(OpHardfork::Jovian), [true; 4]);
}

/// OP's upgrades point proxies to other code. There are none here: code stays as it is, and the formulas
/// are switched.
#[test]
fn network_upgrades_switch_formulas_and_harm_nothing() {
    let mut machine = rollup(OpHardfork::Canyon, &L1Attributes::default());
    let code = |machine: &Machine| machine.state.get(&L1_BLOCK).unwrap().info.code_hash;
    let before = code(&machine);
    let forks = [OpHardfork::Ecotone, OpHardfork::Fjord, OpHardfork::Isthmus, OpHardfork::Jovian];
    for (index, fork) in forks.into_iter().enumerate() {
        let upgrades = upgrade_transactions(fork);
        assert!(!upgrades.is_empty());
        for bytes in upgrades {
            let transaction = OpTxEnvelope::decode_2718_exact(&bytes).unwrap();
            let deposit = transaction.as_deposit().expect("upgrades are deposits");
            // Some fail, as they are meant for proxies.
            machine.deposit(deposit.inner().clone());
        }
        assert_eq!(formulas(&mut machine), std::array::from_fn(|i| i <= index), "{fork:?}");
        let attributes = L1Attributes { number: 7 + index as u64, ..Default::default() };
        machine.deposit(attributes.deposit(fork)).expect("the deposit succeeds");
        assert_eq!(machine.read(L1_BLOCK, &L1Block::numberCall {}), attributes.number);
        assert_eq!(code(&machine), before);
    }
}
