//! Compressed channels: nothing panics, the limit holds, and what comes out does not depend on the
//! limit as long as it is not reached. Deflate is held against miniz_oxide where that takes it, but
//! for codes of one symbol with more than one bit, which neither Go nor zlib take.

#![no_main]

use alloy_primitives::Bytes;
use libfuzzer_sys::fuzz_target;
use lockstep_protocol::{BatchReader, ChannelReadError, CompressionError, RollupConfig};

const LIMIT: u64 = 1 << 20;
const INCOMPLETE: ChannelReadError =
    ChannelReadError::Compression(CompressionError::Corrupt("a code is not complete"));

fuzz_target!(|bytes: &[u8]| {
    let channel = Bytes::copy_from_slice(bytes);
    let read = |limit| {
        let (mut batches, mut is_incomplete) = (Vec::new(), false);
        if let Ok(mut reader) = BatchReader::new(channel.clone(), limit, true) {
            loop {
                match reader.next_encoded() {
                    Ok(Some(batch)) => batches.push(batch),
                    end => {
                        is_incomplete = end == Err(INCOMPLETE);
                        break;
                    }
                }
            }
            assert_eq!(reader.next_encoded(), Ok(None), "a reader goes on behind an error");
        }
        (batches, is_incomplete)
    };
    let (batches, is_incomplete) = read(LIMIT);
    let size = |batches: &[Bytes]| batches.iter().map(|batch| batch.len() as u64).sum::<u64>();
    assert!(size(&batches) <= LIMIT);
    let (fewer, _) = read(LIMIT / 64);
    assert!(size(&fewer) <= LIMIT / 64);
    assert!(batches.starts_with(&fewer), "the limit changes what comes before it");

    let config = RollupConfig { block_time: 2, l2_chain_id: 901, ..Default::default() };
    if let Ok(mut reader) = BatchReader::new(channel.clone(), LIMIT, true) {
        let mut count = 0;
        while let Ok(Some(_)) = reader.next_batch(&config) {
            count += 1;
        }
        assert!(count <= batches.len());
    }
    let is_zlib = bytes.first().is_some_and(|first| first & 0x0f == 8);
    if is_zlib
        && !is_incomplete
        && let Some(plain) = inflated(bytes)
    {
        let strings = strings(&plain);
        assert_eq!(&batches[..batches.len().min(strings.len())], strings, "other batches");
    }
});

/// What miniz_oxide makes of the channel, if it finds nothing wrong.
fn inflated(channel: &[u8]) -> Option<Vec<u8>> {
    miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(channel, LIMIT as usize).ok()
}

/// The RLP strings at the beginning of `plain`.
fn strings(mut plain: &[u8]) -> Vec<Bytes> {
    let mut strings = Vec::new();
    while let Ok(string) = alloy_rlp::Header::decode_bytes(&mut plain, false) {
        strings.push(Bytes::copy_from_slice(string));
    }
    strings
}
