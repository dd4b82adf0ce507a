//! Two gateways that own slots in turn: their engines, pools, posters and files are their own, the clock, L1 and the way
//! between them are common.

use crate::{
    blocks::{self, GENESIS_TIME, L1_CHAIN_ID, SLOT_SECONDS},
    handover_l1::{L1, L1Node},
    sealing::{FakeProver, key},
    union::{APP, Wish, chain},
    world::{Random, Running, Shown, TICK, World, now_shown},
};
use alloy_primitives::{B256, Bytes, ChainId, Sealed, Signature, U256, uint};
use alloy_signer::SignerSync;
use lockstep_batcher::{Account, BlobProver, SourceError};
use lockstep_chain::{Block, Rollup};
use lockstep_contracts::{Inbox, union_batch_hash};
use lockstep_engine::{Engine, pool_head};
use lockstep_gateway::{
    Board, GatewayError, GatewayKey, GatewayLink, MemberStatus, Poster, PosterMember, PosterParts,
    PosterSettings, PosterTime, Preconfirmed, RollupStatus, SealSettings, SealedBatch, Sealer,
    SealerParts,
};
use lockstep_pool::Origin;
use lockstep_protocol::{Compression, RollupConfig, encode_blob};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const NAMES: [&str; 2] = ["one", "two"];

/// The way between the gateways, on which batches may be lost.
#[derive(Debug)]
struct Way {
    board: Board,
    sealed: Mutex<Vec<Arc<SealedBatch>>>,
    random: Mutex<Random>,
    /// How many of a thousand batches are lost.
    lost: u64,
}

impl GatewayLink for Way {
    fn hand_over(&self, batch: &Arc<SealedBatch>) {
        self.sealed.lock().push(batch.clone());
        if self.random.lock().below(1_000) >= self.lost {
            self.board.hand_over(batch);
        }
    }

    fn sealed_after(&self, parent: B256) -> Vec<Arc<SealedBatch>> {
        self.board.sealed_after(parent)
    }
}

/// A rollup's node, which has derived all that L1 has.
#[derive(Debug)]
struct Node {
    engine: Engine<Rollup>,
    config: Arc<RollupConfig>,
    l1: L1Node,
}

impl RollupStatus for Node {
    fn status(&mut self) -> Result<MemberStatus, SourceError> {
        let safe_head = self.engine.view().snapshot().safe().unwrap_or(self.config.genesis.l2);
        Ok(MemberStatus { safe_head, derived_up_to: Some(self.l1.0.lock().tip().id) })
    }
}

/// A gateway, and what outlives it.
struct Side {
    world: World,
    running: Running,
    poster: Poster,
    /// Batches that were derived from L1.
    derived: usize,
}

/// The blocks of a batch, by chain, as its owner made them.
type Made = BTreeMap<ChainId, Vec<Sealed<Block<Rollup>>>>;

/// What users see of each gateway.
type Views = Arc<Mutex<[BTreeMap<ChainId, Arc<Preconfirmed>>; 2]>>;

/// The most that users were shown of each block that had any of their transactions.
type Seen = Arc<Mutex<BTreeMap<(usize, ChainId, u64), Shown>>>;

struct Net {
    l1: L1Node,
    way: Arc<Way>,
    sides: Vec<Side>,
    made: BTreeMap<B256, Made>,
    collected: usize,
    views: Views,
    seen: Seen,
    checked: usize,
    /// Heads that were replaced by what was derived.
    replaced: usize,
    handover_slots: u64,
    /// A gateway that does nothing any more.
    gone: Option<usize>,
}

