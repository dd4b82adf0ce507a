//! Union batches that L1 does not have yet: what they come to is what will be derived.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use alloy_primitives::Bytes;
use common::{
    l1::SharedL1,
    l1_chain,
    l2::{L2, SharedL2},
    union::UnionWorld,
};
use lockstep_derive::UnionAhead;
use lockstep_protocol::{Compression, RollupConfig, UnionBatch};

fn encode(batch: &UnionBatch) -> Bytes {
    batch.encode(Compression::Zlib { level: 6 }).unwrap().into()
}

/// Makes the blocks of a batch. How many it has and how many came of it, or why it is dropped.
fn go_ahead(
    config: &RollupConfig,
    l1: &SharedL1,
    l2: &SharedL2,
    slot: u64,
    data: &Bytes,
) -> Result<(usize, usize), &'static str> {
    let (mut l1, mut chain, l1_chain) = (l1.clone(), l2.clone(), l1_chain());
    let mut parent = l2.borrow().head();
    let opened = UnionAhead::open(data, slot, (config, &*l1_chain), &mut l1, &parent).unwrap();
    let mut ahead = opened.map_err(|dropped| dropped.name())?;
    let mut made = 0;
    while let Some(derived) = ahead.next_block(&mut l1, &mut chain, &parent).unwrap() {
        assert_eq!(derived.parent, parent);
        parent = l2.borrow_mut().apply(&derived.attributes);
        made += 1;
    }
    assert!(ahead.next_block(&mut l1, &mut chain, &parent).unwrap().is_none());
    Ok((ahead.blocks(), made))
}

fn chains(world: &UnionWorld) -> Vec<SharedL2> {
    world.configs.iter().map(|config| SharedL2::new(L2::new(config.clone()))).collect()
}

#[test]
fn what_is_made_ahead_is_what_is_derived_later() {
    let mut world = UnionWorld::new(3);
    let ahead = chains(&world);
    for turn in 0..12 {
        if turn % 4 == 3 {
            // The next batch brings the blocks of a slot without one.
            world.sequence_empty();
            world.next_slot();
        }
        world.sequence();
        let batch = world.batch();
        for (config, l2) in world.configs.iter().zip(&ahead) {
            let (blocks, made) =
                go_ahead(config, &world.l1, l2, batch.slot, &encode(&batch)).unwrap();
            assert!(blocks > 0);
            assert_eq!(blocks, made);
        }
        world.post_slot();
        world.next_slot();
    }
    let followers = world.assert_derives_up_to(world.posted);
    for (follower, l2) in followers.iter().zip(&ahead) {
        assert_eq!(follower.head(), l2.borrow().head());
    }
}

#[test]
fn what_will_be_dropped_is_dropped_ahead() {
    let mut world = UnionWorld::new(2);
    let ahead = chains(&world);
    world.sequence();
    let batch = world.batch();
    let mut data = encode(&batch).to_vec();
    let config = world.configs[0].clone();
    let dropped = |slot, data: Vec<u8>| {
        go_ahead(&config, &world.l1, &ahead[0], slot, &data.into()).unwrap_err()
    };
    assert_eq!(dropped(batch.slot + 1, data.clone()), "union_slot");
    data.truncate(data.len() / 2);
    assert_eq!(dropped(batch.slot, data), "union_encoding");
    world.post_slot();
    world.next_slot();
    world.sequence();
    // Its blocks stand on blocks that this chain does not have.
    let batch = world.batch();
    let (blocks, made) =
        go_ahead(&config, &world.l1, &ahead[0], batch.slot, &encode(&batch)).unwrap();
    assert!(blocks > 0);
    assert_eq!(made, 0);
}
