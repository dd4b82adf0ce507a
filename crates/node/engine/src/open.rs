//! Blocks that stay open for a while: transactions are executed as they come, and seen before the
//! block is complete.

use crate::{
    BlockBuilder, Engine, EngineError, FilledBlock, OpenBlock, Payloads, Refusal, builder::finish,
    insert::Log,
};
use alloy_consensus::{BlockBody, BlockHeader, Header};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, ChainId, Sealed, U256};
use lockstep_chain::{Block, Chain, Rollup};
use lockstep_execution::{Joined, JointError, TransactionOutcome, transact_jointly_if};
use lockstep_storage::{ExecutedBlock, OverlayState, RecoveredBlock, State, TrieNodes};
use lockstep_union::{PartSizes, SuperId};
use op_alloy_consensus::OpTxEnvelope;
use std::{collections::BTreeMap, sync::Arc};

impl<C: Payloads> Engine<C> {
    /// Begins a block on a known block.
    ///
    /// # Errors
    /// As [`Engine::start_payload`], and when the parent's state cannot be read.
    pub fn open_block(
        &self,
        parent: B256,
        attributes: &C::Attributes,
    ) -> Result<OpenBlock<C>, EngineError> {
        let core = &self.core;
        core.check_running()?;
        let plan = core.plan(&parent, attributes)?;
        let parent = core.parent(&parent)?.ok_or(EngineError::UnknownBlock(parent))?;
        core.begin_cache(parent.header.seal());
        let parent = core.through_cache(parent);
        let (chain, parallel) = (core.chain().clone(), core.executor.clone());
        Ok(OpenBlock { chain, parent, plan, parallel })
    }

    /// Completes a block and adds it to the tree, as [`Engine::build_and_insert`] does.
    ///
    /// # Errors
    /// As [`Engine::build_and_insert`]. If storage was unwound meanwhile, the block is to be opened and
    /// filled again.
    pub fn close_block(
        &self,
        open: OpenBlock<C>,
        filled: FilledBlock<C>,
    ) -> Result<Arc<ExecutedBlock<C>>, EngineError> {
        let core = &self.core;
        core.check_running()?;
        core.wait_for_persistence()?;
        let OpenBlock { chain, parent, plan, .. } = open;
        let mut execution = core.execution.lock();
        let (of, root) = (parent.header.seal(), parent.header.state_root());
        let mut commitment = execution.take_commitment(of, root);
        let built = finish(&chain, &parent, plan, filled, &mut commitment)?;
        let block = built.block;
        execution.keep_commitment(block.block.hash(), commitment, core.config.max_trie_nodes);
        core.add(&block, Log::Write)?;
        Ok(block)
    }
}

/// A block that is not complete: what `pending` shows.
#[derive(Clone, Debug)]
pub struct PendingBlock<C: Chain> {
    /// The block so far; what follows from its execution is not in the header yet, so its hash is not
    /// known, and zero here.
    pub block: Arc<RecoveredBlock<C>>,
    /// Its receipts so far.
    pub receipts: Arc<Vec<C::Receipt>>,
    /// The state so far. It has no trie, so nothing in it can be proven.
    pub state: Arc<dyn State>,
    /// The blocks of the union's other rollups as they were then; empty if they are not known.
    pub peers: Arc<PendingPeers>,
    /// The positions of its transactions.
    executed: Arc<ExecutedBlock<C>>,
}

impl<C: Chain> PendingBlock<C> {
    /// The position of a transaction in the block.
    pub fn transaction_index(&self, hash: &B256) -> Option<usize> {
        self.executed.transaction_index(hash)
    }
}

/// Blocks of a union's rollups that are not complete, as they were at one moment, by chain id.
pub type PendingPeers = BTreeMap<ChainId, PendingPeer>;

/// One of [`PendingPeers`].
#[derive(Clone, Debug)]
pub struct PendingPeer {
    /// The rollup.
    pub chain: Rollup,
    /// The block's header so far.
    pub header: Header,
    /// The state so far.
    pub state: Arc<dyn State>,
}

