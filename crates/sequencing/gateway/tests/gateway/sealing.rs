//! A gateway over real engines, its poster, an inbox, and what is derived from it, by one clock.

mod audits;
mod files;

use crate::{
    blocks::{GENESIS_TIME, L1_CHAIN_ID, SLOT_SECONDS},
    inbox_l1::SimL1,
    rng::Rng,
    union::{APP, Wish, chain},
    world::{Random, Running, Shown, World, now_shown},
};
use alloy_eips::{
    BlockNumHash,
    eip4844::{Blob, Bytes48},
    eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant, CELLS_PER_EXT_BLOB},
};
use alloy_primitives::{Address, B256, ChainId, keccak256};
use alloy_signer_local::PrivateKeySigner;
use lockstep_batcher::{
    Account, BatcherError, BlobProofs, BlobProver, Inclusion, L1Head, L1Submit, NonceAt,
    SendOutcome, SourceError, UnionBlock,
};
use lockstep_chain::Rollup;
use lockstep_contracts::{BeaconHeader, ProposersProof};
use lockstep_derive::open_union_batch;
use lockstep_engine::Engine;
use lockstep_gateway::{
    GatewayKey, GatewayLink, InboxState, L1Inbox, Ledger, MemberStatus, Poster, PosterError,
    PosterMember, PosterParts, PosterSettings, PosterTime, RollupStatus, SealSettings, SealedBatch,
    Sealer, SealerParts, SlotOwners,
};
use lockstep_lookahead::{Owner, Ownership};
use lockstep_protocol::{Compression, RollupConfig};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

/// L1 with the inbox, and how far it was derived.
struct Inbox {
    l1: SimL1,
    rng: Rng,
    derived: usize,
    sealed: Arc<Sealed>,
}

/// What was sealed, in order.
#[derive(Debug, Default)]
struct Sealed(Mutex<Vec<Arc<SealedBatch>>>);

impl GatewayLink for Sealed {
    fn hand_over(&self, batch: &Arc<SealedBatch>) {
        self.0.lock().push(batch.clone());
    }

    fn sealed_after(&self, _: B256) -> Vec<Arc<SealedBatch>> {
        Vec::new()
    }
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Inbox>>);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl L1Submit for Shared {
    fn head(&mut self) -> Result<L1Head, SourceError> {
        Ok(self.0.lock().l1.head())
    }

    fn nonce(&mut self, _: Address, at: NonceAt) -> Result<u64, SourceError> {
        Ok(self.0.lock().l1.nonce(at))
    }

    fn balance(&mut self, _: Address) -> Result<u128, SourceError> {
        Ok(1 << 70)
    }

    fn send(&mut self, raw: &[u8]) -> Result<SendOutcome, SourceError> {
        let Inbox { l1, rng, .. } = &mut *self.0.lock();
        Ok(l1.send(raw, rng))
    }

    fn inclusion(&mut self, hash: B256) -> Result<Option<Inclusion>, SourceError> {
        Ok(self.0.lock().l1.inclusion(hash))
    }
}

impl L1Inbox for Shared {
    fn inbox(&mut self, at: B256) -> Result<Option<InboxState>, SourceError> {
        Ok(self.0.lock().l1.inbox(at))
    }
}

impl SlotOwners for Shared {
    fn ownership(&mut self, slot: u64, _: u64) -> Result<Ownership, PosterError> {
        Ok(self.0.lock().l1.ownership(slot))
    }

    fn secure(&mut self, _: &BTreeSet<u64>, _: u64, _: u64) -> Result<Option<u64>, PosterError> {
        Ok(None)
    }

    fn prove(&mut self, slot: u64, _: Owner) -> Result<Option<ProposersProof>, PosterError> {
        let inbox = self.0.lock();
        let anchor = inbox.l1.tip();
        let header = BeaconHeader {
            slot,
            proposerIndex: 0,
            parentRoot: anchor.id.hash,
            stateRoot: B256::ZERO,
            bodyRoot: B256::ZERO,
        };
        Ok(Some(ProposersProof {
            timestamp: anchor.timestamp,
            header,
            lookahead: Vec::new(),
            lookaheadBranch: Vec::new(),
            keys: vec![B256::ZERO],
            keyBranches: Vec::new(),
        }))
    }
}

