//! The L1 attributes of a rollup block from bytes: nothing panics, and what decodes encodes to the same bytes.
//!
//! Input: the call data of the deposit.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_chain::OpHardfork;
use lockstep_protocol::L1Attributes;

fuzz_target!(|input: &[u8]| {
    let Ok(attributes) = L1Attributes::decode(input) else { return };
    let forks = [OpHardfork::Ecotone, OpHardfork::Isthmus];
    assert!(forks.iter().any(|fork| attributes.encode(*fork) == input));
});
