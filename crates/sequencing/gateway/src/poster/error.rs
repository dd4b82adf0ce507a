//! Why the poster cannot go on, and who must act.

use alloy_primitives::ChainId;
use lockstep_batcher::{BatcherError, ErrorClass, SourceError};
use lockstep_derive::Severity;
use lockstep_lookahead::{LookaheadError, Slot};
use std::{io, path::PathBuf};

/// Why a slot's batch cannot be posted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// The slot belongs to nobody, or to another gateway than has signed the batch: L1 was reorganised over the block that
    /// decides that. The batch is given up.
    #[error("it does not belong to who has signed it")]
    NotOwned,
    /// L1 took it back after what it holds was forgotten. The batch is given up.
    #[error("what it holds was forgotten since L1 had it for good")]
    Forgotten,
    /// Who owns the slot is not known.
    #[error("who owns it is not known")]
    Unknown,
    /// L1 has no block yet from which the owner could be proven.
    #[error("its owner cannot be proven yet")]
    NotProvable,
}

/// A failure of the poster. [`Self::class`] says who must act.
#[derive(Debug, thiserror::Error)]
pub enum PosterError {
    /// The rollups are not of one union.
    #[error("rollup {0} is configured for no union, or not for that of the others")]
    NoUnion(ChainId),
    /// The L1 node did not answer.
    #[error("L1: {0}")]
    L1(#[source] SourceError),
    /// A rollup's node did not answer.
    #[error("rollup {chain}: {source}")]
    Member {
        /// The rollup.
        chain: ChainId,
        /// What happened.
        source: SourceError,
    },
    /// Who owns a slot could not be found out or proven.
    #[error("the look-ahead: {0}")]
    Lookahead(#[from] LookaheadError),
    /// What proves the owners of slots cannot be kept.
    #[error("what proves the owners of slots cannot be kept in {path}: {source}")]
    Evidence {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A sealed batch is not what it says.
    #[error("the batch of slot {slot}: {reason}")]
    Blobs {
        /// The slot.
        slot: Slot,
        /// What is wrong.
        reason: String,
    },
    /// The proof of a slot's owner takes more gas than a transaction may have (EIP-7825).
    #[error("the proof of {proposers} proposers takes {gas} gas, the limit is {limit}")]
    ProofTooLong {
        /// How many proposers there are up to the first that opted in.
        proposers: usize,
        /// What the call may use.
        gas: u64,
        /// What a transaction may use.
        limit: u64,
    },
    /// A transaction could not be made or sent.
    #[error(transparent)]
    Transaction(#[from] BatcherError),
}

impl PosterError {
    /// Who must act: nobody ([`ErrorClass::Temporary`]), since the next step tries again; or an operator
    /// ([`ErrorClass::Critical`]).
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Lookahead(error) => match error.severity() {
                Severity::Critical => ErrorClass::Critical,
                Severity::Temporary | Severity::Reset => ErrorClass::Temporary,
            },
            Self::Transaction(error) => error.class(),
            Self::L1(_) | Self::Member { .. } => ErrorClass::Temporary,
            Self::NoUnion(_)
            | Self::Evidence { .. }
            | Self::Blobs { .. }
            | Self::ProofTooLong { .. } => ErrorClass::Critical,
        }
    }
}
