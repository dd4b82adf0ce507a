//! Keep a chain on disk: state, history, blocks, and the log of what is not yet there.
//!
//! [`ExecutedBlock`]s go in; [`Snapshot`]s come out, with the [`State`] after any retained block.
//! [`OverlayState`] puts blocks that are only in memory on top. [`DiskStorage`] keeps the chain in
//! a folder, [`MemoryStorage`] in memory; both begin with a [`GenesisBlock`].
//!
//! # Example
//!
//! ```
//! use alloy_consensus::Header;
//! use alloy_primitives::{Address, U256};
//! use lockstep_chain::{Ethereum, EthereumHardfork, ForkSchedule};
//! use lockstep_execution::{Bytecode, MemoryState};
//! use lockstep_storage::{DiskStorage, GenesisBlock, Options, Storage};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let chain = Ethereum::new(1337, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::London));
//! let alice = Address::repeat_byte(0xa1);
//! let mut state = MemoryState::default();
//! state.set_account(alice, 0, U256::from(100), Bytecode::default());
//! let header = Header { state_root: state.state_root(), ..Default::default() };
//! let genesis = GenesisBlock::new(header, state)?;
//!
//! let storage = DiskStorage::open(folder.path(), &chain, &genesis, Options::default())?;
//! let snapshot = storage.snapshot()?;
//! let tip = snapshot.tip();
//! let account = snapshot.state(tip.number)?.account(&alice)?;
//! assert_eq!(account.map(|account| account.balance), Some(U256::from(100)));
//! # Ok(())
//! # }
//! ```
//!
//! # How it is kept
//!
//! The newest state lies in MDBX tables, plain (for execution) and hashed with its trie nodes (for
//! roots and proofs). Each block's *change set* says what it overwrote; an index says which blocks
//! changed an account or slot. So an older state is the newest one, but for what changed since.
//! Blocks, receipts and change sets lie in append-only static files. The format is described in
//! `docs/storage.md`, byte for byte, and has a version ([`FORMAT_VERSION`]).
//!
//! # Assumptions
//!
//! - Appended blocks were executed and found valid, and their nodes are those that
//!   `StateTrie::commit` gave for their changes. What contradicts the header's root is refused.
//! - A local file system that keeps what was written before a process was killed, and has file
//!   locks. One process at a time uses a folder; the lock says which.
//!
//! # Invariants
//!
//! - An append happens as a whole or not at all, also when the process is killed or the disk is
//!   full. So does each step of an unwind, which takes back at most [`Options::unwind_blocks`]
//!   blocks, the newest first; between two steps the chain is whole, only shorter. Appends write
//!   static files first and commit to MDBX last; unwinds commit first and cut static files last.
//!   Opening a folder cuts what was written and not committed.
//! - A log entry that was acknowledged survives the end of the process. With
//!   [`SyncPolicy::EveryAppend`] appended blocks also survive a failure of power; the log does not.
//! - What a checksum or hash does not vouch for is not served: values of all tables but their
//!   keys, rows of static files (bound to number and hash of their block), records of the log.
//!   [`DiskStorage::check`] finds the rest by holding everything against everything else.
//! - A snapshot never sees later writes. After an unwind it says [`StorageError::Unwound`] of what
//!   the static files no longer have.
//! - The trie tables hold exactly the nodes of the newest state.
//!
//! # Limits
//!
//! - A row of a static file and an entry of the log have at most 1 GiB, a transaction's index 32
//!   bits. 8192 snapshots may be open, with 2048 further read transactions for threads that read one
//!   at the same time; an old one keeps MDBX from using the pages again that were
//!   freed since, so hold it for one request only.
//! - Trie nodes of an older state are computed from the change sets since, at most eight million
//!   accounts and slots ([`StorageError::TooFar`]); everything else of it is read directly.
//! - A block beside the stored chain that was logged survives the end of the process until the
//!   stored tip has been 64 blocks above it: each append lets go of what lies deeper in the log. A
//!   fork choice of such a block then waits until the consensus layer delivers it again.
//! - Caches of decoded change sets and codes: [`Options::cache_bytes`] each. 256 segments of
//!   static files are kept open.
//! - A state in memory ([`MemoryStorage`]) only grows.
//! - All history is kept: pruning will come and move [`Snapshot::earliest_state`].

mod block;
mod db;
mod disk;
mod error;
mod files;
#[cfg(fuzzing)]
pub mod fuzzing;
mod genesis;
mod memory;
mod nodes;
mod options;
mod state;
mod storage;

pub use block::{ExecutedBlock, RecoveredBlock};
pub use disk::{
    CheckOptions, CheckProgress, CheckReport, DiskStorage, FORMAT_VERSION, LogStats, Problem,
    StorageStats, TableStats,
};
pub use error::{ErrorClass, StorageError};
pub use files::FileStats;
pub use genesis::GenesisBlock;
pub use memory::MemoryStorage;
pub use nodes::{TrieNodes, TrieNodesBuilder};
pub use options::{Options, SyncPolicy, WriteGate, WriteOperation};
pub use state::{OverlayState, State};
pub use storage::{ForkChoice, LogEntry, LoggedEntry, Snapshot, Storage, TransactionLocation};
