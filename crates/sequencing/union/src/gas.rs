//! What gas of one rollup is worth on another.

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
