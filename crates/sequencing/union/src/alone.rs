//! One rollup's part of a super transaction, from its script.

use crate::{
    Part, UnionError,
    control::{Event, Fault, FaultOf},
    participant::{Observer, PartOutcome, Participant},
    script::{Message, Step},
};
use alloy_evm::Database;
use alloy_op_evm::OpTx;
use alloy_primitives::ChainId;
use revm::state::EvmState;

/// Executes one rollup's part of a super transaction.
///
/// On the home rollup `tx` is the user's transaction, on a peer `None`. What the rollup sends must be
/// what the script says it sent; what it receives is taken from the script. Whether *that* is true
/// shows when transcripts are compared.
///
/// # Errors
/// [`UnionError::Script`] if the script is not that of this execution; [`UnionError::PeerUnavailable`] if
/// there are no steps and a peer is called; [`UnionError::Transaction`] if the user's transaction cannot
/// run; otherwise
/// the state's or the EVM's failure. The rollup has then not changed.
pub fn execute_part<DB: Database, I: Observer<DB>>(
    rollup: &mut Participant<'_, DB, I>,
    part: &Part,
    tx: Option<OpTx>,
) -> Result<(PartOutcome, EvmState), UnionError<DB::Error>> {
    rollup.begin(part.id, part.home, part.origin);
    match follow(rollup, part, tx).and_then(|()| rollup.seal()) {
        Ok(()) => Ok(rollup.conclude()),
        Err(fault) => {
            let error = rollup.explain(fault);
            rollup.wasted_gas = rollup.home_gas_used();
            rollup.discard();
            Err(error)
        }
    }
}

fn follow<DB: Database, I: Observer<DB>>(
    rollup: &mut Participant<'_, DB, I>,
    part: &Part,
    tx: Option<OpTx>,
) -> Result<(), FaultOf<DB>> {
    rollup.gas_available = part.gas_limit;
    let shown = if tx.is_none() { rollup.show_part(part) } else { None };
    let done = run(rollup, part, tx);
    rollup.end_shown_part(shown, rollup.session.peer_gas_used);
    // Alone, a call that the script does not know is a deviation, not a peer that is missing; unless there is
    // no script.
    done.map_err(|fault| match fault {
        Fault::PeerUnavailable(_) if !part.steps.is_empty() => {
            Fault::Script("the rollup makes a call that the script does not know")
        }
        other => other,
    })?;
    if rollup.session.gas_limit != part.gas_limit {
        return Err(Fault::Script("the part states another gas limit than its calls have"));
    }
    Ok(())
}

fn run<DB: Database, I: Observer<DB>>(
    rollup: &mut Participant<'_, DB, I>,
    part: &Part,
    tx: Option<OpTx>,
) -> Result<(), FaultOf<DB>> {
    let mut steps = part.steps.as_slice();
    let mut event = match tx {
        Some(tx) if rollup.is_home() && tx.0.base.caller == part.origin => {
            rollup.start(tx, &|peer| stated_base_fee(steps, peer))?
        }
        None if !rollup.is_home() => {
            rollup.prepare_peer()?;
            receive_next(rollup, &mut steps)?
        }
        _ => return Err(Fault::Script("the part is not that of the given transaction")),
    };
    while let Event::Sent(sent) = event {
        let (said, rest) = steps.split_first().ok_or(Fault::Script("the script ends too early"))?;
        if *said != sent {
            return Err(Fault::Script("the rollup sends another message than the script says"));
        }
        steps = rest;
        if steps.is_empty() && rollup.is_idle() {
            return Ok(());
        }
        event = receive_next(rollup, &mut steps)?;
    }
    if steps.is_empty() { Ok(()) } else { Err(Fault::Script("the script goes on after the end")) }
}

/// Gives the rollup the next message that the script says it received.
fn receive_next<DB: Database, I: Observer<DB>>(
    rollup: &mut Participant<'_, DB, I>,
    steps: &mut &[Step],
) -> Result<Event, FaultOf<DB>> {
    let (step, rest) = steps.split_first().ok_or(Fault::Script("the script ends too early"))?;
    if step.is_sent {
        return Err(Fault::Script("the script says that a message is sent where one is received"));
    }
    *steps = rest;
    rollup.receive(step.index, step.peer, step.message.clone(), &|peer| stated_base_fee(rest, peer))
}

/// The peer's base fee, if the script says that it is called next. The peer checks it.
fn stated_base_fee(steps: &[Step], peer: ChainId) -> Option<u64> {
    match steps.first() {
        Some(Step { peer: called, is_sent: true, message: Message::Call(call), .. })
            if *called == peer =>
        {
            Some(call.base_fee)
        }
        _ => None,
    }
}
