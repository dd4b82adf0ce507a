//! What was used last stays; what it may weigh in all is bounded.

use alloy_primitives::B256;
use std::collections::{BTreeMap, HashMap};

/// Values by hash, at most `budget` bytes of them as the caller weighs them.
#[derive(Debug)]
pub(crate) struct Lru<V> {
    entries: HashMap<B256, Entry<V>>,
    /// From the one that was not used for the longest time to the newest.
    by_use: BTreeMap<u64, B256>,
    clock: u64,
    weight: usize,
    budget: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: usize,
    used: u64,
}

/// What an entry costs beside its value.
const ENTRY_BYTES: usize = 160;

impl<V: Clone> Lru<V> {
    /// Keeps at most `budget` bytes.
    pub(crate) fn new(budget: usize) -> Self {
        let (entries, by_use) = (HashMap::new(), BTreeMap::new());
        Self { entries, by_use, clock: 0, weight: 0, budget }
    }

    /// The value, which counts as a use.
    pub(crate) fn get(&mut self, key: &B256) -> Option<V> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        self.by_use.remove(&entry.used);
        entry.used = self.clock;
        self.by_use.insert(self.clock, *key);
        Some(entry.value.clone())
    }

    /// Keeps a value, in place of those that were not used for the longest time. What is heavier
    /// than the whole budget is not kept.
    pub(crate) fn insert(&mut self, key: B256, value: V, bytes: usize) {
        let weight = bytes.saturating_add(ENTRY_BYTES);
        self.remove(&key);
        if weight > self.budget {
            return;
        }
        while self.weight + weight > self.budget
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.remove(&oldest);
        }
        self.clock += 1;
        self.by_use.insert(self.clock, key);
        self.entries.insert(key, Entry { value, weight, used: self.clock });
        self.weight += weight;
    }

    fn remove(&mut self, key: &B256) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_use.remove(&entry.used);
            self.weight -= entry.weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(byte: u8) -> B256 {
        B256::repeat_byte(byte)
    }

    #[test]
    fn the_one_not_used_for_longest_makes_room() {
        let mut lru = Lru::new(2 * (ENTRY_BYTES + 10));
        lru.insert(key(1), 1, 10);
        lru.insert(key(2), 2, 10);
        assert_eq!(lru.get(&key(1)), Some(1));
        lru.insert(key(3), 3, 10);
        assert_eq!([1, 2, 3].map(|byte| lru.get(&key(byte))), [Some(1), None, Some(3)]);
    }

    #[test]
    fn what_is_heavier_than_the_budget_is_not_kept_and_drives_nothing_out() {
        let mut lru = Lru::new(2 * ENTRY_BYTES);
        lru.insert(key(1), 1, 0);
        lru.insert(key(2), 2, usize::MAX);
        assert_eq!([1, 2].map(|byte| lru.get(&key(byte))), [Some(1), None]);
    }

    proptest! {
        #[test]
        fn it_never_weighs_more_than_its_budget_and_answers_the_last_value(
            steps in prop::collection::vec((0_u8..20, 0_usize..600), 0..200),
        ) {
            let mut lru = Lru::new(1500);
            for (step, (byte, bytes)) in steps.into_iter().enumerate() {
                lru.insert(key(byte), step, bytes);
                prop_assert_eq!(lru.get(&key(byte)), Some(step));
                prop_assert!(lru.weight <= 1500);
                let weighed: usize = lru.entries.values().map(|entry| entry.weight).sum();
                prop_assert_eq!(weighed, lru.weight);
                prop_assert_eq!(lru.entries.len(), lru.by_use.len());
            }
        }
    }
}
