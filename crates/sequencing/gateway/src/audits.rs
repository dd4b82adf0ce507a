//! Blocks that wait to be executed once more, each alone and as others will, before their slot is sealed.
//!
//! A gateway makes its blocks transaction by transaction, and several rollups' together. That what comes of it is what each
//! follower will find is one executor's work and is tested; here it is seen of each block, too, beside the work on the next one.

use crate::{Gateway, GatewayError, Member, Sealer};
use alloy_primitives::{B256, ChainId};
use lockstep_chain::Rollup;
use lockstep_derive::L1Provider;
use lockstep_engine::{Engine, EngineError};
use metrics::counter;
use parking_lot::{Condvar, Mutex};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::Duration,
};

/// Blocks that wait at most; the oldest make room. A gateway that was away makes thousands of empty ones at once.
const MAX_WAITING: usize = 1_024;

/// Differences that the gateway was not told yet, at most: the first is enough to stop it.
const MAX_DIFFERENCES: usize = 64;

/// How long the thread that makes blocks waits for the last blocks of a slot, by default: they are executed faster than they
/// were made, and while it waits nobody is shown anything.
const PATIENCE: Duration = Duration::from_millis(250);

type Judge = dyn Fn(&Engine<Rollup>, B256) -> Result<(), EngineError> + Send + Sync;

/// Holds the blocks of a [`Gateway`](crate::Gateway) against what others will find. The gateway gives it blocks, and seals
/// no slot before they are judged, or that has taken too long; a thread of its own judges them ([`Self::run`]).
pub struct Audits {
    judge: Box<Judge>,
    patience: Duration,
    state: Mutex<State>,
    /// For the thread that judges: there is something to do.
    work: Condvar,
    /// For the thread that makes blocks: something is done.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The first is judged next.
    waiting: VecDeque<Made>,
    /// Of which the gateway was not told yet.
    differences: Vec<Difference>,
    /// Up to when blocks were waited for last, in seconds: once is enough.
    awaited: u64,
    /// Whether blocks were given up since the last time that none waited.
    is_behind: bool,
    stop: bool,
}

/// A block that was made here.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) chain: ChainId,
    /// In seconds.
    pub(crate) timestamp: u64,
    pub(crate) hash: B256,
    pub(crate) engine: Engine<Rollup>,
    /// Since when it waits, in seconds: when it was made for, or when it was found after a start.
    pub(crate) since: u64,
}

/// A block that others will not find as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) chain: ChainId,
    /// In seconds.
    pub(crate) timestamp: u64,
    pub(crate) hash: B256,
    pub(crate) reason: String,
}

impl Default for Audits {
    fn default() -> Self {
        Self::new(PATIENCE, Engine::audit)
    }
}

