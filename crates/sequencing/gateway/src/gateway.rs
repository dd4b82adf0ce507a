//! The gateway: which rollups get a block next, and when.

use crate::{
    Audits, Bell, Clock, GatewayError, Preconfirmed, SealSettings, Sealer, Sequencer,
    agreement::Agreement,
    audits,
    decisions::{Decision, DecisionLog},
    engines::Engines,
    filling::{Source, Waiting},
    plan::{Plan, Planned},
    round::Round,
    turn::{End, Turn},
};
use alloy_primitives::{B256, ChainId, U256, map::B256Map};
use lockstep_chain::{GATE, Rollup};
use lockstep_derive::L1Provider;
use lockstep_engine::OpenBlock;
use lockstep_pool::Pool;
use lockstep_protocol::UnionConfig;
use metrics::counter;
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

/// How often it is seen whether another gateway's blocks are there.
const MIN_POLL: Duration = Duration::from_millis(10);
const MAX_POLL: Duration = Duration::from_millis(100);

/// How often it is seen whether blocks can be made again that were lost.
const RESTORE_POLL: Duration = Duration::from_millis(200);

/// How a gateway works.
#[derive(Clone, Copy, Debug)]
pub struct GatewaySettings {
    /// How often users are shown what was executed; zero: whenever something was.
    pub update_interval: Duration,
    /// The most blobs of a batch: what they hold bounds what a slot's blocks do
    /// ([`SealSettings::max_blobs`]).
    pub max_blobs: usize,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        let max_blobs = SealSettings::default().max_blobs;
        Self { update_interval: Duration::from_millis(100), max_blobs }
    }
}

/// One rollup of the union, for which the gateway makes blocks.
#[derive(Debug)]
pub struct Member<L1> {
    /// Says what its blocks stand on and begin with.
    pub sequencer: Sequencer<L1>,
    /// The transactions of its users.
    pub pool: Pool<Rollup>,
    /// Where its users are shown what was executed.
    pub shown: Arc<Preconfirmed>,
}

/// What a round came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundReport {
    /// When the blocks were made for, in Unix seconds.
    pub timestamp: u64,
    /// The hashes of the blocks, by chain id.
    pub blocks: BTreeMap<ChainId, B256>,
    /// How many super transactions they hold.
    pub super_transactions: usize,
    /// Gas used by all of them.
    pub gas_used: u64,
    /// Gas used for nothing: by transactions that were executed and refused for what they call on other
    /// rollups.
    pub wasted_gas: u64,
}

/// Makes the blocks of a union's rollups, all of the same time together.
#[derive(Debug)]
pub struct Gateway<L1> {
    pub(crate) members: BTreeMap<ChainId, Member<L1>>,
    pub(crate) union: UnionConfig,
    pub(crate) settings: GatewaySettings,
    pub(crate) log: Option<DecisionLog>,
    /// What was decided about blocks that are not complete, by this gateway or one before it.
    pub(crate) unfinished: Vec<Decision>,
    pub(crate) agreed: Agreement,
    /// Waiting transactions of each rollup that call others, and how often they had to wait.
    callers: BTreeMap<ChainId, B256Map<Waiting>>,
    /// Makes the batches of slots; without it every slot is taken for the gateway's own.
    pub(crate) sealer: Option<Sealer>,
    pub(crate) audits: Option<Arc<Audits>>,
    /// The number of each rollup's newest block at the start, until those that no batch has are judged as well.
    pub(crate) unrecalled: BTreeMap<ChainId, u64>,
    block_time: Duration,
    /// Until when L1 is not asked, by the clock that is not set back.
    pub(crate) l1_silent_until: Duration,
}

/// The Gate's slot with the newest super transaction of the rollup (rule 1.7).
const ORDER_SLOT: U256 = U256::ONE;

pub(crate) type Opened = BTreeMap<ChainId, OpenBlock<Rollup>>;

