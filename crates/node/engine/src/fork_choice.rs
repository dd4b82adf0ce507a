//! Follow the fork choice: which block is the head, which are safe and finalized.

use crate::{
    ChainUpdate, Engine, EngineError, Payloads,
    engine::Core,
    insert::Log,
    measure::Stopwatch,
    tree::{Branch, Canonical},
};
use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use alloy_rpc_types_engine::{
    ForkchoiceState, ForkchoiceUpdated, PayloadStatus, PayloadStatusEnum,
};
use lockstep_storage::{ExecutedBlock, ForkChoice, LogEntry, StorageError};
use parking_lot::RwLockUpgradableReadGuard;
use std::sync::Arc;

/// Where the head that was chosen stands.
#[derive(Debug)]
enum Target<C: Payloads> {
    /// It is the head already.
    Head,
    /// It is canonical and below the head.
    Ancestor(BlockNumHash),
    /// It is in memory, on a branch.
    Branch(Branch<C>),
    Unknown,
}

/// What became of a fork choice.
#[derive(Debug)]
struct Chosen {
    status: PayloadStatus,
    /// Whether a payload may be built on the head.
    may_build: bool,
}

impl<C: Payloads> Engine<C> {
    /// Makes `state.head_block_hash` the head.
    ///
    /// Takes a lock on the tree for some microseconds; waits for no execution and no write to
    /// disk. Storage is read when a hash that is given for the first time is not in memory. Only a
    /// reorg that leaves the blocks in memory
    /// ([`EngineConfig::keep_in_memory`](crate::EngineConfig::keep_in_memory)) takes long: what
    /// it undoes is executed once more, so that it can be told and gone back to.
    ///
    /// The answer is `VALID`, `INVALID` with the newest valid ancestor, or `SYNCING` for a head
    /// that is not known. The choice is in storage's log before this returns.
    ///
    /// A safe or finalized hash of zero leaves that block as it is; the finalized block never moves
    /// down.
    ///
    /// # Errors
    /// [`EngineError::ForkChoice`] if head, safe and finalized are not on one chain;
    /// [`EngineError::Finalized`] if the head does not descend from the finalized block;
    /// [`EngineError::TooDeepReorg`] beyond
    /// [`EngineConfig::max_reorg_depth`](crate::EngineConfig::max_reorg_depth).
    pub fn fork_choice(&self, state: ForkchoiceState) -> Result<PayloadStatus, EngineError> {
        Ok(self.core.choose(state, Log::Write)?.status)
    }

    /// As [`Engine::fork_choice`], and begins to build a payload on the head if there are
    /// attributes and the head was not merely an ancestor of the head.
    ///
    /// # Errors
    /// As [`Engine::fork_choice`]; [`EngineError::Attributes`] if they cannot be met, and then the
    /// fork choice stands.
    pub fn fork_choice_and_build(
        &self,
        state: ForkchoiceState,
        attributes: Option<C::Attributes>,
    ) -> Result<ForkchoiceUpdated, EngineError> {
        let chosen = self.core.choose(state, Log::Write)?;
        let mut updated = ForkchoiceUpdated::new(chosen.status);
        if let Some(attributes) = attributes.filter(|_| chosen.may_build) {
            updated.payload_id = Some(self.start_payload(state.head_block_hash, attributes)?);
        }
        Ok(updated)
    }

    /// Names the safe and the finalized block of the canonical chain, whatever its head is by now.
    /// A hash of zero leaves that block as it is; the finalized block never moves down.
    ///
    /// # Errors
    /// [`EngineError::ForkChoice`] if they are not on the canonical chain.
    pub fn set_checkpoints(&self, safe: B256, finalized: B256) -> Result<(), EngineError> {
        let core = &self.core;
        core.check_running()?;
        let _lock = core.fork_choice.lock();
        let head = core.shared.tree.read().canonical.head_num_hash();
        let state = ForkchoiceState {
            head_block_hash: head.hash,
            safe_block_hash: safe,
            finalized_block_hash: finalized,
        };
        let checkpoints = core.checkpoints(&state, head, &[], Log::Write)?;
        core.make_head(head, Vec::new(), checkpoints, Log::Write)
    }

