//! The engine: one handle on the tree, the threads behind it, and what they share.

use crate::{
    BuiltPayload, ChainUpdate, ChainView, EngineConfig, EngineError, PayloadBuilder, Payloads,
    follow::Followers,
    jobs::Jobs,
    known::{InvalidBlocks, WaitingBlocks},
    measure::Measure,
    persist::{Persistence, Stop},
    tree::{Canonical, Tree},
    view::Shared,
};
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, map::B256Map};
use lockstep_execution::StateCommitment;
use lockstep_parallel::{ParallelExecutor, StateCache};
use lockstep_storage::{ExecutedBlock, Snapshot, Storage, StorageError};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
    thread::JoinHandle,
};
use tokio::sync::broadcast;

/// Drives one chain: executes blocks, follows the fork choice, builds payloads, and persists
/// behind it. Cheap to clone. Operations run on the caller's thread, but for the building of
/// payloads that were begun with [`Engine::start_payload`], which has a thread of its own.
///
/// When the last handle is gone without [`Engine::shutdown`], the threads end as if the process
/// had been killed: what was acknowledged is in storage's log and comes back with
/// [`Engine::open`].
#[derive(Debug)]
pub struct Engine<C: Payloads> {
    pub(crate) core: Arc<Core<C>>,
    threads: Arc<Threads<C>>,
}

impl<C: Payloads> Clone for Engine<C> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone(), threads: self.threads.clone() }
    }
}

/// What the operations and the threads share.
///
/// Locks are taken in this order: `fork_choice`, `execution`, the tree, and any other last.
#[derive(Debug)]
pub(crate) struct Core<C: Payloads> {
    pub(crate) executor: Arc<ParallelExecutor>,
    /// What was read of the state after the newest block.
    pub(crate) cache: Option<Arc<StateCache>>,
    pub(crate) shared: Arc<Shared<C>>,
    pub(crate) config: EngineConfig,
    builder: RwLock<Arc<dyn PayloadBuilder<C>>>,
    /// Held by whoever changes what is canonical.
    pub(crate) fork_choice: Mutex<()>,
    /// Held by whoever adds a block.
    pub(crate) execution: Mutex<Execution<C>>,
    pub(crate) invalid: Mutex<InvalidBlocks>,
    pub(crate) waiting: Mutex<WaitingBlocks<C>>,
    pub(crate) built: Mutex<BuiltBlocks<C>>,
    pub(crate) persistence: Persistence,
    pub(crate) followers: Followers<C>,
    pub(crate) jobs: Jobs<C>,
    pub(crate) measure: Measure,
    /// Why the engine refuses work.
    pub(crate) stopped: OnceLock<Arc<str>>,
}

/// What is kept from one executed block to the next.
#[derive(Debug)]
pub(crate) struct Execution<C: Payloads> {
    /// The commitment to the state after this block.
    commitment: Option<(B256, C::Commitment)>,
}

impl<C: Payloads> Execution<C> {
    /// The commitment to the state after `block`, whose root is `root`.
    pub(crate) fn take_commitment(&mut self, block: B256, root: B256) -> C::Commitment {
        match self.commitment.take() {
            Some((of, commitment)) if of == block => commitment,
            _ => C::Commitment::from_root(root),
        }
    }

    /// Keeps the commitment to the state after `block` unless it has grown too large.
    pub(crate) fn keep_commitment(
        &mut self,
        block: B256,
        commitment: C::Commitment,
        max_nodes: usize,
    ) {
        self.commitment = (commitment.node_count() <= max_nodes).then_some((block, commitment));
    }
}

/// Payloads that were handed out: they need no execution when they come back as blocks.
#[derive(Debug)]
pub(crate) struct BuiltBlocks<C: Payloads> {
    blocks: B256Map<Arc<ExecutedBlock<C>>>,
    order: VecDeque<B256>,
    limit: usize,
}

