//! Reads that fail: whenever the state cannot be read, that is what is said, and no transaction, part or
//! block is found invalid for it.

use crate::{
    blocks::transaction,
    program::{CallOp, OnFailure, Op, assemble},
    world::{USER, World, chain, contract},
};
use alloy_consensus::{Block, BlockBody};
use alloy_evm::{Evm, EvmFactory};
use alloy_primitives::{Address, B256, ChainId, TxKind, U256};
use lockstep_chain::Rollup;
use lockstep_execution::{
    AccountInfo, BlockExecutor, BlockOutput, BlockParts, BlockState, Bytecode, Execute,
    ExecuteOptions, ExecutionError, JointError, MemoryState, StateReader, execute_block,
    transact_jointly,
};
use lockstep_union::{Message, PORT, Part, SuperId};
use op_alloy_consensus::{OpReceipt, OpTxEnvelope, TxDeposit};
use revm::{DatabaseCommit, context::result::EVMError};
use std::{cell::Cell, collections::BTreeMap, convert::Infallible};

const PARTS: BlockParts<'_, alloy_consensus::Header> = BlockParts { ommers: &[], withdrawals: &[] };

/// A state of which one read fails, once.
#[derive(Clone, Copy)]
struct Failing<'a> {
    state: &'a MemoryState,
    /// How many reads are left before it, on all rollups together.
    left: &'a Cell<u64>,
}

#[derive(Debug, thiserror::Error)]
#[error("the disk is gone")]
struct Lost;

impl Failing<'_> {
    fn read<T>(&self, Ok(value): Result<T, Infallible>) -> Result<T, Lost> {
        let left = self.left.get();
        self.left.set(left.wrapping_sub(1));
        if left == 0 { Err(Lost) } else { Ok(value) }
    }
}

impl StateReader for Failing<'_> {
    type Error = Lost;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Lost> {
        self.read(self.state.account(address))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Lost> {
        self.read(self.state.storage(address, slot))
    }

    fn has_storage(&self, address: &Address) -> Result<bool, Lost> {
        self.read(self.state.has_storage(address))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, Lost> {
        self.read(self.state.code(code_hash))
    }

    fn block_hash(&self, number: u64) -> Result<B256, Lost> {
        self.read(self.state.block_hash(number))
    }
}

/// A union in which calls between rollups succeed, fail, come back, are undone, and are made by contracts
/// that are being created; by a deposit, they are refused.
fn world() -> World {
    let mut world = World::new(&[7, 7, 7]);
    let call = |rollup, n| Op::Call(CallOp::new(rollup, n));
    let little = |rollup, n| Op::Call(CallOp { gas: Some(40_000), ..CallOp::new(rollup, n) });
    let deploy = |world: &mut World, rollup: u64, n: u8, ops: &[Op]| {
        world.deploy(chain(rollup), n, &assemble(chain(rollup), ops));
    };
    let to_b = CallOp { value: 5, ..CallOp::new(1, 0) };
    let view = CallOp { is_static: true, ..CallOp::new(1, 2) };
    let create = Op::Create(vec![call(2, 0), Op::Revert(1)]);
    let home = [Op::Increment(3), Op::Call(to_b), call(1, 1), Op::Call(view), create, call(0, 3)];
    deploy(&mut world, 0, 0, &home);
    deploy(&mut world, 0, 1, &[Op::Increment(0), call(2, 0), little(1, 1)]);
    let undone = CallOp { on_failure: OnFailure::Revert, ..CallOp::new(2, 1) };
    deploy(&mut world, 1, 0, &[call(0, 1), call(2, 0), Op::Call(undone)]);
    deploy(&mut world, 1, 1, &[Op::Store(0, 77), call(1, 3), Op::Increment(2)]);
    deploy(&mut world, 1, 2, &[Op::Environment(0x32, 0)]);
    deploy(&mut world, 2, 0, &[Op::Increment(0), Op::Log(1)]);
    deploy(&mut world, 2, 1, &[call(1, 1), Op::Invalid]);
    for rollup in [0, 1] {
        // BLOCKHASH of the parent, EXTCODEHASH, EXTCODESIZE and BALANCE of others, stored.
        let others = [(0x3f, 0x81), (0x3b, 0x82), (0x31, 0x83)];
        let mut code = vec![0x60, 1, 0x43, 0x03, 0x40, 0x5f, 0x55];
        for (slot, (opcode, address)) in (1..).zip(others) {
            code.push(0x73);
            code.extend(Address::repeat_byte(address));
            code.extend([opcode, 0x60, slot, 0x55]);
        }
        world.deploy(chain(rollup), 4, &code);
        // An account that delegates to it (EIP-7702).
        world.deploy(chain(rollup), 3, &[&[0xef, 1, 0], contract(4).as_slice()].concat());
    }
    world
}

fn transactions() -> Vec<(ChainId, OpTxEnvelope, Address)> {
    let (a, b) = (chain(0), chain(1));
    let deposit = TxDeposit {
        source_hash: B256::repeat_byte(3),
        from: USER,
        to: TxKind::Call(contract(0)),
        mint: 9,
        gas_limit: 400_000,
        ..TxDeposit::default()
    };
    vec![
        (a, deposit.into(), USER),
        (a, transaction(a, 1, contract(0), 3_000_000), USER),
        (b, transaction(b, 0, contract(1), 500_000), USER),
        // It runs out of gas in a call to a peer.
        (a, transaction(a, 2, contract(0), 120_000), USER),
        (b, transaction(b, 1, contract(0), 2_000_000), USER),
    ]
}

struct Made {
    chain: Rollup,
    block: Block<OpTxEnvelope>,
    senders: Vec<Address>,
    output: BlockOutput<OpReceipt>,
}

/// Makes a block on each rollup, jointly.
fn make(world: &World, left: &Cell<u64>) -> Result<BTreeMap<ChainId, Made>, ExecutionError<Lost>> {
    let members: BTreeMap<_, _> = world.rollups.keys().map(|id| (*id, world.member(*id))).collect();
    let mut blocks = BTreeMap::new();
    for (id, (chain, header, state)) in &members {
        let mut block = BlockExecutor::new(chain, header, Failing { state, left });
        block.begin()?;
        blocks.insert(*id, block);
    }
    let mut bodies: BTreeMap<ChainId, (Vec<OpTxEnvelope>, Vec<Address>)> = BTreeMap::new();
    for (index, (home, tx, sender)) in (0..).zip(transactions()) {
        let id = SuperId { slot: 1, index };
        let mut open = blocks.iter_mut().map(|(id, block)| (*id, block)).collect();
        let joined = transact_jointly(&mut open, id, home, &tx, sender);
        let joined = joined.map_err(|error| match error {
            JointError::Execution(error) => error,
            other => panic!("{other}"),
        })?;
        for (rollup, joined) in joined {
            bodies.entry(rollup).or_default().extend(joined.transactions);
        }
    }
    let mut made = BTreeMap::new();
    for (id, block) in blocks {
        let output = block.finish(PARTS, false)?;
        let (transactions, senders) = bodies.remove(&id).unwrap_or_default();
        let (chain, header, _) = world.member(id);
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: None };
        made.insert(id, Made { chain, block: Block { header, body }, senders, output });
    }
    Ok(made)
}

