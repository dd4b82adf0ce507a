//! Send transactions to L1.

use crate::DevAccount;
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use lockstep_batcher::{L1Submit, NonceAt, SendOutcome, SourceError};

/// An offer of so many times the base fee outlasts twenty full blocks.
const BASE_FEES: u128 = 10;

/// The least tip, in wei per gas.
const LEAST_TIP: u128 = 1_000_000;

/// Why a transaction was not sent.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The L1 does not answer. Try again later.
    #[error(transparent)]
    L1(#[from] SourceError),
    /// The L1 did not take the transaction.
    #[error("the L1 refused transaction {nonce} of {account}: {outcome:?}")]
    Refused {
        /// Who sent it.
        account: Address,
        /// Its nonce.
        nonce: u64,
        /// What the L1 said.
        outcome: SendOutcome,
    },
    /// The key does not sign.
    #[error("signing: {0}")]
    Signer(#[from] alloy_signer::Error),
}

/// What a transaction does.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) to: TxKind,
    pub(crate) value: U256,
    pub(crate) input: Bytes,
    pub(crate) gas_limit: u64,
}

/// An account on L1, with its key.
#[derive(Debug)]
pub(crate) struct L1Wallet<L1> {
    l1: L1,
    account: DevAccount,
    chain_id: u64,
}

impl<L1: L1Submit> L1Wallet<L1> {
    pub(crate) const fn new(l1: L1, account: DevAccount, chain_id: u64) -> Self {
        Self { l1, account, chain_id }
    }

    pub(crate) const fn l1(&mut self) -> &mut L1 {
        &mut self.l1
    }

    pub(crate) const fn address(&self) -> Address {
        self.account.address
    }

    /// The next nonce on the chain, if no transaction of the account waits in the pool.
    pub(crate) fn free_nonce(&mut self) -> Result<Option<u64>, WalletError> {
        let latest = self.l1.nonce(self.account.address, NonceAt::Latest)?;
        let pending = self.l1.nonce(self.account.address, NonceAt::Pending)?;
        Ok((pending <= latest).then_some(latest))
    }

    /// Sends a transaction; its hash.
    pub(crate) fn send(&mut self, nonce: u64, call: Call) -> Result<B256, WalletError> {
        let head = self.l1.head()?;
        let tip = head.tip.max(LEAST_TIP);
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: call.gas_limit,
            max_fee_per_gas: head.base_fee.saturating_mul(BASE_FEES).saturating_add(tip),
            max_priority_fee_per_gas: tip,
            to: call.to,
            value: call.value,
            access_list: Default::default(),
            input: call.input,
        };
        let signature = self.account.signer.sign_hash_sync(&transaction.signature_hash())?;
        let signed = TxEnvelope::from(transaction.into_signed(signature));
        match self.l1.send(&signed.encoded_2718())? {
            SendOutcome::Accepted | SendOutcome::AlreadyKnown => Ok(*signed.tx_hash()),
            outcome => Err(WalletError::Refused { account: self.account.address, nonce, outcome }),
        }
    }
}
