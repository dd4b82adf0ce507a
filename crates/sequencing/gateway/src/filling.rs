//! One rollup's block while it is filled.

use crate::{
    GatewayError, Preconfirmed,
    allowance::Allowance,
    budget::{Fit, SlotBudget},
    decisions::{Decision, decision, entry_bytes},
    pass::Pass,
    preconfirmed::Update,
};
use alloy_consensus::{BlockHeader, Transaction};
use alloy_primitives::{
    Address, ChainId,
    map::{AddressMap, AddressSet, B256Map, B256Set},
};
use lockstep_chain::Rollup;
use lockstep_engine::{
    BlockBuilder, MAX_MISFITS, MIN_TRANSACTION_GAS, OpenBlock, PausedBuilder, PendingBlock,
    PoolBatch, Refusal, Turn, Turns,
};
use lockstep_pool::{BestTransactions, Pool, PoolStatus, PoolTransaction};
use op_alloy_consensus::OpTxEnvelope;
use std::{
    iter,
    sync::{Arc, atomic::AtomicBool},
};
use tokio::sync::broadcast::{self, error::TryRecvError};

/// How many super transactions of a rollup are executed in a round for nothing.
const MAX_REFUSED_CALLERS: usize = 64;

/// In how many rounds a super transaction may be executed for nothing before it is given up.
const MAX_TRIES: u32 = 64;

/// When a block's worth of gas was used for nothing, transactions that may use more than this part of a block's
/// gas wait for another round.
const CAUTIOUS_SHARE: u64 = 64;

/// Nothing cancels the blocks of a round.
static NEVER: AtomicBool = AtomicBool::new(false);

/// What a round needs of a rollup besides its block.
pub(crate) struct Source<'a> {
    pub(crate) pool: &'a Pool<Rollup>,
    /// Where users see the block; none for one that is complete already.
    pub(crate) shown: Option<&'a Preconfirmed>,
    /// Transactions that are known to call others, and what they wait for.
    pub(crate) callers: B256Map<Waiting>,
}

/// What is known of a transaction that calls others and is in no block yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// In how many rounds it was executed for nothing.
    pub(crate) tries: u32,
    /// A rollup that it calls, and that had no block when it was executed last.
    pub(crate) lacks: Option<ChainId>,
}

/// Why a super transaction was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    /// It was not executed.
    Not,
    /// It was executed for nothing.
    InVain,
    /// As far as to where it calls this rollup, which has no block.
    UpTo(ChainId),
}

/// Transactions that call others, with their rollups.
pub(crate) type Callers = Vec<(ChainId, Arc<PoolTransaction<Rollup>>)>;

/// What bounds that a block is filled from the pool, besides the block.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'l> {
    /// Of the log of decisions.
    pub(crate) log: &'l Allowance,
    pub(crate) budget: &'l SlotBudget,
    /// How many blocks are filled at the same time.
    pub(crate) blocks: usize,
}

/// What was taken from a pool.
#[derive(Default)]
pub(crate) struct Harvest {
    /// What was decided.
    pub(crate) decisions: Vec<Decision>,
    /// Transactions that are to be executed jointly.
    pub(crate) callers: Callers,
}

/// A pool's transactions, best first, and what became of those before.
struct Supply {
    chain: ChainId,
    best: BestTransactions<Rollup>,
    harvest: Harvest,
    /// Whose transactions wait for the next update.
    skipped: AddressSet,
    /// One that is known to call others, after those of the batch.
    caller: Option<Arc<PoolTransaction<Rollup>>>,
}

impl Supply {
    /// Leaves a transaction to be executed jointly, unless one of its sender before it waits.
    fn pass_on(&mut self, caller: Arc<PoolTransaction<Rollup>>) {
        self.best.mark_invalid(&caller);
        if !self.skipped.contains(&caller.sender) {
            self.harvest.callers.push((self.chain, caller));
        }
    }
}

/// One rollup's block.
pub(crate) struct Filling<'a> {
    pub(crate) builder: BlockBuilder<'a, Rollup>,
    pub(crate) desk: Desk<'a>,
}

/// A block that rests, and may go to another thread.
pub(crate) struct PausedFilling<'a> {
    builder: PausedBuilder<'a, Rollup>,
    desk: Desk<'a>,
}

