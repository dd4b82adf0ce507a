//! What a pre-image is asked for by.

use crate::PreimageError;
use alloy_primitives::{Address, B256, FixedBytes, Keccak256, U256, hex, keccak256};
use core::{convert::Infallible, fmt};
use sha2::{Digest, Sha256};

/// What the first byte of a key says (OP spec: fault proof § pre-image key types).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PreimageKind {
    /// What this run of the program is about: the same key means something else in another run.
    Local = 1,
    /// Bytes by their keccak-256 hash.
    Keccak256 = 2,
    /// Reserved.
    GlobalGeneric = 3,
    /// Bytes by their SHA-256 hash.
    Sha256 = 4,
    /// A field element of a blob, or the proof of a blob.
    Blob = 5,
    /// What a precompiled contract answers.
    Precompile = 6,
}

impl PreimageKind {
    /// The kind that the first byte of a key names.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Local,
            2 => Self::Keccak256,
            3 => Self::GlobalGeneric,
            4 => Self::Sha256,
            5 => Self::Blob,
            6 => Self::Precompile,
            _ => return None,
        })
    }
}

/// The 32 bytes that a pre-image is asked for by: its kind, and 31 bytes that depend on that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PreimageKey {
    kind: PreimageKind,
    rest: FixedBytes<31>,
}

impl PreimageKey {
    const fn of_hash(kind: PreimageKind, hash: B256) -> Self {
        let mut rest = [0; 31];
        let (_, low) = hash.0.split_at(1);
        rest.copy_from_slice(low);
        Self { kind, rest: FixedBytes(rest) }
    }

    /// What the caller of the program says under this number.
    pub fn local(number: u64) -> Self {
        Self::of_hash(PreimageKind::Local, U256::from(number).into())
    }

    /// The bytes with this keccak-256 hash.
    pub const fn keccak256(hash: B256) -> Self {
        Self::of_hash(PreimageKind::Keccak256, hash)
    }

    /// The bytes with this SHA-256 hash.
    pub const fn sha256(hash: B256) -> Self {
        Self::of_hash(PreimageKind::Sha256, hash)
    }

    /// The value that the polynomial behind a KZG commitment has at `point`, 32 bytes big-endian. The
    /// field elements of a blob are its values at the [`blob_points`](crate::blob_points).
    pub fn blob(commitment: &[u8; 48], point: &U256) -> Self {
        let mut hasher = Keccak256::new();
        hasher.update(commitment);
        hasher.update(point.to_be_bytes::<32>());
        Self::of_hash(PreimageKind::Blob, hasher.finalize())
    }

    /// The KZG proof that the blob with this commitment has its field elements (48 bytes, the proof that
    /// EIP-4844's `verify_blob_kzg_proof` takes), for programs whose elements nobody attests.
    ///
    /// It is Lockstep's own: the key of an element at 2²⁵⁶ − 1, which is no field element. So no
    /// fault-proof machine has an element under this key, and none needs the proof.
    pub fn blob_proof(commitment: &[u8; 48]) -> Self {
        Self::blob(commitment, &U256::MAX)
    }

    /// What the precompiled contract at `address` answers to `input`: one byte that is 1 for success,
    /// and its output. `required_gas` is what it costs.
    pub fn precompile(address: &Address, required_gas: u64, input: &[u8]) -> Self {
        let mut hasher = Keccak256::new();
        hasher.update(address);
        hasher.update(required_gas.to_be_bytes());
        hasher.update(input);
        Self::of_hash(PreimageKind::Precompile, hasher.finalize())
    }

    /// Its kind.
    pub const fn kind(&self) -> PreimageKind {
        self.kind
    }

    /// The number that [`Self::local`] makes this key of; `None` for any other key.
    pub fn local_number(&self) -> Option<u64> {
        let number = self.rest.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))?;
        (Self::local(number) == *self).then_some(number)
    }

    /// The key as it goes over a pipe.
    pub fn to_bytes(self) -> B256 {
        let mut bytes = B256::ZERO;
        let (first, rest) = bytes.0.split_at_mut(1);
        first.fill(self.kind as u8);
        rest.copy_from_slice(self.rest.as_slice());
        bytes
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`PreimageError::Kind`] if its first byte names no kind.
    pub const fn from_bytes<E>(bytes: B256) -> Result<Self, PreimageError<E>> {
        match PreimageKind::from_byte(bytes.0[0]) {
            Some(kind) => Ok(Self::of_hash(kind, bytes)),
            None => Err(PreimageError::Kind(bytes.0[0])),
        }
    }

    /// The key of this kind that `preimage` has: `None` where the kind is not a hash of the bytes.
    pub fn of_preimage(kind: PreimageKind, preimage: &[u8]) -> Option<Self> {
        match kind {
            PreimageKind::Keccak256 => Some(Self::keccak256(keccak256(preimage))),
            PreimageKind::Sha256 => Some(Self::sha256(B256::from_slice(&Sha256::digest(preimage)))),
            _ => None,
        }
    }

    /// Holds bytes that somebody gave for this key against it. Kinds that are no hash of the bytes
    /// cannot be checked, and pass.
    ///
    /// # Errors
    /// [`PreimageError::Mismatch`] if the bytes have another hash.
    pub fn verify<E>(&self, preimage: &[u8]) -> Result<(), PreimageError<E>> {
        match Self::of_preimage(self.kind, preimage) {
            Some(got) if got != *self => {
                Err(PreimageError::Mismatch { asked: (*self).into(), got: got.into() })
            }
            _ => Ok(()),
        }
    }
}

