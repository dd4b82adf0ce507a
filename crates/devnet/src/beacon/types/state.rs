//! The beacon state.

use super::{
    BeaconBlockHeader, BlsPublicKey, BlsSignature, Checkpoint, Eth1Data, ExecutionPayloadHeader,
};
use crate::{
    beacon::Preset,
    ssz::{
        ApiJson, BitVector, Const, JsonError, Ssz, SszError, TreeList, TreeVector, container,
        preset::{
            EpochsPerHistoricalVector, EpochsPerSlashingsVector, Eth1VotesPerPeriod,
            PendingConsolidationsLimit, PendingPartialWithdrawalsLimit, ProposerLookaheadLength,
            SlotsPerHistoricalRoot, SyncCommitteeSize,
        },
        tree_elements,
    },
};
use alloy_primitives::{B256, FixedBytes};
use serde_json::Value;
use std::{ops::Deref, sync::Arc};

/// `VALIDATOR_REGISTRY_LIMIT`.
pub type RegistryLimit = Const<{ 1 << 40 }>;
/// `HISTORICAL_ROOTS_LIMIT`.
pub type HistoricalLimit = Const<{ 1 << 24 }>;

container! {
    /// `Fork`: the fork's version, the one before it, and since when.
    #[derive(Copy)]
    pub struct Fork {
        /// The version before.
        pub previous_version: FixedBytes<4>,
        /// The version now.
        pub current_version: FixedBytes<4>,
        /// Since when.
        pub epoch: u64,
    }

    /// `ForkData`: what separates the signatures of chains and forks.
    pub struct ForkData {
        /// The fork's version.
        pub current_version: FixedBytes<4>,
        /// The chain.
        pub genesis_validators_root: B256,
    }

    /// `SigningData`: an object and the domain in which it is signed.
    pub struct SigningData {
        /// The object's root.
        pub object_root: B256,
        /// The domain.
        pub domain: B256,
    }

    /// `Validator`.
    pub struct Validator {
        /// The key.
        pub pubkey: BlsPublicKey,
        /// To whom withdrawals go.
        pub withdrawal_credentials: B256,
        /// The balance that counts, in gwei.
        pub effective_balance: u64,
        /// Whether the validator was caught.
        pub slashed: bool,
        /// When it could become active.
        pub activation_eligibility_epoch: u64,
        /// When it became active.
        pub activation_epoch: u64,
        /// When it leaves.
        pub exit_epoch: u64,
        /// When its balance can be withdrawn.
        pub withdrawable_epoch: u64,
    }

    /// `HistoricalSummary`: roots of a period's block roots and state roots.
    #[derive(Copy)]
    pub struct HistoricalSummary {
        /// The root of the block roots.
        pub block_summary_root: B256,
        /// The root of the state roots.
        pub state_summary_root: B256,
    }

    /// `PendingDeposit`.
    pub struct PendingDeposit {
        /// The validator's key.
        pub pubkey: BlsPublicKey,
        /// To whom withdrawals go.
        pub withdrawal_credentials: B256,
        /// The amount, in gwei.
        pub amount: u64,
        /// The validator's signature.
        pub signature: BlsSignature,
        /// When it was made.
        pub slot: u64,
    }

    /// `PendingPartialWithdrawal`.
    #[derive(Copy)]
    pub struct PendingPartialWithdrawal {
        /// Whose balance.
        pub validator_index: u64,
        /// The amount, in gwei.
        pub amount: u64,
        /// From when on.
        pub withdrawable_epoch: u64,
    }

    /// `PendingConsolidation`.
    #[derive(Copy)]
    pub struct PendingConsolidation {
        /// Whose balance moves.
        pub source_index: u64,
        /// To whom.
        pub target_index: u64,
    }

    /// The members of a sync committee and their aggregate key.
    pub struct SyncCommitteeMembers {
        /// The keys.
        pub pubkeys: PublicKeys,
        /// The sum of the keys.
        pub aggregate_pubkey: BlsPublicKey,
    }

    /// `BeaconState`, as Fulu has it.
    pub struct BeaconState {
        /// Unix time of slot 0, in seconds.
        pub genesis_time: u64,
        /// The root of the genesis validators: identifies the chain.
        pub genesis_validators_root: B256,
        /// The slot.
        pub slot: u64,
        /// The fork.
        pub fork: Fork,
        /// The latest block, with a state root of zero until the next slot.
        pub latest_block_header: BeaconBlockHeader,
        /// The block at each recent slot.
        pub block_roots: TreeVector<B256, SlotsPerHistoricalRoot>,
        /// The state at each recent slot.
        pub state_roots: TreeVector<B256, SlotsPerHistoricalRoot>,
        /// Frozen since Capella.
        pub historical_roots: TreeList<B256, HistoricalLimit>,
        /// The deposit contract's state as agreed.
        pub eth1_data: Eth1Data,
        /// Votes on it in this period.
        pub eth1_data_votes: TreeList<Eth1Data, Eth1VotesPerPeriod>,
        /// Deposits taken over.
        pub eth1_deposit_index: u64,
        /// The validators.
        pub validators: TreeList<Validator, RegistryLimit>,
        /// Their balances, in gwei.
        pub balances: TreeList<u64, RegistryLimit>,
        /// The randomness of each recent epoch.
        pub randao_mixes: TreeVector<B256, EpochsPerHistoricalVector>,
        /// Balances slashed in each recent epoch, in gwei.
        pub slashings: TreeVector<u64, EpochsPerSlashingsVector>,
        /// Flags of timely votes in the previous epoch.
        pub previous_epoch_participation: TreeList<u8, RegistryLimit>,
        /// Flags of timely votes in this epoch.
        pub current_epoch_participation: TreeList<u8, RegistryLimit>,
        /// Which of the last four epochs are justified.
        pub justification_bits: BitVector<Const<4>>,
        /// The checkpoint justified an epoch ago.
        pub previous_justified_checkpoint: Checkpoint,
        /// The checkpoint justified now.
        pub current_justified_checkpoint: Checkpoint,
        /// The checkpoint that is final.
        pub finalized_checkpoint: Checkpoint,
        /// Scores of absence.
        pub inactivity_scores: TreeList<u64, RegistryLimit>,
        /// The sync committee.
        pub current_sync_committee: SyncCommittee,
        /// The next sync committee.
        pub next_sync_committee: SyncCommittee,
        /// The latest payload's header.
        pub latest_execution_payload_header: ExecutionPayloadHeader,
        /// The next withdrawal's index.
        pub next_withdrawal_index: u64,
        /// Where the sweep for withdrawals goes on.
        pub next_withdrawal_validator_index: u64,
        /// Summaries of past periods.
        pub historical_summaries: TreeList<HistoricalSummary, HistoricalLimit>,
        /// The first deposit that came as a request.
        pub deposit_requests_start_index: u64,
        /// Churn left for deposits, in gwei.
        pub deposit_balance_to_consume: u64,
        /// Churn left for exits, in gwei.
        pub exit_balance_to_consume: u64,
        /// When the next exit can be.
        pub earliest_exit_epoch: u64,
        /// Churn left for consolidations, in gwei.
        pub consolidation_balance_to_consume: u64,
        /// When the next consolidation can be.
        pub earliest_consolidation_epoch: u64,
        /// Deposits not yet applied.
        pub pending_deposits: TreeList<PendingDeposit, Const<{ 1 << 27 }>>,
        /// Partial withdrawals not yet made.
        pub pending_partial_withdrawals: TreeList<PendingPartialWithdrawal, PendingPartialWithdrawalsLimit>,
        /// Consolidations not yet made.
        pub pending_consolidations: TreeList<PendingConsolidation, PendingConsolidationsLimit>,
        /// Who proposes each slot of this epoch and the next (EIP-7917).
        pub proposer_lookahead: TreeVector<u64, ProposerLookaheadLength>,
    }
}

