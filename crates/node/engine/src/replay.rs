//! Bring back what was acknowledged before the process ended.

use crate::{EngineError, Payloads, engine::Core, insert::Log};
use alloy_primitives::{B256, Sealed};
use lockstep_chain::Block;
use lockstep_storage::{ForkChoice, LoggedEntry};

impl<C: Payloads> Core<C> {
    /// Executes logged blocks again and makes logged fork choices, in their order.
    ///
    /// A choice of an ancestor of the head is made only if it is the last one: until then it may
    /// be one that was persisted long ago.
    pub(crate) fn replay(&self) -> Result<(), EngineError> {
        let entries = self.shared.storage.logged()?;
        let total = entries.len();
        let mut last = None;
        for entry in entries {
            match entry {
                LoggedEntry::Block(block) => self.replay_block(block)?,
                LoggedEntry::ForkChoice(choice) => {
                    last = Some(choice);
                    if self.is_branch(&choice.head) {
                        self.replay_choice(choice)?;
                    }
                }
            }
        }
        if let Some(last) = last {
            self.replay_choice(last)?;
        }
        if total > 0 {
            let head = self.shared.tree.read().canonical.head_num_hash();
            tracing::info!(
                target: "lockstep_engine",
                entries = total, head = head.number, hash = %head.hash,
                "brought back what was acknowledged"
            );
        }
        Ok(())
    }

    fn replay_block(&self, block: Sealed<Block<C>>) -> Result<(), EngineError> {
        let hash = block.seal();
        match self.insert_and_connect(block, Log::HasIt) {
            Ok(status) if status.is_valid() => Ok(()),
            // Its branch was given up before the process ended.
            Ok(_) | Err(EngineError::TreeFull { .. }) => {
                tracing::debug!(target: "lockstep_engine", %hash, "passed over a logged block");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn replay_choice(&self, choice: ForkChoice) -> Result<(), EngineError> {
        match self.choose_again(choice) {
            Ok(status) if status.is_valid() => Ok(()),
            Ok(status) => {
                let head = choice.head;
                tracing::warn!(target: "lockstep_engine", %head, %status, "passed over a logged fork choice");
                Ok(())
            }
            Err(EngineError::ForkChoice(reason)) => {
                tracing::warn!(target: "lockstep_engine", reason, "passed over a logged fork choice");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether this block is in memory and not canonical.
    fn is_branch(&self, hash: &B256) -> bool {
        let branch = self.shared.tree.read().branch(hash);
        branch.is_some_and(|branch| !branch.blocks.is_empty())
    }
}