impl<C: Payloads> BuiltBlocks<C> {
    fn new(limit: usize) -> Self {
        Self { blocks: B256Map::default(), order: VecDeque::new(), limit }
    }

    pub(crate) fn insert(&mut self, built: &BuiltPayload<C>) {
        let hash = built.block.block.hash();
        if self.blocks.insert(hash, built.block.clone()).is_none() {
            self.order.push_back(hash);
        }
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.blocks.remove(&oldest);
            }
        }
    }

    pub(crate) fn take(&mut self, hash: &B256) -> Option<Arc<ExecutedBlock<C>>> {
        let block = self.blocks.remove(hash)?;
        self.order.retain(|other| other != hash);
        Some(block)
    }
}

/// The engine's threads; they end with the last handle.
#[derive(Debug)]
struct Threads<C: Payloads> {
    core: Arc<Core<C>>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl<C: Payloads> Threads<C> {
    fn end(&self, stop: Stop) {
        self.core.persistence.stop(stop);
        self.core.jobs.stop();
        self.core.followers.stop();
        for handle in self.handles.lock().drain(..) {
            // The last handle may be dropped by one of the threads itself.
            if handle.thread().id() != std::thread::current().id() {
                // A panic was reported where it was caught.
                let _ = handle.join();
            }
        }
    }
}

impl<C: Payloads> Drop for Threads<C> {
    fn drop(&mut self) {
        self.end(Stop::Now);
    }
}

impl<C: Payloads> Engine<C> {
    /// Opens the chain in `storage`, with everything that was acknowledged before the last end of
    /// the process.
    ///
    /// # Errors
    /// When storage cannot be read, or a thread not be started.
    pub fn open(
        chain: C,
        storage: Arc<dyn Storage<C>>,
        builder: Arc<dyn PayloadBuilder<C>>,
        config: EngineConfig,
    ) -> Result<Self, EngineError> {
        let snapshot = storage.snapshot()?;
        let canonical = stored_chain(&*snapshot)?;
        let tip = canonical.base;
        drop(snapshot);
        let (updates, _) = broadcast::channel(config.update_capacity.max(1));
        let measure = Measure::new(chain.chain_id());
        let tree = RwLock::new(Tree::new(canonical));
        let executor = Arc::new(ParallelExecutor::new(config.execution_threads)?);
        let cache = NonZeroUsize::new(config.max_cached_state);
        let core = Arc::new(Core {
            executor,
            cache: cache.map(|entries| Arc::new(StateCache::new(entries))),
            shared: Arc::new(Shared { chain, tree, storage, updates }),
            builder: RwLock::new(builder),
            fork_choice: Mutex::new(()),
            execution: Mutex::new(Execution { commitment: None }),
            invalid: Mutex::new(InvalidBlocks::new(config.max_invalid_blocks)),
            waiting: Mutex::new(WaitingBlocks::new(config.max_waiting_blocks)),
            built: Mutex::new(BuiltBlocks::new(config.max_payloads)),
            persistence: Persistence::new(tip),
            followers: Followers::default(),
            jobs: Jobs::new(),
            measure,
            stopped: OnceLock::new(),
            config,
        });
        core.replay()?;
        let threads = Threads { core: core.clone(), handles: Mutex::default() };
        let engine = Self { core, threads: Arc::new(threads) };
        engine.spawn("engine-persist", Core::run_persistence)?;
        engine.spawn("engine-build", Core::run_jobs)?;
        Ok(engine)
    }

    /// The chain definition.
    pub fn chain(&self) -> &C {
        &self.core.shared.chain
    }

    /// The engine's limits and habits.
    pub fn config(&self) -> &EngineConfig {
        &self.core.config
    }

    /// Reads of the chain.
    pub fn view(&self) -> ChainView<C> {
        self.core.view()
    }

    /// Whether the engine accepts work.
    ///
    /// # Errors
    /// [`EngineError::Stopped`] with the reason if it does not.
    pub fn check_running(&self) -> Result<(), EngineError> {
        self.core.check_running()
    }

