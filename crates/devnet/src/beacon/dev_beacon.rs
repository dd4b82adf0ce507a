//! The dev beacon itself: one state machine, driven from outside.

use super::{
    BeaconSpec, BlobsBundle, Checkpoint, EngineError, ExecutionEngine, PayloadError, Signing,
    chain::{BeaconChain, ImportedBlock},
    events::BeaconEvent,
    genesis::{self, GenesisValidators},
    keys::ValidatorKeys,
    produce::Prepared,
    store::{Store, StoreError, StoreOptions},
    transition::{Transition, TransitionError},
    view::{BeaconView, MemoryBlobs},
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256};
use alloy_rpc_types_engine::ForkchoiceState;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use tokio::sync::broadcast;

/// The settings of a dev beacon.
#[derive(Clone, Debug)]
pub struct BeaconConfig {
    /// What defines the chain; it cannot change between starts.
    pub spec: BeaconSpec,
    /// The validators at genesis; they cannot change between starts.
    pub validators: GenesisValidators,
    /// How proposers sign.
    pub signing: Signing,
    /// Who gets the fees.
    pub fee_recipient: Address,
    /// Where the chain is kept; `None` keeps it in memory.
    pub store: Option<StoreOptions>,
    /// What is kept of it.
    pub limits: BeaconLimits,
}

impl BeaconConfig {
    /// 64 validators, real signatures, nothing on disk.
    pub fn new(spec: BeaconSpec) -> Self {
        Self {
            spec,
            validators: GenesisValidators::default(),
            signing: Signing::Bls,
            fee_recipient: Address::ZERO,
            store: None,
            limits: BeaconLimits::default(),
        }
    }
}

/// How much a dev beacon keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeaconLimits {
    /// Slots before the head for which states, and blocks off the canonical chain, are in memory. It bounds the depth of
    /// reorganisations. A state shares most of its memory with its neighbours: some 15 kB each.
    pub states: u64,
    /// Slots before the head for which canonical blocks and their blobs are kept on disk.
    pub history: u64,
    /// Slots between snapshots on disk: after a kill, as many blocks are executed again.
    pub snapshot_interval: u64,
    /// Blobs kept where there is no disk, of 128 KiB each.
    pub blobs_in_memory: usize,
    /// Events that wait for a slow subscriber before it loses the oldest.
    pub events: usize,
}

impl BeaconLimits {
    /// How many states are kept by default.
    pub const STATES: u64 = 1_024;
}

impl Default for BeaconLimits {
    fn default() -> Self {
        Self {
            states: Self::STATES,
            // MIN_EPOCHS_FOR_BLOB_SIDECARS_REQUESTS epochs of the mainnet preset.
            history: 4096 * 32,
            snapshot_interval: 1024,
            blobs_in_memory: 1024,
            events: 1024,
        }
    }
}

/// Which blocks a reorganisation puts in place of the old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// A block for each slot that had one: the chain stays as long.
    SameSlots,
    /// One block in the next slot: the chain becomes shorter by all replaced blocks but one.
    OneBlock,
}

/// An embedded consensus side of an L1.
///
/// It has no clock: [`Self::next_slot`] and [`Self::advance_to`] say that time has passed. Between two slots,
/// [`Self::prepare`] lets the engine begin with the next payload.
#[derive(Debug)]
pub struct DevBeacon<E> {
    pub(super) config: BeaconConfig,
    pub(super) engine: E,
    pub(super) transition: Transition,
    pub(super) keys: ValidatorKeys,
    pub(super) view: BeaconView,
    pub(super) store: Option<Store>,
    pub(super) prepared: Option<Prepared>,
    pub(super) last_snapshot: u64,
    /// Slots to come that shall have no block.
    pub(super) skip: u64,
    pub(super) finality_stalled: bool,
    /// Counts reorganisations, so that replaced blocks differ.
    pub(super) branch: u64,
}

