//! How fast blocks are imported over a database: with one thread and with all, with and without the cache of the newest
//! state, as gas per second; of whole insertions, and of execution alone.
//!
//! All variants import the same blocks side by side, so that what disturbs one disturbs the others.
//!
//! `cargo bench -p lockstep-engine --bench import`

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark measures time and may stop at what it did not expect"
)]

use alloy_consensus::{Header, SignableTransaction, TxEip1559};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_rpc_types_engine::{ForkchoiceState, PayloadAttributes};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_chain::{Ethereum, EthereumHardfork, EthereumTransaction, ForkSchedule};
use lockstep_engine::{
    BlockBuilder, BuildError, Engine, EngineConfig, NoTransactions, PayloadBuilder,
};
use lockstep_execution::{Bytecode, Execute, ExecuteOptions, MemoryState, genesis_root};
use lockstep_parallel::{ParallelExecutor, StateCache};
use lockstep_storage::{
    DiskStorage, ExecutedBlock, GenesisBlock, MemoryStorage, Options, Storage, SyncPolicy,
};
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const CHAIN_ID: u64 = 1337;
const BLOCKS: u64 = 120;
/// Blocks that are imported before time is taken.
const WARM_UP: u64 = 40;
const TRANSFERS: u64 = 500;
const CALLS: u64 = 400;

/// The state: senders, whom they pay, and the contracts that they call.
const SENDERS: u64 = 1_000;
const RECIPIENTS: u64 = 200_000;
const CONTRACTS: u64 = 64;
const SLOTS: u64 = 4_096;
/// So many of ten transactions, and of ten slots, are about the tenth part of the state that is used most.
const HOT: u64 = 8;

/// Slots that a call reads. The first is also written.
const READS: usize = 8;

/// Adds up the slots that the words of the call data name, and stores the sum in the first.
const CODE: [u8; 24] = [
    0x5f, 0x5f, 0x5b, 0x80, 0x35, 0x54, 0x82, 0x01, 0x91, 0x50, 0x60, 0x20, 0x01, 0x80, 0x36, 0x11,
    0x60, 0x02, 0x57, 0x50, 0x5f, 0x35, 0x55, 0x00,
];

/// Accounts and slots that are kept.
const CACHED: usize = 400_000;

fn main() {
    let threads = thread::available_parallelism().map_or(2, NonZeroUsize::get).max(2);
    let world = World::new();
    let blocks = world.blocks();
    let gas: u64 =
        blocks.iter().skip(WARM_UP as usize).map(|block| block.block.block.header.gas_used).sum();
    println!("{} blocks of {} Mgas", blocks.len(), gas / (BLOCKS - WARM_UP) / 1_000_000);
    let mut variants = [(1, 0), (1, CACHED), (threads, 0), (threads, CACHED)]
        .map(|(threads, cached)| Variant::new(&world, threads, cached));
    for (number, block) in blocks.iter().enumerate() {
        for turn in 0..variants.len() {
            let at = (turn + number) % variants.len();
            variants[at].import(block, number as u64 >= WARM_UP);
        }
    }
    let speed = |time: Duration| gas as f64 / time.as_secs_f64() / 1e6;
    let (base, base_execution) = (variants[0].inserted, variants[0].executed);
    for variant in &variants {
        let Variant { threads, cached, inserted, executed, .. } = variant;
        println!(
            "{threads} threads, {cached:>6} entries: import {:7.1} Mgas/s ({:.2}x), execution alone {:7.1} Mgas/s ({:.2}x)",
            speed(*inserted),
            base.as_secs_f64() / inserted.as_secs_f64(),
            speed(*executed),
            base_execution.as_secs_f64() / executed.as_secs_f64(),
        );
    }
    for variant in variants {
        variant.engine.shutdown().unwrap();
    }
}

/// An engine over a database, and an executor that executes the same blocks once more.
struct Variant {
    threads: usize,
    cached: usize,
    engine: Engine<Ethereum>,
    storage: Arc<dyn Storage<Ethereum>>,
    executor: ParallelExecutor,
    cache: Option<Arc<StateCache>>,
    inserted: Duration,
    executed: Duration,
    _folder: tempfile::TempDir,
}

