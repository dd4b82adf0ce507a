//! The configuration of a rollup: where on L1 its data is, and which rules hold when.

mod public;
mod union;
mod validate;

pub use union::UnionConfig;
pub use validate::ConfigError;

use self::validate::is_other_da;
use crate::SystemConfig;
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use alloy_eips::{BlockNumHash, eip7840::BlobParams};
use alloy_primitives::{Address, B256, keccak256};
use lockstep_chain::{
    Chain, Ethereum, EthereumHardfork, FeeParams, ForkCondition, ForkSchedule, OpHardfork, Rollup,
    UnionRules,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Decompressed bytes of a channel that are read, before Fjord.
pub const MAX_RLP_BYTES_PER_CHANNEL_BEDROCK: u64 = 10_000_000;
/// Decompressed bytes of a channel that are read, from Fjord on.
pub const MAX_RLP_BYTES_PER_CHANNEL_FJORD: u64 = 100_000_000;
/// Bytes of frames, with their overhead, that the channel bank keeps, before Fjord.
pub const MAX_CHANNEL_BANK_BYTES_BEDROCK: u64 = 100_000_000;
/// Bytes of frames, with their overhead, that the channel bank keeps, from Fjord on.
pub const MAX_CHANNEL_BANK_BYTES_FJORD: u64 = 1_000_000_000;
/// L1 blocks within which a channel must be complete, from Granite on.
pub const CHANNEL_TIMEOUT_GRANITE: u64 = 50;
/// L1 blocks within which a channel must be complete, before Granite, on all public chains.
pub const CHANNEL_TIMEOUT_BEDROCK: u64 = 300;
/// Seconds by which a rollup block may be ahead of its L1 origin, from Fjord on.
pub const MAX_SEQUENCER_DRIFT_FJORD: u64 = 1_800;

/// Where a rollup begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollupGenesis {
    /// The L1 block that the first rollup block takes as its origin.
    pub l1: BlockNumHash,
    /// The first rollup block.
    pub l2: BlockNumHash,
    /// The timestamp of the first rollup block, in seconds.
    pub l2_time: u64,
    /// The system configuration of the first rollup block.
    pub system_config: SystemConfig,
}

/// The EIP-1559 parameters of a rollup before they stood in each header (Holocene).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainOpConfig {
    /// The gas target is the gas limit divided by this.
    #[serde(rename = "eip1559Elasticity")]
    pub eip1559_elasticity: u64,
    /// Base fee change denominator from Bedrock on.
    #[serde(rename = "eip1559Denominator")]
    pub eip1559_denominator: u64,
    /// Base fee change denominator from Canyon on.
    #[serde(rename = "eip1559DenominatorCanyon", default = "default_denominator_canyon")]
    pub eip1559_denominator_canyon: u64,
}

/// Other software leaves it out where Canyon is not scheduled.
const fn default_denominator_canyon() -> u64 {
    FeeParams::OP_MAINNET.denominator_canyon
}

impl Default for ChainOpConfig {
    fn default() -> Self {
        let FeeParams { elasticity, denominator, denominator_canyon } = FeeParams::OP_MAINNET;
        Self {
            eip1559_elasticity: elasticity,
            eip1559_denominator: denominator,
            eip1559_denominator_canyon: denominator_canyon,
        }
    }
}

