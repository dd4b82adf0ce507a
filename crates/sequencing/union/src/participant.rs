//! One rollup in the block that it is building or following, ready to take part.

use crate::{
    Part, SuperId, UnionError,
    control::{Fault, FaultOf, Task},
    script::{Envelope, Message, Step, extend_transcript},
};
use alloc::{collections::BTreeMap, string::ToString, vec::Vec};
use alloy_evm::{Database, precompiles::PrecompilesMap};
use alloy_op_evm::{OpEvmContext, OpTx};
use alloy_primitives::{Address, B256, Bytes, ChainId, Log, U256, keccak256};
use alloy_rlp::Encodable;
use core::fmt;
use lockstep_chain::{GATE, UnionRules};
use op_revm::{
    OpHaltReason, OpTransaction, OpTransactionError, transaction::deposit::DEPOSIT_TRANSACTION_TYPE,
};
use revm::{
    Inspector,
    context::{ContextSetters, TxEnv},
    context_interface::{
        ContextTr, JournalTr, LocalContextTr,
        context::take_error,
        result::{EVMError, ExecutionResult, Output, ResultGas, SuccessReason},
    },
    handler::{EthFrame, EvmTr, Handler, instructions::EthInstructions},
    interpreter::{InitialAndFloorGas, SharedMemory, interpreter::EthInterpreter},
    state::EvmState,
};

pub(crate) type EvmFault<E> = EVMError<E, OpTransactionError>;
type Instructions<DB> = EthInstructions<EthInterpreter, OpEvmContext<DB>>;

/// A rollup's EVM under the wrapper that alloy gives it.
pub type UnionEvm<DB, I> = op_revm::OpEvm<OpEvmContext<DB>, I, Instructions<DB>, PrecompilesMap>;

type RollupHandler<DB, I> = op_revm::handler::OpHandler<
    UnionEvm<DB, I>,
    EvmFault<<DB as revm::Database>::Error>,
    EthFrame<EthInterpreter>,
>;

/// Who may watch a rollup's EVM.
pub trait Observer<DB: Database>: Inspector<OpEvmContext<DB>> {}

impl<DB: Database, I: Inspector<OpEvmContext<DB>>> Observer<DB> for I {}

/// What a super transaction did on one rollup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartOutcome {
    /// The rollup's part, which executes to this outcome alone. Without steps the transaction was an
    /// ordinary one.
    pub part: Part,
    /// What became of the user's transaction; on its home rollup only.
    pub result: Option<ExecutionResult<OpHaltReason>>,
    /// What the calls that stand have logged; on peers only (the home's are in `result`).
    pub logs: Vec<Log>,
    /// Gas that the peer's block counts: all that its code used, undone calls included. On the home
    /// rollup zero: there `result` says it.
    pub peer_gas_used: u64,
}

impl PartOutcome {
    /// What the block's receipt tells: of the user's transaction on its home rollup, of all that was
    /// called on a peer.
    pub fn into_result(self) -> ExecutionResult<OpHaltReason> {
        let Self { result, logs, peer_gas_used, .. } = self;
        result.unwrap_or_else(|| ExecutionResult::Success {
            reason: SuccessReason::Stop,
            gas: ResultGas::default().with_total_gas_spent(peer_gas_used),
            logs,
            output: Output::Call(Bytes::new()),
        })
    }
}

/// What a rollup's part of a super transaction takes in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartSize {
    /// Bytes of its encoding; none if the rollup has no part.
    pub bytes: usize,
    /// The messages that it sent and received.
    pub steps: usize,
}

/// One rollup in the block that it is building or following, ready to take part.
///
/// It is driven by [`crate::execute_jointly`] and [`crate::execute_part`], many times for one block.
/// Between them nothing of a super transaction is left but its changes to the state.
pub struct Participant<'a, DB: Database, I> {
    pub(crate) chain: ChainId,
    pub(crate) base_fee: u64,
    pub(crate) rules: &'a UnionRules,
    pub(crate) evm: &'a mut UnionEvm<DB, I>,
    /// Whether the EVM's inspector watches.
    pub(crate) inspect: bool,
    /// What the block has left for calls from peers.
    pub(crate) gas_available: u64,
    /// Gas that the last super transaction used that came to nothing.
    pub(crate) wasted_gas: u64,
    pub(crate) session: Session,
}

