//! A state of which a part cannot be read.

use super::rng::Rng;
use alloy_primitives::{Address, B256, U256};
use lockstep_execution::{AccountInfo, Bytecode, MemoryState, StateReader};
use std::convert::Infallible;

/// Reads of what a seed has chosen fail, each time. Which one was first is told.
#[derive(Debug)]
pub(super) struct Failing {
    state: MemoryState,
    seed: u64,
    /// Of ten thousand accounts, slots, codes and hashes.
    failures: u64,
}

/// What cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0} is lost")]
pub(super) struct Lost(String);

impl Failing {
    pub(super) fn new(state: MemoryState, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let failures = rng.pick(&[20, 100, 400]);
        Self { state, seed: rng.next(), failures }
    }

    fn read<T>(
        &self,
        key: impl FnOnce() -> String,
        Ok(value): Result<T, Infallible>,
    ) -> Result<T, Lost> {
        let key = key();
        let seed =
            key.bytes().fold(self.seed, |seed, byte| Rng::new(seed ^ u64::from(byte)).next());
        if seed % 10_000 < self.failures { Err(Lost(key)) } else { Ok(value) }
    }
}

impl StateReader for Failing {
    type Error = Lost;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Lost> {
        self.read(|| format!("account {address}"), self.state.account(address))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Lost> {
        self.read(|| format!("slot {slot} of {address}"), self.state.storage(address, slot))
    }

    fn has_storage(&self, address: &Address) -> Result<bool, Lost> {
        self.read(|| format!("storage of {address}"), self.state.has_storage(address))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, Lost> {
        self.read(|| format!("code {code_hash}"), self.state.code(code_hash))
    }

    fn block_hash(&self, number: u64) -> Result<B256, Lost> {
        self.read(|| format!("hash of {number}"), self.state.block_hash(number))
    }
}
