//! Who owns slots, from a beacon node and an L1 node.

use super::SlotOwners;
use crate::PosterError;
use alloy_consensus::Header;
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256, Sealed};
use lockstep_contracts::{BeaconHeader, ProposersProof};
use lockstep_lookahead::{
    Anchor, LookaheadError, LookaheadSource, Owner, Ownership, Proof, ProofHeader, Prover,
    Registry, Schedule, Slot,
};
use lockstep_providers::{BeaconClient, ClientError, L1Client, SlotClock};
use lockstep_ssz::Preset;
use std::collections::VecDeque;

/// States that are kept: of the current epoch, and of those before that batches may wait for.
const MAX_ANCHORS: usize = 4;

/// An L1 block that was found so many blocks below the head is not likely to be replaced.
const DEPTH: usize = 2;

/// Owners of slots by the nodes of L1: the schedule of a [`LookaheadSource`], and proofs from the states of a beacon
/// node. One state is loaded for each epoch in which a slot is posted.
#[derive(Debug)]
pub struct LookaheadOwners {
    source: LookaheadSource,
    prover: Prover,
    beacon: BeaconClient,
    l1: L1Client,
    registry: Registry,
    preset: &'static Preset,
    /// The slot in which the source was refreshed last.
    refreshed: Option<Slot>,
    anchors: VecDeque<Anchored>,
}

/// A state, and the L1 block that proves it.
#[derive(Debug)]
struct Anchored {
    epoch: u64,
    number: u64,
    hash: B256,
    anchor: Anchor,
    /// Of the epoch and the next.
    schedule: Schedule,
}

impl LookaheadOwners {
    /// Owners by the registry at an address. Both nodes follow the same L1, and the beacon node serves states.
    ///
    /// # Errors
    /// If the preset's epochs are none.
    pub fn new(
        beacon: BeaconClient,
        l1: L1Client,
        registry: Address,
        preset: &'static Preset,
    ) -> Result<Self, PosterError> {
        let slots = preset.slots_per_epoch;
        Ok(Self {
            source: LookaheadSource::new(beacon.clone(), l1.clone(), registry, slots)?,
            prover: Prover::new(beacon.clone(), preset),
            beacon,
            registry: Registry::new(l1.clone(), registry),
            l1,
            preset,
            refreshed: None,
            anchors: VecDeque::new(),
        })
    }

    /// Brings the schedule up to the slot of `now_s`. If a node fails, the schedule before it still holds.
    fn refresh(&mut self, now_s: u64) -> Result<(), LookaheadError> {
        let slot = self.beacon.clock()?.slot(now_s)?;
        if self.refreshed == Some(slot) {
            return Ok(());
        }
        match self.source.refresh(now_s) {
            Ok(_) => self.refreshed = Some(slot),
            Err(error) if self.source.schedule().is_none() => return Err(error),
            // The source has told.
            Err(_) => {}
        }
        Ok(())
    }

    /// A state that knows the proposers from `slot` on: of its epoch, or, if that has no L1 block, of the one before. `None`
    /// if no L1 block proves one. One that is kept may be of a chain that was replaced.
    fn anchored(&mut self, slot: Slot) -> Result<Option<&Anchored>, LookaheadError> {
        let epoch = slot / self.preset.slots_per_epoch;
        if self.load_anchor(epoch)? {
            return Ok(self.anchor_of(epoch));
        }
        let Some(before) = epoch.checked_sub(1) else { return Ok(None) };
        // While the epoch lasts it may still get a block, which knows more.
        let now = self.refreshed.map_or(0, |slot| slot / self.preset.slots_per_epoch);
        if epoch >= now || !self.load_anchor(before)? {
            return Ok(None);
        }
        Ok(self.anchor_of(before))
    }

    fn anchor_of(&self, epoch: u64) -> Option<&Anchored> {
        self.anchors.iter().find(|anchored| anchored.epoch == epoch)
    }

