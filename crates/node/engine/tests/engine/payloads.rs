//! Payloads: built at once, improved until asked for, and taken back without a second execution.

use crate::{
    factory::Factory,
    world::{Place, World, attributes, engine_on, head, memory},
};
use alloy_consensus::Header;
use alloy_eips::eip2718::Encodable2718;
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B64, B256, U256};
use alloy_rpc_types_engine::{ForkchoiceState, PayloadAttributes, PayloadId};
use lockstep_chain::{
    Ethereum, EthereumHardfork, FeeParams, ForkSchedule, OpHardfork, Rollup,
    genesis::L2_TO_L1_MESSAGE_PASSER,
};
use lockstep_engine::{
    AttributesError, BlockBuilder, BuildError, DeliveredPayload, Engine, EngineConfig, EngineError,
    PayloadBuilder, Payloads, PoolBuilder, pool_head,
};
use lockstep_execution::StateReader;
use lockstep_pool::{Origin, Pool, PoolConfig, Pooled};
use lockstep_storage::GenesisBlock;
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use op_alloy_rpc_types_engine::OpPayloadAttributes;
use std::{sync::Arc, time::Duration};

/// An engine with a pool.
fn with_pool(world: &World, config: EngineConfig) -> (Engine<Ethereum>, Pool<Ethereum>) {
    let engine = engine_on(&world.chain, &memory(&world.genesis), config);
    let pool = Pool::new(
        world.chain.clone(),
        PoolConfig::default(),
        pool_head(&engine.view().snapshot()).unwrap(),
    );
    engine.set_builder(Arc::new(PoolBuilder::new(pool.clone())));
    engine.connect_pool(&pool).unwrap();
    (engine, pool)
}

fn add(pool: &Pool<Ethereum>, tx: &lockstep_chain::EthereumTransaction) {
    pool.add(Ethereum::pooled(tx).unwrap(), Origin::External).unwrap();
}

fn begin(engine: &Engine<Ethereum>, on: B256, attributes: PayloadAttributes) -> PayloadId {
    let updated = engine.fork_choice_and_build(head(on), Some(attributes)).unwrap();
    assert!(updated.is_valid());
    updated.payload_id.unwrap()
}

/// Slots that all write, nonces that follow each other, payments, and what finds no room.
#[test]
fn several_threads_fill_a_block_with_what_one_would() {
    let world = World::new(EthereumHardfork::Cancun);
    let built = [1, 2, 4].map(|execution_threads| {
        let config = EngineConfig { execution_threads, ..EngineConfig::default() };
        let (engine, pool) = with_pool(&world, config);
        for nonce in 0..60 {
            for user in 0..4 {
                let (slot, value) = (nonce % 3, nonce * 4 + user as u64);
                let (tx, _) = match (nonce + user as u64) % 5 {
                    0 => world.transfer(user, nonce, Address::repeat_byte(user as u8), 7),
                    1 if nonce == 50 => world.transfer_with_gas(user, nonce, 29_000_000),
                    _ => world.store(user, nonce, slot, value),
                };
                add(&pool, &tx);
            }
        }
        let id = begin(&engine, world.genesis_hash(), attributes(12, 1));
        engine.full_payload(id).unwrap()
    });
    let transactions = built[0].block.block.transactions();
    assert!(transactions.len() > 100, "{} transactions", transactions.len());
    for other in &built[1..] {
        assert_eq!(other.block.block.transactions(), transactions);
        assert_eq!(other.block.block.hash(), built[0].block.block.hash());
        assert_eq!(other.fees, built[0].fees);
    }
}

