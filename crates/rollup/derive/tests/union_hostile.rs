//! Union batches that no honest owner posts: what can be seen of a batch alone is seen by the followers of
//! all its rollups, and they drop it as one.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use alloy_primitives::{Address, Bytes};
use common::{
    BLOCK_TIME, L1_BLOCK_TIME, Numbers,
    union::{UnionWorld, back, call, change_part, decode_part},
};
use lockstep_protocol::{
    Compression, MAX_UNION_BATCH_BYTES, PartEntry, RollupBatch, UnionBatch, compress_channel,
    encode_blob,
};
use lockstep_union::{Message, Part, Step};

/// A union of two, one slot before and one whose batch is not posted yet. Its first blocks have super
/// transactions with both homes.
fn world() -> UnionWorld {
    let mut world = UnionWorld::new(2);
    world.run_slots(1);
    for home in [0, 1, 0] {
        let mut contents =
            vec![vec![world.l2s[0].transaction(0)], vec![world.l2s[1].transaction(1)]];
        for (chain, part) in world.parts(home) {
            let rollup = (chain - 901) as usize;
            contents[rollup].push(common::union::part_transaction(&part, chain));
            contents[rollup].push(world.l2s[rollup].transaction(2));
        }
        world.sequence_contents(contents);
    }
    world.sequence();
    world
}

/// Followers of all rollups drop the batch that `change` makes of an honest one, for this reason alone;
/// and take the honest one behind it.
#[track_caller]
fn assert_dropped(reason: &str, change: impl FnOnce(&mut UnionBatch)) {
    let mut world = world();
    let mut batch = world.batch();
    change(&mut batch);
    let slot = world.slot;
    let blobs = batch.to_blobs(Compression::Zlib { level: 6 }).expect("it can be encoded");
    world.post_blobs(slot, blobs);
    world.post_slot();
    world.next_slot();
    world.assert_drops(world.posted, &[(reason, 1)]);
}

/// The same for what blobs hold.
#[track_caller]
fn assert_blobs_dropped(reason: &str, blobs: &[Vec<u8>]) {
    let mut world = world();
    let slot = world.slot;
    world.post_blobs(slot, blobs.iter().map(|data| encode_blob(data).unwrap()).collect());
    world.post_slot();
    world.next_slot();
    world.assert_drops(world.posted, &[(reason, 1)]);
}

#[test]
fn an_honest_batch_is_taken() {
    let mut world = world();
    let batch = world.batch();
    let homes: Vec<_> = batch.rollups.iter().flat_map(|rollup| &rollup.parts).collect();
    assert!(homes.len() >= 6 && homes.iter().any(|entry| decode_part(entry).home == 902));
    world.post_slot();
    world.next_slot();
    world.assert_drops(world.posted, &[]);
}

#[test]
fn a_batch_is_for_the_slot_that_it_was_taken_for() {
    assert_dropped("union_slot", |batch| batch.slot += 1);
    assert_dropped("union_slot", |batch| batch.slot = 0);
    // The batch of another slot, whole.
    let mut world = world();
    let batch = world.batch();
    world.post_blobs(
        world.slot - 1,
        batch.to_blobs(Compression::Brotli { quality: 3 }).expect("it is in order"),
    );
    world.next_slot();
    world.assert_drops(world.posted, &[("union_slot", 1)]);
}

#[test]
fn only_rollups_of_the_union_have_blocks() {
    for chain_id in [0, 900, 903, u64::MAX] {
        assert_dropped("union_chain", |batch| {
            let foreign = RollupBatch { chain_id, ..batch.rollups[0].clone() };
            batch.rollups.push(foreign);
            batch.rollups.sort_by_key(|rollup| rollup.chain_id);
        });
    }
    assert_dropped("union_chain", |batch| {
        batch.rollups.truncate(1);
        batch.rollups[0].chain_id = 77;
    });
}