/// A rollup's node, which has derived all that L1 has.
#[derive(Debug)]
struct Node {
    engine: Engine<Rollup>,
    config: Arc<RollupConfig>,
    inbox: Shared,
}

impl RollupStatus for Node {
    fn status(&mut self) -> Result<MemberStatus, SourceError> {
        let safe_head = self.engine.view().snapshot().safe().unwrap_or(self.config.genesis.l2);
        let derived_up_to = Some(self.inbox.0.lock().l1.tip().id);
        Ok(MemberStatus { safe_head, derived_up_to })
    }
}

/// Makes commitments that are none, but as unique.
#[derive(Debug)]
pub(crate) struct FakeProver;

impl BlobProver for FakeProver {
    fn sidecar(
        &self,
        blobs: Vec<Blob>,
        _: BlobProofs,
    ) -> Result<BlobTransactionSidecarVariant, BatcherError> {
        let commitments: Vec<Bytes48> =
            blobs.iter().map(|blob| Bytes48::left_padding_from(&keccak256(blob)[..])).collect();
        let cell_proofs = vec![Bytes48::ZERO; CELLS_PER_EXT_BLOB * blobs.len()];
        Ok(BlobTransactionSidecarEip7594 { blobs, commitments, cell_proofs }.into())
    }
}

pub(crate) fn key(name: &str) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&keccak256(name)).unwrap()
}

/// A gateway that runs, and its poster.
struct Union {
    running: Running,
    poster: Poster,
    ledger: Arc<Ledger>,
}

impl Shared {
    fn new(seed: u64) -> Self {
        let l1 = SimL1::new(key("payer").address(), key("gateway").address());
        let (rng, sealed) = (Rng::new(seed), Arc::default());
        Self(Arc::new(Mutex::new(Inbox { l1, rng, derived: 1, sealed })))
    }

    fn start(&self, world: &World) -> Union {
        self.start_with(world, SealSettings::default())
    }

    fn start_with(&self, world: &World, settings: SealSettings) -> Union {
        let configs: Vec<_> = world.plans.iter().map(|plan| plan.config.clone()).collect();
        let gateway = key("gateway");
        let parts = SealerParts {
            rollups: configs.clone(),
            key: GatewayKey { address: gateway.address(), signer: Box::new(gateway) },
            prover: Box::new(FakeProver),
        };
        let compression = Compression::Brotli { quality: 1 };
        let settings = SealSettings { compression, ..settings };
        let sealer = Sealer::new(settings, parts, Some(&world.sealed())).unwrap();
        let ledger = sealer.ledger();
        let running = world.start_sealed(sealer.with_link(self.0.lock().sealed.clone()));
        let node = |config: Arc<RollupConfig>| {
            let engine = running.engines[&config.l2_chain_id].clone();
            let node = Node { engine, config: config.clone(), inbox: self.clone() };
            PosterMember { config, node: Box::new(node) }
        };
        let payer = key("payer");
        let parts = PosterParts {
            l1: Box::new(self.clone()),
            owners: Box::new(self.clone()),
            members: configs.into_iter().map(node).collect(),
            ledger: ledger.clone(),
            payer: Account {
                address: payer.address(),
                signer: Box::new(payer),
                chain_id: L1_CHAIN_ID,
            },
            prover: Box::new(FakeProver),
        };
        let mut settings = PosterSettings::default();
        settings.outbox.l1_block_time = SLOT_SECONDS;
        settings.outbox.submission.resubmit_after = Duration::from_secs(16);
        settings.outbox.submission.patience = Duration::from_secs(16);
        let poster = Poster::new(settings, parts).unwrap();
        Union { running, poster, ledger }
    }

