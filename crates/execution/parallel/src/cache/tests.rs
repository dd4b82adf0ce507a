//! Against the states themselves.

use super::*;
use crate::{ParallelExecutor, memory::told, tests::Rng};
use alloy_primitives::{KECCAK256_EMPTY, keccak256, map::AddressMap};
use lockstep_execution::{BlockState, MemoryState, StateReader, StateRules};
use revm::{
    Database, DatabaseCommit,
    state::{Account, EvmStorageSlot},
};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

const ADDRESSES: u64 = 10;
const SLOTS: u64 = 4;

fn address(index: u64) -> Address {
    Address::with_last_byte(index as u8)
}

fn addresses() -> impl Iterator<Item = Address> {
    (0..ADDRESSES).map(address)
}

fn cache(entries: usize) -> Arc<StateCache> {
    Arc::new(StateCache::new(entries.try_into().unwrap()))
}

fn code(rng: &mut Rng) -> Bytecode {
    Bytecode::new_legacy(vec![0x60, rng.below(6) as u8].into())
}

/// A state with users, contracts, and accounts that have nothing but storage.
fn first_state(rng: &mut Rng) -> MemoryState {
    let mut state = MemoryState::default();
    for at in addresses() {
        let balance = U256::from(rng.below(3));
        match rng.below(5) {
            0 => continue,
            1 => state.set_account(at, rng.below(2), balance, Bytecode::default()),
            2 => state.set_account(at, 0, U256::ZERO, Bytecode::default()),
            _ => state.set_account(at, 1, balance, code(rng)),
        }
        for slot in 0..rng.below(SLOTS) {
            state.set_slot(at, U256::from(slot), U256::from(rng.below(3)));
        }
    }
    state
}

/// What a transaction does with an account.
fn touched(rng: &mut Rng, block: &mut BlockState<&MemoryState>, at: Address) -> Account {
    let found = block.basic(at).unwrap();
    let mut account = match found {
        Some(info) => Account::from(info),
        None => Account::new_not_existing(0),
    };
    account.mark_touch();
    // Where there is storage alone, a mark stands for the code (EIP-7610).
    let is_empty = account.info.code_hash == KECCAK256_EMPTY;
    let is_contract = !is_empty && !account.info.code_hash.is_zero();
    match rng.below(6) {
        0 | 1 if is_empty && account.info.nonce == 0 => {
            account.mark_created();
            let code = code(rng);
            account.info.nonce = 1;
            account.info.code_hash = code.hash_slow();
            account.info.code = Some(code);
            for slot in 0..rng.below(SLOTS) {
                let changed = EvmStorageSlot::new_changed(U256::ZERO, U256::from(rng.below(3)), 0);
                account.storage.insert(U256::from(slot), changed);
            }
            if rng.chance(30) {
                account.mark_selfdestruct();
            }
        }
        0 | 1 if is_contract => account.mark_selfdestruct(),
        2 | 3 if is_contract => {
            for slot in 0..SLOTS {
                let slot = U256::from(slot);
                let before = block.storage(at, slot).unwrap();
                let changed = EvmStorageSlot::new_changed(before, U256::from(rng.below(3)), 0);
                account.storage.insert(slot, changed);
            }
        }
        4 => account.info.balance = U256::from(rng.below(3)),
        // An empty account is deleted.
        _ => {}
    }
    account
}

/// What a block of some transactions changes.
fn changes(rng: &mut Rng, state: &MemoryState) -> StateChanges {
    let mut block = BlockState::new(state, StateRules::NEWEST);
    for _ in 0..rng.below(4) {
        let mut transaction = AddressMap::default();
        for _ in 0..rng.below(4) {
            let at = address(rng.below(ADDRESSES));
            let account = touched(rng, &mut block, at);
            transaction.insert(at, account);
        }
        block.commit(transaction);
    }
    block.into_changes()
}

/// A block of a tree, with the state after it.
#[derive(Debug)]
struct Node {
    hash: B256,
    state: Arc<MemoryState>,
}

