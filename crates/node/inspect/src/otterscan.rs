//! What the Otterscan explorer asks for beyond the standard methods (`ots_*`).

use crate::{
    CallOutcome, Ending, Inspect, InspectError, Limits, ReplayBlock,
    parity::{inspect_transaction, transaction_traces},
};
use alloy_consensus::{Transaction, TxReceipt, transaction::TxHashRef};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_rpc_types_trace::{
    otterscan::{InternalIssuance, InternalOperation, OperationType, TraceEntry},
    parity::{Action, CallType, TraceOutput},
};
use lockstep_execution::StateReader;
use revm_inspectors::transfer::{TransferInspector, TransferKind};

/// `ots_getInternalOperations`: the transfers and creations inside the transaction at `index`.
///
/// # Errors
/// As [`transaction_traces`].
pub fn internal_operations<C: Inspect, S: StateReader>(
    chain: &C,
    block: ReplayBlock<'_, C>,
    parent_state: S,
    index: usize,
    limits: &Limits<'_>,
) -> Result<Vec<InternalOperation>, InspectError> {
    let observer = Internal(TransferInspector::internal_only());
    let (_, observer) = inspect_transaction(chain, block, parent_state, index, observer, limits)?;
    let operations = observer.0.into_transfers().into_iter().map(|transfer| InternalOperation {
        r#type: match transfer.kind {
            TransferKind::Call => OperationType::OpTransfer,
            TransferKind::Create => OperationType::OpCreate,
            TransferKind::Create2 => OperationType::OpCreate2,
            TransferKind::SelfDestruct => OperationType::OpSelfDestruct,
        },
        from: transfer.from,
        to: transfer.to,
        value: transfer.value,
    });
    Ok(operations.collect())
}

/// Transfers below the outermost frame; a default one would see that, too.
#[derive(Debug)]
struct Internal(TransferInspector);

impl Default for Internal {
    fn default() -> Self {
        Self(TransferInspector::internal_only())
    }
}

impl<CTX: revm::context_interface::ContextTr> revm::Inspector<CTX> for Internal {
    fn call(
        &mut self,
        context: &mut CTX,
        inputs: &mut revm::interpreter::CallInputs,
    ) -> Option<revm::interpreter::CallOutcome> {
        self.0.call(context, inputs)
    }

    fn create(
        &mut self,
        context: &mut CTX,
        inputs: &mut revm::interpreter::CreateInputs,
    ) -> Option<revm::interpreter::CreateOutcome> {
        self.0.create(context, inputs)
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        revm::Inspector::<CTX>::selfdestruct(&mut self.0, contract, target, value);
    }
}

/// `ots_traceTransaction`: the calls of the transaction at `index`, flat and in order.
///
/// # Errors
/// As [`transaction_traces`].
pub fn otterscan_trace<C: Inspect, S: StateReader>(
    chain: &C,
    block: ReplayBlock<'_, C>,
    parent_state: S,
    index: usize,
    limits: &Limits<'_>,
) -> Result<Vec<TraceEntry>, InspectError> {
    let traces = transaction_traces(chain, block, parent_state, index, limits)?;
    let entries = traces.into_iter().filter_map(|trace| {
        let depth = u32::try_from(trace.trace.trace_address.len()).unwrap_or(u32::MAX);
        let output = trace.trace.result.as_ref().map(|result| result.output().clone());
        let output = output.unwrap_or_default();
        match trace.trace.action {
            Action::Call(call) => {
                // A delegated call sends nothing of its own.
                let sends =
                    !matches!(call.call_type, CallType::DelegateCall | CallType::StaticCall);
                Some(TraceEntry {
                    r#type: call.call_type.to_string(),
                    depth,
                    from: call.from,
                    to: call.to,
                    value: sends.then_some(call.value),
                    input: call.input,
                    output,
                })
            }
            Action::Create(create) => {
                let to = match trace.trace.result {
                    Some(TraceOutput::Create(created)) => created.address,
                    _ => Address::ZERO,
                };
                Some(TraceEntry {
                    r#type: "CREATE".into(),
                    depth,
                    from: create.from,
                    to,
                    value: Some(create.value),
                    input: create.init,
                    output,
                })
            }
            Action::Selfdestruct(destroyed) => Some(TraceEntry {
                r#type: "SELFDESTRUCT".into(),
                depth,
                from: destroyed.address,
                to: destroyed.refund_address,
                value: Some(destroyed.balance),
                input: Bytes::new(),
                output: Bytes::new(),
            }),
            Action::Reward(_) => None,
        }
    });
    Ok(entries.collect())
}

