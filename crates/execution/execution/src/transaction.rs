//! The rules for a transaction that need no state: what a pool checks first.

use crate::Execute;
use alloc::string::ToString;
use alloy_consensus::{Header, Typed2718, transaction::SignerRecoverable};
use alloy_primitives::Address;
use lockstep_chain::{
    BodyError, Chain, Ethereum, EthereumHardfork, EthereumTransaction, OpHardfork, Rollup,
};
use op_alloy_consensus::{OpTxEnvelope, OpTxType};
use revm::{
    Context, MainContext,
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::result::InvalidTransaction,
    handler::validation::{validate_initial_tx_gas, validate_tx_env},
};

/// What is known of a transaction that passed [`validate_transaction`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedTransaction {
    /// Who signed it.
    pub sender: Address,
    /// The gas it costs before its first opcode.
    pub intrinsic_gas: u64,
    /// The gas it costs at least, for its data (EIP-7623); zero before Prague.
    pub floor_gas: u64,
}

/// Why a transaction can stand in no block like the one asked about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// The fork does not know its type or the form of its signature, or nobody signed it.
    #[error(transparent)]
    Form(#[from] BodyError),
    /// It breaks a rule that the EVM checks before it runs.
    #[error("{0}")]
    Rule(InvalidTransaction),
}

/// Checks a transaction against everything that block `header` demands of it, whatever the state.
///
/// # Errors
/// The first broken rule.
pub fn validate_transaction(
    chain: &Ethereum,
    header: &Header,
    transaction: &EthereumTransaction,
) -> Result<CheckedTransaction, TransactionError> {
    let fork = chain.fork(header);
    chain.validate_transaction_form(fork, 0, transaction)?;
    let sender = if fork >= EthereumHardfork::Homestead {
        transaction.recover_signer()
    } else {
        transaction.recover_signer_unchecked()
    }
    .map_err(|_| BodyError::Sender { index: 0 })?;
    check_transaction(chain, header, transaction, sender)
}

/// [`validate_transaction`] for a transaction whose signature was already recovered to `sender`.
///
/// # Errors
/// The first broken rule.
pub fn check_transaction(
    chain: &Ethereum,
    header: &Header,
    transaction: &EthereumTransaction,
    sender: Address,
) -> Result<CheckedTransaction, TransactionError> {
    let fork = chain.fork(header);
    chain.validate_transaction_form(fork, 0, transaction)?;
    let env = chain.evm_env(header);
    check_env(chain.tx_env(transaction, sender), env.cfg_env, env.block_env, sender)
}

/// Checks a rollup's transaction, whose signature was recovered to `sender`, against everything
/// that block `header` demands of it, whatever the state. A deposit passes no such check: nobody
/// but the derivation puts it into a block.
///
/// # Errors
/// The first broken rule; [`BodyError::TransactionType`] for a deposit and for types that the fork
/// does not know.
pub fn check_rollup_transaction(
    chain: &Rollup,
    header: &Header,
    transaction: &OpTxEnvelope,
    sender: Address,
) -> Result<CheckedTransaction, TransactionError> {
    let fork = chain.fork(header);
    let known = match transaction.tx_type() {
        OpTxType::Deposit | OpTxType::PostExec => false,
        OpTxType::Eip7702 => fork >= OpHardfork::Isthmus,
        _ => true,
    };
    if !known {
        let (ty, fork) = (transaction.ty(), fork.to_string());
        return Err(BodyError::TransactionType { index: 0, ty, fork }.into());
    }
    let env = chain.evm_env(header);
    let spec = env.cfg_env.spec.into_eth_spec();
    let cfg = env.cfg_env.with_spec_and_mainnet_gas_params(spec);
    check_env(chain.tx_env(transaction, sender).0.base, cfg, env.block_env, sender)
}

fn check_env(
    tx_env: TxEnv,
    cfg: CfgEnv,
    block: BlockEnv,
    sender: Address,
) -> Result<CheckedTransaction, TransactionError> {
    let spec = cfg.spec;
    let gas = validate_initial_tx_gas(&tx_env, spec, false, false, u64::MAX)
        .map_err(TransactionError::Rule)?;
    let context = Context::mainnet().with_cfg(cfg).with_block(block).with_tx(tx_env);
    validate_tx_env(context, spec).map_err(TransactionError::Rule)?;
    Ok(CheckedTransaction {
        sender,
        intrinsic_gas: gas.initial_total_gas,
        floor_gas: gas.floor_gas,
    })
}
