//! How a customized chain executes: as the chain itself, in another EVM and with another root.

use super::{Customized, CustomizedEvmFactory};
use crate::precompile::PrecompilesMap;
use alloy_consensus::TxReceipt;
use alloy_eips::eip7685::Requests;
use alloy_evm::{Database, Evm, EvmFactory};
use alloy_primitives::{Address, Log};
use lockstep_execution::{
    BlockParts, BlockState, EvmEnvOf, Execute, ExecutionError, Progress, Speculate,
    StateCommitment, StateReader, StateRules,
};
use revm::{inspector::NoOpInspector, state::EvmState};

impl<C, S: StateCommitment> Execute for Customized<C, S>
where
    C: Execute<EvmFactory: EvmFactory<Precompiles = PrecompilesMap>>,
{
    type EvmFactory = CustomizedEvmFactory<C>;
    type Commitment = S;

    fn evm_factory(&self, header: &C::Header) -> CustomizedEvmFactory<C> {
        CustomizedEvmFactory {
            factory: self.chain.evm_factory(header),
            header: header.clone(),
            install: self.install.clone(),
        }
    }

    fn evm_env(&self, header: &C::Header) -> EvmEnvOf<Self> {
        self.chain.evm_env(header)
    }

    fn state_rules(&self, header: &C::Header) -> StateRules {
        self.chain.state_rules(header)
    }

    fn has_intermediate_roots(&self, header: &C::Header) -> bool {
        self.chain.has_intermediate_roots(header)
    }

    fn tx_env(
        &self,
        transaction: &C::Transaction,
        sender: Address,
    ) -> <C::EvmFactory as EvmFactory>::Tx {
        self.chain.tx_env(transaction, sender)
    }

    fn is_deposit(&self, transaction: &C::Transaction) -> bool {
        self.chain.is_deposit(transaction)
    }

    fn recycle<DB: Database>(
        evm: &mut <C::EvmFactory as EvmFactory>::Evm<DB, NoOpInspector>,
        state: EvmState,
    ) {
        C::recycle(evm, state);
    }

    fn before_transactions<R: StateReader>(
        &self,
        evm: &mut impl Evm<DB = BlockState<R>>,
        header: &C::Header,
    ) -> Result<(), ExecutionError<R::Error>> {
        self.chain.before_transactions(evm, header)
    }

    fn admit<R: StateReader>(
        &self,
        state: &mut BlockState<R>,
        header: &C::Header,
        transaction: &C::Transaction,
        progress: &Progress,
    ) -> Result<u64, ExecutionError<R::Error>> {
        self.chain.admit(state, header, transaction, progress)
    }

    fn after_transactions<R: StateReader>(
        &self,
        evm: &mut impl Evm<DB = BlockState<R>>,
        header: &C::Header,
        parts: BlockParts<'_, C::Header>,
        receipts: &[impl TxReceipt<Log = Log>],
    ) -> Result<Requests, ExecutionError<R::Error>> {
        self.chain.after_transactions(evm, header, parts, receipts)
    }
}

/// In order alone: precompiles that others wrote may look at balances without telling.
impl<C, S: StateCommitment> Speculate for Customized<C, S>
where
    C: Execute<EvmFactory: EvmFactory<Precompiles = PrecompilesMap>>,
{
    type Remembered = ();

    fn remembered<R: StateReader>(
        _: &mut <Self::EvmFactory as EvmFactory>::Evm<BlockState<R>, NoOpInspector>,
    ) {
    }
}
