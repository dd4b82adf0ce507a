//! Owners that post whatever they like: honest batches changed at random, as they are decoded, as they are written, and as they are
//! compressed. All followers agree.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::keccak256;
use common::{Follower, Numbers, union::UnionWorld};
use lockstep_derive::{DerivedAttributes, open_union_batch};
use lockstep_protocol::{
    Compression, RollupBatch, SpanBatch, UnionBatch, compress_channel, encode_blob,
};
use lockstep_union::Part;
use op_alloy_consensus::OpTxEnvelope;
use proptest::prelude::*;

const ZLIB: Compression = Compression::Zlib { level: 1 };

/// A union of two, one slot before and one whose batch is not posted yet. All of its blocks have super transactions.
fn world() -> UnionWorld {
    let mut world = UnionWorld::new(2);
    world.run_slots(1);
    for _ in 0..3 {
        let mut contents =
            vec![vec![world.l2s[0].transaction(0)], vec![world.l2s[1].transaction(1)]];
        world.add_super_transaction(&mut contents);
        world.sequence_contents(contents);
    }
    world.sequence();
    world
}

/// One change to a batch, of many kinds.
fn mutate(world: &UnionWorld, batch: &mut UnionBatch, numbers: &mut Numbers) {
    let rollup = numbers.below(2) as usize;
    let Some(rollup) = batch.rollups.get_mut(rollup) else { return };
    let count = rollup.parts.len() as u64;
    let at = if count == 0 { 0 } else { numbers.below(count) as usize };
    match numbers.below(16) {
        0 => batch.slot ^= numbers.below(2),
        1 => {
            let mut span = rollup.span_batch.to_vec();
            let at = numbers.below(span.len() as u64) as usize;
            span[at] ^= 1 << numbers.below(8);
            rollup.span_batch = span.into();
        }
        2 => rollup.span_batch = numbers.bytes(60).into(),
        3 if count > 0 => drop(rollup.parts.remove(at)),
        4 if count > 0 => {
            let entry = rollup.parts[at].clone();
            rollup.parts.insert(at, entry);
        }
        5 if count > 0 => rollup.parts[at].position = numbers.below(4) as u32,
        6 if count > 0 => rollup.parts[at].block = numbers.below(7) as u32,
        7 | 8 if count > 0 => {
            let mut part = rollup.parts[at].part.to_vec();
            let byte = numbers.below(part.len() as u64) as usize;
            part[byte] ^= 1 << numbers.below(8);
            rollup.parts[at].part = part.into();
        }
        // A part that another change made unreadable stays as it is.
        9 | 10 if count > 0 => {
            let entry = &mut rollup.parts[at];
            if let Ok(mut part) = Part::decode(&mut entry.part.as_ref(), usize::MAX) {
                match numbers.below(2) {
                    0 => part.id.index = numbers.below(4),
                    _ => part.steps.reverse(),
                }
                entry.part = alloy_rlp::encode(&part).into();
            }
        }
        11..15 => {
            let union = world.union();
            if let Ok(mut span) = rollup.span(&union) {
                mutate_span(&mut span, numbers);
                let parts = rollup.parts.clone();
                // What no span batch can hold stays as it was.
                if let Ok(changed) = RollupBatch::new(rollup.chain_id, &span, parts, &union) {
                    *rollup = changed;
                }
            }
        }
        _ => {
            rollup.parts.sort_by_key(|entry| (entry.block, entry.position));
        }
    }
}

/// One change to a rollup's blocks.
fn mutate_span(span: &mut SpanBatch, numbers: &mut Numbers) {
    let at = numbers.below(span.blocks.len() as u64) as usize;
    let block = &mut span.blocks[at];
    match numbers.below(9) {
        0 => block.transactions.reverse(),
        1 => drop(block.transactions.pop()),
        2 => block.transactions.extend_from_within(..),
        3 => drop(span.blocks.remove(at)),
        4 => span.blocks.truncate(at + 1),
        5 => span.parent_check[numbers.below(20) as usize] ^= 1,
        6 => span.l1_origin_check[numbers.below(20) as usize] ^= 1,
        7 => span.blocks[at..].iter_mut().for_each(|block| block.epoch_num += 1),
        _ => span.blocks[at..].iter_mut().for_each(|block| block.timestamp += 2),
    }
}

