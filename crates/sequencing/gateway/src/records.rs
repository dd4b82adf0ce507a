//! Records in a file that is only appended to: what a process was killed in the middle of writing is cut off, and what
//! else is wrong is told.
//!
//! A record is its length (`u32`, little-endian), the first 8 bytes of the keccak hash of what follows, and a body that
//! begins with its kind.

use alloy_primitives::keccak256;

const HEADER_BYTES: usize = 12;

/// The greatest kind.
const MAX_KIND: u8 = 1;

/// A record with this body.
pub(crate) fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let body = [&[kind], body].concat();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&length[..], &checksum(&body), &body].concat()
}

/// The records of a file.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    /// Kind and body of each.
    pub(crate) bodies: Vec<(u8, &'a [u8])>,
    /// How many bytes they are; what follows was cut off.
    pub(crate) good: usize,
}

/// Reads records. What follows the last whole one was cut off if no whole record follows it; else it was damaged later,
/// and so was lost with what was acknowledged: the error is where.
pub(crate) fn read(bytes: &[u8]) -> Result<Records<'_>, usize> {
    let (mut bodies, mut good) = (Vec::new(), 0);
    while let Some((kind, body)) = record_at(bytes, good) {
        bodies.push((kind, body));
        good += HEADER_BYTES + 1 + body.len();
    }
    let is_damaged = (good + 1..bytes.len()).any(|at| record_at(bytes, at).is_some());
    if is_damaged { Err(good) } else { Ok(Records { bodies, good }) }
}

fn record_at(bytes: &[u8], at: usize) -> Option<(u8, &[u8])> {
    let (length, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
    let (stated, rest) = rest.split_first_chunk::<8>()?;
    let body = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let (kind, content) = body.split_first()?;
    (*kind <= MAX_KIND && checksum(body) == *stated).then_some((*kind, content))
}

fn checksum(body: &[u8]) -> [u8; 8] {
    keccak256(body).first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (Vec<Vec<u8>>, Vec<u8>) {
        let bodies = [vec![1; 90], Vec::new(), vec![2; 200]];
        let records: Vec<_> =
            bodies.iter().zip([0, 1, 1]).map(|(it, kind)| frame(kind, it)).collect();
        let file = records.concat();
        (records, file)
    }

    #[test]
    fn what_is_cut_off_anywhere_costs_only_the_last_record() {
        let (records, file) = file();
        for cut in 0..=file.len() {
            let found = read(&file[..cut]).unwrap();
            let mut whole = 0;
            let complete = records.iter().take_while(|record| {
                whole += record.len();
                whole <= cut
            });
            let count = complete.count();
            assert_eq!(found.bodies.len(), count);
            assert_eq!(found.good, records[..count].iter().map(Vec::len).sum::<usize>());
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
        assert_eq!(read(&found).unwrap().good, file.len());
    }
}
