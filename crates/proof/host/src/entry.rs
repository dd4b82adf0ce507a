//! What is kept, and how it is known to be right.

use alloy_primitives::{B256, Bytes, keccak256};
use lockstep_preimage::{MAX_PREIMAGE_BYTES, PreimageError, PreimageKey, PreimageKind};
use lockstep_providers::{BlobError, VerifiedBlob};
use std::convert::Infallible;

const COMMITMENT_BYTES: usize = 48;
const PROOF_BYTES: usize = 48;

/// By what an entry is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKey {
    /// A pre-image: local, keccak-256 or SHA-256. What a precompiled contract answers is computed
    /// anew, and field elements are taken from the blob.
    Preimage(PreimageKey),
    /// A blob with its commitment and proof, by its versioned hash.
    Blob(B256),
}

/// Something to keep. A value whose key is a hash has that hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    key: EntryKey,
    value: Bytes,
}

impl Entry {
    /// What this run is about, under a number.
    pub fn local(number: u64, value: Bytes) -> Self {
        Self { key: EntryKey::Preimage(PreimageKey::local(number)), value }
    }

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
        let proof = blob.prove()?;
        let parts = [blob.commitment().as_slice(), proof.as_slice(), blob.blob().as_slice()];
        Ok(Self { key: EntryKey::Blob(blob.hash()), value: parts.concat().into() })
    }

    /// What was kept under a key, if it is right. Local values carry no hash and are taken as they
    /// are.
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
    matches!(kind, PreimageKind::Local | PreimageKind::Keccak256 | PreimageKind::Sha256)
}

/// Reads the blob of an entry, and checks it.
pub(crate) fn read_blob(hash: B256, value: &[u8]) -> Result<VerifiedBlob, BlobError> {
    let short = || BlobError::Length(value.len());
    let (commitment, rest) = value.split_first_chunk::<COMMITMENT_BYTES>().ok_or_else(short)?;
    let (proof, blob) = rest.split_first_chunk::<PROOF_BYTES>().ok_or_else(short)?;
    VerifiedBlob::with_proof(blob, &commitment.into(), &proof.into(), hash)
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
        let local = Entry::local(3, Bytes::from_static(b"anything"));
        assert_eq!(Entry::checked(local.key(), local.value().clone()).as_ref(), Ok(&local));
        let blob_element = EntryKey::Preimage(PreimageKey::blob(&[0; 48], &Default::default()));
        assert!(Entry::checked(blob_element, Bytes::new()).is_err());
        assert!(Entry::checked(EntryKey::Blob(B256::ZERO), Bytes::from_static(b"short")).is_err());
    }
}
