//! Pre-images in a folder, a file each.

use crate::{Entry, EntryKey, HostError, Store};
use alloy_primitives::{Bytes, hex};
use lockstep_preimage::MAX_PREIMAGE_BYTES;
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Keeps entries in a folder. One folder can serve many runs: what hashes stand for is the same in
/// all of them.
///
/// A pre-image is the file `<first two bytes of the key>/<key>` in hexadecimal, a blob
/// `blob/<versioned hash>`. A file that is damaged, as by a power cut, is as good as missing: it is told
/// in a warning, and replaced when the pre-image comes again.
#[derive(Debug)]
pub struct DirectoryStore {
    folder: PathBuf,
    bytes: AtomicU64,
    max_bytes: u64,
}

impl DirectoryStore {
    /// Opens a folder, which is made if it is not there, for at most `max_bytes` of files.
    ///
    /// # Errors
    /// [`HostError::File`] if it cannot be made or listed.
    pub fn open(folder: impl Into<PathBuf>, max_bytes: u64) -> Result<Self, HostError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let bytes = AtomicU64::new(bytes_in(&folder)?);
        Ok(Self { folder, bytes, max_bytes })
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A damaged file may be longer than what was written.
    fn subtract(&self, bytes: u64) {
        let less = |sum: u64| Some(sum.saturating_sub(bytes));
        let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn path(&self, key: &EntryKey) -> PathBuf {
        match key {
            EntryKey::Preimage(key) => {
                let name = hex::encode(key.to_bytes());
                // Keys of one kind begin alike; their second byte spreads them.
                let group = name.get(..4).unwrap_or_default();
                self.folder.join(group).join(&name)
            }
            EntryKey::Blob(hash) => self.folder.join("blob").join(hex::encode(hash)),
        }
    }

    fn read(&self, key: &EntryKey, path: &Path) -> io::Result<Result<Bytes, String>> {
        let (file, bytes) = open_file(path)?;
        if bytes > MAX_PREIMAGE_BYTES {
            return Ok(Err(format!("larger than {MAX_PREIMAGE_BYTES} bytes")));
        }
        let mut bytes = Vec::new();
        file.take(MAX_PREIMAGE_BYTES).read_to_end(&mut bytes)?;
        Ok(Entry::checked(*key, bytes.into()).map(|entry| entry.value().clone()))
    }

    fn write(&self, path: &Path, entry: &Entry) -> io::Result<u64> {
        let group = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(group)?;
        // A file has its name only when all of it is there.
        let mut file = tempfile::Builder::new().prefix(".new").tempfile_in(group)?;
        file.write_all(entry.value())?;
        file.persist(path)?;
        Ok(entry.value().len() as u64)
    }
}

impl Store for DirectoryStore {
    fn get(&self, key: &EntryKey) -> Result<Option<Bytes>, HostError> {
        let path = self.path(key);
        match self.read(key, &path) {
            Ok(Ok(value)) => Ok(Some(value)),
            Ok(Err(reason)) => {
                tracing::warn!(path = %path.display(), reason, "a stored pre-image is damaged");
                let lost = fs::metadata(&path).map_or(0, |metadata| metadata.len());
                fs::remove_file(&path).map_err(at(&path))?;
                self.subtract(lost);
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    fn put(&self, entry: &Entry) -> Result<(), HostError> {
        let path = self.path(&entry.key());
        if self.get(&entry.key())?.is_some() {
            return Ok(());
        }
        let found = self.bytes().saturating_add(entry.value().len() as u64);
        if found > self.max_bytes {
            let (what, limit) = ("stored pre-images", self.max_bytes);
            return Err(HostError::Limit { what, found, limit });
        }
        let bytes = self.write(&path, entry).map_err(at(&path))?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

/// Opens a file with its length. To open what is no file, as a pipe is, could take forever.
pub(crate) fn open_file(path: &Path) -> io::Result<(File, u64)> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    Ok((File::open(path)?, metadata.len()))
}

fn at(path: &Path) -> impl Fn(io::Error) -> HostError + use<> {
    let path = path.to_owned();
    move |error| HostError::File { path: path.clone(), error }
}

/// The bytes of all files in the groups of a folder. What a write left unfinished is removed.
fn bytes_in(folder: &Path) -> Result<u64, HostError> {
    let mut bytes = 0_u64;
    for group in fs::read_dir(folder).map_err(at(folder))? {
        let group = group.map_err(at(folder))?;
        if !is_group(&group.file_name()) || !group.file_type().map_err(at(folder))?.is_dir() {
            continue;
        }
        let path = group.path();
        for file in fs::read_dir(&path).map_err(at(&path))? {
            let file = file.map_err(at(&path))?;
            if file.file_name().to_string_lossy().starts_with(".new") {
                fs::remove_file(file.path()).map_err(at(&path))?;
            } else {
                bytes = bytes.saturating_add(file.metadata().map_err(at(&path))?.len());
            }
        }
    }
    Ok(bytes)
}

/// Whether a folder is one that this store makes.
fn is_group(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        name == "blob" || (name.len() == 4 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_BYTES: u64 = 1 << 20;

    fn entries() -> [Entry; 2] {
        [Entry::keccak256(Bytes::from_static(b"a node")), Entry::keccak256(Bytes::new())]
    }

    #[test]
    fn what_was_kept_is_there_when_the_folder_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirectoryStore::open(folder.path(), MAX_BYTES).unwrap();
        for entry in entries() {
            store.put(&entry).unwrap();
            store.put(&entry).unwrap();
        }
        let bytes = store.bytes();
        drop(store);
        let store = DirectoryStore::open(folder.path(), MAX_BYTES).unwrap();
        assert_eq!(store.bytes(), bytes);
        for entry in entries() {
            assert_eq!(store.get(&entry.key()).unwrap().as_ref(), Some(entry.value()));
        }
        let other = Entry::keccak256(Bytes::from_static(b"another"));
        assert_eq!(store.get(&other.key()).unwrap(), None);
    }

    #[test]
    fn a_damaged_file_is_missing_and_can_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirectoryStore::open(folder.path(), MAX_BYTES).unwrap();
        for entry in entries() {
            store.put(&entry).unwrap();
            let path = store.path(&entry.key());
            let whole = fs::read(&path).unwrap();
            let flipped = whole.iter().map(|byte| byte ^ 1).chain([7]).collect::<Vec<u8>>();
            let cut = whole.get(..whole.len().saturating_sub(1)).unwrap().to_vec();
            for damaged in [flipped, cut].into_iter().filter(|damaged| *damaged != whole) {
                fs::write(&path, &damaged).unwrap();
                assert_eq!(store.get(&entry.key()).unwrap(), None, "{entry:?}");
                store.put(&entry).unwrap();
                assert_eq!(store.get(&entry.key()).unwrap().as_ref(), Some(entry.value()));
            }
        }
    }

    #[test]
    fn an_unfinished_write_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirectoryStore::open(folder.path(), MAX_BYTES).unwrap();
        let [entry, ..] = entries();
        let path = store.path(&entry.key());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let unfinished = path.with_file_name(".newABC");
        fs::write(&unfinished, b"half").unwrap();
        let store = DirectoryStore::open(folder.path(), MAX_BYTES).unwrap();
        assert!(!unfinished.exists());
        assert_eq!((store.bytes(), store.get(&entry.key()).unwrap()), (0, None));
    }

    #[test]
    fn a_full_folder_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let store = DirectoryStore::open(folder.path(), 100).unwrap();
        let error = store.put(&Entry::keccak256(Bytes::from(vec![0; 101]))).unwrap_err();
        store.put(&Entry::keccak256(Bytes::from(vec![0; 100]))).unwrap();
        assert!(matches!(error, HostError::Limit { limit: 100, .. }), "{error}");
    }
}
