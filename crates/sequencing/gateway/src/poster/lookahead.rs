//! Who owns slots, from a beacon node and an L1 node.

use super::{SlotOwners, evidence::EvidenceStore};
use crate::PosterError;
use alloy_consensus::Header;
use alloy_eips::{BlockNumHash, BlockNumberOrTag};
use alloy_primitives::{Address, Sealed};
use lockstep_contracts::{BeaconHeader, ProposersProof};
use lockstep_lookahead::{
    Evidence, LookaheadError, LookaheadSource, Owner, Ownership, Proof, ProofHeader, Prover,
    Registry, Slot,
};
use lockstep_providers::{BeaconClient, L1Client, SlotClock};
use lockstep_ssz::Preset;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// An L1 block that was found so many blocks below the head is not likely to be replaced.
const DEPTH: u64 = 2;

/// Epochs, from the newest back, whose evidence a reorganisation of L1 may replace: those that are not final.
const EPOCHS_NOT_FINAL: usize = 4;

/// Owners of slots by the nodes of L1: the schedule of a [`LookaheadSource`], and proofs from the states of a beacon
/// node. One state is loaded for each epoch in which a slot is owned; what is needed of it is kept.
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
    evidence: EvidenceStore,
    /// Epochs of which there was no evidence when it was asked for last, and the slot then.
    missing: BTreeMap<u64, Slot>,
    /// The slot in which a node did not answer.
    failed: Option<Slot>,
    /// Epochs whose evidence was dropped since the schedule says something else, and the slot then.
    dropped: BTreeMap<u64, Slot>,
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
            evidence: EvidenceStore::new(slots),
            missing: BTreeMap::new(),
            failed: None,
            dropped: BTreeMap::new(),
        })
    }

    /// Keeps what proves the owners of slots in a file, and goes on with what is in it. Without, batches that wait for longer
    /// than beacon nodes keep states can be posted no more after a restart.
    ///
    /// # Errors
    /// [`PosterError::Evidence`] if the file cannot be read.
    pub fn with_file(self, file: PathBuf) -> Result<Self, PosterError> {
        let evidence = EvidenceStore::open(self.preset.slots_per_epoch, file)?;
        Ok(Self { evidence, ..self })
    }

    /// Brings the schedule up to the slot of `now_s`, and returns that. If a node fails, the schedule before it still holds.
    fn refresh(&mut self, now_s: u64) -> Result<Slot, LookaheadError> {
        let slot = self.beacon.clock()?.slot(now_s)?;
        if self.refreshed == Some(slot) {
            return Ok(slot);
        }
        match self.source.refresh(now_s) {
            Err(error) if self.source.schedule().is_none() => return Err(error),
            // If it failed the source has told, and asks again in the next slot: a node that hangs takes its time.
            Ok(_) | Err(_) => self.refreshed = Some(slot),
        }
        Ok(slot)
    }

    /// Loads what shows whose a slot is, if it is not there: a state of its epoch or, if that has no L1 block, of the one
    /// before. What cannot be had is asked for once in each slot.
    fn load(&mut self, slot: Slot) -> Result<(), LookaheadError> {
        let epoch = slot / self.preset.slots_per_epoch;
        for epoch in [Some(epoch), epoch.checked_sub(1)].into_iter().flatten() {
            self.confirm(epoch)?;
            if self.evidence.of(slot).is_some() {
                break;
            }
            let is_tried =
                self.refreshed.is_some() && self.missing.get(&epoch).copied() == self.refreshed;
            if self.evidence.has(epoch) || is_tried {
                continue;
            }
            if self.refreshed.is_some() && self.failed == self.refreshed {
                break;
            }
            self.missing.insert(epoch, self.refreshed.unwrap_or_default());
            // A node that does not answer is not asked about other epochs, either.
            self.failed = self.refreshed;
            let asked = self.ask(epoch)?;
            self.failed = None;
            if let Some(evidence) = asked {
                self.missing.remove(&epoch);
                self.evidence.add(evidence);
            }
        }
        Ok(())
    }

    /// Holds evidence that was read from a file against the L1 block that it names. While L1 does not show that, it is not used.
    fn confirm(&mut self, epoch: u64) -> Result<(), LookaheadError> {
        let Some(evidence) = self.evidence.unconfirmed(epoch) else { return Ok(()) };
        if self.refreshed.is_some() && self.failed == self.refreshed {
            return Ok(());
        }
        self.failed = self.refreshed;
        let found = self.l1.header(BlockNumberOrTag::Number(evidence.l1().number))?;
        self.failed = None;
        match found {
            Some(found) if evidence.is_of(&found) => self.evidence.confirm(epoch),
            Some(found) => {
                tracing::warn!(
                    target: "lockstep_gateway",
                    epoch, l1_block = found.number, expected = %evidence.l1().hash, found = %found.hash(),
                    "what was kept to prove the owners of an epoch is not of this L1; it is asked for again"
                );
                self.evidence.remove(epoch);
            }
            None => {}
        }
        Ok(())
    }

    /// Drops the evidence of a slot if it is known by now to be another's; it is asked for again, once in each slot.
    fn drop_if_other(&mut self, slot: Slot, known: Ownership) {
        let Some(evidence) = self.evidence.of(slot) else { return };
        let (epoch, shown) = (evidence.epoch(), evidence.ownership(slot));
        let is_tried =
            self.refreshed.is_some() && self.dropped.get(&epoch).copied() == self.refreshed;
        if shown == known || is_tried {
            return;
        }
        tracing::warn!(
            target: "lockstep_gateway",
            slot, epoch, ?shown, ?known,
            "what was kept to prove the owner of a slot shows another; it is asked for again"
        );
        self.dropped.insert(epoch, self.refreshed.unwrap_or_default());
        self.evidence.remove(epoch);
    }

    /// Evidence of the owners of an epoch's slots, if L1 has a block that proves its state.
    fn ask(&self, epoch: u64) -> Result<Option<Evidence>, LookaheadError> {
        let head = self.l1.header(BlockNumberOrTag::Latest)?.ok_or(LookaheadError::NoHead)?;
        let Some(header) = self.proving_block(epoch, &head)? else { return Ok(None) };
        let anchor = self.prover.anchor(&header)?;
        let proposers: Vec<_> = anchor.slots().zip(anchor.keys()).collect();
        // No delegation of these slots can be recorded any more, so any newer block tells the same.
        let delegations = self.registry.delegations(&head, &proposers)?;
        let l1 = BlockNumHash::new(header.number, header.hash());
        Evidence::new(l1, &anchor, &delegations).map(Some)
    }

    /// An L1 block whose parent is of `epoch`, so that the root which it carries (EIP-4788) is of a state of the
    /// epoch: the newest, but not one of the very last if there are others.
    fn proving_block(
        &self,
        epoch: u64,
        head: &Sealed<Header>,
    ) -> Result<Option<Sealed<Header>>, LookaheadError> {
        let clock = self.beacon.clock()?;
        let end = epoch.saturating_add(1).saturating_mul(self.preset.slots_per_epoch);
        let Some(last) = self.last_before(end, head, &clock)? else { return Ok(None) };
        let newest = last.saturating_add(1).min(head.number);
        for number in [newest.min(head.number.saturating_sub(DEPTH)), newest] {
            // The first block carries no root.
            if number < 2 {
                continue;
            }
            let (header, parent) = (self.header(number, head)?, self.header(number - 1, head)?);
            if header.parent_hash != parent.hash() {
                return Err(LookaheadError::Reorganised { head: head.hash() });
            }
            if clock.slot(parent.timestamp)? / self.preset.slots_per_epoch == epoch {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// The number of the last L1 block before a slot. It is searched for by halves, however long ago it was: between two
    /// blocks there are as many slots as blocks, or more.
    fn last_before(
        &self,
        end: Slot,
        head: &Sealed<Header>,
        clock: &SlotClock,
    ) -> Result<Option<u64>, LookaheadError> {
        let slot = clock.slot(head.timestamp)?;
        let Some(back) = slot.checked_sub(end) else { return Ok(Some(head.number)) };
        // The first may be one, the second is none.
        let (mut low, mut high) = (head.number.checked_sub(back + 1), head.number);
        if low.is_none() && clock.slot(self.header(0, head)?.timestamp)? < end {
            low = Some(0);
        }
        let Some(mut low) = low else { return Ok(None) };
        let mut step = 1;
        while high - low > 1 {
            // Few slots are missed as a rule, so it is near the least that it can be.
            let middle = low.saturating_add(step).min(low + (high - low) / 2);
            if clock.slot(self.header(middle, head)?.timestamp)? < end {
                low = middle;
                step = step.saturating_mul(2);
            } else {
                high = middle;
            }
        }
        Ok(Some(low))
    }

    /// The block of this number, on the chain of the head.
    fn header(&self, number: u64, head: &Sealed<Header>) -> Result<Sealed<Header>, LookaheadError> {
        if number == head.number {
            return Ok(head.clone());
        }
        let found = self.l1.header(BlockNumberOrTag::Number(number))?;
        found.ok_or(LookaheadError::Reorganised { head: head.hash() })
    }

    /// Forgets what L1 does not prove any more, of these epochs.
    fn forget_replaced(&mut self, kept: Vec<(u64, BlockNumHash)>) -> Result<(), LookaheadError> {
        for (epoch, block) in kept {
            let found = self.l1.block(BlockNumberOrTag::Number(block.number))?;
            // A node that is behind has none.
            if found.is_some_and(|found| found.hash != block.hash) {
                self.evidence.remove(epoch);
            }
        }
        Ok(())
    }
}

fn kept<'a>(evidence: impl IntoIterator<Item = &'a Evidence>) -> Vec<(u64, BlockNumHash)> {
    evidence.into_iter().map(|evidence| (evidence.epoch(), evidence.l1())).collect()
}

impl SlotOwners for LookaheadOwners {
    fn ownership(&mut self, slot: Slot, now_s: u64) -> Result<Ownership, PosterError> {
        self.refresh(now_s)?;
        let Some(schedule) = self.source.schedule() else { return Ok(Ownership::Unknown) };
        if slot >= schedule.slots().start {
            let known = schedule.ownership(slot);
            if matches!(known, Ownership::Owned(_) | Ownership::Nobody) {
                self.drop_if_other(slot, known);
            }
            return Ok(known);
        }
        self.load(slot)?;
        Ok(self.evidence.of(slot).map_or(Ownership::Unknown, |it| it.ownership(slot)))
    }

    fn secure(
        &mut self,
        slots: &BTreeSet<Slot>,
        oldest: Slot,
        now_s: u64,
    ) -> Result<Option<Slot>, PosterError> {
        let now = self.refresh(now_s)?;
        self.evidence.forget(oldest, now);
        self.missing.retain(|_, tried| *tried == now);
        self.dropped.retain(|_, tried| *tried == now);
        self.forget_replaced(kept(self.evidence.newest(EPOCHS_NOT_FINAL)))?;
        let mut outcome = Ok(());
        let mut unproven = None;
        for slot in slots {
            if outcome.is_ok() {
                outcome = self.load(*slot);
            }
            if self.evidence.of(*slot).is_none() {
                // Those after it come after it.
                unproven = Some(*slot);
                break;
            }
        }
        self.evidence.save()?;
        outcome?;
        Ok(unproven)
    }

    fn prove(&mut self, slot: Slot, owner: Owner) -> Result<Option<ProposersProof>, PosterError> {
        self.forget_replaced(kept(self.evidence.of(slot)))?;
        self.drop_if_other(slot, Ownership::Owned(owner));
        self.load(slot)?;
        let Some(evidence) = self.evidence.of(slot) else { return Ok(None) };
        let Some(proof) = evidence.prove(slot, owner)? else { return Ok(None) };
        tracing::debug!(
            target: "lockstep_gateway",
            slot, by_slot = owner.by_slot, l1_block = evidence.l1().number,
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
