//! The blocks and states that are known, and which of them are canonical.

use super::{
    BeaconSpec, Preset,
    store::{Location, RecordHeader},
    types::{BeaconState, Checkpoint, SignedBeaconBlock},
};
use alloy_primitives::B256;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// A block and the state after it.
#[derive(Debug)]
pub struct ImportedBlock {
    /// The block's root.
    pub root: B256,
    /// The block.
    pub block: Arc<SignedBeaconBlock>,
    /// The state after it.
    pub state: BeaconState,
}

impl ImportedBlock {
    /// The block's slot.
    pub fn slot(&self) -> u64 {
        self.block.message.slot
    }

    /// The hash of the execution block in it; for genesis, of the execution genesis block.
    pub fn payload_hash(&self) -> B256 {
        self.state.latest_execution_payload_header.block_hash
    }
}

/// A canonical block, of which only this may be in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) header: RecordHeader,
    /// Where it is on disk; `None` without a disk, and for genesis.
    pub(crate) location: Option<Location>,
}

/// How the head changed.
#[derive(Debug, Default)]
pub(crate) struct HeadChange {
    /// Blocks of the old branch that are no longer canonical.
    pub(crate) dropped: u64,
    /// The checkpoint that became final.
    pub(crate) finalized: Option<Checkpoint>,
}

/// The chain as it is known at one moment.
#[derive(Debug)]
pub(crate) struct BeaconChain {
    pub(crate) spec: Arc<BeaconSpec>,
    pub(crate) genesis: Arc<ImportedBlock>,
    pub(crate) head: Arc<ImportedBlock>,
    pub(crate) finalized: Checkpoint,
    /// The current slot: that of the clock, which the head may be behind.
    pub(crate) slot: u64,
    recent: HashMap<B256, Arc<ImportedBlock>>,
    canonical: BTreeMap<u64, Entry>,
    slots: HashMap<B256, u64>,
    /// Where blocks not yet canonical are on disk.
    locations: HashMap<B256, Location>,
}

impl BeaconChain {
    /// A chain of nothing but a first block: genesis or a snapshot.
    pub(crate) fn new(
        spec: Arc<BeaconSpec>,
        genesis: Arc<ImportedBlock>,
        first: Arc<ImportedBlock>,
    ) -> Self {
        let finalized = first.state.finalized_checkpoint;
        let mut chain = Self {
            spec,
            head: Arc::clone(&first),
            finalized,
            slot: first.slot(),
            recent: HashMap::new(),
            canonical: BTreeMap::new(),
            slots: HashMap::new(),
            locations: HashMap::new(),
            genesis: Arc::clone(&genesis),
        };
        for block in [genesis, first] {
            chain.insert_entry(Entry { header: header_of(&block), location: None });
            chain.recent.insert(block.root, block);
        }
        chain
    }

    /// Notes a canonical block that is only on disk.
    pub(crate) fn insert_entry(&mut self, entry: Entry) {
        self.slots.insert(entry.header.root, entry.header.slot);
        self.canonical.insert(entry.header.slot, entry);
    }

