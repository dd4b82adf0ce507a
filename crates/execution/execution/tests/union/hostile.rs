//! Scripts that were changed.

use crate::{
    program::{CallOp, Op, assemble},
    world::{Done, Failure, World, chain, contract, transcripts_agree},
};
use alloy_op_evm::OpTx;
use alloy_primitives::{Address, ChainId, U256};
use lockstep_union::{Call, Message, Part, PlacedPart, Return, Step, SuperId, check_agreement};
use std::collections::BTreeMap;

/// All ways in which one step of a part can be changed, and some in which its parts can.
pub(crate) fn mutations(part: &Part, peer: ChainId) -> Vec<Part> {
    let mut mutated = Vec::new();
    let mut with = |change: &dyn Fn(&mut Part)| {
        let mut copy = part.clone();
        change(&mut copy);
        if copy != *part {
            mutated.push(copy);
        }
    };
    with(&|it| it.id.slot += 1);
    with(&|it| it.id.index += 1);
    with(&|it| it.origin = Address::repeat_byte(1));
    with(&|it| it.home = peer);
    with(&|it| it.gas_limit += 1);
    with(&|it| it.gas_limit = it.gas_limit.saturating_sub(1));
    with(&|it| it.gas_limit = u64::MAX);
    with(&|it| it.steps.clear());
    with(&|it| it.steps.reverse());
    for n in 0..part.steps.len() {
        with(&|it| drop(it.steps.remove(n)));
        with(&|it| it.steps.truncate(n));
        with(&|it| it.steps.insert(n, it.steps[n].clone()));
        with(&|it| it.steps.swap(n, 0));
        with(&|it| {
            let step = it.steps.remove(n);
            it.steps.push(step);
        });
        with(&|it| it.steps[n].index += 1);
        with(&|it| it.steps[n].index -= 1);
        with(&|it| it.steps[n].peer = peer);
        with(&|it| it.steps[n].peer += 1);
        with(&|it| it.steps[n].is_sent ^= true);
        for message in changed(&part.steps[n].message) {
            with(&|it| it.steps[n].message = message.clone());
        }
    }
    mutated
}

fn changed(message: &Message) -> Vec<Message> {
    let mut all = vec![Message::Rollback, Message::RolledBack];
    match message {
        Message::Call(call) => {
            let mut with = |change: &dyn Fn(&mut Call)| {
                let mut copy = call.clone();
                change(&mut copy);
                all.push(Message::Call(copy));
            };
            with(&|it| it.from = Address::repeat_byte(7));
            with(&|it| it.to = Address::repeat_byte(7));
            with(&|it| it.value += U256::ONE);
            with(&|it| it.value = U256::ONE << 96);
            with(&|it| it.value = U256::MAX - it.value);
            with(&|it| it.gas += 1);
            with(&|it| it.gas = it.gas.saturating_sub(1));
            with(&|it| it.base_fee += 1);
            with(&|it| it.is_static ^= true);
            with(&|it| it.depth += 1);
            with(&|it| it.input = [it.input.as_ref(), &[0]].concat().into());
        }
        Message::Return(back) => {
            let mut with = |change: &dyn Fn(&mut Return)| {
                let mut copy = back.clone();
                change(&mut copy);
                all.push(Message::Return(copy));
            };
            with(&|it| it.success ^= true);
            with(&|it| it.gas_used += 1);
            with(&|it| it.gas_used = it.gas_used.saturating_sub(1));
            with(&|it| it.output = [it.output.as_ref(), &[0]].concat().into());
        }
        Message::Rollback | Message::RolledBack => {}
    }
    all.retain(|it| it != message);
    all
}

