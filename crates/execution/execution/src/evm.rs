//! What a chain adds to its definition so that its blocks can execute.

use crate::{
    BlockState, ExecutionError, ObserveBalances, StateCommitment, StateReader, StateRules,
    executor::{BlockParts, Progress},
    instructions::{install_extcodehash, install_net_gas_metering},
};
use alloy_consensus::TxReceipt;
use alloy_eips::eip7685::Requests;
use alloy_evm::{
    Database, Evm, EvmEnv, EvmFactory,
    eth::{EthEvm, EthEvmBuilder, EthEvmContext},
    precompiles::PrecompilesMap,
};
use alloy_primitives::{Address, Log};
use lockstep_chain::Chain;
use revm::{
    Inspector,
    context::{BlockEnv, TxEnv},
    context_interface::result::{EVMError, HaltReason},
    inspector::NoOpInspector,
    primitives::hardfork::SpecId,
    state::EvmState,
};

/// The environment in which chain `C` runs the transactions of one block.
pub type EvmEnvOf<C> = EvmEnv<
    <<C as Execute>::EvmFactory as EvmFactory>::Spec,
    <<C as Execute>::EvmFactory as EvmFactory>::BlockEnv,
>;

/// The EVM of chain `C` over a database.
pub type EvmOf<C, DB> = <<C as Execute>::EvmFactory as EvmFactory>::Evm<DB, NoOpInspector>;

/// How blocks of a chain execute: its EVM, and what happens around the transactions.
///
/// A chain built from parts implements [`Chain`] and this; sequencer, follower and proofs then
/// all run it through the same [`crate::BlockExecutor`].
pub trait Execute: Chain {
    /// Makes the EVM: opcodes, precompiles, transaction rules.
    type EvmFactory: EvmFactory;
    /// What the headers' `stateRoot` is; Ethereum's is [`StateTrie`](lockstep_trie::StateTrie).
    type Commitment: StateCommitment;

    /// The factory of the EVM for the block with this header.
    fn evm_factory(&self, header: &Self::Header) -> Self::EvmFactory;

    /// The environment of the block with this header.
    fn evm_env(&self, header: &Self::Header) -> EvmEnvOf<Self>;

    /// The rules of the state that hold in the block with this header.
    fn state_rules(&self, header: &Self::Header) -> StateRules;

    /// Whether receipts carry the state root after their transaction (before EIP-658).
    fn has_intermediate_roots(&self, header: &Self::Header) -> bool;

    /// A transaction in the form that the chain's EVM takes.
    fn tx_env(
        &self,
        transaction: &Self::Transaction,
        sender: Address,
    ) -> <Self::EvmFactory as EvmFactory>::Tx;

    /// Whether the transaction is a deposit, whose receipt states its sender's nonce.
    fn is_deposit(&self, transaction: &Self::Transaction) -> bool;

    /// Gives the EVM the emptied state map of the last transaction back, so that the next one
    /// need not allocate it. Nothing depends on it.
    fn recycle<DB: Database>(
        evm: &mut <Self::EvmFactory as EvmFactory>::Evm<DB, NoOpInspector>,
        state: EvmState,
    ) {
        let _ = (evm, state);
    }

    /// Makes the EVM tell its database of every balance that has a say in what code does: it is read, or
    /// may be too low for a transfer. An EVM that cannot is given back as an error: all transactions are then
    /// executed in order, and such balances are missing from [`crate::Dependencies`].
    ///
    /// # Errors
    /// The EVM, which tells nothing.
    fn observe_balances<DB: Database + ObserveBalances>(
        evm: EvmOf<Self, DB>,
    ) -> Result<EvmOf<Self, DB>, EvmOf<Self, DB>> {
        Err(evm)
    }

    /// What happens before the first transaction: system calls, upgrades, irregular changes.
    ///
    /// # Errors
    /// When the state cannot be read.
    fn before_transactions<S: StateReader>(
        &self,
        evm: &mut impl Evm<DB = BlockState<S>>,
        header: &Self::Header,
    ) -> Result<(), ExecutionError<S::Error>>;

    /// Whether the block has room for the transaction, and how much of it that takes.
    ///
    /// # Errors
    /// [`ExecutionError::GasLimit`] and other limits per block.
    fn admit<S: StateReader>(
        &self,
        state: &mut BlockState<S>,
        header: &Self::Header,
        transaction: &Self::Transaction,
        progress: &Progress,
    ) -> Result<u64, ExecutionError<S::Error>>;

    /// What happens after the last transaction: system calls, requests, rewards, withdrawals.
    ///
    /// # Errors
    /// When a system call fails that must not, or the state cannot be read.
    fn after_transactions<S: StateReader>(
        &self,
        evm: &mut impl Evm<DB = BlockState<S>>,
        header: &Self::Header,
        parts: BlockParts<'_, Self::Header>,
        receipts: &[impl TxReceipt<Log = Log>],
    ) -> Result<Requests, ExecutionError<S::Error>>;
}

/// Makes Ethereum's EVM, as alloy does, with our opcodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct EthereumEvmFactory {
    /// Storage is metered by EIP-1283: in Constantinople, which mainnet skipped for Petersburg and
    /// revm therefore does not know.
    pub net_gas_metering: bool,
}

impl EthereumEvmFactory {
    fn complete<DB: Database, I>(
        self,
        evm: EthEvm<DB, I, PrecompilesMap>,
        inspect: bool,
    ) -> EthEvm<DB, I, PrecompilesMap> {
        let mut inner = evm.into_inner();
        install_extcodehash(&mut inner.instruction);
        if self.net_gas_metering {
            install_net_gas_metering(&mut inner.instruction);
        }
        EthEvm::new(inner, inspect)
    }
}

impl EvmFactory for EthereumEvmFactory {
    type Evm<DB: Database, I: Inspector<EthEvmContext<DB>>> = EthEvm<DB, I, PrecompilesMap>;
    type Context<DB: Database> = EthEvmContext<DB>;
    type Tx = TxEnv;
    type Error<DBError: core::error::Error + Send + Sync + 'static> = EVMError<DBError>;
    type HaltReason = HaltReason;
    type Spec = SpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = PrecompilesMap;

    fn create_evm<DB: Database>(&self, db: DB, env: EvmEnv) -> Self::Evm<DB, NoOpInspector> {
        self.complete(EthEvmBuilder::new(db, env).build(), false)
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<EthEvmContext<DB>>>(
        &self,
        db: DB,
        env: EvmEnv,
        inspector: I,
    ) -> Self::Evm<DB, I> {
        let evm = EthEvmBuilder::new(db, env).activate_inspector(inspector).build();
        self.complete(evm, true)
    }
}
