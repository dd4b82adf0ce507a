//! Union batches: nothing panics, a list that decodes encodes to the same bytes, and blocks that can be
//! read are read alike from what is encoded of them.

#![no_main]

use alloy_primitives::Bytes;
use libfuzzer_sys::fuzz_target;
use lockstep_protocol::{
    BatchPosted, Compression, MAX_UNION_BATCH_BYTES, RollupBatch, UnionBatch, UnionConfig,
};

/// Seconds from block to block.
const BLOCK_TIME: u64 = 2;

fuzz_target!(|bytes: &[u8]| {
    let data = Bytes::copy_from_slice(bytes);
    if let Ok(batch) = UnionBatch::decode(&data) {
        check(&batch);
    }
    if let Ok(batch) = UnionBatch::decode_rlp(&data) {
        assert_eq!(batch.encode_rlp().as_deref(), Ok(bytes));
        check(&batch);
    }
    // The topics of an event, and what is behind them.
    let (topics, rest) = bytes.as_chunks::<32>();
    if let Some((topics, words)) = topics.split_at_checked(4) {
        let data = [words.as_flattened(), rest].concat();
        let topics = topics.iter().map(|topic| topic.into()).collect();
        let log = alloy_primitives::LogData::new_unchecked(topics, data.into());
        if let Ok(event) = BatchPosted::from_log(&log) {
            assert_eq!(event.to_log(Default::default()).data, log);
        }
    }
});

fn check(batch: &UnionBatch) {
    let list = batch.encode_rlp().expect("what was decoded can be encoded");
    assert!(list.len() <= MAX_UNION_BATCH_BYTES);
    let encoded = batch.encode(Compression::Zlib { level: 1 }).expect("it is not too large");
    assert_eq!(UnionBatch::decode(&encoded.into()).as_ref(), Ok(batch));
    let union = UnionConfig { slot_seconds: 12, genesis_time: 1_000, ..Default::default() };
    for rollup in &batch.rollups {
        if let Ok(span) = rollup.span(&union, BLOCK_TIME) {
            let parts = rollup.parts.clone();
            let again = RollupBatch::new(rollup.chain_id, &span, parts, &union, BLOCK_TIME);
            assert_eq!(again.as_ref(), Ok(rollup));
        }
    }
}