/// What is known of the transactions that a block is filled with.
pub(crate) struct Desk<'a> {
    open: &'a OpenBlock<Rollup>,
    pub(crate) source: Source<'a>,
    /// The nonces that follow those of transactions in the block.
    nonces: AddressMap<u64>,
    /// Transactions that wait for another block.
    refused: B256Set,
    /// How many found no room since the last one that did.
    misfits: usize,
    /// How many super transactions were executed for nothing.
    refused_callers: usize,
    /// What it took to find out that a transaction calls others, in gas.
    discoveries: B256Map<u64>,
    /// What of that was not for nothing: the transactions were taken.
    forgiven_gas: u64,
    /// What the builder has used for nothing, up to when it was paused last, in gas.
    wasted_gas: u64,
    /// What came into the pool since it was looked through.
    arrivals: broadcast::Receiver<Arc<PoolTransaction<Rollup>>>,
    /// How much was in the pool then: private transactions are not announced.
    known: Option<PoolStatus>,
    /// Whether it must be looked through again: what follows super transactions was passed over, or the
    /// pass was over.
    has_passed_over: bool,
    pub(crate) has_changed: bool,
    /// What users were shown last.
    last: Option<PendingBlock<Rollup>>,
}

impl<'a> PausedFilling<'a> {
    /// Goes on with the block, on this thread.
    pub(crate) fn resume(self) -> Filling<'a> {
        let Self { builder, desk } = self;
        Filling { builder: builder.resume(), desk }
    }
}

impl<'a> Filling<'a> {
    /// Begins a block.
    pub(crate) fn begin(
        chain: ChainId,
        open: &'a OpenBlock<Rollup>,
        source: Source<'a>,
    ) -> Result<Self, GatewayError> {
        let builder = open.builder(&NEVER).map_err(GatewayError::build(chain))?;
        let arrivals = source.pool.subscribe();
        let desk = Desk {
            open,
            source,
            nonces: AddressMap::default(),
            refused: B256Set::default(),
            misfits: 0,
            refused_callers: 0,
            discoveries: B256Map::default(),
            forgiven_gas: 0,
            wasted_gas: 0,
            arrivals,
            known: None,
            has_passed_over: false,
            has_changed: true,
            last: None,
        };
        Ok(Self { builder, desk })
    }