#[test]
fn a_payload_has_the_pools_best_transactions_and_comes_back_unexecuted() {
    let world = World::new(EthereumHardfork::Cancun);
    let (engine, pool) = with_pool(&world, EngineConfig::default());
    let to = Address::repeat_byte(9);
    for user in 0..3 {
        for nonce in 0..2 {
            add(&pool, &world.transfer(user, nonce, to, 7).0);
        }
    }
    let id = begin(&engine, world.genesis_hash(), attributes(12, 1));
    let built = engine.full_payload(id).unwrap();
    let block = &built.block.block;
    assert_eq!(block.transactions().len(), 6);
    assert_eq!(built.fees, U256::from(6 * 21_000) * U256::from(1_000_000_000));
    assert_eq!(block.block.header.gas_used, 6 * 21_000);
    assert_eq!(block.block.header.beneficiary, Address::repeat_byte(0xfe));
    // Asking again gives the same.
    assert_eq!(engine.payload(id).unwrap().block.block.hash(), block.hash());
    // Another engine agrees that it is valid, and so does this one, on the very same block.
    let other = world.engine(EngineConfig::default());
    let payload = world.chain.payload_from_block(&block.block);
    let delivered = DeliveredPayload {
        payload,
        versioned_hashes: Some(Vec::new()),
        parent_beacon_block_root: block.block.header.parent_beacon_block_root,
        requests: None,
    };
    let round_trip = world.chain.block_from_payload(delivered).unwrap();
    assert!(other.insert(round_trip.clone()).unwrap().is_valid());
    assert!(engine.insert(round_trip).unwrap().is_valid());
    let in_tree = engine.view().snapshot().executed(&block.hash()).unwrap();
    assert!(Arc::ptr_eq(&in_tree, &built.block));
    assert!(engine.fork_choice(head(block.hash())).unwrap().is_valid());
    crate::factory::until("inclusion", || pool.status().pending == 0);
}

#[test]
fn a_payload_is_there_at_once_and_the_id_follows_from_the_attributes() {
    let world = World::new(EthereumHardfork::Cancun);
    let config = EngineConfig { max_payloads: 2, ..Default::default() };
    let (engine, _pool) = with_pool(&world, config);
    let genesis = world.genesis_hash();
    let first = begin(&engine, genesis, attributes(12, 1));
    assert_eq!(begin(&engine, genesis, attributes(12, 1)), first);
    let second = begin(&engine, genesis, attributes(12, 2));
    assert_ne!(first, second);
    let third = begin(&engine, genesis, attributes(13, 1));
    assert!(matches!(engine.payload(first), Err(EngineError::UnknownPayload)));
    for id in [second, third] {
        assert_eq!(engine.payload(id).unwrap().block.block.number(), 1);
    }
    let unknown = engine.payload(PayloadId::default());
    assert!(matches!(unknown, Err(EngineError::UnknownPayload)));
}

#[test]
fn a_payload_improves_until_it_is_taken() {
    let world = World::new(EthereumHardfork::Cancun);
    let config = EngineConfig { build_interval: Duration::from_millis(1), ..Default::default() };
    let (engine, pool) = with_pool(&world, config);
    let id = begin(&engine, world.genesis_hash(), attributes(12, 1));
    add(&pool, &world.transfer(0, 0, Address::repeat_byte(9), 7).0);
    // Payloads with other attributes show when the pool has been looked at anew.
    let mut salt = 2;
    crate::factory::until("an improvement", || {
        salt += 1;
        let id = begin(&engine, world.genesis_hash(), attributes(12, salt));
        engine.full_payload(id).unwrap().block.block.transactions().len() == 1
    });
    drop(engine.payload(id));
}