impl<E: ExecutionEngine> DevBeacon<E> {
    /// Opens the chain over an execution genesis block, and brings the engine to its head.
    ///
    /// # Errors
    /// If the settings are unusable, the folder cannot be used, or the engine has lost more than the
    /// folder holds.
    pub fn open(
        config: BeaconConfig,
        engine: E,
        genesis: &Header,
        genesis_hash: B256,
    ) -> Result<Self, BeaconError> {
        check_config(&config, genesis)?;
        let spec = Arc::new(config.spec.clone());
        let transition = Transition::new(Arc::clone(&spec));
        let keys = ValidatorKeys::interop(config.validators.count);
        let state =
            genesis::genesis_state(&transition, &config.validators, &keys, genesis, genesis_hash)?;
        let genesis = Arc::new(genesis_import(state, &spec));
        let (store, chain, last_snapshot) = match &config.store {
            Some(options) => {
                let (store, recovered) = Store::open(options, genesis.root, spec.preset)?;
                let (chain, last) =
                    super::recover::rebuild(&transition, &genesis, recovered, &store.reader())?;
                (Some(store), chain, last)
            }
            None => (None, BeaconChain::new(Arc::clone(&spec), Arc::clone(&genesis), genesis), 0),
        };
        let view = BeaconView {
            chain: Arc::new(RwLock::new(chain)),
            transition: transition.clone(),
            reader: store.as_ref().map(Store::reader),
            blobs: Arc::new(Mutex::new(MemoryBlobs::default())),
            events: broadcast::Sender::new(config.limits.events.max(1)),
        };
        let mut beacon = Self {
            config,
            engine,
            transition,
            keys,
            view,
            store,
            prepared: None,
            last_snapshot,
            skip: 0,
            finality_stalled: false,
            branch: 0,
        };
        beacon.synchronise_engine()?;
        beacon.prune();
        Ok(beacon)
    }

    /// Read access for others.
    pub fn view(&self) -> BeaconView {
        self.view.clone()
    }

    /// The current slot.
    pub fn slot(&self) -> u64 {
        self.view.slot()
    }

    /// The validators' keys.
    pub fn keys(&self) -> &ValidatorKeys {
        &self.keys
    }

    /// Lets one slot pass: with a block, unless it shall be skipped. Returns the block.
    ///
    /// # Errors
    /// If no valid block comes about. The slot has then passed without one, and the next may be tried.
    pub fn next_slot(&mut self) -> Result<Option<Arc<ImportedBlock>>, BeaconError> {
        let slot = self.slot() + 1;
        if self.skip > 0 {
            self.skip -= 1;
            self.prepared = None;
            self.view.chain.write().slot = slot;
            tracing::debug!(slot, "skipped a slot");
            return Ok(None);
        }
        let ready = self.prepare(slot);
        self.view.chain.write().slot = slot;
        ready?;
        self.propose().map(Some)
    }

    /// Lets all slots up to a Unix time (in seconds) pass, each with a block. Returns how many have passed.
    ///
    /// # Errors
    /// As [`Self::next_slot`]; the slots before the failed one have passed.
    pub fn advance_to(&mut self, time: u64) -> Result<u64, BeaconError> {
        let mut passed = 0;
        while time >= self.config.spec.slot_time(self.slot() + 1) {
            self.next_slot()?;
            passed += 1;
        }
        Ok(passed)
    }

    /// Lets all slots up to and including `slot` pass without blocks, as after a time when nothing ran.
    pub fn miss_until(&mut self, slot: u64) {
        let mut chain = self.view.chain.write();
        if slot > chain.slot {
            chain.slot = slot;
            self.prepared = None;
        }
    }

    /// Leaves the next slots without a block.
    pub fn skip_slots(&mut self, count: u64) {
        self.skip = self.skip.saturating_add(count);
    }

    /// Votes no longer get into blocks: nothing new becomes justified or final.
    pub fn stall_finality(&mut self) {
        self.finality_stalled = true;
    }

    /// Votes get into blocks again.
    pub fn resume_finality(&mut self) {
        self.finality_stalled = false;
    }

    /// Puts another branch in place of the last `depth` blocks. Returns the new head.
    ///
    /// The new blocks name another fee recipient, so that their payloads differ. Blocks for slots that had one
    /// are signed by the same proposers again. While the branch grows, each of its blocks is
    /// the head for a moment.
    ///
    /// # Errors
    /// If that would undo finality or go beyond what is in memory, or if a block does not come about;
    /// then the head is the last block that did.
    pub fn reorg(
        &mut self,
        depth: u64,
        replacement: Replacement,
    ) -> Result<Arc<ImportedBlock>, BeaconError> {
        let (ancestor, slots) = self.find_ancestor(depth)?;
        self.branch += 1;
        self.prepared = None;
        let slots = match replacement {
            Replacement::SameSlots => slots,
            Replacement::OneBlock => {
                let mut chain = self.view.chain.write();
                chain.slot += 1;
                vec![chain.slot]
            }
        };
        let mut head = ancestor;
        for slot in slots {
            self.prepare_on(&head, slot)?;
            head = self.propose()?;
        }
        Ok(head)
    }

