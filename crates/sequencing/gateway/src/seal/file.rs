//! The file of batches that were signed and that L1 may not have yet.
//!
//! It holds records ([`crate::records`]): first up to which slot something was signed, then the batches, each on the one
//! before. A batch is in it, and on the disk, before anybody else has it, so no process signs a slot twice. What L1 has
//! for good is left out when the file is written anew.

use super::batch::{SealedBatch, StoredBatch};
use crate::{
    GatewayError,
    records::{self, HEADER_BYTES, Mark, Records},
};
use alloy_primitives::{Address, ChainId};
use alloy_rlp::{Decodable, Encodable};
use lockstep_lookahead::Slot;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The file is no longer than this.
const MAX_FILE_BYTES: u64 = 2 << 30;

/// What nobody needs is left in the file up to this.
const MAX_IDLE_BYTES: u64 = 16 << 20;

const UP_TO: u8 = 0;
const BATCH: u8 = 1;

/// The open file.
#[derive(Debug)]
pub(super) struct SealFile {
    path: PathBuf,
    file: File,
    mark: Mark,
    /// How long the file is, in bytes, without what a write that failed has left.
    length: u64,
}

/// What was in the file.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The last slot that was signed, or whose batch was adopted from another gateway.
    pub(super) signed_up_to: Option<Slot>,
    pub(super) batches: Vec<SealedBatch>,
}

impl SealFile {
    /// Opens the file, and reads what was acknowledged.
    pub(super) fn open(
        path: &Path,
        l1_chain_id: ChainId,
        inbox: Address,
    ) -> Result<(Self, Kept), GatewayError> {
        let failed = |operation| {
            move |source| GatewayError::Log { operation, path: path.to_path_buf(), source }
        };
        let file = OpenOptions::new().create(true).read(true).append(true).open(path);
        let file = file.map_err(failed("open"))?;
        let mut bytes = Vec::new();
        (&file).take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(failed("read"))?;
        let found = read(&bytes, l1_chain_id, inbox)
            .map_err(|reason| GatewayError::MalformedSeals { path: path.to_path_buf(), reason })?;
        let good = found.as_ref().map_or(0, |(_, _, good)| *good as u64);
        file.set_len(good).map_err(failed("truncate"))?;
        let (mark, kept, length) = match found {
            Some((mark, kept, _)) => (mark, kept, good),
            None => {
                let mark = Mark::random();
                (&file).write_all(&mark.header()).map_err(failed("write"))?;
                (mark, Kept::default(), HEADER_BYTES as u64)
            }
        };
        Ok((Self { path: path.to_path_buf(), file, mark, length }, kept))
    }

    /// Appends a batch, and returns when it is on the disk.
    pub(super) fn append(&mut self, batch: &SealedBatch) -> Result<(), GatewayError> {
        let record = batch_record(self.mark, batch);
        let length = self.length.saturating_add(record.len() as u64);
        if length > MAX_FILE_BYTES {
            let full = io::Error::from(io::ErrorKind::FileTooLarge);
            return Err(self.error("append to", full));
        }
        let found = self.file.metadata().map_err(|source| self.error("inspect", source))?.len();
        if found != self.length {
            // A write failed half-way; what follows a torn record is never read.
            self.file.set_len(self.length).map_err(|source| self.error("truncate", source))?;
        }
        self.file.write_all(&record).map_err(|source| self.error("append to", source))?;
        self.file.sync_data().map_err(|source| self.error("sync", source))?;
        self.length = length;
        Ok(())
    }

    /// Whether so much in the file is of no use that it should be written anew for these batches.
    pub(super) fn is_idle(&self, batches: usize) -> bool {
        self.length > MAX_IDLE_BYTES.saturating_add(2 * batches as u64)
    }

    /// Writes the file anew.
    pub(super) fn rewrite<'a>(
        &mut self,
        signed_up_to: Option<Slot>,
        batches: impl Iterator<Item = &'a Arc<SealedBatch>>,
    ) -> Result<(), GatewayError> {
        let mut content = self.mark.header().to_vec();
        if let Some(slot) = signed_up_to {
            let mut body = Vec::new();
            slot.encode(&mut body);
            content.extend(self.mark.frame(UP_TO, &body));
        }
        batches.for_each(|batch| content.extend(batch_record(self.mark, batch)));
        let path = self.path.clone();
        let failed = |operation| move |source| GatewayError::Log { operation, path, source };
        let beside = self.path.with_extension("new");
        let written = write_beside(&beside, &self.path, &content);
        self.file = written.map_err(failed("rewrite"))?;
        self.length = content.len() as u64;
        Ok(())
    }

    fn error(&self, operation: &'static str, source: io::Error) -> GatewayError {
        GatewayError::Log { operation, path: self.path.clone(), source }
    }
}

