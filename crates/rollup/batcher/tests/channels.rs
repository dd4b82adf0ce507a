//! Channels: whatever the blocks, they come out as they went in, and within the limits.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test")]

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::{BlockNumHash, eip2718::Encodable2718};
use alloy_primitives::{Address, B256, Bytes, Signature, U256, keccak256};
use lockstep_batcher::{
    BatchBlock, BatcherError, Calibration, ChannelBuilder, ChannelPolicy, CloseReason,
    ClosedChannel, DataKind, blobs, calldata, cut_frames,
};
use lockstep_protocol::{
    Batch, BatchReader, BlockInfo, Channel, ChannelId, Compression, RollupConfig, decode_blob,
    parse_frames,
};
use op_alloy_consensus::OpTxEnvelope;
use proptest::prelude::*;
use std::sync::Arc;

const GENESIS_TIME: u64 = 1_000_000;

fn rollup() -> RollupConfig {
    let mut config = RollupConfig {
        block_time: 2,
        seq_window_size: 3_600,
        channel_timeout: 300,
        l2_chain_id: 901,
        delta_time: Some(0),
        fjord_time: Some(0),
        granite_time: Some(0),
        holocene_time: Some(0),
        ..RollupConfig::default()
    };
    config.genesis.l2_time = GENESIS_TIME;
    config
}

fn tx(nonce: u64, input: Vec<u8>) -> Bytes {
    let tx: OpTxEnvelope = TxEip1559 {
        chain_id: 901,
        nonce,
        gas_limit: 21_000 + nonce,
        max_fee_per_gas: 1_000_000_007,
        max_priority_fee_per_gas: 7,
        to: Address::repeat_byte(nonce as u8).into(),
        input: input.into(),
        ..Default::default()
    }
    .into_signed(Signature::new(
        keccak256(nonce.to_be_bytes()).into(),
        U256::from(nonce),
        nonce.is_multiple_of(2),
    ))
    .into();
    tx.encoded_2718().into()
}

/// Consecutive blocks with these transactions.
fn chain(bodies: Vec<Vec<Bytes>>) -> Vec<Arc<BatchBlock>> {
    let mut parent_hash = keccak256("parent");
    let mut blocks = Vec::new();
    for (number, transactions) in (1..).zip(bodies) {
        let hash = keccak256(parent_hash);
        let epoch = number / 6;
        blocks.push(Arc::new(BatchBlock {
            number,
            hash,
            parent_hash,
            timestamp: GENESIS_TIME + 2 * number,
            epoch: BlockNumHash { number: epoch, hash: B256::with_last_byte(epoch as u8) },
            starts_epoch: number % 6 == 0,
            transactions,
        }));
        parent_hash = hash;
    }
    blocks
}

/// Packs all blocks into channels, and counts how often it compresses.
fn pack(
    blocks: &[Arc<BatchBlock>],
    rollup: &Arc<RollupConfig>,
    policy: ChannelPolicy,
    kind: DataKind,
) -> (Vec<ClosedChannel>, usize) {
    let (mut channels, mut compressions) = (Vec::new(), 0);
    let mut calibration = Calibration::default();
    let mut at = 0;
    while at < blocks.len() {
        let id = ChannelId::from_slice(&(channels.len() as u128).to_be_bytes());
        let l1 = (7, GENESIS_TIME);
        let mut builder =
            ChannelBuilder::new(id, Arc::clone(rollup), policy, kind, l1, calibration);
        for block in &blocks[at..] {
            builder.add(Arc::clone(block)).unwrap();
            if builder.is_full() {
                break;
            }
        }
        let reason = builder.close_reason(7).unwrap_or(CloseReason::Flush);
        let channel = builder.close(reason).unwrap().expect("it has blocks");
        compressions += builder.compressions();
        calibration = builder.calibration();
        at += channel.blocks() as usize;
        channels.push(channel);
    }
    (channels, compressions)
}

/// What derivation reads from the transactions of a channel.
fn derive(channel: &ClosedChannel, policy: &ChannelPolicy, kind: DataKind) -> Bytes {
    let frames = cut_frames(channel, policy, kind).unwrap();
    let info = BlockInfo::default();
    let mut assembled = Channel::new(channel.id, info, true);
    for part in frames.chunks(policy.frames_per_tx(kind)) {
        let data = match kind {
            DataKind::Calldata => vec![calldata(part)],
            DataKind::Blobs => {
                let blobs = blobs(part).unwrap();
                assert!(blobs.len() <= policy.max_blobs_per_tx);
                blobs.iter().map(|blob| decode_blob(blob).unwrap()).collect()
            }
        };
        for data in data {
            match kind {
                DataKind::Calldata => assert!(data.len() <= policy.max_calldata_bytes),
                DataKind::Blobs => assert!(data.len() <= policy.max_blob_bytes),
            }
            for frame in parse_frames(&data).unwrap() {
                assembled.add_frame(frame, info).unwrap();
            }
        }
    }
    assert!(assembled.is_ready());
    assembled.into_bytes()
}