impl<L1: L1Provider + Send> Gateway<L1> {
    /// A gateway for these rollups of one union. With `log`, the file of its decisions, it goes on where
    /// one before it was killed; without, what users were shown of incomplete blocks ends with the
    /// process.
    ///
    /// # Errors
    /// If the rollups are not of one union, or the file cannot be used.
    pub fn new(
        members: Vec<Member<L1>>,
        settings: GatewaySettings,
        log: Option<&Path>,
    ) -> Result<Self, GatewayError> {
        let mut common: Option<(UnionConfig, u64)> = None;
        for member in &members {
            let config = member.sequencer.config();
            let own = config.union.clone().map(|union| (union, config.block_time));
            if own.is_none() || common.as_ref().is_some_and(|common| Some(common) != own.as_ref()) {
                return Err(GatewayError::NoUnion(config.l2_chain_id));
            }
            common = own;
        }
        let (union, block_time) = common.unwrap_or_default();
        let (log, unfinished) = match log.map(DecisionLog::open).transpose()? {
            Some((log, decisions)) => (Some(log), decisions),
            None => (None, Vec::new()),
        };
        Preconfirmed::join(members.iter().map(|member| &*member.shown));
        let members =
            members.into_iter().map(|it| (it.sequencer.config().l2_chain_id, it)).collect();
        let (agreed, callers) = Default::default();
        Ok(Self {
            members,
            union,
            settings,
            log,
            unfinished,
            agreed,
            callers,
            sealer: None,
            audits: None,
            unrecalled: BTreeMap::new(),
            block_time: Duration::from_secs(block_time),
            l1_silent_until: Duration::ZERO,
        })
    }

    /// Fills only the slots that the sealer says may be, and seals them. Without a sealer every slot is filled, and
    /// nothing is posted: for tests and measurements.
    #[must_use]
    pub fn with_sealer(self, sealer: Sealer) -> Self {
        // What is promised must fit into what is sealed.
        let max_blobs = self.settings.max_blobs.min(sealer.max_blobs());
        let settings = GatewaySettings { max_blobs, ..self.settings };
        Self { sealer: Some(sealer), settings, ..self }
    }

    /// Seals no slot before its blocks are judged by somebody who runs these audits, or that has taken too long. After a block
    /// that others will not find as it was made, no more users' transactions are taken. Blocks that are complete already, and
    /// that no batch has, are judged first.
    #[must_use]
    pub fn with_audits(self, audits: Arc<Audits>) -> Self {
        let unrecalled = audits::heads(&self.members);
        Self { audits: Some(audits), unrecalled, ..self }
    }

    /// Makes one block for each rollup that is due next, and returns when they are complete: for blocks
    /// of the future at their time, for those of the past at once. Returns nothing when `bell` is stopped
    /// before; the round then goes on when a gateway is started with the same log. Returns nothing, too, after a while
    /// in which blocks of another gateway's slot are awaited.
    ///
    /// A rollup that cannot begin a block is left out; when it can again, it gets the blocks that it
    /// missed, without users' transactions, between those of the others. Without them, too, are blocks of
    /// slots that are over, or that may not be filled ([`Sealer::may_fill`]).
    ///
    /// When the last block of a slot is complete, its batch is made.
    ///
    /// # Errors
    /// When no rollup can begin a block, or one fails that had begun: its peers may have called it, so
    /// they wait for it. The next call goes on.
    pub fn make_blocks(
        &mut self,
        clock: &dyn Clock,
        bell: &Bell,
    ) -> Result<Option<RoundReport>, GatewayError> {
        if !self.has_restored(clock)? {
            bell.rest(RESTORE_POLL);
            return Ok(None);
        }
        self.abandon_lost_round()?;
        let now = clock.unix_time();
        let plan = match self.resume(now)? {
            Some(plan) => plan,
            None => {
                // Nothing is sealed while some rollups have their blocks of a round and others do not.
                self.keep_up(clock, false);
                if let Some(pause) = self.awaited_for(now) {
                    bell.await_batch(pause);
                    return Ok(None);
                }
                self.plan(clock)?
            }
        };
        let opened = self.open(&plan)?;
        let slot = self.union.slot_at(plan.timestamp).unwrap_or_default();
        let budget = self.slot_budget(&plan)?;
        let newest = self.newest_super(&opened)?;
        let sources = sources(&self.members, &plan, &mut self.callers);
        let mut round = Round::new(&opened, sources, (slot, newest), budget);
        round.keep_apart(&self.agreed.estranged);
        for (chain, error) in round.take_failed() {
            if plan.is_resumed || round.is_empty() {
                return Err(error);
            }
            leave_out(chain, &error);
        }
        let turn = Turn {
            members: &self.members,
            union: &self.union,
            plan: &plan,
            sealer: self.sealer.as_mut(),
            log: self.log.as_mut(),
            unfinished: &mut self.unfinished,
            update_interval: self.settings.update_interval,
            block_time: self.block_time,
        };
        let end = turn.fill(&mut round, clock, bell);
        self.callers.extend(round.take_callers());
        match end? {
            End::Due => {}
            End::Stopped => return Ok(None),
            End::Lost(lost) => {
                drop(round);
                self.abandon(&lost);
                return Err(lost);
            }
        }
        let (filled, mut report) = round.finish()?;
        self.close(opened, filled, &mut report)?;
        self.keep_up(clock, false);
        Ok(Some(report))
    }

