//! Union batches: what was encoded is decoded, there is one encoding of the list, and what nobody honest
//! posts is refused within the stated limits.

#![allow(clippy::indexing_slicing, reason = "a test may stop at the unexpected")]

mod common;

use alloy_primitives::{Address, B256, Bytes};
use common::{address, bytes, hash};
use lockstep_protocol::{
    BATCH_POSTED_TOPIC, BatchError, BatchPosted, BlobError, Compression, CompressionError,
    MAX_BLOB_DATA_BYTES, MAX_UNION_BATCH_BYTES, MAX_UNION_BLOCKS, MAX_UNION_PARTS,
    MAX_UNION_ROLLUPS, PartEntry, RollupBatch, SingleBatch, SpanBatch, UnionBatch, UnionBatchError,
    UnionConfig, compress_channel, encode_blob,
};
use proptest::{collection::vec, prelude::*, sample::Index};

const ZLIB: Compression = Compression::Zlib { level: 6 };
const BROTLI: Compression = Compression::Brotli { quality: 5 };

/// An RLP list of `length` bytes, at least 58.
fn part(length: usize) -> Bytes {
    let payload = length - 3;
    let mut part = vec![0xf9, (payload >> 8) as u8, payload as u8];
    part.resize(length, 0x01);
    part.into()
}

fn entries() -> impl Strategy<Value = Vec<PartEntry>> {
    vec((any::<u32>(), any::<u32>(), 259..900_usize), 0..5).prop_map(|mut entries| {
        entries.sort_unstable();
        let entry = |(block, position, length)| PartEntry { block, position, part: part(length) };
        entries.into_iter().map(entry).collect()
    })
}

/// Any union batch that can be encoded.
fn union_batch() -> impl Strategy<Value = UnionBatch> {
    let rollup = (bytes(300), entries());
    (any::<u64>(), proptest::collection::btree_map(any::<u64>(), rollup, 0..5)).prop_map(
        |(slot, rollups)| {
            let rollup =
                |(chain_id, (span_batch, parts))| RollupBatch { chain_id, span_batch, parts };
            UnionBatch { slot, rollups: rollups.into_iter().map(rollup).collect() }
        },
    )
}

fn sample() -> UnionBatch {
    let parts = |at: [(u32, u32); 3]| {
        at.map(|(block, position)| PartEntry { block, position, part: part(259) }).to_vec()
    };
    let rollup = |chain_id, at| RollupBatch {
        chain_id,
        span_batch: Bytes::from(vec![chain_id as u8; 40]),
        parts: parts(at),
    };
    let rollups =
        vec![rollup(901, [(0, 0), (0, 2), (7, 1)]), rollup(40_002, [(1, 300), (1, 300), (2, 0)])];
    UnionBatch { slot: 11_000_000, rollups }
}

fn decode(data: &[u8]) -> Result<UnionBatch, UnionBatchError> {
    UnionBatch::decode(&Bytes::copy_from_slice(data))
}

fn decode_rlp(data: &[u8]) -> Result<UnionBatch, UnionBatchError> {
    UnionBatch::decode_rlp(&Bytes::copy_from_slice(data))
}

/// A union batch whose compressed stream is that of `list`.
fn compressed(compression: Compression, list: &[u8]) -> Vec<u8> {
    [vec![0], compress_channel(compression, list)].concat()
}