impl Variant {
    fn new(world: &World, threads: usize, cached: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options =
            Options { sync: SyncPolicy::Never, max_database_bytes: 8 << 30, ..Default::default() };
        let storage = DiskStorage::open(folder.path(), &world.chain, &world.genesis(), options);
        let storage: Arc<dyn Storage<_>> = Arc::new(storage.unwrap());
        let config = EngineConfig {
            execution_threads: threads,
            max_cached_state: cached,
            ..Default::default()
        };
        let builder = Arc::new(NoTransactions);
        let engine = Engine::open(world.chain.clone(), storage.clone(), builder, config).unwrap();
        Self {
            threads,
            cached,
            engine,
            storage,
            executor: ParallelExecutor::new(threads).unwrap(),
            cache: NonZeroUsize::new(cached).map(|entries| Arc::new(StateCache::new(entries))),
            inserted: Duration::ZERO,
            executed: Duration::ZERO,
            _folder: folder,
        }
    }

    fn import(&mut self, block: &ExecutedBlock<Ethereum>, counts: bool) {
        let executed = self.execute(block);
        let begun = Instant::now();
        assert!(self.engine.insert(block.block.block.clone()).unwrap().is_valid());
        if counts {
            self.inserted += begun.elapsed();
            self.executed += executed;
        }
        let head_block_hash = block.block.hash();
        let choice = ForkchoiceState { head_block_hash, ..Default::default() };
        assert!(self.engine.fork_choice(choice).unwrap().is_valid());
        // Nothing is written while others are measured.
        let kept = self.engine.config().keep_in_memory;
        let persisted = block.block.number().saturating_sub(kept);
        while self.storage.snapshot().unwrap().tip().number < persisted {
            thread::yield_now();
        }
    }

    fn execute(&self, block: &ExecutedBlock<Ethereum>) -> Duration {
        let (parent, hash) = (block.block.parent_hash(), block.block.hash());
        let state = self.engine.view().snapshot().state_by_hash(&parent).unwrap();
        let (chain, senders) = (self.engine.chain(), &block.block.senders);
        let (options, it) = (ExecuteOptions::default(), &block.block.block);
        let begun = Instant::now();
        let output = match &self.cache {
            Some(cache) => {
                cache.begin(parent);
                let state = cache.over(parent, state);
                let output = self.executor.execute_block(chain, it, senders, &state, options);
                cache.advance(parent, hash, &output.as_ref().unwrap().changes);
                output
            }
            None => self.executor.execute_block(chain, it, senders, &state, options),
        };
        let took = begun.elapsed();
        assert_eq!(output.unwrap().gas_used, it.header.gas_used);
        took
    }
}

type Signed = (EthereumTransaction, Address);

#[derive(Debug, Default)]
struct Scripted(Mutex<Vec<Signed>>);

impl PayloadBuilder<Ethereum> for Scripted {
    fn build(&self, block: &mut BlockBuilder<'_, Ethereum>) -> Result<(), BuildError> {
        for (transaction, sender) in self.0.lock().unwrap().iter() {
            block.push(transaction.clone(), *sender, None).unwrap();
        }
        Ok(())
    }
}

struct World {
    chain: Ethereum,
    state: MemoryState,
    header: Header,
    senders: Vec<PrivateKeySigner>,
}

/// The same on every machine.
fn random(seed: &mut u64, below: u64) -> u64 {
    *seed += 1;
    let hash = keccak256(seed.to_be_bytes());
    u64::from_be_bytes(hash[..8].try_into().unwrap()) % below
}

/// One of so many; some more often than others.
fn pick(seed: &mut u64, of: u64) -> u64 {
    let is_hot = random(seed, 10) < HOT;
    random(seed, if is_hot { of / 10 } else { of })
}

fn account(kind: u8, index: u64) -> Address {
    Address::from_word(keccak256([&[kind][..], &index.to_be_bytes()].concat()))
}

