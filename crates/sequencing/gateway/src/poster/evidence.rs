//! What proves who owned slots, kept for as long as it may be needed.

use crate::PosterError;
use alloy_primitives::Bytes;
use alloy_rlp::{Decodable, Encodable};
use lockstep_lookahead::{Evidence, LookaheadError, Ownership, PROVABLE_SLOTS, Slot};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
};

/// Slots before the oldest whose batch L1 may take for which evidence is kept: a reorganisation may take batches back.
const SLOTS_KEPT: u64 = 128;

/// The file is no longer than this: evidence of all epochs that can be proven takes some 30 MB.
const MAX_FILE_BYTES: u64 = 128 << 20;

/// Evidence of epochs, in memory and, if it has a file, on the disk.
#[derive(Debug)]
pub(super) struct EvidenceStore {
    slots_per_epoch: u64,
    epochs: BTreeMap<u64, Evidence>,
    file: Option<PathBuf>,
    /// The file does not hold what is in memory.
    is_stale: bool,
}

impl EvidenceStore {
    pub(super) const fn new(slots_per_epoch: u64) -> Self {
        Self { slots_per_epoch, epochs: BTreeMap::new(), file: None, is_stale: false }
    }

    /// Reads what a process before this one kept, and keeps all there. What cannot be read is told, and done without: most of
    /// it can be had again.
    pub(super) fn open(slots_per_epoch: u64, file: PathBuf) -> Result<Self, PosterError> {
        let bytes = match fs::metadata(&file) {
            Ok(found) if found.len() <= MAX_FILE_BYTES => fs::read(&file),
            Ok(_) => Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        let bytes = bytes.map_err(|source| PosterError::Evidence { path: file.clone(), source })?;
        let epochs =
            if bytes.is_empty() { Ok(BTreeMap::new()) } else { read(&bytes, slots_per_epoch) };
        let epochs = epochs.unwrap_or_else(|reason| {
            tracing::warn!(
                target: "lockstep_gateway",
                path = %file.display(), reason,
                "what proves the owners of slots could not be read; it is asked for again"
            );
            BTreeMap::new()
        });
        Ok(Self { slots_per_epoch, epochs, file: Some(file), is_stale: false })
    }

    const fn epoch(&self, slot: Slot) -> u64 {
        slot / self.slots_per_epoch
    }

    pub(super) fn has(&self, epoch: u64) -> bool {
        self.epochs.contains_key(&epoch)
    }

    /// What shows whose a slot is: evidence of its epoch or, if that shows it, of the one before.
    pub(super) fn of(&self, slot: Slot) -> Option<&Evidence> {
        let epoch = self.epoch(slot);
        let candidates = [Some(epoch), epoch.checked_sub(1)].into_iter().flatten();
        let mut candidates = candidates.filter_map(|epoch| self.epochs.get(&epoch));
        candidates.find(|evidence| {
            matches!(evidence.ownership(slot), Ownership::Owned(_) | Ownership::Nobody)
        })
    }

    pub(super) fn add(&mut self, evidence: Evidence) {
        self.epochs.insert(evidence.epoch(), evidence);
        self.is_stale = true;
    }

    pub(super) fn remove(&mut self, epoch: u64) {
        self.is_stale |= self.epochs.remove(&epoch).is_some();
    }

    /// Forgets what no batch needs that L1 may take from the slot `oldest` on, at the slot `now`.
    pub(super) fn forget(&mut self, oldest: Slot, now: Slot) {
        let first = oldest.saturating_sub(SLOTS_KEPT).max(now.saturating_sub(PROVABLE_SLOTS));
        let first = self.epoch(first).saturating_sub(1);
        let count = self.epochs.len();
        self.epochs.retain(|epoch, _| *epoch >= first);
        self.is_stale |= self.epochs.len() < count;
    }

    /// The evidence of the newest epochs.
    pub(super) fn newest(&self, count: usize) -> impl Iterator<Item = &Evidence> {
        self.epochs.values().rev().take(count)
    }

    /// Writes down what is not on the disk yet. It is in the file whole, or as it was before.
    pub(super) fn save(&mut self) -> Result<(), PosterError> {
        let Some(path) = self.file.clone().filter(|_| self.is_stale) else { return Ok(()) };
        let all: Vec<Bytes> = self.epochs.values().map(|it| it.encode().into()).collect();
        let mut content = Vec::new();
        all.encode(&mut content);
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

fn read(mut bytes: &[u8], slots_per_epoch: u64) -> Result<BTreeMap<u64, Evidence>, String> {
    let all = Vec::<Bytes>::decode(&mut bytes).map_err(|error| error.to_string())?;
    let decoded = all.iter().map(|each| {
        let evidence = Evidence::decode(each, slots_per_epoch)?;
        Ok((evidence.epoch(), evidence))
    });
    decoded.collect::<Result<_, LookaheadError>>().map_err(|error| error.to_string())
}
