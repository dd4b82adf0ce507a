//! Accounts of a genesis, with storage as Solidity lays it out.

use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use std::collections::BTreeMap;

/// The storage of a contract, slot by slot.
#[derive(Debug, Default)]
pub(crate) struct Slots(BTreeMap<B256, B256>);

impl Slots {
    /// Writes values into a slot as Solidity packs them: the first one lowest, each `(value, bits)`.
    pub(crate) fn pack<const N: usize>(self, slot: u64, values: [(U256, usize); N]) -> Self {
        self.pack_at(numbered(slot), values)
    }

    /// As [`Self::pack`], at a slot that has no small number.
    pub(crate) fn pack_at<const N: usize>(self, slot: B256, values: [(U256, usize); N]) -> Self {
        let mut shift = 0;
        let mut packed = U256::ZERO;
        for (value, bits) in values {
            packed |= value << shift;
            shift += bits;
        }
        self.set(slot, packed)
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

/// The slot of an entry of the mapping at `slot`.
pub(crate) fn entry(slot: B256, key: impl Into<B256>) -> B256 {
    keccak256([key.into(), slot].concat())
}

/// The slot `offset` slots after `slot`.
pub(crate) fn after(slot: B256, offset: u64) -> B256 {
    U256::from_be_bytes(slot.0).wrapping_add(U256::from(offset)).into()
}

/// The slot of the first element of the dynamic array at `slot`.
pub(crate) fn elements(slot: B256) -> B256 {
    keccak256(slot)
}

/// The slot with this number.
pub(crate) fn numbered(slot: u64) -> B256 {
    U256::from(slot).into()
}
