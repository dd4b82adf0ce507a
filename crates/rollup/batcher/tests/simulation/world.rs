//! L1, L2 and a batcher between them, driven by a seed.

use crate::{
    derive::Derivation,
    l1::{Faults, SimL1},
    l2::SimL2,
    rng::Rng,
};
use alloy_eips::{
    BlockNumHash,
    eip4844::{Blob, Bytes48},
    eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant, CELLS_PER_EXT_BLOB},
};
use alloy_primitives::{Address, B256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use lockstep_batcher::{
    BatchBlock, Batcher, BatcherConfig, BatcherError, BlobProofs, BlobProver, ErrorClass,
    Inclusion, L1Head, L1Submit, L2Blocks, L2Status, NonceAt, Progress, ResetReason, SendOutcome,
    SourceError,
};
use lockstep_protocol::RollupConfig;
use std::{cell::RefCell, rc::Rc, time::Duration};

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) l1: SimL1,
    pub(crate) l2: SimL2,
    pub(crate) derivation: Derivation,
    pub(crate) rng: Rng,
    /// By how many L1 blocks the L2 node is behind.
    pub(crate) lag: u64,
    /// L1 answers nothing.
    pub(crate) is_l1_silent: bool,
}

impl World {
    /// The safe chain as the L2 node knows it, and the L1 block that it is at.
    fn safe(&mut self) -> (Vec<BatchBlock>, BlockNumHash) {
        let at = self.l1.tip().id.number.saturating_sub(self.lag);
        let safe = self.derivation.derive(&self.l1, at).to_vec();
        (safe, self.l1.block(at).unwrap().id)
    }

    fn unreachable(&mut self, operation: &'static str) -> Result<(), SourceError> {
        if self.rng.chance(self.l1.faults.unreachable) {
            return Err(SourceError::new(operation, "connection refused"));
        }
        Ok(())
    }
}

/// The world as the batcher sees it.
#[derive(Clone, Debug)]
pub(crate) struct Shared(pub(crate) Rc<RefCell<World>>);

impl L1Submit for Shared {
    fn head(&mut self) -> Result<L1Head, SourceError> {
        let mut world = self.0.borrow_mut();
        if world.is_l1_silent {
            return Err(SourceError::new("head", "timed out"));
        }
        world.unreachable("head")?;
        Ok(world.l1.head())
    }

    fn nonce(&mut self, account: Address, at: NonceAt) -> Result<u64, SourceError> {
        let mut world = self.0.borrow_mut();
        world.unreachable("nonce")?;
        assert_eq!(account, world.l1.account);
        Ok(world.l1.nonce(at))
    }

    fn balance(&mut self, account: Address) -> Result<u128, SourceError> {
        assert_eq!(account, self.0.borrow().l1.account);
        Ok(1 << 70)
    }

    fn send(&mut self, raw: &[u8]) -> Result<SendOutcome, SourceError> {
        let World { l1, rng, .. } = &mut *self.0.borrow_mut();
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
        let mut world = self.0.borrow_mut();
        world.unreachable("inclusion")?;
        Ok(world.l1.inclusion(hash))
    }
}

impl L2Blocks for Shared {
    fn status(&mut self) -> Result<L2Status, SourceError> {
        let mut world = self.0.borrow_mut();
        world.unreachable("status")?;
        let (safe, current_l1) = world.safe();
        let World { l1, l2, .. } = &mut *world;
        l2.follow(l1, &safe);
        let safe_head = safe.last().unwrap().id();
        Ok(L2Status { unsafe_head: l2.tip().id(), safe_head, current_l1 })
    }

    fn block(&mut self, number: u64) -> Result<Option<BatchBlock>, SourceError> {
        let mut world = self.0.borrow_mut();
        world.unreachable("block")?;
        Ok(world.l2.get(number).cloned())
    }
}

/// Makes commitments that are none, but as unique: KZG is too slow to simulate with.
#[derive(Debug)]
struct FakeProver;

impl BlobProver for FakeProver {
    fn sidecar(
        &self,
        blobs: Vec<Blob>,
        proofs: BlobProofs,
    ) -> Result<BlobTransactionSidecarVariant, BatcherError> {
        let commitments: Vec<Bytes48> =
            blobs.iter().map(|blob| Bytes48::left_padding_from(&keccak256(blob)[..])).collect();
        Ok(match proofs {
            BlobProofs::Blob => alloy_eips::eip4844::BlobTransactionSidecar {
                proofs: commitments.clone(),
                blobs,
                commitments,
            }
            .into(),
            BlobProofs::Cell => {
                let cell_proofs = vec![Bytes48::ZERO; CELLS_PER_EXT_BLOB * blobs.len()];
                BlobTransactionSidecarEip7594 { blobs, commitments, cell_proofs }.into()
            }
        })
    }
}

