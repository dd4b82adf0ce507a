//! Calls from peers: how one begins, what its output costs, and how it is answered.

use crate::{
    PORT, UnionRules,
    control::{Arrival, Fault, FaultOf, Run, Standing, Task},
    participant::{Direction, Observer, Participant},
    proxy::{proxy_code, proxy_of},
    script::{Call, Message, Return, Step},
};
use alloc::{boxed::Box, vec::Vec};
use alloy_evm::Database;
use alloy_primitives::{Address, Bytes, ChainId, keccak256};
use revm::{
    bytecode::Bytecode,
    context_interface::{
        ContextTr, JournalTr, LocalContextTr, journaled_state::account::JournaledAccountTr,
    },
    handler::FrameResult,
    interpreter::{
        CallInput, CallInputs, CallOutcome, CallScheme, CallValue, FrameInput, Gas,
        InstructionResult, InterpreterResult, SharedMemory, interpreter_action::FrameInit,
    },
};

/// Takes the price of a run's output off its gas. A run that cannot pay, or whose output is too long,
/// has failed (rule 5.3).
pub(crate) fn price_output(rules: &UnionRules, result: &mut FrameResult) {
    let FrameResult::Call(CallOutcome { result, .. }) = result else { return };
    if !result.result.is_ok_or_revert() {
        result.output = Bytes::new();
        return;
    }
    let price = rules.byte_gas.saturating_mul(result.output.len() as u64);
    if result.output.len() > rules.max_output_bytes || !result.gas.record_regular_cost(price) {
        result.gas.spend_all();
        result.result = InstructionResult::OutOfGas;
        result.output = Bytes::new();
    }
}