proptest! {
    #[test]
    fn union_batches_survive_their_encoding(batch in union_batch(), level in 0..11_u8) {
        let list = batch.encode_rlp()?;
        prop_assert_eq!(&decode_rlp(&list)?, &batch);
        for compression in [Compression::Zlib { level }, Compression::Brotli { quality: level }] {
            let encoded = batch.encode(compression)?;
            prop_assert_eq!(&decode(&encoded)?, &batch);
            let blobs = batch.to_blobs(compression)?;
            prop_assert_eq!(UnionBatch::join_blobs(&blobs)?, encoded);
        }
    }

    /// However the data is cut into blobs, it is the same.
    #[test]
    fn cuts_into_blobs_do_not_matter(batch in union_batch(), cuts in vec(any::<Index>(), 0..4)) {
        let data = batch.encode(ZLIB)?;
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
        cuts.extend([0, data.len()]);
        cuts.sort_unstable();
        let blobs: Result<Vec<_>, BlobError> =
            cuts.windows(2).map(|cut| encode_blob(&data[cut[0]..cut[1]])).collect();
        prop_assert_eq!(decode(&UnionBatch::join_blobs(&blobs?)?)?, batch);
    }

    #[test]
    fn what_is_no_union_batch_is_refused_without_a_panic(data in bytes(400)) {
        if let Ok(batch) = decode_rlp(&data) {
            prop_assert_eq!(batch.encode_rlp()?, data.clone());
        }
        let mut versioned = vec![0, 0x78, 0x9c];
        versioned.extend_from_slice(&data);
        let _refused = decode(&versioned);
        (versioned[1], versioned[2]) = (0x01, data.first().copied().unwrap_or_default());
        let _refused = decode(&versioned);
    }

    #[test]
    fn events_survive_their_encoding(
        numbers in any::<[u64; 3]>(),
        owner in address(),
        hashes in (hash(), hash()),
        blob_hashes in vec(hash(), 0..17),
    ) {
        let [slot, sequence, owner_slot] = numbers;
        let (batch_hash, parent) = hashes;
        let event =
            BatchPosted { slot, owner, sequence, owner_slot, batch_hash, parent, blob_hashes };
        let log = event.to_log(Address::repeat_byte(0x1b));
        prop_assert_eq!(log.topics()[0], BATCH_POSTED_TOPIC);
        prop_assert_eq!(BatchPosted::from_log(&log.data), Ok(event));
    }
}

#[test]
fn a_list_has_one_encoding() {
    let list = sample().encode_rlp().expect("it is in order");
    for length in 0..list.len() {
        assert!(decode_rlp(&list[..length]).is_err(), "{length} bytes");
    }
    assert!(decode_rlp(&[&list[..], &[0]].concat()).is_err(), "something is behind it");
    let mut survivors = 0;
    for position in 0..list.len() {
        for bit in 0..8 {
            let mut mutated = list.clone();
            mutated[position] ^= 1 << bit;
            if let Ok(batch) = decode_rlp(&mutated) {
                survivors += 1;
                assert_ne!(batch, sample());
                assert_eq!(batch.encode_rlp(), Ok(mutated), "byte {position}, bit {bit}");
            }
        }
    }
    assert!(survivors > 100, "the content of parts and blocks is not looked at: {survivors}");
}

/// Zlib's data has a checksum; a stream of Brotli ends where it says.
#[test]
fn a_stream_is_whole_and_alone() {
    let (zlib, brotli) = (sample().encode(ZLIB), sample().encode(BROTLI));
    let (zlib, brotli) = (zlib.expect("it is in order"), brotli.expect("it is in order"));
    for data in [&zlib, &brotli] {
        for length in 0..data.len() {
            assert!(decode(&data[..length]).is_err(), "{length} bytes of {}", data.len());
        }
        for byte in 0..=255 {
            assert!(decode(&[&data[..], &[byte]].concat()).is_err(), "{byte} is behind it");
        }
        for position in 0..data.len() {
            for bit in 0..8 {
                let mut mutated = data.clone();
                mutated[position] ^= 1 << bit;
                if let Ok(batch) = decode(&mutated) {
                    assert!(mutated[1] == 1 || batch == sample(), "byte {position}, bit {bit}");
                }
            }
        }
    }
    assert_eq!(decode(&[]), Err(UnionBatchError::Empty));
    assert_eq!(decode(&[1, 2]), Err(UnionBatchError::Version(1)));
    assert_eq!(decode(&[0]), Err(CompressionError::Empty.into()));
    assert_eq!(decode(&[0, 2]), Err(CompressionError::Unknown(2).into()));
    let mut sum = zlib;
    *sum.last_mut().expect("there are bytes") ^= 1;
    assert_eq!(decode(&sum), Err(UnionBatchError::End));
}

