//! What an owner may post instead of an honest batch.

use crate::{
    model::{Block, Content},
    owner::Honest,
    world::{Dice, ZLIB},
};
use alloy_primitives::{Bytes, ChainId};
use lockstep_devnet::CAFE;
use lockstep_protocol::{
    Compression, MAX_UNION_BATCH_BYTES, PartEntry, RollupBatch, SpanBatch, UnionBatch, UnionConfig,
    compress_channel,
};
use lockstep_union::{Message, Part};

/// What a change has to work with.
pub(crate) struct Scene<'a> {
    pub(crate) honest: &'a Honest,
    pub(crate) union: &'a UnionConfig,
    pub(crate) dice: &'a mut Dice,
}

/// A change of an honest batch: what blobs hold afterwards.
pub(crate) type Change = fn(&mut Scene<'_>) -> Vec<u8>;

/// Whether a batch has what changes change: parts on all rollups, and blocks with several transactions.
pub(crate) fn is_full(honest: &Honest, union: &UnionConfig) -> bool {
    honest.batch.rollups.iter().all(|rollup| {
        let span = rollup.span(union).unwrap();
        rollup.parts.len() > 1 && span.blocks.iter().any(|block| block.transactions.len() > 3)
    })
}

impl Scene<'_> {
    fn data(&self) -> Vec<u8> {
        self.honest.batch.encode(ZLIB).unwrap()
    }

    /// The honest batch, changed.
    fn batch(&self, change: impl FnOnce(&mut UnionBatch)) -> Vec<u8> {
        let mut batch = self.honest.batch.clone();
        change(&mut batch);
        batch.encode(ZLIB).expect("it can be encoded")
    }

    /// The blocks of a rollup, changed.
    fn span(&self, rollup: usize, change: impl FnOnce(&mut SpanBatch)) -> Vec<u8> {
        self.batch(|batch| {
            let rollup = &mut batch.rollups[rollup];
            let mut span = rollup.span(self.union).unwrap();
            change(&mut span);
            let parts = rollup.parts.clone();
            *rollup = RollupBatch::new(rollup.chain_id, &span, parts, self.union).unwrap();
        })
    }

    /// A part of a rollup, changed.
    fn part(&self, rollup: usize, change: impl FnOnce(&mut Part)) -> Vec<u8> {
        self.batch(|batch| change_part(&mut batch.rollups[rollup].parts[0], change))
    }
}

fn decode_part(entry: &PartEntry) -> Part {
    Part::decode(&mut entry.part.as_ref(), usize::MAX).unwrap()
}

fn change_part(entry: &mut PartEntry, change: impl FnOnce(&mut Part)) {
    let mut part = decode_part(entry);
    change(&mut part);
    entry.part = alloy_rlp::encode(&part).into();
}

fn compressed(compression: Compression, list: &[u8]) -> Vec<u8> {
    [vec![0], compress_channel(compression, list)].concat()
}

