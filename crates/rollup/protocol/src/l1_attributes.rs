//! What a rollup block says of its L1 origin: the deposit that every block begins with
//! (OP specification: deposits § L1 attributes deposited transaction).

use crate::{
    DEFAULT_DA_FOOTPRINT_GAS_SCALAR, DepositSource, RollupConfig, SystemConfig, SystemConfigError,
};
use alloc::vec::Vec;
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, TxKind, U256, address};
use lockstep_chain::{Ethereum, OpHardfork};
use op_alloy_consensus::TxDeposit;

/// Who sends the deposit.
pub const L1_ATTRIBUTES_DEPOSITOR: Address = address!("DeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001");

/// The predeploy that keeps the attributes.
pub const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");

/// The gas limit of the deposit from Regolith on.
const GAS_LIMIT: u64 = 1_000_000;
/// The gas limit of the deposit before Regolith, when it did not count against the block's.
const GAS_LIMIT_BEDROCK: u64 = 150_000_000;

/// The blob base fee where L1 has none (EIP-4844: the minimum).
const MIN_BLOB_BASE_FEE: u128 = 1;

/// How the deposit's call data is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// ABI words: `setL1BlockValues(uint64,uint64,uint256,bytes32,uint64,bytes32,uint256,uint256)`.
    Bedrock,
    /// Packed: `setL1BlockValuesEcotone()`.
    Ecotone,
    /// Packed, with the operator fee: `setL1BlockValuesIsthmus()`.
    Isthmus,
    /// Packed, with the DA footprint too: `setL1BlockValuesJovian()`.
    Jovian,
}

impl Format {
    const ALL: [Self; 4] = [Self::Bedrock, Self::Ecotone, Self::Isthmus, Self::Jovian];

    /// Forks after Jovian are not supported, and have no other format that is known.
    fn of(fork: OpHardfork) -> Self {
        match fork {
            fork if fork >= OpHardfork::Jovian => Self::Jovian,
            fork if fork >= OpHardfork::Isthmus => Self::Isthmus,
            fork if fork >= OpHardfork::Ecotone => Self::Ecotone,
            _ => Self::Bedrock,
        }
    }

    const fn selector(self) -> [u8; 4] {
        match self {
            Self::Bedrock => [0x01, 0x5d, 0x8e, 0xb9],
            Self::Ecotone => [0x44, 0x0a, 0x5e, 0x20],
            Self::Isthmus => [0x09, 0x89, 0x99, 0xbe],
            Self::Jovian => [0x3d, 0xb6, 0xbe, 0x2b],
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Bedrock => 4 + 8 * 32,
            Self::Ecotone => 164,
            Self::Isthmus => 176,
            Self::Jovian => 178,
        }
    }
}

/// What a rollup block says of its L1 origin. Fees are in wei, the timestamp in seconds. What the
/// format of a fork has no room for is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1Attributes {
    /// The number of the L1 block.
    pub number: u64,
    /// Its timestamp.
    pub timestamp: u64,
    /// Its base fee per gas.
    pub base_fee: u128,
    /// Its hash.
    pub hash: B256,
    /// How many rollup blocks with this L1 origin came before.
    pub sequence_number: u64,
    /// The batcher's address, left-padded.
    pub batcher_hash: B256,
    /// The fixed part of the L1 fee, in gas; before Ecotone.
    pub fee_overhead: U256,
    /// The weight of the L1 base fee in the L1 fee, in millionths; before Ecotone.
    pub fee_scalar: U256,
    /// The base fee per blob gas of the L1 block; from Ecotone on.
    pub blob_base_fee: u128,
    /// The weight of the L1 base fee in the L1 fee; from Ecotone on.
    pub base_fee_scalar: u32,
    /// The weight of the blob base fee in the L1 fee; from Ecotone on.
    pub blob_base_fee_scalar: u32,
    /// The operator fee per gas, in millionths; from Isthmus on.
    pub operator_fee_scalar: u32,
    /// The operator fee per transaction; from Isthmus on.
    pub operator_fee_constant: u64,
    /// How much gas a byte of data counts as; from Jovian on.
    pub da_footprint_gas_scalar: u16,
}

