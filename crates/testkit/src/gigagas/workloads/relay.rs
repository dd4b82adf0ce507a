//! Ether that is handed on.

use super::{
    super::{
        accounts::{Role, address_of},
        random::Random,
    },
    Intent, Script,
};
use alloy_primitives::{Bytes, TxKind, U256};
use lockstep_execution::{Bytecode, MemoryState};

const GAS: u64 = 21_000;

/// What the first account has, in wei: more than all transactions can cost.
const ETHER_WEI: u128 = 1_000_000_000 * 10_u128.pow(18);

/// What a sender keeps at least, in wei, to pay for gas at the highest fee that transactions offer.
const KEPT_WEI: u128 = GAS as u128 * super::super::MAX_FEE_WEI;

/// One transfer after the other, each by the recipient of the one before, which had nothing until then.
#[derive(Debug)]
pub(super) struct Relay {
    holder: u64,
    amount_wei: u128,
}

impl Relay {
    pub(super) fn new(state: &mut MemoryState) -> Self {
        let first = address_of(Role::Runner, 0);
        state.set_account(first, 0, U256::from(ETHER_WEI), Bytecode::default());
        Self { holder: 0, amount_wei: ETHER_WEI }
    }
}

impl Script for Relay {
    fn next(&mut self, random: &mut Random) -> Intent {
        let sender = address_of(Role::Runner, self.holder);
        self.holder += 1;
        let kept_wei = KEPT_WEI + u128::from(random.below(1_000_000));
        self.amount_wei = self.amount_wei.saturating_sub(kept_wei);
        Intent {
            sender,
            to: TxKind::Call(address_of(Role::Runner, self.holder)),
            value: U256::from(self.amount_wei),
            input: Bytes::new(),
            gas_limit: GAS,
        }
    }
}
