//! Blocks that follow each other, against the serial executor over the state that each leaves behind.

use super::{
    generate::Case,
    guards::{self, case, legacy, pass_on, rich},
    options,
    programs::contract,
    rng::Rng,
    world::user,
};
use crate::{ParallelExecutor, RangeBlock};
use alloy_consensus::{BlockBody, TxLegacy, TxReceipt as _};
use alloy_eips::eip4788::BEACON_ROOTS_ADDRESS;
use alloy_primitives::{Address, B256, TxKind, U256};
use lockstep_chain::{Block, Ethereum, EthereumHardfork, ForkSchedule};
use lockstep_execution::{AccountInfo, Bytecode, MemoryState, StateReader, execute_block};
use parking_lot::{Condvar, Mutex};
use revm::bytecode::opcode as op;
use std::{
    convert::Infallible,
    ops::ControlFlow,
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, ThreadId},
    time::Duration,
};

type Output = super::Output<Ethereum>;

const CASES: u64 = 600;

/// The block's transactions in several blocks, some of them empty.
fn cut(case: &Case<Ethereum>, rng: &mut Rng) -> Vec<(Block<Ethereum>, Vec<Address>)> {
    let mut blocks: Vec<(Block<Ethereum>, Vec<Address>)> = Vec::new();
    let mut rest = case.block.body.transactions.iter().cloned().zip(case.senders.iter().copied());
    while rest.len() > 0 || blocks.is_empty() {
        let count = rng.below(8) as usize;
        let (transactions, senders) = rest.by_ref().take(count).unzip();
        let mut header = case.block.header.clone();
        header.number += blocks.len() as u64;
        if let Some((parent, _)) = blocks.last() {
            header.parent_hash = parent.header.hash_slow();
        }
        let body = BlockBody { transactions, ..Default::default() };
        blocks.push((Block::<Ethereum>::new(header, body), senders));
    }
    blocks
}

/// One after the other, up to the first that cannot be executed.
fn serial(case: &Case<Ethereum>, blocks: &[(Block<Ethereum>, Vec<Address>)]) -> Vec<Output> {
    let mut state = case.state.clone();
    let mut outputs = Vec::new();
    for (block, senders) in blocks {
        let output = execute_block(&case.chain, block, senders, &state, options());
        if let Ok(output) = &output {
            state.apply(&output.changes);
            state.set_block_hash(block.header.number, block.header.hash_slow());
        }
        let is_last = output.is_err();
        outputs.push(output.map_err(|error| error.to_string()));
        if is_last {
            break;
        }
    }
    outputs
}