impl<C: Payloads> BlockBuilder<'_, C> {
    /// The block as it is now; more can be added afterwards.
    pub fn pending(&self, parent_state: Arc<dyn State>) -> PendingBlock<C> {
        let body = BlockBody {
            transactions: self.contents.transactions.clone(),
            ommers: Vec::new(),
            withdrawals: None,
        };
        let block = Block::<C> { header: self.contents.header.clone(), body };
        let block = Sealed::new_unchecked(block, B256::ZERO);
        let block = Arc::new(RecoveredBlock { block, senders: self.contents.senders.clone() });
        let executed = ExecutedBlock::new(
            block.clone(),
            self.executor.receipts().to_vec(),
            Requests::default(),
            U256::ZERO,
            self.executor.changes(),
            TrieNodes::default(),
        );
        let receipts = executed.receipts.clone();
        let executed = Arc::new(executed);
        let state = Arc::new(OverlayState::new(vec![executed.clone()], parent_state));
        PendingBlock { block, receipts, state, peers: Arc::default(), executed }
    }
}

impl BlockBuilder<'_, Rollup> {
    /// Gas used so far by transactions of this rollup that were refused because of what they call on
    /// others: what they did on all rollups.
    pub fn wasted_gas(&self) -> u64 {
        self.executor.wasted_gas()
    }
}

/// The blocks of a union that are open at the same time, by chain id.
pub type OpenUnion<'b, 'a> = BTreeMap<ChainId, &'b mut BlockBuilder<'a, Rollup>>;

/// Why a super transaction was not taken. The blocks stay as they were.
#[derive(Debug, thiserror::Error)]
pub enum JointRefusal {
    /// It cannot stand in the home's block.
    #[error(transparent)]
    Home(#[from] Refusal),
    /// It calls a rollup without an open block; it can wait until there is one.
    #[error("rollup {0} is called, and has no open block")]
    NoBlock(ChainId),
    /// It can wait until a peer's block has more room.
    #[error("{0}")]
    Wait(String),
    /// What its parts take in a batch was not accepted.
    #[error("there is no room for the parts of the super transaction")]
    Unaccepted,
}

/// Executes a transaction as the next of its home's block and, as far as it calls them, of its peers', if
/// `accepts` what its parts take in a batch; it is not asked about a transaction without calls.
///
/// # Errors
/// Why it was not taken.
pub fn push_jointly(
    blocks: &mut OpenUnion<'_, '_>,
    id: SuperId,
    home: ChainId,
    transaction: &OpTxEnvelope,
    sender: Address,
    accepts: &dyn Fn(&PartSizes) -> bool,
) -> Result<BTreeMap<ChainId, Joined>, JointRefusal> {
    if let Some(block) = blocks.get(&home) {
        block.check_room(transaction)?;
    }
    let mut executors = blocks.iter_mut().map(|(id, it)| (*id, &mut it.executor)).collect();
    let joined = transact_jointly_if(&mut executors, id, home, transaction, sender, accepts);
    let joined = joined.map_err(|error| match error {
        JointError::Execution(error) => JointRefusal::Home(match blocks.get(&home) {
            Some(block) => block.refusal(error),
            None => Refusal::NoRoom(error.to_string()),
        }),
        JointError::Unaccepted => JointRefusal::Unaccepted,
        JointError::NoBlock(chain) => JointRefusal::NoBlock(chain),
        error => JointRefusal::Wait(error.to_string()),
    })?;
    for (chain, joined) in &joined {
        let Some(block) = blocks.get_mut(chain) else { continue };
        for (transaction, sender) in &joined.transactions {
            let outcome = TransactionOutcome { gas_used: joined.gas_used, success: joined.success };
            block.append(transaction.clone(), *sender, None, outcome);
        }
    }
    Ok(joined)
}
