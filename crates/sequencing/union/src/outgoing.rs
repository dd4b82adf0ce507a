//! Calls to peers: what a frame pays for one, why one cannot be made, and what comes back.

use crate::{
    PORT,
    control::{BaseFees, Fault, FaultOf, Made, Task, Wait},
    gas::GasRate,
    participant::{Direction, Observer, Participant},
    proxy::{PortInput, proxy_of},
    script::{Call, Message, Return, Step, VALUE_LIMIT},
};
use alloc::{boxed::Box, vec::Vec};
use alloy_evm::Database;
use alloy_primitives::{Bytes, ChainId, U256, keccak256};
use revm::{
    context_interface::{ContextTr, JournalTr, journaled_state::account::JournaledAccountTr},
    handler::FrameResult,
    inspector::InspectorEvmTr,
    interpreter::{
        CallInputs, CallOutcome, CallScheme, Gas, InstructionResult, InterpreterResult,
        SharedMemory,
    },
};

/// The error with which the port reverts (rule 6.2).
const CALL_NOT_MADE: &[u8] = b"CallNotMade(uint8)";

/// Why a call could not be made: the argument of `CallNotMade` (rule 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// The port was not called by the proxy that its input implies.
    NotAProxy = 1,
    /// The chain is not another rollup of the union.
    NotAPeer = 2,
    /// The target is the port itself.
    NotATarget = 3,
    /// Calls between rollups are nested too deeply.
    TooDeep = 4,
    /// The super transaction has too many steps.
    TooManySteps = 5,
    /// The calldata is too long.
    TooMuchInput = 6,
    /// The transaction is a deposit, for which nobody writes scripts.
    Deposit = 7,
    /// More ether is sent along than there is.
    TooMuchValue = 8,
}

impl Refusal {
    /// What the port reverts with.
    pub fn revert_data(self) -> Bytes {
        let [a, b, c, d, ..] = keccak256(CALL_NOT_MADE).0;
        let reason = U256::from(self as u8).to_be_bytes::<32>();
        [[a, b, c, d].as_slice(), &reason].concat().into()
    }
}