fn start(
    l1: &L1Node,
    way: &Arc<Way>,
    world: &World,
    number: usize,
    handover_slots: u64,
) -> (Running, Poster) {
    let configs: Vec<_> = world.plans.iter().map(|plan| plan.config.clone()).collect();
    let gateway = key(NAMES[number]);
    let parts = SealerParts {
        rollups: configs.clone(),
        key: GatewayKey { address: gateway.address(), signer: Box::new(gateway) },
        prover: Box::new(FakeProver),
    };
    let compression = Compression::Brotli { quality: 1 };
    let settings = SealSettings { compression, handover_slots, ..SealSettings::default() };
    let sealer = Sealer::new(settings, parts, Some(&world.sealed())).unwrap();
    let ledger = sealer.ledger();
    let running = world.start_sealed(sealer.with_link(way.clone()));
    way.board.join(running.bell.clone());
    let member = |config: Arc<RollupConfig>| {
        let engine = running.engines[&config.l2_chain_id].clone();
        let node = Node { engine, config: config.clone(), l1: l1.clone() };
        PosterMember { config, node: Box::new(node) }
    };
    let payer = key(["payer one", "payer two"][number]);
    let parts = PosterParts {
        l1: Box::new(l1.clone()),
        owners: Box::new(l1.clone()),
        members: configs.into_iter().map(member).collect(),
        ledger,
        payer: Account { address: payer.address(), signer: Box::new(payer), chain_id: L1_CHAIN_ID },
        prover: Box::new(FakeProver),
    };
    let mut settings = PosterSettings::default();
    settings.outbox.l1_block_time = SLOT_SECONDS;
    settings.outbox.submission.resubmit_after = Duration::from_secs(16);
    settings.outbox.submission.patience = Duration::from_secs(16);
    (running, Poster::new(settings, parts).unwrap())
}

impl Net {
    /// `lost` of a thousand batches are not handed over; then the clock moves less, since both gateways catch up by it.
    fn new(lost: u64, handover_slots: u64) -> Self {
        let tick = if lost == 0 { TICK } else { Duration::from_millis(20) };
        let l1 = L1Node(Arc::new(Mutex::new(L1::new(NAMES.map(|name| key(name).address())))));
        let random = Mutex::new(Random(lost));
        let (board, sealed) = Default::default();
        let way = Arc::new(Way { board, sealed, random, lost });
        let mut first = World::new(2, 4);
        first.clock.set_tick(tick);
        first.settings.update_interval = tick;
        let mut second = World::new(2, 4);
        second.clock = first.clock.clone();
        second.settings = first.settings;
        second.l1 = first.l1.iter().map(|l1| l1.another()).collect();
        let side = |(number, world): (usize, World)| {
            let (running, poster) = start(&l1, &way, &world, number, handover_slots);
            Side { world, running, poster, derived: 0 }
        };
        let sides: Vec<_> = [first, second].into_iter().enumerate().map(side).collect();
        let views = Arc::new(Mutex::new([0, 1].map(|side| sides[side].running.shown.clone())));
        Self {
            l1: l1.clone(),
            way: way.clone(),
            sides,
            made: BTreeMap::new(),
            collected: 0,
            views,
            seen: Seen::default(),
            checked: 0,
            replaced: 0,
            handover_slots,
            gone: None,
        }
    }

    fn slot(&self) -> u64 {
        (self.sides[0].world.clock.seconds() - GENESIS_TIME) / SLOT_SECONDS
    }

    /// Kills a gateway, and starts it again.
    fn restart(&mut self, number: usize) {
        self.sides[0].world.clock.set(|| {});
        let Side { world, running, poster, derived, .. } = self.sides.remove(number);
        // No thread of its engines may still write: a process that is killed has none.
        running.engines.values().for_each(|engine| engine.shutdown().unwrap());
        drop((running, poster));
        let (running, poster) = start(&self.l1, &self.way, &world, number, self.handover_slots);
        self.views.lock()[number] = running.shown.clone();
        self.sides.insert(number, Side { world, running, poster, derived });
        self.sides[0].world.send_again(&self.sides[number].running.pools);
    }

    /// Remembers the blocks of the batches that were sealed meanwhile.
    fn collect(&mut self) {
        let sealed = self.way.sealed.lock()[self.collected..].to_vec();
        self.collected += sealed.len();
        for batch in sealed {
            let owner = self.l1.0.lock().owner(batch.slot);
            let running = &self.sides[owner].running;
            let blocks = batch.spans.iter().map(|(chain, span)| {
                let snapshot = running.snapshot(*chain);
                let block = |number| snapshot.block(number).unwrap().unwrap().block.clone();
                let made: Vec<_> = (span.parent.number + 1..=span.last.number).map(block).collect();
                (*chain, made)
            });
            self.made.insert(batch.hash, blocks.collect());
        }
    }

