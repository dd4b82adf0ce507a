//! L1, rollups and a poster between them, driven by a seed.

use crate::{
    blocks::{BLOCK_TIME, CHAINS, GENESIS_TIME, L1_CHAIN_ID, SLOT_SECONDS, union},
    l1::{Accepted, Faults, SimL1},
    rng::Rng,
    rollups::{Rollups, Safe},
};
use alloy_eips::{
    BlockNumHash,
    eip4844::{Blob, Bytes48},
    eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant, CELLS_PER_EXT_BLOB},
};
use alloy_primitives::{Address, B256, ChainId, keccak256};
use alloy_signer_local::PrivateKeySigner;
use lockstep_batcher::{
    Account, BatcherError, BlobProofs, BlobProver, ErrorClass, Inclusion, L1Head, L1Submit,
    NonceAt, SendOutcome, SourceError, UnionBlock,
};
use lockstep_contracts::{BeaconHeader, ProposersProof};
use lockstep_gateway::{
    Closed, GatewayError, GatewayKey, GatewayLink, InboxState, L1Inbox, MemberStatus, Poster,
    PosterError, PosterMember, PosterParts, PosterProgress, PosterSettings, PosterTime,
    ResetReason, RollupStatus, SealSettings, SealedBatch, Sealer, SealerParts, SlotOwners,
    UnionChains,
};
use lockstep_lookahead::{Owner, Ownership};
use parking_lot::Mutex;
use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) l1: SimL1,
    pub(crate) rollups: Rollups,
    pub(crate) rng: Rng,
    /// By how many L1 blocks each rollup's node is behind.
    pub(crate) lags: [u64; 2],
    /// A rollup's node that has derived up to an L1 block and no further.
    pub(crate) stuck: Option<(usize, u64)>,
    /// A rollup's node that answers nothing.
    pub(crate) silent: Option<usize>,
    /// Batches that somebody else posts, into the next L1 block.
    pub(crate) posted_by_others: Vec<Accepted>,
    /// When it was asked last whose slots are.
    asked_at: u64,
}

/// What was sealed, in order.
#[derive(Debug, Default)]
pub(crate) struct Sealed(Mutex<Vec<Arc<SealedBatch>>>);

impl GatewayLink for Sealed {
    fn hand_over(&self, batch: &Arc<SealedBatch>) {
        self.0.lock().push(batch.clone());
    }

    fn sealed_after(&self, _: B256) -> Vec<Arc<SealedBatch>> {
        Vec::new()
    }
}

impl Sealed {
    pub(crate) fn all(&self) -> Vec<Arc<SealedBatch>> {
        self.0.lock().clone()
    }
}

impl World {
    /// What a rollup's node has derived, and up to where.
    fn safe(&mut self, rollup: usize) -> (Safe, BlockNumHash) {
        let tip = self.l1.tip().id.number;
        let at = match self.stuck {
            Some((stuck, at)) if stuck == rollup => at,
            _ => tip.saturating_sub(self.lags[rollup]),
        };
        (self.rollups.derive(&self.l1, at), self.l1.blocks[at as usize].id)
    }

    /// What is derived at the tip of L1.
    pub(crate) fn safe_at_tip(&mut self) -> Safe {
        self.rollups.derive(&self.l1, self.l1.tip().id.number)
    }

    /// What all rollups' nodes have derived.
    fn follow(&mut self) -> Safe {
        let mut safe = self.safe(0).0;
        safe.chains[1] = self.safe(1).0.chains[1].clone();
        self.rollups.follow(&safe);
        safe
    }

    fn unreachable(&mut self, operation: &'static str) -> Result<(), SourceError> {
        if self.rng.chance(self.l1.faults.unreachable) {
            return Err(SourceError::new(operation, "connection refused"));
        }
        Ok(())
    }
}

/// The world as the poster sees it.
#[derive(Clone, Debug)]
pub(crate) struct Shared(pub(crate) Arc<Mutex<World>>);

#[derive(Debug)]
struct Node {
    world: Shared,
    rollup: usize,
}

impl L1Submit for Shared {
    fn head(&mut self) -> Result<L1Head, SourceError> {
        let mut world = self.0.lock();
        world.unreachable("head")?;
        Ok(world.l1.head())
    }

    fn nonce(&mut self, account: Address, at: NonceAt) -> Result<u64, SourceError> {
        let mut world = self.0.lock();
        world.unreachable("nonce")?;
        assert_eq!(account, world.l1.payer);
        Ok(world.l1.nonce(at))
    }

    fn balance(&mut self, account: Address) -> Result<u128, SourceError> {
        assert_eq!(account, self.0.lock().l1.payer);
        Ok(1 << 70)
    }