fn in_one_run<S: StateReader + Sync>(
    executor: &ParallelExecutor,
    case: &Case<Ethereum, S>,
    blocks: &[(Block<Ethereum>, Vec<Address>)],
    stop_after: usize,
) -> Vec<Output> {
    let blocks: Vec<_> =
        blocks.iter().map(|(block, senders)| RangeBlock { block, senders }).collect();
    let mut outputs = Vec::new();
    executor.execute_range(&case.chain, &blocks, &case.state, true, &mut |index, output| {
        assert_eq!(index, outputs.len());
        outputs.push(output.map_err(|error| error.to_string()));
        if outputs.len() == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    outputs
}

#[test]
fn a_range_comes_to_what_its_blocks_come_to_one_after_the_other() {
    let executors = [1, 2, 4]
        .map(|threads| ParallelExecutor::new(threads).expect("threads start").always_parallel());
    let (mut valid, mut ahead) = (0, 0);
    for seed in 0..CASES {
        let case = Case::<Ethereum>::new(seed);
        let blocks = cut(&case, &mut Rng::new(seed));
        let expected = serial(&case, &blocks);
        valid += expected.iter().filter(|output| output.is_ok()).count();
        for executor in &executors {
            let found = in_one_run(executor, &case, &blocks, usize::MAX);
            assert_eq!(found, expected, "seed {seed}, {} threads", executor.threads());
            ahead += executor.statistics().ahead;
        }
    }
    assert!(valid > 1_000, "{valid} blocks were valid");
    assert!(ahead > 1_000, "{ahead} outcomes were of use");
}

/// As a block before it deployed it, and as a reader of the parent's state takes it for.
#[test]
fn code_that_looks_like_a_delegation_is_the_same_in_a_range() {
    let (delegate, called) = (contract(0), user(0).create(0));
    let mut state = guards::state(rich(), &[vec![op::PUSH1, 1, op::PUSH1, 0, op::SSTORE]]);
    let designator = Bytecode::new_eip7702(delegate);
    state.set_account(Address::repeat_byte(0x77), 1, U256::ZERO, designator.clone());
    let deploys = [
        &[op::PUSH23][..],
        &designator.original_bytes(),
        &[op::PUSH1, 0, op::MSTORE, op::PUSH1, 23, op::PUSH1, 9, op::RETURN],
    ];
    let creation = TxLegacy {
        to: TxKind::Create,
        input: deploys.concat().into(),
        ..legacy(0, Address::ZERO, U256::ZERO, 200_000)
    };
    let calls = [called, Address::repeat_byte(0x77)];
    let calls = (1..).zip(calls).map(|(nonce, to)| legacy(nonce, to, U256::ZERO, 100_000));
    let mut case = case([creation].into_iter().chain(calls).collect(), state);
    case.chain = Ethereum::new(1, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Berlin));
    let header = &mut case.block.header;
    (header.base_fee_per_gas, header.blob_gas_used, header.excess_blob_gas) = (None, None, None);
    let whole = (case.block.clone(), case.senders.clone());
    let one_each = (0..3).map(|index| {
        let mut block = case.block.clone();
        block.header.number += index as u64;
        block.body.transactions = vec![case.block.body.transactions[index].clone()];
        (block, vec![case.senders[index]])
    });
    let executor = ParallelExecutor::new(2).expect("threads start").always_parallel();
    for blocks in [vec![whole], one_each.collect()] {
        let expected = serial(&case, &blocks);
        let statuses = expected.iter().flat_map(|it| it.as_ref().expect("valid").receipts.clone());
        let statuses: Vec<_> = statuses.map(|receipt| receipt.status()).collect();
        assert_eq!(statuses, [true, false, false], "plain code that begins with an invalid opcode");
        assert_eq!(in_one_run(&executor, &case, &blocks, usize::MAX), expected);
    }
}

#[test]
fn a_range_ends_where_it_is_told_to() {
    let executor = ParallelExecutor::new(3).expect("threads start").always_parallel();
    for seed in 0..50 {
        let case = Case::<Ethereum>::new(seed);
        let blocks = cut(&case, &mut Rng::new(seed));
        let expected = serial(&case, &blocks);
        let found = in_one_run(&executor, &case, &blocks, 2);
        assert_eq!(found, expected.get(..2).unwrap_or(&expected), "seed {seed}");
    }
}

/// Lets the thread that leads begin a block after the first part of a range only when another one has read
/// [`Gate::SLOT`] for it.
struct Gate {
    state: MemoryState,
    leader: ThreadId,
    /// Blocks that were begun.
    begun: AtomicUsize,
    is_read: (Mutex<bool>, Condvar),
}

impl Gate {
    const SLOT: U256 = U256::from_limbs([9, 0, 0, 0]);
}

impl StateReader for Gate {
    type Error = Infallible;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Infallible> {
        // Every block of Cancun begins with it (EIP-4788).
        if *address == BEACON_ROOTS_ADDRESS && self.begun.fetch_add(1, Ordering::SeqCst) == PART {
            let (is_read, rings) = &self.is_read;
            let mut is_read = is_read.lock();
            let is_late = rings
                .wait_while_for(&mut is_read, |is_read| !*is_read, Duration::from_secs(60))
                .timed_out();
            assert!(!is_late, "nobody executes the block ahead");
        }
        self.state.account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Infallible> {
        let is_other = thread::current().id() != self.leader;
        if is_other && *slot == Self::SLOT && self.begun.load(Ordering::SeqCst) >= PART {
            *self.is_read.0.lock() = true;
            self.is_read.1.notify_all();
        }
        self.state.storage(address, slot)
    }

    pass_on! {
        has_storage(address: &Address) -> bool;
        code(code_hash: &B256) -> Bytecode;
        block_hash(number: u64) -> B256;
    }
}

/// Blocks that are looked at together.
const PART: usize = 64;

/// What the first part of a long range wrote is no parent's value to those who execute the next part ahead.
#[test]
fn a_part_of_a_range_begins_with_what_those_before_wrote() {
    let counts = [
        [op::PUSH1, 9, op::SLOAD, op::POP],
        [op::PUSH0, op::SLOAD, op::PUSH1, 1],
        [op::ADD, op::PUSH0, op::SSTORE, op::STOP],
    ];
    let call = |nonce| legacy(nonce, contract(0), U256::ZERO, 100_000);
    let calls = (0..3).map(call).collect();
    let case = case(calls, guards::state(rich(), &[counts.concat()]));
    let mut all = case.block.body.transactions.iter().cloned().zip(case.senders.iter().copied());
    let mut blocks: Vec<(Block<Ethereum>, Vec<Address>)> = Vec::new();
    for index in 0..=PART {
        let count = match index {
            0 => 1,
            PART => 2,
            _ => 0,
        };
        let (transactions, senders) = all.by_ref().take(count).unzip();
        let mut header = case.block.header.clone();
        header.parent_beacon_block_root = Some(B256::ZERO);
        header.number += index as u64;
        if let Some((parent, _)) = blocks.last() {
            header.parent_hash = parent.header.hash_slow();
        }
        let body = BlockBody { transactions, ..Default::default() };
        blocks.push((Block::<Ethereum>::new(header, body), senders));
    }
    let expected = serial(&case, &blocks);
    assert!(expected.len() == PART + 1 && expected.iter().all(Result::is_ok), "{expected:?}");

    let Case { chain, block, senders, state } = case;
    let (leader, begun, is_read) =
        (thread::current().id(), AtomicUsize::new(0), Default::default());
    let state = Gate { state, leader, begun, is_read };
    let case = Case { chain, block, senders, state };
    let executor = ParallelExecutor::new(2).expect("threads start").always_parallel();
    assert_eq!(in_one_run(&executor, &case, &blocks, usize::MAX), expected);
    assert!(executor.statistics().ahead > 0, "the other thread has executed what it had begun");
}

/// More blocks than are looked at together: what the first one writes, the last one reads, with which a part begins.
#[test]
fn a_long_range_is_executed_in_parts() {
    let executor = ParallelExecutor::new(4).expect("threads start").always_parallel();
    let mut valid = 0;
    for seed in 0..400 {
        let case = Case::<Ethereum>::new(seed);
        let all = case.block.body.transactions.iter().zip(&case.senders).collect::<Vec<_>>();
        let (first, last) = all.split_at(all.len() / 3);
        let mut blocks: Vec<(Block<Ethereum>, Vec<Address>)> = Vec::new();
        for part in [first].into_iter().chain(vec![&[][..]; 63]).chain([last]) {
            let mut header = case.block.header.clone();
            header.number += blocks.len() as u64;
            if let Some((parent, _)) = blocks.last() {
                header.parent_hash = parent.header.hash_slow();
            }
            let (transactions, senders) =
                part.iter().map(|(tx, sender)| ((*tx).clone(), **sender)).unzip();
            let body = BlockBody { transactions, ..Default::default() };
            blocks.push((Block::<Ethereum>::new(header, body), senders));
        }
        let expected = serial(&case, &blocks);
        assert_eq!(in_one_run(&executor, &case, &blocks, usize::MAX), expected, "seed {seed}");
        valid += usize::from(expected.len() == blocks.len());
    }
    assert!(valid > 100, "{valid} ranges were executed to their ends");
}
