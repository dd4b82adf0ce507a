//! What happens between memory and storage.

use crate::{
    factory::{EthereumBlock, Factory, until},
    world::{Place, RecordedStorage, attributes, engine_on, head, storages},
};
use alloy_primitives::{Address, B256};
use lockstep_chain::Ethereum;
use lockstep_engine::{Engine, EngineConfig, EngineError, pool_head};
use lockstep_pool::{Origin, Pool, PoolConfig, Pooled};
use lockstep_storage::{
    DiskStorage, ErrorClass, ExecutedBlock, ForkChoice, LogEntry, LoggedEntry, Options, Snapshot,
    Storage, StorageError, SyncPolicy,
};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::ThreadId,
    time::Duration,
};

fn small() -> EngineConfig {
    EngineConfig { keep_in_memory: 2, persistence_batch: 3, ..Default::default() }
}

#[test]
fn a_reorg_below_what_is_persisted_unwinds_storage_and_can_be_undone() {
    let factory = Factory::new();
    let store = |nonce, value| vec![factory.world.store(0, nonce, 1, value)];
    let mut left = factory.chain(factory.genesis(), 1, 3);
    let fork = left[2].seal();
    for nonce in 0..9 {
        let parent = left.last().unwrap().seal();
        left.push(factory.block(parent, 1, store(nonce, 100 + nonce)));
    }
    let mut right = vec![factory.block(fork, 2, store(0, 7))];
    right.push(factory.block(right[0].seal(), 2, Vec::new()));
    for place in storages(&factory.world.chain, &factory.world.genesis) {
        let storage = place.open();
        let engine = engine_on(&factory.world.chain, &storage, small());
        let tip = || storage.snapshot().unwrap().tip();
        let slot = || {
            let snapshot = engine.view().snapshot();
            let state = snapshot.state_by_hash(&snapshot.head().hash()).unwrap();
            assert_eq!(state.state_root(), snapshot.head().state_root);
            lockstep_execution::StateReader::storage(
                &*state,
                &crate::world::STORE,
                &alloy_primitives::U256::from(1),
            )
            .unwrap()
            .to::<u64>()
        };
        for block in &left {
            assert!(engine.insert(block.clone()).unwrap().is_valid());
            engine.fork_choice(head(block.seal())).unwrap();
        }
        until("persistence", || tip().number == 10);
        assert_eq!(slot(), 108);
        for block in &right {
            assert!(engine.insert(block.clone()).unwrap().is_valid());
        }
        let mut updates = engine.view().subscribe();
        for _ in 0..3 {
            assert!(engine.fork_choice(head(right[1].seal())).unwrap().is_valid());
            assert_eq!(slot(), 7);
            let update = updates.try_recv().unwrap();
            assert_eq!((update.dropped().len(), update.committed().len()), (9, 2));
            until("unwinding", || tip().hash == fork);
            assert_eq!(slot(), 7);
            // The branch that was taken back from storage is in memory again.
            assert!(engine.fork_choice(head(left[11].seal())).unwrap().is_valid());
            assert_eq!(slot(), 108);
            let update = updates.try_recv().unwrap();
            assert_eq!((update.dropped().len(), update.committed().len()), (2, 9));
            until("persistence", || tip().number == 10);
            assert_eq!(tip().hash, left[9].seal());
            assert_eq!(slot(), 108);
        }
        engine.shutdown().unwrap();
        assert_eq!(tip().hash, left[11].seal());
    }
}

