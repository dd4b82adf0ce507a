//! Take a block in: judge it, execute it, write it down, put it into the tree.

use crate::{
    Engine, EngineError, Payloads,
    engine::{Core, Execution},
    error::MAX_UNWINDS,
    execute::{Fault, Parent, execute, invalid, validate},
    known::Invalid,
    measure::Stopwatch,
    tree::Tree,
};
use alloy_consensus::BlockHeader;
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, Sealed};
use alloy_rpc_types_engine::{PayloadStatus, PayloadStatusEnum};
use lockstep_chain::{Block, ommers::MAX_OMMER_DEPTH};
use lockstep_storage::{ErrorClass, ExecutedBlock, LogEntry, RecoveredBlock, StorageError};
use parking_lot::RwLockUpgradableReadGuard;
use std::sync::Arc;

/// Whether a block must be written to the log before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    Write,
    /// It was read from there.
    HasIt,
}

impl<C: Payloads> Engine<C> {
    /// Judges a block and, if it is valid, adds it to the tree. It is not canonical before
    /// [`Engine::fork_choice`] makes it so.
    ///
    /// `block` carries its own header's hash as its seal. The answer is `VALID`, `INVALID` with
    /// the newest valid ancestor, or `SYNCING` where the parent is not known; the block then waits
    /// for its parent within limits. A valid block is in storage's log before this returns.
    ///
    /// While too many blocks wait to be persisted this waits, up to
    /// [`EngineConfig::persistence_patience`](crate::EngineConfig::persistence_patience). Blocks
    /// are judged one at a time.
    ///
    /// # Errors
    /// When the block could not be judged, for a reason that is not its fault.
    pub fn insert(&self, block: Sealed<Block<C>>) -> Result<PayloadStatus, EngineError> {
        let core = &self.core;
        core.check_running()?;
        if let Some(status) = core.known_status(&block.seal(), &block.header.parent_hash())? {
            return Ok(status);
        }
        core.wait_for_persistence()?;
        core.insert_and_connect(block, Log::Write)
    }

    /// Remembers a payload that is not even a block (its hash is wrong, a transaction is
    /// malformed), and answers what the Engine API wants for it.
    pub fn refuse(&self, reason: &str) -> PayloadStatus {
        self.core.measure.invalid();
        let validation_error = reason.to_owned();
        PayloadStatus::new(PayloadStatusEnum::Invalid { validation_error }, None)
    }
}

fn valid(hash: B256) -> PayloadStatus {
    PayloadStatus::new(PayloadStatusEnum::Valid, Some(hash))
}

impl<C: Payloads> Core<C> {
    /// The status of a block about which nothing needs to be found out.
    pub(crate) fn known_status(
        &self,
        hash: &B256,
        parent: &B256,
    ) -> Result<Option<PayloadStatus>, EngineError> {
        if self.shared.tree.read().blocks.contains_key(hash) {
            return Ok(Some(valid(*hash)));
        }
        if let Some(status) = self.invalid_status(hash) {
            return Ok(Some(status));
        }
        let inherited = self.invalid.lock().get(parent).cloned();
        if let Some(inherited) = inherited {
            self.mark_invalid(*hash, &inherited);
            return Ok(Some(inherited.status()));
        }
        let stored = self.shared.storage.snapshot()?.number(hash)?;
        Ok(stored.map(|_| valid(*hash)))
    }

    pub(crate) fn invalid_status(&self, hash: &B256) -> Option<PayloadStatus> {
        Some(self.invalid.lock().get(hash)?.status())
    }

    /// Inserts a block, and those that waited for it.
    pub(crate) fn insert_and_connect(
        &self,
        block: Sealed<Block<C>>,
        log: Log,
    ) -> Result<PayloadStatus, EngineError> {
        let mut execution = self.execution.lock();
        self.check_running()?;
        let hash = block.seal();
        let status = self.insert_one(&mut execution, block, log)?;
        let mut connected = if status.is_valid() { vec![hash] } else { Vec::new() };
        while let Some(parent) = connected.pop() {
            let children = self.waiting.lock().take_children(&parent);
            for child in children {
                let hash = child.seal();
                // Only the block that was asked about can fail the call.
                match self.insert_one(&mut execution, child, log) {
                    Ok(status) if status.is_valid() => connected.push(hash),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(
                        target: "lockstep_engine",
                        %hash, %error,
                        "could not judge a block that waited for its parent"
                    ),
                }
            }
        }
        Ok(status)
    }

