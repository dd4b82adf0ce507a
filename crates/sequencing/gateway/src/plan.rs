//! Which blocks a round makes, and what they stand on.

use crate::{
    Clock, Gateway, GatewayError,
    agreement::{Disagreement, disagreement},
    decisions::{Begun, Decision},
    engines::rewind,
    gateway::leave_out,
};
use alloy_primitives::{B256, ChainId};
use lockstep_derive::L1Provider;
use lockstep_engine::EngineError;
use metrics::{counter, gauge};
use op_alloy_rpc_types_engine::OpPayloadAttributes;
use std::{collections::BTreeMap, time::Duration};

/// How long an L1 may take to say nothing. After that it is not asked for a while, so that blocks are not late.
const L1_PATIENCE: Duration = Duration::from_secs(1);
const L1_PAUSE: Duration = Duration::from_secs(10);

/// Blocks that are to be made together.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) timestamp: u64,
    pub(crate) blocks: Vec<Planned>,
    /// Whether users' transactions may come in while the slot lasts.
    pub(crate) is_open: bool,
    /// Whether the round was begun before.
    pub(crate) is_resumed: bool,
}

/// A block to make.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) chain: ChainId,
    pub(crate) parent: B256,
    pub(crate) attributes: OpPayloadAttributes,
    /// Whether the rollup has the block already: a gateway was killed before it had made all heads.
    pub(crate) is_complete: bool,
}

impl Planned {
    const fn timestamp(&self) -> u64 {
        self.attributes.payload_attributes.timestamp
    }
}

impl Plan {
    /// The blocks of the round, of those rollups that are in it, as the log keeps them.
    pub(crate) fn begun(
        &self,
        is_in: impl Fn(ChainId) -> bool,
    ) -> Result<Vec<Begun>, GatewayError> {
        let begun = |planned: &Planned| {
            let attributes = serde_json::to_vec(&planned.attributes)
                .map_err(|error| GatewayError::Malformed(error.to_string()))?;
            let Planned { chain, parent, .. } = *planned;
            Ok(Begun { chain, parent, attributes: attributes.into() })
        };
        self.blocks.iter().filter(|planned| is_in(planned.chain)).map(begun).collect()
    }
}

impl<L1: L1Provider + Send> Gateway<L1> {
    /// The round that was begun and is not complete. It takes further transactions only before its time, and
    /// while no rollup has its block: that is what it is.
    pub(crate) fn resume(&self, now: Duration) -> Result<Option<Plan>, GatewayError> {
        let Some(Decision::Begin(begun)) = self.unfinished.first() else { return Ok(None) };
        let mut plan = Plan { timestamp: 0, blocks: Vec::new(), is_open: true, is_resumed: true };
        for Begun { chain, parent, attributes } in begun {
            let attributes: OpPayloadAttributes = serde_json::from_slice(attributes)
                .map_err(|error| GatewayError::Malformed(error.to_string()))?;
            let head = self.member(*chain)?.sequencer.engine().view().head().seal();
            let (chain, parent, is_complete) = (*chain, *parent, head != *parent);
            let planned = Planned { chain, parent, attributes, is_complete };
            plan.timestamp = planned.timestamp();
            plan.is_open &= !is_complete && now < Duration::from_secs(plan.timestamp);
            plan.blocks.push(planned);
        }
        Ok((!plan.blocks.is_empty()).then_some(plan))
    }