#[test]
fn attributes_that_cannot_be_met_leave_the_fork_choice() {
    let factory = Factory::new();
    let engine = factory.world.engine(EngineConfig::default());
    let block = factory.block(factory.genesis(), 1, Vec::new());
    engine.insert(block.clone()).unwrap();
    let mut late = attributes(block.header.timestamp, 1);
    let refuse = |attributes: PayloadAttributes| match engine
        .fork_choice_and_build(head(block.seal()), Some(attributes))
    {
        Err(EngineError::Attributes(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refuse(late.clone()), AttributesError::Timestamp { .. }));
    assert_eq!(engine.view().head().hash(), block.seal());
    late.timestamp += 1;
    let without_root = PayloadAttributes { parent_beacon_block_root: None, ..late.clone() };
    assert!(matches!(refuse(without_root), AttributesError::Missing { .. }));
    let without_withdrawals = PayloadAttributes { withdrawals: None, ..late };
    assert!(matches!(refuse(without_withdrawals), AttributesError::Missing { .. }));
}

#[test]
fn gas_and_bytes_limit_a_payload() {
    let world = World::new(EthereumHardfork::Cancun);
    let config = EngineConfig { gas_limit: 5_000, ..Default::default() };
    let (engine, pool) = with_pool(&world, config);
    for nonce in 0..16 {
        add(&pool, &world.store(0, nonce, nonce, 1).0);
    }
    let built = engine.build_now(world.genesis_hash(), &attributes(12, 1)).unwrap();
    let header = &built.block.block.block.header;
    assert!(header.gas_limit < world.genesis.block().header.gas_limit);
    assert!(header.gas_used <= header.gas_limit);
    assert_eq!(built.block.block.transactions().len(), 16);
}

/// The gas limit of blocks falls, so that what the pool takes may fit into none.
#[test]
fn what_fits_into_no_block_leaves_the_pool() {
    let world = World::new(EthereumHardfork::Cancun);
    let config = EngineConfig { gas_limit: 5_000, ..Default::default() };
    let (engine, pool) = with_pool(&world, config);
    let limit = world.genesis.block().header.gas_limit;
    let (large, fits) =
        (world.transfer_with_gas(0, 0, limit), world.transfer_with_gas(1, 0, limit / 2));
    add(&pool, &large.0);
    add(&pool, &fits.0);
    let built = engine.build_now(world.genesis_hash(), &attributes(12, 1)).unwrap();
    assert_eq!(built.block.block.transactions(), [fits.0]);
    assert!(!pool.contains(large.0.hash()));
}

/// A rollup at `fork`, with a message passer that has storage.
fn rollup(fork: OpHardfork) -> (Rollup, GenesisBlock<Rollup>) {
    let chain = Rollup::new(901, ForkSchedule::<OpHardfork>::at(fork), FeeParams::OP_MAINNET);
    let mut genesis = Genesis {
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(1_000_000_000),
        ..Default::default()
    };
    let storage = [(B256::with_last_byte(1), B256::with_last_byte(2))];
    let account = GenesisAccount {
        nonce: Some(1),
        storage: Some(storage.into_iter().collect()),
        ..Default::default()
    };
    genesis.alloc.insert(L2_TO_L1_MESSAGE_PASSER, account);
    let mut header: Header = chain.genesis_header(&genesis);
    header.extra_data = match fork {
        fork if fork >= OpHardfork::Jovian => {
            alloy_primitives::bytes!("01000000fa000000060000000000000000")
        }
        fork if fork >= OpHardfork::Holocene => alloy_primitives::bytes!("00000000fa00000006"),
        _ => Default::default(),
    };
    let state = lockstep_execution::MemoryState::from_genesis(&genesis);
    (chain, GenesisBlock::new(header, state).unwrap())
}

fn rollup_attributes(fork: OpHardfork, timestamp: u64, deposits: u64) -> OpPayloadAttributes {
    let deposit = |index: u64| {
        let deposit = TxDeposit {
            source_hash: B256::from(U256::from(timestamp * 1_000 + index)),
            from: Address::repeat_byte(1),
            to: Address::repeat_byte(2).into(),
            mint: 5,
            value: U256::from(5),
            gas_limit: 100_000,
            ..Default::default()
        };
        OpTxEnvelope::from(deposit).encoded_2718().into()
    };
    let canyon = fork >= OpHardfork::Canyon;
    OpPayloadAttributes {
        payload_attributes: PayloadAttributes {
            timestamp,
            withdrawals: canyon.then(Vec::new),
            parent_beacon_block_root: (fork >= OpHardfork::Ecotone).then_some(B256::ZERO),
            ..attributes(timestamp, 0)
        },
        transactions: Some((0..deposits).map(deposit).collect()),
        no_tx_pool: Some(true),
        gas_limit: Some(30_000_000),
        eip_1559_params: (fork >= OpHardfork::Holocene).then_some(B64::ZERO),
        min_base_fee: (fork >= OpHardfork::Jovian).then_some(0),
    }
}

#[test]
fn a_rollup_sequences_itself_at_every_fork() {
    for fork in [
        OpHardfork::Regolith,
        OpHardfork::Canyon,
        OpHardfork::Ecotone,
        OpHardfork::Granite,
        OpHardfork::Holocene,
        OpHardfork::Isthmus,
        OpHardfork::Jovian,
    ] {
        let (chain, genesis) = rollup(fork);
        let place = Place::memory(&genesis);
        let engine = engine_on(&chain, &place.open(), EngineConfig::default());
        let follower = engine_on(&chain, &memory(&genesis), EngineConfig::default());
        for block in 1..=40 {
            let attributes = rollup_attributes(fork, 2 * block, 2);
            let made = engine.produce(&attributes).unwrap();
            let block = &made.block.block;
            let delivered = DeliveredPayload {
                payload: chain.payload_from_block(block),
                versioned_hashes: (fork >= OpHardfork::Ecotone).then(Vec::new),
                parent_beacon_block_root: block.header.parent_beacon_block_root,
                requests: (fork >= OpHardfork::Isthmus).then(Default::default),
            };
            let round_trip = chain.block_from_payload(delivered).unwrap();
            let status = follower.insert(round_trip).unwrap();
            assert!(status.is_valid(), "{fork}: {status}");
            assert!(follower.fork_choice(head(block.seal())).unwrap().is_valid());
        }
        let snapshot = follower.view().snapshot();
        let state = snapshot.state(40).unwrap();
        let account = state.account(&Address::repeat_byte(2)).unwrap().unwrap();
        assert_eq!(account.balance, U256::from(5 * 2 * 40), "{fork}");
        // Only a rollup goes back to an ancestor that is chosen.
        let earlier = snapshot.hash(7).unwrap().unwrap();
        assert!(follower.fork_choice(head(earlier)).unwrap().is_valid());
        assert_eq!(follower.view().head().hash(), earlier);
        drop(engine);
        let engine = engine_on(&chain, &place.open(), EngineConfig::default());
        assert_eq!(engine.view().head().number, 40);
    }
}

#[test]
fn a_wrong_message_passer_root_is_refused() {
    let (chain, genesis) = rollup(OpHardfork::Isthmus);
    let engine = engine_on(&chain, &memory(&genesis), EngineConfig::default());
    let on = genesis.block().seal();
    let built = engine.build_now(on, &rollup_attributes(OpHardfork::Isthmus, 2, 1)).unwrap();
    let mut block = built.block.block.block.inner().clone();
    block.header.withdrawals_root = Some(B256::repeat_byte(1));
    let hash = block.header.hash_slow();
    let status = engine.insert(alloy_primitives::Sealed::new_unchecked(block, hash)).unwrap();
    let error = status.status.validation_error().unwrap();
    assert!(error.contains("withdrawalsRoot"), "{error}");
    let state = ForkchoiceState { head_block_hash: hash, ..Default::default() };
    assert!(engine.fork_choice(state).unwrap().is_invalid());
}

#[test]
fn malformed_forced_transactions_are_refused() {
    let (chain, genesis) = rollup(OpHardfork::Isthmus);
    let engine = engine_on(&chain, &memory(&genesis), EngineConfig::default());
    let good = rollup_attributes(OpHardfork::Isthmus, 2, 1);
    let bytes = good.transactions.clone().unwrap()[0].to_vec();
    let mut corpus: Vec<Vec<u8>> = vec![vec![], vec![0x7e], vec![0xff; 40], bytes[..9].to_vec()];
    let mut longer = bytes;
    longer.push(0);
    corpus.push(longer);
    for malformed in corpus {
        let attributes =
            OpPayloadAttributes { transactions: Some(vec![malformed.into()]), ..good.clone() };
        let error = engine.start_payload(genesis.block().seal(), attributes).unwrap_err();
        assert!(matches!(error, EngineError::Attributes(_)), "{error}");
    }
}

/// Panics on its first block.
#[derive(Debug, Default)]
struct Panicking(std::sync::atomic::AtomicBool);

impl PayloadBuilder<Ethereum> for Panicking {
    fn build(&self, _: &mut BlockBuilder<'_, Ethereum>) -> Result<(), BuildError> {
        let has_panicked = self.0.swap(true, std::sync::atomic::Ordering::SeqCst);
        assert!(has_panicked, "this panic is part of a test");
        Ok(())
    }
}

#[test]
fn a_builder_that_panics_costs_one_build() {
    let world = World::new(EthereumHardfork::Cancun);
    let engine = world.engine(EngineConfig::default());
    engine.set_builder(Arc::new(Panicking::default()));
    let genesis = world.genesis_hash();
    for salt in 1..=2 {
        let id = begin(&engine, genesis, attributes(12, salt));
        assert_eq!(engine.full_payload(id).unwrap().block.block.number(), 1);
    }
    engine.check_running().unwrap();
}

/// Panics when it is asked for.
fn follow_and_panic(engine: &Engine<Ethereum>) {
    engine.follow("test", |_, _| panic!("this panic is part of a test")).unwrap();
}

#[test]
fn a_thread_that_panics_stops_the_engine() {
    let world = World::new(EthereumHardfork::Cancun);
    let engine = world.engine(EngineConfig::default());
    follow_and_panic(&engine);
    engine.produce(&attributes(12, 1)).unwrap();
    crate::factory::until("the stop", || engine.check_running().is_err());
    let error = engine.check_running().unwrap_err();
    assert!(matches!(&error, EngineError::Stopped(why) if why.contains("test")), "{error}");
}
