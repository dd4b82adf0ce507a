//! Bytes that no honest party sends: nothing panics, memory stays within the stated limits, and the
//! error says what is wrong.

#![allow(clippy::indexing_slicing, reason = "a test may stop at the unexpected")]

mod common;

use alloy_primitives::{Address, B256, Bytes, LogData, U256};
use common::config;
use lockstep_chain::OpHardfork;
use lockstep_protocol::{
    Batch, BatchError, BatchReader, BlobError, BlockInfo, CONFIG_UPDATE_TOPIC, Channel,
    ChannelError, ChannelReadError, Compression, CompressionError, DepositError, Frame, FrameError,
    L1Attributes, MAX_FRAME_BYTES, RawSpanBatch, SingleBatch, SystemConfig, SystemConfigError,
    SystemConfigUpdate, TRANSACTION_DEPOSITED_TOPIC, Withdrawal, WithdrawalError, compress_channel,
    decode_blob, deposit_from_log, deposit_log, encode_blob, encode_frames, parse_frames,
    put_batch,
};
use op_alloy_consensus::TxDeposit;
use proptest::{collection::vec, prelude::*};

/// A small pseudo-random number generator (xorshift), so that a failure repeats.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, up_to: u64) -> Bytes {
        let length = self.next() % up_to;
        (0..length).map(|_| self.next() as u8).collect()
    }
}

#[test]
fn frames_are_taken_all_or_none() {
    let frame = Frame { data: [1, 2, 3].into(), is_last: true, ..Default::default() };
    let good = encode_frames(&[frame.clone(), frame]);
    let parse = |data: &[u8]| parse_frames(&Bytes::copy_from_slice(data));
    assert_eq!(parse(&[]), Err(FrameError::Empty));
    assert_eq!(parse(&[0]), Err(FrameError::NoFrames));
    assert_eq!(parse(&[1, 2]), Err(FrameError::Version(1)));
    for length in 2..good.len() {
        // Where the first frame ends, a shorter input is whole.
        let whole = length == 1 + 26;
        assert_eq!(parse(&good[..length]).is_ok(), whole, "{length} bytes");
    }
    let mut last = good.clone();
    *last.last_mut().expect("there are bytes") = 2;
    assert_eq!(parse(&last), Err(FrameError::IsLast { index: 1, got: 2 }));
    let mut long = good;
    long[19..23].copy_from_slice(&(MAX_FRAME_BYTES as u32 + 1).to_be_bytes());
    assert_eq!(parse(&long), Err(FrameError::TooLong { index: 0, bytes: MAX_FRAME_BYTES + 1 }));
}

#[test]
fn a_million_garbage_transactions_yield_no_frame() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut frames = 0;
    for _ in 0..1_000_000 {
        frames += parse_frames(&random.bytes(64)).map_or(0, |frames| frames.len());
    }
    assert_eq!(frames, 0, "23 bytes of the right form by chance");
}

#[test]
fn channels_ignore_frames_by_rule() {
    let id = [1; 16].into();
    let frame = |number, is_last| Frame { channel: id, number, data: [0; 10].into(), is_last };
    let l1 = |number| BlockInfo { number, ..Default::default() };
    let mut channel = Channel::new(id, l1(5), false);
    let other = Frame { channel: [2; 16].into(), ..Default::default() };
    let wrong = ChannelError::Id { expected: id, got: other.channel };
    assert_eq!(channel.add_frame(other, l1(5)), Err(wrong));
    assert_eq!(channel.add_frame(frame(3, false), l1(6)), Ok(()));
    assert_eq!(channel.add_frame(frame(7, false), l1(6)), Ok(()));
    assert_eq!(channel.add_frame(frame(3, true), l1(6)), Err(ChannelError::Duplicate(3)));
    assert_eq!(channel.size(), 420);
    // The last frame makes those behind it go away.
    assert_eq!(channel.add_frame(frame(4, true), l1(7)), Ok(()));
    assert_eq!((channel.size(), channel.frames()), (210, 2));
    assert_eq!(channel.highest_l1().number, 7);
    let closed = ChannelError::Closed { number: 9, last: 4 };
    assert_eq!(channel.add_frame(frame(9, true), l1(8)), Err(closed));
    let behind = ChannelError::BehindLast { number: 9, last: 4 };
    assert_eq!(channel.add_frame(frame(9, false), l1(8)), Err(behind));
    assert_eq!(channel.highest_l1().number, 7, "an ignored frame leaves no trace");
    for number in 0..3 {
        assert!(!channel.is_ready());
        assert_eq!(channel.add_frame(frame(number, false), l1(8)), Ok(()));
    }
    assert!(channel.is_ready());
    assert!(!channel.is_timed_out(10, 15) && channel.is_timed_out(10, 16));

    let mut ordered = Channel::new(id, l1(5), true);
    let early = ChannelError::OutOfOrder { expected: 0, got: 1 };
    assert_eq!(ordered.add_frame(frame(1, false), l1(5)), Err(early));
    assert_eq!(ordered.add_frame(frame(0, false), l1(5)), Ok(()));
    assert_eq!(ordered.add_frame(frame(1, true), l1(5)), Ok(()));
    assert!(ordered.is_ready());
}

