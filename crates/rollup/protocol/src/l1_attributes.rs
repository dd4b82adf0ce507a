//! What a rollup block says of its L1 origin: the deposit that every block begins with
//! (OP specification: deposits § L1 attributes deposited transaction).

use alloc::vec::Vec;
use alloy_primitives::{Address, B256, TxKind, U256, address, keccak256};
use lockstep_chain::OpHardfork;
use op_alloy_consensus::TxDeposit;

/// Who sends the deposit.
pub const L1_ATTRIBUTES_DEPOSITOR: Address = address!("DeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001");

/// The predeploy that keeps the attributes.
pub const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");

/// The gas limit of the deposit.
const GAS_LIMIT: u64 = 1_000_000;

/// Selectors of the packed setters of the predeploy.
const ECOTONE: [u8; 4] = [0x44, 0x0a, 0x5e, 0x20];
const ISTHMUS: [u8; 4] = [0x09, 0x89, 0x99, 0xbe];

const ECOTONE_BYTES: usize = 164;
const ISTHMUS_BYTES: usize = 176;

/// Tells the deposit of L1 attributes apart from deposits by users, in its source hash.
const L1_ATTRIBUTES_DOMAIN: u64 = 1;

/// What a rollup block says of its L1 origin. Fees are in wei, the timestamp in seconds.
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
    /// The base fee per blob gas of the L1 block.
    pub blob_base_fee: u128,
    /// The weight of the L1 base fee in the L1 fee.
    pub base_fee_scalar: u32,
    /// The weight of the blob base fee in the L1 fee.
    pub blob_base_fee_scalar: u32,
    /// The operator fee per gas, in millionths; from Isthmus on, zero before.
    pub operator_fee_scalar: u32,
    /// The operator fee per transaction; from Isthmus on, zero before.
    pub operator_fee_constant: u64,
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
    /// A fee does not fit into 128 bits.
    #[error("field `{field}` exceeds 128 bits: {got}")]
    Fee {
        /// Which fee.
        field: &'static str,
        /// What was given.
        got: U256,
    },
}

impl L1Attributes {
    /// The call data of the deposit, in the packed format of `fork` (Ecotone to Isthmus).
    pub fn encode(&self, fork: OpHardfork) -> Vec<u8> {
        let isthmus = fork >= OpHardfork::Isthmus;
        let mut out = Vec::with_capacity(ISTHMUS_BYTES);
        out.extend_from_slice(if isthmus { &ISTHMUS } else { &ECOTONE });
        out.extend_from_slice(&self.base_fee_scalar.to_be_bytes());
        out.extend_from_slice(&self.blob_base_fee_scalar.to_be_bytes());
        out.extend_from_slice(&self.sequence_number.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&U256::from(self.base_fee).to_be_bytes::<32>());
        out.extend_from_slice(&U256::from(self.blob_base_fee).to_be_bytes::<32>());
        out.extend_from_slice(self.hash.as_slice());
        out.extend_from_slice(self.batcher_hash.as_slice());
        if isthmus {
            out.extend_from_slice(&self.operator_fee_scalar.to_be_bytes());
            out.extend_from_slice(&self.operator_fee_constant.to_be_bytes());
        }
        out
    }

    /// Reads the call data of a deposit; the selector tells the format.
    ///
    /// # Errors
    /// [`L1AttributesError`] for anything that is not exactly one of the formats.
    pub fn decode(input: &[u8]) -> Result<Self, L1AttributesError> {
        let (isthmus, expected) = match input.first_chunk::<4>() {
            Some(&ECOTONE) => (false, ECOTONE_BYTES),
            Some(&ISTHMUS) => (true, ISTHMUS_BYTES),
            _ => {
                let selector = input.iter().take(4).copied().collect();
                return Err(L1AttributesError::Selector(selector));
            }
        };
        if input.len() != expected {
            return Err(L1AttributesError::Length { expected, got: input.len() });
        }
        let mut rest = Fields { bytes: input, at: 4 };
        let base_fee_scalar = u32::from_be_bytes(rest.take());
        let blob_base_fee_scalar = u32::from_be_bytes(rest.take());
        let sequence_number = u64::from_be_bytes(rest.take());
        let timestamp = u64::from_be_bytes(rest.take());
        let number = u64::from_be_bytes(rest.take());
        let base_fee = rest.fee("basefee")?;
        let blob_base_fee = rest.fee("blobBaseFee")?;
        let hash = B256::from(rest.take());
        let batcher_hash = B256::from(rest.take());
        let (operator_fee_scalar, operator_fee_constant) = if isthmus {
            (u32::from_be_bytes(rest.take()), u64::from_be_bytes(rest.take()))
        } else {
            (0, 0)
        };
        Ok(Self {
            number,
            timestamp,
            base_fee,
            hash,
            sequence_number,
            batcher_hash,
            blob_base_fee,
            base_fee_scalar,
            blob_base_fee_scalar,
            operator_fee_scalar,
            operator_fee_constant,
        })
    }

