//! What a rollup reads from its `SystemConfig` contract on L1, and how it changes
//! (OP specification: system config).

use crate::{L2BlockError, RollupConfig, block_info};
use alloc::{string::ToString, vec::Vec};
use alloy_consensus::{Header, ReceiptEnvelope, TxReceipt};
use alloy_primitives::{Address, B64, B256, Log, LogData, U256, b256};
use lockstep_chain::{Block, OpHardfork, Rollup};
use op_alloy_consensus::{OpTxEnvelope, decode_holocene_extra_data, decode_jovian_extra_data};
use serde::{Deserialize, Serialize};

/// `keccak256("ConfigUpdate(uint256,uint8,bytes)")`.
pub const CONFIG_UPDATE_TOPIC: B256 =
    b256!("1d2b0bda21d56b8bd12d4f94ebacffdfb35f5e226f84b461103bb8beab6353be");

/// The DA footprint gas scalar where none was set (OP specification: Jovian).
pub const DEFAULT_DA_FOOTPRINT_GAS_SCALAR: u16 = 400;

/// What a rollup reads from L1 beside its data. Values of a fork that was never configured are
/// zero; it is the fork that says what zero means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Json", into = "Json")]
pub struct SystemConfig {
    /// Who may send batches.
    pub batcher_address: Address,
    /// The fixed part of the L1 fee, in gas; zero from Ecotone on.
    pub overhead: U256,
    /// The weights of the L1 fee, as the contract encodes them (see [`Self::ecotone_scalars`]).
    pub scalar: U256,
    /// The gas limit of rollup blocks.
    pub gas_limit: u64,
    /// The base fee change denominator (Holocene); zero for the chain's constant.
    pub eip1559_denominator: u32,
    /// The elasticity (Holocene); zero for the chain's constant.
    pub eip1559_elasticity: u32,
    /// The operator fee per gas, in millionths of a wei (Isthmus).
    pub operator_fee_scalar: u32,
    /// The operator fee per transaction, in wei (Isthmus).
    pub operator_fee_constant: u64,
    /// The least base fee, in wei (Jovian).
    pub min_base_fee: u64,
    /// How much gas a byte of data counts as (Jovian); zero for
    /// [`DEFAULT_DA_FOOTPRINT_GAS_SCALAR`].
    pub da_footprint_gas_scalar: u16,
}

/// The weights of the L1 fee from Ecotone on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EcotoneScalars {
    /// The weight of the L1 base fee.
    pub base_fee_scalar: u32,
    /// The weight of the L1 blob base fee.
    pub blob_base_fee_scalar: u32,
}

impl EcotoneScalars {
    /// The word in which the contract keeps the weights.
    pub fn encode(self) -> U256 {
        let weights =
            U256::from(self.blob_base_fee_scalar) << 32 | U256::from(self.base_fee_scalar);
        U256::from(1) << 248 | weights
    }
}

/// A change of the system configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemConfigUpdate {
    /// Type 0: who may send batches.
    Batcher(Address),
    /// Type 1: the parameters of the L1 fee.
    GasConfig {
        /// The fixed part, in gas; ignored from Ecotone on.
        overhead: U256,
        /// The weights.
        scalar: U256,
    },
    /// Type 2: the gas limit.
    GasLimit(u64),
    /// Type 3: who signs blocks among peers. Derivation does not read it, so malformed ones
    /// (`None`) are no error.
    UnsafeBlockSigner(Option<Address>),
    /// Type 4: the EIP-1559 parameters.
    Eip1559 {
        /// The base fee change denominator.
        denominator: u32,
        /// The elasticity.
        elasticity: u32,
    },
    /// Type 5: the operator fee.
    OperatorFee {
        /// Per gas, in millionths of a wei.
        scalar: u32,
        /// Per transaction, in wei.
        constant: u64,
    },
    /// Type 6: the least base fee, in wei.
    MinBaseFee(u64),
    /// Type 7: how much gas a byte of data counts as.
    DaFootprintGasScalar(u16),
}

