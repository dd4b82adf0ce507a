//! Who has control: what a rollup does until it hands control to another, and what it takes from one.
//!
//! A rollup is idle, or it runs frames, waits for the answer to a call, or undoes calls. These nest, so
//! they are a stack. Control is always at one rollup; a message carries it over.

use crate::{
    participant::{EvmFault, Observer, Participant},
    script::{Message, Step},
};
use alloc::{boxed::Box, vec::Vec};
use alloy_evm::Database;
use alloy_op_evm::OpTx;
use alloy_primitives::ChainId;
use lockstep_chain::PORT;
use revm::{
    context_interface::{
        ContextTr, JournalTr, context::ContextError, journaled_state::JournalCheckpoint,
    },
    handler::{EvmTr, FrameResult, ItemOrResult},
    inspector::InspectorEvmTr,
    interpreter::{CallInputs, FrameInput, Gas, SharedMemory, interpreter_action::FrameInit},
};

/// Looks up the base fee of a peer, in wei; `None` if it does not take part.
pub(crate) type BaseFees<'f> = &'f dyn Fn(ChainId) -> Option<u64>;

/// Why a rollup over state of this kind cannot go on.
pub(crate) type FaultOf<DB> = Fault<<DB as revm::Database>::Error>;

/// Why a rollup cannot go on; `E` is the state's error.
#[derive(Debug)]
pub(crate) enum Fault<E> {
    Evm(EvmFault<E>),
    Script(&'static str),
    PeerUnavailable(ChainId),
    PeerGas { gas_limit: u64, available: u64 },
}

impl<E> From<EvmFault<E>> for Fault<E> {
    fn from(error: EvmFault<E>) -> Self {
        Self::Evm(error)
    }
}

impl<E> From<ContextError<E>> for Fault<E> {
    fn from(error: ContextError<E>) -> Self {
        Self::Evm(error.into())
    }
}

impl<E> From<E> for Fault<E> {
    fn from(error: E) -> Self {
        Self::Evm(EvmFault::Database(error))
    }
}

/// How control leaves a rollup.
#[derive(Debug)]
pub(crate) enum Event {
    /// With a message.
    Sent(Step),
    /// The home transaction has ended.
    Finished,
}

/// A call from a peer that stands until it is undone.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) from: ChainId,
    /// The journal before it.
    pub(crate) checkpoint: JournalCheckpoint,
    /// The calls that it made, which stand with it.
    pub(crate) made: Vec<Made>,
}

/// A call to a peer that stands until it is undone.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) to: ChainId,
    /// The calls that arrived during it, which stand with it.
    pub(crate) arrived: Vec<Standing>,
}

/// One thing that a rollup is in the middle of.
#[derive(Debug)]
pub(crate) enum Task {
    Run(Run),
    Wait(Wait),
    Undo(Undo),
}

/// Frames that run: the home transaction's, or those of a call from a peer.
#[derive(Debug)]
pub(crate) struct Run {
    /// The peer that called; `None` for the home transaction.
    pub(crate) caller: Option<Arrival>,
    /// How many frames of the EVM's stack lie below.
    pub(crate) base: usize,
    pub(crate) depth: u32,
    pub(crate) made: Vec<Made>,
    /// What calls to peers have cost, in gas.
    pub(crate) paid: u64,
    pub(crate) ended: Option<FrameResult>,
}

/// What a run must know of the call that it answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) from: ChainId,
    pub(crate) gas: u64,
    /// What the peer's block counts at least (rule 5.5).
    pub(crate) least_gas: u64,
    pub(crate) checkpoint: JournalCheckpoint,
}

/// A frame that waits for what its call to a peer returns.
#[derive(Debug)]
pub(crate) struct Wait {
    pub(crate) to: ChainId,
    /// The peer's gas that it may use, and the base fee of the peer, in wei.
    pub(crate) gas_limit: u64,
    pub(crate) base_fee: u64,
    /// Gas of the caller, what the call costs on this side already taken off.
    pub(crate) gas: Gas,
    /// The journal before the ether was burnt.
    pub(crate) checkpoint: JournalCheckpoint,
    pub(crate) arrived: Vec<Standing>,
    /// The call of the port.
    pub(crate) inputs: Box<CallInputs>,
    /// In which the frames of calls begin that arrive meanwhile, and how deep they are.
    pub(crate) memory: SharedMemory,
    pub(crate) frame_depth: usize,
}

