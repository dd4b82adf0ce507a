//! Whole blocks of a union: made jointly, and executed by each rollup alone.

use crate::{
    program::{CallOp, Op, assemble},
    world::{USER, World, chain, contract},
};
use alloy_consensus::{Block, BlockBody, SignableTransaction, TxLegacy};
use alloy_primitives::{Address, B256, ChainId, Signature, TxKind, U256};
use lockstep_chain::{BodyError, Rollup};
use lockstep_execution::{
    BlockExecutor, BlockOutput, BlockParts, ExecuteOptions, ExecutionError, Joined, JointError,
    MemoryState, execute_block, transact_jointly,
};
use lockstep_union::{GATE, PORT, Part, SuperId, part_transaction};
use op_alloy_consensus::{OpReceipt, OpTxEnvelope};
use std::collections::BTreeMap;

const PARTS: BlockParts<'_, alloy_consensus::Header> = BlockParts { ommers: &[], withdrawals: &[] };

/// What was made of one rollup's block.
struct Made {
    chain: Rollup,
    block: Block<OpTxEnvelope>,
    senders: Vec<Address>,
    output: BlockOutput<OpReceipt>,
}

pub(crate) fn transaction(home: ChainId, nonce: u64, to: Address, gas_limit: u64) -> OpTxEnvelope {
    let to = TxKind::Call(to);
    let tx =
        TxLegacy { chain_id: Some(home), nonce, gas_price: 7, gas_limit, to, ..Default::default() };
    OpTxEnvelope::Legacy(tx.into_signed(Signature::test_signature()))
}

/// Makes one block per rollup with these transactions of [`USER`], by home rollup.
fn make(world: &World, transactions: &[(ChainId, OpTxEnvelope)]) -> BTreeMap<ChainId, Made> {
    let members: BTreeMap<_, _> = world.rollups.keys().map(|id| (*id, world.member(*id))).collect();
    let mut blocks: BTreeMap<_, _> = members
        .iter()
        .map(|(id, (chain, header, state))| (*id, BlockExecutor::new(chain, header, *state)))
        .collect();
    let mut bodies: BTreeMap<ChainId, Vec<(OpTxEnvelope, Address)>> = BTreeMap::new();
    for (index, (home, tx)) in (0..).zip(transactions) {
        let id = SuperId { slot: 1, index };
        let mut open = blocks.iter_mut().map(|(id, block)| (*id, block)).collect();
        for (rollup, joined) in transact_jointly(&mut open, id, *home, tx, USER).unwrap() {
            bodies.entry(rollup).or_default().extend(joined.transactions);
        }
    }
    let finished = blocks.into_iter().map(|(id, block)| (id, block.finish(PARTS, false).unwrap()));
    let outputs: BTreeMap<_, _> = finished.collect();
    let made = outputs.into_iter().map(|(id, output)| {
        let (transactions, senders) = bodies.remove(&id).unwrap_or_default().into_iter().unzip();
        let (chain, header, _) = world.member(id);
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: None };
        (id, Made { chain, block: Block { header, body }, senders, output })
    });
    made.collect()
}

fn alone(
    made: &Made,
    state: &MemoryState,
) -> Result<BlockOutput<OpReceipt>, ExecutionError<core::convert::Infallible>> {
    let Made { chain, block, senders, .. } = made;
    execute_block(chain, block, senders, state, ExecuteOptions::default())
}

/// A union in which contract 0 of rollup 0 calls contract 0 of rollup 1, which logs.
fn calling_world() -> World {
    let mut world = World::new(&[7, 7]);
    let call = [Op::Call(CallOp { value: 5, ..CallOp::new(1, 0) }), Op::Log(1)];
    world.deploy(chain(0), 0, &assemble(chain(0), &call));
    world.deploy(chain(0), 1, &assemble(chain(0), &[Op::Increment(3), Op::Log(2)]));
    world.deploy(chain(1), 0, &assemble(chain(1), &[Op::Increment(0), Op::Log(3)]));
    world
}

#[test]
fn what_is_made_jointly_executes_alone_to_the_same_output() {
    let world = calling_world();
    let (a, b) = (chain(0), chain(1));
    let transactions = [
        (a, transaction(a, 0, contract(0), 500_000)),
        (a, transaction(a, 1, contract(1), 100_000)),
        (b, transaction(b, 0, contract(0), 100_000)),
        (a, transaction(a, 2, contract(0), 500_000)),
    ];
    let made = make(&world, &transactions);
    let kinds = |id| -> Vec<bool> {
        made[&id].block.body.transactions.iter().map(|tx| tx.is_deposit()).collect()
    };
    assert_eq!(kinds(a), [true, false, false, true, false]);
    assert_eq!(kinds(b), [true, false, true]);
    for (id, made) in &made {
        made.chain.validate_transactions(&made.block).unwrap();
        assert_eq!(alone(made, &world.rollups[id].state).unwrap(), made.output);
    }
    let receipts = &made[&b].output.receipts;
    let logs = |n: usize| alloy_consensus::TxReceipt::logs(&receipts[n]).len();
    assert_eq!((logs(0), logs(1)), (1, 1), "the part's receipt carries what was logged");
    assert!(made[&b].output.gas_used > 2 * 21_000);
}

