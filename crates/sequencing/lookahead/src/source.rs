//! Keeps a schedule in step with the beacon chain and L1.

use crate::{LookaheadError, Registry, Schedule, Slot, key_root, schedule};
use alloy_consensus::Header;
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256, Sealed};
use lockstep_providers::{BeaconClient, L1Client, ProposerDuties, SlotClock};
use std::sync::Arc;

/// What a refresh changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// An epoch began, or this is the first schedule: slots were added.
    Extended,
    /// Slots whose owners were known belong to others: L1 was reorganised over the beginning of an epoch.
    Replaced {
        /// The first of them.
        from: Slot,
    },
}

/// Who proposes the slots of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Epoch {
    /// The root of the last block before the epoch.
    boundary: B256,
    keys: Vec<B256>,
}

/// The look-ahead of an epoch and what was made of it.
#[derive(Clone, Debug)]
struct Known {
    number: u64,
    past: Option<Epoch>,
    current: Epoch,
    next: Vec<B256>,
    /// The L1 block after which the registry was read.
    read_at: B256,
    /// No delegation that counts can have been recorded after that block.
    is_settled: bool,
    schedule: Arc<Schedule>,
}

/// Keeps the [`Schedule`] of the current epoch, the next and, if it was seen, the one before.
///
/// Proposers of two epochs are fixed by the last block before the first of them, and so are the delegations that count
/// for them (`Registry` takes none that begins sooner than two epochs later). So a schedule is replaced when that block
/// is; missed slots and other reorganisations change nothing.
#[derive(Debug)]
pub struct LookaheadSource {
    beacon: BeaconClient,
    l1: L1Client,
    registry: Registry,
    slots_per_epoch: u64,
    known: Option<Known>,
}

/// What the beacon node says of an epoch and the next.
struct Duties {
    current: Epoch,
    next: Vec<B256>,
    /// The root of the last block before the *previous* epoch, if the node tells.
    past_boundary: Option<B256>,
}

impl LookaheadSource {
    /// A source over a beacon node and an L1 node, which follow the same chain, for the registry at an address.
    ///
    /// # Errors
    /// If epochs are not of two to 64 slots and a power of two.
    pub fn new(
        beacon: BeaconClient,
        l1: L1Client,
        registry: Address,
        slots_per_epoch: u64,
    ) -> Result<Self, LookaheadError> {
        schedule::check_epoch_length(slots_per_epoch)?;
        let registry = Registry::new(l1.clone(), registry);
        Ok(Self { beacon, l1, registry, slots_per_epoch, known: None })
    }

    /// The schedule as of the last refresh that did not fail.
    pub fn schedule(&self) -> Option<&Arc<Schedule>> {
        self.known.as_ref().map(|known| &known.schedule)
    }

    /// Asks both nodes what is true at `now`, in seconds, and brings the schedule up to it. To be called once a slot.
    ///
    /// # Errors
    /// When a node does not answer, or not what can be; [`LookaheadError::ChainsDiffer`] if they do not follow the same
    /// chain, which is so for moments while one is behind. The schedule stays as it was.
    pub fn refresh(&mut self, now: u64) -> Result<Change, LookaheadError> {
        let change = self.try_refresh(now);
        match &change {
            Ok(Change::None) => {}
            Ok(Change::Extended) => tracing::debug!(now, "the look-ahead was extended"),
            Ok(Change::Replaced { from }) => {
                metrics::counter!("lockstep_lookahead_replacements_total").increment(1);
                tracing::warn!(from, now, "the owners of slots changed that were known");
            }
            Err(error) => {
                metrics::counter!("lockstep_lookahead_failures_total").increment(1);
                tracing::warn!(%error, now, "the look-ahead could not be refreshed");
            }
        }
        change
    }

    fn try_refresh(&mut self, now: u64) -> Result<Change, LookaheadError> {
        let clock = self.beacon.clock()?;
        let number = clock.slot(now)? / self.slots_per_epoch;
        let Duties { current, next, past_boundary } = self.duties(number)?;
        let past = self.past(number, &current, past_boundary);
        let is_same = |known: &&Known| {
            known.number == number
                && known.past == past
                && known.current == current
                && known.next == next
        };
        let same = self.known.as_ref().filter(is_same);
        if same.is_some_and(|known| known.is_settled) {
            return Ok(Change::None);
        }
        let head = self.l1.header(BlockNumberOrTag::Latest)?.ok_or(LookaheadError::NoHead)?;
        if same.is_some_and(|known| known.read_at == head.hash()) {
            return Ok(Change::None);
        }
        let is_settled = self.is_settled(&head, number, current.boundary, &clock)?;
        let schedule = self.build(&head, number, past.as_ref(), &current.keys, &next)?;
        let change = change(self.schedule().map(Arc::as_ref), &schedule);
        record(&schedule);
        let (schedule, read_at) = (Arc::new(schedule), head.hash());
        self.known = Some(Known { number, past, current, next, read_at, is_settled, schedule });
        Ok(change)
    }

