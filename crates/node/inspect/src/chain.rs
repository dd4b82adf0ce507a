//! What a chain adds to its definition so that calls and simulated blocks can run on it.

use crate::{
    CallSite, InspectError,
    execute::{ContextOf, EvmOf, OutcomeOf, failure},
    peers,
};
use alloy_consensus::{EthereumTypedTransaction, Header, SignableTransaction, TxEip4844};
use alloy_evm::{Evm, EvmFactory, precompiles::PrecompilesMap};
use alloy_op_evm::OpTx;
use alloy_primitives::{Address, B256, Bytes, Signature, U256};
use alloy_rpc_types_eth::{Transaction as RpcTransaction, TransactionInfo};
use lockstep_chain::{
    Chain, Ethereum, EthereumHardfork, EthereumTransaction, OpHardfork, Rollup,
    genesis::L2_TO_L1_MESSAGE_PASSER, next_excess_blob_gas,
};
use lockstep_execution::{Execute, StateReader};
use op_alloy_consensus::OpTxEnvelope;
use op_revm::{OpHaltReason, OpTransaction};
use revm::{
    Inspector,
    context::{BlockEnv, TxEnv},
    context_interface::result::HaltReason,
};
use serde_json::{Value, json};

/// The fields of a transaction that nobody signed.
pub type UnsignedTransaction = EthereumTypedTransaction<TxEip4844>;

/// Why the EVM of chain `C` stopped a transaction.
pub(crate) type HaltReasonOf<C> = <<C as Execute>::EvmFactory as EvmFactory>::HaltReason;

/// Runs what is not (or not yet) part of the chain: calls, and blocks that are only simulated.
///
/// The EVM itself is that of [`Execute`]; this says how a call, which nobody signed, looks to it,
/// and what the fork fixes in the header of a block that nobody built.
pub trait Inspect:
    Execute<Header = Header, EvmFactory: EvmFactory<BlockEnv = BlockEnv, Precompiles = PrecompilesMap>>
{
    /// A call in the form that the chain's EVM takes. It pays nothing for its data on L1.
    fn call_env(&self, call: TxEnv) -> <Self::EvmFactory as EvmFactory>::Tx;

    /// Runs a call without making its changes permanent. A chain whose calls go on to other chains
    /// finds them through the site.
    ///
    /// # Errors
    /// [`InspectError::Refused`] if it cannot run; a call that ran and failed is an outcome.
    fn transact_call<S: StateReader, I: Inspector<ContextOf<Self, S>>>(
        &self,
        evm: &mut EvmOf<Self, S, I>,
        call: &TxEnv,
        site: &CallSite<'_>,
    ) -> Result<OutcomeOf<Self>, InspectError> {
        let _ = site;
        match evm.transact_raw(self.call_env(call.clone())) {
            Ok(outcome) => Ok(outcome),
            Err(error) => {
                let base_fee = evm.block().basefee;
                Err(failure(evm.db_mut(), error, call, base_fee))
            }
        }
    }

    /// The reason of a halt in Ethereum's terms; `None` if it has none.
    fn halt_reason(reason: &HaltReasonOf<Self>) -> Option<&HaltReason>;

    /// Sets what the fork of `header` demands of the child of `parent`: the presence of fields,
    /// excess blob gas and extra data. Number, time and difficulty are set already.
    fn fill_fork_fields(&self, header: &mut Header, parent: &Header);

    /// The transaction with an empty signature; `None` if the chain does not know its type.
    fn unsigned(&self, transaction: UnsignedTransaction) -> Option<Self::Transaction>;

    /// The transaction as JSON-RPC shows it; its sender is not recovered from the signature.
    fn transaction_json(
        &self,
        transaction: &Self::Transaction,
        sender: Address,
        info: TransactionInfo,
    ) -> Value;

    /// The reward of a proof-of-work block in wei, without ommers (Yellow Paper § 11.3); `None`
    /// if its fork pays none.
    fn block_reward(&self, header: &Header) -> Option<u128>;

    /// The account whose storage root stands in the header as withdrawals root; `None` if there are
    /// withdrawals instead.
    fn withdrawals_root_account(&self, header: &Header) -> Option<Address> {
        let _ = header;
        None
    }

    /// The highest gas limit that a transaction may state in the block (EIP-7825).
    fn transaction_gas_cap(&self, header: &Header) -> Option<u64>;
}

/// What stands in for a signature where nobody signed.
pub(crate) const NO_SIGNATURE: Signature = Signature::new(U256::ZERO, U256::ZERO, false);

impl Inspect for Ethereum {
    fn call_env(&self, call: TxEnv) -> TxEnv {
        call
    }

    fn halt_reason(reason: &HaltReason) -> Option<&HaltReason> {
        Some(reason)
    }