#[test]
fn a_transaction_that_calls_a_peer_needs_its_part() {
    let world = calling_world();
    let a = chain(0);
    let (chain, header, state) = world.member(a);
    let mut block = BlockExecutor::new(&chain, &header, state);
    let tx = transaction(a, 0, contract(0), 500_000);
    let refusal = block.transact(&tx, USER);
    assert!(matches!(refusal, Err(ExecutionError::CallsPeer { index: 0, .. })), "{refusal:?}");
    let other = transaction(a, 0, contract(1), 100_000);
    assert!(block.transact(&other, USER).unwrap().success, "the refused one left nothing");
}

#[test]
fn a_part_stands_before_its_own_transaction() {
    let world = calling_world();
    let a = chain(0);
    let transactions = [
        (a, transaction(a, 0, contract(0), 500_000)),
        (a, transaction(a, 1, contract(1), 100_000)),
    ];
    let mut made = make(&world, &transactions).remove(&a).unwrap();
    let state = &world.rollups[&a].state;
    let body = made.block.body.transactions.clone();
    let senders = made.senders.clone();

    made.block.body.transactions.truncate(1);
    let refusal = made.chain.validate_transactions(&made.block);
    assert!(matches!(refusal, Err(BodyError::Part { index: 0, .. })), "{refusal:?}");

    made.block.body.transactions = vec![body[0].clone(), body[0].clone(), body[1].clone()];
    made.senders = vec![PORT, PORT, USER];
    assert!(made.chain.validate_transactions(&made.block).is_err());
    assert!(matches!(alone(&made, state), Err(ExecutionError::Transaction { index: 1, .. })));

    made.block.body.transactions = vec![body[0].clone(), body[2].clone()];
    made.senders = vec![senders[0], senders[2]];
    assert!(alone(&made, state).is_err(), "it is of another transaction");
}

#[test]
fn a_transaction_that_holds_a_part_is_the_one_that_the_part_makes() {
    let world = calling_world();
    let (a, b) = (chain(0), chain(1));
    let transactions = [(a, transaction(a, 0, contract(0), 500_000))];
    let mut made = make(&world, &transactions).remove(&b).unwrap();
    let state = &world.rollups[&b].state;
    let honest = made.block.body.transactions[0].as_deposit().unwrap().inner().clone();
    assert_eq!((honest.from, honest.to), (PORT, TxKind::Call(GATE)));
    let mut mutants = vec![honest.clone(); 7];
    mutants[0].source_hash = B256::repeat_byte(1);
    mutants[1].gas_limit += 1;
    mutants[2].mint = 1;
    mutants[3].value = U256::ONE;
    mutants[4].is_system_transaction = true;
    mutants[5].input = [&honest.input[..], &[0]].concat().into();
    mutants[6].input = honest.input.slice(..honest.input.len() - 1);
    for (n, mutant) in mutants.into_iter().enumerate() {
        made.block.body.transactions = vec![mutant.into()];
        let refusal = alone(&made, state);
        assert!(matches!(refusal, Err(ExecutionError::Transaction { .. })), "{n}: {refusal:?}");
    }
    let mut elsewhere = honest;
    elsewhere.to = TxKind::Call(USER);
    made.block.body.transactions = vec![elsewhere.into()];
    assert!(matches!(alone(&made, state), Err(ExecutionError::Transaction { .. })));
    assert!(made.chain.validate_transactions(&made.block).is_err());
}

#[test]
fn a_peer_without_an_open_block_or_room_makes_a_transaction_wait() {
    let world = calling_world();
    let (a, b) = (chain(0), chain(1));
    let tx = transaction(a, 0, contract(0), 500_000);
    let id = SuperId { slot: 1, index: 0 };
    let (home, peer) = (world.member(a), world.member(b));
    let mut first = BlockExecutor::new(&home.0, &home.1, home.2);
    let mut open = BTreeMap::from([(a, &mut first)]);
    let refusal = transact_jointly(&mut open, id, a, &tx, USER);
    assert!(matches!(refusal, Err(JointError::NoBlock(peer)) if peer == b), "{refusal:?}");

    let small = alloy_consensus::Header { gas_limit: 50_000, ..peer.1.clone() };
    let mut second = BlockExecutor::new(&peer.0, &small, peer.2);
    open.insert(b, &mut second);
    let refusal = transact_jointly(&mut open, id, a, &tx, USER);
    assert!(matches!(refusal, Err(JointError::NoRoom { available: 50_000, .. })), "{refusal:?}");

    let other = transaction(a, 0, contract(1), 100_000);
    let joined = transact_jointly(&mut open, id, a, &other, USER).unwrap();
    let [(_, Joined { transactions, success: true, .. })] =
        <[_; 1]>::try_from(joined.into_iter().collect::<Vec<_>>()).unwrap()
    else {
        panic!("an ordinary transaction")
    };
    assert_eq!(transactions, [(other, USER)]);
}

#[test]
fn a_part_is_read_back_from_its_transaction() {
    let world = calling_world();
    let (a, b) = (chain(0), chain(1));
    let made = make(&world, &[(a, transaction(a, 0, contract(0), 500_000))]);
    for id in [a, b] {
        let deposit = made[&id].block.body.transactions[0].as_deposit().unwrap().inner().clone();
        let part = Part::decode(&mut &deposit.input[..], 100).unwrap();
        assert_eq!(part_transaction(&part, id), deposit);
    }
}
