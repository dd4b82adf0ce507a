//! A map that many threads use at the same time, and that belongs to one state after the other.

use super::generations::Generations;
use alloy_primitives::map::DefaultHashBuilder;
use crossbeam_utils::CachePadded;
use parking_lot::{Mutex, MutexGuard};
use std::{
    fmt,
    hash::{BuildHasher, Hash},
    iter,
};

/// Parts, each with a lock of its own. A power of two.
const SHARDS: usize = 64;

/// The state to which a cache's entries belong. A later one never has the number of an earlier one.
pub(super) type Epoch = u64;

/// Counts of what was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) entries: usize,
}

#[derive(Debug)]
struct Shard<K, V> {
    epoch: Epoch,
    entries: Generations<K, V>,
    hits: u64,
    misses: u64,
}

/// Locks lie apart, so that threads with different ones do not share what the processor moves.
type Locked<T> = CachePadded<Mutex<T>>;

/// Entries of one epoch. Who asks for another's gets nothing, and changes nothing: which of them it is, is looked up
/// under the lock of the key's shard.
pub(super) struct Shards<K, V> {
    shards: Box<[Locked<Shard<K, V>>]>,
    hasher: DefaultHashBuilder,
}

impl<K, V> fmt::Debug for Shards<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shards").finish_non_exhaustive()
    }
}

impl<K: Eq + Hash, V: Clone> Shards<K, V> {
    /// A map of values that weigh `limit` together at the most, in epoch zero.
    pub(super) fn new(limit: usize, weigh: fn(&V) -> usize) -> Self {
        let shard = || {
            let entries = Generations::new(limit / SHARDS, weigh);
            Locked::new(Mutex::new(Shard { epoch: 0, entries, hits: 0, misses: 0 }))
        };
        let shards = iter::repeat_with(shard).take(SHARDS).collect();
        Self { shards, hasher: DefaultHashBuilder::default() }
    }

    pub(super) fn get(&self, epoch: Epoch, key: &K) -> Option<V> {
        let mut shard = self.shard(epoch, key)?;
        let found = shard.entries.get(key);
        match found {
            Some(_) => shard.hits += 1,
            None => shard.misses += 1,
        }
        found
    }

    pub(super) fn insert(&self, epoch: Epoch, key: K, value: V) {
        if let Some(mut shard) = self.shard(epoch, &key) {
            shard.entries.insert(key, value);
        }
    }

    /// Changes the value of a key where there is one. Returns what `change` does.
    pub(super) fn update<T>(
        &self,
        epoch: Epoch,
        key: &K,
        change: impl FnOnce(&mut V) -> T,
    ) -> Option<T> {
        self.shard(epoch, key)?.entries.get_mut(key).map(change)
    }

    /// Begins an epoch with the entries that there are.
    pub(super) fn begin(&self, epoch: Epoch) {
        self.all(|shard| shard.epoch = epoch);
    }

    pub(super) fn retain(&self, mut keep: impl FnMut(&K) -> bool) {
        self.all(|shard| shard.entries.retain(&mut keep));
    }

    pub(super) fn clear(&self) {
        self.all(|shard| shard.entries.clear());
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.all(|shard| {
            counts.hits += shard.hits;
            counts.misses += shard.misses;
            counts.entries += shard.entries.len();
        });
        counts
    }

    fn all(&self, mut apply: impl FnMut(&mut Shard<K, V>)) {
        self.shards.iter().for_each(|shard| apply(&mut shard.lock()));
    }

    /// The part for a key, if it is in this epoch.
    fn shard(&self, epoch: Epoch, key: &K) -> Option<MutexGuard<'_, Shard<K, V>>> {
        let hash = self.hasher.hash_one(key) as usize;
        let shard = self.shards.get(hash % SHARDS)?.lock();
        (shard.epoch == epoch).then_some(shard)
    }
}
