//! Decompression of Deflate (RFC 1951) in a zlib wrapper (RFC 1950).
//!
//! The whole input is at hand, and the output is its own window, so the only state between calls is
//! where in the input it stands and in which block. The judgement of malformed input is that of Go's
//! `compress/flate`, on which the chain's history rests: the same input is malformed, and the same
//! bytes come out before that.

use super::{
    CompressionError,
    huffman::{Entry, Kind, Table},
};
use alloc::{boxed::Box, vec::Vec};
use alloy_primitives::Bytes;

/// How far back a match may refer.
pub(super) const WINDOW_BYTES: usize = 32_768;

/// The longest match.
const MAX_MATCH_BYTES: usize = 258;
/// Matches are copied in pieces of this size, so up to one less lies behind them.
const PIECE_BYTES: usize = 16;
/// Output is prepared in steps of this size.
const STEP_BYTES: usize = 128 * 1024;

const LITERAL_BITS: usize = 10;
const DISTANCE_BITS: usize = 8;
const LENGTH_CODE_BITS: usize = 7;

const END_OF_BLOCK: usize = 256;
const MAX_LITERAL_SYMBOLS: usize = 286;
const MAX_DISTANCE_SYMBOLS: usize = 30;

/// The order in which the lengths of the code for lengths stand.
const LENGTH_ORDER: [usize; 19] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The Adler-32 of nothing: the only "dictionary" that a reader without one has.
const EMPTY_DICTIONARY: u32 = 1;

#[derive(Debug)]
pub(crate) struct Inflate {
    data: Bytes,
    position: Position,
    blocks: Blocks,
}

/// The blocks of a stream, of which one is being read.
#[derive(Debug)]
struct Blocks {
    state: State,
    is_last: bool,
    codes: Box<Codes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The header of a block comes next.
    Header,
    /// So many bytes of a stored block come next.
    Stored(usize),
    /// Symbols of a compressed block come next.
    Symbols,
    End,
    Failed(CompressionError),
}

#[derive(Debug, Default)]
struct Codes {
    literals: Table,
    distances: Table,
    lengths: Table,
    /// So many bits must be there before a literal is looked up: no code is shorter, and all of a
    /// block's symbols are followed by the code for its end.
    least_bits: u32,
}

impl Inflate {
    /// Reads the header of `channel`.
    pub(super) fn zlib(channel: Bytes) -> Result<Self, CompressionError> {
        let [cmf, flags] = *channel.first_chunk::<2>().ok_or(CompressionError::Truncated)?;
        let header = u16::from_be_bytes([cmf, flags]);
        if cmf & 0x0f != 8 || cmf >> 4 > 7 || !header.is_multiple_of(31) {
            return Err(CompressionError::ZlibHeader(header));
        }
        let mut at = 2;
        if flags & 0x20 != 0 {
            let id = channel.get(2..).and_then(<[u8]>::first_chunk);
            let id = u32::from_be_bytes(*id.ok_or(CompressionError::Truncated)?);
            if id != EMPTY_DICTIONARY {
                return Err(CompressionError::Dictionary(id));
            }
            at = 6;
        }
        Ok(Self::deflate(channel, at))
    }

    fn deflate(data: Bytes, at: usize) -> Self {
        let blocks = Blocks { state: State::Header, is_last: false, codes: Box::default() };
        Self { data, position: Position { at, bits: 0, count: 0 }, blocks }
    }

    /// See [`super::Decompressor::fill`].
    pub(super) fn fill(&mut self, out: &mut Vec<u8>, want: usize) -> Result<(), CompressionError> {
        let mut input = Input { data: &self.data, position: self.position };
        let result = self.blocks.fill(&mut input, out, want);
        self.position = input.position;
        result
    }

    /// What stands behind the last block, if that was read.
    pub(super) fn behind_end(&self) -> Option<&[u8]> {
        let Position { at, count, .. } = self.position;
        // Whole bytes among the bits were looked at, but not used.
        let end = at.checked_sub(count as usize / 8)?;
        self.data.get(end..).filter(|_| self.blocks.state == State::End)
    }
}

impl Blocks {
    fn fill(
        &mut self,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
        want: usize,
    ) -> Result<(), CompressionError> {
        while out.len() < want {
            let step = match self.state {
                State::Header => self.block_header(input),
                State::Stored(left) => self.stored(left, input, out, want),
                State::Symbols => self.symbols(input, out, want),
                State::End => return Ok(()),
                State::Failed(error) => return Err(error),
            };
            match step {
                Ok(state) => self.state = state,
                Err(error) => self.state = State::Failed(error),
            }
        }
        Ok(())
    }

