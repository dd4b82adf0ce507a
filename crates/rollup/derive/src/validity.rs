//! The rules for batches (OP specification: derivation § batch queue, Delta § batch queue, Holocene
//! § span batches and § batch queue).

use crate::{
    DeriveError, Dropped, L1Window, L2Provider,
    part::{is_part, is_sequenced},
};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::Bytes;
use lockstep_chain::OpHardfork;
use lockstep_protocol::{BlockInfo, L2BlockInfo, RollupConfig, SingleBatch, SpanBatch};
use op_alloy_consensus::OpTxType;

/// What the rules say of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    /// It continues the safe head.
    Accept,
    /// It is invalid and stays so.
    Drop(Dropped),
    /// It cannot be told without more L1 blocks.
    Undecided,
    /// It may be valid, but other blocks come first (before Holocene).
    Future,
    /// All its blocks are there already (Holocene).
    Past,
}

/// What a batch is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge<'a> {
    pub(crate) config: &'a RollupConfig,
    /// The L1 blocks from the epoch of the safe head on; not empty.
    pub(crate) window: &'a L1Window,
    /// The block that the batch is to continue.
    pub(crate) parent: &'a L2BlockInfo,
    /// The L1 block in which the batch was read out whole.
    pub(crate) inclusion: BlockInfo,
}

/// The L1 origin of a block of a batch.
#[derive(Clone, Copy, Debug)]
struct Origin {
    block: BlockInfo,
    /// Whether the parent of the block has another one.
    is_new: bool,
    /// The L1 block after it, if derivation is that far.
    next: Option<BlockInfo>,
}

