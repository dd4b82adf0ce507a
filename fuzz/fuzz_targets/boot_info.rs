//! Boot information from arbitrary local values: nothing panics, and what is read can be given to a program
//! again, which reads the same.
//!
//! Input: six times two bytes of length and a value, for the local keys 1 to 6; the rest is that of key 7. A
//! value of length 0xffff is missing.

#![no_main]

use alloy_primitives::Bytes;
use libfuzzer_sys::fuzz_target;
use lockstep_preimage::{PreimageKey, PreimageSet};
use lockstep_stf::BootInfo;

const MISSING: u16 = u16::MAX;

fn read(values: impl IntoIterator<Item = (PreimageKey, Bytes)>) -> Option<BootInfo> {
    let mut set = PreimageSet::new();
    for (key, value) in values {
        set.insert(key, value).expect("local keys are no hashes");
    }
    BootInfo::read(&set).ok()
}

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let mut values = Vec::new();
    for key in 1..=6 {
        let Some((length, behind)) = rest.split_first_chunk() else { return };
        let length = u16::from_be_bytes(*length);
        let taken = if length == MISSING { 0 } else { usize::from(length) };
        let Some((value, behind)) = behind.split_at_checked(taken) else { return };
        if length != MISSING {
            values.push((PreimageKey::local(key), Bytes::copy_from_slice(value)));
        }
        rest = behind;
    }
    let genesis = Bytes::copy_from_slice(rest);
    values.push((PreimageKey::local(7), genesis.clone()));
    let Some(boot) = read(values) else { return };
    let again = read(boot.preimages(Some(genesis))).expect("it was read before");
    assert_eq!(format!("{again:?}"), format!("{boot:?}"), "boot information that changes");
});
