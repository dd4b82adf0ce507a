//! Guess how far data will compress, without compressing it.

/// Bytes that must repeat for a match.
const MATCH_BYTES: usize = 6;

/// Slots of the table of sequences seen (a power of two).
const SLOTS: usize = 1 << 16;

/// What a match costs, in 1/256 bits: length and distance under a typical Huffman code.
const MATCH_COST: u64 = 22 * 256;

/// Guesses the compressed size of a growing stream of bytes.
///
/// A model of what dictionary coders do: sequences that occurred before cost a reference, other bytes
/// cost their entropy given the frequencies of the literals so far. Each byte is looked at once, so
/// the guess after every block costs only that block. It is not a bound; [`crate::ChannelBuilder`]
/// corrects it by what real compression yields.
///
/// Limits: one table of 2^16 sequences (512 KiB), whatever the length of the stream.
#[derive(Clone, Debug)]
pub struct SizeEstimator {
    seen: Box<[u64]>,
    counts: Box<[u32; 256]>,
    literals: u32,
    cost: u64,
    bytes: u64,
}

impl Default for SizeEstimator {
    fn default() -> Self {
        Self {
            seen: vec![u64::MAX; SLOTS].into_boxed_slice(),
            counts: Box::new([1; 256]),
            literals: 256,
            cost: 0,
            bytes: 0,
        }
    }
}

impl SizeEstimator {
    /// Continues the stream with `data`.
    pub fn add(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        let mut rest = data;
        while let Some((&byte, next)) = rest.split_first() {
            match self.repeated(rest) {
                Some(length) => {
                    self.cost += MATCH_COST;
                    rest = rest.get(length..).unwrap_or_default();
                }
                None => {
                    self.cost += self.literal_cost(byte);
                    rest = next;
                }
            }
        }
    }

    /// The guess, in bytes.
    pub const fn estimate(&self) -> usize {
        (self.cost / (256 * 8)) as usize
    }

    /// Bytes of the stream so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many bytes at the beginning of `data` occurred before, if enough did to be worth a
    /// reference. Remembers the sequences that it looks at.
    fn repeated(&mut self, data: &[u8]) -> Option<usize> {
        let mut length = 0;
        while let Some(window) =
            data.get(length..).and_then(|rest| rest.first_chunk::<MATCH_BYTES>())
        {
            let [a, b, c, d, e, f] = window.map(u64::from);
            let sequence = a | b << 8 | c << 16 | d << 24 | e << 32 | f << 40;
            let slot = (sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize;
            let remembered = self.seen.get_mut(slot)?;
            if *remembered != sequence {
                *remembered = sequence;
                break;
            }
            length += 1;
        }
        // A window that repeats covers its bytes, not only its first.
        (length > 0).then(|| length + MATCH_BYTES - 1)
    }

    /// The cost of a literal in 1/256 bits, and counts it.
    fn literal_cost(&mut self, byte: u8) -> u64 {
        let Some(count) = self.counts.get_mut(usize::from(byte)) else { return 8 * 256 };
        let cost = log2_256(self.literals).saturating_sub(log2_256(*count));
        *count += 1;
        self.literals += 1;
        // Halving keeps the frequencies recent and the counters small.
        if self.literals > 1 << 20 {
            self.literals = 0;
            for count in self.counts.iter_mut() {
                *count = (*count / 2).max(1);
                self.literals += *count;
            }
        }
        cost
    }
}

/// `log2(value)` in 1/256, linear between powers of two.
const fn log2_256(value: u32) -> u64 {
    let value = if value == 0 { 1 } else { value };
    let whole = value.ilog2();
    let fraction = ((value as u64) << 8 >> whole) - 256;
    (whole as u64) * 256 + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect()
    }

    fn estimate(data: &[u8]) -> usize {
        let mut estimator = SizeEstimator::default();
        estimator.add(data);
        estimator.estimate()
    }

    #[test]
    fn noise_does_not_compress() {
        let found = estimate(&noise(100_000));
        assert!((95_000..=105_000).contains(&found), "{found}");
    }

    #[test]
    fn zeros_compress_to_almost_nothing() {
        let found = estimate(&vec![0; 100_000]);
        assert!(found < 100, "{found}");
    }

    #[test]
    fn what_repeats_costs_little_the_second_time() {
        let once = noise(10_000);
        let twice = [once.clone(), once.clone()].concat();
        let (first, both) = (estimate(&once), estimate(&twice));
        assert!(both < first + first / 4, "{first} then {both}");
    }

    #[test]
    fn the_guess_never_shrinks_and_counts_all_bytes() {
        let data = noise(5_000);
        let mut estimator = SizeEstimator::default();
        let mut last = 0;
        for chunk in data.chunks(97) {
            estimator.add(chunk);
            assert!(estimator.estimate() >= last);
            last = estimator.estimate();
        }
        assert_eq!(estimator.bytes(), 5_000);
    }
}
