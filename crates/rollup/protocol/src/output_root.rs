//! Output roots: what a rollup's state is on L1 (OP specification: proposals § L2 output commitment).

use alloy_primitives::{B256, keccak256};

/// What an output root of version 0 commits to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputRoot {
    /// The state root of the block.
    pub state_root: B256,
    /// The storage root of the predeploy that keeps withdrawals.
    pub message_passer_storage_root: B256,
    /// The hash of the block.
    pub block_hash: B256,
}

/// Bytes that an output root of version 0 hashes.
const ENCODED_BYTES: usize = 128;

impl OutputRoot {
    /// The preimage of the output root: the version (0) and the parts.
    pub fn encode(&self) -> [u8; ENCODED_BYTES] {
        let mut out = [0; ENCODED_BYTES];
        let parts =
            [B256::ZERO, self.state_root, self.message_passer_storage_root, self.block_hash];
        out.chunks_exact_mut(32).zip(parts).for_each(|(out, part)| out.copy_from_slice(&part.0));
        out
    }

    /// Reads the preimage of an output root; `None` if it is not one of version 0.
    pub fn decode(preimage: &[u8]) -> Option<Self> {
        let preimage: &[u8; ENCODED_BYTES] = preimage.try_into().ok()?;
        let mut parts = preimage.chunks_exact(32).map(B256::from_slice);
        parts.next().filter(B256::is_zero)?;
        Some(Self {
            state_root: parts.next()?,
            message_passer_storage_root: parts.next()?,
            block_hash: parts.next()?,
        })
    }

    /// The output root.
    pub fn hash(&self) -> B256 {
        keccak256(self.encode())
    }
}
