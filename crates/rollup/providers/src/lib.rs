//! Ask L1, beacon and L2 nodes for data, and believe nothing that does not verify.
//!
//! Three clients ask over HTTP (or any other [`Transport`]) and answer with what a hash commits to:
//!
//! - [`L1Client`] for headers, transactions, receipts and what contracts store;
//! - [`BeaconClient`] for blobs, headers of beacon blocks and who proposes them;
//! - [`L2Client`] for blocks of the rollup, output roots, state proofs, execution witnesses.
//!
//! They implement the provider traits of `lockstep-derive`, and serve the host of proofs. A call
//! blocks its thread until there is an answer or the time is up; clones of a client share its
//! connections and caches between threads.
//!
//! ```no_run
//! use alloy_eips::BlockNumberOrTag;
//! use lockstep_providers::{BeaconClient, L1Client, Retry, RpcClient, Timeouts};
//!
//! let l1 = L1Client::new(RpcClient::http("http://127.0.0.1:8545", Timeouts::default())?);
//! let urls = ["http://127.0.0.1:5052".to_owned()];
//! let beacon = BeaconClient::http(&urls, Timeouts::default(), Retry::default())?;
//! if let Some(head) = l1.block(BlockNumberOrTag::Latest)? {
//!     let (header, transactions) = l1.transactions(head.hash)?;
//!     println!("{} of {} has {} transactions", head.hash, header.timestamp, transactions.len());
//! }
//! # let _ = beacon;
//! # Ok::<(), lockstep_providers::ClientError>(())
//! ```
//!
//! # Assumptions
//! - keccak-256 is collision resistant, and the KZG setup of Ethereum's mainnet sound.
//! - Which block is canonical, safe or final is the node's word: no hash commits to it. Whoever
//!   needs to know asks a node of their own. So is who proposes a slot ([`BeaconClient::proposer_duties`]).
//!
//! # Invariants
//! - What is returned for a hash has that hash: headers by their encoding, transactions and receipts
//!   by the roots in the header, blobs by their commitment, accounts and slots by their path from the state root.
//!   [`BeaconClient::state`] alone is unchecked: who asks for a state hashes it.
//! - Nothing is remembered by number, so no answer outlives a reorganisation.
//! - An error says who must act ([`ClientError::severity`]), and shows no path, query or user of a
//!   URL, which may hold a secret.
//! - No clock: pauses between tries come in as a function ([`Retry`]).
//!
//! # Limits
//! - An answer is read up to a limit ([`RpcLimits`]; for blobs, what [`MAX_BLOBS`] take), within a time
//!   ([`Timeouts`]). Redirects are not followed. Lists of small things in it have a limit of their own.
//! - A JSON-RPC batch has at most [`RpcLimits::max_batch`] calls; longer ones go out in parts.
//! - Caches are bounded in bytes ([`L1CacheLimits`]; 64 MiB of L2 blocks, 64 blobs).
//! - [`MAX_HEADERS_BACK`], [`MAX_BLOCKS_BACK`], [`MAX_PREFETCH`], [`MAX_BLOBS`], [`MAX_PROVEN_SLOTS`],
//!   [`MAX_DUTIES`], [`MAX_STATE_BYTES`] bound single calls.
//! - A block with a transaction of a type that alloy does not know cannot be read.

mod beacon;
mod blob;
mod bounded;
mod derive;
mod endpoint;
mod error;
mod http;
mod l1;
mod l2;
mod lru;
mod proof;
mod rpc;
mod storage;
mod transport;
mod verify;
mod witness;

pub use beacon::{
    BeaconClient, BeaconHeader, MAX_BLOBS, MAX_DUTIES, MAX_STATE_BYTES, ProposerDuties,
    ProposerDuty, SlotClock,
};
pub use blob::{BlobError, VerifiedBlob};
pub use endpoint::Endpoint;
pub use error::ClientError;
pub use http::{HttpTransport, Timeouts};
pub use l1::{L1CacheLimits, L1Client, MAX_HEADERS_BACK, MAX_PREFETCH};
pub use l2::{L2Client, MAX_BLOCKS_BACK, MAX_PROVEN_SLOTS, MESSAGE_PASSER};
pub use proof::AccountProof;
pub use rpc::{RpcClient, RpcLimits};
pub use transport::{Accept, Pause, Request, Response, Retry, Transport, TransportError};
pub use witness::WitnessNodes;