/// `ots_getTransactionError`: what the transaction at `index` reverted with; empty if it did not.
///
/// # Errors
/// As [`transaction_traces`].
pub fn transaction_error<C: Inspect, S: StateReader>(
    chain: &C,
    block: ReplayBlock<'_, C>,
    parent_state: S,
    index: usize,
    limits: &Limits<'_>,
) -> Result<Bytes, InspectError> {
    let observer = revm::inspector::NoOpInspector;
    let (outcome, _) = inspect_transaction(chain, block, parent_state, index, observer, limits)?;
    match CallOutcome::new::<C>(outcome.result).ending {
        Ending::Reverted(output) => Ok(output),
        Ending::Success(_) | Ending::Halted { .. } => Ok(Bytes::new()),
    }
}

/// Who created a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContractCreation {
    /// The transaction.
    pub hash: B256,
    /// Who created it: the transaction's sender, or the contract that did.
    pub creator: Address,
}

/// `ots_getContractCreator`, second half: which transaction of a block created the contract at
/// `address`. The block is the one that [`first_block_with_code`] finds.
///
/// # Errors
/// As [`crate::block_traces`].
pub fn contract_creation<C: Inspect, S: StateReader>(
    chain: &C,
    block: ReplayBlock<'_, C>,
    parent_state: S,
    address: Address,
    limits: &Limits<'_>,
) -> Result<Option<ContractCreation>, InspectError> {
    let traces = crate::parity::block_traces(chain, block, parent_state, limits)?;
    Ok(traces.into_iter().find_map(|trace| {
        let created = match &trace.trace.result {
            Some(TraceOutput::Create(created)) => created.address,
            _ => return None,
        };
        let creator = trace.trace.action.as_create()?.from;
        let hash = trace.transaction_hash?;
        (created == address).then_some(ContractCreation { hash, creator })
    }))
}

/// `ots_getContractCreator`, first half: the first block after which there is code at `address`, up
/// to block `newest`; `None` if there is none at `newest`.
///
/// Asks for at most 65 states. A contract that was destroyed and created anew is found at one of
/// its creations.
///
/// # Errors
/// What `state_after` fails with, and [`InspectError::State`].
pub fn first_block_with_code<S: StateReader>(
    address: &Address,
    newest: u64,
    mut state_after: impl FnMut(u64) -> Result<S, InspectError>,
) -> Result<Option<u64>, InspectError> {
    let mut has_code = |number: u64| -> Result<bool, InspectError> {
        let account = state_after(number)?.account(address).map_err(InspectError::state)?;
        Ok(account.is_some_and(|info| !info.is_empty_code_hash()))
    };
    if !has_code(newest)? {
        return Ok(None);
    }
    let (mut low, mut high) = (0, newest);
    while low < high {
        let middle = low + (high - low) / 2;
        if has_code(middle)? {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(Some(high))
}

/// `ots_getBlockDetails`: what the transactions of a block paid for gas, in wei.
pub fn total_fees<C: Inspect>(block: ReplayBlock<'_, C>, receipts: &[C::Receipt]) -> U256 {
    let base_fee = block.block.header.base_fee_per_gas;
    let mut before = 0;
    let fees = block.block.body.transactions.iter().zip(receipts).map(|(transaction, receipt)| {
        let gas_used = receipt.cumulative_gas_used().saturating_sub(before);
        before = receipt.cumulative_gas_used();
        U256::from(gas_used) * U256::from(transaction.effective_gas_price(base_fee))
    });
    fees.fold(U256::ZERO, U256::saturating_add)
}

/// `ots_getBlockDetails`: what a block brought into being, in wei; nothing since proof of stake.
pub fn issuance<C: Inspect>(chain: &C, block: ReplayBlock<'_, C>) -> InternalIssuance {
    let header = &block.block.header;
    let Some(reward) = chain.block_reward(header) else { return InternalIssuance::default() };
    let ommers = &block.block.body.ommers;
    let uncle_reward: u128 = ommers
        .iter()
        .map(|ommer| {
            let age = header.number.saturating_sub(ommer.number).min(8);
            reward * u128::from(8 - age) / 8
        })
        .sum();
    let block_reward = reward + reward / 32 * ommers.len() as u128;
    InternalIssuance {
        block_reward: U256::from(block_reward),
        uncle_reward: U256::from(uncle_reward),
        issuance: U256::from(block_reward.saturating_add(uncle_reward)),
    }
}

/// The transaction of `sender` with `nonce` in a block, for `ots_getTransactionBySenderAndNonce`.
pub fn transaction_by_nonce<C: Inspect>(
    block: ReplayBlock<'_, C>,
    sender: Address,
    nonce: u64,
) -> Option<B256> {
    for (transaction, from) in block.block.body.transactions.iter().zip(block.senders) {
        if *from == sender && transaction.nonce() == nonce {
            return Some(*transaction.tx_hash());
        }
    }
    None
}

/// Whether a transaction creates a contract, and where its code would be.
pub fn created_address(transaction: &impl Transaction, sender: Address) -> Option<Address> {
    match transaction.kind() {
        TxKind::Create => Some(sender.create(transaction.nonce())),
        TxKind::Call(_) => None,
    }
}
