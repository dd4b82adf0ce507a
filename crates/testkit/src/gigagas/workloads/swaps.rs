//! Exchanges of tokens.

use super::{
    super::{
        accounts::{Crowd, Habits, Role},
        contracts::Contracts,
        random::Random,
    },
    Intent, Script,
};
use alloy_primitives::{Address, U256};
use lockstep_execution::MemoryState;

/// What a swap over one pair uses, about; and the limit that wallets set for each pair, with some to spare.
const SWAP_GAS: u64 = 91_000;
const SWAP_GAS_LIMIT: u64 = 200_000;

/// Traders of each pair, of independent swaps: as many as swaps of it in a block.
const TRADERS: u64 = 4;

/// More pairs are not made: more swaps then share one.
const MAX_MARKETS: u64 = 1 << 14;

/// Swaps in markets that have no token in common. A market is a path over one or more pairs.
#[derive(Debug)]
pub(super) struct Swaps {
    contracts: Contracts,
    /// The tokens of each market, in the order of its path.
    markets: Vec<Vec<Address>>,
    traders: Crowd,
}

impl Swaps {
    /// Swaps in so many pairs that each is swapped in four times in a block.
    pub(super) fn independent(state: &mut MemoryState, gas: u64) -> Self {
        let contracts = Contracts::new(state);
        let swaps = gas / SWAP_GAS;
        Self::new(state, contracts, swaps / TRADERS, TRADERS, 1, Habits::default())
    }

    /// Swaps of many traders in one pair.
    pub(super) fn in_one_pair(state: &mut MemoryState, gas: u64) -> Self {
        let contracts = Contracts::new(state);
        Self::new(state, contracts, 1, gas / SWAP_GAS, 1, Habits::default())
    }

    /// Markets over this many pairs each, with traders of their own.
    pub(super) fn new(
        state: &mut MemoryState,
        contracts: Contracts,
        markets: u64,
        traders: u64,
        pairs: u64,
        habits: Habits,
    ) -> Self {
        let markets = markets.min(MAX_MARKETS);
        let traders = Crowd::new(state, Role::Trader, markets, traders, habits);
        let mut token = 0_u64..;
        let mut path = || -> Vec<Address> {
            let mut add = |index| contracts.add_token(state, Role::TradedToken, index);
            let tokens: Vec<Address> =
                token.by_ref().take(pairs as usize + 1).map(&mut add).collect();
            for pair in tokens.windows(2) {
                if let [first, second] = pair {
                    contracts.add_pair(state, [*first, *second]);
                }
            }
            tokens
        };
        let markets: Vec<_> = (0..traders.contracts()).map(|_| path()).collect();
        for trader in traders.visits() {
            let path = markets.get(trader.contract as usize).into_iter().flatten();
            for token in path {
                contracts.give_for_swaps(state, *token, trader.user);
            }
        }
        Self { contracts, markets, traders }
    }
}

impl Script for Swaps {
    /// A swap in one direction or the other. Half of those in markets of more than two pairs leave out the
    /// last one.
    fn next(&mut self, random: &mut Random) -> Intent {
        let trader = self.traders.next(random);
        let mut path = self.markets.get(trader.contract as usize).cloned().unwrap_or_default();
        if path.len() > 3 && random.per_mille(500) {
            path.pop();
        }
        if random.per_mille(500) {
            path.reverse();
        }
        let gas_limit = SWAP_GAS_LIMIT * path.len().saturating_sub(1) as u64;
        // Up to a millionth of the reserves.
        let amount = U256::from(10_u64.pow(15) + random.below(10_u64.pow(18)));
        Intent::call(trader.user, self.contracts.swap(path, trader.user, amount), gas_limit)
    }

    fn begin_block(&mut self) {
        self.traders.forget();
    }
}
