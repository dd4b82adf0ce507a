//! The log of what was decided about blocks that are not complete.
//!
//! Users are shown what becomes of their transactions before the block is there. So each decision is in
//! this file before anybody is shown its result, and a gateway that was killed makes the same blocks from
//! it. Once the blocks of a round are complete the engines keep them, and the file begins anew.
//!
//! A record is its length (`u32`, little-endian), the first 8 bytes of the keccak hash of what follows, and
//! the RLP of a [`Decision`]. A record that was cut off was not acknowledged.

use crate::GatewayError;
use alloy_primitives::{B256, Bytes, ChainId, keccak256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use lockstep_union::SuperId;
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
};

/// A round's decisions are no longer than this; a round that has come so far takes no more transactions.
const MAX_LOG_BYTES: u64 = 256 << 20;

/// The most bytes that an entry takes beside its transaction.
pub(crate) const ENTRY_BYTES: u64 = 64;

const HEADER_BYTES: usize = 12;

/// A block that was begun.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub(crate) struct Begun {
    pub(crate) chain: ChainId,
    pub(crate) parent: B256,
    /// The payload attributes, as JSON.
    pub(crate) attributes: Bytes,
}

/// A transaction that was taken.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub(crate) struct Taken {
    pub(crate) home: ChainId,
    /// The order among super transactions.
    pub(crate) id: SuperId,
    /// Whether it was executed jointly; without it the order says nothing.
    pub(crate) is_joint: bool,
    /// Its encoding (EIP-2718).
    pub(crate) transaction: Bytes,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// A round of blocks begins; always the first entry.
    Begin(Vec<Begun>),
    Take(Taken),
}

/// The open file.
#[derive(Debug)]
pub(crate) struct DecisionLog {
    path: PathBuf,
    file: File,
    /// How long the file is, in bytes, without what a write that failed has left.
    length: u64,
}

impl DecisionLog {
    /// Opens the file, and reads the decisions that were acknowledged.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<Decision>), GatewayError> {
        let failed = |operation| {
            move |source| GatewayError::Log { operation, path: path.to_path_buf(), source }
        };
        let file = OpenOptions::new().create(true).read(true).append(true).open(path);
        let file = file.map_err(failed("open"))?;
        let mut bytes = Vec::new();
        (&file).take(MAX_LOG_BYTES).read_to_end(&mut bytes).map_err(failed("read"))?;
        let (decisions, good) = read(&bytes);
        // What is appended must not follow a record that was cut off.
        let length = good as u64;
        file.set_len(length).map_err(failed("truncate"))?;
        Ok((Self { path: path.to_path_buf(), file, length }, decisions))
    }

    /// How many bytes of decisions may still come in this round.
    pub(crate) const fn room(&self) -> u64 {
        MAX_LOG_BYTES.saturating_sub(self.length)
    }

    /// Forgets the last round, and begins one.
    pub(crate) fn begin(&mut self, blocks: Vec<Begun>) -> Result<(), GatewayError> {
        self.file.set_len(0).map_err(|source| self.error("truncate", source))?;
        self.length = 0;
        self.append(&[Decision::Begin(blocks)])
    }

    /// Appends decisions with one write.
    pub(crate) fn append(&mut self, decisions: &[Decision]) -> Result<(), GatewayError> {
        let records: Vec<u8> = decisions.iter().flat_map(record).collect();
        let found = self.file.metadata().map_err(|source| self.error("inspect", source))?.len();
        if found != self.length {
            // A write failed half-way; what follows a torn record is never read.
            self.file.set_len(self.length).map_err(|source| self.error("truncate", source))?;
        }
        self.file.write_all(&records).map_err(|source| self.error("append to", source))?;
        self.length = self.length.saturating_add(records.len() as u64);
        Ok(())
    }

    fn error(&self, operation: &'static str, source: std::io::Error) -> GatewayError {
        GatewayError::Log { operation, path: self.path.clone(), source }
    }
}

fn record(decision: &Decision) -> Vec<u8> {
    let mut body = Vec::new();
    match decision {
        Decision::Begin(blocks) => blocks.encode(&mut body),
        Decision::Take(taken) => taken.encode(&mut body),
    }
    let kind = u8::from(matches!(decision, Decision::Take(_)));
    body.insert(0, kind);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let checksum = checksum(&body);
    [&length[..], &checksum, &body].concat()
}

