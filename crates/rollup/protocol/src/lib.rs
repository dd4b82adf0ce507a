//! Wire formats of OP Stack rollups: what stands on L1, and how it is read and written.
//!
//! A rollup's data comes in as transactions and blobs of its batcher ([`decode_blob`],
//! [`parse_frames`]), is put together ([`Channel`]), decompressed and cut into batches
//! ([`BatchReader`], [`Batch`]); that of a rollup of a union as events of the union's inbox
//! ([`BatchPosted`]) and blobs that hold a [`UnionBatch`]. Deposits and changes of the system configuration come in as logs of
//! L1 contracts ([`deposits_from_receipts`], [`SystemConfig::update_with_receipts`]). Out go the
//! deposit that begins each block ([`L1Attributes`]), the transactions of network upgrades
//! ([`upgrade_transactions`]), and to L1 output roots and withdrawals ([`OutputRoot`],
//! [`Withdrawal`]). Everything that is decoded here can also be encoded. [`RollupConfig`] says which
//! rules hold when.
//!
//! ```
//! use lockstep_chain::OpHardfork;
//! use lockstep_protocol::{Frame, L1Attributes, decode_blob, encode_blob, encode_frames, parse_frames};
//!
//! // A batcher posts a frame in a blob, and a follower takes it out again.
//! let frame = Frame { data: b"a compressed piece".into(), is_last: true, ..Default::default() };
//! let blob = encode_blob(&encode_frames(&[frame.clone()]))?;
//! assert_eq!(parse_frames(&decode_blob(&blob)?)?, [frame]);
//!
//! // What the rollup block says of the L1 block.
//! let attributes = L1Attributes { number: 7, base_fee: 1_000_000_000, ..Default::default() };
//! let deposit = attributes.deposit(OpHardfork::Jovian);
//! assert_eq!(L1Attributes::decode(&deposit.input)?, attributes);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Assumptions
//! - Logs were checked to be in a block of L1, blobs against their KZG commitments. Nothing else is
//!   assumed of bytes.
//! - Which batches a chain takes is for derivation to say: here a batch is only well-formed. A
//!   transaction in it is what EIP-2718 and RLP make of it, whatever its values.
//! - What the specification leaves open, the OP Stack's own node decides, because the history of
//!   the public chains is what it made of their data: bytes behind a batch are ignored, integers of
//!   span batches need not be minimal, and Deflate is malformed where Go's library says so.
//! - The forks through Jovian are implemented. A configuration may say when later ones begin, and that
//!   is where it ends to hold ([`RollupConfig::unsupported_fork`]).
//!
//! # Invariants
//! - No IO, no clock. Decoding never panics, whatever the bytes; decoding what was encoded gives the
//!   same value.
//! - No allocation by a length that was not checked against the bytes at hand.
//! - What a channel decompresses to does not depend on how it was cut, nor on how it is read.
//!
//! # Limits
//! - A frame carries [`MAX_FRAME_BYTES`], a channel 65,536 frames, a blob [`MAX_BLOB_DATA_BYTES`].
//! - Of a channel 10 MB are decompressed, from Fjord on 100 MB
//!   ([`RollupConfig::max_rlp_bytes_per_channel`]), and no more than the next batch needs.
//! - A span batch has at most [`MAX_SPAN_BATCH_ELEMENTS`] blocks and as many transactions.
//! - A union batch decompresses to [`MAX_UNION_EXPANSION`] times its bytes and 64 KiB, and to
//!   [`MAX_UNION_BATCH_BYTES`] at most; it has at most [`MAX_UNION_ROLLUPS`], [`MAX_UNION_PARTS`] and
//!   [`MAX_UNION_BLOCKS`].
//! - A decoded batch takes a few times the memory of its encoding: at worst, for ten million empty
//!   blocks in one span, about forty times.
//! - Chains whose data is not on L1 (`alt_da`) are not supported; [`RollupConfig::validate`] refuses
//!   them.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod batch;
mod blob;
mod block_info;
mod channel;
mod channel_reader;
mod compression;
mod config;
mod deposit;
mod frame;
mod l1_attributes;
mod output_root;
pub mod predeploys;
mod rlp;
mod span_batch;
mod system_config;
mod union_batch;
mod union_event;
mod upgrades;
mod withdrawal;

pub use batch::{Batch, BatchError, SINGLE_BATCH_TYPE, SPAN_BATCH_TYPE, SingleBatch, put_batch};
pub use blob::{BlobError, MAX_BLOB_DATA_BYTES, decode_blob, encode_blob};
pub use block_info::{BlockInfo, L2BlockError, L2BlockInfo};
pub use channel::{Channel, ChannelError};
pub use channel_reader::{BatchReader, ChannelReadError};
pub use compression::{CHANNEL_VERSION_BROTLI, Compression, CompressionError, compress_channel};
pub use config::{
    CHANNEL_TIMEOUT_BEDROCK, CHANNEL_TIMEOUT_GRANITE, ChainOpConfig, ConfigError,
    MAX_CHANNEL_BANK_BYTES_BEDROCK, MAX_CHANNEL_BANK_BYTES_FJORD,
    MAX_RLP_BYTES_PER_CHANNEL_BEDROCK, MAX_RLP_BYTES_PER_CHANNEL_FJORD, MAX_SEQUENCER_DRIFT_FJORD,
    RollupConfig, RollupGenesis, UnionConfig,
};
pub use deposit::{
    DepositError, DepositSource, TRANSACTION_DEPOSITED_TOPIC, deposit_from_log, deposit_log,
    deposits_from_receipts,
};
pub use frame::{
    ChannelId, DERIVATION_VERSION_0, FRAME_ENCODING_BYTES, FRAME_OVERHEAD_BYTES, Frame, FrameError,
    MAX_FRAME_BYTES, encode_frames, parse_frames,
};
pub use l1_attributes::{L1_ATTRIBUTES_DEPOSITOR, L1_BLOCK, L1Attributes, L1AttributesError};
pub use output_root::OutputRoot;
pub use span_batch::{
    Bits, MAX_SPAN_BATCH_ELEMENTS, RawSpanBatch, SpanBatch, SpanBatchBlock, SpanBatchTransactions,
};
pub use system_config::{
    CONFIG_UPDATE_TOPIC, DEFAULT_DA_FOOTPRINT_GAS_SCALAR, EcotoneScalars, SystemConfig,
    SystemConfigError, SystemConfigUpdate,
};
pub use union_batch::{
    MAX_UNION_BATCH_BYTES, MAX_UNION_BLOBS, MAX_UNION_BLOCKS, MAX_UNION_EXPANSION, MAX_UNION_PARTS,
    MAX_UNION_ROLLUPS, PartEntry, RollupBatch, UNION_BATCH_VERSION_0, UnionBatch, UnionBatchError,
};
pub use union_event::{BATCH_POSTED_TOPIC, BatchPosted, BatchPostedError};
pub use upgrades::upgrade_transactions;
pub use withdrawal::{MESSAGE_PASSED_TOPIC, Withdrawal, WithdrawalError, sent_message_slot};
