//! Make the batches of this gateway's slots, once and for all.

mod batch;
mod chains;
mod distrust;
mod file;
mod fill;
mod keep;
mod ledger;
mod make;
mod offer;
mod refusals;
mod scan;
mod short;
mod stale;

pub use batch::{SealedBatch, SealedSpan};
pub use chains::UnionChains;
pub use fill::Closed;
pub use ledger::{Ledger, Lost};

pub(crate) use ledger::Base;
pub(crate) use make::blobs;
pub(crate) use offer::Offer;
pub(crate) use short::Short;

use crate::{GatewayError, GatewayKey, GatewayLink};
use alloy_eips::BlockNumHash;
use alloy_primitives::ChainId;
use distrust::Distrust;
use file::SealFile;
use lockstep_batcher::BlobProver;
use lockstep_lookahead::Slot;
use lockstep_protocol::{Compression, MAX_UNION_BLOCKS, RollupConfig, UnionConfig};
use metrics::{counter, gauge};
use refusals::Refusals;
use scan::Scan;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

/// The most blocks of a rollup in a batch. Empty ones of long gaps are cut over several.
const MAX_BLOCKS: u64 = MAX_UNION_BLOCKS as u64 / 4;

/// The most blobs of one transaction (EIP-7594).
const MAX_BLOBS_PER_TX: usize = 6;

/// How batches are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealSettings {
    /// The most blobs of a batch: what one transaction can carry, at most six (EIP-7594).
    pub max_blobs: usize,
    /// How batches are compressed.
    pub compression: Compression,
    /// For how many L1 slots after its own another gateway's batch is waited for. After that this gateway posts empty
    /// blocks in its place.
    pub handover_slots: u64,
}

impl Default for SealSettings {
    fn default() -> Self {
        Self {
            max_blobs: MAX_BLOBS_PER_TX,
            compression: Compression::Brotli { quality: 5 },
            handover_slots: 2,
        }
    }
}

/// What a [`Sealer`] works with.
#[derive(Debug)]
pub struct SealerParts {
    /// All rollups of the union.
    pub rollups: Vec<Arc<RollupConfig>>,
    /// Signs batches.
    pub key: GatewayKey,
    /// Computes the hashes of blobs.
    pub prover: Box<dyn BlobProver>,
}

/// Makes the batches of the slots that a gateway owns, and keeps them until L1 has them for good.
///
/// A slot's batch is made when the last block of the slot is complete, from the blocks that no batch before it has. It is
/// signed, written down, and only then known to anybody else; no slot is signed twice. What can be posted no more is
/// taken back.
#[derive(Debug)]
pub struct Sealer {
    settings: SealSettings,
    union: UnionConfig,
    block_time: u64,
    l1_chain_id: ChainId,
    rollups: BTreeMap<ChainId, Arc<RollupConfig>>,
    key: GatewayKey,
    prover: Box<dyn BlobProver>,
    ledger: Arc<Ledger>,
    file: Option<SealFile>,
    /// The file holds batches that were given up, and must be written anew before anything is added.
    is_file_stale: bool,
    /// The last slot that something was signed for.
    signed_up_to: Option<Slot>,
    /// The blocks that no batch has.
    scans: BTreeMap<ChainId, Scan>,
    /// Whether the scans have come to the heads.
    is_scanned: bool,
    /// Rollups whose blocks come late for the sequencing window.
    late: BTreeSet<ChainId>,
    /// The first slot that is left to these blocks.
    next_try: Slot,
    /// The slot that is left to late rollups now.
    left_to_late: Option<Slot>,
    /// A slot that could not be sealed, why, and how often that was tried.
    refused: Option<(Slot, Lost, u32)>,
    /// Why users' transactions are not taken, as it was told last.
    closed: Option<Closed>,
    link: Option<Arc<dyn GatewayLink>>,
    /// Batches of others that were refused.
    refused_offers: Refusals,
    /// The first slot with blocks that are not judged yet.
    unaudited: Option<Slot>,
    distrust: Distrust,
}

impl Sealer {
    /// A sealer for the rollups of one union. With `file`, it goes on with what one before it signed; without, a gateway
    /// that is started again may sign a slot twice.
    ///
    /// # Errors
    /// If the rollups are not of one union, a setting is out of range, or the file cannot be used.
    pub fn new(
        settings: SealSettings,
        parts: SealerParts,
        file: Option<&Path>,
    ) -> Result<Self, GatewayError> {
        if !(1..=MAX_BLOBS_PER_TX).contains(&settings.max_blobs) {
            return Err(GatewayError::MaxBlobs(settings.max_blobs));
        }
        let SealerParts { rollups, key, prover } = parts;
        let first = rollups.first().ok_or(GatewayError::NoMembers)?.clone();
        let union = first.union.clone().ok_or(GatewayError::NoUnion(first.l2_chain_id))?;
        for config in &rollups {
            let is_same = config.union.as_ref() == Some(&union)
                && config.block_time == first.block_time
                && config.l1_chain_id == first.l1_chain_id;
            if !is_same {
                return Err(GatewayError::NoUnion(config.l2_chain_id));
            }
        }
        let l1_chain_id = first.l1_chain_id;
        let opened = file.map(|path| SealFile::open(path, l1_chain_id, union.inbox)).transpose()?;
        let (file, kept) =
            opened.map_or((None, file::Kept::default()), |(file, kept)| (Some(file), kept));
        let ledger = Arc::new(Ledger::default());
        ledger.with(|state| {
            state.gateway = key.address;
            state.batches = kept.batches.into_iter().map(Arc::new).collect();
        });
        Ok(Self {
            settings,
            union,
            block_time: first.block_time.max(1),
            l1_chain_id,
            rollups: rollups.into_iter().map(|it| (it.l2_chain_id, it)).collect(),
            key,
            prover,
            ledger,
            file,
            is_file_stale: false,
            signed_up_to: kept.signed_up_to,
            scans: BTreeMap::new(),
            is_scanned: false,
            late: BTreeSet::new(),
            next_try: 0,
            left_to_late: None,
            refused: None,
            closed: None,
            link: None,
            refused_offers: Refusals::default(),
            unaudited: None,
            distrust: Distrust::default(),
        })
    }

