//! When which rule set begins.

use alloc::vec::Vec;
use alloy_hardforks::{EthereumHardfork, ForkCondition};
use alloy_op_hardforks::OpHardfork;
use alloy_primitives::U256;

/// The forks of a chain with their activation conditions, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkSchedule<F> {
    forks: Vec<(F, ForkCondition)>,
}

impl<F: Copy + Ord> ForkSchedule<F> {
    /// A schedule of the given forks; a fork that is not named never activates.
    pub fn new(forks: impl IntoIterator<Item = (F, ForkCondition)>) -> Self {
        let mut schedule = Self { forks: Vec::new() };
        for (fork, condition) in forks {
            schedule = schedule.with(fork, condition);
        }
        schedule
    }

    /// The same schedule with `fork` activating under `condition`.
    #[must_use]
    pub fn with(mut self, fork: F, condition: ForkCondition) -> Self {
        match self.forks.binary_search_by_key(&fork, |(known, _)| *known) {
            Ok(index) => {
                if let Some(entry) = self.forks.get_mut(index) {
                    entry.1 = condition;
                }
            }
            Err(index) => self.forks.insert(index, (fork, condition)),
        }
        self
    }

    /// The condition under which `fork` activates.
    pub fn condition(&self, fork: F) -> ForkCondition {
        self.forks
            .iter()
            .find(|(known, _)| *known == fork)
            .map_or(ForkCondition::Never, |(_, condition)| *condition)
    }

    /// The newest fork whose condition `is_met`.
    pub fn newest(&self, is_met: impl Fn(F, ForkCondition) -> bool) -> Option<F> {
        self.forks
            .iter()
            .rev()
            .find(|(fork, condition)| is_met(*fork, *condition))
            .map(|(fork, _)| *fork)
    }

    /// All forks with their conditions, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (F, ForkCondition)> + '_ {
        self.forks.iter().copied()
    }
}

impl ForkSchedule<EthereumHardfork> {
    /// Every fork up to and including `newest` active from genesis.
    pub fn at(newest: EthereumHardfork) -> Self {
        Self::new(EthereumHardfork::VARIANTS.iter().filter(|fork| **fork <= newest).map(|fork| {
            (
                *fork,
                match fork {
                    EthereumHardfork::Dao => ForkCondition::Never,
                    EthereumHardfork::Paris => merge_at(U256::ZERO),
                    fork if *fork < EthereumHardfork::Paris => ForkCondition::Block(0),
                    _ => ForkCondition::Timestamp(0),
                },
            )
        }))
    }

    /// The newest fork that applies to a block with this number, time (in seconds) and difficulty.
    ///
    /// Under a [`ForkCondition::TTD`] a block is proof-of-stake if its difficulty is zero
    /// (EIP-3675), which no proof-of-work block can have; whether it may be, is a question of
    /// its parent's total difficulty and answered by header validation.
    pub fn fork(&self, number: u64, timestamp: u64, difficulty: U256) -> EthereumHardfork {
        self.newest(|_, condition| match condition {
            ForkCondition::Block(block) => number >= block,
            ForkCondition::Timestamp(time) => timestamp >= time,
            ForkCondition::TTD { activation_block_number, .. } => {
                difficulty.is_zero() && number >= activation_block_number
            }
            ForkCondition::Never => false,
        })
        .unwrap_or(EthereumHardfork::Frontier)
    }
}

impl ForkSchedule<OpHardfork> {
    /// Every fork up to and including `newest` active from genesis.
    pub fn at(newest: OpHardfork) -> Self {
        Self::new(OpHardfork::VARIANTS.iter().filter(|fork| **fork <= newest).map(|fork| {
            let condition = match fork {
                OpHardfork::Bedrock => ForkCondition::Block(0),
                _ => ForkCondition::Timestamp(0),
            };
            (*fork, condition)
        }))
    }

    /// The newest fork that applies to a block with this number and time (in seconds).
    pub fn fork(&self, number: u64, timestamp: u64) -> OpHardfork {
        self.newest(|_, condition| condition.active_at_timestamp_or_number(timestamp, number))
            .unwrap_or(OpHardfork::Bedrock)
    }
}

/// The merge at a total difficulty that some block, whose number is not known in advance, reaches.
pub const fn merge_at(total_difficulty: U256) -> ForkCondition {
    ForkCondition::TTD { activation_block_number: 0, fork_block: None, total_difficulty }
}
