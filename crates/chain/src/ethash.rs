//! Ethash, the proof of work that sealed Ethereum's blocks until the merge, in its light form:
//! the 16 MiB (and up) cache of an epoch instead of the full data set.
//!
//! Source: Ethash specification, revision 23 (execution-specs `ethash`).

use crate::HeaderError;
use alloc::{vec, vec::Vec};
use alloy_consensus::Header;
use alloy_primitives::{B256, U256, keccak256};
use alloy_rlp::{Encodable, Header as RlpHeader};
use sha3::{Digest, Keccak512};

const EPOCH_BLOCKS: u64 = 30_000;
const CACHE_INIT_BYTES: u64 = 1 << 24;
const CACHE_GROWTH_BYTES: u64 = 1 << 17;
const DATASET_INIT_BYTES: u64 = 1 << 30;
const DATASET_GROWTH_BYTES: u64 = 1 << 23;
const HASH_BYTES: u64 = 64;
const MIX_BYTES: u64 = 128;
const HASH_WORDS: usize = 16;
const MIX_WORDS: usize = 32;
const CACHE_ROUNDS: usize = 3;
const DATASET_PARENTS: u32 = 256;
const ACCESSES: u32 = 64;

/// Epochs beyond this one lie after the merge on every chain; their caches are not built.
pub const MAX_EPOCH: u64 = 2_048;

type Row = [u32; HASH_WORDS];

/// The cache of one epoch (30,000 blocks), from which any part of the data set follows.
#[derive(Clone)]
pub struct EpochCache {
    epoch: u64,
    rows: Vec<Row>,
    dataset_pages: u32,
}

impl core::fmt::Debug for EpochCache {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EpochCache").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl EpochCache {
    /// Builds the cache for the epoch of block `number`: about half a second of work and 16 MiB
    /// for the first epoch, growing by 128 KiB per epoch.
    ///
    /// # Errors
    /// [`HeaderError::Seal`] beyond [`MAX_EPOCH`].
    pub fn of_block(number: u64) -> Result<Self, HeaderError> {
        let epoch = number / EPOCH_BLOCKS;
        if epoch > MAX_EPOCH {
            return Err(HeaderError::Seal("no proof of work exists at this height"));
        }
        let row_count =
            largest_prime_multiple(CACHE_INIT_BYTES + CACHE_GROWTH_BYTES * epoch, HASH_BYTES);
        let dataset_pages =
            largest_prime_multiple(DATASET_INIT_BYTES + DATASET_GROWTH_BYTES * epoch, MIX_BYTES);
        let mut seed = B256::ZERO;
        for _ in 0..epoch {
            seed = keccak256(seed);
        }
        // Both counts are below 2^32 for every epoch up to MAX_EPOCH.
        let rows = make_cache(seed, usize::try_from(row_count).unwrap_or_default());
        Ok(Self { epoch, rows, dataset_pages: u32::try_from(dataset_pages).unwrap_or(u32::MAX) })
    }

    /// Whether this cache serves block `number`.
    pub const fn serves(&self, number: u64) -> bool {
        self.epoch == number / EPOCH_BLOCKS
    }

    fn row(&self, index: u32) -> Row {
        let len = u32::try_from(self.rows.len()).unwrap_or(u32::MAX).max(1);
        self.rows.get((index % len) as usize).copied().unwrap_or_default()
    }

    fn dataset_item(&self, index: u32) -> Row {
        let mut mix = self.row(index);
        mix[0] ^= index;
        mix = keccak512(&mix);
        for parent in 0..DATASET_PARENTS {
            let word = mix.get((parent as usize) % HASH_WORDS).copied().unwrap_or_default();
            let row = self.row(fnv(index ^ parent, word));
            for (into, from) in mix.iter_mut().zip(row) {
                *into = fnv(*into, from);
            }
        }
        keccak512(&mix)
    }

    /// The mix digest and the result (to be compared with the target) of a header hash and nonce.
    fn hashimoto(&self, header_hash: B256, nonce: u64) -> (B256, B256) {
        let mut input = [0_u8; 40];
        let (hash_part, nonce_part) = input.split_at_mut(32);
        hash_part.copy_from_slice(header_hash.as_slice());
        nonce_part.copy_from_slice(&nonce.to_le_bytes());
        let seed = words(&Keccak512::digest(input));
        let mut mix = [0_u32; MIX_WORDS];
        for (into, from) in mix.iter_mut().zip(seed.iter().cycle()) {
            *into = *from;
        }
        for access in 0..ACCESSES {
            let word = mix.get((access as usize) % MIX_WORDS).copied().unwrap_or_default();
            let page = fnv(access ^ seed[0], word) % self.dataset_pages.max(1);
            let items = [self.dataset_item(2 * page), self.dataset_item(2 * page + 1)];
            for (into, from) in mix.iter_mut().zip(items.iter().flatten()) {
                *into = fnv(*into, *from);
            }
        }
        let mut digest = [0_u8; 32];
        for (into, from) in digest.chunks_exact_mut(4).zip(mix.chunks_exact(4)) {
            let compressed = from.iter().copied().reduce(fnv).unwrap_or_default();
            into.copy_from_slice(&compressed.to_le_bytes());
        }
        let mut last = [0_u8; 96];
        let (seed_part, digest_part) = last.split_at_mut(64);
        seed_part.copy_from_slice(&bytes(&seed));
        digest_part.copy_from_slice(&digest);
        (B256::from(digest), keccak256(last))
    }
}