    fn duties(&self, epoch: u64) -> Result<Duties, LookaheadError> {
        let after = epoch.saturating_add(1);
        let answers = [self.beacon.proposer_duties(epoch)?, self.beacon.proposer_duties(after)?];
        let before = |epoch: u64| {
            let answer = answers.iter().find(|answer| answer.dependent_epoch == epoch);
            answer.map(|answer| answer.dependent_root)
        };
        let [current, next] = &answers;
        let keys = self.keys(epoch, current)?;
        let next = self.keys(after, next)?;
        let wrong = || LookaheadError::Duties { epoch, reason: "of other epochs" };
        let boundary = before(epoch).ok_or_else(wrong)?;
        let past_boundary = epoch.checked_sub(1).and_then(before);
        Ok(Duties { current: Epoch { boundary, keys }, next, past_boundary })
    }

    /// The roots of the keys of an epoch's proposers.
    fn keys(&self, epoch: u64, answer: &ProposerDuties) -> Result<Vec<B256>, LookaheadError> {
        let wrong = |reason| LookaheadError::Duties { epoch, reason };
        let first = epoch.checked_mul(self.slots_per_epoch).ok_or_else(|| wrong("too late"))?;
        let mut keys = vec![None; self.slots_per_epoch as usize];
        for duty in &answer.duties {
            let place = duty.slot.checked_sub(first).and_then(|place| keys.get_mut(place as usize));
            let place = place.ok_or_else(|| wrong("of a slot of another epoch"))?;
            if place.replace(key_root(&duty.key)).is_some() {
                return Err(wrong("twice of one slot"));
            }
        }
        keys.into_iter().collect::<Option<_>>().ok_or_else(|| wrong("of too few slots"))
    }

    /// The epoch before, if it was seen and is still that of this chain.
    fn past(&self, number: u64, current: &Epoch, past_boundary: Option<B256>) -> Option<Epoch> {
        let known = self.known.as_ref()?;
        if known.number == number && known.current.boundary == current.boundary {
            return known.past.clone();
        }
        let candidate = match number.checked_sub(known.number) {
            Some(0) => known.past.as_ref(),
            Some(1) => Some(&known.current),
            _ => None,
        };
        candidate.filter(|past| Some(past.boundary) == past_boundary).cloned()
    }

    /// Whether the L1 block is of the epoch or later, so that all delegations that count were recorded before. If it is, its
    /// chain must be the beacon node's: the first block of the epoch carries the root of the beacon block before (EIP-4788).
    fn is_settled(
        &self,
        head: &Sealed<Header>,
        epoch: u64,
        boundary: B256,
        clock: &SlotClock,
    ) -> Result<bool, LookaheadError> {
        let first = epoch * self.slots_per_epoch;
        let slot = clock.slot(head.timestamp)?;
        let Some(back) = slot.checked_sub(first) else { return Ok(false) };
        if back >= 2 * self.slots_per_epoch {
            return Err(LookaheadError::HeadAhead { head: slot, epoch });
        }
        if epoch == 0 {
            return Ok(true);
        }
        let mut oldest: Option<(Slot, &Sealed<Header>)> = None;
        let headers = self.l1.headers_back(head.hash(), back as usize)?;
        for header in &headers {
            let slot = clock.slot(header.timestamp)?;
            if slot < first {
                return same_chain(oldest, boundary);
            }
            oldest = Some((slot, header));
        }
        // As many blocks as slots, or the walk ended early because the chain changed meanwhile.
        match oldest {
            Some((slot, _)) if slot == first => same_chain(oldest, boundary),
            _ => Err(LookaheadError::Reorganised { head: head.hash() }),
        }
    }

    fn build(
        &self,
        head: &Sealed<Header>,
        number: u64,
        past: Option<&Epoch>,
        current: &[B256],
        next: &[B256],
    ) -> Result<Schedule, LookaheadError> {
        let first_epoch = number - u64::from(past.is_some());
        let past = past.map(|past| past.keys.as_slice()).unwrap_or_default();
        let keys = [past, current, next].concat();
        let slots = first_epoch * self.slots_per_epoch..;
        let proposers: Vec<(Slot, B256)> = slots.zip(keys.iter().copied()).collect();
        let delegations = self.registry.delegations(head, &proposers)?;
        Ok(Schedule::new(self.slots_per_epoch, first_epoch, keys, &delegations)?)
    }
}

/// The oldest L1 block of an epoch carries the root of the beacon block before it.
fn same_chain(
    oldest: Option<(Slot, &Sealed<Header>)>,
    boundary: B256,
) -> Result<bool, LookaheadError> {
    let found = oldest.and_then(|(_, header)| header.parent_beacon_block_root).unwrap_or_default();
    if found == boundary {
        return Ok(true);
    }
    Err(LookaheadError::ChainsDiffer { beacon: boundary, l1: found })
}

fn change(before: Option<&Schedule>, now: &Schedule) -> Change {
    let Some(before) = before else { return Change::Extended };
    match now.first_revised(before) {
        Some(from) => Change::Replaced { from },
        None if now.slots().end > before.slots().end => Change::Extended,
        None => Change::None,
    }
}

fn record(schedule: &Schedule) {
    let slots = schedule.slots();
    let owned = slots.clone().filter(|slot| schedule.owner(*slot).is_some()).count();
    metrics::gauge!("lockstep_lookahead_end_slot").set(slots.end as f64);
    metrics::gauge!("lockstep_lookahead_owned_slots").set(owned as f64);
}
