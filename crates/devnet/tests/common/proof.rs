//! Who proposes, proven from a state of the dev beacon.

use alloy_primitives::B256;
use lockstep_contracts::{BeaconHeader, ProposersProof, validator_key_root};
use lockstep_devnet::{
    beacon::{
        Preset,
        types::{BeaconState, SignedBeaconBlock, Validator},
    },
    ssz::hash_pair,
};

/// A validator's key is the first of a state's eight fields for it.
const VALIDATOR_FIELDS: usize = 8;
const PROPOSER_LOOKAHEAD: usize = 37;
const VALIDATORS: usize = 11;
const STATE_DEPTH: usize = 6;

/// The proof of who proposes, from a block of the beacon chain and its state, that a gateway sends along. `timestamp` is that
/// of the L1 block that has the root of the beacon block.
pub(crate) fn proof(
    block: &SignedBeaconBlock,
    state: &BeaconState,
    timestamp: u64,
    validators: &[usize],
    preset: &Preset,
) -> ProposersProof {
    let header = block.message.header(preset);
    let fields = state.field_roots(preset);
    let chunks = preset.slots_per_epoch as usize / 2;
    let lookahead = (0..chunks).map(|chunk| *state.proposer_lookahead.tree().get(chunk).unwrap());
    let key_branch = |index: usize| {
        let validator: Validator = state.validators.get(index).unwrap();
        let mut branch = branch(&validator.field_roots(preset), 3, 0);
        assert_eq!(validator.field_roots(preset).len(), VALIDATOR_FIELDS);
        branch.extend(state.validators.tree().branch(index));
        branch.push(length(state.validators.len()));
        branch.extend(self::branch(&fields, STATE_DEPTH, VALIDATORS));
        branch
    };
    let keys = validators.iter().map(|index| state.validators.get(*index).unwrap().pubkey);
    ProposersProof {
        timestamp,
        header: BeaconHeader {
            slot: header.slot,
            proposerIndex: header.proposer_index,
            parentRoot: header.parent_root,
            stateRoot: header.state_root,
            bodyRoot: header.body_root,
        },
        lookahead: lookahead.collect(),
        lookaheadBranch: branch(&fields, STATE_DEPTH, PROPOSER_LOOKAHEAD),
        keys: keys.map(|key| validator_key_root(&key)).collect(),
        keyBranches: validators.iter().map(|index| key_branch(*index)).collect(),
    }
}

/// The siblings of a leaf in a tree of `2^depth`, lowest first.
fn branch(leaves: &[B256], depth: usize, mut index: usize) -> Vec<B256> {
    let mut layer = leaves.to_vec();
    layer.resize(1 << depth, B256::ZERO);
    let mut siblings = Vec::new();
    for _ in 0..depth {
        siblings.push(layer[index ^ 1]);
        layer = layer.chunks(2).map(|pair| hash_pair(&pair[0], &pair[1])).collect();
        index /= 2;
    }
    siblings
}

fn length(count: usize) -> B256 {
    let mut chunk = B256::ZERO;
    chunk[..8].copy_from_slice(&(count as u64).to_le_bytes());
    chunk
}
