//! Derive a rollup's blocks from Ethereum, as a pull pipeline of small stages.
//!
//! L1 blocks, blobs and the rollup's own safe chain come in through three small traits
//! ([`L1Provider`], [`BlobProvider`], [`L2Provider`]); what each next rollup block is to be made of
//! comes out of [`Pipeline::step`] as [`DerivedAttributes`]. The rules are those of the OP Stack's
//! specification, from Bedrock to Jovian, the newest fork that the pinned op-revm implements whole.
//! Where a later one begins, derivation stops ([`DeriveError::UnsupportedFork`]).
//!
//! ```text
//! L1 ─► traversal ─► retrieval ─► frames ─► channels ─► batches out of channels ─► batches in order
//!                    (inbox, blobs)         (bank, or from                        (queue, or from
//!                                            Holocene on one)                      Holocene on a stage)
//!                                                                                        │
//!                                                 attributes ◄───────────────────────────┘
//! ```
//!
//! A rollup of a union ([`RollupConfig::union`](lockstep_protocol::RollupConfig::union)) has no batcher. Its
//! batches come from the owners of L1's slots, whose right the union's inbox checks on L1:
//!
//! ```text
//! L1 ─► traversal ─► union batches ───────────► batches in order ─► attributes
//!                    (events of the inbox,      (the stage of
//!                     blobs, rules for all       Holocene)
//!                     rollups)
//! ```
//!
//! Each stage is a state machine of its own, without IO; a step pulls from the last one, which is
//! asked for more only when the ones after it have used up what they had. A driver is a loop:
//!
//! ```
//! use lockstep_derive::{
//!     BlobProvider, DeriveError, DerivedAttributes, L1Provider, L2Provider, Pipeline, Step,
//! };
//! use lockstep_protocol::L2BlockInfo;
//!
//! /// Makes all blocks that L1 tells of so far, and returns the last one.
//! fn catch_up<L1: L1Provider, B: BlobProvider, L2: L2Provider>(
//!     pipeline: &mut Pipeline<L1, B, L2>,
//!     mut safe_head: L2BlockInfo,
//!     mut make: impl FnMut(DerivedAttributes) -> L2BlockInfo,
//! ) -> Result<L2BlockInfo, DeriveError> {
//!     loop {
//!         match pipeline.step(&safe_head)? {
//!             Step::Attributes(attributes) => safe_head = make(*attributes),
//!             Step::Advanced(_) | Step::Progress => {}
//!             Step::Idle => return Ok(safe_head),
//!         }
//!     }
//! }
//! ```
//!
//! A [`Signal`] tells the pipeline what does not come from L1: that it must start over after L1 was
//! reorganised ([`find_sync_start`] says where), or that a block turned out to be invalid. A sequencer
//! begins its blocks with [`sequencer_attributes`], so that what it makes is what will be derived.
//!
//! # Assumptions
//! - Providers tell the truth; one that asks somebody else verifies what it is told. L1 is Ethereum:
//!   batcher transactions are of Ethereum's types.
//! - [`RollupConfig::validate`](lockstep_protocol::RollupConfig::validate) passed.
//! - The driver asks with the safe head that the last attributes led to, or signals.
//!
//! # Invariants
//! - No IO but through the providers, no clock, no randomness: the same L1 gives the same rollup,
//!   however its data is cut into frames, transactions and blobs, and whenever a provider fails.
//! - Malformed data is dropped by the rule that applies, and counted ([`Counters`]); it is never an
//!   error. Errors say who must act ([`Severity`]).
//! - An error of severity `Temporary` loses nothing and counts nothing.
//!
//! # Union batches
//! The inbox takes at most one union batch for each slot, in the order of slots, from the slot's owner.
//! Each event of it is proof of that. Of the batches in an L1 block each is judged in the order of events:
//! - First as a whole, by what every follower sees, whichever rollup it follows. The batch must
//!   decode, be for the event's slot, and hold blocks of the union's rollups only. Blocks behind the slot
//!   are refused, and blocks before it (of slots that had no batch) must be empty. The L1 origins of all
//!   rollups' blocks must be those of this L1, within the sequencing window, and not too far in time. Parts of super
//!   transactions belong to the slot, stand in blocks that are there, on the home rollup directly before a
//!   transaction, and agree over all rollups
//!   ([`check_agreement`](lockstep_union::check_agreement)). What breaks any of this is dropped whole.
//! - Then the rollup's own blocks, by Holocene's rules for span batches. What overlaps the safe chain must
//!   be the same, parts included.
//!
//! A part stands in its block as a deposit transaction from the port, at its position among the
//! transactions; [`DerivedAttributes::deposits_only`] leaves it out. Deposits that L1 makes from the port, if it ever
//! could, are left out ([`Dropped::PortDeposit`]). Whether a part is true is found by executing it: a block in
//! which one is not is invalid and replaced, but the blocks of peers are not, since who follows a
//! peer alone cannot know. Transcripts tell in settlement (`docs/super-transactions.md` § 8.4).
//!
//! Who posts a union batch can ask beforehand what followers will find of it ([`open_union_batch`]), and who goes on from
//! another's batch before L1 has it makes its blocks as they will be derived ([`UnionAhead`]).
//! Nothing is waited for across L1 blocks: a reset begins at the L1 origin of the safe head.
//!
//! # Where the specification leaves room
//! Chains in production follow op-node, and so does this crate where the specification says less, or
//! something else than both of its implementations do:
//! - A transaction in a batch whose type is unknown (3, 5 and above) does not invalidate the batch;
//!   the block is found invalid when it is executed.
//! - A span batch whose transactions cannot be put together is left out, but not its channel; a
//!   batch that cannot be decoded at all ends its channel.
//! - From Holocene on, a span batch that ends in an L1 block behind the one that it is in, or that
//!   begins with genesis or before it, is left out without its channel. Before Holocene, one that
//!   begins so early is dropped as misaligned; op-node would ask for the block before genesis until it
//!   is reset.
//! - From Holocene on, too, what overlaps the safe chain in a span batch must be what is there. The
//!   specification and both implementations have it so since August 2026, for the past as well; no
//!   public chain is known to have a batch on which they differed before.
//! - A system config update that cannot be read, or that is of an unknown type, is ignored, alone and
//!   wholly; nor are EIP-1559 parameters taken that have an elasticity but no denominator.
//! - A deposit that cannot be read, from the very contract that the configuration names, stops
//!   derivation (`Critical`): leaving it out would fork the node off.
//! - The zlib checksum of a channel, and bytes behind its compressed data, are not looked at: all
//!   batches of such a channel count. In op-node the reader's error ends the channel, which is of no
//!   consequence behind the last batch; but where the error arrives together with the end of the last
//!   batch, that batch is lost. With zlib that takes a last batch of which 4,096 bytes or more are
//!   read at once from the decompressor; with Brotli it depends on where frames were cut.
//!
//! # Limits
//! - One L1 block's batcher transactions and blobs, one transaction's frames.
//! - Before Holocene channels that count 100 MB together, from Fjord on 1 GB
//!   (`MAX_CHANNEL_BANK_SIZE`); from Holocene on one channel that counts 100 MB
//!   (`MAX_RLP_BYTES_PER_CHANNEL`). A frame counts 200 bytes beside its data; channels of tiny frames
//!   take up to 4.3 times what they count. Of a channel at most `MAX_RLP_BYTES_PER_CHANNEL`
//!   decompressed bytes are read (10 MB, from Fjord on 100 MB).
//! - One span batch of at most 10,000,000 blocks and transactions; before Holocene also waiting
//!   batches of 1 GiB together, none older than a sequencing window. Batches for the future beyond
//!   that are dropped ([`Dropped::QueueFull`]); the specification knows no such limit, but an honest
//!   batcher is never near it.
//! - The blobs of one L1 block's union batches, of which one at a time is decompressed: to 16 times its bytes
//!   and 64 KiB, 32 MiB at most, and
//!   [`MAX_UNION_STEPS`] steps of super transactions over all rollups.
//! - The L1 blocks of one sequencing window, 80 bytes each, in a union twice; before Holocene a batcher can hold up its
//!   rollup, and they go on being counted, until an L1 block is there that its span batch names.
//! - A step reads at most one L1 block, one channel or one batch. The first step after a reset walks
//!   back over the rollup's blocks of one channel timeout.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod attributes;
mod batch_queue;
mod batch_stage;
mod batcher_source;
mod batches;
mod channel_assembler;
mod channel_bank;
mod channel_reader;
mod channels;
mod counters;
mod error;
mod frame_queue;
mod l1_window;
mod part;
mod pipeline;
mod providers;
mod reset;
mod retrieval;
mod source;
mod span_stream;
mod sync_start;
mod traversal;
mod union_ahead;
mod union_origins;
mod union_rules;
mod union_source;
mod validity;

pub use attributes::{DerivedAttributes, sequencer_attributes};
pub use counters::{Counters, DropEvent, Dropped};
pub use error::{DeriveError, ProviderError, Severity};
pub use pipeline::{Pipeline, Signal, Step};
pub use providers::{BlobProvider, IndexedBlobHash, L1Provider, L2Provider};
pub use sync_start::{L2Heads, find_sync_start};
pub use union_ahead::UnionAhead;
pub use union_rules::{MAX_UNION_STEPS, open_union_batch};

use attributes::AttributesBuilder;
use batch_queue::BatchQueue;
use batch_stage::BatchStage;
use batcher_source::BatcherSource;
use batches::{BatchContext, Batches, NextBatch};
use channel_assembler::ChannelAssembler;
use channel_bank::ChannelBank;
use channel_reader::ChannelReader;
use channels::{ChannelRules, Channels};
use error::check_fork;
use frame_queue::FrameQueue;
use l1_window::L1Window;
use reset::Reset;
use retrieval::Retrieval;
use source::{Pull, Source, SourceContext};
use span_stream::{NextInSpan, SpanStream};
use traversal::Traversal;
use union_source::UnionSource;
use validity::{Judge, Validity};
