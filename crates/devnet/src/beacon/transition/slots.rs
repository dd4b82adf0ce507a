//! Slots without a block.

use super::{Transition, TransitionError};
use crate::{beacon::types::BeaconState, ssz::Ssz};
use alloy_primitives::B256;

impl Transition {
    /// `process_slots`: brings a state to a later slot, as if all slots between had no block.
    ///
    /// `root` is the state's root if it is known; it saves computing it.
    ///
    /// # Errors
    /// If the state is beyond the slot already, or has no active validator.
    pub fn process_slots(
        &self,
        state: &mut BeaconState,
        slot: u64,
        mut root: Option<B256>,
    ) -> Result<(), TransitionError> {
        if slot < state.slot {
            return Err(TransitionError::PastSlot { state: state.slot, slot });
        }
        while state.slot < slot {
            self.process_slot(state, root.take());
            if (state.slot + 1).is_multiple_of(self.preset().slots_per_epoch) {
                self.process_epoch(state)?;
            }
            state.slot += 1;
            self.upgrade(state);
        }
        Ok(())
    }

    fn process_slot(&self, state: &mut BeaconState, root: Option<B256>) {
        let preset = self.preset();
        let state_root = root.unwrap_or_else(|| state.root(preset));
        let index = (state.slot % preset.slots_per_historical_root) as usize;
        state.state_roots.set(index, state_root, preset);
        if state.latest_block_header.state_root.is_zero() {
            state.latest_block_header.state_root = state_root;
        }
        let block_root = state.latest_block_header.root(preset);
        state.block_roots.set(index, block_root, preset);
    }

    /// `upgrade_to_fulu`, of which only the version is left: the state has Fulu's shape from genesis on.
    fn upgrade(&self, state: &mut BeaconState) {
        let spec = self.spec();
        if spec.fulu_epoch != 0 && state.slot == self.preset().start_slot(spec.fulu_epoch) {
            state.fork.previous_version = state.fork.current_version;
            state.fork.current_version = super::BeaconSpec::version(spec.fork(spec.fulu_epoch));
            state.fork.epoch = spec.fulu_epoch;
        }
    }
}
