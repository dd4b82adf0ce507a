//! Union batches: nothing panics, a list that decodes encodes to the same bytes, and blocks that can be
//! read are read alike from what is encoded of them. The followers of two rollups agree on what is
//! dropped whole. The input is a batch as blobs hold it, its list, or an event of the inbox.

#![no_main]

use alloy_primitives::{Bytes, LogData};
use libfuzzer_sys::fuzz_target;
use lockstep_derive::open_union_batch;
use lockstep_protocol::{
    BatchPosted, Compression, MAX_UNION_BATCH_BYTES, RollupBatch, RollupConfig, UnionBatch,
    UnionConfig,
};

/// Seconds from block to block.
const BLOCK_TIME: u64 = 2;
/// The rollups of the union.
const CHAINS: [u64; 2] = [901, 902];

fuzz_target!(|bytes: &[u8]| {
    let data = Bytes::copy_from_slice(bytes);
    if let Ok(batch) = UnionBatch::decode(&data) {
        check(&batch);
    }
    if let Ok(batch) = UnionBatch::decode_rlp(&data) {
        assert_eq!(batch.encode_rlp().as_deref(), Ok(bytes));
        check(&batch);
    }
    let (topics, words) = data.split_at(data.len().min(4 * 32));
    let topics = topics.as_chunks::<32>().0.iter().map(|topic| topic.into()).collect();
    let log = LogData::new_unchecked(topics, Bytes::copy_from_slice(words));
    if let Ok(event) = BatchPosted::from_log(&log) {
        assert_eq!(event.to_log(Default::default()).data, log);
    }
});

fn union() -> UnionConfig {
    let chains = CHAINS.into();
    UnionConfig {
        chains,
        slot_seconds: 12,
        genesis_time: 9_940,
        block_time: BLOCK_TIME,
        isthmus_time: Some(9_950),
        jovian_time: Some(9_960),
        ..Default::default()
    }
}

fn check(batch: &UnionBatch) {
    let list = batch.encode_rlp().expect("what was decoded can be encoded");
    assert!(list.len() <= MAX_UNION_BATCH_BYTES);
    let encoded = batch.encode(Compression::Zlib { level: 0 }).expect("it is not too large").into();
    assert_eq!(UnionBatch::decode(&encoded).as_ref(), Ok(batch));
    for rollup in &batch.rollups {
        if let Ok(span) = rollup.span(&union()) {
            let parts = rollup.parts.clone();
            let again = RollupBatch::new(rollup.chain_id, &span, parts, &union());
            assert_eq!(again.as_ref(), Ok(rollup));
        }
    }
    let [first, second] = CHAINS.map(|l2_chain_id| {
        let config = RollupConfig { l2_chain_id, block_time: BLOCK_TIME, ..Default::default() };
        open_union_batch(&encoded, batch.slot, &config, &union()).map(|_| ())
    });
    assert_eq!(first, second, "one rollup drops what the other takes");
}
