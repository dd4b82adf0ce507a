//! The L1 attributes deposit leaves in storage what the execution engine reads from there.

use crate::machine::Machine;
use alloy_primitives::{Address, B256, U256};
use lockstep_chain::OpHardfork;
use lockstep_contracts::{FeeRecipient, L1_BLOCK, L1Block, predeploys};
use lockstep_protocol::L1Attributes;
use op_revm::{L1BlockInfo, OpSpecId, constants};
use revm::database_interface::{DBErrorMarker, Database};
use std::fmt;

const ATTRIBUTES: L1Attributes = L1Attributes {
    number: 0x1112_1314_1516_1718,
    timestamp: 0x2122_2324_2526_2728,
    base_fee: 0x3132_3334_3536_3738_393a,
    hash: B256::repeat_byte(0x41),
    sequence_number: 0x5152_5354_5556_5758,
    batcher_hash: B256::repeat_byte(0x61),
    fee_overhead: U256::from_limbs([1, 2, 3, 4]),
    fee_scalar: U256::from_limbs([5, 6, 7, 8]),
    blob_base_fee: 0x7172_7374_7576_7778_797a,
    base_fee_scalar: 0x8182_8384,
    blob_base_fee_scalar: 0x9192_9394,
    operator_fee_scalar: 0xa1a2_a3a4,
    operator_fee_constant: 0xb1b2_b3b4_b5b6_b7b8,
    da_footprint_gas_scalar: 0xc1c2,
};

/// The state of a machine as op-revm reads it.
struct Reader<'a>(&'a Machine);

#[derive(Debug)]
struct Never;

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl std::error::Error for Never {}
impl DBErrorMarker for Never {}

impl Database for Reader<'_> {
    type Error = Never;

    fn basic(&mut self, address: Address) -> Result<Option<revm::state::AccountInfo>, Never> {
        Ok(self.0.state.get(&address).map(|account| account.info.clone()))
    }

    fn code_by_hash(&mut self, _: B256) -> Result<revm::bytecode::Bytecode, Never> {
        Ok(Default::default())
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Never> {
        Ok(self.0.slot(address, slot))
    }

    fn block_hash(&mut self, _: u64) -> Result<B256, Never> {
        Ok(B256::ZERO)
    }
}

/// The state after the deposit, and what op-revm reads from it.
fn after_deposit(fork: OpHardfork, spec: OpSpecId) -> (Machine, L1BlockInfo) {
    let recipient = FeeRecipient::OnRollup(Address::ZERO);
    let mut machine = Machine::new(fork, predeploys(fork, recipient, U256::ZERO));
    machine.deposit(ATTRIBUTES.deposit(fork)).expect("the deposit succeeds");
    let info = L1BlockInfo::try_fetch(&mut Reader(&machine), U256::ZERO, spec).unwrap();
    (machine, info)
}

/// The fees of the L1 block, the parts that every fork has.
fn check_block(machine: &mut Machine, info: &L1BlockInfo) {
    let read = |machine: &mut Machine| machine.read(L1_BLOCK, &L1Block::numberCall {});
    assert_eq!(read(machine), ATTRIBUTES.number);
    assert_eq!(machine.read(L1_BLOCK, &L1Block::timestampCall {}), ATTRIBUTES.timestamp);
    assert_eq!(machine.read(L1_BLOCK, &L1Block::hashCall {}), ATTRIBUTES.hash);
    assert_eq!(machine.read(L1_BLOCK, &L1Block::batcherHashCall {}), ATTRIBUTES.batcher_hash);
    let sequence_number = machine.read(L1_BLOCK, &L1Block::sequenceNumberCall {});
    assert_eq!(sequence_number, ATTRIBUTES.sequence_number);
    assert_eq!(info.l1_base_fee, U256::from(ATTRIBUTES.base_fee));
}

fn check_ecotone(info: &L1BlockInfo) {
    assert_eq!(info.l1_blob_base_fee, Some(U256::from(ATTRIBUTES.blob_base_fee)));
    assert_eq!(info.l1_base_fee_scalar, U256::from(ATTRIBUTES.base_fee_scalar));
    let blob_base_fee_scalar = U256::from(ATTRIBUTES.blob_base_fee_scalar);
    assert_eq!(info.l1_blob_base_fee_scalar, Some(blob_base_fee_scalar));
    assert!(!info.empty_ecotone_scalars);
}

fn check_isthmus(info: &L1BlockInfo) {
    assert_eq!(info.operator_fee_scalar, Some(U256::from(ATTRIBUTES.operator_fee_scalar)));
    assert_eq!(info.operator_fee_constant, Some(U256::from(ATTRIBUTES.operator_fee_constant)));
}

#[test]
fn the_attributes_of_bedrock_are_where_op_revm_reads_them() {
    let (mut machine, info) = after_deposit(OpHardfork::Bedrock, OpSpecId::BEDROCK);
    check_block(&mut machine, &info);
    assert_eq!(info.l1_fee_overhead, Some(ATTRIBUTES.fee_overhead));
    assert_eq!(info.l1_base_fee_scalar, ATTRIBUTES.fee_scalar);
}

#[test]
fn the_attributes_of_ecotone_are_where_op_revm_reads_them() {
    let (mut machine, info) = after_deposit(OpHardfork::Ecotone, OpSpecId::ECOTONE);
    check_block(&mut machine, &info);
    check_ecotone(&info);
}

#[test]
fn the_attributes_of_isthmus_are_where_op_revm_reads_them() {
    let (mut machine, info) = after_deposit(OpHardfork::Isthmus, OpSpecId::ISTHMUS);
    check_block(&mut machine, &info);
    check_ecotone(&info);
    check_isthmus(&info);
}

#[test]
fn the_attributes_of_jovian_are_where_op_revm_reads_them() {
    let (mut machine, info) = after_deposit(OpHardfork::Jovian, OpSpecId::JOVIAN);
    check_block(&mut machine, &info);
    check_ecotone(&info);
    check_isthmus(&info);
    assert_eq!(info.da_footprint_gas_scalar, Some(ATTRIBUTES.da_footprint_gas_scalar));
}

#[test]
fn the_addresses_are_those_of_the_execution_engine() {
    use lockstep_contracts::{BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_FEE_VAULT};
    assert_eq!(L1_BLOCK, constants::L1_BLOCK_CONTRACT);
    assert_eq!(BASE_FEE_VAULT, constants::BASE_FEE_RECIPIENT);
    assert_eq!(L1_FEE_VAULT, constants::L1_FEE_RECIPIENT);
    assert_eq!(OPERATOR_FEE_VAULT, constants::OPERATOR_FEE_RECIPIENT);
    assert_eq!(L1_BLOCK, lockstep_protocol::L1_BLOCK);
}
