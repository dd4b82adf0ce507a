//! Blobs, served element by element.

use crate::entry::ProvenBlob;
use alloy_primitives::{B256, Bytes, U256};
use lockstep_preimage::{PreimageKey, blob_points};
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
    blobs: HashMap<B256, ProvenBlob>,
    order: VecDeque<B256>,
    /// The blob of each key, and the part of it that the key stands for.
    keys: HashMap<PreimageKey, (B256, Part)>,
}

/// A part of a blob that is asked for by itself.
#[derive(Clone, Copy, Debug)]
enum Part {
    Commitment,
    Proof,
    Element(usize),
}

impl BlobElements {
    /// Takes a blob in, in place of the oldest one if there are too many.
    pub(crate) fn insert(&mut self, proven: ProvenBlob) {
        let blob = &proven.blob;
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
        let commitment = &blob.commitment().0;
        self.keys.insert(PreimageKey::sha256(hash), (hash, Part::Commitment));
        self.keys.insert(PreimageKey::blob_proof(commitment), (hash, Part::Proof));
        for (index, point) in POINTS.iter().enumerate() {
            self.keys.insert(PreimageKey::blob(commitment, point), (hash, Part::Element(index)));
        }
        self.order.push_back(hash);
        self.blobs.insert(hash, proven);
    }

    /// Whether a blob is here.
    pub(crate) fn contains(&self, hash: &B256) -> bool {
        self.blobs.contains_key(hash)
    }

    /// The blob that the key belongs to, and what the key stands for.
    pub(crate) fn get(&self, key: &PreimageKey) -> Option<(B256, Bytes)> {
        let (hash, part) = self.keys.get(key)?;
        let ProvenBlob { blob, proof } = self.blobs.get(hash)?;
        let bytes = match part {
            Part::Commitment => blob.commitment().as_slice(),
            Part::Proof => proof.as_slice(),
            Part::Element(index) => blob.blob().as_slice().chunks(ELEMENT_BYTES).nth(*index)?,
        };
        Some((*hash, Bytes::copy_from_slice(bytes)))
    }
}
