//! What a block changes.

use super::{
    MIN_ACTIVATION_BALANCE, TIMELY_HEAD, TIMELY_SOURCE, TIMELY_TARGET, Transition, TransitionError,
    block_root_at, expect_field, randao_mix,
};
use crate::{
    beacon::types::{
        Attestation, BeaconBlock, BeaconBlockBody, BeaconBlockHeader, BeaconState, BlsSignature,
        Eth1Data, ExecutionPayload, SignedBeaconBlock, Validator, Withdrawal,
    },
    ssz::{Ssz, hash_bytes},
};
use alloy_primitives::{Address, B256};

impl Transition {
    /// The state after a block, and its root.
    ///
    /// `state` is the state after the block's parent, and `root` its root.
    ///
    /// # Errors
    /// If the block does not follow the state, or names another state root than comes out.
    pub fn apply(
        &self,
        state: &BeaconState,
        root: B256,
        block: &SignedBeaconBlock,
    ) -> Result<BeaconState, TransitionError> {
        let mut state = state.clone();
        self.process_slots(&mut state, block.message.slot, Some(root))?;
        self.process_block(&mut state, &block.message)?;
        expect_field("state root", &state.root(self.preset()), &block.message.state_root)?;
        Ok(state)
    }

    /// `process_block`: applies a block to a state of its slot, whatever state root the block names.
    ///
    /// # Errors
    /// If the block contradicts the state; the state is then half changed and of no use.
    pub fn process_block(
        &self,
        state: &mut BeaconState,
        block: &BeaconBlock,
    ) -> Result<(), TransitionError> {
        let body = &block.body;
        refuse_registry_operations(body)?;
        self.process_header(state, block)?;
        self.process_withdrawals(state, &body.execution_payload)?;
        self.process_payload(state, &body.execution_payload)?;
        self.process_randao(state, &body.randao_reveal);
        self.process_eth1_data(state, body.eth1_data)?;
        body.attestations.iter().try_for_each(|vote| self.process_attestation(state, vote))
    }

    /// Who proposes the state's slot: `get_beacon_proposer_index`.
    ///
    /// # Errors
    /// If the look-ahead has no entry for it, which a whole state always has.
    pub fn proposer(&self, state: &BeaconState) -> Result<u64, TransitionError> {
        let place = (state.slot % self.preset().slots_per_epoch) as usize;
        let proposer = state.proposer_lookahead.get(place);
        proposer.ok_or_else(|| TransitionError::NoValidators(self.epoch(state)))
    }

    fn process_header(
        &self,
        state: &mut BeaconState,
        block: &BeaconBlock,
    ) -> Result<(), TransitionError> {
        let preset = self.preset();
        expect_field("slot", &state.slot, &block.slot)?;
        if block.slot <= state.latest_block_header.slot {
            return Err(TransitionError::PastSlot { state: state.slot, slot: block.slot });
        }
        expect_field("proposer", &self.proposer(state)?, &block.proposer_index)?;
        expect_field("parent", &state.latest_block_header.root(preset), &block.parent_root)?;
        state.latest_block_header = BeaconBlockHeader {
            slot: block.slot,
            proposer_index: block.proposer_index,
            parent_root: block.parent_root,
            // Overwritten by the next slot, when the root is known.
            state_root: B256::ZERO,
            body_root: block.body.root(preset),
        };
        Ok(())
    }

    /// `get_expected_withdrawals`, without pending partial withdrawals: a sweep over the registry.
    pub fn expected_withdrawals(&self, state: &BeaconState) -> Vec<Withdrawal> {
        let preset = self.preset();
        let epoch = self.epoch(state);
        let count = state.validators.len() as u64;
        let mut withdrawals = Vec::new();
        for step in 0..count.min(preset.max_validators_per_withdrawals_sweep) {
            if withdrawals.len() as u64 == preset.max_withdrawals_per_payload {
                break;
            }
            let validator_index = (state.next_withdrawal_validator_index + step) % count;
            let validator = state.validators.get(validator_index as usize);
            let balance = state.balances.get(validator_index as usize).unwrap_or_default();
            let Some((address, amount)) =
                validator.and_then(|validator| withdrawable(&validator, balance, epoch))
            else {
                continue;
            };
            let index = state.next_withdrawal_index + withdrawals.len() as u64;
            withdrawals.push(Withdrawal { index, validator_index, address, amount });
        }
        withdrawals
    }

    /// `process_withdrawals`.
    fn process_withdrawals(
        &self,
        state: &mut BeaconState,
        payload: &ExecutionPayload,
    ) -> Result<(), TransitionError> {
        let preset = self.preset();
        let expected = self.expected_withdrawals(state);
        if *payload.withdrawals != *expected {
            return Err(TransitionError::Block {
                field: "withdrawals",
                expected: format!("{expected:?}"),
                found: format!("{:?}", payload.withdrawals),
            });
        }
        for withdrawal in &expected {
            let index = withdrawal.validator_index as usize;
            let balance = state.balances.get(index).unwrap_or_default();
            state.balances.set(index, balance.saturating_sub(withdrawal.amount), preset);
        }
        let count = (state.validators.len() as u64).max(1);
        let next = match expected.last() {
            Some(last) if expected.len() as u64 == preset.max_withdrawals_per_payload => {
                last.validator_index + 1
            }
            _ => {
                state.next_withdrawal_validator_index + preset.max_validators_per_withdrawals_sweep
            }
        };
        state.next_withdrawal_index += expected.len() as u64;
        state.next_withdrawal_validator_index = next % count;
        Ok(())
    }