    pub(crate) fn preset(&self) -> &'static Preset {
        self.spec.preset
    }

    /// A block whose state is in memory.
    pub(crate) fn recent(&self, root: &B256) -> Option<&Arc<ImportedBlock>> {
        self.recent.get(root)
    }

    /// The block of whose state this is the root, if it is in memory.
    pub(crate) fn recent_by_state(&self, state_root: &B256) -> Option<&Arc<ImportedBlock>> {
        self.recent.values().find(|block| block.block.message.state_root == *state_root)
    }

    /// The canonical block at a slot.
    pub(crate) fn at_slot(&self, slot: u64) -> Option<&Entry> {
        self.canonical.get(&slot)
    }

    /// The canonical block at a slot or the latest before it.
    pub(crate) fn at_or_before(&self, slot: u64) -> Option<&Entry> {
        self.canonical.range(..=slot).next_back().map(|(_, entry)| entry)
    }

    /// The canonical block after a slot.
    pub(crate) fn after(&self, slot: u64) -> Option<&Entry> {
        self.canonical.range(slot.saturating_add(1)..).next().map(|(_, entry)| entry)
    }

    /// A canonical block.
    pub(crate) fn entry(&self, root: &B256) -> Option<&Entry> {
        self.slots.get(root).and_then(|slot| self.canonical.get(slot))
    }

    /// Whether a block is canonical.
    pub(crate) fn is_canonical(&self, root: &B256) -> bool {
        self.slots.contains_key(root)
    }

    /// The justified checkpoint of the head, which is never behind the finalised one.
    pub(crate) fn justified(&self) -> Checkpoint {
        self.justified_on(&self.head)
    }

    /// The justified checkpoint as a block has it, which is never behind the finalised one.
    pub(crate) fn justified_on(&self, block: &ImportedBlock) -> Checkpoint {
        let justified = block.state.current_justified_checkpoint;
        if justified.epoch >= self.finalized.epoch { justified } else { self.finalized }
    }

    /// The hash of the execution block of a checkpoint; zero before there is a checkpoint.
    pub(crate) fn payload_hash(&self, checkpoint: &Checkpoint) -> B256 {
        let recent = self.recent.get(&checkpoint.root).map(|block| block.payload_hash());
        let entry = || self.entry(&checkpoint.root).map(|entry| entry.header.payload_hash);
        recent.or_else(entry).unwrap_or_default()
    }

    /// Takes a block in, which is not canonical yet.
    pub(crate) fn insert(&mut self, block: Arc<ImportedBlock>, location: Option<Location>) {
        if let Some(location) = location {
            self.locations.insert(block.root, location);
        }
        self.recent.insert(block.root, block);
    }

    /// Makes a block the head, all of whose ancestors back to a canonical one are in memory.
    pub(crate) fn set_head(&mut self, head: Arc<ImportedBlock>) -> HeadChange {
        let mut branch = Vec::new();
        let mut block = Some(Arc::clone(&head));
        let mut fork_slot = 0;
        while let Some(member) = block {
            if self.is_canonical(&member.root) {
                fork_slot = member.slot();
                break;
            }
            block = self.recent.get(&member.block.message.parent_root).map(Arc::clone);
            branch.push(member);
        }
        let dropped = self.canonical.split_off(&(fork_slot + 1));
        for entry in dropped.values() {
            self.slots.remove(&entry.header.root);
            if let Some(location) = entry.location {
                self.locations.insert(entry.header.root, location);
            }
        }
        for member in branch.into_iter().rev() {
            let location = self.locations.remove(&member.root);
            self.insert_entry(Entry { header: header_of(&member), location });
        }
        self.slot = self.slot.max(head.slot());
        let checkpoint = head.state.finalized_checkpoint;
        self.head = head;
        let finalized = (checkpoint.epoch > self.finalized.epoch).then_some(checkpoint);
        self.finalized = finalized.unwrap_or(self.finalized);
        HeadChange { dropped: dropped.len() as u64, finalized }
    }

    /// Forgets what is beyond the limits: states other than the newest `states` slots', blocks off the
    /// canonical chain that finality has passed, and blocks older than `blocks` slots.
    pub(crate) fn prune(&mut self, states: u64, blocks: u64) {
        let head_slot = self.head.slot();
        let oldest_state = head_slot.saturating_sub(states);
        let final_slot = self.preset().start_slot(self.finalized.epoch);
        let (genesis, finalized) = (self.genesis.root, self.finalized.root);
        let slots = &self.slots;
        self.recent.retain(|root, block| {
            let canonical = slots.contains_key(root);
            let slot = block.slot();
            *root == genesis
                || *root == finalized
                || slot >= oldest_state && (canonical || slot > final_slot)
        });
        let recent = &self.recent;
        self.locations.retain(|root, _| recent.contains_key(root));
        let oldest_block = head_slot.saturating_sub(blocks);
        while let Some((&slot, entry)) = self.canonical.range(1..).next() {
            if slot >= oldest_block {
                break;
            }
            self.slots.remove(&entry.header.root);
            self.canonical.remove(&slot);
        }
    }
}

pub(crate) fn header_of(block: &ImportedBlock) -> RecordHeader {
    RecordHeader {
        slot: block.slot(),
        root: block.root,
        parent: block.block.message.parent_root,
        payload_hash: block.payload_hash(),
    }
}