    /// Each gateway's nodes derive what L1 has.
    fn derive(&mut self) {
        let accepted = self.l1.0.lock().accepted.clone();
        for side in &mut self.sides {
            for (_, hash) in &accepted[side.derived..] {
                for (chain, blocks) in &self.made[hash] {
                    let engine = &side.running.engines[chain];
                    let (first, last) = (blocks.first().unwrap(), blocks.last().unwrap());
                    let found = engine.view().snapshot().hash(last.header.number).unwrap();
                    if found != Some(last.seal()) {
                        self.replaced += 1;
                        for block in blocks {
                            assert!(engine.insert(block.clone()).unwrap().is_valid());
                        }
                        let parent = first.header.parent_hash;
                        while engine.rewind_towards(parent).unwrap().hash != parent {}
                        engine.extend(parent, last.seal()).unwrap();
                    }
                    engine.set_checkpoints(last.seal(), B256::ZERO).unwrap();
                }
            }
            side.derived = accepted.len();
        }
    }

    /// A user sends something to both gateways: on the first rollup what always fits, and now and then anything.
    fn send(&mut self, random: &mut Random) {
        let world = &mut self.sides[0].world;
        let user = usize::try_from(random.below(3)).unwrap();
        let mut signed = vec![world.sign(user, &Wish::new(chain(0), APP))];
        if random.below(4) == 0 {
            let (_, wish) = world.wish(random);
            signed.push(world.sign(3, &wish));
        }
        for (home, raw) in signed {
            for side in &self.sides {
                // Where another gateway's blocks are not known yet it may be too far ahead.
                let _ = side.running.pools[&home].add_raw(&raw, Origin::User);
            }
        }
    }

