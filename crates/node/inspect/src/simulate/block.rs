//! One simulated block.

use super::{
    SimulateRequest,
    schedule::Planned,
    transfers::{NumberedLog, Transfers},
};
use crate::{
    CallOutcome, CallSite, Ending, Inspect, InspectError, Limits, Overlay, Refusal,
    chain::to_json,
    execute::{EvmOf, environment, override_header, state_failure, transact, waive_fees},
    limits::{Recorded, Watch},
    precompiles::{WarmAddresses, override_precompiles},
    request::{self, Defaults},
    revert::revert_message,
};
use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, Eip658Value, Header, Receipt, Sealable, Sealed,
    transaction::TxHashRef,
};
use alloy_eips::eip4895::Withdrawal;
use alloy_evm::{Evm, EvmFactory};
use alloy_primitives::{Address, B256, Log, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_rpc_types_eth::{TransactionInfo, TransactionRequest};
use core::cmp::Ordering;
use lockstep_chain::{
    Block,
    body::{transactions_root, withdrawals_root},
};
use lockstep_execution::{
    BlockParts, BlockState, EvmEnvOf, ExecutionError, Progress, StateChanges, StateCommitment,
    StateReader,
};
use lockstep_trie::NodeSource;
use revm::{DatabaseCommit, context::TxEnv};
use serde_json::{Value, json};

/// The error code of a call that the EVM stopped (execution-apis: `eth_simulateV1` § errors).
const VM_ERROR: i32 = -32015;

/// What the blocks of a simulation hand on.
pub(super) struct Simulation<'a, C: Inspect, S> {
    pub(super) chain: &'a C,
    pub(super) request: &'a SimulateRequest,
    pub(super) limits: &'a Limits<'a>,
    pub(super) overlay: Overlay<S>,
    pub(super) commitment: C::Commitment,
    /// Gas that all further calls may use together.
    pub(super) gas_left: u64,
    /// When the block was made that the simulation begins on, in seconds.
    pub(super) timestamp: u64,
}

/// What a block's calls leave behind.
struct Ran<C: Inspect> {
    transactions: Vec<C::Transaction>,
    senders: Vec<Address>,
    receipts: Vec<C::Receipt>,
    outcomes: Vec<(CallOutcome, Vec<NumberedLog>)>,
    next_log: u64,
    progress: Progress,
    /// Gas that further calls may use.
    gas_left: u64,
}

type Observer<'a> = (WarmAddresses, (Watch<'a>, Transfers));

impl<'a, C: Inspect, S: StateReader + NodeSource> Simulation<'a, C, S> {
    /// Runs a block on its parent; returns its header and what the user gets to see.
    pub(super) fn run(
        &mut self,
        planned: &Planned<'_>,
        parent: &Sealed<Header>,
    ) -> Result<(Sealed<Header>, Value), InspectError> {
        let mut header = self.header(planned, parent)?;
        let accounts = planned.block.and_then(|block| block.state_overrides.as_ref());
        if let Some(accounts) = accounts {
            self.overlay.override_accounts(accounts, self.commitment.trie())?;
        }
        let calls = planned.block.and_then(|block| block.calls.as_deref()).unwrap_or_default();
        let withdrawals = planned.overrides().and_then(|overrides| overrides.withdrawals.as_ref());
        let withdrawals = withdrawals.map(Vec::as_slice).unwrap_or_default();

        let env = self.environment(planned, &header);
        let mut evm = self.plain_evm(&header, self.state(&header), env.clone());
        if let Some(accounts) = accounts {
            override_precompiles(evm.precompiles_mut(), accounts)?;
        }
        self.chain.before_transactions(&mut evm, &header).map_err(execution_failure)?;
        let site = self.site(&header, parent);
        let calling = Calling { simulation: self, planned, header: &header, env: &env, site };
        let (ran, state) = calling.run(calls, evm.into_db())?;
        let mut evm = self.plain_evm(&header, state, env);
        let parts = BlockParts { ommers: &[], withdrawals };
        let requests = self.chain.after_transactions(&mut evm, &header, parts, &ran.receipts);
        let requests_hash = requests.map_err(execution_failure)?.requests_hash();
        let changes = evm.into_db().into_changes();
        self.gas_left = ran.gas_left;
        self.overlay.apply(&changes);
        header.state_root = commit(&mut self.commitment, &changes, self.overlay.base())?;
        header.requests_hash = header.requests_hash.map(|_| requests_hash);
        self.seal(header, ran, withdrawals)
    }

