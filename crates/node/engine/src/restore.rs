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
use lockstep_execution::StateCommitment;
use lockstep_parallel::{RangeBlock, RangeOutput};
use lockstep_storage::{
    ExecutedBlock, LogEntry, OverlayState, RecoveredBlock, State, StorageError,
};
use std::{ops::ControlFlow, sync::Arc};

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
        let mut header = stored.header(fork)?.ok_or_else(|| missing(fork))?;
        let mut total_difficulty = stored.total_difficulty(fork)?.ok_or_else(|| missing(fork))?;
        let mut commitment = C::Commitment::from_root(header.state_root());
        let base = stored.clone().state(fork)?;
        let block = |number| stored.block(number)?.ok_or_else(|| missing(number));
        let blocks = (fork.saturating_add(1)..=last).map(block).collect::<Result<Vec<_>, _>>()?;
        let range = blocks.iter().map(|it| RangeBlock { block: &it.block, senders: &it.senders });
        let range: Vec<_> = range.collect();
        let mut restored: Vec<Arc<ExecutedBlock<C>>> = Vec::new();
        let mut fault = None;
        let mut restore = |block: &Arc<RecoveredBlock<C>>, output: RangeOutput<C, &dyn State>| {
            let before = restored.iter().rev().cloned().collect();
            let state = Arc::new(OverlayState::new(before, base.clone()));
            let parent = Parent { header: header.clone(), total_difficulty, state };
            let executed = if output.as_ref().is_ok_and(|output| output.lacks_intermediate_roots) {
                execute(self.chain(), block.clone(), &parent, &mut commitment, None)?
            } else {
                complete(self.chain(), block.clone(), &parent, &mut commitment, output)?
            };
            if commitment.node_count() > self.config.max_trie_nodes {
                commitment = C::Commitment::from_root(executed.state_root());
            }
            header = executed.block.sealed_header();
            total_difficulty = executed.total_difficulty;
            restored.push(Arc::new(executed));
            Ok(())
        };
        self.executor.execute_range(self.chain(), &range, &&*base, false, &mut |index, output| {
            let Some(block) = blocks.get(index) else { return ControlFlow::Break(()) };
            match restore(block, output) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    fault = Some((block.hash(), error));
                    ControlFlow::Break(())
                }
            }
        });
        match fault {
            Some((_, Fault::Node(error))) => return Err(error),
            Some((hash, Fault::Invalid(reason))) => {
                return Err(EngineError::Execution { hash, reason });
            }
            None => {}
        }
        Ok(restored)
    }
}
