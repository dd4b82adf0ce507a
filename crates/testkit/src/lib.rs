//! Fixture loaders, conformance runners, builders and generators for tests.
//!
//! Fixtures come in from files and archives ([`source`]), are parsed into the types of [`model`],
//! and run by [`suites`] against the executors that everything else uses ([`executors`]). [`conformance::run`] does
//! this for whole directories on all cores and returns a [`Report`]; [`mainnet`] replays real
//! blocks, and [`witness`] loads those that execute statelessly. [`gigagas`] makes blocks up to measure executors
//! with, for which [`census`] counts what real ones consist of; [`difference`] holds what two of them made of a block
//! against each other.
//!
//! ```
//! use lockstep_testkit::{cases::Finder, executors::Executors, report::Outcome, source::File};
//!
//! let bytes = br#"{"dog": {"in": "dog", "out": "0x83646f67"}}"#.to_vec();
//! let cases = Finder::default().cases(&File { name: "rlptest.json".into(), bytes, read_bytes: 0 })?;
//! for case in cases {
//!     assert_eq!(case.run(&Executors::Serial).outcome, Outcome::Passed);
//! }
//! # Ok::<(), lockstep_testkit::Error>(())
//! ```
//!
//! # Assumptions
//! - Fixtures are hostile: a wrong one is an error or a failure that names file and field, never a
//!   panic and never memory by a length that was not checked.
//!
//! # Invariants
//! - Nothing of the harness reaches into `execution`: tests drive its public interface.
//! - A report depends on the fixtures alone, not on the number of threads or the time.
//!
//! # Limits
//! - [`source::Limits`]; nesting of JSON: 128; files in memory at once: 1 GiB.

pub mod cases;
pub mod census;
pub mod conformance;
pub mod difference;
mod error;
pub mod executors;
pub mod fields;
pub mod fixtures;
pub mod gigagas;
pub mod json;
pub mod mainnet;
pub mod model;
pub mod network;
pub mod report;
#[cfg(test)]
mod samples;
pub mod source;
pub mod stateless;
pub mod suites;
pub mod transcripts;
pub mod witness;
pub mod world;

pub use error::Error;
pub use report::Report;
