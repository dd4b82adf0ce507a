//! Ether and tokens that go from one account to another.

use super::{
    super::{
        accounts::{Crowd, Habits, Newcomers, Recent, Role},
        contracts::{Contracts, give, transfer_tokens},
        random::Random,
    },
    Intent, Script,
};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use lockstep_execution::MemoryState;

/// Gas of a transfer of ether.
const TRANSFER_GAS: u64 = 21_000;

/// What a transfer of tokens uses at least; and the limit that wallets set, with some to spare.
const TOKEN_TRANSFER_GAS: u64 = 34_000;
const TOKEN_TRANSFER_GAS_LIMIT: u64 = 80_000;

/// Accounts for each transaction of a block, so that few have anything to do with another one.
const ACCOUNTS_PER_TRANSACTION: u64 = 8;

/// Holders of each token, at least.
const MIN_HOLDERS: u64 = 256;

/// Tokens of the workload `erc20`.
const TOKENS: u64 = 4;

/// Whom payments are for, in thousandths.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipients {
    /// Recipients of one shortly before.
    pub(super) same: u64,
    /// Of the others, those that have nothing yet.
    pub(super) new: u64,
}

/// Of independent payments, one in sixteen is by the sender of another one shortly before, and one in
/// sixteen makes an account.
const INDEPENDENT: (Habits, Recipients) =
    (Habits { same_user: 63, same_contract: 0 }, Recipients { same: 0, new: 63 });

/// Transfers of ether.
#[derive(Debug)]
pub(super) struct Transfers {
    payers: Crowd,
    recipients: Recipients,
    recent: Recent<Address>,
    newcomers: Newcomers,
}

impl Transfers {
    pub(super) fn independent(state: &mut MemoryState, gas: u64) -> Self {
        let (habits, recipients) = INDEPENDENT;
        Self::new(state, gas / TRANSFER_GAS, habits, recipients)
    }

    pub(super) fn new(
        state: &mut MemoryState,
        transactions: u64,
        habits: Habits,
        recipients: Recipients,
    ) -> Self {
        let users = ACCOUNTS_PER_TRANSACTION * transactions;
        Self {
            payers: Crowd::new(state, Role::Payer, 1, users, habits),
            recipients,
            recent: Recent::new(),
            newcomers: Newcomers::default(),
        }
    }
}

impl Script for Transfers {
    fn next(&mut self, random: &mut Random) -> Intent {
        let payer = self.payers.next(random);
        let is_same = random.per_mille(self.recipients.same);
        let known = if is_same { self.recent.any(random) } else { None };
        let to = match known {
            Some(known) => known,
            None if random.per_mille(self.recipients.new) => self.newcomers.next(Role::Payer),
            None => self.payers.any_user(payer.contract, random),
        };
        self.recent.remember(to);
        Intent {
            sender: payer.user,
            to: TxKind::Call(to),
            value: U256::from(1 + random.below(10_u64.pow(15))),
            input: Bytes::new(),
            gas_limit: TRANSFER_GAS,
        }
    }

    fn begin_block(&mut self) {
        self.payers.forget();
        self.recent.forget();
    }
}

/// Transfers of tokens, each of which has holders of its own.
#[derive(Debug)]
pub(super) struct TokenTransfers {
    tokens: Vec<Address>,
    holders: Crowd,
    recipients: Recipients,
    /// Contracts with recipients.
    recent: Recent<(u64, Address)>,
    newcomers: Newcomers,
}

impl TokenTransfers {
    pub(super) fn independent(state: &mut MemoryState, gas: u64) -> Self {
        let contracts = Contracts::new(state);
        let (habits, recipients) = INDEPENDENT;
        Self::new(state, &contracts, gas / TOKEN_TRANSFER_GAS, TOKENS, habits, recipients)
    }

    pub(super) fn new(
        state: &mut MemoryState,
        contracts: &Contracts,
        transactions: u64,
        tokens: u64,
        habits: Habits,
        recipients: Recipients,
    ) -> Self {
        let users = (ACCOUNTS_PER_TRANSACTION * transactions / tokens).max(MIN_HOLDERS);
        let holders = Crowd::new(state, Role::Holder, tokens, users, habits);
        let tokens: Vec<Address> = (0..holders.contracts())
            .map(|index| contracts.add_token(state, Role::Token, index))
            .collect();
        for holder in holders.visits() {
            if let Some(token) = tokens.get(holder.contract as usize) {
                give(state, *token, holder.user);
            }
        }
        let recent = Recent::new();
        Self { tokens, holders, recipients, recent, newcomers: Newcomers::default() }
    }

    /// Who gets tokens of the contract, if nobody in particular.
    fn recipient(&mut self, contract: u64, random: &mut Random) -> Address {
        if random.per_mille(self.recipients.new) {
            self.newcomers.next(Role::Holder)
        } else {
            self.holders.any_user(contract, random)
        }
    }
}

impl Script for TokenTransfers {
    fn next(&mut self, random: &mut Random) -> Intent {
        let is_same = random.per_mille(self.recipients.same);
        let known = if is_same { self.recent.any(random) } else { None };
        let (sender, contract, to) = match known {
            Some((contract, to)) => (self.holders.any_user(contract, random), contract, to),
            None => {
                let holder = self.holders.next(random);
                let to = self.recipient(holder.contract, random);
                (holder.user, holder.contract, to)
            }
        };
        self.recent.remember((contract, to));
        let token = self.tokens.get(contract as usize).copied().unwrap_or_default();
        let amount = U256::from(1 + random.below(10_u64.pow(15)));
        Intent::call(sender, (token, transfer_tokens(to, amount)), TOKEN_TRANSFER_GAS_LIMIT)
    }

    fn begin_block(&mut self) {
        self.holders.forget();
        self.recent.forget();
    }
}