/// A channel that compresses `length` zeros behind `head`, a thousand times smaller than they are.
fn bomb(head: &[u8], length: usize, compression: Compression) -> Bytes {
    let mut plain = head.to_vec();
    plain.resize(head.len() + length, 0);
    compress_channel(compression, &plain).into()
}

#[test]
fn bombs_are_not_decompressed_beyond_the_limit() {
    let config = config();
    let limit = 10_000_000;
    for compression in [Compression::Zlib { level: 9 }, Compression::Brotli { quality: 5 }] {
        // A string longer than the limit is refused by its header alone.
        let long = bomb(&[0xba, 0x98, 0x96, 0x81], 10_000_001, compression);
        assert!(long.len() < 20_000, "{} bytes", long.len());
        let mut reader = BatchReader::new(long, limit, true).expect("known");
        let too_long = ChannelReadError::TooLong { bytes: 10_000_005, left: limit };
        assert_eq!(reader.next_batch(&config), Err(too_long));
        assert_eq!(reader.next_batch(&config), Ok(None));

        // Ten million batches of one byte: all are read, none is kept.
        let many = bomb(&[], 12_000_000, compression);
        let mut reader = BatchReader::new(many, limit, true).expect("known");
        let mut batches = 0;
        while let Some(batch) = reader.next_encoded().expect("a zero is a string") {
            assert_eq!(batch.len(), 1);
            batches += 1;
        }
        assert_eq!(batches, limit);
    }
}

#[test]
fn a_batch_of_fragments_does_not_multiply_in_memory() {
    let count = 3_000_000_usize;
    let mut data = vec![0xf9];
    let payload = 33 + 1 + 33 + 1 + 4 + count;
    data.splice(.., [&[0xfa][..], &(payload as u32).to_be_bytes()[1..]].concat());
    data.extend([&[0xa0][..], &[0; 32], &[1, 0xa0], &[0; 32], &[1]].concat());
    data.extend([&[0xfa][..], &(count as u32).to_be_bytes()[1..]].concat());
    data.resize(data.len() + count, 0x55);
    let end = data.len() - 1;
    data[end] = 0x7e;
    let batch = SingleBatch::decode(&data.into()).expect("it is well-formed");
    assert_eq!(batch.transactions.len(), 65_537);
    let last = batch.transactions.last().expect("there are transactions");
    assert_eq!(last[..], [0x7e], "the first of another kind is kept");
}

#[test]
fn compressions_are_allowed_by_fork() {
    let channel = |first| BatchReader::new(Bytes::from(vec![first, 0, 0]), 1, false).err();
    assert_eq!(channel(1), Some(CompressionError::BrotliBeforeFjord));
    assert_eq!(channel(2), Some(CompressionError::Unknown(2)));
    assert_eq!(channel(0x78), Some(CompressionError::ZlibHeader(0x7800)));
    assert_eq!(BatchReader::new(Bytes::new(), 1, true).err(), Some(CompressionError::Empty));
}

