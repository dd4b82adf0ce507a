//! In which blocks an account or slot changed: sharded lists of block numbers.
//!
//! The key of a shard is the account or slot, then the newest block number in it, big endian; the
//! shard that still grows has the greatest number there is in its place. So the shard that may hold
//! the first change after a block is the first one whose key is not below that block.

use super::{Cursor, Malformed, Table, Tx, Writer, codec::put_varint};
use crate::StorageError;
use signet_libmdbx::TransactionKind;

/// Block numbers in a shard that is full.
pub(crate) const SHARD_NUMBERS: u16 = 256;

/// Stands for the newest number in the key of the shard that still grows.
const OPEN: u64 = u64::MAX;

/// A shard: `[count u16][newest u64]`, the oldest number and the steps to the next ones as varints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    count: u16,
    newest: u64,
    steps: Vec<u8>,
}

impl Shard {
    fn new(number: u64) -> Self {
        let mut steps = Vec::new();
        put_varint(&mut steps, number);
        Self { count: 1, newest: number, steps }
    }

    fn push(&mut self, number: u64) {
        if number > self.newest {
            put_varint(&mut self.steps, number - self.newest);
            self.newest = number;
            self.count += 1;
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.count.to_le_bytes().to_vec();
        out.extend_from_slice(&self.newest.to_le_bytes());
        out.extend_from_slice(&self.steps);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor(bytes);
        let (count, newest) = (cursor.u16()?, cursor.u64()?);
        Ok(Self { count, newest, steps: cursor.0.to_vec() })
    }

    pub(crate) fn numbers(&self) -> Result<Vec<u64>, Malformed> {
        let mut cursor = Cursor(&self.steps);
        let mut numbers = Vec::with_capacity(self.count.min(SHARD_NUMBERS).into());
        let mut last = 0u64;
        for index in 0..self.count {
            let step = cursor.varint()?;
            if index > 0 && step == 0 {
                return Err("block numbers do not ascend");
            }
            last = last.checked_add(step).ok_or("a block number is longer than 64 bits")?;
            numbers.push(last);
        }
        cursor.end()?;
        if numbers.last().is_none_or(|last| *last != self.newest) {
            return Err("the newest block number is not the last");
        }
        Ok(numbers)
    }
}

fn key(subject: &[u8], newest: u64) -> Vec<u8> {
    [subject, &newest.to_be_bytes()].concat()
}

/// Notes that `subject` changed in block `number`, the newest.
pub(crate) fn push(
    tx: &Writer,
    table: Table,
    subject: &[u8],
    number: u64,
) -> Result<(), StorageError> {
    let open = key(subject, OPEN);
    let shard = match tx.get(table, &open, Shard::decode)? {
        None => Shard::new(number),
        Some(shard) if shard.count >= SHARD_NUMBERS => {
            tx.put(table, &key(subject, shard.newest), &shard.encode())?;
            Shard::new(number)
        }
        Some(mut shard) => {
            shard.push(number);
            shard
        }
    };
    tx.put(table, &open, &shard.encode())
}

/// Forgets that `subject` changed in blocks above `number`.
pub(crate) fn pop_above(
    tx: &Writer,
    table: Table,
    subject: &[u8],
    number: u64,
) -> Result<(), StorageError> {
    let open = key(subject, OPEN);
    loop {
        let Some(shard) = tx.get(table, &open, Shard::decode)? else { return Ok(()) };
        let numbers = shard.numbers().map_err(|reason| tx.corrupt(table, &open, reason))?;
        let mut kept = numbers.iter().copied().take_while(|kept| *kept <= number);
        if let Some(first) = kept.next() {
            let mut shard = Shard::new(first);
            kept.for_each(|number| shard.push(number));
            return tx.put(table, &open, &shard.encode());
        }
        tx.delete(table, &open)?;
        let Some((previous, value)) = tx.seek_before(table, &open)? else { return Ok(()) };
        if !previous.starts_with(subject) || previous.len() != open.len() {
            return Ok(());
        }
        tx.delete(table, &previous)?;
        tx.put(table, &open, &value)?;
    }
}

/// The first block after `number` in which `subject` changed.
pub(crate) fn first_after<K: TransactionKind>(
    tx: &Tx<K>,
    table: Table,
    subject: &[u8],
    number: u64,
) -> Result<Option<u64>, StorageError> {
    let from = key(subject, number.saturating_add(1));
    let Some((found, value)) = tx.seek(table, &from)? else { return Ok(None) };
    if !found.starts_with(subject) || found.len() != from.len() {
        return Ok(None);
    }
    let numbers = Shard::decode(&value).and_then(|shard| shard.numbers());
    let numbers = numbers.map_err(|reason| tx.corrupt(table, &found, reason))?;
    Ok(numbers.into_iter().find(|changed| *changed > number))
}