    /// The block `depth` blocks before the head, and the slots of those after it, in order.
    fn find_ancestor(&self, depth: u64) -> Result<(Arc<ImportedBlock>, Vec<u64>), BeaconError> {
        let chain = self.view.chain.read();
        let final_slot = self.config.spec.preset.start_slot(chain.finalized.epoch);
        let mut block = Arc::clone(&chain.head);
        let mut slots = Vec::new();
        let refused = |possible| BeaconError::ReorgDepth { depth, possible };
        if depth == 0 {
            return Err(refused(0));
        }
        for possible in 0..depth {
            // The finalised block is the last one at or before the checkpoint's slot.
            let parent = chain.recent(&block.block.message.parent_root);
            let parent = parent.filter(|_| block.slot() > final_slot);
            let parent = Arc::clone(parent.ok_or_else(|| refused(possible))?);
            slots.push(block.slot());
            block = parent;
        }
        slots.reverse();
        Ok((block, slots))
    }

    /// The fork choice for a head, with the checkpoints of its branch.
    pub(super) fn fork_choice_of(&self, head: &ImportedBlock) -> ForkchoiceState {
        let chain = self.view.chain.read();
        ForkchoiceState {
            head_block_hash: head.payload_hash(),
            safe_block_hash: chain.payload_hash(&chain.justified_on(head)),
            finalized_block_hash: chain.payload_hash(&chain.finalized),
        }
    }

    /// Takes a valid block in and makes it the head, here and in the engine.
    pub(super) fn import(
        &mut self,
        block: ImportedBlock,
        blobs: BlobsBundle,
    ) -> Result<Arc<ImportedBlock>, BeaconError> {
        let blobs = (!blobs.blobs.is_empty()).then(|| Arc::new(blobs));
        let location = match &mut self.store {
            Some(store) => Some(store.append(block.root, &block.block, blobs.as_deref())?),
            None => None,
        };
        if let Some(blobs) = blobs.filter(|_| self.store.is_none()) {
            let limit = self.config.limits.blobs_in_memory;
            self.view.blobs.lock().insert(block.root, blobs, limit);
        }
        let block = Arc::new(block);
        let (old, change) = {
            let mut chain = self.view.chain.write();
            let old = Arc::clone(&chain.head);
            chain.insert(Arc::clone(&block), location);
            (old, chain.set_head(Arc::clone(&block)))
        };
        let state = self.fork_choice_of(&block);
        let updated = self.engine.fork_choice(state, None).map_err(BeaconError::Engine)?;
        self.announce(&old, &block, change.dropped, change.finalized);
        if change.finalized.is_some() {
            self.snapshot()?;
        }
        self.prune();
        if !updated.payload_status.is_valid() {
            return Err(BeaconError::Refused {
                operation: "the fork choice",
                block: block.payload_hash(),
                status: updated.payload_status.to_string(),
            });
        }
        Ok(block)
    }

    fn announce(
        &self,
        old: &ImportedBlock,
        new: &ImportedBlock,
        dropped: u64,
        finalized: Option<Checkpoint>,
    ) {
        // Nobody listening is not an error.
        let send = |event| drop(self.view.events.send(event));
        let (slot, block, state) = (new.slot(), new.root, new.block.message.state_root);
        let preset = self.config.spec.preset;
        let epoch = preset.epoch(slot);
        let dependent =
            |epoch: Option<u64>| self.view.dependent_root(&new.state, block, epoch.unwrap_or(0));
        send(BeaconEvent::Block { slot, block });
        if dropped > 0 {
            send(BeaconEvent::Reorg {
                slot,
                depth: dropped,
                old_head_block: old.root,
                new_head_block: block,
                old_head_state: old.block.message.state_root,
                new_head_state: state,
                epoch,
            });
            tracing::info!(slot, depth = dropped, old = %old.root, new = %block, "reorganised");
        }
        send(BeaconEvent::Head {
            slot,
            block,
            state,
            epoch_transition: preset.epoch(old.slot()) < epoch,
            previous_duty_dependent_root: dependent(epoch.checked_sub(1)),
            current_duty_dependent_root: dependent(Some(epoch)),
        });
        if let Some(checkpoint) = finalized {
            let chain = self.view.chain.read();
            let state = chain.recent(&checkpoint.root).map(|block| block.block.message.state_root);
            send(BeaconEvent::Finalized { checkpoint, state: state.unwrap_or_default() });
            tracing::debug!(epoch = checkpoint.epoch, root = %checkpoint.root, "finalised");
        }
    }