#[test]
fn batches_in_a_channel_are_strings() {
    let config = config();
    let read = |plain: &[u8]| {
        let channel = compress_channel(Compression::Zlib { level: 6 }, plain);
        BatchReader::new(channel.into(), 1_000, true).expect("zlib").next_batch(&config)
    };
    let batch = |error| Err(ChannelReadError::Batch(error));
    assert!(matches!(read(&[0xc1, 0]), Err(ChannelReadError::Rlp(_))), "a list");
    assert!(matches!(read(&[0x81, 5]), Err(ChannelReadError::Rlp(_))), "not canonical");
    assert!(matches!(read(&[0xb8, 5, 0, 0, 0, 0, 0]), Err(ChannelReadError::Rlp(_))));
    assert!(matches!(read(&[0xb9, 0, 60]), Err(ChannelReadError::Rlp(_))));
    assert!(matches!(read(&[0x85, 0]), Err(ChannelReadError::Rlp(_))), "it ends early");
    let long = [&[0xbf][..], &[0xff; 8]].concat();
    assert!(matches!(read(&long), Err(ChannelReadError::TooLong { left: 1_000, .. })));
    assert_eq!(read(&[0x80]), batch(BatchError::Empty));
    assert_eq!(read(&[2]), batch(BatchError::Type(2)));
}

#[test]
fn a_malformed_batch_does_not_hide_the_next() {
    let config = config();
    let single = Batch::Single(SingleBatch { timestamp: 9, ..Default::default() });
    let mut plain = vec![2];
    put_batch(&single.encode(&config).expect("fits"), &mut plain);
    let channel = compress_channel(Compression::Zlib { level: 6 }, &plain);
    let mut reader = BatchReader::new(channel.into(), 1_000, true).expect("zlib");
    assert_eq!(reader.next_batch(&config), Err(BatchError::Type(2).into()));
    assert_eq!(reader.next_batch(&config), Ok(Some(single)));
}

/// The prefix of a span batch with zeros for times, numbers and checks.
fn span(payload: &[u8]) -> Result<RawSpanBatch, BatchError> {
    let mut data = vec![0; 42];
    data.extend_from_slice(payload);
    RawSpanBatch::decode(&data.into())
}

#[test]
fn span_batches_keep_their_limits() {
    let limit = 10_000_000;
    let too_many = |field, got| Err(BatchError::TooMany { field, got, limit });
    // 10,000,001 blocks; and so many transactions in a block, or in all.
    assert_eq!(span(&[0x81, 0xad, 0xe2, 4]), too_many("block_count", limit + 1));
    assert_eq!(span(&[1, 0, 0x81, 0xad, 0xe2, 4]), too_many("block_tx_counts", limit + 1));
    let two = [2, 0, 0x80, 0xad, 0xe2, 4, 1];
    assert_eq!(span(&two), too_many("block_tx_counts", limit + 1));
    let overflow = [&[1, 0][..], &[0xff; 9], &[1]].concat();
    assert_eq!(span(&overflow), too_many("block_tx_counts", u64::MAX));
    // As many as are allowed, without the bytes that they need.
    assert_eq!(span(&[0x80, 0xad, 0xe2, 4]), Err(BatchError::Truncated("origin_bits")));
    let counted = span(&[1, 0, 0x80, 0xad, 0xe2, 4]);
    assert_eq!(counted, Err(BatchError::Truncated("contract_creation_bits")));
    assert_eq!(span(&[0]), Err(BatchError::NoBlocks));
    let trailing = BatchError::TrailingBits { field: "origin_bits", bits: 1 };
    assert_eq!(span(&[1, 2]), Err(trailing));
    let overflow = [&[0xff; 9][..], &[2]].concat();
    assert_eq!(span(&overflow), Err(BatchError::Overflow("block_count")));
    assert_eq!(span(&[0x80; 11]), Err(BatchError::Overflow("block_count")));
    assert_eq!(RawSpanBatch::decode(&Bytes::new()), Err(BatchError::Truncated("rel_timestamp")));
    // Zeros that lengthen a number are no error.
    let padded = span(&[0x81, 0x80, 0, 0, 0]).expect("one empty block");
    assert_eq!(padded.block_tx_counts, [0]);
}

/// A span batch of one block with one transaction, whose data is `data`.
fn span_of(data: &[u8], creates: u8) -> Result<Batch, BatchError> {
    let mut batch = vec![1];
    batch.extend([0; 42]);
    batch.extend([1, 0, 1, creates, 0]);
    batch.extend([1; 64]);
    batch.extend(vec![2; if creates == 1 { 0 } else { 20 }]);
    batch.extend(data);
    // Nonce, gas limit, and a protected bit that only legacy transactions have.
    batch.extend([0, 0, 0]);
    Batch::decode(&batch.into(), &config())
}