    /// Completes blocks that users have been shown something of, seals the last slot as it is, and follows what L1 says.
    /// For a gateway that ends: it makes no more blocks afterwards. How many slots with users' transactions L1 has not
    /// taken yet, as far as is known; call again until there are none, or there is no more time.
    ///
    /// # Errors
    /// If the blocks cannot be completed.
    pub fn finish(&mut self, clock: &dyn Clock) -> Result<usize, GatewayError> {
        if !self.has_restored(clock)? {
            return Ok(self.sealer.as_ref().map_or(0, Sealer::unposted));
        }
        self.abandon_lost_round()?;
        let has_shown = self.unfinished.len() > 1;
        if let Some(plan) = self.resume(clock.unix_time())?.filter(|_| has_shown) {
            let opened = self.open(&plan)?;
            let slot = self.union.slot_at(plan.timestamp).unwrap_or_default();
            let budget = self.slot_budget(&plan)?;
            let newest = self.newest_super(&opened)?;
            let sources = sources(&self.members, &plan, &mut self.callers);
            let mut round = Round::new(&opened, sources, (slot, newest), budget);
            if let Some((_, error)) = round.take_failed().into_iter().next() {
                return Err(error);
            }
            round.replay(&self.unfinished)?;
            let (filled, mut report) = round.finish()?;
            self.close(opened, filled, &mut report)?;
        }
        self.keep_up(clock, true);
        Ok(self.sealer.as_ref().map_or(0, Sealer::unposted))
    }

    /// Whether the chains have all blocks that sealed batches have, or have others in their place.
    fn has_restored(&mut self, clock: &dyn Clock) -> Result<bool, GatewayError> {
        if self.restore()? {
            return Ok(true);
        }
        // Batches may be given up for it.
        self.keep_up(clock, false);
        self.restore()
    }

    /// Lets the sealer follow the chains, and goes on from what other gateways have sealed.
    fn keep_up(&mut self, clock: &dyn Clock, ends: bool) {
        if self.sealer.is_none() {
            return;
        }
        let now = clock.unix_time();
        self.follow_audits(now.as_secs(), ends);
        self.seal(now, ends);
        if !ends && self.adopt(now.as_secs()) {
            self.seal(now, ends);
        }
    }

    /// Lets the sealer follow the chains. If it fails, it is told, no users' transactions are taken, and it tries again.
    fn seal(&mut self, now: Duration, ends: bool) {
        let Some(sealer) = &mut self.sealer else { return };
        let outcome = sealer.keep_up(&mut Engines(&self.members), now, ends);
        if let Err(error) = outcome {
            tracing::warn!(
                target: "lockstep_gateway",
                %error,
                "the batches of slots cannot be made; trying again"
            );
        }
    }

