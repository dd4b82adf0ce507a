//! Parts of super transactions among the transactions of a block.

use alloc::vec::Vec;
use alloy_consensus::ReceiptEnvelope;
use alloy_primitives::{Address, Bytes};
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
pub(crate) fn port_deposits(receipts: &[ReceiptEnvelope], deposit_contract: Address) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloy_eips::eip2718::Encodable2718;
    use lockstep_union::{GATE, Part, SuperId, part_transaction};
    use op_alloy_consensus::TxDeposit;

    fn part() -> Part {
        let id = SuperId { slot: 9, index: 4 };
        Part { id, home: 1_001, origin: Address::repeat_byte(0xaa), gas_limit: 0, steps: vec![] }
    }

    #[test]
    fn parts_are_told_from_other_transactions() {
        let deposit = part_transaction(&part(), 1_001);
        let encoded = Bytes::from(deposit.encoded_2718());
        assert!(is_part(&encoded));
        assert!(is_sequenced(&deposit.clone().into()));
        for from in [Address::ZERO, GATE] {
            let other = TxDeposit { from, ..deposit.clone() };
            assert!(!is_part(&other.encoded_2718().into()));
            assert!(!is_sequenced(&other.into()));
        }
        let mut other_type = encoded.to_vec();
        other_type[0] = 0x02;
        assert!(!is_part(&other_type.into()));
        for length in 0..encoded.len() {
            let _no_panic = is_part(&encoded.slice(..length));
        }
    }

    #[test]
    fn parts_stand_before_the_transaction_at_their_position() {
        let bytes = |byte: u8| Bytes::from(vec![byte]);
        let merge = |count: u8, parts: &[(u32, u8)]| {
            let parts: Vec<_> = parts.iter().map(|(at, byte)| (*at, bytes(*byte))).collect();
            insert_parts((0..count).map(bytes).collect(), &parts).concat()
        };
        assert_eq!(merge(2, &[]), [0, 1]);
        assert_eq!(merge(0, &[(0, 8), (0, 9)]), [8, 9]);
        assert_eq!(merge(2, &[(0, 7), (1, 8), (1, 9), (2, 10)]), [7, 0, 8, 9, 1, 10]);
    }
}
