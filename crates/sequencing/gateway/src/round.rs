//! One round: blocks of the same time on all rollups, filled with transactions as they come.

use crate::{
    GatewayError, Preconfirmed, RoundReport,
    agreement::Estranged,
    decisions::{Decision, ENTRY_BYTES, Taken},
};
use alloy_consensus::{Transaction, transaction::SignerRecoverable};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{
    Address, ChainId, U256,
    map::{AddressMap, B256Map, B256Set},
};
use lockstep_chain::{GATE, Rollup};
use lockstep_engine::{
    BlockBuilder, FilledBlock, JointRefusal, OpenBlock, OpenUnion, Refusal, push_jointly,
};
use lockstep_pool::{Pool, PoolStatus, PoolTransaction};
use lockstep_union::SuperId;
use op_alloy_consensus::OpTxEnvelope;
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};
use tokio::sync::broadcast::{self, error::TryRecvError};

/// After how many transactions in a row that found no room a block counts as full; and how many super
/// transactions of a rollup are executed in a round for nothing.
const MAX_MISFITS: usize = 64;

/// The least gas that a transaction needs.
const MIN_TRANSACTION_GAS: u64 = 21_000;

/// Nothing cancels the blocks of a round.
static NEVER: AtomicBool = AtomicBool::new(false);

/// The Gate's slot with the newest super transaction of the rollup (rule 1.7).
const ORDER_SLOT: U256 = U256::ONE;

/// What a round needs of a rollup besides its block.
pub(crate) struct Source<'a> {
    pub(crate) pool: &'a Pool<Rollup>,
    /// Where users see the block; none for one that is complete already.
    pub(crate) shown: Option<&'a Preconfirmed>,
    /// Transactions that are known to call others, and how often they had to wait for another round.
    pub(crate) callers: B256Map<u32>,
}

/// Blocks of the same time that are being filled.
pub(crate) struct Round<'a> {
    blocks: BTreeMap<ChainId, Filling<'a>>,
    failed: Vec<(ChainId, GatewayError)>,
    next: SuperId,
    notes: Notes,
    estranged: Estranged,
    super_transactions: usize,
}

/// Decisions that are not in the log yet.
struct Notes {
    decisions: Vec<Decision>,
    /// How many bytes of them the log still takes.
    room: u64,
}

/// One rollup's block.
struct Filling<'a> {
    open: &'a OpenBlock<Rollup>,
    builder: BlockBuilder<'a, Rollup>,
    source: Source<'a>,
    /// The nonces that follow those of transactions in the block.
    nonces: AddressMap<u64>,
    /// Transactions that wait for another block.
    refused: B256Set,
    /// How many found no room since the last one that did.
    misfits: usize,
    /// How many super transactions were executed for nothing.
    refused_callers: usize,
    /// What came into the pool since it was looked through.
    arrivals: broadcast::Receiver<Arc<PoolTransaction<Rollup>>>,
    /// How much was in the pool then: private transactions are not announced.
    known: Option<PoolStatus>,
    /// Whether it must be looked through again: what follows super transactions was passed over.
    has_passed_over: bool,
    has_changed: bool,
}