    /// Replaces what chooses the transactions of blocks from now on.
    pub fn set_builder(&self, builder: Arc<dyn PayloadBuilder<C>>) {
        *self.core.builder.write() = builder;
    }

    /// Persists every canonical block, ends the threads, and refuses work from then on.
    ///
    /// # Errors
    /// When the chain could not be persisted. Nothing acknowledged is lost even then: it is in
    /// storage's log.
    pub fn shutdown(&self) -> Result<(), EngineError> {
        let _ = self.core.stopped.set("it was shut down".into());
        // Whoever is at work finishes first.
        drop(self.core.fork_choice.lock());
        drop(self.core.execution.lock());
        self.threads.end(Stop::WhenPersisted);
        match self.core.persistence.take_error() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Calls `follower` on a thread of its own with every change of the canonical chain from now
    /// on, in order and completely. Changes that happen while it works reach it as one. The second
    /// argument is the chain right after the change.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn follow(
        &self,
        name: &str,
        follower: impl FnMut(&ChainUpdate<C>, &crate::ChainSnapshot<C>) + Send + 'static,
    ) -> Result<(), EngineError> {
        let inbox = self.core.followers.add();
        let shared = self.core.shared.clone();
        let run = move || inbox.run(&shared, follower);
        self.spawn_thread(name, run)
    }

    fn spawn(&self, name: &str, run: fn(&Arc<Core<C>>)) -> Result<(), EngineError> {
        let core = self.core.clone();
        self.spawn_thread(name, move || run(&core))
    }

    fn spawn_thread(
        &self,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), EngineError> {
        let thread = std::thread::Builder::new().name(name.into());
        let core = self.core.clone();
        let named = name.to_owned();
        let run = move || {
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                core.stop_working(&format!("its thread `{named}` panicked"));
            }
        };
        let handle = thread.spawn(run).map_err(EngineError::Thread)?;
        self.threads.handles.lock().push(handle);
        Ok(())
    }
}

impl<C: Payloads> Core<C> {
    pub(crate) fn view(&self) -> ChainView<C> {
        ChainView { shared: self.shared.clone() }
    }

    pub(crate) fn chain(&self) -> &C {
        &self.shared.chain
    }

    pub(crate) fn builder(&self) -> Arc<dyn PayloadBuilder<C>> {
        self.builder.read().clone()
    }

    /// # Errors
    /// [`EngineError::Stopped`] once the engine refuses work.
    pub(crate) fn check_running(&self) -> Result<(), EngineError> {
        match self.stopped.get() {
            Some(reason) => Err(EngineError::Stopped(reason.clone())),
            None => Ok(()),
        }
    }

    /// Refuses work from now on.
    pub(crate) fn stop_working(&self, reason: &str) {
        tracing::error!(target: "lockstep_engine", reason, "stopped accepting blocks");
        let _ = self.stopped.set(reason.into());
        self.persistence.wake_waiting();
        self.jobs.wake_waiting();
    }
}

/// The canonical chain as it was when it was last persisted.
fn stored_chain<C: Payloads>(snapshot: &dyn Snapshot<C>) -> Result<Canonical<C>, StorageError> {
    let tip = snapshot.tip();
    let head = snapshot
        .header(tip.number)?
        .ok_or_else(|| StorageError::Missing(format!("the header of block {}", tip.number)))?;
    let choice = snapshot.fork_choice();
    let stored = |hash: B256| -> Result<Option<BlockNumHash>, StorageError> {
        let number = if hash.is_zero() { None } else { snapshot.number(&hash)? };
        Ok(number.map(|number| BlockNumHash::new(number, hash)))
    };
    Ok(Canonical {
        base: tip,
        blocks: Vec::new(),
        head,
        safe: stored(choice.safe)?,
        finalized: stored(choice.finalized)?,
    })
}