impl From<PreimageKey> for B256 {
    fn from(key: PreimageKey) -> Self {
        key.to_bytes()
    }
}

impl TryFrom<B256> for PreimageKey {
    type Error = PreimageError<Infallible>;

    fn try_from(bytes: B256) -> Result<Self, Self::Error> {
        Self::from_bytes(bytes)
    }
}

impl fmt::Display for PreimageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} key 0x{}", self.kind, hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for PreimageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, vec::Vec};
    use alloy_primitives::{address, b256};
    use proptest::prelude::*;

    #[test]
    fn keys_are_those_of_the_specification() {
        let local = b256!("0100000000000000000000000000000000000000000000000000000000000006");
        assert_eq!(PreimageKey::local(6).to_bytes(), local);
        // The hashes of the empty string, with their first byte replaced.
        let keccak = b256!("02d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
        let of_empty = |kind| PreimageKey::of_preimage(kind, &[]).map(PreimageKey::to_bytes);
        assert_eq!(of_empty(PreimageKind::Keccak256), Some(keccak));
        let sha256 = b256!("04b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(of_empty(PreimageKind::Sha256), Some(sha256));
        assert_eq!(of_empty(PreimageKind::Local), None);
        assert_eq!(PreimageKey::local(6).local_number(), Some(6));
        assert_eq!(PreimageKey::local(u64::MAX).local_number(), Some(u64::MAX));
        let high = b256!("0100000000000000000000000000000000000000000000010000000000000006");
        assert_eq!(PreimageKey::try_from(high).map(|key| key.local_number()), Ok(None));
        assert_eq!(PreimageKey::keccak256(B256::ZERO).local_number(), None);
    }

    #[test]
    fn blob_and_precompile_keys_hash_all_their_parts() {
        let mut parts = [7; 48].to_vec();
        parts.extend([[0; 31].as_slice(), &[9]].concat());
        let mut expected = keccak256(&parts);
        expected.0[0] = 5;
        assert_eq!(PreimageKey::blob(&[7; 48], &U256::from(9)).to_bytes(), expected);

        let ecrecover = address!("0000000000000000000000000000000000000001");
        let parts: Vec<u8> = [ecrecover.as_slice(), &3000_u64.to_be_bytes(), b"input"].concat();
        let mut expected = keccak256(&parts);
        expected.0[0] = 6;
        assert_eq!(PreimageKey::precompile(&ecrecover, 3000, b"input").to_bytes(), expected);
    }

    #[test]
    fn the_proof_of_a_blob_is_under_no_key_of_an_element() {
        let commitment = [7; 48];
        let proof = PreimageKey::blob_proof(&commitment);
        assert_eq!(proof.kind(), PreimageKind::Blob);
        let mut elements = crate::blob_points().into_iter();
        assert!(elements.all(|point| PreimageKey::blob(&commitment, &point) != proof));
        assert_ne!(PreimageKey::blob_proof(&[8; 48]), proof);
    }

    #[test]
    fn only_bytes_with_the_hash_pass() {
        let key = PreimageKey::keccak256(keccak256(b"a"));
        assert_eq!(key.verify::<Infallible>(b"a"), Ok(()));
        let error = key.verify::<Infallible>(b"b").expect_err("another hash");
        assert!(format!("{error}").contains("asked for the pre-image of Keccak256 key 0x02"));
        assert_eq!(PreimageKey::local(1).verify::<Infallible>(b"anything"), Ok(()));
    }

    proptest! {
        #[test]
        fn a_key_is_read_as_it_was_written(bytes in any::<[u8; 32]>()) {
            match PreimageKey::try_from(B256::from(bytes)) {
                Ok(key) => prop_assert_eq!(key.to_bytes(), B256::from(bytes)),
                Err(error) => {
                    prop_assert!(!(1..=6).contains(&bytes[0]));
                    prop_assert_eq!(error, PreimageError::Kind(bytes[0]));
                }
            }
        }
    }
}