/// Checks that a proof-of-work header carries the mix digest and a nonce that its difficulty
/// demands.
///
/// # Errors
/// [`HeaderError::Seal`], saying what does not fit.
pub fn verify_seal(cache: &EpochCache, header: &Header) -> Result<(), HeaderError> {
    if !cache.serves(header.number) {
        return Err(HeaderError::Seal("the cache belongs to another epoch"));
    }
    let (digest, result) = cache.hashimoto(seal_hash(header), u64::from_be_bytes(header.nonce.0));
    if digest != header.mix_hash {
        return Err(HeaderError::Seal("the mix digest does not follow from header and nonce"));
    }
    let target = U256::MAX.checked_div(header.difficulty);
    if target.is_none_or(|target| U256::from_be_bytes(result.0) > target) {
        return Err(HeaderError::Seal("the result lies above the target of the difficulty"));
    }
    Ok(())
}

/// The hash of a header without its seal.
fn seal_hash(header: &Header) -> B256 {
    let mut fields = Vec::with_capacity(600);
    header.parent_hash.encode(&mut fields);
    header.ommers_hash.encode(&mut fields);
    header.beneficiary.encode(&mut fields);
    header.state_root.encode(&mut fields);
    header.transactions_root.encode(&mut fields);
    header.receipts_root.encode(&mut fields);
    header.logs_bloom.encode(&mut fields);
    header.difficulty.encode(&mut fields);
    header.number.encode(&mut fields);
    header.gas_limit.encode(&mut fields);
    header.gas_used.encode(&mut fields);
    header.timestamp.encode(&mut fields);
    header.extra_data.encode(&mut fields);
    if let Some(base_fee) = header.base_fee_per_gas {
        base_fee.encode(&mut fields);
    }
    let mut encoded = Vec::with_capacity(fields.len() + 4);
    RlpHeader { list: true, payload_length: fields.len() }.encode(&mut encoded);
    encoded.extend_from_slice(&fields);
    keccak256(encoded)
}

/// The cache: a chain of hashes, stirred by three rounds of RandMemoHash.
fn make_cache(seed: B256, row_count: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![[0; HASH_WORDS]; row_count];
    let mut previous = words(&Keccak512::digest(seed));
    for row in &mut rows {
        *row = previous;
        previous = keccak512(row);
    }
    for _ in 0..CACHE_ROUNDS {
        for index in 0..row_count {
            let before = (index + row_count - 1) % row_count;
            let other = rows.get(index).map_or(0, |row| row[0] as usize) % row_count;
            let (Some(left), Some(right)) = (rows.get(before), rows.get(other)) else { continue };
            let mut mixed = *left;
            for (into, from) in mixed.iter_mut().zip(right) {
                *into ^= *from;
            }
            if let Some(row) = rows.get_mut(index) {
                *row = keccak512(&mixed);
            }
        }
    }
    rows
}

/// The largest prime `n` with `n * unit` below `bytes`.
fn largest_prime_multiple(bytes: u64, unit: u64) -> u64 {
    let mut count = bytes / unit - 1;
    while !is_prime(count) {
        count -= 1;
    }
    count
}

fn is_prime(n: u64) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

const fn fnv(a: u32, b: u32) -> u32 {
    a.wrapping_mul(0x0100_0193) ^ b
}

fn keccak512(row: &Row) -> Row {
    words(&Keccak512::digest(bytes(row)))
}

fn words(bytes: &[u8]) -> Row {
    let mut row = [0; HASH_WORDS];
    for (into, from) in row.iter_mut().zip(bytes.chunks_exact(4)) {
        *into = from.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte));
    }
    row
}

fn bytes(row: &Row) -> [u8; 64] {
    let mut out = [0; 64];
    for (into, from) in out.chunks_exact_mut(4).zip(row) {
        into.copy_from_slice(&from.to_le_bytes());
    }
    out
}