/// Writes a file beside another, puts it in its place, and returns it open for appending.
fn write_beside(beside: &Path, path: &Path, content: &[u8]) -> io::Result<File> {
    let mut file = File::create(beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(beside, path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    OpenOptions::new().read(true).append(true).open(path)
}

fn batch_record(mark: Mark, batch: &SealedBatch) -> Vec<u8> {
    let mut body = Vec::new();
    StoredBatch::new(batch).encode(&mut body);
    mark.frame(BATCH, &body)
}

/// The file's mark, what is in it, and how many bytes of it are whole, if it has any; or what is wrong.
fn read(
    bytes: &[u8],
    l1_chain_id: ChainId,
    inbox: Address,
) -> Result<Option<(Mark, Kept, usize)>, String> {
    let damaged = |at| format!("the record at byte {at} is damaged, and others follow it");
    let Some(Records { mark, bodies, good }) = records::read(bytes).map_err(damaged)? else {
        return Ok(None);
    };
    let mut kept = Kept::default();
    for (kind, mut body) in bodies {
        let slot = if kind == UP_TO {
            Slot::decode(&mut body).map_err(|error| error.to_string())?
        } else {
            let stored = StoredBatch::decode(&mut body).map_err(|error| error.to_string())?;
            let batch = stored.sealed(l1_chain_id, inbox);
            let before = kept.batches.last();
            if before.is_some_and(|before| before.hash != batch.parent) {
                return Err(format!(
                    "the batch of slot {} is not on the one before it",
                    batch.slot
                ));
            }
            let slot = batch.slot;
            kept.batches.push(batch);
            slot
        };
        if !body.is_empty() {
            return Err(format!("the record of slot {slot} is too long"));
        }
        kept.signed_up_to = kept.signed_up_to.max(Some(slot));
    }
    Ok(Some((mark, kept, good)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::batch::SealedSpan;
    use alloy_eips::BlockNumHash;
    use alloy_primitives::B256;

    const INBOX: Address = Address::repeat_byte(9);

    fn batches() -> Vec<Arc<SealedBatch>> {
        let mut parent = B256::ZERO;
        let batch = |slot: Slot| {
            let block = |number| BlockNumHash::new(number, B256::repeat_byte(number as u8));
            let span = SealedSpan { parent: block(slot), last: block(slot + 1) };
            let blob_hashes = vec![B256::repeat_byte(slot as u8)];
            let hash = SealedBatch::hash_of(slot, parent, &blob_hashes, 7, INBOX);
            let batch = SealedBatch {
                slot,
                parent,
                hash,
                data: vec![slot as u8; 40].into(),
                blob_hashes,
                signature: vec![7; 65].into(),
                spans: [(901, span), (902, span)].into(),
                is_filled: slot == 4,
            };
            parent = hash;
            Arc::new(batch)
        };
        [3, 4, 6].map(batch).into()
    }

    fn open(path: &Path) -> (SealFile, Kept) {
        SealFile::open(path, 7, INBOX).unwrap()
    }

    #[test]
    fn batches_are_read_as_they_were_written_but_for_a_torn_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealed");
        let all = batches();
        let (mut file, kept) = open(&path);
        assert!(kept.batches.is_empty() && kept.signed_up_to.is_none());
        all.iter().for_each(|batch| file.append(batch).unwrap());
        let length = std::fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
        let (mut file, kept) = open(&path);
        assert_eq!(kept.batches, all[..2].iter().map(|it| (**it).clone()).collect::<Vec<_>>());
        assert_eq!(kept.signed_up_to, Some(4));
        file.append(&all[2]).unwrap();
        assert_eq!(open(&path).1.batches.len(), 3);
    }

    #[test]
    fn what_was_signed_is_remembered_when_its_batch_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealed");
        let all = batches();
        let (mut file, _) = open(&path);
        all.iter().for_each(|batch| file.append(batch).unwrap());
        file.rewrite(Some(6), all[..1].iter()).unwrap();
        let (mut file, kept) = open(&path);
        assert_eq!((kept.batches.len(), kept.signed_up_to), (1, Some(6)));
        // A batch that is not on the one before it is none that this file was given.
        file.append(&all[2]).unwrap();
        let error = SealFile::open(&path, 7, INBOX).unwrap_err();
        assert!(error.to_string().contains("slot 6 is not on the one before"), "{error}");
    }

    #[test]
    fn a_file_that_is_damaged_in_the_middle_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealed");
        let (mut file, _) = open(&path);
        batches().iter().for_each(|batch| file.append(batch).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[90] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = SealFile::open(&path, 7, INBOX).unwrap_err();
        assert!(error.to_string().contains("byte 16 is damaged"), "{error}");
    }
}
