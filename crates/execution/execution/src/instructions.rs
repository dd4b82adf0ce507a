//! Opcodes that revm's table lacks or that our view of the state changes.

use alloy_primitives::{KECCAK256_EMPTY, U256};
use revm::{
    bytecode::opcode::{EXTCODEHASH, SSTORE},
    context_interface::Host,
    handler::instructions::EthInstructions,
    interpreter::{
        Instruction, InstructionContext, InstructionResult, InterpreterTypes,
        instructions::{host, utility::IntoAddress},
        interpreter_types::{InputsTr, LoopControl, RuntimeFlag, StackTr},
    },
};

/// Makes `EXTCODEHASH` see through the mark of EIP-7610 (see [`crate::BlockState`]).
pub(crate) fn install_extcodehash<T: InterpreterTypes, H: Host>(
    instructions: &mut EthInstructions<T, H>,
) {
    // The table has 256 entries, one for each opcode.
    let gas = instructions
        .instruction_table
        .get(usize::from(EXTCODEHASH))
        .map_or(0, |instruction| instruction.static_gas());
    instructions.insert_instruction(EXTCODEHASH, Instruction::new(extcodehash, gas));
}

/// Meters storage by EIP-1283.
pub(crate) fn install_net_gas_metering<T: InterpreterTypes, H: Host>(
    instructions: &mut EthInstructions<T, H>,
) {
    instructions.insert_instruction(SSTORE, Instruction::new(sstore_eip1283, 0));
}

/// `EXTCODEHASH`, with the hash of no code where an account exists and its code hash is zero.
fn extcodehash<T: InterpreterTypes, H: Host + ?Sized>(context: InstructionContext<'_, H, T>) {
    let InstructionContext { interpreter, host } = context;
    let Some(address) = interpreter.stack.top().map(|top| top.into_address()) else {
        return interpreter.halt_underflow();
    };
    host::extcodehash(InstructionContext { interpreter: &mut *interpreter, host: &mut *host });
    if interpreter.bytecode.is_end() {
        return;
    }
    let Some(top) = interpreter.stack.top().filter(|top| top.is_zero()) else { return };
    // The account was just loaded, so that this look costs nothing and cannot fail.
    if let Ok(account) = host.load_account_info_skip_cold_load(address, false, false)
        && !account.is_empty()
    {
        *top = U256::from_be_bytes(KECCAK256_EMPTY.0);
    }
}

/// `SSTORE` with net gas metering (EIP-1283): what EIP-2200 later took up with a higher price of
/// reading and a guard against re-entrancy.
fn sstore_eip1283<T: InterpreterTypes, H: Host + ?Sized>(context: InstructionContext<'_, H, T>) {
    const NO_OP: u64 = 200;
    const SET: u64 = 20_000;
    const RESET: u64 = 5_000;
    const CLEAR_REFUND: i64 = 15_000;
    let InstructionContext { interpreter, host } = context;
    if interpreter.runtime_flag.is_static() {
        return interpreter.halt(InstructionResult::StateChangeDuringStaticCall);
    }
    let Some([slot, value]) = interpreter.stack.popn() else {
        return interpreter.halt_underflow();
    };
    let target = interpreter.input.target_address();
    let Some(load) = host.sstore(target, slot, value) else {
        return interpreter.halt_fatal();
    };
    let values = load.data;
    let (original, present, new) = (values.original_value, values.present_value, values.new_value);
    let cost = if present == new || original != present {
        NO_OP
    } else if original.is_zero() {
        SET
    } else {
        RESET
    };
    if !interpreter.gas.record_regular_cost(cost) {
        return interpreter.halt_oog();
    }
    let mut refund = 0;
    if present != new && !original.is_zero() {
        refund -= if original != present && present.is_zero() { CLEAR_REFUND } else { 0 };
        refund += if new.is_zero() { CLEAR_REFUND } else { 0 };
    }
    if present != new && original != present && original == new {
        let first_write = if original.is_zero() { SET } else { RESET };
        refund += (first_write - NO_OP).cast_signed();
    }
    interpreter.gas.record_refund(refund);
}