    /// Writes a snapshot of the finalised state if the last one is old enough.
    fn snapshot(&mut self) -> Result<(), BeaconError> {
        let Some(store) = &mut self.store else { return Ok(()) };
        let (finalized, head_slot) = {
            let chain = self.view.chain.read();
            (chain.recent(&chain.finalized.root).cloned(), chain.head.slot())
        };
        let due = |block: &Arc<ImportedBlock>| {
            block.slot() >= self.last_snapshot + self.config.limits.snapshot_interval
        };
        if let Some(block) = finalized.filter(due) {
            let oldest = head_slot.saturating_sub(self.config.limits.history);
            store.snapshot(&block.block, &block.state, oldest)?;
            self.last_snapshot = block.slot();
        }
        Ok(())
    }

    fn prune(&self) {
        let limits = &self.config.limits;
        // Without a disk, a block is kept no longer than its state.
        let blocks = if self.store.is_some() { limits.history } else { limits.states };
        self.view.chain.write().prune(limits.states, blocks);
    }
}

fn check_config(config: &BeaconConfig, genesis: &Header) -> Result<(), BeaconError> {
    let (spec, validators) = (&config.spec, &config.validators);
    let wrong = |setting, reason: String| Err(BeaconError::Setting { setting, reason });
    if spec.seconds_per_slot == 0 {
        return wrong("seconds_per_slot", "a slot takes at least one second".to_owned());
    }
    if spec.genesis_time < genesis.timestamp {
        let (ours, theirs) = (spec.genesis_time, genesis.timestamp);
        return wrong(
            "genesis_time",
            format!("{ours} is before the execution genesis at {theirs}"),
        );
    }
    if validators.count == 0 || validators.count > GenesisValidators::MAX {
        let (count, max) = (validators.count, GenesisValidators::MAX);
        return wrong("validators.count", format!("{count} is not within 1..={max}"));
    }
    let least = super::transition::MIN_ACTIVATION_BALANCE;
    if validators.balance < least {
        return wrong(
            "validators.balance",
            format!("{} gwei is below {least}", validators.balance),
        );
    }
    Ok(())
}

fn genesis_import(state: super::types::BeaconState, spec: &BeaconSpec) -> ImportedBlock {
    let state_root = crate::ssz::Ssz::root(&state, spec.preset);
    let block = genesis::genesis_block(state_root, spec.preset);
    let root = crate::ssz::Ssz::root(&block.message, spec.preset);
    ImportedBlock { root, block: Arc::new(block), state }
}

/// Why a dev beacon cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum BeaconError {
    /// A setting is unusable: change it.
    #[error("{setting}: {reason}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// Why.
        reason: String,
    },
    /// The execution engine failed; what it says tells who must act.
    #[error("the execution engine failed: {0}")]
    Engine(#[source] EngineError),
    /// The execution engine did not accept a block: the two sides disagree, and a person must find out why.
    #[error("the execution engine answered {operation} for block {block} with {status}")]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// The execution block.
        block: B256,
        /// The answer.
        status: String,
    },
    /// The execution engine did not begin with a payload: it must, on any block that it knows.
    #[error("the execution engine did not begin a payload on block {0}")]
    NotBuilding(B256),
    /// The execution engine lost blocks that the beacon chain no longer has: start both anew.
    #[error(
        "the execution engine does not know block {oldest} (slot {slot}), the oldest that is kept, nor its parent"
    )]
    EngineBehind {
        /// The execution block.
        oldest: B256,
        /// Its slot.
        slot: u64,
    },
    /// The payload that the engine built cannot be proposed.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// A reorganisation goes too deep: ask for less, or stall finality first.
    #[error("{depth} blocks cannot be replaced: {possible} are neither final nor forgotten")]
    ReorgDepth {
        /// The depth asked for.
        depth: u64,
        /// The depth possible.
        possible: u64,
    },
    /// The rules of the chain were broken: by a block from disk, or by this program.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// The folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}
