//! Collect what a proof needs to know, and serve it to the program that is proven.
//!
//! The program (`lockstep-stf`) knows nothing but a few numbers and asks for pre-images of hashes. The
//! [`Host`] answers: with what it keeps in a [`Store`], and, if it has [`Sources`], with what nodes
//! say, fetched when the program's hints announce it. What the program asked for is a witness, with
//! which the same run can be repeated without any node.
//!
//! - [`Host::verify`] runs the program in this process on a range of blocks; [`Host::repeat`] runs it
//!   again on what is kept.
//! - [`Host::prepare`] says what a run is about without making it. Then [`serve`] answers a program
//!   elsewhere over pipes, with the keys and framing of the OP Stack's fault proofs.
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
//! assert!(Host::of_witness(read_witness(path)?)?.repeat()?.is_verified());
//! # Ok(())
//! # }
//! ```
//!
//! # Hints
//!
//! The names of hints are the OP Stack's, but its programs do not agree on all of their fields. [`Request`]
//! reads ours, and where those of kona's client and of op-program differ, theirs:
//!
//! | hint | ours | theirs |
//! |---|---|---|
//! | `l2-account-proof` | the block by its hash, 32 bytes; the account | the block by its number, 8 bytes; the account (op-program: as a word of its own) |
//! | `l2-account-storage-proof` | the same, and the slot | kona: the block by its number, and the slot |
//! | `l2-block-witness` | the parent's hash | unknown there |
//! | `l2-payload-witness` | never given | kona: the parent's hash, and the payload's attributes as JSON |
//! | `l2-output` | the output root | kona: called `starting-l2-output` |
//! | `l1-precompile` | called `l1-precompile-v2` | the address, the gas that is given, the input |
//!
//! All others are the same. Of the hints of interoperable rollups, which end in a chain id, none is understood.
//! Hints of unknown names are ignored: what they would bring is fetched when it is announced otherwise, or not.
//!
//! Our program asks hosts that do not attest blobs for their proofs, under a key of its own
//! ([`PreimageKey::blob_proof`](lockstep_preimage::PreimageKey::blob_proof)). With the hosts of other programs
//! it therefore comes to no verdict on batches in blobs, unless it runs in a machine that attests blobs.
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
//! - [`Witness::locals`] are as trustworthy as whoever gave them.
//!
//! # Invariants
//! - Nothing that a hash commits to leaves a host or a store without that hash having been computed,
//!   blobs by their KZG commitment. What a damaged file holds is never served.
//! - A file is there with all of its bytes, or not at all.
//! - Precompiled contracts are computed here, never taken from outside.
//! - What a run is about is in its host, never in a store: hosts that share a store do not mix their runs.
//! - A rollup node on another chain than the one that L1 makes cannot keep the host from serving the one
//!   that L1 makes, so its claim is judged: the state before the first difference is enough.
//!
//! # Limits
//! - [`MAX_RANGE`] blocks in one run. A store has the limit in bytes that it is given; a witness file
//!   [`MAX_WITNESS_BYTES`]; a pre-image `lockstep_preimage::MAX_PREIMAGE_BYTES`.
//! - 256 blobs are in memory at once. The elements of others are served again after their blob is announced
//!   again.
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
mod witness;

pub use directory::DirectoryStore;
pub use entry::{Entry, EntryKey};
pub use error::HostError;
pub use fetch::Sources;
pub use file::{MAX_WITNESS_BYTES, decode_witness, encode_witness, read_witness, write_witness};
pub use host::{Host, OnBlock};
pub use lockstep_stf::Outcome;
pub use range::{BlockRange, L1Blocks, MAX_RANGE, find_l1_chain};
pub use request::Request;
pub use serve::{IoPipe, serve};
pub use store::{MemoryStore, Store};
pub use witness::{Locals, Witness};
