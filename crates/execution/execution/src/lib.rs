//! Run one block serially over any state: the reference semantics of every Lockstep chain.
//!
//! A block, the senders of its transactions and a [`StateReader`] of the parent's state go in;
//! receipts, requests, gas and [`StateChanges`] come out of [`execute_block`]. [`validate_output`]
//! then holds them against the header. A payload builder, a tracer or a test drives the same
//! steps one at a time through [`BlockExecutor`]. A block that is yet to be made begins with
//! [`begin_rollup_block`] or [`begin_header`] and ends with [`complete_block`].
//!
//! ```
//! use alloy_consensus::Header;
//! use lockstep_chain::{Block, Ethereum, EthereumHardfork, ForkSchedule};
//! use lockstep_execution::{ExecuteOptions, MemoryState, execute_block};
//!
//! let chain = Ethereum::new(1337, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Shanghai));
//! let header = Header { gas_limit: 30_000_000, base_fee_per_gas: Some(7), ..Default::default() };
//! let block: Block<Ethereum> = header.into_block(Default::default());
//! let output = execute_block(&chain, &block, &[], &MemoryState::default(), ExecuteOptions::default())?;
//! assert_eq!(output.gas_used, 0);
//! # Ok::<(), lockstep_execution::ExecutionError<core::convert::Infallible>>(())
//! ```
//!
//! # Assumptions
//! - Header and body passed `lockstep_chain`'s rules; the senders are those of the signatures.
//! - The state reader is consistent: it answers from one state, the parent's.
//!
//! # Invariants
//! - Serial execution is the specification: every other executor must produce these bits.
//! - A rollup's header is assembled here and nowhere else: the engine and the proof make the same
//!   block of the same attributes.
//! - No IO but through the reader, no clock, no randomness.
//! - The order of changes, receipts and recorded accesses depends on the block alone.
//!
//! # Limits
//! - Memory grows with what the block touches, which its gas limit bounds. Call depth is the EVM's
//!   1,024, on the heap.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod adopt;
mod assemble;
mod changes;
mod commitment;
mod error;
mod ethereum;
mod evm;
mod executor;
mod hints;
mod instructions;
mod joint;
mod memory;
mod observe;
mod reader;
mod record;
mod requests;
mod rollup;
mod rollup_evm;
mod speculate;
mod speculation;
mod state;
mod system_calls;
mod transaction;
mod transfer;
mod validate;

pub use assemble::{
    AttributesError, StateRoots, begin_header, begin_rollup_block, complete_block,
    rollup_storage_commitment,
};
pub use changes::{AccountChange, SlotChange, StateChanges};
pub use commitment::{DiffHash, StateCommitment, genesis_root};
pub use error::ExecutionError;
pub use evm::{EthereumEvmFactory, EvmEnvOf, EvmOf, Execute};
pub use executor::{
    BlockExecutor, BlockOutput, BlockParts, ExecuteOptions, IntermediateRoots, PausedBlock,
    Progress, TransactionOutcome, execute_block,
};
pub use hints::{BlockHints, Dependencies, Hints, Needs};
pub use joint::{Joined, JointError, OpenBlocks, transact_jointly, transact_jointly_if};
pub use memory::{MemoryAccount, MemoryState};
pub use observe::ObserveBalances;
pub use reader::StateReader;
pub use requests::parse_deposits;
pub use revm::{bytecode::Bytecode, state::AccountInfo};
pub use rollup_evm::{RollupEvm, RollupEvmFactory};
pub use speculate::{
    HaltReasonOf, Speculate, SpeculativeEvm, SpeculativeState, SpeculativeView, Speculator,
};
pub use speculation::Speculation;
pub use state::{Accessed, BlockState, StateError, StateRules, code_from};
pub use transaction::{
    CheckedTransaction, TransactionError, check_rollup_transaction, check_transaction,
    validate_transaction,
};
pub use transfer::{Transfer, TransferRules};
pub use validate::{OutputError, validate_output, validate_state_root};