#[test]
fn what_cannot_be_decoded_is_dropped() {
    let world = world();
    let batch = world.batch();
    let data = batch.encode(Compression::Zlib { level: 6 }).unwrap();
    let dropped = |data: Vec<u8>| assert_blobs_dropped("union_encoding", &[data]);
    dropped(Vec::new());
    dropped(vec![0]);
    dropped(Numbers(3).bytes(4_000));
    dropped(data[..data.len() - 1].to_vec());
    dropped(data[..data.len() / 2].to_vec());
    dropped([&data[..], &[0]].concat());
    dropped([&[1], &data[1..]].concat());
    // A list that is no batch, and one with something behind it.
    let list = batch.encode_rlp().unwrap();
    let compressed =
        |list: &[u8]| [vec![0], compress_channel(Compression::Zlib { level: 6 }, list)].concat();
    dropped(compressed(&[0xc0]));
    dropped(compressed(&[&list[..], &[0x80]].concat()));
    assert_blobs_dropped("union_encoding", &[data.clone(), data]);
}

#[test]
fn bombs_are_dropped() {
    for compression in [Compression::Zlib { level: 9 }, Compression::Brotli { quality: 1 }] {
        for bytes in [MAX_UNION_BATCH_BYTES, MAX_UNION_BATCH_BYTES + 1] {
            let bomb = [vec![0], compress_channel(compression, &vec![0; bytes])].concat();
            assert_blobs_dropped("union_encoding", &[bomb]);
        }
    }
}

/// More steps than a batch may have, in parts that are each within their limit.
#[test]
fn too_many_steps_are_dropped() {
    let step = Step { index: 1, peer: 902, is_sent: true, message: Message::Rollback };
    assert_dropped("union_part", |batch| {
        let of_peer = batch.rollups[0].parts[1].clone();
        let mut part = decode_part(&of_peer);
        assert_eq!(part.home, 902);
        part.steps = vec![step; 16_384];
        let entry = PartEntry { part: alloy_rlp::encode(&part).into(), ..of_peer };
        batch.rollups[0].parts = vec![entry; 65];
    });
}

/// As many as that are looked at.
#[test]
fn as_many_steps_as_allowed_are_judged() {
    let step = Step { index: 1, peer: 902, is_sent: true, message: Message::Rollback };
    assert_dropped("union_agreement", |batch| {
        let of_peer = batch.rollups[0].parts[1].clone();
        let mut part = decode_part(&of_peer);
        part.steps = vec![step; 16_384];
        let entry = PartEntry { part: alloy_rlp::encode(&part).into(), ..of_peer };
        batch.rollups[0].parts = vec![entry; 64];
        batch.rollups[1].parts.clear();
    });
}

#[test]
fn blobs_that_are_not_there_are_no_batch() {
    let mut world = world();
    let slot = world.slot;
    let batch = world.batch();
    let blobs = batch.to_blobs(Compression::Zlib { level: 6 }).unwrap();
    let hash = common::l1::blob_hash(&blobs[0]);
    // Not in the block, none at all, in another order, and more than are there.
    world.announce(slot, vec![hash]);
    world.l1.borrow_mut().mine();
    world.announce(slot, Vec::new());
    let two = vec![encode_blob(&[1]).unwrap(), blobs[0].clone()];
    let other = common::l1::blob_hash(&two[0]);
    let transaction = world.sender.blobs(&two, Vec::new());
    world.l1.borrow_mut().send_blobs(transaction, two);
    world.announce(slot, vec![hash, other]);
    world.announce(slot, vec![other, hash, hash]);
    let l1 = world.l1.clone();
    let mut malformed = world.event(slot, vec![hash]).to_log(common::union::UNION_INBOX);
    malformed.data.data = malformed.data.data.slice(..159);
    l1.borrow_mut().log(malformed);
    world.l1.borrow_mut().mine();
    world.assert_drops(5, &[("union_event", 5)]);
    // A blob that is no data of the blob encoding.
    let mut odd = blobs[0].clone();
    odd[1] = 9;
    world.post_blobs(slot, vec![odd]);
    world.post_slot();
    world.l1.borrow_mut().mine();
    world.assert_drops(world.posted, &[("union_event", 5), ("union_encoding", 1)]);
}

