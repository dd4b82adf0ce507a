//! What a rollup's inspector sees of a transaction that holds a part.
//!
//! Inspectors expect one outermost frame for each transaction, and that the frames inside are one
//! deeper each. A part has as many outermost calls as arrive; so its transaction is shown as the frame
//! around them.

use crate::{
    Part,
    participant::{Observer, Participant},
    transaction::part_transaction,
};
use alloy_evm::Database;
use lockstep_chain::PORT;
use revm::{
    bytecode::Bytecode,
    inspector::InspectorEvmTr,
    interpreter::{
        CallInput, CallInputs, CallOutcome, CallScheme, CallValue, Gas, InstructionResult,
        InterpreterResult,
    },
    primitives::KECCAK_EMPTY,
};

impl<DB: Database, I: Observer<DB>> Participant<'_, DB, I> {
    /// Shows the home's transaction that holds a part, which does nothing by itself (rule 8.6).
    pub fn show_holder(&mut self, part: &Part) {
        let shown = self.show_part(part);
        self.end_shown_part(shown, 0);
    }

    /// Shows the beginning of the transaction that holds a part.
    pub(crate) fn show_part(&mut self, part: &Part) -> Option<CallInputs> {
        if !self.inspect {
            return None;
        }
        let transaction = part_transaction(part, self.chain);
        let target = transaction.to.to().copied().unwrap_or_default();
        let mut inputs = CallInputs {
            input: CallInput::Bytes(transaction.input),
            return_memory_offset: 0..0,
            gas_limit: transaction.gas_limit,
            reservoir: 0,
            bytecode_address: target,
            known_bytecode: (KECCAK_EMPTY, Bytecode::default()),
            target_address: target,
            caller: PORT,
            value: CallValue::default(),
            scheme: CallScheme::Call,
            is_static: false,
        };
        let (context, inspector) = self.evm.ctx_inspector();
        // An inspector cannot answer in the place of what is executed.
        let _ = inspector.call(context, &mut inputs);
        Some(inputs)
    }

    /// Shows the end of what [`Self::show_part`] began.
    pub(crate) fn end_shown_part(&mut self, shown: Option<CallInputs>, gas_used: u64) {
        let Some(inputs) = shown else { return };
        let mut gas = Gas::new(inputs.gas_limit);
        // What a part uses was held against its limit when its calls arrived.
        let _ = gas.record_regular_cost(gas_used);
        let result =
            InterpreterResult { result: InstructionResult::Stop, gas, output: Default::default() };
        let mut outcome = CallOutcome::new(result, 0..0);
        let (context, inspector) = self.evm.ctx_inspector();
        inspector.call_end(context, &inputs, &mut outcome);
    }
}
