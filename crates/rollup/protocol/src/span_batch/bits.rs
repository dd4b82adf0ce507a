//! Lists of bits, as span batches encode them: one big-endian integer, padded to whole bytes, whose
//! least significant bit is the first.

use crate::BatchError;
use alloc::{vec, vec::Vec};

/// A list of bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    /// Big-endian.
    bytes: Vec<u8>,
    len: usize,
}

impl Bits {
    /// How many bytes `len` bits take.
    pub(super) const fn encoded_bytes(len: usize) -> usize {
        len.div_ceil(8)
    }

    /// Reads `len` bits.
    pub(super) fn decode(
        bytes: &[u8],
        len: usize,
        field: &'static str,
    ) -> Result<Self, BatchError> {
        let spare = bytes.len() * 8 - len;
        if bytes.first().is_some_and(|first| first.leading_zeros() < spare as u32) {
            return Err(BatchError::TrailingBits { field, bits: len });
        }
        Ok(Self { bytes: bytes.to_vec(), len })
    }

    /// How many bits there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no bit.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bit at `index`; false behind the end.
    pub fn get(&self, index: usize) -> bool {
        let byte = self.bytes.len().checked_sub(index / 8 + 1).and_then(|at| self.bytes.get(at));
        byte.is_some_and(|byte| byte >> (index % 8) & 1 == 1)
    }

    /// How many bits are set.
    pub fn count_ones(&self) -> usize {
        self.bytes.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// All bits, in order.
    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        let bits = self.bytes.iter().rev().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1));
        bits.take(self.len).map(|bit| bit == 1)
    }

    pub(super) fn encoded(&self) -> &[u8] {
        &self.bytes
    }
}

impl FromIterator<bool> for Bits {
    fn from_iter<T: IntoIterator<Item = bool>>(bits: T) -> Self {
        let mut bytes = vec![];
        let mut len = 0;
        for bit in bits {
            if len % 8 == 0 {
                bytes.push(0);
            }
            if let Some(byte) = bytes.last_mut() {
                *byte |= u8::from(bit) << (len % 8);
            }
            len += 1;
        }
        bytes.reverse();
        Self { bytes, len }
    }
}
