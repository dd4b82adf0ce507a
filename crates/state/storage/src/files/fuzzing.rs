//! An entrance for the fuzz targets.

use super::format::{Kind, decode_entry, decode_row, encode_entry, encode_row, with_checksum};
use alloy_primitives::B256;

/// Reads a row: as it is, and with its checksum corrected, which random bytes never have. Returns
/// the content of the latter.
pub(crate) fn read_row(bytes: &[u8]) -> Option<Vec<u8>> {
    let (kind, number, hash) = (Kind::Bodies, 7, B256::repeat_byte(7));
    let _ = decode_row(kind, number, &hash, bytes);
    if let Ok(end) = decode_entry(kind, number, bytes) {
        assert_eq!(encode_entry(kind, number, end), bytes);
    }
    let row = with_checksum(kind, number, &hash, bytes);
    let content = decode_row(kind, number, &hash, &row).ok()?;
    let again = encode_row(kind, number, &hash, &content).expect("it is no longer than the limit");
    assert_eq!(decode_row(kind, number, &hash, &again).as_ref(), Ok(&content));
    Some(content)
}
