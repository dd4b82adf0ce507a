//! Huffman codes of Deflate as lookup tables.
//!
//! The first bits of the input index a table whose entry tells symbol and length of the code; longer
//! codes lead to a second table. Which sets of lengths are codes at all is for [`Table::build`] to
//! judge: precisely those that Go's `compress/flate` accepts, because a channel that one
//! implementation reads and another does not splits the chain.

use alloc::vec::Vec;

/// The longest code.
pub(super) const MAX_CODE_BITS: usize = 15;

/// What an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Literal = 0,
    /// A length or a distance: a base, and some more bits.
    Base = 1,
    EndOfBlock = 2,
    /// The code is longer: its remaining bits index another table.
    Link = 3,
}

/// An entry: the bits that it consumes (zero: there is no such code), how many more belong to the
/// value, what it is, and the value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry(u32);

impl Entry {
    pub(super) const fn new(kind: Kind, value: u16, extra_bits: u8) -> Self {
        Self((value as u32) << 16 | (kind as u32) << 12 | (extra_bits as u32) << 8)
    }

    const fn with_bits(self, bits: usize) -> Self {
        Self(self.0 | bits as u32)
    }

    /// How many bits the code has; of a link, how many bits index its table.
    pub(super) const fn bits(self) -> u32 {
        self.0 & 0xff
    }

    pub(super) const fn extra_bits(self) -> u32 {
        self.0 >> 8 & 0xf
    }

    pub(super) const fn is_literal(self) -> bool {
        self.0 & 0x3000 == 0
    }

    pub(super) const fn is_end(self) -> bool {
        self.0 & 0x3000 == (Kind::EndOfBlock as u32) << 12
    }

    const fn is_link(self) -> bool {
        self.0 & 0x3000 == (Kind::Link as u32) << 12
    }

    pub(super) const fn value(self) -> u32 {
        self.0 >> 16
    }
}

/// A code.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
    /// Bits that index the first table.
    first_bits: u32,
    /// The shortest code.
    pub(super) min_bits: u32,
}

impl Table {
    /// The code in which symbol `i` has `lengths[i]` bits and means `meanings(i)`; `None` if the
    /// lengths are not those of a complete code. No code at all, or one of a single bit, will do.
    pub(super) fn build(
        &mut self,
        first_bits: usize,
        lengths: &[u8],
        meaning: impl Fn(usize) -> Entry,
    ) -> Option<()> {
        let mut count = [0_usize; MAX_CODE_BITS + 1];
        for length in lengths {
            *count.get_mut(usize::from(*length))? += 1;
        }
        let [zeros, ..] = &mut count;
        *zeros = 0;
        let longest = count.iter().rposition(|count| *count > 0).unwrap_or_default();
        let shortest = count.iter().position(|count| *count > 0).unwrap_or_default();
        let mut next = [0_usize; MAX_CODE_BITS + 1];
        let mut code = 0;
        for (next, count) in next.iter_mut().zip(count).take(longest + 1).skip(1) {
            code <<= 1;
            *next = code;
            code += count;
        }
        let is_complete = code == 1 << longest || (code == 1 && longest == 1);
        if longest > 0 && !is_complete {
            return None;
        }
        self.min_bits = shortest as u32;
        self.first_bits = first_bits as u32;
        self.entries.clear();
        self.entries.resize(1 << first_bits, Entry::default());
        let rest_bits = longest.saturating_sub(first_bits);
        for (symbol, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let length = usize::from(*length);
            let code = next.get_mut(length)?;
            // Codes stand in the input with their first bit lowest.
            let reversed = (*code as u16).reverse_bits() as usize >> (16 - length);
            *code += 1;
            let entry = meaning(symbol).with_bits(length);
            if length <= first_bits {
                let all = self.entries.get_mut(reversed..1 << first_bits)?;
                all.iter_mut().step_by(1 << length).for_each(|slot| *slot = entry);
            } else {
                self.insert_long(reversed, length, rest_bits, entry)?;
            }
        }
        Some(())
    }

    fn insert_long(
        &mut self,
        reversed: usize,
        length: usize,
        rest_bits: usize,
        entry: Entry,
    ) -> Option<()> {
        let first_bits = self.first_bits as usize;
        let end = self.entries.len();
        let link = self.entries.get_mut(reversed & ((1 << first_bits) - 1))?;
        if link.bits() == 0 {
            *link = Entry::new(Kind::Link, u16::try_from(end).ok()?, 0).with_bits(rest_bits);
            self.entries.resize(end + (1 << rest_bits), Entry::default());
        }
        let begin = self.entries.get(reversed & ((1 << first_bits) - 1))?.value() as usize;
        let second = self.entries.get_mut(begin..begin + (1 << rest_bits))?;
        let all = second.get_mut(reversed >> first_bits..)?;
        all.iter_mut().step_by(1 << (length - first_bits)).for_each(|slot| *slot = entry);
        Some(())
    }

    /// The entry for the next bits of the input; an empty one if they begin no code.
    #[inline(always)]
    pub(super) fn look_up(&self, bits: u64) -> Entry {
        let first = bits as usize & ((1 << self.first_bits) - 1);
        let entry = self.entries.get(first).copied().unwrap_or_default();
        if !entry.is_link() {
            return entry;
        }
        let second = (bits >> self.first_bits) as usize & ((1 << entry.bits()) - 1);
        self.entries.get(entry.value() as usize + second).copied().unwrap_or_default()
    }
}
