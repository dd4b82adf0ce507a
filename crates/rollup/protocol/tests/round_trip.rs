//! What was encoded is decoded, for every format and every kind of content.

#![allow(clippy::indexing_slicing, reason = "a test may stop at the unexpected")]

mod common;

use alloy_consensus::{
    Receipt, ReceiptEnvelope, ReceiptWithBloom, SignableTransaction, TxEip1559, TxEip2930,
    TxEip7702, TxLegacy,
};
use alloy_eips::{
    eip2718::{Decodable2718, Encodable2718},
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, Log, Signature, TxKind, U256};
use common::{address, bytes, config, hash, word};
use lockstep_protocol::{
    Batch, BatchReader, BlockInfo, Channel, Compression, DepositSource, Frame, OutputRoot,
    RawSpanBatch, RollupConfig, SingleBatch, SpanBatch, SpanBatchBlock, SystemConfig,
    SystemConfigUpdate, Withdrawal, compress_channel, decode_blob, deposit_from_log, deposit_log,
    deposits_from_receipts, encode_blob, encode_frames, parse_frames, put_batch,
};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use proptest::{collection::vec, option, prelude::*, sample::Index};

const CHAIN_ID: u64 = 901;

fn frame() -> impl Strategy<Value = Frame> {
    (any::<[u8; 16]>(), any::<u16>(), bytes(300), any::<bool>()).prop_map(
        |(channel, number, data, is_last)| Frame { channel: channel.into(), number, data, is_last },
    )
}

fn signature() -> impl Strategy<Value = Signature> {
    (word(), word(), any::<bool>()).prop_map(|(r, s, parity)| Signature::new(r, s, parity))
}

fn access_list() -> impl Strategy<Value = AccessList> {
    let item = (address(), vec(hash(), 0..3))
        .prop_map(|(address, storage_keys)| AccessListItem { address, storage_keys });
    vec(item, 0..3).prop_map(AccessList)
}

fn authorization() -> impl Strategy<Value = SignedAuthorization> {
    (word(), address(), any::<u64>(), any::<u8>(), word(), word()).prop_map(
        |(chain_id, address, nonce, parity, r, s)| {
            let inner = Authorization { chain_id, address, nonce };
            SignedAuthorization::new_unchecked(inner, parity, r, s)
        },
    )
}

/// A transaction of every type that batches carry, valid but for its signature.
fn transaction() -> impl Strategy<Value = Bytes> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u128>(), any::<u128>());
    let content = (option::of(address()), word(), bytes(80), access_list());
    let rest = (vec(authorization(), 0..3), any::<bool>(), signature(), 0..4_u8);
    (numbers, content, rest).prop_map(|(numbers, content, rest)| {
        let (nonce, gas_limit, fee, tip) = numbers;
        let (recipient, value, input, access_list) = content;
        let (authorization_list, is_protected, signature, ty) = rest;
        let to = recipient.map_or(TxKind::Create, TxKind::Call);
        let chain_id = CHAIN_ID;
        match ty {
            0 => TxLegacy {
                chain_id: is_protected.then_some(chain_id),
                nonce,
                gas_price: fee,
                gas_limit,
                to,
                value,
                input,
            }
            .into_signed(signature)
            .encoded_2718(),
            1 => TxEip2930 {
                chain_id,
                nonce,
                gas_price: fee,
                gas_limit,
                to,
                value,
                access_list,
                input,
            }
            .into_signed(signature)
            .encoded_2718(),
            2 => TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: fee,
                max_priority_fee_per_gas: tip,
                to,
                value,
                access_list,
                input,
            }
            .into_signed(signature)
            .encoded_2718(),
            _ => TxEip7702 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: fee,
                max_priority_fee_per_gas: tip,
                to: recipient.unwrap_or_default(),
                value,
                access_list,
                authorization_list,
                input,
            }
            .into_signed(signature)
            .encoded_2718(),
        }
        .into()
    })
}

