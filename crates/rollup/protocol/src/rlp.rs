//! Reading RLP item by item, without copying, and keeping what was read in its encoded form.

use alloc::vec::Vec;
use alloy_rlp::{Error, Header, Result};

/// What is left of a list's payload, or of a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items<'a> {
    rest: &'a [u8],
}

/// An item: its whole encoding, and the payload in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) list: bool,
}

impl<'a> Items<'a> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// The items of the one list that `encoded` is.
    pub(crate) fn of_list(encoded: &'a [u8]) -> Result<Self> {
        let mut items = Self::new(encoded);
        let list = items.list()?;
        items.end()?;
        Ok(list)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next item, whose header must be canonical.
    pub(crate) fn item(&mut self) -> Result<Item<'a>> {
        let mut after = self.rest;
        let Header { list, payload_length } = Header::decode(&mut after)?;
        let (payload, rest) = after.split_at_checked(payload_length).ok_or(Error::InputTooShort)?;
        let whole = self.rest.len() - rest.len();
        let raw = self.rest.get(..whole).ok_or(Error::InputTooShort)?;
        self.rest = rest;
        Ok(Item { raw, payload, list })
    }

    pub(crate) fn string(&mut self) -> Result<Item<'a>> {
        let item = self.item()?;
        if item.list { Err(Error::UnexpectedList) } else { Ok(item) }
    }

    pub(crate) fn list(&mut self) -> Result<Self> {
        let item = self.item()?;
        if item.list { Ok(Self::new(item.payload)) } else { Err(Error::UnexpectedString) }
    }

    /// A string of exactly `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.string()?.payload.try_into().map_err(|_| Error::UnexpectedLength)
    }

    /// An integer of at most `bytes` bytes, in canonical form.
    pub(crate) fn uint(&mut self, bytes: usize) -> Result<Item<'a>> {
        let item = self.string()?;
        if item.payload.first() == Some(&0) {
            return Err(Error::LeadingZero);
        }
        if item.payload.len() > bytes {
            return Err(Error::Overflow);
        }
        Ok(item)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        let payload = self.uint(8)?.payload;
        Ok(payload.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Nothing may be left.
    pub(crate) const fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::UnexpectedLength) }
    }
}

/// Appends a string.
pub(crate) fn put_string(payload: &[u8], out: &mut Vec<u8>) {
    if let [byte @ ..0x80] = payload {
        out.push(*byte);
        return;
    }
    put_header(false, payload.len(), out);
    out.extend_from_slice(payload);
}

/// Appends an integer, given as big-endian bytes.
pub(crate) fn put_uint(bytes: &[u8], out: &mut Vec<u8>) {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    put_string(bytes.get(zeros..).unwrap_or_default(), out);
}

pub(crate) fn put_u64(value: u64, out: &mut Vec<u8>) {
    put_uint(&value.to_be_bytes(), out);
}

pub(crate) fn put_header(list: bool, payload_length: usize, out: &mut Vec<u8>) {
    Header { list, payload_length }.encode(out);
}
