//! Blocks of a billion gas, made up for measuring executors.
//!
//! A [`Generator`] writes a state and makes one block after the other of it, all from a seed. Contracts are
//! those of `contracts/bench`. Gas is what transactions use, in units of gas, not their limits.
//!
//! ```
//! use lockstep_execution::{ExecuteOptions, execute_block};
//! use lockstep_testkit::gigagas::{Generator, Settings, Workload};
//!
//! let mut generator = Generator::new(Settings::new(Workload::Erc20, 1_000_000, 7)?);
//! let made = generator.next_block()?;
//! let (chain, state) = (generator.chain(), generator.state());
//! let output = execute_block(chain, &made.block, &made.senders, state, ExecuteOptions::default());
//! assert_eq!(output?.changes, made.output.changes);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//! - Every transaction succeeds, and does what its workload is named after.
//! - The same settings make the same blocks.
//!
//! # Limits
//! - [`MIN_GAS`] to [`MAX_GAS`] per block; about a million accounts of users, 16,384 markets. The largest
//!   blocks need about two gigabytes, with what two executors make of them.

mod accounts;
mod contracts;
mod generator;
mod random;
mod workloads;

use core::{
    fmt::{self, Display},
    str::FromStr,
};
pub use generator::{GeneratedBlock, Generator};
use lockstep_execution::ExecutionError;
use std::convert::Infallible;
pub use workloads::{MAINNET, Share};

/// The least gas of a block: a few transactions.
pub const MIN_GAS: u64 = 1_000_000;

/// The most gas of a block.
pub const MAX_GAS: u64 = 10_000_000_000;

/// The time of the state before the first block, in seconds: any time will do.
const GENESIS_TIMESTAMP: u64 = 1_750_000_000;

/// The highest price of a unit of gas that transactions offer, in wei.
const MAX_FEE_WEI: u128 = 2_000_000_000;

/// What the blocks consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Ether goes from account to account. Eight accounts for each transaction of a block take turns, and
    /// recipients are any of them, so that most transactions have nothing to do with another; one in
    /// sixteen is by a sender of shortly before, one in sixteen makes an account.
    Transfers,
    /// The same with four ERC-20 tokens (OpenZeppelin's), each of which has holders of its own.
    Erc20,
    /// Swaps by a router in pairs as those of Uniswap v2. Each pair has two tokens of its own, four
    /// traders, and four swaps in a block, which lie as far apart as there are pairs.
    Uniswap,
    /// Transactions as in mainnet blocks ([`MAINNET`]): transfers of ether and tokens, swaps over two or
    /// three pairs, creations, and other calls, which lock tokens up in contracts and pay others out.
    Mixed,
    /// Swaps of many traders in one pair: each needs the reserves that the one before left.
    Conflict,
    /// Ether is handed on from account to account: each sender has what the transaction before gave to it,
    /// and nothing else. As `Conflict`, with the cheapest transactions there are.
    Relay,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Transfers, Self::Erc20, Self::Uniswap, Self::Mixed, Self::Conflict, Self::Relay];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Erc20 => "erc20",
            Self::Uniswap => "uniswap",
            Self::Mixed => "mixed",
            Self::Conflict => "conflict",
            Self::Relay => "relay",
        }
    }
}

impl Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Workload {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|workload| workload.name() == name);
        found.ok_or_else(|| Error::UnknownWorkload { name: name.into() })
    }
}

/// What a [`Generator`] is to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    workload: Workload,
    gas: u64,
    seed: u64,
}

impl Settings {
    /// Blocks that use `gas`, or more by less than one transaction.
    ///
    /// # Errors
    /// [`Error::Gas`] outside of the limits.
    pub const fn new(workload: Workload, gas: u64, seed: u64) -> Result<Self, Error> {
        if gas < MIN_GAS || gas > MAX_GAS {
            return Err(Error::Gas { gas });
        }
        Ok(Self { workload, gas, seed })
    }

    /// What the blocks consist of.
    pub const fn workload(&self) -> Workload {
        self.workload
    }

    /// The gas of a block.
    pub const fn gas(&self) -> u64 {
        self.gas
    }

    /// What choices follow from.
    pub const fn seed(&self) -> u64 {
        self.seed
    }
}

/// Why there are no blocks.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked for too much or too little.
    #[error("a block of {gas} gas is not made: the least is {MIN_GAS}, the most {MAX_GAS}")]
    Gas {
        /// What was asked for.
        gas: u64,
    },
    /// The caller asked for a workload that there is not.
    #[error(
        "there is no workload `{name}`: choose transfers, erc20, uniswap, mixed, conflict or relay"
    )]
    UnknownWorkload {
        /// What was asked for.
        name: String,
    },
    /// A mistake in this module: the executor refused a transaction.
    #[error("block {block}, transaction {index}: {source}")]
    Refused {
        /// The block's number.
        block: u64,
        /// The transaction's position.
        index: usize,
        /// Why.
        source: ExecutionError<Infallible>,
    },
    /// A mistake in this module: a transaction failed.
    #[error("block {block}, transaction {index} failed")]
    Failed {
        /// The block's number.
        block: u64,
        /// The transaction's position.
        index: usize,
    },
}
