//! A table that all workers fill and read at the same time.

use alloy_primitives::map::DefaultHashBuilder;
use std::{
    fmt,
    hash::{BuildHasher, Hash},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// Places that are looked at for one key. Who finds none works without the table.
const MAX_PROBES: usize = 16;

/// Places in the index for each entry.
const SPARSENESS: usize = 2;

/// Maps keys to values that are there to stay until [`Self::clear`]. It does not grow: what finds no place is
/// not kept.
///
/// Entries lie in the order in which they came, so that whoever follows finds them in its cache; the index
/// beside them is small.
pub(crate) struct Table<K, V> {
    /// Numbers of entries, counted from one; zero where there is none.
    index: Box<[AtomicU32]>,
    entries: Box<[OnceLock<(K, V)>]>,
    /// Numbers that were given away.
    used: AtomicU32,
    hasher: DefaultHashBuilder,
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("capacity", &self.entries.len()).finish_non_exhaustive()
    }
}

impl<K: Copy + Eq + Hash, V> Table<K, V> {
    /// A table for so many entries.
    pub(crate) fn new(capacity: usize) -> Self {
        let places = capacity.saturating_mul(SPARSENESS).next_power_of_two().max(MAX_PROBES);
        Self {
            index: std::iter::repeat_with(AtomicU32::default).take(places).collect(),
            entries: std::iter::repeat_with(OnceLock::new).take(capacity).collect(),
            used: AtomicU32::new(0),
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        for place in self.places(key) {
            let (known, value) = self.entry(place.load(Ordering::Acquire))?;
            if known == key {
                return Some(value);
            }
        }
        None
    }

    /// The value of a key, made if there is none; `None` if it found no place.
    pub(crate) fn get_or_try_insert<E>(
        &self,
        key: K,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<Option<&V>, E> {
        let mut make = Some(make);
        let mut made = 0;
        for place in self.places(&key) {
            let mut number = place.load(Ordering::Acquire);
            if number == 0 {
                if let Some(make) = make.take() {
                    made = self.add(key, make()?);
                }
                if made == 0 {
                    return Ok(None);
                }
                number = match place.compare_exchange(0, made, Ordering::AcqRel, Ordering::Acquire)
                {
                    Ok(_) => made,
                    // Another worker was faster. If it had the same key, this entry is never found.
                    Err(theirs) => theirs,
                };
            }
            if let Some((known, value)) = self.entry(number)
                && *known == key
            {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Adds an entry and returns its number; zero if there is no room.
    fn add(&self, key: K, value: V) -> u32 {
        let at = self.used.fetch_add(1, Ordering::Relaxed);
        match self.entries.get(at as usize) {
            Some(entry) if entry.set((key, value)).is_ok() => at + 1,
            _ => 0,
        }
    }

    fn entry(&self, number: u32) -> Option<&(K, V)> {
        self.entries.get(number.checked_sub(1)? as usize)?.get()
    }

    /// Empties the table. Returns how many entries it would have had if it had had room for all.
    pub(crate) fn clear(&mut self) -> usize {
        let used = *self.used.get_mut() as usize;
        *self.used.get_mut() = 0;
        for entry in self.entries.iter_mut().take(used) {
            entry.take();
        }
        self.index.iter_mut().for_each(|place| *place.get_mut() = 0);
        used
    }

    fn places(&self, key: &K) -> impl Iterator<Item = &AtomicU32> + use<'_, K, V> {
        let mask = self.index.len() - 1;
        let first = self.hasher.hash_one(key) as usize;
        (0..MAX_PROBES).filter_map(move |step| self.index.get(first.wrapping_add(step) & mask))
    }
}
