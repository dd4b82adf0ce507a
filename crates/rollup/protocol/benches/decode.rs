//! From a real compressed channel to its batches, and of that the decompression alone; bytes are
//! those of the decompressed channel. Needs `LOCKSTEP_FIXTURES`.

use alloy_primitives::{Bytes, hex};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lockstep_protocol::{
    Batch, BatchReader, Compression, RollupConfig, compress_channel, put_batch,
};
use std::{fs, hint::black_box, path::PathBuf};

/// The channel of OP Mainnet with 143 blocks.
fn real_channel() -> Option<Bytes> {
    let fixtures = std::env::var_os("LOCKSTEP_FIXTURES").map(PathBuf::from)?;
    let file = fixtures.join("op-blocks/derivation/channel_compressed.hex.zst");
    let text = zstd::decode_all(&fs::read(file).ok()?[..]).expect("the fixture decompresses");
    Some(hex::decode(text.trim_ascii()).expect("hex").into())
}

fn reader(channel: &Bytes, config: &RollupConfig) -> BatchReader {
    let limit = config.max_rlp_bytes_per_channel(u64::MAX);
    BatchReader::new(channel.clone(), limit, true).expect("a known compression")
}

fn decode(criterion: &mut Criterion) {
    let Some(channel) = real_channel() else {
        eprintln!("SKIPPED: LOCKSTEP_FIXTURES names no folder with op-blocks");
        return;
    };
    let config = RollupConfig::of_chain(10).expect("OP Mainnet");
    let batch = reader(&channel, &config).next_encoded().expect("it decodes").expect("a batch");
    let mut plain = Vec::new();
    put_batch(&batch, &mut plain);
    let brotli = Bytes::from(compress_channel(Compression::Brotli { quality: 10 }, &plain));

    let mut group = criterion.benchmark_group("real channel");
    group.throughput(Throughput::Bytes(plain.len() as u64));
    group.bench_function("zlib, decompressed by miniz_oxide", |bench| {
        bench.iter(|| miniz_oxide::inflate::decompress_to_vec_zlib(black_box(&channel)));
    });
    for (name, channel) in [("zlib", &channel), ("brotli", &brotli)] {
        group.bench_function(format!("{name}, decompressed"), |bench| {
            bench.iter(|| reader(black_box(channel), &config).next_encoded());
        });
        group.bench_function(format!("{name}, to batches"), |bench| {
            bench.iter(|| reader(black_box(channel), &config).next_batch(&config));
        });
    }
    group.bench_function("span batch, decompressed before", |bench| {
        bench.iter(|| Batch::decode(black_box(&batch), &config));
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
