//! A witness in a single file. The format is described in the documentation of the crate.

use crate::{Entry, EntryKey, HostError};
use alloy_primitives::{B256, Bytes};
use lockstep_preimage::{MAX_PREIMAGE_BYTES, PreimageKey, PreimageKind};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
};

const MAGIC: &[u8; 8] = b"LSTEPWIT";
const VERSION: u32 = 1;
const HASH_BYTES: usize = 32;

/// The largest witness file that is read, in bytes.
pub const MAX_WITNESS_BYTES: u64 = 8 << 30;

const LOCAL: u8 = PreimageKind::Local as u8;
const KECCAK256: u8 = PreimageKind::Keccak256 as u8;
const SHA256: u8 = PreimageKind::Sha256 as u8;
const BLOB: u8 = PreimageKind::Blob as u8;

/// Writes a witness. The file is there when all of it is on disk, or not at all.
///
/// # Errors
/// [`HostError::File`] if it cannot be written.
pub fn write_witness(path: &Path, entries: &[Entry]) -> Result<(), HostError> {
    let write = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".new").tempfile_in(folder)?;
        write_to(BufWriter::new(file.as_file_mut()), entries)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error: io::Error| HostError::File { path: path.to_owned(), error })
}

fn write_to(output: impl Write, entries: &[Entry]) -> io::Result<()> {
    let mut output = Hashing { inner: output, hasher: Sha256::new() };
    output.write_all(MAGIC)?;
    output.write_all(&VERSION.to_be_bytes())?;
    output.write_all(&(entries.len() as u64).to_be_bytes())?;
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by_key(|entry| entry.key());
    for entry in sorted {
        match entry.key() {
            EntryKey::Blob(hash) => {
                output.write_all(&[BLOB])?;
                output.write_all(hash.as_slice())?;
            }
            EntryKey::Preimage(key) => {
                output.write_all(&[key.kind() as u8])?;
                if key.kind() == PreimageKind::Local {
                    let key = key.to_bytes();
                    output.write_all(key.last_chunk::<8>().unwrap_or(&[0; 8]))?;
                }
            }
        }
        let length = u32::try_from(entry.value().len())
            .map_err(|_| io::Error::other("a value of more than 4 GiB"))?;
        output.write_all(&length.to_be_bytes())?;
        output.write_all(entry.value())?;
    }
    let hash = output.hasher.clone().finalize();
    output.inner.write_all(&hash)?;
    output.inner.flush()
}

/// Reads a witness, and checks all of it.
///
/// # Errors
/// [`HostError::Corrupt`] if it is damaged or none; [`HostError::File`] if it cannot be read.
pub fn read_witness(path: &Path) -> Result<Vec<Entry>, HostError> {
    let failed = |error| HostError::File { path: path.to_owned(), error };
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?.len();
    if found > MAX_WITNESS_BYTES {
        return Err(HostError::Limit { what: "a witness", found, limit: MAX_WITNESS_BYTES });
    }
    read_from(BufReader::new(file).take(MAX_WITNESS_BYTES)).map_err(|error| match error {
        ReadError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => failed(error),
        ReadError::Io(_) => HostError::Corrupt { path: path.to_owned(), reason: "is cut".into() },
        ReadError::Corrupt(reason) => HostError::Corrupt { path: path.to_owned(), reason },
    })
}

#[derive(Debug)]
enum ReadError {
    Io(io::Error),
    Corrupt(String),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads a witness from any bytes.
fn read_from(input: impl Read) -> Result<Vec<Entry>, ReadError> {
    let corrupt = |reason: String| Err(ReadError::Corrupt(reason));
    let mut input = Hashing { inner: input, hasher: Sha256::new() };
    if &input.take::<8>()? != MAGIC {
        return corrupt("is no witness".to_owned());
    }
    let version = u32::from_be_bytes(input.take()?);
    if version != VERSION {
        return corrupt(format!("has version {version}, this program reads version {VERSION}"));
    }
    let count = u64::from_be_bytes(input.take()?);
    let mut entries = Vec::new();
    for index in 0..count {
        let entry = read_entry(&mut input)?;
        let entry =
            entry.map_err(|reason| ReadError::Corrupt(format!("entry {index}: {reason}")))?;
        if entries.last().is_some_and(|last: &Entry| last.key() >= entry.key()) {
            return corrupt(format!("entry {index} is out of order"));
        }
        entries.push(entry);
    }
    let expected: [u8; HASH_BYTES] = input.hasher.clone().finalize().into();
    let mut found = [0; HASH_BYTES];
    input.inner.read_exact(&mut found)?;
    if expected != found {
        return corrupt("its checksum is wrong".to_owned());
    }
    if input.inner.read(&mut [0])? != 0 {
        return corrupt("goes on behind its end".to_owned());
    }
    Ok(entries)
}

fn read_entry<R: Read>(input: &mut Hashing<R>) -> io::Result<Result<Entry, String>> {
    let [kind] = input.take()?;
    let number = if kind == LOCAL { u64::from_be_bytes(input.take()?) } else { 0 };
    let hash = if kind == BLOB { B256::from(input.take()?) } else { B256::ZERO };
    let length = u32::from_be_bytes(input.take()?);
    if u64::from(length) > MAX_PREIMAGE_BYTES {
        return Ok(Err(format!("{length} bytes, the limit is {MAX_PREIMAGE_BYTES}")));
    }
    let value = input.bytes(length)?;
    Ok(match kind {
        LOCAL => Ok(Entry::local(number, value)),
        KECCAK256 => Ok(Entry::keccak256(value)),
        SHA256 => {
            let key = PreimageKey::of_preimage(PreimageKind::Sha256, &value);
            let key = key.ok_or_else(|| "no key".to_owned());
            key.and_then(|key| Entry::checked(EntryKey::Preimage(key), value))
        }
        BLOB => Entry::checked(EntryKey::Blob(hash), value),
        other => Err(format!("{other} is no kind of entry")),
    })
}

/// Hashes what passes.
struct Hashing<T> {
    inner: T,
    hasher: Sha256,
}

impl<W: Write> Hashing<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.inner.write_all(bytes)
    }
}

