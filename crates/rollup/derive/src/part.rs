//! Parts of super transactions among the transactions of a block.

use alloc::vec::Vec;
use alloy_consensus::ReceiptEnvelope;
use alloy_primitives::Bytes;
use alloy_rlp::Header;
use lockstep_protocol::TRANSACTION_DEPOSITED_TOPIC;
use lockstep_union::PORT;
use op_alloy_consensus::{OpTxEnvelope, OpTxType};

/// Whether an encoded transaction is a deposit of the port: a part, which no L1 can deposit.
pub(crate) fn is_part(transaction: &Bytes) -> bool {
    let Some((&ty, mut rest)) = transaction.split_first() else { return false };
    let mut sender = || {
        let header = Header::decode(&mut rest).ok().filter(|header| header.list)?;
        let mut fields = rest.get(..header.payload_length)?;
        Header::decode_bytes(&mut fields, false).ok()?;
        Header::decode_bytes(&mut fields, false).ok()
    };
    ty == OpTxType::Deposit as u8 && sender() == Some(PORT.as_slice())
}

/// Whether a transaction of a block comes from its batch: it is no deposit, or a part.
pub(crate) fn is_sequenced(transaction: &OpTxEnvelope) -> bool {
    transaction.as_deposit().is_none_or(|deposit| deposit.from == PORT)
}

/// How many deposits from the port an L1 block announces. No account of L1 has its address; if one had,
/// its deposits would be left out, since they would be taken for parts.
pub(crate) fn port_deposits(
    receipts: &[ReceiptEnvelope],
    deposit_contract: alloy_primitives::Address,
) -> usize {
    let topics = [TRANSACTION_DEPOSITED_TOPIC, PORT.into_word()];
    let logs =
        receipts.iter().filter(|receipt| receipt.status()).flat_map(|receipt| receipt.logs());
    logs.filter(|log| log.address == deposit_contract && log.topics().starts_with(&topics)).count()
}

/// Puts parts into the transactions of a block, each before the transaction at its position.
pub(crate) fn insert_parts(transactions: Vec<Bytes>, parts: &[(u32, Bytes)]) -> Vec<Bytes> {
    let mut merged = Vec::with_capacity(transactions.len() + parts.len());
    let mut parts = parts.iter().peekable();
    for (position, transaction) in (0..).zip(transactions) {
        while let Some((_, part)) = parts.next_if(|(at, _)| *at <= position) {
            merged.push(part.clone());
        }
        merged.push(transaction);
    }
    merged.extend(parts.map(|(_, part)| part.clone()));
    merged
}
