//! The transactions that must survive the end of the process, in a file.
//!
//! The file begins with two equal headers: the magic, a salt, and a checksum of both. Records
//! follow, each the marker, the length of the body (`u32`, little-endian), a checksum of the
//! length, a checksum of the body, and the body: the origin (one byte) and the transaction in its
//! network encoding. Checksums are the first 8 bytes of the keccak hash of the salt and what they
//! cover. The salt is why no transaction can hold bytes that look like a record to somebody who
//! searches a damaged file for the next good one.

use crate::{Origin, PoolError};
use alloy_primitives::keccak256;
use std::{
    collections::hash_map::RandomState,
    fs::{File, OpenOptions},
    hash::{BuildHasher, Hasher},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// No record has a longer body. A transaction with all blobs that fit into a block is smaller.
pub const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;

const MAGIC: [u8; 8] = *b"lkpool01";
const HEADER_BYTES: usize = 32;
pub(crate) const MARKER: [u8; 4] = [0xf5, b'T', b'x', 0x0a];
const RECORD_HEADER_BYTES: usize = 24;

/// A file is rewritten when it is larger than twice what it held last time, and this.
const SPARE_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes are read from the file in pieces of this size.
const READ_BYTES: usize = 256 * 1024;

pub(crate) type Salt = [u8; 16];

/// What was found in a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalReport {
    /// Transactions that are in the pool again.
    pub loaded: usize,
    /// Transactions that the pool does not take now, but may at another head: they stay in the
    /// journal and are tried again.
    pub waiting: usize,
    /// Transactions that were read, and that the pool does not take any more: most were included.
    pub rejected: usize,
    /// Stretches of the file, before its last record, that hold no good record.
    pub damaged: usize,
    /// Their bytes.
    pub damaged_bytes: u64,
    /// Bytes after the last good record: of one that was being written when the process ended.
    /// It was never acknowledged.
    pub torn_bytes: u64,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Held as long as the journal is open.
    _lock: File,
    salt: Salt,
    bytes: u64,
    rewrite_above: u64,
}

impl Journal {
    /// Opens the journal at `path`, passes every good record to `each`, oldest first, and counts
    /// the others.
    ///
    /// The journal must be rewritten with what is to be kept before anything is appended.
    pub(crate) fn open(
        path: &Path,
        each: impl FnMut(Origin, &[u8]) -> bool,
    ) -> Result<(Self, JournalReport), PoolError> {
        let failed = |operation| move |source| error(operation, path, source);
        let lock_path = path.with_added_extension("lock");
        let lock = OpenOptions::new().create(true).append(true).open(&lock_path);
        let lock = lock.map_err(|source| error("open", &lock_path, source))?;
        lock.try_lock().map_err(|source| error("lock", &lock_path, source.into()))?;
        let file = OpenOptions::new().create(true).read(true).append(true).open(path);
        let mut file = file.map_err(failed("open"))?;
        let report = replay(&mut file, each).map_err(failed("read"))?;
        let bytes = file.metadata().map_err(failed("read"))?.len();
        let path = path.to_path_buf();
        let (salt, rewrite_above) = (new_salt(), u64::MAX);
        Ok((Self { path, file, _lock: lock, salt, bytes, rewrite_above }, report))
    }

    /// Appends a transaction with one write, so that the file has it when this returns, whatever
    /// then happens to the process.
    pub(crate) fn append(&mut self, origin: Origin, encoded: &[u8]) -> Result<(), PoolError> {
        let record = record(&self.salt, origin, encoded);
        let written = self.file.write_all(&record);
        if let Err(source) = written {
            // What was written of it would stand between good records. If it cannot be cut off,
            // it is skipped when the file is read.
            let _ = self.file.set_len(self.bytes);
            return Err(error("append", &self.path, source));
        }
        self.bytes += record.len() as u64;
        Ok(())
    }

    /// Whether most of the file may be about transactions that are gone.
    pub(crate) const fn wants_rewrite(&self) -> bool {
        self.bytes > self.rewrite_above
    }

