//! The tree of unfinalised blocks: fork choice, payload building, persistence behind it.
//!
//! Blocks enter through [`Engine::insert`], which judges and executes them over their parent's
//! state and keeps them in a tree in memory. [`Engine::fork_choice`] says which of them are
//! canonical, and [`Engine::fork_choice_and_build`] begins to build a payload on the head, which
//! [`Engine::payload`] takes. These are the operations of the Engine API; a rollup or a
//! development chain calls them in process, or has blocks made by [`Engine::produce`].
//!
//! What happens leaves through [`ChainView`] (reads of one moment's chain, memory over storage),
//! [`Engine::follow`] and [`ChainView::subscribe`] (each [`ChainUpdate`] with blocks, receipts,
//! state and trie changes, shared by reference), and `lockstep_storage::Storage`, to which a
//! thread appends canonical blocks behind the tree.
//!
//! ```
//! use alloy_rpc_types_engine::PayloadAttributes;
//! use lockstep_chain::{Ethereum, EthereumHardfork, ForkSchedule};
//! use lockstep_engine::{Engine, EngineConfig, NoTransactions};
//! use lockstep_execution::MemoryState;
//! use lockstep_storage::{GenesisBlock, MemoryStorage};
//! use std::sync::Arc;
//!
//! let chain = Ethereum::new(1337, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Paris));
//! let genesis = chain.genesis_header(&Default::default());
//! let storage = MemoryStorage::new(&GenesisBlock::new(genesis, MemoryState::default())?);
//! let config = EngineConfig::default();
//! let engine = Engine::open(chain, Arc::new(storage), Arc::new(NoTransactions), config)?;
//! for timestamp in 1..=3 {
//!     engine.produce(&PayloadAttributes { timestamp, ..Default::default() })?;
//! }
//! assert_eq!(engine.view().head().number, 3);
//! engine.shutdown()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Metrics
//! All begin with `lockstep_engine_` and have the label `chain`: counters `gas_total`, `transactions_total` (by `how` they
//! were executed in blocks that were imported or built: `ahead` of their turns, `again` since that was to no use, `in_order`, or as a mere `transfer`),
//! `cache_hits_total` and `cache_misses_total` (of the newest state), `invalid_blocks_total`, `persisted_blocks_total`,
//! `persistence_failures_total`; gauges `gas_per_second` (of the block that was executed last), `cache_entries` (by `kind`),
//! `tree_blocks`, `unpersisted_blocks`; histograms `insert_seconds`, `fork_choice_seconds`, `reorg_depth_blocks`,
//! `persistence_seconds`, `build_seconds`, `built_transactions`.
//!
//! # Threads and locks
//! Operations are plain functions on the caller's thread, but for payloads that are improved until
//! they are asked for. Insertions exclude each other; a fork
//! choice takes a lock on the tree for microseconds and waits neither for an execution nor for a
//! write. One thread persists, one improves payloads, and each follower has its own.
//!
//! # Assumptions
//! - A block handed to [`Engine::insert`] carries its header's hash as its seal.
//! - Proofs of work are not verified: blocks from before the merge come from a trusted import.
//! - Whoever chooses the head may choose any valid block; only what is finalized is fixed.
//!
//! # Invariants
//! - A block is in storage's log before it is called valid, a fork choice before it is answered.
//!   An engine that ends at any instant comes back with both.
//! - A canonical block, and each block that a reorg took back and that is not finalized, is in
//!   memory or in storage at any moment.
//! - Updates are told in the order of the fork choices, and compose to the chain as it is.
//! - The state root of every block in the tree was computed and compared.
//!
//! # Limits
//! [`EngineConfig`] states them: blocks not persisted (then insertion waits, and gives up in
//! time), stored blocks that a reorg takes back, blocks beside the chain, blocks without a parent (also 128 MiB together), invalid blocks
//! remembered, trie nodes kept, accounts and slots kept, payloads in the making. A follower holds at most the difference
//! between two canonical chains.

mod audit;
mod builder;
mod cached;
mod chains;
mod config;
mod engine;
mod error;
mod execute;
mod follow;
mod fork_choice;
mod insert;
mod jobs;
mod known;
mod measure;
mod offer;
mod open;
mod payload_builder;
mod payloads;
mod persist;
mod pool;
mod replay;
mod restore;
mod tree;
mod update;
mod view;

pub use builder::{BlockBuilder, FilledBlock, OpenBlock, PausedBuilder};
pub use chains::{EthereumEnvelope, RollupEnvelope};
pub use config::EngineConfig;
pub use engine::Engine;
pub use error::EngineError;
pub use lockstep_execution::{AttributesError, StateRoots};
pub use offer::{Offer, Offered, PoolBatch, Turn, Turns};
pub use open::{JointRefusal, OpenUnion, PendingBlock, PendingPeer, PendingPeers, push_jointly};
pub use payload_builder::{BuildError, BuiltPayload, NoTransactions, PayloadBuilder, Refusal};
pub use payloads::{
    BesidePayload, BlockPlan, BuildDefaults, DeliveredPayload, EngineVersions, PayloadFault,
    PayloadPlace, Payloads,
};
pub use pool::{MAX_MISFITS, MIN_TRANSACTION_GAS, PoolBuilder, pool_head};
pub use update::{ChainUpdate, Segment};
pub use view::{ChainSnapshot, ChainView, FoundTransaction};
