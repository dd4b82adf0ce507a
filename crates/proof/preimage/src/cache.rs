//! Ask another oracle once.

use crate::{Hint, PreimageError, PreimageKey, PreimageOracle};
use alloy_primitives::{Bytes, map::HashMap};
use core::{cell::RefCell, fmt, mem};

/// What an entry costs beside its bytes: key, pointers, and the map's slack.
const ENTRY_BYTES: usize = 128;

/// Asks the oracle beneath for each pre-image once, as long as there is room to remember the answer,
/// and hashes what that oracle answers unless it is trusted.
///
/// It keeps two generations. When the younger one has taken half of the room, it becomes the older one,
/// and what was not asked for since is forgotten.
pub struct CachingOracle<O> {
    beneath: O,
    half_bytes: usize,
    known: RefCell<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<PreimageKey, Bytes>,
    young_bytes: usize,
    old: HashMap<PreimageKey, Bytes>,
}

impl<O: PreimageOracle> CachingOracle<O> {
    /// Asks `beneath`, and remembers at most `max_bytes` of its answers.
    pub fn new(beneath: O, max_bytes: usize) -> Self {
        Self { beneath, half_bytes: max_bytes / 2, known: RefCell::default() }
    }

    /// The oracle beneath.
    pub const fn beneath(&self) -> &O {
        &self.beneath
    }
}

impl Generations {
    fn find(&mut self, key: &PreimageKey, half_bytes: usize) -> Option<Bytes> {
        if let Some(found) = self.young.get(key) {
            return Some(found.clone());
        }
        let found = self.old.remove(key)?;
        self.keep(*key, found.clone(), half_bytes);
        Some(found)
    }

    fn keep(&mut self, key: PreimageKey, preimage: Bytes, half_bytes: usize) {
        let bytes = preimage.len().saturating_add(ENTRY_BYTES);
        if bytes > half_bytes {
            return;
        }
        if self.young_bytes.saturating_add(bytes) > half_bytes {
            self.old = mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(key, preimage);
    }
}

impl<O: PreimageOracle> PreimageOracle for CachingOracle<O> {
    type Error = PreimageError<O::Error>;

    fn get(&self, key: PreimageKey) -> Result<Bytes, Self::Error> {
        if let Some(known) = self.known.borrow_mut().find(&key, self.half_bytes) {
            return Ok(known);
        }
        let preimage = self.beneath.get(key).map_err(PreimageError::Beneath)?;
        if !self.beneath.is_trusted() {
            key.verify(&preimage)?;
        }
        self.known.borrow_mut().keep(key, preimage.clone(), self.half_bytes);
        Ok(preimage)
    }

    fn hint(&self, hint: &Hint) -> Result<(), Self::Error> {
        self.beneath.hint(hint).map_err(PreimageError::Beneath)
    }

    fn is_trusted(&self) -> bool {
        true
    }

    fn attests_blobs(&self) -> bool {
        self.beneath.attests_blobs()
    }
}

impl<O: fmt::Debug> fmt::Debug for CachingOracle<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.borrow();
        f.debug_struct("CachingOracle")
            .field("beneath", &self.beneath)
            .field("known", &(known.young.len() + known.old.len()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{collections::BTreeMap, vec};
    use alloy_primitives::keccak256;
    use core::{cell::Cell, convert::Infallible};
    use proptest::prelude::*;

    /// Counts how often it is asked.
    #[derive(Default)]
    struct Counting {
        preimages: BTreeMap<PreimageKey, Bytes>,
        asked: Cell<usize>,
    }

    impl PreimageOracle for Counting {
        type Error = PreimageError<Infallible>;

        fn get(&self, key: PreimageKey) -> Result<Bytes, Self::Error> {
            self.asked.set(self.asked.get() + 1);
            self.preimages.get(&key).cloned().ok_or_else(|| PreimageError::Unknown(key.into()))
        }
    }

    fn entry(number: u8, bytes: usize) -> (PreimageKey, Bytes) {
        let preimage = Bytes::from(vec![number; bytes]);
        (PreimageKey::keccak256(keccak256(&preimage)), preimage)
    }

    #[test]
    fn a_wrong_answer_is_refused_and_not_remembered() {
        let (key, _) = entry(1, 10);
        let wrong = Bytes::from_static(b"wrong");
        let liar = Counting { preimages: [(key, wrong)].into(), ..Default::default() };
        let oracle = CachingOracle::new(liar, 1 << 20);
        for _ in 0..2 {
            assert!(matches!(oracle.get(key), Err(PreimageError::Mismatch { .. })));
        }
        assert_eq!(oracle.beneath().asked.get(), 2);
    }

    #[test]
    fn what_does_not_fit_is_served_and_forgotten() {
        let (key, preimage) = entry(1, 1000);
        let beneath =
            Counting { preimages: [(key, preimage.clone())].into(), ..Default::default() };
        let oracle = CachingOracle::new(beneath, 1000);
        for asked in 1..4 {
            assert_eq!(oracle.get(key), Ok(preimage.clone()));
            assert_eq!(oracle.beneath().asked.get(), asked);
        }
    }

    proptest! {
        /// Answers never change, memory stays within its bound, and what was asked for most recently
        /// is not asked for again.
        #[test]
        fn a_cache_is_bounded_and_remembers_the_newest(
            asked in prop::collection::vec((0_u8..20, 1_usize..300), 1..200),
            max_bytes in 1_000_usize..5_000,
        ) {
            let entries: BTreeMap<_, _> =
                asked.iter().map(|(number, bytes)| entry(*number, *bytes)).collect();
            let beneath = Counting { preimages: entries, ..Default::default() };
            let oracle = CachingOracle::new(beneath, max_bytes);
            for (number, bytes) in asked {
                let (key, preimage) = entry(number, bytes);
                prop_assert_eq!(oracle.get(key), Ok(preimage.clone()));
                let before = oracle.beneath().asked.get();
                prop_assert_eq!(oracle.get(key), Ok(preimage));
                prop_assert_eq!(oracle.beneath().asked.get(), before);
                let known = oracle.known.borrow();
                let bytes = |map: &HashMap<PreimageKey, Bytes>| {
                    map.values().map(|value| value.len() + ENTRY_BYTES).sum::<usize>()
                };
                prop_assert_eq!(bytes(&known.young), known.young_bytes);
                prop_assert!(bytes(&known.young) + bytes(&known.old) <= max_bytes);
            }
        }
    }
}
