//! Who proposes and who votes.

use super::{
    MAX_EFFECTIVE_BALANCE_ELECTRA, MIN_SEED_LOOKAHEAD, Transition, TransitionError, randao_mix,
    shuffle,
};
use crate::{
    beacon::{
        Preset,
        keys::{self, Domain},
        types::{
            BeaconState, BlsPublicKey, PublicKeys, SyncCommittee, SyncCommitteeMembers, Validator,
        },
    },
    ssz::hash_bytes,
};
use alloy_primitives::B256;
use parking_lot::Mutex;
use std::sync::Arc;

/// Shufflings kept: those of the epochs around the head, of two branches.
const KEPT_SHUFFLINGS: usize = 8;
/// Candidates drawn before a draw is given up. A candidate of 32 ETH is taken with probability 1/64, so that no
/// honest registry comes near it.
const MAX_CANDIDATES: u64 = 1 << 20;

/// Shufflings of the active validators, by epoch and seed.
#[derive(Clone, Debug, Default)]
pub(super) struct ShufflingCache(Arc<Mutex<Vec<Shuffling>>>);

#[derive(Clone, Debug)]
struct Shuffling {
    epoch: u64,
    seed: B256,
    order: Arc<Vec<u64>>,
}

/// `get_committee_count_per_slot`, for a number of active validators.
pub fn committee_count(active: u64, preset: &Preset) -> u64 {
    let count = active / preset.slots_per_epoch / preset.target_committee_size;
    count.clamp(1, preset.max_committees_per_slot)
}

impl Transition {
    /// `get_seed`.
    pub(crate) fn seed(&self, state: &BeaconState, epoch: u64, domain: Domain) -> B256 {
        let preset = self.preset();
        let mix_epoch = epoch + preset.epochs_per_historical_vector - MIN_SEED_LOOKAHEAD - 1;
        let mix = randao_mix(state, mix_epoch, preset);
        hash_bytes(&[domain.tag().as_slice(), &epoch.to_le_bytes(), mix.as_slice()].concat())
    }

    /// `get_active_validator_indices`, with the effective balances of all validators.
    fn active(state: &BeaconState, epoch: u64) -> (Vec<u64>, Vec<u64>) {
        let mut active = Vec::new();
        let mut balances = Vec::with_capacity(state.validators.len());
        for (index, validator) in (0..).zip(state.validators.iter()) {
            if is_active(&validator, epoch) {
                active.push(index);
            }
            balances.push(validator.effective_balance);
        }
        (active, balances)
    }

    /// `compute_proposer_indices`: who proposes each slot of an epoch.
    pub(crate) fn proposers(
        &self,
        state: &BeaconState,
        epoch: u64,
    ) -> Result<Vec<u64>, TransitionError> {
        let preset = self.preset();
        let (active, balances) = Self::active(state, epoch);
        let epoch_seed = self.seed(state, epoch, Domain::BeaconProposer);
        let start = preset.start_slot(epoch);
        let proposer = |slot: u64| {
            let seed = hash_bytes(&[epoch_seed.as_slice(), &slot.to_le_bytes()].concat());
            let mut drawn = self.draw(&active, &balances, &seed, 1);
            drawn.pop().ok_or(TransitionError::NoValidators(epoch))
        };
        (start..start + preset.slots_per_epoch).map(proposer).collect()
    }

    /// Draws validators with probabilities by effective balance, as `compute_proposer_index` and
    /// `get_next_sync_committee_indices` do (Electra). Fewer come only if nobody can be drawn.
    fn draw(&self, active: &[u64], balances: &[u64], seed: &B256, count: usize) -> Vec<u64> {
        let order = shuffle(active, seed, self.preset().shuffle_round_count);
        let mut drawn = Vec::with_capacity(count);
        let mut random = B256::ZERO;
        for (attempt, &candidate) in (0..MAX_CANDIDATES).zip(order.iter().cycle()) {
            if drawn.len() == count {
                break;
            }
            if attempt.is_multiple_of(16) {
                random = hash_bytes(&[seed.as_slice(), &(attempt / 16).to_le_bytes()].concat());
            }
            let place = (attempt % 16 * 2) as usize;
            let value = random.get(place..).and_then(|rest| rest.first_chunk());
            let value = value.map_or(0, |bytes| u64::from(u16::from_le_bytes(*bytes)));
            let balance = balances.get(candidate as usize).copied().unwrap_or_default();
            // With the largest values the products stay below 2^57.
            let balance = balance.min(MAX_EFFECTIVE_BALANCE_ELECTRA);
            if balance * u64::from(u16::MAX) >= MAX_EFFECTIVE_BALANCE_ELECTRA * value {
                drawn.push(candidate);
            }
        }
        drawn
    }

    /// All committees of a slot, one behind the other, and the number of committees.
    ///
    /// The slot's epoch is at most the one after the state's.
    pub(crate) fn committees(&self, state: &BeaconState, slot: u64) -> (Vec<Vec<u64>>, u64) {
        let preset = self.preset();
        let epoch = preset.epoch(slot);
        let order = self.shuffling(state, epoch);
        let per_slot = committee_count(order.len() as u64, preset);
        let total = per_slot * preset.slots_per_epoch;
        let committee = |index: u64| {
            let position = slot % preset.slots_per_epoch * per_slot + index;
            let start = order.len() as u64 * position / total;
            let end = order.len() as u64 * (position + 1) / total;
            order.get(start as usize..end as usize).unwrap_or_default().to_vec()
        };
        ((0..per_slot).map(committee).collect(), per_slot)
    }

    fn shuffling(&self, state: &BeaconState, epoch: u64) -> Arc<Vec<u64>> {
        let seed = self.seed(state, epoch, Domain::BeaconAttester);
        let mut kept = self.shufflings.0.lock();
        if let Some(known) = kept.iter().find(|known| known.epoch == epoch && known.seed == seed) {
            return Arc::clone(&known.order);
        }
        let (active, _) = Self::active(state, epoch);
        let order = Arc::new(shuffle(&active, &seed, self.preset().shuffle_round_count));
        if kept.len() >= KEPT_SHUFFLINGS {
            kept.remove(0);
        }
        kept.push(Shuffling { epoch, seed, order: Arc::clone(&order) });
        order
    }

    /// `get_next_sync_committee`.
    pub(crate) fn next_sync_committee(
        &self,
        state: &BeaconState,
    ) -> Result<SyncCommittee, TransitionError> {
        let preset = self.preset();
        let epoch = self.epoch(state) + 1;
        let (active, balances) = Self::active(state, epoch);
        let seed = self.seed(state, epoch, Domain::SyncCommittee);
        let members = self.draw(&active, &balances, &seed, preset.sync_committee_size as usize);
        let key = |index: &u64| state.validators.get(*index as usize).map(|one| one.pubkey);
        let keys: Vec<BlsPublicKey> = members.iter().filter_map(key).collect();
        let aggregate_pubkey =
            keys::aggregate(&keys).ok_or(TransitionError::NoValidators(epoch))?;
        let pubkeys = PublicKeys::new(keys, preset)?;
        Ok(SyncCommittee::new(SyncCommitteeMembers { pubkeys, aggregate_pubkey }, preset))
    }
}

/// `is_active_validator`.
pub(crate) const fn is_active(validator: &Validator, epoch: u64) -> bool {
    validator.activation_epoch <= epoch && epoch < validator.exit_epoch
}
