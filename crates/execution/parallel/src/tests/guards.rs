//! What keeps blocks from being executed wrongly, or for ever.

use super::{
    generate::Case,
    programs::{code_of, contract},
    recording, serial,
    world::{NUMBER, user},
};
use crate::{
    Ahead, Batch, ParallelExecutor, Statistics,
    caution::Caution,
    hot::HotContracts,
    memory::{Memory, Tables, View},
    place::LeftToItsTurn,
    work::{Next, Work},
};
use alloy_consensus::{BlockBody, Header, SignableTransaction, Transaction as _, TxLegacy};
use alloy_primitives::{Address, B256, Signature, TxKind, U256, keccak256};
use lockstep_chain::{
    Block, Ethereum, EthereumHardfork, EthereumTransaction, FeeParams, ForkSchedule, OpHardfork,
    PORT, Rollup, UnionRules,
};
use lockstep_execution::{
    AccountInfo, BlockExecutor, BlockParts, Bytecode, HaltReasonOf, MemoryState, Speculate,
    Speculation, Speculator, StateReader,
};
use op_alloy_consensus::OpTxEnvelope;
use revm::bytecode::opcode as op;
use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// Balances and payments from here on may overflow.
const LARGE: U256 = U256::from_limbs([0, 0, 0, 1]);

/// A transaction of the first type, at the base fee.
pub(super) fn legacy(nonce: u64, to: Address, value: U256, gas_limit: u64) -> TxLegacy {
    let to = TxKind::Call(to);
    TxLegacy { chain_id: None, nonce, gas_price: 7, gas_limit, to, value, ..Default::default() }
}

fn signature() -> Signature {
    Signature::new(U256::ONE, U256::ONE, false)
}

/// User zero, with this balance, and two contracts.
pub(super) fn state(balance: U256, codes: &[Vec<u8>]) -> MemoryState {
    let mut state = MemoryState::default();
    state.set_account(user(0), 0, balance, Bytecode::default());
    for (index, code) in (0..).zip(codes) {
        let code = Bytecode::new_legacy(code.clone().into());
        state.set_account(contract(index), 1, LARGE, code);
    }
    state
}

fn header() -> Header {
    Header {
        number: NUMBER,
        timestamp: 1_000_000,
        gas_limit: 1_000_000_000,
        base_fee_per_gas: Some(7),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        beneficiary: Address::repeat_byte(0xfe),
        ..Default::default()
    }
}

/// A block of Cancun with transactions of user zero.
pub(super) fn case<S>(transactions: Vec<TxLegacy>, state: S) -> Case<Ethereum, S> {
    let senders = vec![user(0); transactions.len()];
    let sign = |tx: TxLegacy| EthereumTransaction::Legacy(tx.into_signed(signature()));
    let transactions = transactions.into_iter().map(sign).collect();
    let chain = Ethereum::new(1, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Cancun));
    let body = BlockBody { transactions, ..Default::default() };
    Case { chain, block: Block::<Ethereum>::new(header(), body), senders, state }
}

pub(super) fn rich() -> U256 {
    U256::from(10).pow(U256::from(30))
}

/// Executes a block's transactions ahead, on the parent's state; `None` for those that have to wait for their turns.
fn ahead<C: Speculate, S: StateReader>(
    case: &Case<C, S>,
) -> Vec<Option<Speculation<HaltReasonOf<C>>>> {
    let Case { chain, block, senders, state } = case;
    let tables = Tables::default();
    let memory = Memory::new(state, &tables, &[], &[]);
    let mut speculator =
        Speculator::new(chain, &block.header, View::new(&memory, true)).expect("the chain can");
    let transactions = block.body.transactions.iter().zip(senders);
    let execute = |(transaction, sender): (_, &Address)| {
        let mut outcome = Speculation::default();
        let is_done = speculator.transact(transaction, *sender, &mut outcome, |_| ());
        is_done.then_some(outcome)
    };
    transactions.map(execute).collect()
}

