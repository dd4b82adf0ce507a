//! An entrance for the fuzz targets.

use super::{
    format::{Record, decode_logged, encode_header, encode_record},
    segment::{file_name, read, scan},
};
use crate::ForkChoice;
use alloy_primitives::{B256, Bytes};
use lockstep_chain::{Ethereum, Rollup};
use std::{fs, path::Path};

const NUMBER: u64 = 3;
const CHAIN: u32 = 0x6a09_e667;

/// Reads a log file in `folder`: the bytes as they are, if the first one is zero; otherwise right
/// records that they describe, with bytes behind them. Of the latter every record comes back.
pub(crate) fn read_log(folder: &Path, bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let (file, records) = if *choice == 0 { (bytes.to_vec(), Vec::new()) } else { written(bytes) };
    let path = folder.join(file_name(NUMBER));
    for may_lack_end in [false, true] {
        fs::write(&path, &file).expect("the folder is writable");
        let Ok(found) = scan(folder, NUMBER, CHAIN, may_lack_end) else { continue };
        let mut back = Vec::new();
        if found.is_some() {
            read(&path, NUMBER, CHAIN, |record| {
                back.push(record);
                Ok(())
            })
            .expect("what was looked through can be read");
        }
        assert!(back.starts_with(&records), "{back:?} does not begin with {records:?}");
    }
}

/// A file with the records that the bytes describe (kind, length, content), and the rest of the
/// bytes from the first record without content on.
fn written(mut bytes: &[u8]) -> (Vec<u8>, Vec<Record>) {
    let mut file = encode_header(NUMBER, CHAIN);
    let mut records = Vec::new();
    while let Some(([kind, length], after)) = bytes.split_first_chunk()
        && *length > 0
    {
        let content = after.get(..usize::from(*length)).unwrap_or(after);
        bytes = after.get(content.len()..).unwrap_or_default();
        let hash = B256::repeat_byte(*kind);
        let record = if kind.is_multiple_of(3) {
            Record::ForkChoice(ForkChoice { head: hash, ..Default::default() })
        } else {
            let _ = decode_logged::<Ethereum>(hash, content);
            let _ = decode_logged::<Rollup>(hash, content);
            Record::Block { number: (*kind).into(), hash, rlp: Bytes::copy_from_slice(content) }
        };
        let frame = encode_record(&record, NUMBER, records.len() as u64);
        file.extend(frame.expect("it is no longer than the limit"));
        records.push(record);
    }
    file.extend_from_slice(bytes);
    (file, records)
}
