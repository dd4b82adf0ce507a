//! The contracts of `contracts/bench`, and how they lie in a state.

use super::accounts::{Role, address_of};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolCall;
use lockstep_execution::{Bytecode, MemoryState};

/// Generates the module `$module` with everything in one artifact.
macro_rules! bind {
    ($($module:ident: $contract:ident, $artifact:literal;)*) => {$(
        mod $module {
            #![allow(
                missing_docs,
                clippy::indexing_slicing,
                clippy::panic,
                clippy::too_many_arguments,
                unreachable_pub,
                reason = "generated; the documentation is in the Solidity source"
            )]
            alloy_sol_types::sol!($contract, $artifact);
        }
        pub(super) use $module::$contract;
    )*};
}

bind! {
    pair: BenchPair, "artifacts/BenchPair.json";
    router: BenchRouter, "artifacts/BenchRouter.json";
    staking: BenchStaking, "artifacts/BenchStaking.json";
    token: BenchToken, "artifacts/BenchToken.json";
}

/// When the contracts were used last, in seconds: before the first block.
const CONTRACTS_TIMESTAMP: u64 = super::GENESIS_TIMESTAMP - 3_600;

/// What each holder has of a token, each pair of its tokens, and each contract for staking.
const HOLDING: u128 = 1_000_000 * 10_u128.pow(18);

/// What each user of a contract for staking has locked up there once, and what one unit had earned then.
const STAKED: u128 = 10 * 10_u128.pow(18);
const EARNED_PER_UNIT: u128 = 10_u128.pow(18);

/// The contracts, as they are written into a state. Codes are the same for all of a kind.
#[derive(Debug)]
pub(super) struct Contracts {
    token: Bytecode,
    pair: Bytecode,
    staking: Bytecode,
    pair_code_hash: B256,
    router: Address,
}

/// A contract in which tokens are locked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Staking {
    token: Address,
    reward: Address,
    address: Address,
}

impl Contracts {
    /// Writes the router.
    pub(super) fn new(state: &mut MemoryState) -> Self {
        let router = address_of(Role::Router, 0);
        let code = Bytecode::new_raw(BenchRouter::DEPLOYED_BYTECODE.clone());
        state.set_account(router, 1, U256::ZERO, code);
        Self {
            token: Bytecode::new_raw(BenchToken::DEPLOYED_BYTECODE.clone()),
            pair: Bytecode::new_raw(BenchPair::DEPLOYED_BYTECODE.clone()),
            staking: Bytecode::new_raw(BenchStaking::DEPLOYED_BYTECODE.clone()),
            pair_code_hash: keccak256(&BenchPair::BYTECODE),
            router,
        }
    }

    /// Writes a token that nobody has any of.
    pub(super) fn add_token(&self, state: &mut MemoryState, role: Role, index: u64) -> Address {
        let token = address_of(role, index);
        state.set_account(token, 1, U256::ZERO, self.token.clone());
        // `totalSupply`: no less than anybody will hold together.
        state.set_slot(token, U256::from(2), U256::ONE << 200);
        token
    }

    /// Writes a pair with reserves, where the router looks for it.
    pub(super) fn add_pair(&self, state: &mut MemoryState, mut tokens: [Address; 2]) {
        tokens.sort();
        let salt = keccak256(tokens.concat());
        let address = self.router.create2(salt, self.pair_code_hash);
        state.set_account(address, 1, U256::ZERO, self.pair.clone());
        for (slot, token) in (0_u64..).zip(tokens) {
            state.set_slot(address, U256::from(slot), word(token));
            give(state, token, address);
        }
        let reserve = U256::from(HOLDING);
        let packed = reserve | (reserve << 112) | (U256::from(CONTRACTS_TIMESTAMP) << 224);
        state.set_slot(address, U256::from(2), packed);
        // The sums of prices, and the open lock.
        let price = U256::from(CONTRACTS_TIMESTAMP) << 112;
        state.set_slot(address, U256::from(3), price);
        state.set_slot(address, U256::from(4), price);
        state.set_slot(address, U256::from(5), U256::ONE);
    }