    /// Replaces the file by one that holds these transactions. If that fails, the old one stays.
    pub(crate) fn rewrite(
        &mut self,
        transactions: impl Iterator<Item = (Origin, Vec<u8>)>,
    ) -> Result<(), PoolError> {
        let written = self.write_anew(transactions);
        // After a failure (a full disk) not at each append again.
        self.rewrite_above = self.bytes.saturating_mul(2).saturating_add(SPARE_BYTES);
        written
    }

    fn write_anew(
        &mut self,
        transactions: impl Iterator<Item = (Origin, Vec<u8>)>,
    ) -> Result<(), PoolError> {
        let path = self.path.with_added_extension("new");
        let failed = |operation| {
            let path = &path;
            move |source| error(operation, path, source)
        };
        let salt = new_salt();
        let mut bytes = 0;
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(error("remove", &path, source));
            }
            // It was left by a rewrite that did not come to its end.
            Ok(()) | Err(_) => {}
        }
        let file = OpenOptions::new().create_new(true).append(true).open(&path);
        let mut file = file.map_err(failed("create"))?;
        let records = transactions.map(|(origin, encoded)| record(&salt, origin, &encoded));
        for part in std::iter::once(headers(&salt)).chain(records) {
            file.write_all(&part).map_err(failed("write"))?;
            bytes += part.len() as u64;
        }
        file.sync_all().map_err(failed("sync"))?;
        std::fs::rename(&path, &self.path).map_err(failed("rename"))?;
        // From here on nothing may fail: the old file has no name any more, and what would be
        // appended to it would be lost.
        self.file = file;
        self.salt = salt;
        self.bytes = bytes;
        if let Err(error) = sync_parent(&self.path) {
            tracing::warn!(%error, file = %self.path.display(), "folder of the transaction journal was not synced; after a loss of power the old one may be back");
        }
        Ok(())
    }
}

/// Makes a rename durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    // A folder can be opened as a file on Unix only.
    if !cfg!(unix) {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn error(operation: &'static str, path: &Path, source: io::Error) -> PoolError {
    PoolError::Journal { operation, path: path.to_path_buf(), source }
}

/// A salt that nobody who sends transactions knows.
fn new_salt() -> Salt {
    let random = || RandomState::new().build_hasher().finish().to_le_bytes();
    let mut salt = Salt::default();
    let (left, right) = salt.split_at_mut(8);
    left.copy_from_slice(&random());
    right.copy_from_slice(&random());
    salt
}

fn checksum(salt: &Salt, covered: &[u8]) -> [u8; 8] {
    let hash = keccak256([salt, covered].concat());
    hash.first_chunk().copied().unwrap_or_default()
}

pub(crate) fn headers(salt: &Salt) -> Vec<u8> {
    let header = [&MAGIC[..], salt, &checksum(salt, &MAGIC)].concat();
    header.repeat(2)
}

pub(crate) fn record(salt: &Salt, origin: Origin, encoded: &[u8]) -> Vec<u8> {
    let body = [&[origin.to_byte()], encoded].concat();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut record = Vec::with_capacity(RECORD_HEADER_BYTES + body.len());
    record.extend_from_slice(&MARKER);
    record.extend_from_slice(&length);
    record.extend_from_slice(&checksum(salt, &length));
    record.extend_from_slice(&checksum(salt, &body));
    record.extend_from_slice(&body);
    record
}

/// Reads all good records; `each` says whether it took one.
pub(crate) fn replay(
    source: &mut impl Read,
    mut each: impl FnMut(Origin, &[u8]) -> bool,
) -> io::Result<JournalReport> {
    let mut window = Window { source, bytes: Vec::new(), begin: 0 };
    let mut report = JournalReport::default();
    let Some(salt) = window.read_salt()? else {
        // Without the salt no record can be told from a forged one.
        report.torn_bytes = window.skip_all()?;
        return Ok(report);
    };
    let mut skipped = 0;
    loop {
        if let Some((origin, body, length)) = window.good_record(&salt)? {
            if each(origin, body) {
                report.loaded += 1;
            } else {
                report.rejected += 1;
            }
            window.begin += length;
            report.damaged += usize::from(skipped > 0);
            report.damaged_bytes += skipped;
            skipped = 0;
        } else {
            match window.skip_to_marker()? {
                0 => break,
                bytes => skipped += bytes,
            }
        }
    }
    report.torn_bytes = skipped;
    Ok(report)
}

/// The part of the file that is in memory.
struct Window<'a, R> {
    source: &'a mut R,
    bytes: Vec<u8>,
    begin: usize,
}