    /// Makes a block that was built on `parent` the head, unless `parent` is the head no longer. Safe
    /// and finalized stay.
    ///
    /// # Errors
    /// [`EngineError::HeadMoved`] if another fork choice came in between, and as
    /// [`Engine::fork_choice`].
    pub fn extend(&self, parent: B256, block: B256) -> Result<(), EngineError> {
        let core = &self.core;
        core.check_running()?;
        let _lock = core.fork_choice.lock();
        let canonical = core.shared.tree.read().canonical.clone();
        let head = canonical.head_num_hash();
        if head.hash != parent {
            return Err(EngineError::HeadMoved { parent, head });
        }
        let choice = canonical.fork_choice();
        let state = ForkchoiceState {
            head_block_hash: block,
            safe_block_hash: choice.safe,
            finalized_block_hash: choice.finalized,
        };
        if !core.choose_locked(state, Log::Write)?.status.is_valid() {
            return Err(EngineError::UnknownBlock(block));
        }
        Ok(())
    }

    /// Makes an ancestor of the head the head, and takes back what is above it. Safe is lowered
    /// with it.
    ///
    /// # Errors
    /// [`EngineError::UnknownBlock`] if it is not canonical, [`EngineError::Finalized`] if it is
    /// below the finalized block, [`EngineError::TooDeepReorg`] as in [`Engine::fork_choice`].
    pub fn rewind(&self, to: B256) -> Result<(), EngineError> {
        let core = &self.core;
        core.check_running()?;
        let _lock = core.fork_choice.lock();
        core.rewind_locked(to, u64::MAX).map(drop)
    }

    /// As [`Engine::rewind_towards`], if `head` is still the head and nothing that is safe is taken back: what was found out
    /// about one chain must not be done to another, nor to blocks that were derived meanwhile.
    ///
    /// # Errors
    /// [`EngineError::HeadMoved`] if another is the head; [`EngineError::Safe`] if `to` is below the safe block; as
    /// [`Engine::rewind_towards`].
    pub fn rewind_from(&self, head: B256, to: B256) -> Result<BlockNumHash, EngineError> {
        let core = &self.core;
        core.check_running()?;
        let _lock = core.fork_choice.lock();
        let canonical = core.shared.tree.read().canonical.clone();
        let now = canonical.head_num_hash();
        if now.hash != head {
            return Err(EngineError::HeadMoved { parent: head, head: now });
        }
        if let Some(safe) = canonical.safe
            && let Target::Ancestor(at) = core.locate(&to)?
            && at.number < safe.number
        {
            return Err(EngineError::Safe { number: at.number, safe: safe.number });
        }
        core.rewind_locked(to, core.config.max_reorg_depth.max(1))
    }

    /// As [`Engine::rewind`], but where that would take back too many stored blocks, it takes back as
    /// many as [`EngineConfig::max_reorg_depth`](crate::EngineConfig::max_reorg_depth) allows.
    /// Returns the new head; called again until that is `to`, it rewinds by any depth, in bounded
    /// time and memory for each call.
    ///
    /// # Errors
    /// As [`Engine::rewind`], but [`EngineError::TooDeepReorg`].
    pub fn rewind_towards(&self, to: B256) -> Result<BlockNumHash, EngineError> {
        let core = &self.core;
        core.check_running()?;
        let _lock = core.fork_choice.lock();
        core.rewind_locked(to, core.config.max_reorg_depth.max(1))
    }
}

impl<C: Payloads> Core<C> {
    /// Makes an ancestor of the head the head, or the block `step` below what is in memory if that is
    /// higher. Returns the new head. The caller holds the fork-choice lock.
    fn rewind_locked(&self, to: B256, step: u64) -> Result<BlockNumHash, EngineError> {
        let canonical = self.shared.tree.read().canonical.clone();
        let to = match self.locate(&to)? {
            Target::Head => return Ok(canonical.head_num_hash()),
            Target::Ancestor(at) => at,
            Target::Branch(_) | Target::Unknown => return Err(EngineError::UnknownBlock(to)),
        };
        if let Some(finalized) = canonical.finalized
            && to.number < finalized.number
        {
            let finalized = finalized.number;
            return Err(EngineError::Finalized { number: to.number, finalized });
        }
        let lowest = canonical.base.number.saturating_sub(step);
        let at = if to.number >= lowest {
            to
        } else {
            let hash = self.view().snapshot().hash(lowest)?;
            let missing = || StorageError::Missing(format!("block {lowest}"));
            BlockNumHash::new(lowest, hash.ok_or_else(missing)?)
        };
        let safe = canonical.safe.map(|safe| if safe.number > at.number { at } else { safe });
        self.make_head(at, Vec::new(), (safe, canonical.finalized), Log::Write)?;
        // What was taken back lies beside the chain now.
        let _execution = self.execution.lock();
        self.shared.tree.write().shrink(self.config.max_side_blocks, &at.hash);
        Ok(at)
    }

