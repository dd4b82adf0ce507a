//! Where pre-images are kept while they are collected.

use crate::{Entry, EntryKey, HostError};
use alloy_primitives::Bytes;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// Keeps entries. Calls come from several threads.
pub trait Store: Send + Sync {
    /// The value under this key; `None` if it is not kept. It is right: a store that lies elsewhere
    /// checks what it reads.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, key: &EntryKey) -> Result<Option<Bytes>, HostError>;

    /// Keeps an entry. One that is kept already stays as it is: its key says what it is.
    ///
    /// # Errors
    /// [`HostError::Limit`] if the store is full; when it cannot be written.
    fn put(&self, entry: &Entry) -> Result<(), HostError>;
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn get(&self, key: &EntryKey) -> Result<Option<Bytes>, HostError> {
        (**self).get(key)
    }

    fn put(&self, entry: &Entry) -> Result<(), HostError> {
        (**self).put(entry)
    }
}

/// What an entry costs beside its value.
pub(crate) const ENTRY_BYTES: u64 = 128;

/// Keeps entries in memory, up to a limit.
#[derive(Debug)]
pub struct MemoryStore {
    kept: Mutex<Kept>,
    max_bytes: u64,
}

#[derive(Debug, Default)]
struct Kept {
    entries: BTreeMap<EntryKey, Bytes>,
    bytes: u64,
}

impl MemoryStore {
    /// The limit if none is given: 8 GiB.
    pub const DEFAULT_MAX_BYTES: u64 = 8 << 30;

    /// A store for at most `max_bytes` of values with what keeping them costs.
    pub fn new(max_bytes: u64) -> Self {
        Self { kept: Mutex::default(), max_bytes }
    }

    /// A store with these entries.
    ///
    /// # Errors
    /// [`HostError::Limit`] if they do not fit.
    pub fn with_entries(
        entries: impl IntoIterator<Item = Entry>,
        max_bytes: u64,
    ) -> Result<Self, HostError> {
        let store = Self::new(max_bytes);
        for entry in entries {
            store.put(&entry)?;
        }
        Ok(store)
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.kept.lock().entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Self::DEFAULT_MAX_BYTES)
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &EntryKey) -> Result<Option<Bytes>, HostError> {
        Ok(self.kept.lock().entries.get(key).cloned())
    }

    fn put(&self, entry: &Entry) -> Result<(), HostError> {
        let mut kept = self.kept.lock();
        if kept.entries.contains_key(&entry.key()) {
            return Ok(());
        }
        let bytes = kept.bytes + entry.value().len() as u64 + ENTRY_BYTES;
        if bytes > self.max_bytes {
            let (what, limit) = ("pre-images in memory", self.max_bytes);
            return Err(HostError::Limit { what, found: bytes, limit });
        }
        kept.bytes = bytes;
        kept.entries.insert(entry.key(), entry.value().clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_full_says_so_and_keeps_what_it_has() {
        let store = MemoryStore::new(2 * (ENTRY_BYTES + 10));
        assert!(store.is_empty());
        let entry = |byte: u8| Entry::keccak256(Bytes::from(vec![byte; 10]));
        store.put(&entry(1)).unwrap();
        store.put(&entry(2)).unwrap();
        store.put(&entry(2)).unwrap();
        assert!(matches!(store.put(&entry(3)), Err(HostError::Limit { .. })));
        assert_eq!(store.len(), 2);
        assert_eq!(store.get(&entry(1).key()).unwrap(), Some(entry(1).value().clone()));
        assert_eq!(store.get(&entry(3).key()).unwrap(), None);
    }
}
