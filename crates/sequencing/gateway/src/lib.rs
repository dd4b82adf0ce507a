//! Order a union's transactions, show at once what becomes of them, and make the blocks.
//!
//! A [`Gateway`] makes blocks for all rollups of a union, those of the same time together
//! ([`Gateway::make_blocks`]). While they are open it executes what comes into the pools: transactions
//! that concern one rollup in its block, those that call others jointly in the blocks of all of them. At
//! each update users are shown the result ([`Preconfirmed`], which JSON-RPC serves as `pending`).
//!
//! # How nothing is lost
//! What users are about to be shown is written to the log of decisions first. A gateway that is started
//! with the log of one that was killed begins the same blocks in the same way, executes the same
//! transactions in the same order, and so comes to the same hashes. Blocks that are complete the engines
//! keep.
//!
//! What was shown is undone only if L1 was reorganised below it or a follower derived other blocks, or if the
//! machine lost its power. Then rollups that have called each other since go back together: before each
//! round their transcripts, which the Gates keep, are compared, and where two differ, blocks are taken
//! back until they do not. So it does not matter who took blocks back, nor whether the gateway was killed
//! meanwhile. What is safe only a follower takes back.
//!
//! Not yet: a slot whose batch comes too late stays unposted with all that follows, and slots of other owners are not left to them. So a gateway is for
//! development networks.
//!
//! # Posting
//! A [`Poster`] posts the batches of the slots that the gateway owns to the union's inbox on L1. A slot's batch is due when
//! the slot is over and all rollups have its blocks; those that lag are waited for for a while
//! ([`PosterSettings::grace`]). It holds the blocks of the slot, and the empty ones before it that no batch has. If
//! nothing but empty blocks waits, the newest slot alone gets a batch. Several batches are on their way at a time, each naming the
//! one before as its parent, so that one that fails takes those behind it with it.
//!
//! It keeps nothing on disk. At the start, and whenever something is not as expected ([`ResetReason`]), it *settles*: it waits until
//! none of its account's transactions is on its way and the rollups have derived all batches that the inbox took; then their safe
//! heads and the inbox tell what is left to post. What cannot be posted although it holds transactions, and so keeps back what comes after it, is
//! told ([`Blocked`]); if it stays so, the rollups' sequencing window ends it. [`Poster::room`] says how much more may go into a slot: a gateway that
//! takes more promises what it cannot post.
//!
//! Transactions are sent as `lockstep-batcher` sends them ([`Outbox`](lockstep_batcher::Outbox)): an L1 reorg makes them
//! pending again, those that wait for too long offer more. A batch that follows one that failed still gets into L1, fails, and is
//! paid for; its blobs cannot be taken back.
//!
//! # Assumptions
//! - The log and the chains are on the same machine, and nobody else makes blocks for these rollups.
//! - The account that pays for batches is the poster's alone. Another program that uses it costs time, not blocks.
//! - Blocks of all rollups have the same times: their first blocks have, and their configurations say the
//!   same block time.
//!
//! # Invariants
//! - A decision is in the log before anybody is shown its result.
//! - Super transactions have ascending numbers within their slot, also after a restart: the Gate of each
//!   rollup knows its last one.
//! - All blocks of a round become heads, or none: a gateway that was killed in between goes on with exactly the
//!   same blocks.
//! - A rollup that cannot begin a block does not hold up the others, nor does one that catches up; calls to it
//!   wait. One that fails when its block is begun does: what its users were shown would be lost, and its peers
//!   may have called it.
//! - A batch that leaves was judged by the rules that followers judge it by, and its owner was proven from an L1 block
//!   that was canonical then.
//! - After an error of the poster its state is consistent, and the next step goes on.
//! - No clock of its own, and no thread that outlives a call: the blocks of a round are completed each on its own.
//!
//! # Metrics
//! All begin with `lockstep_gateway_`: counters `rounds_total`, `super_transactions_total`, `gas_total`, `wasted_gas_total`,
//! `failures_total` (by `chain`), `abandoned_rounds_total`, `l1_silences_total`, `rewound_blocks_total`;
//! gauges `lag_seconds`, `drift_seconds`. Of the poster: counters `batches_total`, `batch_blobs_total`, `post_transactions_total`,
//! `post_bytes_total`, `post_resubmissions_total`, `post_refusals_total`, `post_inclusions_total`, `post_fees_gwei_total`,
//! `post_fee_cap_hits_total`, `post_errors_total` (by `class`), `post_resets_total` (by `reason`); gauges `posting` (0 while it
//! settles), `post_pending_transactions`, `post_blocked_slot` (0: none), `post_balance_ether`, `inbox_next_slot`, `safe_head` and
//! `unposted_blocks` (by `chain`), `slot_bytes`, `slot_limit_bytes`.
//!
//! # Limits
//! - A block holds what its gas limit allows. After 64 transactions in a row without room it is full, if it is at least
//!   half. What does not fit into an empty block leaves the pool.
//! - The blocks of a slot hold together what its batch can carry ([`GatewaySettings::max_blobs`]): bytes, even if they cannot
//!   be compressed, parts, and steps. What is larger than that leaves the pool, too.
//! - Transactions that are executed and then refused for what they call on other rollups pay nothing. They may use the gas of
//!   one block of each rollup in a round; then, until it is twice that, only what may use 1/64 of a block is tried, and then only
//!   what runs no code. One that was refused in 64 rounds leaves the pool.
//! - Users are shown something after each update interval, however much there is to execute; 5,000,000 gas and one transaction
//!   may come between.
//! - The log of decisions is at most 256 MiB; a round that has come so far takes no more transactions.
//! - A batch has [`PosterSettings::max_blobs`] blobs at most, and is never split.
//! - The poster keeps [`PosterSettings::max_member_bytes`] of blocks of each rollup, and what
//!   [`SubmissionPolicy`](lockstep_batcher::SubmissionPolicy) says of transactions; look-ahead states of four epochs.

mod agreement;
mod budget;
mod clock;
mod decisions;
mod error;
mod filling;
mod gateway;
mod pass;
mod plan;
mod poster;
mod preconfirmed;
mod round;
mod sequencer;

pub use clock::{Bell, Clock};
pub use error::GatewayError;
pub use gateway::{Gateway, GatewaySettings, Member, RoundReport};
pub use poster::{
    Blocked, GatewayKey, InboxState, L1Inbox, LocalMember, LookaheadOwners, MemberBlocks,
    MemberStatus, Poster, PosterError, PosterMember, PosterParts, PosterProgress, PosterSettings,
    ResetReason, RpcInbox, RpcMember, SlotOwners, SlotRoom,
};
pub use preconfirmed::Preconfirmed;
pub use sequencer::{Sequencer, SequencerError};
