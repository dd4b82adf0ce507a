//! What the gateway and the poster tell each other.

use super::SealedBatch;
use crate::poster::InboxState;
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, ChainId, map::B256Set};
use lockstep_lookahead::{Ownership, Slot};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Slots whose owners are remembered.
const MAX_OWNERS: usize = 16_384;

/// Why a batch, or the blocks of a slot, can be posted no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// L1 did not take it for as long as the inbox would have.
    #[error("L1 has not taken it for the {window_slots} slots that the inbox would have")]
    Closed {
        /// For how many slots after its own a batch can be posted.
        window_slots: u64,
    },
    /// The inbox has another batch where its parent was, or of a later slot.
    #[error("the inbox has another batch in its place, or before it")]
    Passed,
    /// The inbox took it, and derivation dropped it or one before it.
    #[error("derivation did not take it, or one before it, for this chain")]
    Dropped,
    /// Its blocks are canonical no more: L1 was reorganised below them, or a follower derived others.
    #[error("its blocks are canonical no more")]
    Replaced,
    /// The slot was signed before, with other blocks.
    #[error("something else was signed for it before")]
    Signed,
    /// The slot belongs to somebody else by now, or to nobody.
    #[error("the slot is not this gateway's any more")]
    NotOwned,
    /// L1 took it back, long after it had it for good as was thought.
    #[error("L1 took it back after what it holds had been forgotten")]
    TakenBack,
    /// No batch can hold it.
    #[error("no batch can hold it: {0}")]
    Unsealable(String),
    /// Executing a block of it once more gives another one: so will everybody else's execution.
    #[error("others would not find its blocks as they were made: {0}")]
    NotReproduced(String),
}

impl Lost {
    /// The name, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Passed => "passed",
            Self::Dropped => "dropped",
            Self::Replaced => "replaced",
            Self::Signed => "signed",
            Self::NotOwned => "not_owned",
            Self::TakenBack => "taken_back",
            Self::Unsealable(_) => "unsealable",
            Self::NotReproduced(_) => "not_reproduced",
        }
    }
}

/// Where the next batch begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Base {
    /// The hash of the batch before; zero if there is none.
    pub(crate) head: B256,
    /// The first slot that can have a batch.
    pub(crate) next_slot: Slot,
    /// The last block of each rollup that batches have.
    pub(crate) cursors: BTreeMap<ChainId, BlockNumHash>,
}

impl Base {
    pub(crate) fn after(mut self, batch: &SealedBatch) -> Self {
        self.head = batch.hash;
        self.next_slot = batch.slot.saturating_add(1);
        let lasts = batch.spans.iter().map(|(chain, span)| (*chain, span.last));
        self.cursors.extend(lasts);
        self
    }

    /// Whether this batch can be the next.
    pub(crate) fn continues_with(&self, batch: &SealedBatch) -> bool {
        let mut spans = batch.spans.iter();
        batch.parent == self.head
            && batch.slot >= self.next_slot
            && spans.all(|(chain, span)| self.cursors.get(chain) == Some(&span.parent))
    }
}

/// The sealed batches, and what L1 says of them. The gateway alone changes which batches there are; the poster tells
/// what L1 says, and posts them.
#[derive(Debug, Default)]
pub struct Ledger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// What L1 had when that was asked last; nothing until it is known.
    pub(super) base: Option<Base>,
    /// For which they are sealed, but for those of others.
    pub(super) gateway: Address,
    /// Batches on it, each on the one before.
    pub(super) batches: VecDeque<Arc<SealedBatch>>,
    /// What follows from both.
    pub(super) tip: Option<Base>,
    /// The poster's word of where L1 stands.
    pub(super) seen: Option<Seen>,
    pub(super) owners: BTreeMap<Slot, Ownership>,
    /// The slot whose owner must be known, too.
    pub(super) asked: Option<Slot>,
    /// The first slot whose batch L1 is to have, and whose owner cannot be proven yet.
    pub(super) unproven: Option<Slot>,
    /// A base that the gateway has not taken over yet.
    pub(super) proposed: Option<Base>,
    /// The first batch that can be posted no more.
    pub(super) lost: Option<(B256, Lost)>,
    /// A batch that L1 has for good.
    pub(super) confirmed: Option<B256>,
    /// A batch that L1 has for good, and that not all rollups have derived.
    pub(super) buried: Option<B256>,
    /// Batches of late rollups alone that came too late for L1, and what followers have in the place of their blocks.
    pub(super) folded: BTreeMap<B256, BTreeMap<ChainId, BlockNumHash>>,
    /// Rollups whose blocks come late for the sequencing window.
    pub(super) late: BTreeSet<ChainId>,
    /// What keeps the poster from posting, for an operator to mend.
    pub(super) failure: Option<String>,
    /// L1 does not have what was thought, and it is not known yet what follows for the batches.
    pub(super) is_doubtful: bool,
}