    /// Makes the L1 blocks that are due, and derives them.
    fn advance(&self, world: &World, running: &Running) {
        let now = world.clock.seconds();
        loop {
            let Inbox { l1, rng, .. } = &mut *self.0.lock();
            let next = l1.tip().timestamp + SLOT_SECONDS;
            if next > now {
                break;
            }
            l1.mine(next, None, rng);
        }
        let Inbox { l1, derived, .. } = &mut *self.0.lock();
        let first = std::mem::replace(derived, l1.blocks.len());
        for accepted in l1.blocks[first..].iter().flat_map(|block| &block.accepted) {
            for plan in &world.plans {
                let (config, union) = (&plan.config, plan.config.union.as_ref().unwrap());
                let opened = open_union_batch(&accepted.data, accepted.slot, config, union);
                let Some(span) = opened.unwrap() else { continue };
                let snapshot = running.snapshot(config.l2_chain_id);
                let mut last = BlockNumHash::default();
                for block in &span.blocks {
                    // One block each second.
                    let number = block.timestamp - config.genesis.l2_time;
                    let made = snapshot.block(number).unwrap().unwrap();
                    let made_of = UnionBlock::from_block(made.block.inner(), &config.genesis);
                    let made_of = made_of.unwrap();
                    let count = made_of.block.transactions.len() + made_of.parts.len();
                    assert_eq!(block.transactions.len(), count, "block {number}");
                    last = BlockNumHash::new(number, made.block.hash());
                }
                let engine = &running.engines[&config.l2_chain_id];
                engine.set_checkpoints(last.hash, B256::ZERO).unwrap();
            }
        }
    }

    /// A round, and what L1 and the poster do meanwhile.
    fn round(&self, world: &World, union: &mut Union) {
        self.advance(world, &union.running);
        let unix = world.clock.now();
        union.poster.step(PosterTime { unix, elapsed: unix }).unwrap();
        world.round(&mut union.running).unwrap();
    }
}

/// Runs rounds until the clock was asked `kill_at` times.
fn run(
    inbox: &Shared,
    world: &mut World,
    union: &mut Union,
    random: &mut Random,
    kill_at: u64,
) -> Vec<Shown> {
    let seen: Arc<Mutex<(u64, Vec<Shown>)>> = Arc::default();
    while seen.lock().0 < kill_at {
        let mut later = Vec::new();
        for _ in 0..random.below(6) {
            let (user, wish) = world.wish(random);
            later.push(world.sign(user, &wish));
        }
        let (kept, shown) = (seen.clone(), union.running.shown.clone());
        let (pools, bell) = (union.running.pools.clone(), union.running.bell.clone());
        world.clock.set(move || {
            let mut kept = kept.lock();
            kept.0 += 1;
            if kept.0 >= kill_at {
                bell.stop();
                return;
            }
            kept.1.extend(now_shown(&shown));
            if let Some((home, raw)) = later.pop() {
                let _ = pools[&home].add_raw(&raw, lockstep_pool::Origin::User);
            }
        });
        inbox.round(world, union);
        world.send_again(&union.running.pools);
    }
    world.clock.set(|| {});
    std::mem::take(&mut seen.lock().1)
}

/// Rounds until L1 has all that was shown.
fn settle(inbox: &Shared, world: &World, union: &mut Union) {
    for _ in 0..120 {
        inbox.round(world, union);
        if union.running.gateway.finish(&*world.clock).unwrap() == 0 {
            let safe = |id: &u64| union.running.snapshot(*id).safe().map_or(0, |safe| safe.number);
            let filled = |id: &u64| {
                let snapshot = union.running.snapshot(*id);
                (safe(id) + 1..=snapshot.head().number)
                    .any(|it| snapshot.block(it).unwrap().unwrap().transactions().len() > 1)
            };
            if !union.running.engines.keys().any(filled) {
                return;
            }
        }
    }
    panic!("it never comes into L1: {:?}", union.ledger);
}