/// What breaks a rule for all: the name of the change, why the batch is dropped, the change.
pub(crate) const FOR_ALL: &[(&str, &str, Change)] = &[
    ("nothing", "union_encoding", |_| Vec::new()),
    ("noise", "union_encoding", |scene| scene.dice.bytes(5_000)),
    ("truncated by a byte", "union_encoding", |scene| {
        let data = scene.data();
        data[..data.len() - 1].to_vec()
    }),
    ("truncated by half", "union_encoding", |scene| {
        let data = scene.data();
        data[..data.len() / 2].to_vec()
    }),
    ("more behind the end", "union_encoding", |scene| [scene.data(), vec![0]].concat()),
    ("an unknown version", "union_encoding", |scene| [&[1], &scene.data()[1..]].concat()),
    ("a list that is no batch", "union_encoding", |_| compressed(ZLIB, &[0xc0])),
    ("a bomb of zlib", "union_encoding", |_| {
        compressed(Compression::Zlib { level: 9 }, &vec![0; MAX_UNION_BATCH_BYTES + 1])
    }),
    ("a bomb of Brotli", "union_encoding", |_| {
        compressed(Compression::Brotli { quality: 5 }, &vec![0; MAX_UNION_BATCH_BYTES])
    }),
    ("two blobs of noise", "union_encoding", |scene| scene.dice.bytes(150_000)),
    ("the batch of another slot", "union_slot", |scene| scene.batch(|batch| batch.slot += 1)),
    ("a rollup of no union", "union_chain", |scene| {
        scene.batch(|batch| {
            let foreign = RollupBatch { chain_id: 9_999, ..batch.rollups[0].clone() };
            batch.rollups.push(foreign);
        })
    }),
    ("blocks that are none", "union_span", |scene| {
        let noise = Bytes::from(scene.dice.bytes(90));
        scene.batch(|batch| batch.rollups[1].span_batch = noise)
    }),
    ("blocks of the next slot", "union_slot_time", |scene| {
        let seconds = scene.union.slot_seconds;
        scene.span(1, |span| span.blocks.iter_mut().for_each(|it| it.timestamp += seconds))
    }),
    ("content of the slot before", "union_slot_time", |scene| {
        let seconds = scene.union.slot_seconds;
        scene.span(1, |span| span.blocks.iter_mut().for_each(|it| it.timestamp -= seconds))
    }),
    ("an origin of the future", "union_origin", |scene| {
        scene.span(1, |span| span.blocks.iter_mut().for_each(|it| it.epoch_num += 1))
    }),
    ("an origin of another L1", "union_origin", |scene| {
        scene.span(0, |span| span.l1_origin_check[7] ^= 1)
    }),
    ("a part of another slot", "union_part", |scene| scene.part(0, |part| part.id.slot += 1)),
    ("a part that is none", "union_part", |scene| {
        // A list of empty strings.
        let list = Bytes::from([&[0xda][..], &[0x80; 26]].concat());
        scene.batch(|batch| batch.rollups[1].parts[0].part = list)
    }),
    ("a part in no block", "union_placement", |scene| {
        scene.batch(|batch| batch.rollups[0].parts.last_mut().unwrap().block = 99)
    }),
    ("a caller's word that the callee has otherwise", "union_agreement", |scene| {
        scene.part(0, change_a_word)
    }),
    ("a callee's word that the caller has otherwise", "union_agreement", |scene| {
        scene.part(1, change_a_word)
    }),
    ("a script that is too short", "union_agreement", |scene| {
        scene.part(1, |part| drop(part.steps.pop()))
    }),
    ("a script in the wrong order", "union_agreement", |scene| {
        scene.part(0, |part| part.steps.reverse())
    }),
    ("parts in the wrong order", "union_agreement", |scene| {
        scene.batch(|batch| {
            let parts = &mut batch.rollups[0].parts;
            let (first, last) = (parts[0].part.clone(), parts[parts.len() - 1].part.clone());
            assert_ne!(first, last);
            change_part(&mut parts[0], |part| part.id = of(&last).id);
            let at = parts.len() - 1;
            change_part(&mut parts[at], |part| part.id = of(&first).id);
        })
    }),
    ("parts that nobody sent", "union_agreement", |scene| {
        scene.batch(|batch| batch.rollups[0].parts.clear())
    }),
    ("a rollup without its blocks", "union_agreement", |scene| {
        scene.batch(|batch| drop(batch.rollups.pop()))
    }),
];

fn of(part: &Bytes) -> Part {
    Part::decode(&mut part.as_ref(), usize::MAX).unwrap()
}

/// Other data in the first call.
fn change_a_word(part: &mut Part) {
    let step = part.steps.iter_mut().find_map(|step| match &mut step.message {
        Message::Call(call) => Some(call),
        _ => None,
    });
    step.expect("there is a call").gas ^= 1;
}

/// A change of one rollup's blocks, and what becomes of them.
pub(crate) type ChangeOfSpan = fn(&mut SpanBatch) -> Fault;

