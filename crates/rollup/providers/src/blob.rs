//! Blobs, held against the versioned hashes that transactions carry.

use alloy_eips::eip4844::{
    BYTES_PER_BLOB, Blob, Bytes48, c_kzg, env_settings::EnvKzgSettings, kzg_to_versioned_hash,
};
use alloy_primitives::B256;
use std::sync::Arc;

/// A blob of which it is certain that its versioned hash is [`Self::hash`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBlob {
    hash: B256,
    commitment: Bytes48,
    blob: Arc<Blob>,
}

/// Why bytes are not the blob that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// The blob has another length.
    #[error("{0} bytes, a blob has 131072")]
    Length(usize),
    /// An element is not below the modulus, or the commitment or the proof is no point of the curve.
    #[error("KZG: {0}")]
    Kzg(String),
    /// The blob has another versioned hash.
    #[error("its versioned hash is {found}, not {expected}")]
    Hash {
        /// The hash asked for.
        expected: B256,
        /// The hash of the blob.
        found: B256,
    },
    /// The proof does not show that the commitment is the blob's.
    #[error("the proof does not fit")]
    Proof,
}

impl VerifiedBlob {
    /// Computes the commitment of a blob, and from that its hash (tens of milliseconds).
    ///
    /// # Errors
    /// A [`BlobError`] if `bytes` are no blob.
    pub fn of(bytes: &[u8]) -> Result<Self, BlobError> {
        let blob = read_blob(bytes)?;
        let settings = EnvKzgSettings::Default;
        let commitment = settings.get().blob_to_kzg_commitment(&blob).map_err(kzg)?;
        let commitment = Bytes48::from(commitment.to_bytes().into_inner());
        let hash = kzg_to_versioned_hash(commitment.as_slice());
        Ok(Self { hash, commitment, blob: shared(&blob) })
    }

    /// As [`Self::of`], for a blob that must have this hash.
    ///
    /// # Errors
    /// A [`BlobError`] if `bytes` are not that blob.
    pub fn new(bytes: &[u8], hash: B256) -> Result<Self, BlobError> {
        let blob = Self::of(bytes)?;
        check_hash(&blob.commitment, hash)?;
        Ok(blob)
    }

    /// Holds the commitment against `hash` and lets `proof` (EIP-4844's blob proof) show that it is
    /// the blob's: some milliseconds.
    ///
    /// # Errors
    /// A [`BlobError`] if `bytes` are not that blob.
    pub fn with_proof(
        bytes: &[u8],
        commitment: &Bytes48,
        proof: &Bytes48,
        hash: B256,
    ) -> Result<Self, BlobError> {
        check_hash(commitment, hash)?;
        let blob = read_blob(bytes)?;
        let settings = EnvKzgSettings::Default;
        let point = |bytes: &Bytes48| c_kzg::Bytes48::new(bytes.0);
        let fits = settings
            .get()
            .verify_blob_kzg_proof(&blob, &point(commitment), &point(proof))
            .map_err(kzg)?;
        if !fits {
            return Err(BlobError::Proof);
        }
        Ok(Self { hash, commitment: *commitment, blob: shared(&blob) })
    }

    /// A proof that the commitment is the blob's, for [`Self::with_proof`] (tens of milliseconds).
    ///
    /// # Errors
    /// [`BlobError::Kzg`] if the library fails, which it has no reason to.
    pub fn prove(&self) -> Result<Bytes48, BlobError> {
        let blob = read_blob(self.blob.as_slice())?;
        let settings = EnvKzgSettings::Default;
        let commitment = c_kzg::Bytes48::new(self.commitment.0);
        let proof = settings.get().compute_blob_kzg_proof(&blob, &commitment).map_err(kzg)?;
        Ok(Bytes48::from(proof.to_bytes().into_inner()))
    }

    /// The versioned hash.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// The KZG commitment.
    pub const fn commitment(&self) -> &Bytes48 {
        &self.commitment
    }

    /// The blob.
    pub fn blob(&self) -> &Blob {
        &self.blob
    }
}

fn read_blob(bytes: &[u8]) -> Result<Box<c_kzg::Blob>, BlobError> {
    if bytes.len() != BYTES_PER_BLOB {
        return Err(BlobError::Length(bytes.len()));
    }
    c_kzg::Blob::from_bytes(bytes).map(Box::new).map_err(kzg)
}

fn shared(blob: &c_kzg::Blob) -> Arc<Blob> {
    Arc::new(Blob::from_slice(blob.as_ref()))
}

fn check_hash(commitment: &Bytes48, expected: B256) -> Result<(), BlobError> {
    let found = kzg_to_versioned_hash(commitment.as_slice());
    if found == expected { Ok(()) } else { Err(BlobError::Hash { expected, found }) }
}

fn kzg(error: impl std::fmt::Display) -> BlobError {
    BlobError::Kzg(error.to_string())
}
