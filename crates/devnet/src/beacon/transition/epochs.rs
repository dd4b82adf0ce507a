//! What happens at the end of an epoch.

use super::{
    MIN_SEED_LOOKAHEAD, TIMELY_TARGET, Transition, TransitionError, block_root_at,
    committees::is_active, randao_mix,
};
use crate::{
    beacon::types::{BeaconState, Checkpoint, HistoricalSummary},
    ssz::TreeList,
};

/// `EFFECTIVE_BALANCE_INCREMENT`, in gwei.
const EFFECTIVE_BALANCE_INCREMENT: u64 = 1_000_000_000;

/// The balances that decide about finality, in gwei.
struct VotingBalances {
    active: u64,
    previous_target: u64,
    current_target: u64,
}

impl Transition {
    /// `process_epoch`, without rewards, penalties and changes of the registry.
    pub(super) fn process_epoch(&self, state: &mut BeaconState) -> Result<(), TransitionError> {
        let preset = self.preset();
        let next_epoch = self.epoch(state) + 1;
        self.justify_and_finalize(state)?;
        if next_epoch.is_multiple_of(preset.epochs_per_eth1_voting_period) {
            state.eth1_data_votes = TreeList::empty(preset);
        }
        let slashings = next_epoch % preset.epochs_per_slashings_vector;
        state.slashings.set(slashings as usize, 0, preset);
        let mix = randao_mix(state, next_epoch - 1, preset);
        let place = next_epoch % preset.epochs_per_historical_vector;
        state.randao_mixes.set(place as usize, mix, preset);
        self.summarize_history(state, next_epoch)?;
        let fresh = TreeList::filled(0, state.validators.len(), preset);
        state.previous_epoch_participation =
            std::mem::replace(&mut state.current_epoch_participation, fresh);
        if next_epoch.is_multiple_of(preset.epochs_per_sync_committee_period) {
            let next = self.next_sync_committee(state)?;
            state.current_sync_committee = std::mem::replace(&mut state.next_sync_committee, next);
        }
        self.extend_lookahead(state)
    }

    /// `process_historical_summaries_update`.
    fn summarize_history(
        &self,
        state: &mut BeaconState,
        next_epoch: u64,
    ) -> Result<(), TransitionError> {
        let preset = self.preset();
        let period = preset.slots_per_historical_root / preset.slots_per_epoch;
        if next_epoch.is_multiple_of(period) {
            let summary = HistoricalSummary {
                block_summary_root: state.block_roots.tree().root(),
                state_summary_root: state.state_roots.tree().root(),
            };
            state.historical_summaries.push(summary, preset)?;
        }
        Ok(())
    }

    /// `process_proposer_lookahead` (EIP-7917).
    fn extend_lookahead(&self, state: &mut BeaconState) -> Result<(), TransitionError> {
        let preset = self.preset();
        let proposers = self.proposers(state, self.epoch(state) + MIN_SEED_LOOKAHEAD + 1)?;
        let kept = state.proposer_lookahead.iter().skip(preset.slots_per_epoch as usize);
        let all: Vec<u64> = kept.chain(proposers).collect();
        for (index, proposer) in all.into_iter().enumerate() {
            state.proposer_lookahead.set(index, proposer, preset);
        }
        Ok(())
    }

    /// `process_justification_and_finalization`.
    fn justify_and_finalize(&self, state: &mut BeaconState) -> Result<(), TransitionError> {
        let preset = self.preset();
        let epoch = self.epoch(state);
        if epoch <= 1 {
            return Ok(());
        }
        let balances = Self::voting_balances(state, epoch);
        let old_previous = state.previous_justified_checkpoint;
        let old_current = state.current_justified_checkpoint;

        state.previous_justified_checkpoint = old_current;
        let bits: Vec<bool> = state.justification_bits.to_vec();
        state.justification_bits.set(0, false);
        for (index, bit) in bits.into_iter().enumerate() {
            state.justification_bits.set(index + 1, bit);
        }
        let enough = |balance: u64| u128::from(balance) * 3 >= u128::from(balances.active) * 2;
        for (age, balance) in [(1, balances.previous_target), (0, balances.current_target)] {
            if enough(balance) {
                let root = block_root_at(state, preset.start_slot(epoch - age), preset)?;
                state.current_justified_checkpoint = Checkpoint { epoch: epoch - age, root };
                state.justification_bits.set(age as usize, true);
            }
        }

        let bits: Vec<bool> = state.justification_bits.to_vec();
        let all = |from: usize, to: usize| {
            bits.get(from..to).is_some_and(|bits| bits.iter().all(|bit| *bit))
        };
        // The 2nd/3rd/4th most recent epochs justified with the 4th as source, and so on.
        let rules = [
            (old_previous, 1, 4, 3),
            (old_previous, 1, 3, 2),
            (old_current, 0, 3, 2),
            (old_current, 0, 2, 1),
        ];
        for (source, from, to, age) in rules {
            if all(from, to) && source.epoch + age == epoch {
                state.finalized_checkpoint = source;
            }
        }
        Ok(())
    }

    fn voting_balances(state: &BeaconState, epoch: u64) -> VotingBalances {
        let mut sums = VotingBalances { active: 0, previous_target: 0, current_target: 0 };
        let flags = state.previous_epoch_participation.iter();
        let flags = flags.zip(state.current_epoch_participation.iter());
        for (validator, (previous, current)) in state.validators.iter().zip(flags) {
            let balance = if validator.slashed { 0 } else { validator.effective_balance };
            if is_active(&validator, epoch) {
                sums.active += validator.effective_balance;
                sums.current_target += if current & TIMELY_TARGET == 0 { 0 } else { balance };
            }
            if is_active(&validator, epoch - 1) && previous & TIMELY_TARGET != 0 {
                sums.previous_target += balance;
            }
        }
        sums.active = sums.active.max(EFFECTIVE_BALANCE_INCREMENT);
        sums.previous_target = sums.previous_target.max(EFFECTIVE_BALANCE_INCREMENT);
        sums.current_target = sums.current_target.max(EFFECTIVE_BALANCE_INCREMENT);
        sums
    }
}