/// Lets the first read fail, then the second, and so on until all succeed, and returns how many there are.
fn for_every_read<T>(
    run: impl Fn(&Cell<u64>) -> Result<T, ExecutionError<Lost>>,
    check: impl Fn(T),
) -> u64 {
    for reads in 0.. {
        let left = Cell::new(reads);
        match run(&left) {
            Err(error) => {
                let is_lost = matches!(error, ExecutionError::State(Lost));
                assert!(is_lost && !error.is_invalid_block(), "read {reads}: {error}");
                assert!(left.get() > reads, "read {reads} did not fail");
            }
            Ok(value) => {
                assert!(
                    left.get() < reads || reads == 0,
                    "read {reads} failed, and nobody said so"
                );
                check(value);
                return reads;
            }
        }
    }
    unreachable!("a block reads less")
}

#[test]
fn a_failed_read_stops_a_joint_execution() {
    let world = world();
    let reads = for_every_read(
        |left| make(&world, left),
        |made| {
            // What it is about is there.
            let parts = made.values().flat_map(|made| &made.block.body.transactions);
            let parts: Vec<_> = parts
                .filter_map(|tx| tx.as_deposit().filter(|deposit| deposit.from == PORT))
                .map(|deposit| Part::decode(&mut &deposit.input[..], 1_000).unwrap())
                .collect();
            let said: Vec<_> = parts.iter().flat_map(|part| &part.steps).collect();
            let count = |is: fn(&Message) -> bool| said.iter().filter(|it| is(&it.message)).count();
            assert!(count(|it| matches!(it, Message::Rollback)) > 4);
            assert!(count(|it| matches!(it, Message::Return(back) if back.success)) > 8);
            assert!(count(|it| matches!(it, Message::Return(back) if !back.success)) > 4);
        },
    );
    assert!(reads > 80, "{reads}");
}

#[test]
fn a_failed_read_makes_no_block_invalid() {
    let world = world();
    let made = make(&world, &Cell::new(u64::MAX)).unwrap();
    for (id, made) in &made {
        let Made { chain, block, senders, output } = made;
        let state = &world.rollups[id].state;
        let reads = for_every_read(
            |left| {
                let reader = Failing { state, left };
                execute_block(chain, block, senders, reader, ExecuteOptions::default())
            },
            |alone| assert_eq!(alone, *output),
        );
        assert!(reads > 10, "{reads}");
    }
}

/// A transaction of which a read failed leaves nothing, and can be tried again on the same EVM.
#[test]
fn what_failed_can_be_tried_again() {
    let world = world();
    for (id, made) in make(&world, &Cell::new(u64::MAX)).unwrap() {
        let Made { chain, block, senders, output } = made;
        let state = &world.rollups[&id].state;
        let after = |changes| {
            let mut state = state.clone();
            state.apply(&changes);
            state.state_root()
        };
        let expected = after(output.changes);
        let rules = chain.state_rules(&block.header);
        for reads in 0.. {
            let left = Cell::new(reads);
            let state = BlockState::new(Failing { state, left: &left }, rules);
            let factory = chain.evm_factory(&block.header);
            let mut evm = factory.create_evm(state, chain.evm_env(&block.header));
            let (mut holder, mut failures) = (None, 0);
            for (tx, sender) in block.body.transactions.iter().zip(&senders) {
                let tx = chain.tx_env(tx, *sender);
                let done = match evm.transact_raw(tx.clone()) {
                    Ok(done) => done,
                    Err(EVMError::Database(_)) => {
                        failures += 1;
                        // The part that it was executed with is gone with it.
                        let again = holder.take().map(|holder| evm.transact_raw(holder));
                        assert!(again.is_none_or(|again| again.is_ok()));
                        evm.transact_raw(tx.clone()).unwrap()
                    }
                    Err(error) => panic!("read {reads}: {error}"),
                };
                let is_holder = tx.0.base.caller == PORT && tx.0.base.kind == TxKind::Call(PORT);
                holder = is_holder.then_some(tx);
                evm.db_mut().commit(done.state);
            }
            assert_eq!(after(evm.into_db().into_changes()), expected, "read {reads}");
            if failures == 0 {
                break;
            }
        }
    }
}
