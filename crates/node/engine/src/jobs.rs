//! Payloads in the making: built at once without transactions of others, then improved until
//! somebody asks.

use crate::{
    BlockPlan, BuildDefaults, BuildError, BuiltPayload, Engine, EngineError, PayloadBuilder,
    Payloads, builder::build, engine::Core, error::despite_unwinds, insert::Log,
    measure::Stopwatch,
};
use alloy_consensus::BlockHeader;
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_engine::PayloadId;
use lockstep_execution::StateCommitment;
use lockstep_storage::ExecutedBlock;
use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How long a caller waits for the first build of a payload, which takes a millisecond or so.
const FIRST_BUILD_PATIENCE: Duration = Duration::from_secs(10);

/// All payloads in the making.
#[derive(Debug)]
pub(crate) struct Jobs<C: Payloads> {
    state: Mutex<JobsState<C>>,
    /// For the thread: there is a new job, or it must end.
    work: Condvar,
    /// For those who wait: a build is done.
    progress: Condvar,
}

#[derive(Debug)]
struct JobsState<C: Payloads> {
    jobs: VecDeque<Job<C>>,
    stop: bool,
}

#[derive(Debug)]
struct Job<C: Payloads> {
    id: PayloadId,
    parent: B256,
    attributes: C::Attributes,
    best: Option<BuiltPayload<C>>,
    /// Builds so far, the first one without a builder.
    builds: u32,
    /// Whether the best is final.
    is_taken: bool,
    is_due: bool,
    failure: Option<String>,
    cancelled: Arc<AtomicBool>,
}

/// One build.
#[derive(Debug)]
struct Task<C: Payloads> {
    id: PayloadId,
    parent: B256,
    attributes: C::Attributes,
    is_first: bool,
    cancelled: Arc<AtomicBool>,
}

impl<C: Payloads> Jobs<C> {
    pub(crate) fn new() -> Self {
        let state = JobsState { jobs: VecDeque::new(), stop: false };
        Self { state: Mutex::new(state), work: Condvar::new(), progress: Condvar::new() }
    }

    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.stop = true;
        for job in &state.jobs {
            job.cancelled.store(true, Ordering::Relaxed);
        }
        drop(state);
        self.work.notify_all();
        self.wake_waiting();
    }

    /// Makes those who wait look again.
    pub(crate) fn wake_waiting(&self) {
        self.progress.notify_all();
    }
}

impl<C: Payloads> JobsState<C> {
    fn job(&mut self, id: PayloadId) -> Option<&mut Job<C>> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    /// The most urgent build: one that has nothing to show yet, else one that is due.
    fn task(&mut self) -> Option<Task<C>> {
        let open = |job: &&mut Job<C>| job.failure.is_none() && !job.is_taken;
        let first = self.jobs.iter_mut().filter(open).find(|job| job.best.is_none());
        let job = match first {
            Some(job) => Some(job),
            None => self.jobs.iter_mut().filter(open).find(|job| job.is_due),
        }?;
        job.is_due = false;
        Some(Task {
            id: job.id,
            parent: job.parent,
            attributes: job.attributes.clone(),
            is_first: job.best.is_none(),
            cancelled: job.cancelled.clone(),
        })
    }

    fn has_open(&self, max_builds: u32) -> bool {
        self.jobs.iter().any(|job| job.is_open(max_builds))
    }
}

impl<C: Payloads> Job<C> {
    fn is_open(&self, max_builds: u32) -> bool {
        !self.is_taken && self.failure.is_none() && self.builds < max_builds
    }
}

impl<C: Payloads> Engine<C> {
    /// Begins to build a payload on a known block. The same parent and attributes give the same
    /// payload.
    ///
    /// # Errors
    /// [`EngineError::Attributes`] if the attributes cannot be met, [`EngineError::UnknownBlock`]
    /// if the parent is not known.
    pub fn start_payload(
        &self,
        parent: B256,
        attributes: C::Attributes,
    ) -> Result<PayloadId, EngineError> {
        let core = &self.core;
        core.check_running()?;
        core.plan(&parent, &attributes)?;
        let id = core.chain().payload_id(&parent, &attributes);
        let mut state = core.jobs.state.lock();
        if state.job(id).is_none() {
            while state.jobs.len() >= core.config.max_payloads.max(1) {
                if let Some(oldest) = state.jobs.pop_front() {
                    oldest.cancelled.store(true, Ordering::Relaxed);
                }
            }
            state.jobs.push_back(Job {
                id,
                parent,
                attributes,
                best: None,
                builds: 0,
                is_taken: false,
                is_due: true,
                failure: None,
                cancelled: Arc::default(),
            });
        }
        drop(state);
        core.jobs.work.notify_one();
        Ok(id)
    }

