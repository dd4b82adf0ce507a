//! What is about to be asked for.

use alloc::{format, string::String, vec::Vec};
use alloy_primitives::{Address, B256, Bytes, hex};

/// What is about to be asked for, so that whoever answers can fetch it. Nothing depends on a hint but
/// whether the answer can come: an oracle that has everything ignores them.
///
/// Over a pipe a hint is `<name> 0x<hexadecimal fields>`; numbers are big-endian.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hint {
    /// `l1-block-header`: the header of the L1 block with this hash.
    L1Header(B256),
    /// `l1-transactions`: the trie of its transactions.
    L1Transactions(B256),
    /// `l1-receipts`: the trie of its receipts.
    L1Receipts(B256),
    /// `l1-blob`: the commitment, all field elements, and the proof of a blob.
    L1Blob {
        /// Its versioned hash.
        hash: B256,
        /// Its place among the blobs of the L1 block.
        index: u64,
        /// When the L1 block was made, in seconds.
        timestamp: u64,
    },
    /// `l1-precompile-v2`: what a precompiled contract answers.
    L1Precompile {
        /// The contract.
        address: Address,
        /// What it costs.
        required_gas: u64,
        /// What it is given.
        input: Bytes,
    },
    /// `l2-block-header`: the header of the rollup block with this hash.
    L2Header(B256),
    /// `l2-transactions`: the trie of its transactions.
    L2Transactions(B256),
    /// `l2-output`: what the output root is the hash of.
    L2Output(B256),
    /// `l2-code`: the code of a contract, by its hash.
    L2Code(B256),
    /// `l2-state-node`: a node of the state or of a storage, by its hash.
    L2StateNode(B256),
    /// `l2-account-proof`: the nodes on the path to an account.
    L2AccountProof {
        /// The hash of the rollup block in whose state it is.
        block: B256,
        /// The account.
        address: Address,
    },
    /// `l2-account-storage-proof`: the nodes on the path to a slot.
    L2StorageProof {
        /// The hash of the rollup block in whose state it is.
        block: B256,
        /// The account.
        address: Address,
        /// The slot, unhashed.
        slot: B256,
    },
    /// `l2-block-witness`: everything that the execution of the child of this rollup block reads.
    /// Lockstep's own: `l2-payload-witness` of other programs carries the payload's attributes.
    L2BlockWitness(B256),
}

/// Why bytes are not a hint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HintError {
    /// The name is not known. Whoever reads hints can ignore it.
    #[error("the hint `{0}` is not known")]
    Name(String),
    /// It is not text of the form `<name> 0x<hexadecimal>`.
    #[error("the hint is not `<name> 0x<hexadecimal>`")]
    Form,
    /// The fields have another length.
    #[error("the hint `{name}` has {got} bytes of fields, expected {expected}")]
    Length {
        /// The name of the hint.
        name: String,
        /// The bytes that its fields take, or take at least.
        expected: usize,
        /// The bytes found.
        got: usize,
    },
}

/// The longest name that an error repeats.
const MAX_NAME_BYTES: usize = 64;

impl Hint {
    /// The name, and the fields one after the other.
    fn parts(&self) -> (&'static str, Vec<u8>) {
        match self {
            Self::L1Header(hash) => ("l1-block-header", hash.to_vec()),
            Self::L1Transactions(hash) => ("l1-transactions", hash.to_vec()),
            Self::L1Receipts(hash) => ("l1-receipts", hash.to_vec()),
            Self::L1Blob { hash, index, timestamp } => {
                let fields = [hash.as_slice(), &index.to_be_bytes(), &timestamp.to_be_bytes()];
                ("l1-blob", fields.concat())
            }
            Self::L1Precompile { address, required_gas, input } => {
                let fields = [address.as_slice(), &required_gas.to_be_bytes(), input];
                ("l1-precompile-v2", fields.concat())
            }
            Self::L2Header(hash) => ("l2-block-header", hash.to_vec()),
            Self::L2Transactions(hash) => ("l2-transactions", hash.to_vec()),
            Self::L2Output(root) => ("l2-output", root.to_vec()),
            Self::L2Code(hash) => ("l2-code", hash.to_vec()),
            Self::L2StateNode(hash) => ("l2-state-node", hash.to_vec()),
            Self::L2AccountProof { block, address } => {
                ("l2-account-proof", [block.as_slice(), address.as_slice()].concat())
            }
            Self::L2StorageProof { block, address, slot } => {
                let fields = [block.as_slice(), address.as_slice(), slot.as_slice()];
                ("l2-account-storage-proof", fields.concat())
            }
            Self::L2BlockWitness(parent) => ("l2-block-witness", parent.to_vec()),
        }
    }

    /// The hint as it goes over a pipe.
    pub fn encode(&self) -> String {
        let (name, fields) = self.parts();
        format!("{name} {}", hex::encode_prefixed(fields))
    }

