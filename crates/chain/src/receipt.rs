//! Ethereum's receipt, with the status or post-state root of its time.

use alloc::vec::Vec;
use alloy_consensus::{
    Eip658Value, Eip2718DecodableReceipt, Eip2718EncodableReceipt, Receipt, ReceiptWithBloom,
    RlpDecodableReceipt, RlpEncodableReceipt, TxReceipt, TxType, Typed2718,
};
use alloy_eips::eip2718::{Eip2718Error, Eip2718Result};
use alloy_primitives::{Bloom, Log};
use alloy_rlp::{Buf, BufMut, Decodable, Header};

/// The receipt of an Ethereum transaction, without its bloom.
///
/// alloy's receipt of this name has no room for the post-state root that receipts carried before
/// Byzantium (EIP-658); this one covers every fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EthereumReceipt {
    /// The EIP-2718 type of the transaction.
    pub tx_type: TxType,
    /// Status or post-state root, cumulative gas used, and logs.
    pub receipt: Receipt,
}

impl TxReceipt for EthereumReceipt {
    type Log = Log;

    fn status_or_post_state(&self) -> Eip658Value {
        self.receipt.status
    }

    fn status(&self) -> bool {
        self.receipt.status()
    }

    fn bloom(&self) -> Bloom {
        self.receipt.bloom_slow()
    }

    fn cumulative_gas_used(&self) -> u64 {
        self.receipt.cumulative_gas_used
    }

    fn logs(&self) -> &[Log] {
        &self.receipt.logs
    }

    fn into_logs(self) -> Vec<Log> {
        self.receipt.logs
    }
}

impl Typed2718 for EthereumReceipt {
    fn ty(&self) -> u8 {
        self.tx_type.ty()
    }
}

impl Eip2718EncodableReceipt for EthereumReceipt {
    fn eip2718_encoded_length_with_bloom(&self, bloom: &Bloom) -> usize {
        let list = self.receipt.rlp_encoded_length_with_bloom(bloom);
        list + usize::from(self.tx_type != TxType::Legacy)
    }

    fn eip2718_encode_with_bloom(&self, bloom: &Bloom, out: &mut dyn BufMut) {
        if self.tx_type != TxType::Legacy {
            out.put_u8(self.tx_type.ty());
        }
        self.receipt.rlp_encode_with_bloom(bloom, out);
    }
}

impl Eip2718DecodableReceipt for EthereumReceipt {
    fn typed_decode_with_bloom(ty: u8, buf: &mut &[u8]) -> Eip2718Result<ReceiptWithBloom<Self>> {
        let tx_type = match TxType::try_from(ty) {
            Ok(TxType::Legacy) | Err(_) => return Err(Eip2718Error::UnexpectedType(ty)),
            Ok(tx_type) => tx_type,
        };
        Ok(Receipt::rlp_decode_with_bloom(buf)?.map_receipt(|receipt| Self { tx_type, receipt }))
    }

    fn fallback_decode_with_bloom(buf: &mut &[u8]) -> Eip2718Result<ReceiptWithBloom<Self>> {
        Ok(Receipt::rlp_decode_with_bloom(buf)?
            .map_receipt(|receipt| Self { tx_type: TxType::Legacy, receipt }))
    }
}

/// The network form: a list for legacy receipts, a byte string around the typed form otherwise.
impl RlpEncodableReceipt for EthereumReceipt {
    fn rlp_encoded_length_with_bloom(&self, bloom: &Bloom) -> usize {
        let payload_length = self.eip2718_encoded_length_with_bloom(bloom);
        if self.tx_type == TxType::Legacy {
            return payload_length;
        }
        Header { list: false, payload_length }.length_with_payload()
    }

    fn rlp_encode_with_bloom(&self, bloom: &Bloom, out: &mut dyn BufMut) {
        if self.tx_type != TxType::Legacy {
            let payload_length = self.eip2718_encoded_length_with_bloom(bloom);
            Header { list: false, payload_length }.encode(out);
        }
        self.eip2718_encode_with_bloom(bloom, out);
    }
}

impl RlpDecodableReceipt for EthereumReceipt {
    fn rlp_decode_with_bloom(buf: &mut &[u8]) -> alloy_rlp::Result<ReceiptWithBloom<Self>> {
        let mut rest = *buf;
        let header = Header::decode(&mut rest)?;
        if header.list {
            return Ok(Self::fallback_decode_with_bloom(buf)?);
        }
        let mut payload = Header::decode_bytes(buf, false)?;
        if payload.is_empty() {
            return Err(alloy_rlp::Error::InputTooShort);
        }
        let ty = payload.get_u8();
        let receipt = Self::typed_decode_with_bloom(ty, &mut payload)?;
        if payload.is_empty() { Ok(receipt) } else { Err(alloy_rlp::Error::UnexpectedLength) }
    }
}

/// Decodes the network form of a receipt together with its bloom.
impl Decodable for EthereumReceipt {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        Ok(Self::rlp_decode_with_bloom(buf)?.receipt)
    }
}