fn span() -> impl Strategy<Value = SpanBatch> {
    let first = (any::<u32>(), any::<u64>(), any::<[u8; 20]>(), any::<[u8; 20]>(), any::<bool>());
    let blocks = vec((any::<bool>(), vec(transaction(), 0..4)), 1..20);
    (first, blocks).prop_map(|(first, blocks)| {
        let (time, epoch, parent_check, l1_origin_check, starts_epoch) = first;
        let config = config();
        let mut epoch_num = epoch;
        let blocks = blocks.into_iter().enumerate().map(|(index, (is_next, transactions))| {
            epoch_num = epoch_num.wrapping_add(u64::from(is_next && index > 0));
            let passed = u64::from(time) + config.block_time * index as u64;
            SpanBatchBlock { timestamp: config.genesis.l2_time + passed, epoch_num, transactions }
        });
        SpanBatch {
            parent_check: parent_check.into(),
            l1_origin_check: l1_origin_check.into(),
            starts_epoch,
            blocks: blocks.collect(),
        }
    })
}

fn single() -> impl Strategy<Value = SingleBatch> {
    let transactions = vec(prop_oneof![bytes(200), transaction()], 0..6);
    (hash(), any::<u64>(), hash(), any::<u64>(), transactions).prop_map(
        |(parent_hash, epoch_num, epoch_hash, timestamp, transactions)| SingleBatch {
            parent_hash,
            epoch_num,
            epoch_hash,
            timestamp,
            transactions,
        },
    )
}

fn deposit() -> impl Strategy<Value = TxDeposit> {
    let sums = (any::<u128>(), word(), any::<u64>());
    (address(), option::of(address()), sums, bytes(200)).prop_map(|(from, to, sums, input)| {
        TxDeposit {
            source_hash: B256::ZERO,
            from,
            to: to.map_or(TxKind::Create, TxKind::Call),
            mint: sums.0,
            value: sums.1,
            gas_limit: sums.2,
            is_system_transaction: false,
            input,
        }
    })
}

fn update() -> impl Strategy<Value = SystemConfigUpdate> {
    use SystemConfigUpdate as U;
    prop_oneof![
        address().prop_map(U::Batcher),
        (word(), word()).prop_map(|(overhead, scalar)| U::GasConfig { overhead, scalar }),
        any::<u64>().prop_map(U::GasLimit),
        option::of(address()).prop_map(U::UnsafeBlockSigner),
        (1_u32.., any::<u32>())
            .prop_map(|(denominator, elasticity)| U::Eip1559 { denominator, elasticity }),
        Just(U::Eip1559 { denominator: 0, elasticity: 0 }),
        any::<(u32, u64)>().prop_map(|(scalar, constant)| U::OperatorFee { scalar, constant }),
        any::<u64>().prop_map(U::MinBaseFee),
        any::<u16>().prop_map(U::DaFootprintGasScalar),
    ]
}

