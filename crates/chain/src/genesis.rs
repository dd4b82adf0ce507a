//! Chains and first blocks from genesis files in go-ethereum's format.

use crate::{Chain, Ethereum, FeeParams, ForkSchedule, Rollup, forks::merge_at};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use alloy_consensus::{EMPTY_ROOT_HASH, Header};
use alloy_eips::{eip1559::INITIAL_BASE_FEE, eip7685::EMPTY_REQUESTS_HASH, eip7840::BlobParams};
use alloy_genesis::{ChainConfig, Genesis};
use alloy_hardforks::{EthereumHardfork, ForkCondition};
use alloy_op_hardforks::OpHardfork;
use alloy_primitives::{B256, KECCAK256_EMPTY, U256, keccak256};
use lockstep_trie::TrieAccount;
use serde::Deserialize;

/// A genesis file larger than this is refused. Mainnet's is under 1 MiB.
pub const MAX_GENESIS_BYTES: usize = 512 * 1024 * 1024;

/// What is wrong with a genesis file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// The file is larger than the limit.
    #[error("the genesis file is {bytes} bytes, the limit is {MAX_GENESIS_BYTES}")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// The file is not JSON of the expected shape.
    #[error("the genesis file is malformed: {0}")]
    Malformed(String),
    /// A field holds what the format does not allow.
    #[error("genesis field `{field}`: {reason}")]
    Field {
        /// The path of the field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A fork is scheduled before one that it builds on.
    #[error("fork {later} activates before {earlier}")]
    ForkOrder {
        /// The fork that must not come later.
        earlier: String,
        /// The fork that must not come earlier.
        later: String,
    },
}

/// Parses a genesis file.
///
/// # Errors
/// [`GenesisError::TooLarge`] or [`GenesisError::Malformed`] with line and column.
pub fn parse(json: &[u8]) -> Result<Genesis, GenesisError> {
    if json.len() > MAX_GENESIS_BYTES {
        return Err(GenesisError::TooLarge { bytes: json.len() });
    }
    serde_json::from_slice(json).map_err(|error| GenesisError::Malformed(error.to_string()))
}

/// The root of the state that the genesis file allocates.
pub fn state_root(genesis: &Genesis) -> B256 {
    lockstep_trie::state_root(genesis.alloc.iter().map(|(address, account)| {
        let trie_account = TrieAccount {
            nonce: account.nonce.unwrap_or_default(),
            balance: account.balance,
            storage_root: lockstep_trie::storage_root(account.storage_slots()),
            code_hash: account.code.as_ref().map_or(KECCAK256_EMPTY, keccak256),
        };
        (*address, trie_account)
    }))
}

impl Ethereum {
    /// The chain that a genesis file describes.
    ///
    /// # Errors
    /// [`GenesisError::ForkOrder`] if its forks are not in order.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, GenesisError> {
        let config = &genesis.config;
        let forks = ForkSchedule::new(ethereum_forks(config));
        check_order(&forks)?;
        let mut chain = Self::new(config.chain_id, forks);
        for (name, params) in &config.blob_schedule {
            chain = chain.with_blob_params(blob_fork(name)?, check_blob_params(name, *params)?);
        }
        if let Some(address) = config.deposit_contract_address {
            chain = chain.with_deposit_contract(address);
        }
        Ok(chain)
    }

    /// The first header of a chain with this genesis file.
    pub fn genesis_header(&self, genesis: &Genesis) -> Header {
        let header = base_header(genesis);
        let fork = self.fork(&header);
        fill_by_fork(header, genesis, fork)
    }
}

impl Rollup {
    /// The rollup that a genesis file in op-geth's format describes.
    ///
    /// # Errors
    /// [`GenesisError::Field`] for malformed rollup fields, [`GenesisError::ForkOrder`] if the
    /// forks are not in order.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, GenesisError> {
        let config = &genesis.config;
        let fields: RollupFields = config
            .extra_fields
            .deserialize_as()
            .map_err(|error| field("config", error.to_string()))?;
        let forks = ForkSchedule::new(fields.forks());
        check_order(&forks)?;
        let fees = fields.optimism.unwrap_or_default();
        let canyon = fees.eip1559_denominator_canyon.unwrap_or(fees.eip1559_denominator);
        if fees.eip1559_elasticity == 0 || fees.eip1559_denominator == 0 || canyon == 0 {
            return Err(field("config.optimism", "EIP-1559 parameters must be above zero"));
        }
        let fees = FeeParams {
            elasticity: fees.eip1559_elasticity,
            denominator: fees.eip1559_denominator,
            denominator_canyon: canyon,
        };
        Ok(Self::new(config.chain_id, forks, fees))
    }

    /// The first header of a rollup with this genesis file.
    ///
    /// From Isthmus on the withdrawals root is the storage root of the message passer; it is
    /// computed from the allocation.
    pub fn genesis_header(&self, genesis: &Genesis) -> Header {
        let header = base_header(genesis);
        let fork = self.fork(&header);
        let equivalent = match fork {
            fork if fork >= OpHardfork::Isthmus => EthereumHardfork::Prague,
            fork if fork >= OpHardfork::Ecotone => EthereumHardfork::Cancun,
            fork if fork >= OpHardfork::Canyon => EthereumHardfork::Shanghai,
            _ => EthereumHardfork::Paris,
        };
        let mut header = fill_by_fork(header, genesis, equivalent);
        if fork >= OpHardfork::Isthmus {
            header.withdrawals_root = Some(message_passer_root(genesis));
        }
        header
    }
}

