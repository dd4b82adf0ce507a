//! Who is asked for pre-images.

use crate::{Hint, PreimageError, PreimageKey, PreimageKind};
use alloc::{collections::BTreeMap, rc::Rc};
use alloy_primitives::{B256, Bytes};
use core::convert::Infallible;

/// Gives the pre-images of keys.
///
/// Asking changes nothing that can be seen: the same key has the same answer. So oracles are shared by
/// reference, and keep what they need to change (pipes, caches) in cells.
pub trait PreimageOracle {
    /// Why an answer can fail to come.
    type Error: core::error::Error + Send + Sync + 'static;

    /// The pre-image of `key`.
    ///
    /// # Errors
    /// When it is unknown or cannot be had.
    fn get(&self, key: PreimageKey) -> Result<Bytes, Self::Error>;

    /// Says what will be asked for next. An oracle that has everything need not listen.
    ///
    /// # Errors
    /// When the hint cannot be passed on.
    fn hint(&self, hint: &Hint) -> Result<(), Self::Error> {
        let _ = hint;
        Ok(())
    }

    /// Whether every answer to a key that is a hash is known to have that hash. Otherwise whoever asks
    /// hashes it.
    fn is_trusted(&self) -> bool {
        false
    }

    /// Whether every field element of a blob is known to be that of its commitment: because a KZG proof
    /// was checked for it, by this oracle or by the machine in which the program runs. Otherwise whoever
    /// asks also asks for a proof ([`PreimageKey::blob_proof`]) and checks it.
    ///
    /// An oracle that hashes what it passes on has checked nothing of blobs: its word is that of the one
    /// beneath.
    fn attests_blobs(&self) -> bool {
        false
    }
}

impl<O: PreimageOracle + ?Sized> PreimageOracle for &O {
    type Error = O::Error;

    fn get(&self, key: PreimageKey) -> Result<Bytes, Self::Error> {
        (**self).get(key)
    }

    fn hint(&self, hint: &Hint) -> Result<(), Self::Error> {
        (**self).hint(hint)
    }

    fn is_trusted(&self) -> bool {
        (**self).is_trusted()
    }

    fn attests_blobs(&self) -> bool {
        (**self).attests_blobs()
    }
}

impl<O: PreimageOracle + ?Sized> PreimageOracle for Rc<O> {
    type Error = O::Error;

    fn get(&self, key: PreimageKey) -> Result<Bytes, Self::Error> {
        (**self).get(key)
    }

    fn hint(&self, hint: &Hint) -> Result<(), Self::Error> {
        (**self).hint(hint)
    }

    fn is_trusted(&self) -> bool {
        (**self).is_trusted()
    }

    fn attests_blobs(&self) -> bool {
        (**self).attests_blobs()
    }
}

/// Pre-images in memory: a witness.
///
/// It hashes what enters, so it is trusted. Of blobs it knows nothing but what it was told: these are for
/// whoever asks to check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreimageSet {
    preimages: BTreeMap<PreimageKey, Bytes>,
}

impl PreimageSet {
    /// A set without pre-images.
    pub const fn new() -> Self {
        Self { preimages: BTreeMap::new() }
    }

    /// Adds a pre-image under its keccak-256 hash, and returns that.
    pub fn insert_keccak256(&mut self, preimage: Bytes) -> B256 {
        let hash = alloy_primitives::keccak256(&preimage);
        self.preimages.insert(PreimageKey::keccak256(hash), preimage);
        hash
    }

    /// Adds a pre-image under its SHA-256 hash, and returns its key.
    pub fn insert_sha256(&mut self, preimage: Bytes) -> PreimageKey {
        let key = PreimageKey::of_preimage(PreimageKind::Sha256, &preimage)
            .expect("SHA-256 keys are hashes");
        self.preimages.insert(key, preimage);
        key
    }

    /// Adds what `key` stands for.
    ///
    /// # Errors
    /// [`PreimageError::Mismatch`] if the key is a hash, and not that of the pre-image.
    pub fn insert(
        &mut self,
        key: PreimageKey,
        preimage: Bytes,
    ) -> Result<(), PreimageError<Infallible>> {
        key.verify(&preimage)?;
        self.preimages.insert(key, preimage);
        Ok(())
    }

    /// The pre-image of `key`, if it is here.
    pub fn find(&self, key: &PreimageKey) -> Option<&Bytes> {
        self.preimages.get(key)
    }

    /// Takes a pre-image out.
    pub fn remove(&mut self, key: &PreimageKey) -> Option<Bytes> {
        self.preimages.remove(key)
    }

    /// The number of pre-images.
    pub fn len(&self) -> usize {
        self.preimages.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.preimages.is_empty()
    }

    /// All pre-images, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&PreimageKey, &Bytes)> {
        self.preimages.iter()
    }
}

impl PreimageOracle for PreimageSet {
    type Error = PreimageError<Infallible>;

    fn get(&self, key: PreimageKey) -> Result<Bytes, Self::Error> {
        self.find(&key).cloned().ok_or_else(|| PreimageError::Unknown(key.into()))
    }

    fn is_trusted(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_takes_nothing_under_a_wrong_hash() {
        let mut set = PreimageSet::new();
        let sha256 = set.insert_sha256(Bytes::from_static(b"a"));
        let wrong = set.insert(sha256, Bytes::from_static(b"b"));
        assert!(matches!(wrong, Err(PreimageError::Mismatch { .. })));
        assert_eq!(set.get(sha256), Ok(Bytes::from_static(b"a")));
        assert_eq!(set.insert(PreimageKey::local(1), Bytes::from_static(b"b")), Ok(()));
        assert_eq!(set.len(), 2);
        assert_eq!(set.remove(&sha256), Some(Bytes::from_static(b"a")));
        assert_eq!(set.get(sha256), Err(PreimageError::Unknown(sha256.into())));
    }
}