/// Tries at most `limit` mutations of each part, which `seed` chooses.
pub(crate) fn every_mutation_is_rejected(
    world: &World,
    tx: &OpTx,
    done: &BTreeMap<ChainId, Done>,
    limit: usize,
    seed: u64,
) {
    for (id, honest) in done {
        let part = &honest.outcome.part;
        if part.steps.is_empty() {
            continue;
        }
        let peer = done.keys().copied().find(|other| other != id).unwrap_or(*id);
        let all = mutations(part, peer);
        let stride = all.len().div_ceil(limit).max(1);
        let first = seed as usize % stride;
        for mutated in all.iter().skip(first).step_by(stride) {
            assert!(is_rejected(world, tx, done, *id, mutated), "{part:#?}\nas\n{mutated:#?}");
        }
    }
}

/// Puts messages that nobody sent into each part, at a place that `seed` chooses, and goes on after them as
/// the part did.
pub(crate) fn every_insertion_is_rejected(
    world: &World,
    tx: &OpTx,
    done: &BTreeMap<ChainId, Done>,
    seed: u64,
) {
    for (id, honest) in done {
        let part = &honest.outcome.part;
        for (peer, message) in done.keys().flat_map(|peer| invented(*peer, seed)) {
            let mut forged = part.clone();
            let at = seed as usize % (part.steps.len() + 1);
            let index = at.checked_sub(1).map_or(0, |before| part.steps[before].index) + 1;
            forged.steps.insert(at, Step { index, peer, is_sent: false, message });
            assert!(is_rejected(world, tx, done, *id, &forged), "{forged:#?}");
            // The steps after it make way, so that it is the message alone that is wrong.
            for step in &mut forged.steps[at + 1..] {
                step.index += 1;
            }
            assert!(is_rejected(world, tx, done, *id, &forged), "{forged:#?}");
        }
    }
}

fn invented(peer: ChainId, seed: u64) -> Vec<(ChainId, Message)> {
    let call = Call {
        from: contract((seed % 5) as u8),
        to: contract((seed % 2) as u8),
        value: U256::from(seed % 3),
        gas: [0, 50_000, 500_000, u64::MAX][(seed / 7 % 4) as usize],
        base_fee: [0, 7, 1_000][(seed / 3 % 3) as usize],
        is_static: seed.is_multiple_of(5),
        depth: (seed % 20) as u32,
        input: vec![0; (seed % 70) as usize].into(),
    };
    let back = |success| Return { success, gas_used: seed % 900, output: call.input.clone() };
    let all = [
        Message::Return(back(true)),
        Message::Return(back(false)),
        Message::Call(call.clone()),
        Message::Rollback,
        Message::RolledBack,
    ];
    all.into_iter().map(|message| (peer, message)).collect()
}

/// Whether a rollup refuses the part, or settlement the transcripts that follow from it.
fn is_rejected(
    world: &World,
    tx: &OpTx,
    done: &BTreeMap<ChainId, Done>,
    id: ChainId,
    part: &Part,
) -> bool {
    let result = world.alone(id, part, tx);
    let changed = match result {
        Err(Failure::Script { .. } | Failure::Transaction(_) | Failure::PeerGas { .. }) => {
            return true;
        }
        Err(Failure::PeerUnavailable(_)) if part.steps.is_empty() => return true,
        Err(error) => panic!("{error}"),
        Ok(changed) => changed,
    };
    let others = done.iter().filter(|(other, _)| **other != id);
    let mut all: BTreeMap<_, _> = others
        .map(|(other, done)| {
            (*other, Done { outcome: done.outcome.clone(), state: done.state.clone() })
        })
        .collect();
    all.insert(id, changed);
    !transcripts_agree(&all)
}

/// A calls B, which calls back into A and then C, and reverts in the end; A goes on.
fn busy_world() -> World {
    let mut world = World::new(&[7, 100, 3]);
    let to_b = CallOp { value: 5, ..CallOp::new(1, 0) };
    let home = [Op::Increment(3), Op::Call(to_b), Op::Call(CallOp::new(1, 1))];
    world.deploy(chain(0), 0, &assemble(chain(0), &home));
    world.deploy(
        chain(0),
        1,
        &assemble(chain(0), &[Op::Increment(0), Op::Call(CallOp::new(2, 0))]),
    );
    let b = [Op::Call(CallOp::new(0, 1)), Op::Call(CallOp::new(2, 0)), Op::Revert(9)];
    world.deploy(chain(1), 0, &assemble(chain(1), &b));
    world.deploy(chain(1), 1, &assemble(chain(1), &[Op::Store(0, 77)]));
    world.deploy(chain(2), 0, &assemble(chain(2), &[Op::Increment(0), Op::Log(1)]));
    world
}

