//! Bring canonical blocks back into memory, for a reorg below what is there.

use crate::{
    EngineError, Payloads,
    engine::Core,
    error::despite_unwinds,
    execute::{Fault, Parent, complete, execute},
    insert::Log,
    tree::Canonical,
};
use alloy_consensus::BlockHeader as _;
use alloy_eips::BlockNumHash;
use alloy_primitives::{Sealed, U256};
use lockstep_execution::StateCommitment;
use lockstep_parallel::{RangeBlock, RangeOutput};
use lockstep_storage::{
    ExecutedBlock, LogEntry, OverlayState, RecoveredBlock, State, StorageError,
};
use std::{ops::ControlFlow, sync::Arc};

/// Blocks that are read and executed in one run.
const MAX_AT_ONCE: u64 = 64;

impl<C: Payloads> Core<C> {
    /// Brings canonical blocks above `fork` back into memory if they are in storage only. The
    /// caller holds the fork-choice lock.
    pub(crate) fn restore_above(&self, fork: BlockNumHash, log: Log) -> Result<(), EngineError> {
        let base = self.shared.tree.read().canonical.base;
        let depth = base.number.saturating_sub(fork.number);
        if depth == 0 {
            return Ok(());
        }
        // A choice of the log was within the limit when it was made, over a lower base perhaps.
        let limit = self.config.max_reorg_depth;
        if depth > limit && log == Log::Write {
            return Err(EngineError::TooDeepReorg { depth, limit });
        }
        let _execution = self.execution.lock();
        // An earlier reorg may still be on its way to storage.
        let restored = despite_unwinds(|| self.executed_again(fork.number, base.number))?;
        if log == Log::Write {
            // Storage is about to forget them.
            for block in &restored {
                self.log(&LogEntry::Block(block.block.clone()))?;
            }
        }
        let mut tree = self.shared.tree.write();
        for block in &restored {
            tree.insert(block.clone());
        }
        let canonical = tree.canonical.clone();
        tree.canonical = Arc::new(Canonical {
            base: fork,
            blocks: restored.iter().chain(&canonical.blocks).cloned().collect(),
            head: canonical.head.clone(),
            safe: canonical.safe,
            finalized: canonical.finalized,
        });
        tracing::info!(
            target: "lockstep_engine",
            from = fork.number + 1, blocks = restored.len(),
            "executed stored blocks once more, for a reorg below what is in memory"
        );
        Ok(())
    }

    /// The stored blocks above `fork` up to `last`, oldest first, executed once more.
    ///
    /// Each is executed over those before it, so that only the state after `fork` is computed from
    /// history.
    fn executed_again(
        &self,
        fork: u64,
        last: u64,
    ) -> Result<Vec<Arc<ExecutedBlock<C>>>, EngineError> {
        let stored = self.shared.storage.snapshot()?;
        let missing = |number| StorageError::Missing(format!("block {number}"));
        let header = stored.header(fork)?.ok_or_else(|| missing(fork))?;
        let base = stored.clone().state(fork)?;
        base.prepare_for_threads(self.executor.threads());
        let mut restored = Restored {
            commitment: C::Commitment::from_root(header.state_root()),
            header,
            total_difficulty: stored.total_difficulty(fork)?.ok_or_else(|| missing(fork))?,
            base,
            blocks: Vec::new(),
        };
        let mut next = fork.saturating_add(1);
        while next <= last {
            let end = last.min(next.saturating_add(MAX_AT_ONCE - 1));
            let block = |number| stored.block(number)?.ok_or_else(|| missing(number));
            let blocks = (next..=end).map(block).collect::<Result<Vec<_>, _>>()?;
            self.restore(&blocks, &mut restored)?;
            next = end.saturating_add(1);
        }
        Ok(restored.blocks)
    }

    /// Executes blocks that follow what is restored.
    fn restore(
        &self,
        blocks: &[Arc<RecoveredBlock<C>>],
        restored: &mut Restored<C>,
    ) -> Result<(), EngineError> {
        let range = blocks.iter().map(|it| RangeBlock { block: &it.block, senders: &it.senders });
        let (range, before) = (range.collect::<Vec<_>>(), restored.state());
        let mut fault = None;
        self.executor.execute_range(
            self.chain(),
            &range,
            &&*before,
            false,
            &mut |index, output| {
                let Some(block) = blocks.get(index) else { return ControlFlow::Break(()) };
                match restored.push(self, block, output) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        fault = Some((block.hash(), error));
                        ControlFlow::Break(())
                    }
                }
            },
        );
        match fault {
            None => Ok(()),
            Some((_, Fault::Node(error))) => Err(error),
            Some((hash, Fault::Invalid(reason))) => Err(EngineError::Execution { hash, reason }),
        }
    }
}

/// Blocks that were executed once more, and what the next one stands on.
struct Restored<C: Payloads> {
    header: Sealed<C::Header>,
    total_difficulty: U256,
    commitment: C::Commitment,
    /// The state before the first.
    base: Arc<dyn State>,
    blocks: Vec<Arc<ExecutedBlock<C>>>,
}

impl<C: Payloads> Restored<C> {
    /// The state after the last.
    fn state(&self) -> Arc<dyn State> {
        let blocks = self.blocks.iter().rev().cloned().collect();
        Arc::new(OverlayState::new(blocks, self.base.clone()))
    }

    fn push(
        &mut self,
        core: &Core<C>,
        block: &Arc<RecoveredBlock<C>>,
        output: RangeOutput<C, &dyn State>,
    ) -> Result<(), Fault> {
        let (header, total_difficulty) = (self.header.clone(), self.total_difficulty);
        let parent = Parent { header, total_difficulty, state: self.state() };
        let (chain, commitment) = (core.chain(), &mut self.commitment);
        let executed = if output.as_ref().is_ok_and(|output| output.lacks_intermediate_roots) {
            execute(chain, block.clone(), &parent, commitment, None)?
        } else {
            complete(chain, block.clone(), &parent, commitment, output)?
        };
        if self.commitment.node_count() > core.config.max_trie_nodes {
            self.commitment = C::Commitment::from_root(executed.state_root());
        }
        self.header = executed.block.sealed_header();
        self.total_difficulty = executed.total_difficulty;
        self.blocks.push(Arc::new(executed));
        Ok(())
    }
}