    /// Reads a hint.
    ///
    /// # Errors
    /// [`HintError`] for anything that [`Self::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, HintError> {
        let text = core::str::from_utf8(bytes).map_err(|_| HintError::Form)?;
        let (name, fields) = text.split_once(' ').ok_or(HintError::Form)?;
        let fields = fields.strip_prefix("0x").ok_or(HintError::Form)?;
        if fields.starts_with("0x") || fields.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(HintError::Form);
        }
        let fields = hex::decode(fields).map_err(|_| HintError::Form)?;
        Self::from_parts(name, &fields)
    }

    fn from_parts(name: &str, fields: &[u8]) -> Result<Self, HintError> {
        let mut rest = Fields { name, all: fields, at: 0 };
        let hint = match name {
            "l1-block-header" => Self::L1Header(rest.hash()?),
            "l1-transactions" => Self::L1Transactions(rest.hash()?),
            "l1-receipts" => Self::L1Receipts(rest.hash()?),
            "l1-blob" => {
                let hash = rest.hash()?;
                Self::L1Blob { hash, index: rest.number()?, timestamp: rest.number()? }
            }
            "l1-precompile-v2" => Self::L1Precompile {
                address: rest.take()?.into(),
                required_gas: rest.number()?,
                input: rest.remaining(),
            },
            "l2-block-header" => Self::L2Header(rest.hash()?),
            "l2-transactions" => Self::L2Transactions(rest.hash()?),
            "l2-output" => Self::L2Output(rest.hash()?),
            "l2-code" => Self::L2Code(rest.hash()?),
            "l2-state-node" => Self::L2StateNode(rest.hash()?),
            "l2-account-proof" => {
                Self::L2AccountProof { block: rest.hash()?, address: rest.take()?.into() }
            }
            "l2-account-storage-proof" => Self::L2StorageProof {
                block: rest.hash()?,
                address: rest.take()?.into(),
                slot: rest.hash()?,
            },
            "l2-block-witness" => Self::L2BlockWitness(rest.hash()?),
            _ => return Err(HintError::Name(name.chars().take(MAX_NAME_BYTES).collect())),
        };
        rest.finish()?;
        Ok(hint)
    }
}

/// Takes fields of fixed size off the front.
struct Fields<'a> {
    name: &'a str,
    all: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn length_error(&self, expected: usize) -> HintError {
        HintError::Length { name: self.name.into(), expected, got: self.all.len() }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], HintError> {
        let field = self.all.get(self.at..).and_then(<[u8]>::first_chunk).copied();
        self.at += N;
        field.ok_or_else(|| self.length_error(self.at))
    }

    fn hash(&mut self) -> Result<B256, HintError> {
        self.take().map(B256::from)
    }

    fn number(&mut self) -> Result<u64, HintError> {
        self.take().map(u64::from_be_bytes)
    }

    fn remaining(&mut self) -> Bytes {
        let rest = self.all.get(self.at..).unwrap_or_default();
        self.at = self.all.len();
        Bytes::copy_from_slice(rest)
    }

    fn finish(self) -> Result<(), HintError> {
        if self.at == self.all.len() { Ok(()) } else { Err(self.length_error(self.at)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hints() -> impl Strategy<Value = Hint> {
        let parts = (any::<[u8; 32]>(), any::<[u8; 20]>(), any::<[u8; 32]>(), any::<(u64, u64)>());
        let input = prop::collection::vec(any::<u8>(), 0..100);
        (parts, input, 0..13_u8).prop_map(|((hash, address, slot, (one, two)), input, kind)| {
            let (hash, address, slot) = (B256::from(hash), Address::from(address), slot.into());
            match kind {
                0 => Hint::L1Header(hash),
                1 => Hint::L1Transactions(hash),
                2 => Hint::L1Receipts(hash),
                3 => Hint::L1Blob { hash, index: one, timestamp: two },
                4 => Hint::L1Precompile { address, required_gas: one, input: input.into() },
                5 => Hint::L2Header(hash),
                6 => Hint::L2Transactions(hash),
                7 => Hint::L2Output(hash),
                8 => Hint::L2Code(hash),
                9 => Hint::L2StateNode(hash),
                10 => Hint::L2AccountProof { block: hash, address },
                11 => Hint::L2StorageProof { block: hash, address, slot },
                _ => Hint::L2BlockWitness(hash),
            }
        })
    }

    proptest! {
        #[test]
        fn a_hint_is_read_as_it_was_written(hint in hints()) {
            prop_assert_eq!(Hint::decode(hint.encode().as_bytes()), Ok(hint));
        }

        #[test]
        fn a_cut_or_lengthened_hint_is_refused(hint in hints(), cut in 1_usize..40) {
            let text = hint.encode();
            let shorter = &text.as_bytes()[..text.len().saturating_sub(cut)];
            if !matches!(hint, Hint::L1Precompile { .. }) {
                prop_assert!(Hint::decode(shorter).is_err());
                let longer = [text.as_bytes(), b"00"].concat();
                prop_assert!(Hint::decode(&longer).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_whole_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(hint) = Hint::decode(&bytes) {
                prop_assert_eq!(hint.encode().into_bytes(), bytes);
            }
        }
    }

    #[test]
    fn malformed_hints_say_what_is_wrong() {
        let known = Hint::L1Header(B256::ZERO).encode();
        let long_name = "x".repeat(1000);
        let cases: [(&str, HintError); 7] = [
            ("", HintError::Form),
            ("l1-block-header", HintError::Form),
            ("l1-block-header zz", HintError::Form),
            ("l1-block-header 0x0", HintError::Form),
            ("l9 0x", HintError::Name("l9".into())),
            (
                "l2-account-proof 0x00",
                HintError::Length { name: "l2-account-proof".into(), expected: 32, got: 1 },
            ),
            (&format!("{long_name} 0x"), HintError::Name("x".repeat(MAX_NAME_BYTES))),
        ];
        for (text, error) in cases {
            assert_eq!(Hint::decode(text.as_bytes()), Err(error), "{text}");
        }
        assert_eq!(Hint::decode(&[0xff]), Err(HintError::Form));
        assert_eq!(Hint::decode(known.to_uppercase().as_bytes()), Err(HintError::Form));
    }
}
