//! Ommers ("uncles"): stale siblings that proof-of-work blocks paid for.

use crate::{Block, Chain, Ethereum, HeaderError};
use alloc::vec::Vec;
use alloy_consensus::Header;
use alloy_primitives::{B256, Sealed};

/// The most ommers a block may name (Yellow Paper § 11.1).
pub const MAX_OMMERS: usize = 2;

/// An ommer's parent is at most this many generations above the block.
pub const MAX_OMMER_DEPTH: usize = 7;

/// A block above the one under judgement.
#[derive(Clone, Debug)]
pub struct Ancestor {
    /// Its header.
    pub header: Sealed<Header>,
    /// The hashes of the ommers it named.
    pub ommers: Vec<B256>,
}

/// An ommer rule that a block breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OmmerError {
    /// The block names too many ommers.
    #[error("the block names {count} ommers, the limit is {MAX_OMMERS}")]
    TooMany {
        /// Ommers found.
        count: usize,
    },
    /// The block, or one of its ancestors, already named this ommer.
    #[error("ommer {hash} is named twice")]
    Duplicate {
        /// The ommer.
        hash: B256,
    },
    /// The ommer is an ancestor of the block.
    #[error("ommer {hash} is an ancestor of the block")]
    IsAncestor {
        /// The ommer.
        hash: B256,
    },
    /// The ommer's parent is not an ancestor of the block two to seven generations above it.
    #[error("the parent of ommer {hash} is not 2 to {MAX_OMMER_DEPTH} generations above the block")]
    NotKin {
        /// The ommer.
        hash: B256,
    },
    /// The ommer's own header is invalid.
    #[error("ommer {hash}: {source}")]
    Header {
        /// The ommer.
        hash: B256,
        /// The broken rule.
        source: HeaderError,
    },
}

impl Ethereum {
    /// Checks the ommers of `block`; `ancestors` are the blocks above it, its parent first. At
    /// least [`MAX_OMMER_DEPTH`] of them are needed where that many exist.
    ///
    /// Source: Yellow Paper § 11.1. The ommers' seals are left to [`crate::ethash::verify_seal`].
    ///
    /// # Errors
    /// The first broken rule, naming the ommer.
    pub fn validate_ommers(
        &self,
        block: &Block<Self>,
        ancestors: &[Ancestor],
    ) -> Result<(), OmmerError> {
        let ommers = &block.body.ommers;
        if ommers.len() > MAX_OMMERS {
            return Err(OmmerError::TooMany { count: ommers.len() });
        }
        let near = ancestors.get(..MAX_OMMER_DEPTH.min(ancestors.len())).unwrap_or_default();
        let mut named: Vec<B256> = near.iter().flat_map(|block| &block.ommers).copied().collect();
        for ommer in ommers {
            let hash = ommer.hash_slow();
            if named.contains(&hash) {
                return Err(OmmerError::Duplicate { hash });
            }
            named.push(hash);
            if near.iter().any(|ancestor| ancestor.header.hash() == hash) {
                return Err(OmmerError::IsAncestor { hash });
            }
            // The nearest ancestor is the block's parent: its child would be a brother.
            let parent = near
                .iter()
                .skip(1)
                .find(|ancestor| ancestor.header.hash() == ommer.parent_hash)
                .ok_or(OmmerError::NotKin { hash })?;
            self.validate_header(ommer)
                .and_then(|()| self.validate_header_against_parent(ommer, &parent.header, None))
                .map_err(|source| OmmerError::Header { hash, source })?;
        }
        Ok(())
    }
}