#[test]
fn insertion_waits_for_persistence_and_gives_up_in_time() {
    let factory = Factory::new();
    let storage = Arc::new(RecordedStorage::new(&factory.world.genesis));
    let config = EngineConfig {
        max_unpersisted: 4,
        persistence_patience: Duration::from_millis(50),
        ..small()
    };
    let place: Arc<dyn Storage<_>> = storage.clone();
    let engine = engine_on(&factory.world.chain, &place, config);
    storage.is_full.store(true, Ordering::SeqCst);
    let blocks = factory.chain(factory.genesis(), 1, 20);
    let mut accepted = 0;
    let error = loop {
        match engine.insert(blocks[accepted].clone()) {
            Ok(status) => assert!(status.is_valid()),
            Err(error) => break error,
        }
        engine.fork_choice(head(blocks[accepted].seal())).unwrap();
        accepted += 1;
    };
    assert!(matches!(error, EngineError::Backlog { unpersisted: 5, limit: 4, .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::Temporary);
    assert_eq!(accepted, 7);
    // Reads and fork choices go on, and so does everything once there is room.
    assert!(engine.fork_choice(head(blocks[3].seal())).unwrap().is_valid());
    storage.is_full.store(false, Ordering::SeqCst);
    for block in &blocks[accepted..] {
        until("insertion", || match engine.insert(block.clone()) {
            Ok(status) => status.is_valid(),
            Err(error) => {
                assert_eq!(error.class(), ErrorClass::Temporary);
                false
            }
        });
        engine.fork_choice(head(block.seal())).unwrap();
    }
    engine.shutdown().unwrap();
    assert_eq!(place.snapshot().unwrap().tip().hash, blocks[19].seal());
}

#[test]
fn a_shutdown_that_cannot_persist_says_so_and_loses_nothing() {
    let factory = Factory::new();
    let storage = Arc::new(RecordedStorage::new(&factory.world.genesis));
    let place: Arc<dyn Storage<_>> = storage.clone();
    let engine = engine_on(&factory.world.chain, &place, small());
    storage.is_full.store(true, Ordering::SeqCst);
    let blocks = factory.chain(factory.genesis(), 1, 5);
    for block in &blocks {
        engine.insert(block.clone()).unwrap();
        engine.fork_choice(head(block.seal())).unwrap();
    }
    let error = engine.shutdown().unwrap_err();
    assert_eq!(error.class(), ErrorClass::Temporary);
    let stopped = engine.insert(blocks[0].clone()).unwrap_err();
    assert!(matches!(stopped, EngineError::Stopped(_)), "{stopped}");
    drop(engine);
    storage.is_full.store(false, Ordering::SeqCst);
    let engine = engine_on(&factory.world.chain, &place, small());
    assert_eq!(engine.view().head().hash(), blocks[4].seal());
}

#[test]
fn finalized_blocks_are_persisted_at_once() {
    let factory = Factory::new();
    let place = Place::memory(&factory.world.genesis);
    let storage = place.open();
    let engine = engine_on(&factory.world.chain, &storage, EngineConfig::default());
    let blocks = factory.chain(factory.genesis(), 1, 6);
    for block in &blocks {
        engine.insert(block.clone()).unwrap();
    }
    let mut state = head(blocks[5].seal());
    state.finalized_block_hash = blocks[3].seal();
    state.safe_block_hash = blocks[4].seal();
    engine.fork_choice(state).unwrap();
    until("persistence", || storage.snapshot().unwrap().tip().number == 4);
    let choice = storage.snapshot().unwrap().fork_choice();
    assert_eq!(choice.finalized, blocks[3].seal());
    let snapshot = engine.view().snapshot();
    let chain: Vec<B256> = (1..=6).map(|at| snapshot.hash(at).unwrap().unwrap()).collect();
    assert_eq!(chain, blocks.iter().map(|block| block.seal()).collect::<Vec<_>>());
}

/// Makes a chain the canonical one, block by block, and waits until it is persisted but for the
/// newest two.
fn grow(engine: &Engine<Ethereum>, storage: &Arc<dyn Storage<Ethereum>>, blocks: &[EthereumBlock]) {
    for block in blocks {
        assert!(engine.insert(block.clone()).unwrap().is_valid());
        assert!(engine.fork_choice(head(block.seal())).unwrap().is_valid());
    }
    let newest = blocks.last().unwrap().header.number;
    until("persistence", || storage.snapshot().unwrap().tip().number == newest - 2);
}

fn assert_linked(engine: &Engine<Ethereum>) {
    let snapshot = engine.view().snapshot();
    for number in 1..=snapshot.head().number {
        let header = snapshot.header(number).unwrap().unwrap();
        assert_eq!(Some(header.parent_hash), snapshot.hash(number - 1).unwrap(), "{number}");
    }
}

#[test]
fn a_block_on_a_branch_that_is_gone_never_becomes_canonical() {
    let factory = Factory::new();
    let left = factory.chain(factory.genesis(), 1, 12);
    let right = factory.chain(left[2].seal(), 2, 2);
    let side = factory.chain(left[2].seal(), 3, 4);
    // On the newest block that is persisted.
    let orphan = factory.block(left[9].seal(), 4, Vec::new());
    for place in storages(&factory.world.chain, &factory.world.genesis) {
        let storage = place.open();
        let config = EngineConfig { max_side_blocks: 4, ..small() };
        let engine = engine_on(&factory.world.chain, &storage, config);
        grow(&engine, &storage, &left);
        for block in &right {
            assert!(engine.insert(block.clone()).unwrap().is_valid());
        }
        // Storage stays on the left branch, which other side blocks then drive out of memory.
        place.shut(true);
        assert!(engine.fork_choice(head(right[1].seal())).unwrap().is_valid());
        for block in &side {
            assert!(engine.insert(block.clone()).unwrap().is_valid());
        }
        assert!(engine.view().snapshot().executed(&left[9].seal()).is_none());
        assert_eq!(storage.snapshot().unwrap().tip().hash, left[9].seal());
        assert!(engine.insert(orphan.clone()).unwrap().is_syncing());
        assert!(engine.fork_choice(head(orphan.seal())).unwrap().is_syncing());
        assert_linked(&engine);
        place.shut(false);
        // Gone from storage, too, and the chain goes on.
        until("unwinding", || storage.snapshot().unwrap().tip().number <= 3);
        assert!(engine.fork_choice(head(orphan.seal())).unwrap().is_syncing());
        assert!(engine.fork_choice(head(side[3].seal())).unwrap().is_valid());
        assert_linked(&engine);
        engine.shutdown().unwrap();
        assert_eq!(storage.snapshot().unwrap().tip().hash, side[3].seal());
    }
}

#[test]
fn a_reorg_below_what_is_stored_has_a_limit() {
    let factory = Factory::new();
    let left = factory.chain(factory.genesis(), 1, 12);
    let config = EngineConfig { max_reorg_depth: 4, ..small() };
    for place in storages(&factory.world.chain, &factory.world.genesis) {
        let storage = place.open();
        let engine = engine_on(&factory.world.chain, &storage, config.clone());
        grow(&engine, &storage, &left);
        let deep = factory.block(left[4].seal(), 2, Vec::new());
        assert!(engine.insert(deep.clone()).unwrap().is_valid());
        let refusals = [
            engine.fork_choice(head(deep.seal())).unwrap_err(),
            engine.rewind(left[4].seal()).unwrap_err(),
        ];
        for refusal in refusals {
            let is_right = matches!(refusal, EngineError::TooDeepReorg { depth: 5, limit: 4 });
            assert!(is_right, "{refusal}");
        }
        assert_eq!(engine.view().head().hash(), left[11].seal());
        let allowed = factory.block(left[5].seal(), 2, Vec::new());
        assert!(engine.insert(allowed.clone()).unwrap().is_valid());
        assert!(engine.fork_choice(head(allowed.seal())).unwrap().is_valid());
        assert_linked(&engine);
        engine.shutdown().unwrap();
    }
}

#[test]
fn a_rewind_in_steps_gets_to_any_depth() {
    let factory = Factory::new();
    let chain = factory.chain(factory.genesis(), 1, 40);
    let config = EngineConfig { max_reorg_depth: 4, max_side_blocks: 8, ..small() };
    for place in storages(&factory.world.chain, &factory.world.genesis) {
        let storage = place.open();
        let engine = engine_on(&factory.world.chain, &storage, config.clone());
        grow(&engine, &storage, &chain);
        let to = chain[2].seal();
        assert!(matches!(engine.rewind(to), Err(EngineError::TooDeepReorg { .. })));
        let mut heads = vec![engine.view().head().number];
        while engine.view().head().hash() != to {
            let head = engine.rewind_towards(to).unwrap();
            assert_eq!(engine.view().head().hash(), head.hash);
            assert_linked(&engine);
            heads.push(head.number);
        }
        // Stored blocks go four at a time; the first step takes those in memory as well, which may be
        // a batch that was stored just now.
        let steps: Vec<u64> = heads.windows(2).map(|step| step[0] - step[1]).collect();
        assert!(steps[0] <= 4 + 2 + 3, "{heads:?}");
        assert!(steps[1..].iter().all(|step| (1..=4).contains(step)), "{heads:?}");
        assert_eq!(engine.rewind_towards(to).unwrap().hash, to);
        assert!(matches!(
            engine.rewind_towards(chain[9].seal()),
            Err(EngineError::UnknownBlock(_))
        ));
        let next = factory.block(to, 2, Vec::new());
        assert!(engine.insert(next.clone()).unwrap().is_valid());
        assert!(engine.fork_choice(head(next.seal())).unwrap().is_valid());
        engine.shutdown().unwrap();
        assert_eq!(storage.snapshot().unwrap().tip().hash, next.seal());
    }
}

#[test]
fn an_append_that_is_done_and_reports_a_failure_is_noticed() {
    let factory = Factory::new();
    let recorded = Arc::new(RecordedStorage::new(&factory.world.genesis));
    let storage: Arc<dyn Storage<_>> = recorded.clone();
    let engine = engine_on(&factory.world.chain, &storage, small());
    recorded.forgets.store(true, Ordering::SeqCst);
    let blocks = factory.chain(factory.genesis(), 1, 9);
    grow(&engine, &storage, &blocks);
    assert!(!recorded.forgets.load(Ordering::SeqCst));
    engine.shutdown().unwrap();
    assert_eq!(storage.snapshot().unwrap().tip().hash, blocks[8].seal());
}

#[test]
fn a_payload_is_built_although_storage_is_unwound_under_it() {
    let factory = Factory::new();
    let recorded = Arc::new(RecordedStorage::new(&factory.world.genesis));
    let storage: Arc<dyn Storage<_>> = recorded.clone();
    let engine = engine_on(&factory.world.chain, &storage, small());
    let genesis = factory.genesis();
    let built = engine.start_payload(genesis, attributes(12, 1)).unwrap();
    assert_eq!(engine.payload(built).unwrap().block.block.number(), 1);
    recorded.unwinds.store(2, Ordering::SeqCst);
    let built = engine.start_payload(genesis, attributes(12, 2)).unwrap();
    assert_eq!(engine.payload(built).unwrap().block.block.number(), 1);
    recorded.unwinds.store(2, Ordering::SeqCst);
    assert_eq!(engine.build_now(genesis, &attributes(12, 3)).unwrap().block.block.number(), 1);
}

#[test]
fn what_the_pool_missed_it_is_told_with_the_next_block() {
    let factory = Factory::new();
    let recorded = Arc::new(RecordedStorage::new(&factory.world.genesis));
    let storage: Arc<dyn Storage<_>> = recorded.clone();
    let engine = engine_on(&factory.world.chain, &storage, EngineConfig::default());
    let at = pool_head(&engine.view().snapshot()).unwrap();
    let pool = Pool::new(factory.world.chain.clone(), PoolConfig::default(), at);
    engine.connect_pool(&pool).unwrap();
    let tx = factory.world.transfer(0, 0, Address::repeat_byte(9), 5);
    let hash = *tx.0.tx_hash();
    pool.add(Ethereum::pooled(&tx.0).unwrap(), Origin::External).unwrap();
    let first = factory.block(factory.genesis(), 1, vec![tx]);
    let second = factory.block(first.seal(), 1, Vec::new());
    for block in [&first, &second] {
        assert!(engine.insert(block.clone()).unwrap().is_valid());
    }
    recorded.unwinds.store(2, Ordering::SeqCst);
    engine.fork_choice(head(first.seal())).unwrap();
    until("the miss", || recorded.unwinds.load(Ordering::SeqCst) == 0);
    engine.fork_choice(head(second.seal())).unwrap();
    until("inclusion", || !pool.contains(&hash));
}

/// A storage that cannot be written to, and that a reorg on its way to it unwinds right after a
/// snapshot was made.
#[derive(Debug)]
struct UnwoundUnderneath {
    inner: DiskStorage<Ethereum>,
    is_full: AtomicBool,
    /// Whose snapshots count: those of the persistence thread come when they like.
    reader: ThreadId,
    snapshots: AtomicUsize,
    /// With which snapshot to unwind, and to which block.
    unwind: Mutex<Option<(usize, u64)>>,
}

impl UnwoundUnderneath {
    fn refuse(&self) -> Result<(), StorageError> {
        if !self.is_full.load(Ordering::SeqCst) {
            return Ok(());
        }
        let source = std::io::ErrorKind::StorageFull.into();
        Err(StorageError::Io { operation: "write", path: "test".into(), source })
    }
}

impl Storage<Ethereum> for UnwoundUnderneath {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot<Ethereum>>, StorageError> {
        let snapshot = self.inner.snapshot()?;
        if std::thread::current().id() == self.reader {
            let count = self.snapshots.fetch_add(1, Ordering::SeqCst) + 1;
            let due = self.unwind.lock().take_if(|(with, _)| *with == count);
            if let Some((_, to)) = due {
                self.inner.unwind(to)?;
            }
        }
        Ok(snapshot)
    }

    fn append(
        &self,
        blocks: &[Arc<ExecutedBlock<Ethereum>>],
        fork_choice: ForkChoice,
    ) -> Result<(), StorageError> {
        self.refuse()?;
        self.inner.append(blocks, fork_choice)
    }

    fn unwind(&self, number: u64) -> Result<(), StorageError> {
        self.refuse()?;
        self.inner.unwind(number)
    }

    fn log(&self, entry: &LogEntry<Ethereum>) -> Result<(), StorageError> {
        self.inner.log(entry)
    }

    fn logged(&self) -> Result<Vec<LoggedEntry<Ethereum>>, StorageError> {
        self.inner.logged()
    }
}

#[test]
fn a_deep_reorg_succeeds_although_storage_is_unwound_under_it() {
    let factory = Factory::new();
    let write = |nonce, value| vec![factory.world.store(0, nonce, 1, value)];
    let mut left = factory.chain(factory.genesis(), 1, 1);
    for nonce in 0..11 {
        let parent = left.last().unwrap().seal();
        left.push(factory.block(parent, 1, write(nonce, 100 + nonce)));
    }
    let right = factory.block(left[2].seal(), 2, Vec::new());
    let deep = factory.block(left[0].seal(), 3, write(0, 7));
    let folder = tempfile::tempdir().unwrap();
    // Without a cache each look at an old state is one at the static files.
    let options = Options {
        sync: SyncPolicy::Never,
        max_database_bytes: 1 << 30,
        cache_bytes: 0,
        ..Default::default()
    };
    let world = &factory.world;
    let inner = DiskStorage::open(folder.path(), &world.chain, &world.genesis, options).unwrap();
    let disk = Arc::new(UnwoundUnderneath {
        inner,
        is_full: AtomicBool::new(false),
        reader: std::thread::current().id(),
        snapshots: AtomicUsize::new(0),
        unwind: Mutex::new(None),
    });
    let storage: Arc<dyn Storage<_>> = disk.clone();
    let engine = engine_on(&world.chain, &storage, small());
    grow(&engine, &storage, &left);
    for block in [&right, &deep] {
        assert!(engine.insert(block.clone()).unwrap().is_valid());
    }
    // Storage is to be unwound to block 3, and cannot be yet.
    disk.is_full.store(true, Ordering::SeqCst);
    assert!(engine.fork_choice(head(right.seal())).unwrap().is_valid());
    // It is while blocks 2 and 3 are executed again, over the state after block 1.
    let made = disk.snapshots.load(Ordering::SeqCst);
    *disk.unwind.lock() = Some((made + 2, 3));
    assert!(engine.fork_choice(head(deep.seal())).unwrap().is_valid());
    assert_eq!(*disk.unwind.lock(), None, "storage was unwound");
    let attempts = disk.snapshots.load(Ordering::SeqCst) - made - 1;
    assert_eq!(attempts, 2, "the first one met the unwind");
    assert_eq!(disk.inner.snapshot().unwrap().tip().number, 3);
    assert_linked(&engine);
    // Both branches are there to go back to.
    for newest in [&right, &left[11], &deep] {
        assert!(engine.fork_choice(head(newest.seal())).unwrap().is_valid());
        assert_linked(&engine);
    }
    disk.is_full.store(false, Ordering::SeqCst);
    engine.shutdown().unwrap();
    assert_eq!(disk.inner.snapshot().unwrap().tip().hash, deep.seal());
}
