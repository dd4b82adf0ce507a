//! What the rows of the static files say.

use crate::{RecoveredBlock, db::Malformed};
use alloy_consensus::{BlockBody, Eip2718DecodableReceipt, Eip2718EncodableReceipt};
use alloy_primitives::{Address, B256, Bloom, Bytes, Sealed};
use alloy_rlp::{Decodable, Encodable, Header};
use lockstep_chain::{Block, Chain};

/// The body of a block of chain `C`.
pub(super) type Body<C> = BlockBody<<C as Chain>::Transaction, <C as Chain>::Header>;

/// Decodes RLP with nothing behind it.
pub(super) fn decode_exact<T: Decodable>(bytes: &[u8]) -> Result<T, Malformed> {
    alloy_rlp::decode_exact(bytes).map_err(|_| "the RLP is malformed")
}

/// 20 bytes per sender.
pub(super) fn encode_senders(senders: &[Address]) -> Vec<u8> {
    senders.iter().flat_map(|sender| sender.0.0).collect()
}

/// Reads what [`encode_senders`] wrote.
pub(super) fn decode_senders(bytes: &[u8]) -> Result<Vec<Address>, Malformed> {
    let (senders, rest) = bytes.as_chunks::<20>();
    if rest.is_empty() {
        Ok(senders.iter().map(|sender| Address::new(*sender)).collect())
    } else {
        Err("the last sender is cut off")
    }
}

/// A byte string in RLP per receipt: its EIP-2718 form with an empty bloom, which compresses to
/// nothing and is computed when it is needed.
pub(super) fn encode_receipts<R: Eip2718EncodableReceipt>(receipts: &[R]) -> Vec<u8> {
    let mut out = Vec::new();
    for receipt in receipts {
        let mut encoded = Vec::new();
        receipt.eip2718_encode_with_bloom(&Bloom::ZERO, &mut encoded);
        Bytes::from(encoded).encode(&mut out);
    }
    out
}

/// Reads what [`encode_receipts`] wrote.
pub(super) fn decode_receipts<R: Eip2718DecodableReceipt>(
    mut bytes: &[u8],
) -> Result<Vec<R>, Malformed> {
    let mut receipts = Vec::new();
    while !bytes.is_empty() {
        let mut encoded =
            Header::decode_bytes(&mut bytes, false).map_err(|_| "a receipt is malformed")?;
        let receipt = match encoded.split_first() {
            Some((ty, rest)) if *ty < alloy_rlp::EMPTY_STRING_CODE => {
                encoded = rest;
                R::typed_decode_with_bloom(*ty, &mut encoded)
            }
            _ => R::fallback_decode_with_bloom(&mut encoded),
        };
        if !encoded.is_empty() {
            return Err("bytes follow a receipt");
        }
        receipts.push(receipt.map_err(|_| "a receipt is malformed")?.receipt);
    }
    Ok(receipts)
}

/// Puts a block together from its rows.
pub(super) fn assemble<C: Chain>(
    hash: B256,
    header: &[u8],
    body: &[u8],
    senders: &[u8],
) -> Result<RecoveredBlock<C>, Malformed> {
    let header: C::Header = decode_exact(header)?;
    let body: Body<C> = decode_exact(body)?;
    let senders = decode_senders(senders)?;
    if senders.len() != body.transactions.len() {
        return Err("there is not one sender per transaction");
    }
    let block = Sealed::new_unchecked(Block::<C>::new(header, body), hash);
    Ok(RecoveredBlock { block, senders })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{Eip658Value, Receipt, TxType};
    use alloy_primitives::{Log, bytes};
    use lockstep_chain::EthereumReceipt;
    use op_alloy_consensus::{OpDepositReceipt, OpReceipt};

    fn receipt(status: Eip658Value) -> Receipt {
        let topics = vec![B256::repeat_byte(2)];
        let log = Log::new_unchecked(Address::repeat_byte(1), topics, bytes!("abcd"));
        Receipt { status, cumulative_gas_used: 70_000, logs: vec![log] }
    }

    fn assert_comes_back<R>(receipts: Vec<R>)
    where
        R: Eip2718EncodableReceipt + Eip2718DecodableReceipt + PartialEq + core::fmt::Debug,
    {
        let encoded = encode_receipts(&receipts);
        for end in 1..encoded.len() {
            let cut = decode_receipts::<R>(&encoded[..end]);
            assert!(cut.is_err() || cut.is_ok_and(|cut| cut.len() < receipts.len()));
        }
        assert_eq!(decode_receipts(&encoded), Ok(receipts));
    }

    #[test]
    fn receipts_of_every_kind_come_back() {
        let statuses = [true.into(), false.into(), Eip658Value::PostState(B256::repeat_byte(3))];
        let types = [TxType::Legacy, TxType::Eip2930, TxType::Eip1559, TxType::Eip4844];
        let receipts = types.into_iter().flat_map(|tx_type| {
            statuses.map(|status| EthereumReceipt { tx_type, receipt: receipt(status) })
        });
        assert_comes_back(receipts.collect());

        let deposit = |deposit_nonce, deposit_receipt_version| {
            let inner = receipt(true.into());
            OpReceipt::Deposit(OpDepositReceipt { inner, deposit_nonce, deposit_receipt_version })
        };
        assert_comes_back(vec![
            OpReceipt::Legacy(receipt(true.into())),
            OpReceipt::Eip7702(receipt(false.into())),
            deposit(None, None),
            deposit(Some(4), None),
            deposit(Some(0), Some(1)),
        ]);
    }
}
