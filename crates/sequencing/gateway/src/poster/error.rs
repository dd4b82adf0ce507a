//! Why the poster cannot go on, and who must act.

use alloy_primitives::{Address, ChainId};
use lockstep_batcher::{BatcherError, ErrorClass, SourceError};
use lockstep_derive::Severity;
use lockstep_lookahead::{LookaheadError, Slot};
use lockstep_protocol::UnionBatchError;

/// Why a slot's batch cannot be posted now, while it holds transactions and can neither be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// The slot belongs to another gateway, whose batch it is.
    #[error("it belongs to {0}, who must post it")]
    OfAnother(Address),
    /// The slot has no owner.
    #[error("it belongs to nobody")]
    OfNobody,
    /// Who owns the slot is not known.
    #[error("who owns it is not known")]
    Unknown,
    /// A batch of a later slot was posted before.
    #[error("the inbox takes batches of slot {next_slot} and later ones alone")]
    Passed {
        /// The first slot that can still have a batch.
        next_slot: Slot,
    },
    /// The slot is too long ago.
    #[error("the inbox takes it for {window_slots} slots alone")]
    Closed {
        /// For how many slots after its own a batch can be posted.
        window_slots: u64,
    },
    /// L1 has no block yet from which the owner could be proven.
    #[error("its owner cannot be proven yet")]
    NotProvable,
    /// The rollups' parts of its super transactions do not agree: a rollup is not ready, or has taken blocks
    /// back that its peers still have.
    #[error("the rollups do not agree about its super transactions; one of them lacks blocks")]
    Disagreement,
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
    /// The blocks of a slot do not fit into the blobs of one transaction.
    #[error("the batch of slot {slot} takes {blobs} blobs, the limit is {limit}")]
    TooManyBlobs {
        /// The slot.
        slot: Slot,
        /// Blobs that it takes.
        blobs: usize,
        /// Blobs that it may take ([`PosterSettings::max_blobs`](crate::PosterSettings::max_blobs)).
        limit: usize,
    },
    /// The blocks of a slot cannot be encoded.
    #[error("the batch of slot {slot} cannot be encoded: {source}")]
    Encoding {
        /// The slot.
        slot: Slot,
        /// Why not.
        source: UnionBatchError,
    },
    /// Followers would drop the batch: the rollups' blocks contradict each other.
    #[error("followers would drop the batch of slot {slot} as {dropped}")]
    Invalid {
        /// The slot.
        slot: Slot,
        /// The rule that it breaks (docs/union-batches.md § 4.1).
        dropped: &'static str,
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
    /// The gateway's key does not sign.
    #[error("signing the batch of slot {slot}: {reason}")]
    Signer {
        /// The slot.
        slot: Slot,
        /// What the signer said.
        reason: String,
    },
    /// A transaction could not be made or sent, or blocks could not be put together.
    #[error(transparent)]
    Transaction(#[from] BatcherError),
    /// A setting contradicts itself or Ethereum.
    #[error("{setting} is {found}, {expected}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: u128,
        /// What it must be.
        expected: &'static str,
    },
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
            Self::L1(_) | Self::Member { .. } | Self::Signer { .. } => ErrorClass::Temporary,
            Self::NoUnion(_)
            | Self::TooManyBlobs { .. }
            | Self::Encoding { .. }
            | Self::Invalid { .. }
            | Self::ProofTooLong { .. }
            | Self::Setting { .. } => ErrorClass::Critical,
        }
    }
}