    /// For how long blocks are awaited, if those that are due next are of another gateway's slot: its batch brings them.
    /// They are awaited for one block time after the slot, and then made without users' transactions until it comes.
    fn awaited_for(&self, now: Duration) -> Option<Duration> {
        let next = self.members.values().map(|it| it.sequencer.next_timestamp()).min()?;
        let slot = self.union.slot_at(next)?;
        let sealer = self.sealer.as_ref()?;
        let owner = sealer.owner(slot)??;
        let end = Duration::from_secs(self.union.slot_start(slot.saturating_add(1)));
        let until = end.saturating_add(self.block_time);
        let poll = self.settings.update_interval.clamp(MIN_POLL, MAX_POLL);
        let is_of_another = owner != sealer.gateway() && !sealer.has_batch(slot);
        let is_awaited = is_of_another && now < until;
        is_awaited.then(|| until.saturating_sub(now).min(poll))
    }

    /// The newest super transaction of all rollups, as their Gates keep it: those that are left out of the round may know
    /// a newer one than the others.
    fn newest_super(&self, opened: &Opened) -> Result<U256, GatewayError> {
        let mut newest = self.members.iter().map(|(chain, member)| {
            let state = match opened.get(chain) {
                Some(open) => Ok(open.parent_state()),
                None => {
                    let snapshot = member.sequencer.engine().view().snapshot();
                    snapshot.state_by_hash(&snapshot.head().seal())
                }
            };
            let newest = state.and_then(|state| state.storage(&GATE, &ORDER_SLOT));
            newest.map_err(|source| GatewayError::Storage { chain: *chain, source })
        });
        newest.try_fold(U256::ZERO, |newest, found| Ok(newest.max(found?)))
    }

    /// Begins the blocks. Those of a new round that cannot be are left out.
    fn open(&self, plan: &Plan) -> Result<Opened, GatewayError> {
        let mut opened = Opened::new();
        let mut first_error = None;
        for planned in &plan.blocks {
            let engine = self.member(planned.chain)?.sequencer.engine();
            match engine.open_block(planned.parent, &planned.attributes) {
                Ok(open) => drop(opened.insert(planned.chain, open)),
                Err(error) => {
                    let error = GatewayError::engine(planned.chain)(error);
                    if plan.is_resumed {
                        return Err(error);
                    }
                    leave_out(planned.chain, &error);
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            Some(error) if opened.is_empty() => Err(error),
            _ => Ok(opened),
        }
    }

    pub(crate) fn member(&self, chain: ChainId) -> Result<&Member<L1>, GatewayError> {
        self.members.get(&chain).ok_or(GatewayError::NoUnion(chain))
    }

    /// The hash of a rollup's block with this number.
    pub(crate) fn canonical(
        &self,
        chain: ChainId,
        number: u64,
    ) -> Result<Option<B256>, GatewayError> {
        let snapshot = self.member(chain)?.sequencer.engine().view().snapshot();
        snapshot.hash(number).map_err(|source| GatewayError::Storage { chain, source })
    }
}

/// What the round needs of the rollups whose blocks it makes.
fn sources<'a, L1>(
    members: &'a BTreeMap<ChainId, Member<L1>>,
    plan: &Plan,
    callers: &mut BTreeMap<ChainId, B256Map<Waiting>>,
) -> BTreeMap<ChainId, Source<'a>> {
    let source = |planned: &Planned| {
        let Member { pool, shown, .. } = members.get(&planned.chain)?;
        let callers = callers.remove(&planned.chain).unwrap_or_default();
        let shown = (!planned.is_complete).then_some(&**shown);
        Some((planned.chain, Source { pool, shown, callers }))
    };
    plan.blocks.iter().filter_map(source).collect()
}

/// Tells that a rollup gets no block in this round.
pub(crate) fn leave_out(chain: ChainId, error: &dyn std::error::Error) {
    counter!("lockstep_gateway_failures_total", "chain" => chain.to_string()).increment(1);
    tracing::warn!(
        target: "lockstep_gateway",
        chain, %error,
        "a rollup is left out of this round of blocks"
    );
}