    fn insert_one(
        &self,
        execution: &mut Execution<C>,
        block: Sealed<Block<C>>,
        log: Log,
    ) -> Result<PayloadStatus, EngineError> {
        let hash = block.seal();
        let parent_hash = block.header.parent_hash();
        if let Some(status) = self.known_status(&hash, &parent_hash)? {
            return Ok(status);
        }
        let Some(parent) = self.parent(&parent_hash)? else {
            self.waiting.lock().insert(block);
            return Ok(PayloadStatus::from_status(PayloadStatusEnum::Syncing));
        };
        let latest_valid = latest_valid(&parent);
        let watch = Stopwatch::start();
        let gas_used = block.header.gas_used();
        let number = block.header.number();
        let built = self.built.lock().take(&hash);
        let was_built = built.is_some();
        let executed = match built {
            Some(block) => Ok(block),
            None => self.judge(execution, block, parent),
        };
        match executed {
            Ok(executed) => {
                if !self.add(&executed, log)? {
                    // It is valid, and nothing can be built on it any more.
                    return Ok(PayloadStatus::from_status(PayloadStatusEnum::Syncing));
                }
                if was_built {
                    self.measure.gas(gas_used);
                } else {
                    self.measure.executed(watch.elapsed(), gas_used);
                }
                tracing::debug!(target: "lockstep_engine", number, %hash, gas_used, "added a block");
                Ok(valid(hash))
            }
            Err(Fault::Invalid(reason)) => {
                tracing::warn!(target: "lockstep_engine", number, %hash, reason, "refused a block");
                let latest_valid = Some(latest_valid);
                let invalid = Invalid { reason: reason.into(), latest_valid };
                self.mark_invalid(hash, &invalid);
                Ok(invalid.status())
            }
            Err(Fault::Node(error)) => Err(error),
        }
    }

    /// Judges a block. Its execution is repeated if storage was unwound meanwhile: the blocks that
    /// were taken back are in memory then.
    fn judge(
        &self,
        execution: &mut Execution<C>,
        block: Sealed<Block<C>>,
        mut parent: Parent<C>,
    ) -> Result<Arc<ExecutedBlock<C>>, Fault> {
        let parent_hash = parent.header.seal();
        let block = self.validate_and_recover(block, &parent)?;
        self.begin_cache(parent_hash);
        for _ in 0..MAX_UNWINDS {
            parent = self.through_cache(parent);
            match self.execute_cached(execution, block.clone(), &parent) {
                Err(Fault::Node(error)) if error.is_unwound() => {
                    let again = self.parent(&parent_hash).map_err(Fault::Node)?;
                    let unknown = EngineError::UnknownBlock(parent_hash);
                    parent = again.ok_or(Fault::Node(unknown))?;
                }
                judged => return judged.map(Arc::new),
            }
        }
        Err(StorageError::Unwound { number: parent.header.number() }.into())
    }

    /// Checks every rule that needs no execution, and recovers the senders.
    fn validate_and_recover(
        &self,
        block: Sealed<Block<C>>,
        parent: &Parent<C>,
    ) -> Result<Arc<RecoveredBlock<C>>, Fault> {
        let chain = self.chain();
        validate(chain, &block, &parent.header, parent.total_difficulty)?;
        if !block.body.ommers.is_empty() {
            let ancestors = self.ancestors(&block.header.parent_hash(), MAX_OMMER_DEPTH)?;
            let ancestors: Vec<_> = ancestors.iter().map(|ancestor| &ancestor.block).collect();
            chain.validate_ommers(&block, &ancestors).map_err(Fault::Invalid)?;
        }
        let senders = self.executor.recover_senders(chain, &block).map_err(invalid)?;
        Ok(Arc::new(RecoveredBlock { block, senders }))
    }

    /// Executes a validated block on the commitment that the last block left, if that is its parent's.
    pub(crate) fn execute_cached(
        &self,
        execution: &mut Execution<C>,
        block: Arc<RecoveredBlock<C>>,
        parent: &Parent<C>,
    ) -> Result<ExecutedBlock<C>, Fault> {
        let hash = block.hash();
        let (of, root) = (parent.header.seal(), parent.header.state_root());
        let mut commitment = execution.take_commitment(of, root);
        let executed = execute(self.chain(), block, parent, &mut commitment, Some(&self.executor))?;
        execution.keep_commitment(hash, commitment, self.config.max_trie_nodes);
        Ok(executed)
    }