impl<'a> Round<'a> {
    /// Begins the blocks with what their attributes demand, as far as that can be executed.
    pub(crate) fn new(
        opened: &'a BTreeMap<ChainId, OpenBlock<Rollup>>,
        mut sources: BTreeMap<ChainId, Source<'a>>,
        slot: u64,
    ) -> Self {
        let mut next = SuperId { slot, index: 0 };
        let (mut blocks, mut failed) = (BTreeMap::new(), Vec::new());
        for (chain, open) in opened {
            let Some(source) = sources.remove(chain) else { continue };
            match Filling::begin(*chain, open, source) {
                Ok((filling, newest)) => {
                    next = next.max(after(newest));
                    blocks.insert(*chain, filling);
                }
                Err(error) => failed.push((*chain, error)),
            }
        }
        let notes = Notes { decisions: Vec::new(), room: 0 };
        let estranged = Estranged::default();
        Self { blocks, failed, next, notes, estranged, super_transactions: 0 }
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
                self.push_super(*home, &transaction, sender)?
            } else {
                self.push(*home, &transaction, sender)?
            };
            if let Some(reason) = refused {
                // The same blocks, begun in the same way, refuse what they took: something is broken.
                tracing::error!(
                    target: "lockstep_gateway",
                    chain = home, hash = %transaction.tx_hash(), reason,
                    "a transaction that users had been shown cannot be executed again"
                );
            }
        }
        // They are written down already.
        self.notes.decisions.clear();
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(crate) fn has(&self, chain: ChainId) -> bool {
        self.blocks.contains_key(&chain)
    }

    /// Executes what waits in the pools: first what concerns one rollup alone, then what calls others. Returns
    /// what was decided, which is no more than `room` bytes in the log.
    pub(crate) fn take_transactions(&mut self, room: u64) -> Result<Vec<Decision>, GatewayError> {
        self.notes.room = room;
        let mut joint = Vec::new();
        for (chain, filling) in &mut self.blocks {
            filling.take_ordinary(*chain, &mut self.notes, &mut joint)?;
        }
        // Whoever had to wait most often may wait for ever, and must not keep others from being tried.
        joint.sort_by_cached_key(|(home, pooled)| {
            self.blocks.get(home).and_then(|it| it.source.callers.get(&pooled.hash)).copied()
        });
        for (home, pooled) in joint {
            let is_tried =
                self.blocks.get(&home).is_some_and(|it| it.refused_callers < MAX_MISFITS);
            let refused = if is_tried {
                self.try_super(home, &pooled)
            } else {
                Ok(Some("too many others had to wait".to_owned()))
            };
            let Some(filling) = self.blocks.get_mut(&home) else { continue };
            if let Some(reason) = refused.inspect_err(|error| filling.give_up(&pooled, error))? {
                filling.refused.insert(pooled.hash);
                filling.refused_callers += usize::from(is_tried);
                let waited = filling.source.callers.entry(pooled.hash).or_default();
                *waited = waited.saturating_add(is_tried.into());
                tracing::debug!(
                    target: "lockstep_gateway",
                    chain = home, hash = %pooled.hash, reason,
                    "a super transaction waits for another block"
                );
            }
        }
        Ok(std::mem::take(&mut self.notes.decisions))
    }

    /// Shows users the blocks that have changed.
    pub(crate) fn show(&mut self) {
        for filling in self.blocks.values_mut().filter(|filling| filling.has_changed) {
            if let Some(shown) = filling.source.shown {
                shown.show(Some(filling.builder.pending(filling.open.parent_state())));
            }
            filling.has_changed = false;
        }
    }

    /// What became known of transactions that call others and are still waiting.
    pub(crate) fn take_callers(&mut self) -> BTreeMap<ChainId, B256Map<u32>> {
        let callers = |(chain, filling): (&ChainId, &mut Filling<'_>)| {
            let mut callers = std::mem::take(&mut filling.source.callers);
            callers.retain(|hash, _| filling.source.pool.contains(hash));
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
            let used = header.gas_limit.saturating_sub(filling.builder.gas_left());
            report.gas_used = report.gas_used.saturating_add(used);
            filled.insert(chain, filling.builder.fill().map_err(GatewayError::build(chain))?);
        }
        Ok((filled, report))
    }

    /// Takes an ordinary transaction; why not, if it is refused.
    fn push(
        &mut self,
        home: ChainId,
        transaction: &OpTxEnvelope,
        sender: Address,
    ) -> Result<Option<String>, GatewayError> {
        let Some(filling) = self.blocks.get_mut(&home) else {
            return Ok(Some("its rollup has no block".to_owned()));
        };
        match filling.builder.push(transaction.clone(), sender, None) {
            Ok(_) => {
                filling.took(transaction, sender);
                Ok(None)
            }
            Err(Refusal::Failed(error)) => Err(GatewayError::build(home)(error)),
            Err(refusal) => Ok(Some(refusal.to_string())),
        }
    }

    /// As [`Self::push_super`], if the log takes it.
    fn try_super(
        &mut self,
        home: ChainId,
        pooled: &PoolTransaction<Rollup>,
    ) -> Result<Option<String>, GatewayError> {
        let transaction = pooled.consensus();
        if !self.notes.has_room_for(&transaction) {
            return Ok(Some("the log of decisions is full".to_owned()));
        }
        self.push_super(home, &transaction, pooled.sender)
    }

    /// Takes a transaction that calls other rollups; why not, if it is refused.
    fn push_super(
        &mut self,
        home: ChainId,
        transaction: &OpTxEnvelope,
        sender: Address,
    ) -> Result<Option<String>, GatewayError> {
        let company = self.estranged.company(home, self.blocks.keys().copied());
        let open = self.blocks.iter_mut().filter(|(chain, _)| company.contains(chain));
        let mut open: OpenUnion<'_, '_> =
            open.map(|(chain, it)| (*chain, &mut it.builder)).collect();
        let joined = match push_jointly(&mut open, self.next, home, transaction, sender) {
            Ok(joined) => joined,
            Err(JointRefusal::Home(Refusal::Failed(error))) => {
                return Err(GatewayError::build(home)(error));
            }
            Err(refusal) => return Ok(Some(refusal.to_string())),
        };
        self.notes.add(home, Some(self.next), transaction);
        self.next.index = self.next.index.saturating_add(1);
        self.super_transactions += 1;
        for chain in joined.keys() {
            if let Some(filling) = self.blocks.get_mut(chain) {
                filling.has_changed = true;
            }
        }
        if let Some(filling) = self.blocks.get_mut(&home) {
            filling.took(transaction, sender);
        }
        Ok(None)
    }
}

impl Notes {
    fn has_room_for(&self, transaction: &OpTxEnvelope) -> bool {
        entry_bytes(transaction) <= self.room
    }