    /// The fork choice of the log, without writing it there again.
    pub(crate) fn choose_again(&self, choice: ForkChoice) -> Result<PayloadStatus, EngineError> {
        let state = ForkchoiceState {
            head_block_hash: choice.head,
            safe_block_hash: choice.safe,
            finalized_block_hash: choice.finalized,
        };
        // A rewind is logged like any choice.
        let ancestor = {
            let _lock = self.fork_choice.lock();
            match self.locate(&choice.head)? {
                Target::Ancestor(at) => {
                    let checkpoints = self.checkpoints(&state, at, &[], Log::HasIt)?;
                    self.make_head(at, Vec::new(), checkpoints, Log::HasIt)?;
                    Some(at)
                }
                _ => None,
            }
        };
        match ancestor {
            Some(at) => Ok(PayloadStatus::new(PayloadStatusEnum::Valid, Some(at.hash))),
            None => Ok(self.choose(state, Log::HasIt)?.status),
        }
    }

    fn choose(&self, state: ForkchoiceState, log: Log) -> Result<Chosen, EngineError> {
        self.check_running()?;
        let _lock = self.fork_choice.lock();
        self.choose_locked(state, log)
    }

    /// The caller holds the fork-choice lock.
    fn choose_locked(&self, state: ForkchoiceState, log: Log) -> Result<Chosen, EngineError> {
        let watch = Stopwatch::start();
        let head = state.head_block_hash;
        if head.is_zero() {
            return Err(EngineError::ForkChoice("the head is zero".into()));
        }
        let valid = PayloadStatus::new(PayloadStatusEnum::Valid, Some(head));
        let (fork, blocks) = match self.locate(&head)? {
            Target::Head => (self.shared.tree.read().canonical.head_num_hash(), Vec::new()),
            Target::Ancestor(_) if !self.chain().rewinds_to_ancestors() => {
                return Ok(Chosen { status: valid, may_build: false });
            }
            Target::Ancestor(at) => (at, Vec::new()),
            Target::Branch(branch) => (branch.fork, branch.blocks),
            Target::Unknown => {
                let syncing = PayloadStatus::from_status(PayloadStatusEnum::Syncing);
                let status = self.invalid_status(&head).unwrap_or(syncing);
                return Ok(Chosen { status, may_build: false });
            }
        };
        let checkpoints = self.checkpoints(&state, fork, &blocks, log)?;
        self.make_head(fork, blocks, checkpoints, log)?;
        self.measure.fork_choice(watch.elapsed());
        Ok(Chosen { status: valid, may_build: true })
    }

    /// Where a block stands. Reads storage only if the block is not in memory.
    fn locate(&self, hash: &B256) -> Result<Target<C>, EngineError> {
        let branch = {
            let tree = self.shared.tree.read();
            if tree.canonical.head.seal() == *hash {
                return Ok(Target::Head);
            }
            tree.branch(hash).map(|branch| (tree.canonical.contains(branch.fork), branch))
        };
        let snapshot = self.view().snapshot();
        if let Some((is_connected, branch)) = branch {
            return Ok(if branch.blocks.is_empty() {
                Target::Ancestor(branch.fork)
            } else if is_connected || snapshot.is_canonical(branch.fork)? {
                Target::Branch(branch)
            } else {
                // What lies between it and the canonical chain is gone.
                Target::Unknown
            });
        }
        let number = snapshot.number(hash)?;
        let at = number.map(|number| BlockNumHash::new(number, *hash));
        match at {
            Some(at) if snapshot.is_canonical(at)? => Ok(Target::Ancestor(at)),
            _ => Ok(Target::Unknown),
        }
    }