/// Where L1 stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) inbox: InboxState,
    /// The number of the newest L1 block, and its slot.
    pub(super) number: u64,
    pub(super) slot: Slot,
}

impl State {
    /// Works out the tip again.
    pub(super) fn follow(&mut self) {
        let begin = self.base.clone();
        self.tip = begin.map(|base| self.batches.iter().fold(base, |base, it| base.after(it)));
    }

    /// The newest block of each rollup that the batches have.
    pub(super) fn newest_blocks(&self) -> BTreeMap<ChainId, BlockNumHash> {
        let mut newest = BTreeMap::new();
        let chains = self.tip.as_ref().map_or(usize::MAX, |tip| tip.cursors.len());
        for batch in self.batches.iter().rev() {
            for (chain, span) in &batch.spans {
                newest.entry(*chain).or_insert(span.last);
            }
            if newest.len() >= chains {
                break;
            }
        }
        newest
    }

    /// Whether a batch brings blocks of rollups that are late, and nothing else. Followers drop it unless it comes into the very
    /// next L1 block.
    pub(super) fn is_late_try(&self, batch: &SealedBatch) -> bool {
        let mut chains = batch.spans.keys().peekable();
        !batch.is_filled && chains.peek().is_some() && chains.all(|it| self.late.contains(it))
    }

    /// How many of the batches, from the first, the inbox has.
    pub(super) fn posted(&self) -> usize {
        let Some(seen) = &self.seen else { return 0 };
        let newest = self.batches.iter().position(|it| it.hash == seen.inbox.head);
        newest.map_or(0, |at| at + 1)
    }

    /// Whether it is known that a slot is this gateway's, or another's; `None` while it is not.
    pub(super) fn owner(&self, slot: Slot) -> Option<Option<Address>> {
        match self.owners.get(&slot)? {
            Ownership::Owned(owner) => Some(Some(owner.gateway)),
            Ownership::Nobody => Some(None),
            Ownership::Undecided | Ownership::Unknown => None,
        }
    }
}

