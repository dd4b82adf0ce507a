//! What the contracts on L1 begin with.

use alloy_primitives::{Address, ChainId, FixedBytes, U256};
use lockstep_protocol::{EcotoneScalars, SystemConfig};

/// The least gas limit of a rollup that [`SystemConfig`](crate::SystemConfig) takes.
pub const MIN_GAS_LIMIT: u64 = 21_000_000;

/// The largest gas limit of a rollup that [`SystemConfig`](crate::SystemConfig) takes.
pub const MAX_GAS_LIMIT: u64 = 500_000_000;

/// The largest elasticity that [`SystemConfig`](crate::SystemConfig) takes: at the least gas limit, the
/// gas target is not zero.
pub const MAX_ELASTICITY: u32 = 21_000_000;

/// What a rollup's contracts on L1 begin with. Names are those of the OP Stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1Settings {
    /// Who may change the rollup's parameters.
    pub owner: Address,
    /// Whose transactions on L1 carry batches.
    pub batcher: Address,
    /// Where these transactions go.
    pub batch_inbox: Address,
    /// Whose signature on unsafe blocks peers accept.
    pub unsafe_block_signer: Address,
    /// Who may claim outputs.
    pub proposer: Address,
    /// Who may delete claims.
    pub challenger: Address,
    /// The chain id of the rollup.
    pub l2_chain_id: u64,
    /// The gas limit of rollup blocks.
    pub gas_limit: u64,
    /// The weight of the L1 base fee in the L1 fee, in millionths.
    pub base_fee_scalar: u32,
    /// The weight of the blob base fee in the L1 fee, in millionths.
    pub blob_base_fee_scalar: u32,
    /// By how much the base fee changes at most: one part in so many.
    pub eip1559_denominator: u32,
    /// The gas target is the gas limit divided by this. At most [`MAX_ELASTICITY`].
    pub eip1559_elasticity: u32,
    /// The operator fee per gas, in millionths of wei (Isthmus; from Jovian on in hundreds of wei).
    pub operator_fee_scalar: u32,
    /// The operator fee per transaction, in wei.
    pub operator_fee_constant: u64,
    /// The least base fee, in wei (Jovian).
    pub min_base_fee: u64,
    /// Gas per byte of estimated data (Jovian).
    pub da_footprint_gas_scalar: u16,
    /// The L1 block in which the contracts begin to exist.
    pub start_block: u64,
    /// How many rollup blocks lie between two claims at least.
    pub submission_interval: u64,
    /// The time between rollup blocks, in seconds.
    pub l2_block_time_s: u64,
    /// The number of the rollup's first block.
    pub starting_block_number: u64,
    /// Its timestamp, in seconds. Not after the creation of the contracts.
    pub starting_timestamp_s: u64,
    /// For how long claims can be deleted and proofs must wait, in seconds.
    pub finalization_period_s: u64,
}