#[test]
fn bombs_end_at_the_limit() {
    for compression in [Compression::Zlib { level: 9 }, Compression::Brotli { quality: 1 }] {
        let bomb = compressed(compression, &vec![0; MAX_UNION_BATCH_BYTES + 1]);
        assert!(bomb.len() < 64 << 10);
        let limit = (64 << 10) + 16 * bomb.len();
        assert_eq!(decode(&bomb), Err(UnionBatchError::Expansion(limit)));
        // What is small may compress as it likes.
        let small = compressed(compression, &vec![0; 64 << 10]);
        assert!(matches!(decode(&small), Err(UnionBatchError::Rlp { field: "batch", .. })));
    }
    for (bytes, is_read) in [(MAX_UNION_BATCH_BYTES, true), (MAX_UNION_BATCH_BYTES + 1, false)] {
        let stored = compressed(Compression::Zlib { level: 0 }, &vec![0; bytes]);
        match decode(&stored) {
            Err(UnionBatchError::Rlp { field: "batch", .. }) => assert!(is_read),
            other => assert_eq!((other, is_read), (Err(UnionBatchError::TooLong), false)),
        }
    }
    let mut large = sample();
    large.rollups[0].span_batch = vec![0; MAX_UNION_BATCH_BYTES].into();
    assert_eq!(large.encode_rlp(), Err(UnionBatchError::TooLong));
    // What does not compress does not fit into the blobs of a batch.
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    large.rollups[0].span_batch = (0..17 * MAX_BLOB_DATA_BYTES).map(|_| random()).collect();
    let blobs = large.to_blobs(Compression::Zlib { level: 1 });
    assert_eq!(blobs, Err(UnionBatchError::TooMany { what: "blobs", got: 18, limit: 16 }));
}

/// What is nothing but zeros can be posted, for the price of a sixteenth of it.
#[test]
fn what_compresses_too_well_is_padded() {
    for bytes in [60_000, 80_000, 3 << 20, MAX_UNION_BATCH_BYTES - 3_000] {
        let mut batch = sample();
        batch.rollups[0].span_batch = vec![0; bytes].into();
        let list = batch.encode_rlp().expect("it is in order");
        for compression in [ZLIB, BROTLI] {
            let encoded = batch.encode(compression).expect("it is in order");
            assert_eq!(decode(&encoded), Ok(batch.clone()), "{bytes}");
            let allowed = (64 << 10) + 16 * encoded.len();
            assert!(list.len() <= allowed && encoded.len() < 1_000 + bytes / 16, "{bytes}");
            let unpadded = decode(&compressed(compression, &list));
            let is_refused = matches!(unpadded, Err(UnionBatchError::Expansion(_)));
            assert_eq!(is_refused, bytes > 70_000, "{bytes}: {unpadded:?}");
        }
    }
}

#[test]
fn limits_and_orders_hold_for_both_directions() {
    let entry = PartEntry { block: 0, position: 0, part: part(259) };
    let changed = |change: &dyn Fn(&mut UnionBatch)| {
        let mut batch = sample();
        change(&mut batch);
        let error = batch.encode_rlp().expect_err("it cannot be encoded");
        // The same, from bytes that another implementation could write.
        let list = encode_unchecked(&batch);
        assert_eq!(decode_rlp(&list), Err(error.clone()));
        error
    };
    assert_eq!(
        changed(&|batch| batch.rollups.swap(0, 1)),
        UnionBatchError::ChainOrder { chain_id: 901, before: 40_002 }
    );
    assert_eq!(
        changed(&|batch| batch.rollups[1].chain_id = 901),
        UnionBatchError::ChainOrder { chain_id: 901, before: 901 }
    );
    assert_eq!(
        changed(&|batch| batch.rollups[0].parts.swap(1, 2)),
        UnionBatchError::PartOrder { chain_id: 901, index: 2 }
    );
    assert_eq!(
        changed(&|batch| batch.rollups[0].parts[1].part = part(259).slice(..258)),
        UnionBatchError::Part { chain_id: 901, index: 1, bytes: 258 }
    );
    assert_eq!(
        changed(&|batch| batch.rollups[0].parts[0].part = [0xc0].into()),
        UnionBatchError::Part { chain_id: 901, index: 0, bytes: 1 }
    );
    assert_eq!(
        changed(&|batch| batch.rollups[0].parts[0].part = vec![1; 60].into()),
        UnionBatchError::Part { chain_id: 901, index: 0, bytes: 60 }
    );
    let short = PartEntry { part: [&[0xda][..], &[0x80; 26]].concat().into(), ..entry };
    let too_many = MAX_UNION_PARTS + 1;
    assert_eq!(
        changed(&|batch| batch.rollups[0].parts = vec![short.clone(); too_many]),
        UnionBatchError::TooMany { what: "parts", got: too_many, limit: MAX_UNION_PARTS }
    );
    let too_many = MAX_UNION_ROLLUPS + 1;
    let rollup = |chain_id| RollupBatch { chain_id, ..Default::default() };
    assert_eq!(
        changed(&|batch| batch.rollups = (0..too_many as u64).map(rollup).collect()),
        UnionBatchError::TooMany { what: "rollups", got: too_many, limit: MAX_UNION_ROLLUPS }
    );
    let at_the_limits = UnionBatch {
        slot: 0,
        rollups: vec![RollupBatch { parts: vec![short; MAX_UNION_PARTS], ..rollup(1) }],
    };
    let list = at_the_limits.encode_rlp().expect("it is within the limits");
    assert_eq!(decode_rlp(&list), Ok(at_the_limits));
}

