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
//! What was shown is undone if L1 was reorganised below it, or so that its slot is another's, if a follower derived other
//! blocks, if the machine lost its power before the slot was sealed, if no batch can hold its slot, or if L1 did not take its
//! batch for as long as the inbox would have (see below). Then
//! rollups that have called each other since go back together: before each round their transcripts, which the Gates keep, are
//! compared, and where two differ, blocks are taken back until they do not. So it does not matter who took blocks back, nor
//! whether the gateway was killed meanwhile. What is safe only a follower takes back.
//!
//! # Sealed batches
//! When the last block of a slot is complete, the thread that makes blocks makes the slot's batch ([`Sealer`]): the blocks
//! that no batch before it has. It names the batch before it as its parent, is judged by the rules that followers judge
//! it by, signed, written to a file and synced; only then a [`Poster`] gets it, through the [`Ledger`]. A slot without
//! users' transactions gets a batch if it is the newest, so that empty blocks come to L1, too; those of long gaps are cut
//! over several. No slot is signed twice, whatever becomes of its blocks. Where the chains are shorter than what was signed,
//! after a power failure, the blocks are made again from the batches before anything else is.
//!
//! The blocks of a slot have users' transactions only if [`Sealer::may_fill`] says so ([`Closed`] says why not): the slot is this
//! gateway's, what is before it is sealed or was never anybody else's, and L1 takes batches. So a poster that cannot post
//! ends promises, and nothing else.
//!
//! A rollup that was away until its first block that L1 does not have is nearly older than the sequencing window
//! ([`Sealer::is_late`]) takes no users' transactions, and is not in the batches of others, since followers would drop these
//! whole. Its blocks come into L1 alone, in every eighth slot at most, which has no users' transactions; nor have those
//! after it until the inbox has its batch. Such a batch counts in the very next L1 block alone, so it mostly is dropped: then the
//! gateway goes on from what followers have in its place, and nothing else is in doubt.
//!
//! What can be posted no more ([`Lost`]) is given up before each round: its batch and those after it are dropped, the
//! blocks of all rollups from its slot on are taken back, their transactions go back to the pools, and an error tells the
//! slot and how many they were. Transactions with dropped batches that are on their way are replaced by ones that do
//! nothing; until it is known which came into L1, nothing is promised.
//!
//! # Audits
//! Every block that is complete is executed once more, alone and as everybody else will ([`Audits`]), on a thread of its own while
//! the next one is made. A slot is sealed when its blocks have passed; a gateway whose machine is too slow for that seals them
//! unaudited when others no longer wait for the batch. What was complete and in no batch when a gateway was killed is executed once
//! more after the start. After a block that does not pass, with users' transactions or without, what is not sealed from its slot on
//! is taken back, and no more users' transactions are taken: an operator must see to it. If the same block comes out again, nothing
//! is sealed from its slot on.
//!
//! # Slots of others
//! A gateway hands each batch to the others when it has sealed it ([`GatewayLink`]), which is when the last block of its slot
//! is complete. Who gets one *adopts* it: the rules of derivation make its blocks ([`UnionAhead`](lockstep_derive::UnionAhead)),
//! they become heads of all rollups, and the batch is posted like one of its own. So the successor's first block is the first one
//! of its slot, and stands on what the predecessor's users were told. Of a batch that is handed over nothing is believed: the
//! owner of its slot must have signed it, it must be the next one and complete by this gateway's clock, its data must be that of
//! the blobs that were signed, and derivation must take all of it. If two owners have signed a batch on the same parent, or users
//! were shown blocks after it, L1 decides.
//!
//! Until it comes, no blocks are made in the slot of another gateway, and after one block time empty ones, which it replaces.
//! It may come until a later batch is in the inbox: after [`SealSettings::handover_slots`] this gateway seals an empty batch of
//! a slot of its own, and promises nothing before L1 has that, or the other's. A slot after one whose batch was not handed
//! over is filled when that was derived from L1.
//!
//! A slot is handed over whole. What a gateway has shown of one that it did not seal is lost to the others if it never comes
//! back: it is undone then, and no later slot has it.
//!
//! # Posting
//! A [`Poster`] posts the sealed batches to the union's inbox on L1, in their order, whoever signed them, each when the next L1
//! block can have it: when the newest one is of its slot, or a later one. Another gateway's it leaves to that for two slots more.
//! Several are on their way at a time, each naming the
//! one before as its parent, so that one that fails takes those behind it with it.
//!
//! Whose slots are is asked in each slot, since a reorganisation of L1 over the block before an epoch may give them to others;
//! a batch whose signer does not own its slot is given up, and not sent. What proves the owner of a slot to L1 is kept while
//! the slot is current ([`SlotOwners::secure`], [`LookaheadOwners::with_file`]): beacon nodes keep states for some time only,
//! and a batch may have to wait for longer; what was read from a file is held against the L1 block that it names before it is
//! used. A batch that the inbox refuses is sent again at once, then after pauses.
//!
//! At the start, and whenever something is not as expected ([`ResetReason`]), it *settles*: it waits until
//! none of its account's transactions is on its way and all rollups have derived all batches that the inbox took; the
//! gateway then goes on from their safe heads and the inbox's newest batch, with those sealed batches that follow it.
//!
//! Transactions are sent as `lockstep-batcher` sends them ([`Outbox`](lockstep_batcher::Outbox)): an L1 reorg makes them
//! pending again, those that wait for too long offer more. A batch that follows one that failed still gets into L1, fails, and is
//! paid for; its blobs cannot be taken back.
//!
//! # Assumptions
//! - The log, the sealed batches and the chains are on the same machine, and nobody else makes blocks for these rollups
//!   with the same key.
//! - The account that pays for batches is the poster's alone. Another program that uses it costs time, not blocks.
//! - Blocks of all rollups have the same times: their first blocks have, and their configurations say the
//!   same block time.
//!
//! # Invariants
//! - A decision is in the log before anybody is shown its result, a batch on the disk before anybody else has it.
//! - What was shown is in a sealed batch, in a block after the newest one, or in the log; or it was told that it is lost.
//! - One thread decides what is sealed, and what is given up; no clock decides it. The poster only says what L1 says.
//! - Super transactions have ascending numbers within their slot, also after a restart: the Gate of each
//!   rollup knows its last one.
//! - All blocks of a round become heads, or none: a gateway that was killed in between goes on with exactly the
//!   same blocks. A round whose parents are no heads any more is given up at once.
//! - A rollup that cannot begin a block does not hold up the others, nor does one that catches up; calls to it
//!   wait. One that fails when its block is begun does: what its users were shown would be lost, and its peers
//!   may have called it.
//! - A batch that leaves was judged by the rules that followers judge it by, of L1 origins only by their age, and its owner
//!   was proven from an L1 block that was canonical then.
//! - The gateway takes back nothing that is safe, nor blocks of a chain that moved since it decided to.
//! - After an error of the poster its state is consistent, and the next step goes on.
//! - No block is sealed that is known not to be what others will find, nor is any on it.
//! - No clock of its own, and no thread that outlives a call: the rollups of a round are worked on side by side. What
//!   waits, waits by a clock that nobody sets.
//! - A log that is damaged in the middle is not used: what was acknowledged behind the damage would be lost without a
//!   word. A torn end was not acknowledged.
//!
//! # Metrics
//! All begin with `lockstep_gateway_`: counters `rounds_total`, `super_transactions_total`, `gas_total`, `wasted_gas_total`,
//! `failures_total` (by `chain`), `abandoned_rounds_total`, `l1_silences_total`, `rewound_blocks_total`,
//! `audited_blocks_total` and `audit_differences_total` (by `chain`), `unaudited_blocks_total`;
//! gauges `lag_seconds`, `drift_seconds`, `estranged_pairs`. Of the sealer: counters `batches_total`, `batch_blobs_total`, `seal_errors_total`,
//! `dropped_batches_total` and `lost_slots_total` (by `reason`), `lost_transactions_total`, `adopted_batches_total`,
//! `refused_batches_total`, `restored_batches_total`, `missed_late_batches_total`; gauges `open` (0 while users'
//! transactions are not taken), `sealed_slot`, `unposted_batches`, `kept_batch_bytes`. Of the poster: counters `post_transactions_total`,
//! `post_bytes_total`, `post_resubmissions_total`, `post_refusals_total`, `post_inclusions_total`, `post_fees_gwei_total`,
//! `post_fee_cap_hits_total`, `post_errors_total` (by `class`), `post_resets_total` (by `reason`); gauges `posting` (0 while it
//! settles), `post_pending_transactions`, `post_blocked_slot` (0: none), `post_balance_ether`, `inbox_next_slot`, `safe_head`
//! (by `chain`).
//!
//! # Limits
//! - A block holds what its gas limit allows. After 64 transactions in a row without room it is full, if it is at least
//!   half. What does not fit into an empty block leaves the pool.
//! - The blocks of a slot hold together what its batch can carry ([`GatewaySettings::max_blobs`]): bytes, even if they cannot
//!   be compressed, parts, and steps. What is larger than that leaves the pool, too.
//! - Transactions that are executed and then refused for what they call on other rollups pay nothing. They may use the gas of
//!   one block of each rollup in a round; then, until it is twice that, only what may use 1/64 of a block is tried, and then only
//!   what runs no code. One that was refused in 64 rounds leaves the pool; one that calls a rollup without a block waits for that,
//!   and is not executed again before.
//! - Users are shown something after each update interval, however much there is to execute; 5,000,000 gas and one transaction
//!   may come between.
//! - The log of decisions is at most 256 MiB; a round that has come so far takes no more transactions.
//! - A batch has [`SealSettings::max_blobs`] blobs at most, and is never split; [`slot_capacity`] says what fits into any. A slot that
//!   holds more is given up. It has 32,768 blocks of a rollup at most.
//! - Of batches with the same parent that are handed over the signatures of 8 are checked in a round and the blobs of one, each in
//!   its turn; 64 that were refused are remembered of each of 64 signers. One with more than 1,024 blocks of a rollup is left to
//!   derivation.
//! - 1,024 blocks wait to be audited; the oldest make room, and are counted (`unaudited_blocks_total`). When a slot is complete, its batch and the next slot's transactions wait
//!   for the audits of its last blocks for 250 ms at most.
//! - Promises end when what waits for L1 is older than half of the inbox's window, or of the
//!   [`PROVABLE_SLOTS`](lockstep_lookahead::PROVABLE_SLOTS) for which L1 can be shown who owned a slot; when the owner of a slot
//!   cannot be proven for 16 slots; when 8,192 batches or 512 MiB wait; or when a rollup has not derived 65,536 batches that L1
//!   has, of which the data is forgotten once L1 has them for good. The file of sealed batches is at most 2 GiB.
//! - The poster keeps what [`SubmissionPolicy`](lockstep_batcher::SubmissionPolicy) says of transactions; some 100 kB for each
//!   epoch of which the inbox may still take batches, and four before.

mod adopt;
mod agreement;
mod ahead;
mod allowance;
mod audits;
mod budget;
mod capacity;
mod clock;
mod closing;
mod decisions;
mod engines;
mod error;
mod filling;
mod gateway;
mod link;
mod pass;
mod plan;
mod poster;
mod preconfirmed;
mod records;
mod restore;
mod round;
mod seal;
mod sequencer;
mod turn;

pub use audits::Audits;
pub use capacity::slot_capacity;
pub use clock::{Bell, Clock};
pub use error::GatewayError;
pub use gateway::{Gateway, GatewaySettings, Member, RoundReport};
pub use link::{Board, GatewayLink};
pub use poster::{
    Blocked, GatewayKey, InboxState, L1Inbox, LocalMember, LookaheadOwners, MemberStatus, Poster,
    PosterError, PosterMember, PosterParts, PosterProgress, PosterSettings, PosterTime,
    ResetReason, RollupStatus, RpcInbox, RpcMember, SlotOwners,
};
pub use preconfirmed::Preconfirmed;
pub use seal::{
    Closed, Ledger, Lost, SealSettings, SealedBatch, SealedSpan, Sealer, SealerParts, UnionChains,
};
pub use sequencer::{Sequencer, SequencerError};
