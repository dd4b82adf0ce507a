//! Random trees of blocks, random fork choices, and persistence in between, against a model that
//! keeps a whole state per block.

use crate::{
    factory::{Factory, until},
    world::{STORE, Signed, engine_on, storages},
};
use alloy_primitives::{Address, B256, U256, map::B256Map};
use alloy_rpc_types_engine::ForkchoiceState;
use lockstep_chain::Ethereum;
use lockstep_engine::{Engine, EngineConfig, EngineError, PoolBuilder, pool_head};
use lockstep_execution::{MemoryState, StateReader};
use lockstep_pool::{Origin, Pool, PoolConfig};
use lockstep_storage::{ExecutedBlock, State, StorageError};
use std::sync::Arc;

/// A small generator of numbers that replays from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }
}

/// Every block there ever was, with the whole state after it.
struct Model {
    blocks: B256Map<ModelBlock>,
    /// In the order in which they were made.
    order: Vec<B256>,
    genesis: B256,
}

struct ModelBlock {
    parent: B256,
    number: u64,
    state: Arc<MemoryState>,
    block: Option<Arc<ExecutedBlock<Ethereum>>>,
}

impl Model {
    fn new(factory: &Factory) -> Self {
        let genesis = factory.genesis();
        let first = ModelBlock {
            parent: B256::ZERO,
            number: 0,
            state: Arc::new(factory.world.genesis.state().clone()),
            block: None,
        };
        Self { blocks: B256Map::from_iter([(genesis, first)]), order: vec![genesis], genesis }
    }

    fn add(&mut self, block: Arc<ExecutedBlock<Ethereum>>) {
        let (hash, parent) = (block.block.hash(), block.block.parent_hash());
        let mut state = MemoryState::clone(&self.blocks[&parent].state);
        state.apply(&block.changes);
        let number = block.block.number();
        let model = ModelBlock { parent, number, state: Arc::new(state), block: Some(block) };
        self.blocks.insert(hash, model);
        self.order.push(hash);
    }

    /// From genesis to this block.
    fn chain(&self, head: B256) -> Vec<B256> {
        let next = |hash: &B256| (*hash != self.genesis).then(|| self.blocks[hash].parent);
        let mut chain: Vec<B256> = std::iter::successors(Some(head), next).collect();
        chain.reverse();
        chain
    }

    fn is_ancestor(&self, ancestor: B256, of: B256) -> bool {
        self.chain(of).contains(&ancestor)
    }
}

/// Every user's next transaction on top of `state`: one per sender and nonce, so that branches
/// share them.
fn transactions(factory: &Factory, state: &MemoryState, random: &mut Random) -> Vec<Signed> {
    let world = &factory.world;
    let mut transactions = Vec::new();
    for (user, signer) in world.users.iter().enumerate() {
        let nonce = state.get(&signer.address()).map_or(0, |account| account.info.nonce);
        for nonce in nonce..nonce + random.below(3) as u64 {
            transactions.push(match nonce % 3 {
                0 => world.store(user, nonce, nonce % 5, if nonce % 2 == 0 { 0 } else { nonce }),
                1 => world.store(user, nonce, nonce % 7, nonce + 1),
                _ => world.transfer(user, nonce, Address::with_last_byte(nonce as u8), 1_000),
            });
        }
    }
    transactions
}

fn same_state(state: &dyn State, expected: &MemoryState, what: &str) -> Result<(), StorageError> {
    for (address, account) in expected.accounts() {
        let got = state.account(address)?;
        let got = got.unwrap_or_else(|| panic!("{what}: {address} is missing"));
        assert_eq!(
            (got.nonce, got.balance, got.code_hash),
            (account.info.nonce, account.info.balance, account.info.code_hash),
            "{what}: {address}"
        );
    }
    for slot in (0..7).map(U256::from) {
        let expected = expected.storage(&STORE, &slot).unwrap();
        assert_eq!(state.storage(&STORE, &slot)?, expected, "{what}: slot {slot}");
    }
    assert!(state.account(&Address::repeat_byte(0xee))?.is_none());
    Ok(())
}

/// The root of the state after block `number`, which is held against the model. An old state ends
/// when the blocks above it are taken back on disk, and must then be asked for anew.
fn checked_root(engine: &Engine<Ethereum>, number: u64, expected: &MemoryState) -> B256 {
    loop {
        let state = engine.view().snapshot().state(number);
        let root = state.and_then(|state| {
            same_state(&*state, expected, &format!("block {number}"))?;
            Ok(state.state_root())
        });
        match root {
            Err(StorageError::Unwound { .. }) => {}
            root => return root.unwrap(),
        }
    }
}

