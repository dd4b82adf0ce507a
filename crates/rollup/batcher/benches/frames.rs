//! From blocks to frames, held against what cannot be avoided: compressing the same blocks once.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark")]

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::{BlockNumHash, eip2718::Encodable2718};
use alloy_primitives::{Bytes, Signature, U256, keccak256};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lockstep_batcher::{
    BatchBlock, Calibration, ChannelBuilder, ChannelPolicy, CloseReason, DataKind, SizeEstimator,
    cut_frames,
};
use lockstep_protocol::{
    Batch, ChannelId, Compression, RollupConfig, SingleBatch, SpanBatch, compress_channel,
};
use op_alloy_consensus::OpTxEnvelope;
use std::{hint::black_box, sync::Arc};

fn rollup() -> Arc<RollupConfig> {
    Arc::new(RollupConfig {
        block_time: 2,
        seq_window_size: 3_600,
        l2_chain_id: 901,
        delta_time: Some(0),
        fjord_time: Some(0),
        ..RollupConfig::default()
    })
}

/// Token transfers between a thousand accounts.
fn transfer(seed: u64) -> Bytes {
    let random = keccak256(seed.to_be_bytes());
    let party = keccak256([random[0], random[1] & 3]);
    let mut input = vec![0xa9, 0x05, 0x9c, 0xbb];
    input.extend([0; 12]);
    input.extend(&party[..20]);
    input.extend([0; 24]);
    input.extend(&random[..8]);
    let tx: OpTxEnvelope = TxEip1559 {
        chain_id: 901,
        nonce: seed / 1000,
        gas_limit: 65_000,
        max_fee_per_gas: 1_000_000_000,
        max_priority_fee_per_gas: 1_000_000,
        to: alloy_primitives::Address::from_slice(&keccak256([random[2] & 15])[..20]).into(),
        input: input.into(),
        ..Default::default()
    }
    .into_signed(Signature::new(keccak256(random).into(), U256::from_be_bytes(random.0), true))
    .into();
    tx.encoded_2718().into()
}

fn blocks() -> Vec<Arc<BatchBlock>> {
    let mut parent_hash = keccak256("parent");
    let block = |number: u64| {
        let hash = keccak256(parent_hash);
        let block = BatchBlock {
            number,
            hash,
            parent_hash,
            timestamp: 2 * number,
            epoch: BlockNumHash { number: number / 6, hash },
            starts_epoch: number.is_multiple_of(6),
            transactions: (0..50).map(|index| transfer(number * 50 + index)).collect(),
        };
        parent_hash = hash;
        Arc::new(block)
    };
    (1..=300).map(block).collect()
}

fn to_frames(
    blocks: &[Arc<BatchBlock>],
    rollup: &Arc<RollupConfig>,
    policy: ChannelPolicy,
) -> usize {
    let (mut at, mut frames) = (0, 0);
    let mut calibration = Calibration::default();
    while at < blocks.len() {
        let rollup = Arc::clone(rollup);
        let kind = DataKind::Blobs;
        let mut builder =
            ChannelBuilder::new(ChannelId::ZERO, rollup, policy, kind, (0, 1), calibration);
        for block in &blocks[at..] {
            builder.add(Arc::clone(block)).unwrap();
            if builder.is_full() {
                break;
            }
        }
        let channel = builder.close(CloseReason::Flush).unwrap().unwrap();
        calibration = builder.calibration();
        at += channel.blocks() as usize;
        frames += cut_frames(&channel, &policy, kind).unwrap().len();
    }
    frames
}

fn bench(c: &mut Criterion) {
    let (rollup, blocks) = (rollup(), blocks());
    let bytes: usize = blocks.iter().map(|block| block.bytes()).sum();
    let singles: Vec<SingleBatch> = blocks.iter().map(|block| block.to_single()).collect();
    let mut group = c.benchmark_group("frames");
    group.throughput(Throughput::Bytes(bytes as u64)).sample_size(10);
    group.bench_function("estimate", |b| {
        b.iter(|| {
            let mut estimator = SizeEstimator::default();
            for tx in blocks.iter().flat_map(|block| &block.transactions) {
                estimator.add(tx);
            }
            black_box(estimator.estimate())
        });
    });
    for (name, compression) in [
        ("zlib9", Compression::Zlib { level: 9 }),
        ("brotli5", Compression::Brotli { quality: 5 }),
        ("brotli9", Compression::Brotli { quality: 9 }),
        ("brotli10", Compression::Brotli { quality: 10 }),
    ] {
        let encode = || {
            let span = SpanBatch::from_blocks(&singles, false).unwrap();
            let raw = Batch::Span(span).encode(&rollup).unwrap();
            compress_channel(compression, &raw).len()
        };
        println!("{name}: {bytes} bytes of transactions are {} bytes", encode());
        group.bench_function(format!("{name}/once"), |b| b.iter(|| black_box(encode())));
        let policy = ChannelPolicy { compression, target_num_frames: 3, ..Default::default() };
        group.bench_function(format!("{name}/channels"), |b| {
            b.iter(|| black_box(to_frames(&blocks, &rollup, policy)));
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