    /// Lets the block rest.
    pub(crate) fn pause(self) -> PausedFilling<'a> {
        let Self { builder, mut desk } = self;
        desk.wasted_gas = desk.wasted_gas.saturating_add(builder.wasted_gas());
        PausedFilling { builder: builder.pause(), desk }
    }

    /// The block as users are to see it now, if they see it at all.
    pub(crate) fn update(&mut self) -> Option<Update<'a>> {
        let at = self.desk.source.shown?;
        let has_changed = std::mem::take(&mut self.desk.has_changed);
        let known = self.desk.last.take().filter(|_| !has_changed);
        let block = known.unwrap_or_else(|| self.builder.pending(self.desk.open.parent_state()));
        self.desk.last = Some(block.clone());
        let chain = self.desk.open.chain().clone();
        Some(Update { at, chain, block, has_changed })
    }

    /// Whether transactions may come in that L1 does not prescribe (`no_tx_pool`): what a follower would derive
    /// without the rest.
    pub(crate) const fn takes_transactions(&self) -> bool {
        self.desk.open.takes_transactions()
    }

    /// Whether there may be transactions in the pool that were not looked at.
    fn has_news(&mut self) -> bool {
        let mut has_news = std::mem::take(&mut self.desk.has_passed_over);
        // A receiver that has missed some says so once.
        while let Ok(_) | Err(TryRecvError::Lagged(_)) = self.desk.arrivals.try_recv() {
            has_news = true;
        }
        let known = Some(self.desk.source.pool.status());
        has_news |= known != self.desk.known;
        self.desk.known = known;
        has_news
    }

    fn is_full(&self) -> bool {
        self.builder.gas_left() < MIN_TRANSACTION_GAS || self.desk.misfits >= MAX_MISFITS
    }

    /// Gas that was used for nothing, because transactions call others.
    pub(crate) fn lost_gas(&self) -> u64 {
        let wasted = self.desk.wasted_gas.saturating_add(self.builder.wasted_gas());
        wasted.saturating_sub(self.desk.forgiven_gas)
    }

    /// The most gas that a transaction may have of which it is not known whether it calls others. Whoever is refused
    /// for what they call pays nothing, so what they can cost is bounded.
    fn trusted_gas(&self) -> u64 {
        let (lost, block) = (self.lost_gas(), self.builder.header().gas_limit());
        if lost < block {
            u64::MAX
        } else if lost < block.saturating_mul(2) {
            block / CAUTIOUS_SHARE
        } else {
            MIN_TRANSACTION_GAS
        }
    }

    /// Whether super transactions are executed although they may be refused.
    pub(crate) fn tries_callers(&self) -> bool {
        self.desk.refused_callers < MAX_REFUSED_CALLERS
            && self.lost_gas() < self.builder.header().gas_limit()
    }

    /// Whether a transaction is in the block, comes too late to replace the one that is, or waits for another.
    pub(crate) fn is_settled(&self, tx: &PoolTransaction<Rollup>) -> bool {
        self.is_passed(tx) || self.desk.refused.contains(&tx.hash)
    }

    /// A rollup that a transaction calls, and that had no block when it was executed last.
    pub(crate) fn lacks(&self, tx: &PoolTransaction<Rollup>) -> Option<ChainId> {
        self.desk.source.callers.get(&tx.hash)?.lacks
    }

    fn is_passed(&self, tx: &PoolTransaction<Rollup>) -> bool {
        self.desk.nonces.get(&tx.sender).is_some_and(|next| tx.nonce() < *next)
    }

    /// Whether there may be something in the pool that concerns the rollup alone, and room for it.
    pub(crate) fn has_work(&mut self) -> bool {
        self.takes_transactions() && !self.is_full() && self.has_news()
    }

    /// Executes what waits in the rollup's pool and concerns it alone.
    pub(crate) fn take_ordinary(
        &mut self,
        chain: ChainId,
        limits: Limits<'_>,
        pass: &mut Pass<'_>,
    ) -> Result<Harvest, GatewayError> {
        let best = self.desk.source.pool.best(self.builder.base_fee(), None);
        let (harvest, skipped) = (Harvest::default(), AddressSet::default());
        let mut supply = Supply { chain, best, harvest, skipped, caller: None };
        while self.may_take(limits, pass) {
            let wanted = iter::from_fn(|| self.next_wanted(&mut supply));
            let batch = PoolBatch::take(wanted, self.builder.gas_left());
            if let Some(batch) = &batch {
                let (taken, offered) = self.builder.offer(batch).lead(limits.blocks, |turns| {
                    self.take_batch(limits, pass, batch, turns, &mut supply)
                });
                self.builder.end_offer(offered);
                if !taken? {
                    break;
                }
            }
            match supply.caller.take() {
                Some(caller) if !self.may_take(limits, pass) => {
                    supply.best.mark_invalid(&caller);
                    break;
                }
                Some(caller) => supply.pass_on(caller),
                None if batch.is_none() => break,
                None => {}
            }
        }
        self.desk.has_passed_over = !supply.harvest.callers.is_empty() || pass.is_over();
        Ok(supply.harvest)
    }

    fn may_take(&self, limits: Limits<'_>, pass: &Pass<'_>) -> bool {
        !self.is_full() && !limits.budget.is_exhausted() && !pass.is_over()
    }

    /// The next transaction of the pool that is to be executed here; none after those that come before one that is known
    /// to call others.
    fn next_wanted(&self, supply: &mut Supply) -> Option<Arc<PoolTransaction<Rollup>>> {
        let Supply { best, caller, .. } = supply;
        if caller.is_some() {
            return None;
        }
        loop {
            let tx = best.next()?;
            if self.is_passed(&tx) {
                continue;
            }
            if self.desk.refused.contains(&tx.hash) {
                best.mark_invalid(&tx);
                continue;
            }
            if self.desk.source.callers.contains_key(&tx.hash) {
                *caller = Some(tx);
                return None;
            }
            return Some(tx);
        }
    }

    /// Executes transactions as their turns come; whether more may follow.
    fn take_batch(
        &mut self,
        limits: Limits<'_>,
        pass: &mut Pass<'_>,
        batch: &PoolBatch<Rollup>,
        turns: &mut Turns<'_, '_, '_, '_, Rollup>,
        supply: &mut Supply,
    ) -> Result<bool, GatewayError> {
        let Supply { chain, best, harvest, skipped, .. } = supply;
        while self.may_take(limits, pass)
            && let Some(turn) = turns.next_turn()
        {
            let tx = batch.pooled(turn.index()).filter(|tx| !skipped.contains(&tx.sender));
            let Some(tx) = tx else { continue };
            let transaction = turn.transaction();
            let log_bytes = entry_bytes(transaction);
            if !limits.log.take(log_bytes) {
                return Ok(false);
            }
            let taken = self.take_one(*chain, tx, turn, limits.budget, pass)?;
            if matches!(taken, Taken::Yes) {
                harvest.decisions.push(decision(*chain, None, transaction));
                continue;
            }
            limits.log.give_back(log_bytes);
            // Those after it of the same sender wait for the next update.
            skipped.insert(tx.sender);
            best.mark_invalid(tx);
            if matches!(taken, Taken::CallsPeer) {
                harvest.callers.push((*chain, tx.clone()));
            }
        }
        Ok(true)
    }

    /// Executes a transaction of the pool.
    fn take_one(
        &mut self,
        chain: ChainId,
        tx: &PoolTransaction<Rollup>,
        turn: Turn<'_, '_, '_, '_, '_, Rollup>,
        budget: &SlotBudget,
        pass: &mut Pass<'_>,
    ) -> Result<Taken, GatewayError> {
        let transaction = turn.transaction();
        if transaction.gas_limit() > self.trusted_gas() {
            self.refuse(tx, "too much gas was used for transactions that were then refused");
            return Ok(Taken::No);
        }
        match budget.reserve(transaction) {
            Fit::Fits => {}
            Fit::Later => {
                self.refuse(tx, "the slot's batch has no room");
                return Ok(Taken::No);
            }
            Fit::Never => {
                self.give_up(tx, "no batch has room");
                return Ok(Taken::No);
            }
        }
        let lost = self.builder.wasted_gas();
        let refusal = match self.builder.push_offered(turn, None) {
            Ok(outcome) => {
                pass.count(outcome.gas_used);
                self.took(transaction, tx.sender);
                return Ok(Taken::Yes);
            }
            Err(refusal) => refusal,
        };
        budget.release(transaction);
        match refusal {
            Refusal::CallsPeer => {
                let gas = self.builder.wasted_gas().saturating_sub(lost);
                pass.count(gas);
                self.desk.discoveries.insert(tx.hash, gas);
                self.desk.source.callers.entry(tx.hash).or_default();
                return Ok(Taken::CallsPeer);
            }
            Refusal::Failed(error) => {
                let error = GatewayError::build(chain)(error);
                self.give_up_failing(tx, &error);
                return Err(error);
            }
            Refusal::TooLarge(_) => self.give_up(tx, &refusal.to_string()),
            Refusal::NoRoom(_) | Refusal::Invalid(_) => {
                let is_misfit = matches!(refusal, Refusal::NoRoom(_));
                self.desk.misfits += usize::from(is_misfit && self.builder.is_filling());
                self.refuse(tx, &refusal.to_string());
            }
        }
        pass.count(0);
        Ok(Taken::No)
    }

    fn refuse(&mut self, tx: &PoolTransaction<Rollup>, reason: &str) {
        self.desk.refused.insert(tx.hash);
        tracing::debug!(
            target: "lockstep_gateway",
            hash = %tx.hash, reason,
            "left a pooled transaction out of a block"
        );
    }

    /// A super transaction was refused. One that lacks a peer's block waits for that, however long; it is not executed
    /// again before.
    pub(crate) fn refuse_caller(
        &mut self,
        tx: &PoolTransaction<Rollup>,
        reason: &str,
        tried: Tried,
    ) {
        self.refuse(tx, reason);
        self.desk.refused_callers += usize::from(tried != Tried::Not);
        let waiting = self.desk.source.callers.entry(tx.hash).or_default();
        match tried {
            Tried::Not => {}
            Tried::UpTo(chain) => waiting.lacks = Some(chain),
            Tried::InVain => {
                waiting.lacks = None;
                waiting.tries = waiting.tries.saturating_add(1);
                if waiting.tries >= MAX_TRIES {
                    self.give_up(tx, reason);
                }
            }
        }
    }

    /// Takes a transaction out of the pool that can be in no block, or would be executed again and again.
    pub(crate) fn give_up(&mut self, tx: &PoolTransaction<Rollup>, reason: &str) {
        self.desk.refused.insert(tx.hash);
        self.desk.source.callers.remove(&tx.hash);
        self.desk.source.pool.remove(&tx.hash);
        tracing::info!(
            target: "lockstep_gateway",
            hash = %tx.hash, reason,
            "gave up a pooled transaction"
        );
    }

    /// Takes a transaction out of the pool that the EVM cannot execute at all: it would end every round.
    pub(crate) fn give_up_failing(&self, tx: &PoolTransaction<Rollup>, error: &GatewayError) {
        if error.is_execution() {
            self.desk.source.pool.remove(&tx.hash);
            tracing::error!(
                target: "lockstep_gateway",
                hash = %tx.hash, %error,
                "gave up a transaction that the EVM cannot execute"
            );
        }
    }

    /// A transaction is in the block.
    pub(crate) fn took(&mut self, transaction: &OpTxEnvelope, sender: Address) {
        self.desk.misfits = 0;
        self.desk.nonces.insert(sender, transaction.nonce().saturating_add(1));
        let discovery = self.desk.discoveries.remove(&transaction.tx_hash()).unwrap_or_default();
        self.desk.forgiven_gas = self.desk.forgiven_gas.saturating_add(discovery);
        self.desk.has_changed = true;
    }
}

/// What became of a transaction of the pool.
enum Taken {
    Yes,
    /// It is to be executed jointly.
    CallsPeer,
    No,
}
