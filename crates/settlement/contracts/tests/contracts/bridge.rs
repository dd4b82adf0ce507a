//! Deposits, withdrawals and changes of the configuration, from one side to the other.

use crate::{
    genesis::{OWNER, PROPOSER, SETTINGS, deploy},
    machine::Machine,
    proofs::{storage_proof, storage_root},
};
use alloy_consensus::{Eip658Value, Receipt, ReceiptEnvelope, ReceiptWithBloom};
use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
use lockstep_chain::OpHardfork;
use lockstep_contracts::{
    FeeRecipient, L1Addresses, L2ToL1MessagePasser, MESSAGE_PASSER, OutputOracle, Portal,
    SystemConfig, l1_deployments, predeploys,
};
use lockstep_protocol::{
    DepositSource, OutputRoot, SystemConfig as DerivedConfig, Withdrawal, deposit_from_log,
};
use op_alloy_consensus::TxDeposit;
use std::collections::BTreeMap;

const ALICE: Address = Address::repeat_byte(0xaa);
const BOB: Address = Address::repeat_byte(0xbb);

fn l1() -> (Machine, L1Addresses) {
    let mut machine = Machine::new(OpHardfork::Isthmus, BTreeMap::new());
    let addresses = deploy(&mut machine, &SETTINGS);
    (machine, addresses)
}

fn rollup() -> Machine {
    let recipient = FeeRecipient::OnRollup(Address::ZERO);
    Machine::new(OpHardfork::Isthmus, predeploys(OpHardfork::Isthmus, recipient, U256::ZERO))
}

#[test]
fn the_portals_deposits_are_those_that_derivation_reads() {
    let (mut machine, addresses) = l1();
    let l1_block_hash = B256::repeat_byte(7);
    for (is_creation, input) in [(false, Bytes::new()), (true, Bytes::from(vec![0x60; 77]))] {
        let to = if is_creation { Address::ZERO } else { BOB };
        let call = Portal::depositTransactionCall {
            to,
            value: U256::from(5),
            gasLimit: 200_000,
            isCreation: is_creation,
            data: input.clone(),
        };
        let input_bytes = call.abi_encode();
        let logs = machine.transact(ALICE, TxKind::Call(addresses.portal), 3, input_bytes).unwrap();
        assert_eq!(logs.len(), 1);
        let deposit = deposit_from_log(&logs[0].data, l1_block_hash, 4).unwrap();
        let expected = TxDeposit {
            source_hash: DepositSource::User { l1_block_hash, log_index: 4 }.hash(),
            from: ALICE,
            to: if is_creation { TxKind::Create } else { TxKind::Call(BOB) },
            mint: 3,
            value: U256::from(5),
            gas_limit: 200_000,
            is_system_transaction: false,
            input,
        };
        assert_eq!(deposit, expected);
        assert_eq!(lockstep_protocol::deposit_log(&expected, addresses.portal), logs[0]);
    }
}

#[test]
fn changes_of_the_configuration_are_those_that_derivation_reads() {
    let (mut machine, addresses) = l1();
    let mut logs: Vec<Log> = Vec::new();
    let mut call = |input: Vec<u8>| {
        let to = TxKind::Call(addresses.system_config);
        logs.extend(machine.transact(OWNER, to, 0, input).expect("the owner may"));
    };
    call(SystemConfig::setBatcherHash_0Call { newBatcher: BOB }.abi_encode());
    let scalars =
        SystemConfig::setGasConfigEcotoneCall { newBasefeeScalar: 21, newBlobbasefeeScalar: 22 };
    call(scalars.abi_encode());
    call(SystemConfig::setGasLimitCall { newGasLimit: 30_000_000 }.abi_encode());
    call(SystemConfig::setUnsafeBlockSignerCall { newSigner: ALICE }.abi_encode());
    let fees = SystemConfig::setEIP1559ParamsCall { newDenominator: 23, newElasticity: 24 };
    call(fees.abi_encode());
    let operator = SystemConfig::setOperatorFeeScalarsCall { newScalar: 25, newConstant: 26 };
    call(operator.abi_encode());
    call(SystemConfig::setMinBaseFeeCall { newMinBaseFee: 27 }.abi_encode());
    call(SystemConfig::setDAFootprintGasScalarCall { newScalar: 28 }.abi_encode());
    assert_eq!(logs.len(), 8);

    let derived = derive(logs, addresses.system_config);
    assert_eq!(derived.batcher_address, BOB);
    let scalars = derived.ecotone_scalars().unwrap();
    assert_eq!((scalars.base_fee_scalar, scalars.blob_base_fee_scalar), (21, 22));
    assert_eq!(derived.gas_limit, 30_000_000);
    assert_eq!((derived.eip1559_denominator, derived.eip1559_elasticity), (23, 24));
    assert_eq!((derived.operator_fee_scalar, derived.operator_fee_constant), (25, 26));
    assert_eq!((derived.min_base_fee, derived.da_footprint_gas_scalar), (27, 28));
}

/// What the constructor tells of is what derivation is to begin with.
#[test]
fn a_rollup_begins_with_the_configuration_of_its_contract() {
    let mut machine = Machine::new(OpHardfork::Isthmus, BTreeMap::new());
    let addresses = L1Addresses::created_by(ALICE, 1);
    let [_, config, _] = l1_deployments(&SETTINGS, &addresses).unwrap();
    machine.transact(ALICE, TxKind::Call(BOB), 0, Vec::new()).unwrap();
    let logs = machine.transact(ALICE, TxKind::Create, 0, config.init_code).unwrap();
    let derived = derive(logs, ALICE.create(1));
    assert_eq!(derived, SETTINGS.system_config());
}