#[test]
fn transactions_of_spans_are_checked_in_form() {
    let malformed = |data: &[u8]| {
        let result = span_of(data, 0);
        assert!(matches!(result, Err(BatchError::Transaction { index: 0, .. })), "{result:?}");
    };
    assert!(span_of(&[0xc3, 0x80, 0x80, 0x80], 0).is_ok(), "legacy");
    assert!(span_of(&[1, 0xc4, 0x80, 0x80, 0x80, 0xc0], 0).is_ok(), "access list");
    assert!(span_of(&[2, 0xc5, 0x80, 0x80, 0x80, 0x80, 0xc0], 1).is_ok(), "dynamic fee");
    assert!(span_of(&[4, 0xc6, 0x80, 0x80, 0x80, 0x80, 0xc0, 0xc0], 0).is_ok(), "set code");
    let creates = span_of(&[4, 0xc6, 0x80, 0x80, 0x80, 0x80, 0xc0, 0xc0], 1);
    assert_eq!(creates, Err(BatchError::NoRecipient(0)));
    for ty in [3, 5, 0x7e, 0x7f] {
        let unknown = span_of(&[ty, 0xc3, 0x80, 0x80, 0x80], 0);
        assert_eq!(unknown, Err(BatchError::TransactionType { index: 0, ty }));
    }
    malformed(&[0xc2, 0x80, 0x80]);
    malformed(&[0xc4, 0x80, 0x80, 0x80, 0x80]);
    malformed(&[0xc3, 0, 0x80, 0x80]);
    malformed(&[0xc3, 0xc0, 0x80, 0x80]);
    malformed(&[0x83, 0x80, 0x80, 0x80]);
    malformed(&[0, 0xc3, 0x80, 0x80, 0x80]);
    malformed(&[1, 0xc4, 0x80, 0x80, 0x80, 0x80]);
    malformed(&[1, 0xc6, 0x80, 0x80, 0x80, 0xc2, 0xc1, 0x80]);
    malformed(&[4, 0xc7, 0x80, 0x80, 0x80, 0x80, 0xc0, 0xc1, 0xc0]);
    malformed(&[4, 0xc5, 0x80, 0x80, 0x80, 0x80, 0xc0]);
    let truncated = span_of(&[], 0);
    assert!(truncated.is_err());
}

#[test]
fn what_spans_cannot_carry_is_refused() {
    let config = config();
    let encode = |transaction: &[u8], times: [u64; 2], epochs: [u64; 2]| {
        let batch = |at: usize| SingleBatch {
            timestamp: config.genesis.l2_time + times[at],
            epoch_num: epochs[at],
            transactions: vec![Bytes::copy_from_slice(transaction)],
            ..Default::default()
        };
        let span = lockstep_protocol::SpanBatch::from_blocks(&[batch(0), batch(1)], true)?;
        span.to_raw(&config)
    };
    // nonce, price, gas, to, value, input, v, r, s
    let legacy = |v: &[u8]| {
        let mut list = vec![0xc8 + v.len() as u8];
        list.extend([0x80, 0x80, 0x80, 0x80, 0x80, 0x80]);
        list.extend(v);
        list.extend([0x01, 0x01]);
        list
    };
    let good = legacy(&[27]);
    assert!(encode(&good, [0, 2], [7, 8]).is_ok());
    let sequence =
        |field, expected, got| Err(BatchError::Sequence { index: 1, field, expected, got });
    assert_eq!(encode(&good, [0, 3], [7, 8]), sequence("timestamp", 1_002, 1_003));
    assert_eq!(encode(&good, [0, 2], [7, 9]), sequence("epoch_num", 7, 9));
    assert_eq!(encode(&good, [0, 2], [7, 6]), sequence("epoch_num", 7, 6));
    let parity = encode(&legacy(&[29]), [0, 2], [7, 7]);
    assert_eq!(parity, Err(BatchError::Parity { index: 0, v: 29 }));
    let other = encode(&legacy(&[37]), [0, 2], [7, 7]);
    assert_eq!(other, Err(BatchError::ChainId { index: 0, expected: 901, got: 1 }));
    let deposit = encode(&[0x7e, 0xc0], [0, 2], [7, 7]);
    assert_eq!(deposit, Err(BatchError::TransactionType { index: 0, ty: 0x7e }));
    assert!(encode(&[], [0, 2], [7, 7]).is_err());
    assert!(encode(&[2], [0, 2], [7, 7]).is_err());
}