    /// Writes a contract in which others have locked tokens up already, with its two tokens.
    pub(super) fn add_staking(&self, state: &mut MemoryState, index: u64) -> Staking {
        let address = address_of(Role::Staking, index);
        let token = self.add_token(state, Role::StakedToken, 2 * index);
        let reward = self.add_token(state, Role::StakedToken, 2 * index + 1);
        state.set_account(address, 1, U256::ZERO, self.staking.clone());
        let slots = [
            word(token),
            word(reward),
            U256::from(HOLDING),
            U256::from(EARNED_PER_UNIT),
            U256::from(CONTRACTS_TIMESTAMP),
        ];
        for (slot, value) in (0_u64..).zip(slots) {
            state.set_slot(address, U256::from(slot), value);
        }
        give(state, token, address);
        give(state, reward, address);
        Staking { token, reward, address }
    }

    /// Swaps `amount` of the first token of the path for as much as it is worth of the last one.
    pub(super) fn swap(
        &self,
        path: Vec<Address>,
        trader: Address,
        amount: U256,
    ) -> (Address, Bytes) {
        let call = BenchRouter::swapExactTokensForTokensCall {
            amountIn: amount,
            amountOutMin: U256::ONE,
            path,
            to: trader,
            deadline: U256::MAX,
        };
        (self.router, call.abi_encode().into())
    }

    /// Lets `holder` have tokens, and the router take them.
    pub(super) fn give_for_swaps(&self, state: &mut MemoryState, token: Address, holder: Address) {
        give(state, token, holder);
        state.set_slot(token, allowance_slot(holder, self.router), U256::MAX);
    }
}

impl Staking {
    /// Lets `holder` have tokens, and the contract take them; the holder has locked some up before.
    pub(super) fn give(&self, state: &mut MemoryState, holder: Address) {
        give(state, self.token, holder);
        give(state, self.reward, holder);
        state.set_slot(self.token, allowance_slot(holder, self.address), U256::MAX);
        let slots = [U256::from(STAKED), U256::from(EARNED_PER_UNIT), U256::ONE];
        for (slot, value) in (5_u64..).zip(slots) {
            state.set_slot(self.address, mapping_slot(word(holder), slot), value);
        }
    }

    /// Locks up tokens.
    pub(super) fn stake(&self, amount: U256) -> (Address, Bytes) {
        (self.address, BenchStaking::stakeCall { amount }.abi_encode().into())
    }
}

/// Lets `holder` have [`HOLDING`] of a token.
pub(super) fn give(state: &mut MemoryState, token: Address, holder: Address) {
    state.set_slot(token, balance_slot(holder), U256::from(HOLDING));
}

/// What creates a contract: a router, the largest there is here.
pub(super) fn creation() -> Bytes {
    BenchRouter::BYTECODE.clone()
}

/// Moves tokens of the caller.
pub(super) fn transfer_tokens(to: Address, amount: U256) -> Bytes {
    BenchToken::transferCall { to, value: amount }.abi_encode().into()
}

/// Where a token keeps the balance of an account.
fn balance_slot(holder: Address) -> U256 {
    mapping_slot(word(holder), 0)
}

fn allowance_slot(owner: Address, spender: Address) -> U256 {
    let of_owner = U256::from_be_bytes(keccak256(slot_key(word(owner), U256::ONE)).0);
    U256::from_be_bytes(keccak256(slot_key(word(spender), of_owner)).0)
}

fn mapping_slot(key: U256, slot: u64) -> U256 {
    U256::from_be_bytes(keccak256(slot_key(key, U256::from(slot))).0)
}

/// What Solidity hashes to find the value of `key` in the mapping at `slot`.
fn slot_key(key: U256, slot: U256) -> [u8; 64] {
    let mut bytes = [0; 64];
    let (first, second) = bytes.split_at_mut(32);
    first.copy_from_slice(&key.to_be_bytes::<32>());
    second.copy_from_slice(&slot.to_be_bytes::<32>());
    bytes
}

fn word(address: Address) -> U256 {
    U256::from_be_bytes(address.into_word().0)
}
