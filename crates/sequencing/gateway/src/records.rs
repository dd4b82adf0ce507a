//! Records in a file that is only appended to: what a process was killed in the middle of writing is cut off, and what
//! else is wrong is told.
//!
//! A file begins with its mark, twice. A record is the mark, the length of its body (`u32`, little-endian), the first 8
//! bytes of the keccak hash of what follows, and the body, which begins with its kind.

use alloy_primitives::keccak256;
use std::hash::{BuildHasher, RandomState};

const MARK_BYTES: usize = 8;

/// The mark, the length and the hash.
const RECORD_HEADER_BYTES: usize = MARK_BYTES + 12;

/// The greatest kind.
const MAX_KIND: u8 = 1;

/// What the records of one file begin with. Users, whose bytes are in records, do not know it, so nothing in a record
/// looks like another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark([u8; MARK_BYTES]);

impl Mark {
    /// That of a new file.
    pub(crate) fn random() -> Self {
        // The system's randomness is in its keys.
        Self(RandomState::new().hash_one(()).to_le_bytes())
    }

    /// What the file begins with.
    pub(crate) fn header(self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        let (first, second) = header.split_at_mut(MARK_BYTES);
        first.copy_from_slice(&self.0);
        second.copy_from_slice(&self.0);
        header
    }

    /// A record with this body.
    pub(crate) fn frame(self, kind: u8, body: &[u8]) -> Vec<u8> {
        let body = [&[kind], body].concat();
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
        [&self.0[..], &length, &checksum(&body), &body].concat()
    }

    fn record_at(self, bytes: &[u8], at: usize) -> Option<(u8, &[u8])> {
        let (mark, rest) = bytes.get(at..)?.split_first_chunk::<MARK_BYTES>()?;
        if *mark != self.0 {
            return None;
        }
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (stated, rest) = rest.split_first_chunk::<8>()?;
        let body = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        let (kind, content) = body.split_first()?;
        (*kind <= MAX_KIND && checksum(body) == *stated).then_some((*kind, content))
    }
}

/// What a file has before its records, in bytes.
pub(crate) const HEADER_BYTES: usize = 2 * MARK_BYTES;

/// The records of a file.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    pub(crate) mark: Mark,
    /// Kind and body of each.
    pub(crate) bodies: Vec<(u8, &'a [u8])>,
    /// How many bytes they are with the file's header; what follows was cut off.
    pub(crate) good: usize,
}

/// Reads records; `None` if the file was cut off in its header, or is new. What follows the last whole record was cut off
/// if no whole record follows it; else it was damaged later, and so was lost with what was acknowledged: the error is where.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<Records<'_>>, usize> {
    let Some((first, rest)) = bytes.split_first_chunk::<MARK_BYTES>() else { return Ok(None) };
    let Some((second, _)) = rest.split_first_chunk::<MARK_BYTES>() else { return Ok(None) };
    if first != second {
        return Err(0);
    }
    let mark = Mark(*first);
    let (mut bodies, mut good) = (Vec::new(), HEADER_BYTES);
    while let Some((kind, body)) = mark.record_at(bytes, good) {
        bodies.push((kind, body));
        good += RECORD_HEADER_BYTES + 1 + body.len();
    }
    let is_damaged = (good + 1..bytes.len()).any(|at| mark.record_at(bytes, at).is_some());
    if is_damaged { Err(good) } else { Ok(Some(Records { mark, bodies, good })) }
}

/// The bodies of the records that are whole, in a file whose records each stand by themselves; and whether all are.
pub(crate) fn read_each(bytes: &[u8]) -> (Vec<&[u8]>, bool) {
    let mark = |at: usize| bytes.get(at..)?.first_chunk().copied().map(Mark);
    let in_header = mark(0).filter(|first| mark(MARK_BYTES) == Some(*first));
    // What the first record begins with tells it, too.
    let Some(mark) = in_header.or_else(|| mark(HEADER_BYTES)) else { return (Vec::new(), false) };
    let (mut bodies, mut is_whole) = (Vec::new(), in_header.is_some());
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        match mark.record_at(bytes, at) {
            Some((_, body)) => {
                bodies.push(body);
                at += RECORD_HEADER_BYTES + 1 + body.len();
            }
            None => {
                is_whole = false;
                at += 1;
            }
        }
    }
    (bodies, is_whole)
}

fn checksum(body: &[u8]) -> [u8; 8] {
    keccak256(body).first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark([7; MARK_BYTES]);

    /// The records, and the file.
    fn file() -> (Vec<Vec<u8>>, Vec<u8>) {
        let bodies = [vec![1; 90], Vec::new(), vec![2; 200]];
        let records: Vec<_> =
            bodies.iter().zip([0, 1, 1]).map(|(it, kind)| MARK.frame(kind, it)).collect();
        let file = [&MARK.header()[..], &records.concat()].concat();
        (records, file)
    }

    #[test]
    fn what_is_cut_off_anywhere_costs_only_the_last_record() {
        let (records, file) = file();
        for cut in 0..=file.len() {
            let Some(found) = read(&file[..cut]).unwrap() else {
                assert!(cut < HEADER_BYTES);
                continue;
            };
            let mut whole = HEADER_BYTES;
            let complete = records.iter().take_while(|record| {
                whole += record.len();
                whole <= cut
            });
            let count = complete.count();
            assert_eq!(found.bodies.len(), count);
            let good: usize = records[..count].iter().map(Vec::len).sum();
            assert_eq!((found.mark, found.good), (MARK, HEADER_BYTES + good));
        }
    }

    /// What was acknowledged after it would be lost without a word otherwise.
    #[test]
    fn damage_before_a_whole_record_is_told_and_behind_the_last_it_is_a_torn_tail() {
        let (records, file) = file();
        let last = file.len() - records[2].len();
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 0x40;
            match read(&changed) {
                Ok(found) => {
                    let found = found.unwrap();
                    assert!(at >= last, "{at}");
                    assert_eq!((found.bodies.len(), found.good), (2, last));
                }
                Err(damaged) => {
                    assert!(at < last, "{at}");
                    assert!(damaged <= at);
                }
            }
        }
    }

    #[test]
    fn zeros_behind_the_last_record_are_a_torn_tail() {
        let (_, file) = file();
        let found = [&file[..], &[0; 4_096]].concat();
        assert_eq!(read(&found).unwrap().unwrap().good, file.len());
    }

    #[test]
    fn where_each_record_stands_by_itself_damage_costs_one() {
        let (records, file) = file();
        assert_eq!(read_each(&file).0.len(), records.len());
        assert!(read_each(&file).1);
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 0x40;
            let (found, is_whole) = read_each(&changed);
            let expected = if at < HEADER_BYTES { records.len() } else { records.len() - 1 };
            assert_eq!((found.len(), is_whole), (expected, false), "{at}");
        }
        for cut in HEADER_BYTES..file.len() {
            assert!(read_each(&file[..cut]).0.len() < records.len());
        }
    }

    /// Users choose what is in a record, but not the mark of its file.
    #[test]
    fn what_a_user_writes_is_no_record() {
        let forged = Mark([8; MARK_BYTES]).frame(0, &[]).repeat(9);
        let torn = MARK.frame(1, &forged);
        let file = [&MARK.header()[..], &MARK.frame(0, &[3]), &torn[..torn.len() - 1]].concat();
        let found = read(&file).unwrap().unwrap();
        assert_eq!((found.bodies.len(), found.good), (1, file.len() - torn.len() + 1));
        assert_ne!(Mark::random(), Mark::random());
    }
}