#[test]
fn blobs_are_exactly_encodings() {
    let blob = encode_blob(b"some data of a batcher").expect("it fits");
    let with = |at: usize, value| {
        let mut blob = blob.clone();
        blob[at] = value;
        decode_blob(&blob)
    };
    assert_eq!(with(1, 1), Err(BlobError::Version(1)));
    assert_eq!(with(2, 2), Err(BlobError::Length(0x0002_0016)));
    assert_eq!(with(32, 0x40), Err(BlobError::FieldElement(1)));
    assert_eq!(with(31, 1), Err(BlobError::Extraneous(30)));
    assert_eq!(with(131_071, 1), Err(BlobError::Extraneous(131_071)));
    assert_eq!(with(0, 0xc0), decode_blob(&blob), "the first bits are no one's");
}

#[test]
fn logs_of_deposits_are_exactly_encodings() {
    let log =
        deposit_log(&TxDeposit { input: [7; 40].into(), ..Default::default() }, Address::ZERO);
    let decode = |data: &[u8]| {
        let topics = log.topics().to_vec();
        let log = LogData::new_unchecked(topics, Bytes::copy_from_slice(data));
        deposit_from_log(&log, B256::ZERO, 0)
    };
    let good = log.data.data.to_vec();
    assert!(decode(&good).is_ok());
    for length in 0..good.len() {
        assert_eq!(decode(&good[..length]), Err(DepositError::Encoding(length)));
    }
    let padded = [&good[..], &[0; 32]].concat();
    assert_eq!(decode(&padded), Err(DepositError::Encoding(padded.len())), "more than padding");
    let with = |at: usize, value| {
        let mut data = good.clone();
        data[at] = value;
        decode(&data)
    };
    assert_eq!(with(31, 0x40), Err(DepositError::Encoding(good.len())), "another offset");
    assert_eq!(
        with(63, 72),
        Err(DepositError::Encoding(good.len())),
        "more than a word of padding"
    );
    assert_eq!(with(32, 1), Err(DepositError::Encoding(good.len())), "longer than anything");
    assert_eq!(with(64, 1), Err(DepositError::Mint(U256::from(1) << 248)));
    let topics = |topics: &[B256]| {
        let log = LogData::new_unchecked(topics.to_vec(), log.data.data.clone());
        deposit_from_log(&log, B256::ZERO, 0).expect_err("the topics are wrong")
    };
    assert_eq!(topics(&[TRANSACTION_DEPOSITED_TOPIC]), DepositError::Topics(1));
    assert_eq!(topics(&[B256::ZERO; 4]), DepositError::Event(B256::ZERO));
    let one = B256::with_last_byte(1);
    assert_eq!(topics(&[TRANSACTION_DEPOSITED_TOPIC, one, one, one]), DepositError::Version(one));
}

#[test]
fn logs_of_updates_are_exactly_encodings() {
    let decode = |topics: &[B256], data: &[u8]| {
        let log = LogData::new_unchecked(topics.to_vec(), Bytes::copy_from_slice(data));
        SystemConfigUpdate::from_log(&log)
    };
    let topics = |ty| [CONFIG_UPDATE_TOPIC, B256::ZERO, B256::with_last_byte(ty)];
    let words = |words: &[u64]| {
        words.iter().flat_map(|word| U256::from(*word).to_be_bytes::<32>()).collect::<Vec<_>>()
    };
    assert_eq!(decode(&topics(2), &words(&[32, 32, 5])), Ok(SystemConfigUpdate::GasLimit(5)));
    for (ty, expected, data) in [
        (2, 32, words(&[32, 32])),
        (2, 32, words(&[32, 32, 5, 0])),
        (2, 32, words(&[64, 32, 5])),
        (1, 64, words(&[32, 32, 5])),
        (6, 32, words(&[32, 31, 5])),
        (0, 32, Vec::new()),
    ] {
        let got = data.len();
        assert_eq!(decode(&topics(ty), &data), Err(SystemConfigError::Data { ty, expected, got }));
    }
    let large = [words(&[32, 32]), vec![0xff; 32]].concat();
    let range = |ty| Err(SystemConfigError::Range { ty, got: U256::MAX });
    for ty in [0, 2, 6, 7] {
        assert_eq!(decode(&topics(ty), &large), range(ty));
    }
    assert_eq!(decode(&topics(3), &large), Ok(SystemConfigUpdate::UnsafeBlockSigner(None)));
    let eight = B256::with_last_byte(8);
    assert_eq!(decode(&topics(8), &large), Err(SystemConfigError::Type(eight)));
    let version = [CONFIG_UPDATE_TOPIC, eight, B256::ZERO];
    assert_eq!(decode(&version, &large), Err(SystemConfigError::Version(eight)));
    assert_eq!(decode(&[eight; 3], &large), Err(SystemConfigError::Event(eight)));
    assert_eq!(decode(&[CONFIG_UPDATE_TOPIC], &large), Err(SystemConfigError::Topics(1)));
}

