//! The EIP-1559 base fee.

/// How the base fee follows the gas used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseFeeRule {
    /// The gas target is the gas limit divided by this.
    pub elasticity: u64,
    /// The base fee moves by at most one part in this many per block.
    pub denominator: u64,
}

impl BaseFeeRule {
    /// Ethereum's constants.
    pub const ETHEREUM: Self = Self { elasticity: 2, denominator: 8 };

    /// The base fee (in wei per gas) after a block of `base_fee` that used `gas_used` of
    /// `gas_limit` (EIP-1559).
    ///
    /// A zero elasticity, denominator or target leaves the base fee as it is; header validation
    /// refuses such values before they are used.
    pub fn next(self, base_fee: u64, gas_used: u64, gas_limit: u64) -> u64 {
        let target = gas_limit.checked_div(self.elasticity).unwrap_or(0);
        if target == 0 || self.denominator == 0 || gas_used == target {
            return base_fee;
        }
        let distance = gas_used.abs_diff(target);
        // base fee * distance fits 128 bits; the quotient may exceed 64 only upwards.
        let change = u128::from(base_fee) * u128::from(distance)
            / u128::from(target)
            / u128::from(self.denominator);
        let change = u64::try_from(change).unwrap_or(u64::MAX);
        if gas_used > target {
            base_fee.saturating_add(change.max(1))
        } else {
            base_fee.saturating_sub(change)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BaseFeeRule;
    use alloy_eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_alloy(base_fee in 0..1_000_000_000_000_u64, used in 0..60_000_000_u64, limit in 5_000..60_000_000_u64) {
            let used = used.min(limit);
            let expected = calc_next_block_base_fee(used, limit, base_fee, BaseFeeParams::ethereum());
            prop_assert_eq!(BaseFeeRule::ETHEREUM.next(base_fee, used, limit), expected);
        }
    }
}
