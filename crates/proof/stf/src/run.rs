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

/// What a run was about, and what came of it. A verdict says nothing without the boot information that the
/// run has read: whoever acts on it compares that with what they know.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was agreed and claimed, as the run read it, once.
    pub boot: BootInfo,
    /// The block that was taken for granted.
    pub agreed: BlockNumHash,
    /// What came of the claim.
    pub verdict: Verdict,
}

impl Outcome {
    /// Whether L1 makes the claimed block, and the block has the claimed output root. (A claim may also
    /// hold because L1 does not reach that far: [`Verdict::holds`].)
    pub const fn is_verified(&self) -> bool {
        self.verdict.holds && self.verdict.head.number == self.boot.claimed_l2_block
    }
}

/// Derives and executes the rollup from the agreed block to the claimed one, with nothing but the
/// pre-images that `oracle` gives, and judges the claim.
///
/// What the oracle answers to a key that is a hash is hashed, unless the oracle is trusted; elements of
/// blobs are held against a proof, unless the oracle attests them.
///
/// # Errors
/// Why there is no verdict. Nothing is said about the claim then.
pub fn run<O: PreimageOracle>(oracle: O) -> Result<Outcome, StfError<PreimageError<O::Error>>> {
    // Prologue: what is agreed, and what is claimed.
    let oracle = CachingOracle::new(oracle, CACHE_BYTES);
    let boot = BootInfo::read(&oracle)?;
    let rollup = boot.rollup_config.chain();
    let agreed_header = boot.agreed_header(&oracle)?;
    let agreed = BlockNumHash { number: agreed_header.number, hash: agreed_header.hash() };
    let mut chain = DerivedChain::new(&oracle, &boot, &rollup, agreed_header)?;

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
    drop(chain);
    Ok(Outcome { boot, agreed, verdict: Verdict { holds, head, output_root } })
}
