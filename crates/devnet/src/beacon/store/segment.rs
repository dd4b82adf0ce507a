//! The log of blocks, in segments.
//!
//! A record is a header of [`HEADER`] bytes and a block. All numbers are little endian:
//! ```text
//! 0   u32      length of the block
//! 4   u64      slot
//! 12  [u8; 32] root of the block
//! 44  [u8; 32] root of its parent
//! 76  [u8; 32] hash of its payload
//! 108 [u8; 8]  start of the SHA-256 of the block's bytes
//! 116 [u8; 8]  start of the SHA-256 of bytes 0..116
//! ```

use super::{StoreError, numbered, remove};
use crate::ssz::hash_bytes;
use alloy_primitives::B256;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// The most blocks in a segment.
const SEGMENT_BLOCKS: u64 = 1024;
/// The length of a record's header, in bytes.
const HEADER: usize = 124;
/// The longest block that is taken for one, in bytes; a length beyond it is damage.
const MAX_BLOCK: u32 = 256 << 20;

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The segment's number.
    pub(super) segment: u64,
    /// Where the record begins in it.
    pub(super) offset: u64,
}

/// What a log tells of a block without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The block's slot.
    pub slot: u64,
    /// Its root.
    pub root: B256,
    /// Its parent's root.
    pub parent: B256,
    /// The hash of its payload.
    pub payload_hash: B256,
}

impl RecordHeader {
    fn encode(&self, block: &[u8]) -> [u8; HEADER] {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend((block.len() as u32).to_le_bytes());
        bytes.extend(self.slot.to_le_bytes());
        bytes.extend([self.root, self.parent, self.payload_hash].as_flattened_bytes());
        bytes.extend(checksum(block));
        bytes.extend(checksum(&bytes));
        bytes.try_into().unwrap_or([0; HEADER])
    }

    /// The header, the block's length and checksum; `None` if the header is damaged.
    fn decode(bytes: &[u8; HEADER]) -> Option<(Self, u32, [u8; 8])> {
        let (content, expected) = bytes.split_last_chunk::<8>()?;
        if checksum(content) != *expected {
            return None;
        }
        let root = |start: usize| content.get(start..start + 32).map(B256::from_slice);
        let length = u32::from_le_bytes(*content.first_chunk()?);
        let slot = u64::from_le_bytes(*content.get(4..)?.first_chunk()?);
        let header = Self { slot, root: root(12)?, parent: root(44)?, payload_hash: root(76)? };
        (length <= MAX_BLOCK).then_some((header, length, *content.last_chunk()?))
    }
}

trait Flattened {
    fn as_flattened_bytes(&self) -> Vec<u8>;
}

impl Flattened for [B256; 3] {
    fn as_flattened_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|root| root.0).collect()
    }
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    hash_bytes(bytes).first_chunk().copied().unwrap_or_default()
}

/// The path of a segment.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("blocks-{number:010}.log"))
}

/// A segment of the log, and the last slots in it.
#[derive(Debug)]
struct Segment {
    number: u64,
    blocks: u64,
    last_slot: u64,
}

/// All segments; the last one takes new blocks.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    segments: Vec<Segment>,
    open: Option<(File, u64)>,
}

impl Segments {
    /// Opens the log, cuts off a torn last record, and lists the blocks.
    pub(super) fn open(folder: &Path) -> Result<(Self, Vec<(RecordHeader, Location)>), StoreError> {
        let files = numbered(folder, "blocks-", ".log")?;
        let mut segments = Vec::with_capacity(files.len());
        let mut records = Vec::new();
        for (position, (number, path)) in files.iter().enumerate() {
            let last = position + 1 == files.len();
            let scanned = scan(path, *number, last)?;
            let last_slot = scanned.iter().map(|(header, _)| header.slot).max().unwrap_or(0);
            segments.push(Segment { number: *number, blocks: scanned.len() as u64, last_slot });
            records.extend(scanned);
        }
        Ok((Self { folder: folder.into(), segments, open: None }, records))
    }