    /// `process_execution_payload`; that the payload is valid is the execution engine's word.
    fn process_payload(
        &self,
        state: &mut BeaconState,
        payload: &ExecutionPayload,
    ) -> Result<(), TransitionError> {
        let parent = state.latest_execution_payload_header.block_hash;
        expect_field("payload's parent", &parent, &payload.parent_hash)?;
        let mix = randao_mix(state, self.epoch(state), self.preset());
        expect_field("payload's prev_randao", &mix, &payload.prev_randao)?;
        let time = self.spec().slot_time(state.slot);
        expect_field("payload's timestamp", &time, &payload.timestamp)?;
        state.latest_execution_payload_header = payload.header(self.preset());
        Ok(())
    }

    /// `process_randao`, without verifying the reveal.
    fn process_randao(&self, state: &mut BeaconState, reveal: &BlsSignature) {
        let preset = self.preset();
        let epoch = self.epoch(state);
        let mix = randao_mix(state, epoch, preset) ^ hash_bytes(reveal.as_slice());
        let place = epoch % preset.epochs_per_historical_vector;
        state.randao_mixes.set(place as usize, mix, preset);
    }

    /// `process_eth1_data`.
    fn process_eth1_data(
        &self,
        state: &mut BeaconState,
        vote: Eth1Data,
    ) -> Result<(), TransitionError> {
        let preset = self.preset();
        state.eth1_data_votes.push(vote, preset)?;
        // A vote for what is agreed already cannot change it: no need to count.
        if vote != state.eth1_data {
            let same = state.eth1_data_votes.iter().filter(|other| *other == vote).count() as u64;
            if same * 2 > preset.epochs_per_eth1_voting_period * preset.slots_per_epoch {
                state.eth1_data = vote;
            }
        }
        Ok(())
    }

    /// `process_attestation`, without its signature and rewards.
    fn process_attestation(
        &self,
        state: &mut BeaconState,
        attestation: &Attestation,
    ) -> Result<(), TransitionError> {
        let preset = self.preset();
        let data = &attestation.data;
        let wrong = |reason| Err(TransitionError::Attestation { slot: data.slot, reason });
        let epoch = self.epoch(state);
        let current = data.target.epoch == epoch;
        if !(current || data.target.epoch.checked_add(1) == Some(epoch)) {
            return wrong("its target is neither the current epoch nor the one before");
        }
        if data.target.epoch != preset.epoch(data.slot) || data.slot >= state.slot {
            return wrong("its slot is not in its target's epoch, or not in the past");
        }
        if data.index != 0 {
            return wrong("its index is not zero");
        }
        let source = if current {
            state.current_justified_checkpoint
        } else {
            state.previous_justified_checkpoint
        };
        if data.source != source {
            return wrong("its source is not the justified checkpoint");
        }
        let Some(voters) = self.voters(state, attestation) else {
            return wrong("its bits do not fit the committees");
        };
        let target = block_root_at(state, preset.start_slot(data.target.epoch), preset)?;
        let head = block_root_at(state, data.slot, preset)?;
        let delay = state.slot - data.slot;
        let mut flags = 0;
        if delay <= preset.slots_per_epoch.isqrt() {
            flags |= TIMELY_SOURCE;
        }
        if data.target.root == target {
            flags |= TIMELY_TARGET;
            if data.beacon_block_root == head && delay == 1 {
                flags |= TIMELY_HEAD;
            }
        }
        let participation = if current {
            &mut state.current_epoch_participation
        } else {
            &mut state.previous_epoch_participation
        };
        for voter in voters {
            let before = participation.get(voter as usize).unwrap_or_default();
            participation.set(voter as usize, before | flags, preset);
        }
        Ok(())
    }

    /// `get_attesting_indices`, or `None` if the bits do not fit the committees.
    fn voters(&self, state: &BeaconState, attestation: &Attestation) -> Option<Vec<u64>> {
        let (committees, _) = self.committees(state, attestation.data.slot);
        let mut bits = attestation.aggregation_bits.iter();
        let mut voters = Vec::new();
        for (index, named) in attestation.committee_bits.iter().enumerate() {
            if *named {
                let before = voters.len();
                for member in committees.get(index)? {
                    if *bits.next()? {
                        voters.push(*member);
                    }
                }
                if voters.len() == before {
                    return None;
                }
            }
        }
        bits.next().is_none().then_some(voters)
    }
}

fn refuse_registry_operations(body: &BeaconBlockBody) -> Result<(), TransitionError> {
    let operations = [
        ("proposer slashings", body.proposer_slashings.len()),
        ("attester slashings", body.attester_slashings.len()),
        ("deposits", body.deposits.len()),
        ("voluntary exits", body.voluntary_exits.len()),
        ("changes of withdrawal credentials", body.bls_to_execution_changes.len()),
    ];
    match operations.iter().find(|(_, count)| *count > 0) {
        Some((name, _)) => Err(TransitionError::Unsupported(name)),
        None => Ok(()),
    }
}

/// To whom and how much of a validator's balance the sweep pays out, in gwei.
fn withdrawable(validator: &Validator, balance: u64, epoch: u64) -> Option<(Address, u64)> {
    let credentials = &validator.withdrawal_credentials;
    let ceiling = match credentials.first()? {
        1 => MIN_ACTIVATION_BALANCE,
        2 => super::MAX_EFFECTIVE_BALANCE_ELECTRA,
        _ => return None,
    };
    let address = Address::from_slice(credentials.get(12..)?);
    if validator.withdrawable_epoch <= epoch && balance > 0 {
        return Some((address, balance));
    }
    let excess = balance.checked_sub(ceiling).filter(|excess| *excess > 0)?;
    (validator.effective_balance == ceiling).then_some((address, excess))
}
