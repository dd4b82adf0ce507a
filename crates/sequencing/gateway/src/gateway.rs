//! The gateway: which rollups get a block next, and when.

use crate::{
    Bell, Clock, GatewayError, Preconfirmed, Sequencer,
    decisions::{Begun, Decision, DecisionLog},
    round::Round,
};
use alloy_primitives::{B256, ChainId};
use lockstep_chain::Rollup;
use lockstep_derive::L1Provider;
use lockstep_engine::{FilledBlock, OpenBlock};
use lockstep_pool::Pool;
use lockstep_protocol::UnionConfig;
use metrics::{counter, gauge};
use op_alloy_rpc_types_engine::OpPayloadAttributes;
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

/// How a gateway works.
#[derive(Clone, Copy, Debug)]
pub struct GatewaySettings {
    /// How often users are shown what was executed; zero: whenever something was.
    pub update_interval: Duration,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self { update_interval: Duration::from_millis(100) }
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
}

/// Makes the blocks of a union's rollups, all of the same time together.
#[derive(Debug)]
pub struct Gateway<L1> {
    members: BTreeMap<ChainId, Member<L1>>,
    union: UnionConfig,
    block_time: u64,
    settings: GatewaySettings,
    log: Option<DecisionLog>,
    /// What was decided about blocks that are not complete, by this gateway or one before it.
    unfinished: Vec<Decision>,
}

/// Blocks that are to be made together, and whether users' transactions may come in.
struct Plan {
    timestamp: u64,
    blocks: Vec<Planned>,
    is_open: bool,
}

/// A block to make.
struct Planned {
    chain: ChainId,
    parent: B256,
    attributes: OpPayloadAttributes,
}

type Opened = BTreeMap<ChainId, OpenBlock<Rollup>>;

