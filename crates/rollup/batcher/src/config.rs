//! Settings.

use crate::{BatcherError, FeePolicy, OutboxConfig, ThrottlePolicy, fees::DataCost};
use lockstep_protocol::{Compression, FRAME_ENCODING_BYTES, MAX_BLOB_DATA_BYTES, MAX_FRAME_BYTES};
use std::time::Duration;

/// How data gets into L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataKind {
    /// As the input of a transaction.
    Calldata,
    /// In the blobs of a transaction (EIP-4844).
    Blobs,
}

impl DataKind {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Calldata => Self::Blobs,
            Self::Blobs => Self::Calldata,
        }
    }

    /// The name, for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calldata => "calldata",
            Self::Blobs => "blobs",
        }
    }
}

/// Which kind of data to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataAvailability {
    /// Always calldata.
    Calldata,
    /// Always blobs.
    #[default]
    Blobs,
    /// What is cheaper for a channel when its first transaction is made.
    Auto,
}

/// When a channel is full, and when it has waited long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelPolicy {
    /// Frames that a channel should fill: one per blob, or one per transaction with calldata.
    pub target_num_frames: usize,
    /// A channel is closed when this many L1 blocks came since it was opened. Zero: never.
    pub max_duration: u64,
    /// A channel is closed when no more than this many L1 blocks are left until the sequencing
    /// window of its oldest epoch ends.
    pub sub_safety_margin: u64,
    /// The most blocks in a channel.
    pub max_blocks: usize,
    /// How the data is compressed: zlib instead of Brotli before Fjord.
    pub compression: Compression,
    /// Bytes of a calldata transaction's input. Pools take transactions of 128 KiB.
    pub max_calldata_bytes: usize,
    /// Bytes of a blob that are used.
    pub max_blob_bytes: usize,
    /// Blobs in one transaction.
    pub max_blobs_per_tx: usize,
}

impl Default for ChannelPolicy {
    fn default() -> Self {
        Self {
            target_num_frames: 6,
            max_duration: 25,
            sub_safety_margin: 10,
            max_blocks: 10_000,
            compression: Compression::Brotli { quality: 9 },
            max_calldata_bytes: 120_000,
            max_blob_bytes: MAX_BLOB_DATA_BYTES,
            max_blobs_per_tx: 6,
        }
    }
}

impl ChannelPolicy {
    /// The bytes of a channel in one frame.
    pub const fn frame_data_bytes(&self, kind: DataKind) -> usize {
        let bytes = match kind {
            DataKind::Calldata => self.max_calldata_bytes,
            DataKind::Blobs => self.max_blob_bytes,
        };
        // One byte is the version before the frames.
        bytes.saturating_sub(1 + FRAME_ENCODING_BYTES)
    }

    /// The frames in one transaction.
    pub const fn frames_per_tx(&self, kind: DataKind) -> usize {
        match kind {
            DataKind::Calldata => 1,
            DataKind::Blobs => self.max_blobs_per_tx,
        }
    }

    /// Compressed bytes that a channel should have.
    pub const fn target_bytes(&self, kind: DataKind) -> usize {
        self.target_num_frames.saturating_mul(self.frame_data_bytes(kind))
    }

    pub(crate) const fn cost(&self) -> DataCost {
        DataCost {
            calldata_bytes: self.frame_data_bytes(DataKind::Calldata),
            blob_bytes: self.frame_data_bytes(DataKind::Blobs),
            blobs: self.max_blobs_per_tx,
        }
    }

    fn validate(&self) -> Result<(), BatcherError> {
        let check = |setting, found: usize, least: usize, most: usize| {
            if (least..=most).contains(&found) {
                return Ok(());
            }
            Err(BatcherError::config(setting, found, format!("between {least} and {most}")))
        };
        let frame = 1 + FRAME_ENCODING_BYTES + 1;
        check("target_num_frames", self.target_num_frames, 1, 128)?;
        check("max_blocks", self.max_blocks, 1, 1_000_000)?;
        // EIP-7825 caps the gas of a transaction; EIP-7623 charges 40 gas for a byte.
        check("max_calldata_bytes", self.max_calldata_bytes, frame, 400_000)?;
        check("max_blob_bytes", self.max_blob_bytes, frame, MAX_BLOB_DATA_BYTES)?;
        check("max_blobs_per_tx", self.max_blobs_per_tx, 1, 6)?;
        const { assert!(MAX_FRAME_BYTES > 400_000) };
        Ok(())
    }
}

/// How transactions are sent and watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmissionPolicy {
    /// Transactions that wait for inclusion at the same time. Pools hold 16 with blobs per account.
    pub max_pending: usize,
    /// Transactions remembered, those included lately among them.
    pub max_tracked: usize,
    /// Blocks, its own among them, after which an included transaction is no longer watched.
    pub confirmations: u64,
    /// How long a transaction may wait for inclusion until it is sent again, for a higher fee if the
    /// pool still has it and there was an L1 block since the last offer.
    pub resubmit_after: Duration,
    /// How long transactions in the pool that this batcher does not know (of its life before a
    /// restart) may wait for inclusion until they are cancelled. Also the pause after derivation has
    /// dropped two channels in a row; each one more doubles it, six times at most.
    pub patience: Duration,
    /// L1 blocks that a contradiction (a nonce that was used, but by no transaction of ours; a
    /// channel that was derived from, but did not become safe) must last until it is believed.
    pub doubt_blocks: u64,
}