    /// Where the block's calls run, for those that go on to other rollups: each finds them as they are.
    fn site(&self, header: &Header, parent: &Header) -> CallSite<'a> {
        // Without validation a block that states no base fee has none, but gas has its price still.
        let stated = header.base_fee_per_gas.filter(|base_fee| *base_fee > 0);
        let base_fee = stated.or_else(|| self.chain.next_base_fee(parent, header.timestamp));
        let base_fee = base_fee.unwrap_or_default();
        let (timestamp, limits) = (self.timestamp, *self.limits);
        CallSite { base_fee, timestamp, limits, peer_fee_percent: 100 }
    }

    /// The header as far as it is known before the block runs.
    fn header(
        &self,
        planned: &Planned<'_>,
        parent: &Sealed<Header>,
    ) -> Result<Header, InspectError> {
        let mut header = Header {
            parent_hash: parent.hash(),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: parent.beneficiary,
            difficulty: parent.difficulty,
            gas_limit: parent.gas_limit,
            ..Header::default()
        };
        if let Some(overrides) = planned.overrides() {
            override_header(&mut header, &overrides.header)?;
            header.parent_beacon_block_root = overrides.header.beacon_root;
        }
        header.number = planned.number;
        header.timestamp = planned.timestamp;
        let next_base_fee = self.chain.next_base_fee(parent, planned.timestamp);
        if header.base_fee_per_gas.is_none()
            && (next_base_fee.is_some() || parent.base_fee_per_gas.is_some())
        {
            let validated = next_base_fee.filter(|_| self.request.validation);
            header.base_fee_per_gas = Some(validated.unwrap_or_default());
        }
        self.chain.fill_fork_fields(&mut header, parent);
        Ok(header)
    }

    fn state(&self, header: &Header) -> BlockState<&Overlay<S>> {
        BlockState::new(&self.overlay, self.chain.state_rules(header))
    }

    fn environment(&self, planned: &Planned<'_>, header: &Header) -> EvmEnvOf<C> {
        let blob_base_fee =
            planned.overrides().and_then(|overrides| overrides.header.blob_base_fee);
        let mut env = environment(self.chain, header, blob_base_fee);
        env.cfg_env.disable_eip3607 = true;
        env.cfg_env.disable_nonce_check = !self.request.validation;
        // The calls of a block are held against its gas limit by `Calling`.
        env.cfg_env.disable_block_gas_limit = true;
        env.cfg_env.tx_gas_limit_cap = Some(u64::MAX);
        env
    }

    fn plain_evm<'s>(
        &self,
        header: &Header,
        state: BlockState<&'s Overlay<S>>,
        env: EvmEnvOf<C>,
    ) -> EvmOf<C, &'s Overlay<S>, revm::inspector::NoOpInspector> {
        self.chain.evm_factory(header).create_evm(state, env)
    }

    /// Fills in what the run decided, and shows the block.
    fn seal(
        &mut self,
        mut header: Header,
        ran: Ran<C>,
        withdrawals: &[Withdrawal],
    ) -> Result<(Sealed<Header>, Value), InspectError> {
        header.gas_used = ran.progress.gas_used;
        header.blob_gas_used = header.blob_gas_used.map(|_| ran.progress.blob_gas_used);
        (header.receipts_root, header.logs_bloom) =
            self.chain.receipts_root(&header, &ran.receipts);
        header.transactions_root = transactions_root(&ran.transactions);
        let has_withdrawals = header.withdrawals_root.is_some();
        if has_withdrawals {
            header.withdrawals_root = Some(match self.chain.withdrawals_root_account(&header) {
                Some(account) => {
                    let trie = self.commitment.trie().ok_or(InspectError::NoTrie)?;
                    let account = trie.account(keccak256(account), self.overlay.base());
                    let account = account.map_err(|error| InspectError::Trie(error.to_string()))?;
                    account.map_or(lockstep_trie::EMPTY_ROOT_HASH, |account| account.storage_root)
                }
                None => withdrawals_root(withdrawals),
            });
        }
        let header = header.seal_slow();
        self.overlay.set_block_hash(header.number, header.hash());
        let body = BlockBody {
            transactions: ran.transactions,
            ommers: Vec::new(),
            withdrawals: has_withdrawals.then(|| withdrawals.to_vec().into()),
        };
        let block: Block<C> = header.inner().clone().into_block(body);
        let json = self.show(&header, &block, &ran.senders, &ran.outcomes);
        Ok((header, json))
    }

    /// The block as the user gets to see it.
    fn show(
        &self,
        header: &Sealed<Header>,
        block: &Block<C>,
        senders: &[Address],
        outcomes: &[(CallOutcome, Vec<NumberedLog>)],
    ) -> Value {
        let shown = alloy_rpc_types_eth::Header {
            hash: header.hash(),
            inner: header.inner().clone(),
            total_difficulty: None,
            size: Some(U256::from(block.length())),
        };
        let mut json = to_json(&shown);
        let transactions = &block.body.transactions;
        let info = |index: usize, transaction: &C::Transaction| TransactionInfo {
            hash: Some(*transaction.tx_hash()),
            index: Some(index as u64),
            block_hash: Some(header.hash()),
            block_number: Some(header.number),
            base_fee: header.base_fee_per_gas,
            block_timestamp: Some(header.timestamp),
        };
        let calls: Vec<Value> = outcomes
            .iter()
            .zip(transactions)
            .enumerate()
            .map(|(index, ((outcome, logs), transaction))| {
                show_call(outcome, logs, &info(index, transaction))
            })
            .collect();
        let transactions: Vec<Value> = transactions
            .iter()
            .zip(senders)
            .enumerate()
            .map(|(index, (transaction, sender))| {
                if self.request.return_full_transactions {
                    self.chain.transaction_json(transaction, *sender, info(index, transaction))
                } else {
                    json!(transaction.tx_hash())
                }
            })
            .collect();
        if let Value::Object(fields) = &mut json {
            fields.insert("calls".into(), calls.into());
            fields.insert("transactions".into(), transactions.into());
            fields.insert("uncles".into(), json!([]));
            if let Some(withdrawals) = &block.body.withdrawals {
                fields.insert("withdrawals".into(), to_json(withdrawals));
            }
        }
        json
    }
}