/// Executes a block in order, and does something before each turn.
type Lead<'l> = dyn Fn(&mut dyn FnMut(usize)) -> Statistics + 'l;

/// Prepares a block's execution on several threads, which `run` is in the place of.
fn with_work<C: Speculate, S: StateReader + Sync>(
    case: &Case<C, S>,
    run: impl FnOnce(&Work<'_, '_, C, S>, &Lead<'_>),
) where
    super::Output<C>: PartialEq + std::fmt::Debug,
{
    let Case { chain, block, senders, state } = case;
    let tables = Tables::default();
    let fee_recipients = chain.fee_recipients(&block.header);
    let memory = Memory::new(state, &tables, &fee_recipients, &[]);
    // What serial execution records is compared, too.
    let mut executor = BlockExecutor::new(chain, &block.header, state).recording_hints();
    executor.begin().expect("all can be read");
    let (header, transactions) = (&block.header, &*block.body.transactions);
    let batch = Batch { chain, header, transactions, senders, first: 0 };
    let hot = HotContracts::default();
    let work = Work::new(batch, Some(&memory), 0, &hot);
    work.begin(executor.remembered());
    let executor = std::cell::Cell::new(Some(executor));
    let lead = |before_turn: &mut dyn FnMut(usize)| {
        let mut executor = executor.take().expect("a block is executed once");
        let mut caution = Caution::default();
        let mut ahead = Ahead::new(&work, &mut caution);
        while let Some(candidate) = ahead.next_turn() {
            before_turn(candidate.index());
            candidate.transact(&mut executor).expect("the block is valid");
        }
        let statistics = ahead.statistics();
        let parts = BlockParts { ommers: &block.body.ommers, withdrawals: &[] };
        let output = executor.finish(parts, true);
        assert_eq!(output.map_err(|error| error.to_string()), serial(case));
        statistics
    };
    run(&work, &lead);
}

#[test]
fn payments_that_may_overflow_wait_for_their_turns() {
    let pays = |value: U256| {
        let mut code = vec![op::PUSH1, 0, op::PUSH1, 0, op::PUSH1, 0, op::PUSH1, 0, op::PUSH32];
        code.extend(value.to_be_bytes::<32>());
        code.extend([op::PUSH1, 0x77, op::GAS, op::CALL]);
        code
    };
    let largest = LARGE - U256::ONE;
    let state = state(U256::MAX, &[pays(largest), pays(LARGE)]);
    let transactions = vec![
        legacy(0, Address::repeat_byte(0x77), largest, 21_000),
        legacy(0, Address::repeat_byte(0x77), LARGE, 21_000),
        legacy(0, contract(0), U256::ZERO, 100_000),
        legacy(0, contract(1), U256::ZERO, 100_000),
    ];
    let done: Vec<_> = ahead(&case(transactions, state)).iter().map(Option::is_some).collect();
    assert_eq!(done, [true, false, true, false]);
}

#[test]
fn fees_beyond_128_bits_are_refused_as_in_the_evm() {
    let mut dear = legacy(0, Address::repeat_byte(0x77), U256::ONE, 21_000);
    dear.gas_price = u128::MAX / 21_000 + 1;
    let case = case(vec![dear], state(LARGE - U256::ONE, &[]));
    let expected = serial(&case);
    assert!(expected.is_err(), "{expected:?}");
    let Case { chain, block, senders, state } = &case;
    let executor = ParallelExecutor::new(1).expect("there is one");
    let found = executor.execute_block(chain, block, senders, state, recording());
    assert_eq!(found.map_err(|error| error.to_string()), expected);
}

/// Counts how often it is asked for hashes of blocks.
struct Counting {
    state: MemoryState,
    hashes: AtomicUsize,
}

/// Implements what readers of tests pass on to a [`MemoryState`].
macro_rules! pass_on {
    ($($read:ident($($key:ident: $of:ty),*) -> $answer:ty;)*) => {
        $(fn $read(&self, $($key: $of),*) -> Result<$answer, Infallible> {
            self.state.$read($($key),*)
        })*
    };
}
pub(super) use pass_on;

impl StateReader for Counting {
    type Error = Infallible;

    pass_on! {
        account(address: &Address) -> Option<AccountInfo>;
        storage(address: &Address, slot: &U256) -> U256;
        has_storage(address: &Address) -> bool;
        code(code_hash: &B256) -> Bytecode;
    }

    fn block_hash(&self, number: u64) -> Result<B256, Infallible> {
        self.hashes.fetch_add(1, Ordering::Relaxed);
        self.state.block_hash(number)
    }
}

#[test]
fn the_hash_of_a_block_is_asked_for_and_recorded_once() {
    // Both ask for that of the parent twice, and for that of block zero.
    let call = |nonce| legacy(nonce, contract(nonce), U256::ZERO, 200_000);
    let state = state(rich(), &[code_of(12), code_of(12)]);
    let case = case(vec![call(0), call(1)], Counting { state, hashes: AtomicUsize::new(0) });
    let expected = serial(&case).expect("the block is valid");
    let numbers = expected.accessed.as_ref().map(|accessed| accessed.block_numbers.clone());
    assert_eq!(numbers, Some(vec![NUMBER - 1, 0]));

    case.state.hashes.store(0, Ordering::Relaxed);
    let outcomes = ahead(&case);
    assert_eq!(case.state.hashes.load(Ordering::Relaxed), 4, "two for each transaction");
    let Case { chain, block, senders, state } = &case;
    let mut executor = BlockExecutor::new(chain, &block.header, state).recording_hints();
    executor.begin().expect("all can be read");
    for (index, outcome) in outcomes.into_iter().enumerate() {
        let mut outcome = outcome.expect("it was executed");
        let adopted = executor.adopt(&block.body.transactions[index], senders[index], &mut outcome);
        assert!(adopted.expect("all can be read").is_some());
    }
    let parts = BlockParts { ommers: &[], withdrawals: &[] };
    assert_eq!(executor.finish(parts, true).expect("it is valid"), expected);
}

/// Knows no code.
struct Codeless {
    state: MemoryState,
}

impl StateReader for Codeless {
    type Error = Infallible;

    fn code(&self, _: &B256) -> Result<Bytecode, Infallible> {
        Ok(Bytecode::default())
    }

    pass_on! {
        account(address: &Address) -> Option<AccountInfo>;
        storage(address: &Address, slot: &U256) -> U256;
        has_storage(address: &Address) -> bool;
        block_hash(number: u64) -> B256;
    }
}

/// As a delegation (EIP-7702) from earlier in the block, of which others are not told.
#[test]
fn a_code_that_nobody_knows_is_not_empty() {
    let call = legacy(0, contract(0), U256::ZERO, 100_000);
    let state = Codeless { state: state(rich(), &[code_of(0)]) };
    assert!(ahead(&case(vec![call], state)).iter().all(Option::is_none));
}

/// Before London (EIP-3541) code may be deployed that has the bytes, and the hash, of a delegation.
#[test]
fn what_looks_like_a_delegation_is_one_if_the_fork_has_them() {
    let (delegate, called) = (contract(0), Address::repeat_byte(0x77));
    let stores = vec![op::PUSH1, 1, op::PUSH1, 0, op::SSTORE];
    let delegation = Bytecode::new_eip7702(delegate);
    let plain = Bytecode::new_legacy(delegation.original_bytes());
    for code in [delegation, plain] {
        let mut state = state(rich(), std::slice::from_ref(&stores));
        state.set_account(called, 1, U256::ZERO, code);
        let mut case = case(vec![legacy(0, called, U256::ZERO, 100_000)], state);
        for (fork, is_delegation) in
            [(EthereumHardfork::Cancun, false), (EthereumHardfork::Prague, true)]
        {
            case.chain = Ethereum::new(1, ForkSchedule::<EthereumHardfork>::at(fork));
            let mut outcomes = ahead(&case);
            let mut outcome = outcomes.pop().flatten().expect("it is executed ahead");
            let mut in_order = BlockExecutor::new(&case.chain, &case.block.header, &case.state);
            let mut adopting = BlockExecutor::new(&case.chain, &case.block.header, &case.state);
            let (transaction, sender) = (&case.block.body.transactions[0], user(0));
            let expected = in_order.transact(transaction, sender).expect("it is valid");
            assert_eq!(expected.success, is_delegation, "{fork:?}");
            let found = adopting.adopt(transaction, sender, &mut outcome).expect("it is valid");
            assert_eq!(found.map(|it| it.gas_used), Some(expected.gas_used), "{fork:?}");
        }
    }
}

/// A creation that comes to nothing leaves slots behind that nobody has read: they are known to be empty.
#[test]
fn slots_of_what_was_nearly_created_are_not_needed() {
    let init = [op::PUSH1, 0, op::SLOAD, op::PUSH1, 0, op::PUSH1, 0, op::REVERT];
    let creates = [
        &[op::PUSH8][..],
        &init,
        &[op::PUSH1, 0, op::MSTORE, op::PUSH1, 1, op::PUSH1, 8, op::PUSH1, 24],
        &[op::PUSH1, 0, op::CREATE2],
    ];
    let mortal = contract(0).create2(U256::from(1).to_be_bytes::<32>(), keccak256(init));
    // Without a payment it clears a slot, with one it ends.
    let clears = [op::PUSH1, 0, op::PUSH1, 0, op::SSTORE, op::STOP];
    let mut code = vec![op::CALLVALUE, op::PUSH1, 10, op::JUMPI];
    code.extend(clears);
    code.extend([op::JUMPDEST, op::PUSH1, 0x77, op::SELFDESTRUCT]);
    let mut state = state(rich(), &[creates.concat()]);
    state.set_account(mortal, 1, U256::ZERO, Bytecode::new_legacy(code.into()));
    state.set_slot(mortal, U256::ZERO, U256::ONE);
    state.set_account(header().beneficiary, 0, U256::ONE, Bytecode::default());
    let calls = [(mortal, 0), (mortal, 1), (contract(0), 0)];
    let calls = (0..).zip(calls).map(|(nonce, (to, value))| (nonce, to, U256::from(value)));
    let calls = calls.map(|(nonce, to, value)| legacy(nonce, to, value, 200_000));
    let mut case = case(calls.collect(), state);
    case.chain = Ethereum::new(1, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Shanghai));
    let header = &mut case.block.header;
    (header.blob_gas_used, header.excess_blob_gas) = (None, None);
    with_work(&case, |work, lead| {
        let mut worker = work.worker().expect("the chain can");
        let statistics = lead(&mut |index| work.speculate(&mut worker, index));
        assert_eq!(statistics.ahead, 3, "{statistics:?}");
    });
}

