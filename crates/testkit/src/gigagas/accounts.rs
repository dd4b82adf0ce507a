//! Where the accounts of made-up blocks are, and whose turn it is.

use super::random::Random;
use alloy_primitives::{Address, U256, keccak256};
use lockstep_execution::{Bytecode, MemoryState};

/// What an account is there for. Its discriminant is part of the address.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Beneficiary = 1,
    /// Did not exist before it received something.
    Newcomer,
    /// Sends and receives ether.
    Payer,
    /// Sends and receives tokens.
    Holder,
    /// Swaps tokens.
    Trader,
    /// Locks tokens up.
    Staker,
    /// Creates contracts.
    Creator,
    /// Hands ether on.
    Runner,
    Router,
    Staking,
    /// A token that is sent from account to account,
    Token,
    /// that is traded,
    TradedToken,
    /// that is locked up.
    StakedToken,
}

/// A million ether.
const WEALTH_WEI: u128 = 1_000_000 * 10_u128.pow(18);

/// More users of one kind are not made: a workload then comes back to the same ones sooner.
const MAX_USERS: u64 = 1 << 20;

/// The address of an account: as arbitrary as real ones.
pub(super) fn address_of(role: Role, index: u64) -> Address {
    let [a, b, c, d, e, f, g, h] = index.to_be_bytes();
    Address::from_word(keccak256([role as u8, a, b, c, d, e, f, g, h]))
}

/// Choices of the newest transactions, the oldest first.
#[derive(Debug)]
pub(super) struct Recent<T>(Vec<T>);

impl<T: Copy> Recent<T> {
    /// How many are remembered: about as many transactions as a mainnet block has.
    const LIMIT: usize = 256;

    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn remember(&mut self, choice: T) {
        if self.0.len() == Self::LIMIT {
            self.0.clear();
        }
        self.0.push(choice);
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// One of them: what was chosen often is chosen more often still.
    pub(super) fn any(&self, random: &mut Random) -> Option<T> {
        let count = self.0.len() as u64;
        if count == 0 {
            return None;
        }
        self.0.get(random.below(count) as usize).copied()
    }
}

/// How often transactions have something to do with one shortly before, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Habits {
    /// The same user with the same contract.
    pub(super) same_user: u64,
    /// Another user with the same contract.
    pub(super) same_contract: u64,
}

/// Users, as many of each contract.
#[derive(Debug)]
pub(super) struct Crowd {
    role: Role,
    contracts: u64,
    users: u64,
    habits: Habits,
    visits: u64,
    recent: Recent<Visit>,
}

/// A user of a contract.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    pub(super) contract: u64,
    pub(super) user: Address,
}

impl Crowd {
    /// Writes the users with a million ether each; at least one contract, and one user of each.
    pub(super) fn new(
        state: &mut MemoryState,
        role: Role,
        contracts: u64,
        users: u64,
        habits: Habits,
    ) -> Self {
        let contracts = contracts.clamp(1, MAX_USERS);
        let users = users.clamp(1, MAX_USERS / contracts);
        for index in 0..contracts * users {
            let user = address_of(role, index);
            state.set_account(user, 0, U256::from(WEALTH_WEI), Bytecode::default());
        }
        Self { role, contracts, users, habits, visits: 0, recent: Recent::new() }
    }

    pub(super) const fn contracts(&self) -> u64 {
        self.contracts
    }

    /// All users, with their contracts.
    pub(super) fn visits(&self) -> impl Iterator<Item = Visit> + use<> {
        let (role, contracts, users) = (self.role, self.contracts, self.users);
        (0..contracts).flat_map(move |contract| {
            (0..users).map(move |index| visit(role, contract, users, index))
        })
    }

    /// Any user of the contract.
    pub(super) fn any_user(&self, contract: u64, random: &mut Random) -> Address {
        visit(self.role, contract, self.users, random.below(self.users)).user
    }

    /// Whose turn it is. Contracts take turns, and so do their users.
    pub(super) fn next(&mut self, random: &mut Random) -> Visit {
        let choice = random.below(1_000);
        let Habits { same_user, same_contract } = self.habits;
        let known = if choice < same_user + same_contract { self.recent.any(random) } else { None };
        let visit = match known {
            Some(known) if choice < same_user => known,
            Some(known) => Visit { user: self.any_user(known.contract, random), ..known },
            None => {
                let (round, contract) =
                    (self.visits / self.contracts, self.visits % self.contracts);
                self.visits += 1;
                visit(self.role, contract, self.users, round % self.users)
            }
        };
        self.recent.remember(visit);
        visit
    }

    /// What was before matters no more.
    pub(super) fn forget(&mut self) {
        self.recent.forget();
    }
}

fn visit(role: Role, contract: u64, users: u64, index: u64) -> Visit {
    Visit { contract, user: address_of(role, contract * users + index) }
}

/// Accounts that do not exist yet.
#[derive(Debug, Default)]
pub(super) struct Newcomers(u64);

impl Newcomers {
    pub(super) fn next(&mut self, role: Role) -> Address {
        self.0 += 1;
        address_of(Role::Newcomer, ((role as u64) << 56) | self.0)
    }
}
