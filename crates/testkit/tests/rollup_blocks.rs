//! What real OP Sepolia blocks say of their L1 origins. (That they execute to their hash is a test of
//! `stf`.)

use alloy_eips::eip2718::Decodable2718;
use lockstep_chain::OpHardfork;
use lockstep_protocol::L1Attributes;
use lockstep_testkit::{
    fixtures,
    source::Limits,
    witness::{WitnessBlock, find},
};
use op_alloy_consensus::OpTxEnvelope;

#[test]
fn the_l1_attributes_of_real_blocks_are_read_and_written_back() {
    let Some(fixtures) = fixtures::folder() else { return };
    let paths = find(&fixtures.join("op-blocks/blocks")).expect("the folder holds blocks");
    assert_eq!(paths.len(), 6);
    for path in paths {
        let block = WitnessBlock::load(&path, &Limits::default()).expect("the block is whole");
        let number = block.number();
        let transactions = block.attributes.transactions.expect("the block has transactions");
        let first = transactions.first().expect("the block has transactions");
        let deposit = OpTxEnvelope::decode_2718_exact(first).expect("the transaction decodes");
        let deposit = deposit.as_deposit().expect("a block begins with a deposit").inner();
        let attributes = L1Attributes::decode(&deposit.input).expect("the attributes decode");
        assert_eq!(attributes.deposit(OpHardfork::Holocene), *deposit, "block {number}");
    }
}
