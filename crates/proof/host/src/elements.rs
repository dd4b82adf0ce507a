//! Blobs, served element by element.

use alloy_primitives::{B256, Bytes, U256};
use lockstep_preimage::{PreimageKey, blob_points};
use lockstep_providers::VerifiedBlob;
use std::{
    collections::{HashMap, VecDeque},
    sync::LazyLock,
};

/// The most blobs whose elements are in memory at once: some 200 MB.
pub(crate) const MAX_BLOBS_IN_MEMORY: usize = 256;

const ELEMENT_BYTES: usize = 32;

static POINTS: LazyLock<Vec<U256>> = LazyLock::new(blob_points);

/// The elements and commitments of the blobs that were announced last.
#[derive(Debug, Default)]
pub(crate) struct BlobElements {
    blobs: HashMap<B256, VerifiedBlob>,
    order: VecDeque<B256>,
    /// The blob of each key, and the place of the element in it; `None` for the commitment.
    keys: HashMap<PreimageKey, (B256, Option<usize>)>,
}

impl BlobElements {
    /// Takes a blob in, in place of the oldest one if there are too many.
    pub(crate) fn insert(&mut self, blob: VerifiedBlob) {
        let hash = blob.hash();
        if self.blobs.contains_key(&hash) {
            return;
        }
        if self.order.len() == MAX_BLOBS_IN_MEMORY
            && let Some(oldest) = self.order.pop_front()
        {
            self.blobs.remove(&oldest);
            self.keys.retain(|_, (hash, _)| *hash != oldest);
        }
        self.keys.insert(PreimageKey::sha256(hash), (hash, None));
        for (index, point) in POINTS.iter().enumerate() {
            self.keys.insert(PreimageKey::blob(&blob.commitment().0, point), (hash, Some(index)));
        }
        self.order.push_back(hash);
        self.blobs.insert(hash, blob);
    }

    /// Whether a blob is here.
    pub(crate) fn contains(&self, hash: &B256) -> bool {
        self.blobs.contains_key(hash)
    }

    /// The blob that the key belongs to, and what the key stands for.
    pub(crate) fn get(&self, key: &PreimageKey) -> Option<(B256, Bytes)> {
        let (hash, index) = self.keys.get(key)?;
        let blob = self.blobs.get(hash)?;
        let bytes = match index {
            None => Bytes::copy_from_slice(blob.commitment().as_slice()),
            Some(index) => {
                let element = blob.blob().as_slice().chunks(ELEMENT_BYTES).nth(*index)?;
                Bytes::copy_from_slice(element)
            }
        };
        Some((*hash, bytes))
    }
}