    /// What it tells the poster, and hears from it.
    pub fn ledger(&self) -> Arc<Ledger> {
        self.ledger.clone()
    }

    /// How many slots with users' transactions L1 has not taken yet, as far as is known.
    pub fn unposted(&self) -> usize {
        self.ledger.unposted() + usize::from(self.first_filled().is_some())
    }

    /// The most blobs of a batch.
    pub(crate) const fn max_blobs(&self) -> usize {
        self.settings.max_blobs
    }

    /// For how many slots others wait for the batch of one.
    pub(crate) const fn handover_slots(&self) -> u64 {
        self.settings.handover_slots
    }

    /// Seals no slot from this one on, whose blocks are not all judged.
    pub(crate) const fn wait_for_audits(&mut self, first: Option<Slot>) {
        self.unaudited = first;
    }

    /// The gateway for which it signs.
    pub const fn gateway(&self) -> alloy_primitives::Address {
        self.key.address
    }

    /// Follows what L1 and the chains say, takes back what can be posted no more, and seals the slots that are complete.
    /// `now` is the Unix time. With `ends`, no more blocks are made, and the last slot that has any is sealed as it is.
    ///
    /// # Errors
    /// If a chain or the file cannot be read or written, or the key does not sign. What was to be done is done by the
    /// next call.
    pub fn keep_up(
        &mut self,
        chains: &mut impl UnionChains,
        now: Duration,
        ends: bool,
    ) -> Result<(), GatewayError> {
        let outcome = self.try_keep_up(chains, now, ends);
        if outcome.is_err() {
            counter!("lockstep_gateway_seal_errors_total").increment(1);
        }
        let unposted = self.ledger.with(|state| state.batches.len().saturating_sub(state.posted()));
        gauge!("lockstep_gateway_unposted_batches").set(unposted as f64);
        gauge!("lockstep_gateway_kept_batch_bytes").set(self.ledger.kept_bytes() as f64);
        outcome
    }

    fn try_keep_up(
        &mut self,
        chains: &mut impl UnionChains,
        now: Duration,
        ends: bool,
    ) -> Result<(), GatewayError> {
        if self.is_file_stale {
            self.rewrite_file()?;
        }
        self.take_over_base()?;
        self.take_over_folds()?;
        self.take_over_losses()?;
        self.drop_replaced(chains)?;
        if !matches!(self.short(chains)?, Short::No) {
            self.is_scanned = false;
            return Ok(());
        }
        self.look_for_late(chains)?;
        if !self.scan(chains)? {
            return Ok(());
        }
        self.follow_distrust(chains)?;
        if self.give_up(chains)? {
            // What is left is looked at anew.
            self.scan(chains)?;
        }
        if let Some(slot) = self.union.slot_at(now.as_secs()) {
            self.leave_to_late(slot);
        }
        if self.ledger.is_doubtful() {
            return Ok(());
        }
        self.seal_due(chains, now.as_secs(), ends)
    }

    /// When a rollup's block of this number is, in Unix seconds.
    pub(crate) fn timestamp(config: &RollupConfig, number: u64) -> u64 {
        let blocks = number.saturating_sub(config.genesis.l2.number);
        config.genesis.l2_time.saturating_add(blocks.saturating_mul(config.block_time))
    }

    /// The number of a rollup's last block before a time, in Unix seconds.
    fn last_before(config: &RollupConfig, time: u64) -> u64 {
        let since = time.saturating_sub(1).saturating_sub(config.genesis.l2_time);
        config.genesis.l2.number.saturating_add(since / config.block_time.max(1))
    }

    /// The last block of a rollup that a batch has; a later one if followers have made blocks without batches.
    fn begin(&self, chain: ChainId) -> Option<BlockNumHash> {
        self.scans.get(&chain).map(|scan| scan.begin()).or_else(|| self.cursor(chain))
    }

    /// The last block of a rollup that a batch has.
    pub(crate) fn cursor(&self, chain: ChainId) -> Option<BlockNumHash> {
        self.ledger.with(|state| state.tip.as_ref()?.cursors.get(&chain).copied())
    }
}
