//! The call data of a rollup's first deposit from bytes: nothing panics, and what decodes encodes to the same bytes.
//!
//! Input: the call data.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_chain::OpHardfork;
use lockstep_protocol::L1Attributes;

fuzz_target!(|input: &[u8]| {
    let Ok(attributes) = L1Attributes::decode(input) else { return };
    let forks = [OpHardfork::Bedrock, OpHardfork::Ecotone, OpHardfork::Isthmus, OpHardfork::Jovian];
    let encodings = forks.map(|fork| {
        let deposit = attributes.deposit(fork);
        let encoded = attributes.encode(fork);
        assert_eq!(deposit.input, encoded);
        encoded
    });
    assert!(encodings.iter().any(|encoded| encoded == input));
});
