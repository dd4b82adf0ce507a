//! What is kept, and how it is known to be right.

use alloy_eips::eip4844::Bytes48;
use alloy_primitives::{B256, Bytes, keccak256};
use lockstep_preimage::{MAX_PREIMAGE_BYTES, PreimageError, PreimageKey, PreimageKind};
use lockstep_providers::{BlobError, VerifiedBlob};
use std::convert::Infallible;

const COMMITMENT_BYTES: usize = 48;
const PROOF_BYTES: usize = 48;

/// By what an entry is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKey {
    /// A pre-image by its keccak-256 or SHA-256 hash. What a precompiled contract answers is computed
    /// anew, field elements are taken from the blob, and what a run is about is kept by its host.
    Preimage(PreimageKey),
    /// A blob with its commitment and proof, by its versioned hash.
    Blob(B256),
}

/// Something to keep, which has the hash that is its key: it is the same in all runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    key: EntryKey,
    value: Bytes,
}

impl Entry {
    /// Bytes under their keccak-256 hash.
    pub fn keccak256(value: Bytes) -> Self {
        Self::hashed(keccak256(&value), value)
    }

    /// Bytes of which it is known that they have this keccak-256 hash.
    pub(crate) const fn hashed(hash: B256, value: Bytes) -> Self {
        Self { key: EntryKey::Preimage(PreimageKey::keccak256(hash)), value }
    }

    /// What a store gave for this key, which has checked it.
    pub(crate) const fn known(key: EntryKey, value: Bytes) -> Self {
        Self { key, value }
    }

    /// A blob, with a proof that makes it quick to check again (computed here: tens of
    /// milliseconds).
    ///
    /// # Errors
    /// [`BlobError`] if the proof cannot be computed.
    pub fn blob(blob: &VerifiedBlob) -> Result<Self, BlobError> {
        Ok(ProvenBlob::new(blob.clone())?.entry())
    }

    /// What was kept under a key, if it is right.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn checked(key: EntryKey, value: Bytes) -> Result<Self, String> {
        if value.len() as u64 > MAX_PREIMAGE_BYTES {
            return Err(format!("{} bytes, the limit is {MAX_PREIMAGE_BYTES}", value.len()));
        }
        match key {
            EntryKey::Preimage(preimage) => {
                if !is_kept(preimage.kind()) {
                    return Err(format!("{preimage} is of a kind that is not kept"));
                }
                let verified: Result<(), PreimageError<Infallible>> = preimage.verify(&value);
                verified.map_err(|error| error.to_string())?;
            }
            EntryKey::Blob(hash) => {
                read_blob(hash, &value).map_err(|error| error.to_string())?;
            }
        }
        Ok(Self { key, value })
    }

    /// By what it is found.
    pub const fn key(&self) -> EntryKey {
        self.key
    }

    /// The bytes.
    pub const fn value(&self) -> &Bytes {
        &self.value
    }
}

const fn is_kept(kind: PreimageKind) -> bool {
    matches!(kind, PreimageKind::Keccak256 | PreimageKind::Sha256)
}

/// A blob with the proof that its entry holds.
#[derive(Clone, Debug)]
pub(crate) struct ProvenBlob {
    pub(crate) blob: VerifiedBlob,
    pub(crate) proof: Bytes48,
}

impl ProvenBlob {
    /// Computes the proof (tens of milliseconds).
    pub(crate) fn new(blob: VerifiedBlob) -> Result<Self, BlobError> {
        let proof = blob.prove()?;
        Ok(Self { blob, proof })
    }

    pub(crate) fn entry(&self) -> Entry {
        let Self { blob, proof } = self;
        let parts = [blob.commitment().as_slice(), proof.as_slice(), blob.blob().as_slice()];
        Entry { key: EntryKey::Blob(blob.hash()), value: parts.concat().into() }
    }
}

/// Reads the blob of an entry, and checks it.
pub(crate) fn read_blob(hash: B256, value: &[u8]) -> Result<ProvenBlob, BlobError> {
    let short = || BlobError::Length(value.len());
    let (commitment, rest) = value.split_first_chunk::<COMMITMENT_BYTES>().ok_or_else(short)?;
    let (proof, blob) = rest.split_first_chunk::<PROOF_BYTES>().ok_or_else(short)?;
    let (commitment, proof) = (Bytes48::from(*commitment), Bytes48::from(*proof));
    let blob = VerifiedBlob::with_proof(blob, &commitment, &proof, hash)?;
    Ok(ProvenBlob { blob, proof })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_hash_of_its_key_is_an_entry() {
        let entry = Entry::keccak256(Bytes::from_static(b"a node"));
        assert_eq!(Entry::checked(entry.key(), entry.value().clone()).as_ref(), Ok(&entry));
        let wrong = Entry::checked(entry.key(), Bytes::from_static(b"another"));
        assert!(wrong.is_err_and(|reason| reason.contains("asked for")));
        let local = EntryKey::Preimage(PreimageKey::local(3));
        assert!(Entry::checked(local, Bytes::from_static(b"anything")).is_err());
        let blob_element = EntryKey::Preimage(PreimageKey::blob(&[0; 48], &Default::default()));
        assert!(Entry::checked(blob_element, Bytes::new()).is_err());
        assert!(Entry::checked(EntryKey::Blob(B256::ZERO), Bytes::from_static(b"short")).is_err());
    }
}
