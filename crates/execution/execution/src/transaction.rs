//! The rules for a transaction that need no state: what a pool checks first.

use crate::{Execute, ethereum::spec_id};
use alloy_consensus::{Header, transaction::SignerRecoverable};
use alloy_primitives::Address;
use lockstep_chain::{BodyError, Chain, Ethereum, EthereumHardfork, EthereumTransaction};
use revm::{
    Context, MainContext,
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
    let env = chain.evm_env(header);
    let tx_env = chain.tx_env(transaction, sender);
    let spec = spec_id(fork);
    let gas = validate_initial_tx_gas(&tx_env, spec, false, false, u64::MAX)
        .map_err(TransactionError::Rule)?;
    let context =
        Context::mainnet().with_cfg(env.cfg_env).with_block(env.block_env).with_tx(tx_env);
    validate_tx_env(context, spec).map_err(TransactionError::Rule)?;
    Ok(CheckedTransaction {
        sender,
        intrinsic_gas: gas.initial_total_gas,
        floor_gas: gas.floor_gas,
    })
}