/// The predeploy whose storage root is the withdrawals root from Isthmus on.
pub const L2_TO_L1_MESSAGE_PASSER: alloy_primitives::Address =
    alloy_primitives::address!("4200000000000000000000000000000000000016");

fn message_passer_root(genesis: &Genesis) -> B256 {
    let storage = genesis
        .alloc
        .get(&L2_TO_L1_MESSAGE_PASSER)
        .into_iter()
        .flat_map(|account| account.storage_slots());
    lockstep_trie::storage_root(storage)
}

/// The fields of the first header that do not depend on forks.
fn base_header(genesis: &Genesis) -> Header {
    Header {
        parent_hash: genesis.parent_hash.unwrap_or_default(),
        beneficiary: genesis.coinbase,
        state_root: state_root(genesis),
        difficulty: genesis.difficulty,
        number: genesis.number.unwrap_or_default(),
        gas_limit: genesis.gas_limit,
        timestamp: genesis.timestamp,
        extra_data: genesis.extra_data.clone(),
        mix_hash: genesis.mix_hash,
        nonce: genesis.nonce.into(),
        ..Default::default()
    }
}

fn fill_by_fork(mut header: Header, genesis: &Genesis, fork: EthereumHardfork) -> Header {
    if fork >= EthereumHardfork::London {
        let base_fee = genesis.base_fee_per_gas.unwrap_or_else(|| INITIAL_BASE_FEE.into());
        header.base_fee_per_gas = Some(u64::try_from(base_fee).unwrap_or(u64::MAX));
    }
    if fork >= EthereumHardfork::Shanghai {
        header.withdrawals_root = Some(EMPTY_ROOT_HASH);
    }
    if fork >= EthereumHardfork::Cancun {
        header.parent_beacon_block_root = Some(B256::ZERO);
        header.blob_gas_used = Some(genesis.blob_gas_used.unwrap_or_default());
        header.excess_blob_gas = Some(genesis.excess_blob_gas.unwrap_or_default());
    }
    if fork >= EthereumHardfork::Prague {
        header.requests_hash = Some(EMPTY_REQUESTS_HASH);
    }
    header
}

fn ethereum_forks(config: &ChainConfig) -> Vec<(EthereumHardfork, ForkCondition)> {
    use EthereumHardfork as F;
    let block = |block: Option<u64>| block.map_or(ForkCondition::Never, ForkCondition::Block);
    let time = |time: Option<u64>| time.map_or(ForkCondition::Never, ForkCondition::Timestamp);
    let paris = match (config.terminal_total_difficulty, config.terminal_total_difficulty_passed) {
        // The netsplit block only splits off nodes that missed the merge (EIP-3675).
        (Some(total_difficulty), _) => ForkCondition::TTD {
            activation_block_number: 0,
            fork_block: config.merge_netsplit_block,
            total_difficulty,
        },
        (None, true) => merge_at(U256::ZERO),
        (None, false) => ForkCondition::Never,
    };
    Vec::from([
        (F::Frontier, ForkCondition::Block(0)),
        (F::Homestead, block(config.homestead_block)),
        (F::Dao, block(config.dao_fork_block.filter(|_| config.dao_fork_support))),
        (F::Tangerine, block(config.eip150_block)),
        (F::SpuriousDragon, block(config.eip158_block.or(config.eip155_block))),
        (F::Byzantium, block(config.byzantium_block)),
        (F::Constantinople, block(config.constantinople_block)),
        (F::Petersburg, block(config.petersburg_block.or(config.constantinople_block))),
        (F::Istanbul, block(config.istanbul_block)),
        (F::MuirGlacier, block(config.muir_glacier_block)),
        (F::Berlin, block(config.berlin_block)),
        (F::London, block(config.london_block)),
        (F::ArrowGlacier, block(config.arrow_glacier_block)),
        (F::GrayGlacier, block(config.gray_glacier_block)),
        (F::Paris, paris),
        (F::Shanghai, time(config.shanghai_time)),
        (F::Cancun, time(config.cancun_time)),
        (F::Prague, time(config.prague_time)),
        (F::Osaka, time(config.osaka_time)),
        (F::Bpo1, time(config.bpo1_time)),
        (F::Bpo2, time(config.bpo2_time)),
        (F::Bpo3, time(config.bpo3_time)),
        (F::Bpo4, time(config.bpo4_time)),
        (F::Bpo5, time(config.bpo5_time)),
        (F::Amsterdam, time(config.amsterdam_time)),
    ])
}

