//! Execute one transaction over many rollups, and each rollup's part of it alone.
//!
//! A [`Participant`] is one rollup in the block that it builds or follows. With the participants of a
//! union and a user's transaction [`execute_jointly`] runs one call tree over `(chain, address)` and
//! returns, for each rollup that took part, its [`Part`]: the script of what it sent and received. With
//! its part a rollup is executed alone by [`execute_part`], to the same state.
//!
//! Both drive the same code. A rollup runs until it sends a message, and goes on when it receives one;
//! whether a peer or a script is at the other end it does not know. The rules, by number, are in
//! `docs/super-transactions.md`.
//!
//! ```
//! use alloy_consensus::Header;
//! use alloy_op_evm::OpTx;
//! use lockstep_chain::{FeeParams, ForkSchedule, OpHardfork, Rollup};
//! use lockstep_execution::{BlockState, MemoryState};
//! use lockstep_union::{Participant, SuperId, UnionRules, execute_jointly, execute_part};
//! use std::collections::BTreeMap;
//!
//! let rules = UnionRules::new([10, 11]);
//! let header = Header { number: 1, gas_limit: 30_000_000, ..Default::default() };
//! let state = MemoryState::default();
//! let join = |chain_id| {
//!     let forks = ForkSchedule::<OpHardfork>::at(OpHardfork::Isthmus);
//!     let chain = Rollup::new(chain_id, forks, FeeParams::OP_MAINNET);
//!     let state = BlockState::new(&state, true);
//!     Participant::new(&chain, &header, state, &rules, header.gas_limit)
//! };
//! let mut tx = OpTx::default();
//! (tx.0.base.chain_id, tx.0.base.gas_limit) = (Some(10), 100_000);
//!
//! let mut union = BTreeMap::from([(10, join(10)), (11, join(11))]);
//! let together = execute_jointly(&mut union, SuperId { slot: 1, index: 0 }, 10, tx.clone())?;
//! let alone = execute_part(&mut join(10), &together[&10].part, Some(tx))?;
//! assert_eq!(alone, together[&10]);
//! # Ok::<(), lockstep_union::UnionError<core::convert::Infallible>>(())
//! ```
//!
//! # Assumptions
//! - Every participant was made with the same [`UnionRules`], and for the block that its part is in.
//! - Gate and port are in the genesis of every rollup of the union.
//!
//! # Invariants
//! - Control is at exactly one rollup. Each message carries it over, and has the next index; so
//!   messages have one order, and parts that agree pairwise are those of one joint execution.
//! - When a frame fails, the calls to peers that it made and that still stand are undone, newest first.
//! - After an error nothing has changed on any rollup.
//! - No IO but through the state reader, no clock, no recursion.
//!
//! # Limits
//! - Depth, steps, input and output of calls: [`UnionRules`]. Memory is bounded by them and by gas.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod agreement;
mod alone;
mod control;
mod error;
mod incoming;
mod joint;
mod outgoing;
mod participant;
mod proxy;
mod rules;
mod script;

pub use agreement::{Disagreement, PlacedPart, check_agreement};
pub use alone::execute_part;
pub use error::UnionError;
pub use joint::{JointOutcome, execute_jointly};
pub use outgoing::Refusal;
pub use participant::{PartOutcome, Participant, pair_slot};
pub use proxy::{proxy_code, proxy_init_code, proxy_of};
pub use rules::{GATE, PORT, UnionRules};
pub use script::{Call, Message, Part, Return, Step, SuperId};
