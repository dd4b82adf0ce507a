//! Reading and writing rows, every value with a checksum.

use super::{Environment, Malformed, Table};
use crate::StorageError;
use alloy_primitives::hex;
use signet_libmdbx::{
    ReadError, RoSync, Rw, Stat, TransactionKind, WriteFlags, tx,
    tx::{WriteMarker, aliases::RwTxUnsync},
};
use std::{borrow::Cow, fmt, ops::ControlFlow};

/// The bytes of a checksum behind a value.
const CHECKSUM_BYTES: usize = 4;

/// Keys that [`Tx::delete_range`] removes at a time.
const DELETE_BATCH: usize = 4_096;

/// A key and its value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// What MDBX says when it was asked for a row.
type Found<'a> = Result<Option<(Cow<'a, [u8]>, Cow<'a, [u8]>)>, ReadError>;

/// Some keys, and the key after them if there is one.
type Keys = (Vec<Vec<u8>>, Option<Vec<u8>>);

/// A database transaction over the tables.
pub(crate) struct Tx<K: TransactionKind> {
    mdbx: tx::Tx<K>,
    environment: Environment,
}

/// Reads one moment, from any thread.
pub(crate) type Reader = Tx<RoSync>;
/// Writes, and reads what it wrote.
pub(crate) type Writer = Tx<Rw>;

impl<K: TransactionKind> fmt::Debug for Tx<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}

impl<K: TransactionKind> Tx<K> {
    pub(super) const fn new(mdbx: tx::Tx<K>, environment: Environment) -> Self {
        Self { mdbx, environment }
    }

