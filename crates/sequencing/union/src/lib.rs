//! Execute one transaction over many rollups, and each rollup's part of it alone.
//!
//! A [`Participant`] is one rollup in the block that it builds or follows. With the participants of a
//! union and a user's transaction [`execute_jointly`] runs one call tree over `(chain, address)` and
//! returns, for each rollup that took part, its [`Part`]: the script of what it sent and received. With
//! its part a rollup is executed alone by [`execute_part`], to the same state.
//!
//! [`execute_call`] runs a call that is to stand in no block, and goes on to peers as it reaches them.
//!
//! [`CallTree`] puts the parts of many rollups together again, for people to look at.
//!
//! All executions drive the same code. A rollup runs until it sends a message, and goes on when it receives one;
//! whether a peer or a script is at the other end it does not know. The rules, by number, are in
//! `docs/super-transactions.md`.
//!
//! ```
//! use alloy_primitives::address;
//! use lockstep_union::{Part, SuperId, part_transaction, proxy_of};
//!
//! // Who a call from rollup 10 comes from, on every other rollup.
//! let caller = address!("1111111111111111111111111111111111111111");
//! assert_ne!(proxy_of(10, caller), proxy_of(11, caller));
//!
//! // A part stands in its rollup's block as a transaction.
//! let id = SuperId { slot: 9, index: 4 };
//! let part = Part { id, home: 10, origin: caller, gas_limit: 0, steps: Vec::new() };
//! let transaction = part_transaction(&part, 10);
//! assert_eq!(Part::decode(&mut &transaction.input[..], 100)?, part);
//! # Ok::<(), alloy_rlp::Error>(())
//! ```
//!
//! # Assumptions
//! - Every participant was made with the same [`UnionRules`], and for the block that its part is in. Its
//!   EVM is the one that `lockstep-execution` makes for members of a union.
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
mod call;
mod control;
mod error;
mod gas;
mod incoming;
mod joint;
mod observe;
mod outgoing;
mod participant;
mod proxy;
mod script;
mod transaction;
mod tree;

pub use agreement::{Disagreement, PlacedPart, check_agreement};
pub use alone::execute_part;
pub use call::{Reach, execute_call};
pub use error::UnionError;
pub use joint::{JointOutcome, PartSizes, execute_jointly, execute_jointly_if};
pub use lockstep_chain::{GATE, PORT, UnionRules};
pub use outgoing::Refusal;
pub use participant::{Observer, PartOutcome, PartSize, Participant, UnionEvm, pair_slot};
pub use proxy::{proxy_code, proxy_init_code, proxy_of};
pub use script::{Call, Message, Part, Return, Step, SuperId};
pub use transaction::{PartTransaction, part_transaction, source_hash};
pub use tree::{CallNode, CallTree, TreeError};