impl Default for SubmissionPolicy {
    fn default() -> Self {
        Self {
            max_pending: 4,
            max_tracked: 256,
            confirmations: 64,
            resubmit_after: Duration::from_secs(48),
            patience: Duration::from_secs(120),
            doubt_blocks: 3,
        }
    }
}

impl SubmissionPolicy {
    pub(crate) fn validate(&self) -> Result<(), BatcherError> {
        let most = 16;
        if !(1..=most).contains(&self.max_pending) {
            let found = self.max_pending;
            return Err(BatcherError::config(
                "max_pending",
                found,
                format!("between 1 and {most}"),
            ));
        }
        if !(self.max_pending * 2..=4096).contains(&self.max_tracked) {
            let expected = "between twice max_pending and 4096";
            return Err(BatcherError::config("max_tracked", self.max_tracked, expected));
        }
        if self.confirmations == 0 {
            return Err(BatcherError::config("confirmations", 0, "at least 1"));
        }
        Ok(())
    }
}

/// Settings of a [`crate::Batcher`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatcherConfig {
    /// Calldata, blobs, or what is cheaper.
    pub data_availability: DataAvailability,
    /// Channels.
    pub channel: ChannelPolicy,
    /// Fees.
    pub fees: FeePolicy,
    /// Transactions.
    pub submission: SubmissionPolicy,
    /// What the sequencer may still put into blocks.
    pub throttle: ThrottlePolicy,
    /// Blocks after the safe head that are kept in memory.
    pub max_pending_blocks: usize,
    /// Bytes of transactions in those blocks.
    pub max_pending_bytes: usize,
    /// Blocks that are loaded in one step.
    pub max_blocks_per_step: usize,
    /// Closed channels that wait for room among the transactions.
    pub max_waiting_channels: usize,
    /// When L1 activates Osaka (Unix seconds): from then on pools take blobs with cell proofs
    /// (EIP-7594), before with blob proofs.
    pub l1_osaka_time: Option<u64>,
    /// Seconds from one L1 block to the next.
    pub l1_block_time: u64,
}

impl Default for BatcherConfig {
    fn default() -> Self {
        Self {
            data_availability: DataAvailability::default(),
            channel: ChannelPolicy::default(),
            fees: FeePolicy::default(),
            submission: SubmissionPolicy::default(),
            throttle: ThrottlePolicy::default(),
            max_pending_blocks: 8_192,
            max_pending_bytes: 512 << 20,
            max_blocks_per_step: 256,
            max_waiting_channels: 4,
            l1_osaka_time: Some(0),
            l1_block_time: 12,
        }
    }
}

impl BatcherConfig {
    pub(crate) const fn outbox(&self) -> OutboxConfig {
        OutboxConfig {
            fees: self.fees,
            submission: self.submission,
            l1_osaka_time: self.l1_osaka_time,
            l1_block_time: self.l1_block_time,
        }
    }

    /// Whether the settings can work.
    ///
    /// # Errors
    /// [`BatcherError::Config`] for the first that cannot.
    pub fn validate(&self) -> Result<(), BatcherError> {
        self.channel.validate()?;
        self.outbox().validate()?;
        self.throttle.validate(self.max_pending_bytes)?;
        for (setting, found) in [
            ("max_pending_blocks", self.max_pending_blocks),
            ("max_pending_bytes", self.max_pending_bytes),
            ("max_blocks_per_step", self.max_blocks_per_step),
            ("max_waiting_channels", self.max_waiting_channels),
        ] {
            if found == 0 {
                return Err(BatcherError::config(setting, found, "at least 1"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        BatcherConfig::default().validate().unwrap();
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let refused: [fn(&mut BatcherConfig); 10] = [
            |config| config.channel.target_num_frames = 0,
            |config| config.channel.max_blob_bytes = MAX_BLOB_DATA_BYTES + 1,
            |config| config.channel.max_calldata_bytes = 1 + FRAME_ENCODING_BYTES,
            |config| config.channel.max_blobs_per_tx = 7,
            |config| config.submission.max_pending = 17,
            |config| config.submission.max_tracked = 7,
            |config| config.fees.blob_bump_percent = 99,
            |config| config.fees.max_market_multiple = 1,
            |config| config.max_pending_blocks = 0,
            |config| config.max_pending_bytes = 1 << 20,
        ];
        for (index, change) in refused.into_iter().enumerate() {
            let mut config = BatcherConfig::default();
            change(&mut config);
            assert!(matches!(config.validate(), Err(BatcherError::Config { .. })), "{index}");
        }
    }
}