/// The configuration after these logs of an L1 block.
fn derive(logs: Vec<Log>, contract: Address) -> DerivedConfig {
    let receipt = Receipt { status: Eip658Value::Eip658(true), cumulative_gas_used: 0, logs };
    let receipts = [ReceiptEnvelope::Eip1559(ReceiptWithBloom::from(receipt))];
    let mut derived = DerivedConfig::default();
    assert_eq!(derived.update_with_receipts(&receipts, contract, true), []);
    derived
}

/// Sends a withdrawal on the rollup.
fn initiate(machine: &mut Machine, sender: Address, value: u128, target: Address) -> Withdrawal {
    let call = L2ToL1MessagePasser::initiateWithdrawalCall {
        target,
        gasLimit: U256::from(100_000),
        data: Bytes::from_static(b"hello"),
    };
    let to = TxKind::Call(MESSAGE_PASSER);
    let logs = machine.transact(sender, to, value, call.abi_encode()).unwrap();
    assert_eq!(logs.len(), 1);
    let withdrawal = Withdrawal::from_log(&logs[0].data).expect("it is a withdrawal");
    let event = L2ToL1MessagePasser::MessagePassed::decode_log(&logs[0]).unwrap();
    assert_eq!(event.withdrawalHash, withdrawal.hash());
    assert_eq!((withdrawal.sender, withdrawal.target), (sender, target));
    assert_eq!(withdrawal.value, U256::from(value));
    withdrawal
}

#[test]
fn the_message_passer_marks_the_slot_that_proofs_are_of() {
    let mut machine = rollup();
    let withdrawal = initiate(&mut machine, ALICE, 9, BOB);
    let slot = withdrawal.storage_slot();
    assert_eq!(machine.slot(MESSAGE_PASSER, slot.into()), U256::ONE);
    let account = machine.state.get(&MESSAGE_PASSER).unwrap();
    // The mark and the nonce.
    assert_eq!(account.storage.len(), 2);
}

#[test]
fn a_withdrawal_travels_from_the_rollup_to_l1() {
    let mut rollup = rollup();
    let withdrawals: Vec<Withdrawal> =
        (1..=20).map(|i| initiate(&mut rollup, ALICE, i, Address::repeat_byte(i as u8))).collect();
    let storage = &rollup.state.get(&MESSAGE_PASSER).unwrap().storage;
    let output = OutputRoot {
        state_root: rollup.state.state_root(),
        message_passer_storage_root: storage_root(storage),
        block_hash: keccak256("block"),
    };

    let (mut l1, addresses) = l1();
    let donation = Portal::donateETHCall {}.abi_encode();
    l1.transact(BOB, TxKind::Call(addresses.portal), 1_000, donation).unwrap();
    let claim = OutputOracle::proposeL2OutputCall {
        outputRoot: output.hash(),
        l2BlockNumber: U256::from(100),
        l1BlockHash: B256::ZERO,
        l1BlockNumber: U256::ZERO,
    };
    l1.call(PROPOSER, addresses.output_oracle, &claim);

    for withdrawal in &withdrawals {
        let proof = storage_proof(storage, withdrawal.storage_slot());
        let input = prove_call(withdrawal, &output, proof).abi_encode();
        let logs = l1.transact(ALICE, TxKind::Call(addresses.portal), 0, input).unwrap();
        let proven = Portal::WithdrawalProven::decode_log(&logs[0]).unwrap();
        assert_eq!(proven.withdrawalHash, withdrawal.hash());
    }
    let finalize = |l1: &mut Machine, withdrawal: &Withdrawal| {
        let input = finalize_call(withdrawal).abi_encode();
        l1.transact(ALICE, TxKind::Call(addresses.portal), 0, input)
    };
    assert!(finalize(&mut l1, &withdrawals[0]).is_none(), "too early");
    l1.timestamp += SETTINGS.finalization_period_s + 1;
    for withdrawal in &withdrawals {
        let logs = finalize(&mut l1, withdrawal).expect("it is final");
        let done = Portal::WithdrawalFinalized::decode_log(logs.last().unwrap()).unwrap();
        assert!(done.success);
        assert_eq!(l1.balance(withdrawal.target), withdrawal.value);
        assert!(finalize(&mut l1, withdrawal).is_none(), "twice");
    }
    assert_eq!(l1.balance(addresses.portal), U256::from(1_000 - 210));
}

pub(crate) fn prove_call(
    withdrawal: &Withdrawal,
    output: &OutputRoot,
    proof: Vec<Bytes>,
) -> Portal::proveWithdrawalTransactionCall {
    Portal::proveWithdrawalTransactionCall {
        withdrawal: finalize_call(withdrawal).withdrawal,
        l2OutputIndex: U256::ZERO,
        outputRootProof: Portal::OutputRootProof {
            version: B256::ZERO,
            stateRoot: output.state_root,
            messagePasserStorageRoot: output.message_passer_storage_root,
            latestBlockhash: output.block_hash,
        },
        withdrawalProof: proof,
    }
}

pub(crate) fn finalize_call(withdrawal: &Withdrawal) -> Portal::finalizeWithdrawalTransactionCall {
    Portal::finalizeWithdrawalTransactionCall {
        withdrawal: Portal::Withdrawal {
            nonce: withdrawal.nonce,
            sender: withdrawal.sender,
            target: withdrawal.target,
            value: withdrawal.value,
            gasLimit: withdrawal.gas_limit,
            data: withdrawal.data.clone(),
        },
    }
}
