//! Post a rollup's blocks to Ethereum.
//!
//! Blocks come in from an L2 node ([`L2Blocks`]); a [`ChannelBuilder`] makes a span batch of as many
//! as fit, compresses it and calls that a channel; its frames leave in blobs or calldata to an L1 node
//! ([`L1Submit`]). [`Batcher::step`] is the whole state machine: whoever owns it calls it with the
//! time, when a block of L1 or L2 came or a second passed, and acts on its errors. [`RpcL1`] and
//! [`RpcL2`] are nodes behind JSON-RPC; nodes in the same process bring their own.
//!
//! ```
//! use lockstep_batcher::{
//!     BatchBlock, Calibration, ChannelBuilder, ChannelPolicy, CloseReason, DataKind, calldata,
//!     cut_frames,
//! };
//! use lockstep_protocol::{ChannelId, RollupConfig, parse_frames};
//! use std::sync::Arc;
//!
//! let rollup = RollupConfig {
//!     block_time: 2,
//!     seq_window_size: 3_600,
//!     delta_time: Some(0),
//!     fjord_time: Some(0),
//!     ..RollupConfig::default()
//! };
//! let (policy, kind) = (ChannelPolicy::default(), DataKind::Calldata);
//! let (id, l1) = (ChannelId::repeat_byte(1), (100, 1_700_000_000));
//! let mut builder =
//!     ChannelBuilder::new(id, Arc::new(rollup), policy, kind, l1, Calibration::default());
//! builder.add(Arc::new(BatchBlock { number: 1, timestamp: 2, ..Default::default() }))?;
//! let channel = builder.close(CloseReason::Flush)?.expect("it has a block");
//! let frames = cut_frames(&channel, &policy, kind)?;
//! assert_eq!(parse_frames(&calldata(&frames))?, frames);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A rollup of a union has no batcher. Whoever owns a slot makes the batch of all rollups' blocks with
//! [`build_union_batch`], and posts it to the union's inbox through the same [`Outbox`] as batchers do.
//!
//! # How nothing is lost
//! There is no file: what is left to post follows from the safe head. At each start, and whenever what
//! was posted turns out to be of no use ([`ResetReason`]), the batcher *settles*: it waits until none
//! of its account's transactions is on its way and the L2 node has derived from L1 beyond that point;
//! then the safe head is the truth. What waits in a pool for too long and is not known (it was sent by
//! a predecessor) is replaced by transactions that do nothing.
//!
//! A transaction is watched until it is [`SubmissionPolicy::confirmations`] deep. An L1 reorg that
//! takes it back makes it pending again, with the same nonce, so that frames stay in order
//! (Holocene). Deeper reorgs, nonces that other programs use, channels that came too late and blocks
//! that the sequencer replaced after they were posted end in settling.
//!
//! A transaction that waits for longer than [`SubmissionPolicy::resubmit_after`] is sent again, at the
//! market's price if that rose meanwhile, since pools evict what pays too little. If the pool says that
//! it had it, a replacement offers more, at most once for each L1 block and within a multiple of the
//! market ([`FeePolicy`]). Only the first in line is replaced: the others wait for it. A pool takes no transactions with and
//! without blobs from one account at a time, so a change of kind waits until none is pending.
//!
//! What derivation drops is posted again from the safe head, once at once, and then after pauses that
//! double from [`SubmissionPolicy::patience`] on: the same blocks will be dropped for the same reason.
//!
//! # How much may wait
//! Blocks that L1 does not take pile up, and those that it does not take within the sequencing window
//! are lost. [`Batcher::limits`] says how much the sequencer may still put into a block
//! ([`ThrottlePolicy`]); who drives the batcher passes it on through a [`Throttle`]. It counts what
//! waits also while the batcher settles and while L1 does not answer.
//!
//! # Assumptions
//! - The account is the batcher's alone. Another program that uses it costs time, not blocks.
//! - [`L2Status::current_l1`] is behind everything that was derived: a channel in an L1 block before
//!   it is either safe or dropped.
//! - Blocks that the L2 node answers with are those of its canonical chain; it may change its mind
//!   between two answers.
//!
//! # Invariants
//! - Frames leave in the order of the blocks, each channel continues the one before.
//! - The nonces of what is remembered have no gaps.
//! - No clock and no randomness: the time is an argument, channel ids come from a seed.
//! - After an error the state is consistent, and the next step goes on.
//!
//! # Metrics
//! All begin with `lockstep_batcher_` and have the label `chain`: gauges `pending_blocks`,
//! `pending_bytes`, `open_channels`, `pending_transactions`, `safe_head`, `posted_head`, `unsafe_head`,
//! `posting` (0 while it settles), `block_limit_bytes`, `balance_ether`; counters `errors` (by `class`),
//! `input_bytes`, `compressed_bytes`, `channels` (by `reason`), `transactions`, `output_bytes`, `resubmissions`, `refusals`,
//! `inclusions`, `fees_gwei` (by `kind`), `fee_cap_hits`, `resets` (by `reason`), `replaced_blocks`;
//! histograms `compression_ratio`, `channel_blocks`.
//!
//! # Limits
//! - [`BatcherConfig::max_pending_blocks`] and [`BatcherConfig::max_pending_bytes`] of blocks after
//!   the safe head (one block may go beyond the bytes), [`BatcherConfig::max_waiting_channels`] closed
//!   channels that wait, [`SubmissionPolicy::max_pending`] transactions that wait and
//!   [`SubmissionPolicy::max_tracked`] that are remembered, 32 signed versions of each.
//! - A channel has at most [`ChannelPolicy::max_blocks`] blocks and what derivation reads of it (10 MB
//!   before Fjord, 100 MB from then on); a block that is larger alone is an error of class
//!   [`ErrorClass::Critical`].
//! - A channel is compressed when it may be full and when it is closed, at most five times for each
//!   of these.

mod batcher;
mod block;
mod channel;
mod config;
mod drops;
mod encode;
mod entry;
mod error;
mod estimate;
mod fees;
mod follow;
mod frames;
mod l1;
mod l2;
mod measure;
mod outbox;
mod pending;
mod post;
mod queue;
mod rpc;
mod send;
mod settle;
mod throttle;
mod transaction;
mod union;

pub use batcher::{Backlog, Batcher, Phase, Progress, ResetReason};
pub use block::BatchBlock;
pub use channel::{Calibration, ChannelBuilder, CloseReason, ClosedChannel};
pub use config::{BatcherConfig, ChannelPolicy, DataAvailability, DataKind, SubmissionPolicy};
pub use drops::Drops;
pub use entry::{Entry, NonceState};
pub use error::{BatcherError, ErrorClass, SourceError};
pub use estimate::SizeEstimator;
pub use fees::{FeePolicy, Fees};
pub use frames::{blobs, calldata, cut_frames};
pub use l1::{Inclusion, L1Head, L1Submit, NonceAt, SendOutcome};
pub use l2::{L2Blocks, L2Status};
pub use measure::TransactionMetrics;
pub use outbox::{Outbox, OutboxConfig, Polled};
pub use rpc::{RpcL1, RpcL2};
pub use send::Sent;
pub use throttle::{DataLimits, Throttle, ThrottlePolicy};
pub use transaction::{Account, BlobProofs, BlobProver, Call, ChannelPart, KzgProver};
pub use union::{UnionBlock, build_union_batch};