/// An owner of many slots can name the same blobs again and again.
#[test]
fn blobs_are_read_once_however_often_they_are_named() {
    let mut world = world();
    let batch = world.batch();
    let mut blobs = batch.to_blobs(Compression::Zlib { level: 6 }).unwrap();
    blobs.extend((0..3).map(|byte| encode_blob(&[byte; 40]).unwrap()));
    let hashes: Vec<_> = blobs.iter().map(|blob| common::l1::blob_hash(blob)).collect();
    let transaction = world.sender.blobs(&blobs, Vec::new());
    world.l1.borrow_mut().send_blobs(transaction, blobs);
    for round in 0..300 {
        let first = round % 4;
        world.announce(round as u64 % world.slot, hashes[first..].to_vec());
    }
    world.announce(world.slot, hashes[..1].to_vec());
    world.posted = world.head();
    world.next_slot();
    world.assert_drops(world.posted, &[("union_encoding", 300)]);
}

#[test]
fn blocks_are_span_batches_of_every_rollup() {
    for rollup in 0..2 {
        let span = |change: &dyn Fn(&mut Vec<u8>)| {
            assert_dropped("union_span", |batch| {
                let mut span = batch.rollups[rollup].span_batch.to_vec();
                change(&mut span);
                batch.rollups[rollup].span_batch = span.into();
            });
        };
        span(&Vec::clear);
        span(&|span| span.push(0));
        span(&|span| span.truncate(span.len() - 1));
        span(&|span| span.truncate(30));
        // A number in a longer form, with which everything else stays the same.
        span(&|span| {
            let end = span.iter().position(|byte| *byte < 0x80).expect("a number ends");
            span[end] |= 0x80;
            span.insert(end + 1, 0);
        });
    }
}

#[test]
fn parts_are_what_they_say() {
    for rollup in 0..2 {
        let part = |change: &dyn Fn(&mut PartEntry)| {
            assert_dropped("union_part", |batch| change(&mut batch.rollups[rollup].parts[1]));
        };
        part(&|entry| change_part(entry, |part| part.id.slot += 1));
        part(&|entry| change_part(entry, |part| part.id.slot -= 1));
        part(&|entry| entry.part = [&[0xda][..], &[0x80; 26]].concat().into());
        // A message of a kind that there is not.
        part(&|entry| {
            change_part(entry, |part| {
                part.steps.truncate(1);
                part.steps[0].message = Message::RolledBack;
            });
            let mut bytes = entry.part.to_vec();
            *bytes.last_mut().unwrap() = 5;
            entry.part = bytes.into();
        });
    }
}

#[test]
fn parts_have_a_place() {
    for rollup in 0..2 {
        let place = |change: &dyn Fn(&mut Vec<PartEntry>)| {
            assert_dropped("union_placement", |batch| change(&mut batch.rollups[rollup].parts));
        };
        // No such block, and no such transaction.
        place(&|parts| parts.last_mut().unwrap().block = 6);
        place(&|parts| parts.last_mut().unwrap().block = u32::MAX);
        place(&|parts| parts.last_mut().unwrap().position += 9);
        // At home, a transaction follows directly.
        place(&|parts| {
            let home = 901 + rollup as u64;
            let at = parts.iter().position(|entry| decode_part(entry).home == home).unwrap();
            parts.truncate(at + 1);
            parts[at].position = 2;
        });
        place(&|parts| {
            let home = 901 + rollup as u64;
            let at = parts.iter().position(|entry| decode_part(entry).home == home).unwrap();
            let again = parts[at].clone();
            parts.insert(at, again);
        });
    }
}

#[test]
fn content_belongs_into_the_slot() {
    // The batch of the first slot, which was empty, comes with content of then.
    let mut late = UnionWorld::new(2);
    late.sequence();
    late.slot += 1;
    late.sequence_empty();
    let mut batch = late.batch();
    assert!(batch.rollups[0].span_batch.len() > 200);
    // Parts would give it away: they name their slot.
    batch.rollups.iter_mut().for_each(|rollup| rollup.parts.clear());
    late.l1.borrow_mut().mine();
    late.post(&batch);
    late.l1.borrow_mut().mine();
    late.assert_drops(0, &[("union_slot_time", 1)]);
    // A block behind the slot, with content or without.
    for is_empty in [true, false] {
        let mut world = world();
        let slot = world.slot;
        world.slot += 1;
        if is_empty {
            world.sequence_empty();
        } else {
            world.sequence();
        }
        world.slot = slot;
        let parts_of_slot = |rollup: &mut RollupBatch| {
            rollup.parts.retain(|entry| decode_part(entry).id.slot == slot);
        };
        let mut batch = world.batch();
        batch.rollups.iter_mut().for_each(parts_of_slot);
        world.post(&batch);
        world.next_slot();
        world.assert_drops(world.posted, &[("union_slot_time", 1)]);
    }
    // Times that no chain has.
    assert_dropped("union_slot_time", |batch| {
        let span = &batch.rollups[1].span_batch;
        let end = span.iter().position(|byte| *byte < 0x80).expect("a number ends");
        let latest = [&[0xff; 9][..], &[1], &span[end + 1..]].concat();
        batch.rollups[1].span_batch = latest.into();
    });
}

