//! What must hold of a configuration.

use super::{RollupConfig, is_time};
use crate::MAX_UNION_ROLLUPS;
use alloc::string::String;
use serde_json::Value;

/// The shortest sequencing window, in L1 blocks: a batch is never in the L1 block that it names.
const MIN_SEQ_WINDOW_SIZE: u64 = 2;

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not JSON of the expected shape.
    #[error("the rollup configuration is malformed: {0}")]
    Malformed(String),
    /// A value that must not be zero is.
    #[error("field `{0}` must not be zero")]
    Zero(&'static str),
    /// The sequencing window is too short: no batch could be included in it.
    #[error("field `seq_window_size` must be at least {MIN_SEQ_WINDOW_SIZE}, not {0}")]
    SeqWindow(u64),
    /// The time of a fork is no time.
    #[error("field `{field}` must be a time in seconds, not {value}")]
    Time {
        /// The field.
        field: String,
        /// What stands there.
        value: String,
    },
    /// A fork that is not supported was active from the beginning, so that nothing can be derived.
    #[error("the fork of field `{field}`, at {at}, is not supported, and was there at genesis")]
    UnsupportedFork {
        /// The field.
        field: String,
        /// The time that it gives, in seconds.
        at: u64,
    },
    /// A fork is scheduled, but one that it builds on is not, or later.
    #[error("fork {later} activates at {at}, but {earlier}, on which it builds, {problem}")]
    ForkOrder {
        /// The fork that must not come later.
        earlier: &'static str,
        /// The fork that must not come earlier.
        later: &'static str,
        /// The time of the later one.
        at: u64,
        /// What is wrong with the earlier one.
        problem: String,
    },
    /// L1 and rollup have the same chain id.
    #[error("L1 and rollup have the same chain id {0}")]
    ChainId(u64),
    /// The rollup's data is not on L1.
    #[error("the rollup keeps its data elsewhere than on L1 (`{0}`), which is not supported")]
    AltDa(String),
    /// The union's rules hold from Holocene on only.
    #[error(
        "field `union` needs Holocene from genesis (at {genesis}) on, but `holocene_time` is \
         {holocene:?}"
    )]
    UnionBeforeHolocene {
        /// The time of genesis, in seconds.
        genesis: u64,
        /// When Holocene activates, in seconds.
        holocene: Option<u64>,
    },
    /// The rollups of the union are wrong.
    #[error("field `union.chains` {0}")]
    UnionChains(String),
    /// The rollup has another value than all rollups of its union have.
    #[error("field `{field}` is {own:?}, and {union:?} on all rollups of the union (`union`)")]
    UnionMember {
        /// The field.
        field: &'static str,
        /// What the rollup has.
        own: Option<u64>,
        /// What the union has.
        union: Option<u64>,
    },
    /// The rollup's blocks are not where those of other rollups of the union are.
    #[error(
        "genesis at {genesis} is not a whole number of blocks of {block_time} s after \
         `union.genesisTime`, {union}"
    )]
    UnionTime {
        /// The time of genesis, in seconds.
        genesis: u64,
        /// The time from block to block, in seconds.
        block_time: u64,
        /// The time of the union's slot 0, in seconds.
        union: u64,
    },
}

