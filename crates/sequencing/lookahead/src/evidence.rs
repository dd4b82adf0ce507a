//! What proves who owns the slots of an epoch, to be kept.

use crate::{
    Anchor, Delegation, Delegations, Layout, LookaheadError, MAX_SLOTS_PER_EPOCH, Owner, Ownership,
    Proof, Schedule, Slot, proof::StoredEvidence,
};
use alloy_consensus::Header;
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, Sealed};
use alloy_sol_types::SolValue;
use std::ops::Range;

/// How many roots of beacon blocks L1 keeps (EIP-4788 § `HISTORY_BUFFER_LENGTH`), at most one for each slot.
const BEACON_ROOTS: u64 = 8_191;

/// For how many slots after its own a slot's owner can be proven to L1: as long as L1 keeps roots, of which the newest that
/// proves a slot may be of the epoch before.
pub const PROVABLE_SLOTS: u64 = BEACON_ROOTS - 2 * MAX_SLOTS_PER_EPOCH;

/// Who owns the slots of an epoch, and what proves it to the contract: all that is needed of a beacon state and of the
/// registry, so that neither need be asked for again while L1 knows the block's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    l1: BlockNumHash,
    beacon_root: B256,
    /// Of all slots that the state names.
    proof: Proof,
    /// To whom each of these slots is delegated; nobody if to zero.
    gateways: Vec<Address>,
    schedule: Schedule,
}

impl Evidence {
    /// The evidence of a state which this L1 block proves, and of the delegations for its slots.
    ///
    /// # Errors
    /// If the state's epochs are none.
    pub fn new(
        l1: BlockNumHash,
        anchor: &Anchor,
        delegations: &Delegations,
    ) -> Result<Self, LookaheadError> {
        let Range { start, end } = anchor.slots();
        let proof = anchor.prove(start..=end.saturating_sub(1))?;
        let slots = (start..end).zip(&proof.keys);
        let gateway = |(slot, key)| delegations.gateway_at(key, slot).unwrap_or_default();
        let gateways = slots.map(gateway).collect();
        Self::of(l1, anchor.beacon_root(), proof, gateways, anchor.slots_per_epoch())
    }

    fn of(
        l1: BlockNumHash,
        beacon_root: B256,
        proof: Proof,
        gateways: Vec<Address>,
        slots_per_epoch: u64,
    ) -> Result<Self, LookaheadError> {
        let epoch = proof.header.slot / slots_per_epoch.max(1);
        let first = epoch.saturating_mul(slots_per_epoch);
        let mut delegations = Delegations::default();
        for ((slot, key), gateway) in (first..).zip(&proof.keys).zip(&gateways) {
            if !gateway.is_zero() {
                let own = Delegation { first_slot: slot, last_slot: slot, gateway: *gateway };
                delegations.insert(*key, own)?;
            }
        }
        let schedule = Schedule::new(slots_per_epoch, epoch, proof.keys.clone(), &delegations)?;
        Ok(Self { l1, beacon_root, proof, gateways, schedule })
    }

    /// The L1 block that carries the root. If L1 has another one in its place, this is no evidence any more.
    pub const fn l1(&self) -> BlockNumHash {
        self.l1
    }

    /// Whether this is the L1 block that carries the root: all that a proof says of it comes from there.
    pub fn is_of(&self, block: &Sealed<Header>) -> bool {
        let Header { number, timestamp, parent_beacon_block_root, .. } = **block;
        self.l1 == BlockNumHash::new(number, block.hash())
            && self.proof.timestamp == timestamp
            && parent_beacon_block_root == Some(self.beacon_root)
    }

    /// The epoch of the state.
    pub const fn epoch(&self) -> u64 {
        self.proof.header.slot / self.schedule.slots_per_epoch()
    }

    /// What is known of a slot's owner. A slot of the epoch after the state's may have one that only a later state shows.
    pub fn ownership(&self, slot: Slot) -> Ownership {
        self.schedule.ownership(slot)
    }

    /// Proves that `owner` owns `slot`; `None` if that is not so, or not shown here.
    ///
    /// # Errors
    /// If the contract would not take the proof.
    pub fn prove(&self, slot: Slot, owner: Owner) -> Result<Option<Proof>, LookaheadError> {
        if self.schedule.owner(slot) != Some(owner) {
            return Ok(None);
        }
        let first = self.schedule.slots().start;
        let place = |slot: Slot| slot.checked_sub(first).and_then(|at| usize::try_from(at).ok());
        let range = place(slot).zip(place(owner.by_slot)).map(|(from, to)| from..to + 1);
        let part = range.and_then(|range| {
            Some((self.proof.keys.get(range.clone())?, self.proof.keyBranches.get(range)?))
        });
        let Some((keys, branches)) = part else { return Ok(None) };
        let proof = Proof {
            timestamp: self.proof.timestamp,
            header: self.proof.header.clone(),
            lookahead: self.proof.lookahead.clone(),
            lookaheadBranch: self.proof.lookaheadBranch.clone(),
            keys: keys.to_vec(),
            keyBranches: branches.to_vec(),
        };
        // What L1 would refuse does not leave here.
        let slots_per_epoch = self.schedule.slots_per_epoch();
        proof.check(slot, self.beacon_root, slots_per_epoch, Layout::FULU)?;
        Ok(Some(proof))
    }

    /// As bytes, for a file.
    pub fn encode(&self) -> Vec<u8> {
        let stored = StoredEvidence {
            l1Number: self.l1.number,
            l1Hash: self.l1.hash,
            beaconRoot: self.beacon_root,
            proof: self.proof.clone(),
            gateways: self.gateways.clone(),
        };
        stored.abi_encode()
    }

    /// Reads what [`Self::encode`] has written; the proof is checked as the contract checks it.
    ///
    /// # Errors
    /// If it is no evidence of a beacon chain with epochs of this length.
    pub fn decode(bytes: &[u8], slots_per_epoch: u64) -> Result<Self, LookaheadError> {
        let wrong = || LookaheadError::Evidence { bytes: bytes.len() };
        let stored = StoredEvidence::abi_decode(bytes).map_err(|_| wrong())?;
        let StoredEvidence { l1Number, l1Hash, beaconRoot, proof, gateways } = stored;
        crate::schedule::check_epoch_length(slots_per_epoch)?;
        let first = proof.header.slot - proof.header.slot % slots_per_epoch;
        let is_whole = proof.keys.len() as u64 == 2 * slots_per_epoch;
        if !is_whole || gateways.len() != proof.keys.len() {
            return Err(wrong());
        }
        proof.check(first, beaconRoot, slots_per_epoch, Layout::FULU)?;
        let l1 = BlockNumHash::new(l1Number, l1Hash);
        Self::of(l1, beaconRoot, proof, gateways, slots_per_epoch)
    }
}
