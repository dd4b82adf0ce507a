//! Blobs: nothing panics, whatever goes in comes out, and a blob that decodes is the encoding of what
//! it decodes to.

#![no_main]

use alloy_eips::eip4844::Blob;
use libfuzzer_sys::fuzz_target;
use lockstep_protocol::{decode_blob, encode_blob};

fuzz_target!(|bytes: &[u8]| {
    let encoded = encode_blob(bytes).expect("inputs are short");
    let decoded = decode_blob(&encoded).expect("our own encoding");
    assert_eq!(decoded[..], *bytes, "what went in does not come out");

    // The input over an honest blob, so that a fuzzer need not guess 128 KiB.
    let mut blob: Blob = *encoded;
    let end = bytes.len().min(blob.len());
    blob[..end].copy_from_slice(&bytes[..end]);
    if let Ok(data) = decode_blob(&blob) {
        let mut again = encode_blob(&data).expect("it came out of a blob");
        // The upper bits of the very first byte are not looked at.
        again[0] |= blob[0] & 0xc0;
        assert_eq!(again[..], blob[..], "another blob with the same data");
    }
});