    const fn after_block(&self) -> State {
        if self.is_last { State::End } else { State::Header }
    }

    fn block_header(&mut self, input: &mut Input<'_>) -> Result<State, CompressionError> {
        let header = input.take(3)?;
        self.is_last = header & 1 == 1;
        match header >> 1 {
            0 => stored_header(input),
            1 => {
                self.codes.set_fixed()?;
                Ok(State::Symbols)
            }
            2 => {
                self.codes.read(input)?;
                Ok(State::Symbols)
            }
            _ => Err(CompressionError::Corrupt("there is no block type 3")),
        }
    }

    fn stored(
        &mut self,
        left: usize,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
        want: usize,
    ) -> Result<State, CompressionError> {
        if left == 0 {
            return Ok(self.after_block());
        }
        let bytes = input.take_bytes(left.min(want - out.len()));
        if bytes.is_empty() {
            return Err(CompressionError::Truncated);
        }
        out.extend_from_slice(bytes);
        Ok(State::Stored(left - bytes.len()))
    }

    fn symbols(
        &self,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
        want: usize,
    ) -> Result<State, CompressionError> {
        let begin = out.len();
        let until = want.min(begin + STEP_BYTES);
        out.resize(until + MAX_MATCH_BYTES + PIECE_BYTES, 0);
        let (end, step) = self.codes.decode(input, out, begin, until);
        out.truncate(end);
        Ok(if step? { self.after_block() } else { State::Symbols })
    }
}

fn stored_header(input: &mut Input<'_>) -> Result<State, CompressionError> {
    input.align();
    let length = input.take(16)?;
    let complement = input.take(16)?;
    if length ^ complement != 0xffff {
        return Err(CompressionError::Corrupt("the length of a stored block is not confirmed"));
    }
    Ok(State::Stored(length as usize))
}

impl Codes {
    /// Decodes symbols to `out` from `begin` on, until there are `until` bytes (false) or the block
    /// ends (true). Returns how many there are.
    fn decode(
        &self,
        input: &mut Input<'_>,
        out: &mut [u8],
        begin: usize,
        until: usize,
    ) -> (usize, Result<bool, CompressionError>) {
        // Copies, which the compiler keeps in registers.
        let (mut local, mut window) = (*input, Window { out, at: begin });
        let end = self.decode_to(&mut local, &mut window, until);
        *input = local;
        (window.at, end)
    }

    #[inline(always)]
    fn decode_to(
        &self,
        input: &mut Input<'_>,
        window: &mut Window<'_>,
        until: usize,
    ) -> Result<bool, CompressionError> {
        while window.at < until {
            // Enough for the longest symbol of each kind and the bits behind them, unless the input
            // is about to end; what is taken is checked in either case.
            input.refill();
            if input.position.count < self.least_bits {
                return Err(CompressionError::Truncated);
            }
            let mut symbol = self.literals.look_up(input.position.bits);
            input.consume_code(symbol)?;
            if symbol.is_literal() {
                window.push(symbol.value() as u8);
                // There are bits for a second code of 15, and behind it for all of a match.
                if input.position.count < 15 + 5 + 15 + 13 || window.at >= until {
                    continue;
                }
                symbol = self.literals.look_up(input.position.bits);
                input.consume_code(symbol)?;
                if symbol.is_literal() {
                    window.push(symbol.value() as u8);
                    continue;
                }
            }
            if symbol.is_end() {
                return Ok(true);
            }
            let length = symbol.value() + input.take_extra(symbol)?;
            let symbol = self.distances.look_up(input.position.bits);
            input.consume_code(symbol)?;
            let distance = symbol.value() + input.take_extra(symbol)?;
            window.copy(distance as usize, length as usize)?;
        }
        Ok(false)
    }

    /// The code of blocks that bring none (RFC 1951 § 3.2.6).
    fn set_fixed(&mut self) -> Result<(), CompressionError> {
        let mut lengths = [8; 288];
        lengths.iter_mut().take(256).skip(144).for_each(|length| *length = 9);
        lengths.iter_mut().take(280).skip(256).for_each(|length| *length = 7);
        self.set(&lengths, &[5; 32])
    }