/// Why bytes are not L1 attributes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L1AttributesError {
    /// The format is none that is known.
    #[error("the selector {0:02x?} is that of no known format")]
    Selector(Vec<u8>),
    /// The format has another length.
    #[error("{got} bytes, the format has {expected}")]
    Length {
        /// The length of the format.
        expected: usize,
        /// What was given.
        got: usize,
    },
    /// A value is larger than its type.
    #[error("field `{field}` is out of range: {got}")]
    Range {
        /// Which field.
        field: &'static str,
        /// What was given.
        got: U256,
    },
}

impl L1Attributes {
    /// What the rollup block at `l2_timestamp` must say of its L1 origin: the block with `header`
    /// and `hash` on the chain `l1`. `system_config` is the one in force at the origin.
    ///
    /// # Errors
    /// [`SystemConfigError::Scalar`] if the weights of the L1 fee are encoded in no known way.
    pub fn new(
        config: &RollupConfig,
        l1: &Ethereum,
        system_config: &SystemConfig,
        sequence_number: u64,
        (header, hash): (&Header, B256),
        l2_timestamp: u64,
    ) -> Result<Self, SystemConfigError> {
        let fork = config.established_fork(l2_timestamp);
        let mut this = Self {
            number: header.number,
            timestamp: header.timestamp,
            base_fee: header.base_fee_per_gas.unwrap_or_default().into(),
            hash,
            sequence_number,
            batcher_hash: system_config.batcher_address.into_word(),
            ..Self::default()
        };
        if fork < OpHardfork::Ecotone {
            this.fee_overhead = system_config.overhead;
            this.fee_scalar = system_config.scalar;
            return Ok(this);
        }
        let scalars = system_config.ecotone_scalars()?;
        this.base_fee_scalar = scalars.base_fee_scalar;
        this.blob_base_fee_scalar = scalars.blob_base_fee_scalar;
        this.blob_base_fee = config
            .blob_params(l1, header)
            .zip(header.excess_blob_gas)
            .map_or(MIN_BLOB_BASE_FEE, |(params, excess)| params.calc_blob_fee(excess));
        if fork >= OpHardfork::Isthmus {
            this.operator_fee_scalar = system_config.operator_fee_scalar;
            this.operator_fee_constant = system_config.operator_fee_constant;
        }
        if fork >= OpHardfork::Jovian {
            this.da_footprint_gas_scalar = match system_config.da_footprint_gas_scalar {
                0 => DEFAULT_DA_FOOTPRINT_GAS_SCALAR,
                scalar => scalar,
            };
        }
        Ok(this)
    }

    /// The call data of the deposit, in the format of `fork`. The first block of a fork still uses
    /// the format before: see [`RollupConfig::established_fork`].
    pub fn encode(&self, fork: OpHardfork) -> Vec<u8> {
        let format = Format::of(fork);
        let mut out = Vec::with_capacity(format.bytes());
        out.extend_from_slice(&format.selector());
        if format == Format::Bedrock {
            self.encode_bedrock(&mut out);
            return out;
        }
        out.extend_from_slice(&self.base_fee_scalar.to_be_bytes());
        out.extend_from_slice(&self.blob_base_fee_scalar.to_be_bytes());
        out.extend_from_slice(&self.sequence_number.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&U256::from(self.base_fee).to_be_bytes::<32>());
        out.extend_from_slice(&U256::from(self.blob_base_fee).to_be_bytes::<32>());
        out.extend_from_slice(self.hash.as_slice());
        out.extend_from_slice(self.batcher_hash.as_slice());
        if format != Format::Ecotone {
            out.extend_from_slice(&self.operator_fee_scalar.to_be_bytes());
            out.extend_from_slice(&self.operator_fee_constant.to_be_bytes());
        }
        if format == Format::Jovian {
            out.extend_from_slice(&self.da_footprint_gas_scalar.to_be_bytes());
        }
        out
    }

    fn encode_bedrock(&self, out: &mut Vec<u8>) {
        for word in [
            U256::from(self.number),
            U256::from(self.timestamp),
            U256::from(self.base_fee),
            self.hash.into(),
            U256::from(self.sequence_number),
            self.batcher_hash.into(),
            self.fee_overhead,
            self.fee_scalar,
        ] {
            out.extend_from_slice(&word.to_be_bytes::<32>());
        }
    }