/// Holds everything that can be read of the canonical chain against the model.
fn check(engine: &Engine<Ethereum>, model: &Model, head: B256, random: &mut Random) {
    let snapshot = engine.view().snapshot();
    assert_eq!(snapshot.head().hash(), head);
    let chain = model.chain(head);
    for (number, hash) in (0..).zip(&chain) {
        assert_eq!(snapshot.hash(number).unwrap(), Some(*hash), "number {number}");
        assert_eq!(snapshot.number(hash).unwrap(), Some(number));
    }
    assert_eq!(snapshot.hash(chain.len() as u64).unwrap(), None);
    // The head's state and a random older one.
    for number in [chain.len() - 1, random.below(chain.len())] {
        let model = &model.blocks[&chain[number]];
        let root = checked_root(engine, number as u64, &model.state);
        let Some(block) = &model.block else { continue };
        assert_eq!(root, block.state_root());
        let stored = snapshot.block(number as u64).unwrap().unwrap();
        assert_eq!(stored.senders, block.block.senders);
        assert_eq!(stored.block.inner(), block.block.block.inner());
        assert_eq!(*snapshot.receipts(number as u64).unwrap().unwrap(), *block.receipts);
    }
    // Transactions are found where they are now, and nowhere else.
    let block = &model.blocks[&model.order[random.below(model.order.len())]];
    for transaction in block.block.iter().flat_map(|block| block.block.transactions()) {
        let expected = chain.iter().find_map(|hash| {
            let block = model.blocks[hash].block.as_ref()?;
            Some((*hash, block.transaction_index(transaction.tx_hash())?))
        });
        let found = snapshot.transaction(transaction.tx_hash()).unwrap();
        assert_eq!(found.map(|(block, index)| (block.hash(), index)), expected);
    }
}

/// Nothing that is canonical, or can never be again, waits in the pool; what a reorg drops comes
/// back.
fn check_pool(engine: &Engine<Ethereum>, pool: &Pool<Ethereum>, model: &Model, head: B256) {
    let state = &model.blocks[&head].state;
    let nonce = |of: &Address| state.get(of).map_or(0, |account| account.info.nonce);
    until("the pool's advance", || {
        let content = pool.content();
        let waiting = content.pending.iter().chain(&content.queued);
        waiting.clone().all(|(of, txs)| txs.keys().all(|at| *at >= nonce(of)))
            && content.pending.iter().all(|(of, txs)| txs.contains_key(&nonce(of)))
    });
    let snapshot = engine.view().snapshot();
    for txs in pool.content().pending.values() {
        for tx in txs.values() {
            assert!(snapshot.transaction(&tx.hash).unwrap().is_none());
        }
    }
}

struct Run {
    engine: Engine<Ethereum>,
    pool: Pool<Ethereum>,
    head: B256,
    finalized: B256,
}

impl Run {
    fn new(factory: &Factory, engine: Engine<Ethereum>) -> Self {
        let head = pool_head(&engine.view().snapshot()).unwrap();
        let pool = Pool::new(factory.world.chain.clone(), PoolConfig::default(), head);
        engine.set_builder(Arc::new(PoolBuilder::new(pool.clone())));
        engine.connect_pool(&pool).unwrap();
        Self { engine, pool, head: factory.genesis(), finalized: factory.genesis() }
    }

    /// Makes a random block the head; returns whether that was a reorg.
    fn choose(&mut self, model: &Model, random: &mut Random) -> bool {
        let newest = model.order.len().min(24);
        let target = model.order[model.order.len() - 1 - random.below(newest)];
        if !model.is_ancestor(self.finalized, target) {
            return false;
        }
        let chain = model.chain(target);
        let old_finalized = model.blocks[&self.finalized].number as usize;
        if random.below(8) == 0 && chain.len() > old_finalized + 6 {
            self.finalized = chain[old_finalized + 1 + random.below(3)];
        }
        let zero_at_genesis = |hash| if hash == model.genesis { B256::ZERO } else { hash };
        let state = ForkchoiceState {
            head_block_hash: target,
            safe_block_hash: zero_at_genesis(self.finalized),
            finalized_block_hash: zero_at_genesis(self.finalized),
        };
        if model.is_ancestor(target, self.head) && target != self.head {
            // A rewind does not name checkpoints: those of the engine stay.
            let finalized = self.engine.view().snapshot().finalized();
            self.finalized = finalized.map_or(model.genesis, |block| block.hash);
            match self.engine.rewind(target) {
                Ok(()) => {}
                Err(EngineError::Finalized { .. }) => return false,
                Err(error) => panic!("{error}"),
            }
        } else {
            let status = self.engine.fork_choice(state).unwrap();
            assert!(status.is_valid(), "{status}");
        }
        let is_reorg = !model.is_ancestor(self.head, target);
        self.head = target;
        is_reorg
    }
}

