//! Brotli (RFC 7932), by the `brotli` crate.

use super::CompressionError;
use alloc::{boxed::Box, vec, vec::Vec};
use alloy_primitives::Bytes;
use brotli::{
    Allocator, BrotliDecompressStream, BrotliResult, BrotliState, SliceWrapper, SliceWrapperMut,
    enc::{
        BrotliAlloc,
        encode::{BrotliEncoderOperation, BrotliEncoderStateStruct},
    },
};
use core::fmt;

/// Input is handed over in pieces of this size, and output taken in steps of that. How much of what
/// stands before malformed input comes out depends on them (no specification says), so they depend
/// neither on frames nor on how much is asked for.
const PIECE_BYTES: usize = 4_096;
const STEP_BYTES: usize = 64 * 1024;
/// Logarithm of how far back a match may refer; the default of Brotli's own tools.
const WINDOW_BITS: i32 = 22;

/// Decompresses, with a window of at most 16 MiB ("large windows" are not part of RFC 7932).
pub(crate) struct BrotliStream {
    input: Bytes,
    at: usize,
    state: Box<BrotliState<Heap, Heap, Heap>>,
    /// Output that nobody asked for yet, up to a step of it.
    ready: Vec<u8>,
    taken: usize,
    end: Option<Result<(), CompressionError>>,
}

impl fmt::Debug for BrotliStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, at, end, .. } = self;
        f.debug_struct("BrotliStream")
            .field("input", &input.len())
            .field("at", at)
            .field("end", end)
            .finish_non_exhaustive()
    }
}

impl BrotliStream {
    pub(super) fn new(input: Bytes) -> Self {
        let state = Box::new(BrotliState::new_strict(Heap, Heap, Heap));
        Self { input, at: 0, state, ready: Vec::new(), taken: 0, end: None }
    }

    /// See [`super::Decompressor::fill`].
    pub(super) fn fill(&mut self, out: &mut Vec<u8>, want: usize) -> Result<(), CompressionError> {
        while out.len() < want {
            let rest = self.ready.get(self.taken..).unwrap_or_default();
            if let Some(taken) = rest.get(..rest.len().min(want - out.len()))
                && !taken.is_empty()
            {
                out.extend_from_slice(taken);
                self.taken += taken.len();
            } else if let Some(end) = self.end {
                return end;
            } else {
                let mut ready = core::mem::take(&mut self.ready);
                ready.resize(STEP_BYTES, 0);
                let written = self.step(&mut ready);
                ready.truncate(written);
                (self.ready, self.taken) = (ready, 0);
            }
        }
        Ok(())
    }

    /// Whether all was decompressed and given out, and nothing is behind it.
    pub(super) fn is_complete(&self) -> bool {
        self.end == Some(Ok(())) && self.taken == self.ready.len() && self.at == self.input.len()
    }

    /// Fills `room`, or uses up a piece of the input; returns how much was written.
    fn step(&mut self, room: &mut [u8]) -> usize {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let piece = rest.get(..PIECE_BYTES).unwrap_or(rest);
        let (mut available_in, mut read) = (piece.len(), 0);
        let (mut available_out, mut written, mut total) = (room.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut read,
            piece,
            &mut available_out,
            &mut written,
            room,
            &mut total,
            &mut self.state,
        );
        self.at += read;
        self.end = match result {
            BrotliResult::ResultSuccess => Some(Ok(())),
            BrotliResult::ResultFailure => Some(Err(CompressionError::Corrupt("not Brotli"))),
            // Where there is no room left, more may have been decompressed than was written.
            BrotliResult::NeedsMoreInput if rest.len() == read && written < room.len() => {
                Some(Err(CompressionError::Truncated))
            }
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => None,
        };
        written
    }
}

/// Compresses `data`; the first byte announces Brotli.
pub(super) fn compress(data: &[u8], quality: u8) -> Vec<u8> {
    let mut encoder = BrotliEncoderStateStruct::new(Heap);
    encoder.params.quality = quality.into();
    encoder.params.lgwin = WINDOW_BITS;
    encoder.params.size_hint = data.len();
    let mut out = Vec::from([super::CHANNEL_VERSION_BROTLI]);
    let mut step = vec![0; STEP_BYTES];
    let (mut available_in, mut read) = (data.len(), 0);
    loop {
        let (mut available_out, mut written) = (step.len(), 0);
        let went_on = encoder.compress_stream(
            BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
            &mut available_in,
            data,
            &mut read,
            &mut available_out,
            &mut step,
            &mut written,
            &mut None,
            &mut |_, _, _, _| (),
        );
        out.extend_from_slice(step.get(..written).unwrap_or_default());
        // It refuses only operations out of order.
        if encoder.is_finished() || !went_on {
            return out;
        }
    }
}

/// Gives the codec memory of the global allocator.
#[derive(Clone, Copy, Default)]
struct Heap;

/// Memory for the codec.
#[derive(Default)]
struct Memory<T>(Vec<T>);

impl<T> SliceWrapper<T> for Memory<T> {
    fn slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> SliceWrapperMut<T> for Memory<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T: Clone + Default> Allocator<T> for Heap {
    type AllocatedMemory = Memory<T>;

    fn alloc_cell(&mut self, len: usize) -> Memory<T> {
        Memory(vec![T::default(); len])
    }

    fn free_cell(&mut self, _: Memory<T>) {}
}

impl BrotliAlloc for Heap {}