impl Judge<'_> {
    /// The timestamp of the next rollup block.
    fn next_timestamp(&self) -> u64 {
        self.parent.block.timestamp.saturating_add(self.config.block_time)
    }

    fn is_holocene(&self) -> bool {
        self.config.is_holocene_at(self.inclusion.timestamp)
    }

    fn is_too_late(&self, epoch: u64) -> bool {
        epoch.saturating_add(self.config.seq_window_size) < self.inclusion.number
    }

    fn future(&self) -> Validity {
        if self.is_holocene() { Validity::Drop(Dropped::Future) } else { Validity::Future }
    }

    fn past(&self) -> Validity {
        if self.is_holocene() { Validity::Past } else { Validity::Drop(Dropped::Past) }
    }

    /// Judges a singular batch.
    pub(crate) fn single(&self, batch: &SingleBatch) -> Validity {
        let Some(epoch) = self.window.epoch() else { return Validity::Undecided };
        if batch.timestamp > self.next_timestamp() {
            return self.future();
        }
        if batch.timestamp < self.next_timestamp() {
            return self.past();
        }
        if batch.parent_hash != self.parent.block.hash {
            return Validity::Drop(Dropped::ParentHash);
        }
        if self.is_too_late(batch.epoch_num) {
            return Validity::Drop(Dropped::SequencingWindow);
        }
        if batch.epoch_num < epoch.number {
            return Validity::Drop(Dropped::EpochTooOld);
        }
        let is_new = batch.epoch_num != epoch.number;
        if is_new && batch.epoch_num != epoch.number.saturating_add(1) {
            return Validity::Drop(Dropped::EpochTooNew);
        }
        let next = self.window.next_epoch();
        let block = if is_new { next } else { Some(epoch) };
        // Without the next L1 block it cannot be told whether it is the one the batch means.
        let Some(block) = block else { return Validity::Undecided };
        if batch.epoch_hash != block.hash {
            return Validity::Drop(Dropped::EpochHash);
        }
        let origin = Origin { block, is_new, next };
        match self.block(&origin, batch.timestamp, &batch.transactions) {
            // Blocks of a span batch come here one by one, from Holocene on; before, implementations
            // do not ask this of spans, and it matters only where Jovian begins with Holocene.
            Validity::Accept
                if !batch.transactions.is_empty()
                    && self.config.activates(OpHardfork::Jovian, batch.timestamp) =>
            {
                Validity::Drop(Dropped::ActivationBlock)
            }
            validity => validity,
        }
    }

    /// Judges a block with an L1 origin that is known: its distance in time from it, and its
    /// transactions.
    fn block(&self, origin: &Origin, timestamp: u64, transactions: &[Bytes]) -> Validity {
        if timestamp < origin.block.timestamp {
            return Validity::Drop(Dropped::BeforeEpoch);
        }
        let drift = self.config.max_sequencer_drift(origin.block.timestamp);
        if timestamp > origin.block.timestamp.saturating_add(drift) {
            if !transactions.is_empty() {
                return Validity::Drop(Dropped::SequencerDrift);
            }
            // An empty block may keep its L1 origin only while the next one is too young.
            if !origin.is_new {
                match origin.next {
                    None => return Validity::Undecided,
                    Some(next) if timestamp >= next.timestamp => {
                        return Validity::Drop(Dropped::SequencerDriftEmpty);
                    }
                    Some(_) => {}
                }
            }
        }
        match self.transactions(timestamp, transactions) {
            Some(reason) => Validity::Drop(reason),
            None => Validity::Accept,
        }
    }

    /// Why a batch may not hold these transactions.
    fn transactions(&self, timestamp: u64, transactions: &[Bytes]) -> Option<Dropped> {
        let has_set_code = self.config.is_active(OpHardfork::Isthmus, timestamp);
        transactions.iter().find_map(|transaction| match transaction.first() {
            None => Some(Dropped::EmptyTransaction),
            Some(&ty) if ty == OpTxType::Deposit as u8 => {
                // A span batch cannot carry deposits: parts were put in by the rules for unions.
                let is_allowed = self.config.union.is_some() && is_part(transaction);
                (!is_allowed).then_some(Dropped::DepositTransaction)
            }
            Some(&ty) if ty == OpTxType::Eip7702 as u8 && !has_set_code => {
                Some(Dropped::SetCodeTransaction)
            }
            Some(_) => None,
        })
    }

    /// Judges where a span batch begins and ends, and returns the block that it builds on.
    fn span_prefix<L2: L2Provider>(
        &self,
        span: &SpanBatch,
        l2: &mut L2,
    ) -> Result<(Validity, L2BlockInfo), DeriveError> {
        let parent = *self.parent;
        let (Some(epoch), Some(first), Some(last)) =
            (self.window.epoch(), span.blocks.first(), span.blocks.last())
        else {
            return Ok((Validity::Undecided, parent));
        };
        let mut first_origin = epoch;
        if first.epoch_num == epoch.number.saturating_add(1) {
            match self.window.next_epoch() {
                Some(next) => first_origin = next,
                None => return Ok((Validity::Undecided, parent)),
            }
        }
        if !self.config.is_delta_active(first_origin.timestamp) {
            return Ok((Validity::Drop(Dropped::SpanBeforeDelta), parent));
        }
        if first.timestamp > self.next_timestamp() {
            return Ok((self.future(), parent));
        }
        if last.timestamp < self.next_timestamp() {
            return Ok((self.past(), parent));
        }
        let span_parent = match self.span_parent(first.timestamp) {
            Ok(number) if number == parent.block.number => parent,
            Ok(number) => l2
                .block_info(number)
                .map_err(DeriveError::provider("the parent of a span batch"))?,
            Err(validity) => return Ok((validity, parent)),
        };
        let validity = self.span_origins(span, &span_parent, first.epoch_num, last.epoch_num);
        Ok((validity, span_parent))
    }

    /// The number of the block on which a span builds whose first block is at `timestamp`.
    fn span_parent(&self, timestamp: u64) -> Result<u64, Validity> {
        let misaligned = Validity::Drop(Dropped::Misaligned);
        let safe = &self.parent.block;
        if timestamp == self.next_timestamp() {
            return Ok(safe.number);
        }
        // The span overlaps the safe chain, so its blocks must lie exactly on those that are there.
        let overlap = safe.timestamp.checked_sub(timestamp).ok_or(misaligned)?;
        let block_time = self.config.block_time;
        if overlap.checked_rem(block_time) != Some(0) {
            return Err(misaligned);
        }
        let number = safe.number.checked_sub(overlap / block_time + 1);
        // Nothing comes before genesis. The implementations cannot tell then, which drops the batch
        // alone from Holocene on; before, they would ask again until they are reset.
        let beyond = if self.is_holocene() { Validity::Undecided } else { misaligned };
        number.filter(|number| *number >= self.config.genesis.l2.number).ok_or(beyond)
    }

    /// Judges the L1 origins of a span, of which the first and the last are given.
    fn span_origins(
        &self,
        span: &SpanBatch,
        parent: &L2BlockInfo,
        first: u64,
        last: u64,
    ) -> Validity {
        if !span.matches_parent(parent.block.hash) {
            return Validity::Drop(Dropped::ParentHash);
        }
        if self.is_too_late(first) {
            return Validity::Drop(Dropped::SequencingWindow);
        }
        if first > parent.l1_origin.number.saturating_add(1) {
            return Validity::Drop(Dropped::EpochTooNew);
        }
        // The hash of the last origin vouches for all before it.
        match self.window.get(last) {
            Some(block) if !span.matches_l1_origin(block.hash) => {
                return Validity::Drop(Dropped::EpochHash);
            }
            Some(_) => {}
            None => return Validity::Undecided,
        }
        if first < parent.l1_origin.number {
            return Validity::Drop(Dropped::EpochTooOld);
        }
        Validity::Accept
    }

    /// Judges a span batch before its first block is taken (from Holocene on): its blocks are judged
    /// one by one when their turn comes.
    pub(crate) fn span_holocene<L2: L2Provider>(
        &self,
        span: &SpanBatch,
        l2: &mut L2,
    ) -> Result<Validity, DeriveError> {
        match self.span_prefix(span, l2)? {
            (Validity::Accept, parent) => self.overlap(span, &parent, l2),
            (validity, _) => Ok(validity),
        }
    }

    /// Judges a span batch as a whole (before Holocene).
    pub(crate) fn span<L2: L2Provider>(
        &self,
        span: &SpanBatch,
        l2: &mut L2,
    ) -> Result<Validity, DeriveError> {
        let (validity, parent) = self.span_prefix(span, l2)?;
        if validity != Validity::Accept {
            return Ok(validity);
        }
        let mut epoch_before = parent.l1_origin.number;
        for block in &span.blocks {
            let is_new = block.epoch_num > epoch_before;
            epoch_before = block.epoch_num;
            if block.timestamp <= self.parent.block.timestamp {
                continue;
            }
            if block.epoch_num < self.parent.l1_origin.number {
                return Ok(Validity::Drop(Dropped::EpochTooOld));
            }
            let Some(origin) = self.window.get(block.epoch_num) else {
                return Ok(Validity::Drop(Dropped::EpochTooOld));
            };
            let next = self.window.get(block.epoch_num.saturating_add(1));
            let origin = Origin { block: origin, is_new, next };
            let validity = self.block(&origin, block.timestamp, &block.transactions);
            if validity != Validity::Accept {
                return Ok(validity);
            }
        }
        self.overlap(span, &parent, l2)
    }

    /// Holds the blocks of a span that are there already against those of the safe chain.
    fn overlap<L2: L2Provider>(
        &self,
        span: &SpanBatch,
        parent: &L2BlockInfo,
        l2: &mut L2,
    ) -> Result<Validity, DeriveError> {
        let numbers = parent.block.number.saturating_add(1)..=self.parent.block.number;
        for (number, block) in numbers.zip(&span.blocks) {
            let info = l2
                .block_info(number)
                .map_err(DeriveError::provider("a block that a span batch overlaps"))?;
            let safe = l2
                .block(number)
                .map_err(DeriveError::provider("a block that a span batch overlaps"))?;
            let sequenced = safe.body.transactions.iter().filter(|tx| is_sequenced(tx));
            let mut encoded = alloc::vec::Vec::new();
            let is_same = info.l1_origin.number == block.epoch_num
                && sequenced.clone().count() == block.transactions.len()
                && sequenced.zip(&block.transactions).all(|(safe, given)| {
                    encoded.clear();
                    safe.encode_2718(&mut encoded);
                    *given == encoded
                });
            if !is_same {
                return Ok(Validity::Drop(Dropped::Overlap));
            }
        }
        Ok(Validity::Accept)
    }
}