/// Why a log is no change of the system configuration. Such logs are ignored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemConfigError {
    /// The number of topics is wrong.
    #[error("a system config update has 3 topics, not {0}")]
    Topics(usize),
    /// The log is of another event.
    #[error("{0} is not the topic of system config updates")]
    Event(B256),
    /// The version is not known.
    #[error("version {0} of system config updates is not known")]
    Version(B256),
    /// The type is not known.
    #[error("type {0} of system config updates is not known")]
    Type(B256),
    /// The data has the wrong length or is not encoded as `bytes`.
    #[error(
        "a system config update of type {ty} holds {expected} bytes, not the {got} bytes found"
    )]
    Data {
        /// The type of the update.
        ty: u8,
        /// The bytes that an update of this type holds.
        expected: usize,
        /// The bytes of the log.
        got: usize,
    },
    /// The EIP-1559 parameters have an elasticity but no denominator.
    #[error("elasticity {elasticity} comes with a denominator of zero")]
    Denominator {
        /// The elasticity.
        elasticity: u32,
    },
    /// A value does not fit into its field.
    #[error("a system config update of type {ty} holds {got}, which is out of range")]
    Range {
        /// The type of the update.
        ty: u8,
        /// The value.
        got: U256,
    },
    /// The encoding of the weights of the L1 fee is not known.
    #[error("the scalar {0} is encoded in no known way")]
    Scalar(B256),
}

impl SystemConfig {
    /// The weights of the L1 fee from Ecotone on.
    ///
    /// # Errors
    /// [`SystemConfigError::Scalar`] if the encoding is none that the specification knows.
    pub fn ecotone_scalars(&self) -> Result<EcotoneScalars, SystemConfigError> {
        let word = self.scalar.to_be_bytes::<32>();
        let [version, padding @ .., b0, b1, b2, b3, f0, f1, f2, f3] = word;
        let blob_base_fee_scalar = u32::from_be_bytes([b0, b1, b2, b3]);
        let base_fee_scalar = u32::from_be_bytes([f0, f1, f2, f3]);
        let is_padded = padding.iter().all(|byte| *byte == 0);
        match version {
            0 if is_padded && blob_base_fee_scalar == 0 => {
                Ok(EcotoneScalars { base_fee_scalar, blob_base_fee_scalar })
            }
            // A weight that was larger than 32 bits before Ecotone is capped.
            0 => Ok(EcotoneScalars { base_fee_scalar: u32::MAX, blob_base_fee_scalar: 0 }),
            1 if is_padded => Ok(EcotoneScalars { base_fee_scalar, blob_base_fee_scalar }),
            _ => Err(SystemConfigError::Scalar(self.scalar.into())),
        }
    }

    /// The EIP-1559 parameters as payload attributes carry them (Holocene).
    pub fn eip1559_params(&self) -> B64 {
        let both = u64::from(self.eip1559_denominator) << 32 | u64::from(self.eip1559_elasticity);
        both.to_be_bytes().into()
    }

    /// Makes a change. `ecotone_active` says whether Ecotone is active at the L1 block of the
    /// change: from then on weights whose encoding is not known are ignored.
    pub fn apply(&mut self, update: &SystemConfigUpdate, ecotone_active: bool) {
        match *update {
            SystemConfigUpdate::Batcher(address) => self.batcher_address = address,
            SystemConfigUpdate::GasConfig { overhead, scalar } if !ecotone_active => {
                (self.overhead, self.scalar) = (overhead, scalar);
            }
            SystemConfigUpdate::GasConfig { scalar, .. } => {
                if is_ecotone_scalar(scalar) {
                    (self.overhead, self.scalar) = (U256::ZERO, scalar);
                }
            }
            SystemConfigUpdate::GasLimit(limit) => self.gas_limit = limit,
            SystemConfigUpdate::UnsafeBlockSigner(_) => {}
            SystemConfigUpdate::Eip1559 { denominator, elasticity } => {
                (self.eip1559_denominator, self.eip1559_elasticity) = (denominator, elasticity);
            }
            SystemConfigUpdate::OperatorFee { scalar, constant } => {
                (self.operator_fee_scalar, self.operator_fee_constant) = (scalar, constant);
            }
            SystemConfigUpdate::MinBaseFee(fee) => self.min_base_fee = fee,
            SystemConfigUpdate::DaFootprintGasScalar(scalar) => {
                self.da_footprint_gas_scalar = scalar;
            }
        }
    }

