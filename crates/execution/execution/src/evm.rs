//! What a chain adds to its definition so that its blocks can execute.

use crate::{
    BlockState, ExecutionError, StateReader,
    executor::{BlockParts, Progress},
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
    bytecode::opcode::SSTORE,
    context::{BlockEnv, TxEnv},
    context_interface::{
        Host,
        result::{EVMError, HaltReason},
    },
    inspector::NoOpInspector,
    interpreter::{
        Instruction, InstructionContext, InterpreterTypes,
        interpreter_types::{InputsTr, RuntimeFlag, StackTr},
    },
    primitives::hardfork::SpecId,
};

/// The environment in which chain `C` runs the transactions of one block.
pub type EvmEnvOf<C> = EvmEnv<
    <<C as Execute>::EvmFactory as EvmFactory>::Spec,
    <<C as Execute>::EvmFactory as EvmFactory>::BlockEnv,
>;

/// How blocks of a chain execute: its EVM, and what happens around the transactions.
///
/// A chain built from parts implements [`Chain`] and this; sequencer, follower and proofs then
/// all run it through the same [`crate::BlockExecutor`].
pub trait Execute: Chain {
    /// Makes the EVM: opcodes, precompiles, transaction rules.
    type EvmFactory: EvmFactory;

    /// The factory of the chain's EVM.
    fn evm_factory(&self) -> Self::EvmFactory;

    /// The environment of the block with this header.
    fn evm_env(&self, header: &Self::Header) -> EvmEnvOf<Self>;

    /// Whether empty accounts that were touched are deleted (EIP-161).
    fn deletes_empty_accounts(&self, header: &Self::Header) -> bool;

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

/// Makes Ethereum's EVM as alloy does, and completes Constantinople.
///
/// revm takes Constantinople for Petersburg, which replaced it on mainnet; on chains that stopped
/// there, storage is metered by EIP-1283.
#[derive(Clone, Copy, Debug, Default)]
pub struct EthereumEvmFactory;

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
        complete_constantinople(EthEvmBuilder::new(db, env).build(), false)
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<EthEvmContext<DB>>>(
        &self,
        db: DB,
        env: EvmEnv,
        inspector: I,
    ) -> Self::Evm<DB, I> {
        let evm = EthEvmBuilder::new(db, env).activate_inspector(inspector).build();
        complete_constantinople(evm, true)
    }
}

fn complete_constantinople<DB: Database, I>(
    evm: EthEvm<DB, I, PrecompilesMap>,
    inspect: bool,
) -> EthEvm<DB, I, PrecompilesMap> {
    if evm.ctx().cfg.spec != SpecId::CONSTANTINOPLE {
        return evm;
    }
    let mut inner = evm.into_inner();
    inner.instruction.insert_instruction(SSTORE, Instruction::new(sstore_eip1283, 0));
    EthEvm::new(inner, inspect)
}

/// `SSTORE` with net gas metering (EIP-1283): what EIP-2200 later took up with a higher price of
/// reading and a guard against re-entrancy.
fn sstore_eip1283<T: InterpreterTypes, H: Host + ?Sized>(context: InstructionContext<'_, H, T>) {
    const NO_OP: u64 = 200;
    const SET: u64 = 20_000;
    const RESET: u64 = 5_000;
    const CLEAR_REFUND: i64 = 15_000;
    let interpreter = context.interpreter;
    if interpreter.runtime_flag.is_static() {
        return interpreter.halt(revm::interpreter::InstructionResult::StateChangeDuringStaticCall);
    }
    let Some([slot, value]) = interpreter.stack.popn() else {
        return interpreter.halt_underflow();
    };
    let target = interpreter.input.target_address();
    let Some(load) = context.host.sstore(target, slot, value) else {
        return interpreter.halt_fatal();
    };
    let values = load.data;
    let (original, present, new) = (values.original_value, values.present_value, values.new_value);
    let cost = match () {
        () if present == new || original != present => NO_OP,
        () if original.is_zero() => SET,
        () => RESET,
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
