//! Settings.

use crate::PosterError;
use lockstep_batcher::{FeePolicy, OutboxConfig, SubmissionPolicy};

/// How a [`Poster`](crate::Poster) works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PosterSettings {
    /// Fees, and how transactions are watched; [`SubmissionPolicy::max_pending`] batches are on their way at
    /// a time.
    pub outbox: OutboxConfig,
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
        }
    }
}

impl PosterSettings {
    /// Whether the settings can work.
    ///
    /// # Errors
    /// [`PosterError::Transaction`] for the first that cannot.
    pub fn validate(&self) -> Result<(), PosterError> {
        Ok(self.outbox.validate()?)
    }
}