    fn send(&mut self, raw: &[u8]) -> Result<SendOutcome, SourceError> {
        let World { l1, rng, .. } = &mut *self.0.lock();
        if rng.chance(l1.faults.unreachable) {
            return Err(SourceError::new("send", "connection refused"));
        }
        let outcome = l1.send(raw, rng);
        if rng.chance(l1.faults.lost_answer) {
            return Err(SourceError::new("send", "timed out"));
        }
        Ok(outcome)
    }

    fn inclusion(&mut self, hash: B256) -> Result<Option<Inclusion>, SourceError> {
        let mut world = self.0.lock();
        world.unreachable("inclusion")?;
        Ok(world.l1.inclusion(hash))
    }
}

impl L1Inbox for Shared {
    fn inbox(&mut self, at: B256) -> Result<Option<InboxState>, SourceError> {
        let mut world = self.0.lock();
        world.unreachable("inbox")?;
        Ok(world.l1.inbox(at))
    }
}

impl SlotOwners for Shared {
    fn ownership(&mut self, slot: u64, now_s: u64) -> Result<Ownership, PosterError> {
        let mut world = self.0.lock();
        // Who is told whose slots are asks nodes once for all of them.
        if std::mem::replace(&mut world.asked_at, now_s) != now_s {
            world.unreachable("ownership").map_err(PosterError::L1)?;
        }
        assert!(now_s >= GENESIS_TIME);
        Ok(if world.l1.shows(slot) { world.l1.ownership(slot) } else { Ownership::Unknown })
    }

    fn secure(
        &mut self,
        slots: &BTreeSet<u64>,
        _: u64,
        _: u64,
    ) -> Result<Option<u64>, PosterError> {
        let mut world = self.0.lock();
        world.unreachable("secure").map_err(PosterError::L1)?;
        Ok(slots.iter().copied().find(|slot| !world.l1.secure(*slot)))
    }

    fn prove(&mut self, slot: u64, owner: Owner) -> Result<Option<ProposersProof>, PosterError> {
        let World { l1, rng, .. } = &mut *self.0.lock();
        assert_eq!(l1.ownership(slot), Ownership::Owned(owner));
        if !l1.shows(slot) || rng.chance(l1.faults.no_proof) {
            return Ok(None);
        }
        let anchor = &l1.blocks[l1.blocks.len().saturating_sub(1 + rng.below(3) as usize)];
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

impl RollupStatus for Node {
    fn status(&mut self) -> Result<MemberStatus, SourceError> {
        let mut world = self.world.0.lock();
        if world.silent == Some(self.rollup) {
            return Err(SourceError::new("status", "timed out"));
        }
        world.unreachable("status")?;
        let (safe, derived_up_to) = world.safe(self.rollup);
        world.follow();
        Ok(MemberStatus {
            safe_head: safe.chains[self.rollup].last().unwrap().block.id(),
            derived_up_to: Some(derived_up_to),
        })
    }
}

fn rollup(chain: ChainId) -> usize {
    CHAINS.iter().position(|it| *it == chain).unwrap()
}

/// The rollups as the gateway sees them: its own engines, which always answer.
impl UnionChains for Shared {
    fn head(&self, chain: ChainId) -> Result<BlockNumHash, GatewayError> {
        Ok(self.0.lock().rollups.unsafe_head(rollup(chain)))
    }

    fn safe(&self, chain: ChainId) -> Result<u64, GatewayError> {
        let rollup = rollup(chain);
        let (safe, _) = self.0.lock().safe(rollup);
        Ok(safe.chains[rollup].last().unwrap().block.number)
    }

    fn hash(&self, chain: ChainId, number: u64) -> Result<Option<B256>, GatewayError> {
        let block = self.0.lock().rollups.block(rollup(chain), number);
        Ok(block.map(|block| block.block.hash))
    }

    fn block(&self, chain: ChainId, number: u64) -> Result<Option<UnionBlock>, GatewayError> {
        Ok(self.0.lock().rollups.block(rollup(chain), number))
    }

    fn rewind(
        &mut self,
        chain: ChainId,
        head: BlockNumHash,
        to: BlockNumHash,
    ) -> Result<(), GatewayError> {
        assert_eq!(UnionChains::head(self, chain)?, head);
        self.0.lock().rollups.rewind(rollup(chain), to);
        Ok(())
    }
}

/// Makes commitments that are none, but as unique: KZG is too slow to simulate with.
#[derive(Debug)]
struct FakeProver;

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

/// A simulation.
pub(crate) struct Simulation {
    pub(crate) world: Shared,
    pub(crate) sealer: Sealer,
    pub(crate) poster: Poster,
    pub(crate) sealed: Arc<Sealed>,
    settings: Settings,
    /// With the file of sealed batches.
    folder: tempfile::TempDir,
    pub(crate) now: u64,
    /// So many steps later the gateway is killed.
    pub(crate) restart_after: Option<u64>,
    /// What happened.
    pub(crate) resets: Vec<ResetReason>,
    pub(crate) closed: Vec<Closed>,
    pub(crate) resent: usize,
    pub(crate) vanished: usize,
    pub(crate) errors: usize,
    /// What an operator was called for.
    pub(crate) criticals: Vec<String>,
}

/// How both halves of the gateway work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) seal: SealSettings,
    pub(crate) post: PosterSettings,
}

impl Simulation {
    pub(crate) fn new(seed: u64, settings: Settings, faults: Faults) -> Self {
        let [payer, gateway] = ["payer", "gateway"].map(|name| key(name).address());
        let mut l1 = SimL1::new(payer, gateway);
        l1.others = faults.others;
        l1.faults = faults;
        let (rollups, rng) = (Rollups::new(), Rng::new(seed));
        let world = World {
            l1,
            rollups,
            rng,
            lags: [0; 2],
            stuck: None,
            silent: None,
            posted_by_others: Vec::new(),
            asked_at: 0,
        };
        let world = Shared(Arc::new(Mutex::new(world)));
        let (folder, sealed) = (tempfile::tempdir().unwrap(), Arc::default());
        let (sealer, poster) = start(&world, settings, folder.path(), &sealed);
        Self {
            world,
            sealer,
            poster,
            sealed,
            settings,
            folder,
            now: GENESIS_TIME,
            restart_after: None,
            resets: Vec::new(),
            closed: Vec::new(),
            resent: 0,
            vanished: 0,
            errors: 0,
            criticals: Vec::new(),
        }
    }

