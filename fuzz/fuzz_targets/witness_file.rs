//! A stored witness from bytes: nothing panics, memory stays within the limit that is given, and what is read
//! is written as the same bytes.
//!
//! Input: zero and the file as it is; or any other byte and all of the file but its checksum.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_host::{decode_witness, encode_witness};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Bytes of entries, with what keeping them costs.
const MAX_BYTES: u64 = 64 << 10;

fuzz_target!(|input: &[u8]| {
    let Some((&mode, rest)) = input.split_first() else { return };
    let mut file = rest.to_vec();
    if mode != 0 {
        file.extend(Sha256::digest(rest));
    }
    let Ok(witness) = decode_witness(file.as_slice(), Path::new("fuzz"), MAX_BYTES) else { return };
    let values = witness.entries.iter().map(|entry| entry.value().len() as u64);
    assert!(values.sum::<u64>() <= MAX_BYTES, "more than the limit");
    let mut written = Vec::new();
    encode_witness(&mut written, &witness).expect("memory takes it");
    assert_eq!(written, file, "a witness that is written as other bytes");
});