    /// Makes the changes that the receipts of an L1 block announce, in order. `ecotone_active` is as
    /// in [`Self::apply`].
    ///
    /// A log that is no known change is ignored, alone and wholly: stopping at it would stop the
    /// rollup for good. Returned is why, for each log that was ignored.
    pub fn update_with_receipts(
        &mut self,
        receipts: &[ReceiptEnvelope],
        l1_system_config_address: Address,
        ecotone_active: bool,
    ) -> Vec<SystemConfigError> {
        let mut ignored = Vec::new();
        for receipt in receipts.iter().filter(|receipt| receipt.status()) {
            for log in receipt.logs() {
                if log.address == l1_system_config_address
                    && log.topics().first() == Some(&CONFIG_UPDATE_TOPIC)
                {
                    match SystemConfigUpdate::from_log(log) {
                        Ok(update) => self.apply(&update, ecotone_active),
                        Err(error) => ignored.push(error),
                    }
                }
            }
        }
        ignored
    }

    /// The system configuration in force after a rollup block, as the block itself tells it.
    ///
    /// # Errors
    /// [`L2BlockError`] if the block does not begin with L1 attributes, has malformed extra data,
    /// or is another first block.
    pub fn from_l2_block(
        block: &Block<Rollup>,
        config: &RollupConfig,
    ) -> Result<Self, L2BlockError> {
        let hash = block.header.hash_slow();
        Self::from_l2_parts(&block.header, hash, block.body.transactions.first(), config)
    }

    /// As [`Self::from_l2_block`], of what a block consists of. `hash` must be the hash of `header`.
    ///
    /// # Errors
    /// As [`Self::from_l2_block`].
    pub fn from_l2_parts(
        header: &Header,
        hash: B256,
        first: Option<&OpTxEnvelope>,
        config: &RollupConfig,
    ) -> Result<Self, L2BlockError> {
        let number = header.number;
        if number == config.genesis.l2.number {
            let block = crate::BlockInfo::from_header(header, hash);
            block_info::check_genesis(&block, &config.genesis)?;
            return Ok(config.genesis.system_config);
        }
        let l1 = block_info::first_attributes(number, first)?;
        let time = header.timestamp;
        let mut this = Self {
            batcher_address: Address::from_word(l1.batcher_hash),
            overhead: l1.fee_overhead,
            scalar: l1.fee_scalar,
            gas_limit: header.gas_limit,
            operator_fee_scalar: l1.operator_fee_scalar,
            operator_fee_constant: l1.operator_fee_constant,
            da_footprint_gas_scalar: l1.da_footprint_gas_scalar,
            ..Self::default()
        };
        if config.established_fork(time) >= OpHardfork::Ecotone {
            // Whether they were set before or after Ecotone is not known; it makes no difference.
            let (base_fee_scalar, blob_base_fee_scalar) =
                (l1.base_fee_scalar, l1.blob_base_fee_scalar);
            this.scalar = EcotoneScalars { base_fee_scalar, blob_base_fee_scalar }.encode();
        }
        let malformed = |error: &dyn core::fmt::Display| L2BlockError::ExtraData {
            number,
            reason: error.to_string(),
        };
        let fork = config.fork_at(time);
        if fork >= OpHardfork::Jovian {
            let (elasticity, denominator, min_base_fee) =
                decode_jovian_extra_data(&header.extra_data).map_err(|e| malformed(&e))?;
            (this.eip1559_elasticity, this.eip1559_denominator) = (elasticity, denominator);
            this.min_base_fee = min_base_fee;
        } else if fork >= OpHardfork::Holocene {
            let (elasticity, denominator) =
                decode_holocene_extra_data(&header.extra_data).map_err(|e| malformed(&e))?;
            (this.eip1559_elasticity, this.eip1559_denominator) = (elasticity, denominator);
        }
        Ok(this)
    }
}

