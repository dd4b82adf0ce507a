//! Run one block on all cores with the bits of serial execution.
//!
//! Workers execute transactions before their turns, on what they know of the state, and write down all that they were
//! shown ([`lockstep_execution::Speculator`]). One thread goes through the block in order with the serial executor: it
//! holds what each transaction was shown against the state of its turn, and takes the outcome over
//! ([`lockstep_execution::BlockExecutor::adopt`]), or executes the transaction itself. So the result follows from that
//! thread alone; what workers do decides only how long it takes.
//!
//! What conflicts with other executors does not here:
//! - a balance that code does not look at counts by what was added and taken, for fee recipients, hot recipients and
//!   senders alike;
//! - the nonce that a transaction needs is what its sender is assumed to have, and that of another account without code
//!   is not looked at.
//!
//! And what does nothing but pay needs no EVM ([`lockstep_execution::Transfer`]).
//!
//! # Assumptions
//! - As for the serial executor. What a reader says is the same on all threads.
//!
//! # Invariants
//! - Serial execution is the specification: receipts, changes, requests, accesses and errors are the same.
//! - Of what workers say, only the parent's values are relied on, which they have from the reader.
//!
//! # Limits
//! - Tables grow to 262,144 accounts and as many slots; what finds no place is read again by each transaction.
//! - Of an access list ([`lockstep_execution::Hints`]) a value is looked at for every 1,000 gas of the block and 10,000 more,
//!   1,048,576 at most; what is said to need more than 256 transactions waits for its turn, and a worker that has put 64
//!   aside takes no more.
//! - Transactions are executed ahead by 400,000,000 gas at most, by their limits: that bounds the memory of outcomes.

mod ahead;
mod cache;
mod caution;
mod executor;
mod hints;
mod hot;
mod memory;
mod overlay;
mod place;
mod range;
mod senders;
mod table;
#[cfg(test)]
mod tests;
mod work;

pub use ahead::{Ahead, Candidate};
pub use cache::{CacheStatistics, CachedState, StateCache};
pub use executor::{BlockMemory, ParallelExecutor, Statistics, ThreadsError};
pub use range::{EachOutput, RangeBlock, RangeOutput};
pub use work::Batch;