/// What blobs hold of a batch whose decoded form was changed, with further changes to its list and to what is compressed.
fn encode(batch: &UnionBatch, numbers: &mut Numbers) -> Vec<u8> {
    // What is out of order cannot be encoded; garbage comes in its place.
    let mut list = batch.encode_rlp().unwrap_or_else(|_| numbers.bytes(500));
    if numbers.below(4) == 0 {
        garble(&mut list, numbers);
    }
    let mut data = [vec![0], compress_channel(ZLIB, &list)].concat();
    if numbers.below(4) == 0 {
        garble(&mut data, numbers);
    }
    data
}

/// Changes, drops or adds a byte, or cuts off what follows one.
fn garble(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let at = numbers.below(bytes.len() as u64) as usize;
    match numbers.below(5) {
        0 => bytes.truncate(at),
        1 => drop(bytes.remove(at)),
        2 => bytes.insert(at, numbers.next() as u8),
        _ => bytes[at] ^= 1 << numbers.below(8),
    }
}

/// Stands for the execution of a block: it is the same for all, and finds one of so many invalid (0: none).
fn is_valid(derived: &DerivedAttributes, one_of: u64) -> bool {
    let transactions = derived.attributes.transactions.iter().flatten();
    let mut content = Vec::new();
    for raw in transactions {
        if OpTxEnvelope::decode_2718_exact(raw).is_err() {
            return false;
        }
        content.extend_from_slice(raw);
    }
    let is_unlucky = one_of > 0 && u64::from(keccak256(content)[0]) < 256 / one_of;
    derived.is_deposits_only() || !is_unlucky
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is posted, nothing panics. Followers of two rollups agree on whether it is dropped as a whole, and that is what the
    /// rules say of the batch alone; followers of one rollup come to the same blocks, wherever they begin anew; and the
    /// honest batch behind it counts.
    #[test]
    fn followers_agree_whatever_an_owner_posts(
        seed in any::<u64>(),
        changes in 0..4_usize,
        one_of in prop_oneof![Just(0_u64), 4..32_u64],
    ) {
        let mut numbers = Numbers(seed);
        let mut world = world();
        let mut batch = world.batch();
        for _ in 0..changes {
            mutate(&world, &mut batch, &mut numbers);
        }
        let slot = world.slot;
        let data = encode(&batch, &mut numbers);
        let ruled: Vec<_> = world
            .configs
            .iter()
            .map(|config| open_union_batch(&data.clone().into(), slot, config, &world.union()))
            .map(|opened| opened.err().map(|dropped| dropped.name()))
            .collect();
        prop_assert_eq!(ruled[0], ruled[1]);
        world.post_blobs(slot, vec![encode_blob(&data).unwrap()]);
        world.post_slot();
        world.next_slot();

        let mut wholes = Vec::new();
        for (follower, l2) in world.followers().iter_mut().zip(&world.l2s) {
            follower.run_with(|derived| is_valid(derived, one_of));
            let drops = follower.drops().into_iter();
            let whole: Vec<_> = drops.filter(|(reason, _)| reason.starts_with("union_")).collect();
            if !whole.is_empty() && one_of == 0 {
                follower.assert_is(l2, world.posted);
            }
            wholes.push(whole);
            restart(&world, follower, &mut numbers, one_of)?;
        }
        prop_assert_eq!(&wholes[0], &wholes[1]);
        // Origins are looked up, which the rules for the batch alone do not; and before parts are compared.
        let is_ruled = match ruled[0] {
            Some(reason) => wholes[0] == [(reason, 1)] || wholes[0] == [("union_origin", 1)],
            None => wholes[0].iter().all(|drop| *drop == ("union_origin", 1)),
        };
        prop_assert!(is_ruled, "{:?} {:?}", ruled[0], wholes[0]);
    }
}

/// Who begins anew at some block derives the same from there on.
fn restart(
    world: &UnionWorld,
    whole: &Follower,
    numbers: &mut Numbers,
    one_of: u64,
) -> Result<(), TestCaseError> {
    let head = whole.head().block.number;
    let safe = numbers.below(head + 1);
    let mut l2 = whole.l2.borrow().clone();
    l2.truncate(safe);
    let config = whole.pipeline.config().clone();
    let mut follower = Follower::from(config.into(), &world.l1, l2);
    follower.run_with(|derived| is_valid(derived, one_of));
    prop_assert_eq!(follower.head(), whole.head(), "from block {}", safe);
    let blocks = follower.derived.iter().map(|derived| &derived.attributes);
    let expected = whole.derived[safe as usize..].iter().map(|derived| &derived.attributes);
    prop_assert!(blocks.eq(expected), "from block {}", safe);
    Ok(())
}
