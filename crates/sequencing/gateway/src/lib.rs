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
//! What was shown is undone only if L1 was reorganised below it (then the blocks that stood on what is
//! gone are taken back on *all* rollups, since they may have called each other), or if the machine lost
//! its power.
//!
//! # Assumptions
//! - The log and the chains are on the same machine, and nobody else makes blocks for these rollups.
//! - Blocks of all rollups have the same times: their first blocks have, and their configurations say the
//!   same block time.
//!
//! # Invariants
//! - A decision is in the log before anybody is shown its result.
//! - Super transactions have ascending numbers within their slot, also after a restart: the Gate of each
//!   rollup knows its last one.
//! - One rollup that cannot go on does not hold up the others; calls to it wait.
//! - No clock and no thread of its own: both come in as arguments.
//!
//! # Metrics
//! All begin with `lockstep_gateway_`: counters `rounds_total`, `super_transactions_total`, `gas_total`,
//! `failures_total` (by `chain`), `abandoned_rounds_total`, `l1_silences_total`, `rewound_blocks_total`;
//! gauges `lag_seconds`, `drift_seconds`.
//!
//! # Limits
//! - A block holds what its gas limit allows; the log of decisions what the blocks of one round hold.

mod clock;
mod decisions;
mod error;
mod gateway;
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