#[test]
fn weights_of_unknown_encoding_are_ignored_after_ecotone_and_capped_before() {
    let gas_config = |scalar| SystemConfigUpdate::GasConfig { overhead: U256::from(7), scalar };
    let version_1 = (U256::from(1) << 248) | (U256::from(3) << 32) | U256::from(4);
    let mut config = SystemConfig::default();
    config.apply(&gas_config(version_1), true);
    assert_eq!((config.scalar, config.overhead), (version_1, U256::ZERO));
    for unknown in [U256::from(2) << 248, version_1 | (U256::from(1) << 64), U256::from(1) << 32] {
        config.apply(&gas_config(unknown), true);
        assert_eq!(config.scalar, version_1);
    }
    config.apply(&gas_config(U256::from(1) << 32), false);
    assert_eq!(config.overhead, U256::from(7));
    assert_eq!(config.ecotone_scalars().expect("capped").base_fee_scalar, u32::MAX);
    config.apply(&gas_config(U256::from(2) << 248), false);
    assert!(matches!(config.ecotone_scalars(), Err(SystemConfigError::Scalar(_))));
}

#[test]
fn withdrawals_name_their_own_hash() {
    let mut log = Withdrawal { data: [1; 33].into(), ..Default::default() }.to_log(Address::ZERO);
    let good = log.data.data.to_vec();
    let mut decode = |data: Vec<u8>| {
        log.data.data = data.into();
        Withdrawal::from_log(&log)
    };
    assert!(decode(good.clone()).is_ok());
    for length in 0..good.len() {
        assert_eq!(decode(good[..length].to_vec()), Err(WithdrawalError::Encoding(length)));
    }
    let mut other = good;
    other[4 * 32 - 1] ^= 1;
    assert!(matches!(decode(other), Err(WithdrawalError::Hash { .. })));
}

proptest! {
    /// Damage anywhere in anything: an error or another value, never a panic.
    #[test]
    fn damaged_input_is_no_danger(
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(), noise in vec(any::<u8>(), 0..400),
    ) {
        let config = config();
        let span = [&[1][..], &[0; 42], &[1, 0, 1, 0, 0], &[1; 84], &[2, 0xc5, 0x80, 0x80, 0x80, 0x80, 0xc0, 0, 0]].concat();
        let single = Batch::Single(SingleBatch { transactions: vec![[1; 60].into()], ..Default::default() });
        let single = single.encode(&config).expect("fits");
        let attributes = L1Attributes::default().encode(OpHardfork::Jovian);
        let mut channel = Vec::new();
        put_batch(&span, &mut channel);
        put_batch(&single, &mut channel);
        let zlib = compress_channel(Compression::Zlib { level: 9 }, &channel);
        let brotli = compress_channel(Compression::Brotli { quality: 5 }, &channel);
        for input in [span, single, attributes, zlib, brotli, noise] {
            let mut input = input;
            let end = length.index(2 * input.len() + 1).min(input.len());
            input.truncate(end);
            for (at, value) in &flips {
                if let Some(byte) = (!input.is_empty()).then(|| &mut input[at.index(end)]) {
                    *byte ^= value;
                }
            }
            let input = Bytes::from(input);
            let _ = L1Attributes::decode(&input);
            let _ = parse_frames(&input);
            let _ = Batch::decode(&input, &config);
            let log = LogData::new_unchecked(vec![TRANSACTION_DEPOSITED_TOPIC, B256::ZERO, B256::ZERO, B256::ZERO], input.clone());
            let _ = deposit_from_log(&log, B256::ZERO, 0);
            if let Ok(mut reader) = BatchReader::new(input, 100_000, true) {
                while let Ok(Some(_)) = reader.next_batch(&config) {}
            }
        }
    }
}
