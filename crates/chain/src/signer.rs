//! Who signed an encoded transaction, and its hash, without a look at most of its fields.
//!
//! The signature covers the fields as they are encoded, so that neither a type that can hold
//! them nor a copy of them is needed: what a peer or user sends is known by hash and sender before
//! it is decoded, and even if a field is larger than any transaction in a block can have.

use alloc::vec::Vec;
use alloy_consensus::crypto::secp256k1::{recover_signer, recover_signer_unchecked};
use alloy_primitives::{Address, B256, Signature, U256, keccak256};
use alloy_rlp::{EMPTY_STRING_CODE, Encodable, Header};

/// No type of transaction has more fields.
pub const MAX_FIELDS: usize = 16;

/// An encoded transaction's hash and signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The transaction hash.
    pub hash: B256,
    /// Who signed it.
    pub signer: Address,
}

/// Why an encoded transaction has no signer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// The encoding is malformed.
    #[error("malformed transaction: {0}")]
    Rlp(#[from] alloy_rlp::Error),
    /// The list has too few or too many fields.
    #[error("a transaction of {fields} fields; it has 3 to {MAX_FIELDS}")]
    Fields {
        /// Fields found (counting stops past the limit).
        fields: usize,
    },
    /// `v` or `yParity` has no meaning.
    #[error("signature field `v` is {0}")]
    Parity(U256),
    /// The signature recovers to no address, or is malleable where it must not be (EIP-2).
    #[error("the signature recovers to no address")]
    Recovery,
}

/// The hash and the signer of an EIP-2718 encoded transaction.
///
/// `allows_high_s` before Homestead (EIP-2).
///
/// # Errors
/// [`SignerError`], with the field at fault.
pub fn recover_encoded(encoded: &[u8], allows_high_s: bool) -> Result<Signed, SignerError> {
    let (ty, mut list) = match encoded.split_first() {
        Some((ty, list)) if *ty < EMPTY_STRING_CODE => (Some(*ty), list),
        _ => (None, encoded),
    };
    let fields = split_fields(&mut list)?;
    let [unsigned @ .., v, r, s] = fields.as_slice() else {
        return Err(SignerError::Fields { fields: fields.len() });
    };
    let integer = |field: &&[u8]| alloy_rlp::decode_exact::<U256>(field);
    let (v, r, s) = (integer(v)?, integer(r)?, integer(s)?);
    let (odd_y, chain_id) = match ty {
        Some(_) => (parity(v, U256::ZERO)?, None),
        None if v < U256::from(35) => (parity(v, U256::from(27))?, None),
        // EIP-155: v = 35 + 2 * chain id + parity.
        None => ((v - U256::from(35)).bit(0), Some((v - U256::from(35)) >> 1)),
    };
    let signature = Signature::new(r, s, odd_y);
    let hash = signing_hash(ty, unsigned, chain_id);
    let recover = if allows_high_s { recover_signer_unchecked } else { recover_signer };
    let signer = recover(&signature, hash).map_err(|_| SignerError::Recovery)?;
    Ok(Signed { hash: keccak256(encoded), signer })
}

/// The fields of an RLP list, each as it is encoded.
///
/// # Errors
/// [`SignerError::Rlp`] if it is no list, or bytes follow; [`SignerError::Fields`] beyond
/// [`MAX_FIELDS`].
pub fn split_fields<'a>(list: &mut &'a [u8]) -> Result<Vec<&'a [u8]>, SignerError> {
    let mut payload = Header::decode_bytes(list, true)?;
    if !list.is_empty() {
        return Err(alloy_rlp::Error::UnexpectedLength.into());
    }
    let mut fields = Vec::with_capacity(MAX_FIELDS);
    while !payload.is_empty() {
        if fields.len() == MAX_FIELDS {
            return Err(SignerError::Fields { fields: MAX_FIELDS + 1 });
        }
        let mut rest = payload;
        let header = Header::decode(&mut rest)?;
        let length = payload.len() - rest.len() + header.payload_length;
        let (field, after) =
            payload.split_at_checked(length).ok_or(alloy_rlp::Error::InputTooShort)?;
        fields.push(field);
        payload = after;
    }
    Ok(fields)
}

fn parity(v: U256, base: U256) -> Result<bool, SignerError> {
    match v.checked_sub(base).map(u64::try_from) {
        Some(Ok(0)) => Ok(false),
        Some(Ok(1)) => Ok(true),
        _ => Err(SignerError::Parity(v)),
    }
}

/// What was signed: the fields without the signature, and with the chain id of EIP-155.
fn signing_hash(ty: Option<u8>, fields: &[&[u8]], chain_id: Option<U256>) -> B256 {
    let mut payload = fields.concat();
    if let Some(chain_id) = chain_id {
        chain_id.encode(&mut payload);
        payload.extend_from_slice(&[EMPTY_STRING_CODE; 2]);
    }
    let mut signed = Vec::with_capacity(payload.len() + 10);
    signed.extend(ty);
    Header { list: true, payload_length: payload.len() }.encode(&mut signed);
    signed.extend_from_slice(&payload);
    keccak256(signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EthereumTransaction;
    use alloy_consensus::{
        SignableTransaction, TxEip1559, TxLegacy, transaction::SignerRecoverable,
    };
    use alloy_eips::eip2718::Encodable2718;
    use proptest::prelude::*;

    proptest! {
        /// Any signature recovers to somebody, or to nobody, whoever recovers it.
        #[test]
        fn agrees_with_the_decoded_transaction(
            r in 1..u64::MAX,
            s in 1..u64::MAX,
            odd_y: bool,
            chain_id in proptest::option::of(0..u64::from(u32::MAX)),
            nonce: u64,
            input: [u8; 7],
        ) {
            let signature = Signature::new(U256::from(r), U256::from(s), odd_y);
            let legacy =
                TxLegacy { chain_id, nonce, input: input.to_vec().into(), ..Default::default() };
            let dynamic = TxEip1559 {
                chain_id: chain_id.unwrap_or_default(),
                nonce,
                input: input.to_vec().into(),
                ..Default::default()
            };
            for tx in [
                EthereumTransaction::Legacy(legacy.into_signed(signature)),
                EthereumTransaction::Eip1559(dynamic.into_signed(signature)),
            ] {
                let got = recover_encoded(&tx.encoded_2718(), false).ok();
                let signer = tx.recover_signer().ok();
                prop_assert_eq!(got.map(|signed| signed.signer), signer);
                prop_assert!(got.is_none_or(|signed| signed.hash == *tx.tx_hash()));
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = recover_encoded(&bytes, true);
        }
    }

    #[test]
    fn too_many_fields_are_refused() {
        let mut encoded = alloc::vec![0xc0 + 17];
        encoded.extend([1; 17]);
        assert_eq!(recover_encoded(&encoded, true), Err(SignerError::Fields { fields: 17 }));
    }
}