impl<L1: L1Provider> Gateway<L1> {
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
        let members =
            members.into_iter().map(|it| (it.sequencer.config().l2_chain_id, it)).collect();
        Ok(Self { members, union, block_time, settings, log, unfinished })
    }

    /// Makes one block for each rollup that is due next, and returns when they are complete: for blocks
    /// of the future at their time, for those of the past at once. Returns nothing when `bell` is stopped
    /// before; the round then goes on when a gateway is started with the same log.
    ///
    /// A rollup that cannot begin a block is left out; when it can again, it gets the blocks that it
    /// missed, without users' transactions. Without them, too, are blocks of slots that are over.
    ///
    /// # Errors
    /// When no rollup can begin a block, or one fails that had begun. The next call goes on.
    pub fn make_blocks(
        &mut self,
        clock: &dyn Clock,
        bell: &Bell,
    ) -> Result<Option<RoundReport>, GatewayError> {
        self.abandon_lost_round()?;
        let plan = match self.resume()? {
            Some(plan) => plan,
            None => self.begin(clock)?,
        };
        let mut opened = Opened::new();
        for Planned { chain, parent, attributes } in plan.blocks {
            let engine = self.member(chain)?.sequencer.engine();
            let open =
                engine.open_block(parent, &attributes).map_err(GatewayError::engine(chain))?;
            opened.insert(chain, open);
        }
        let members: BTreeMap<_, _> = self
            .members
            .iter()
            .filter(|(chain, _)| opened.contains_key(*chain))
            .map(|(chain, member)| (*chain, (&member.pool, &*member.shown)))
            .collect();
        let mut round = Round::new(&opened, &members, &self.union, plan.timestamp)?;
        round.replay(&self.unfinished)?;
        round.show();
        let mut keep = |decisions: Vec<Decision>| {
            if let Some(log) = &mut self.log {
                log.append(&decisions)?;
            }
            self.unfinished.extend(decisions);
            Ok(())
        };
        let ends_at = Duration::from_secs(plan.timestamp);
        let interval = self.settings.update_interval;
        let mut due = clock.unix_time();
        loop {
            if plan.is_open {
                round.take_transactions()?;
                let decisions = round.take_decisions();
                if !decisions.is_empty() {
                    keep(decisions)?;
                    round.show();
                }
            }
            let now = clock.unix_time();
            if now >= ends_at {
                break;
            }
            if bell.is_stopped() {
                return Ok(None);
            }
            due = due.saturating_add(interval).max(now);
            let until =
                if interval.is_zero() || !plan.is_open { ends_at } else { due.min(ends_at) };
            bell.wait(until.saturating_sub(now), plan.is_open && interval.is_zero());
        }
        let (filled, mut report) = round.finish()?;
        self.close(opened, filled, &mut report)?;
        Ok(Some(report))
    }

    /// Completes the blocks, and makes them the heads of their rollups.
    fn close(
        &mut self,
        opened: Opened,
        mut filled: BTreeMap<ChainId, FilledBlock<Rollup>>,
        report: &mut RoundReport,
    ) -> Result<(), GatewayError> {
        for (chain, open) in opened {
            let Some(filled) = filled.remove(&chain) else { continue };
            let member = self.member(chain)?;
            let engine = member.sequencer.engine();
            let parent = open.header().parent_hash;
            let closed = engine.close_block(open, filled).map_err(GatewayError::engine(chain))?;
            let hash = closed.block.hash();
            // A gateway that was killed may have completed some of its blocks.
            if engine.view().head().seal() == parent {
                engine.extend(parent, hash).map_err(GatewayError::engine(chain))?;
            }
            member.shown.show(None);
            report.blocks.insert(chain, hash);
        }
        self.unfinished.clear();
        counter!("lockstep_gateway_rounds_total").increment(1);
        counter!("lockstep_gateway_super_transactions_total")
            .increment(report.super_transactions as u64);
        counter!("lockstep_gateway_gas_total").increment(report.gas_used);
        Ok(())
    }

    fn member(&self, chain: ChainId) -> Result<&Member<L1>, GatewayError> {
        self.members.get(&chain).ok_or(GatewayError::NoUnion(chain))
    }

    /// The round that was begun and is not complete.
    fn resume(&self) -> Result<Option<Plan>, GatewayError> {
        let Some(Decision::Begin(begun)) = self.unfinished.first() else { return Ok(None) };
        let mut plan = Plan { timestamp: 0, blocks: Vec::new(), is_open: true };
        for Begun { chain, parent, attributes } in begun {
            let attributes: OpPayloadAttributes = serde_json::from_slice(attributes)
                .map_err(|error| GatewayError::Malformed(error.to_string()))?;
            plan.timestamp = attributes.payload_attributes.timestamp;
            plan.blocks.push(Planned { chain: *chain, parent: *parent, attributes });
        }
        Ok((!plan.blocks.is_empty()).then_some(plan))
    }

    /// Forgets the round that is not complete if a block that it stands on is gone: then L1 was
    /// reorganised, or the power was lost.
    fn abandon_lost_round(&mut self) -> Result<(), GatewayError> {
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
                counter!("lockstep_gateway_abandoned_rounds_total").increment(1);
                tracing::error!(
                    target: "lockstep_gateway",
                    chain, %parent, transactions = self.unfinished.len() - 1,
                    "gave up blocks that users had been shown: the block below them is gone"
                );
                self.unfinished.clear();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Plans a round, and writes down that it begins.
    fn begin(&mut self, clock: &dyn Clock) -> Result<Plan, GatewayError> {
        let plan = self.plan(clock.unix_time().as_secs())?;
        let mut begun = Vec::with_capacity(plan.blocks.len());
        for Planned { chain, parent, attributes } in &plan.blocks {
            let attributes = serde_json::to_vec(attributes)
                .map_err(|error| GatewayError::Malformed(error.to_string()))?;
            begun.push(Begun { chain: *chain, parent: *parent, attributes: attributes.into() });
        }
        if let Some(log) = &mut self.log {
            log.begin(begun.clone())?;
        }
        self.unfinished = vec![Decision::Begin(begun)];
        Ok(plan)
    }

    /// The blocks that are due next: those of the rollups that are furthest behind.
    fn plan(&mut self, now: u64) -> Result<Plan, GatewayError> {
        let mut placed = Vec::new();
        let mut first_error = None;
        let mut rewound_to: Option<u64> = None;
        for (chain, member) in &mut self.members {
            let before = member.sequencer.engine().view().head();
            match member.sequencer.place() {
                Ok((parent, attributes)) => {
                    if parent.block.number < before.number {
                        let to = parent.block.timestamp;
                        rewound_to = Some(rewound_to.map_or(to, |other| other.min(to)));
                    }
                    placed.push(Planned { chain: *chain, parent: parent.block.hash, attributes });
                }
                Err(source) => {
                    counter!("lockstep_gateway_failures_total", "chain" => chain.to_string())
                        .increment(1);
                    tracing::warn!(
                        target: "lockstep_gateway",
                        chain, error = %source,
                        "a rollup is left out of this round of blocks"
                    );
                    first_error.get_or_insert(GatewayError::Sequencer {
                        chain: *chain,
                        source: Box::new(source),
                    });
                }
            }
        }
        if let Some(to) = rewound_to
            && self.rewind_others(to)?
        {
            // What stands on what has changed.
            return self.plan(now);
        }
        let time = |planned: &Planned| planned.attributes.payload_attributes.timestamp;
        let Some(timestamp) = placed.iter().map(time).min() else {
            return Err(first_error.unwrap_or(GatewayError::NoUnion(0)));
        };
        let count = placed.len();
        placed.retain(|planned| time(planned) == timestamp);
        let is_current = self.union.slot_at(timestamp) >= self.union.slot_at(now);
        gauge!("lockstep_gateway_lag_seconds").set(now.saturating_sub(timestamp) as f64);
        Ok(Plan { timestamp, is_open: is_current && placed.len() == count, blocks: placed })
    }

    /// Takes the blocks after `timestamp` back of those rollups that still have them: what one rollup
    /// lost, its peers must lose, since they may have called each other. Whether there were any.
    fn rewind_others(&self, timestamp: u64) -> Result<bool, GatewayError> {
        let mut has_rewound = false;
        for (chain, member) in &self.members {
            let engine = member.sequencer.engine();
            let snapshot = engine.view().snapshot();
            let head = snapshot.head();
            let blocks = head.timestamp.saturating_sub(timestamp) / self.block_time.max(1);
            if blocks == 0 {
                continue;
            }
            let number = head.number.saturating_sub(blocks);
            let to = snapshot
                .hash(number)
                .map_err(|source| GatewayError::Storage { chain: *chain, source })?;
            let Some(to) = to else { continue };
            engine.rewind_from(head.seal(), to).map_err(GatewayError::engine(*chain))?;
            tracing::warn!(
                target: "lockstep_gateway",
                chain, from = head.number, to = number,
                "took blocks back because a peer lost its blocks of the same time"
            );
            has_rewound = true;
        }
        Ok(has_rewound)
    }
}