/// Killed anywhere, and started again at once, after 15 s, and after 150 s: what was shown is in safe blocks in the end.
#[test]
fn what_was_shown_becomes_safe_whenever_the_gateway_is_killed_and_started() {
    let mut seen = 0;
    for seed in 0..6 {
        for pause in [0, 15, 150] {
            let mut world = World::new(2, 4);
            let (inbox, mut random) = (Shared::new(seed), Random(seed + pause));
            let mut shown = Vec::new();
            for _ in 0..3 {
                let mut union = inbox.start(&world);
                let kill_at = 60 + random.below(200);
                shown.extend(run(&inbox, &mut world, &mut union, &mut random, kill_at));
                world.clock.pass(Duration::from_secs(pause));
            }
            let mut union = inbox.start(&world);
            settle(&inbox, &world, &mut union);
            union.running.assert_kept(&shown);
            union.running.assert_transcripts();
            seen += shown.iter().filter(|shown| shown.transactions().len() > 1).count();
            assert_eq!(inbox.0.lock().l1.reverted, 0);
        }
    }
    assert!(seen > 500, "{seen}");
}

/// The engines' logs are not synced, what was signed is: its blocks are made again, before L1 has them.
#[test]
fn what_was_signed_is_there_again_after_a_power_failure() {
    for seed in 0..6 {
        let mut world = World::new(2, 4);
        let (inbox, mut random) = (Shared::new(seed), Random(seed));
        let mut union = inbox.start(&world);
        let mut shown = run(&inbox, &mut world, &mut union, &mut random, 100);
        inbox.0.lock().l1.faults.empty_block = 1_000;
        shown.extend(run(&inbox, &mut world, &mut union, &mut random, 500));
        let sealed = inbox.0.lock().sealed.0.lock().clone();
        let newest = sealed.iter().rfind(|batch| batch.spans.len() == 2).unwrap();
        let head = union.running.snapshot(chain(0)).head().number;
        drop(union);
        for (rollup, storage) in world.storages.iter().enumerate() {
            storage.lose((head - newest.spans[&chain(rollup)].last.number) + 1 + random.below(20));
        }
        let mut union = inbox.start(&world);
        let is_there = |union: &Union, chain: ChainId| {
            let last = newest.spans[&chain].last;
            union.running.snapshot(chain).hash(last.number).unwrap() == Some(last.hash)
        };
        assert!([0, 1].iter().any(|rollup| !is_there(&union, chain(*rollup))), "nothing was lost");
        inbox.round(&world, &mut union);
        for rollup in [0, 1] {
            assert!(is_there(&union, chain(rollup)), "{seed}: rollup {rollup}");
        }
        inbox.0.lock().l1.faults.empty_block = 0;
        settle(&inbox, &world, &mut union);
        // What was complete and in no batch yet is lost with the power.
        shown.retain(|shown| shown.number() <= newest.spans[&shown.chain].last.number);
        union.running.assert_kept(&shown);
        union.running.assert_transcripts();
        assert!(shown.iter().any(|shown| shown.transactions().len() > 1));
    }
}

/// L1 is reorganised below what was signed: nothing brings it back, and the union goes on without.
#[test]
fn what_l1_was_reorganised_below_is_not_made_again() {
    let mut world = World::new(2, 4);
    let (inbox, mut random) = (Shared::new(5), Random(5));
    let mut union = inbox.start(&world);
    run(&inbox, &mut world, &mut union, &mut random, 100);
    inbox.0.lock().l1.faults.empty_block = 1_000;
    run(&inbox, &mut world, &mut union, &mut random, 400);
    let newest = world.l1[0].blocks.lock().len() as u64 - 1;
    world.l1[0].grow(newest - 6, newest, 1);
    for _ in 0..4 {
        inbox.round(&world, &mut union);
    }
    let sealed = inbox.0.lock().sealed.0.lock().len();
    inbox.0.lock().l1.faults.empty_block = 0;
    for _ in 0..20 * SLOT_SECONDS {
        inbox.round(&world, &mut union);
    }
    settle(&inbox, &world, &mut union);
    union.running.assert_transcripts();
    assert!(inbox.0.lock().sealed.0.lock().len() > sealed + 2, "it goes on");
}

