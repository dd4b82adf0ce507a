//! One round: blocks of the same time on all rollups, filled with transactions as they come.

use crate::{
    GatewayError, Preconfirmed, RoundReport,
    decisions::{Decision, Taken},
};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, ChainId, U256, map::B256Set};
use lockstep_chain::{GATE, Rollup};
use lockstep_engine::{
    BlockBuilder, FilledBlock, JointRefusal, OpenBlock, OpenUnion, Refusal, push_jointly,
};
use lockstep_pool::{Pool, PoolTransaction};
use lockstep_protocol::UnionConfig;
use lockstep_union::SuperId;
use op_alloy_consensus::OpTxEnvelope;
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

/// After how many transactions in a row that found no room a block counts as full.
const MAX_MISFITS: usize = 64;

/// The least gas that a transaction needs.
const MIN_TRANSACTION_GAS: u64 = 21_000;

/// Nothing cancels the blocks of a round.
static NEVER: AtomicBool = AtomicBool::new(false);

/// The Gate's slot with the newest super transaction of the rollup (rule 1.7).
const ORDER_SLOT: U256 = U256::ONE;

/// Blocks of the same time that are being filled.
pub(crate) struct Round<'a> {
    blocks: BTreeMap<ChainId, Filling<'a>>,
    next: SuperId,
    decisions: Vec<Decision>,
    super_transactions: usize,
}

/// One rollup's block.
struct Filling<'a> {
    open: &'a OpenBlock<Rollup>,
    builder: BlockBuilder<'a, Rollup>,
    pool: &'a Pool<Rollup>,
    shown: &'a Preconfirmed,
    /// Transactions that are in the block, or that wait for another.
    seen: B256Set,
    has_changed: bool,
}

impl<'a> Round<'a> {
    /// Begins the blocks with what their attributes demand.
    pub(crate) fn new(
        opened: &'a BTreeMap<ChainId, OpenBlock<Rollup>>,
        members: &BTreeMap<ChainId, (&'a Pool<Rollup>, &'a Preconfirmed)>,
        union: &UnionConfig,
        timestamp: u64,
    ) -> Result<Self, GatewayError> {
        let slot = union.slot_at(timestamp).unwrap_or_default();
        let mut next = SuperId { slot, index: 0 };
        let mut blocks = BTreeMap::new();
        for (chain, open) in opened {
            let Some((pool, shown)) = members.get(chain) else { continue };
            let builder = open.builder(&NEVER).map_err(GatewayError::build(*chain))?;
            let state = open.parent_state();
            let newest = state
                .storage(&GATE, &ORDER_SLOT)
                .map_err(|source| GatewayError::Storage { chain: *chain, source })?;
            next = next.max(after(newest));
            let filling =
                Filling { open, builder, pool, shown, seen: B256Set::default(), has_changed: true };
            blocks.insert(*chain, filling);
        }
        Ok(Self { blocks, next, decisions: Vec::new(), super_transactions: 0 })
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
        self.decisions.clear();
        Ok(())
    }

    /// Executes what waits in the pools: first what concerns one rollup alone, then what calls others.
    pub(crate) fn take_transactions(&mut self) -> Result<(), GatewayError> {
        let mut joint = Vec::new();
        for (chain, filling) in &mut self.blocks {
            filling.take_ordinary(*chain, &mut self.decisions, &mut joint)?;
        }
        for (home, transaction) in joint {
            let (consensus, sender) = (transaction.consensus(), transaction.sender);
            if let Some(reason) = self.push_super(home, &consensus, sender)? {
                tracing::debug!(
                    target: "lockstep_gateway",
                    chain = home, hash = %transaction.hash, reason,
                    "a super transaction waits for another block"
                );
            }
            if let Some(filling) = self.blocks.get_mut(&home) {
                filling.seen.insert(transaction.hash);
            }
        }
        Ok(())
    }

    /// What was decided since this was asked last.
    pub(crate) fn take_decisions(&mut self) -> Vec<Decision> {
        std::mem::take(&mut self.decisions)
    }