    fn set(&mut self, literals: &[u8], distances: &[u8]) -> Result<(), CompressionError> {
        let incomplete = CompressionError::Corrupt("a code is not complete");
        self.literals.build(LITERAL_BITS, literals, literal_meaning).ok_or(incomplete)?;
        self.distances.build(DISTANCE_BITS, distances, distance_meaning).ok_or(incomplete)?;
        let end = literals.get(END_OF_BLOCK).copied().unwrap_or_default();
        self.least_bits = self.literals.min_bits.max(end.into());
        Ok(())
    }

    /// Reads the code that a block brings (RFC 1951 § 3.2.7).
    fn read(&mut self, input: &mut Input<'_>) -> Result<(), CompressionError> {
        let literals = input.take(5)? as usize + 257;
        if literals > MAX_LITERAL_SYMBOLS {
            return Err(CompressionError::Corrupt("there are no literals above 285"));
        }
        let distances = input.take(5)? as usize + 1;
        if distances > MAX_DISTANCE_SYMBOLS {
            return Err(CompressionError::Corrupt("there are no distances above 29"));
        }
        let count = input.take(4)? as usize + 4;
        let mut code_lengths = [0; 19];
        for at in LENGTH_ORDER.into_iter().take(count) {
            if let Some(length) = code_lengths.get_mut(at) {
                *length = input.take(3)? as u8;
            }
        }
        let incomplete = CompressionError::Corrupt("the code for lengths is not complete");
        let meaning = |symbol| Entry::new(Kind::Literal, symbol as u16, 0);
        self.lengths.build(LENGTH_CODE_BITS, &code_lengths, meaning).ok_or(incomplete)?;
        let mut all = [0; MAX_LITERAL_SYMBOLS + MAX_DISTANCE_SYMBOLS];
        let total = literals + distances;
        let lengths = all.get_mut(..total).unwrap_or_default();
        self.read_lengths(input, lengths)?;
        let (literals, distances) = lengths.split_at(literals);
        self.set(literals, distances)
    }

    fn read_lengths(&self, input: &mut Input<'_>, out: &mut [u8]) -> Result<(), CompressionError> {
        let mut at = 0;
        let mut before = None;
        while at < out.len() {
            input.refill();
            if input.position.count < self.lengths.min_bits {
                return Err(CompressionError::Truncated);
            }
            let symbol = self.lengths.look_up(input.position.bits);
            input.consume_code(symbol)?;
            let (length, repeat) = match (symbol.value(), before) {
                (length @ ..=15, _) => (length as u8, 1),
                (16, Some(before)) => (before, 3 + input.take(2)? as usize),
                (16, None) => return Err(CompressionError::Corrupt("no length to repeat")),
                (17, _) => (0, 3 + input.take(3)? as usize),
                _ => (0, 11 + input.take(7)? as usize),
            };
            let lengths = out.get_mut(at..at + repeat);
            let overrun = CompressionError::Corrupt("more lengths than symbols");
            lengths.ok_or(overrun)?.fill(length);
            at += repeat;
            before = Some(length);
        }
        Ok(())
    }
}

/// A literal, the end of the block, or the length of a match (RFC 1951 § 3.2.5).
fn literal_meaning(symbol: usize) -> Entry {
    match symbol {
        0..END_OF_BLOCK => Entry::new(Kind::Literal, symbol as u16, 0),
        END_OF_BLOCK => Entry::new(Kind::EndOfBlock, 0, 0),
        257..265 => Entry::new(Kind::Base, symbol as u16 - 254, 0),
        265..285 => {
            let extra = (symbol - 261) / 4;
            let base = ((symbol - 265) % 4 + 4) << extra;
            Entry::new(Kind::Base, base as u16 + 3, extra as u8)
        }
        285 => Entry::new(Kind::Base, 258, 0),
        // Only the fixed code has these; a match of no length is refused.
        _ => Entry::new(Kind::Base, 0, 0),
    }
}

/// The distance of a match (RFC 1951 § 3.2.5).
fn distance_meaning(symbol: usize) -> Entry {
    match symbol {
        0..4 => Entry::new(Kind::Base, symbol as u16 + 1, 0),
        4..MAX_DISTANCE_SYMBOLS => {
            let extra = (symbol - 2) / 2;
            let base = (symbol % 2 + 2) << extra;
            Entry::new(Kind::Base, base as u16 + 1, extra as u8)
        }
        // Only the fixed code has these; a distance of zero is refused.
        _ => Entry::new(Kind::Base, 0, 0),
    }
}