    /// Writes a valid block down and puts it into the tree; `false`, and nothing is changed, if its
    /// parent has gone meanwhile. The caller holds the execution lock.
    pub(crate) fn add(&self, block: &Arc<ExecutedBlock<C>>, log: Log) -> Result<bool, EngineError> {
        let hash = block.block.hash();
        {
            let tree = self.shared.tree.upgradable_read();
            if !self.is_connected(&tree, &block.block)? {
                return Ok(false);
            }
            let mut tree = RwLockUpgradableReadGuard::upgrade(tree);
            let limit = self.config.max_side_blocks;
            if !tree.shrink(limit.saturating_sub(1), &block.block.parent_hash()) {
                return Err(EngineError::TreeFull { limit });
            }
        }
        if log == Log::Write {
            self.log(&LogEntry::Block(block.block.clone()))?;
        }
        self.waiting.lock().remove(&hash);
        // A block may have been finalized on another branch since.
        let tree = self.shared.tree.upgradable_read();
        if !self.is_connected(&tree, &block.block)? {
            return Ok(false);
        }
        RwLockUpgradableReadGuard::upgrade(tree).insert(block.clone());
        if let Some(cache) = &self.cache {
            cache.advance(block.block.parent_hash(), hash, &block.changes);
            self.measure.cache(&cache.statistics());
        }
        self.measure.execution(&self.executor.statistics());
        Ok(true)
    }

    /// Whether a block's parent is in the tree or canonical. The caller holds the execution lock:
    /// what is canonical below the tree stays so.
    fn is_connected(
        &self,
        tree: &Tree<C>,
        block: &RecoveredBlock<C>,
    ) -> Result<bool, StorageError> {
        let hash = block.parent_hash();
        let parent = BlockNumHash::new(block.number().saturating_sub(1), hash);
        if tree.blocks.contains_key(&hash) || tree.canonical.contains(parent) {
            return Ok(true);
        }
        let is_below = parent.number < tree.canonical.base.number;
        Ok(is_below && self.shared.storage.snapshot()?.hash(parent.number)? == Some(hash))
    }

    /// Writes an entry to storage's log.
    pub(crate) fn log(&self, entry: &LogEntry<C>) -> Result<(), EngineError> {
        self.shared.storage.log(entry).map_err(|error| {
            if error.class() == ErrorClass::Critical {
                self.stop_working(&error.to_string());
            }
            error.into()
        })
    }

    /// Remembers an invalid block, and with it those that waited for it.
    fn mark_invalid(&self, hash: B256, invalid: &Invalid) {
        self.measure.invalid();
        let mut marked = vec![hash];
        while let Some(hash) = marked.pop() {
            let mut waiting = self.waiting.lock();
            waiting.remove(&hash);
            marked.extend(waiting.take_children(&hash).iter().map(|child| child.seal()));
            self.invalid.lock().insert(hash, invalid.clone());
        }
    }

    /// A known valid block with the state after it, for all threads that execute; `None` if no such block is known.
    pub(crate) fn parent(&self, hash: &B256) -> Result<Option<Parent<C>>, EngineError> {
        let parent = self.find_parent(hash)?;
        if let Some(parent) = &parent {
            parent.state.prepare_for_threads(self.executor.threads());
        }
        Ok(parent)
    }

    fn find_parent(&self, hash: &B256) -> Result<Option<Parent<C>>, EngineError> {
        let in_tree = self.shared.tree.read().blocks.get(hash).cloned();
        let snapshot = self.view().snapshot();
        if let Some(block) = in_tree {
            return Ok(Some(Parent {
                header: block.block.sealed_header(),
                total_difficulty: block.total_difficulty,
                state: snapshot.state_by_hash(hash)?,
            }));
        }
        let stored = self.shared.storage.snapshot()?;
        let Some(number) = stored.number(hash)? else { return Ok(None) };
        let missing = || StorageError::Missing(format!("block {number} ({hash})"));
        Ok(Some(Parent {
            header: stored.header(number)?.ok_or_else(missing)?,
            total_difficulty: stored.total_difficulty(number)?.ok_or_else(missing)?,
            state: stored.state(number)?,
        }))
    }

    /// Up to `count` known blocks from the one with this hash downwards.
    fn ancestors(
        &self,
        hash: &B256,
        count: usize,
    ) -> Result<Vec<Arc<RecoveredBlock<C>>>, StorageError> {
        let snapshot = self.view().snapshot();
        let mut ancestors = Vec::with_capacity(count);
        let mut next = *hash;
        while ancestors.len() < count {
            let Some(block) = snapshot.block_by_hash(&next)? else { break };
            next = block.parent_hash();
            ancestors.push(block);
        }
        Ok(ancestors)
    }
}

/// The newest valid ancestor of an invalid child of `parent`: zero if that is a proof-of-work
/// block (execution-apis: Paris § payload validation).
fn latest_valid<C: Payloads>(parent: &Parent<C>) -> B256 {
    if parent.header.difficulty().is_zero() { parent.header.seal() } else { B256::ZERO }
}
