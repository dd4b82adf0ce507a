//! Proofs from the states of a beacon node.

use crate::{Layout, LookaheadError, Proof, ProofError, ProvenState, Slot};
use alloy_consensus::Header;
use alloy_primitives::{B256, Sealed};
use lockstep_providers::{BeaconClient, BeaconHeader};
use lockstep_ssz::Preset;
use std::ops::{Range, RangeInclusive};

/// Makes proofs of who proposes, from a beacon node's states.
#[derive(Clone, Debug)]
pub struct Prover {
    beacon: BeaconClient,
    preset: &'static Preset,
}

/// A state whose root L1 has: everything in it is proven to who trusts the L1 block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    timestamp: u64,
    beacon_root: B256,
    header: BeaconHeader,
    state: ProvenState,
    slots_per_epoch: u64,
}

impl Prover {
    /// A prover over a beacon node that serves states.
    pub const fn new(beacon: BeaconClient, preset: &'static Preset) -> Self {
        Self { beacon, preset }
    }

    /// Loads the state after the beacon block whose root this L1 block carries (EIP-4788), which is that of its parent. It
    /// proves the proposers of that block's epoch and the next; one state is enough for all slots of an epoch.
    ///
    /// The contract finds the root for 8,191 slots after the L1 block ([`PROVABLE_SLOTS`](crate::PROVABLE_SLOTS)).
    ///
    /// # Errors
    /// When the node does not answer or does not have the state; when the state is not the one that has the root.
    pub fn anchor(&self, l1: &Sealed<Header>) -> Result<Anchor, LookaheadError> {
        let missing = || LookaheadError::NoBeaconRoot { block: l1.hash() };
        let beacon_root = l1.parent_beacon_block_root.ok_or_else(missing)?;
        let header = self.beacon.header(beacon_root)?;
        let bytes = self.beacon.state(&header)?;
        let slot = header.slot;
        let wrong = |error| LookaheadError::State { slot, error };
        let state = ProvenState::read(&bytes, self.preset).map_err(wrong)?;
        let (expected, found) = (header.state_root, state.root());
        if expected != found {
            tracing::warn!(slot, %expected, %found, "the beacon node gave another state");
            return Err(LookaheadError::WrongState { slot, expected, found });
        }
        metrics::gauge!("lockstep_lookahead_state_bytes").set(bytes.len() as f64);
        tracing::info!(slot, root = %found, bytes = bytes.len(), "loaded a beacon state");
        let slots_per_epoch = self.preset.slots_per_epoch;
        Ok(Anchor { timestamp: l1.timestamp, beacon_root, header, state, slots_per_epoch })
    }
}

impl Anchor {
    /// The slots whose proposers can be proven.
    pub fn slots(&self) -> Range<Slot> {
        self.state.slots()
    }

    /// The root of the key of each slot's proposer, in order.
    pub fn keys(&self) -> Vec<B256> {
        self.state.keys()
    }

    /// The root of the beacon block, which L1 has.
    pub(crate) const fn beacon_root(&self) -> B256 {
        self.beacon_root
    }

    pub(crate) const fn slots_per_epoch(&self) -> u64 {
        self.slots_per_epoch
    }

    /// The beacon block whose state this is.
    pub const fn header(&self) -> &BeaconHeader {
        &self.header
    }

    /// Proves who proposes these slots. For a batch they are those from the batch's slot to the one by whose proposer it is
    /// owned ([`Owner::by_slot`](crate::Owner::by_slot)).
    ///
    /// # Errors
    /// [`LookaheadError::Proof`] if the slots are none, or not all in [`Self::slots`].
    pub fn prove(&self, slots: RangeInclusive<Slot>) -> Result<Proof, LookaheadError> {
        let (slot, last) = slots.into_inner();
        let Range { start: first, end } = self.state.slots();
        if slot < first || last < slot || last >= end {
            return Err(ProofError::SlotOutsideLookahead { slot, first, end }.into());
        }
        let (lookahead, lookahead_branch) = self.state.lookahead();
        let proven = || self.state.proven(slot..last + 1);
        let proof = Proof {
            timestamp: self.timestamp,
            header: (&self.header).into(),
            lookahead: lookahead.to_vec(),
            lookaheadBranch: lookahead_branch.to_vec(),
            keys: proven().map(|proven| proven.key).collect(),
            keyBranches: proven().map(|proven| proven.branch.clone()).collect(),
        };
        // What L1 would refuse does not leave here.
        proof.check(slot, self.beacon_root, self.slots_per_epoch, Layout::FULU)?;
        Ok(proof)
    }
}
