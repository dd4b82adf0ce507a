//! States that a beacon node gives: nothing panics, a state has the root that its types give it, and what is proven of its
//! proposers holds below that root.
//!
//! Input: a byte for the form; then either a state, or changes to one of four validators, of three bytes each: where, and
//! what is there instead. A change beyond the end cuts the state.

#![no_main]

use alloy_consensus::Header;
use alloy_primitives::{B256, Sealable};
use libfuzzer_sys::fuzz_target;
use lockstep_devnet::{
    beacon::{
        BeaconSpec, GenesisValidators, Preset, Transition, ValidatorKeys, genesis_state,
        types::BeaconState,
    },
    ssz::Ssz,
};
use lockstep_lookahead::{Anchor, LookaheadError, ProvenState, Prover, StateError};
use lockstep_providers::{
    Accept, BeaconClient, BeaconHeader, Endpoint, Request, Response, Retry, Transport,
    TransportError,
};
use std::sync::{Arc, LazyLock};

const PRESET: &Preset = &Preset::MINIMAL;

static STATE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let spec = Arc::new(BeaconSpec { preset: PRESET, ..BeaconSpec::dev(1_700_000_000, 1337) });
    let validators =
        GenesisValidators { count: 4, balance: 32_000_000_000, withdrawal_address: None };
    let (keys, header) = (ValidatorKeys::interop(4), Header::default());
    let state = genesis_state(&Transition::new(spec), &validators, &keys, &header, B256::ZERO);
    state.expect("a state").encode(PRESET)
});

/// A node that has one block and what it says is the state after it.
#[derive(Debug)]
struct Node {
    endpoint: Endpoint,
    header: BeaconHeader,
    state: Vec<u8>,
}

impl Transport for Node {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn exchange(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let BeaconHeader { slot, proposer_index, parent_root, state_root, body_root } = self.header;
        let body = match request.accept {
            Accept::Ssz => self.state.clone(),
            Accept::Json => format!(
                r#"{{"data":{{"header":{{"message":{{"slot":"{slot}","proposer_index":"{proposer_index}",
                "parent_root":"{parent_root}","state_root":"{state_root}","body_root":"{body_root}"}}}}}}}}"#
            )
            .into_bytes(),
        };
        Ok(Response { status: 200, body })
    }
}

fn anchor(slot: u64, state_root: B256, state: &[u8]) -> Result<Anchor, LookaheadError> {
    let other = B256::repeat_byte(1);
    let header =
        BeaconHeader { slot, proposer_index: 1, parent_root: other, state_root, body_root: other };
    let l1 = Header { parent_beacon_block_root: Some(header.root()), ..Header::default() };
    let endpoint = Endpoint::new("http://fuzz.example").expect("a URL");
    let node: Arc<dyn Transport> = Arc::new(Node { endpoint, header, state: state.to_vec() });
    let beacon = BeaconClient::new(vec![node], Retry::at_once(1)).expect("a node");
    Prover::new(beacon, PRESET).anchor(&l1.seal_slow())
}

fn changed(changes: &[u8]) -> Vec<u8> {
    let mut state = STATE.clone();
    for change in changes.chunks_exact(3) {
        let &[high, low, value] = change else { continue };
        let place = usize::from(u16::from_be_bytes([high, low]));
        match state.get_mut(place) {
            Some(byte) => *byte = value,
            None => state.truncate(place % (state.len() + 1)),
        }
    }
    state
}

fuzz_target!(|input: &[u8]| {
    let Some((form, rest)) = input.split_first() else { return };
    let bytes = if *form == 0 { rest.to_vec() } else { changed(rest) };
    let proven = ProvenState::read(&bytes, PRESET);
    if let Ok(state) = BeaconState::read(&bytes, PRESET) {
        match &proven {
            Ok(proven) => assert_eq!(proven.root(), state.root(PRESET), "another root"),
            Err(StateError::Proposer { .. } | StateError::Slot(_)) => {}
            Err(error) => panic!("a state was refused: {error}"),
        }
    }
    let Ok(proven) = proven else {
        assert!(anchor(0, B256::ZERO, &bytes).is_err(), "what cannot be read proves nothing");
        return;
    };
    let anchor = anchor(proven.slot(), proven.root(), &bytes).expect("it is the block's state");
    let slots = anchor.slots();
    let proof = anchor.prove(slots.start..=slots.end - 1).expect("a proof that holds");
    assert_eq!(proof.keys, proven.keys());
    assert_eq!(proof.keys.len() as u64, 2 * PRESET.slots_per_epoch);
});
