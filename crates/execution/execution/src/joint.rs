//! Super transactions in the blocks of all rollups that they touch.

use crate::{
    BlockExecutor, BlockState, Execute, ExecutionError, StateError, StateReader,
    executor::Admitted, rollup_evm::without_effect,
};
use alloc::{collections::BTreeMap, string::ToString, vec::Vec};
use alloy_evm::Evm;
use alloy_primitives::{Address, ChainId};
use lockstep_chain::{Chain, PORT, Rollup};
use lockstep_union::{
    PartOutcome, PartSizes, Participant, SuperId, UnionError, execute_jointly_if, part_transaction,
};
use op_alloy_consensus::OpTxEnvelope;
use revm::inspector::NoOpInspector;

/// The blocks of a union that are open at the same time, by chain id.
pub type OpenBlocks<'e, 'a, S> = BTreeMap<ChainId, &'e mut BlockExecutor<'a, Rollup, S>>;

/// What a super transaction adds to the block of one rollup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The transactions with their senders, in order: the one that holds the part, if there are calls,
    /// and on the home rollup the user's.
    pub transactions: Vec<(OpTxEnvelope, Address)>,
    /// Gas that they used.
    pub gas_used: u64,
    /// Whether the user's transaction succeeded; on peers true.
    pub success: bool,
}

/// Why a super transaction was not executed.
#[derive(Debug, thiserror::Error)]
pub enum JointError<E> {
    /// It cannot stand in the home's block, or the state of a rollup could not be read.
    #[error(transparent)]
    Execution(#[from] ExecutionError<E>),
    /// It calls a rollup whose block is not open, or its home's is not; it can wait for one.
    #[error("rollup {0} is called, and has no open block")]
    NoBlock(ChainId),
    /// A peer's block has no room for what is called there; it can wait for the next one.
    #[error("rollup {chain}: a call with {gas_limit} gas, the block has {available} left")]
    NoRoom {
        /// The peer.
        chain: ChainId,
        /// What the call may use, in gas.
        gas_limit: u64,
        /// What the block has, in gas.
        available: u64,
    },
    /// Its parts were not accepted.
    #[error("there is no room for the parts of the super transaction")]
    Unaccepted,
}

impl<S: StateReader> BlockExecutor<'_, Rollup, S> {
    /// Gas used so far by transactions of this rollup that came to nothing because they call others.
    pub fn wasted_gas(&self) -> u64 {
        self.evm.wasted_gas()
    }

    /// The rollup as a participant of super transactions; `None` if it is a member of no union.
    fn participant(&mut self) -> Option<Participant<'_, BlockState<S>, NoOpInspector>> {
        let available = self.header.gas_limit.saturating_sub(self.progress().gas_used);
        self.evm.participant(available)
    }
}

/// Executes a user's transaction on its home rollup and what it calls on the others, as the next of all
/// their blocks. Without calls it is an ordinary transaction.
///
/// # Errors
/// [`JointError`]; no block has then changed. After an error of the state the blocks must not be used any
/// more.
pub fn transact_jointly<S: StateReader>(
    blocks: &mut OpenBlocks<'_, '_, S>,
    id: SuperId,
    home: ChainId,
    transaction: &OpTxEnvelope,
    sender: Address,
) -> Result<BTreeMap<ChainId, Joined>, JointError<S::Error>> {
    transact_jointly_if(blocks, id, home, transaction, sender, &|_| true)
}

