//! A round's turn: users' transactions come into its blocks until it is their time.

use crate::{
    Bell, Clock, GatewayError, Member, Sealer,
    decisions::{Decision, DecisionLog},
    pass::Pass,
    plan::{Plan, Planned},
    round::Round,
};
use alloy_primitives::ChainId;
use lockstep_derive::L1Provider;
use lockstep_protocol::UnionConfig;
use std::{collections::BTreeMap, time::Duration};

/// What a round needs of the gateway while it is filled.
pub(crate) struct Turn<'g, L1> {
    pub(crate) members: &'g BTreeMap<ChainId, Member<L1>>,
    pub(crate) union: &'g UnionConfig,
    pub(crate) plan: &'g Plan,
    pub(crate) sealer: Option<&'g mut Sealer>,
    pub(crate) log: Option<&'g mut DecisionLog>,
    /// What was decided about the blocks.
    pub(crate) unfinished: &'g mut Vec<Decision>,
    pub(crate) update_interval: Duration,
    pub(crate) block_time: Duration,
}

/// How a turn ended.
pub(crate) enum End {
    /// The blocks are to be completed.
    Due,
    /// Nothing is to be done any more.
    Stopped,
    /// The blocks can never become heads.
    Lost(GatewayError),
}

impl<L1: L1Provider> Turn<'_, L1> {
    /// Fills the blocks until it is their time: with what was decided before, if the round was begun before, and with what
    /// comes. What users are shown is in the log before.
    pub(crate) fn fill(
        mut self,
        round: &mut Round<'_>,
        clock: &dyn Clock,
        bell: &Bell,
    ) -> Result<End, GatewayError> {
        self.begin(round)?;
        let ends_at = Duration::from_secs(self.plan.timestamp);
        let (interval, is_open) = (self.update_interval, self.plan.is_open);
        // Somebody may set the clock back; then blocks come more slowly until it is the time that they say.
        let ends_anyway = clock.monotonic().saturating_add(2 * self.block_time);
        let mut due = clock.unix_time();
        let mut now = due;
        loop {
            if let Some(lost) = self.lost_parent(round) {
                return Ok(End::Lost(lost));
            }
            let mut is_cut_off = false;
            if self.may_fill(now) {
                let mut pass = Pass::new(clock, due, interval, ends_at);
                self.take(round, &mut pass)?;
                is_cut_off = pass.is_over();
            }
            now = clock.unix_time();
            if now >= ends_at || clock.monotonic() >= ends_anyway {
                return Ok(End::Due);
            }
            if bell.is_stopped() {
                return Ok(End::Stopped);
            }
            due = due.saturating_add(interval).max(now);
            if is_cut_off {
                continue;
            }
            let until = if interval.is_zero() || !is_open { ends_at } else { due.min(ends_at) };
            bell.wait(until.saturating_sub(now), is_open && interval.is_zero());
        }
    }

    fn begin(&mut self, round: &mut Round<'_>) -> Result<(), GatewayError> {
        if self.plan.is_resumed {
            round.replay(self.unfinished)?;
        } else {
            let begun = self.plan.begun(|chain| round.has(chain))?;
            if let Some(log) = &mut self.log {
                log.begin(begun.clone())?;
            }
            *self.unfinished = vec![Decision::Begin(begun)];
        }
        round.show();
        Ok(())
    }

    fn take(&mut self, round: &mut Round<'_>, pass: &mut Pass<'_>) -> Result<(), GatewayError> {
        let room = self.log.as_ref().map_or(u64::MAX, |log| log.room());
        let decisions = round.take_transactions(room, pass)?;
        if decisions.is_empty() {
            return Ok(());
        }
        if let Some(log) = &mut self.log {
            log.append(&decisions)?;
        }
        self.unfinished.extend(decisions);
        round.show();
        Ok(())
    }

    /// Whether users' transactions may come into the blocks now.
    fn may_fill(&mut self, now: Duration) -> bool {
        let slot = self.union.slot_at(self.plan.timestamp).filter(|_| self.plan.is_open);
        let Some(slot) = slot else { return false };
        let is_over = self.union.slot_at(now.as_secs()).is_some_and(|now| now > slot);
        !is_over && self.sealer.as_mut().is_none_or(|sealer| sealer.may_fill(slot).is_ok())
    }

    /// Why blocks that are open can never become heads: a follower, or another who makes blocks, has replaced what one of
    /// them stands on.
    fn lost_parent(&self, round: &Round<'_>) -> Option<GatewayError> {
        let is_lost = |planned: &&Planned| {
            let member = self.members.get(&planned.chain);
            let head = member.map(|member| member.sequencer.engine().view().head().seal());
            let is_open = round.has(planned.chain) && !planned.is_complete;
            is_open && head != Some(planned.parent)
        };
        let Planned { chain, parent, .. } = self.plan.blocks.iter().find(is_lost)?;
        Some(GatewayError::ParentGone { chain: *chain, parent: *parent })
    }
}
