//! What can go wrong, and who must act on it.

use alloc::{boxed::Box, string::String};
use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use lockstep_protocol::RollupConfig;

/// Who must act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Nobody: call again later, nothing was lost.
    Temporary,
    /// The driver: find the sync start again ([`find_sync_start`](crate::find_sync_start)) and
    /// send [`Signal::Reset`](crate::Signal::Reset).
    Reset,
    /// The operator: the configuration or a provider is wrong, and going on would fork the node off.
    Critical,
}

/// What the error of a provider must tell of itself.
pub trait ProviderError: core::error::Error + Send + Sync + 'static {
    /// Who must act: `Temporary` if the answer may come later, `Reset` if what was asked for is no
    /// longer there (an L1 block that was reorganised away), `Critical` if it can never come.
    fn severity(&self) -> Severity;
}

impl ProviderError for core::convert::Infallible {
    fn severity(&self) -> Severity {
        match *self {}
    }
}

/// Why the pipeline could not take a step. Malformed data is never the reason: it is dropped by
/// the rule that applies, and counted ([`Counters`](crate::Counters)).
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// A provider could not answer.
    #[error("could not read {what}: {source}")]
    Provider {
        /// What was asked for.
        what: &'static str,
        /// Who must act, as the provider says.
        severity: Severity,
        /// Why it could not be read.
        source: Box<dyn core::error::Error + Send + Sync>,
    },
    /// The next L1 block does not build on the one that was read last: L1 was reorganised.
    #[error(
        "L1 block {next} builds on {parent}, but {hash} was read as block {number}",
        hash = origin.hash, number = origin.number
    )]
    L1Reorg {
        /// The block that was read last.
        origin: BlockNumHash,
        /// The hash of the block above it.
        next: B256,
        /// The parent of that block.
        parent: B256,
    },
    /// The safe head has an L1 origin that does not belong to the L1 blocks read so far.
    #[error(
        "the safe head has L1 origin {origin_number} ({origin_hash}), the L1 blocks at hand begin \
         with {first_number} ({first_hash})",
        origin_number = origin.number, origin_hash = origin.hash,
        first_number = first.number, first_hash = first.hash
    )]
    OriginMismatch {
        /// The L1 origin of the safe head.
        origin: BlockNumHash,
        /// The first L1 block that batches are judged by.
        first: BlockNumHash,
    },
    /// A valid batch does not continue the safe head: the safe head was exchanged.
    #[error(
        "the batch at {timestamp} builds on {batch_parent}, the safe head is {parent} and its child \
         would be at {expected}"
    )]
    ParentMismatch {
        /// The parent that the batch was judged valid for.
        batch_parent: B256,
        /// The safe head.
        parent: B256,
        /// The timestamp of the batch, in seconds.
        timestamp: u64,
        /// The timestamp of the safe head's child, in seconds.
        expected: u64,
    },
    /// A new L1 origin does not build on the origin of the safe head.
    #[error(
        "L1 origin {number} ({hash}) has parent {parent}, the safe head has L1 origin {origin_number} \
         ({origin_hash})",
        number = epoch.number, hash = epoch.hash,
        origin_number = origin.number, origin_hash = origin.hash
    )]
    EpochMismatch {
        /// The L1 origin of the block to be made.
        epoch: BlockNumHash,
        /// Its parent.
        parent: B256,
        /// The L1 origin of the safe head.
        origin: BlockNumHash,
    },
    /// A block would be older than its L1 origin.
    #[error("a block at {timestamp} cannot have an L1 origin at {origin_timestamp}")]
    TimeInvariant {
        /// The timestamp of the block, in seconds.
        timestamp: u64,
        /// The timestamp of the L1 origin, in seconds.
        origin_timestamp: u64,
    },
    /// The union's configuration tells the time of slots otherwise than L1 does; the operator must
    /// correct it.
    #[error(
        "the inbox took a batch for slot {slot} at {timestamp}, when it had not begun by `union` \
         (genesisTime {genesis_time}, slotSeconds {slot_seconds})"
    )]
    UnionClock {
        /// The slot.
        slot: u64,
        /// The timestamp of the L1 block, in seconds.
        timestamp: u64,
        /// When slot 0 begins by the configuration, in seconds.
        genesis_time: u64,
        /// Seconds from slot to slot by the configuration.
        slot_seconds: u64,
    },
    /// The rollup's chain changed while it was read.
    #[error("block {number} has parent {parent}, but {got} is below it now")]
    L2Reorg {
        /// The number of the block.
        number: u64,
        /// Its parent.
        parent: B256,
        /// The block that is there now.
        got: B256,
    },
    /// A block and its parent contradict each other in their L1 origins: no rules gave them that.
    #[error(
        "block {number} ({hash}) and its parent {parent} have L1 origins that cannot follow each \
         other",
        number = block.number, hash = block.hash, parent = parent.hash
    )]
    BrokenOrigin {
        /// The block.
        block: BlockNumHash,
        /// Its parent.
        parent: BlockNumHash,
    },
    /// The chain does not begin with the block that the configuration names.
    #[error(
        "block {number} is {got}, the configuration says {expected}",
        number = expected.number, got = got.hash, expected = expected.hash
    )]
    WrongChain {
        /// What the configuration says.
        expected: BlockNumHash,
        /// What is there.
        got: BlockNumHash,
    },
    /// A finalized block is no longer in the chain.
    #[error(
        "block {number} is {got}, but {finalized} was finalized",
        number = got.number, got = got.hash, finalized = finalized.hash
    )]
    FinalizedReorg {
        /// The finalized block.
        finalized: BlockNumHash,
        /// The one in its place.
        got: BlockNumHash,
    },
    /// L1 does not contain the L1 origin of a finalized block.
    #[error(
        "the finalized block {number} has L1 origin {origin_number} ({origin_hash}), which is not \
         canonical",
        number = finalized.number, origin_number = origin.number, origin_hash = origin.hash
    )]
    FinalizedOrigin {
        /// The finalized block.
        finalized: BlockNumHash,
        /// Its L1 origin.
        origin: BlockNumHash,
    },
    /// L1 was reorganised so deeply that a wrong provider is more likely.
    #[error("the unsafe head would go from L1 origin {before} back to {now}")]
    TooDeep {
        /// The number of the L1 origin that the unsafe head has.
        before: u64,
        /// The number of the one it would have.
        now: u64,
    },
    /// The provider of blobs gave more or fewer than were asked for.
    #[error("{got} blobs for {asked} hashes of L1 block {block}")]
    BlobCount {
        /// How many were asked for.
        asked: usize,
        /// How many came.
        got: usize,
        /// The hash of the L1 block.
        block: B256,
    },
    /// The deposit contract emitted a deposit that cannot be read: it is not the contract that the
    /// configuration means. Leaving the deposit out would fork the node off.
    #[error("a deposit of L1 block {block} cannot be read: {reason}")]
    Deposits {
        /// The hash of the L1 block.
        block: B256,
        /// What is wrong with it.
        reason: Box<dyn core::error::Error + Send + Sync>,
    },
    /// A fork begins that is not implemented: another version of this software must go on.
    #[error("the fork of `{field}` begins at {at} and is not supported: {timestamp} is past it")]
    UnsupportedFork {
        /// The field of the configuration that schedules it.
        field: String,
        /// When it begins, in seconds.
        at: u64,
        /// The timestamp of the L1 block or rollup block that comes next, in seconds.
        timestamp: u64,
    },
    /// The L1 attributes of a block cannot be made from its L1 origin.
    #[error("the L1 attributes of L1 block {block} cannot be made: {reason}")]
    L1Attributes {
        /// The hash of the L1 block.
        block: B256,
        /// What is wrong with it.
        reason: Box<dyn core::error::Error + Send + Sync>,
    },
}

