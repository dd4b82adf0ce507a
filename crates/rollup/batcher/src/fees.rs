//! What a transaction offers to pay, at first and after waiting.

use crate::{BatcherError, DataKind, L1Head};
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;

/// Gas of a transaction that does nothing.
const TRANSACTION_GAS: u64 = 21_000;

/// The fees that a transaction offers, in wei per gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fees {
    /// The most for gas: base fee and tip (EIP-1559).
    pub max_fee: u128,
    /// The most for the block's producer.
    pub max_tip: u128,
    /// The most for blob gas (EIP-4844). Zero where there are no blobs.
    pub max_blob_fee: u128,
}

/// How much to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeePolicy {
    /// The first offer is this many percent of the next block's base fees. Twice the base fee
    /// (200) outlasts six full blocks.
    pub headroom_percent: u64,
    /// The least tip, whatever the node suggests.
    pub min_tip: u128,
    /// The most tip.
    pub max_tip: u128,
    /// The most for gas, tip included. Beyond it the batcher waits.
    pub max_fee: u128,
    /// The most for blob gas. Beyond it the batcher waits.
    pub max_blob_fee: u128,
    /// By how many percent a replacement must raise all offers.
    pub bump_percent: u64,
    /// As [`Self::bump_percent`], for a transaction with blobs.
    pub blob_bump_percent: u64,
    /// An offer that is not below the market is not raised beyond this many times the market's first
    /// offer: what waits nevertheless waits for something else. Where a pool demands more for a
    /// replacement it gets more.
    pub max_market_multiple: u64,
}

impl Default for FeePolicy {
    fn default() -> Self {
        const GWEI: u128 = 1_000_000_000;
        Self {
            headroom_percent: 200,
            min_tip: GWEI / 100,
            max_tip: 100 * GWEI,
            max_fee: 1_000 * GWEI,
            max_blob_fee: 1_000 * GWEI,
            bump_percent: 10,
            blob_bump_percent: 100,
            max_market_multiple: 5,
        }
    }
}

impl FeePolicy {
    /// What a new transaction offers. Never more than the policy's most.
    pub fn first(&self, head: &L1Head, kind: DataKind) -> Fees {
        let max_tip = head.tip.max(self.min_tip).min(self.max_tip).min(self.max_fee);
        let base = percent(head.base_fee, self.headroom_percent);
        let max_blob_fee = match kind {
            DataKind::Calldata => 0,
            // A blob base fee is never less than one wei.
            DataKind::Blobs => {
                percent(head.blob_base_fee.max(1), self.headroom_percent).min(self.max_blob_fee)
            }
        };
        Fees { max_fee: base.saturating_add(max_tip).min(self.max_fee), max_tip, max_blob_fee }
    }

    /// What a replacement of a transaction that offers `previous` must offer: enough more for a pool
    /// to take it, and enough for the next block. `None` if that is beyond the policy's most.
    pub fn replacement(&self, previous: &Fees, head: &L1Head, kind: DataKind) -> Option<Fees> {
        let market = self.first(head, kind);
        let bump = match kind {
            DataKind::Calldata => self.bump_percent,
            DataKind::Blobs => self.blob_bump_percent,
        };
        let raise = |offer: u128| percent_up(offer, bump.saturating_add(100)).max(offer + 1);
        let fees = Fees {
            max_fee: raise(previous.max_fee).max(market.max_fee),
            max_tip: raise(previous.max_tip).max(market.max_tip),
            max_blob_fee: match kind {
                DataKind::Calldata => 0,
                DataKind::Blobs => raise(previous.max_blob_fee).max(market.max_blob_fee),
            },
        };
        let fees = Fees { max_fee: fees.max_fee.max(fees.max_tip), ..fees };
        let is_payable = fees.max_fee <= self.max_fee
            && fees.max_tip <= self.max_tip
            && fees.max_blob_fee <= self.max_blob_fee;
        is_payable.then_some(fees)
    }

    /// The offer, with what is below that of a new transaction raised to it. `None` if nothing is.
    pub(crate) fn at_market(&self, offer: &Fees, head: &L1Head, kind: DataKind) -> Option<Fees> {
        let market = self.first(head, kind);
        let raised = Fees {
            max_fee: offer.max_fee.max(market.max_fee),
            max_tip: offer.max_tip.max(market.max_tip),
            max_blob_fee: offer.max_blob_fee.max(market.max_blob_fee),
        };
        (raised != *offer).then_some(raised)
    }

