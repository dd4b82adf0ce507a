//! Lists, byte lists and bit fields of blocks, kept as plain vectors.

use super::{Limit, Ssz, SszError, container, depth_for, hash, merkleize, mix_in_length};
use crate::Preset;
use alloy_primitives::{B256, Bytes};
use std::{fmt, marker::PhantomData, ops::Deref};

/// Decodes a sequence of elements, at most `limit`.
pub(super) fn read_sequence<T: Ssz>(
    bytes: &[u8],
    limit: u64,
    preset: &Preset,
) -> Result<Vec<T>, SszError> {
    let Some(size) = T::fixed_len(preset) else {
        let spans = container::element_spans(bytes, limit)?.into_iter();
        let mut read = |span| T::read(bytes.get(span).unwrap_or_default(), preset);
        return spans.map(&mut read).collect();
    };
    if size == 0 || !bytes.len().is_multiple_of(size) {
        return Err(SszError::Length { expected: size, found: bytes.len() });
    }
    let found = (bytes.len() / size) as u64;
    if found > limit {
        return Err(SszError::Limit { limit, found });
    }
    bytes.chunks(size).map(|element| T::read(element, preset)).collect()
}

fn write_sequence<T: Ssz>(elements: &[T], out: &mut Vec<u8>, preset: &Preset) {
    if T::fixed_len(preset).is_some() {
        elements.iter().for_each(|element| element.write(out, preset));
        return;
    }
    let start = out.len();
    out.resize(start + 4 * elements.len(), 0);
    for (index, element) in elements.iter().enumerate() {
        container::write_offset(out, Some(start + 4 * index), start);
        element.write(out, preset);
    }
}

/// A list with a limit.
pub struct List<T, L> {
    elements: Vec<T>,
    limit: PhantomData<fn() -> L>,
}

impl<T, L: Limit> List<T, L> {
    /// A list of these elements.
    ///
    /// # Errors
    /// If they are more than the preset allows.
    pub fn new(elements: Vec<T>, preset: &Preset) -> Result<Self, SszError> {
        let (limit, found) = (L::of(preset), elements.len() as u64);
        if found > limit {
            return Err(SszError::Limit { limit, found });
        }
        Ok(Self { elements, limit: PhantomData })
    }

    /// The elements.
    pub fn into_vec(self) -> Vec<T> {
        self.elements
    }
}

impl<T, L> List<T, L> {
    /// The chunk with the list's length.
    pub fn len_chunk(&self) -> B256 {
        hash::length_chunk(self.elements.len() as u64)
    }
}

impl<T, L> Default for List<T, L> {
    fn default() -> Self {
        Self { elements: Vec::new(), limit: PhantomData }
    }
}

impl<T, L> Deref for List<T, L> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements
    }
}

impl<T: Clone, L> Clone for List<T, L> {
    fn clone(&self) -> Self {
        Self { elements: self.elements.clone(), limit: PhantomData }
    }
}

impl<T: PartialEq, L> PartialEq for List<T, L> {
    fn eq(&self, other: &Self) -> bool {
        self.elements == other.elements
    }
}

impl<T: Eq, L> Eq for List<T, L> {}

impl<T: fmt::Debug, L> fmt::Debug for List<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.elements.fmt(f)
    }
}

impl<T: Ssz, L: Limit> List<T, L> {
    /// The chunks under the list's tree, and the depth of that tree.
    pub fn tree_chunks(&self, preset: &Preset) -> (Vec<B256>, usize) {
        let limit = L::of(preset);
        if !T::BASIC {
            let roots = self.elements.iter().map(|element| element.root(preset)).collect();
            return (roots, depth_for(limit));
        }
        let size = T::fixed_len(preset).unwrap_or(32) as u64;
        let mut bytes = Vec::new();
        write_sequence(&self.elements, &mut bytes, preset);
        (hash::pack(&bytes), depth_for((limit * size).div_ceil(32)))
    }
}

impl<T: Ssz, L: Limit> Ssz for List<T, L> {
    fn fixed_len(_: &Preset) -> Option<usize> {
        None
    }

    fn write(&self, out: &mut Vec<u8>, preset: &Preset) {
        write_sequence(&self.elements, out, preset);
    }

    fn read(bytes: &[u8], preset: &Preset) -> Result<Self, SszError> {
        let elements = read_sequence(bytes, L::of(preset), preset)?;
        Ok(Self { elements, limit: PhantomData })
    }

    fn root(&self, preset: &Preset) -> B256 {
        let (chunks, depth) = self.tree_chunks(preset);
        mix_in_length(&merkleize(chunks, depth), self.elements.len() as u64)
    }
}

/// A list of bytes with a limit.
pub struct ByteList<L> {
    bytes: Bytes,
    limit: PhantomData<fn() -> L>,
}

impl<L: Limit> ByteList<L> {
    /// A list of these bytes.
    ///
    /// # Errors
    /// If they are more than the preset allows.
    pub fn new(bytes: Bytes, preset: &Preset) -> Result<Self, SszError> {
        let (limit, found) = (L::of(preset), bytes.len() as u64);
        if found > limit {
            return Err(SszError::Limit { limit, found });
        }
        Ok(Self { bytes, limit: PhantomData })
    }
}

impl<L> ByteList<L> {
    /// The bytes.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }
}

impl<L> Default for ByteList<L> {
    fn default() -> Self {
        Self { bytes: Bytes::new(), limit: PhantomData }
    }
}

impl<L> Clone for ByteList<L> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), limit: PhantomData }
    }
}

impl<L> PartialEq for ByteList<L> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<L> Eq for ByteList<L> {}

impl<L> fmt::Debug for ByteList<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.fmt(f)
    }
}

