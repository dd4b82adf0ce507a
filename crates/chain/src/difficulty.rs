//! The difficulty a proof-of-work block must have, fork by fork.

use alloy_hardforks::EthereumHardfork;
use alloy_primitives::U256;

/// No block may be easier than this.
pub const MINIMUM_DIFFICULTY: U256 = U256::from_limbs([131_072, 0, 0, 0]);

/// A block's difficulty moves by at most this fraction of its parent's, times a small factor.
const ADJUSTMENT_QUOTIENT: u64 = 2_048;

/// The difficulty bomb doubles every so many blocks.
const BOMB_PERIOD_BLOCKS: u64 = 100_000;

/// What the rule must know of the parent.
#[derive(Clone, Copy, Debug)]
pub struct ParentDifficulty {
    /// The parent's difficulty.
    pub difficulty: U256,
    /// The parent's time in seconds.
    pub timestamp: u64,
    /// Whether the parent has ommers (counts from Byzantium on, EIP-100).
    pub has_ommers: bool,
}

/// The difficulty of the block `number` at `timestamp` (in seconds) under the rules of `fork`.
///
/// Sources: Yellow Paper § 4.3.4 (Frontier), EIP-2 (Homestead), EIP-100 and EIP-649 (Byzantium),
/// EIP-1234 (Constantinople), EIP-2384 (Muir Glacier), EIP-3554 (London), EIP-4345 (Arrow
/// Glacier), EIP-5133 (Gray Glacier).
pub fn next_difficulty(
    fork: EthereumHardfork,
    number: u64,
    timestamp: u64,
    parent: ParentDifficulty,
) -> U256 {
    let step = parent.difficulty / U256::from(ADJUSTMENT_QUOTIENT);
    let elapsed = timestamp.saturating_sub(parent.timestamp);
    let factor = adjustment_factor(fork, elapsed, parent.has_ommers);
    let change = step.saturating_mul(U256::from(factor.unsigned_abs()));
    let adjusted = if factor < 0 {
        parent.difficulty.saturating_sub(change)
    } else {
        parent.difficulty.saturating_add(change)
    };
    adjusted.saturating_add(bomb(fork, number)).max(MINIMUM_DIFFICULTY)
}

/// How many steps the difficulty moves, given the seconds since the parent.
fn adjustment_factor(fork: EthereumHardfork, elapsed: u64, parent_has_ommers: bool) -> i64 {
    let slow = |base: i64, period: u64| {
        base.saturating_sub(i64::try_from(elapsed / period).unwrap_or(i64::MAX)).max(-99)
    };
    match fork {
        EthereumHardfork::Frontier if elapsed < 13 => 1,
        EthereumHardfork::Frontier => -1,
        fork if fork < EthereumHardfork::Byzantium => slow(1, 10),
        _ => slow(if parent_has_ommers { 2 } else { 1 }, 9),
    }
}

/// The exponential term, counted from a block number that later forks pushed back.
fn bomb(fork: EthereumHardfork, number: u64) -> U256 {
    let delay_blocks = match fork {
        fork if fork >= EthereumHardfork::GrayGlacier => 11_400_000,
        fork if fork >= EthereumHardfork::ArrowGlacier => 10_700_000,
        fork if fork >= EthereumHardfork::London => 9_700_000,
        fork if fork >= EthereumHardfork::MuirGlacier => 9_000_000,
        fork if fork >= EthereumHardfork::Constantinople => 5_000_000,
        fork if fork >= EthereumHardfork::Byzantium => 3_000_000,
        _ => 0,
    };
    let period = number.saturating_sub(delay_blocks) / BOMB_PERIOD_BLOCKS;
    match period.checked_sub(2) {
        Some(exponent @ 0..=255) => U256::ONE << exponent,
        Some(_) => U256::MAX >> 1,
        None => U256::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(difficulty: u64, has_ommers: bool) -> ParentDifficulty {
        ParentDifficulty { difficulty: U256::from(difficulty), timestamp: 1_000, has_ommers }
    }

    #[test]
    fn frontier_moves_one_step_either_way() {
        let at = |timestamp| {
            next_difficulty(EthereumHardfork::Frontier, 1, timestamp, parent(2_048_000, false))
        };
        assert_eq!(at(1_012), U256::from(2_049_000));
        assert_eq!(at(1_013), U256::from(2_047_000));
    }

    #[test]
    fn ommers_count_from_byzantium_on() {
        let at = |fork| next_difficulty(fork, 1, 1_005, parent(2_048_000, true));
        assert_eq!(at(EthereumHardfork::Homestead), U256::from(2_049_000));
        assert_eq!(at(EthereumHardfork::Byzantium), U256::from(2_050_000));
    }

    #[test]
    fn a_bomb_beyond_256_bits_saturates() {
        let difficulty =
            next_difficulty(EthereumHardfork::Homestead, u64::MAX, 1_001, parent(131_072, false));
        assert!(difficulty > U256::ONE << 254);
    }
}
