//! From trusted boot info to a verified claim: the only transition that is ever proven.
//!
//! [`run`] is the program. It is told what is agreed and what is claimed ([`BootInfo`]), derives the
//! rollup's blocks from L1, executes each on a state of which only the root is known, and compares the
//! output root that comes of it with the claim ([`Outcome`]). Everything it reads comes through a
//! [`PreimageOracle`](lockstep_preimage::PreimageOracle): headers, transactions, receipts and state by
//! their hashes, blobs by their commitments. A native run, the fault-proof machine and a zkVM differ in
//! that oracle alone.
//!
//! Its halves are of use alone: [`execute_stateless`] makes one block from payload attributes,
//! [`StatelessExecutor`] one after the other, and [`OracleState`] reads a state.
//!
//! ```
//! use alloy_consensus::{EMPTY_ROOT_HASH, Header, Sealable};
//! use lockstep_chain::{FeeParams, ForkSchedule, OpHardfork, Rollup};
//! use lockstep_preimage::PreimageSet;
//! use lockstep_stf::execute_stateless;
//! use op_alloy_rpc_types_engine::OpPayloadAttributes;
//!
//! // Of a state without accounts everything is known.
//! let forks = ForkSchedule::<OpHardfork>::at(OpHardfork::Canyon);
//! let chain = Rollup::new(901, forks, FeeParams::OP_MAINNET);
//! let parent = Header {
//!     state_root: EMPTY_ROOT_HASH,
//!     base_fee_per_gas: Some(1_000),
//!     gas_limit: 30_000_000,
//!     ..Default::default()
//! };
//! let mut attributes = OpPayloadAttributes { gas_limit: Some(30_000_000), ..Default::default() };
//! attributes.payload_attributes.timestamp = 2;
//! attributes.payload_attributes.withdrawals = Some(Vec::new());
//! let witness = PreimageSet::new();
//! let made = execute_stateless(&chain, parent.seal_slow(), &attributes, &witness)?;
//! assert_eq!((made.block.number, made.block.state_root), (1, EMPTY_ROOT_HASH));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Assumptions
//! - keccak-256 and SHA-256 are collision resistant, also without their first byte.
//! - The boot information is what the caller means: the oracle is believed what it says under local
//!   keys. So [`run`] returns what it read there with the verdict ([`Outcome`]), for the caller to compare.
//! - An oracle that says it attests blobs has checked a KZG proof for their elements. Any other is asked for
//!   the proof, which is checked here: the KZG setup of Ethereum's mainnet is sound.
//! - The agreed output root and the L1 head belong to chains that exist.
//!
//! # Invariants
//! - The same boot information leads to the same verdict, whatever the oracle: one that lies, or knows
//!   too little, leads to an error and to no verdict.
//! - No clock, no randomness, no IO but through the oracle.
//! - A block is asked for by the hints of [`lockstep_preimage::Hint`] before anything of it is read; each
//!   node that no account's or slot's proof holds, by a hint of its own. Proofs are asked for in the state
//!   that a run begins with: of blocks that it makes, nobody else need know.
//! - An invalid block stops nothing: it is replaced by its deposits from Holocene on, and left out before,
//!   with the rest of its span batch. A claimed block counts when its span batch is whole.
//!
//! # Limits
//! - L1 is walked back [`MAX_L1_BLOCKS`] from its head, the rollup [`MAX_L2_ANCESTORS`] from the agreed
//!   block. Of pre-images [`CACHE_BYTES`] are remembered.
//! - Memory beyond that grows with what the derived blocks read and hold, which their gas limits bound,
//!   and with what `derive` keeps: claim shorter ranges to need less. Before Holocene the state is kept
//!   twice while a span batch is read.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod blob;
mod boot;
mod chain;
mod data;
mod error;
mod execute;
mod l1;
mod l2;
mod run;
mod state;

pub use boot::BootInfo;
pub use error::{DataError, PayloadError, StfError};
pub use execute::{StatelessBlock, StatelessExecutor, execute_stateless};
pub use l1::MAX_L1_BLOCKS;
pub use l2::MAX_L2_ANCESTORS;
pub use run::{CACHE_BYTES, Outcome, Verdict, run};
pub use state::OracleState;