impl RollupConfig {
    /// Checks that the rollup can be derived under this configuration, as far as
    /// [`Self::unsupported_fork`].
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let fees = &self.chain_op_config;
        let zeros = [
            (self.block_time, "block_time"),
            (self.seq_window_size, "seq_window_size"),
            (self.channel_timeout, "channel_timeout"),
            (self.l1_chain_id, "l1_chain_id"),
            (self.l2_chain_id, "l2_chain_id"),
            (self.genesis.l2_time, "genesis.l2_time"),
            (fees.eip1559_elasticity, "chain_op_config.eip1559Elasticity"),
            (fees.eip1559_denominator, "chain_op_config.eip1559Denominator"),
            (fees.eip1559_denominator_canyon, "chain_op_config.eip1559DenominatorCanyon"),
        ];
        let addresses = [
            (self.batch_inbox_address, "batch_inbox_address"),
            (self.deposit_contract_address, "deposit_contract_address"),
            (self.l1_system_config_address, "l1_system_config_address"),
        ];
        let zero = zeros.iter().find(|(value, _)| *value == 0).map(|(_, field)| *field);
        let zero_address = addresses.iter().find(|(address, _)| address.is_zero());
        if let Some(field) = zero.or(zero_address.map(|(_, field)| *field)) {
            return Err(ConfigError::Zero(field));
        }
        if self.seq_window_size < MIN_SEQ_WINDOW_SIZE {
            return Err(ConfigError::SeqWindow(self.seq_window_size));
        }
        if self.l1_chain_id == self.l2_chain_id {
            return Err(ConfigError::ChainId(self.l1_chain_id));
        }
        self.validate_data_source()?;
        self.validate_union()?;
        self.validate_fork_order()?;
        self.validate_other_times()?;
        match self.unsupported_fork() {
            Some((field, at)) if at <= self.genesis.l2_time => {
                Err(ConfigError::UnsupportedFork { field: field.into(), at })
            }
            _ => Ok(()),
        }
    }

    fn validate_data_source(&self) -> Result<(), ConfigError> {
        if self.alt_da.as_ref().is_some_and(|alt_da| !alt_da.is_null()) {
            return Err(ConfigError::AltDa("alt_da".into()));
        }
        let is_elsewhere =
            |(field, value): &(&String, &Value)| is_other_da(field) && !is_zero(value);
        match self.other.iter().find(is_elsewhere) {
            Some((field, _)) => Err(ConfigError::AltDa(field.clone())),
            None => Ok(()),
        }
    }

    fn validate_union(&self) -> Result<(), ConfigError> {
        let Some(union) = &self.union else { return Ok(()) };
        if union.inbox.is_zero() {
            return Err(ConfigError::Zero("union.inbox"));
        }
        if union.slot_seconds == 0 {
            return Err(ConfigError::Zero("union.slotSeconds"));
        }
        let chains = &union.chains;
        let problem = if !chains.contains(&self.l2_chain_id) {
            Some(alloc::format!("does not hold the rollup itself, {}", self.l2_chain_id))
        } else if chains.contains(&self.l1_chain_id) || chains.contains(&0) {
            Some(alloc::format!("must hold neither 0 nor the L1, {}", self.l1_chain_id))
        } else if chains.len() > MAX_UNION_ROLLUPS {
            Some(alloc::format!("has {} rollups, the limit is {MAX_UNION_ROLLUPS}", chains.len()))
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(ConfigError::UnionChains(problem));
        }
        let (genesis, block_time) = (self.genesis.l2_time, self.block_time);
        let holocene = self.holocene_time;
        if holocene.is_none_or(|at| at > genesis) {
            return Err(ConfigError::UnionBeforeHolocene { genesis, holocene });
        }
        let shared = [
            ("block_time", Some(block_time), Some(union.block_time)),
            ("seq_window_size", Some(self.seq_window_size), Some(union.seq_window_size)),
            ("isthmus_time", self.isthmus_time, union.isthmus_time),
            ("jovian_time", self.jovian_time, union.jovian_time),
        ];
        if let Some((field, own, union)) = shared.into_iter().find(|(_, own, union)| own != union) {
            return Err(ConfigError::UnionMember { field, own, union });
        }
        let since_zero = genesis.checked_sub(union.genesis_time);
        if since_zero.is_none_or(|seconds| !seconds.is_multiple_of(block_time)) {
            let union = union.genesis_time;
            return Err(ConfigError::UnionTime { genesis, block_time, union });
        }
        Ok(())
    }

    fn validate_other_times(&self) -> Result<(), ConfigError> {
        let is_no_time = |(field, value): &(&String, &Value)| {
            is_time(field) && !value.is_null() && value.as_u64().is_none()
        };
        match self.other.iter().find(is_no_time) {
            Some((field, value)) => {
                Err(ConfigError::Time { field: field.clone(), value: alloc::format!("{value}") })
            }
            None => Ok(()),
        }
    }

    fn validate_fork_order(&self) -> Result<(), ConfigError> {
        let forks = self.named_forks();
        for ((earlier, before), (later, after)) in forks.iter().zip(forks.iter().skip(1)) {
            let Some(at) = *after else { continue };
            let problem = match *before {
                Some(before) if before <= at => continue,
                Some(before) => alloc::format!("activates at {before}"),
                // Other software leaves it out where it was active from the beginning.
                None if *earlier == "Regolith" => continue,
                None => String::from("is not scheduled"),
            };
            return Err(ConfigError::ForkOrder { earlier, later, at, problem });
        }
        Ok(())
    }

    /// All forks in order, with Delta, which changes nothing but the format of batches.
    const fn named_forks(&self) -> [(&'static str, Option<u64>); 11] {
        [
            ("Regolith", self.regolith_time),
            ("Canyon", self.canyon_time),
            ("Delta", self.delta_time),
            ("Ecotone", self.ecotone_time),
            ("Fjord", self.fjord_time),
            ("Granite", self.granite_time),
            ("Holocene", self.holocene_time),
            ("Isthmus", self.isthmus_time),
            ("Jovian", self.jovian_time),
            ("Karst", self.karst_time),
            ("Interop", self.interop_time),
        ]
    }
}

/// Whether a field belongs to data that is kept elsewhere than on L1, as it was named before `alt_da`.
pub(super) fn is_other_da(field: &str) -> bool {
    field == "use_plasma" || field.starts_with("da_challenge_") || field == "da_resolve_window"
}

/// Whether a value says nothing: zero in one of its forms.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.trim_start_matches("0x").bytes().all(|digit| digit == b'0'),
        Value::Array(_) | Value::Object(_) => false,
    }
}
