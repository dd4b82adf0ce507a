//! The same chain with more, fewer or other precompiled contracts.

use alloy_consensus::{Receipt, TxReceipt};
use alloy_eips::eip7685::Requests;
use alloy_evm::{Database, Evm, EvmEnv, EvmFactory, precompiles::PrecompilesMap};
use alloy_primitives::{Address, B256, Bloom, Log, Sealed, U256};
use lockstep_chain::{Block, BodyError, Chain, HeaderError};
use lockstep_execution::{
    BlockParts, BlockState, EvmEnvOf, Execute, ExecutionError, Progress, StateReader,
};
use revm::{Inspector, inspector::NoOpInspector, state::EvmState};
use std::{fmt, sync::Arc};

/// Changes the precompiled contracts of a block, given its header.
type Install<C> = dyn Fn(&<C as Chain>::Header, &mut PrecompilesMap) + Send + Sync;

/// A chain whose precompiled contracts are changed; everything else is as in `C`.
///
/// Blocks, calls, traces and proofs all see them, since all of them make their EVM through the
/// chain definition.
#[derive(Clone)]
pub struct WithPrecompiles<C: Chain> {
    chain: C,
    install: Arc<Install<C>>,
}

impl<C: Chain> WithPrecompiles<C> {
    /// `chain`, with `install` called on the precompiled contracts of every EVM that is made. The
    /// header tells `install` the number and time of the block, so that it can follow a fork
    /// schedule. It must depend on nothing else: every node of the chain must do the same.
    pub fn new(
        chain: C,
        install: impl Fn(&C::Header, &mut PrecompilesMap) + Send + Sync + 'static,
    ) -> Self {
        Self { chain, install: Arc::new(install) }
    }

    /// The chain without the change.
    pub const fn inner(&self) -> &C {
        &self.chain
    }
}

impl<C: Chain> fmt::Debug for WithPrecompiles<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithPrecompiles").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// Makes the EVM of `C` and changes its precompiled contracts.
pub struct PrecompilesFactory<C: Execute> {
    factory: C::EvmFactory,
    header: C::Header,
    install: Arc<Install<C>>,
}

impl<C: Execute> fmt::Debug for PrecompilesFactory<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrecompilesFactory").finish_non_exhaustive()
    }
}

impl<C> EvmFactory for PrecompilesFactory<C>
where
    C: Execute<EvmFactory: EvmFactory<Precompiles = PrecompilesMap>>,
{
    type Evm<DB: Database, I: Inspector<Self::Context<DB>>> =
        <C::EvmFactory as EvmFactory>::Evm<DB, I>;
    type Context<DB: Database> = <C::EvmFactory as EvmFactory>::Context<DB>;
    type Tx = <C::EvmFactory as EvmFactory>::Tx;
    type Error<E: core::error::Error + Send + Sync + 'static> =
        <C::EvmFactory as EvmFactory>::Error<E>;
    type HaltReason = <C::EvmFactory as EvmFactory>::HaltReason;
    type Spec = <C::EvmFactory as EvmFactory>::Spec;
    type BlockEnv = <C::EvmFactory as EvmFactory>::BlockEnv;
    type Precompiles = PrecompilesMap;

    fn create_evm<DB: Database>(
        &self,
        db: DB,
        env: EvmEnv<Self::Spec, Self::BlockEnv>,
    ) -> Self::Evm<DB, NoOpInspector> {
        let mut evm = self.factory.create_evm(db, env);
        (self.install)(&self.header, evm.precompiles_mut());
        evm
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<Self::Context<DB>>>(
        &self,
        db: DB,
        env: EvmEnv<Self::Spec, Self::BlockEnv>,
        inspector: I,
    ) -> Self::Evm<DB, I> {
        let mut evm = self.factory.create_evm_with_inspector(db, env, inspector);
        (self.install)(&self.header, evm.precompiles_mut());
        evm
    }
}

impl<C: Chain> Chain for WithPrecompiles<C> {
    type Transaction = C::Transaction;
    type Receipt = C::Receipt;
    type Header = C::Header;
    type Fork = C::Fork;

    fn chain_id(&self) -> u64 {
        self.chain.chain_id()
    }

    fn fork(&self, header: &C::Header) -> C::Fork {
        self.chain.fork(header)
    }

    fn validate_header(&self, header: &C::Header) -> Result<(), HeaderError> {
        self.chain.validate_header(header)
    }

    fn validate_header_against_parent(
        &self,
        header: &C::Header,
        parent: &Sealed<C::Header>,
        parent_total_difficulty: Option<U256>,
    ) -> Result<(), HeaderError> {
        self.chain.validate_header_against_parent(header, parent, parent_total_difficulty)
    }

    fn validate_body(&self, block: &Block<Self>) -> Result<(), BodyError> {
        self.chain.validate_body(block)
    }

    fn recover_senders(&self, block: &Block<Self>) -> Result<Vec<Address>, BodyError> {
        self.chain.recover_senders(block)
    }

    fn next_base_fee(&self, parent: &C::Header, timestamp: u64) -> Option<u64> {
        self.chain.next_base_fee(parent, timestamp)
    }

    fn receipt(
        &self,
        header: &C::Header,
        transaction: &C::Transaction,
        receipt: Receipt,
        deposit_nonce: Option<u64>,
    ) -> C::Receipt {
        self.chain.receipt(header, transaction, receipt, deposit_nonce)
    }

    fn receipts_root(&self, header: &C::Header, receipts: &[C::Receipt]) -> (B256, Bloom) {
        self.chain.receipts_root(header, receipts)
    }
}

impl<C> Execute for WithPrecompiles<C>
where
    C: Execute<EvmFactory: EvmFactory<Precompiles = PrecompilesMap>>,
{
    type EvmFactory = PrecompilesFactory<C>;

    fn evm_factory(&self, header: &C::Header) -> PrecompilesFactory<C> {
        PrecompilesFactory {
            factory: self.chain.evm_factory(header),
            header: header.clone(),
            install: self.install.clone(),
        }
    }

    fn evm_env(&self, header: &C::Header) -> EvmEnvOf<Self> {
        self.chain.evm_env(header)
    }

    fn deletes_empty_accounts(&self, header: &C::Header) -> bool {
        self.chain.deletes_empty_accounts(header)
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

    fn recycle<S: StateReader>(
        evm: &mut <C::EvmFactory as EvmFactory>::Evm<BlockState<S>, NoOpInspector>,
        state: EvmState,
    ) {
        C::recycle(evm, state);
    }

    fn before_transactions<S: StateReader>(
        &self,
        evm: &mut impl Evm<DB = BlockState<S>>,
        header: &C::Header,
    ) -> Result<(), ExecutionError<S::Error>> {
        self.chain.before_transactions(evm, header)
    }

    fn admit<S: StateReader>(
        &self,
        state: &mut BlockState<S>,
        header: &C::Header,
        transaction: &C::Transaction,
        progress: &Progress,
    ) -> Result<u64, ExecutionError<S::Error>> {
        self.chain.admit(state, header, transaction, progress)
    }

    fn after_transactions<S: StateReader>(
        &self,
        evm: &mut impl Evm<DB = BlockState<S>>,
        header: &C::Header,
        parts: BlockParts<'_, C::Header>,
        receipts: &[impl TxReceipt<Log = Log>],
    ) -> Result<Requests, ExecutionError<S::Error>> {
        self.chain.after_transactions(evm, header, parts, receipts)
    }
}
