//! Why a super transaction, or a rollup's part of one, could not be executed.

use alloc::string::String;
use alloy_primitives::ChainId;
use op_revm::OpTransactionError;

/// Why a super transaction, or a rollup's part of one, could not be executed.
///
/// After any of these nothing of it stays in the state of any rollup.
#[derive(Debug, thiserror::Error)]
pub enum UnionError<E> {
    /// The user's transaction breaks a rule that the EVM checks before it runs; its sender must act.
    #[error("the transaction cannot run: {0}")]
    Transaction(OpTransactionError),
    /// The home rollup is not among those that the executor was given; the caller must act.
    #[error("rollup {0} does not take part")]
    UnknownHome(ChainId),
    /// A rollup of the union was called that the executor was not given; try without the
    /// transaction, or with the rollup.
    #[error("rollup {0} is called and does not take part")]
    PeerUnavailable(ChainId),
    /// The block of a peer has no room for what was called there; try again in another block.
    #[error("rollup {chain}: a call with {gas_limit} gas, the block has {available} left")]
    PeerGas {
        /// The peer.
        chain: ChainId,
        /// What the call may use, in gas.
        gas_limit: u64,
        /// What the block has, in gas.
        available: u64,
    },
    /// Its parts are not accepted; try again in another slot.
    #[error("there is no room for the parts of the super transaction")]
    Unaccepted,
    /// The script is not that of this transaction on this rollup and this state; whoever made it is
    /// at fault.
    #[error("rollup {chain}: step {step}: {reason}")]
    Script {
        /// The rollup whose part it is.
        chain: ChainId,
        /// The step's index, or the last that was right.
        step: u32,
        /// What is wrong.
        reason: &'static str,
    },
    /// The EVM stopped for a reason that is neither the transaction's nor the state's fault.
    #[error("the EVM failed: {0}")]
    Evm(String),
    /// The state could not be read.
    #[error("the state could not be read: {0}")]
    State(#[source] E),
}

impl<E> UnionError<E> {
    /// Whether a script is at fault, so that trying again cannot help.
    pub const fn is_invalid_script(&self) -> bool {
        matches!(self, Self::Script { .. })
    }
}