#[test]
fn whoever_has_storage_alone_is_empty_until_somebody_pays() {
    let kept = Address::repeat_byte(0x77);
    let pays = [
        &[op::PUSH0, op::PUSH0, op::PUSH0, op::PUSH0, op::PUSH1, 1, op::PUSH20][..],
        kept.as_slice(),
        &[op::GAS, op::CALL],
    ];
    let asks = [&[op::PUSH20][..], kept.as_slice(), &[op::EXTCODEHASH, op::PUSH0, op::SSTORE]];
    let mut state = state(rich(), &[pays.concat(), asks.concat()]);
    state.set_account(kept, 0, U256::ZERO, Bytecode::default());
    state.set_slot(kept, U256::ZERO, U256::ONE);
    let call = |nonce| legacy(nonce, contract(nonce), U256::ZERO, 200_000);
    let case = case(vec![call(0), call(1)], state);
    with_work(&case, |work, lead| {
        let mut worker = work.worker().expect("the chain can");
        work.speculate(&mut worker, 1);
        let statistics = lead(&mut |_| ());
        assert_eq!(statistics.again, 1, "it was empty when it was executed ahead");
    });
}

/// Panics when it is asked for one account the first time.
struct Panicking {
    state: MemoryState,
    has_panicked: AtomicBool,
}