    /// Reads the call data of a deposit; the selector tells the format.
    ///
    /// # Errors
    /// [`L1AttributesError`] for anything that is not exactly one of the formats.
    pub fn decode(input: &[u8]) -> Result<Self, L1AttributesError> {
        let selector = input.first_chunk::<4>().copied();
        let Some(format) = Format::ALL.into_iter().find(|f| Some(f.selector()) == selector) else {
            return Err(L1AttributesError::Selector(input.iter().take(4).copied().collect()));
        };
        let (expected, got) = (format.bytes(), input.len());
        if got != expected {
            return Err(L1AttributesError::Length { expected, got });
        }
        let mut rest = Fields { bytes: input, at: 4 };
        let mut this = Self::default();
        if format == Format::Bedrock {
            this.number = rest.word("number")?;
            this.timestamp = rest.word("timestamp")?;
            this.base_fee = rest.word("basefee")?;
            this.hash = rest.take().into();
            this.sequence_number = rest.word("sequenceNumber")?;
            this.batcher_hash = rest.take().into();
            this.fee_overhead = rest.word("l1FeeOverhead")?;
            this.fee_scalar = rest.word("l1FeeScalar")?;
            return Ok(this);
        }
        this.base_fee_scalar = u32::from_be_bytes(rest.take());
        this.blob_base_fee_scalar = u32::from_be_bytes(rest.take());
        this.sequence_number = u64::from_be_bytes(rest.take());
        this.timestamp = u64::from_be_bytes(rest.take());
        this.number = u64::from_be_bytes(rest.take());
        this.base_fee = rest.word("basefee")?;
        this.blob_base_fee = rest.word("blobBaseFee")?;
        this.hash = rest.take().into();
        this.batcher_hash = rest.take().into();
        if format != Format::Ecotone {
            this.operator_fee_scalar = u32::from_be_bytes(rest.take());
            this.operator_fee_constant = u64::from_be_bytes(rest.take());
        }
        if format == Format::Jovian {
            this.da_footprint_gas_scalar = u16::from_be_bytes(rest.take());
        }
        Ok(this)
    }

    /// The deposit transaction of a block from Regolith on, in the format of `fork`, as
    /// [`Self::encode`] has it.
    pub fn deposit(&self, fork: OpHardfork) -> TxDeposit {
        let (l1_block_hash, sequence_number) = (self.hash, self.sequence_number);
        TxDeposit {
            source_hash: DepositSource::L1Attributes { l1_block_hash, sequence_number }.hash(),
            from: L1_ATTRIBUTES_DEPOSITOR,
            to: TxKind::Call(L1_BLOCK),
            mint: 0,
            value: U256::ZERO,
            gas_limit: GAS_LIMIT,
            is_system_transaction: false,
            input: self.encode(fork).into(),
        }
    }

    /// The deposit transaction of the rollup block at `l2_timestamp`. Only the format lags in the
    /// first block of a fork: gas limit and kind are those of the block's own fork.
    pub fn deposit_at(&self, config: &RollupConfig, l2_timestamp: u64) -> TxDeposit {
        let deposit = self.deposit(config.established_fork(l2_timestamp));
        if config.is_active(OpHardfork::Regolith, l2_timestamp) {
            return deposit;
        }
        TxDeposit { gas_limit: GAS_LIMIT_BEDROCK, is_system_transaction: true, ..deposit }
    }
}

