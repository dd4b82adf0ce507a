//! What one request may take, and how it is stopped.

use crate::{InspectError, Peers};
use alloy_primitives::{
    Address, U256,
    map::{HashMap, HashSet},
};
use alloy_rpc_types_eth::state::StateOverride;
use core::fmt;
use revm::{
    Inspector,
    bytecode::opcode,
    context_interface::{ContextTr, context::ContextError},
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter,
        interpreter_types::{InputsTr, InterpreterTypes, Jumps, LoopControl, MemoryTr, StackTr},
    },
};

/// What one request may take.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// The most gas a call may use, and all calls of a simulation together.
    pub gas_cap: u64,
    /// The memory that a recorded trace may take, in bytes, about.
    pub trace_bytes: usize,
    /// The most accounts and slots that overrides may name together.
    pub overrides: usize,
    /// The most blocks that one simulation may span.
    pub simulated_blocks: u64,
    /// Asked now and then while code runs; `true` stops it with [`InspectError::Stopped`].
    pub stop: Option<&'a (dyn Fn() -> bool + Sync)>,
    /// The other rollups of its union that a call may reach. One that reaches another is refused with
    /// [`InspectError::PeerUnknown`]. All other limits are those of the whole call, wherever it goes.
    pub peers: Option<&'a dyn Peers>,
}

impl Limits<'_> {
    /// go-ethereum's gas cap and simulation span; traces up to 512 MiB; 100,000 overrides; no stop, no
    /// peers.
    pub const DEFAULT: Self = Self {
        gas_cap: 50_000_000,
        trace_bytes: 512 << 20,
        overrides: 100_000,
        simulated_blocks: 256,
        stop: None,
        peers: None,
    };

    pub(crate) fn check_overrides(&self, overrides: &StateOverride) -> Result<(), InspectError> {
        let slots = |account: &alloy_rpc_types_eth::state::AccountOverride| {
            account.state.as_ref().map_or(0, |slots| slots.len())
                + account.state_diff.as_ref().map_or(0, |slots| slots.len())
        };
        let got: usize = overrides.values().map(|account| 1 + slots(account)).sum();
        if got > self.overrides {
            let (got, limit) = (got as u64, self.overrides as u64);
            return Err(InspectError::Limit { what: "overridden accounts and slots", got, limit });
        }
        Ok(())
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop())
    }
}

impl Default for Limits<'_> {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Debug for Limits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("gas_cap", &self.gas_cap)
            .field("trace_bytes", &self.trace_bytes)
            .field("overrides", &self.overrides)
            .field("simulated_blocks", &self.simulated_blocks)
            .field("stop", &self.stop.is_some())
            .field("peers", &self.peers)
            .finish()
    }
}

/// What a tracer keeps of each step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recorded {
    /// Keeps something of every step.
    pub(crate) steps: bool,
    /// Keeps the stack of every step.
    pub(crate) stack: bool,
    /// Keeps the memory of every step.
    pub(crate) memory: bool,
    /// Keeps, with every step that reads or writes storage, all slots of the contract that were
    /// read or written until then.
    pub(crate) storage: bool,
    /// Keeps no more than so many steps of a transaction; all of them if `None`.
    pub(crate) limit: Option<u64>,
}

/// Steps between two questions whether to stop.
const STEPS_PER_POLL: u32 = 1024;

/// What a recorded step, and a recorded call, take beside stack, memory and input; in bytes.
const STEP_BYTES: usize = 256;
const CALL_BYTES: usize = 1024;

/// What a slot takes in the storage that is kept with a step: key, value, and its part of the tree.
const SLOT_BYTES: usize = 80;

/// Stops the code when it is asked to or when the trace grows too large.
///
/// Stands before a tracer in a pair of inspectors.
pub(crate) struct Watch<'a> {
    limits: Limits<'a>,
    recorded: Recorded,
    steps: u32,
    /// The steps of this transaction that were kept.
    kept: u64,
    /// The slots of this transaction that were read or written.
    slots: HashMap<Address, HashSet<U256>>,
    bytes: usize,
    is_stopped: bool,
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<'a> Watch<'a> {
    pub(crate) fn new(limits: Limits<'a>, recorded: Recorded) -> Self {
        Self::resumed(limits, recorded, 0)
    }

    /// A watch over what follows a trace that took so many bytes.
    pub(crate) fn resumed(limits: Limits<'a>, recorded: Recorded, bytes: usize) -> Self {
        let slots = HashMap::default();
        Self { limits, recorded, steps: 0, kept: 0, slots, bytes, is_stopped: false }
    }

    /// What the trace takes so far.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Prepares for the next transaction of the same trace.
    ///
    /// # Errors
    /// [`InspectError::Stopped`]: a transaction that runs no code is not stopped otherwise.
    pub(crate) fn next_transaction(&mut self) -> Result<(), InspectError> {
        if self.limits.is_stopped() {
            return Err(InspectError::Stopped);
        }
        self.kept = 0;
        self.slots.clear();
        Ok(())
    }

    /// Why it stopped the code, if it did.
    pub(crate) const fn verdict(&self) -> Option<InspectError> {
        if self.is_stopped {
            return Some(InspectError::Stopped);
        }
        if self.bytes > self.limits.trace_bytes {
            let (got, limit) = (self.bytes as u64, self.limits.trace_bytes as u64);
            return Some(InspectError::Limit { what: "bytes of trace", got, limit });
        }
        None
    }

    /// Whether the code must stop now.
    fn must_stop(&mut self) -> bool {
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_multiple_of(STEPS_PER_POLL) {
            self.is_stopped |= self.limits.is_stopped();
        }
        self.is_stopped || self.bytes > self.limits.trace_bytes
    }

    /// Adds what is kept of the next step.
    fn add_step<INTR: InterpreterTypes>(&mut self, interpreter: &Interpreter<INTR>) {
        if self.recorded.limit.is_some_and(|limit| self.kept >= limit) {
            return;
        }
        self.kept += 1;
        self.bytes += STEP_BYTES;
        if self.recorded.stack {
            self.bytes += interpreter.stack.len() * 32;
        }
        if self.recorded.memory {
            self.bytes += interpreter.memory.size();
        }
        let accesses = matches!(interpreter.bytecode.opcode(), opcode::SLOAD | opcode::SSTORE);
        if self.recorded.storage
            && accesses
            && let Some(slot) = interpreter.stack.data().last()
        {
            let slots = self.slots.entry(interpreter.input.target_address()).or_default();
            slots.insert(*slot);
            self.bytes += slots.len() * SLOT_BYTES;
        }
    }
}

impl<CTX: ContextTr, INTR: InterpreterTypes> Inspector<CTX, INTR> for Watch<'_> {
    fn step(&mut self, interpreter: &mut Interpreter<INTR>, context: &mut CTX) {
        if self.recorded.steps {
            self.add_step(interpreter);
        }
        if self.must_stop() {
            // As when the state cannot be read: the error outlives every frame.
            *context.error() = Err(ContextError::Custom("stopped".into()));
            interpreter.bytecode.set_action(revm::interpreter::InterpreterAction::new_halt(
                revm::interpreter::InstructionResult::FatalExternalError,
                interpreter.gas,
            ));
        }
    }

    fn call(&mut self, _: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.bytes += CALL_BYTES + inputs.input.len();
        None
    }

    fn create(&mut self, _: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.bytes += CALL_BYTES + inputs.init_code().len();
        None
    }
}