    /// Lets each gateway work once, the one whose turn it is until its block is complete.
    fn step(&mut self, random: &mut Random) {
        self.l1.0.lock().advance(self.sides[0].world.clock.seconds());
        self.derive();
        for number in (0..2).filter(|number| self.gone != Some(*number)).collect::<Vec<_>>() {
            self.send(random);
            let side = &mut self.sides[number];
            let unix = side.world.clock.now();
            side.poster.step(PosterTime { unix, elapsed: unix }).unwrap();
            // A clock that no test moves is not waited for.
            side.running.bell.announce_batch();
            match side.world.round(&mut side.running) {
                // It was killed before it knew that its own empty blocks were replaced.
                Ok(_) | Err(GatewayError::Replaced { .. } | GatewayError::ParentGone { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        self.collect();
        self.check();
    }

    /// Goes on until the first gateway has sealed a slot.
    fn until_first_has_sealed(&mut self, from: u64, random: &mut Random) -> Arc<SealedBatch> {
        loop {
            self.step(random);
            assert!(self.slot() < from + 40, "it seals nothing");
            let newest = self.way.sealed.lock().last().cloned();
            let is_wanted = |batch: &Arc<SealedBatch>| {
                batch.slot >= from && batch.slot.is_multiple_of(2) && batch.is_filled
            };
            if let Some(batch) = newest.filter(is_wanted) {
                return batch;
            }
        }
    }

    /// What was shown of blocks that are complete is in them.
    fn check(&mut self) {
        let mut seen = self.seen.lock();
        let sides = &self.sides;
        let is_complete = |(side, chain, number): &(usize, ChainId, u64)| {
            sides[*side].running.snapshot(*chain).head().number >= *number
        };
        let complete: Vec<_> = seen.keys().copied().filter(is_complete).collect();
        for at in complete {
            let shown = seen.remove(&at).unwrap();
            sides[at.0].running.assert_kept(std::slice::from_ref(&shown));
            self.checked += 1;
        }
    }

    /// Lets the users look after each update and the pools follow the heads, and stops `killed` when the clock was asked
    /// so often.
    fn watch(&self, mut killed: Option<(u64, usize)>) {
        let (views, seen) = (self.views.clone(), self.seen.clone());
        let bells: Vec<_> = self.sides.iter().map(|side| side.running.bell.clone()).collect();
        let of = |side: &Side| {
            let Running { engines, pools, .. } = &side.running;
            engines.values().cloned().zip(pools.values().cloned()).collect::<Vec<_>>()
        };
        let chains: Vec<_> = self.sides.iter().flat_map(of).collect();
        let mut heads = vec![B256::ZERO; chains.len()];
        self.sides[0].world.clock.set(move || {
            for ((engine, pool), known) in chains.iter().zip(&mut heads) {
                let snapshot = engine.view().snapshot();
                if snapshot.head().seal() != *known {
                    *known = snapshot.head().seal();
                    pool.advance(pool_head(&snapshot).unwrap(), &[], &[]);
                }
            }
            let mut seen = seen.lock();
            for (side, view) in views.lock().iter().enumerate() {
                for shown in now_shown(view) {
                    let count = shown.transactions().len();
                    let at = (side, shown.chain, shown.number());
                    let before = seen.get(&at).map_or(1, |shown| shown.transactions().len());
                    if count > before {
                        seen.insert(at, shown);
                    }
                }
            }
            if let Some((asks, side)) = &mut killed {
                if *asks == 0 {
                    bells[*side].stop();
                }
                *asks = asks.saturating_sub(1);
            }
        });
    }

    /// The number of users' transactions in the first block of each slot, on the first rollup.
    fn first_blocks(&self, slots: std::ops::Range<u64>) -> Vec<(u64, usize)> {
        let snapshot = self.sides[0].running.snapshot(chain(0));
        let count = |slot: u64| {
            let block = snapshot.block(slot * SLOT_SECONDS).unwrap().unwrap();
            (slot, block.transactions().len() - 1)
        };
        slots.map(count).collect()
    }

    /// Both have the same blocks, as far as both go.
    fn assert_same(&self) {
        for id in self.sides[0].running.engines.keys() {
            let [first, second] = [0, 1].map(|side| self.sides[side].running.snapshot(*id));
            let common = first.head().number.min(second.head().number);
            assert!(common + 3 * SLOT_SECONDS > first.head().number, "{id}: {common}");
            for number in 0..=common {
                assert_eq!(first.hash(number).unwrap(), second.hash(number).unwrap(), "{number}");
            }
        }
    }
}

/// Nobody waits for L1, and nothing is undone: each slot is filled from its first block on.
#[test]
fn gateways_hand_over_every_slot_without_a_gap() {
    const SLOTS: u64 = 1_000;
    let mut net = Net::new(0, 2);
    let mut random = Random(7);
    net.watch(None);
    while net.slot() < SLOTS {
        net.step(&mut random);
    }
    net.assert_same();
    let gaps: Vec<_> =
        net.first_blocks(4..SLOTS - 2).into_iter().filter(|(_, count)| *count == 0).collect();
    assert!(gaps.is_empty(), "{gaps:?}");
    let l1 = net.l1.0.lock();
    let slots: Vec<_> = l1.accepted.iter().map(|(slot, _)| *slot).collect();
    assert!(slots.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{slots:?}");
    assert!(slots.last().unwrap() + 4 >= SLOTS, "{slots:?}");
    assert_eq!((net.replaced, l1.reverted), (0, 0));
    assert!(net.checked > 1_000, "{}", net.checked);
}

/// Killed anywhere and started again, with handovers that are lost: what was shown stays, and both have the same.
#[test]
fn nothing_shown_is_undone_when_gateways_are_killed_and_handovers_lost() {
    const SLOTS: u64 = 120;
    let mut net = Net::new(250, 12);
    let mut random = Random(11);
    while net.slot() < SLOTS {
        let killed = usize::try_from(random.below(2)).unwrap();
        net.watch(Some((300 + random.below(2_000), killed)));
        while !net.sides[killed].running.bell.is_stopped() {
            net.step(&mut random);
        }
        net.restart(killed);
    }
    net.watch(None);
    while net.slot() < SLOTS + 30 {
        net.step(&mut random);
    }
    net.assert_same();
    assert!(net.replaced > 0, "nothing was lost on the way");
    let filled = net.first_blocks(4..SLOTS).iter().filter(|(_, count)| *count > 0).count();
    assert!(filled > 10, "{filled}");
    assert!(net.checked > 100, "{}", net.checked);
}

/// Batches like this one that must not be taken, though the last is signed by the owner of its slot.
fn forged(batch: &SealedBatch) -> [SealedBatch; 5] {
    const ORDER: U256 =
        uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
    let sign = |batch: SealedBatch, name: &str| {
        let SealedBatch { slot, parent, blob_hashes, .. } = batch.clone();
        let content = Inbox::Batch { slot, parent, blobHashes: blob_hashes };
        let hash = union_batch_hash(&content, L1_CHAIN_ID, blocks::union().inbox);
        let signature = key(name).sign_hash_sync(&hash).unwrap().as_bytes().into();
        SealedBatch { hash, signature, ..batch }
    };
    let mut data = batch.data.to_vec();
    *data.last_mut().unwrap() ^= 1;
    let data = Bytes::from(data);
    let other_data = SealedBatch { data: data.clone(), ..batch.clone() };
    let low = Signature::from_raw(&batch.signature).unwrap();
    let high = Signature::new(low.r(), ORDER - low.s(), !low.v());
    let high = SealedBatch { signature: high.as_bytes().into(), ..batch.clone() };
    let by_another = sign(batch.clone(), NAMES[1]);
    let of_the_future = sign(SealedBatch { slot: batch.slot + 2, ..batch.clone() }, NAMES[0]);
    let blob_hashes = FakeProver.versioned_hashes(vec![*encode_blob(&data).unwrap()]).unwrap();
    let nonsense = sign(SealedBatch { data, blob_hashes, ..batch.clone() }, NAMES[0]);
    [other_data, high, by_another, of_the_future, nonsense]
}

/// Nothing of what is handed over is believed; and what comes late takes the place of the empty blocks that were made
/// meanwhile.
#[test]
fn what_is_handed_over_is_checked() {
    let mut net = Net::new(1_000, 8);
    net.watch(None);
    let batch = net.until_first_has_sealed(8, &mut Random(3));
    let last = batch.spans[&chain(0)].last;
    let found = |net: &mut Net, given: &SealedBatch| {
        net.way.board.hand_over(&Arc::new(given.clone()));
        let side = &mut net.sides[1];
        side.running.bell.announce_batch();
        side.world.round(&mut side.running).unwrap();
        side.running.snapshot(chain(0)).hash(last.number).unwrap()
    };
    for forged in forged(&batch) {
        assert_ne!(found(&mut net, &forged), Some(last.hash));
    }
    let nothing = SealedBatch { parent: B256::repeat_byte(1), ..(*batch).clone() };
    let mut rounds = 0;
    while found(&mut net, &nothing).is_none() {
        rounds += 1;
        assert!(rounds < 400, "it makes no blocks of its own");
    }
    assert_eq!(found(&mut net, &batch), Some(last.hash));
}

/// The hash that is signed does not cover the data: who has seen a batch can hand over any number of others under its name.
#[test]
fn a_batch_is_found_among_many_others_that_have_its_signature() {
    let mut net = Net::new(1_000, 30);
    net.watch(None);
    let batch = net.until_first_has_sealed(8, &mut Random(3));
    let last = batch.spans[&chain(0)].last;
    for number in 0..80_u8 {
        let mut data = batch.data.to_vec();
        *data.last_mut().unwrap() ^= 1 + number;
        net.way.board.hand_over(&Arc::new(SealedBatch { data: data.into(), ..(*batch).clone() }));
    }
    net.way.board.hand_over(&batch);
    let side = &mut net.sides[1];
    for _ in 0..100 {
        side.running.bell.announce_batch();
        side.world.round(&mut side.running).unwrap();
        if side.running.snapshot(chain(0)).hash(last.number).unwrap() == Some(last.hash) {
            return;
        }
    }
    panic!("it is never looked at");
}

/// A gateway that seals a slot and is never seen again: its successor goes on from it, and posts it.
#[test]
fn the_successor_posts_what_was_handed_over() {
    let mut net = Net::new(0, 2);
    let mut random = Random(5);
    net.watch(None);
    let batch = net.until_first_has_sealed(8, &mut random);
    net.gone = Some(0);
    while net.slot() < batch.slot + 6 {
        net.step(&mut random);
    }
    let accepted = net.l1.0.lock().accepted.clone();
    assert!(accepted.contains(&(batch.slot, batch.hash)), "{accepted:?}");
    assert!(accepted.iter().any(|(slot, _)| *slot == batch.slot + 1), "{accepted:?}");
}
