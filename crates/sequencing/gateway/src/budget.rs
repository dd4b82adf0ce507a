//! What the blocks of a slot may put into its batch.
//!
//! A slot has one batch, which is never split, so what users are shown in a slot's blocks must fit into the blobs of one
//! transaction: those of all rollups together, from the slot's first block to its last. The budget follows from the
//! blocks that are there ([`Gateway::slot_budget`]), so a gateway that is started again has the same.

use crate::{Gateway, GatewayError, allowance::Allowance, capacity::slot_capacity, plan::Plan};
use alloy_consensus::BlockHeader;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::ChainId;
use lockstep_chain::Rollup;
use lockstep_derive::{L1Provider, MAX_UNION_STEPS};
use lockstep_engine::ChainSnapshot;
use lockstep_protocol::MAX_UNION_PARTS;
use lockstep_storage::{RecoveredBlock, StorageError};
use lockstep_union::{PORT, Part, PartSize, PartSizes, UnionRules};
use op_alloy_consensus::OpTxEnvelope;
use std::collections::BTreeMap;

/// The most bytes that a transaction or a part takes in a batch beside its encoding: its position, lengths, and
/// what a span batch writes longer than the transaction has it.
const ENTRY_BYTES: usize = 16;

/// A slot that has less room left takes no more: the shortest transaction is hardly shorter.
const MIN_LEFT_BYTES: u64 = 128;

/// What the blocks of a slot hold, and may hold.
#[derive(Debug)]
pub(crate) struct SlotBudget {
    /// Bytes that a batch has for transactions and parts, if they cannot be compressed.
    capacity: usize,
    /// What is left of them.
    left: Allowance,
    steps: usize,
    parts: BTreeMap<ChainId, usize>,
}

/// Whether something goes into a slot's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Fits,
    /// Another slot's may have the room.
    Later,
    /// No batch has.
    Never,
}

impl SlotBudget {
    /// That of a slot whose blocks are empty so far.
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { capacity, left: Allowance::new(capacity as u64), steps: 0, parts: BTreeMap::new() }
    }

    /// Whether it is not worth looking for more.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.left.left() < MIN_LEFT_BYTES
    }

    /// Takes the room of a transaction that calls no peer, if there is.
    pub(crate) fn reserve(&self, transaction: &OpTxEnvelope) -> Fit {
        let bytes = transaction_bytes(transaction);
        if bytes > self.capacity {
            Fit::Never
        } else if self.left.take(bytes as u64) {
            Fit::Fits
        } else {
            Fit::Later
        }
    }

    /// Gives back what was reserved for a transaction that was not taken.
    pub(crate) fn release(&self, transaction: &OpTxEnvelope) {
        self.left.give_back(transaction_bytes(transaction) as u64);
    }

    /// Whether a transaction that calls no peer has room.
    pub(crate) fn fit(&self, transaction: &OpTxEnvelope) -> Fit {
        self.fit_with(transaction, &PartSizes::new())
    }

    /// Whether a transaction has room together with what it does on all rollups.
    pub(crate) fn fit_with(&self, transaction: &OpTxEnvelope, parts: &PartSizes) -> Fit {
        let bytes = transaction_bytes(transaction).saturating_add(parts_bytes(parts));
        let steps: usize = parts.values().map(|part| part.steps).sum();
        if bytes > self.capacity || steps > MAX_UNION_STEPS {
            return Fit::Never;
        }
        let count = |chain| self.parts.get(chain).copied().unwrap_or_default();
        let has_room = bytes as u64 <= self.left.left()
            && self.steps.saturating_add(steps) <= MAX_UNION_STEPS
            && parts.keys().all(|chain| count(chain) < MAX_UNION_PARTS);
        if has_room { Fit::Fits } else { Fit::Later }
    }

    /// Counts a transaction, and what it does on all rollups.
    pub(crate) fn take(&mut self, transaction: &OpTxEnvelope, parts: &PartSizes) {
        self.left.spend(transaction_bytes(transaction) as u64);
        for (chain, part) in parts {
            self.take_part(*chain, *part);
        }
    }

    /// Counts what a block holds.
    pub(crate) fn take_block(&mut self, chain: ChainId, block: &RecoveredBlock<Rollup>) {
        for transaction in block.transactions() {
            match transaction.as_deposit() {
                Some(deposit) if deposit.from == PORT => {
                    let max_steps = UnionRules::new([]).max_part_steps();
                    let part = Part::decode(&mut &deposit.input[..], max_steps);
                    let steps = part.map_or(0, |part| part.steps.len());
                    self.take_part(chain, PartSize { bytes: deposit.input.len(), steps });
                }
                // The others come from L1.
                Some(_) => {}
                None => self.take(transaction, &PartSizes::new()),
            }
        }
    }

    fn take_part(&mut self, chain: ChainId, part: PartSize) {
        let PartSize { bytes, steps } = part;
        self.left.spend(bytes.saturating_add(ENTRY_BYTES) as u64);
        self.steps = self.steps.saturating_add(steps);
        let count = self.parts.entry(chain).or_default();
        *count = count.saturating_add(1);
    }
}

