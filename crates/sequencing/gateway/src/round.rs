//! One round: blocks of the same time on all rollups, filled with transactions as they come.

use crate::{
    GatewayError, Preconfirmed, RoundReport,
    agreement::Estranged,
    allowance::Allowance,
    budget::{Fit, SlotBudget},
    decisions::{Decision, Taken, decision, entry_bytes},
    filling::{Callers, Filling, Harvest, Limits, PausedFilling, Source, Tried, Waiting},
    pass::Pass,
};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, ChainId, U256, map::B256Map};
use lockstep_chain::Rollup;
use lockstep_engine::{FilledBlock, JointRefusal, OpenBlock, OpenUnion, Refusal, push_jointly};
use lockstep_pool::PoolTransaction;
use lockstep_union::{PartSizes, SuperId};
use op_alloy_consensus::OpTxEnvelope;
use std::{cell::RefCell, collections::BTreeMap, panic::resume_unwind, thread};

/// Blocks of the same time that are being filled.
pub(crate) struct Round<'a> {
    blocks: BTreeMap<ChainId, Filling<'a>>,
    failed: Vec<(ChainId, GatewayError)>,
    next: SuperId,
    /// What is not in the log yet.
    decisions: Vec<Decision>,
    /// How much more the log takes.
    log_room: Allowance,
    estranged: Estranged,
    budget: SlotBudget,
    /// Super transactions for which the last pass had no time.
    waiting: Callers,
    super_transactions: usize,
}

/// Why a transaction was not taken.
struct Refused {
    reason: String,
    /// No block takes it.
    is_final: bool,
    /// A rollup that it calls has no block.
    lacks: Option<ChainId>,
}

impl Refused {
    fn for_now(reason: &(impl ToString + ?Sized)) -> Self {
        Self { reason: reason.to_string(), is_final: false, lacks: None }
    }
}

impl<'a> Round<'a> {
    /// Begins the blocks with what their attributes demand, as far as that can be executed. Super transactions follow
    /// `newest`, as Gates keep it.
    pub(crate) fn new(
        opened: &'a BTreeMap<ChainId, OpenBlock<Rollup>>,
        mut sources: BTreeMap<ChainId, Source<'a>>,
        (slot, newest): (u64, U256),
        budget: SlotBudget,
    ) -> Self {
        let next = after(newest).max(SuperId { slot, index: 0 });
        let (mut blocks, mut failed) = (BTreeMap::new(), Vec::new());
        for (chain, open) in opened {
            let Some(source) = sources.remove(chain) else { continue };
            match Filling::begin(*chain, open, source) {
                Ok(filling) => drop(blocks.insert(*chain, filling)),
                Err(error) => failed.push((*chain, error)),
            }
        }
        let (decisions, log_room, waiting, estranged) = Default::default();
        Self {
            blocks,
            failed,
            next,
            decisions,
            log_room,
            estranged,
            budget,
            waiting,
            super_transactions: 0,
        }
    }

    /// Lets no super transaction go on to rollups that are estranged from one it may go on to.
    pub(crate) fn keep_apart(&mut self, estranged: &Estranged) {
        self.estranged = estranged.clone();
    }

    /// The rollups whose blocks could not be begun.
    pub(crate) fn take_failed(&mut self) -> Vec<(ChainId, GatewayError)> {
        std::mem::take(&mut self.failed)
    }

