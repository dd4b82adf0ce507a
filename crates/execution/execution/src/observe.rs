//! Opcodes that tell whose balances have a say in what code does.
//!
//! That an account was paid does not matter to a transaction that does not look: it can be executed on
//! another balance, and what it paid or took be added later. It looks by `BALANCE` and `SELFBALANCE`, and
//! by what may fail for want of ether or moves all of it.

use crate::{BlockState, SpeculativeState, SpeculativeView, StateReader, transfer::is_small};
use alloy_primitives::Address;
use revm::{
    Database,
    bytecode::opcode::{BALANCE, CALL, CALLCODE, CREATE, CREATE2, SELFBALANCE, SELFDESTRUCT},
    context::{Context, Journal},
    context_interface::Host,
    handler::instructions::EthInstructions,
    interpreter::{
        Instruction, InstructionContext, InterpreterTypes,
        instructions::{contract, host, utility::IntoAddress},
        interpreter_types::{InputsTr, StackTr},
    },
};

/// A state that is told whose balances have a say.
pub trait ObserveBalances {
    /// The balance of an account has a say in what code does.
    fn observe_balance(&mut self, address: Address);

    /// So much ether moves that balances may overflow.
    fn observe_overflow(&mut self);
}

impl<V: SpeculativeView> ObserveBalances for SpeculativeState<V> {
    fn observe_balance(&mut self, address: Address) {
        self.note_balance(address);
    }

    /// The transaction has to wait for its turn.
    fn observe_overflow(&mut self) {
        self.give_up();
    }
}

impl<S: StateReader> ObserveBalances for BlockState<S> {
    fn observe_balance(&mut self, address: Address) {
        if let Some(recorder) = &mut self.recorder {
            recorder.observe_balance(address);
        }
    }

    fn observe_overflow(&mut self) {}
}

impl<B, T, C, D: Database + ObserveBalances, X> ObserveBalances
    for Context<B, T, C, D, Journal<D>, X>
{
    fn observe_balance(&mut self, address: Address) {
        self.journaled_state.database.observe_balance(address);
    }

    fn observe_overflow(&mut self) {
        self.journaled_state.database.observe_overflow();
    }
}

/// Replaces the opcodes; what they do and cost stays.
pub(crate) fn install_observers<T: InterpreterTypes, H: Host + ObserveBalances>(
    instructions: &mut EthInstructions<T, H>,
) {
    let mut install = |opcode: u8, run: fn(InstructionContext<'_, H, T>)| {
        // The table has 256 entries, one for each opcode.
        let known = instructions.instruction_table.get(usize::from(opcode));
        let gas = known.map_or(0, |instruction| instruction.static_gas());
        instructions.insert_instruction(opcode, Instruction::new(run, gas));
    };
    install(BALANCE, balance);
    install(SELFBALANCE, self_balance);
    install(CALL, call);
    install(CALLCODE, call_code);
    install(CREATE, create);
    install(CREATE2, create2);
    install(SELFDESTRUCT, selfdestruct);
}

fn balance<T: InterpreterTypes, H: Host + ObserveBalances>(context: InstructionContext<'_, H, T>) {
    let InstructionContext { interpreter, host } = context;
    if let Some(top) = interpreter.stack.top() {
        host.observe_balance(top.into_address());
    }
    host::balance(InstructionContext { interpreter, host });
}

fn self_balance<T: InterpreterTypes, H: Host + ObserveBalances>(
    context: InstructionContext<'_, H, T>,
) {
    host::selfbalance(observed(context));
}

fn call<T: InterpreterTypes, H: Host + ObserveBalances>(context: InstructionContext<'_, H, T>) {
    contract::call(observed_if_paying(context, 2));
}

fn call_code<T: InterpreterTypes, H: Host + ObserveBalances>(
    context: InstructionContext<'_, H, T>,
) {
    contract::call_code(observed_if_paying(context, 2));
}

fn create<T: InterpreterTypes, H: Host + ObserveBalances>(context: InstructionContext<'_, H, T>) {
    contract::create::<_, false, _>(observed_if_paying(context, 0));
}

fn create2<T: InterpreterTypes, H: Host + ObserveBalances>(context: InstructionContext<'_, H, T>) {
    contract::create::<_, true, _>(observed_if_paying(context, 0));
}

fn selfdestruct<T: InterpreterTypes, H: Host + ObserveBalances>(
    context: InstructionContext<'_, H, T>,
) {
    host::selfdestruct(observed(context));
}

/// The balance of the account whose code runs has a say.
fn observed<'a, T: InterpreterTypes, H: Host + ObserveBalances>(
    context: InstructionContext<'a, H, T>,
) -> InstructionContext<'a, H, T> {
    let InstructionContext { interpreter, host } = context;
    host.observe_balance(interpreter.input.target_address());
    InstructionContext { interpreter, host }
}

/// [`observed`], unless the word at this depth of the stack, which is the ether to be sent, is zero.
fn observed_if_paying<'a, T: InterpreterTypes, H: Host + ObserveBalances>(
    context: InstructionContext<'a, H, T>,
    depth: usize,
) -> InstructionContext<'a, H, T> {
    let stack = context.interpreter.stack.data();
    let value = stack.len().checked_sub(depth + 1).and_then(|at| stack.get(at));
    let (is_paying, is_small) =
        value.map_or((false, true), |value| (!value.is_zero(), is_small(value)));
    if !is_small {
        context.host.observe_overflow();
    }
    if is_paying { observed(context) } else { context }
}
