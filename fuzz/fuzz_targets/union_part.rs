//! Parts of super transactions: nothing panics, and what decodes encodes to the same bytes.

#![no_main]

use alloy_rlp::Encodable;
use libfuzzer_sys::fuzz_target;
use lockstep_union::Part;

/// Steps that a part may have.
const MAX_STEPS: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let Ok(part) = Part::decode(&mut rest, MAX_STEPS) else { return };
    let mut encoded = Vec::new();
    part.encode(&mut encoded);
    assert_eq!(encoded, bytes[..bytes.len() - rest.len()]);
});