    fn fill_fork_fields(&self, header: &mut Header, parent: &Header) {
        let fork = self.fork(header);
        if fork >= EthereumHardfork::Shanghai {
            header.withdrawals_root = Some(alloy_consensus::EMPTY_ROOT_HASH);
        }
        if fork >= EthereumHardfork::Cancun {
            header.parent_beacon_block_root.get_or_insert(B256::ZERO);
            header.blob_gas_used = Some(0);
            // The first block with blobs has no parent that counts them (EIP-4844).
            let excess = self
                .blob_params(fork)
                .filter(|_| parent.excess_blob_gas.is_some())
                .map_or(0, |params| next_excess_blob_gas(params, parent));
            header.excess_blob_gas = Some(excess);
        }
        if fork >= EthereumHardfork::Prague {
            header.requests_hash = Some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH);
        }
    }

    fn unsigned(&self, transaction: UnsignedTransaction) -> Option<EthereumTransaction> {
        Some(match transaction {
            UnsignedTransaction::Legacy(tx) => tx.into_signed(NO_SIGNATURE).into(),
            UnsignedTransaction::Eip2930(tx) => tx.into_signed(NO_SIGNATURE).into(),
            UnsignedTransaction::Eip1559(tx) => tx.into_signed(NO_SIGNATURE).into(),
            UnsignedTransaction::Eip4844(tx) => tx.into_signed(NO_SIGNATURE).into(),
            UnsignedTransaction::Eip7702(tx) => tx.into_signed(NO_SIGNATURE).into(),
        })
    }

    fn transaction_json(
        &self,
        transaction: &EthereumTransaction,
        sender: Address,
        info: TransactionInfo,
    ) -> Value {
        let recovered =
            alloy_consensus::transaction::Recovered::new_unchecked(transaction.clone(), sender);
        to_json(&RpcTransaction::from_transaction(recovered, info))
    }

    fn block_reward(&self, header: &Header) -> Option<u128> {
        use alloy_consensus::constants::ETH_TO_WEI;
        match self.fork(header) {
            fork if fork >= EthereumHardfork::Paris => None,
            fork if fork >= EthereumHardfork::Constantinople => Some(2 * ETH_TO_WEI),
            fork if fork >= EthereumHardfork::Byzantium => Some(3 * ETH_TO_WEI),
            _ => Some(5 * ETH_TO_WEI),
        }
    }

    fn transaction_gas_cap(&self, header: &Header) -> Option<u64> {
        let has_cap = self.fork(header) >= EthereumHardfork::Osaka;
        has_cap.then_some(alloy_eips::eip7825::MAX_TX_GAS_LIMIT_OSAKA)
    }
}

impl Inspect for Rollup {
    fn call_env(&self, call: TxEnv) -> OpTx {
        // No bytes, no fee for them (OP spec: Fjord § L1 cost).
        OpTx(OpTransaction { enveloped_tx: Some(Bytes::new()), ..OpTransaction::new(call) })
    }

    fn transact_call<S: StateReader, I: Inspector<ContextOf<Self, S>>>(
        &self,
        evm: &mut EvmOf<Self, S, I>,
        call: &TxEnv,
        site: &CallSite<'_>,
    ) -> Result<OutcomeOf<Self>, InspectError> {
        peers::transact(self, evm, call, site)
    }

    fn halt_reason(reason: &OpHaltReason) -> Option<&HaltReason> {
        match reason {
            OpHaltReason::Base(reason) => Some(reason),
            OpHaltReason::FailedDeposit => None,
        }
    }

    fn fill_fork_fields(&self, header: &mut Header, parent: &Header) {
        let fork = self.fork(header);
        // The parameters of the next base fee stand there (OP spec: Holocene).
        header.extra_data = parent.extra_data.clone();
        if fork >= OpHardfork::Canyon {
            header.withdrawals_root = Some(alloy_consensus::EMPTY_ROOT_HASH);
        }
        if fork >= OpHardfork::Ecotone {
            header.parent_beacon_block_root.get_or_insert(B256::ZERO);
            header.blob_gas_used = Some(0);
            header.excess_blob_gas = Some(0);
        }
        if fork >= OpHardfork::Isthmus {
            header.requests_hash = Some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH);
        }
    }

    fn unsigned(&self, transaction: UnsignedTransaction) -> Option<OpTxEnvelope> {
        Some(match transaction {
            UnsignedTransaction::Legacy(tx) => tx.into_signed(NO_SIGNATURE).into(),
            UnsignedTransaction::Eip2930(tx) => tx.into_signed(NO_SIGNATURE).into(),
            UnsignedTransaction::Eip1559(tx) => tx.into_signed(NO_SIGNATURE).into(),
            UnsignedTransaction::Eip7702(tx) => tx.into_signed(NO_SIGNATURE).into(),
            UnsignedTransaction::Eip4844(_) => return None,
        })
    }

    fn transaction_json(
        &self,
        transaction: &OpTxEnvelope,
        sender: Address,
        info: TransactionInfo,
    ) -> Value {
        let recovered =
            alloy_consensus::transaction::Recovered::new_unchecked(transaction.clone(), sender);
        to_json(&RpcTransaction::from_transaction(recovered, info))
    }

    fn block_reward(&self, _: &Header) -> Option<u128> {
        None
    }

    fn withdrawals_root_account(&self, header: &Header) -> Option<Address> {
        (self.fork(header) >= OpHardfork::Isthmus).then_some(L2_TO_L1_MESSAGE_PASSER)
    }

    fn transaction_gas_cap(&self, _: &Header) -> Option<u64> {
        None
    }
}

/// JSON of a type whose serialization has no way to fail but a map with keys that are not strings.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| json!({ "error": error.to_string() }))
}
