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

pub use alone::execute_part;
pub use error::UnionError;
pub use joint::{JointOutcome, execute_jointly};
pub use outgoing::Refusal;
pub use participant::{PartOutcome, Participant, pair_slot};
pub use proxy::{proxy_code, proxy_init_code, proxy_of};
pub use rules::{GATE, PORT, UnionRules};
pub use script::{Call, Message, Part, Return, Step, SuperId};
