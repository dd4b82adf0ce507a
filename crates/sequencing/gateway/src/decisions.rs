//! The log of what was decided about blocks that are not complete.
//!
//! Users are shown what becomes of their transactions before the block is there. So each decision is in
//! this file before anybody is shown its result, and a gateway that was killed makes the same blocks from
//! it. Once the blocks of a round are complete the engines keep them, and the file begins anew.
//!
//! It holds records ([`crate::records`]) with the RLP of a [`Decision`] each. A record that was cut off was not
//! acknowledged; one that was damaged before others stops the gateway.

use crate::{
    GatewayError,
    records::{self, HEADER_BYTES, Mark, Records},
};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Bytes, ChainId};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use lockstep_union::SuperId;
use op_alloy_consensus::OpTxEnvelope;
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
};

/// A round's decisions are no longer than this; a round that has come so far takes no more transactions.
const MAX_LOG_BYTES: u64 = 256 << 20;

/// The most bytes that an entry takes beside its transaction.
const ENTRY_BYTES: u64 = 64;

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

/// That a transaction was taken, jointly if it has a place in the order.
pub(crate) fn decision(home: ChainId, id: Option<SuperId>, transaction: &OpTxEnvelope) -> Decision {
    let (is_joint, id) = (id.is_some(), id.unwrap_or_default());
    Decision::Take(Taken { home, id, is_joint, transaction: transaction.encoded_2718().into() })
}

/// How much of the log a transaction takes at most, in bytes.
pub(crate) fn entry_bytes(transaction: &OpTxEnvelope) -> u64 {
    (transaction.encode_2718_len() as u64).saturating_add(ENTRY_BYTES)
}

/// The open file.
#[derive(Debug)]
pub(crate) struct DecisionLog {
    path: PathBuf,
    file: File,
    mark: Mark,
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
        let found = read(&bytes).map_err(GatewayError::Malformed)?;
        // What is appended must not follow a record that was cut off.
        let good = found.as_ref().map_or(0, |(_, _, good)| *good as u64);
        file.set_len(good).map_err(failed("truncate"))?;
        let (mark, decisions, length) = match found {
            Some((mark, decisions, _)) => (mark, decisions, good),
            None => {
                let mark = Mark::random();
                (&file).write_all(&mark.header()).map_err(failed("write"))?;
                (mark, Vec::new(), HEADER_BYTES as u64)
            }
        };
        Ok((Self { path: path.to_path_buf(), file, mark, length }, decisions))
    }

    /// How many bytes of decisions may still come in this round.
    pub(crate) const fn room(&self) -> u64 {
        MAX_LOG_BYTES.saturating_sub(self.length)
    }

    /// Forgets the last round, and begins one.
    pub(crate) fn begin(&mut self, blocks: Vec<Begun>) -> Result<(), GatewayError> {
        let empty = HEADER_BYTES as u64;
        self.file.set_len(empty).map_err(|source| self.error("truncate", source))?;
        self.length = empty;
        self.append(&[Decision::Begin(blocks)])
    }

    /// Appends decisions with one write.
    pub(crate) fn append(&mut self, decisions: &[Decision]) -> Result<(), GatewayError> {
        let records = decisions.iter().flat_map(|decision| record(self.mark, decision));
        let records: Vec<u8> = records.collect();
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

fn record(mark: Mark, decision: &Decision) -> Vec<u8> {
    let mut body = Vec::new();
    match decision {
        Decision::Begin(blocks) => blocks.encode(&mut body),
        Decision::Take(taken) => taken.encode(&mut body),
    }
    mark.frame(u8::from(matches!(decision, Decision::Take(_))), &body)
}

/// The file's mark, its decisions, and how many bytes of it are whole, if it has any; or what is wrong.
fn read(bytes: &[u8]) -> Result<Option<(Mark, Vec<Decision>, usize)>, String> {
    let damaged = |at| format!("the record at byte {at} is damaged, and others follow it");
    let Some(Records { mark, bodies, good }) = records::read(bytes).map_err(damaged)? else {
        return Ok(None);
    };
    let decisions = bodies.into_iter().map(|(kind, mut body)| {
        let decision = match kind {
            0 => Decision::Begin(Decodable::decode(&mut body).map_err(|error| error.to_string())?),
            _ => Decision::Take(Taken::decode(&mut body).map_err(|error| error.to_string())?),
        };
        if body.is_empty() { Ok(decision) } else { Err("a record is too long".to_owned()) }
    });
    Ok(Some((mark, decisions.collect::<Result<_, _>>()?, good)))
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

    /// A gateway that went on would have forgotten what it acknowledged behind the damage.
    #[test]
    fn a_log_that_is_damaged_in_the_middle_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions");
        let mark = Mark::random();
        let mut file = mark.header().to_vec();
        file.extend(decisions().iter().flat_map(|decision| record(mark, decision)));
        file[60] ^= 0x40;
        std::fs::write(&path, &file).unwrap();
        let error = DecisionLog::open(&path).unwrap_err();
        assert!(error.to_string().contains("byte 16 is damaged"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), file, "what is left of it is kept");
    }

    #[test]
    fn what_follows_a_write_that_failed_half_way_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions");
        let (mut log, _) = DecisionLog::open(&path).unwrap();
        let all = decisions();
        log.append(&all[..1]).unwrap();
        let torn = record(log.mark, &all[1]);
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
        assert!(
            record(Mark::random(), &entry).len() as u64 <= transaction.len() as u64 + ENTRY_BYTES
        );
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