/// A gateway that ends seals what it has, and L1 takes it.
#[test]
fn a_gateway_that_ends_leaves_nothing_unposted() {
    let mut world = World::new(2, 4);
    let (inbox, mut random) = (Shared::new(1), Random(1));
    let mut union = inbox.start(&world);
    let shown = run(&inbox, &mut world, &mut union, &mut random, 150);
    let mut turns = 0;
    while union.running.gateway.finish(&*world.clock).unwrap() > 0 {
        world.clock.pass(Duration::from_secs(1));
        inbox.advance(&world, &union.running);
        let unix = world.clock.now();
        union.poster.step(PosterTime { unix, elapsed: unix }).unwrap();
        turns += 1;
        assert!(turns < 60, "{:?}", union.ledger);
    }
    inbox.advance(&world, &union.running);
    union.running.assert_kept(&shown);
    for id in union.running.engines.keys() {
        let snapshot = union.running.snapshot(*id);
        let safe = snapshot.safe().unwrap().number;
        assert!(
            (safe + 1..=snapshot.head().number).all(|it| snapshot
                .block(it)
                .unwrap()
                .unwrap()
                .transactions()
                .len()
                == 1)
        );
    }
}

/// L1 takes nothing for longer than the inbox would: what can be posted no more goes back to the pools, and then into other
/// blocks.
#[test]
fn what_l1_did_not_take_in_time_is_taken_back_and_included_again() {
    let mut world = World::new(2, 2);
    let inbox = Shared::new(3);
    let mut union = inbox.start(&world);
    for _ in 0..3 * SLOT_SECONDS {
        inbox.round(&world, &mut union);
    }
    inbox.0.lock().l1.faults.empty_block = 1_000;
    let hash = world.send(&union.running.pools, 0, &Wish::new(chain(0), APP));
    for _ in 0..2 {
        inbox.round(&world, &mut union);
    }
    let (number, _) = union.running.find(chain(0), &hash).unwrap();
    world.clock.pass(Duration::from_secs(SLOT_SECONDS * 41));
    // More blocks than the clock brings meanwhile.
    for _ in 0..400 {
        inbox.round(&world, &mut union);
    }
    inbox.0.lock().l1.faults.empty_block = 0;
    for _ in 0..100 {
        inbox.round(&world, &mut union);
        world.send_again(&union.running.pools);
    }
    settle(&inbox, &world, &mut union);
    let (again, _) = union.running.find(chain(0), &hash).unwrap();
    assert!(again > number);
    union.running.assert_agreement();
}

/// Slots of others get no users' transactions, and their blocks are awaited.
#[test]
fn slots_of_another_gateway_are_not_filled() {
    let mut world = World::new(2, 2);
    // So often it looks for the other's blocks, by a clock that no test moves.
    world.settings.update_interval = Duration::from_millis(10);
    let inbox = Shared::new(5);
    inbox.0.lock().l1.others = 8;
    let settings = SealSettings { handover_slots: 1, ..SealSettings::default() };
    let mut union = inbox.start_with(&world, settings);
    let mut filled = BTreeMap::<u64, usize>::new();
    for turn in 0..100 * SLOT_SECONDS {
        if turn % 3 == 0 {
            world.send(&union.running.pools, 0, &Wish::new(chain(0), APP));
        }
        inbox.round(&world, &mut union);
    }
    let snapshot = union.running.snapshot(chain(0));
    for number in 1..=snapshot.head().number {
        let block = snapshot.block(number).unwrap().unwrap();
        let slot = (block.block.header.timestamp - GENESIS_TIME) / SLOT_SECONDS;
        *filled.entry(slot).or_default() += block.transactions().len() - 1;
    }
    let inbox = inbox.0.lock();
    assert!(filled.iter().all(|(slot, count)| inbox.l1.is_ours(*slot) || *count == 0));
    // Until L1 has an empty batch after the other's slot, its own may come.
    assert!(filled.range(16..).map(|(_, count)| count).sum::<usize>() > 10, "{filled:?}");
}