    /// The deposit transaction of a block at `fork` (Ecotone to Isthmus).
    pub fn deposit(&self, fork: OpHardfork) -> TxDeposit {
        TxDeposit {
            source_hash: self.source_hash(),
            from: L1_ATTRIBUTES_DEPOSITOR,
            to: TxKind::Call(L1_BLOCK),
            mint: 0,
            value: U256::ZERO,
            gas_limit: GAS_LIMIT,
            is_system_transaction: false,
            input: self.encode(fork).into(),
        }
    }

    /// What makes the deposit unique: the L1 block and the position among its rollup blocks.
    fn source_hash(&self) -> B256 {
        let sequence_number = B256::from(U256::from(self.sequence_number));
        let origin = keccak256([self.hash, sequence_number].concat());
        let domain = B256::from(U256::from(L1_ATTRIBUTES_DOMAIN));
        keccak256([domain, origin].concat())
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

    fn fee(&mut self, field: &'static str) -> Result<u128, L1AttributesError> {
        let got = U256::from_be_bytes(self.take::<32>());
        got.try_into().map_err(|_| L1AttributesError::Fee { field, got })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attributes() -> impl Strategy<Value = L1Attributes> {
        let block = (any::<u64>(), any::<u64>(), any::<u128>(), any::<[u8; 32]>());
        let fees = (any::<u128>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u64>());
        (block, fees, any::<u64>(), any::<[u8; 32]>()).prop_map(
            |(block, fees, sequence, batcher)| {
                let (number, timestamp, base_fee, hash) = block;
                let (blob_base_fee, base_fee_scalar, blob_base_fee_scalar, scalar, constant) = fees;
                L1Attributes {
                    number,
                    timestamp,
                    base_fee,
                    hash: hash.into(),
                    sequence_number: sequence,
                    batcher_hash: batcher.into(),
                    blob_base_fee,
                    base_fee_scalar,
                    blob_base_fee_scalar,
                    operator_fee_scalar: scalar,
                    operator_fee_constant: constant,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(attributes in attributes()) {
            let isthmus = attributes.encode(OpHardfork::Isthmus);
            prop_assert_eq!(L1Attributes::decode(&isthmus), Ok(attributes));
            let ecotone = attributes.encode(OpHardfork::Ecotone);
            let without =
                L1Attributes { operator_fee_scalar: 0, operator_fee_constant: 0, ..attributes };
            prop_assert_eq!(L1Attributes::decode(&ecotone), Ok(without));
        }

        #[test]
        fn whatever_is_decoded_encodes_to_the_same_bytes(mut input in proptest::collection::vec(any::<u8>(), 0..200), isthmus: bool) {
            let selector = if isthmus { ISTHMUS } else { ECOTONE };
            input.splice(..input.len().min(4), selector);
            let fork = if isthmus { OpHardfork::Isthmus } else { OpHardfork::Ecotone };
            if let Ok(attributes) = L1Attributes::decode(&input) {
                prop_assert_eq!(attributes.encode(fork), input);
            }
        }
    }

    #[test]
    fn every_other_length_is_refused() {
        let input = L1Attributes::default().encode(OpHardfork::Isthmus);
        for length in 4..input.len() {
            let expected = ISTHMUS_BYTES;
            let error = L1AttributesError::Length { expected, got: length };
            assert_eq!(L1Attributes::decode(&input[..length]), Err(error));
        }
        assert!(matches!(L1Attributes::decode(&[]), Err(L1AttributesError::Selector(_))));
    }

    #[test]
    fn a_fee_above_128_bits_is_named() {
        let mut input = L1Attributes::default().encode(OpHardfork::Ecotone);
        input[36] = 1;
        let error = L1Attributes::decode(&input).expect_err("the base fee is too large");
        assert!(matches!(error, L1AttributesError::Fee { field: "basefee", .. }), "{error}");
    }
}