/// The list, whatever it holds.
fn encode_unchecked(batch: &UnionBatch) -> Vec<u8> {
    use alloy_rlp::{Encodable, Header};
    let list = |payload: &[u8]| {
        let mut out = Vec::new();
        Header { list: true, payload_length: payload.len() }.encode(&mut out);
        [out, payload.to_vec()].concat()
    };
    let mut rollups = Vec::new();
    for rollup in &batch.rollups {
        let mut parts = Vec::new();
        for PartEntry { block, position, part } in &rollup.parts {
            let fields = [alloy_rlp::encode(block), alloy_rlp::encode(position)].concat();
            parts.extend(list(&[fields, alloy_rlp::encode(part)].concat()));
        }
        let mut fields = alloy_rlp::encode(rollup.chain_id);
        rollup.span_batch.encode(&mut fields);
        fields.extend(list(&parts));
        rollups.extend(list(&fields));
    }
    list(&[alloy_rlp::encode(batch.slot), list(&rollups)].concat())
}

fn union() -> UnionConfig {
    UnionConfig {
        inbox: Address::repeat_byte(0x1b),
        chains: [901, 902].into(),
        slot_seconds: 12,
        genesis_time: 400,
        block_time: 2,
        ..UnionConfig::default()
    }
}

fn span(count: u64) -> SpanBatch {
    let block = |number| SingleBatch {
        parent_hash: B256::with_last_byte(9),
        epoch_num: 70 + number / 6,
        epoch_hash: B256::with_last_byte(8),
        timestamp: 1_000 + 2 * number,
        transactions: Vec::new(),
    };
    let blocks: Vec<SingleBatch> = (0..count).map(block).collect();
    SpanBatch::from_blocks(&blocks, true).expect("there are blocks")
}

/// Times of blocks count from the union's slot 0, so that everyone knows them.
#[test]
fn blocks_are_read_without_knowing_their_genesis() {
    let rollup = RollupBatch::new(901, &span(7), Vec::new(), &union()).expect("they follow");
    assert_eq!(rollup.span_batch.first_chunk(), Some(&[0xd8, 0x04]), "600 seconds");
    assert_eq!(rollup.span(&union()), Ok(span(7)));
    // Nothing behind it, and no longer form of the number.
    for odd in [
        [&rollup.span_batch[..], &[0]].concat(),
        [&[0xd8, 0x84, 0x00], &rollup.span_batch[2..]].concat(),
    ] {
        let odd = RollupBatch { span_batch: odd.into(), ..rollup.clone() };
        assert_eq!(odd.span(&union()), Err(UnionBatchError::SpanForm(901)));
    }
    let empty = RollupBatch { chain_id: 901, ..Default::default() };
    let error = BatchError::Truncated("rel_timestamp");
    assert_eq!(empty.span(&union()), Err(UnionBatchError::Span { chain_id: 901, error }));
    let most = span(MAX_UNION_BLOCKS as u64);
    let rollup = RollupBatch::new(901, &most, Vec::new(), &union()).expect("not too many");
    assert_eq!(rollup.span(&union()), Ok(most));
    let got = MAX_UNION_BLOCKS + 1;
    let too_many = UnionBatchError::TooMany { what: "blocks", got, limit: MAX_UNION_BLOCKS };
    let longer = span(got as u64);
    let new = RollupBatch::new(901, &longer, Vec::new(), &union());
    assert_eq!(new.expect_err("too many"), too_many);
    let mut data = Vec::new();
    let config = lockstep_protocol::RollupConfig { block_time: 2, ..common::config() };
    longer.to_raw(&config).expect("they follow").encode(&mut data);
    let rollup = RollupBatch { span_batch: data.into(), ..rollup };
    assert_eq!(rollup.span(&union()), Err(too_many));
}

#[test]
fn slots_begin_where_the_one_before_ends() {
    let union = union();
    assert_eq!([399, 400, 411, 412].map(|at| union.slot_at(at)), [None, Some(0), Some(0), Some(1)]);
    assert_eq!([0, 1, u64::MAX].map(|slot| union.slot_start(slot)), [400, 412, u64::MAX]);
}
