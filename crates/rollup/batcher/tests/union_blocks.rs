//! Union batches out of blocks: what derivation makes of them is what was in the blocks.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test")]

use alloy_consensus::{Header, SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use lockstep_batcher::{BatcherError, UnionBlock, build_union_batch};
use lockstep_chain::{Block, OpHardfork, Rollup};
use lockstep_derive::{Dropped, open_union_batch};
use lockstep_protocol::{
    Compression, L1Attributes, RollupConfig, SpanBatchBlock, UnionBatch, UnionConfig,
};
use lockstep_union::{Call, GATE, Message, PORT, Part, Return, Step, SuperId};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use proptest::prelude::*;
use std::collections::BTreeMap;

const SLOT: u64 = 50;
const CHAINS: [u64; 3] = [901, 902, 905];

fn union() -> UnionConfig {
    let inbox = Address::repeat_byte(0x1b);
    UnionConfig {
        inbox,
        chains: CHAINS.into(),
        slot_seconds: 12,
        genesis_time: 1_000,
        block_time: 2,
        ..UnionConfig::default()
    }
}

fn config(l2_chain_id: u64) -> RollupConfig {
    RollupConfig { l2_chain_id, block_time: 2, union: Some(union()), ..Default::default() }
}

fn transaction(chain_id: u64, nonce: u64) -> OpTxEnvelope {
    let signature = Signature::new(
        keccak256(nonce.to_be_bytes()).into(),
        U256::from(nonce + 1),
        nonce.is_multiple_of(2),
    );
    let to = TxKind::Call(Address::repeat_byte(nonce as u8));
    TxEip1559 { chain_id, nonce, gas_limit: 21_000 + nonce, to, ..Default::default() }
        .into_signed(signature)
        .into()
}

/// One call and its answer, between the first rollup and the others in turn.
fn parts(index: u64) -> BTreeMap<u64, Part> {
    let id = SuperId { slot: SLOT, index };
    let (home, peer) = (CHAINS[0], CHAINS[1 + index as usize % 2]);
    let call = Message::Call(Call {
        from: Address::repeat_byte(1),
        to: Address::repeat_byte(2),
        value: U256::ZERO,
        gas: 90_000,
        base_fee: 7,
        is_static: false,
        depth: 1,
        input: vec![index as u8; 40].into(),
    });
    let back = Message::Return(Return { success: true, gas_used: 9, output: Bytes::new() });
    [(home, peer, true), (peer, home, false)]
        .map(|(chain, peer, is_caller)| {
            let step = |index, is_sent, message: &Message| Step {
                index,
                peer,
                is_sent,
                message: message.clone(),
            };
            let steps = vec![step(1, is_caller, &call), step(2, !is_caller, &back)];
            (chain, Part { id, home, origin: Address::repeat_byte(3), gas_limit: 0, steps })
        })
        .into()
}

fn part_transaction(part: &Part, chain: u64) -> OpTxEnvelope {
    let word = |value: u64| B256::from(U256::from(value));
    let id = keccak256([word(part.id.slot), word(part.id.index)].concat());
    TxDeposit {
        source_hash: keccak256([word(0x4c53), id].concat()),
        from: PORT,
        to: TxKind::Call(if part.home == chain { PORT } else { GATE }),
        input: alloy_rlp::encode(part).into(),
        ..Default::default()
    }
    .into()
}

/// A block with L1 attributes, a deposit of a user, and `content`.
fn block(parent: &Header, content: Vec<OpTxEnvelope>) -> Block<Rollup> {
    let timestamp = parent.timestamp + 2;
    let sequence_number = (timestamp - 1_000) / 2 % 6;
    let attributes = L1Attributes {
        number: timestamp / 12,
        hash: keccak256((timestamp / 12).to_be_bytes()),
        sequence_number,
        ..Default::default()
    };
    let user = TxDeposit { from: Address::repeat_byte(8), gas_limit: 9, ..Default::default() };
    let mut transactions = vec![attributes.deposit(OpHardfork::Jovian).into(), user.into()];
    transactions.extend(content);
    let header = Header {
        number: parent.number + 1,
        parent_hash: parent.hash_slow(),
        timestamp,
        transactions_root: keccak256(format!("{transactions:?}")),
        ..Header::default()
    };
    header.into_block(alloy_consensus::BlockBody { transactions, ..Default::default() })
}

/// What of a block is sequenced: all behind the deposits of L1.
fn sequenced(block: &Block<Rollup>) -> Vec<Bytes> {
    block.body.transactions[2..].iter().map(|tx| tx.encoded_2718().into()).collect()
}

/// Blocks of all rollups for the slot, with `plan` saying of each block how many transactions stand
/// around its super transactions; those of empty blocks before it come first.
fn blocks(empty: u64, plan: &[(u8, u8)]) -> BTreeMap<u64, Vec<Block<Rollup>>> {
    let start = union().slot_start(SLOT);
    let mut all: BTreeMap<u64, Vec<Block<Rollup>>> = BTreeMap::new();
    let mut nonce = 0;
    let mut index = 0;
    let genesis = Header { timestamp: start - 2 * (empty + 1), number: 700, ..Header::default() };
    let mut parents: BTreeMap<u64, Header> = CHAINS.map(|chain| (chain, genesis.clone())).into();
    let empties = vec![None; empty as usize];
    for step in empties.into_iter().chain(plan.iter().map(Some)) {
        let mut contents: BTreeMap<u64, Vec<OpTxEnvelope>> =
            CHAINS.map(|chain| (chain, vec![])).into();
        if let Some((before, supers)) = step {
            for (chain, content) in &mut contents {
                nonce += 1;
                content.extend((0..*before).map(|at| transaction(*chain, nonce + u64::from(at))));
            }
            for _ in 0..*supers {
                for (chain, part) in parts(index) {
                    let content = contents.get_mut(&chain).unwrap();
                    content.push(part_transaction(&part, chain));
                    if chain == part.home {
                        nonce += 1;
                        content.push(transaction(chain, nonce));
                    }
                }
                index += 1;
            }
        }
        for (chain, content) in contents {
            let parent = parents.get_mut(&chain).unwrap();
            let block = block(parent, content);
            *parent = block.header.clone();
            all.entry(chain).or_default().push(block);
        }
    }
    all
}

fn build(blocks: &BTreeMap<u64, Vec<Block<Rollup>>>) -> Result<UnionBatch, BatcherError> {
    let convert = |(chain, blocks): (&u64, &Vec<Block<Rollup>>)| {
        let genesis = config(*chain).genesis;
        let convert = |block| UnionBlock::from_block(block, &genesis).expect("it has attributes");
        (*chain, blocks.iter().map(convert).collect())
    };
    build_union_batch(SLOT, &union(), &blocks.iter().map(convert).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Every follower finds its blocks in what is posted, parts and all.
    #[test]
    fn blocks_are_found_in_what_is_posted(
        empty in 0_u64..9, plan in prop::collection::vec((0_u8..4, 0_u8..4), 1..7), left_out in 0_usize..4,
    ) {
        let mut blocks = blocks(empty, &plan);
        let has_supers = plan.iter().any(|(_, supers)| *supers > 0);
        let left_out = CHAINS.get(left_out).filter(|_| !has_supers);
        if let Some(chain) = left_out {
            blocks.insert(*chain, Vec::new());
        }
        let batch = build(&blocks).unwrap();
        let blobs = batch.to_blobs(Compression::Brotli { quality: 4 }).unwrap();
        let data = UnionBatch::join_blobs(&blobs).unwrap();
        for chain in CHAINS {
            let opened = open_union_batch(&data, SLOT, &config(chain), &union()).unwrap();
            let Some(span) = opened else {
                prop_assert_eq!(left_out, Some(&chain));
                continue;
            };
            let expected = &blocks[&chain];
            prop_assert!(span.matches_parent(expected[0].header.parent_hash));
            let found: Vec<_> = expected
                .iter()
                .map(|block| SpanBatchBlock {
                    timestamp: block.header.timestamp,
                    epoch_num: block.header.timestamp / 12,
                    transactions: sequenced(block),
                })
                .collect();
            prop_assert_eq!(&span.blocks, &found);
        }
    }
}

#[test]
fn blocks_must_follow_each_other() {
    let mut blocks = blocks(1, &[(2, 1), (1, 0)]);
    blocks.get_mut(&902).unwrap().remove(1);
    let Err(BatcherError::Encoding { first: 701, last: 703, reason }) = build(&blocks) else {
        panic!("a block is missing");
    };
    assert_eq!(reason, "rollup 902: blocks [701, 703] do not follow each other");
}

/// What followers would drop is known before it is posted.
#[test]
fn a_batch_can_be_judged_before_it_is_posted() {
    let mut blocks = blocks(0, &[(1, 1)]);
    blocks.remove(&902);
    let data = build(&blocks).unwrap().encode(Compression::Zlib { level: 3 }).unwrap().into();
    for chain in CHAINS {
        let opened = open_union_batch(&data, SLOT, &config(chain), &union());
        assert_eq!(opened, Err(Dropped::UnionAgreement), "the peer's part is missing");
    }
}