/// As [`transact_jointly`], if `accepts` what the parts take in a batch. It is not asked about a
/// transaction without calls.
///
/// # Errors
/// As [`transact_jointly`], and [`JointError::Unaccepted`].
pub fn transact_jointly_if<S: StateReader>(
    blocks: &mut OpenBlocks<'_, '_, S>,
    id: SuperId,
    home: ChainId,
    transaction: &OpTxEnvelope,
    sender: Address,
    accepts: &dyn Fn(&PartSizes) -> bool,
) -> Result<BTreeMap<ChainId, Joined>, JointError<S::Error>> {
    let block = blocks.get_mut(&home).ok_or(JointError::NoBlock(home))?;
    let admitted = block.admit(transaction, &sender)?;
    let tx = block.chain().tx_env(transaction, sender);
    let members = blocks.iter_mut().filter_map(|(id, block)| Some((*id, block.participant()?)));
    let mut members = members.collect();
    let executed = execute_jointly_if(&mut members, id, home, tx, accepts);
    let wasted_gas = members.get(&home).map_or(0, Participant::wasted_gas);
    drop(members);
    if let Some(block) = blocks.get_mut(&home) {
        block.evm.note_waste(wasted_gas);
    }
    let outcomes = executed.map_err(|error| explain(blocks, home, transaction, error))?;
    let mut joined = BTreeMap::new();
    for (chain, outcome) in outcomes {
        let Some(block) = blocks.get_mut(&chain) else { continue };
        let user = (chain == home).then_some((transaction, sender, admitted));
        joined.insert(chain, record(block, outcome, user)?);
    }
    Ok(joined)
}

/// Puts what a super transaction did on one rollup into its block.
fn record<S: StateReader>(
    block: &mut BlockExecutor<'_, Rollup, S>,
    outcome: PartOutcome,
    user: Option<(&OpTxEnvelope, Address, Admitted)>,
) -> Result<Joined, ExecutionError<S::Error>> {
    let chain = block.chain().chain_id();
    let mut joined = Joined { transactions: Vec::new(), gas_used: 0, success: true };
    let has_calls = !outcome.part.steps.is_empty();
    let holder = OpTxEnvelope::from(part_transaction(&outcome.part, chain));
    let mut result = outcome.into_result();
    if has_calls {
        // What remains of a transaction's admission is its sender's nonce: the room was checked.
        let admitted = block.admit(&holder, &PORT)?;
        let on_home = user.is_some();
        let held = if on_home {
            without_effect()
        } else {
            core::mem::replace(&mut result, without_effect())
        };
        // What was changed on home is the user's transaction's doing, not the holder's.
        let recorder = if on_home { block.evm.db_mut().recorder.take() } else { None };
        joined.gas_used = block.record(&holder, admitted, held).gas_used;
        if let Some(mut recorder) = recorder {
            recorder.skip_transaction();
            block.evm.db_mut().recorder = Some(recorder);
        }
        joined.transactions.push((holder, PORT));
    }
    if let Some((transaction, sender, admitted)) = user {
        let done = block.record(transaction, admitted, result);
        (joined.gas_used, joined.success) = (done.gas_used, done.success);
        joined.transactions.push((transaction.clone(), sender));
    }
    Ok(joined)
}

fn explain<S: StateReader>(
    blocks: &mut OpenBlocks<'_, '_, S>,
    home: ChainId,
    transaction: &OpTxEnvelope,
    error: UnionError<StateError>,
) -> JointError<S::Error> {
    // Of any rollup: what the others were told may follow from the read that failed.
    let lost = blocks.values_mut().find_map(|block| block.evm.db_mut().take_error());
    if let Some(lost) = lost {
        return ExecutionError::State(lost).into();
    }
    let refused = |reason| {
        let index = blocks.get(&home).map_or(0, |block| block.progress().transactions);
        ExecutionError::Transaction { index, hash: transaction.tx_hash(), reason }
    };
    match error {
        UnionError::Transaction(reason) => refused(reason.to_string()).into(),
        UnionError::Script { .. } => refused(error.to_string()).into(),
        UnionError::UnknownHome(chain) | UnionError::PeerUnavailable(chain) => {
            JointError::NoBlock(chain)
        }
        UnionError::Unaccepted => JointError::Unaccepted,
        UnionError::PeerGas { chain, gas_limit, available } => {
            JointError::NoRoom { chain, gas_limit, available }
        }
        UnionError::Evm(reason) => ExecutionError::Evm(reason).into(),
        UnionError::State(error) => ExecutionError::Evm(error.to_string()).into(),
    }
}