    /// Writes down that a transaction was taken, jointly if it has a place in the order.
    fn add(&mut self, home: ChainId, id: Option<SuperId>, transaction: &OpTxEnvelope) {
        self.room = self.room.saturating_sub(entry_bytes(transaction));
        self.decisions.push(Decision::Take(Taken {
            home,
            id: id.unwrap_or_default(),
            is_joint: id.is_some(),
            transaction: transaction.encoded_2718().into(),
        }));
    }
}

fn entry_bytes(transaction: &OpTxEnvelope) -> u64 {
    (transaction.encode_2718_len() as u64).saturating_add(ENTRY_BYTES)
}

impl<'a> Filling<'a> {
    /// Begins a block; with it, the newest super transaction of the rollup.
    fn begin(
        chain: ChainId,
        open: &'a OpenBlock<Rollup>,
        source: Source<'a>,
    ) -> Result<(Self, U256), GatewayError> {
        let builder = open.builder(&NEVER).map_err(GatewayError::build(chain))?;
        let newest = open
            .parent_state()
            .storage(&GATE, &ORDER_SLOT)
            .map_err(|source| GatewayError::Storage { chain, source })?;
        let arrivals = source.pool.subscribe();
        let filling = Self {
            open,
            builder,
            source,
            nonces: AddressMap::default(),
            refused: B256Set::default(),
            misfits: 0,
            refused_callers: 0,
            arrivals,
            known: None,
            has_passed_over: false,
            has_changed: true,
        };
        Ok((filling, newest))
    }

    /// Whether there may be transactions in the pool that were not looked at.
    fn has_news(&mut self) -> bool {
        let mut has_news = std::mem::take(&mut self.has_passed_over);
        // A receiver that has missed some says so once.
        while let Ok(_) | Err(TryRecvError::Lagged(_)) = self.arrivals.try_recv() {
            has_news = true;
        }
        let known = Some(self.source.pool.status());
        has_news |= known != self.known;
        self.known = known;
        has_news
    }

    fn is_full(&self) -> bool {
        self.builder.gas_left() < MIN_TRANSACTION_GAS || self.misfits >= MAX_MISFITS
    }

    /// Executes what waits in the rollup's pool and concerns it alone. What calls others is added to
    /// `joint`.
    fn take_ordinary(
        &mut self,
        chain: ChainId,
        notes: &mut Notes,
        joint: &mut Vec<(ChainId, Arc<PoolTransaction<Rollup>>)>,
    ) -> Result<(), GatewayError> {
        if self.is_full() || !self.has_news() {
            return Ok(());
        }
        let others = joint.len();
        let mut best = self.source.pool.best(self.builder.base_fee(), None);
        while !self.is_full() {
            let Some(tx) = best.next() else { break };
            if self.nonces.get(&tx.sender).is_some_and(|next| tx.nonce() < *next) {
                // It is in the block, or comes too late to replace the one that is.
                continue;
            }
            if self.refused.contains(&tx.hash) {
                best.mark_invalid(&tx);
                continue;
            }
            if self.source.callers.contains_key(&tx.hash) {
                best.mark_invalid(&tx);
                joint.push((chain, tx));
                continue;
            }
            let transaction = tx.consensus();
            if !notes.has_room_for(&transaction) {
                break;
            }
            match self.builder.push(transaction.clone(), tx.sender, None) {
                Ok(_) => {
                    self.misfits = 0;
                    self.took(&transaction, tx.sender);
                    notes.add(chain, None, &transaction);
                }
                Err(Refusal::CallsPeer) => {
                    // Those after it of the same sender wait for the next update.
                    best.mark_invalid(&tx);
                    joint.push((chain, tx));
                }
                Err(Refusal::Failed(error)) => {
                    let error = GatewayError::build(chain)(error);
                    self.give_up(&tx, &error);
                    return Err(error);
                }
                Err(refusal) => {
                    self.misfits += usize::from(matches!(refusal, Refusal::NoRoom(_)));
                    self.refused.insert(tx.hash);
                    best.mark_invalid(&tx);
                    tracing::debug!(
                        target: "lockstep_gateway",
                        chain, hash = %tx.hash, reason = %refusal,
                        "left a pooled transaction out of a block"
                    );
                }
            }
        }
        self.has_passed_over = joint.len() > others;
        Ok(())
    }

    /// Takes a transaction out of the pool that the EVM cannot execute at all: it would end every round.
    fn give_up(&self, tx: &PoolTransaction<Rollup>, error: &GatewayError) {
        if error.is_execution() {
            self.source.pool.remove(&tx.hash);
            tracing::error!(
                target: "lockstep_gateway",
                hash = %tx.hash, %error,
                "gave up a transaction that the EVM cannot execute"
            );
        }
    }

    fn took(&mut self, transaction: &OpTxEnvelope, sender: Address) {
        self.nonces.insert(sender, transaction.nonce().saturating_add(1));
        self.has_changed = true;
    }
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