impl<DB: Database, I: Observer<DB>> Participant<'_, DB, I> {
    /// A frame calls the port.
    pub(crate) fn call_port(
        &mut self,
        mut inputs: Box<CallInputs>,
        frame_depth: usize,
        memory: SharedMemory,
        fees: BaseFees<'_>,
    ) -> Result<Option<Step>, FaultOf<DB>> {
        if self.inspect {
            let (context, inspector) = self.evm.ctx_inspector();
            if let Some(outcome) = inspector.call(context, &mut inputs) {
                return self.answer(&inputs, outcome).map(|()| None);
            }
        }
        let mut gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit, inputs.reservoir);
        let payload = inputs.input.len() as u64;
        let cost = self.rules.byte_gas.saturating_mul(payload).saturating_add(self.rules.lock_gas);
        if !gas.record_regular_cost(cost) {
            gas.spend_all();
            return self.refuse(&inputs, InstructionResult::OutOfGas, gas, Bytes::new());
        }
        let asked = match self.check_call(&inputs) {
            Ok(asked) => asked,
            Err(reason) => {
                let data = reason.revert_data();
                return self.refuse(&inputs, InstructionResult::Revert, gas, data);
            }
        };
        let Some(base_fee) = fees(asked.chain) else {
            self.session.unspent_gas = gas.remaining();
            return Err(Fault::PeerUnavailable(asked.chain));
        };
        let checkpoint = self.context().journal_mut().checkpoint();
        let value = inputs.value.get();
        if !self.burn(&inputs, asked.chain, value)? {
            self.context().journal_mut().checkpoint_revert(checkpoint);
            return self.refuse(&inputs, InstructionResult::OutOfFunds, gas, Bytes::new());
        }
        let gas_limit = GasRate::new(self.base_fee, base_fee).bought(gas.remaining());
        let message = Message::Call(Call {
            from: asked.caller,
            to: asked.target,
            value,
            gas: gas_limit,
            base_fee,
            is_static: inputs.is_static,
            depth: self.depth().saturating_add(1),
            input: asked.calldata,
        });
        self.session.tasks.push(Task::Wait(Wait {
            to: asked.chain,
            gas_limit,
            base_fee,
            gas,
            checkpoint,
            arrived: Vec::new(),
            inputs,
            memory,
            frame_depth,
        }));
        Ok(Some(self.send(asked.chain, message)))
    }

    /// Whether the call can be made at all: nothing but the rules and this rollup decides it.
    fn check_call(&mut self, inputs: &CallInputs) -> Result<PortInput, Refusal> {
        let input = inputs.input.bytes(self.context());
        let asked = PortInput::decode(&input).ok_or(Refusal::NotAProxy)?;
        let is_call = inputs.scheme == CallScheme::Call && inputs.target_address == PORT;
        if !is_call || inputs.caller != proxy_of(asked.chain, asked.target) {
            return Err(Refusal::NotAProxy);
        }
        if self.session.is_deposit {
            return Err(Refusal::Deposit);
        }
        if asked.chain == self.chain || !self.rules.chains.contains(&asked.chain) {
            return Err(Refusal::NotAPeer);
        }
        if asked.target == PORT {
            return Err(Refusal::NotATarget);
        }
        if self.depth() >= self.rules.max_depth {
            return Err(Refusal::TooDeep);
        }
        if self.session.last_index >= self.rules.max_steps {
            return Err(Refusal::TooManySteps);
        }
        if asked.calldata.len() > self.rules.max_input_bytes {
            return Err(Refusal::TooMuchInput);
        }
        if inputs.value.get() >= VALUE_LIMIT {
            return Err(Refusal::TooMuchValue);
        }
        Ok(asked)
    }

    fn depth(&self) -> u32 {
        match self.session.tasks.last() {
            Some(Task::Run(run)) => run.depth,
            _ => 0,
        }
    }

    /// Burns the ether that goes along; false if the proxy does not have it.
    fn burn(
        &mut self,
        inputs: &CallInputs,
        peer: ChainId,
        value: U256,
    ) -> Result<bool, FaultOf<DB>> {
        if value.is_zero() {
            return Ok(true);
        }
        let journal = self.context().journal_mut();
        if !journal.load_account_mut(inputs.caller)?.data.decr_balance(value) {
            return Ok(false);
        }
        self.count_ether(peer, Direction::Sent, value)?;
        Ok(true)
    }

    fn refuse(
        &mut self,
        inputs: &CallInputs,
        result: InstructionResult,
        gas: Gas,
        output: Bytes,
    ) -> Result<Option<Step>, FaultOf<DB>> {
        let result = InterpreterResult { result, gas, output };
        let outcome = CallOutcome::new(result, inputs.return_memory_offset.clone());
        self.answer(inputs, outcome).map(|()| None)
    }

    /// Gives the frame that called the port the outcome.
    fn answer(&mut self, inputs: &CallInputs, mut outcome: CallOutcome) -> Result<(), FaultOf<DB>> {
        if self.inspect {
            let (context, inspector) = self.evm.ctx_inspector();
            inspector.call_end(context, inputs, &mut outcome);
        }
        self.deliver(FrameResult::Call(outcome))
    }

    /// A peer answers the call that is waited for.
    pub(crate) fn take_return(&mut self, from: ChainId, answer: Return) -> Result<(), FaultOf<DB>> {
        let wait = match self.session.tasks.pop() {
            Some(Task::Wait(wait)) if wait.to == from => wait,
            _ => return Err(Fault::Script("no answer is waited for from this peer")),
        };
        if !answer.success && !wait.arrived.is_empty() {
            return Err(Fault::Script("a call failed, and calls made during it stand"));
        }
        if answer.gas_used > wait.gas_limit || answer.output.len() > self.rules.max_output_bytes {
            return Err(Fault::Script("an answer exceeds the call's limits"));
        }
        let price = GasRate::new(self.base_fee, wait.base_fee).price(answer.gas_used);
        let mut gas = wait.gas;
        if !gas.record_regular_cost(price) {
            return Err(Fault::Script("an answer costs more than the call's gas"));
        }
        let journal = self.context().journal_mut();
        let result = if answer.success {
            journal.checkpoint_commit();
            InstructionResult::Return
        } else {
            journal.checkpoint_revert(wait.checkpoint);
            InstructionResult::Revert
        };
        let Some(Task::Run(run)) = self.session.tasks.last_mut() else {
            return Err(Fault::Script("an answer arrives outside of a run"));
        };
        run.paid = run.paid.saturating_add(price);
        if answer.success {
            run.made.push(Made { to: from, arrived: wait.arrived });
        }
        let result = InterpreterResult { result, gas, output: answer.output };
        let return_memory = wait.inputs.return_memory_offset.clone();
        self.answer(&wait.inputs, CallOutcome::new(result, return_memory))
    }
}