impl fmt::Debug for Audits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audits").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Audits {
    /// With another judge than [`Engine::audit`], and another time that the thread that makes blocks waits for it when a slot
    /// is complete.
    pub fn new(
        patience: Duration,
        judge: impl Fn(&Engine<Rollup>, B256) -> Result<(), EngineError> + Send + Sync + 'static,
    ) -> Self {
        let (state, work, done) = Default::default();
        Self { judge: Box::new(judge), patience, state, work, done }
    }

    /// Judges blocks until [`Self::stop`] is called. For a thread of its own.
    pub fn run(&self) {
        loop {
            let next = {
                let mut state = self.state.lock();
                self.work.wait_while(&mut state, |state| !state.stop && state.waiting.is_empty());
                if state.stop {
                    return;
                }
                state.waiting.front().cloned()
            };
            if let Some(made) = next {
                let difference = self.audit(&made);
                let mut state = self.state.lock();
                // It may have made room meanwhile, or been given up.
                if let Some(at) = state.waiting.iter().position(|it| it.hash == made.hash) {
                    state.waiting.remove(at);
                }
                if state.differences.len() < MAX_DIFFERENCES {
                    state.differences.extend(difference);
                }
                drop(state);
                self.done.notify_all();
            }
        }
    }

    /// Ends [`Self::run`], and forgets what waits.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.stop = true;
        state.waiting.clear();
        drop(state);
        self.work.notify_all();
        self.done.notify_all();
    }

    fn audit(&self, made: &Made) -> Option<Difference> {
        let Made { chain, timestamp, hash, ref engine, .. } = *made;
        match (self.judge)(engine, hash) {
            Ok(()) => {
                counter!("lockstep_gateway_audited_blocks_total", "chain" => chain.to_string())
                    .increment(1);
                None
            }
            Err(error @ EngineError::NotReproduced { .. }) => {
                counter!("lockstep_gateway_audit_differences_total", "chain" => chain.to_string())
                    .increment(1);
                tracing::error!(
                    target: "lockstep_gateway",
                    chain, timestamp, %error,
                    "a block that was made here is not what others will find; takes no more users' transactions: report this"
                );
                let reason = format!("chain {chain}: {error}");
                Some(Difference { chain, timestamp, hash, reason })
            }
            // It was taken back meanwhile.
            Err(EngineError::UnknownBlock(_)) => None,
            Err(error) => {
                count_unaudited(1);
                tracing::warn!(
                    target: "lockstep_gateway",
                    chain, %hash, %error,
                    "a block that was made here could not be executed once more"
                );
                None
            }
        }
    }

    pub(crate) fn add(&self, made: Made) {
        let mut state = self.state.lock();
        if state.stop {
            return;
        }
        if state.waiting.len() >= MAX_WAITING {
            state.waiting.pop_front();
            count_unaudited(1);
        }
        state.waiting.push_back(made);
        drop(state);
        self.work.notify_one();
    }

    /// Adds blocks that were made by a gateway before this one, in front of those that wait.
    fn recall(&self, blocks: Vec<Made>) {
        let mut state = self.state.lock();
        if state.stop {
            return;
        }
        for made in blocks.into_iter().rev() {
            if state.waiting.iter().any(|it| it.hash == made.hash) {
                continue;
            }
            if state.waiting.len() < MAX_WAITING {
                state.waiting.push_front(made);
            } else {
                count_unaudited(1);
            }
        }
        drop(state);
        self.work.notify_one();
    }

    /// Waits for the blocks before a time, in seconds, to be judged; not for long, and once for each time. The time of the first that is not.
    pub(crate) fn await_before(&self, end: u64) -> Option<u64> {
        let mut state = self.state.lock();
        let waits = |state: &mut State| state.first_before(end).is_some();
        if state.awaited != end {
            state.awaited = end;
            self.done.wait_while_for(&mut state, waits, self.patience);
        }
        let first = state.first_before(end);
        state.is_behind &= first.is_some();
        first
    }

    /// Gives up the blocks that wait since before a time, in seconds: it is too long.
    pub(crate) fn give_up_before(&self, end: u64) {
        let mut state = self.state.lock();
        let before = state.waiting.len();
        state.waiting.retain(|made| made.since >= end);
        let given_up = before.saturating_sub(state.waiting.len());
        if given_up == 0 {
            return;
        }
        count_unaudited(given_up as u64);
        if !std::mem::replace(&mut state.is_behind, true) {
            tracing::warn!(
                target: "lockstep_gateway",
                end, given_up,
                "blocks that wait since before this time are sealed without having been executed once more: there are too many"
            );
        }
    }

    /// The blocks that others will not find as they were made, of which the gateway was not told yet.
    pub(crate) fn take_differences(&self) -> Vec<Difference> {
        std::mem::take(&mut self.state.lock().differences)
    }
}

impl State {
    /// The time of the first block before `end` that waits.
    fn first_before(&self, end: u64) -> Option<u64> {
        self.waiting.iter().map(|made| made.timestamp).filter(|timestamp| *timestamp < end).min()
    }
}

