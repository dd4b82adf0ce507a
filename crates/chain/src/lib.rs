//! What a chain *is*: its forks, genesis, blocks, transactions and receipts, and every consensus
//! rule that needs no execution.
//!
//! A chain definition is a value ([`Ethereum`], [`Rollup`], or your own type that implements
//! [`Chain`]); several of different kinds live in one process. Headers and bodies come in from L1,
//! a peer, a file or a user and are hostile until [`Chain::validate_header`],
//! [`Chain::validate_header_against_parent`] and [`Chain::validate_body`] accepted them. What
//! needs execution (gas used, receipts, state) is judged by `lockstep-execution`.
//!
//! ```
//! use alloy_consensus::Header;
//! use lockstep_chain::{Chain, Ethereum, EthereumHardfork};
//!
//! let mainnet = Ethereum::mainnet();
//! let header = Header { number: 15_537_393, difficulty: alloy_primitives::U256::from(1), ..Default::default() };
//! assert_eq!(mainnet.fork(&header), EthereumHardfork::GrayGlacier);
//! ```
//!
//! # Assumptions
//! - Transactions, receipts and headers are alloy's types. Their decoders are strict but for one
//!   leniency, which [`decode_block`] takes away.
//! - Ommers of a header are checked by the caller that knows the ancestors
//!   ([`Ethereum::validate_ommers`]).
//!
//! # Invariants
//! - No function reads a clock: whether a block lies in the future is the caller's question.
//! - A rule is a function of its arguments only; errors carry the expected and the found value.
//!
//! # Limits
//! - Extra data: 32 bytes ([`header::MAX_EXTRA_DATA_BYTES`]); gas limit: `2^63 - 1`; ommers: 2;
//!   from Osaka on a block is at most 8 MiB of RLP (EIP-7934).
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod base_fee;
pub mod body;
mod chain;
pub mod difficulty;
pub mod ethash;
mod ethereum;
pub mod forks;
pub mod genesis;
pub mod header;
pub mod ommers;
mod receipt;
mod rollup;
pub mod signer;
mod union;

pub use alloy_hardforks::{EthereumHardfork, ForkCondition};
pub use alloy_op_hardforks::OpHardfork;
pub use body::BodyError;
pub use chain::{Block, BlockReceipt, BlockTransaction, Chain, decode_block};
pub use ethereum::{
    Ethereum, EthereumTransaction, MAX_BLOCK_RLP_BYTES, NEWEST_FORK, next_excess_blob_gas,
};
pub use forks::ForkSchedule;
pub use genesis::GenesisError;
pub use header::HeaderError;
pub use ommers::{Ancestor, OmmerError};
pub use receipt::EthereumReceipt;
pub use rollup::{FeeParams, Rollup};
pub use union::{GATE, PORT, UnionRules};