tree_elements!(
    Validator,
    HistoricalSummary,
    PendingDeposit,
    PendingPartialWithdrawal,
    PendingConsolidation
);

/// The keys of a sync committee: a vector of `SYNC_COMMITTEE_SIZE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeys(Vec<BlsPublicKey>);

impl PublicKeys {
    /// A committee of these keys.
    ///
    /// # Errors
    /// If they are not as many as the preset says.
    pub fn new(keys: Vec<BlsPublicKey>, preset: &Preset) -> Result<Self, SszError> {
        let expected = preset.sync_committee_size as usize;
        if keys.len() != expected {
            return Err(SszError::Length { expected, found: keys.len() });
        }
        Ok(Self(keys))
    }
}

impl Ssz for PublicKeys {
    fn fixed_len(preset: &Preset) -> Option<usize> {
        Some(48 * preset.sync_committee_size as usize)
    }

    fn write(&self, out: &mut Vec<u8>, preset: &Preset) {
        self.0.iter().for_each(|key| key.write(out, preset));
    }

    fn read(bytes: &[u8], preset: &Preset) -> Result<Self, SszError> {
        let list = crate::ssz::List::<BlsPublicKey, SyncCommitteeSize>::read(bytes, preset)?;
        Self::new(list.into_vec(), preset)
    }

    fn root(&self, preset: &Preset) -> B256 {
        let roots = self.0.iter().map(|key| key.root(preset)).collect();
        crate::ssz::merkleize(roots, crate::ssz::depth_for(preset.sync_committee_size))
    }
}

impl ApiJson for PublicKeys {
    fn to_json(&self) -> Value {
        self.0.iter().map(FixedBytes::to_json).collect()
    }

    fn from_json(value: &Value, preset: &Preset) -> Result<Self, JsonError> {
        let list = crate::ssz::List::<BlsPublicKey, SyncCommitteeSize>::from_json(value, preset)?;
        Self::new(list.into_vec(), preset).map_err(|_| JsonError::value("a sync committee", value))
    }
}

/// `SyncCommittee`: shared between copies of a state, with its root, because it is large and rarely
/// changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncCommittee(Arc<(SyncCommitteeMembers, B256)>);

impl SyncCommittee {
    /// A committee of these members.
    pub fn new(members: SyncCommitteeMembers, preset: &Preset) -> Self {
        let root = members.root(preset);
        Self(Arc::new((members, root)))
    }
}

impl Deref for SyncCommittee {
    type Target = SyncCommitteeMembers;

    fn deref(&self) -> &SyncCommitteeMembers {
        &self.0.0
    }
}

impl Ssz for SyncCommittee {
    fn fixed_len(preset: &Preset) -> Option<usize> {
        SyncCommitteeMembers::fixed_len(preset)
    }

    fn write(&self, out: &mut Vec<u8>, preset: &Preset) {
        self.0.0.write(out, preset);
    }

    fn read(bytes: &[u8], preset: &Preset) -> Result<Self, SszError> {
        SyncCommitteeMembers::read(bytes, preset).map(|members| Self::new(members, preset))
    }

    fn root(&self, _: &Preset) -> B256 {
        self.0.1
    }
}

impl ApiJson for SyncCommittee {
    fn to_json(&self) -> Value {
        self.0.0.to_json()
    }

    fn from_json(value: &Value, preset: &Preset) -> Result<Self, JsonError> {
        SyncCommitteeMembers::from_json(value, preset).map(|members| Self::new(members, preset))
    }
}