    pub(super) fn append(
        &mut self,
        header: &RecordHeader,
        block: &[u8],
        flush: bool,
    ) -> Result<Location, StoreError> {
        let number = match self.segments.last() {
            Some(last) if last.blocks < SEGMENT_BLOCKS => last.number,
            last => {
                let number = last.map_or(0, |last| last.number + 1);
                self.segments.push(Segment { number, blocks: 0, last_slot: 0 });
                self.open = None;
                number
            }
        };
        let path = path(&self.folder, number);
        let fail = |error| StoreError::io(&path, error);
        let (file, offset) = match &mut self.open {
            Some(open) => open,
            closed => closed.insert(open_end(&path).map_err(fail)?),
        };
        let record = [header.encode(block).as_slice(), block].concat();
        let written =
            file.write_all(&record).and_then(|()| if flush { file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // What was written of the record is cut off before the next one is tried.
            let _ = file.set_len(*offset);
            self.open = None;
            return Err(fail(error));
        }
        let location = Location { segment: number, offset: *offset };
        *offset += record.len() as u64;
        if let Some(last) = self.segments.last_mut() {
            last.blocks += 1;
            last.last_slot = last.last_slot.max(header.slot);
        }
        Ok(location)
    }

    /// Deletes segments that hold only blocks before a slot, but never the last.
    pub(super) fn remove_before(&mut self, slot: u64) -> Result<(), StoreError> {
        while let [first, _, ..] = self.segments.as_slice() {
            if first.last_slot >= slot {
                break;
            }
            remove(&path(&self.folder, first.number))?;
            self.segments.remove(0);
        }
        Ok(())
    }
}

fn open_end(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let end = file.seek(SeekFrom::End(0))?;
    Ok((file, end))
}

/// Lists a segment's blocks. In the last segment, a record that ends the file and is cut short, or whose
/// block does not have its checksum, is cut off.
fn scan(
    path: &Path,
    segment: u64,
    last: bool,
) -> Result<Vec<(RecordHeader, Location)>, StoreError> {
    let fail = |error| StoreError::io(path, error);
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(fail)?;
    let end = file.metadata().map_err(fail)?.len();
    let mut records = Vec::new();
    let mut offset = 0;
    while offset < end {
        let whole = match read_header(&mut file, offset, end).map_err(fail)? {
            Some(Ok((header, length, expected))) => {
                let next = offset + HEADER as u64 + u64::from(length);
                // Only the end of the log can be torn; the rest is checked when it is read.
                let torn = next > end
                    || last
                        && next == end
                        && !is_whole(&mut file, length, &expected).map_err(fail)?;
                (!torn).then_some((header, next))
            }
            Some(Err(())) => {
                let reason = "a record's header does not have its checksum";
                return Err(StoreError::damaged(path, offset, reason));
            }
            None => None,
        };
        let Some((header, next)) = whole else {
            if !last {
                return Err(StoreError::damaged(
                    path,
                    offset,
                    "a record is cut short, but another segment follows",
                ));
            }
            tracing::warn!(path = %path.display(), offset, bytes = end - offset, "dropped a torn record");
            file.set_len(offset).and_then(|()| file.sync_all()).map_err(fail)?;
            break;
        };
        records.push((header, Location { segment, offset }));
        offset = next;
    }
    Ok(records)
}

type Header = Result<(RecordHeader, u32, [u8; 8]), ()>;

/// The header at an offset; `None` if the file ends within it.
fn read_header(file: &mut File, offset: u64, end: u64) -> io::Result<Option<Header>> {
    if end - offset < HEADER as u64 {
        return Ok(None);
    }
    let mut bytes = [0; HEADER];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut bytes)?;
    Ok(Some(RecordHeader::decode(&bytes).ok_or(())))
}

fn is_whole(file: &mut File, length: u32, expected: &[u8; 8]) -> io::Result<bool> {
    let mut block = vec![0; length as usize];
    file.read_exact(&mut block)?;
    Ok(checksum(&block) == *expected)
}

/// The bytes of the block at a location; `None` if its segment was deleted.
pub(super) fn read(path: &Path, location: Location) -> Result<Option<Vec<u8>>, StoreError> {
    let fail = |error| StoreError::io(path, error);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    let end = file.metadata().map_err(fail)?.len();
    let header = read_header(&mut file, location.offset.min(end), end).map_err(fail)?;
    let Some(Ok((_, length, expected))) = header else {
        return Err(StoreError::damaged(
            path,
            location.offset,
            "a record's header is gone or does not have its checksum",
        ));
    };
    if location.offset + HEADER as u64 + u64::from(length) > end {
        return Err(StoreError::damaged(path, location.offset, "a record is cut short"));
    }
    let mut block = vec![0; length as usize];
    file.read_exact(&mut block).map_err(fail)?;
    if checksum(&block) != expected {
        return Err(StoreError::damaged(
            path,
            location.offset,
            "a block does not have its checksum",
        ));
    }
    Ok(Some(block))
}
