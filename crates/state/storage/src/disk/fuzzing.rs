//! Entrances for the fuzz targets.

pub(crate) use super::log::fuzzing::read_log;

use super::{
    changes::ChangeSet,
    rows::{assemble, decode_receipts, decode_senders, encode_receipts, encode_senders},
    snapshot::{decode_number, decode_place},
};
use crate::db::{
    BlockRow, Identity, Position, decode_account, decode_value, encode_account, encode_value,
    history::Shard,
};
use alloy_primitives::B256;
use lockstep_chain::{Chain, Ethereum, Rollup};

/// Reads the content of a row of any static file and table. What is read is written, and read as
/// the same.
pub(crate) fn read_content(content: &[u8]) {
    if let Ok(changes) = ChangeSet::decode(content) {
        assert_eq!(ChangeSet::decode(&changes.encode()), Ok(changes));
    }
    if let Ok(senders) = decode_senders(content) {
        assert_eq!(encode_senders(&senders), content);
    }
    read_of_chain::<Ethereum>(content);
    read_of_chain::<Rollup>(content);

    if let Ok(account) = decode_account(content) {
        let mut encoded = Vec::new();
        encode_account(&account, &mut encoded);
        assert_eq!(decode_account(&encoded), Ok(account));
    }
    if let Ok(value) = decode_value(content) {
        assert_eq!(encode_value(&value), content);
    }
    if let Ok(row) = BlockRow::decode(content) {
        assert_eq!(row.encode(), content);
    }
    if let Ok(identity) = Identity::decode(content) {
        assert!(content.starts_with(&identity.encode()));
    }
    if let Ok(position) = Position::decode(content) {
        assert_eq!(position.encode(), content);
    }
    if let Ok(numbers) = Shard::decode(content).and_then(|shard| shard.numbers()) {
        assert!(numbers.is_sorted());
    }
    let _ = (decode_number(content), decode_place(content));
}

fn read_of_chain<C: Chain>(content: &[u8])
where
    C::Receipt: PartialEq,
{
    if let Ok(receipts) = decode_receipts::<C::Receipt>(content) {
        assert_eq!(decode_receipts(&encode_receipts(&receipts)).as_ref(), Ok(&receipts));
    }
    // Header, body and senders, each behind its length.
    let mut rest = content;
    let mut part = || {
        let (length, after) = rest.split_first_chunk().unwrap_or((&[0; 2], rest));
        let length = usize::from(u16::from_le_bytes(*length));
        let (part, after) = after.split_at_checked(length).unwrap_or((after, &[]));
        rest = after;
        part
    };
    let (header, body, senders) = (part(), part(), part());
    if let Ok(block) = assemble::<C>(B256::ZERO, header, body, senders) {
        assert_eq!(block.transactions().len(), block.senders.len());
    }
}
