//! The first state.

use super::{
    BeaconSpec, Preset, Transition, TransitionError,
    keys::{self, INFINITY, ValidatorKeys},
    types::{
        BeaconBlock, BeaconBlockBody, BeaconBlockHeader, BeaconState, BlsPublicKey, Checkpoint,
        Eth1Data, ExecutionPayload, ExecutionPayloadHeader, FAR_FUTURE_EPOCH, Fork, PublicKeys,
        SignedBeaconBlock, SyncAggregate, SyncCommittee, SyncCommitteeMembers, Validator,
    },
};
use crate::ssz::{
    BitVector, ByteList, List, MerkleTree, Ssz, SszError, TreeList, TreeVector, mix_in_length,
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bloom, U256};

/// `UNSET_DEPOSIT_REQUESTS_START_INDEX`.
const UNSET_DEPOSIT_REQUESTS_START_INDEX: u64 = u64::MAX;

/// The validators of a chain's genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenesisValidators {
    /// How many: at least 1, at most [`Self::MAX`].
    pub count: u64,
    /// The balance of each, in gwei, at least 32 ETH. What is above 32 ETH is withdrawn, if it can be.
    pub balance: u64,
    /// To whom withdrawals go; `None` gives credentials that allow none.
    pub withdrawal_address: Option<Address>,
}

impl GenesisValidators {
    /// The most validators a dev chain has.
    pub const MAX: u64 = 65_536;

    fn validator(&self, pubkey: BlsPublicKey) -> Validator {
        let credentials = |address: Address| {
            let mut credentials = address.into_word();
            if let Some(prefix) = credentials.first_mut() {
                *prefix = 1;
            }
            credentials
        };
        Validator {
            pubkey,
            withdrawal_credentials: self
                .withdrawal_address
                .map_or_else(|| keys::interop_credentials(&pubkey), credentials),
            effective_balance: super::transition::MIN_ACTIVATION_BALANCE,
            slashed: false,
            activation_eligibility_epoch: 0,
            activation_epoch: 0,
            exit_epoch: FAR_FUTURE_EPOCH,
            withdrawable_epoch: FAR_FUTURE_EPOCH,
        }
    }
}

impl Default for GenesisValidators {
    /// 64 validators of 32 ETH each.
    fn default() -> Self {
        Self { count: 64, balance: 32_000_000_000, withdrawal_address: None }
    }
}

impl BeaconBlockBody {
    /// A body with nothing in it.
    pub fn empty(preset: &Preset) -> Self {
        Self {
            randao_reveal: Default::default(),
            eth1_data: Eth1Data {
                deposit_root: B256::ZERO,
                deposit_count: 0,
                block_hash: B256::ZERO,
            },
            graffiti: B256::ZERO,
            proposer_slashings: List::default(),
            attester_slashings: List::default(),
            attestations: List::default(),
            deposits: List::default(),
            voluntary_exits: List::default(),
            sync_aggregate: SyncAggregate {
                sync_committee_bits: BitVector::zero(preset),
                sync_committee_signature: Default::default(),
            },
            execution_payload: empty_payload(),
            bls_to_execution_changes: List::default(),
            blob_kzg_commitments: List::default(),
            execution_requests: Default::default(),
        }
    }

    /// A body in which nobody of the sync committee voted.
    pub(super) fn without_votes(preset: &Preset) -> Self {
        let mut body = Self::empty(preset);
        body.sync_aggregate.sync_committee_signature = INFINITY;
        body
    }
}

fn empty_payload() -> ExecutionPayload {
    ExecutionPayload {
        parent_hash: B256::ZERO,
        fee_recipient: Address::ZERO,
        state_root: B256::ZERO,
        receipts_root: B256::ZERO,
        logs_bloom: Bloom::ZERO,
        prev_randao: B256::ZERO,
        block_number: 0,
        gas_limit: 0,
        gas_used: 0,
        timestamp: 0,
        extra_data: ByteList::default(),
        base_fee_per_gas: U256::ZERO,
        block_hash: B256::ZERO,
        transactions: List::default(),
        withdrawals: List::default(),
        blob_gas_used: 0,
        excess_blob_gas: 0,
    }
}

/// The genesis block: it has the slot 0, an empty body and no signature.
pub(super) fn genesis_block(state_root: B256, preset: &Preset) -> SignedBeaconBlock {
    SignedBeaconBlock {
        message: BeaconBlock {
            slot: 0,
            proposer_index: 0,
            parent_root: B256::ZERO,
            state_root,
            body: BeaconBlockBody::empty(preset),
        },
        signature: Default::default(),
    }
}