/// The calls of a block, on their way.
struct Calling<'s, 'a, C: Inspect, S> {
    simulation: &'s Simulation<'a, C, S>,
    planned: &'s Planned<'s>,
    header: &'s Header,
    env: &'s EvmEnvOf<C>,
    site: CallSite<'a>,
}

impl<C: Inspect, S: StateReader + NodeSource> Calling<'_, '_, C, S> {
    fn run<'o>(
        &self,
        calls: &[TransactionRequest],
        mut state: BlockState<&'o Overlay<S>>,
    ) -> Result<(Ran<C>, BlockState<&'o Overlay<S>>), InspectError> {
        let mut ran = Ran {
            transactions: Vec::with_capacity(calls.len()),
            senders: Vec::with_capacity(calls.len()),
            receipts: Vec::with_capacity(calls.len()),
            outcomes: Vec::with_capacity(calls.len()),
            next_log: 0,
            progress: Progress::default(),
            gas_left: self.simulation.gas_left,
        };
        for call in calls {
            state = self.call(call, state, &mut ran)?;
        }
        Ok((ran, state))
    }

    fn call<'o>(
        &self,
        request: &TransactionRequest,
        mut state: BlockState<&'o Overlay<S>>,
        ran: &mut Ran<C>,
    ) -> Result<BlockState<&'o Overlay<S>>, InspectError> {
        let Simulation { chain, limits, request: options, .. } = self.simulation;
        let call = self.fill(request, &mut state, ran.gas_left, ran.progress.gas_used)?;
        let unsigned = chain.unsigned(request::unsigned(&call)).ok_or_else(|| {
            InspectError::Argument(format!(
                "the chain has no transactions of type {}",
                call.tx_type
            ))
        })?;
        let admitted = chain.admit(&mut state, self.header, &unsigned, &ran.progress);
        let blob_gas_used = admitted.map_err(execution_failure)?;

        let mut env = self.env.clone();
        if !options.validation {
            let base_fee = env.block_env.basefee;
            waive_fees::<C>(&mut env, &call);
            // Unlike in `eth_call` the block's base fee is one that the user chose.
            env.block_env.basefee = base_fee;
        }
        let transfers = Transfers::new(options.trace_transfers, ran.next_log);
        let watch = Watch::new(**limits, Recorded::default());
        let observer: Observer<'_> = (WarmAddresses::default(), (watch, transfers));
        let factory = chain.evm_factory(self.header);
        let mut evm = factory.create_evm_with_inspector(state, env, observer);
        if let Some(accounts) = self.planned.block.and_then(|block| block.state_overrides.as_ref())
        {
            evm.inspector_mut().0 = override_precompiles(evm.precompiles_mut(), accounts)?;
        }
        let sender = call.caller;
        let result = transact(*chain, &mut evm, &call, &self.site);
        if let Some(verdict) = evm.inspector().1.0.verdict() {
            return Err(verdict);
        }
        let outcome = result?;
        evm.db_mut().commit(outcome.state);
        let told = core::mem::take(&mut evm.inspector_mut().1.1);
        let mut state = evm.into_db();

        let outcome = CallOutcome::new::<C>(outcome.result);
        ran.gas_left = ran.gas_left.saturating_sub(outcome.gas_used);
        ran.progress.transactions += 1;
        ran.progress.gas_used += outcome.gas_used;
        ran.progress.blob_gas_used += blob_gas_used;
        let receipt = Receipt {
            status: self.status(&outcome, &mut state)?,
            cumulative_gas_used: ran.progress.gas_used,
            logs: outcome.logs.clone(),
        };
        ran.receipts.push(chain.receipt(self.header, &unsigned, receipt, None));
        ran.next_log = told.next();
        ran.transactions.push(unsigned);
        ran.senders.push(sender);
        ran.outcomes.push((outcome, told.into_logs()));
        Ok(state)
    }

    /// The call with every field filled in.
    fn fill(
        &self,
        request: &TransactionRequest,
        state: &mut BlockState<&Overlay<S>>,
        gas_left: u64,
        gas_used: u64,
    ) -> Result<TxEnv, InspectError> {
        if self.simulation.limits.is_stopped() {
            return Err(InspectError::Stopped);
        }
        let limit = self.header.gas_limit;
        let remaining = limit.saturating_sub(gas_used);
        let gas = request.gas.unwrap_or(remaining);
        if gas > remaining {
            return Err(InspectError::BlockGasLimit { used: gas_used.saturating_add(gas), limit });
        }
        let nonce = match state.account(&request::sender(request)) {
            Ok(account) => account.map_or(0, |info| info.nonce),
            Err(error) => return Err(state_failure(state, error)),
        };
        let base_fee = self.header.base_fee_per_gas;
        let defaults = Defaults { base_fee, gas_cap: gas_left, nonce };
        let mut call = request::call_env(self.simulation.chain, request, defaults)?;
        call.gas_limit = gas.min(gas_left);
        if self.simulation.request.validation {
            check_nonce(&call, nonce)?;
        }
        Ok(call)
    }

    /// Status, or before Byzantium the state root after the call.
    fn status(
        &self,
        outcome: &CallOutcome,
        state: &mut BlockState<&Overlay<S>>,
    ) -> Result<Eip658Value, InspectError> {
        if !self.simulation.chain.has_intermediate_roots(self.header) {
            return Ok(Eip658Value::Eip658(outcome.is_success()));
        }
        let mut commitment = self.simulation.commitment.clone();
        let root = commit(&mut commitment, &state.changes(), self.simulation.overlay.base())?;
        Ok(Eip658Value::PostState(root))
    }
}

