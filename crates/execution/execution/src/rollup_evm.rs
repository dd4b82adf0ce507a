//! A rollup's EVM: the OP Stack's, with our opcodes, and in a union with calls to peers.

use alloc::{borrow::Cow, string::ToString, sync::Arc, vec::Vec};
use alloy_evm::{Database, Evm, EvmEnv, EvmFactory, precompiles::PrecompilesMap};
use alloy_op_evm::{OpEvmContext, OpEvmFactory, OpTx, OpTxError, map_op_err};
use alloy_primitives::{Address, Bytes, ChainId};
use core::fmt;
use lockstep_chain::UnionRules;
use lockstep_union::{
    Part, PartTransaction, Participant, SuperId, UnionError, UnionEvm, execute_part,
};
use op_revm::{OpHaltReason, OpSpecId};
use revm::{
    ExecuteEvm, InspectEvm, Inspector, SystemCallEvm,
    context::BlockEnv,
    context_interface::result::{
        EVMError, ExecutionResult, InvalidTransaction, Output, ResultAndState, ResultGas,
        SuccessReason,
    },
    handler::instructions::EthInstructions,
    inspector::NoOpInspector,
    interpreter::interpreter::EthInterpreter,
    state::EvmState,
};

use crate::instructions::install_extcodehash;

/// Why a transaction without a part is refused that calls a peer.
pub(crate) const CALLS_PEER: &str =
    "it calls another rollup of the union, and has no part of a super transaction";

/// Makes a rollup's EVM.
#[derive(Clone, Debug, Default)]
pub struct RollupEvmFactory {
    /// The rules of the union that the rollup is a member of.
    pub union: Option<Arc<UnionRules>>,
}

/// A rollup's EVM, for the transactions of one block in their order.
///
/// In a union a transaction that calls a peer is executed with its part, which the transaction before
/// it holds (`docs/super-transactions.md`, rule 8.6); without one it is refused.
pub struct RollupEvm<DB: Database, I> {
    inner: UnionEvm<DB, I>,
    inspect: bool,
    union: Option<Arc<UnionRules>>,
    /// The part of the next transaction.
    carried: Option<Part>,
    /// Gas used by transactions that came to nothing because they call peers.
    wasted_gas: u64,
}

type Outcome<DB> =
    Result<ResultAndState<OpHaltReason>, EVMError<<DB as revm::Database>::Error, OpTxError>>;

impl<DB: Database, I> fmt::Debug for RollupEvm<DB, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RollupEvm")
            .field("union", &self.union)
            .field("carried", &self.carried)
            .finish_non_exhaustive()
    }
}

impl<DB: Database, I: Inspector<OpEvmContext<DB>>> RollupEvm<DB, I> {
    fn complete(mut inner: UnionEvm<DB, I>, inspect: bool, union: Option<Arc<UnionRules>>) -> Self {
        install_extcodehash(&mut inner.0.instruction);
        Self { inner, inspect, union, carried: None, wasted_gas: 0 }
    }

    /// The context in which code runs.
    pub const fn ctx_mut(&mut self) -> &mut OpEvmContext<DB> {
        &mut self.inner.0.ctx
    }

    pub(crate) const fn instructions_mut(
        &mut self,
    ) -> &mut EthInstructions<EthInterpreter, OpEvmContext<DB>> {
        &mut self.inner.0.instruction
    }

    /// The rollup as a participant of super transactions that are executed jointly; `None` if it is a
    /// member of no union. `gas_available` is what the block has left for calls from peers.
    pub fn participant(&mut self, gas_available: u64) -> Option<Participant<'_, DB, I>> {
        let rules = self.union.as_deref()?;
        Some(Participant::new(&mut self.inner, rules, gas_available, self.inspect))
    }

    /// Gas used so far by transactions that came to nothing because they call peers.
    pub const fn wasted_gas(&self) -> u64 {
        self.wasted_gas
    }

    pub(crate) const fn note_waste(&mut self, gas: u64) {
        self.wasted_gas = self.wasted_gas.saturating_add(gas);
    }

    /// Executes a transaction with the part that the one before it holds.
    fn transact_in_union(&mut self, tx: OpTx, rules: &UnionRules) -> Outcome<DB> {
        let chain = self.inner.0.ctx.cfg.chain_id;
        let carried = self.carried.take();
        let (part, tx) = match (PartTransaction::read(&tx.0, chain, rules), carried) {
            (Ok(None), carried) => {
                let part = carried.unwrap_or_else(|| without_calls(chain, tx.0.base.caller));
                (part, Some(tx))
            }
            (Ok(Some(PartTransaction::OnPeer(part))), None) => (part, None),
            (Ok(Some(PartTransaction::OnHome(part))), None) => {
                Participant::new(&mut self.inner, rules, 0, self.inspect).show_holder(&part);
                self.carried = Some(part);
                return Ok(ResultAndState { result: without_effect(), state: EvmState::default() });
            }
            (Ok(Some(_)), Some(_)) => {
                return Err(invalid("the transaction before it holds a part for another"));
            }
            (Err(reason), _) => return Err(invalid(reason)),
        };
        let mut rollup = Participant::new(&mut self.inner, rules, 0, self.inspect);
        let executed = execute_part(&mut rollup, &part, tx);
        let wasted_gas = rollup.wasted_gas();
        match executed {
            Ok((outcome, state)) => Ok(ResultAndState { result: outcome.into_result(), state }),
            Err(error) => {
                self.note_waste(wasted_gas);
                Err(into_evm_error(error))
            }
        }
    }
}

