//! Blocks, receipts and transactions from bytes, as a peer sends them: nothing panics, and a block decodes from
//! nothing but its own encoding.
//!
//! Input: one byte that chooses the fork, then RLP.

#![no_main]

use alloy_consensus::{
    Header, ReceiptWithBloom, RlpDecodableReceipt, RlpEncodableReceipt, Sealable,
    transaction::SignerRecoverable,
};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::U256;
use alloy_rlp::{Decodable, Encodable};
use libfuzzer_sys::fuzz_target;
use lockstep_chain::{
    Ancestor, Block, Chain, Ethereum, EthereumHardfork, EthereumReceipt, EthereumTransaction,
    FeeParams, ForkSchedule, OpHardfork, Rollup, decode_block, forks::merge_at,
    signer::recover_encoded,
};

fuzz_target!(|input: &[u8]| {
    let Some((choice, rlp)) = input.split_first() else { return };
    let choice = usize::from(*choice);

    let forks = EthereumHardfork::VARIANTS;
    let mut schedule = ForkSchedule::<EthereumHardfork>::at(forks[choice % forks.len()]);
    if choice >= 128 {
        schedule = schedule.with(EthereumHardfork::Paris, merge_at(U256::from(1_u64 << 20)));
    }
    let ethereum = Ethereum::new(1, schedule);
    if let Some(block) = decode::<Ethereum>(rlp) {
        judge(&ethereum, &block);
        judge_ommers(&ethereum, &block);
    }

    let forks = OpHardfork::VARIANTS;
    let schedule = ForkSchedule::<OpHardfork>::at(forks[choice % forks.len()]);
    let rollup = Rollup::new(10, schedule, FeeParams::OP_MAINNET);
    if let Some(block) = decode::<Rollup>(rlp) {
        judge(&rollup, &block);
    }

    receipt(rlp);
    transaction(rlp);
});

/// A block as alloy decodes it, which is strict only in [`decode_block`].
fn decode<C: Chain>(rlp: &[u8]) -> Option<Block<C>> {
    let strict = decode_block::<C>(rlp);
    let block = Block::<C>::decode(&mut &*rlp).ok()?;
    let encoded = alloy_rlp::encode(&block);
    assert_eq!(block.length(), encoded.len());
    assert_eq!(decode_block::<C>(&encoded).as_ref(), Ok(&block));
    match strict {
        Ok(strict) => assert_eq!((&strict, &encoded[..]), (&block, rlp)),
        Err(_) => assert_ne!(encoded, rlp, "a canonical encoding is refused"),
    }
    Some(block)
}

fn judge<C: Chain<Header = Header>>(chain: &C, block: &Block<C>) {
    let header = &block.header;
    let _ = chain.validate_header(header);
    let _ = chain.validate_body(block);
    if let Ok(senders) = chain.recover_senders(block) {
        assert_eq!(senders.len(), block.body.transactions.len());
    }
    let _ = chain.next_base_fee(header, header.timestamp.saturating_add(12));

    // The first ommer serves as a parent that the input chooses; the header's own as one that is near.
    let near = Header { number: header.number.wrapping_sub(1), ..header.clone() };
    for parent in block.body.ommers.iter().take(1).chain([&near]) {
        let parent = parent.clone().seal_slow();
        for total_difficulty in [None, Some(U256::ZERO), Some(U256::MAX)] {
            let _ = chain.validate_header_against_parent(header, &parent, total_difficulty);
            let child = Header { parent_hash: parent.hash(), ..header.clone() };
            let _ = chain.validate_header_against_parent(&child, &parent, total_difficulty);
        }
    }
}

fn judge_ommers(chain: &Ethereum, block: &Block<Ethereum>) {
    let _ = chain.next_difficulty(&block.header, block.header.timestamp.saturating_add(1));
    let _ = chain.validate_ommers(block, &[]);
    let ancestor =
        |header: &Header| Ancestor { header: header.clone().seal_slow(), ommers: Vec::new() };
    let ancestors: Vec<_> =
        [&block.header].into_iter().chain(&block.body.ommers).map(ancestor).collect();
    let _ = chain.validate_ommers(block, &ancestors);
}

fn receipt(rlp: &[u8]) {
    let mut rest = rlp;
    let Ok(receipt) = EthereumReceipt::rlp_decode_with_bloom(&mut rest) else { return };
    let ReceiptWithBloom { receipt, logs_bloom } = receipt;
    let mut encoded = Vec::new();
    receipt.rlp_encode_with_bloom(&logs_bloom, &mut encoded);
    assert_eq!(encoded, rlp[..rlp.len() - rest.len()], "a receipt that encodes to other bytes");
    assert_eq!(receipt.rlp_encoded_length_with_bloom(&logs_bloom), encoded.len());
}

/// Both ways to the signer of an encoded transaction agree.
fn transaction(encoded: &[u8]) {
    for allows_high_s in [true, false] {
        let signed = recover_encoded(encoded, allows_high_s);
        let mut rest = encoded;
        let Ok(transaction) = EthereumTransaction::decode_2718(&mut rest) else { continue };
        if !rest.is_empty() {
            continue;
        }
        let signer = if allows_high_s {
            transaction.recover_signer_unchecked()
        } else {
            transaction.recover_signer()
        };
        assert_eq!(
            transaction.encoded_2718(),
            encoded,
            "a transaction that encodes to other bytes"
        );
        assert_eq!(signed.as_ref().map(|signed| signed.signer).ok(), signer.ok());
        if let Ok(signed) = signed {
            assert_eq!(signed.hash, *transaction.tx_hash());
        }
    }
}
