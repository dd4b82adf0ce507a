//! The accounts that blocks are made of.

use super::{
    programs::{CONTRACTS, CREATOR, CREATOR2, PHOENIX, code_of, contract, init_of_mortal},
    rng::Rng,
};
use alloy_primitives::{Address, B256, U256, keccak256};
use lockstep_execution::{Bytecode, MemoryState};

pub(super) const USERS: u64 = 5;

/// The block that is executed: some before it have hashes.
pub(super) const NUMBER: u64 = 20;

pub(super) fn user(index: u64) -> Address {
    Address::left_padding_from(&(0x00aa_0000 + index).to_be_bytes())
}

/// A state, and whom transactions call and pay.
#[derive(Debug)]
pub(super) struct World {
    pub(super) state: MemoryState,
    pub(super) targets: Vec<Address>,
    pub(super) beneficiary: Address,
    /// The next nonces of users.
    nonces: Vec<u64>,
}

impl World {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut state = MemoryState::default();
        let mut targets: Vec<Address> = (0..USERS).map(user).collect();
        for index in 0..USERS {
            let balance = match rng.below(40) {
                0 => U256::MAX - U256::from(rng.below(1_000_000)),
                1..32 => U256::from(10).pow(U256::from(20)),
                _ => U256::from(rng.below(50_000_000)),
            };
            // Some delegate to a contract (EIP-7702), before that is known, too.
            let code = match rng.chance(3) {
                true => Bytecode::new_eip7702(contract(rng.below(CONTRACTS))),
                false => Bytecode::default(),
            };
            state.set_account(user(index), rng.below(3), balance, code);
        }
        let nonces: Vec<u64> = (0..USERS).map(|index| nonce(&state, user(index))).collect();
        for index in 0..CONTRACTS {
            let balance = match rng.below(40) {
                0 => U256::MAX - U256::from(rng.below(1_000_000)),
                1..25 => U256::from(rng.below(2_000_000)),
                _ => U256::ZERO,
            };
            let code = Bytecode::new_legacy(code_of(index).into());
            state.set_account(contract(index), 1, balance, code);
            if rng.chance(50) {
                state.set_slot(contract(index), U256::from(rng.below(6)), U256::from(7));
            }
            targets.push(contract(index));
        }
        let created = created();
        // Storage without code and nonce, where something is created (EIP-7610).
        for address in created.into_iter().chain([user(0).create(nonces[0] + 1)]) {
            if rng.chance(12) {
                state.set_slot(address, U256::from(1), U256::from(5));
                let balance = U256::from(rng.below(2) * 1_000);
                state.set_account(address, 0, balance, Bytecode::default());
            }
        }
        for number in NUMBER - 3..NUMBER {
            state.set_block_hash(number, B256::with_last_byte(number as u8));
        }
        let precompile = Address::with_last_byte(4);
        let beneficiary = match rng.below(7) {
            0 => user(rng.below(USERS)),
            1 => contract(rng.below(CONTRACTS)),
            2 => precompile,
            3 => rng.pick(&created),
            _ => Address::repeat_byte(0xfe),
        };
        targets.extend([precompile, Address::repeat_byte(0x77), beneficiary]);
        targets.extend(created);
        Self { state, targets, beneficiary, nonces }
    }

    /// A sender, with the nonce that its transaction has.
    pub(super) fn next_sender(&mut self, rng: &mut Rng) -> (Address, u64) {
        // Nobody has the key of a contract, but this is seen to by the EVM (EIP-3607).
        if rng.below(400) == 0 {
            return (contract(rng.below(CONTRACTS)), 1);
        }
        let from = if rng.chance(50) { 0 } else { rng.below(USERS) };
        let nonce = &mut self.nonces[from as usize];
        let shown = *nonce + u64::from(rng.below(200) == 0);
        *nonce += 1;
        (user(from), shown)
    }

    /// A deposit of an account raises its nonce.
    pub(super) fn note_deposit(&mut self, from: Address) {
        let index = (0..USERS).position(|index| user(index) == from);
        if let Some(nonce) = index.and_then(|index| self.nonces.get_mut(index)) {
            *nonce += 1;
        }
    }

    pub(super) fn target(&self, rng: &mut Rng) -> Address {
        rng.pick(&self.targets)
    }
}

/// What contracts create.
fn created() -> [Address; 3] {
    let hash = keccak256(init_of_mortal());
    let salt = U256::from(1).to_be_bytes::<32>();
    let create2 = |creator| contract(creator).create2(salt, hash);
    [create2(CREATOR2), create2(PHOENIX), contract(CREATOR).create(1)]
}

fn nonce(state: &MemoryState, address: Address) -> u64 {
    state.get(&address).map_or(0, |account| account.info.nonce)
}