    /// Shows users the blocks that have changed.
    pub(crate) fn show(&mut self) {
        for filling in self.blocks.values_mut().filter(|filling| filling.has_changed) {
            filling.shown.show(Some(filling.builder.pending(filling.open.parent_state())));
            filling.has_changed = false;
        }
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
                filling.took(transaction);
                Ok(None)
            }
            Err(Refusal::Failed(error)) => Err(GatewayError::build(home)(error)),
            Err(refusal) => Ok(Some(refusal.to_string())),
        }
    }

    /// Takes a transaction that calls other rollups; why not, if it is refused.
    fn push_super(
        &mut self,
        home: ChainId,
        transaction: &OpTxEnvelope,
        sender: Address,
    ) -> Result<Option<String>, GatewayError> {
        let mut open: OpenUnion<'_, '_> =
            self.blocks.iter_mut().map(|(chain, it)| (*chain, &mut it.builder)).collect();
        let joined = match push_jointly(&mut open, self.next, home, transaction, sender) {
            Ok(joined) => joined,
            Err(JointRefusal::Home(Refusal::Failed(error))) => {
                return Err(GatewayError::build(home)(error));
            }
            Err(refusal) => return Ok(Some(refusal.to_string())),
        };
        self.decisions.push(Decision::Take(Taken {
            home,
            id: self.next,
            is_joint: true,
            transaction: transaction.encoded_2718().into(),
        }));
        self.next.index = self.next.index.saturating_add(1);
        self.super_transactions += 1;
        for chain in joined.keys() {
            if let Some(filling) = self.blocks.get_mut(chain) {
                filling.has_changed = true;
            }
        }
        if let Some(filling) = self.blocks.get_mut(&home) {
            filling.took(transaction);
        }
        Ok(None)
    }
}

impl Filling<'_> {
    /// Executes what waits in the rollup's pool and concerns it alone. What calls others is added to
    /// `joint`.
    fn take_ordinary(
        &mut self,
        chain: ChainId,
        decisions: &mut Vec<Decision>,
        joint: &mut Vec<(ChainId, Arc<PoolTransaction<Rollup>>)>,
    ) -> Result<(), GatewayError> {
        let mut best = self.pool.best(self.builder.base_fee(), None);
        let mut misfits = 0;
        while self.builder.gas_left() >= MIN_TRANSACTION_GAS && misfits < MAX_MISFITS {
            let Some(tx) = best.next() else { break };
            if self.seen.contains(&tx.hash) {
                continue;
            }
            match self.builder.push(tx.consensus(), tx.sender, None) {
                Ok(_) => {
                    misfits = 0;
                    let transaction = tx.consensus();
                    self.took(&transaction);
                    decisions.push(Decision::Take(Taken {
                        home: chain,
                        id: SuperId::default(),
                        is_joint: false,
                        transaction: transaction.encoded_2718().into(),
                    }));
                }
                Err(Refusal::CallsPeer) => {
                    // Those after it of the same sender wait for the next update.
                    best.mark_invalid(&tx);
                    joint.push((chain, tx));
                }
                Err(Refusal::NoRoom(_)) => {
                    misfits += 1;
                    best.mark_invalid(&tx);
                }
                Err(Refusal::Invalid(reason)) => {
                    tracing::debug!(
                        target: "lockstep_gateway",
                        chain, hash = %tx.hash, reason,
                        "left a pooled transaction out of a block"
                    );
                    best.mark_invalid(&tx);
                }
                Err(Refusal::Failed(error)) => return Err(GatewayError::build(chain)(error)),
            }
        }
        Ok(())
    }

    fn took(&mut self, transaction: &OpTxEnvelope) {
        self.seen.insert(transaction.tx_hash());
        self.has_changed = true;
    }
}

/// The super transaction after the newest one of a rollup, as the Gate keeps it.
fn after(newest: U256) -> SuperId {
    if newest.is_zero() {
        return SuperId::default();
    }
    let slot = (newest >> 64_usize).saturating_to();
    SuperId {
        slot,
        index: newest.as_limbs().first().copied().unwrap_or_default().saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn super_transactions_follow_the_newest_one() {
        let newest = (U256::from(7) << 64_usize) | U256::from(4);
        assert_eq!(after(newest), SuperId { slot: 7, index: 5 });
        assert_eq!(after(U256::ZERO), SuperId { slot: 0, index: 0 });
    }
}
