//! Opcodes that tell whose balances have a say in what code does.
//!
//! That an account was paid does not matter to a transaction that does not look: it can be executed on
//! another balance, and what it paid or took be added later. It looks by `BALANCE` and `SELFBALANCE`, and
//! by what moves all of it. Who pays must have enough, no more.

use crate::{BlockState, SpeculativeState, SpeculativeView, StateReader, transfer::is_small};
use alloy_primitives::{Address, U256};
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

    /// An account is about to pay, and has so much left then, in wei; `None` if it has not enough.
    fn observe_payment(&mut self, address: Address, left: Option<U256>);

    /// So much ether moves that balances may overflow.
    fn observe_overflow(&mut self);
}

impl<V: SpeculativeView> ObserveBalances for SpeculativeState<V> {
    fn observe_balance(&mut self, address: Address) {
        self.note_balance(address);
    }

    fn observe_payment(&mut self, address: Address, left: Option<U256>) {
        match left {
            Some(left) => self.note_payment(address, left),
            None => self.note_balance(address),
        }
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

    fn observe_payment(&mut self, address: Address, _: Option<U256>) {
        self.observe_balance(address);
    }

    fn observe_overflow(&mut self) {}
}

impl<B, T, C, D: Database + ObserveBalances, X> ObserveBalances
    for Context<B, T, C, D, Journal<D>, X>
{
    fn observe_balance(&mut self, address: Address) {
        self.journaled_state.database.observe_balance(address);
    }

    fn observe_payment(&mut self, address: Address, left: Option<U256>) {
        self.journaled_state.database.observe_payment(address, left);
    }

    fn observe_overflow(&mut self) {
        self.journaled_state.database.observe_overflow();
    }
}

/// Knows what accounts have in the middle of a transaction.
pub(crate) trait Balances {
    /// The balance of an account, if it was loaded.
    fn balance_now(&self, address: &Address) -> Option<U256>;
}

impl<B, T, C, D: Database, X> Balances for Context<B, T, C, D, Journal<D>, X> {
    fn balance_now(&self, address: &Address) -> Option<U256> {
        self.journaled_state.state.get(address).map(|account| account.info.balance)
    }
}

/// Replaces the opcodes; what they do and cost stays.
pub(crate) fn install_observers<T: InterpreterTypes, H: Host + ObserveBalances + Balances>(
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

fn call<T: InterpreterTypes, H: Host + ObserveBalances + Balances>(
    context: InstructionContext<'_, H, T>,
) {
    contract::call(observed_if_paying(context, 2));
}

fn call_code<T: InterpreterTypes, H: Host + ObserveBalances + Balances>(
    context: InstructionContext<'_, H, T>,
) {
    contract::call_code(observed_if_paying(context, 2));
}

fn create<T: InterpreterTypes, H: Host + ObserveBalances + Balances>(
    context: InstructionContext<'_, H, T>,
) {
    contract::create::<_, false, _>(observed_if_paying(context, 0));
}

fn create2<T: InterpreterTypes, H: Host + ObserveBalances + Balances>(
    context: InstructionContext<'_, H, T>,
) {
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

/// The account whose code runs pays, unless the word at this depth of the stack, which is the ether to be sent, is
/// zero.
fn observed_if_paying<'a, T: InterpreterTypes, H: Host + ObserveBalances + Balances>(
    context: InstructionContext<'a, H, T>,
    depth: usize,
) -> InstructionContext<'a, H, T> {
    let InstructionContext { interpreter, host } = context;
    let stack = interpreter.stack.data();
    let value = stack.len().checked_sub(depth + 1).and_then(|at| stack.get(at));
    if let Some(value) = value.filter(|value| !value.is_zero()) {
        if !is_small(value) {
            host.observe_overflow();
        }
        let payer = interpreter.input.target_address();
        let left = host.balance_now(&payer).and_then(|balance| balance.checked_sub(*value));
        host.observe_payment(payer, left);
    }
    InstructionContext { interpreter, host }
}
