//! Check proofs of work, with the caches of the epochs that were needed so far.

use alloy_consensus::Header;
use lockstep_chain::{HeaderError, ethash::EpochCache};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Epochs whose caches are kept; fixtures use the first.
const MAX_EPOCHS: usize = 2;

const EPOCH_BLOCKS: u64 = 30_000;

/// Verifies Ethash seals.
#[derive(Debug, Default)]
pub struct Seals {
    epochs: Mutex<BTreeMap<u64, Arc<EpochCache>>>,
}

impl Seals {
    /// Checks the proof of work of `header`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, header: &Header) -> Result<(), HeaderError> {
        lockstep_chain::ethash::verify_seal(&*self.epoch(header.number)?, header)
    }

    fn epoch(&self, number: u64) -> Result<Arc<EpochCache>, HeaderError> {
        let epoch = number / EPOCH_BLOCKS;
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = epochs.get(&epoch) {
            return Ok(cache.clone());
        }
        let cache = Arc::new(EpochCache::of_block(number)?);
        if epochs.len() >= MAX_EPOCHS {
            epochs.pop_last();
        }
        epochs.insert(epoch, cache.clone());
        Ok(cache)
    }
}