/// The output, with room behind it.
struct Window<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Window<'_> {
    #[inline(always)]
    fn push(&mut self, literal: u8) {
        if let Some(byte) = self.out.get_mut(self.at) {
            *byte = literal;
        }
        self.at += 1;
    }

    /// Repeats `length` bytes from `distance` bytes before.
    #[inline(always)]
    fn copy(&mut self, distance: usize, length: usize) -> Result<(), CompressionError> {
        if distance > self.at || distance == 0 || length == 0 {
            return Err(CompressionError::Corrupt("a match refers to nothing"));
        }
        let (from, end) = (self.at - distance, self.at + length);
        if distance >= PIECE_BYTES {
            let mut done = 0;
            while done < length {
                let piece = self.out.get(from + done..).and_then(<[u8]>::first_chunk);
                let piece: Option<[u8; PIECE_BYTES]> = piece.copied();
                let room = self.out.get_mut(self.at + done..);
                if let (Some(piece), Some(room)) = (piece, room.and_then(<[u8]>::first_chunk_mut)) {
                    *room = piece;
                }
                done += PIECE_BYTES;
            }
        } else {
            // What is copied may be what was just written.
            let area = self.out.get_mut(from..end).unwrap_or_default();
            for index in distance..area.len() {
                let byte = area.get(index - distance).copied().unwrap_or_default();
                if let Some(out) = area.get_mut(index) {
                    *out = byte;
                }
            }
        }
        self.at = end;
        Ok(())
    }
}

/// The input, bit by bit, the lowest first.
#[derive(Clone, Copy)]
struct Input<'a> {
    data: &'a [u8],
    position: Position,
}

#[derive(Clone, Copy, Debug)]
struct Position {
    /// The next byte that is not in `bits`.
    at: usize,
    bits: u64,
    /// How many of `bits` are there.
    count: u32,
}

impl<'a> Input<'a> {
    /// Sees to it that at least 56 bits are there, or all that is left.
    #[inline(always)]
    fn refill(&mut self) {
        let rest = self.data.get(self.position.at..).unwrap_or_default();
        if let Some(eight) = rest.first_chunk() {
            // Bits beyond `count` are the next ones of the input, so that they may be set twice.
            self.position.bits |= u64::from_le_bytes(*eight) << self.position.count;
            let taken = (63 - self.position.count) / 8;
            self.position.at += taken as usize;
            self.position.count += taken * 8;
        } else {
            self.refill_slowly();
        }
    }

    #[cold]
    fn refill_slowly(&mut self) {
        while self.position.count < 56
            && let Some(byte) = self.data.get(self.position.at)
        {
            self.position.bits |= u64::from(*byte) << self.position.count;
            self.position.at += 1;
            self.position.count += 8;
        }
    }

    #[inline(always)]
    fn consume(&mut self, count: u32) -> Result<(), CompressionError> {
        if count > self.position.count {
            return Err(CompressionError::Truncated);
        }
        self.position.bits >>= count;
        self.position.count -= count;
        Ok(())
    }

    /// Consumes the code of `entry`.
    #[inline(always)]
    fn consume_code(&mut self, entry: Entry) -> Result<(), CompressionError> {
        if entry.bits() == 0 {
            return Err(CompressionError::Corrupt("there is no such code"));
        }
        self.consume(entry.bits())
    }

    /// Takes the bits that belong to the value of `entry`.
    #[inline(always)]
    fn take_extra(&mut self, entry: Entry) -> Result<u32, CompressionError> {
        let extra = self.position.bits & ((1 << entry.extra_bits()) - 1);
        self.consume(entry.extra_bits())?;
        Ok(extra as u32)
    }

    /// Takes up to 16 bits.
    fn take(&mut self, count: u32) -> Result<u32, CompressionError> {
        self.refill();
        let taken = self.position.bits & ((1 << count) - 1);
        self.consume(count)?;
        Ok(taken as u32)
    }

    /// Skips the rest of a byte.
    const fn align(&mut self) {
        let rest = self.position.count % 8;
        self.position.bits >>= rest;
        self.position.count -= rest;
    }

    /// Takes whole bytes, as many of `limit` as are there. The input must be aligned.
    fn take_bytes(&mut self, limit: usize) -> &'a [u8] {
        // What was read ahead goes back.
        self.position.at -= self.position.count as usize / 8;
        (self.position.bits, self.position.count) = (0, 0);
        let rest = self.data.get(self.position.at..).unwrap_or_default();
        let taken = rest.get(..limit).unwrap_or(rest);
        self.position.at += taken.len();
        taken
    }
}
