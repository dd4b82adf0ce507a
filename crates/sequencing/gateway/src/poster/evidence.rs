//! What proves who owned slots, kept for as long as it may be needed.
//!
//! The file holds a record ([`crate::records`]) for each epoch. Evidence proves keys by a root that it names itself, and says to
//! whom they were delegated: so what was read is held against the L1 block that it names before it is used.

use crate::{
    PosterError,
    records::{self, Mark},
};
use lockstep_lookahead::{Evidence, Ownership, PROVABLE_SLOTS, Slot};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Slots before the oldest whose batch L1 may take for which evidence is kept: a reorganisation may take batches back.
const SLOTS_KEPT: u64 = 128;

/// The file is no longer than this: evidence of all epochs that can be proven takes some 30 MB.
const MAX_FILE_BYTES: u64 = 128 << 20;

/// The kind of its records.
const EVIDENCE: u8 = 0;

/// Evidence of epochs, in memory and, if it has a file, on the disk.
#[derive(Debug)]
pub(super) struct EvidenceStore {
    slots_per_epoch: u64,
    epochs: BTreeMap<u64, Evidence>,
    /// Epochs whose evidence was read from the file, and was not held against L1 yet.
    unconfirmed: BTreeSet<u64>,
    file: Option<PathBuf>,
    /// The file does not hold what is in memory.
    is_stale: bool,
}

impl EvidenceStore {
    pub(super) const fn new(slots_per_epoch: u64) -> Self {
        Self {
            slots_per_epoch,
            epochs: BTreeMap::new(),
            unconfirmed: BTreeSet::new(),
            file: None,
            is_stale: false,
        }
    }

    /// Reads what a process before this one kept, and keeps all there. What cannot be read is told, and done without: most of
    /// it can be had again.
    pub(super) fn open(slots_per_epoch: u64, file: PathBuf) -> Result<Self, PosterError> {
        let found = read_file(&file, slots_per_epoch);
        let found = found.map_err(|source| PosterError::Evidence { path: file.clone(), source })?;
        let (epochs, wrong) = found;
        if let Some(reason) = &wrong {
            tracing::warn!(
                target: "lockstep_gateway",
                path = %file.display(), reason, epochs = epochs.len(),
                "what proves the owners of slots could not all be read; the rest is asked for again"
            );
        }
        let unconfirmed = epochs.keys().copied().collect();
        let (file, is_stale) = (Some(file), wrong.is_some());
        Ok(Self { slots_per_epoch, epochs, unconfirmed, file, is_stale })
    }

    const fn epoch(&self, slot: Slot) -> u64 {
        slot / self.slots_per_epoch
    }

    pub(super) fn has(&self, epoch: u64) -> bool {
        self.epochs.contains_key(&epoch)
    }

    /// Evidence of an epoch that was not held against L1 yet.
    pub(super) fn unconfirmed(&self, epoch: u64) -> Option<&Evidence> {
        self.unconfirmed.get(&epoch).and_then(|epoch| self.epochs.get(epoch))
    }

    /// L1 has the block that the evidence of an epoch names.
    pub(super) fn confirm(&mut self, epoch: u64) {
        self.unconfirmed.remove(&epoch);
    }

    /// What shows whose a slot is: evidence of its epoch or, if that shows it, of the one before.
    pub(super) fn of(&self, slot: Slot) -> Option<&Evidence> {
        let epoch = self.epoch(slot);
        let candidates = [Some(epoch), epoch.checked_sub(1)].into_iter().flatten();
        let confirmed = candidates.filter(|epoch| !self.unconfirmed.contains(epoch));
        let mut candidates = confirmed.filter_map(|epoch| self.epochs.get(&epoch));
        candidates.find(|evidence| {
            matches!(evidence.ownership(slot), Ownership::Owned(_) | Ownership::Nobody)
        })
    }

    pub(super) fn add(&mut self, evidence: Evidence) {
        self.unconfirmed.remove(&evidence.epoch());
        self.epochs.insert(evidence.epoch(), evidence);
        self.is_stale = true;
    }