impl<DB: Database, I: Observer<DB>> Participant<'_, DB, I> {
    /// A call arrives; its frames are ready to run afterwards.
    pub(crate) fn arrive(&mut self, from: ChainId, call: &Call) -> Result<(), FaultOf<DB>> {
        self.check_arrival(call)?;
        self.prepare_peer()?;
        let caller = proxy_of(from, call.from);
        let checkpoint = self.context().journal_mut().checkpoint();
        self.count_checkpoint(false);
        let (memory, depth) = self.child_memory();
        let least_gas = self.rules.arrival_gas(call.input.len());
        let arrival = Arrival { from, gas: call.gas, least_gas, checkpoint };
        self.session.tasks.push(Task::Run(Run {
            caller: Some(arrival),
            base: self.session.marks.len(),
            depth: call.depth,
            made: Vec::new(),
            paid: 0,
            ended: None,
        }));
        let Some(gas_limit) = self.prepare_caller(caller, from, call, least_gas)? else {
            return self.end_at_once(call, InstructionResult::OutOfGas);
        };
        let journal = self.context().journal_mut();
        if !journal.load_account_mut(caller)?.data.incr_balance(call.value) {
            return self.end_at_once(call, InstructionResult::OverflowPayment);
        }
        if !call.value.is_zero() {
            self.count_ether(from, Direction::Received, call.value)?;
        }
        let inputs = self.call_inputs(caller, call, gas_limit)?;
        let frame_input = FrameInput::Call(Box::new(inputs));
        // The target is not the port, so that no call of a peer can begin here.
        self.begin_frame(FrameInit { depth, memory, frame_input }, &|_| None).map(|_| ())
    }

    /// Keeps the checkpoint of a call that comes back out of the journal's depth, or puts it there again
    /// before it ends: the call to the peer, in which this one runs, has one already, and inspectors
    /// take the depth for that of the frames.
    fn count_checkpoint(&mut self, is_counted: bool) {
        if self.is_idle() {
            return;
        }
        let depth = &mut self.context().journaled_state.inner.depth;
        *depth = if is_counted { depth.saturating_add(1) } else { depth.saturating_sub(1) };
    }

    fn check_arrival(&mut self, call: &Call) -> Result<(), FaultOf<DB>> {
        match self.session.tasks.last() {
            // Gas buys at most as much of a peer's, so no call from there has more.
            Some(Task::Wait(wait)) if call.gas > wait.gas_limit => {
                return Err(Fault::Script("a call has more gas than the call that it came from"));
            }
            Some(Task::Wait(_)) => {}
            // The block counts what the arrival costs, whether the call can pay it or not.
            None if !self.is_home() => {
                let least_gas = self.rules.arrival_gas(call.input.len());
                self.check_block_gas(call.gas.max(least_gas))?;
            }
            _ => {
                return Err(Fault::Script("a call arrives at a rollup that does not wait for one"));
            }
        }
        let rules = self.rules;
        if call.to == PORT
            || call.depth > rules.max_depth
            || call.input.len() > rules.max_input_bytes
            || (call.is_static && !call.value.is_zero())
            || !call.has_possible_value()
        {
            return Err(Fault::Script("a call breaks a limit that its caller must keep"));
        }
        if call.base_fee != self.base_fee {
            return Err(Fault::Script("a call states another base fee than this rollup's"));
        }
        Ok(())
    }

    /// Memory for the first frame of a call that arrives, and its depth on this rollup.
    fn child_memory(&mut self) -> (SharedMemory, usize) {
        if let Some(Task::Wait(wait)) = self.session.tasks.last_mut() {
            return (wait.memory.new_child_context(), wait.frame_depth);
        }
        let buffer = self.context().local().shared_memory_buffer().clone();
        let mut root = SharedMemory::new_with_buffer(buffer);
        let child = root.new_child_context();
        self.session.root_memory = Some(root);
        (child, 0)
    }

    fn free_child_memory(&mut self) {
        match self.session.tasks.last_mut() {
            Some(Task::Wait(wait)) => wait.memory.free_child_context(),
            _ => {
                if let Some(mut root) = self.session.root_memory.take() {
                    root.free_child_context();
                }
            }
        }
    }

    /// Takes what the arrival costs off the call's gas, and gives the caller its proxy if it has none.
    /// Returns the gas that is left for the call; `None` if it is not enough (rules 4.4, 5.3).
    fn prepare_caller(
        &mut self,
        proxy: Address,
        from: ChainId,
        call: &Call,
        arrival_gas: u64,
    ) -> Result<Option<u64>, FaultOf<DB>> {
        let Some(gas_left) = call.gas.checked_sub(arrival_gas) else { return Ok(None) };
        let price = self.rules.proxy_gas;
        let journal = self.context().journal_mut();
        let mut account = journal.load_account_with_code_mut(proxy)?.data;
        if call.is_static || !account.account().info.is_empty_code_hash() {
            return Ok(Some(gas_left));
        }
        let gas_left = gas_left.checked_sub(price);
        if gas_left.is_some() {
            let code = proxy_code(from, call.from);
            account.set_nonce(1);
            account.set_code(keccak256(&code), Bytecode::new_raw(code));
        }
        Ok(gas_left)
    }

    fn call_inputs(
        &mut self,
        caller: Address,
        call: &Call,
        gas_limit: u64,
    ) -> Result<CallInputs, FaultOf<DB>> {
        let journal = self.context().journal_mut();
        let target = journal.load_account_with_code(call.to)?;
        let delegate = target.info.code.as_ref().and_then(Bytecode::eip7702_address);
        let mut info = target.info.clone();
        if let Some(delegate) = delegate {
            info = journal.load_account_with_code(delegate)?.info.clone();
        }
        Ok(CallInputs {
            input: CallInput::Bytes(call.input.clone()),
            return_memory_offset: 0..0,
            gas_limit,
            reservoir: 0,
            bytecode_address: call.to,
            known_bytecode: (info.code_hash, info.code.unwrap_or_default()),
            target_address: call.to,
            caller,
            value: CallValue::Transfer(call.value),
            scheme: if call.is_static { CallScheme::StaticCall } else { CallScheme::Call },
            is_static: call.is_static,
        })
    }

    /// Fails a call whose first frame cannot begin.
    fn end_at_once(&mut self, call: &Call, result: InstructionResult) -> Result<(), FaultOf<DB>> {
        let mut gas = Gas::new(call.gas);
        gas.spend_all();
        let result = InterpreterResult { result, gas, output: Bytes::new() };
        self.deliver(FrameResult::Call(CallOutcome::new(result, 0..0)))
    }

    /// A run has ended, and its calls were undone if it failed. Answers its caller, if it has one.
    pub(crate) fn end_run(&mut self, result: FrameResult) -> Result<Option<Step>, FaultOf<DB>> {
        let Some(Task::Run(run)) = self.session.tasks.pop() else {
            return Err(Fault::Script("no run can end"));
        };
        let Some(Arrival { from, gas, least_gas, checkpoint }) = run.caller else {
            return self.conclude_home(result).map(|()| None);
        };
        self.free_child_memory();
        let result = result.into_interpreter_result();
        let success = result.result.is_ok();
        let unused = if result.result.is_ok_or_revert() { result.gas.remaining() } else { 0 };
        let gas_used = gas.saturating_sub(unused);
        self.count_checkpoint(true);
        let journal = self.context().journal_mut();
        if success {
            journal.checkpoint_commit();
        } else {
            journal.checkpoint_revert(checkpoint);
        }
        if !self.is_home() {
            let used = gas_used.saturating_sub(run.paid).max(least_gas);
            self.session.peer_gas_used = self.session.peer_gas_used.saturating_add(used);
        }
        if success && let Some(arrived) = self.arrived() {
            arrived.push(Standing { from, checkpoint, made: run.made });
        }
        let answer = Return { success, gas_used, output: result.output };
        Ok(Some(self.send(from, Message::Return(answer))))
    }
}