/// Whether weights set after Ecotone are encoded in a known way. Unlike those set before, they are
/// not capped but ignored if they are not.
fn is_ecotone_scalar(scalar: U256) -> bool {
    let word = scalar.to_be_bytes::<32>();
    let [version, rest @ ..] = word;
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    match version {
        0 => rest.split_last_chunk::<4>().is_some_and(|(padding, _)| is_zero(padding)),
        1 => rest.split_last_chunk::<8>().is_some_and(|(padding, _)| is_zero(padding)),
        _ => false,
    }
}

impl SystemConfigUpdate {
    /// Reads the log of a change.
    ///
    /// # Errors
    /// [`SystemConfigError`] for anything but a change of known type.
    pub fn from_log(log: &LogData) -> Result<Self, SystemConfigError> {
        let &[topic, version, ty] = log.topics() else {
            return Err(SystemConfigError::Topics(log.topics().len()));
        };
        if topic != CONFIG_UPDATE_TOPIC {
            return Err(SystemConfigError::Event(topic));
        }
        if !version.is_zero() {
            return Err(SystemConfigError::Version(version));
        }
        let number = u8::try_from(U256::from_be_bytes(ty.0));
        let ty = number.ok().filter(|ty| *ty <= 7).ok_or(SystemConfigError::Type(ty))?;
        if ty == 3 {
            let word = words::<1>(ty, &log.data).ok();
            let address = word.and_then(|[word]| address(ty, word).ok());
            return Ok(Self::UnsafeBlockSigner(address));
        }
        if ty == 1 {
            let [overhead, scalar] = words::<2>(ty, &log.data)?;
            return Ok(Self::GasConfig { overhead, scalar });
        }
        let [word] = words::<1>(ty, &log.data)?;
        let [.., a, b, c, d, e, f, g, h, i, j, k, l] = word.to_be_bytes::<32>();
        let range = SystemConfigError::Range { ty, got: word };
        Ok(match ty {
            0 => Self::Batcher(address(ty, word)?),
            2 => Self::GasLimit(word.try_into().map_err(|_| range)?),
            4 => {
                let denominator = u32::from_be_bytes([e, f, g, h]);
                let elasticity = u32::from_be_bytes([i, j, k, l]);
                // The engine takes no such parameters.
                if denominator == 0 && elasticity != 0 {
                    return Err(SystemConfigError::Denominator { elasticity });
                }
                Self::Eip1559 { denominator, elasticity }
            }
            5 => Self::OperatorFee {
                scalar: u32::from_be_bytes([a, b, c, d]),
                constant: u64::from_be_bytes([e, f, g, h, i, j, k, l]),
            },
            6 => Self::MinBaseFee(word.try_into().map_err(|_| range)?),
            _ => Self::DaFootprintGasScalar(word.try_into().map_err(|_| range)?),
        })
    }

    /// The number of the type.
    pub const fn ty(&self) -> u8 {
        match self {
            Self::Batcher(_) => 0,
            Self::GasConfig { .. } => 1,
            Self::GasLimit(_) => 2,
            Self::UnsafeBlockSigner(_) => 3,
            Self::Eip1559 { .. } => 4,
            Self::OperatorFee { .. } => 5,
            Self::MinBaseFee(_) => 6,
            Self::DaFootprintGasScalar(_) => 7,
        }
    }

    /// The log by which the contract at `contract` announces the change.
    pub fn to_log(&self, contract: Address) -> Log {
        let word = |value: u64| U256::from(value);
        let payload: Vec<U256> = match *self {
            Self::Batcher(address) | Self::UnsafeBlockSigner(Some(address)) => {
                [U256::from_be_bytes(address.into_word().0)].into()
            }
            Self::UnsafeBlockSigner(None) => Vec::new(),
            Self::GasConfig { overhead, scalar } => [overhead, scalar].into(),
            Self::GasLimit(value) | Self::MinBaseFee(value) => [word(value)].into(),
            Self::Eip1559 { denominator, elasticity } => {
                [word(u64::from(denominator) << 32 | u64::from(elasticity))].into()
            }
            Self::OperatorFee { scalar, constant } => {
                [(U256::from(scalar) << 64) | U256::from(constant)].into()
            }
            Self::DaFootprintGasScalar(value) => [word(value.into())].into(),
        };
        let mut data = Vec::with_capacity(64 + 32 * payload.len());
        for value in [U256::from(32), U256::from(32 * payload.len())].iter().chain(&payload) {
            data.extend_from_slice(&value.to_be_bytes::<32>());
        }
        let topics = [CONFIG_UPDATE_TOPIC, B256::ZERO, B256::with_last_byte(self.ty())];
        Log { address: contract, data: LogData::new_unchecked(topics.into(), data.into()) }
    }
}

