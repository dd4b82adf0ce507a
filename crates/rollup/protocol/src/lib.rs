//! Wire formats of OP Stack rollups.
//!
//! What exists today is the L1 attributes deposit that begins every block of a rollup
//! ([`L1Attributes`]). Bytes come in from L1 or a peer and are hostile; they are decoded whole or
//! refused with an error.
//!
//! ```
//! use lockstep_chain::OpHardfork;
//! use lockstep_protocol::L1Attributes;
//!
//! let attributes = L1Attributes { number: 7, base_fee: 1_000_000_000, ..Default::default() };
//! let deposit = attributes.deposit(OpHardfork::Isthmus);
//! assert_eq!(L1Attributes::decode(&deposit.input)?, attributes);
//! # Ok::<(), lockstep_protocol::L1AttributesError>(())
//! ```
//!
//! # Invariants
//! - No IO, no clock; decoding what was encoded gives the same value.
//!
//! # Limits
//! - Forks from Ecotone to Isthmus; the formats before and after come with derivation.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod l1_attributes;

pub use l1_attributes::{L1_ATTRIBUTES_DEPOSITOR, L1_BLOCK, L1Attributes, L1AttributesError};