    /// Does again what was decided before.
    pub(crate) fn replay(&mut self, decisions: &[Decision]) -> Result<(), GatewayError> {
        for decision in decisions {
            let Decision::Take(taken) = decision else { continue };
            let Taken { home, id, is_joint, transaction } = taken;
            let malformed = |error: &dyn std::fmt::Display| {
                GatewayError::Malformed(format!("a transaction of rollup {home}: {error}"))
            };
            let transaction =
                OpTxEnvelope::decode_2718_exact(transaction).map_err(|error| malformed(&error))?;
            let sender = transaction.recover_signer().map_err(|error| malformed(&error))?;
            let refused = if *is_joint {
                self.next = self.next.max(*id);
                self.push_super(*home, &transaction, sender, true)?
            } else {
                self.push(*home, &transaction, sender)?
            };
            if let Some(Refused { reason, .. }) = refused {
                // The same blocks, begun in the same way, refuse what they took: something is broken.
                tracing::error!(
                    target: "lockstep_gateway",
                    chain = home, hash = %transaction.tx_hash(), reason,
                    "a transaction that users had been shown cannot be executed again"
                );
            }
        }
        // They are written down already.
        self.decisions.clear();
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(crate) fn has(&self, chain: ChainId) -> bool {
        self.blocks.contains_key(&chain)
    }

    /// Executes what waits in the pools until the pass is over: first what concerns one rollup alone, then what calls
    /// others. Returns what was decided, which is no more than `room` bytes in the log.
    pub(crate) fn take_transactions(
        &mut self,
        room: u64,
        pass: &mut Pass<'_>,
    ) -> Result<Vec<Decision>, GatewayError> {
        self.log_room = Allowance::new(room);
        let waiting = std::mem::take(&mut self.waiting);
        self.take_callers_of_peers(waiting, pass)?;
        let mut callers = self.take_ordinary(pass)?;
        // Whoever had to wait most often may wait for ever, and must not keep others from being tried.
        callers.sort_by_cached_key(|(home, pooled)| {
            let waiting = self.blocks.get(home)?.desk.source.callers.get(&pooled.hash)?;
            Some(waiting.tries)
        });
        self.take_callers_of_peers(callers, pass)?;
        Ok(std::mem::take(&mut self.decisions))
    }

    /// Executes what concerns one rollup alone, the rollups side by side. Returns what calls others.
    fn take_ordinary(&mut self, pass: &mut Pass<'_>) -> Result<Callers, GatewayError> {
        let mut callers = Callers::new();
        if pass.is_over() {
            return Ok(callers);
        }
        let busy = self.blocks.iter_mut().filter_map(|(chain, it)| it.has_work().then_some(*chain));
        let busy: Vec<ChainId> = busy.collect();
        let blocks = busy.len();
        let limits = Limits { log: &self.log_room, budget: &self.budget, blocks };
        let mut harvests = Vec::new();
        if let [chain] = busy[..] {
            if let Some(filling) = self.blocks.get_mut(&chain) {
                harvests.push(filling.take_ordinary(chain, limits, pass));
            }
        } else {
            let busy = busy
                .into_iter()
                .filter_map(|chain| Some((chain, self.blocks.remove(&chain)?.pause())));
            let busy: Vec<_> = busy.collect();
            for (chain, filling, harvest, own) in side_by_side(busy, limits, pass) {
                self.blocks.insert(chain, filling.resume());
                pass.join(&own);
                harvests.push(harvest);
            }
        }
        for harvest in harvests {
            let Harvest { decisions, callers: found } = harvest?;
            self.decisions.extend(decisions);
            callers.extend(found);
        }
        Ok(callers)
    }

    /// Executes transactions that call others; those for which the pass has no time wait for the next.
    fn take_callers_of_peers(
        &mut self,
        callers: Callers,
        pass: &mut Pass<'_>,
    ) -> Result<(), GatewayError> {
        for (home, pooled) in callers {
            if pass.is_over() {
                self.waiting.push((home, pooled));
            } else {
                self.take_caller(home, &pooled, pass)?;
            }
        }
        Ok(())
    }

    fn take_caller(
        &mut self,
        home: ChainId,
        pooled: &PoolTransaction<Rollup>,
        pass: &mut Pass<'_>,
    ) -> Result<(), GatewayError> {
        let lacks = self.blocks.get(&home).and_then(|it| it.lacks(pooled));
        let lacks = lacks.filter(|peer| !self.takes_transactions(*peer));
        let Some(filling) = self.blocks.get_mut(&home).filter(|it| !it.is_settled(pooled)) else {
            return Ok(());
        };
        if lacks.is_some() {
            filling.refuse_caller(pooled, "a rollup that it calls has no block", Tried::Not);
            return Ok(());
        }
        if !filling.tries_callers() {
            filling.refuse_caller(pooled, "too many others were executed for nothing", Tried::Not);
            return Ok(());
        }
        match self.budget.fit(&pooled.consensus()) {
            Fit::Fits => {}
            Fit::Later => {
                filling.refuse_caller(pooled, "the slot's batch has no room", Tried::Not);
                return Ok(());
            }
            Fit::Never => {
                filling.give_up(pooled, "no batch has room");
                return Ok(());
            }
        }
        let lost = filling.builder.wasted_gas();
        let used = |round: &Self| {
            round.blocks.values().map(|it| it.builder.gas_used()).fold(0, u64::saturating_add)
        };
        let before = used(self);
        let tried = self.try_super(home, pooled);
        let used = used(self).saturating_sub(before);
        let Some(filling) = self.blocks.get_mut(&home) else { return Ok(()) };
        pass.count(used.max(filling.builder.wasted_gas().saturating_sub(lost)));
        match tried.inspect_err(|error| filling.give_up_failing(pooled, error))? {
            Some(Refused { reason, is_final: true, .. }) => filling.give_up(pooled, &reason),
            Some(Refused { reason, lacks, .. }) => {
                let tried = lacks.map_or(Tried::InVain, Tried::UpTo);
                filling.refuse_caller(pooled, &reason, tried);
            }
            None => {}
        }
        Ok(())
    }

    /// Whether a rollup has a block that takes users' transactions.
    fn takes_transactions(&self, chain: ChainId) -> bool {
        self.blocks.get(&chain).is_some_and(Filling::takes_transactions)
    }

    /// Shows users the blocks, if one has changed: those of all rollups at once.
    pub(crate) fn show(&mut self) {
        if !self.blocks.values().any(|filling| filling.desk.has_changed) {
            return;
        }
        let updates: Vec<_> = self.blocks.values_mut().filter_map(Filling::update).collect();
        Preconfirmed::show_all(&updates);
    }

    /// What became known of transactions that call others and are still waiting.
    pub(crate) fn take_callers(&mut self) -> BTreeMap<ChainId, B256Map<Waiting>> {
        let callers = |(chain, filling): (&ChainId, &mut Filling<'_>)| {
            let mut callers = std::mem::take(&mut filling.desk.source.callers);
            callers.retain(|hash, _| filling.desk.source.pool.contains(hash));
            (*chain, callers)
        };
        self.blocks.iter_mut().map(callers).collect()
    }

    /// Ends the blocks.
    pub(crate) fn finish(
        self,
    ) -> Result<(BTreeMap<ChainId, FilledBlock<Rollup>>, RoundReport), GatewayError> {
        let mut report =
            RoundReport { super_transactions: self.super_transactions, ..RoundReport::default() };
        let mut filled = BTreeMap::new();
        for (chain, filling) in self.blocks {
            let header = filling.builder.header();
            report.timestamp = header.timestamp;
            report.gas_used = report.gas_used.saturating_add(filling.builder.gas_used());
            report.wasted_gas = report.wasted_gas.saturating_add(filling.lost_gas());
            filled.insert(chain, filling.builder.fill().map_err(GatewayError::build(chain))?);
        }
        Ok((filled, report))
    }

    /// Takes an ordinary transaction that was taken before; why not, if it is refused.
    fn push(
        &mut self,
        home: ChainId,
        transaction: &OpTxEnvelope,
        sender: Address,
    ) -> Result<Option<Refused>, GatewayError> {
        let Some(filling) = self.blocks.get_mut(&home) else {
            return Ok(Some(Refused::for_now("its rollup has no block")));
        };
        match filling.builder.push(transaction.clone(), sender, None) {
            Ok(_) => {
                filling.took(transaction, sender);
                self.budget.take(transaction, &PartSizes::new());
                Ok(None)
            }
            Err(Refusal::Failed(error)) => Err(GatewayError::build(home)(error)),
            Err(refusal) => Ok(Some(Refused::for_now(&refusal))),
        }
    }

    /// As [`Self::push_super`], if the log and the slot's batch take it.
    fn try_super(
        &mut self,
        home: ChainId,
        pooled: &PoolTransaction<Rollup>,
    ) -> Result<Option<Refused>, GatewayError> {
        let transaction = pooled.consensus();
        if entry_bytes(&transaction) > self.log_room.left() {
            return Ok(Some(Refused::for_now("the log of decisions is full")));
        }
        self.push_super(home, &transaction, pooled.sender, false)
    }

    /// Takes a transaction that calls other rollups; why not, if it is refused. What `is_decided` is not refused for
    /// want of room in the slot's batch.
    fn push_super(
        &mut self,
        home: ChainId,
        transaction: &OpTxEnvelope,
        sender: Address,
        is_decided: bool,
    ) -> Result<Option<Refused>, GatewayError> {
        let (budget, estranged) = (&self.budget, &self.estranged);
        let measured = RefCell::new((PartSizes::new(), budget.fit(transaction)));
        let accepts = |parts: &PartSizes| {
            let fit = budget.fit_with(transaction, parts);
            *measured.borrow_mut() = (parts.clone(), fit);
            let is_apart = estranged.are_among(parts.keys().copied().chain([home]));
            is_decided || (fit == Fit::Fits && !is_apart)
        };
        // What was shown stays, whatever has come between the rollups since.
        let may_join = |chain: &ChainId| is_decided || !estranged.are_among([home, *chain]);
        let open = self.blocks.iter_mut();
        let open = open.filter(|(chain, it)| it.takes_transactions() && may_join(chain));
        let mut open: OpenUnion<'_, '_> =
            open.map(|(chain, it)| (*chain, &mut it.builder)).collect();
        let joined = push_jointly(&mut open, self.next, home, transaction, sender, &accepts);
        let (parts, fit) = measured.into_inner();
        let joined = match joined {
            Ok(joined) => joined,
            Err(JointRefusal::Home(Refusal::Failed(error))) => {
                return Err(GatewayError::build(home)(error));
            }
            Err(refusal) => {
                let is_final = fit == Fit::Never
                    || matches!(refusal, JointRefusal::Home(Refusal::TooLarge(_)));
                let lacks = match refusal {
                    // One that has a block is estranged from the home.
                    JointRefusal::NoBlock(peer) if !self.takes_transactions(peer) => Some(peer),
                    _ => None,
                };
                return Ok(Some(Refused { reason: refusal.to_string(), is_final, lacks }));
            }
        };
        self.budget.take(transaction, &parts);
        self.log_room.spend(entry_bytes(transaction));
        self.decisions.push(decision(home, Some(self.next), transaction));
        self.next.index = self.next.index.saturating_add(1);
        self.super_transactions += 1;
        for chain in joined.keys() {
            if let Some(filling) = self.blocks.get_mut(chain) {
                filling.desk.has_changed = true;
            }
        }
        if let Some(filling) = self.blocks.get_mut(&home) {
            filling.took(transaction, sender);
        }
        Ok(None)
    }
}

/// What a thread comes back with.
type Worked<'a, 'c> = (ChainId, PausedFilling<'a>, Result<Harvest, GatewayError>, Pass<'c>);

/// Takes what waits in the pools of several rollups, each on a thread of its own.
fn side_by_side<'a, 'c>(
    busy: Vec<(ChainId, PausedFilling<'a>)>,
    limits: Limits<'_>,
    pass: &Pass<'c>,
) -> Vec<Worked<'a, 'c>> {
    thread::scope(|scope| {
        let work = |(chain, paused): (ChainId, PausedFilling<'a>)| {
            let mut pass = pass.clone();
            scope.spawn(move || {
                let mut filling = paused.resume();
                let harvest = filling.take_ordinary(chain, limits, &mut pass);
                (chain, filling.pause(), harvest, pass)
            })
        };
        let threads: Vec<_> = busy.into_iter().map(work).collect();
        let worked = threads.into_iter().map(|thread| thread.join());
        worked.map(|worked| worked.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// The super transaction after the newest one of a rollup, as the Gate keeps it; the Gate's 0 is none, so
/// there is no super transaction 0 of slot 0.
fn after(newest: U256) -> SuperId {
    let index = newest.as_limbs().first().copied().unwrap_or_default();
    SuperId { slot: (newest >> 64_usize).saturating_to(), index: index.saturating_add(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn super_transactions_follow_the_newest_one() {
        let newest = (U256::from(7) << 64_usize) | U256::from(4);
        assert_eq!(after(newest), SuperId { slot: 7, index: 5 });
        assert_eq!(after(U256::ZERO), SuperId { slot: 0, index: 1 });
    }
}