/// The state of slot 0 over an execution genesis block, as
/// `initialize_beacon_state_from_eth1` makes it for chains that begin merged.
///
/// # Errors
/// If the execution header's extra data is longer than 32 bytes, or there are no validators.
pub fn genesis_state(
    transition: &Transition,
    validators: &GenesisValidators,
    keys: &ValidatorKeys,
    header: &Header,
    hash: B256,
) -> Result<BeaconState, TransitionError> {
    let spec = transition.spec();
    let preset = spec.preset;
    let registry: Vec<_> = keys.public().iter().map(|key| validators.validator(*key)).collect();
    let count = registry.len();
    let registry = TreeList::new(registry, preset)?;
    let version = BeaconSpec::version(spec.fork(0));
    let eth1_data = Eth1Data {
        deposit_root: empty_deposit_root(),
        deposit_count: count as u64,
        block_hash: hash,
    };
    let mut state = BeaconState {
        genesis_time: spec.genesis_time,
        genesis_validators_root: registry.root(preset),
        slot: 0,
        fork: Fork { previous_version: version, current_version: version, epoch: 0 },
        latest_block_header: BeaconBlockHeader {
            slot: 0,
            proposer_index: 0,
            parent_root: B256::ZERO,
            state_root: B256::ZERO,
            body_root: BeaconBlockBody::empty(preset).root(preset),
        },
        block_roots: TreeVector::filled(B256::ZERO, preset),
        state_roots: TreeVector::filled(B256::ZERO, preset),
        historical_roots: TreeList::empty(preset),
        eth1_data,
        eth1_data_votes: TreeList::empty(preset),
        eth1_deposit_index: count as u64,
        validators: registry,
        balances: TreeList::filled(validators.balance, count, preset),
        randao_mixes: TreeVector::filled(hash, preset),
        slashings: TreeVector::filled(0, preset),
        previous_epoch_participation: TreeList::filled(0, count, preset),
        current_epoch_participation: TreeList::filled(0, count, preset),
        justification_bits: BitVector::zero(preset),
        previous_justified_checkpoint: Checkpoint::default(),
        current_justified_checkpoint: Checkpoint::default(),
        finalized_checkpoint: Checkpoint::default(),
        inactivity_scores: TreeList::filled(0, count, preset),
        current_sync_committee: placeholder_committee(preset)?,
        next_sync_committee: placeholder_committee(preset)?,
        latest_execution_payload_header: payload_header(header, hash, preset)?,
        next_withdrawal_index: 0,
        next_withdrawal_validator_index: 0,
        historical_summaries: TreeList::empty(preset),
        deposit_requests_start_index: UNSET_DEPOSIT_REQUESTS_START_INDEX,
        deposit_balance_to_consume: 0,
        exit_balance_to_consume: 0,
        // `compute_activation_exit_epoch(0)`, as after an upgrade to Electra at genesis.
        earliest_exit_epoch: 5,
        consolidation_balance_to_consume: 0,
        earliest_consolidation_epoch: 5,
        pending_deposits: TreeList::empty(preset),
        pending_partial_withdrawals: TreeList::empty(preset),
        pending_consolidations: TreeList::empty(preset),
        proposer_lookahead: TreeVector::filled(0, preset),
    };
    // Both committees are the same at genesis, by the specifications.
    let committee = transition.next_sync_committee(&state)?;
    state.current_sync_committee = committee.clone();
    state.next_sync_committee = committee;
    let lookahead = [transition.proposers(&state, 0)?, transition.proposers(&state, 1)?];
    state.proposer_lookahead = TreeVector::new(lookahead.concat(), preset)?;
    Ok(state)
}

fn placeholder_committee(preset: &Preset) -> Result<SyncCommittee, SszError> {
    let keys = vec![BlsPublicKey::ZERO; preset.sync_committee_size as usize];
    let pubkeys = PublicKeys::new(keys, preset)?;
    let members = SyncCommitteeMembers { pubkeys, aggregate_pubkey: BlsPublicKey::ZERO };
    Ok(SyncCommittee::new(members, preset))
}

/// The root of the deposit contract's tree without deposits.
fn empty_deposit_root() -> B256 {
    mix_in_length(&MerkleTree::<B256>::new(32).root(), 0)
}

fn payload_header(
    header: &Header,
    hash: B256,
    preset: &Preset,
) -> Result<ExecutionPayloadHeader, SszError> {
    let payload = empty_payload();
    Ok(ExecutionPayloadHeader {
        parent_hash: header.parent_hash,
        fee_recipient: header.beneficiary,
        state_root: header.state_root,
        receipts_root: header.receipts_root,
        logs_bloom: header.logs_bloom,
        prev_randao: header.mix_hash,
        block_number: header.number,
        gas_limit: header.gas_limit,
        gas_used: header.gas_used,
        timestamp: header.timestamp,
        extra_data: ByteList::new(header.extra_data.clone(), preset)?,
        base_fee_per_gas: U256::from(header.base_fee_per_gas.unwrap_or_default()),
        block_hash: hash,
        // A genesis block has neither transactions nor withdrawals.
        transactions_root: payload.transactions.root(preset),
        withdrawals_root: payload.withdrawals.root(preset),
        blob_gas_used: header.blob_gas_used.unwrap_or_default(),
        excess_blob_gas: header.excess_blob_gas.unwrap_or_default(),
    })
}