impl<R: Read> Window<'_, R> {
    /// Up to `count` bytes from the current place on; fewer at the end of the file.
    fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.begin > 4 * READ_BYTES {
            self.bytes.drain(..self.begin);
            self.begin = 0;
        }
        let missing = (self.begin + count).saturating_sub(self.bytes.len());
        if missing > 0 {
            let wanted = missing.max(READ_BYTES) as u64;
            self.source.by_ref().take(wanted).read_to_end(&mut self.bytes)?;
        }
        let rest = self.bytes.get(self.begin..).unwrap_or_default();
        Ok(rest.get(..count).unwrap_or(rest))
    }

    /// The salt, from whichever header is good.
    fn read_salt(&mut self) -> io::Result<Option<Salt>> {
        let headers = self.peek(2 * HEADER_BYTES)?;
        let salt = headers.chunks_exact(HEADER_BYTES).find_map(|header| {
            let (magic, rest) = header.split_first_chunk::<8>()?;
            let (salt, check) = rest.split_first_chunk::<16>()?;
            (*magic == MAGIC && *check == checksum(salt, &MAGIC)).then_some(*salt)
        });
        if salt.is_some() {
            self.begin += headers_len(self.bytes.len());
        }
        Ok(salt)
    }

    /// The record that begins here, if it is good: its origin, the transaction, and its length.
    fn good_record(&mut self, salt: &Salt) -> io::Result<Option<(Origin, &[u8], usize)>> {
        let header = self.peek(RECORD_HEADER_BYTES)?;
        let Some((length, body_check)) = parse_record_header(salt, header) else { return Ok(None) };
        let whole = RECORD_HEADER_BYTES + length;
        let record = self.peek(whole)?;
        let Some(body) = record.get(RECORD_HEADER_BYTES..whole) else { return Ok(None) };
        if checksum(salt, body) != body_check {
            return Ok(None);
        }
        let record = body.split_first().and_then(|(origin, tx)| {
            let origin = Origin::from_byte(*origin)?;
            Some((origin, tx, whole))
        });
        Ok(record)
    }

    /// Goes on to the next marker, or to the end; returns how many bytes that is.
    fn skip_to_marker(&mut self) -> io::Result<u64> {
        let mut skipped = 0;
        loop {
            let ahead = self.peek(READ_BYTES)?;
            let Some(after) = ahead.get(1..) else { return Ok(skipped) };
            let found = after.windows(MARKER.len()).position(|window| window == MARKER);
            let step = match found {
                Some(at) => at + 1,
                // A marker may be cut in two by the end of the window.
                None if ahead.len() > MARKER.len() && ahead.len() == READ_BYTES => {
                    ahead.len() - MARKER.len()
                }
                None => ahead.len(),
            };
            self.begin += step;
            skipped += step as u64;
            if found.is_some() {
                return Ok(skipped);
            }
        }
    }

    fn skip_all(&mut self) -> io::Result<u64> {
        let mut skipped = 0;
        loop {
            let step = self.peek(READ_BYTES)?.len();
            if step == 0 {
                return Ok(skipped);
            }
            self.begin += step;
            skipped += step as u64;
        }
    }
}

/// A file that ends within the headers has no records.
fn headers_len(read: usize) -> usize {
    read.min(2 * HEADER_BYTES)
}