impl<L1: L1Provider + Send> Gateway<L1> {
    /// Lets the sealer wait for blocks of complete slots that are not judged yet, and tells it of a difference.
    ///
    /// A slot waits for as long as other gateways wait for its batch. What was not judged by then is sealed: nearly surely it is
    /// right, and what is never posted is undone for sure.
    pub(crate) fn follow_audits(&mut self, now_s: u64, ends: bool) {
        let has_recalled = self.recall_unaudited(now_s);
        let (Some(audits), Some(sealer)) = (&self.audits, &mut self.sealer) else { return };
        let next = self.members.values().map(|it| it.sequencer.next_timestamp()).max();
        let open = next.and_then(|next| self.union.slot_at(next)).unwrap_or_default();
        // A gateway that ends seals the open slot as it is.
        let end = if ends { u64::MAX } else { self.union.slot_start(open) };
        let now = self.union.slot_at(now_s).unwrap_or_default();
        let late = self.union.slot_start(now.saturating_sub(sealer.handover_slots())).min(end);
        audits.give_up_before(late);
        let first = audits.await_before(end).and_then(|first| self.union.slot_at(first));
        // Nothing is sealed before it is known what has to be judged.
        sealer.wait_for_audits(if has_recalled { first } else { Some(0) });
        audits.take_differences().into_iter().for_each(|it| sealer.distrust(it));
    }

    /// Lets the blocks be judged that a gateway before this one has made, and that no batch has, once it is known which these
    /// are. Whether that is so.
    fn recall_unaudited(&mut self, now_s: u64) -> bool {
        if self.unrecalled.is_empty() {
            return true;
        }
        match self.find_unaudited(now_s) {
            Ok(Some(blocks)) => {
                if !blocks.is_empty() {
                    tracing::info!(
                        target: "lockstep_gateway",
                        blocks = blocks.len(),
                        "blocks that were made before the start are executed once more"
                    );
                }
                if let Some(audits) = &self.audits {
                    audits.recall(blocks);
                }
                self.unrecalled.clear();
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(
                    target: "lockstep_gateway",
                    %error,
                    "blocks that were made before the start cannot be read; trying again"
                );
                false
            }
        }
    }

    /// The blocks up to the heads at the start that no batch has and that were not derived, in order; `None` while it is not
    /// known which batches there are.
    fn find_unaudited(&self, now_s: u64) -> Result<Option<Vec<Made>>, GatewayError> {
        let Some(sealer) = &self.sealer else { return Ok(Some(Vec::new())) };
        let mut blocks = Vec::new();
        for (chain, newest) in &self.unrecalled {
            let (chain, newest) = (*chain, *newest);
            let Some(sealed) = sealer.cursor(chain) else { return Ok(None) };
            let sequencer = &self.member(chain)?.sequencer;
            let (engine, config) = (sequencer.engine(), sequencer.config());
            let snapshot = engine.view().snapshot();
            let safe = snapshot.safe().map_or(0, |safe| safe.number);
            let first = sealed.number.max(safe).saturating_add(1);
            // Those before would make room at once.
            let looked_at = newest.saturating_sub(MAX_WAITING as u64).saturating_add(1).max(first);
            count_unaudited(looked_at - first);
            for number in looked_at..=newest {
                let hash = snapshot.hash(number);
                let hash = hash.map_err(|source| GatewayError::Storage { chain, source })?;
                // They may have been taken back meanwhile.
                let Some(hash) = hash else { break };
                let timestamp = Sealer::timestamp(config, number);
                let engine = engine.clone();
                blocks.push(Made { chain, timestamp, hash, engine, since: now_s });
            }
        }
        blocks.sort_by_key(|made| made.timestamp);
        Ok(Some(blocks))
    }
}

/// The number of each rollup's newest block.
pub(crate) fn heads<L1: L1Provider>(
    members: &BTreeMap<ChainId, Member<L1>>,
) -> BTreeMap<ChainId, u64> {
    let head = |member: &Member<L1>| member.sequencer.engine().view().head().number;
    members.iter().map(|(chain, member)| (*chain, head(member))).collect()
}

fn count_unaudited(blocks: u64) {
    counter!("lockstep_gateway_unaudited_blocks_total").increment(blocks);
}