/// What only the followers of one rollup can tell: the name of the change, and the change of that rollup's blocks.
pub(crate) const FOR_ONE: &[(&str, ChangeOfSpan)] = &[
    ("another parent", |span| {
        span.parent_check[0] ^= 1;
        Fault::Dropped
    }),
    ("transactions in the wrong order", |span| {
        let at = crowded(span);
        span.blocks[at].transactions.reverse();
        Fault::Invalid(at)
    }),
    ("a transaction twice", |span| {
        let at = crowded(span);
        let again = span.blocks[at].transactions[0].clone();
        span.blocks[at].transactions.push(again);
        Fault::Invalid(at)
    }),
    ("a transaction that another signed", |span| {
        let at = crowded(span);
        let mut raw = span.blocks[at].transactions[0].to_vec();
        // The last byte of the signature.
        *raw.last_mut().unwrap() ^= 1;
        span.blocks[at].transactions[0] = raw.into();
        Fault::Invalid(at)
    }),
    ("a transaction is left out", |span| {
        let at = crowded(span);
        span.blocks[at].transactions.remove(0);
        Fault::Invalid(at)
    }),
];

/// What becomes of a rollup's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None counts.
    Dropped,
    /// From this one on none counts, and in its place there is one of deposits.
    Invalid(usize),
}

/// A block with several transactions, of which the first three follow each other.
fn crowded(span: &SpanBatch) -> usize {
    span.blocks.iter().position(|block| block.transactions.len() > 2).expect("there is one")
}

/// The batch with this change of one rollup's blocks.
pub(crate) fn for_one(
    honest: &Honest,
    union: &UnionConfig,
    rollup: usize,
    change: ChangeOfSpan,
) -> (Vec<u8>, Content) {
    let mut batch = honest.batch.clone();
    let changed = &mut batch.rollups[rollup];
    let chain: ChainId = changed.chain_id;
    let mut span = changed.span(union).unwrap();
    let fault = change(&mut span);
    *changed = RollupBatch::new(chain, &span, Vec::new(), union).unwrap();
    let mut spans = honest.spans().clone();
    match fault {
        // Its origin is still one of the batch's.
        Fault::Dropped => spans.get_mut(&chain).unwrap().blocks.clear(),
        Fault::Invalid(at) => {
            let blocks = &mut spans.get_mut(&chain).unwrap().blocks;
            blocks.truncate(at);
            blocks.push(Block::Deposits);
        }
    }
    (batch.encode(ZLIB).unwrap(), Content { spans: Some(spans) })
}

/// A batch whose first call between rollups comes from another contract than it did, by the word of both sides. No rule for
/// batches tells. What it holds, what is derived of that, and the rollup that never sent it.
pub(crate) fn forged_call(honest: &Honest) -> (Vec<u8>, Content, ChainId) {
    let mut batch = honest.batch.clone();
    let first = batch.rollups.iter().flat_map(|rollup| &rollup.parts).map(decode_part).next();
    let (id, home) = first.map(|part| (part.id, part.home)).expect("there are parts");
    let mut spans = honest.spans().clone();
    for rollup in &mut batch.rollups {
        let entries = rollup.parts.iter_mut().filter(|entry| decode_part(entry).id == id);
        for entry in entries {
            change_part(entry, |part| {
                let call = part.steps.iter_mut().find_map(|step| match &mut step.message {
                    Message::Call(call) => Some(call),
                    _ => None,
                });
                // It has a proxy by now; the app that is called does not look at who calls.
                call.expect("it is of a call").from = CAFE;
            });
            let (at, blocks) =
                (entry.block as usize, &mut spans.get_mut(&rollup.chain_id).unwrap().blocks);
            if rollup.chain_id == home {
                // Its own code sends something else.
                blocks.truncate(at);
                blocks.push(Block::Deposits);
            } else {
                blocks[at..].fill(Block::Forged);
            }
        }
    }
    (batch.encode(ZLIB).unwrap(), Content { spans: Some(spans) }, home)
}