/// Takes fields of fixed size off bytes whose whole length was checked.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let field = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk).copied();
        self.at += N;
        field.expect("the length of the whole was checked")
    }

    /// A word that holds a smaller type.
    fn word<T: TryFrom<U256>>(&mut self, field: &'static str) -> Result<T, L1AttributesError> {
        let got = U256::from_be_bytes(self.take::<32>());
        got.try_into().map_err(|_| L1AttributesError::Range { field, got })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;
    use proptest::prelude::*;

    fn attributes() -> impl Strategy<Value = L1Attributes> {
        let block = (any::<u64>(), any::<u64>(), any::<u128>(), any::<[u8; 32]>());
        let bedrock = (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>(), any::<u64>());
        let fees = (any::<u128>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u64>());
        (block, bedrock, fees, any::<u16>()).prop_map(|(block, bedrock, fees, footprint)| {
            let (number, timestamp, base_fee, hash) = block;
            let (batcher, overhead, scalar, sequence_number) = bedrock;
            L1Attributes {
                number,
                timestamp,
                base_fee,
                hash: hash.into(),
                sequence_number,
                batcher_hash: batcher.into(),
                fee_overhead: U256::from_be_bytes(overhead),
                fee_scalar: U256::from_be_bytes(scalar),
                blob_base_fee: fees.0,
                base_fee_scalar: fees.1,
                blob_base_fee_scalar: fees.2,
                operator_fee_scalar: fees.3,
                operator_fee_constant: fees.4,
                da_footprint_gas_scalar: footprint,
            }
        })
    }

    /// What is left when the format of `fork` has no room for the rest.
    fn as_of(fork: OpHardfork, all: L1Attributes) -> L1Attributes {
        let mut this = all;
        if fork >= OpHardfork::Ecotone {
            (this.fee_overhead, this.fee_scalar) = Default::default();
        } else {
            (this.blob_base_fee, this.base_fee_scalar, this.blob_base_fee_scalar) = (0, 0, 0);
        }
        if fork < OpHardfork::Isthmus {
            (this.operator_fee_scalar, this.operator_fee_constant) = (0, 0);
        }
        if fork < OpHardfork::Jovian {
            this.da_footprint_gas_scalar = 0;
        }
        this
    }

    const FORKS: [OpHardfork; 6] = [
        OpHardfork::Bedrock,
        OpHardfork::Ecotone,
        OpHardfork::Holocene,
        OpHardfork::Isthmus,
        OpHardfork::Jovian,
        OpHardfork::Interop,
    ];

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(attributes in attributes()) {
            for fork in FORKS {
                let encoded = attributes.encode(fork);
                prop_assert_eq!(L1Attributes::decode(&encoded), Ok(as_of(fork, attributes)));
            }
        }

        #[test]
        fn whatever_is_decoded_encodes_to_the_same_bytes(
            input in proptest::collection::vec(any::<u8>(), 260), fork in 0..FORKS.len(),
        ) {
            let format = Format::of(FORKS[fork]);
            let mut input = input[..format.bytes()].to_vec();
            input.splice(..4, format.selector());
            if let Ok(attributes) = L1Attributes::decode(&input) {
                prop_assert_eq!(attributes.encode(FORKS[fork]), input);
            }
        }
    }

    #[test]
    fn the_selectors_are_those_of_the_predeploy() {
        let signatures = [
            "setL1BlockValues(uint64,uint64,uint256,bytes32,uint64,bytes32,uint256,uint256)",
            "setL1BlockValuesEcotone()",
            "setL1BlockValuesIsthmus()",
            "setL1BlockValuesJovian()",
        ];
        for (format, signature) in Format::ALL.into_iter().zip(signatures) {
            assert_eq!(format.selector(), keccak256(signature)[..4], "{signature}");
        }
    }

    #[test]
    fn every_other_length_is_refused() {
        for fork in FORKS {
            let mut input = L1Attributes::default().encode(fork);
            let expected = input.len();
            for got in 4..expected {
                let error = L1AttributesError::Length { expected, got };
                assert_eq!(L1Attributes::decode(&input[..got]), Err(error));
            }
            input.push(0);
            let error = L1AttributesError::Length { expected, got: expected + 1 };
            assert_eq!(L1Attributes::decode(&input), Err(error));
        }
        assert!(matches!(L1Attributes::decode(&[]), Err(L1AttributesError::Selector(_))));
    }

    #[test]
    fn a_value_that_is_too_large_is_named() {
        for (fork, at, name) in [
            (OpHardfork::Ecotone, 36, "basefee"),
            (OpHardfork::Jovian, 68, "blobBaseFee"),
            (OpHardfork::Bedrock, 4, "number"),
            (OpHardfork::Bedrock, 4 + 32, "timestamp"),
        ] {
            let mut input = L1Attributes::default().encode(fork);
            input[at] = 1;
            let error = L1Attributes::decode(&input).expect_err("the value is too large");
            assert!(
                matches!(error, L1AttributesError::Range { field, .. } if field == name),
                "{error}"
            );
        }
    }
}
