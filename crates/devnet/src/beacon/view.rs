//! The chain, as others see it while it grows.

use super::{
    BeaconSpec, BlobsBundle,
    chain::{BeaconChain, ImportedBlock},
    events::BeaconEvent,
    store::{StoreError, StoreReader},
    transition::{Transition, block_root_at},
    types::{BeaconState, Checkpoint, SignedBeaconBlock},
};
use alloy_primitives::B256;
use parking_lot::{Mutex, RwLock};
use std::{collections::VecDeque, str::FromStr, sync::Arc};
use tokio::sync::broadcast;

/// Which block or state is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockId {
    /// The head.
    Head,
    /// The genesis block.
    Genesis,
    /// The finalised block.
    Finalized,
    /// The justified block.
    Justified,
    /// The canonical block at a slot.
    Slot(u64),
    /// The block, or state, of a root.
    Root(B256),
}

impl FromStr for BlockId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "head" => Ok(Self::Head),
            "genesis" => Ok(Self::Genesis),
            "finalized" => Ok(Self::Finalized),
            "justified" => Ok(Self::Justified),
            _ if text.starts_with("0x") => text.parse().map(Self::Root).map_err(|_| ()),
            // A sign, which the parser for numbers would take, is not part of a slot.
            _ if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map(Self::Slot).map_err(|_| ())
            }
            _ => Err(()),
        }
    }
}

/// Blobs of recent blocks, where there is no disk.
#[derive(Debug, Default)]
pub(crate) struct MemoryBlobs {
    bundles: VecDeque<(B256, Arc<BlobsBundle>)>,
    blobs: usize,
}

impl MemoryBlobs {
    pub(crate) fn insert(&mut self, root: B256, bundle: Arc<BlobsBundle>, limit: usize) {
        self.blobs += bundle.blobs.len();
        self.bundles.push_back((root, bundle));
        while self.blobs > limit {
            let Some((_, oldest)) = self.bundles.pop_front() else { break };
            self.blobs -= oldest.blobs.len();
        }
    }

    fn get(&self, root: &B256) -> Option<Arc<BlobsBundle>> {
        self.bundles
            .iter()
            .rev()
            .find(|(other, _)| other == root)
            .map(|(_, blobs)| Arc::clone(blobs))
    }
}

/// A block, with what is known of its place.
#[derive(Clone, Debug)]
pub struct FoundBlock {
    /// The block's root.
    pub root: B256,
    /// The block.
    pub block: Arc<SignedBeaconBlock>,
    /// Whether it is canonical.
    pub canonical: bool,
    /// Whether it is final.
    pub finalized: bool,
}

/// A state, with what is known of its place.
#[derive(Clone, Debug)]
pub struct FoundState {
    /// The state: that of the block, or brought to a later slot without one.
    pub state: BeaconState,
    /// The state's root.
    pub root: B256,
    /// Whether it is final.
    pub finalized: bool,
}

/// Read access to a dev beacon's chain: cheap to copy, usable from any thread while the chain grows.
#[derive(Clone, Debug)]
pub struct BeaconView {
    pub(crate) chain: Arc<RwLock<BeaconChain>>,
    pub(crate) transition: Transition,
    pub(crate) reader: Option<StoreReader>,
    pub(crate) blobs: Arc<Mutex<MemoryBlobs>>,
    pub(crate) events: broadcast::Sender<BeaconEvent>,
}

impl BeaconView {
    /// The chain's configuration.
    pub fn spec(&self) -> &BeaconSpec {
        self.transition.spec()
    }

    /// The head.
    pub fn head(&self) -> Arc<ImportedBlock> {
        Arc::clone(&self.chain.read().head)
    }

    /// The genesis block.
    pub fn genesis(&self) -> Arc<ImportedBlock> {
        Arc::clone(&self.chain.read().genesis)
    }

    /// The current slot, which the head may be behind.
    pub fn slot(&self) -> u64 {
        self.chain.read().slot
    }

    /// The finalised checkpoint.
    pub fn finalized(&self) -> Checkpoint {
        self.chain.read().finalized
    }

    /// The justified checkpoint.
    pub fn justified(&self) -> Checkpoint {
        self.chain.read().justified()
    }

    /// Events from now on. One who falls behind by more than the configured number loses the
    /// oldest and is told how many.
    pub fn subscribe(&self) -> broadcast::Receiver<BeaconEvent> {
        self.events.subscribe()
    }

