//! Transactions waiting for a block.
//!
//! A [`Pool`] holds the transactions of one chain: [`Pool::add`] and [`Pool::add_raw`] check one
//! against the rules of the next block, the sender's account and what is already there;
//! [`Pool::best`] yields them to a payload builder; [`Pool::advance`] follows the chain, so that
//! what was included leaves and what a reorg dropped comes back. [`Pool::subscribe`] announces
//! what became pending. Everything is plain, synchronous code that may be called from any thread.
//!
//! A transaction is *pending* if it can go into the next block: no nonce before it is missing,
//! the balance covers it and those before it, and it pays the base fees. Otherwise it is *queued*.
//! Blob transactions, pending or not, have limits of their own. A chain defines what its pool
//! takes by [`Pooled`].
//!
//! ```
//! use alloy_consensus::Header;
//! use alloy_primitives::Sealable;
//! use lockstep_chain::{Ethereum, EthereumHardfork, ForkSchedule};
//! use lockstep_pool::{Origin, Pool, PoolConfig, PoolError, PoolHead};
//! use lockstep_storage::State;
//! use std::sync::Arc;
//!
//! fn submit(state: Arc<dyn State>, raw: &[u8]) -> Result<(), PoolError> {
//!     let chain = Ethereum::new(1337, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Osaka));
//!     let header = Header { gas_limit: 30_000_000, ..Default::default() }.seal_slow();
//!     let pool = Pool::new(chain, PoolConfig::default(), PoolHead { header, state });
//!     let hash = pool.add_raw(raw, Origin::Local)?;
//!     assert!(pool.contains(&hash));
//!     for tx in pool.best(7, None) {
//!         println!("{} pays {} wei per gas", tx.hash, tx.effective_tip(7));
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Assumptions
//! - The state of a [`PoolHead`] is that after its header's block.
//! - A fork by time counts from its first block on: there is no clock here.
//! - What a rollup charges for data on L1 is taken as of when a transaction was added. Builders
//!   find out if it no longer suffices.
//!
//! # Invariants
//! - The limits hold after every call, whoever sends what.
//! - No signature, proof or encoding is checked under a lock, but when several heads come during
//!   one addition.
//! - A transaction of this node's users is in the journal, if one is open, before
//!   [`Pool::add`] returns, and stays there until it is replaced, evicted or expired, or until
//!   its block is older than [`PoolConfig::journal_included_blocks`].
//! - Whoever pays more than the lowest of the same privilege gets into a full pool. Local
//!   transactions ([`Origin::Local`]) are not evicted for others' as long as they take no more
//!   than [`PoolConfig::local_share_percent`] of a sub-pool.
//! - Private transactions are neither announced nor listed.
//!
//! # Limits
//! - All are in [`PoolConfig`]: transactions and bytes of each sub-pool, slots of each sender,
//!   how far ahead a nonce may be, how long a transaction may be queued, how much is remembered of
//!   included ones. A transaction has at most 128 KiB beside its blobs.
//! - A reorg may bring a sender back above its slots; the limits of the sub-pools hold.
//! - Transactions of the journal that cannot enter after a restart wait for another head: no more
//!   than the sub-pools may hold together, for as many blocks as a transaction may be queued. At
//!   each head 64 of them are tried again, of 1 MiB together.
//! - The journal is rewritten when it is larger than twice what it last held and 4 MiB.

mod admit;
mod advance;
mod best;
mod blobs;
mod config;
mod error;
mod ethereum;
mod evict;
#[cfg(fuzzing)]
pub mod fuzzing;
mod head;
mod journal;
mod keep;
mod measure;
mod pool;
mod pooled;
mod rollup;
mod sender;
mod table;
mod transaction;

pub use best::{BestTransactions, BySender, PoolContent, PoolStatus};
pub use blobs::PooledBlob;
pub use config::{PoolConfig, SLOT_BYTES, SubPoolLimit};
pub use error::PoolError;
pub use ethereum::{EthereumPooledTransaction, EthereumRules};
pub use head::PoolHead;
pub use journal::{JournalReport, MAX_RECORD_BYTES};
pub use pool::Pool;
pub use pooled::{NextBlock, Pooled, PooledEnvelope, Rechecked};
pub use rollup::RollupRules;
pub use transaction::{Origin, PoolTransaction};
