//! Going on after a stop or a kill.

use super::{
    BeaconError, DevBeacon, ExecutionEngine,
    chain::{BeaconChain, Entry, ImportedBlock},
    produce::{execution_data, expect_valid},
    store::{Location, RecordHeader, Recovered, StoreError, StoreReader},
    transition::{Transition, TransitionError},
    types::SignedBeaconBlock,
};
use crate::ssz::Ssz;
use alloy_primitives::B256;
use std::{collections::HashMap, sync::Arc};

/// Rebuilds the chain from what a folder held: the snapshot, and all blocks of the log that descend from it, executed
/// again. The last of them is the head. Also gives the snapshot's slot.
pub(super) fn rebuild(
    transition: &Transition,
    genesis: &Arc<ImportedBlock>,
    recovered: Recovered,
    reader: &StoreReader,
) -> Result<(BeaconChain, u64), BeaconError> {
    let preset = transition.preset();
    let spec = Arc::new(transition.spec().clone());
    let first = match recovered.snapshot {
        Some((block, state)) => {
            let root = block.message.root(preset);
            Arc::new(ImportedBlock { root, block: Arc::new(block), state })
        }
        None => Arc::clone(genesis),
    };
    let first_slot = first.slot();
    let mut chain = BeaconChain::new(spec, Arc::clone(genesis), Arc::clone(&first));
    index_history(&mut chain, &recovered.records, &first);
    let mut head = first;
    // A reorganisation that a kill cut short may have a head that knows less of finality than there was.
    let mut finalized = head.state.finalized_checkpoint;
    for (header, location) in &recovered.records {
        if chain.recent(&header.root).is_some() {
            continue;
        }
        let Some(parent) = chain.recent(&header.parent).cloned() else { continue };
        let Some(block) = reader.block(*location)? else { continue };
        let imported = replay(transition, &parent, block, header)?;
        chain.insert(Arc::clone(&imported), Some(*location));
        if imported.state.finalized_checkpoint.epoch > finalized.epoch {
            finalized = imported.state.finalized_checkpoint;
        }
        head = imported;
    }
    let (slot, root) = (head.slot(), head.root);
    chain.set_head(head);
    chain.finalized = finalized;
    tracing::info!(slot, %root, blocks = recovered.records.len(), "opened the beacon chain");
    Ok((chain, first_slot))
}

fn replay(
    transition: &Transition,
    parent: &ImportedBlock,
    block: SignedBeaconBlock,
    header: &RecordHeader,
) -> Result<Arc<ImportedBlock>, TransitionError> {
    let state = transition.apply(&parent.state, parent.block.message.state_root, &block)?;
    let root = block.message.root(transition.preset());
    super::transition::expect_field("root", &header.root, &root)?;
    Ok(Arc::new(ImportedBlock { root, block: Arc::new(block), state }))
}

/// Notes the ancestors of the snapshot's block, which stay on disk.
fn index_history(
    chain: &mut BeaconChain,
    records: &[(RecordHeader, Location)],
    first: &ImportedBlock,
) {
    let by_root: HashMap<B256, &(RecordHeader, Location)> =
        records.iter().map(|record| (record.0.root, record)).collect();
    let mut root = first.root;
    while let Some((header, location)) = by_root.get(&root) {
        chain.insert_entry(Entry { header: *header, location: Some(*location) });
        root = header.parent;
    }
}

impl<E: ExecutionEngine> DevBeacon<E> {
    /// Brings the engine to the beacon chain's head.
    ///
    /// If the engine does not know the head, because it was killed before the block was on disk, it gets the payloads
    /// that it misses: backwards until it accepts one, then forwards.
    pub(super) fn synchronise_engine(&mut self) -> Result<(), BeaconError> {
        let head = self.view.head();
        let choice = self.fork_choice_of(&head);
        let updated = self.engine.fork_choice(choice, None).map_err(BeaconError::Engine)?;
        if updated.payload_status.is_valid() {
            return Ok(());
        }
        if updated.payload_status.is_invalid() || head.slot() == 0 {
            return expect_valid("the fork choice", head.payload_hash(), &updated.payload_status);
        }
        let missing = self.missing_payloads()?;
        let count = missing.len();
        for root in missing.into_iter().rev() {
            let block = self.kept_block(&root)?;
            let block = block.ok_or(BeaconError::EngineBehind { oldest: root, slot: 0 })?;
            let data = execution_data(&block.message, self.config.spec.preset);
            let hash = data.block_hash();
            let status = self.engine.new_payload(data).map_err(BeaconError::Engine)?;
            expect_valid("the new payload", hash, &status)?;
        }
        tracing::info!(blocks = count, "gave the execution engine the blocks that it had lost");
        let updated = self.engine.fork_choice(choice, None).map_err(BeaconError::Engine)?;
        expect_valid("the fork choice", head.payload_hash(), &updated.payload_status)
    }

    /// The roots of the blocks that the engine does not know, from the head backwards.
    fn missing_payloads(&self) -> Result<Vec<B256>, BeaconError> {
        let genesis = self.view.genesis().root;
        let mut missing = Vec::new();
        let mut root = self.view.head().root;
        let mut oldest = (B256::ZERO, 0);
        while root != genesis {
            let Some(block) = self.kept_block(&root)? else {
                return Err(BeaconError::EngineBehind { oldest: oldest.0, slot: oldest.1 });
            };
            let data = execution_data(&block.message, self.config.spec.preset);
            oldest = (data.block_hash(), block.message.slot);
            let status = self.engine.new_payload(data).map_err(BeaconError::Engine)?;
            if status.is_valid() {
                return Ok(missing);
            }
            if status.is_invalid() {
                expect_valid("the new payload", oldest.0, &status)?;
            }
            missing.push(root);
            root = block.message.parent_root;
        }
        Err(BeaconError::EngineBehind { oldest: oldest.0, slot: oldest.1 })
    }

    fn kept_block(&self, root: &B256) -> Result<Option<Arc<SignedBeaconBlock>>, StoreError> {
        let block = self.view.block(super::BlockId::Root(*root))?;
        Ok(block.map(|found| found.block))
    }
}
