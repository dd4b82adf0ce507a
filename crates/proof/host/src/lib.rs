//! Collect what a proof needs to know, and serve it to the program that is proven.
//!
//! The program (`lockstep-stf`) knows nothing but a few numbers and asks for pre-images of hashes. The
//! [`Host`] answers: with what it keeps in a [`Store`], and, if it has [`Sources`], with what nodes
//! say, fetched when the program's hints announce it. What the program asked for is a witness, with
//! which the same run can be repeated without any node.
//!
//! - [`Host::verify`] runs the program in this process on a range of blocks; [`Host::repeat`] runs it
//!   again on what is kept.
//! - [`serve`] answers a program elsewhere, over pipes, in the words of the OP Stack's fault proofs;
//!   hints in which kona's client differs from ours are understood, too ([`Request`]).
//! - [`MemoryStore`] and [`DirectoryStore`] keep pre-images; [`write_witness`] and [`read_witness`] keep
//!   those of one run in a single file.
//!
//! ```no_run
//! use lockstep_host::{BlockRange, Host, MemoryStore, Sources, read_witness, write_witness};
//! # fn example(sources: Sources) -> Result<(), lockstep_host::HostError> {
//! let host = Host::online(MemoryStore::default(), sources);
//! let outcome = host.verify(BlockRange::new(100, 200)?, None)?;
//! assert!(outcome.is_verified());
//! let path = "100-200.witness".as_ref();
//! write_witness(path, &host.witness()?)?;
//!
//! // Somebody else, without nodes, comes to the same.
//! let kept = MemoryStore::with_entries(read_witness(path)?, MemoryStore::DEFAULT_MAX_BYTES)?;
//! assert!(Host::offline(kept).repeat()?.is_verified());
//! # Ok(())
//! # }
//! ```
//!
//! # A witness file
//!
//! All numbers are big-endian.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `LSTEPWIT` |
//! | 4 | the version of the format, 1 |
//! | 8 | the number of entries |
//! | … | the entries, in the order of their keys |
//! | 32 | the SHA-256 hash of everything before |
//!
//! An entry:
//!
//! | bytes | content |
//! |---|---|
//! | 1 | its kind: 1 local, 2 keccak-256, 4 SHA-256, 5 blob |
//! | 8 | of a local entry only: its number |
//! | 32 | of a blob only: its versioned hash |
//! | 4 | the length of its value |
//! | … | its value; of a blob 48 bytes of commitment, 48 of proof, 131072 of data |
//!
//! The keys of hashed entries are not stored but computed when the file is read, and the proofs of
//! blobs are verified then.
//!
//! # Assumptions
//! - Which L1 chain is canonical is the L1 node's word, and what is agreed and claimed the rollup node's.
//!   A verdict is about exactly these ([`Outcome::boot`]): compare them with what you know.
//! - The local entries of a witness are as trustworthy as whoever gave it.
//!
//! # Invariants
//! - Nothing that a hash commits to leaves a host or a store without that hash having been computed,
//!   blobs by their KZG commitment. What a damaged file holds is never served.
//! - A file is there with all of its bytes, or not at all.
//! - Precompiled contracts are computed here, never taken from outside.
//!
//! # Limits
//! - [`MAX_RANGE`] blocks in one run. A store has the limit in bytes that it is given; a witness file
//!   [`MAX_WITNESS_BYTES`]; a pre-image `lockstep_preimage::MAX_PREIMAGE_BYTES`.
//! - 256 blobs are in memory at once; more are read again when they are needed.
//! - A node that has neither `debug_executionWitness` nor `debug_dbGet` cannot serve blocks that delete
//!   from tries: the sibling of what is deleted is in no proof.

mod directory;
mod elements;
mod entry;
mod error;
mod fetch;
mod file;
mod host;
mod lists;
mod precompiles;
mod range;
mod request;
mod serve;
mod store;

pub use directory::DirectoryStore;
pub use entry::{Entry, EntryKey};
pub use error::HostError;
pub use fetch::Sources;
pub use file::{MAX_WITNESS_BYTES, read_witness, write_witness};
pub use host::{Host, OnBlock};
pub use range::{BlockRange, MAX_RANGE, Outcome, find_l1_chain};
pub use request::Request;
pub use serve::{IoPipe, serve};
pub use store::{MemoryStore, Store};