/// The configuration of a rollup, in the format of the OP Stack's `rollup.json`.
///
/// Times are timestamps of rollup blocks in seconds, unless they say otherwise. A fork without a
/// time never activates, unless a later one does; Regolith then was active from the beginning.
///
/// The forks through Jovian are implemented. Of those after it a configuration may say when they
/// begin: derivation goes on until then, and stops there ([`Self::unsupported_fork`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollupConfig {
    /// Where the rollup begins.
    pub genesis: RollupGenesis,
    /// Seconds from one rollup block to the next.
    pub block_time: u64,
    /// Seconds by which a rollup block may be ahead of its L1 origin, before Fjord; zero in
    /// configurations that have no use for it.
    #[serde(default)]
    pub max_sequencer_drift: u64,
    /// L1 blocks after which an epoch without batches is filled with deposits alone.
    pub seq_window_size: u64,
    /// L1 blocks within which a channel must be complete, before Granite.
    pub channel_timeout: u64,
    /// The chain id of the L1.
    pub l1_chain_id: u64,
    /// The chain id of the rollup.
    pub l2_chain_id: u64,
    /// Activation of Regolith.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regolith_time: Option<u64>,
    /// Activation of Canyon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canyon_time: Option<u64>,
    /// Activation of Delta (span batches).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_time: Option<u64>,
    /// Activation of Ecotone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecotone_time: Option<u64>,
    /// Activation of Fjord.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fjord_time: Option<u64>,
    /// Activation of Granite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granite_time: Option<u64>,
    /// Activation of Holocene.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holocene_time: Option<u64>,
    /// From this timestamp of an *L1 origin* on the blob base fee follows Prague's schedule. Set on
    /// chains that adopted it later than their L1 (OP specification: Pectra blob schedule).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pectra_blob_schedule_time: Option<u64>,
    /// Activation of Isthmus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isthmus_time: Option<u64>,
    /// Activation of Jovian.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jovian_time: Option<u64>,
    /// Activation of Karst, which is not supported ([`Self::unsupported_fork`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub karst_time: Option<u64>,
    /// Activation of Interop, since named Lagoon, which is not supported
    /// ([`Self::unsupported_fork`]).
    #[serde(default, alias = "lagoon_time", skip_serializing_if = "Option::is_none")]
    pub interop_time: Option<u64>,
    /// The L1 address to which batches are sent.
    pub batch_inbox_address: Address,
    /// The L1 contract that takes deposits.
    pub deposit_contract_address: Address,
    /// The L1 contract that keeps the system configuration.
    pub l1_system_config_address: Address,
    /// The L1 contract that announces protocol versions; derivation does not read it.
    #[serde(default)]
    pub protocol_versions_address: Address,
    /// The EIP-1559 parameters before Holocene.
    #[serde(default, deserialize_with = "null_as_default")]
    pub chain_op_config: ChainOpConfig,
    /// The configuration of data that is kept elsewhere than on L1. Such chains cannot be derived:
    /// [`Self::validate`] refuses them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt_da: Option<Value>,
    /// The union that the rollup belongs to. Its blocks then come from union batches, and not from a
    /// batcher; absent on ordinary OP Stack chains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub union: Option<UnionConfig>,
    /// Fields that this version does not know, and on which the rules may depend: the times of other
    /// forks (`*_time`), and older ways to say that data is kept elsewhere than on L1. All other
    /// fields that are not known are ignored when a configuration is read.
    #[serde(flatten, deserialize_with = "fields_with_meaning")]
    pub other: BTreeMap<String, Value>,
}

/// Keeps of the fields that are not known those that may change what is derived.
fn fields_with_meaning<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Value>, D::Error> {
    let mut fields = BTreeMap::<String, Value>::deserialize(deserializer)?;
    fields.retain(|field, value| !value.is_null() && (is_time(field) || is_other_da(field)));
    Ok(fields)
}

fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn is_time(field: &str) -> bool {
    field.ends_with("_time")
}

