//! What the rollups of a union agree on: members, limits and prices.

use alloc::collections::BTreeSet;
use alloy_primitives::{Address, ChainId, address};

/// The contract that makes proxies and whose storage holds the transcripts (rule 1.1).
pub const GATE: Address = address!("42000000000000000000000000000000000000E0");
/// Where proxies send their calls, for the executor to intercept (rule 1.1).
pub const PORT: Address = address!("42000000000000000000000000000000000000E1");

/// The rules of one union. All its rollups have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnionRules {
    /// The chain ids of the rollups.
    pub chains: BTreeSet<ChainId>,
    /// Gas of the caller for each call of the port, made or not.
    pub lock_gas: u64,
    /// Gas for each byte that a script carries: of the caller for input, of the peer for output.
    pub byte_gas: u64,
    /// Gas of the peer for the proxy of a caller that has none there yet.
    pub proxy_gas: u64,
    /// How deep cross-rollup calls nest: the first has depth 1.
    pub max_depth: u32,
    /// No call is made at this or a later step of a super transaction.
    pub max_steps: u32,
    /// Bytes of a call's input.
    pub max_input_bytes: usize,
    /// Bytes of a call's output; a call that returns more has failed.
    pub max_output_bytes: usize,
}

impl UnionRules {
    /// The default limits and prices for a union of these rollups.
    pub fn new(chains: impl IntoIterator<Item = ChainId>) -> Self {
        Self {
            chains: chains.into_iter().collect(),
            lock_gas: 10_000,
            byte_gas: 16,
            proxy_gas: 60_000,
            max_depth: 16,
            max_steps: 4_096,
            max_input_bytes: 64 << 10,
            max_output_bytes: 64 << 10,
        }
    }

    /// How many steps one rollup's part can have: a call has an answer, and may be undone.
    pub const fn max_part_steps(&self) -> usize {
        self.max_steps as usize * 4
    }
}

/// What a unit of the peer's gas costs in the caller's (rule 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GasRate {
    caller: u64,
    peer: u64,
}

impl GasRate {
    /// The rate between two base fees in wei; a base fee of zero counts as one, and a peer that is
    /// cheaper costs as much as the caller.
    pub(crate) fn new(caller_base_fee: u64, peer_base_fee: u64) -> Self {
        let caller = caller_base_fee.max(1);
        Self { caller, peer: peer_base_fee.max(caller) }
    }

    /// The peer's gas that this much of the caller's buys.
    pub(crate) fn bought(self, gas: u64) -> u64 {
        let bought = u128::from(gas) * u128::from(self.caller) / u128::from(self.peer);
        u64::try_from(bought).unwrap_or(u64::MAX)
    }

    /// What this much of the peer's gas costs: never more than what it was bought for.
    pub(crate) fn price(self, peer_gas: u64) -> u64 {
        let price = u128::from(peer_gas) * u128::from(self.peer);
        u64::try_from(price.div_ceil(u128::from(self.caller))).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::GasRate;

    #[test]
    fn a_dearer_peer_costs_more_and_never_more_than_was_paid() {
        let rate = GasRate::new(7, 100);
        assert_eq!(rate.bought(1_000), 70);
        assert_eq!(rate.price(70), 1_000);
        assert_eq!(rate.price(1), 15);
        for gas in 0..5_000 {
            assert!(rate.price(rate.bought(gas)) <= gas);
        }
    }

    #[test]
    fn a_cheaper_peer_costs_as_much_as_the_caller() {
        let rate = GasRate::new(100, 0);
        assert_eq!((rate.bought(9), rate.price(9)), (9, 9));
        let free = GasRate::new(0, 0);
        assert_eq!((free.bought(u64::MAX), free.price(u64::MAX)), (u64::MAX, u64::MAX));
    }
}