impl StateReader for Panicking {
    type Error = Infallible;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Infallible> {
        let is_first = *address == contract(0) && !self.has_panicked.swap(true, Ordering::Relaxed);
        assert!(!is_first, "a reader of a test panics");
        self.state.account(address)
    }

    pass_on! {
        storage(address: &Address, slot: &U256) -> U256;
        has_storage(address: &Address) -> bool;
        code(code_hash: &B256) -> Bytecode;
        block_hash(number: u64) -> B256;
    }
}

#[test]
fn a_worker_that_panics_leaves_its_transaction_to_its_turn() {
    let transactions =
        (0..4).map(|nonce| legacy(nonce, contract(0), U256::ZERO, 100_000)).collect();
    let state = Panicking { state: state(rich(), &[code_of(0)]), has_panicked: false.into() };
    with_work(&case(transactions, state), |work, lead| {
        let place = work.item(2).and_then(|item| item.place).expect("there is one");
        let mut worker = work.worker().expect("the chain can");
        let died = catch_unwind(AssertUnwindSafe(|| work.speculate(&mut worker, 2)));
        assert!(died.is_err());
        assert!(!place.is_underway(), "somebody would wait");
        assert!(!place.take(), "somebody would execute it ahead again");
        lead(&mut |_| ());
    });
}