    /// Whether a transaction that only waits should be replaced: not if it offers as much as the
    /// market, and its replacement would offer too many times that.
    pub(crate) fn is_worth_more(&self, offer: &Fees, head: &L1Head, kind: DataKind) -> bool {
        let Some(fees) = self.replacement(offer, head, kind) else { return true };
        let market = self.first(head, kind);
        let is_within = |offer: u128, market: u128| {
            offer <= market.saturating_mul(self.max_market_multiple.into())
        };
        let is_reasonable = is_within(fees.max_fee, market.max_fee)
            && is_within(fees.max_tip, market.max_tip)
            && is_within(fees.max_blob_fee, market.max_blob_fee);
        is_reasonable || self.at_market(offer, head, kind).is_some()
    }

    /// # Errors
    /// [`BatcherError::Config`] for the first setting that cannot work.
    pub(crate) fn validate(&self) -> Result<(), BatcherError> {
        let refuse = |setting, found: u128, expected: &str| {
            Err(BatcherError::config(setting, found, expected))
        };
        if self.headroom_percent < 100 {
            return refuse("headroom_percent", self.headroom_percent.into(), "at least 100");
        }
        if self.bump_percent < 10 {
            return refuse(
                "bump_percent",
                self.bump_percent.into(),
                "at least 10, as pools demand",
            );
        }
        if self.blob_bump_percent < 100 {
            let found = self.blob_bump_percent.into();
            return refuse("blob_bump_percent", found, "at least 100, as pools demand");
        }
        if self.max_market_multiple < 2 {
            // One replacement of a transaction with blobs doubles its offer.
            let found = self.max_market_multiple.into();
            return refuse("max_market_multiple", found, "at least 2");
        }
        if self.min_tip > self.max_tip {
            return refuse("min_tip", self.min_tip, "at most max_tip");
        }
        // Sums and percentages of offers must not reach the end of the type.
        for (setting, found) in [("max_fee", self.max_fee), ("max_blob_fee", self.max_blob_fee)] {
            if found == 0 || found > 1 << 100 {
                return refuse(setting, found, "between 1 and 2^100 wei");
            }
        }
        Ok(())
    }
}

/// The gas limit of a transaction with this calldata: what EIP-7623 charges for it at most.
pub(crate) fn calldata_gas(data: &[u8]) -> u64 {
    let zeros = data.iter().filter(|byte| **byte == 0).count() as u64;
    let others = data.len() as u64 - zeros;
    TRANSACTION_GAS + 10 * zeros + 40 * others
}

/// How many transactions data of `bytes` bytes takes, and what they cost at current fees, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataCost {
    /// The most bytes of data in one calldata transaction.
    pub(crate) calldata_bytes: usize,
    /// The most bytes of data in one blob.
    pub(crate) blob_bytes: usize,
    /// The most blobs in one transaction.
    pub(crate) blobs: usize,
}

impl DataCost {
    /// The kind that is cheaper for `bytes` bytes of compressed data.
    pub(crate) fn cheaper(&self, bytes: usize, head: &L1Head) -> DataKind {
        if self.blobs_cost(bytes, head) <= self.calldata_cost(bytes, head) {
            DataKind::Blobs
        } else {
            DataKind::Calldata
        }
    }

    fn calldata_cost(&self, bytes: usize, head: &L1Head) -> u128 {
        let transactions = bytes.div_ceil(self.calldata_bytes) as u128;
        // Compressed data has hardly any zeros.
        let gas = transactions * u128::from(TRANSACTION_GAS) + 40 * bytes as u128;
        gas.saturating_mul(head.base_fee.saturating_add(head.tip))
    }

    fn blobs_cost(&self, bytes: usize, head: &L1Head) -> u128 {
        let blobs = bytes.div_ceil(self.blob_bytes);
        let gas = blobs.div_ceil(self.blobs) as u128 * u128::from(TRANSACTION_GAS);
        let blob_gas = blobs as u128 * u128::from(DATA_GAS_PER_BLOB);
        gas.saturating_mul(head.base_fee.saturating_add(head.tip))
            .saturating_add(blob_gas.saturating_mul(head.blob_base_fee.max(1)))
    }
}

const fn percent(value: u128, percent: u64) -> u128 {
    value.saturating_mul(percent as u128) / 100
}