impl DeriveError {
    /// Who must act.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Provider { severity, .. } => *severity,
            Self::L1Reorg { .. }
            | Self::OriginMismatch { .. }
            | Self::ParentMismatch { .. }
            | Self::EpochMismatch { .. }
            | Self::TimeInvariant { .. }
            | Self::BlobCount { .. } => Severity::Reset,
            Self::L2Reorg { .. } => Severity::Temporary,
            Self::Deposits { .. }
            | Self::UnsupportedFork { .. }
            | Self::L1Attributes { .. }
            | Self::BrokenOrigin { .. }
            | Self::WrongChain { .. }
            | Self::UnionClock { .. }
            | Self::FinalizedReorg { .. }
            | Self::FinalizedOrigin { .. }
            | Self::TooDeep { .. } => Severity::Critical,
        }
    }

    /// Wraps the error of a provider that was asked for `what`.
    pub(crate) fn provider<E: ProviderError>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| {
            let severity = error.severity();
            Self::Provider { what, severity, source: Box::new(error) }
        }
    }
}

/// Derivation ends where a fork begins that it does not know.
pub(crate) fn check_fork(config: &RollupConfig, timestamp: u64) -> Result<(), DeriveError> {
    match config.unsupported_fork() {
        Some((field, at)) if at <= timestamp => {
            Err(DeriveError::UnsupportedFork { field: field.into(), at, timestamp })
        }
        _ => Ok(()),
    }
}
