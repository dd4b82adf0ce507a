//! Who owns which slot, and the proof of it for L1.
//!
//! A slot of L1 belongs to the gateway to which its proposer delegated it; if that proposer did not opt in, to the gateway of the
//! next proposer that did. Three things are here, and each can be used without those after it:
//!
//! - the rule ([`Schedule`], of keys and [`Delegations`]), which says what the contract `Inbox` will say and does no IO;
//! - a source ([`LookaheadSource`]) that keeps a schedule in step with a beacon node and an L1 node;
//! - proofs ([`Prover`], [`Anchor`], [`Proof`]) of who proposes, which whoever posts a batch gives to the contract, and which
//!   can be kept ([`Evidence`]) longer than beacon nodes keep states.
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
//! # Assumptions
//! - Which chain is canonical, and who proposes, is the nodes' word, as long as nothing is proven. The two nodes of a source
//!   are held against each other: L1's first block of an epoch names the beacon block before it.
//! - The contracts are those in `contracts/src/union`: `Registry` takes no delegation that begins sooner than two epochs later,
//!   and its storage is laid out as it is there.
//! - SHA-256 and keccak-256 are collision resistant.
//!
//! # Invariants
//! - For slots of the same chain a schedule never takes back what it said: who is an owner, or that there is none.
//! - Missed slots change nothing. A reorganisation changes a schedule only if it replaces the last block before an epoch.
//! - Delegations are read with proofs of storage: a node can neither invent one nor keep one back.
//! - A proof that leaves this crate was checked as the contract checks it, from the root that L1 has.
//! - No clock: time comes in as an argument ([`LookaheadSource::refresh`]).
//!
//! # Limits
//! - A schedule is of [`MAX_EPOCHS`] epochs at most, each of [`MAX_SLOTS_PER_EPOCH`] slots at most.
//! - [`MAX_DELEGATIONS`] are kept. To find those of a schedule takes at most 65 round trips, and usually two.
//! - Who owns a slot can be proven for [`PROVABLE_SLOTS`] slots. Evidence of an epoch takes some 100 kB.
//! - States of Fulu alone can be read; other layouts are refused, as `Lookahead` refuses slots after it.
//! - A state's bytes are in memory while they are hashed (some 150 per validator,
//!   [`MAX_STATE_BYTES`](lockstep_providers::MAX_STATE_BYTES) at most); beside them there is memory for the branches of its
//!   proposers, and none for each validator.
//! - After a start, and where the beacon node does not serve duties by Fulu's rule, the epoch before the current one is
//!   not in the source's schedule.

mod delegation;
mod error;
mod evidence;
mod proof;
mod prover;
mod registry;
mod schedule;
mod shape;
mod source;
mod state;
mod tree;

pub use delegation::{Delegation, Delegations, MAX_DELEGATIONS, key_root};
pub use error::{LookaheadError, ProofError, RuleError, StateError};
pub use evidence::{Evidence, PROVABLE_SLOTS};
pub use proof::{Layout, Proof, ProofHeader};
pub use prover::{Anchor, Prover};
pub use registry::Registry;
pub use schedule::{Handover, MAX_EPOCHS, MAX_SLOTS_PER_EPOCH, Owner, Ownership, Schedule, Slot};
pub use source::{Change, LookaheadSource};
pub use state::ProvenState;
