//! A cache with a limit.

use alloy_primitives::map::HashMap;
use parking_lot::Mutex;
use std::{fmt, hash::Hash};

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