/// A part alone, in a block that is empty and before the slot.
#[test]
fn parts_before_the_slot_are_refused() {
    let mut world = UnionWorld::new(2);
    world.sequence_empty();
    world.next_slot();
    world.sequence();
    assert_eq!(world.head(), 2 * L1_BLOCK_TIME / BLOCK_TIME - 1);
    let mut batch = world.batch();
    let peer = batch.rollups[1]
        .parts
        .iter()
        .position(|entry| decode_part(entry).home == 901)
        .expect("it is called");
    let mut early = batch.rollups[1].parts[peer].clone();
    (early.block, early.position) = (0, 0);
    batch.rollups[1].parts.insert(0, early);
    world.post(&batch);
    world.next_slot();
    world.assert_drops(0, &[("union_slot_time", 1)]);
}

#[test]
fn parts_agree_with_those_of_the_peer() {
    for rollup in 0..2 {
        let part = |change: &dyn Fn(&mut Part)| {
            assert_dropped("union_agreement", |batch| {
                change_part(&mut batch.rollups[rollup].parts[1], change);
            });
        };
        part(&|part| part.origin = Address::ZERO);
        part(&|part| part.id.index += 77);
        part(&|part| part.steps[0].message = call(Bytes::from_static(b"lie"), 1));
        part(&|part| part.steps[1].message = back(Bytes::from_static(b"lie")));
        part(&|part| part.steps[0].index += 1);
        part(&|part| part.steps[0].is_sent ^= true);
        part(&|part| part.steps[0].peer = 903);
        part(&|part| drop(part.steps.pop()));
        part(&|part| part.steps.clear());
        // One side is missing, out of order, twice, or at another time.
        assert_dropped("union_agreement", |batch| drop(batch.rollups[rollup].parts.remove(1)));
        assert_dropped("union_agreement", |batch| {
            let parts = &mut batch.rollups[rollup].parts;
            let (first, second) = (parts[0].part.clone(), parts[2].part.clone());
            (parts[0].part, parts[2].part) = (second, first);
        });
        assert_dropped("union_agreement", |batch| {
            let parts = &mut batch.rollups[rollup].parts;
            // The last super transaction of a peer moves to the last block of the slot.
            let peer =
                parts.iter().rposition(|entry| decode_part(entry).home != 901 + rollup as u64);
            let peer = peer.expect("it is a peer in one");
            parts.truncate(peer + 1);
            let last = if parts[peer].block == 5 { 4 } else { 5 };
            (parts[peer].block, parts[peer].position) = (last, 0);
            parts.sort_by_key(|entry| (entry.block, entry.position));
        });
    }
    assert_dropped("union_agreement", |batch| batch.rollups[0].parts.clear());
    assert_dropped("union_agreement", |batch| drop(batch.rollups.remove(1)));
}

/// What only one rollup can tell is a fault of its blocks alone: its peers go on.
#[test]
fn a_rollup_falls_back_alone_where_only_it_can_tell() {
    let mut world = world();
    let mut batch = world.batch();
    let union = world.union();
    let mut span = batch.rollups[0].span(&union).unwrap();
    span.parent_check[0] ^= 1;
    let parts = batch.rollups[0].parts.clone();
    batch.rollups[0] = RollupBatch::new(901, &span, parts, &union).unwrap();
    world.post(&batch);
    world.next_slot();
    let mut followers = world.followers();
    followers.iter_mut().for_each(common::Follower::run);
    followers[0].assert_is(&world.l2s[0], world.posted);
    assert_eq!(followers[0].drops(), [("parent_hash", 1)]);
    followers[1].assert_is(&world.l2s[1], world.head());
    assert_eq!(followers[1].drops(), []);
}
