//! From a block and its parent's state to everything that the block leaves behind.

use crate::{EngineError, Payloads};
use alloy_primitives::{Address, B256, Sealed, U256, keccak256};
use lockstep_chain::Block;
use lockstep_execution::{
    BlockOutput, ExecuteOptions, ExecutionError, StateChanges, StateCommitment, execute_block,
    validate_output, validate_state_root,
};
use lockstep_parallel::{ParallelExecutor, RangeOutput};
use lockstep_storage::{
    ExecutedBlock, RecoveredBlock, State, StorageError, TrieNodes, TrieNodesBuilder,
};
use lockstep_trie::{EMPTY_ROOT_HASH, TrieError};
use std::sync::Arc;

/// What a block stands on.
#[derive(Debug)]
pub(crate) struct Parent<C: Payloads> {
    pub(crate) header: Sealed<C::Header>,
    pub(crate) total_difficulty: U256,
    /// The state after it.
    pub(crate) state: Arc<dyn State>,
}

/// Why a block did not become an [`ExecutedBlock`].
#[derive(Debug)]
pub(crate) enum Fault {
    /// It breaks a rule.
    Invalid(String),
    /// It could not be judged.
    Node(EngineError),
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Self {
        Self::Node(error.into())
    }
}

/// The rule that an error tells of.
pub(crate) fn invalid(error: impl core::fmt::Display) -> Fault {
    Fault::Invalid(error.to_string())
}

/// An error of the trie: the storage's own, or damage.
pub(crate) fn trie_error(error: TrieError<StorageError>) -> StorageError {
    match error {
        TrieError::Source(error) => error,
        other => StorageError::Trie(other.to_string()),
    }
}

/// Checks everything that needs no state: header, body, and their relation to the parent.
pub(crate) fn validate<C: Payloads>(
    chain: &C,
    block: &Block<C>,
    parent: &Sealed<C::Header>,
    parent_total_difficulty: U256,
) -> Result<(), Fault> {
    chain.validate_header(&block.header).map_err(invalid)?;
    chain
        .validate_header_against_parent(&block.header, parent, Some(parent_total_difficulty))
        .map_err(invalid)?;
    chain.validate_body(block).map_err(invalid)
}

/// Executes a validated block and holds its commitments against the outcome.
///
/// Without an executor it is executed serially, which is what every executor is held against.
/// `commitment` is to the parent's state and becomes that to the block's. After
/// [`Fault::Invalid`] or [`Fault::Node`] it must not be used again.
pub(crate) fn execute<C: Payloads>(
    chain: &C,
    block: Arc<RecoveredBlock<C>>,
    parent: &Parent<C>,
    commitment: &mut C::Commitment,
    executor: Option<&ParallelExecutor>,
) -> Result<ExecutedBlock<C>, Fault> {
    let state = &*parent.state;
    let mut root_after = |changes: &StateChanges| {
        let mut commitment = commitment.clone();
        Ok(commitment.commit(changes, &state, |_, _, _| ()).map_err(trie_error)?)
    };
    let options =
        ExecuteOptions { intermediate_roots: Some(&mut root_after), ..Default::default() };
    let output = match executor {
        Some(executor) => {
            executor.execute_block(chain, &block.block, &block.senders, &state, options)
        }
        None => execute_block(chain, &block.block, &block.senders, state, options),
    };
    complete(chain, block, parent, commitment, output)
}

/// Holds a block's commitments against what its execution came to. As for [`execute`], which does this.
pub(crate) fn complete<C: Payloads>(
    chain: &C,
    block: Arc<RecoveredBlock<C>>,
    parent: &Parent<C>,
    commitment: &mut C::Commitment,
    output: RangeOutput<C, &dyn State>,
) -> Result<ExecutedBlock<C>, Fault> {
    let (header, state) = (&block.block.header, &*parent.state);
    let output = output.map_err(|error| execution_fault(block.hash(), error))?;
    validate_output(chain, header, &output).map_err(invalid)?;
    let (root, nodes) = commit(&output.changes, commitment, state)?;
    validate_state_root(header, root).map_err(invalid)?;
    if let Some((account, stated)) = chain.storage_commitment(header) {
        let got = storage_root(commitment, account, state)?;
        if got != stated {
            return Err(Fault::Invalid(format!(
                "header field `withdrawalsRoot` is {stated}, the storage root of {account} is {got}"
            )));
        }
    }
    let total_difficulty = difficulty_after(parent.total_difficulty, header);
    let BlockOutput { receipts, requests, changes, .. } = output;
    Ok(ExecutedBlock::new(block, receipts, requests, total_difficulty, changes, nodes))
}

/// The sum of difficulties including a block's.
pub(crate) fn difficulty_after(
    parent_total_difficulty: U256,
    header: &impl alloy_consensus::BlockHeader,
) -> U256 {
    parent_total_difficulty.saturating_add(header.difficulty())
}

/// Moves a commitment on from `state` by `changes`; returns the new root and nodes.
pub(crate) fn commit(
    changes: &StateChanges,
    commitment: &mut impl StateCommitment,
    state: &dyn State,
) -> Result<(B256, TrieNodes), StorageError> {
    let mut nodes = TrieNodesBuilder::default();
    let root = commitment
        .commit(changes, &state, |path, hash, rlp| nodes.push(path, hash, rlp))
        .map_err(trie_error)?;
    Ok((root, nodes.build()))
}

/// The root of an account's storage in the state that was committed to last.
pub(crate) fn storage_root(
    commitment: &mut impl StateCommitment,
    account: Address,
    state: &dyn State,
) -> Result<B256, StorageError> {
    let trie = commitment.trie().ok_or_else(|| {
        let reason = "its headers state a storage root, and its state commitment is no trie";
        StorageError::Trie(format!("the chain definition contradicts itself: {reason}"))
    })?;
    let account = trie.account(keccak256(account), &state).map_err(trie_error)?;
    Ok(account.map_or(EMPTY_ROOT_HASH, |account| account.storage_root))
}

pub(crate) fn execution_fault(hash: B256, error: ExecutionError<StorageError>) -> Fault {
    match error {
        error if error.is_invalid_block() => invalid(error),
        ExecutionError::State(error) => error.into(),
        error => Fault::Node(EngineError::Execution { hash, reason: error.to_string() }),
    }
}
