//! A cache with a limit.

use alloy_primitives::map::HashMap;
use parking_lot::Mutex;
use std::{fmt, hash::Hash};

/// What an entry takes beside its value's bytes: key, pointers, and its place in the map.
const ENTRY_BYTES: usize = 128;

/// Keeps values up to a number of bytes, and forgets all of them when there are more: whatever is
/// used often is back soon.
pub(super) struct Cache<K, V> {
    limit_bytes: usize,
    inner: Mutex<(HashMap<K, V>, usize)>,
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("limit_bytes", &self.limit_bytes).finish_non_exhaustive()
    }
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, inner: Mutex::default() }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.inner.lock().0.get(key).cloned()
    }

    /// Keeps a value of about `bytes` bytes, unless it alone is more than the limit.
    pub(super) fn insert(&self, key: K, value: V, bytes: usize) {
        let bytes = bytes.saturating_add(ENTRY_BYTES);
        if bytes > self.limit_bytes {
            return;
        }
        let mut inner = self.inner.lock();
        if inner.1 + bytes > self.limit_bytes {
            inner.0.clear();
            inner.1 = 0;
        }
        if inner.0.insert(key, value).is_none() {
            inner.1 += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, ENTRY_BYTES};

    #[test]
    fn empty_values_take_room_too() {
        let cache = Cache::new(10 * ENTRY_BYTES);
        for key in 0..1_000 {
            cache.insert(key, (), 0);
            assert!(cache.inner.lock().0.len() <= 10);
        }
        assert_eq!(cache.get(&999), Some(()));
    }
}
