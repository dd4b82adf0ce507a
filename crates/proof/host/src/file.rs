//! A witness in a single file. The format is described in the documentation of the crate.

use crate::{Entry, EntryKey, HostError, Witness, directory::open_file, store::ENTRY_BYTES};
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

/// The largest witness that is read, in bytes: of its file, and of its entries with what keeping them in
/// memory costs.
pub const MAX_WITNESS_BYTES: u64 = 8 << 30;

const LOCAL: u8 = PreimageKind::Local as u8;
const KECCAK256: u8 = PreimageKind::Keccak256 as u8;
const SHA256: u8 = PreimageKind::Sha256 as u8;
const BLOB: u8 = PreimageKind::Blob as u8;

/// Writes a witness. The file is there when all of it is on disk, or not at all.
///
/// # Errors
/// [`HostError::File`] if it cannot be written.
pub fn write_witness(path: &Path, witness: &Witness) -> Result<(), HostError> {
    let write = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".new").tempfile_in(folder)?;
        encode_witness(BufWriter::new(file.as_file_mut()), witness)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error: io::Error| HostError::File { path: path.to_owned(), error })
}

/// Writes a witness anywhere, and flushes.
///
/// # Errors
/// When the output cannot be written.
pub fn encode_witness(output: impl Write, witness: &Witness) -> io::Result<()> {
    let mut output = Hashing { inner: output, hasher: Sha256::new() };
    output.write_all(MAGIC)?;
    output.write_all(&VERSION.to_be_bytes())?;
    let count = witness.locals.len() + witness.entries.len();
    output.write_all(&(count as u64).to_be_bytes())?;
    for (number, value) in &witness.locals {
        output.write_all(&[LOCAL])?;
        output.write_all(&number.to_be_bytes())?;
        output.write_value(value)?;
    }
    let mut sorted: Vec<&Entry> = witness.entries.iter().collect();
    sorted.sort_by_key(|entry| entry.key());
    for entry in sorted {
        match entry.key() {
            EntryKey::Blob(hash) => {
                output.write_all(&[BLOB])?;
                output.write_all(hash.as_slice())?;
            }
            EntryKey::Preimage(key) => {
                output.write_all(&[key.kind() as u8])?;
            }
        }
        output.write_value(entry.value())?;
    }
    let hash = output.hasher.clone().finalize();
    output.inner.write_all(&hash)?;
    output.inner.flush()
}

/// Reads a witness, and checks all of it.
///
/// # Errors
/// [`HostError::Corrupt`] if it is damaged or none; [`HostError::File`] if it cannot be read.
pub fn read_witness(path: &Path) -> Result<Witness, HostError> {
    let failed = |error| HostError::File { path: path.to_owned(), error };
    let (file, found) = open_file(path).map_err(failed)?;
    if found > MAX_WITNESS_BYTES {
        return Err(HostError::Limit { what: "a witness", found, limit: MAX_WITNESS_BYTES });
    }
    decode_witness(BufReader::new(file).take(MAX_WITNESS_BYTES), path, MAX_WITNESS_BYTES)
}

/// Reads a witness from anywhere, at most `max_bytes` of entries as [`MAX_WITNESS_BYTES`] counts them, and
/// checks all of it. Errors call it `path`.
///
/// # Errors
/// As [`read_witness`]; [`HostError::Limit`] if it holds more.
pub fn decode_witness(input: impl Read, path: &Path, max_bytes: u64) -> Result<Witness, HostError> {
    read_from(input, max_bytes).map_err(|error| match error {
        ReadError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            HostError::File { path: path.to_owned(), error }
        }
        ReadError::Io(_) => HostError::Corrupt { path: path.to_owned(), reason: "is cut".into() },
        ReadError::Corrupt(reason) => HostError::Corrupt { path: path.to_owned(), reason },
        ReadError::TooMuch(found) => {
            HostError::Limit { what: "the entries of a witness", found, limit: max_bytes }
        }
    })
}

