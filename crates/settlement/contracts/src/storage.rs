//! Accounts of a genesis, with storage as Solidity lays it out.

use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, U256};
use std::collections::BTreeMap;

/// The storage of a contract, slot by slot.
#[derive(Debug, Default)]
pub(crate) struct Slots(BTreeMap<B256, B256>);

impl Slots {
    /// Writes values into a slot as Solidity packs them: the first one lowest, each `(value, bits)`.
    pub(crate) fn pack<const N: usize>(self, slot: u64, values: [(U256, usize); N]) -> Self {
        let mut shift = 0;
        let mut packed = U256::ZERO;
        for (value, bits) in values {
            packed |= value << shift;
            shift += bits;
        }
        self.set(B256::from(U256::from(slot)), packed)
    }

    /// Writes one value into a slot.
    pub(crate) fn set(mut self, slot: B256, value: U256) -> Self {
        // A slot that is zero does not exist.
        if !value.is_zero() {
            self.0.insert(slot, value.into());
        }
        self
    }

    /// The account with this code and storage. Its nonce is that of a contract that was created.
    pub(crate) fn into_account(self, code: &Bytes) -> GenesisAccount {
        GenesisAccount {
            nonce: Some(1),
            code: Some(code.clone()),
            storage: (!self.0.is_empty()).then_some(self.0),
            ..Default::default()
        }
    }
}

/// An address as a word.
pub(crate) fn word(address: Address) -> U256 {
    address.into_word().into()
}