    /// Runs for so many slots. The gateway makes blocks if `sequences`.
    pub(crate) fn run(&mut self, slots: u64, sequences: bool) {
        for _ in 0..slots {
            self.advance_l1();
            for _ in 0..SLOT_SECONDS / BLOCK_TIME {
                self.now += BLOCK_TIME;
                self.keep_up(!sequences);
                if sequences {
                    self.sequence();
                }
                self.step();
            }
        }
    }

    /// Nothing of the gateway runs for so many slots, in which L1 goes on, or does not.
    pub(crate) fn pause(&mut self, slots: u64, has_l1: bool) {
        for _ in 0..slots {
            if has_l1 {
                self.advance_l1();
            }
            self.now += SLOT_SECONDS;
        }
        self.restart();
    }

    /// The gateway makes the blocks that are due, and seals their slots.
    fn sequence(&mut self) {
        for _ in 0..100_000 {
            let due = self.world.0.lock().rollups.due(self.now);
            let Some(timestamp) = due else { break };
            let slot = union().slot_at(timestamp).unwrap();
            let is_awaited = {
                let world = self.world.0.lock();
                let owner = world.l1.ownership(slot);
                let is_other = matches!(owner, Ownership::Owned(_)) && !world.l1.is_ours(slot);
                is_other && self.now < union().slot_start(slot + 1) + BLOCK_TIME
            };
            if is_awaited {
                break;
            }
            let is_over = slot < union().slot_at(self.now).unwrap();
            let may_fill = self.sealer.may_fill(slot);
            self.closed.extend(may_fill.err());
            {
                let World { rollups, rng, .. } = &mut *self.world.0.lock();
                let late = CHAINS.map(|chain| self.sealer.is_late(chain));
                rollups.sequence(timestamp, self.now, !is_over && may_fill.is_ok(), late, rng);
            }
            if union().slot_at(timestamp + BLOCK_TIME) != Some(slot) {
                self.keep_up(false);
            }
        }
    }

    fn keep_up(&mut self, ends: bool) {
        self.sealer.keep_up(&mut self.world, Duration::from_secs(self.now), ends).unwrap();
    }

    /// Runs without faults until everything is safe.
    pub(crate) fn finish(&mut self) {
        {
            let mut world = self.world.0.lock();
            world.l1.faults = Faults::default();
            world.lags = [0; 2];
            world.silent = None;
            world.stuck = None;
        }
        for _ in 0..200 {
            if self.is_done() {
                break;
            }
            self.run(1, false);
        }
        assert_eq!(self.criticals, Vec::<String>::new());
        let resets = &self.resets[self.resets.len().saturating_sub(9)..];
        assert!(self.is_done(), "not all is safe: {:?}, {resets:?}", self.sealer);
        let mut world = self.world.0.lock();
        let safe = world.safe_at_tip();
        for (chain, safe) in world.rollups.chains.iter().zip(&safe.chains) {
            let common = chain.len().min(safe.len());
            assert_eq!(chain[..common], safe[..common]);
        }
        // The inbox itself takes one batch for each slot at most, and in order.
        let slots: Vec<u64> = world.l1.accepted().map(|batch| batch.slot).collect();
        assert!(slots.is_sorted_by(|before, slot| before < slot), "{slots:?}");
    }