const fn percent_up(value: u128, percent: u64) -> u128 {
    value.saturating_mul(percent as u128).div_ceil(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(base_fee: u128, blob_base_fee: u128, tip: u128) -> L1Head {
        L1Head { base_fee, blob_base_fee, tip, ..Default::default() }
    }

    const COST: DataCost = DataCost { calldata_bytes: 120_000, blob_bytes: 130_000, blobs: 6 };

    #[test]
    fn the_first_offer_has_headroom() {
        let policy = FeePolicy { min_tip: 1, ..Default::default() };
        let fees = policy.first(&head(10, 7, 3), DataKind::Blobs);
        assert_eq!(fees, Fees { max_fee: 23, max_tip: 3, max_blob_fee: 14 });
        assert_eq!(policy.first(&head(10, 7, 3), DataKind::Calldata).max_blob_fee, 0);
    }

    #[test]
    fn nothing_is_offered_beyond_the_most() {
        let policy = FeePolicy { min_tip: 1, max_fee: 15, max_blob_fee: 8, ..Default::default() };
        let fees = policy.first(&head(10, 7, 3), DataKind::Blobs);
        assert_eq!(fees, Fees { max_fee: 15, max_tip: 3, max_blob_fee: 8 });
        assert_eq!(policy.replacement(&fees, &head(10, 7, 3), DataKind::Blobs), None);
    }

    #[test]
    fn what_waits_is_raised_to_a_multiple_of_the_market_and_no_further() {
        let policy = FeePolicy { min_tip: 1, ..Default::default() };
        let calm = head(100, 100, 10);
        let mut offer = policy.first(&calm, DataKind::Blobs);
        let mut raised = 0;
        while policy.is_worth_more(&offer, &calm, DataKind::Blobs) {
            offer = policy.replacement(&offer, &calm, DataKind::Blobs).unwrap();
            raised += 1;
        }
        // Twice the first offer, then four times it; eight times would be too much.
        assert_eq!(raised, 2);
        assert_eq!(offer, Fees { max_fee: 840, max_tip: 40, max_blob_fee: 800 });
        // A pool that demands more for a replacement gets it.
        assert!(policy.replacement(&offer, &calm, DataKind::Blobs).is_some());
        // A market that rose above the offer in one of its parts is followed.
        let dear = head(1, 500, 1);
        assert!(policy.is_worth_more(&offer, &dear, DataKind::Blobs));
        let followed = Fees { max_blob_fee: 1_000, ..offer };
        assert_eq!(policy.at_market(&offer, &dear, DataKind::Blobs), Some(followed));
        assert_eq!(policy.at_market(&followed, &dear, DataKind::Blobs), None);
    }

    #[test]
    fn blobs_are_chosen_unless_they_cost_more() {
        assert_eq!(COST.cheaper(100_000, &head(10, 1, 1)), DataKind::Blobs);
        assert_eq!(COST.cheaper(100_000, &head(10, 10_000, 1)), DataKind::Calldata);
        // A nearly empty blob costs as much as a full one.
        let fees = head(10, 50, 0);
        assert_eq!(COST.cheaper(500, &fees), DataKind::Calldata);
        assert_eq!(COST.cheaper(130_000, &fees), DataKind::Blobs);
    }

    proptest! {
        #[test]
        fn a_replacement_satisfies_every_pool(
            max_fee in 0..1_u128 << 50,
            max_tip in 0..1_u128 << 40,
            max_blob_fee in 0..1_u128 << 50,
            base_fee in 0..1_u128 << 50,
            is_blob: bool,
        ) {
            let policy = FeePolicy {
                max_fee: 1 << 100,
                max_tip: 1 << 100,
                max_blob_fee: 1 << 100,
                ..Default::default()
            };
            let previous = Fees { max_fee, max_tip, max_blob_fee };
            let (kind, factor) =
                if is_blob { (DataKind::Blobs, 200) } else { (DataKind::Calldata, 110) };
            let fees = policy.replacement(&previous, &head(base_fee, 1, 1), kind).unwrap();
            prop_assert!(fees.max_fee * 100 >= max_fee * factor && fees.max_fee > max_fee);
            prop_assert!(fees.max_tip * 100 >= max_tip * factor && fees.max_tip > max_tip);
            prop_assert!(fees.max_tip <= fees.max_fee);
            prop_assert!(fees.max_fee >= base_fee);
            if is_blob {
                prop_assert!(fees.max_blob_fee * 100 >= max_blob_fee * factor);
            }
        }
    }
}
