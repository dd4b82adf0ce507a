//! How calls on a customized chain look to its EVM: as on the chain itself.

use super::Customized;
use alloy_consensus::Header;
use alloy_evm::EvmFactory;
use alloy_primitives::Address;
use alloy_rpc_types_eth::TransactionInfo;
use lockstep_execution::{StateCommitment, StateReader};
use lockstep_inspect::{
    CallSite, ContextOf, EvmOf, Inspect, InspectError, OutcomeOf, UnsignedTransaction,
};
use revm::{Inspector, context::TxEnv, context_interface::result::HaltReason};
use serde_json::Value;

impl<C: Inspect, S: StateCommitment> Inspect for Customized<C, S> {
    fn call_env(&self, call: TxEnv) -> <C::EvmFactory as EvmFactory>::Tx {
        self.chain.call_env(call)
    }

    fn transact_call<R: StateReader, I: Inspector<ContextOf<Self, R>>>(
        &self,
        evm: &mut EvmOf<Self, R, I>,
        call: &TxEnv,
        site: &CallSite<'_>,
    ) -> Result<OutcomeOf<Self>, InspectError> {
        self.chain.transact_call(evm, call, site)
    }

    fn halt_reason(reason: &<C::EvmFactory as EvmFactory>::HaltReason) -> Option<&HaltReason> {
        C::halt_reason(reason)
    }

    fn fill_fork_fields(&self, header: &mut Header, parent: &Header) {
        self.chain.fill_fork_fields(header, parent);
    }

    fn unsigned(&self, transaction: UnsignedTransaction) -> Option<C::Transaction> {
        self.chain.unsigned(transaction)
    }

    fn transaction_json(
        &self,
        transaction: &C::Transaction,
        sender: Address,
        info: TransactionInfo,
    ) -> Value {
        self.chain.transaction_json(transaction, sender, info)
    }

    fn block_reward(&self, header: &Header) -> Option<u128> {
        self.chain.block_reward(header)
    }

    fn withdrawals_root_account(&self, header: &Header) -> Option<Address> {
        self.chain.withdrawals_root_account(header)
    }

    fn transaction_gas_cap(&self, header: &Header) -> Option<u64> {
        self.chain.transaction_gas_cap(header)
    }
}