/// What is only there while a super transaction runs.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) id: SuperId,
    pub(crate) home: ChainId,
    pub(crate) origin: Address,
    /// Whether the home transaction is a deposit, which makes no calls.
    pub(crate) is_deposit: bool,
    /// Whether a peer's journal has been made ready.
    is_ready: bool,
    /// What the rollup is in the middle of, innermost last.
    pub(crate) tasks: Vec<Task>,
    /// For each frame on the EVM's stack how many calls its run had made when it began.
    pub(crate) marks: Vec<usize>,
    /// Calls that arrived while the rollup was idle, and stand.
    pub(crate) standing: Vec<crate::control::Standing>,
    /// The memory in which an idle rollup's frames begin.
    pub(crate) root_memory: Option<SharedMemory>,
    /// The newest step sent or received.
    pub(crate) last_index: u32,
    steps: Vec<Step>,
    /// The message hashes by peer.
    digests: BTreeMap<ChainId, Vec<B256>>,
    pub(crate) peer_gas_used: u64,
    /// The gas that the peer's block must have left.
    pub(crate) gas_limit: u64,
    /// The gas limit of the home transaction, once it may run.
    home_gas: u64,
    /// Gas that a call was given which cannot begin.
    pub(crate) unspent_gas: u64,
    /// What the home transaction costs before it runs, and what it gets back (EIP-7702).
    initial_gas: InitialAndFloorGas,
    delegation_refund: i64,
    pub(crate) result: Option<ExecutionResult<OpHaltReason>>,
    logs: Vec<Log>,
}