/// Why settings are refused. Whoever configures the rollup must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The contract does not take the gas limit.
    #[error("the gas limit {got} is not between {MIN_GAS_LIMIT} and {MAX_GAS_LIMIT}")]
    GasLimit {
        /// What was given.
        got: u64,
    },
    /// The contract does not take the elasticity.
    #[error("the elasticity {got} is above {MAX_ELASTICITY}: the gas target could be zero")]
    Elasticity {
        /// What was given.
        got: u32,
    },
    /// A number that must not be zero is.
    #[error("`{field}` is zero")]
    Zero {
        /// Which setting.
        field: &'static str,
    },
    /// A role would belong to nobody.
    #[error("`{field}` is the zero address")]
    Nobody {
        /// Which setting.
        field: &'static str,
    },
    /// Two epochs of slots do not fill a tree.
    #[error("an epoch of {got} slots: it must be a power of two from 2 to 64")]
    SlotsPerEpoch {
        /// What was given.
        got: u64,
    },
    /// Nothing is known of the beacon chain's states.
    #[error("no layout of the beacon chain's states is given")]
    NoLayout,
    /// The layouts of states are not usable.
    #[error(
        "the layouts of the beacon chain's states are not by ascending slot, or an index is not between 2 and 2^32"
    )]
    Layouts,
    /// The contracts would end before they know of the last fork.
    #[error("the last slot is before {end}, but the last fork that is known begins at {last_fork}")]
    EndSlot {
        /// The first slot that is not known.
        end: u64,
        /// The first slot of the last layout.
        last_fork: u64,
    },
    /// Collateral would be locked for too long.
    #[error("an exit delay of {got} slots is above {}", crate::MAX_EXIT_DELAY_SLOTS)]
    ExitDelay {
        /// What was given, in slots.
        got: u64,
    },
    /// Two rollups of a union have one chain id.
    #[error("chain {chain} is in the union twice")]
    ChainTwice {
        /// Its id.
        chain: ChainId,
    },
    /// Something is said of a rollup that is not in the union.
    #[error("chain {chain} is not in the union")]
    NotAMember {
        /// Its id.
        chain: ChainId,
    },
    /// Each rollup needs addresses.
    #[error("there are {rollups} rollups in the union, and addresses for {addresses}")]
    AddressCount {
        /// Rollups.
        rollups: usize,
        /// Addresses of rollups' contracts.
        addresses: usize,
    },
    /// A proposer's key is registered twice.
    #[error("the key {key} is registered twice")]
    KeyTwice {
        /// The key.
        key: FixedBytes<48>,
    },
    /// A proposer has too little collateral.
    #[error("the key {key} has {got} wei of collateral, less than {least}")]
    SmallCollateral {
        /// The key.
        key: FixedBytes<48>,
        /// Its collateral, in wei.
        got: U256,
        /// The least, in wei.
        least: U256,
    },
    /// Delegated slots are out of order.
    #[error(
        "the key {key} delegates slots {first} to {last}, which end before they begin, overlap with those before, \
         or do not fit into 48 bits"
    )]
    DelegatedSlots {
        /// The key.
        key: FixedBytes<48>,
        /// The first slot.
        first: u64,
        /// The last slot.
        last: u64,
    },
}

impl L1Settings {
    /// The configuration that derivation begins with, from Ecotone on: the part of the rollup's genesis that
    /// must agree with the contract.
    pub fn system_config(&self) -> SystemConfig {
        let base_fee_scalar = self.base_fee_scalar;
        let blob_base_fee_scalar = self.blob_base_fee_scalar;
        SystemConfig {
            batcher_address: self.batcher,
            overhead: U256::ZERO,
            scalar: EcotoneScalars { base_fee_scalar, blob_base_fee_scalar }.encode(),
            gas_limit: self.gas_limit,
            eip1559_denominator: self.eip1559_denominator,
            eip1559_elasticity: self.eip1559_elasticity,
            operator_fee_scalar: self.operator_fee_scalar,
            operator_fee_constant: self.operator_fee_constant,
            min_base_fee: self.min_base_fee,
            da_footprint_gas_scalar: self.da_footprint_gas_scalar,
        }
    }

    /// Refuses what the constructors refuse, but for what depends on the time of creation.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<(), SettingsError> {
        if !(MIN_GAS_LIMIT..=MAX_GAS_LIMIT).contains(&self.gas_limit) {
            return Err(SettingsError::GasLimit { got: self.gas_limit });
        }
        if self.eip1559_elasticity > MAX_ELASTICITY {
            return Err(SettingsError::Elasticity { got: self.eip1559_elasticity });
        }
        let numbers = [
            ("eip1559_denominator", u64::from(self.eip1559_denominator)),
            ("eip1559_elasticity", u64::from(self.eip1559_elasticity)),
            ("submission_interval", self.submission_interval),
            ("l2_block_time_s", self.l2_block_time_s),
        ];
        if let Some((field, _)) = numbers.into_iter().find(|(_, value)| *value == 0) {
            return Err(SettingsError::Zero { field });
        }
        let roles =
            [("owner", self.owner), ("proposer", self.proposer), ("challenger", self.challenger)];
        match roles.into_iter().find(|(_, address)| address.is_zero()) {
            Some((field, _)) => Err(SettingsError::Nobody { field }),
            None => Ok(()),
        }
    }
}