    /// Reads the value of `key`.
    pub(crate) fn get<T>(
        &self,
        table: Table,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Option<T>, StorageError> {
        let dbi = self.environment.database(table).dbi();
        let found = self.mdbx.get::<Cow<'_, [u8]>>(dbi, key);
        let Some(value) = found.map_err(|error| self.failed("read", error))? else {
            return Ok(None);
        };
        let content = checked(table, key, &value).and_then(read);
        content.map(Some).map_err(|reason| self.corrupt(table, key, reason))
    }

    /// The first row at or after `key`.
    pub(crate) fn seek(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StorageError> {
        let mut cursor = self.cursor(table)?;
        let found = cursor.set_range::<Cow<'_, [u8]>, Cow<'_, [u8]>>(key);
        self.own(table, found)
    }

    /// The last row before `key`.
    pub(crate) fn seek_before(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Row>, StorageError> {
        let mut cursor = self.cursor(table)?;
        let at = cursor.set_range::<Cow<'_, [u8]>, ()>(key);
        let found = match at.map_err(|error| self.failed("read", error))? {
            Some(_) => cursor.prev::<Cow<'_, [u8]>, Cow<'_, [u8]>>(),
            None => cursor.last::<Cow<'_, [u8]>, Cow<'_, [u8]>>(),
        };
        self.own(table, found)
    }

    /// Passes every row whose key begins with `prefix` to `visit`, in order.
    pub(crate) fn walk(
        &self,
        table: Table,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StorageError>,
    ) -> Result<(), StorageError> {
        let mut cursor = self.cursor(table)?;
        let mut found = cursor.set_range::<Cow<'_, [u8]>, Cow<'_, [u8]>>(prefix);
        while let Some((key, value)) = found.map_err(|error| self.failed("read", error))? {
            if !key.starts_with(prefix) {
                break;
            }
            let value =
                checked(table, &key, &value).map_err(|reason| self.corrupt(table, &key, reason))?;
            if visit(&key, value)?.is_break() {
                break;
            }
            found = cursor.next();
        }
        Ok(())
    }

    /// Counts the commits before it: equal for those that see the same.
    pub(super) fn id(&self) -> Result<u64, StorageError> {
        self.mdbx.id().map_err(|error| self.environment.error("begin to read", error))
    }

    /// The pages and rows of a table.
    pub(crate) fn stat(&self, table: Table) -> Result<Stat, StorageError> {
        let database = self.environment.database(table);
        self.mdbx.db_stat(&database).map_err(|error| self.environment.error("measure", error))
    }

    /// Damage to the row of `key`.
    pub(crate) fn corrupt(&self, table: Table, key: &[u8], reason: &str) -> StorageError {
        StorageError::Corrupt {
            path: self.environment.path().into(),
            reason: format!("table {}, key {}: {reason}", table.name(), hex::encode_prefixed(key)),
        }
    }

    fn cursor(&self, table: Table) -> Result<tx::Cursor<'_, K>, StorageError> {
        let cursor = self.mdbx.cursor(self.environment.database(table));
        cursor.map_err(|error| self.environment.error("open a cursor", error))
    }

    /// A row that was found, checked and copied.
    fn own(&self, table: Table, found: Found<'_>) -> Result<Option<Row>, StorageError> {
        let Some((key, value)) = found.map_err(|error| self.failed("read", error))? else {
            return Ok(None);
        };
        let content = checked(table, &key, &value);
        let content = content.map_err(|reason| self.corrupt(table, &key, reason))?;
        Ok(Some((key.into_owned(), content.to_vec())))
    }

    fn failed(&self, operation: &'static str, error: ReadError) -> StorageError {
        match error {
            ReadError::Mdbx(error) => self.environment.error(operation, error),
            ReadError::Decoding(error) => {
                StorageError::Database { operation, reason: error.to_string() }
            }
        }
    }
}

impl<K: TransactionKind + WriteMarker> Tx<K> {
    /// Sets the value of `key`.
    pub(crate) fn put(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        let database = self.environment.database(table);
        let result = if table.is_checksummed() {
            let mut checksummed = Vec::with_capacity(value.len() + CHECKSUM_BYTES);
            checksummed.extend_from_slice(value);
            checksummed.extend_from_slice(&checksum(table, key, value).to_le_bytes());
            self.mdbx.put(database, key, &checksummed, WriteFlags::empty())
        } else {
            self.mdbx.put(database, key, value, WriteFlags::empty())
        };
        result.map_err(|error| self.environment.error("write", error))
    }

    /// Removes the row of `key`, if there is one.
    pub(crate) fn delete(&self, table: Table, key: &[u8]) -> Result<(), StorageError> {
        let deleted = self.mdbx.del(self.environment.database(table), key, None);
        deleted.map(drop).map_err(|error| self.environment.error("delete", error))
    }

    /// Removes every row whose key begins with `prefix`.
    pub(crate) fn delete_prefix(&self, table: Table, prefix: &[u8]) -> Result<(), StorageError> {
        self.delete_range(table, prefix.to_vec(), successor(prefix).as_deref())
    }

    /// Removes every row from `from` on and before `until`, or the end.
    pub(crate) fn delete_range(
        &self,
        table: Table,
        mut from: Vec<u8>,
        until: Option<&[u8]>,
    ) -> Result<(), StorageError> {
        loop {
            let (keys, next) = self.keys(table, &from, until)?;
            for key in &keys {
                self.delete(table, key)?;
            }
            match next {
                Some(key) => from = key,
                None => return Ok(()),
            }
        }
    }

    /// Some keys of a range, and the key after them if there is one.
    fn keys(&self, table: Table, from: &[u8], until: Option<&[u8]>) -> Result<Keys, StorageError> {
        let mut keys = Vec::new();
        let mut cursor = self.cursor(table)?;
        let mut found = cursor.set_range::<Cow<'_, [u8]>, ()>(from);
        while let Some((key, ())) = found.map_err(|error| self.failed("read", error))? {
            if until.is_some_and(|until| key.as_ref() >= until) {
                break;
            }
            if keys.len() == DELETE_BATCH {
                return Ok((keys, Some(key.into_owned())));
            }
            keys.push(key.into_owned());
            found = cursor.next();
        }
        Ok((keys, None))
    }
}

/// The first byte string after all that begin with `prefix`; `None` if there is none.
pub(crate) fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut next = prefix.get(..=kept)?.to_vec();
    *next.last_mut()? += 1;
    Some(next)
}

impl Writer {
    /// Makes everything permanent.
    pub(crate) fn commit(self) -> Result<(), StorageError> {
        let Self { mdbx, environment } = self;
        RwTxUnsync::commit(mdbx).map_err(|error| environment.error("commit", error))
    }
}

// A reader must be usable from several threads.
const _: fn() = || {
    const fn assert_shared<T: Send + Sync>() {}
    assert_shared::<Reader>();
};

fn checksum(table: Table, key: &[u8], value: &[u8]) -> u32 {
    let seed = crc32c::crc32c(&[table as u8]);
    crc32c::crc32c_append(crc32c::crc32c_append(seed, key), value)
}

/// The value without its checksum.
fn checked<'a>(table: Table, key: &[u8], value: &'a [u8]) -> Result<&'a [u8], Malformed> {
    if !table.is_checksummed() {
        return Ok(value);
    }
    let (content, sum) = value.split_last_chunk().ok_or("the value has no checksum")?;
    if checksum(table, key, content) == u32::from_le_bytes(*sum) {
        Ok(content)
    } else {
        Err("the checksum does not match")
    }
}