fn random_reorgs(seed: u64, wanted: usize) {
    let factory = Factory::new();
    let places = storages(&factory.world.chain, &factory.world.genesis);
    let mut random = Random(seed | 1);
    let mut runs: Vec<Run> = places
        .iter()
        .map(|place| {
            let config = EngineConfig {
                keep_in_memory: 1 + seed % 4,
                persistence_batch: 1 + (seed % 3) as usize,
                max_trie_nodes: if seed.is_multiple_of(2) { 200 } else { 100_000 },
                ..Default::default()
            };
            Run::new(&factory, engine_on(&factory.world.chain, &place.open(), config))
        })
        .collect();
    let mut model = Model::new(&factory);
    let mut reorgs = 0;
    while reorgs < wanted {
        if random.below(3) < 2 {
            let newest = model.order.len().min(8);
            let parent = model.order[model.order.len() - 1 - random.below(newest)];
            if runs.iter().all(|run| model.is_ancestor(run.finalized, parent)) {
                let txs = transactions(&factory, &model.blocks[&parent].state, &mut random);
                let salt = model.order.len() as u64;
                let block = factory.executed(parent, salt, txs);
                for run in &runs {
                    let status = run.engine.insert(block.block.block.clone()).unwrap();
                    assert!(status.is_valid(), "{status}");
                }
                model.add(block);
            }
        }
        if random.below(2) == 0 {
            // All engines make the same choices.
            let at = random.0;
            for (index, run) in runs.iter_mut().enumerate() {
                random.0 = at;
                reorgs += usize::from(run.choose(&model, &mut random) && index == 0);
                if random.below(4) == 0 {
                    check(&run.engine, &model, run.head, &mut random);
                }
            }
            random.next();
        }
    }
    for run in &runs {
        check(&run.engine, &model, run.head, &mut random);
        check_pool(&run.engine, &run.pool, &model, run.head);
        run.engine.shutdown().unwrap();
    }
}

#[test]
fn random_reorgs_leave_everything_as_the_model_says() {
    for seed in 1..=4 {
        random_reorgs(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed), 60);
    }
}

/// `cargo test --release -p lockstep-engine -- --ignored ten_thousand`
#[test]
#[ignore = "ten thousand reorgs: a step of its own in .ci/run"]
fn ten_thousand_random_reorgs_leave_everything_as_the_model_says() {
    for seed in 1..=20 {
        random_reorgs(0xd134_2543_de82_ef95_u64.wrapping_mul(seed), 500);
    }
}

#[test]
fn dropped_transactions_return_to_the_pool() {
    let factory = Factory::new();
    for place in storages(&factory.world.chain, &factory.world.genesis) {
        let engine = engine_on(&factory.world.chain, &place.open(), EngineConfig::default());
        let run = Run::new(&factory, engine);
        let tx = factory.world.transfer(0, 0, Address::repeat_byte(9), 5);
        let hash = *tx.0.tx_hash();
        let left = factory.block(factory.genesis(), 1, vec![tx]);
        let right = factory.block(factory.genesis(), 2, Vec::new());
        let pooled = <Ethereum as lockstep_pool::Pooled>::pooled(&left.body.transactions[0]);
        run.pool.add(pooled.unwrap(), Origin::External).unwrap();
        run.engine.insert(left.clone()).unwrap();
        run.engine.insert(right.clone()).unwrap();
        run.engine.fork_choice(crate::world::head(left.seal())).unwrap();
        until("inclusion", || !run.pool.contains(&hash));
        run.engine.fork_choice(crate::world::head(right.seal())).unwrap();
        until("the return", || run.pool.contains(&hash));
    }
}