fn receipt(logs: Vec<Log>, status: bool) -> ReceiptEnvelope {
    let receipt = Receipt { status: status.into(), cumulative_gas_used: 0, logs };
    ReceiptEnvelope::Eip1559(ReceiptWithBloom::from(receipt))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn frames(frames in vec(frame(), 1..6)) {
        let data = Bytes::from(encode_frames(&frames));
        prop_assert_eq!(parse_frames(&data), Ok(frames));
    }

    #[test]
    fn whatever_parses_as_frames_encodes_to_the_same_bytes(mut data in vec(any::<u8>(), 0..120)) {
        // Zeros where lengths stand make it likely that something parses.
        data.iter_mut().skip(19).step_by(2).for_each(|byte| *byte = 0);
        data.first_mut().into_iter().for_each(|version| *version = 0);
        if let Ok(frames) = parse_frames(&data.clone().into()) {
            prop_assert_eq!(encode_frames(&frames), data);
        }
    }

    #[test]
    fn a_channel_is_put_together_in_any_order(
        data in vec(any::<u8>(), 1..2_000), cut in 1..300_usize, order in vec(any::<Index>(), 50),
    ) {
        let id = [7; 16].into();
        let pieces = data.chunks(cut);
        let last = pieces.len() - 1;
        let mut frames: Vec<_> = pieces.enumerate().map(|(number, piece)| Frame {
            channel: id,
            number: number as u16,
            data: Bytes::copy_from_slice(piece),
            is_last: number == last,
        }).collect();
        for index in order {
            let at = index.index(frames.len());
            frames.swap(0, at);
        }
        let mut channel = Channel::new(id, BlockInfo::default(), false);
        for frame in frames {
            prop_assert!(!channel.is_ready());
            channel.add_frame(frame, BlockInfo::default()).expect("the frames belong together");
        }
        prop_assert!(channel.is_ready());
        prop_assert_eq!(channel.size(), data.len() as u64 + 200 * (last as u64 + 1));
        prop_assert_eq!(channel.into_bytes(), data);
    }

    #[test]
    fn single_batches(batch in single()) {
        let config = config();
        let encoded = Bytes::from(Batch::Single(batch.clone()).encode(&config).expect("fits"));
        prop_assert_eq!(Batch::decode(&encoded, &config), Ok(Batch::Single(batch)));
    }

    #[test]
    fn span_batches_with_all_types_of_transactions(span in span()) {
        let config = config();
        let encoded = Bytes::from(Batch::Span(span.clone()).encode(&config).expect("fits"));
        prop_assert_eq!(Batch::decode(&encoded, &config), Ok(Batch::Span(span)));
        let raw = RawSpanBatch::decode(&encoded.slice(1..)).expect("as before");
        let mut again = vec![1];
        raw.encode(&mut again);
        prop_assert_eq!(encoded, again);
    }

    #[test]
    fn channels_of_batches(
        singles in vec(single(), 0..4), span in span(), brotli: bool, cut in 0..3_usize,
    ) {
        let config = config();
        let mut batches: Vec<_> = singles.into_iter().map(Batch::Single).collect();
        batches.insert(cut.min(batches.len()), Batch::Span(span));
        let mut plain = Vec::new();
        batches.iter().for_each(|batch| put_batch(&batch.encode(&config).expect("fits"), &mut plain));
        let compression =
            if brotli { Compression::Brotli { quality: 5 } } else { Compression::Zlib { level: 6 } };
        let channel = Bytes::from(compress_channel(compression, &plain));
        // The limit counts what was decompressed: exactly that much is enough.
        let mut reader =
            BatchReader::new(channel.clone(), plain.len() as u64, true).expect("known");
        for batch in &batches {
            prop_assert_eq!(reader.next_batch(&config), Ok(Some(batch.clone())));
        }
        prop_assert_eq!(reader.next_batch(&config), Ok(None));
        let mut reader = BatchReader::new(channel, plain.len() as u64 - 1, true).expect("known");
        for _ in 1..batches.len() {
            prop_assert!(reader.next_batch(&config).expect("within the limit").is_some());
        }
        prop_assert!(reader.next_batch(&config).is_err(), "a byte too few");
        prop_assert_eq!(reader.next_batch(&config), Ok(None), "and the reader is done");
    }

    #[test]
    fn deposits(deposit in deposit(), l1_block_hash in hash(), log_index: u64) {
        let log = deposit_log(&deposit, Address::repeat_byte(1));
        let source_hash = DepositSource::User { l1_block_hash, log_index }.hash();
        let expected = TxDeposit { source_hash, ..deposit };
        prop_assert_eq!(deposit_from_log(&log, l1_block_hash, log_index), Ok(expected));
    }

    #[test]
    fn deposits_come_in_the_order_of_their_logs(
        deposits in vec((deposit(), any::<bool>(), any::<bool>()), 0..8), l1_block_hash in hash(),
    ) {
        let contract = Address::repeat_byte(1);
        let other = Address::repeat_byte(2);
        let mut receipts = Vec::new();
        let mut expected = Vec::new();
        for (index, (deposit, is_other, is_success)) in deposits.into_iter().enumerate() {
            let log = deposit_log(&deposit, if is_other { other } else { contract });
            if !is_other && is_success {
                let log_index = index as u64;
                let source_hash = DepositSource::User { l1_block_hash, log_index }.hash();
                expected.push(TxDeposit { source_hash, ..deposit });
            }
            receipts.push(receipt(vec![log], is_success));
        }
        let found = deposits_from_receipts(&receipts, contract, l1_block_hash).expect("all are");
        let found: Vec<_> = found.iter().map(|transaction| {
            match OpTxEnvelope::decode_2718_exact(transaction) {
                Ok(OpTxEnvelope::Deposit(deposit)) => deposit.into_inner(),
                other => panic!("no deposit: {other:?}"),
            }
        }).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn system_config_updates(updates in vec(update(), 0..8), ecotone: bool) {
        let contract = Address::repeat_byte(1);
        let mut expected = SystemConfig::default();
        for update in &updates {
            prop_assert_eq!(SystemConfigUpdate::from_log(&update.to_log(contract)), Ok(*update));
            expected.apply(update, ecotone);
        }
        let logs = updates.iter().map(|update| update.to_log(contract)).collect();
        let ignored = receipt(vec![SystemConfigUpdate::GasLimit(1).to_log(contract)], false);
        let mut config = SystemConfig::default();
        let bad = config.update_with_receipts(&[receipt(logs, true), ignored], contract, ecotone);
        prop_assert_eq!(bad, []);
        prop_assert_eq!(config, expected);
        let json = serde_json::to_string(&config).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<SystemConfig>(&json).expect("JSON"), config);
    }

    #[test]
    fn withdrawals(
        nonce in word(), sender in address(), target in address(), sums in (word(), word()),
        data in bytes(100),
    ) {
        let (value, gas_limit) = sums;
        let withdrawal = Withdrawal { nonce, sender, target, value, gas_limit, data };
        let log = withdrawal.to_log(Address::repeat_byte(1));
        prop_assert_eq!(Withdrawal::from_log(&log), Ok(withdrawal));
    }

    #[test]
    fn output_roots(state_root in hash(), message_passer_storage_root in hash(), block_hash in hash()) {
        let root = OutputRoot { state_root, message_passer_storage_root, block_hash };
        prop_assert_eq!(OutputRoot::decode(&root.encode()), Some(root));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn blobs(data in vec(any::<u8>(), 0..2_000), repeat in 0..70_usize) {
        let data = data.repeat(repeat);
        prop_assume!(data.len() <= lockstep_protocol::MAX_BLOB_DATA_BYTES);
        let blob = encode_blob(&data).expect("it fits");
        prop_assert!(blob.chunks(32).all(|element| element[0] < 0x40), "field elements are small");
        prop_assert_eq!(decode_blob(&blob), Ok(data.into()));
    }
}

#[test]
fn the_longest_data_of_a_blob_fits_and_no_more() {
    let data = vec![0xff; lockstep_protocol::MAX_BLOB_DATA_BYTES];
    let blob = encode_blob(&data).expect("it fits");
    assert_eq!(decode_blob(&blob), Ok(data.clone().into()));
    assert!(encode_blob(&[data, vec![0]].concat()).is_err());
}

#[test]
fn configurations_survive_json() {
    for id in RollupConfig::public_chains() {
        let config = RollupConfig::of_chain(id).expect("a public chain");
        let json = serde_json::to_vec(&config).expect("JSON");
        let again: RollupConfig = serde_json::from_slice(&json).expect("JSON");
        assert_eq!((again.hash(), &again), (config.hash(), &config), "chain {id}");
    }
    let unknown = RollupConfig::of_chain(1);
    assert_eq!(unknown, None);
    assert_eq!(U256::from(RollupConfig::public_chains().count()), U256::from(61));
}