#[test]
fn what_was_wrong_once_is_put_right() {
    // The first makes the beneficiary exist, which nobody has asked for who could be told.
    let call = |nonce| TxLegacy { gas_price: 9, ..legacy(nonce, contract(0), U256::ZERO, 100_000) };
    let case = case((0..4).map(call).collect(), state(rich(), &[vec![op::STOP]]));
    with_work(&case, |work, lead| {
        let mut worker = work.worker().expect("the chain can");
        let statistics = lead(&mut |index| {
            if index > 0 {
                work.speculate(&mut worker, index);
            }
        });
        let expected = Statistics { ahead: 2, again: 1, in_order: 1, transfers: 0 };
        assert_eq!(statistics, expected);
    });
}

#[test]
fn a_chain_of_calls_ends_what_is_done_ahead() {
    let counts = vec![op::PUSH1, 0, op::SLOAD, op::PUSH1, 1, op::ADD, op::PUSH1, 0, op::SSTORE];
    let calls = (0..90).map(|nonce| legacy(nonce, contract(0), U256::ZERO, 100_000));
    let case = case(calls.collect(), state(rich(), &[counts]));
    with_work(&case, |work, lead| {
        let mut worker = work.worker().expect("the chain can");
        let mut over_at = None;
        // Each knows what all but the one before it have left.
        let statistics = lead(&mut |index| {
            if work.is_over() {
                over_at.get_or_insert(index);
            }
            work.speculate(&mut worker, index + 1);
        });
        assert_eq!(statistics.ahead, 0);
        assert_eq!(
            statistics.again, 3,
            "two calls show what the contract is like, and one is done"
        );
        assert!(over_at.is_some_and(|index| index < 80), "over at {over_at:?}");
    });
}

#[test]
fn nobody_waits_for_ever() {
    let transactions =
        (0..4).map(|nonce| legacy(nonce, contract(0), U256::ZERO, 100_000)).collect();
    let case = case(transactions, state(rich(), &[code_of(0)]));
    with_work(&case, |work, lead| {
        let place = work.item(1).and_then(|item| item.place).expect("there is one");
        assert!(place.take(), "nobody has it");
        let (done, is_done) = mpsc::channel();
        thread::scope(|scope| {
            let watch = scope.spawn(move || {
                let is_late = is_done.recv_timeout(Duration::from_secs(60)).is_err();
                if is_late {
                    drop(LeftToItsTurn(place));
                }
                is_late
            });
            lead(&mut |_| ());
            let _ = done.send(());
            assert!(!watch.join().expect("it watches"), "it has waited for ever");
        });
    });
}

