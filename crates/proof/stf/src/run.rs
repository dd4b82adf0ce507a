//! The program: the one thing that is ever proven.

use crate::{BootInfo, StfError, chain::DerivedChain};
use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use lockstep_preimage::{CachingOracle, PreimageError, PreimageOracle};

/// The most bytes of pre-images that a run remembers, so as not to ask again.
pub const CACHE_BYTES: usize = 64 << 20;

/// What a claim came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the claim is true.
    pub holds: bool,
    /// The newest block that could be derived, the claimed one at most. L1 may not tell of that yet;
    /// then a claim is true that repeats the output root of the newest block.
    pub head: BlockNumHash,
    /// Its output root.
    pub output_root: B256,
}

/// Derives and executes the rollup from the agreed block to the claimed one, with nothing but the
/// pre-images that `oracle` gives, and judges the claim.
///
/// What the oracle answers to a key that is a hash is hashed, unless the oracle is trusted.
///
/// # Errors
/// Why there is no verdict. Nothing is said about the claim then.
pub fn run<O: PreimageOracle>(oracle: O) -> Result<Verdict, StfError<PreimageError<O::Error>>> {
    // Prologue: what is agreed, and what is claimed.
    let oracle = CachingOracle::new(oracle, CACHE_BYTES);
    let boot = BootInfo::read(&oracle)?;
    let rollup = boot.rollup_config.chain();
    let agreed = boot.agreed_header(&oracle)?;
    let mut chain = DerivedChain::new(&oracle, &boot, &rollup, agreed)?;

    // Derivation and execution: block by block, until the claimed one or the end of L1.
    while chain.head().block.number < boot.claimed_l2_block
        && let Some(attributes) = chain.derive_next()?
    {
        chain.execute(attributes)?;
    }

    // Epilogue: what came of it, held against the claim.
    let head = chain.head().block.id();
    let output_root = chain.output_root()?;
    let holds = head.number <= boot.claimed_l2_block && output_root == boot.claimed_l2_output_root;
    Ok(Verdict { holds, head, output_root })
}