/// A simulation.
pub(crate) struct Simulation {
    pub(crate) world: Shared,
    pub(crate) batcher: Batcher<Shared, Shared>,
    config: BatcherConfig,
    signer: PrivateKeySigner,
    now: Duration,
    starts: u64,
    /// So many steps later the batcher is killed.
    restart_after: Option<u64>,
    /// What happened.
    pub(crate) resets: Vec<ResetReason>,
    pub(crate) resent: usize,
    pub(crate) vanished: usize,
    pub(crate) errors: usize,
}

impl Simulation {
    pub(crate) fn new(
        seed: u64,
        config: BatcherConfig,
        rollup: RollupConfig,
        faults: Faults,
    ) -> Self {
        let signer = PrivateKeySigner::from_bytes(&keccak256("batcher")).unwrap();
        let mut l1 = SimL1::new(signer.address());
        let l2 = SimL2::new(rollup, &l1);
        let derivation = Derivation::new(l2.config.clone(), l2.blocks[0].clone(), &l1);
        l1.faults = faults;
        let world = World { l1, l2, derivation, rng: Rng::new(seed), lag: 0, is_l1_silent: false };
        let world = Shared(Rc::new(RefCell::new(world)));
        let batcher = start(&world, config, &signer, 0);
        Self {
            world,
            batcher,
            config,
            signer,
            now: Duration::ZERO,
            starts: 0,
            restart_after: None,
            resets: Vec::new(),
            resent: 0,
            vanished: 0,
            errors: 0,
        }
    }

    /// Runs for so many L1 blocks. The sequencer makes blocks if `sequences`.
    pub(crate) fn run(&mut self, l1_blocks: u64, sequences: bool) {
        for _ in 0..l1_blocks {
            self.advance_chains(sequences);
            for _ in 0..4 {
                self.now += Duration::from_secs(3);
                self.step();
            }
        }
    }

    /// Runs without faults until everything is safe.
    pub(crate) fn finish(&mut self) {
        {
            let mut world = self.world.0.borrow_mut();
            world.l1.faults = Faults::default();
            world.lag = 0;
        }
        for _ in 0..400 {
            self.batcher.flush();
            self.run(1, false);
            if self.is_done() {
                break;
            }
        }
        let resets = &self.resets[self.resets.len().saturating_sub(9)..];
        assert!(self.is_done(), "not all blocks became safe: {:?}, {resets:?}", self.batcher);
        let mut world = self.world.0.borrow_mut();
        let (safe, _) = world.safe();
        assert_eq!(safe, world.l2.blocks);
        let nonce = world.l1.nonce(NonceAt::Latest);
        assert!(world.l1.pool.keys().all(|pending| *pending >= nonce));
    }

    /// Runs for so many L1 blocks, each of which has this base fee, or an eighth more or less.
    pub(crate) fn run_at(&mut self, base_fee: u128, l1_blocks: u64) {
        for _ in 0..l1_blocks {
            self.set_fees(base_fee, 1_000_000);
            self.run(1, true);
        }
    }

    /// Lets time pass without a block.
    pub(crate) fn wait(&mut self, steps: u64) {
        for _ in 0..steps {
            self.now += Duration::from_secs(60);
            self.step();
        }
    }

    fn is_done(&self) -> bool {
        let mut world = self.world.0.borrow_mut();
        let (safe, _) = world.safe();
        safe.last().unwrap().hash == world.l2.tip().hash
    }

    fn advance_chains(&mut self, sequences: bool) {
        let world = &mut *self.world.0.borrow_mut();
        let World { l1, rng, .. } = world;
        l1.mine(rng);
        if rng.chance(l1.faults.reorg) {
            l1.reorg(1 + rng.below(l1.faults.reorg_depth), rng);
        }
        // What is derived again counts again, so where that is counted the lag stays the same.
        let lag = l1.faults.lag;
        world.lag = if l1.faults.reorg > 0 { rng.below(lag + 1) } else { lag };
        let (safe, _) = world.safe();
        let World { l1, l2, rng, .. } = world;
        l2.follow(l1, &safe);
        if rng.chance(l1.faults.l2_reorg) {
            l2.replace_unsafe(safe.len() as u64 - 1, rng);
        }
        if sequences {
            l2.sequence(l1, rng);
        }
    }

    fn step(&mut self) {
        let restarts = {
            let world = &mut *self.world.0.borrow_mut();
            world.rng.chance(world.l1.faults.restart)
        };
        let is_due = self.restart_after == Some(0);
        self.restart_after = self.restart_after.and_then(|steps| steps.checked_sub(1));
        if restarts || is_due {
            self.restart();
        }
        match self.batcher.step(self.now) {
            Ok(progress) => self.note(&progress),
            Err(error) => {
                assert_eq!(error.class(), ErrorClass::Temporary, "{error}");
                self.errors += 1;
            }
        }
        self.world.0.borrow_mut().l2.limits = self.batcher.limits();
    }