fn parse_record_header(salt: &Salt, header: &[u8]) -> Option<(usize, [u8; 8])> {
    let (marker, rest) = header.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (length_check, rest) = rest.split_first_chunk::<8>()?;
    let body_check = *rest.first_chunk::<8>()?;
    if *marker != MARKER || *length_check != checksum(salt, length) {
        return None;
    }
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    (length <= MAX_RECORD_BYTES).then_some((length, body_check))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(bodies: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let salt = new_salt();
        let mut file = headers(&salt);
        let mut ends = Vec::new();
        for body in bodies {
            file.extend(record(&salt, Origin::Local, body));
            ends.push(file.len());
        }
        (file, ends)
    }

    fn read(mut file: &[u8]) -> (Vec<Vec<u8>>, JournalReport) {
        let mut bodies = Vec::new();
        let report = replay(&mut file, |_, body| {
            bodies.push(body.to_vec());
            true
        });
        (bodies, report.unwrap())
    }

    fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
        // Bodies with markers in them, and one that is longer than what is read at once.
        let body = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            Just([&MARKER[..], &[0; 40]].concat()),
            Just(vec![7; READ_BYTES + 3]),
        ];
        proptest::collection::vec(body, 1..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_was_written_is_read(bodies in bodies()) {
            let (file, _) = file(&bodies);
            let report = JournalReport { loaded: bodies.len(), ..Default::default() };
            prop_assert_eq!(read(&file), (bodies, report));
        }

        /// Wherever the process ended, every record that was whole is read, and nothing else.
        #[test]
        fn a_torn_tail_costs_what_was_torn(bodies in bodies(), cut: prop::sample::Index) {
            let (file, ends) = file(&bodies);
            let cut = cut.index(file.len() + 1);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let (got, report) = read(&file[..cut]);
            prop_assert_eq!(&got, &bodies[..whole]);
            prop_assert_eq!((report.loaded, report.damaged), (whole, 0));
            let begin = ends[..whole].last().copied().unwrap_or(2 * HEADER_BYTES);
            if cut > 2 * HEADER_BYTES {
                prop_assert_eq!(report.torn_bytes, (cut - begin) as u64);
            }
        }

        /// A flipped bit costs the record that it is in, and is counted.
        #[test]
        fn a_flipped_bit_costs_one_record(bodies in bodies(), at: prop::sample::Index, bit in 0..8u8) {
            let (mut file, ends) = file(&bodies);
            let at = at.index(file.len());
            file[at] ^= 1u8 << bit;
            let (got, report) = read(&file);
            if at < 2 * HEADER_BYTES {
                // The other header is good.
                prop_assert_eq!(got, bodies);
                return Ok(());
            }
            let hit = ends.iter().filter(|end| **end <= at).count();
            let mut expected = bodies.clone();
            expected.remove(hit);
            prop_assert_eq!(got, expected);
            let last = hit + 1 == bodies.len();
            prop_assert_eq!(report.damaged, usize::from(!last));
            prop_assert_eq!(report.torn_bytes > 0, last);
        }

        #[test]
        fn anything_is_read_to_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (bodies, report) = read(&bytes);
            prop_assert!(bodies.is_empty());
            prop_assert_eq!(report.torn_bytes, bytes.len() as u64);
        }
    }

    #[test]
    fn without_any_header_nothing_is_believed() {
        let (mut file, _) = file(&[vec![1, 2, 3]]);
        file[0] ^= 1;
        file[HEADER_BYTES] ^= 1;
        let (bodies, report) = read(&file);
        assert_eq!((bodies.len(), report.torn_bytes), (0, file.len() as u64));
    }

    /// `/dev/full` takes no byte, as a full disk.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let open = || OpenOptions::new().append(true).open("/dev/full").unwrap();
        let mut journal = Journal {
            path: "/dev/full".into(),
            file: open(),
            _lock: open(),
            salt: new_salt(),
            bytes: 0,
            rewrite_above: 0,
        };
        let error = journal.append(Origin::Local, &[1]).unwrap_err();
        assert!(error.is_internal(), "{error}");
        assert_eq!(journal.bytes, 0);
    }
}