/// Moves a commitment on by `changes` and returns its root.
fn commit(
    commitment: &mut impl StateCommitment,
    changes: &StateChanges,
    source: &impl NodeSource,
) -> Result<B256, InspectError> {
    let root = commitment.commit(changes, source, |_, _, _| ());
    root.map_err(|error| InspectError::Trie(error.to_string()))
}

/// The nonce is the sender's next one. revm checks that after the fees, go-ethereum before them, and
/// the error that a user gets is the first.
fn check_nonce(call: &TxEnv, state: u64) -> Result<(), InspectError> {
    let (address, tx) = (call.caller, call.nonce);
    let reason = match tx.cmp(&state) {
        Ordering::Less => Refusal::NonceTooLow { address, tx, state },
        Ordering::Greater => Refusal::NonceTooHigh { address, tx, state },
        Ordering::Equal if state == u64::MAX => Refusal::NonceMax { address, nonce: state },
        Ordering::Equal => return Ok(()),
    };
    Err(InspectError::Refused { reason, gas: call.gas_limit })
}

/// What a call did, as the user gets to see it.
fn show_call(outcome: &CallOutcome, logs: &[NumberedLog], info: &TransactionInfo) -> Value {
    let empty = Default::default();
    let (output, error) = match &outcome.ending {
        Ending::Success(output) => (output, None),
        Ending::Reverted(output) => {
            let error = json!({ "code": 3, "message": revert_message(output), "data": output });
            (&empty, Some(error))
        }
        Ending::Halted { message, .. } => {
            (&empty, Some(json!({ "code": VM_ERROR, "message": message })))
        }
    };
    let logs: Vec<Value> = logs.iter().map(|(number, log)| show_log(log, info, *number)).collect();
    let mut call = json!({
        "returnData": output,
        "logs": logs,
        "gasUsed": U256::from(outcome.gas_used),
        "maxUsedGas": U256::from(outcome.max_gas_used),
        "status": U256::from(u8::from(outcome.is_success())),
    });
    if let (Value::Object(fields), Some(error)) = (&mut call, error) {
        fields.insert("error".into(), error);
    }
    call
}

fn show_log(log: &Log, info: &TransactionInfo, index: u64) -> Value {
    to_json(&alloy_rpc_types_eth::Log {
        inner: log.clone(),
        block_hash: info.block_hash,
        block_number: info.block_number,
        block_timestamp: info.block_timestamp,
        transaction_hash: info.hash,
        transaction_index: info.index,
        log_index: Some(index),
        removed: false,
    })
}

fn execution_failure<E: core::error::Error + Send + Sync + 'static>(
    error: ExecutionError<E>,
) -> InspectError {
    match error {
        ExecutionError::State(error) => InspectError::state(error),
        ExecutionError::GasLimit { gas_limit, available, .. } => {
            InspectError::BlockGasLimit { used: gas_limit, limit: available }
        }
        other => InspectError::Evm(other.to_string()),
    }
}