#[test]
fn every_change_of_a_script_is_rejected() {
    let world = busy_world();
    let tx = world.call(chain(0), 2_000_000, 0);
    let done = world.execute(chain(0), &tx);
    assert_eq!(done.len(), 3);
    every_mutation_is_rejected(&world, &tx, &done, usize::MAX, 0);
}

#[test]
fn a_causal_loop_over_three_rollups_is_rejected() {
    // Each rollup claims to be called by the one before it, so that nobody has begun. Whatever the
    // indices are, on one rollup the call that it made is not later than the one it got.
    let mut world = World::new(&[7, 7, 7]);
    for n in 0..3 {
        let next = Op::Call(CallOp { gas: Some(60_000), ..CallOp::new((n + 1) % 3, 0) });
        world.deploy(chain(n), 0, &assemble(chain(n), &[next]));
    }
    let tx = world.call(chain(0), 1_000_000, 0);
    let honest = world.execute(chain(0), &tx);
    let called = honest[&chain(1)].outcome.part.clone();
    let mut forged = called.clone();
    forged.steps = called.steps.iter().take(2).cloned().collect();
    let [received, sent] = &mut forged.steps[..] else { panic!("two steps") };
    for (got, made) in (1..7).flat_map(|got| (1..8).map(move |made| (got, made))) {
        (received.index, sent.index) = (got, made);
        let forged = Part { steps: vec![received.clone(), sent.clone()], ..called.clone() };
        let Err(Failure::Script { reason, .. }) = world.alone(chain(1), &forged, &tx) else {
            panic!("{got}, {made}")
        };
        // With any other number than the next it is the number that is wrong, and not that the call has no
        // answer.
        let is_next = made == got + 1;
        assert_eq!(reason == "the script ends too early", is_next, "{got}, {made}: {reason}");
    }
    // A peer that begins of itself is refused too.
    let starts = Step { is_sent: true, ..called.steps[0].clone() };
    let forged = Part { steps: vec![starts], ..called };
    assert!(matches!(world.alone(chain(1), &forged, &tx), Err(Failure::Script { .. })));
}

/// The same as data: three parts in which each rollup was called by the one before it, for all numbers that
/// the calls may have. No follower takes them, as nobody has begun.
#[test]
fn a_circle_of_calls_is_not_one_execution() {
    let call = |n: u64| {
        let (from, to) = (contract(n as u8), contract(((n + 1) % 3) as u8));
        Message::Call(Call {
            from,
            to,
            value: U256::ZERO,
            gas: 50_000,
            base_fee: 7,
            is_static: false,
            depth: 2,
            input: Default::default(),
        })
    };
    let three =
        || (1..5_u32).flat_map(|a| (1..5).flat_map(move |b| (1..5).map(move |c| [a, b, c])));
    for numbers in three() {
        let circle: BTreeMap<_, _> = (0..3)
            .map(|n| {
                let before = (n + 2) % 3;
                let step = |of: u64, peer, is_sent| Step {
                    index: numbers[of as usize],
                    peer: chain(peer),
                    is_sent,
                    message: call(of),
                };
                let mut steps = vec![step(before, before, false), step(n, (n + 1) % 3, true)];
                steps.sort_by_key(|step| step.index);
                let (id, origin) = (SuperId { slot: 9, index: 4 }, Address::repeat_byte(3));
                let part = Part { id, home: chain(3), origin, gas_limit: 50_000, steps };
                (chain(n), vec![PlacedPart { timestamp: 60, part }])
            })
            .collect();
        assert!(check_agreement(&circle).is_err(), "{numbers:?}");
    }
}