    /// Forgets the round that is not complete if a block that it stands on is gone: then L1 was
    /// reorganised, or the power was lost.
    pub(crate) fn abandon_lost_round(&mut self) -> Result<(), GatewayError> {
        let Some(Decision::Begin(begun)) = self.unfinished.first() else { return Ok(()) };
        for Begun { chain, parent, .. } in begun {
            let is_there = match self.members.get(chain) {
                Some(member) => {
                    let snapshot = member.sequencer.engine().view().snapshot();
                    let found = snapshot.number(parent).and_then(|number| match number {
                        Some(number) => Ok(snapshot.hash(number)? == Some(*parent)),
                        None => Ok(false),
                    });
                    found.map_err(|source| GatewayError::Storage { chain: *chain, source })?
                }
                None => false,
            };
            if !is_there {
                let lost = GatewayError::ParentGone { chain: *chain, parent: *parent };
                self.abandon(&lost);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Gives up the round that is not complete.
    pub(crate) fn abandon(&mut self, reason: &GatewayError) {
        counter!("lockstep_gateway_abandoned_rounds_total").increment(1);
        tracing::error!(
            target: "lockstep_gateway",
            %reason, transactions = self.unfinished.len().saturating_sub(1),
            "gave up blocks that users had been shown"
        );
        if let Some(Decision::Begin(begun)) = self.unfinished.first() {
            for member in begun.iter().filter_map(|begun| self.members.get(&begun.chain)) {
                member.shown.clear();
            }
        }
        self.unfinished.clear();
    }

    /// The blocks that are due next: those of the rollups that are furthest behind, unless the others'
    /// blocks are overdue.
    pub(crate) fn plan(&mut self, clock: &dyn Clock) -> Result<Plan, GatewayError> {
        let mut placed = self.place(clock);
        // Each turn takes blocks back, so there is a last one.
        while self.take_back_disagreement()? {
            // What stands on what has changed.
            placed = self.place(clock);
        }
        // Only now: L1 may have taken its time.
        let now = clock.unix_time().as_secs();
        let (mut blocks, first_error) = placed;
        let times = || blocks.iter().map(Planned::timestamp);
        let (Some(first), Some(last)) = (times().min(), times().max()) else {
            return Err(first_error.unwrap_or(GatewayError::NoMembers));
        };
        let timestamp = if last <= now { last } else { first };
        blocks.retain(|planned| planned.timestamp() == timestamp);
        let is_open = timestamp == last;
        gauge!("lockstep_gateway_lag_seconds").set(now.saturating_sub(first) as f64);
        Ok(Plan { timestamp, blocks, is_open, is_resumed: false })
    }

    /// What each rollup's next block stands on and begins with, and why the first has none that has none.
    fn place(&mut self, clock: &dyn Clock) -> (Vec<Planned>, Option<GatewayError>) {
        let (mut placed, mut first_error) = (Vec::new(), None);
        for (chain, member) in &mut self.members {
            let chain = *chain;
            let begun = clock.monotonic();
            let outcome = if begun < self.l1_silent_until {
                member.sequencer.place_without_l1()
            } else {
                let outcome = member.sequencer.place();
                let now = clock.monotonic();
                if member.sequencer.is_l1_silent() && now.saturating_sub(begun) >= L1_PATIENCE {
                    self.l1_silent_until = now.saturating_add(L1_PAUSE);
                }
                outcome
            };
            match outcome {
                Ok((parent, mut attributes)) => {
                    let parent = parent.block.hash;
                    if self.sealer.as_ref().is_some_and(|sealer| sealer.is_late(chain)) {
                        // As in a block of a fork: L1's deposits alone, also in super transactions of others.
                        attributes.no_tx_pool = Some(true);
                    }
                    placed.push(Planned { chain, parent, attributes, is_complete: false });
                }
                Err(error) => {
                    leave_out(chain, &error);
                    let source = Box::new(error);
                    first_error.get_or_insert(GatewayError::Sequencer { chain, source });
                }
            }
        }
        (placed, first_error)
    }

    /// Takes blocks back so that no super transaction stands on one rollup and not on the other: L1 may have
    /// been reorganised under some of them, or a follower have derived other blocks. Whether there were any.
    fn take_back_disagreement(&mut self) -> Result<bool, GatewayError> {
        let snapshot = |member: &crate::Member<L1>| member.sequencer.engine().view().snapshot();
        let snapshots: BTreeMap<_, _> =
            self.members.iter().map(|(chain, member)| (*chain, snapshot(member))).collect();
        let heads: BTreeMap<_, _> =
            snapshots.iter().map(|(chain, snapshot)| (*chain, snapshot.head().seal())).collect();
        if heads == self.agreed.heads {
            return Ok(false);
        }
        let Disagreement { lost, estranged } = disagreement(&snapshots)?;
        gauge!("lockstep_gateway_estranged_pairs").set(estranged.count() as f64);
        self.agreed.estranged = estranged;
        for (chain, (head, to)) in &lost {
            let engine = self.member(*chain)?.sequencer.engine();
            match rewind(engine, *head, *to) {
                Ok(()) => {}
                // What was found out about one chain must not be done to another.
                Err(EngineError::HeadMoved { .. } | EngineError::Safe { .. }) => return Ok(true),
                Err(error) => return Err(GatewayError::engine(*chain)(error)),
            }
            counter!("lockstep_gateway_rewound_blocks_total").increment(1);
            tracing::warn!(
                target: "lockstep_gateway",
                chain, from = %head, %to,
                "took blocks back because a peer has lost what they had to do with"
            );
        }
        if lost.is_empty() {
            self.agreed.heads = heads;
        }
        Ok(!lost.is_empty())
    }
}