/// The part of a transaction that calls no peer.
const fn without_calls(chain: ChainId, origin: Address) -> Part {
    let id = SuperId { slot: 0, index: 0 };
    Part { id, home: chain, origin, gas_limit: 0, steps: Vec::new() }
}

/// What becomes of a transaction that only holds a part for the next one.
pub(crate) fn without_effect() -> ExecutionResult<OpHaltReason> {
    ExecutionResult::Success {
        reason: SuccessReason::Stop,
        gas: ResultGas::default(),
        logs: Vec::new(),
        output: Output::Call(Bytes::new()),
    }
}

fn invalid<E>(reason: impl Into<Cow<'static, str>>) -> EVMError<E, OpTxError> {
    let reason = InvalidTransaction::Str(reason.into());
    EVMError::Transaction(OpTxError(reason.into()))
}

fn into_evm_error<E: fmt::Display>(error: UnionError<E>) -> EVMError<E, OpTxError> {
    match error {
        UnionError::Transaction(reason) => EVMError::Transaction(OpTxError(reason)),
        UnionError::State(error) => EVMError::Database(error),
        UnionError::Evm(reason) => EVMError::Custom(reason),
        UnionError::PeerUnavailable(_) => invalid(CALLS_PEER),
        other => invalid(other.to_string()),
    }
}

impl<DB: Database, I: Inspector<OpEvmContext<DB>>> Evm for RollupEvm<DB, I> {
    type DB = DB;
    type Tx = OpTx;
    type Error = EVMError<DB::Error, OpTxError>;
    type HaltReason = OpHaltReason;
    type Spec = OpSpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = PrecompilesMap;
    type Inspector = I;

    fn block(&self) -> &BlockEnv {
        &self.inner.0.ctx.block
    }

    fn cfg_env(&self) -> &revm::context::CfgEnv<OpSpecId> {
        &self.inner.0.ctx.cfg
    }

    fn chain_id(&self) -> u64 {
        self.inner.0.ctx.cfg.chain_id
    }

    fn transact_raw(&mut self, tx: OpTx) -> Outcome<DB> {
        if let Some(rules) = self.union.clone() {
            return self.transact_in_union(tx, &rules);
        }
        let result = if self.inspect { self.inner.inspect_tx(tx) } else { self.inner.transact(tx) };
        result.map_err(map_op_err)
    }

    fn transact_system_call(
        &mut self,
        caller: Address,
        contract: Address,
        data: Bytes,
    ) -> Outcome<DB> {
        self.inner.system_call_with_caller(caller, contract, data).map_err(map_op_err)
    }

    fn finish(self) -> (DB, EvmEnv<OpSpecId>) {
        let context = self.inner.0.ctx;
        let env = EvmEnv { block_env: context.block, cfg_env: context.cfg };
        (context.journaled_state.database, env)
    }

    fn set_inspector_enabled(&mut self, enabled: bool) {
        self.inspect = enabled;
    }

    fn components(&self) -> (&DB, &I, &PrecompilesMap) {
        let evm = &self.inner.0;
        (&evm.ctx.journaled_state.database, &evm.inspector, &evm.precompiles)
    }

    fn components_mut(&mut self) -> (&mut DB, &mut I, &mut PrecompilesMap) {
        let evm = &mut self.inner.0;
        (&mut evm.ctx.journaled_state.database, &mut evm.inspector, &mut evm.precompiles)
    }
}

impl EvmFactory for RollupEvmFactory {
    type Evm<DB: Database, I: Inspector<OpEvmContext<DB>>> = RollupEvm<DB, I>;
    type Context<DB: Database> = OpEvmContext<DB>;
    type Tx = OpTx;
    type Error<DBError: core::error::Error + Send + Sync + 'static> = EVMError<DBError, OpTxError>;
    type HaltReason = OpHaltReason;
    type Spec = OpSpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = PrecompilesMap;

    fn create_evm<DB: Database>(
        &self,
        db: DB,
        env: EvmEnv<OpSpecId>,
    ) -> RollupEvm<DB, NoOpInspector> {
        let inner = OpEvmFactory::<OpTx>::default().create_evm(db, env).into_inner();
        RollupEvm::complete(inner, false, self.union.clone())
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<OpEvmContext<DB>>>(
        &self,
        db: DB,
        env: EvmEnv<OpSpecId>,
        inspector: I,
    ) -> RollupEvm<DB, I> {
        let factory = OpEvmFactory::<OpTx>::default();
        let inner = factory.create_evm_with_inspector(db, env, inspector).into_inner();
        RollupEvm::complete(inner, true, self.union.clone())
    }
}