    /// The root of a block; `None` if it is not known.
    pub fn root(&self, id: BlockId) -> Option<B256> {
        let chain = self.chain.read();
        let checkpoint = |checkpoint: Checkpoint| {
            if checkpoint.root.is_zero() { chain.genesis.root } else { checkpoint.root }
        };
        match id {
            BlockId::Head => Some(chain.head.root),
            BlockId::Genesis => Some(chain.genesis.root),
            BlockId::Finalized => Some(checkpoint(chain.finalized)),
            BlockId::Justified => Some(checkpoint(chain.justified())),
            BlockId::Slot(slot) => chain.at_slot(slot).map(|entry| entry.header.root),
            BlockId::Root(root) => {
                (chain.is_canonical(&root) || chain.recent(&root).is_some()).then_some(root)
            }
        }
    }

    /// The canonical child of a canonical block.
    pub(crate) fn child(&self, parent: &B256) -> Option<B256> {
        let chain = self.chain.read();
        let slot = chain.entry(parent)?.header.slot;
        chain.after(slot).map(|entry| entry.header.root)
    }

    /// A block; `None` if it is not known or no longer kept.
    ///
    /// # Errors
    /// If it is on disk and cannot be read.
    pub fn block(&self, id: BlockId) -> Result<Option<FoundBlock>, StoreError> {
        let Some(root) = self.root(id) else { return Ok(None) };
        let (recent, entry, final_slot) = {
            let chain = self.chain.read();
            let final_slot = chain.preset().start_slot(chain.finalized.epoch);
            (chain.recent(&root).cloned(), chain.entry(&root).copied(), final_slot)
        };
        let block = match (recent, entry.and_then(|entry| entry.location), &self.reader) {
            (Some(recent), _, _) => Some(Arc::clone(&recent.block)),
            (None, Some(location), Some(reader)) => reader.block(location)?.map(Arc::new),
            _ => None,
        };
        let canonical = entry.is_some();
        Ok(block.map(|block| {
            let finalized = canonical && block.message.slot <= final_slot;
            FoundBlock { root, block, canonical, finalized }
        }))
    }

    /// A state; `None` if it is not in memory. For a slot without a block it is the state that the block before
    /// left, brought to that slot, if that is at most two epochs later.
    pub fn state(&self, id: BlockId) -> Option<FoundState> {
        let preset = self.spec().preset;
        let (block, slot, final_slot) = {
            let chain = self.chain.read();
            let final_slot = chain.preset().start_slot(chain.finalized.epoch);
            let block = match id {
                BlockId::Root(root) => chain.recent_by_state(&root)?.clone(),
                BlockId::Slot(slot) if slot <= chain.slot => {
                    let root = chain.at_or_before(slot)?.header.root;
                    chain.recent(&root)?.clone()
                }
                BlockId::Slot(_) => return None,
                _ => {
                    drop(chain);
                    let root = self.root(id)?;
                    self.chain.read().recent(&root)?.clone()
                }
            };
            let slot = if let BlockId::Slot(slot) = id { slot } else { block.slot() };
            (block, slot, final_slot)
        };
        let root = block.block.message.state_root;
        let finalized = slot <= final_slot;
        if slot == block.slot() {
            return Some(FoundState { state: block.state.clone(), root, finalized });
        }
        let state = self.advanced(&block, slot)?;
        let root = crate::ssz::Ssz::root(&state, preset);
        Some(FoundState { state, root, finalized })
    }

    /// The state after a block, brought to a later slot; `None` beyond two epochs.
    pub(crate) fn advanced(&self, block: &ImportedBlock, slot: u64) -> Option<BeaconState> {
        let mut state = block.state.clone();
        if slot.saturating_sub(state.slot) > 2 * self.spec().preset.slots_per_epoch {
            return None;
        }
        let root = block.block.message.state_root;
        self.transition.process_slots(&mut state, slot, Some(root)).ok()?;
        Some(state)
    }

    /// The blobs of a block; `None` if it has none or they are no longer kept.
    ///
    /// # Errors
    /// If they are on disk and cannot be read.
    pub fn blobs(&self, slot: u64, root: &B256) -> Result<Option<Arc<BlobsBundle>>, StoreError> {
        match &self.reader {
            Some(reader) => Ok(reader.blobs(slot, root)?.map(Arc::new)),
            None => Ok(self.blobs.lock().get(root)),
        }
    }

    /// The block that was the last before an epoch's start, as a state knows it; genesis if there is none.
    pub(crate) fn dependent_root(&self, state: &BeaconState, head: B256, epoch: u64) -> B256 {
        let preset = self.spec().preset;
        let Some(slot) = preset.start_slot(epoch).checked_sub(1) else {
            return self.chain.read().genesis.root;
        };
        block_root_at(state, slot, preset).unwrap_or(head)
    }
}
