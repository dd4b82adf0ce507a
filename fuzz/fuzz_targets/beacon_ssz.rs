//! Consensus objects from bytes: nothing panics, and an object decodes from nothing but its own encoding.
//!
//! Input: a byte that chooses type and preset, then the encoding.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_devnet::{
    beacon::{
        Preset,
        types::{
            Attestation, BeaconBlockHeader, BeaconState, ExecutionPayload, ExecutionRequests,
            IndexedAttestation, SignedBeaconBlock, SyncAggregate,
        },
    },
    ssz::Ssz,
};

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    let preset = if *choice < 128 { &Preset::MINIMAL } else { &Preset::MAINNET };
    match choice % 8 {
        0 => decode::<Attestation>(bytes, preset),
        1 => decode::<BeaconBlockHeader>(bytes, preset),
        2 => decode::<BeaconState>(bytes, preset),
        3 => decode::<ExecutionPayload>(bytes, preset),
        4 => decode::<ExecutionRequests>(bytes, preset),
        5 => decode::<IndexedAttestation>(bytes, preset),
        6 => decode::<SyncAggregate>(bytes, preset),
        _ => decode::<SignedBeaconBlock>(bytes, preset),
    }
});

fn decode<T: Ssz>(bytes: &[u8], preset: &Preset) {
    let Ok(object) = T::read(bytes, preset) else { return };
    assert_eq!(object.encode(preset), bytes, "an object that encodes to other bytes");
    let root = object.root(preset);
    let again = T::read(bytes, preset).map(|again| again.root(preset));
    assert_eq!(again, Ok(root));
}
