//! Who owns which slot.
//!
//! A slot of L1 belongs to the gateway to which its proposer delegated it; if that proposer did not opt in, to the gateway of the
//! next proposer that did. [`Schedule`] says so, of keys and [`Delegations`], as the contract `Inbox` will, and does no IO.
//!
//! ```
//! use alloy_primitives::{Address, B256};
//! use lockstep_lookahead::{Delegation, Delegations, Owner, Ownership, Schedule};
//!
//! // Proposers of epoch 5 and 6, of four slots each; one of them opted in.
//! let mut keys = vec![B256::ZERO; 8];
//! keys[3] = B256::repeat_byte(1);
//! let gateway = Address::repeat_byte(2);
//! let mut delegations = Delegations::default();
//! delegations.insert(keys[3], Delegation { first_slot: 0, last_slot: 100, gateway })?;
//!
//! let schedule = Schedule::new(4, 5, keys, &delegations)?;
//! assert_eq!(schedule.owner(23), Some(Owner { gateway, by_slot: 23 }));
//! assert_eq!(schedule.owner(21), Some(Owner { gateway, by_slot: 23 }));
//! // Who proposes after slot 27 is not known yet.
//! assert_eq!(schedule.ownership(24), Ownership::Undecided);
//! assert_eq!(schedule.next_owned_by(gateway, 0), Some(20));
//! # Ok::<(), lockstep_lookahead::RuleError>(())
//! ```
//!
//! # Invariants
//! - For slots of the same chain a schedule never takes back what it said: who is an owner, or that there is none.
//!
//! # Limits
//! - A schedule is of [`MAX_EPOCHS`] epochs at most, each of [`MAX_SLOTS_PER_EPOCH`] slots at most.
//! - [`MAX_DELEGATIONS`] are kept.

mod delegation;
mod error;
mod schedule;

pub use delegation::{Delegation, Delegations, MAX_DELEGATIONS, key_root};
pub use error::RuleError;
pub use schedule::{
    Handover, MAX_EPOCHS, MAX_SLOTS_PER_EPOCH, Owner, Ownership, Schedule, Slot,
};