fn batches(data: Bytes, rollup: &RollupConfig) -> Vec<Batch> {
    let limit = rollup.max_rlp_bytes_per_channel(GENESIS_TIME);
    let mut reader = BatchReader::new(data, limit, true).unwrap();
    core::iter::from_fn(|| reader.next_batch(rollup).unwrap()).collect()
}

/// Transactions of every size, compressible and not.
fn bodies() -> impl Strategy<Value = Vec<Vec<Bytes>>> {
    let tx = (0..5_u64, 0..600_usize, any::<u8>(), any::<bool>()).prop_map(
        |(nonce, length, byte, repeats)| {
            let byte_at =
                |index: usize| if repeats { byte } else { keccak256([byte, index as u8])[0] };
            tx(nonce, (0..length).map(byte_at).collect())
        },
    );
    prop::collection::vec(prop::collection::vec(tx, 0..4), 1..120)
}

fn policy() -> impl Strategy<Value = (ChannelPolicy, DataKind)> {
    let kinds = prop_oneof![Just(DataKind::Calldata), Just(DataKind::Blobs)];
    let compressions = prop_oneof![
        Just(Compression::Zlib { level: 6 }),
        Just(Compression::Brotli { quality: 1 }),
        Just(Compression::Brotli { quality: 9 }),
    ];
    (1..5_usize, 100..3_000_usize, 1..7_usize, 1..100_usize, compressions, kinds).prop_map(
        |(target_num_frames, bytes, max_blobs_per_tx, max_blocks, compression, kind)| {
            let policy = ChannelPolicy {
                target_num_frames,
                max_blocks,
                max_calldata_bytes: bytes,
                max_blob_bytes: bytes,
                max_blobs_per_tx,
                compression,
                ..ChannelPolicy::default()
            };
            (policy, kind)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_block_comes_out_in_order_and_within_limits(
        bodies in bodies(),
        (policy, kind) in policy(),
    ) {
        let rollup = Arc::new(rollup());
        let blocks = chain(bodies);
        let mut next = 0;
        for channel in pack(&blocks, &rollup, policy, kind).0 {
            let count = channel.blocks() as usize;
            prop_assert!(count <= policy.max_blocks);
            // Only a block that is too large alone makes a channel too large.
            let is_within_target = channel.data.len() <= policy.target_bytes(kind);
            prop_assert!(is_within_target || count == 1);
            let data = derive(&channel, &policy, kind);
            prop_assert_eq!(&data, &channel.data);
            let batches = batches(data, &rollup);
            let [Batch::Span(span)] = &batches[..] else { panic!("{batches:?}") };
            prop_assert!(span.matches_parent(blocks[next].parent_hash));
            prop_assert!(span.matches_l1_origin(blocks[next + count - 1].epoch.hash));
            prop_assert_eq!(span.starts_epoch, blocks[next].starts_epoch);
            prop_assert_eq!(span.blocks.len(), count);
            for (found, block) in span.blocks.iter().zip(&blocks[next..]) {
                prop_assert_eq!(found.timestamp, block.timestamp);
                prop_assert_eq!(found.epoch_num, block.epoch.number);
                prop_assert_eq!(&found.transactions, &block.transactions);
            }
            next += count;
            prop_assert_eq!(channel.last, blocks[next - 1].id());
        }
        prop_assert_eq!(next, blocks.len());
    }
}

#[test]
fn full_channels_are_nearly_full() {
    let rollup = Arc::new(rollup());
    // Half noise, half the same in every transaction, as calls of contracts are.
    let body = |number: u64| {
        let call = |index: u64| {
            let seed = number * 10 + index;
            let mut input = keccak256("method").to_vec();
            input.extend([0; 44]);
            input.extend(keccak256(seed.to_be_bytes()));
            tx(seed, input)
        };
        (0..8).map(call).collect::<Vec<_>>()
    };
    let blocks = chain((0..2_000).map(body).collect());
    for compression in [Compression::Zlib { level: 9 }, Compression::Brotli { quality: 5 }] {
        let policy = ChannelPolicy { compression, target_num_frames: 1, ..Default::default() };
        let (channels, compressions) = pack(&blocks, &rollup, policy, DataKind::Blobs);
        assert!(compressions <= 2 * channels.len(), "{compressions}");
        let (last, full) = channels.split_last().unwrap();
        assert!(full.len() >= 4, "{} channels", full.len());
        assert_eq!(last.reason, CloseReason::Flush);
        for channel in full {
            let target = policy.target_bytes(DataKind::Blobs);
            let percent = channel.data.len() * 100 / target;
            assert!((90..=100).contains(&percent), "{compression:?}: {percent} %");
            assert_eq!(channel.reason, CloseReason::Full);
        }
    }
}

#[test]
fn before_delta_each_block_is_a_batch_and_before_fjord_the_compression_is_zlib() {
    let rollup = Arc::new(RollupConfig {
        delta_time: None,
        fjord_time: None,
        granite_time: None,
        holocene_time: None,
        ..rollup()
    });
    let blocks = chain((0..5).map(|nonce| vec![tx(nonce, vec![1; 40])]).collect());
    let (channels, _) = pack(&blocks, &rollup, ChannelPolicy::default(), DataKind::Blobs);
    let [channel] = &channels[..] else { panic!("one channel") };
    assert_eq!(channel.data[0] & 0x0f, 8, "zlib");
    let found = batches(channel.data.clone(), &rollup);
    let expected: Vec<Batch> =
        blocks.iter().map(|block| Batch::Single(block.to_single())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_block_larger_than_a_channel_is_refused_and_a_channel_ends_before_its_limit() {
    let rollup = Arc::new(RollupConfig {
        fjord_time: None,
        granite_time: None,
        holocene_time: None,
        ..rollup()
    });
    // Ten million bytes may be in a channel before Fjord.
    let policy =
        ChannelPolicy { compression: Compression::Zlib { level: 1 }, ..Default::default() };
    let new = || {
        let l1 = (7, GENESIS_TIME);
        let id = ChannelId::ZERO;
        ChannelBuilder::new(
            id,
            Arc::clone(&rollup),
            policy,
            DataKind::Blobs,
            l1,
            Calibration::default(),
        )
    };
    let blocks = chain(vec![
        vec![tx(0, vec![1; 6_000_000])],
        vec![tx(1, vec![2; 6_000_000])],
        vec![tx(2, vec![3; 11_000_000])],
    ]);
    let mut builder = new();
    builder.add(Arc::clone(&blocks[0])).unwrap();
    builder.add(Arc::clone(&blocks[1])).unwrap();
    assert!(builder.is_full());
    assert_eq!(builder.len(), 1);
    let channel = builder.close(CloseReason::Full).unwrap().unwrap();
    assert_eq!(batches(channel.data, &rollup).len(), 1);
    let mut builder = new();
    let error = builder.add(Arc::clone(&blocks[2])).unwrap_err();
    assert!(matches!(error, BatcherError::BlockTooLarge { number: 3, .. }), "{error}");
    assert!(builder.is_empty());
}

#[test]
fn blocks_that_do_not_follow_each_other_are_refused() {
    let rollup = Arc::new(rollup());
    let blocks = chain(vec![Vec::new(), Vec::new(), Vec::new()]);
    let l1 = (7, GENESIS_TIME);
    let policy = ChannelPolicy::default();
    let mut builder = ChannelBuilder::new(
        ChannelId::ZERO,
        rollup,
        policy,
        DataKind::Blobs,
        l1,
        Calibration::default(),
    );
    builder.add(Arc::clone(&blocks[0])).unwrap();
    assert!(matches!(
        builder.add(Arc::clone(&blocks[2])),
        Err(BatcherError::Block { number: 3, .. })
    ));
    builder.add(Arc::clone(&blocks[1])).unwrap();
    assert_eq!(builder.len(), 2);
}

#[test]
fn a_channel_is_closed_by_its_age_and_by_the_sequencing_window() {
    let rollup = Arc::new(RollupConfig { seq_window_size: 100, ..rollup() });
    let policy = ChannelPolicy { max_duration: 25, sub_safety_margin: 10, ..Default::default() };
    let blocks = chain(vec![Vec::new(); 12]);
    let open = |at: u64| {
        let l1 = (at, GENESIS_TIME);
        let id = ChannelId::ZERO;
        let rollup = Arc::clone(&rollup);
        ChannelBuilder::new(id, rollup, policy, DataKind::Blobs, l1, Calibration::default())
    };
    let mut builder = open(20);
    assert_eq!(builder.close_reason(1_000), None, "nothing to close");
    // Its epoch is 2, whose window ends at 102.
    builder.add(Arc::clone(&blocks[11])).unwrap();
    assert_eq!(builder.close_reason(44), None);
    assert_eq!(builder.close_reason(45), Some(CloseReason::Duration));
    assert_eq!(builder.close_reason(92), Some(CloseReason::SequencingWindow));
    let mut late = open(91);
    late.add(Arc::clone(&blocks[11])).unwrap();
    assert_eq!(late.close_reason(91), None);
    assert_eq!(late.close_reason(92), Some(CloseReason::SequencingWindow));
}
