//! What the poster needs from L1, from the look-ahead, and from the rollups.

use crate::PosterError;
use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use lockstep_batcher::{L1Submit, SourceError};
use lockstep_contracts::ProposersProof;
use lockstep_lookahead::{Owner, Ownership, PROVABLE_SLOTS, Slot};
use std::{collections::BTreeSet, fmt};

/// Where the inbox stands after some L1 block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InboxState {
    /// The hash of the newest batch; zero before the first.
    pub head: B256,
    /// The first slot that can still have a batch.
    pub next_slot: Slot,
    /// For how many slots after its own a batch can be posted.
    pub window_slots: u64,
}

impl InboxState {
    /// For how many slots after its own a batch can be posted: as long as the inbox takes it, and its owner can be proven.
    pub const fn open_slots(&self) -> u64 {
        if self.window_slots < PROVABLE_SLOTS { self.window_slots } else { PROVABLE_SLOTS }
    }
}

/// An L1 node, and the union's inbox there. All calls block.
pub trait L1Inbox: L1Submit + fmt::Debug + Send {
    /// Where the inbox stands after the L1 block with this hash; `None` if the node does not show that
    /// block.
    ///
    /// # Errors
    /// If the node does not answer, or what answers is no inbox.
    fn inbox(&mut self, at: B256) -> Result<Option<InboxState>, SourceError>;
}

/// Says who owns slots, and proves it to the inbox. All calls block.
pub trait SlotOwners: fmt::Debug + Send {
    /// What is known of the owner of `slot` at `now_s`, in Unix seconds.
    ///
    /// # Errors
    /// If it cannot be found out now.
    fn ownership(&mut self, slot: Slot, now_s: u64) -> Result<Ownership, PosterError>;

    /// Sees to it, as far as that is possible at `now_s`, that the owners of these slots can be proven for as long as L1 can
    /// check it, whatever its nodes forget. Slots before `oldest` are asked for no more. The first of the slots that has an
    /// owner of whom that is not so.
    ///
    /// # Errors
    /// If that fails; what was seen to stays so.
    fn secure(
        &mut self,
        slots: &BTreeSet<Slot>,
        oldest: Slot,
        now_s: u64,
    ) -> Result<Option<Slot>, PosterError>;

    /// Proves that `owner` owns `slot`, from an L1 block that is canonical now and that EIP-4788 still knows.
    /// `None` while L1 has no block from which it could be proven.
    ///
    /// # Errors
    /// If it cannot be proven now.
    fn prove(&mut self, slot: Slot, owner: Owner) -> Result<Option<ProposersProof>, PosterError>;
}

/// Where a rollup of the union stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberStatus {
    /// The newest block that was derived from L1.
    pub safe_head: BlockNumHash,
    /// The L1 block up to which the rollup has been derived; `None` while derivation begins. What was derived up
    /// to there is in [`Self::safe_head`].
    pub derived_up_to: Option<BlockNumHash>,
}

/// A node of one rollup of the union. All calls block.
pub trait RollupStatus: fmt::Debug + Send {
    /// Where it stands.
    ///
    /// # Errors
    /// If the node does not answer.
    fn status(&mut self) -> Result<MemberStatus, SourceError>;
}