impl Node {
    fn child(&self, rng: &mut Rng) -> (Self, StateChanges) {
        let changes = changes(rng, &self.state);
        let mut state = MemoryState::clone(&self.state);
        state.apply(&changes);
        let hash = keccak256([self.hash.as_slice(), &rng.next().to_be_bytes()].concat());
        (Self { hash, state: Arc::new(state) }, changes)
    }
}

type Cached = CachedState<Arc<MemoryState>>;

/// Asks for something, and holds the answer against the state's.
fn ask(rng: &mut Rng, cached: &Cached) {
    let state = cached.reader();
    let at = address(rng.below(ADDRESSES));
    let account = state.account(&at).unwrap();
    match rng.below(4) {
        0 => {
            assert_eq!(cached.account(&at), Ok(account.as_ref().map(told)));
            if let Some(info) = account {
                assert_eq!(cached.code(&info.code_hash), state.code(&info.code_hash));
            }
        }
        1 => assert_eq!(cached.has_storage(&at), state.has_storage(&at)),
        _ => {
            let slot = U256::from(rng.below(SLOTS));
            assert_eq!(cached.storage(&at, &slot), state.storage(&at, &slot), "{at} {slot}");
        }
    }
}

/// Blocks on blocks, beside them and on older ones, most of them with what was read of their parents' states; some turn
/// out to be invalid, and some readers are left over from other blocks.
fn explore(seed: u64, entries: usize) -> CacheStatistics {
    let mut rng = Rng::new(seed);
    let cache = cache(entries);
    let state = first_state(&mut rng);
    let mut tree = vec![Node { hash: B256::with_last_byte(1), state: Arc::new(state) }];
    let mut readers = Vec::<Cached>::new();
    for _ in 0..40 {
        let depth = if rng.chance(80) { 1 } else { 1 + rng.below(tree.len() as u64) as usize };
        let parent = &tree[tree.len() - depth];
        if rng.chance(90) {
            cache.begin(parent.hash);
        }
        readers.push(cache.over(parent.hash, parent.state.clone()));
        for _ in 0..rng.below(60) {
            ask(&mut rng, readers.last().unwrap());
        }
        for _ in 0..rng.below(10) {
            let reader = rng.below(readers.len() as u64) as usize;
            ask(&mut rng, &readers[reader]);
        }
        let (child, changes) = parent.child(&mut rng);
        let is_valid = rng.chance(80);
        if is_valid {
            cache.advance(parent.hash, child.hash, &changes);
            tree.push(child);
        }
    }
    cache.statistics()
}

#[test]
fn what_is_read_through_it_is_what_the_state_says() {
    let (mut hits, mut misses) = (0, 0);
    for seed in 0..600 {
        for entries in [1, 400, 10_000] {
            let statistics = explore(seed, entries);
            hits += statistics.hits;
            misses += statistics.misses;
        }
    }
    assert!(hits > misses, "{hits} hits, {misses} misses");
}

/// A state that may be read only so often.
#[derive(Debug)]
struct Counted<'s>(&'s MemoryState, AtomicUsize);

impl StateReader for Counted<'_> {
    type Error = std::convert::Infallible;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Self::Error> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.account(address)
    }
    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Self::Error> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.storage(address, slot)
    }
    fn has_storage(&self, address: &Address) -> Result<bool, Self::Error> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.has_storage(address)
    }
    fn code(&self, code_hash: &B256) -> Result<Bytecode, Self::Error> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.code(code_hash)
    }
    fn block_hash(&self, number: u64) -> Result<B256, Self::Error> {
        self.0.block_hash(number)
    }
}