impl<L: Limit> Ssz for ByteList<L> {
    fn fixed_len(_: &Preset) -> Option<usize> {
        None
    }

    fn write(&self, out: &mut Vec<u8>, _: &Preset) {
        out.extend(&self.bytes);
    }

    fn read(bytes: &[u8], preset: &Preset) -> Result<Self, SszError> {
        let limit = L::of(preset);
        if bytes.len() as u64 > limit {
            return Err(SszError::Limit { limit, found: bytes.len() as u64 });
        }
        Ok(Self { bytes: Bytes::copy_from_slice(bytes), limit: PhantomData })
    }

    fn root(&self, preset: &Preset) -> B256 {
        let depth = depth_for(L::of(preset).div_ceil(32));
        mix_in_length(&merkleize(hash::pack(&self.bytes), depth), self.bytes.len() as u64)
    }
}

fn pack_bits(bits: &[bool]) -> Vec<u8> {
    let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks(8).map(byte).collect()
}

fn unpack_bits(bytes: &[u8], count: usize) -> Vec<bool> {
    let bit = |index: usize| bytes.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1);
    (0..count).map(bit).collect()
}

/// Bits up to a limit; the encoding ends with a delimiter bit.
pub struct Bitlist<L> {
    bits: Vec<bool>,
    limit: PhantomData<fn() -> L>,
}

/// Bits of a number fixed by the preset.
pub struct BitVector<L> {
    bits: Vec<bool>,
    limit: PhantomData<fn() -> L>,
}

macro_rules! bit_field {
    ($name:ident) => {
        impl<L> Deref for $name<L> {
            type Target = [bool];

            fn deref(&self) -> &[bool] {
                &self.bits
            }
        }

        impl<L> Clone for $name<L> {
            fn clone(&self) -> Self {
                Self { bits: self.bits.clone(), limit: PhantomData }
            }
        }

        impl<L> PartialEq for $name<L> {
            fn eq(&self, other: &Self) -> bool {
                self.bits == other.bits
            }
        }

        impl<L> Eq for $name<L> {}

        impl<L> fmt::Debug for $name<L> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.bits.iter().try_for_each(|bit| write!(f, "{}", u8::from(*bit)))
            }
        }
    };
}

bit_field!(Bitlist);
bit_field!(BitVector);

impl<L: Limit> Bitlist<L> {
    /// A list of these bits.
    ///
    /// # Errors
    /// If they are more than the preset allows.
    pub fn new(bits: Vec<bool>, preset: &Preset) -> Result<Self, SszError> {
        let (limit, found) = (L::of(preset), bits.len() as u64);
        if found > limit {
            return Err(SszError::Limit { limit, found });
        }
        Ok(Self { bits, limit: PhantomData })
    }

    /// The encoding: the bits, lowest first, and the delimiter.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bits = self.bits.clone();
        bits.push(true);
        pack_bits(&bits)
    }
}

impl<L: Limit> Ssz for Bitlist<L> {
    fn fixed_len(_: &Preset) -> Option<usize> {
        None
    }

    fn write(&self, out: &mut Vec<u8>, _: &Preset) {
        out.extend(self.to_bytes());
    }

    fn read(bytes: &[u8], preset: &Preset) -> Result<Self, SszError> {
        let last = bytes.last().copied().filter(|last| *last != 0).ok_or(SszError::Bits)?;
        let count = 8 * bytes.len() - 1 - last.leading_zeros() as usize;
        let limit = L::of(preset);
        if count as u64 > limit {
            return Err(SszError::Limit { limit, found: count as u64 });
        }
        Ok(Self { bits: unpack_bits(bytes, count), limit: PhantomData })
    }

    fn root(&self, preset: &Preset) -> B256 {
        let depth = depth_for(L::of(preset).div_ceil(256));
        let chunks = hash::pack(&pack_bits(&self.bits));
        mix_in_length(&merkleize(chunks, depth), self.bits.len() as u64)
    }
}

impl<L: Limit> BitVector<L> {
    /// A vector without a bit set.
    pub fn zero(preset: &Preset) -> Self {
        Self { bits: vec![false; L::of(preset) as usize], limit: PhantomData }
    }

    /// Sets a bit; an index beyond the length changes nothing.
    pub fn set(&mut self, index: usize, value: bool) {
        if let Some(bit) = self.bits.get_mut(index) {
            *bit = value;
        }
    }

    /// The encoding: the bits, lowest first.
    pub fn to_bytes(&self) -> Vec<u8> {
        pack_bits(&self.bits)
    }
}

impl<L: Limit> Ssz for BitVector<L> {
    fn fixed_len(preset: &Preset) -> Option<usize> {
        Some((L::of(preset) as usize).div_ceil(8))
    }

    fn write(&self, out: &mut Vec<u8>, _: &Preset) {
        out.extend(self.to_bytes());
    }

    fn read(bytes: &[u8], preset: &Preset) -> Result<Self, SszError> {
        let count = L::of(preset) as usize;
        if bytes.len() != count.div_ceil(8) {
            return Err(SszError::Length { expected: count.div_ceil(8), found: bytes.len() });
        }
        let unused = bytes.last().is_some_and(|last| {
            let used = count - 8 * (bytes.len() - 1);
            used < 8 && last >> used != 0
        });
        if unused {
            return Err(SszError::Bits);
        }
        Ok(Self { bits: unpack_bits(bytes, count), limit: PhantomData })
    }

    fn root(&self, preset: &Preset) -> B256 {
        let depth = depth_for(L::of(preset).div_ceil(256));
        merkleize(hash::pack(&self.to_bytes()), depth)
    }
}