    /// Loads a state of an epoch, if it is not there. Whether it is.
    fn load_anchor(&mut self, epoch: u64) -> Result<bool, LookaheadError> {
        if self.anchor_of(epoch).is_some() {
            return Ok(true);
        }
        let Some(header) = self.proving_block(epoch)? else { return Ok(false) };
        let anchor = self.prover.anchor(&header)?;
        let keys = anchor.keys();
        let proposers: Vec<(Slot, B256)> = anchor.slots().zip(keys.iter().copied()).collect();
        // No delegation of these slots can be recorded any more, so any newer block tells the same.
        let delegations = self.registry.delegations(&header, &proposers)?;
        let schedule = Schedule::new(self.preset.slots_per_epoch, epoch, keys, &delegations)?;
        let (number, hash) = (header.number, header.hash());
        if self.anchors.len() >= MAX_ANCHORS {
            self.anchors.pop_front();
        }
        self.anchors.push_back(Anchored { epoch, number, hash, anchor, schedule });
        Ok(true)
    }

    /// An L1 block whose parent is of `epoch`, so that the root which it carries (EIP-4788) is of a state of the
    /// epoch: the newest, but not one of the very last if there are others.
    fn proving_block(&self, epoch: u64) -> Result<Option<Sealed<Header>>, LookaheadError> {
        let clock = self.beacon.clock()?;
        let head = self.l1.header(BlockNumberOrTag::Latest)?.ok_or(LookaheadError::NoHead)?;
        let first = epoch.saturating_mul(self.preset.slots_per_epoch);
        let Some(back) = clock.slot(head.timestamp)?.checked_sub(first) else { return Ok(None) };
        let headers = self.l1.headers_back(head.hash(), back as usize + 1)?;
        let mut newest = None;
        for (depth, pair) in headers.windows(2).enumerate() {
            let [header, parent] = pair else { break };
            if parent.number > 0 && self.epoch_of(parent, &clock)? == epoch {
                newest.get_or_insert(header);
                if depth >= DEPTH {
                    return Ok(Some(header.clone()));
                }
            }
        }
        Ok(newest.cloned())
    }

    fn epoch_of(&self, header: &Header, clock: &SlotClock) -> Result<u64, ClientError> {
        Ok(clock.slot(header.timestamp)? / self.preset.slots_per_epoch)
    }

    /// Forgets states that L1 does not prove any more.
    fn forget_replaced(&mut self, slot: Slot) -> Result<(), LookaheadError> {
        let epoch = slot / self.preset.slots_per_epoch;
        for epoch in [epoch.checked_sub(1), Some(epoch)].into_iter().flatten() {
            let Some(Anchored { number, hash, .. }) = self.anchor_of(epoch) else { continue };
            let found = self.l1.block(BlockNumberOrTag::Number(*number))?;
            if found.is_none_or(|found| found.hash != *hash) {
                self.anchors.retain(|anchored| anchored.epoch != epoch);
            }
        }
        Ok(())
    }
}

impl SlotOwners for LookaheadOwners {
    fn ownership(&mut self, slot: Slot, now_s: u64) -> Result<Ownership, PosterError> {
        self.refresh(now_s)?;
        let Some(schedule) = self.source.schedule() else { return Ok(Ownership::Unknown) };
        if slot >= schedule.slots().start {
            return Ok(schedule.ownership(slot));
        }
        let anchored = self.anchored(slot)?;
        Ok(anchored.map_or(Ownership::Unknown, |anchored| anchored.schedule.ownership(slot)))
    }

    fn prove(&mut self, slot: Slot, owner: Owner) -> Result<Option<ProposersProof>, PosterError> {
        self.forget_replaced(slot)?;
        let Some(anchored) = self.anchored(slot)? else { return Ok(None) };
        if anchored.schedule.owner(slot) != Some(owner) {
            return Ok(None);
        }
        let proof = anchored.anchor.prove(slot..=owner.by_slot)?;
        tracing::debug!(
            target: "lockstep_gateway",
            slot, by_slot = owner.by_slot, l1_block = anchored.number,
            "proved the owner of a slot"
        );
        Ok(Some(to_contract(proof)))
    }
}

/// The proof, as the bindings of the inbox take it.
fn to_contract(proof: Proof) -> ProposersProof {
    let ProofHeader { slot, proposerIndex, parentRoot, stateRoot, bodyRoot } = proof.header;
    ProposersProof {
        timestamp: proof.timestamp,
        header: BeaconHeader { slot, proposerIndex, parentRoot, stateRoot, bodyRoot },
        lookahead: proof.lookahead,
        lookaheadBranch: proof.lookaheadBranch,
        keys: proof.keys,
        keyBranches: proof.keyBranches,
    }
}
