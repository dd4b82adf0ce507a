//! A map with a limit, which forgets what was not asked for of late.

use alloy_primitives::map::HashMap;
use std::{fmt, hash::Hash, mem};

/// Two maps: what was asked for lies in the young one. Once that is full it becomes the old one, and what nobody asked
/// for meanwhile is forgotten.
pub(super) struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// Of the young ones together.
    weight: usize,
    /// Of one generation, at which it is full.
    limit: usize,
    weigh: fn(&V) -> usize,
}

impl<K, V> fmt::Debug for Generations<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generations")
            .field("young", &self.young.len())
            .field("old", &self.old.len())
            .finish_non_exhaustive()
    }
}

impl<K: Eq + Hash, V: Clone> Generations<K, V> {
    /// A map of values that weigh `limit` together at the most. A value that is heavier than half of it is not kept.
    pub(super) fn new(limit: usize, weigh: fn(&V) -> usize) -> Self {
        let (young, old) = (HashMap::default(), HashMap::default());
        Self { young, old, weight: 0, limit: (limit / 2).max(1), weigh }
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// The value of a key, which has been of use.
    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    /// The value of a key, as it lies there.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.young.get_mut(key).or_else(|| self.old.get_mut(key))
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        let weight = (self.weigh)(&value);
        if weight > self.limit {
            self.retain(|known| *known != key);
            return;
        }
        if self.weight + weight > self.limit {
            mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            self.weight = 0;
        }
        self.old.remove(&key);
        self.weight += weight;
        if let Some(before) = self.young.insert(key, value) {
            self.weight -= (self.weigh)(&before);
        }
    }

    /// Forgets the keys that are not to be kept.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        let (weigh, weight) = (self.weigh, &mut self.weight);
        self.young.retain(|key, value| {
            let is_kept = keep(key);
            if !is_kept {
                *weight -= weigh(value);
            }
            is_kept
        });
        self.old.retain(|key, _| keep(key));
    }

    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.weight = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Rng;

    /// What it answers is what was put in last, and it never holds more than it may.
    #[test]
    fn it_stays_within_its_limit_and_never_answers_with_an_older_value() {
        let mut rng = Rng::new(7);
        for limit in [1, 2, 7, 64] {
            let mut map = Generations::<u64, usize>::new(limit, |value| value % 5);
            let mut model = HashMap::<u64, usize>::default();
            for _ in 0..5_000 {
                let (key, value) = (rng.below(40), rng.below(1_000) as usize);
                match rng.below(20) {
                    0 => map.retain(|kept| *kept % 7 != key % 7),
                    1 => map.clear(),
                    2..10 => {
                        map.insert(key, value);
                        model.insert(key, value);
                    }
                    _ => {
                        let found = map.get(&key);
                        assert!(found.is_none() || found == model.get(&key).copied());
                    }
                }
                let weigh =
                    |map: &HashMap<u64, usize>| map.values().map(|value| value % 5).sum::<usize>();
                assert_eq!(map.weight, weigh(&map.young));
                assert!(weigh(&map.young) <= map.limit && weigh(&map.old) <= map.limit);
                assert!(map.young.keys().all(|key| !map.old.contains_key(key)));
            }
        }
    }

    #[test]
    fn what_is_asked_for_stays() {
        let mut map = Generations::<u64, u64>::new(100, |_| 1);
        map.insert(0, 0);
        for key in 1..10_000 {
            map.insert(key, key);
            assert_eq!(map.get(&0), Some(0));
            assert!(map.len() <= 100);
        }
        assert_eq!(map.get(&1), None);
    }
}