/// Reads everything, and returns how often the state itself was asked.
fn read_all(cache: &Arc<StateCache>, block: B256, state: &MemoryState) -> usize {
    let cached = cache.over(block, Counted(state, AtomicUsize::new(0)));
    for at in addresses() {
        if let Some(info) = cached.account(&at).unwrap() {
            cached.code(&info.code_hash).unwrap();
        }
        cached.has_storage(&at).unwrap();
        for slot in 0..SLOTS {
            cached.storage(&at, &U256::from(slot)).unwrap();
        }
    }
    cached.reader().1.load(Ordering::Relaxed)
}

#[test]
fn what_a_block_leaves_alone_is_not_read_again() {
    let mut state = MemoryState::default();
    for at in addresses() {
        state.set_account(at, 1, U256::ONE, Bytecode::new_legacy(vec![1].into()));
        state.set_slot(at, U256::ZERO, U256::ONE);
    }
    let (cache, [first, second, third]) = (cache(10_000), [1, 2, 3].map(B256::with_last_byte));
    assert_eq!(read_all(&cache, first, &state), 61, "it is valid for no block yet");
    cache.begin(first);
    assert_eq!(read_all(&cache, first, &state), 60, "codes are those of any state");
    assert_eq!(read_all(&cache, first, &state), 0);

    let mut block = BlockState::new(&state, StateRules::NEWEST);
    block.add_balance(&address(3), U256::ONE).unwrap();
    let changes = block.into_changes();
    state.apply(&changes);
    cache.advance(first, second, &changes);
    assert_eq!(read_all(&cache, second, &state), 0, "the changed account was written too");

    // Invalid, or of another branch: neither is told, so the cache stays where it was.
    cache.advance(first, third, &changes);
    assert_eq!(read_all(&cache, second, &state), 0);
    assert_eq!(read_all(&cache, third, &state), 60);
    cache.begin(third);
    assert_eq!(read_all(&cache, third, &state), 60, "it begins anew");
}

#[test]
fn it_holds_no_more_than_it_may() {
    let entries = 640;
    let cache = cache(entries);
    let block = B256::with_last_byte(1);
    cache.begin(block);
    let cached = cache.over(block, MemoryState::default());
    for at in 0..20_000_u64 {
        let at = Address::left_padding_from(&at.to_be_bytes());
        cached.account(&at).unwrap();
        cached.storage(&at, &U256::ZERO).unwrap();
        let statistics = cache.statistics();
        assert!(statistics.accounts <= entries && statistics.slots <= entries);
    }
    assert!(cache.statistics().accounts > entries / 3, "it keeps little");
    for seed in 0..40_000_u64 {
        let code = Bytecode::new_legacy(vec![(seed % 251) as u8; 24_576].into());
        cache.code(&keccak256(seed.to_be_bytes()), || Ok::<_, ()>(code)).unwrap();
    }
    let limit = MAX_CODE_BYTES / (2 * 24_576);
    assert!((limit / 3..=limit).contains(&cache.statistics().codes));
}

/// While one thread moves on from block to block, others read the states of blocks that it has left.
#[test]
fn readers_on_other_threads_never_see_another_state() {
    let mut rng = Rng::new(11);
    let mut node = Node { hash: B256::ZERO, state: Arc::new(first_state(&mut rng)) };
    let cache = cache(10_000);
    cache.begin(node.hash);
    thread::scope(|scope| {
        for block in 0..300 {
            let cached = cache.over(node.hash, node.state.clone());
            scope.spawn(move || {
                let mut rng = Rng::new(block);
                for _ in 0..300 {
                    ask(&mut rng, &cached);
                }
            });
            let (child, changes) = node.child(&mut rng);
            cache.advance(node.hash, child.hash, &changes);
            node = child;
        }
    });
    let last = cache.over(node.hash, node.state);
    for _ in 0..1_000 {
        ask(&mut rng, &last);
    }
}

/// Executed by several threads through the cache, a block comes to what it comes to without.
#[test]
fn blocks_are_the_same_through_it() {
    let executor = ParallelExecutor::new(3).unwrap().always_parallel();
    for seed in 0..300 {
        crate::tests::assert_same_through(&executor, &cache(10_000), seed);
    }
}
