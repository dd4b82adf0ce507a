//! Settings.

use crate::PosterError;
use lockstep_batcher::{FeePolicy, OutboxConfig, SubmissionPolicy};
use lockstep_protocol::{Compression, MAX_UNION_BATCH_BYTES, MAX_UNION_BLOBS};
use std::time::Duration;

/// The most blobs of one transaction (EIP-7594).
const MAX_BLOBS_PER_TX: usize = 6;

/// How a [`Poster`](crate::Poster) works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PosterSettings {
    /// Fees, and how transactions are watched; [`SubmissionPolicy::max_pending`] batches are on their way at
    /// a time.
    pub outbox: OutboxConfig,
    /// The most blobs of a batch: what one transaction can carry, at most six (EIP-7594).
    pub max_blobs: usize,
    /// How batches are compressed.
    pub compression: Compression,
    /// For how long after a slot its batch waits for rollups whose blocks of the slot are not complete.
    pub grace: Duration,
    /// Blocks of one rollup that are loaded in one step.
    pub max_blocks_per_step: usize,
    /// Bytes of one rollup's blocks that are kept in memory (one block may go beyond).
    pub max_member_bytes: usize,
}

impl Default for PosterSettings {
    /// For an L1 with Osaka and slots of 12 seconds.
    fn default() -> Self {
        Self {
            outbox: OutboxConfig {
                fees: FeePolicy::default(),
                submission: SubmissionPolicy::default(),
                l1_osaka_time: Some(0),
                l1_block_time: 12,
            },
            max_blobs: MAX_BLOBS_PER_TX,
            compression: Compression::Brotli { quality: 9 },
            grace: Duration::from_secs(12),
            max_blocks_per_step: 1_024,
            max_member_bytes: 2 * MAX_UNION_BATCH_BYTES,
        }
    }
}

impl PosterSettings {
    /// Whether the settings can work.
    ///
    /// # Errors
    /// [`PosterError::Setting`] or [`PosterError::Transaction`] for the first that cannot.
    pub fn validate(&self) -> Result<(), PosterError> {
        const { assert!(MAX_BLOBS_PER_TX <= MAX_UNION_BLOBS) };
        self.outbox.validate()?;
        let check = |is_valid: bool, setting, found: usize, expected| {
            let found = found as u128;
            if is_valid { Ok(()) } else { Err(PosterError::Setting { setting, found, expected }) }
        };
        let blobs = self.max_blobs;
        check((1..=MAX_BLOBS_PER_TX).contains(&blobs), "max_blobs", blobs, "between 1 and 6")?;
        let blocks = self.max_blocks_per_step;
        check(blocks > 0, "max_blocks_per_step", blocks, "at least 1")?;
        let bytes = self.max_member_bytes;
        check(bytes >= MAX_UNION_BATCH_BYTES, "max_member_bytes", bytes, "at least 32 MiB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused() {
        PosterSettings::default().validate().unwrap();
        let refused: [fn(&mut PosterSettings); 5] = [
            |settings| settings.max_blobs = 0,
            |settings| settings.max_blobs = 7,
            |settings| settings.max_blocks_per_step = 0,
            |settings| settings.max_member_bytes = 1 << 20,
            |settings| settings.outbox.submission.max_pending = 0,
        ];
        for change in refused {
            let mut settings = PosterSettings::default();
            change(&mut settings);
            assert!(settings.validate().is_err(), "{settings:?}");
        }
    }
}