impl World {
    fn new() -> Self {
        let fork = ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Cancun);
        let chain = Ethereum::new(CHAIN_ID, fork);
        let key =
            |index: u64| PrivateKeySigner::from_bytes(&keccak256(index.to_be_bytes())).unwrap();
        let senders: Vec<_> = (0..SENDERS).map(key).collect();
        let mut state = MemoryState::default();
        let ether = U256::from(10).pow(U256::from(24));
        for sender in &senders {
            state.set_account(sender.address(), 0, ether, Bytecode::default());
        }
        for recipient in 0..RECIPIENTS {
            state.set_account(account(1, recipient), 0, U256::ONE, Bytecode::default());
        }
        let code = Bytecode::new_legacy(Bytes::from_static(&CODE));
        for contract in 0..CONTRACTS {
            let address = account(2, contract);
            state.set_account(address, 1, U256::ZERO, code.clone());
            for slot in 0..SLOTS {
                state.set_slot(address, U256::from(slot), U256::from(slot + 1));
            }
        }
        let genesis = alloy_genesis::Genesis { gas_limit: 60_000_000, ..Default::default() };
        type Commitment = <Ethereum as Execute>::Commitment;
        let state_root = genesis_root::<Commitment>(&state, |_, _, _| ()).unwrap();
        let header = Header { state_root, ..chain.genesis_header(&genesis) };
        Self { chain, state, header, senders }
    }

    fn genesis(&self) -> GenesisBlock<Ethereum> {
        GenesisBlock::new(self.header.clone(), self.state.clone()).unwrap()
    }

    /// The blocks, made by an engine that keeps all in memory.
    fn blocks(&self) -> Vec<Arc<ExecutedBlock<Ethereum>>> {
        let script = Arc::new(Scripted::default());
        let storage = Arc::new(MemoryStorage::new(&self.genesis()));
        let config = EngineConfig { keep_in_memory: 0, ..Default::default() };
        let engine = Engine::open(self.chain.clone(), storage, script.clone(), config).unwrap();
        let (mut seed, mut nonces) = (0, vec![0; SENDERS as usize]);
        let blocks = (1..=BLOCKS).map(|number| {
            *script.0.lock().unwrap() = self.transactions(&mut seed, &mut nonces);
            engine.produce(&attributes(self.header.timestamp + 12 * number)).unwrap()
        });
        let blocks = blocks.collect();
        engine.shutdown().unwrap();
        blocks
    }

    fn transactions(&self, seed: &mut u64, nonces: &mut [u64]) -> Vec<Signed> {
        let transaction = |index: u64| {
            let sender = random(seed, SENDERS) as usize;
            let is_call = index % (TRANSFERS + CALLS) * CALLS % (TRANSFERS + CALLS) < CALLS;
            let transaction = TxEip1559 {
                chain_id: CHAIN_ID,
                nonce: nonces[sender],
                gas_limit: if is_call { 100_000 } else { 21_000 },
                max_fee_per_gas: 100_000_000_000,
                max_priority_fee_per_gas: 1_000_000_000,
                to: TxKind::Call(match is_call {
                    true => account(2, pick(seed, CONTRACTS)),
                    false => account(1, pick(seed, RECIPIENTS)),
                }),
                value: U256::from(u64::from(!is_call)),
                input: if is_call { words(seed) } else { Bytes::new() },
                ..Default::default()
            };
            nonces[sender] += 1;
            let signer = &self.senders[sender];
            let signature = signer.sign_hash_sync(&transaction.signature_hash()).unwrap();
            (EthereumTransaction::Eip1559(transaction.into_signed(signature)), signer.address())
        };
        (0..TRANSFERS + CALLS).map(transaction).collect()
    }
}

fn words(seed: &mut u64) -> Bytes {
    let word = || U256::from(pick(seed, SLOTS)).to_be_bytes::<32>();
    std::iter::repeat_with(word).take(READS).flatten().collect::<Vec<_>>().into()
}

fn attributes(timestamp: u64) -> PayloadAttributes {
    PayloadAttributes {
        timestamp,
        prev_randao: B256::ZERO,
        suggested_fee_recipient: Address::repeat_byte(0xfe),
        withdrawals: Some(Vec::new()),
        parent_beacon_block_root: Some(B256::ZERO),
        slot_number: None,
        target_gas_limit: None,
    }
}
