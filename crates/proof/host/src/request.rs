//! What a program says that it will need, in the words of ours and of other programs.

use crate::HostError;
use alloy_primitives::{Address, B256, Bytes, hex};
use lockstep_preimage::{Hint, HintError};
use std::fmt;

/// Something to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// What our program asks for.
    Hint(Hint),
    /// `l2-account-proof` of kona and op-program, which name the block by its number.
    AccountProof {
        /// The number of the rollup block in whose state the account is.
        block: u64,
        /// The account.
        address: Address,
    },
    /// `l2-account-storage-proof` of the same.
    StorageProof {
        /// The number of the rollup block in whose state the slot is.
        block: u64,
        /// The account.
        address: Address,
        /// The slot, unhashed.
        slot: B256,
    },
    /// `l2-payload-witness`: everything that the execution of a payload reads.
    PayloadWitness {
        /// The parent of the payload.
        parent: B256,
        /// Its attributes, as JSON.
        attributes: Bytes,
    },
}

impl Request {
    /// Reads a hint; `None` if it is of a kind that this host does not know, which is ignored.
    ///
    /// # Errors
    /// [`HostError::Hint`] if it is malformed.
    pub fn decode(hint: &[u8]) -> Result<Option<Self>, HostError> {
        if let Some(request) = Self::decode_foreign(hint) {
            return Ok(Some(request));
        }
        match Hint::decode(hint) {
            Ok(hint) => Ok(Some(Self::Hint(hint))),
            Err(HintError::Name(_)) => Ok(None),
            Err(error) => Err(HostError::Hint(error.to_string())),
        }
    }

    /// Reads hints in which other programs differ from ours: by a name, or by naming a block with
    /// its number.
    fn decode_foreign(hint: &[u8]) -> Option<Self> {
        let (name, fields) = std::str::from_utf8(hint).ok()?.split_once(' ')?;
        // op-program writes some fields as words of their own.
        let fields =
            fields.split(' ').map(hex::decode).collect::<Result<Vec<_>, _>>().ok()?.concat();
        match name {
            "starting-l2-output" => {
                Some(Self::Hint(Hint::L2Output(B256::try_from(fields.as_slice()).ok()?)))
            }
            "l1-precompile" => {
                let (address, rest) = fields.split_first_chunk::<20>()?;
                let (required_gas, input) = rest.split_first_chunk::<8>()?;
                Some(Self::Hint(Hint::L1Precompile {
                    address: address.into(),
                    required_gas: u64::from_be_bytes(*required_gas),
                    input: Bytes::copy_from_slice(input),
                }))
            }
            "l2-account-proof" if fields.len() == 28 => {
                let (block, address) = fields.split_first_chunk::<8>()?;
                let address = Address::try_from(address).ok()?;
                Some(Self::AccountProof { block: u64::from_be_bytes(*block), address })
            }
            "l2-account-storage-proof" if fields.len() == 60 => {
                let (block, rest) = fields.split_first_chunk::<8>()?;
                let (address, slot) = rest.split_first_chunk::<20>()?;
                let slot = B256::try_from(slot).ok()?;
                let block = u64::from_be_bytes(*block);
                Some(Self::StorageProof { block, address: address.into(), slot })
            }
            "l2-payload-witness" => {
                let (parent, attributes) = fields.split_first_chunk::<32>()?;
                let attributes = Bytes::copy_from_slice(attributes);
                Some(Self::PayloadWitness { parent: parent.into(), attributes })
            }
            _ => None,
        }
    }
}

/// The longest hint that is shown whole.
const MAX_SHOWN: usize = 160;

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hint(hint) => {
                let text = hint.encode();
                match text.char_indices().nth(MAX_SHOWN) {
                    None => f.write_str(&text),
                    Some((end, _)) => write!(f, "{}…", text.get(..end).unwrap_or_default()),
                }
            }
            Self::AccountProof { block, address } => {
                write!(f, "l2-account-proof of {address} at block {block}")
            }
            Self::StorageProof { block, address, slot } => {
                write!(f, "l2-account-storage-proof of {address}, slot {slot} at block {block}")
            }
            Self::PayloadWitness { parent, .. } => write!(f, "l2-payload-witness after {parent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(name: &str, fields: &[u8]) -> Result<Option<Request>, HostError> {
        Request::decode(format!("{name} {}", hex::encode_prefixed(fields)).as_bytes())
    }

    #[test]
    fn hints_of_other_programs_are_understood() {
        let (hash, address) = (B256::repeat_byte(1), Address::repeat_byte(2));
        let number = 7_u64.to_be_bytes();
        let known = |request: Result<Option<Request>, HostError>| request.unwrap().unwrap();

        let ours = Request::Hint(Hint::L2Output(hash));
        assert_eq!(known(decode("starting-l2-output", hash.as_slice())), ours);
        assert_eq!(known(decode("l2-output", hash.as_slice())), ours);

        let fields = [number.as_slice(), address.as_slice()].concat();
        let by_number = Request::AccountProof { block: 7, address };
        assert_eq!(known(decode("l2-account-proof", &fields)), by_number);
        let words = format!("l2-account-proof 0x{} {address}", hex::encode(number));
        assert_eq!(known(Request::decode(words.as_bytes())), by_number);
        let fields = [hash.as_slice(), address.as_slice()].concat();
        let by_hash = Request::Hint(Hint::L2AccountProof { block: hash, address });
        assert_eq!(known(decode("l2-account-proof", &fields)), by_hash);

        let fields = [number.as_slice(), address.as_slice(), hash.as_slice()].concat();
        let expected = Request::StorageProof { block: 7, address, slot: hash };
        assert_eq!(known(decode("l2-account-storage-proof", &fields)), expected);

        let fields = [address.as_slice(), &number, b"input"].concat();
        let input = Bytes::from_static(b"input");
        let expected = Request::Hint(Hint::L1Precompile { address, required_gas: 7, input });
        assert_eq!(known(decode("l1-precompile", &fields)), expected);
        assert_eq!(known(decode("l1-precompile-v2", &fields)), expected);

        let fields = [hash.as_slice(), b"{}"].concat();
        let attributes = Bytes::from_static(b"{}");
        let expected = Request::PayloadWitness { parent: hash, attributes };
        assert_eq!(known(decode("l2-payload-witness", &fields)), expected);
    }

    #[test]
    fn unknown_hints_are_ignored_and_malformed_ones_told() {
        assert_eq!(decode("l3-anything", &[1]).unwrap(), None);
        for malformed in ["", "l1-block-header", "l1-block-header 0x00", "l2-account-proof 0x0"] {
            let error = Request::decode(malformed.as_bytes());
            assert!(matches!(error, Err(HostError::Hint(_))), "{malformed}: {error:?}");
        }
        assert!(Request::decode(&[0xff; 100]).is_err());
    }
}