    /// The best payload so far, which is final from then on. Waits only for the first build, which
    /// has no transactions but those that the attributes demand.
    ///
    /// # Errors
    /// [`EngineError::UnknownPayload`] if there is none with this id, [`EngineError::Build`] if
    /// it could not be built, [`EngineError::NotBuilt`] if that takes too long.
    pub fn payload(&self, id: PayloadId) -> Result<BuiltPayload<C>, EngineError> {
        self.take_payload(id, 1)
    }

    /// As [`Engine::payload`], but waits until transactions were chosen at least once.
    ///
    /// # Errors
    /// As [`Engine::payload`].
    pub fn full_payload(&self, id: PayloadId) -> Result<BuiltPayload<C>, EngineError> {
        self.take_payload(id, 2)
    }

    fn take_payload(&self, id: PayloadId, builds: u32) -> Result<BuiltPayload<C>, EngineError> {
        let core = &self.core;
        let watch = Stopwatch::start();
        let mut state = core.jobs.state.lock();
        loop {
            let job = state.job(id).ok_or(EngineError::UnknownPayload)?;
            if let Some(reason) = &job.failure {
                return Err(BuildError::Execution(reason.clone()).into());
            }
            if let Some(best) = &job.best
                && (job.builds >= builds || job.is_taken)
            {
                let best = best.clone();
                job.is_taken = true;
                job.cancelled.store(true, Ordering::Relaxed);
                drop(state);
                core.built.lock().insert(&best);
                return Ok(best);
            }
            core.check_running()?;
            let waited = watch.elapsed();
            let left = FIRST_BUILD_PATIENCE.saturating_sub(waited);
            if left.is_zero() {
                return Err(EngineError::NotBuilt { waited });
            }
            core.jobs.progress.wait_for(&mut state, left);
        }
    }

    /// Builds a payload on a known block on the caller's thread, with the transactions that the
    /// builder chooses.
    ///
    /// # Errors
    /// As [`Engine::start_payload`] and [`Engine::payload`].
    pub fn build_now(
        &self,
        parent: B256,
        attributes: &C::Attributes,
    ) -> Result<BuiltPayload<C>, EngineError> {
        let core = &self.core;
        core.check_running()?;
        let watch = Stopwatch::start();
        let mut execution = core.execution.lock();
        let never = AtomicBool::new(false);
        let builder = core.builder();
        let (built, commitment) = despite_unwinds(|| {
            let plan = core.plan(&parent, attributes)?;
            let parent = core.parent(&parent)?.ok_or(EngineError::UnknownBlock(parent))?;
            core.begin_cache(parent.header.seal());
            let parent = core.through_cache(parent);
            let (of, root) = (parent.header.seal(), parent.header.state_root());
            let mut commitment = execution.take_commitment(of, root);
            let builder = Some(&*builder);
            let built = build(
                core.chain(),
                &parent,
                plan,
                builder,
                &mut commitment,
                &core.executor,
                &never,
            )?;
            Ok((built, commitment))
        })?;
        let hash = built.block.block.hash();
        execution.keep_commitment(hash, commitment, core.config.max_trie_nodes);
        core.built.lock().insert(&built);
        core.measure.built(watch.elapsed(), built.block.block.transactions().len());
        Ok(built)
    }

    /// Builds a payload on a known block on the caller's thread, with the transactions that
    /// `builder` chooses and, if given, other extra data than the node's. Nothing is kept of it.
    ///
    /// # Errors
    /// As [`Engine::build_now`].
    pub fn build_with(
        &self,
        parent: B256,
        attributes: &C::Attributes,
        builder: &dyn PayloadBuilder<C>,
        extra_data: Option<Bytes>,
    ) -> Result<BuiltPayload<C>, EngineError> {
        let core = &self.core;
        core.check_running()?;
        let extra_data = extra_data.unwrap_or_else(|| core.config.extra_data.clone());
        let never = AtomicBool::new(false);
        despite_unwinds(|| {
            let plan = core.plan_with(&parent, attributes, extra_data.clone())?;
            let parent = core.parent(&parent)?.ok_or(EngineError::UnknownBlock(parent))?;
            let mut commitment = C::Commitment::from_root(parent.header.state_root());
            Ok(build(
                core.chain(),
                &parent,
                plan,
                Some(builder),
                &mut commitment,
                &core.executor,
                &never,
            )?)
        })
    }

    /// Builds a block on a known block on the caller's thread, as [`Engine::build_now`], and adds it
    /// to the tree as [`Engine::insert`] does. It is not canonical before
    /// [`Engine::fork_choice`] makes it so.
    ///
    /// # Errors
    /// As [`Engine::build_now`] and [`Engine::insert`].
    pub fn build_and_insert(
        &self,
        parent: B256,
        attributes: &C::Attributes,
    ) -> Result<Arc<ExecutedBlock<C>>, EngineError> {
        let core = &self.core;
        core.wait_for_persistence()?;
        let block = self.build_now(parent, attributes)?.block;
        let _execution = core.execution.lock();
        if core.built.lock().take(&block.block.hash()).is_some() {
            core.add(&block, Log::Write)?;
        }
        Ok(block)
    }