#[derive(Debug)]
enum ReadError {
    Io(io::Error),
    Corrupt(String),
    TooMuch(u64),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads a witness from any bytes.
fn read_from(input: impl Read, max_bytes: u64) -> Result<Witness, ReadError> {
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
    let mut witness = Witness::default();
    let mut bytes = 0_u64;
    for index in 0..count {
        let content = read_content(&mut input)?;
        let content =
            content.map_err(|reason| ReadError::Corrupt(format!("entry {index}: {reason}")))?;
        bytes = bytes.saturating_add(content.value().len() as u64 + ENTRY_BYTES);
        if bytes > max_bytes {
            return Err(ReadError::TooMuch(bytes));
        }
        if !content.put_behind(&mut witness) {
            return corrupt(format!("entry {index} is out of order"));
        }
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
    Ok(witness)
}

/// What one entry of a file holds.
enum Content {
    Local(u64, Bytes),
    Entry(Entry),
}

impl Content {
    const fn value(&self) -> &Bytes {
        match self {
            Self::Local(_, value) => value,
            Self::Entry(entry) => entry.value(),
        }
    }

    /// `false` if it belongs before what is there: keys are in order, and there once.
    fn put_behind(self, witness: &mut Witness) -> bool {
        let Witness { locals, entries } = witness;
        match self {
            Self::Local(number, value) => {
                let last = locals.last_key_value();
                if !entries.is_empty() || last.is_some_and(|(last, _)| *last >= number) {
                    return false;
                }
                locals.insert(number, value);
            }
            Self::Entry(entry) => {
                if entries.last().is_some_and(|last| last.key() >= entry.key()) {
                    return false;
                }
                entries.push(entry);
            }
        }
        true
    }
}

fn read_content<R: Read>(input: &mut Hashing<R>) -> io::Result<Result<Content, String>> {
    let [kind] = input.take()?;
    let number = if kind == LOCAL { u64::from_be_bytes(input.take()?) } else { 0 };
    let hash = if kind == BLOB { B256::from(input.take()?) } else { B256::ZERO };
    let length = u32::from_be_bytes(input.take()?);
    if u64::from(length) > MAX_PREIMAGE_BYTES {
        return Ok(Err(format!("{length} bytes, the limit is {MAX_PREIMAGE_BYTES}")));
    }
    let value = input.bytes(length)?;
    let entry = match kind {
        LOCAL => return Ok(Ok(Content::Local(number, value))),
        KECCAK256 => Ok(Entry::keccak256(value)),
        SHA256 => {
            let key = PreimageKey::of_preimage(PreimageKind::Sha256, &value);
            let key = key.ok_or_else(|| "no key".to_owned());
            key.and_then(|key| Entry::checked(EntryKey::Preimage(key), value))
        }
        BLOB => Entry::checked(EntryKey::Blob(hash), value),
        other => Err(format!("{other} is no kind of entry")),
    };
    Ok(entry.map(Content::Entry))
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

    fn write_value(&mut self, value: &[u8]) -> io::Result<()> {
        let length = u32::try_from(value.len())
            .map_err(|_| io::Error::other("a value of more than 4 GiB"))?;
        self.write_all(&length.to_be_bytes())?;
        self.write_all(value)
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

    fn witness() -> Witness {
        let entries =
            vec![Entry::keccak256(Bytes::from_static(b"a node")), Entry::keccak256(Bytes::new())];
        let locals = [(6, Bytes::new()), (1, Bytes::from_static(b"a head"))].into();
        Witness { locals, entries }
    }

    fn written(witness: &Witness) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_witness(&mut bytes, witness).expect("memory takes it");
        bytes
    }

    fn sorted(mut witness: Witness) -> Witness {
        witness.entries.sort_by_key(Entry::key);
        witness
    }

    fn read(bytes: &[u8]) -> Result<Witness, ReadError> {
        read_from(bytes, MAX_WITNESS_BYTES)
    }

    #[test]
    fn a_witness_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/1-2.witness");
        for witness in [witness(), Witness::default()] {
            write_witness(&path, &witness).unwrap();
            assert_eq!(read_witness(&path).unwrap(), sorted(witness));
        }
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let absent = read_witness(&folder.path().join("absent"));
        assert!(matches!(absent, Err(HostError::File { .. })));
        // A folder, as a pipe, is no file: nothing is waited for.
        assert!(matches!(read_witness(folder.path()), Err(HostError::File { .. })));
    }

    #[test]
    fn small_entries_count_with_what_keeping_them_costs() {
        let entries = (0..100_u8).map(|byte| Entry::keccak256(vec![byte].into())).collect();
        let bytes = written(&Witness { entries, ..Witness::default() });
        let fits = 100 * (ENTRY_BYTES + 1);
        assert!(read_from(bytes.as_slice(), fits).is_ok());
        let error = decode_witness(bytes.as_slice(), Path::new("a"), fits - 1).unwrap_err();
        assert!(matches!(error, HostError::Limit { found, .. } if found == fits), "{error}");
    }

    #[test]
    fn local_values_come_first_and_in_order() {
        let content = |number: u8| {
            let mut bytes = vec![LOCAL];
            bytes.extend(u64::from(number).to_be_bytes());
            bytes.extend([0, 0, 0, 0]);
            bytes
        };
        let framed = |contents: &[Vec<u8>]| {
            let mut bytes = [MAGIC.as_slice(), &VERSION.to_be_bytes()].concat();
            bytes.extend((contents.len() as u64).to_be_bytes());
            bytes.extend(contents.concat());
            let checksum = Sha256::digest(&bytes);
            [bytes, checksum.to_vec()].concat()
        };
        assert!(read(&framed(&[content(1), content(2)])).is_ok());
        let entry = vec![KECCAK256, 0, 0, 0, 0];
        assert!(read(&framed(&[content(1), entry.clone()])).is_ok());
        for contents in [[content(2), content(1)], [content(1), content(1)], [entry, content(1)]] {
            let Err(ReadError::Corrupt(reason)) = read(&framed(&contents)) else {
                panic!("{contents:?} was read");
            };
            assert_eq!(reason, "entry 1 is out of order");
        }
    }

    #[test]
    fn the_format_stays_as_it_is() {
        let locals = [(7, Bytes::from_static(b"x"))].into();
        let bytes = written(&Witness { locals, ..Witness::default() });
        let (content, checksum) = bytes.split_last_chunk::<32>().unwrap();
        let mut expected = b"LSTEPWIT\0\0\0\x01\0\0\0\0\0\0\0\x01".to_vec();
        expected.extend(b"\x01\0\0\0\0\0\0\0\x07\0\0\0\x01x");
        assert_eq!(content, expected);
        assert_eq!(*checksum, <[u8; HASH_BYTES]>::from(Sha256::digest(&expected)));
    }

    #[test]
    fn a_cut_lengthened_or_changed_witness_is_refused() {
        let whole = written(&witness());
        assert!(read(&whole).is_ok());
        for cut in 0..whole.len() {
            assert!(read(whole.get(..cut).unwrap()).is_err(), "cut at {cut}");
        }
        assert!(read(&[whole.as_slice(), &[0]].concat()).is_err());
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            *changed.get_mut(at).unwrap() ^= 1;
            assert!(read(&changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn an_announced_length_costs_no_memory() {
        let mut bytes = b"LSTEPWIT\0\0\0\x01".to_vec();
        bytes.extend(u64::MAX.to_be_bytes());
        bytes.extend([KECCAK256, 0x03, 0xff, 0xff, 0xff]);
        assert!(matches!(read(&bytes), Err(ReadError::Io(_))));
        let end = bytes.len();
        bytes.get_mut(end - 4..).unwrap().fill(0xff);
        assert!(matches!(read(&bytes), Err(ReadError::Corrupt(_))));
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
            let witness = Witness { entries, ..Witness::default() };
            prop_assert_eq!(read(&written(&witness)).expect("it is whole"), witness);
            prop_assert!(read(&garbage).is_err());
            let framed = [MAGIC.as_slice(), &VERSION.to_be_bytes(), &garbage].concat();
            prop_assert!(read(&framed).is_err());
        }
    }
}