    pub(super) fn remove(&mut self, epoch: u64) {
        self.unconfirmed.remove(&epoch);
        self.is_stale |= self.epochs.remove(&epoch).is_some();
    }

    /// Forgets what no batch needs that L1 may take from the slot `oldest` on, at the slot `now`.
    pub(super) fn forget(&mut self, oldest: Slot, now: Slot) {
        let first = oldest.saturating_sub(SLOTS_KEPT).max(now.saturating_sub(PROVABLE_SLOTS));
        let first = self.epoch(first).saturating_sub(1);
        let count = self.epochs.len();
        self.epochs.retain(|epoch, _| *epoch >= first);
        self.unconfirmed.retain(|epoch| *epoch >= first);
        self.is_stale |= self.epochs.len() < count;
    }

    /// The evidence of the newest epochs.
    pub(super) fn newest(&self, count: usize) -> impl Iterator<Item = &Evidence> {
        self.epochs.values().rev().take(count)
    }

    /// Writes down what is not on the disk yet. It is in the file whole, or as it was before.
    pub(super) fn save(&mut self) -> Result<(), PosterError> {
        let Some(path) = self.file.clone().filter(|_| self.is_stale) else { return Ok(()) };
        let mark = Mark::random();
        let mut content = mark.header().to_vec();
        self.epochs.values().for_each(|it| content.extend(mark.frame(EVIDENCE, &it.encode())));
        let beside = path.with_extension("new");
        let written = File::create(&beside).and_then(|mut file| {
            file.write_all(&content)?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        });
        written.map_err(|source| PosterError::Evidence { path, source })?;
        self.is_stale = false;
        Ok(())
    }
}

/// The evidence in a file, and what is wrong with the file.
type Found = (BTreeMap<u64, Evidence>, Option<String>);

fn read_file(path: &Path, slots_per_epoch: u64) -> io::Result<Found> {
    let bytes = match fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::default()),
        Err(error) => return Err(error),
    };
    if bytes > MAX_FILE_BYTES {
        let reason = format!("it has {bytes} bytes, the limit is {MAX_FILE_BYTES}");
        return Ok((BTreeMap::new(), Some(reason)));
    }
    Ok(read(&fs::read(path)?, slots_per_epoch))
}

fn read(bytes: &[u8], slots_per_epoch: u64) -> Found {
    let (bodies, is_whole) = records::read_each(bytes);
    let mut wrong = (!is_whole).then(|| "it is damaged".to_owned());
    let mut epochs = BTreeMap::new();
    for body in bodies {
        match Evidence::decode(body, slots_per_epoch) {
            Ok(evidence) => drop(epochs.insert(evidence.epoch(), evidence)),
            Err(error) => wrong = Some(error.to_string()),
        }
    }
    (epochs, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(content: &[u8]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("owners");
        fs::write(&path, content).unwrap();
        let (epochs, wrong) = read_file(&path, 32).unwrap();
        assert!(epochs.is_empty());
        wrong
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("owners");
        assert_eq!(read_file(&path, 32).unwrap(), Found::default(), "there is none yet");
        let file = File::create(&path).unwrap();
        file.set_len(MAX_FILE_BYTES + 1).unwrap();
        let (epochs, reason) = read_file(&path, 32).unwrap();
        let reason = reason.expect("it is too large");
        assert!(epochs.is_empty() && reason.contains("the limit is 134217728"), "{reason}");

        let mark = Mark::random();
        let whole = [&mark.header()[..], &mark.frame(0, &[7; 90])].concat();
        assert!(wrong(&whole).is_some_and(|reason| reason.contains("90")), "it is no evidence");
        assert_eq!(wrong(&whole[..60]).as_deref(), Some("it is damaged"));
        assert_eq!(wrong(&[]).as_deref(), Some("it is damaged"));
        assert_eq!(wrong(&mark.header()), None);
    }
}