/// The words in the `bytes` of an update, which must be exactly `N`.
fn words<const N: usize>(ty: u8, data: &[u8]) -> Result<[U256; N], SystemConfigError> {
    let expected = 32 * N;
    let malformed = SystemConfigError::Data { ty, expected, got: data.len() };
    let mut all = data.chunks_exact(32).map(U256::from_be_slice);
    let head = (all.next(), all.next());
    let is_head = head == (Some(U256::from(32)), Some(U256::from(expected)));
    if !is_head || data.len() != 64 + expected {
        return Err(malformed);
    }
    let mut out = [U256::ZERO; N];
    out.iter_mut().zip(all).for_each(|(out, word)| *out = word);
    Ok(out)
}

fn address(ty: u8, word: U256) -> Result<Address, SystemConfigError> {
    if word.bit_len() > 160 {
        return Err(SystemConfigError::Range { ty, got: word });
    }
    Ok(Address::from_word(word.into()))
}

/// The form of `rollup.json`. Parameters of later forks may also stand there one by one.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    #[serde(rename = "batcherAddr", alias = "batcherAddress")]
    batcher_addr: Address,
    overhead: B256,
    scalar: B256,
    gas_limit: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    eip1559_params: Option<B64>,
    #[serde(default, skip_serializing)]
    eip1559_denominator: Option<u32>,
    #[serde(default, skip_serializing)]
    eip1559_elasticity: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operator_fee_params: Option<B256>,
    #[serde(default, skip_serializing)]
    operator_fee_scalar: Option<u32>,
    #[serde(default, skip_serializing)]
    operator_fee_constant: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_base_fee: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    da_footprint_gas_scalar: Option<u16>,
}

impl From<Json> for SystemConfig {
    fn from(json: Json) -> Self {
        let [d0, d1, d2, d3, e0, e1, e2, e3] = json.eip1559_params.unwrap_or_default().0;
        let [.., s0, s1, s2, s3, c0, c1, c2, c3, c4, c5, c6, c7] =
            json.operator_fee_params.unwrap_or_default().0;
        let constant = u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]);
        let (denominator, elasticity) = (json.eip1559_denominator, json.eip1559_elasticity);
        Self {
            batcher_address: json.batcher_addr,
            overhead: json.overhead.into(),
            scalar: json.scalar.into(),
            gas_limit: json.gas_limit,
            eip1559_denominator: denominator.unwrap_or(u32::from_be_bytes([d0, d1, d2, d3])),
            eip1559_elasticity: elasticity.unwrap_or(u32::from_be_bytes([e0, e1, e2, e3])),
            operator_fee_scalar: json
                .operator_fee_scalar
                .unwrap_or(u32::from_be_bytes([s0, s1, s2, s3])),
            operator_fee_constant: json.operator_fee_constant.unwrap_or(constant),
            min_base_fee: json.min_base_fee.unwrap_or_default(),
            da_footprint_gas_scalar: json.da_footprint_gas_scalar.unwrap_or_default(),
        }
    }
}

impl From<SystemConfig> for Json {
    fn from(config: SystemConfig) -> Self {
        let operator_fee: U256 = (U256::from(config.operator_fee_scalar) << 64)
            | U256::from(config.operator_fee_constant);
        Self {
            batcher_addr: config.batcher_address,
            overhead: config.overhead.into(),
            scalar: config.scalar.into(),
            gas_limit: config.gas_limit,
            eip1559_params: Some(config.eip1559_params()).filter(|params| !params.is_zero()),
            operator_fee_params: Some(B256::from(operator_fee)).filter(|params| !params.is_zero()),
            min_base_fee: Some(config.min_base_fee).filter(|fee| *fee != 0),
            da_footprint_gas_scalar: Some(config.da_footprint_gas_scalar).filter(|s| *s != 0),
            ..Self::default()
        }
    }
}