    /// Builds a block on the head on the caller's thread, and makes it the head: how a chain
    /// that sequences itself grows. Safe and finalized stay.
    ///
    /// # Errors
    /// As [`Engine::build_and_insert`] and [`Engine::extend`].
    pub fn produce(
        &self,
        attributes: &C::Attributes,
    ) -> Result<Arc<ExecutedBlock<C>>, EngineError> {
        let parent = self.core.shared.tree.read().canonical.head.seal();
        let block = self.build_and_insert(parent, attributes)?;
        self.extend(parent, block.block.hash())?;
        Ok(block)
    }
}

impl<C: Payloads> Core<C> {
    pub(crate) fn plan(
        &self,
        parent: &B256,
        attributes: &C::Attributes,
    ) -> Result<BlockPlan<C>, EngineError> {
        self.plan_with(parent, attributes, self.config.extra_data.clone())
    }

    fn plan_with(
        &self,
        parent: &B256,
        attributes: &C::Attributes,
        extra_data: Bytes,
    ) -> Result<BlockPlan<C>, EngineError> {
        let defaults = BuildDefaults { gas_limit: self.config.gas_limit, extra_data };
        let header = self.view().snapshot().header_by_hash(parent)?;
        let header = header.ok_or(EngineError::UnknownBlock(*parent))?;
        Ok(self.chain().plan(&header, attributes, &defaults)?)
    }

    /// The thread that builds payloads.
    pub(crate) fn run_jobs(self: &Arc<Self>) {
        let interval = self.config.build_interval.max(Duration::from_millis(1));
        let max_builds = self.config.build_time.as_nanos() / interval.as_nanos().max(1);
        let max_builds = u32::try_from(max_builds).unwrap_or(u32::MAX).max(2);
        while let Some(task) = self.next_task(interval, max_builds) {
            let watch = Stopwatch::start();
            // One bad block must not end the building of all others.
            let attempt = AssertUnwindSafe(|| despite_unwinds(|| self.build_task(&task)));
            let outcome = catch_unwind(attempt).unwrap_or_else(|_| {
                Err(BuildError::Execution("the builder or the EVM panicked".into()).into())
            });
            if let Ok(built) = &outcome {
                self.measure.built(watch.elapsed(), built.block.block.transactions().len());
            }
            self.record(&task, outcome);
        }
    }

    fn next_task(&self, interval: Duration, max_builds: u32) -> Option<Task<C>> {
        let mut state = self.jobs.state.lock();
        loop {
            if state.stop {
                return None;
            }
            if let Some(task) = state.task() {
                return Some(task);
            }
            if !state.has_open(max_builds) {
                self.jobs.work.wait(&mut state);
            } else if self.jobs.work.wait_for(&mut state, interval).timed_out() {
                for job in state.jobs.iter_mut().filter(|job| job.is_open(max_builds)) {
                    job.is_due = true;
                }
            }
        }
    }

    fn build_task(&self, task: &Task<C>) -> Result<BuiltPayload<C>, EngineError> {
        let plan = self.plan(&task.parent, &task.attributes)?;
        let parent = self.parent(&task.parent)?.ok_or(EngineError::UnknownBlock(task.parent))?;
        let parent = self.through_cache(parent);
        let builder = self.builder();
        let builder = (!task.is_first).then_some(&*builder);
        let mut commitment = C::Commitment::from_root(parent.header.state_root());
        Ok(build(
            self.chain(),
            &parent,
            plan,
            builder,
            &mut commitment,
            &self.executor,
            &task.cancelled,
        )?)
    }

    fn record(&self, task: &Task<C>, outcome: Result<BuiltPayload<C>, EngineError>) {
        let mut state = self.jobs.state.lock();
        let Some(job) = state.job(task.id) else { return };
        job.builds = job.builds.saturating_add(1);
        match outcome {
            Ok(built) => {
                // The second build follows the first at once.
                job.is_due |= task.is_first;
                let is_better = job.best.as_ref().is_none_or(|best| {
                    let count = |built: &BuiltPayload<C>| built.block.block.transactions().len();
                    (built.fees, count(&built)) > (best.fees, count(best))
                });
                if is_better && !job.is_taken {
                    job.best = Some(built);
                }
            }
            Err(error) => {
                tracing::warn!(target: "lockstep_engine", id = %task.id, %error, "could not build a payload");
                // A payload without transactions of others is still one.
                if job.best.is_none() {
                    job.failure = Some(error.to_string());
                }
            }
        }
        drop(state);
        self.jobs.progress.notify_all();
    }
}