impl RollupConfig {
    /// Reads a `rollup.json`. Fields that are not known are ignored, unless what is derived may
    /// depend on them ([`Self::other`]).
    ///
    /// # Errors
    /// [`ConfigError::Malformed`] with line and column, or what [`Self::validate`] finds.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_slice(json)
            .map_err(|error| ConfigError::Malformed(alloc::format!("{error}")))?;
        config.validate()?;
        Ok(config)
    }

    /// The first fork that is scheduled but not supported, as the field that schedules it and its
    /// time in seconds. From that time on, of rollup blocks and of L1 blocks, nothing is known of how
    /// the chain goes on, and derivation stops.
    ///
    /// Karst is among them: the op-revm that is built in knows its name and some of its rules, but
    /// neither its limits for precompiles nor its upgrade transactions are final in it.
    pub fn unsupported_fork(&self) -> Option<(&str, u64)> {
        let known = [("karst_time", self.karst_time), ("interop_time", self.interop_time)];
        let known = known.into_iter().filter_map(|(field, at)| Some((field, at?)));
        let other = self.other.iter().filter(|(field, _)| is_time(field));
        let other = other.filter_map(|(field, value)| Some((field.as_str(), value.as_u64()?)));
        known.chain(other).min_by_key(|(_, at)| *at)
    }

    /// The time at which `fork` was scheduled; Bedrock begins with the rollup.
    pub const fn fork_time(&self, fork: OpHardfork) -> Option<u64> {
        match fork {
            OpHardfork::Bedrock => Some(0),
            // Without a time it was active from the beginning, if any fork after it is scheduled.
            OpHardfork::Regolith if self.regolith_time.is_none() && self.canyon_time.is_some() => {
                Some(0)
            }
            OpHardfork::Regolith => self.regolith_time,
            OpHardfork::Canyon => self.canyon_time,
            OpHardfork::Ecotone => self.ecotone_time,
            OpHardfork::Fjord => self.fjord_time,
            OpHardfork::Granite => self.granite_time,
            OpHardfork::Holocene => self.holocene_time,
            OpHardfork::Isthmus => self.isthmus_time,
            OpHardfork::Jovian => self.jovian_time,
            OpHardfork::Karst => self.karst_time,
            // The enum is not exhaustive; what comes after Karst is Interop.
            _ => self.interop_time,
        }
    }

    /// The newest fork that is active at `timestamp`.
    pub fn fork_at(&self, timestamp: u64) -> OpHardfork {
        let is_due = |fork: &&OpHardfork| self.fork_time(**fork).is_some_and(|at| at <= timestamp);
        FORKS.iter().rev().find(is_due).copied().unwrap_or(OpHardfork::Bedrock)
    }

    /// Whether `fork` is active at `timestamp`.
    pub fn is_active(&self, fork: OpHardfork, timestamp: u64) -> bool {
        self.fork_at(timestamp) >= fork
    }

    /// Whether derivation goes by the rules of Holocene at the `timestamp` of an L1 block. The rollups of
    /// a union always do: they have it from genesis on, to which an L1 block may be a little older.
    pub fn is_holocene_at(&self, timestamp: u64) -> bool {
        self.union.is_some() || self.is_active(OpHardfork::Holocene, timestamp)
    }

    /// Whether span batches are allowed at `timestamp` (Delta).
    pub fn is_delta_active(&self, timestamp: u64) -> bool {
        self.union.is_some()
            || self.delta_time.is_some_and(|at| at <= timestamp)
            || self.is_active(OpHardfork::Ecotone, timestamp)
    }

    /// Whether the rollup block at `timestamp` is the first of `fork`. The first block of the
    /// rollup is the first of no fork: nothing is upgraded in it.
    pub fn activates(&self, fork: OpHardfork, timestamp: u64) -> bool {
        let before = timestamp.checked_sub(self.block_time);
        self.is_active(fork, timestamp)
            && before.is_some_and(|before| !self.is_active(fork, before))
    }

    /// The newest fork that is active at `timestamp` and was already active in the block before.
    ///
    /// The predeploys that understand a new format are deployed in the first block of a fork, so
    /// that block still uses the format of this fork.
    pub fn established_fork(&self, timestamp: u64) -> OpHardfork {
        match timestamp.checked_sub(self.block_time) {
            Some(before) => self.fork_at(before),
            None => self.fork_at(timestamp),
        }
    }

    /// L1 blocks within which a channel must be complete, at the `timestamp` of an L1 block.
    pub fn channel_timeout(&self, timestamp: u64) -> u64 {
        if self.is_active(OpHardfork::Granite, timestamp) {
            CHANNEL_TIMEOUT_GRANITE
        } else {
            self.channel_timeout
        }
    }

    /// Seconds by which a rollup block may be ahead of its L1 origin, which is at `timestamp`. On the
    /// rollups of a union it is one number, as [`Self::is_holocene_at`] is one answer.
    pub fn max_sequencer_drift(&self, timestamp: u64) -> u64 {
        if self.union.is_some() || self.is_active(OpHardfork::Fjord, timestamp) {
            MAX_SEQUENCER_DRIFT_FJORD
        } else {
            self.max_sequencer_drift
        }
    }

    /// Decompressed bytes of a channel that are read, at the `timestamp` of an L1 block.
    pub fn max_rlp_bytes_per_channel(&self, timestamp: u64) -> u64 {
        if self.is_active(OpHardfork::Fjord, timestamp) {
            MAX_RLP_BYTES_PER_CHANNEL_FJORD
        } else {
            MAX_RLP_BYTES_PER_CHANNEL_BEDROCK
        }
    }

    /// Bytes that the channel bank keeps, at the `timestamp` of an L1 block.
    pub fn max_channel_bank_bytes(&self, timestamp: u64) -> u64 {
        if self.is_active(OpHardfork::Fjord, timestamp) {
            MAX_CHANNEL_BANK_BYTES_FJORD
        } else {
            MAX_CHANNEL_BANK_BYTES_BEDROCK
        }
    }

    /// The blob parameters by which the rollup prices blobs of the L1 block with this header, on the
    /// chain `l1`; `None` before Cancun. They are those of the block itself, unless the rollup
    /// adopted Prague's later than its L1 (`pectra_blob_schedule_time`).
    pub fn blob_params(
        &self,
        l1: &Ethereum,
        header: &alloy_consensus::Header,
    ) -> Option<BlobParams> {
        let fork = l1.fork(header);
        let lags = self.pectra_blob_schedule_time.is_some_and(|at| header.timestamp < at);
        l1.blob_params(if lags { fork.min(EthereumHardfork::Cancun) } else { fork })
    }

    /// The definition of the chain that is derived.
    pub fn chain(&self) -> Rollup {
        let condition = |fork: OpHardfork| match fork {
            OpHardfork::Bedrock => ForkCondition::Block(self.genesis.l2.number),
            fork => self.fork_time(fork).map_or(ForkCondition::Never, ForkCondition::Timestamp),
        };
        let forks: Vec<_> = FORKS.iter().map(|fork| (*fork, condition(*fork))).collect();
        let ChainOpConfig {
            eip1559_elasticity: elasticity,
            eip1559_denominator: denominator,
            eip1559_denominator_canyon: denominator_canyon,
        } = self.chain_op_config;
        let fees = FeeParams { elasticity, denominator, denominator_canyon };
        let rollup = Rollup::new(self.l2_chain_id, ForkSchedule::new(forks), fees);
        match &self.union {
            Some(union) => rollup.with_union(UnionRules::new(union.chains.iter().copied())),
            None => rollup,
        }
    }

    /// What identifies the configuration: the Keccak-256 of its compact JSON.
    pub fn hash(&self) -> B256 {
        keccak256(serde_json::to_vec(self).expect("every field has a JSON form"))
    }
}

/// The forks of [`OpHardfork`], in order.
const FORKS: [OpHardfork; 11] = [
    OpHardfork::Bedrock,
    OpHardfork::Regolith,
    OpHardfork::Canyon,
    OpHardfork::Ecotone,
    OpHardfork::Fjord,
    OpHardfork::Granite,
    OpHardfork::Holocene,
    OpHardfork::Isthmus,
    OpHardfork::Jovian,
    OpHardfork::Karst,
    OpHardfork::Interop,
];