    /// The safe and the finalized block, which must be on the chain that `blocks` and what lies
    /// below `fork` make. What the log has is complete and was judged before.
    fn checkpoints(
        &self,
        state: &ForkchoiceState,
        fork: BlockNumHash,
        blocks: &[Arc<ExecutedBlock<C>>],
        log: Log,
    ) -> Result<(Option<BlockNumHash>, Option<BlockNumHash>), EngineError> {
        let safe = self.checkpoint("safe", state.safe_block_hash, fork, blocks)?;
        let finalized = self.checkpoint("finalized", state.finalized_block_hash, fork, blocks)?;
        if log == Log::HasIt {
            return Ok((safe, finalized));
        }
        let canonical = self.shared.tree.read().canonical.clone();
        let old_safe = canonical.safe.filter(|safe| safe.number <= fork.number);
        let safe = safe.or(old_safe);
        let Some(old) = canonical.finalized else { return Ok((safe, finalized)) };
        if old.number > fork.number {
            let (number, finalized) = (fork.number, old.number);
            return Err(EngineError::Finalized { number, finalized });
        }
        let finalized = finalized.filter(|new| new.number > old.number).unwrap_or(old);
        Ok((safe, Some(finalized)))
    }

    fn checkpoint(
        &self,
        name: &str,
        hash: B256,
        fork: BlockNumHash,
        blocks: &[Arc<ExecutedBlock<C>>],
    ) -> Result<Option<BlockNumHash>, EngineError> {
        if hash.is_zero() {
            return Ok(None);
        }
        if let Some(block) = blocks.iter().find(|block| block.block.hash() == hash) {
            return Ok(Some(block.num_hash()));
        }
        let snapshot = self.view().snapshot();
        let canonical = snapshot.canonical();
        // Most fork choices name the same checkpoints as the one before.
        let same = [canonical.safe, canonical.finalized, Some(canonical.head_num_hash())];
        let same = same.into_iter().flatten().find(|block| block.hash == hash);
        let at = match same {
            Some(at) => Some(at),
            None => {
                let number = snapshot.number(&hash)?;
                let at = number.map(|number| BlockNumHash::new(number, hash));
                match at {
                    Some(at) if snapshot.is_canonical(at)? => Some(at),
                    _ => None,
                }
            }
        };
        match at.filter(|at| at.number <= fork.number) {
            Some(at) => Ok(Some(at)),
            None => Err(EngineError::ForkChoice(format!(
                "the {name} block {hash} is not an ancestor of the head"
            ))),
        }
    }

    /// Replaces what is above `fork` on the canonical chain by `blocks`. The caller holds the
    /// fork-choice lock.
    fn make_head(
        &self,
        fork: BlockNumHash,
        blocks: Vec<Arc<ExecutedBlock<C>>>,
        (safe, finalized): (Option<BlockNumHash>, Option<BlockNumHash>),
        log: Log,
    ) -> Result<(), EngineError> {
        self.restore_above(fork, log)?;
        let head_hash = blocks.last().map_or(fork.hash, |block| block.block.hash());
        let head = match blocks.last() {
            Some(block) => block.block.sealed_header(),
            None => self.view().snapshot().header(fork.number)?.ok_or_else(|| {
                StorageError::Missing(format!("the header of block {}", fork.number))
            })?,
        };
        let hash = |at: Option<BlockNumHash>| at.map_or(B256::ZERO, |at| at.hash);
        let choice = ForkChoice { head: head_hash, safe: hash(safe), finalized: hash(finalized) };
        let tree = self.shared.tree.upgradable_read();
        let before = tree.canonical.clone();
        if before.fork_choice() == choice {
            return Ok(());
        }
        if log == Log::Write {
            // The log may have let go of blocks that are no higher than what is stored.
            let stored = self.persistence.tip().number;
            for block in blocks.iter().take_while(|block| block.block.number() <= stored) {
                self.log(&LogEntry::Block(block.block.clone()))?;
            }
            self.log(&LogEntry::ForkChoice(choice))?;
        }
        let kept = usize::try_from(fork.number.saturating_sub(before.base.number));
        let kept = kept.unwrap_or(usize::MAX).min(before.blocks.len());
        let (kept, old) = before.blocks.split_at(kept);
        let canonical = Arc::new(Canonical {
            base: before.base,
            blocks: kept.iter().chain(&blocks).cloned().collect(),
            head,
            safe,
            finalized,
        });
        let change = ChainUpdate::between(old.to_vec(), blocks, canonical.head_num_hash());
        let mut tree = RwLockUpgradableReadGuard::upgrade(tree);
        tree.canonical = canonical.clone();
        self.measure.tree(tree.blocks.len(), canonical.blocks.len());
        if let Some(update) = change {
            if !update.dropped().is_empty() {
                self.measure.reorg(update.dropped().len());
            }
            self.followers.tell(&update, &canonical);
            // Nobody may be listening.
            let _ = self.shared.updates.send(update);
        }
        drop(tree);
        self.persistence.wake();
        Ok(())
    }
}
