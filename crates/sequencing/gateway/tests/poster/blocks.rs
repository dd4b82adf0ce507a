//! Blocks of the union's rollups: what stands in them, and their hashes.

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::{
    BlockNumHash,
    eip2718::{Decodable2718, Encodable2718},
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use lockstep_batcher::{BatchBlock, UnionBlock};
use lockstep_protocol::{RollupConfig, RollupGenesis, UnionConfig};
use lockstep_union::{Call, Message, Part, Return, Step, SuperId, part_transaction};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use std::sync::Arc;

pub(crate) const CHAINS: [u64; 2] = [901, 902];
pub(crate) const L1_CHAIN_ID: u64 = 900;
pub(crate) const BLOCK_TIME: u64 = 2;
pub(crate) const SLOT_SECONDS: u64 = 12;
pub(crate) const GENESIS_TIME: u64 = 1_000_000;

/// L1 blocks after which followers go on without batches.
pub(crate) const SEQ_WINDOW: u64 = 200;

/// The L1 origin of a block: one for each slot.
fn origin(timestamp: u64) -> BlockNumHash {
    let number = (timestamp - GENESIS_TIME) / SLOT_SECONDS;
    BlockNumHash { number, hash: B256::repeat_byte(0x11) }
}

pub(crate) fn union() -> UnionConfig {
    UnionConfig {
        inbox: Address::repeat_byte(0x1b),
        chains: CHAINS.into(),
        slot_seconds: SLOT_SECONDS,
        genesis_time: GENESIS_TIME,
        block_time: BLOCK_TIME,
        seq_window_size: SEQ_WINDOW,
        ..UnionConfig::default()
    }
}

pub(crate) fn config(l2_chain_id: u64) -> Arc<RollupConfig> {
    let first = first_block(l2_chain_id);
    Arc::new(RollupConfig {
        l1_chain_id: L1_CHAIN_ID,
        l2_chain_id,
        block_time: BLOCK_TIME,
        union: Some(union()),
        genesis: RollupGenesis {
            l2: first.block.id(),
            l2_time: first.block.timestamp,
            ..RollupGenesis::default()
        },
        ..RollupConfig::default()
    })
}

/// The first block of a rollup: one slot after slot 0.
pub(crate) fn first_block(chain: u64) -> UnionBlock {
    let timestamp = GENESIS_TIME + SLOT_SECONDS - BLOCK_TIME;
    let block = BatchBlock {
        number: 100,
        hash: keccak256(chain.to_be_bytes()),
        timestamp,
        epoch: origin(timestamp),
        ..BatchBlock::default()
    };
    UnionBlock { block, parts: Vec::new() }
}

/// The block after `parent` with this content, parts as the deposits that they are in blocks.
pub(crate) fn next_block(parent: &UnionBlock, content: &[Bytes]) -> UnionBlock {
    let timestamp = parent.block.timestamp + BLOCK_TIME;
    let mut preimage = [&parent.block.hash[..], &timestamp.to_be_bytes()].concat();
    preimage.extend(content.iter().flat_map(|tx| keccak256(tx).0));
    let (mut transactions, mut parts) = (Vec::new(), Vec::new());
    for tx in content {
        if let OpTxEnvelope::Deposit(deposit) = OpTxEnvelope::decode_2718_exact(tx).unwrap() {
            parts.push((transactions.len() as u32, deposit.inner().input.clone()));
        } else {
            transactions.push(tx.clone());
        }
    }
    let block = BatchBlock {
        number: parent.block.number + 1,
        hash: keccak256(preimage),
        parent_hash: parent.block.hash,
        timestamp,
        epoch: origin(timestamp),
        starts_epoch: origin(timestamp) != parent.block.epoch,
        transactions,
    };
    UnionBlock { block, parts }
}

pub(crate) fn is_empty(block: &UnionBlock) -> bool {
    block.block.transactions.is_empty() && block.parts.is_empty()
}

/// A transaction of a user, none of which is like another, with `ballast` bytes that cannot be compressed.
pub(crate) fn transaction(chain_id: u64, unique: u64, ballast: usize) -> Bytes {
    let signature = Signature::new(
        keccak256(unique.to_be_bytes()).into(),
        U256::from(unique + 1),
        unique.is_multiple_of(2),
    );
    let to = TxKind::Call(Address::repeat_byte(unique as u8));
    let word = |index: usize| keccak256([unique.to_le_bytes(), index.to_le_bytes()].concat()).0;
    let mut input = word(0).repeat(unique as usize % 20);
    input.extend((0..ballast / 32).flat_map(word));
    let input = Bytes::from(input);
    let tx =
        TxEip1559 { chain_id, nonce: unique, gas_limit: 90_000, to, input, ..Default::default() };
    OpTxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

/// The parts of a super transaction of the first rollup, which calls the second.
pub(crate) fn super_transaction(id: SuperId) -> [Bytes; 2] {
    let [home, peer] = CHAINS;
    let call = Message::Call(Call {
        from: Address::repeat_byte(1),
        to: Address::repeat_byte(2),
        value: U256::ZERO,
        gas: 90_000,
        base_fee: 7,
        is_static: false,
        depth: 1,
        input: vec![id.index as u8; 40].into(),
    });
    let back = Message::Return(Return { success: true, gas_used: 9, output: Bytes::new() });
    [(peer, true), (home, false)].map(|(peer, is_home)| {
        let step = |index, is_sent, message: &Message| Step {
            index,
            peer,
            is_sent,
            message: message.clone(),
        };
        let steps = vec![step(1, is_home, &call), step(2, !is_home, &back)];
        let part = Part { id, home, origin: Address::repeat_byte(3), gas_limit: 0, steps };
        let chain = if is_home { CHAINS[0] } else { CHAINS[1] };
        let deposit: TxDeposit = part_transaction(&part, chain);
        OpTxEnvelope::from(deposit).encoded_2718().into()
    })
}
