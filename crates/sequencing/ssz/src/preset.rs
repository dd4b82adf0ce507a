//! The constants that size consensus types.

use crate::Limit;

/// Compile-time constants of the consensus specifications which differ between presets
/// (`presets/mainnet`, `presets/minimal`), under their names there. Counts without a unit
/// are elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// `PRESET_BASE`.
    pub name: &'static str,
    /// `SLOTS_PER_EPOCH`.
    pub slots_per_epoch: u64,
    /// `SLOTS_PER_HISTORICAL_ROOT`.
    pub slots_per_historical_root: u64,
    /// `EPOCHS_PER_HISTORICAL_VECTOR`.
    pub epochs_per_historical_vector: u64,
    /// `EPOCHS_PER_SLASHINGS_VECTOR`.
    pub epochs_per_slashings_vector: u64,
    /// `EPOCHS_PER_ETH1_VOTING_PERIOD`.
    pub epochs_per_eth1_voting_period: u64,
    /// `MAX_COMMITTEES_PER_SLOT`.
    pub max_committees_per_slot: u64,
    /// `TARGET_COMMITTEE_SIZE`.
    pub target_committee_size: u64,
    /// `SHUFFLE_ROUND_COUNT`.
    pub shuffle_round_count: u8,
    /// `SYNC_COMMITTEE_SIZE`.
    pub sync_committee_size: u64,
    /// `EPOCHS_PER_SYNC_COMMITTEE_PERIOD`.
    pub epochs_per_sync_committee_period: u64,
    /// `MAX_WITHDRAWALS_PER_PAYLOAD`.
    pub max_withdrawals_per_payload: u64,
    /// `MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP`.
    pub max_validators_per_withdrawals_sweep: u64,
    /// `PENDING_PARTIAL_WITHDRAWALS_LIMIT`.
    pub pending_partial_withdrawals_limit: u64,
    /// `PENDING_CONSOLIDATIONS_LIMIT`.
    pub pending_consolidations_limit: u64,
    /// `MAX_DEPOSIT_REQUESTS_PER_PAYLOAD`.
    pub max_deposit_requests_per_payload: u64,
    /// `MAX_WITHDRAWAL_REQUESTS_PER_PAYLOAD`.
    pub max_withdrawal_requests_per_payload: u64,
    /// `MAX_CONSOLIDATION_REQUESTS_PER_PAYLOAD`.
    pub max_consolidation_requests_per_payload: u64,
}

impl Preset {
    /// The preset of Ethereum mainnet and its public test networks.
    pub const MAINNET: Self = Self {
        name: "mainnet",
        slots_per_epoch: 32,
        slots_per_historical_root: 8192,
        epochs_per_historical_vector: 65_536,
        epochs_per_slashings_vector: 8192,
        epochs_per_eth1_voting_period: 64,
        max_committees_per_slot: 64,
        target_committee_size: 128,
        shuffle_round_count: 90,
        sync_committee_size: 512,
        epochs_per_sync_committee_period: 256,
        max_withdrawals_per_payload: 16,
        max_validators_per_withdrawals_sweep: 16_384,
        pending_partial_withdrawals_limit: 1 << 27,
        pending_consolidations_limit: 1 << 18,
        max_deposit_requests_per_payload: 8192,
        max_withdrawal_requests_per_payload: 16,
        max_consolidation_requests_per_payload: 2,
    };

    /// The preset for tests: epochs of eight slots.
    pub const MINIMAL: Self = Self {
        name: "minimal",
        slots_per_epoch: 8,
        slots_per_historical_root: 64,
        epochs_per_historical_vector: 64,
        epochs_per_slashings_vector: 64,
        epochs_per_eth1_voting_period: 4,
        max_committees_per_slot: 4,
        target_committee_size: 4,
        shuffle_round_count: 10,
        sync_committee_size: 32,
        epochs_per_sync_committee_period: 8,
        max_withdrawals_per_payload: 4,
        max_validators_per_withdrawals_sweep: 16,
        pending_partial_withdrawals_limit: 64,
        pending_consolidations_limit: 64,
        max_deposit_requests_per_payload: 8192,
        max_withdrawal_requests_per_payload: 16,
        max_consolidation_requests_per_payload: 2,
    };

    /// The preset of a name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        [&Self::MAINNET, &Self::MINIMAL].into_iter().find(|preset| preset.name == name)
    }

    /// The epoch of a slot.
    pub const fn epoch(&self, slot: u64) -> u64 {
        slot / self.slots_per_epoch
    }

    /// The first slot of an epoch.
    pub const fn start_slot(&self, epoch: u64) -> u64 {
        epoch.saturating_mul(self.slots_per_epoch)
    }
}

macro_rules! limits {
    ($($name:ident => $body:expr;)+) => { $(
        #[doc = concat!("The limit `", stringify!($name), "` of the specifications.")]
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Limit for $name {
            fn of(preset: &Preset) -> u64 {
                let limit: fn(&Preset) -> u64 = $body;
                limit(preset)
            }
        }
    )+ };
}

limits! {
    SlotsPerHistoricalRoot => |preset| preset.slots_per_historical_root;
    EpochsPerHistoricalVector => |preset| preset.epochs_per_historical_vector;
    EpochsPerSlashingsVector => |preset| preset.epochs_per_slashings_vector;
    Eth1VotesPerPeriod => |preset| preset.epochs_per_eth1_voting_period * preset.slots_per_epoch;
    SyncCommitteeSize => |preset| preset.sync_committee_size;
    MaxCommitteesPerSlot => |preset| preset.max_committees_per_slot;
    MaxAttestersPerSlot => |preset| 2048 * preset.max_committees_per_slot;
    MaxWithdrawalsPerPayload => |preset| preset.max_withdrawals_per_payload;
    PendingPartialWithdrawalsLimit => |preset| preset.pending_partial_withdrawals_limit;
    PendingConsolidationsLimit => |preset| preset.pending_consolidations_limit;
    MaxDepositRequests => |preset| preset.max_deposit_requests_per_payload;
    MaxWithdrawalRequests => |preset| preset.max_withdrawal_requests_per_payload;
    MaxConsolidationRequests => |preset| preset.max_consolidation_requests_per_payload;
    ProposerLookaheadLength => |preset| 2 * preset.slots_per_epoch;
}
