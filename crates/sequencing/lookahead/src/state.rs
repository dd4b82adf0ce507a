//! A beacon state, as far as it says who proposes.

use crate::{
    Slot, StateError,
    shape::{
        LOOKAHEAD_FIELD, SLOT_FIELD, STATE, VALIDATOR, VALIDATORS_FIELD, element_count,
        validator_roots,
    },
    tree::{Branches, Tree},
};
use alloy_primitives::B256;
use lockstep_ssz::{
    Const, Limit, Preset, SszError, branch_of, depth_for, field_spans, length_chunk, merkleize,
    mix_in_length,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// `VALIDATOR_REGISTRY_LIMIT`.
type RegistryLimit = Const<{ 1 << 40 }>;

/// The place of `pubkey` in a validator.
const KEY_FIELD: usize = 0;

/// The proposers of a state's epoch and the next, with the branches that prove them below the state's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenState {
    root: B256,
    slot: Slot,
    slots: Range<Slot>,
    /// All of `proposer_lookahead`, four entries to a chunk.
    lookahead: Vec<B256>,
    lookahead_branch: Vec<B256>,
    /// One for each slot.
    proposers: Vec<u64>,
    keys: BTreeMap<u64, ProvenKey>,
}

/// The root of a validator's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProvenKey {
    pub(crate) key: B256,
    /// The siblings up to the state's root, lowest first.
    pub(crate) branch: Vec<B256>,
}

impl ProvenState {
    /// Hashes the encoding of a state of Fulu and keeps what proves its proposers.
    ///
    /// Memory is needed for the branches of at most 128 validators, however many there are. Nothing of what the bytes say is
    /// to be believed before [`Self::root`] is known to be that of a state.
    ///
    /// # Errors
    /// Bytes that are no encoding of such a state; proposers who are no validators.
    pub fn read(bytes: &[u8], preset: &Preset) -> Result<Self, StateError> {
        let lengths = STATE.map(|(_, shape)| shape.fixed_len(preset));
        let of_state = |error| StateError::Encoding { field: "state", error };
        let spans = field_spans(bytes, &lengths).map_err(of_state)?;
        let part = |place: usize| {
            spans.get(place).and_then(|span| bytes.get(span.clone())).unwrap_or_default()
        };

        let slot = numbers(part(SLOT_FIELD)).next().unwrap_or_default();
        let proposers: Vec<u64> = numbers(part(LOOKAHEAD_FIELD)).collect();
        let first = slot - slot % preset.slots_per_epoch;
        let end = first.checked_add(proposers.len() as u64).ok_or(StateError::Slot(slot))?;
        let wanted: BTreeSet<u64> = proposers.iter().copied().collect();

        let mut validators = None;
        let mut fields = Vec::with_capacity(STATE.len());
        for (place, (name, shape)) in STATE.iter().enumerate() {
            let of_field = |error| StateError::Encoding { field: name, error };
            fields.push(if place == VALIDATORS_FIELD {
                let read = Validators::read(part(place), &wanted, preset).map_err(of_field)?;
                let root = read.root;
                validators = Some(read);
                root
            } else {
                shape.root(part(place), preset).map_err(of_field)?
            });
        }

        let depth = depth_for(fields.len() as u64);
        let branch = branch_of(fields.clone(), depth, VALIDATORS_FIELD);
        let validators = validators.unwrap_or_default();
        let mut keys = BTreeMap::new();
        for (slot, index) in (first..end).zip(&proposers) {
            let count = validators.count;
            let key = validators.key(*index, &branch);
            let key = key.ok_or(StateError::Proposer { slot, index: *index, count })?;
            keys.insert(*index, key);
        }
        let lookahead = part(LOOKAHEAD_FIELD).chunks(32).map(B256::right_padding_from).collect();
        let lookahead_branch = branch_of(fields.clone(), depth, LOOKAHEAD_FIELD);
        let (root, slots) = (merkleize(fields, depth), first..end);
        Ok(Self { root, slot, slots, lookahead, lookahead_branch, proposers, keys })
    }

    /// The state's root.
    pub const fn root(&self) -> B256 {
        self.root
    }

    /// The state's slot.
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// The slots whose proposers the state names: those of its epoch and the next.
    pub fn slots(&self) -> Range<Slot> {
        self.slots.clone()
    }

    /// The root of the key of each slot's proposer, in order.
    pub fn keys(&self) -> Vec<B256> {
        self.proven(self.slots()).map(|proven| proven.key).collect()
    }

    pub(crate) fn lookahead(&self) -> (&[B256], &[B256]) {
        (&self.lookahead, &self.lookahead_branch)
    }

    /// The proposers' keys of slots that the state names.
    pub(crate) fn proven(&self, slots: Range<Slot>) -> impl Iterator<Item = &ProvenKey> {
        let skipped = slots.start.saturating_sub(self.slots.start) as usize;
        let count = slots.end.saturating_sub(slots.start) as usize;
        let proposers = self.proposers.iter().skip(skipped).take(count);
        proposers.filter_map(|index| self.keys.get(index))
    }
}

/// The list of validators, of which some are proven.
#[derive(Default)]
struct Validators {
    root: B256,
    count: u64,
    branches: Option<Branches>,
    /// Of each that is wanted, the roots of its fields.
    fields: BTreeMap<u64, Vec<B256>>,
}

impl Validators {
    fn read(bytes: &[u8], wanted: &BTreeSet<u64>, preset: &Preset) -> Result<Self, SszError> {
        let limit = RegistryLimit::of(preset);
        let count = element_count(&VALIDATOR, bytes, limit, preset)?;
        let size = VALIDATOR.fixed_len(preset).unwrap_or_default().max(1);
        let there = wanted.iter().copied().filter(|index| *index < count);
        let mut tree = Tree::new(depth_for(limit), there);
        let mut fields = BTreeMap::new();
        for (index, bytes) in (0..).zip(bytes.chunks(size)) {
            let roots = validator_roots(bytes, preset)?;
            if wanted.contains(&index) {
                fields.insert(index, roots.clone());
            }
            let depth = depth_for(roots.len() as u64);
            tree.push(merkleize(roots, depth));
        }
        let (root, branches) = tree.finish();
        Ok(Self { root: mix_in_length(&root, count), count, branches: Some(branches), fields })
    }

    /// The key of one of the wanted validators; `above` is the branch of the list in the state.
    fn key(&self, index: u64, above: &[B256]) -> Option<ProvenKey> {
        let fields = self.fields.get(&index)?;
        let key = *fields.get(KEY_FIELD)?;
        let mut branch = branch_of(fields.clone(), depth_for(fields.len() as u64), KEY_FIELD);
        branch.extend(self.branches.as_ref()?.of(index));
        branch.push(length_chunk(self.count));
        branch.extend(above);
        Some(ProvenKey { key, branch })
    }
}

/// Numbers of 64 bits.
fn numbers(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let numbers = bytes.chunks_exact(8).filter_map(|number| number.first_chunk());
    numbers.map(|number| u64::from_le_bytes(*number))
}