#[test]
fn what_is_executed_ahead_is_bounded() {
    const GAS: u64 = 30_000_000;
    let transactions: Vec<_> =
        (0..20).map(|nonce| legacy(nonce, contract(0), U256::ZERO, GAS)).collect();
    let case = case(transactions, state(rich(), &[code_of(0)]));
    with_work(&case, |work, lead| {
        let take_all = || {
            let mut gas = 0;
            while let Next::Chunk(_, chunk) = work.take_chunk(0) {
                gas += chunk.len() as u64 * GAS;
            }
            assert!(matches!(work.take_chunk(0), Next::Later), "there is more, but not yet");
            gas
        };
        let first = take_all();
        assert!((380_000_000..=430_000_000).contains(&first), "{first}");
        assert_eq!(work.begin_chunk(1), Some(1..2));
        assert_eq!(take_all(), GAS);
        lead(&mut |_| ());
    });
}

/// The first block of a rollup on which nobody pays for L1.
fn on_rollup(chain: Rollup, to: Address) -> Case<Rollup> {
    let transfer = |nonce, to| {
        let tx = TxLegacy { chain_id: Some(1), ..legacy(nonce, to, U256::ONE, 50_000) };
        OpTxEnvelope::Legacy(tx.into_signed(signature()))
    };
    let nobody = Address::repeat_byte(0x77);
    let transactions = vec![transfer(0, nobody), transfer(1, to), transfer(2, nobody)];
    let senders = vec![user(0); transactions.len()];
    let body = BlockBody { transactions, ..Default::default() };
    let block = Block::<Rollup>::new(header(), body);
    Case { chain, block, senders, state: state(rich(), &[]) }
}

#[test]
fn payments_to_the_port_of_a_union_are_no_transfers() {
    let forks = ForkSchedule::<OpHardfork>::at(OpHardfork::Isthmus);
    let rollup = Rollup::new(1, forks, FeeParams::OP_MAINNET);
    let member = rollup.clone().with_union(UnionRules::new([1, 2]));
    for (chain, transfers) in [(rollup, 2), (member, 1)] {
        let case = on_rollup(chain, PORT);
        let executor = ParallelExecutor::new(1).expect("there is one").always_parallel();
        let Case { chain, block, senders, state } = &case;
        let found = executor.execute_block(chain, block, senders, state, recording());
        assert_eq!(found.map_err(|error| error.to_string()), serial(&case));
        // The first transaction is always the EVM's.
        assert_eq!(executor.statistics().transfers, transfers);
        assert_eq!(block.body.transactions[1].to(), Some(PORT));
    }
}

/// Hands codes out with their accounts.
struct Inline {
    state: MemoryState,
}

impl StateReader for Inline {
    type Error = Infallible;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Infallible> {
        let with_code = |info: AccountInfo| {
            let code = self.state.code_of(&info.code_hash).cloned();
            AccountInfo { code, ..info }
        };
        Ok(self.state.account(address)?.map(with_code))
    }

    pass_on! {
        storage(address: &Address, slot: &U256) -> U256;
        has_storage(address: &Address) -> bool;
        code(code_hash: &B256) -> Bytecode;
        block_hash(number: u64) -> B256;
    }
}

#[test]
fn codes_that_come_with_their_accounts_are_recorded_as_others() {
    let executors = [1, 3]
        .map(|threads| ParallelExecutor::new(threads).expect("threads start").always_parallel());
    let mut codes = 0;
    for seed in 0..60 {
        let plain = Case::<Ethereum>::new(seed);
        let expected = serial(&plain);
        let Case { chain, block, senders, state } = plain;
        let inline = Case { chain, block, senders, state: Inline { state } };
        assert_eq!(serial(&inline), expected, "seed {seed}");
        let Case { chain, block, senders, state } = &inline;
        for executor in &executors {
            let found = executor.execute_block(chain, block, senders, state, recording());
            assert_eq!(found.map_err(|error| error.to_string()), expected, "seed {seed}");
        }
        let accessed = expected.ok().and_then(|output| output.accessed);
        codes += accessed.map_or(0, |accessed| accessed.codes.len());
    }
    assert!(codes > 50, "hardly any code was read: {codes}");
}