/// Calls to peers that are undone, newest first.
#[derive(Debug)]
pub(crate) struct Undo {
    left: Vec<Made>,
    /// The one whose peer has control.
    current: Option<Made>,
    then: Then,
}

#[derive(Debug)]
enum Then {
    /// The frame that made them has failed with this.
    Fail(Box<FrameResult>),
    /// The call from this peer that made them is itself undone.
    Answer { peer: ChainId, checkpoint: JournalCheckpoint },
}

impl<DB: Database, I: Observer<DB>> Participant<'_, DB, I> {
    /// Begins the home transaction.
    pub(crate) fn start(&mut self, tx: OpTx, fees: BaseFees<'_>) -> Result<Event, FaultOf<DB>> {
        let Some(first) = self.prepare_home(tx)? else { return Ok(Event::Finished) };
        let run = Run { caller: None, base: 0, depth: 0, made: Vec::new(), paid: 0, ended: None };
        self.session.tasks.push(Task::Run(run));
        match self.begin_frame(first, fees)? {
            Some(sent) => Ok(Event::Sent(sent)),
            None => self.advance(fees),
        }
    }

    /// Takes a message from a peer, and goes on until control leaves again.
    pub(crate) fn receive(
        &mut self,
        index: u32,
        from: ChainId,
        message: Message,
        fees: BaseFees<'_>,
    ) -> Result<Event, FaultOf<DB>> {
        if index <= self.session.last_index {
            return Err(Fault::Script("a step is not later than the one before it"));
        }
        if from == self.chain || !self.rules.chains.contains(&from) {
            return Err(Fault::Script("the peer is not another rollup of the union"));
        }
        self.record(Step { index, peer: from, is_sent: false, message: message.clone() });
        match message {
            Message::Call(call) => self.arrive(from, &call)?,
            Message::Return(answer) => self.take_return(from, answer)?,
            Message::Rollback => self.take_rollback(from)?,
            Message::RolledBack => self.take_rolled_back(from)?,
        }
        self.advance(fees)
    }

    /// Goes on with the innermost task until control leaves.
    fn advance(&mut self, fees: BaseFees<'_>) -> Result<Event, FaultOf<DB>> {
        loop {
            let sent = match self.session.tasks.last_mut() {
                Some(Task::Run(run)) => match run.ended.take() {
                    Some(result) => match self.end_run(result)? {
                        Some(step) => Some(step),
                        None => return Ok(Event::Finished),
                    },
                    None => self.run_frame(fees)?,
                },
                Some(Task::Undo(_)) => self.undo_next()?,
                Some(Task::Wait(_)) | None => {
                    return Err(Fault::Script("control is at a rollup that has nothing to do"));
                }
            };
            if let Some(step) = sent {
                return Ok(Event::Sent(step));
            }
        }
    }

    /// Runs the newest frame until it ends or calls.
    fn run_frame(&mut self, fees: BaseFees<'_>) -> Result<Option<Step>, FaultOf<DB>> {
        let ran =
            if self.inspect { self.evm.inspect_frame_run()? } else { self.evm.frame_run()? };
        match ran {
            ItemOrResult::Item(init) => self.begin_frame(init, fees),
            ItemOrResult::Result(result) => {
                self.evm.frame_stack().pop();
                let mark = self.session.marks.pop().unwrap_or_default();
                self.end_frame(result, mark)?;
                Ok(None)
            }
        }
    }

    /// Begins a frame, or a call to a peer in its place.
    pub(crate) fn begin_frame(
        &mut self,
        init: FrameInit,
        fees: BaseFees<'_>,
    ) -> Result<Option<Step>, FaultOf<DB>> {
        let FrameInit { depth, memory, frame_input } = init;
        let frame_input = match frame_input {
            FrameInput::Call(inputs) if inputs.bytecode_address == PORT => {
                return self.call_port(inputs, depth, memory, fees);
            }
            other => other,
        };
        let mark = self.calls_made();
        let init = FrameInit { depth, memory, frame_input };
        let begun = if self.inspect {
            self.evm.inspect_frame_init(init)?
        } else {
            self.evm.frame_init(init)?
        };
        let begun = match begun {
            ItemOrResult::Item(_) => None,
            ItemOrResult::Result(result) => Some(result),
        };
        match begun {
            None => self.session.marks.push(mark),
            Some(result) => self.end_frame(result, mark)?,
        }
        Ok(None)
    }

    /// How many calls of the innermost run stand.
    fn calls_made(&self) -> usize {
        match self.session.tasks.last() {
            Some(Task::Run(run)) => run.made.len(),
            _ => 0,
        }
    }

    /// A frame has ended that began when `mark` calls stood: if it failed, undoes those since.
    fn end_frame(&mut self, mut result: FrameResult, mark: usize) -> Result<(), FaultOf<DB>> {
        // A read that fails halts the frame that made it, and what came of it must reach nobody: not the
        // peer that called, which would be told of a failed call that never was.
        self.check_state()?;
        let frames = self.session.marks.len();
        let rules = self.rules;
        let Some(Task::Run(run)) = self.session.tasks.last_mut() else {
            return Err(Fault::Script("a frame ends outside of a run"));
        };
        if run.caller.is_some() && frames == run.base {
            crate::incoming::price_output(rules, &mut result);
        }
        let is_ok = result.interpreter_result().result.is_ok();
        if is_ok || run.made.len() <= mark {
            return self.deliver(result);
        }
        let left = run.made.split_off(mark);
        let then = Then::Fail(Box::new(result));
        self.session.tasks.push(Task::Undo(Undo { left, current: None, then }));
        Ok(())
    }

    /// Gives a result to the frame that waits for it, or to the run if there is none.
    pub(crate) fn deliver(&mut self, result: FrameResult) -> Result<(), FaultOf<DB>> {
        let frames = self.session.marks.len();
        match self.session.tasks.last_mut() {
            Some(Task::Run(run)) if run.base == frames => run.ended = Some(result),
            Some(Task::Run(_)) => {
                // Only the last frame's result comes back, and that one is the run's.
                self.evm.frame_return_result(result)?;
            }
            _ => return Err(Fault::Script("a result arrives outside of a run")),
        }
        Ok(())
    }

    /// Tells the next peer to undo a call; when all have, does what had to wait for it.
    fn undo_next(&mut self) -> Result<Option<Step>, FaultOf<DB>> {
        let Some(Task::Undo(undo)) = self.session.tasks.last_mut() else { return Ok(None) };
        if undo.current.is_some() {
            return Err(Fault::Script("control is at a rollup that waits for a rollback"));
        }
        if let Some(made) = undo.left.pop() {
            let to = made.to;
            undo.current = Some(made);
            return Ok(Some(self.send(to, Message::Rollback)));
        }
        let Some(Task::Undo(Undo { then, .. })) = self.session.tasks.pop() else { return Ok(None) };
        match then {
            Then::Fail(result) => self.deliver(*result).map(|()| None),
            Then::Answer { peer, checkpoint } => {
                let journal = self.context().journal_mut();
                // Reverting ends a checkpoint; that of the call has ended already.
                journal.checkpoint();
                journal.checkpoint_revert(checkpoint);
                Ok(Some(self.send(peer, Message::RolledBack)))
            }
        }
    }

    /// The calls that arrived since control left this rollup last, and stand.
    pub(crate) fn arrived(&mut self) -> Option<&mut Vec<Standing>> {
        match self.session.tasks.last_mut() {
            None => Some(&mut self.session.standing),
            Some(Task::Wait(wait)) => Some(&mut wait.arrived),
            Some(Task::Undo(undo)) => undo.current.as_mut().map(|made| &mut made.arrived),
            Some(Task::Run(_)) => None,
        }
    }

    /// A peer undoes its newest call that stands.
    fn take_rollback(&mut self, from: ChainId) -> Result<(), FaultOf<DB>> {
        let newest = self.arrived().and_then(Vec::pop);
        let Some(Standing { made: left, checkpoint, .. }) = newest.filter(|it| it.from == from)
        else {
            return Err(Fault::Script("a rollback is not of the newest call that stands"));
        };
        let then = Then::Answer { peer: from, checkpoint };
        self.session.tasks.push(Task::Undo(Undo { left, current: None, then }));
        Ok(())
    }

    /// A peer has undone what it was told to.
    fn take_rolled_back(&mut self, from: ChainId) -> Result<(), FaultOf<DB>> {
        let Some(Task::Undo(undo)) = self.session.tasks.last_mut() else {
            return Err(Fault::Script("nothing was to be rolled back"));
        };
        match undo.current.take() {
            Some(made) if made.to == from && made.arrived.is_empty() => Ok(()),
            _ => Err(Fault::Script("a rollback left calls standing, or is another peer's")),
        }
    }
}
