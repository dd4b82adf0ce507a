//! Basic types and byte vectors.

use super::{Ssz, SszError, depth_for, hash, merkleize};
use crate::Preset;
use alloy_primitives::{Address, B256, Bloom, FixedBytes, U256};

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], SszError> {
    bytes.try_into().map_err(|_| SszError::Length { expected: N, found: bytes.len() })
}

impl Ssz for bool {
    const BASIC: Self = true;

    fn fixed_len(_: &Preset) -> Option<usize> {
        Some(1)
    }

    fn write(&self, out: &mut Vec<u8>, _: &Preset) {
        out.push(u8::from(*self));
    }

    fn read(bytes: &[u8], _: &Preset) -> Result<Self, SszError> {
        match exactly::<1>(bytes)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(SszError::Boolean(other)),
        }
    }

    fn root(&self, _: &Preset) -> B256 {
        hash::length_chunk(u64::from(*self))
    }
}

impl Ssz for u8 {
    const BASIC: bool = true;

    fn fixed_len(_: &Preset) -> Option<usize> {
        Some(1)
    }

    fn write(&self, out: &mut Vec<u8>, _: &Preset) {
        out.push(*self);
    }

    fn read(bytes: &[u8], _: &Preset) -> Result<Self, SszError> {
        exactly::<1>(bytes).map(|[byte]| byte)
    }

    fn root(&self, _: &Preset) -> B256 {
        hash::length_chunk(u64::from(*self))
    }
}

impl Ssz for u64 {
    const BASIC: bool = true;

    fn fixed_len(_: &Preset) -> Option<usize> {
        Some(8)
    }

    fn write(&self, out: &mut Vec<u8>, _: &Preset) {
        out.extend(self.to_le_bytes());
    }

    fn read(bytes: &[u8], _: &Preset) -> Result<Self, SszError> {
        exactly(bytes).map(Self::from_le_bytes)
    }

    fn root(&self, _: &Preset) -> B256 {
        hash::length_chunk(*self)
    }
}

impl Ssz for U256 {
    const BASIC: bool = true;

    fn fixed_len(_: &Preset) -> Option<usize> {
        Some(32)
    }

    fn write(&self, out: &mut Vec<u8>, _: &Preset) {
        out.extend(self.to_le_bytes::<32>());
    }

    fn read(bytes: &[u8], _: &Preset) -> Result<Self, SszError> {
        exactly(bytes).map(Self::from_le_bytes::<32>)
    }

    fn root(&self, _: &Preset) -> B256 {
        B256::new(self.to_le_bytes())
    }
}

impl<const N: usize> Ssz for FixedBytes<N> {
    fn fixed_len(_: &Preset) -> Option<usize> {
        Some(N)
    }

    fn write(&self, out: &mut Vec<u8>, _: &Preset) {
        out.extend(self.as_slice());
    }

    fn read(bytes: &[u8], _: &Preset) -> Result<Self, SszError> {
        exactly(bytes).map(Self::new)
    }

    fn root(&self, _: &Preset) -> B256 {
        if N <= 32 {
            return B256::right_padding_from(self.as_slice());
        }
        merkleize(hash::pack(self.as_slice()), depth_for(N.div_ceil(32) as u64))
    }
}

impl Ssz for Address {
    fn fixed_len(_: &Preset) -> Option<usize> {
        Some(20)
    }

    fn write(&self, out: &mut Vec<u8>, _: &Preset) {
        out.extend(self.as_slice());
    }

    fn read(bytes: &[u8], _: &Preset) -> Result<Self, SszError> {
        exactly(bytes).map(Self::new)
    }

    fn root(&self, preset: &Preset) -> B256 {
        self.0.root(preset)
    }
}

impl Ssz for Bloom {
    fn fixed_len(_: &Preset) -> Option<usize> {
        Some(256)
    }

    fn write(&self, out: &mut Vec<u8>, _: &Preset) {
        out.extend(self.as_slice());
    }

    fn read(bytes: &[u8], _: &Preset) -> Result<Self, SszError> {
        exactly(bytes).map(Self::new)
    }

    fn root(&self, preset: &Preset) -> B256 {
        self.0.root(preset)
    }
}