impl Ledger {
    pub(super) fn with<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut self.state.lock())
    }

    /// How many sealed batches with users' transactions the inbox has not taken yet, as far as is known.
    pub fn unposted(&self) -> usize {
        self.with(|state| {
            let posted = state.posted();
            state.batches.iter().skip(posted).filter(|batch| batch.is_filled).count()
        })
    }

    /// The newest block of a rollup that is in a batch of L1; `None` while it is not known what L1 has.
    pub fn posted(&self, chain: ChainId) -> Option<BlockNumHash> {
        self.with(|state| {
            if state.is_doubtful || state.seen.is_none() {
                return None;
            }
            let base = state.base.as_ref()?.cursors.get(&chain).copied();
            let taken = state.batches.iter().take(state.posted());
            taken.rev().find_map(|batch| Some(batch.spans.get(&chain)?.last)).or(base)
        })
    }

    /// Where L1 stands. A slot is asked about no more if it can have no batch any more.
    pub(crate) fn see(&self, inbox: InboxState, number: u64, slot: Slot) {
        self.with(|state| {
            state.seen = Some(Seen { inbox, number, slot });
            state.asked = state.asked.filter(|asked| {
                *asked >= inbox.next_slot && asked.saturating_add(inbox.open_slots()) > slot
            });
        });
    }

    /// A slot whose owner must be known, which may be long ago.
    pub(crate) fn asked(&self) -> Option<Slot> {
        self.with(|state| state.asked)
    }

    /// Whether it is known who owns a slot.
    pub(crate) fn knows_owner(&self, slot: Slot) -> bool {
        self.with(|state| state.owner(slot).is_some())
    }

    /// The slots of the batches that the inbox does not have.
    pub(crate) fn unposted_slots(&self) -> Vec<Slot> {
        self.with(|state| state.batches.iter().skip(state.posted()).map(|it| it.slot).collect())
    }

    /// The slots of which the owner must be proven to L1, as far as is known at the slot `current`, and the oldest that may
    /// still come to that.
    pub(crate) fn to_be_proven(&self, current: Slot) -> (BTreeSet<Slot>, Slot) {
        self.with(|state| {
            let oldest = state.seen.map_or(0, |seen| seen.inbox.next_slot);
            let unposted = state.batches.iter().skip(state.posted()).map(|batch| batch.slot);
            let own = (state.owner(current) == Some(Some(state.gateway))).then_some(current);
            let slots = unposted.chain(own).filter(|slot| *slot >= oldest);
            (slots.collect(), oldest)
        })
    }

    /// The first of these slots of which the owner cannot be proven yet.
    pub(crate) fn set_unproven(&self, slot: Option<Slot>) {
        self.with(|state| state.unproven = slot);
    }

    /// Who owns slots, by what L1 says now; those before `first` are forgotten, if the inbox has batches of later ones, but
    /// for the one that was asked for. It is asked for until that is known.
    pub(crate) fn learn_owners(&self, owners: BTreeMap<Slot, Ownership>, first: Slot) {
        self.with(|state| {
            state.owners.extend(owners);
            let asked = state.asked;
            let first = state.seen.map_or(first, |seen| first.min(seen.inbox.next_slot));
            state.owners.retain(|slot, _| *slot >= first || Some(*slot) == asked);
            while state.owners.len() > MAX_OWNERS {
                state.owners.pop_first();
            }
            state.asked = asked.filter(|slot| state.owner(*slot).is_none());
        });
    }

    /// What L1 has, after all rollups have derived it and with nothing on its way. The gateway goes on from there.
    pub(crate) fn propose(&self, base: Base) {
        self.with(|state| state.proposed = Some(base));
    }

    /// Whether the gateway has not taken over yet what was proposed.
    pub(crate) fn is_proposed(&self) -> bool {
        self.with(|state| state.proposed.is_some())
    }

    /// Whether the gateway has taken over what was proposed.
    pub(crate) fn is_settled(&self) -> bool {
        self.with(|state| state.proposed.is_none() && state.base.is_some())
    }

    /// What was proposed is not so any more; with `is_doubtful`, nothing is sealed or promised until something else is.
    pub(crate) fn begin_anew(&self, is_doubtful: bool) {
        self.with(|state| {
            state.proposed = None;
            state.is_doubtful |= is_doubtful;
        });
    }

    /// Whether it must be found out what L1 has.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.with(|state| state.is_doubtful || state.base.is_none())
    }

    /// Whether another gateway has sealed a batch.
    pub(crate) fn is_of_another(&self, batch: &SealedBatch) -> bool {
        batch.signer() != Some(self.with(|state| state.gateway))
    }

    /// The hashes of all batches.
    pub(crate) fn hashes(&self) -> B256Set {
        self.with(|state| state.batches.iter().map(|batch| batch.hash).collect())
    }

    /// From this batch on nothing can be posted any more.
    pub(crate) fn lose(&self, hash: B256, reason: Lost) {
        self.with(|state| {
            state.lost.get_or_insert((hash, reason));
        });
    }

    /// Whether a batch brings blocks of rollups that are late, and nothing else.
    pub(crate) fn is_late_try(&self, batch: &SealedBatch) -> bool {
        self.with(|state| state.is_late_try(batch))
    }

    /// Followers have dropped a batch of late rollups alone, and are at these blocks.
    pub(crate) fn fold(&self, hash: B256, cursors: BTreeMap<ChainId, BlockNumHash>) {
        self.with(|state| drop(state.folded.insert(hash, cursors)));
    }

    /// L1 has this batch, and those before it, for good, and not all rollups have derived them.
    pub(crate) fn bury(&self, hash: B256) {
        self.with(|state| state.buried = Some(hash));
    }

    /// Bytes that the batches take which are kept until L1 has them for good and all rollups have derived them.
    pub fn kept_bytes(&self) -> usize {
        self.with(|state| state.batches.iter().map(|batch| batch.bytes()).sum())
    }

    /// L1 has this batch, and those before it, for good.
    pub(crate) fn confirm(&self, hash: B256) {
        self.with(|state| state.confirmed = Some(hash));
    }

    /// Whether posting fails in a way that an operator must mend.
    pub(crate) fn set_failure(&self, failure: Option<String>) {
        self.with(|state| state.failure = failure);
    }

    /// What L1 had, and the batches on it.
    pub(crate) fn chain(&self) -> Option<(Base, Vec<Arc<SealedBatch>>)> {
        self.with(|state| Some((state.base.clone()?, state.batches.iter().cloned().collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SealedSpan;
    use alloy_primitives::Bytes;

    const CHAIN: ChainId = 901;

    fn block(number: u64) -> BlockNumHash {
        BlockNumHash::new(number, B256::with_last_byte(number as u8))
    }

    /// The batch of a slot, with the blocks of [`CHAIN`] after the first up to the second.
    fn batch(slot: Slot, blocks: Option<(u64, u64)>) -> Arc<SealedBatch> {
        let span =
            blocks.map(|(first, last)| SealedSpan { parent: block(first), last: block(last) });
        Arc::new(SealedBatch {
            slot,
            parent: B256::repeat_byte(slot as u8 - 1),
            hash: B256::repeat_byte(slot as u8),
            data: Bytes::new(),
            blob_hashes: Vec::new(),
            signature: Bytes::new(),
            spans: span.map(|span| (CHAIN, span)).into_iter().collect(),
            is_filled: true,
        })
    }

    /// Nobody may be able to tell about it any more; it must not be asked about for ever, nor end promises.
    #[test]
    fn a_slot_is_asked_about_until_it_is_known_or_can_have_no_batch() {
        let ledger = Ledger::default();
        let ask = |slot: Slot| ledger.with(|state| state.asked = Some(slot));
        let see = |next_slot: Slot, now: Slot| {
            let inbox = InboxState { head: B256::ZERO, next_slot, window_slots: 100 };
            ledger.see(inbox, now, now);
            ledger.asked()
        };
        ask(7);
        assert_eq!(see(7, 106), Some(7));
        assert!(ledger.to_be_proven(106).0.is_empty(), "it may be another's");
        assert_eq!(see(8, 106), None, "a later slot has a batch");
        ask(7);
        assert_eq!(see(7, 107), None, "the inbox takes it no more");
        ask(7);
        ledger.learn_owners([(7, Ownership::Unknown)].into(), 0);
        assert_eq!(ledger.asked(), Some(7));
        ledger.learn_owners([(7, Ownership::Nobody)].into(), 0);
        assert_eq!(ledger.asked(), None);
        assert!(ledger.knows_owner(7));
    }

    #[test]
    fn posted_is_what_the_batches_in_l1_hold_whatever_their_slots() {
        let ledger = Ledger::default();
        let taken = |slot: Slot| {
            let head = B256::repeat_byte(slot as u8);
            ledger.see(
                InboxState { head, next_slot: slot + 1, window_slots: 100 },
                slot + 1,
                slot + 1,
            );
            ledger.posted(CHAIN)
        };
        assert_eq!(taken(4), None, "nothing is known yet");
        ledger.with(|state| {
            let cursors = BTreeMap::from([(CHAIN, block(6))]);
            state.base = Some(Base { head: B256::repeat_byte(4), next_slot: 5, cursors });
            state.batches =
                [batch(5, Some((6, 8))), batch(6, None), batch(7, Some((8, 12)))].into();
        });
        assert_eq!(taken(4), Some(block(6)));
        assert_eq!(taken(5), Some(block(8)));
        assert_eq!(taken(6), Some(block(8)), "the batch of slot 6 has no block of the rollup");
        assert_eq!(taken(7), Some(block(12)));
        // L1 was reorganised.
        assert_eq!(taken(5), Some(block(8)));
        // Somebody else's batch, of which it is not known what it holds.
        assert_eq!(taken(9), Some(block(6)));
        ledger.begin_anew(true);
        assert_eq!(ledger.posted(CHAIN), None, "it is not known what L1 has");
    }
}
