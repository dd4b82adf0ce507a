//! Proofs for the contract `Lookahead`, and its check.

use crate::{ProofError, Slot};
use alloy_primitives::B256;
use lockstep_providers::BeaconHeader;
use lockstep_ssz::{depth_for, is_valid_branch, merkleize};

mod abi {
    #![allow(missing_docs, unreachable_pub, reason = "generated")]
    alloy_sol_types::sol! {
        /// The header of a beacon block, as the contract takes it.
        #[derive(Debug, Default, PartialEq, Eq)]
        struct Header {
            uint64 slot;
            uint64 proposerIndex;
            bytes32 parentRoot;
            bytes32 stateRoot;
            bytes32 bodyRoot;
        }

        /// Proof of the proposers of consecutive slots: what `Inbox.post` takes.
        #[derive(Debug, Default, PartialEq, Eq)]
        struct Proof {
            /// The timestamp of an L1 block; the root that it carries is that of its parent's beacon block.
            uint64 timestamp;
            /// That beacon block.
            Header header;
            /// All of `proposer_lookahead`, four entries to a chunk.
            bytes32[] lookahead;
            /// From its root to the state's, lowest sibling first.
            bytes32[] lookaheadBranch;
            /// Of each slot in turn, the root of its proposer's key.
            bytes32[] keys;
            /// From each of them to the state's root.
            bytes32[][] keyBranches;
        }

        /// [`Evidence`](crate::Evidence) in a file.
        struct StoredEvidence {
            uint64 l1Number;
            bytes32 l1Hash;
            bytes32 beaconRoot;
            Proof proof;
            address[] gateways;
        }
    }
}

pub(crate) use abi::StoredEvidence;
pub use abi::{Header as ProofHeader, Proof};

/// `VALIDATOR_REGISTRY_LIMIT` is two to the power of this.
const VALIDATORS_DEPTH: u32 = 40;

/// The fields of a validator: eight, of which `pubkey` is the first.
const VALIDATOR_FIELDS: u64 = 8;

/// Where things are in the states of a fork, as generalised indices below the state's root (`Lookahead.Layout`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The vector `proposer_lookahead`.
    pub proposer_lookahead: u8,
    /// The list `validators`, with its length.
    pub validators: u8,
}

impl Layout {
    /// The states of Fulu: 38 fields, of which `validators` is the twelfth and `proposer_lookahead` the last.
    pub const FULU: Self = Self { proposer_lookahead: 101, validators: 75 };
}

impl From<&BeaconHeader> for ProofHeader {
    fn from(header: &BeaconHeader) -> Self {
        Self {
            slot: header.slot,
            proposerIndex: header.proposer_index,
            parentRoot: header.parent_root,
            stateRoot: header.state_root,
            bodyRoot: header.body_root,
        }
    }
}

impl From<&ProofHeader> for BeaconHeader {
    fn from(header: &ProofHeader) -> Self {
        Self {
            slot: header.slot,
            proposer_index: header.proposerIndex,
            parent_root: header.parentRoot,
            state_root: header.stateRoot,
            body_root: header.bodyRoot,
        }
    }
}

impl Proof {
    /// The roots of the keys of those who propose `first_slot` and the slots after it, as many as are proven: what
    /// `Lookahead.proposers` answers where EIP-4788 has `beacon_root` for the proof's timestamp. `slots_per_epoch` is at least
    /// two and a power of two.
    ///
    /// # Errors
    /// What the contract reverts with.
    pub fn check(
        &self,
        first_slot: Slot,
        beacon_root: B256,
        slots_per_epoch: u64,
        layout: Layout,
    ) -> Result<&[B256], ProofError> {
        let found = BeaconHeader::from(&self.header).root();
        if found != beacon_root {
            return Err(ProofError::WrongHeader { expected: beacon_root, found });
        }
        let offset = self.offset(first_slot, slots_per_epoch)?;
        if self.keys.len() != self.keyBranches.len() {
            let (keys, branches) = (self.keys.len(), self.keyBranches.len());
            return Err(ProofError::KeyBranches { keys, branches });
        }
        let state_root = self.header.stateRoot;
        let (expected, found) = ((slots_per_epoch / 2) as usize, self.lookahead.len());
        if expected != found {
            return Err(ProofError::LookaheadLength { expected, found });
        }
        let vector = merkleize(self.lookahead.clone(), depth_for(found as u64));
        let place = layout.proposer_lookahead.into();
        if !is_valid_branch(&vector, &self.lookaheadBranch, place, &state_root) {
            return Err(ProofError::WrongLookahead { state_root });
        }
        for ((key, branch), entry) in self.keys.iter().zip(&self.keyBranches).zip(offset..) {
            let index = self.entry(entry);
            if index >> VALIDATORS_DEPTH != 0 {
                return Err(ProofError::ValidatorIndex(index));
            }
            // The left child of a list is the tree of its elements.
            let list = u64::from(layout.validators) * 2;
            let place = (list << VALIDATORS_DEPTH | index) * VALIDATOR_FIELDS;
            if !is_valid_branch(key, branch, place, &state_root) {
                return Err(ProofError::WrongKey { index, state_root });
            }
        }
        Ok(&self.keys)
    }

    /// The place of `first_slot` in the look-ahead.
    fn offset(&self, first_slot: Slot, slots_per_epoch: u64) -> Result<usize, ProofError> {
        if self.keys.is_empty() {
            return Err(ProofError::NoKeys);
        }
        let first = self.header.slot - self.header.slot % slots_per_epoch.max(1);
        let end = first.saturating_add(2 * slots_per_epoch);
        let room = end.saturating_sub(first_slot);
        if first_slot < first || self.keys.len() as u64 > room {
            return Err(ProofError::SlotOutsideLookahead { slot: first_slot, first, end });
        }
        Ok((first_slot - first) as usize)
    }

    /// An entry of the look-ahead.
    fn entry(&self, place: usize) -> u64 {
        let chunk = self.lookahead.get(place / 4);
        let bytes = chunk.and_then(|chunk| chunk.get(8 * (place % 4)..)?.first_chunk());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}