impl<DB: Database, I> fmt::Debug for Participant<'_, DB, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Participant")
            .field("chain", &self.chain)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl<'a, DB: Database, I: Observer<DB>> Participant<'a, DB, I> {
    /// The rollup whose block `evm` runs, over the state so far. `gas_available` is what the block has
    /// left for calls from peers. The EVM's inspector watches if `inspect`.
    pub fn new(
        evm: &'a mut UnionEvm<DB, I>,
        rules: &'a UnionRules,
        gas_available: u64,
        inspect: bool,
    ) -> Self {
        let context = &evm.0.ctx;
        Self {
            chain: context.cfg.chain_id,
            base_fee: context.block.basefee,
            rules,
            evm,
            inspect,
            gas_available,
            wasted_gas: 0,
            session: Session::default(),
        }
    }

    /// The same, with another base fee in wei at which gas is exchanged: code that runs without paying
    /// for gas sees a base fee of zero, and its calls cost no less for that.
    #[must_use]
    pub const fn priced_at(mut self, base_fee: u64) -> Self {
        self.base_fee = base_fee;
        self
    }

    /// The rollup's chain id.
    pub const fn chain_id(&self) -> ChainId {
        self.chain
    }

    /// The base fee at which gas is exchanged, in wei: the block's.
    pub const fn base_fee(&self) -> u64 {
        self.base_fee
    }

    /// Gas of the home transaction that the last [`crate::execute_jointly`] or [`crate::execute_part`] used on
    /// all rollups, if it came to nothing; on the home rollup only.
    pub const fn wasted_gas(&self) -> u64 {
        self.wasted_gas
    }

    pub(crate) const fn context(&mut self) -> &mut OpEvmContext<DB> {
        &mut self.evm.0.ctx
    }

    /// Begins the rollup's part of a super transaction.
    pub(crate) fn begin(&mut self, id: SuperId, home: ChainId, origin: Address) {
        self.session = Session { id, home, origin, ..Session::default() };
    }

    /// Whether the rollup is in the middle of nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.session.tasks.is_empty()
    }

    pub(crate) fn is_home(&self) -> bool {
        self.session.home == self.chain
    }

    /// Records a message in the script and for the transcript.
    pub(crate) fn record(&mut self, step: Step) {
        let Step { index, peer, is_sent, ref message } = step;
        let (from, to) = if is_sent { (self.chain, peer) } else { (peer, self.chain) };
        let Session { id, home, origin, .. } = self.session;
        let hash = Envelope { id, home, origin, index, from, to, message }.hash();
        self.session.last_index = index;
        self.session.digests.entry(peer).or_default().push(hash);
        self.session.steps.push(step);
    }

    /// Makes a message the next step of the super transaction.
    pub(crate) fn send(&mut self, peer: ChainId, message: Message) -> Step {
        let index = self.session.last_index.saturating_add(1);
        let step = Step { index, peer, is_sent: true, message };
        self.record(step.clone());
        step
    }

    /// The home transaction up to its first frame: validation, fees, delegations.
    pub(crate) fn prepare_home(
        &mut self,
        tx: OpTx,
    ) -> Result<Option<revm::interpreter::interpreter_action::FrameInit>, FaultOf<DB>> {
        self.session.is_deposit = tx.0.base.tx_type == DEPOSIT_TRANSACTION_TYPE;
        self.context().set_tx(tx);
        let mut handler = RollupHandler::<DB, I>::new();
        let evm = &mut *self.evm;
        let prepared = handler.validate(evm).and_then(|mut initial_gas| {
            let refund = handler.pre_execution(evm, &mut initial_gas)?;
            let context = evm.ctx();
            let (gas_limit, reservoir) = initial_gas.initial_gas_and_reservoir(
                revm::context_interface::Transaction::gas_limit(context.tx()),
                revm::context_interface::Cfg::tx_gas_limit_cap(context.cfg()),
                revm::context_interface::Cfg::is_amsterdam_eip8037_enabled(context.cfg()),
            );
            let first = handler.first_frame_input(evm, gas_limit, reservoir)?;
            Ok((first, initial_gas, refund))
        });
        match prepared {
            Ok((first, initial_gas, refund)) => {
                self.session.home_gas =
                    revm::context_interface::Transaction::gas_limit(self.context().tx());
                self.session.initial_gas = initial_gas;
                self.session.delegation_refund = refund.cast_signed();
                Ok(Some(first))
            }
            // A deposit that cannot run has failed, and stands in its block.
            Err(error) => {
                self.session.result = Some(handler.catch_error(evm, error)?);
                Ok(None)
            }
        }
    }

    /// The home transaction after its last frame: refunds and fees.
    pub(crate) fn conclude_home(
        &mut self,
        mut frame: revm::handler::FrameResult,
    ) -> Result<(), FaultOf<DB>> {
        let mut handler = RollupHandler::<DB, I>::new();
        let evm = &mut *self.evm;
        let Session { initial_gas, delegation_refund, .. } = self.session;
        let concluded = handler.last_frame_result(evm, &mut frame).and_then(|()| {
            let gas = handler.post_execution(evm, &mut frame, initial_gas, delegation_refund)?;
            handler.execution_result(evm, frame, gas)
        });
        let result = match concluded {
            Ok(result) => result,
            Err(error) => handler.catch_error(evm, error)?,
        };
        self.session.result = Some(result);
        Ok(())
    }

    /// Makes a peer's journal ready for the first call that arrives (rule 4.1).
    pub(crate) fn prepare_peer(&mut self) -> Result<(), FaultOf<DB>> {
        if self.session.is_ready || self.is_home() {
            return Ok(());
        }
        self.session.is_ready = true;
        let base = TxEnv {
            caller: crate::proxy_of(self.session.home, self.session.origin),
            gas_price: self.base_fee.into(),
            ..TxEnv::default()
        };
        let tx = OpTransaction { base, enveloped_tx: Some(<_>::default()), ..Default::default() };
        self.context().set_tx(OpTx(tx));
        Ok(RollupHandler::<DB, I>::new().load_accounts(self.evm)?)
    }

    /// The block has room for this much more gas; as for a transaction, the limit counts, not the use.
    pub(crate) fn check_block_gas(&mut self, gas_limit: u64) -> Result<(), FaultOf<DB>> {
        let available = self.gas_available.saturating_sub(self.session.peer_gas_used);
        if gas_limit > available {
            self.session.unspent_gas = gas_limit;
            return Err(Fault::PeerGas { gas_limit, available });
        }
        let wanted = self.session.peer_gas_used.saturating_add(gas_limit);
        self.session.gas_limit = self.session.gas_limit.max(wanted);
        Ok(())
    }

    /// Whether the state could be read all the time.
    pub(crate) fn check_state(&mut self) -> Result<(), FaultOf<DB>> {
        Ok(take_error::<EvmFault<DB::Error>, _>(self.context().error())?)
    }

    /// Writes the transcripts, when nothing can be undone any more. [`Self::commit`] follows.
    pub(crate) fn seal(&mut self) -> Result<(), FaultOf<DB>> {
        self.check_state()?;
        if !self.is_home() {
            self.session.logs = self.context().journal_mut().take_logs();
        }
        if !self.session.steps.is_empty() {
            self.advance_order()?;
        }
        for (peer, digests) in core::mem::take(&mut self.session.digests) {
            let slot = pair_slot(peer);
            let stored = self.gate_slot(slot)?;
            let transcript = digests.into_iter().fold(stored.into(), extend_transcript);
            self.set_gate_slot(slot, transcript.into())?;
        }
        Ok(())
    }

    /// Super transactions have one order, which no rollup leaves (rule 3.1).
    fn advance_order(&mut self) -> Result<(), FaultOf<DB>> {
        let SuperId { slot, index } = self.session.id;
        let order = (U256::from(slot) << 64) | U256::from(index);
        if order <= self.gate_slot(ORDER_SLOT)? {
            return Err(Fault::Script("the super transaction is not later than the last one here"));
        }
        self.set_gate_slot(ORDER_SLOT, order)
    }

    /// Ends the super transaction; its changes to the state are to be committed.
    pub(crate) fn conclude(&mut self) -> (PartOutcome, EvmState) {
        let state = self.context().journal_mut().finalize();
        self.clear_evm();
        self.gas_available = self.gas_available.saturating_sub(self.session.peer_gas_used);
        let session = core::mem::take(&mut self.session);
        let Session { id, home, origin, gas_limit, steps, result, logs, peer_gas_used, .. } =
            session;
        let part = Part { id, home, origin, gas_limit, steps };
        (PartOutcome { part, result, logs, peer_gas_used }, state)
    }

    /// What the rollup's part is so far in a batch.
    pub(crate) fn part_size(&mut self) -> PartSize {
        let Session { id, home, origin, gas_limit, .. } = self.session;
        let steps = core::mem::take(&mut self.session.steps);
        let part = Part { id, home, origin, gas_limit, steps };
        let size = PartSize { bytes: part.length(), steps: part.steps.len() };
        self.session.steps = part.steps;
        size
    }

    /// How much of its gas the home transaction has used when it cannot go on, but for what
    /// [`Self::take_unspent_gas`] says of its peers.
    pub(crate) fn home_gas_used(&mut self) -> u64 {
        match &self.session.result {
            Some(result) => result.tx_gas_used(),
            None => self.session.home_gas.saturating_sub(self.take_unspent_gas()),
        }
    }

    /// The gas that frames still have which can run no further. They are taken off the EVM's stack.
    pub(crate) fn take_unspent_gas(&mut self) -> u64 {
        let mut unspent = core::mem::take(&mut self.session.unspent_gas);
        let frames = self.evm.frame_stack();
        while frames.index().is_some() {
            unspent = unspent.saturating_add(frames.get().interpreter.gas.remaining());
            frames.pop();
        }
        unspent
    }

    /// Undoes everything since [`Self::begin`].
    pub(crate) fn discard(&mut self) {
        let journal = self.context().journal_mut();
        journal.discard_tx();
        journal.finalize();
        self.clear_evm();
        self.session = Session::default();
    }

    fn clear_evm(&mut self) {
        self.context().local_mut().clear();
        *self.context().error() = Ok(());
        // op-revm keeps it for the transaction that it was computed for.
        self.context().chain.clear_tx_l1_cost();
        self.evm.frame_stack().clear();
    }

    /// The value of a slot of the Gate.
    fn gate_slot(&mut self, slot: U256) -> Result<U256, FaultOf<DB>> {
        let journal = self.context().journal_mut();
        journal.load_account(GATE)?;
        Ok(journal.sload(GATE, slot)?.data)
    }

    /// Writes a slot of the Gate; undone with the frame that is running.
    fn set_gate_slot(&mut self, slot: U256, value: U256) -> Result<(), FaultOf<DB>> {
        let journal = self.context().journal_mut();
        journal.load_account(GATE)?;
        journal.sstore(GATE, slot, value)?;
        journal.touch_account(GATE);
        Ok(())
    }

    /// Counts ether that went to a peer, or came from it (rule 5.4).
    pub(crate) fn count_ether(
        &mut self,
        peer: ChainId,
        direction: Direction,
        wei: U256,
    ) -> Result<(), FaultOf<DB>> {
        let slot = pair_slot(peer).wrapping_add(U256::from(direction as u8));
        let counted = self.gate_slot(slot)?;
        self.set_gate_slot(slot, counted.saturating_add(wei))
    }

    /// Finds out why a step failed: because of the state, if that could not be read.
    pub(crate) fn explain(&mut self, fault: FaultOf<DB>) -> UnionError<DB::Error> {
        let fault = self.check_state().err().unwrap_or(fault);
        let (chain, step) = (self.chain, self.session.last_index);
        match fault {
            Fault::Script(reason) => UnionError::Script { chain, step, reason },
            Fault::PeerUnavailable(peer) => UnionError::PeerUnavailable(peer),
            Fault::PeerGas { gas_limit, available } => {
                UnionError::PeerGas { chain, gas_limit, available }
            }
            Fault::Evm(EVMError::Transaction(reason)) => UnionError::Transaction(reason),
            Fault::Evm(EVMError::Database(error)) => UnionError::State(error),
            Fault::Evm(error) => UnionError::Evm(error.to_string()),
        }
    }
}

/// Which of a pair's two counters of ether: its offset from [`pair_slot`].
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Direction {
    Sent = 1,
    Received = 2,
}

/// Where the Gate keeps the newest super transaction in which the rollup took part (rule 1.7).
const ORDER_SLOT: U256 = U256::ONE;

/// Where the Gate keeps what it knows of a peer (rule 1.7).
pub fn pair_slot(peer: ChainId) -> U256 {
    keccak256([U256::from(peer).to_be_bytes::<32>(), [0; 32]].concat()).into()
}