impl<R: Read> Hashing<R> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        self.hasher.update(bytes);
        Ok(bytes)
    }

    /// Memory grows with what is there, not with what was announced.
    fn bytes(&mut self, length: u32) -> io::Result<Bytes> {
        let mut bytes = Vec::new();
        let read = (&mut self.inner).take(length.into()).read_to_end(&mut bytes)?;
        if read < length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hasher.update(&bytes);
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries() -> Vec<Entry> {
        vec![
            Entry::local(1, Bytes::from_static(b"a head")),
            Entry::local(6, Bytes::new()),
            Entry::keccak256(Bytes::from_static(b"a node")),
            Entry::keccak256(Bytes::new()),
        ]
    }

    fn written(entries: &[Entry]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_to(&mut bytes, entries).expect("memory takes it");
        bytes
    }

    fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
        entries.sort_by_key(Entry::key);
        entries
    }

    #[test]
    fn a_witness_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/1-2.witness");
        for entries in [entries(), Vec::new()] {
            write_witness(&path, &entries).unwrap();
            assert_eq!(read_witness(&path).unwrap(), sorted(entries));
        }
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let absent = read_witness(&folder.path().join("absent"));
        assert!(matches!(absent, Err(HostError::File { .. })));
    }

    #[test]
    fn the_format_stays_as_it_is() {
        let bytes = written(&[Entry::local(7, Bytes::from_static(b"x"))]);
        let (content, checksum) = bytes.split_last_chunk::<32>().unwrap();
        let mut expected = b"LSTEPWIT\0\0\0\x01\0\0\0\0\0\0\0\x01".to_vec();
        expected.extend(b"\x01\0\0\0\0\0\0\0\x07\0\0\0\x01x");
        assert_eq!(content, expected);
        assert_eq!(*checksum, <[u8; HASH_BYTES]>::from(Sha256::digest(&expected)));
    }

    #[test]
    fn a_cut_lengthened_or_changed_witness_is_refused() {
        let whole = written(&entries());
        assert!(read_from(whole.as_slice()).is_ok());
        for cut in 0..whole.len() {
            assert!(read_from(whole.get(..cut).unwrap()).is_err(), "cut at {cut}");
        }
        assert!(read_from([whole.as_slice(), &[0]].concat().as_slice()).is_err());
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            *changed.get_mut(at).unwrap() ^= 1;
            assert!(read_from(changed.as_slice()).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn an_announced_length_costs_no_memory() {
        let mut bytes = b"LSTEPWIT\0\0\0\x01".to_vec();
        bytes.extend(u64::MAX.to_be_bytes());
        bytes.extend([KECCAK256, 0x03, 0xff, 0xff, 0xff]);
        assert!(matches!(read_from(bytes.as_slice()), Err(ReadError::Io(_))));
        let end = bytes.len();
        bytes.get_mut(end - 4..).unwrap().fill(0xff);
        assert!(matches!(read_from(bytes.as_slice()), Err(ReadError::Corrupt(_))));
    }

    proptest! {
        #[test]
        fn any_entries_survive_and_any_bytes_are_refused(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20),
            garbage in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut entries: Vec<Entry> =
                values.into_iter().map(|value| Entry::keccak256(value.into())).collect();
            entries.sort_by_key(Entry::key);
            entries.dedup();
            prop_assert_eq!(read_from(written(&entries).as_slice()).expect("it is whole"), entries);
            prop_assert!(read_from(garbage.as_slice()).is_err());
            let framed = [MAGIC.as_slice(), &VERSION.to_be_bytes(), &garbage].concat();
            prop_assert!(read_from(framed.as_slice()).is_err());
        }
    }
}
