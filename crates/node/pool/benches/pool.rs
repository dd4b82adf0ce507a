//! Adding and choosing transactions, held against what adding cannot do without: the recovery of
//! the signer.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark"
)]

use alloy_consensus::{
    EthereumTxEnvelope, Header, Sealable, SignableTransaction, TxEip1559,
    transaction::SignerRecoverable,
};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lockstep_chain::{Ethereum, EthereumHardfork, ForkSchedule};
use lockstep_execution::{AccountInfo, Bytecode, MemoryState, StateReader};
use lockstep_pool::{EthereumPooledTransaction, Origin, Pool, PoolConfig, PoolHead};
use lockstep_storage::{State, StorageError};
use lockstep_trie::{NodePath, NodeSource};
use std::{hint::black_box, sync::Arc, time::Instant};

const SENDERS: usize = 1_000;
const PER_SENDER: u64 = 10;

#[derive(Debug)]
struct Memory(MemoryState);

impl StateReader for Memory {
    type Error = StorageError;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StorageError> {
        Ok(self.0.account(address).unwrap())
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StorageError> {
        Ok(self.0.storage(address, slot).unwrap())
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StorageError> {
        Ok(self.0.has_storage(address).unwrap())
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, StorageError> {
        Ok(self.0.code(code_hash).unwrap())
    }

    fn block_hash(&self, number: u64) -> Result<B256, StorageError> {
        Ok(self.0.block_hash(number).unwrap())
    }
}

impl NodeSource for Memory {
    type Error = StorageError;

    fn node(&self, _: &NodePath, _: B256) -> Result<Option<Bytes>, StorageError> {
        Ok(None)
    }
}

impl State for Memory {
    fn state_root(&self) -> B256 {
        B256::ZERO
    }
}

struct Work {
    head: PoolHead<Ethereum>,
    encoded: Vec<Vec<u8>>,
}

impl Work {
    fn new() -> Self {
        let mut memory = MemoryState::default();
        let mut encoded = Vec::new();
        for n in 1..=SENDERS {
            let user = PrivateKeySigner::from_bytes(&B256::from(U256::from(n))).unwrap();
            let ether = U256::from(10).pow(U256::from(18));
            memory.set_account(user.address(), 0, ether, Bytecode::default());
            for nonce in 0..PER_SENDER {
                let fee = 1_000 + (n as u128 * 7_919 + u128::from(nonce) * 104_729) % 1_000;
                let tx = TxEip1559 {
                    chain_id: 1337,
                    nonce,
                    gas_limit: 21_000,
                    max_fee_per_gas: fee,
                    max_priority_fee_per_gas: fee,
                    to: TxKind::Call(Address::repeat_byte(1)),
                    ..Default::default()
                };
                let signature = user.sign_hash_sync(&tx.signature_hash()).unwrap();
                let tx: EthereumPooledTransaction =
                    EthereumTxEnvelope::Eip1559(tx.into_signed(signature));
                encoded.push(tx.encoded_2718());
            }
        }
        let header = Header {
            gas_limit: 30_000_000,
            base_fee_per_gas: Some(10),
            excess_blob_gas: Some(0),
            blob_gas_used: Some(0),
            ..Default::default()
        };
        let head = PoolHead { header: header.seal_slow(), state: Arc::new(Memory(memory)) };
        Self { head, encoded }
    }

    fn pool(&self) -> Pool<Ethereum> {
        let forks = ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Prague);
        Pool::new(Ethereum::new(1337, forks), PoolConfig::default(), self.head.clone())
    }

    fn fill(&self, pool: &Pool<Ethereum>) {
        for bytes in &self.encoded {
            pool.add_raw(bytes, Origin::External).unwrap();
        }
    }

    fn recover(&self) {
        for bytes in &self.encoded {
            let tx = EthereumPooledTransaction::decode_2718_exact(bytes).unwrap();
            black_box(tx.recover_signer().unwrap());
        }
    }
}

/// Both in turns, so that the ratio does not depend on what else the machine does.
fn ratio(work: &Work) {
    let (mut adding, mut recovering) = (0.0, 0.0);
    for _ in 0..3 {
        let begun = Instant::now();
        work.recover();
        recovering += begun.elapsed().as_secs_f64();
        let pool = work.pool();
        let begun = Instant::now();
        work.fill(&pool);
        adding += begun.elapsed().as_secs_f64();
    }
    println!("add / (decode and recover): {:.2}", adding / recovering);
}

fn pool(c: &mut Criterion) {
    let work = Work::new();
    ratio(&work);
    let mut group = c.benchmark_group("pool");
    group.sample_size(10);
    group.throughput(Throughput::Elements(work.encoded.len() as u64));
    group.bench_function("decode and recover 10,000 transfers", |b| b.iter(|| work.recover()));
    group.bench_function("add 10,000 transfers", |b| {
        b.iter_batched(|| work.pool(), |pool| work.fill(&pool), BatchSize::PerIteration);
    });
    let full = work.pool();
    work.fill(&full);
    group.bench_function("choose 1,400 of 10,000", |b| {
        b.iter(|| black_box(full.best(9, Some(1)).take(1_400).count()));
    });
    group.bench_function("advance with 10,000 waiting", |b| {
        b.iter(|| full.advance(work.head.clone(), &[], &[]));
    });
    group.finish();
}

criterion_group!(benches, pool);
criterion_main!(benches);