fn transaction_bytes(transaction: &OpTxEnvelope) -> usize {
    transaction.encode_2718_len().saturating_add(ENTRY_BYTES)
}

fn parts_bytes(parts: &PartSizes) -> usize {
    parts.values().map(|part| part.bytes.saturating_add(ENTRY_BYTES)).sum()
}

impl<L1: L1Provider + Send> Gateway<L1> {
    /// What the slot of a round still has room for: what its earlier blocks hold counts, on all rollups.
    pub(crate) fn slot_budget(&self, plan: &Plan) -> Result<SlotBudget, GatewayError> {
        let (union, members) = (&self.union, self.members.len());
        let block_time =
            self.members.values().next().map_or(1, |member| member.sequencer.config().block_time);
        let capacity = slot_capacity(union, block_time, members, self.settings.max_blobs);
        let mut budget = SlotBudget::new(capacity);
        let start = union.slot_start(union.slot_at(plan.timestamp).unwrap_or_default());
        for (chain, member) in &self.members {
            let snapshot = member.sequencer.engine().view().snapshot();
            let planned = plan.blocks.iter().find(|planned| planned.chain == *chain);
            let last = match planned {
                // If the rollup has the round's block already, its transactions come again from the log.
                Some(planned) => snapshot.number(&planned.parent),
                None => Ok(Some(snapshot.head().number())),
            };
            last.and_then(|last| take_slot(&mut budget, *chain, &snapshot, last, start))
                .map_err(|source| GatewayError::Storage { chain: *chain, source })?;
        }
        Ok(budget)
    }
}

/// Counts the blocks from `last` back to those before `start`, in Unix seconds.
fn take_slot(
    budget: &mut SlotBudget,
    chain: ChainId,
    snapshot: &ChainSnapshot<Rollup>,
    mut last: Option<u64>,
    start: u64,
) -> Result<(), StorageError> {
    while let Some(number) = last {
        let Some(block) = snapshot.block(number)? else { break };
        if block.block.header.timestamp() < start {
            break;
        }
        budget.take_block(chain, &block);
        last = number.checked_sub(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{Signed, TxLegacy};
    use alloy_primitives::{B256, Bytes, Signature};

    fn transaction(bytes: usize) -> OpTxEnvelope {
        let input = Bytes::from(vec![1; bytes]);
        let tx = TxLegacy { input, ..TxLegacy::default() };
        let signature = Signature::test_signature();
        OpTxEnvelope::Legacy(Signed::new_unchecked(tx, signature, B256::ZERO))
    }

    #[test]
    fn what_no_batch_can_carry_is_told_from_what_has_to_wait() {
        let mut budget = SlotBudget::new(10_000);
        let parts = |bytes| PartSizes::from([(7, PartSize { bytes, steps: 2 })]);
        assert_eq!(budget.fit(&transaction(9_000)), Fit::Fits);
        assert_eq!(budget.fit(&transaction(10_000)), Fit::Never);
        assert_eq!(budget.fit_with(&transaction(100), &parts(9_000)), Fit::Fits);
        assert_eq!(budget.fit_with(&transaction(100), &parts(9_900)), Fit::Never);
        budget.take(&transaction(100), &parts(4_000));
        assert_eq!(budget.fit(&transaction(4_000)), Fit::Fits);
        assert_eq!(budget.fit(&transaction(9_000)), Fit::Later);
        assert_eq!(budget.fit_with(&transaction(100), &parts(9_000)), Fit::Later);
        assert!(!budget.is_exhausted());
        budget.take(&transaction(5_600), &PartSizes::new());
        assert!(budget.is_exhausted());
    }

    #[test]
    fn what_was_reserved_is_given_back() {
        let budget = SlotBudget::new(10_000);
        assert_eq!(budget.reserve(&transaction(10_000)), Fit::Never);
        assert_eq!(budget.reserve(&transaction(6_000)), Fit::Fits);
        assert_eq!(budget.reserve(&transaction(6_000)), Fit::Later);
        budget.release(&transaction(6_000));
        assert_eq!(budget.reserve(&transaction(6_000)), Fit::Fits);
    }

    #[test]
    fn parts_and_steps_have_limits_of_their_own() {
        let mut budget = SlotBudget::new(usize::MAX);
        let part = |steps| PartSizes::from([(7, PartSize { bytes: 1, steps })]);
        assert_eq!(budget.fit_with(&transaction(1), &part(MAX_UNION_STEPS)), Fit::Fits);
        assert_eq!(budget.fit_with(&transaction(1), &part(MAX_UNION_STEPS + 1)), Fit::Never);
        budget.take(&transaction(1), &part(2));
        assert_eq!(budget.fit_with(&transaction(1), &part(MAX_UNION_STEPS - 1)), Fit::Later);
        for _ in 1..MAX_UNION_PARTS {
            budget.take(&transaction(1), &part(0));
        }
        assert_eq!(budget.fit_with(&transaction(1), &part(1)), Fit::Later);
        let other = PartSizes::from([(8, PartSize { bytes: 1, steps: 1 })]);
        assert_eq!(budget.fit_with(&transaction(1), &other), Fit::Fits);
    }
}