fn checksum(body: &[u8]) -> [u8; 8] {
    keccak256(body).first_chunk().copied().unwrap_or_default()
}

/// The decisions at the front of `bytes`, and how many bytes they are.
fn read(bytes: &[u8]) -> (Vec<Decision>, usize) {
    let (mut decisions, mut at) = (Vec::new(), 0);
    while let Some((decision, length)) = bytes.get(at..).and_then(read_one) {
        decisions.push(decision);
        at += length;
    }
    (decisions, at)
}

fn read_one(bytes: &[u8]) -> Option<(Decision, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (stated, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let body = rest.get(..length)?;
    if checksum(body) != *stated {
        return None;
    }
    let (kind, mut rest) = body.split_first()?;
    let decision = match kind {
        0 => Decision::Begin(Decodable::decode(&mut rest).ok()?),
        1 => Decision::Take(Taken::decode(&mut rest).ok()?),
        _ => return None,
    };
    rest.is_empty().then_some((decision, HEADER_BYTES + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decisions() -> Vec<Decision> {
        let begun =
            Begun { chain: 7, parent: B256::repeat_byte(1), attributes: vec![1; 90].into() };
        let taken = |is_joint| Taken {
            home: 7,
            id: SuperId { slot: 3, index: 4 },
            is_joint,
            transaction: vec![9; 200].into(),
        };
        vec![
            Decision::Begin(vec![begun.clone(), begun]),
            Decision::Take(taken(false)),
            Decision::Take(taken(true)),
        ]
    }

    #[test]
    fn what_is_cut_off_anywhere_costs_only_the_last_record() {
        let records: Vec<Vec<u8>> = decisions().iter().map(record).collect();
        let file = records.concat();
        for cut in 0..=file.len() {
            let (found, good) = read(&file[..cut]);
            let mut whole = 0;
            let complete = records.iter().take_while(|record| {
                whole += record.len();
                whole <= cut
            });
            let count = complete.count();
            assert_eq!(found, decisions()[..count]);
            assert_eq!(good, records[..count].iter().map(Vec::len).sum::<usize>());
        }
    }

    #[test]
    fn a_changed_record_and_what_follows_are_not_believed() {
        let file: Vec<u8> = decisions().iter().flat_map(record).collect();
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 0x40;
            let (found, _) = read(&changed);
            assert!(found.len() < 3 && found == decisions()[..found.len()]);
        }
    }

    #[test]
    fn what_follows_a_write_that_failed_half_way_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions");
        let (mut log, _) = DecisionLog::open(&path).unwrap();
        let all = decisions();
        log.append(&all[..1]).unwrap();
        let torn = record(&all[1]);
        (&log.file).write_all(&torn[..torn.len() / 2]).unwrap();
        log.append(&all[1..]).unwrap();
        assert_eq!(DecisionLog::open(&path).unwrap().1, all);
        let length = std::fs::metadata(&path).unwrap().len();
        assert_eq!(log.room(), MAX_LOG_BYTES - length);
    }

    #[test]
    fn an_entry_takes_no_more_than_is_reckoned_with() {
        let transaction = vec![9; 1 << 17];
        let entry = Decision::Take(Taken {
            home: u64::MAX,
            id: SuperId { slot: u64::MAX, index: u64::MAX },
            is_joint: true,
            transaction: transaction.clone().into(),
        });
        assert!(record(&entry).len() as u64 <= transaction.len() as u64 + ENTRY_BYTES);
    }

    #[test]
    fn a_round_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions");
        let (mut log, found) = DecisionLog::open(&path).unwrap();
        assert!(found.is_empty());
        let all = decisions();
        log.append(&all).unwrap();
        drop(log);
        let (mut log, found) = DecisionLog::open(&path).unwrap();
        assert_eq!(found, all);
        log.begin(Vec::new()).unwrap();
        log.append(&all[1..]).unwrap();
        drop(log);
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(&[1, 2, 3])
            .unwrap();
        let (mut log, found) = DecisionLog::open(&path).unwrap();
        assert_eq!(found.len(), 3, "an empty round, and two transactions");
        log.append(&all[1..2]).unwrap();
        assert_eq!(DecisionLog::open(&path).unwrap().1.len(), 4, "what was torn is gone");
    }
}