    fn note(&mut self, progress: &Progress) {
        self.resets.extend(progress.reset);
        self.resent += progress.resent;
        self.vanished += progress.vanished;
        let backlog = self.batcher.backlog();
        assert!(backlog.blocks <= self.config.max_pending_blocks);
        // One that waited may come back by a reorg, so that there may be more for a while.
        assert!(backlog.transactions <= self.config.submission.max_tracked);
    }

    pub(crate) fn reorg(&mut self, depth: u64) {
        let World { l1, rng, .. } = &mut *self.world.0.borrow_mut();
        l1.reorg(depth, rng);
    }

    /// Kills the batcher so many steps from now.
    pub(crate) fn restart_after(&mut self, steps: u64) {
        self.restart_after = Some(steps);
    }

    /// Transactions on L1 with calldata, and with blobs.
    pub(crate) fn kinds(&self) -> (usize, usize) {
        self.world.0.borrow().l1.kinds()
    }

    pub(crate) fn set_fees(&mut self, base_fee: u128, blob_base_fee: u128) {
        let l1 = &mut self.world.0.borrow_mut().l1;
        (l1.base_fee, l1.blob_base_fee) = (base_fee, blob_base_fee);
    }

    /// The base fee will not fall below.
    pub(crate) fn set_floor(&mut self, base_fee: u128) {
        self.world.0.borrow_mut().l1.floor = base_fee;
    }

    /// Blocks include nothing from now on, or something again.
    pub(crate) fn set_frozen(&mut self, is_frozen: bool) {
        self.world.0.borrow_mut().l1.faults.empty_block = if is_frozen { 1000 } else { 0 };
    }

    /// What the first transaction in the pool offers for gas.
    pub(crate) fn first_offer(&self) -> Option<u128> {
        self.world.0.borrow().l1.first_offer()
    }

    /// Bytes of transactions that are not safe yet.
    pub(crate) fn unsafe_bytes(&self) -> usize {
        let mut world = self.world.0.borrow_mut();
        let safe = world.safe().0.last().unwrap().number;
        world.l2.bytes_after(safe)
    }

    /// Derivation drops all batches from now on, or none any more.
    pub(crate) fn set_refusing(&mut self, is_refusing: bool) {
        self.world.0.borrow_mut().derivation.is_refusing = is_refusing;
    }

    /// Bytes of transactions in the newest block.
    pub(crate) fn newest_block_bytes(&self) -> usize {
        self.world.0.borrow().l2.tip().bytes()
    }

    /// L1 answers nothing from now on, or everything again.
    pub(crate) fn set_l1_silent(&mut self, is_silent: bool) {
        self.world.0.borrow_mut().is_l1_silent = is_silent;
    }

    /// The pool has no room from now on, or room again.
    pub(crate) fn set_pool_full(&mut self, is_full: bool) {
        self.world.0.borrow_mut().l1.faults.pool_full = if is_full { 1000 } else { 0 };
    }

    /// The highest nonce in the pool.
    pub(crate) fn last_pooled(&self) -> Option<u64> {
        self.world.0.borrow().l1.pool.keys().last().copied()
    }

    /// The next nonce on L1.
    pub(crate) fn next_nonce(&self) -> u64 {
        self.world.0.borrow().l1.nonce(NonceAt::Latest)
    }

    /// Blocks in all batches that derivation has read.
    pub(crate) fn posted(&self) -> usize {
        let mut world = self.world.0.borrow_mut();
        world.safe();
        world.derivation.blocks_read
    }

    pub(crate) fn steal_nonce(&mut self) {
        self.world.0.borrow_mut().l1.steal_nonce();
    }

    pub(crate) fn restart_with(&mut self, config: BatcherConfig) {
        self.config = config;
        self.restart();
    }

    /// Kills the batcher and starts another one.
    pub(crate) fn restart(&mut self) {
        self.starts += 1;
        self.batcher = start(&self.world, self.config, &self.signer, self.starts);
    }
}

fn start(
    world: &Shared,
    config: BatcherConfig,
    signer: &PrivateKeySigner,
    starts: u64,
) -> Batcher<Shared, Shared> {
    let rollup = world.0.borrow().l2.config.clone();
    Batcher::new(
        config,
        rollup,
        world.clone(),
        world.clone(),
        signer.address(),
        Box::new(signer.clone()),
        Box::new(FakeProver),
        keccak256(starts.to_be_bytes()),
    )
    .unwrap()
}