    /// What users were shown became safe, or was taken back with a word.
    pub(crate) fn assert_nothing_went_silently(&self) {
        let world = self.world.0.lock();
        assert_eq!(world.rollups.taken_away, 0, "of {}, {:?}", world.rollups.shown, self.resets);
    }

    /// Transactions that were taken back with a word, and those that were shown.
    pub(crate) fn given_up(&self) -> (usize, usize) {
        let world = self.world.0.lock();
        (world.rollups.given_up, world.rollups.shown)
    }

    fn is_done(&self) -> bool {
        let mut world = self.world.0.lock();
        let safe = world.safe_at_tip();
        world.rollups.is_safe(&safe) && self.poster.is_posting()
    }

    fn advance_l1(&mut self) {
        let now = self.now;
        let world = &mut *self.world.0.lock();
        let faults = world.l1.faults;
        let slot = (now - GENESIS_TIME) / SLOT_SECONDS;
        if slot > 0 && !world.rng.chance(faults.missed_slot) {
            let is_other = slot > 1
                && !world.l1.is_ours(slot - 1)
                && matches!(world.l1.ownership(slot - 1), Ownership::Owned(_));
            let foreign = (is_other && world.rng.chance(faults.other_posts))
                .then(|| world.rollups.other_batch(&world.l1, slot - 1));
            let others = std::mem::take(&mut world.posted_by_others);
            world.l1.mine(now, others.into_iter().chain(foreign), &mut world.rng);
        }
        if world.rng.chance(faults.reorg) {
            let depth = 1 + world.rng.below(faults.reorg_depth);
            world.l1.reorg(depth, &mut world.rng);
        }
        if world.rng.chance(faults.stolen_nonce) {
            world.l1.steal_nonce();
        }
        world.lags = [0; 2].map(|_| world.rng.below(faults.lag + 1));
        let safe = world.follow();
        if world.rng.chance(faults.l2_reorg) {
            world.rollups.take_back(&safe, &mut world.rng);
        }
        if world.rng.chance(faults.stall) {
            world.rollups.stall(now, &mut world.rng);
        }
    }

    pub(crate) fn step(&mut self) {
        let restarts = {
            let world = &mut *self.world.0.lock();
            world.rng.chance(world.l1.faults.restart)
        };
        let is_due = self.restart_after == Some(0);
        self.restart_after = self.restart_after.and_then(|steps| steps.checked_sub(1));
        if restarts || is_due {
            self.restart();
        }
        let now = Duration::from_secs(self.now);
        match self.poster.step(PosterTime { unix: now, elapsed: now }) {
            Ok(progress) => self.note(&progress),
            Err(error) if error.class() == ErrorClass::Critical => {
                self.criticals.push(error.to_string());
            }
            Err(_) => self.errors += 1,
        }
    }

    fn note(&mut self, progress: &PosterProgress) {
        self.resets.extend(progress.reset);
        self.resent += progress.resent;
        self.vanished += progress.vanished;
    }

    /// Kills the gateway and starts another one.
    pub(crate) fn restart(&mut self) {
        let folder = self.folder.path();
        (self.sealer, self.poster) = start(&self.world, self.settings, folder, &self.sealed);
    }

    /// The slots of our batches that the inbox took, in order.
    pub(crate) fn posted(&self) -> Vec<u64> {
        let world = self.world.0.lock();
        world.l1.accepted().filter(|batch| batch.is_ours).map(|batch| batch.slot).collect()
    }
}

fn key(name: &str) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&keccak256(name)).unwrap()
}

fn start(
    world: &Shared,
    settings: Settings,
    folder: &Path,
    sealed: &Arc<Sealed>,
) -> (Sealer, Poster) {
    let (payer, gateway) = (key("payer"), key("gateway"));
    let config = |rollup| world.0.lock().rollups.config(rollup);
    let parts = SealerParts {
        rollups: (0..CHAINS.len()).map(config).collect(),
        key: GatewayKey { address: gateway.address(), signer: Box::new(gateway) },
        prover: Box::new(FakeProver),
    };
    let sealer = Sealer::new(settings.seal, parts, Some(&folder.join("sealed"))).unwrap();
    let sealer = sealer.with_link(sealed.clone());
    let members = (0..CHAINS.len()).map(|rollup| PosterMember {
        config: config(rollup),
        node: Box::new(Node { world: world.clone(), rollup }),
    });
    let parts = PosterParts {
        l1: Box::new(world.clone()),
        owners: Box::new(world.clone()),
        members: members.collect(),
        ledger: sealer.ledger(),
        payer: Account { address: payer.address(), signer: Box::new(payer), chain_id: L1_CHAIN_ID },
        prover: Box::new(FakeProver),
    };
    let poster = Poster::new(settings.post, parts).unwrap();
    (sealer, poster)
}
