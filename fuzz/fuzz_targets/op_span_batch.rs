//! Batches: nothing panics, and a batch that was decoded is encoded to one that decodes to the same.

#![no_main]

use alloy_primitives::Bytes;
use libfuzzer_sys::fuzz_target;
use lockstep_protocol::{Batch, RawSpanBatch, RollupConfig};

fuzz_target!(|bytes: &[u8]| {
    let config = RollupConfig { block_time: 2, l2_chain_id: 901, ..Default::default() };
    let data = Bytes::copy_from_slice(bytes);
    if let Ok(raw) = RawSpanBatch::decode(&data) {
        let mut encoded = Vec::new();
        raw.encode(&mut encoded);
        assert!(encoded.len() <= bytes.len(), "integers need not be minimal, but nothing grows");
        assert_eq!(RawSpanBatch::decode(&encoded.into()).as_ref(), Ok(&raw));
    }
    let Ok(batch) = Batch::decode(&data, &config) else { return };
    let encoded = batch.encode(&config).expect("what was decoded can be encoded");
    assert_eq!(Batch::decode(&encoded.into(), &config), Ok(batch));
});