/// The fork that a key of `blobSchedule` names (EIP-7840).
fn blob_fork(name: &str) -> Result<EthereumHardfork, GenesisError> {
    name.parse::<EthereumHardfork>()
        .ok()
        .filter(|fork| *fork >= EthereumHardfork::Cancun)
        .ok_or_else(|| field(&alloc::format!("config.blobSchedule.{name}"), "no fork with blobs"))
}

/// Limits below which the blob fee arithmetic neither divides by zero nor leaves 64 bits.
fn check_blob_params(name: &str, params: BlobParams) -> Result<BlobParams, GenesisError> {
    let path = alloc::format!("config.blobSchedule.{name}");
    if params.update_fraction == 0 {
        return Err(field(&path, "baseFeeUpdateFraction must be above zero"));
    }
    if params.max_blob_count > 65_536 || params.target_blob_count > params.max_blob_count {
        return Err(field(&path, "target <= max <= 65536 must hold"));
    }
    Ok(params)
}

fn field(path: &str, reason: impl Into<String>) -> GenesisError {
    GenesisError::Field { field: path.into(), reason: reason.into() }
}

/// Forks by block number come in order, and so do forks by time.
fn check_order<F: Copy + Ord + core::fmt::Display>(
    forks: &ForkSchedule<F>,
) -> Result<(), GenesisError> {
    let mut newest_block: Option<(F, u64)> = None;
    let mut newest_time: Option<(F, u64)> = None;
    for (fork, condition) in forks.iter() {
        let (newest, at) = match condition {
            ForkCondition::Block(block) => (&mut newest_block, block),
            ForkCondition::Timestamp(time) => (&mut newest_time, time),
            _ => continue,
        };
        if let Some((earlier, earlier_at)) = newest
            && *earlier_at > at
        {
            return Err(GenesisError::ForkOrder {
                earlier: earlier.to_string(),
                later: fork.to_string(),
            });
        }
        *newest = Some((fork, at));
    }
    Ok(())
}

/// What op-geth adds to `config`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RollupFields {
    bedrock_block: Option<u64>,
    regolith_time: Option<u64>,
    canyon_time: Option<u64>,
    ecotone_time: Option<u64>,
    fjord_time: Option<u64>,
    granite_time: Option<u64>,
    holocene_time: Option<u64>,
    isthmus_time: Option<u64>,
    jovian_time: Option<u64>,
    karst_time: Option<u64>,
    interop_time: Option<u64>,
    optimism: Option<RollupFees>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RollupFees {
    #[serde(rename = "eip1559Elasticity")]
    eip1559_elasticity: u64,
    #[serde(rename = "eip1559Denominator")]
    eip1559_denominator: u64,
    #[serde(rename = "eip1559DenominatorCanyon")]
    eip1559_denominator_canyon: Option<u64>,
}

impl Default for RollupFees {
    fn default() -> Self {
        let FeeParams { elasticity, denominator, denominator_canyon } = FeeParams::OP_MAINNET;
        Self {
            eip1559_elasticity: elasticity,
            eip1559_denominator: denominator,
            eip1559_denominator_canyon: Some(denominator_canyon),
        }
    }
}

impl RollupFields {
    fn forks(&self) -> Vec<(OpHardfork, ForkCondition)> {
        use OpHardfork as F;
        let time = |time: Option<u64>| time.map_or(ForkCondition::Never, ForkCondition::Timestamp);
        Vec::from([
            (F::Bedrock, ForkCondition::Block(self.bedrock_block.unwrap_or_default())),
            (F::Regolith, time(self.regolith_time)),
            (F::Canyon, time(self.canyon_time)),
            (F::Ecotone, time(self.ecotone_time)),
            (F::Fjord, time(self.fjord_time)),
            (F::Granite, time(self.granite_time)),
            (F::Holocene, time(self.holocene_time)),
            (F::Isthmus, time(self.isthmus_time)),
            (F::Jovian, time(self.jovian_time)),
            (F::Karst, time(self.karst_time)),
            (F::Interop, time(self.interop_time)),
        ])
    }
}
