//! An L1 that others run: what it is, and the rollup's contracts on it.

use crate::{
    DevAccount, Operators, RollupPlan,
    l1_wallet::{Call, L1Wallet, WalletError},
    plan::ALLOWANCE,
};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256};
use lockstep_batcher::{L1Submit, RpcL1};
use lockstep_contracts::{Deployment, SettingsError, l1_deployments};
use lockstep_protocol::BlockInfo;
use lockstep_providers::{ClientError, L1Client, RpcClient};
use serde_json::Value;
use std::time::Duration;

/// Gas to create one of the contracts; EIP-7825 allows twice that.
const CREATE_GAS: u64 = 8_000_000;

/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;

/// How often it is asked whether a transaction was included.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How many times that is asked before the rollup begins, and while it runs.
pub(crate) const POLLS_AT_START: u32 = 1_200;
pub(crate) const POLLS_LATER: u32 = 20;

/// Why a rollup cannot begin on a foreign L1.
#[derive(Debug, thiserror::Error)]
pub enum ForeignL1Error {
    /// It does not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It has no block.
    #[error("it has no block")]
    NoBlock,
    /// The contracts would refuse their settings.
    #[error("the rollup's contracts: {0}")]
    Settings(#[from] SettingsError),
    /// A transaction could not be sent.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// Somebody else used the account meanwhile, so the contracts cannot be where they were to be.
    #[error(
        "{account} has sent transaction {expected}, which was to create {contract}, elsewhere: begin in another folder"
    )]
    NonceUsed {
        /// The account that creates the contracts.
        account: Address,
        /// The nonce.
        expected: u64,
        /// Where the contract should be.
        contract: Address,
    },
    /// A transaction failed.
    #[error("transaction {0} failed")]
    Failed(B256),
    /// The account's transactions were not included in time.
    #[error("{0} has transactions that wait")]
    Waiting(Address),
    /// A transaction was not included in time.
    #[error("transaction {0} was not included")]
    NotIncluded(B256),
}

impl ForeignL1Error {
    /// Whether it passes by itself.
    pub(crate) const fn may_pass(&self) -> bool {
        !matches!(self, Self::Settings(_) | Self::NonceUsed { .. })
    }
}

/// What a foreign L1 is, as far as a rollup must know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ForeignL1 {
    pub(crate) chain_id: u64,
    /// Its newest block.
    pub(crate) head: BlockInfo,
    /// The next nonce of the account that would create contracts.
    pub(crate) nonce: u64,
}

/// Asks a foreign L1 what it is.
pub(crate) fn look_at(l1: &L1Client, deployer: Address) -> Result<ForeignL1, ForeignL1Error> {
    let nonce: U64 = l1.rpc().call("eth_getTransactionCount", &(deployer, "pending"))?;
    Ok(ForeignL1 {
        chain_id: l1.chain_id()?,
        head: l1.block(BlockNumberOrTag::Latest)?.ok_or(ForeignL1Error::NoBlock)?,
        nonce: nonce.to(),
    })
}

/// Whether Osaka is active on a foreign L1, as far as it tells (EIP-7910). Those that do not
/// tell are taken for newer ones.
pub(crate) fn has_osaka(l1: &L1Client) -> Result<bool, ForeignL1Error> {
    let config: Value = match l1.rpc().call("eth_config", &[(); 0]) {
        Ok(config) => config,
        Err(ClientError::Rpc { .. } | ClientError::Unsupported { .. }) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    // EIP-7951 came with Osaka.
    let precompiles = config.pointer("/current/precompiles").and_then(Value::as_object);
    Ok(precompiles.is_none_or(|list| list.contains_key("P256VERIFY")))
}

/// What a rollup needs on a foreign L1: its contracts, and ether for its operators.
#[derive(Clone, Debug)]
pub(crate) struct Settlement {
    pub(crate) rpc: RpcClient,
    pub(crate) chain_id: u64,
    pub(crate) plan: RollupPlan,
    /// Who creates the contracts and gives the ether.
    pub(crate) deployer: DevAccount,
    /// The nonce of the transaction that creates the first contract.
    pub(crate) first_nonce: u64,
    pub(crate) operators: Operators,
}

impl Settlement {
    /// Creates contracts that are not there, and gives ether to operators that have little: at the
    /// beginning, and again after the L1 took some of it back. `pause` waits between questions,
    /// of which there are `polls` for each transaction.
    pub(crate) fn settle(
        &self,
        polls: u32,
        pause: impl Fn(Duration),
    ) -> Result<(), ForeignL1Error> {
        let l1 = RpcL1::new(self.rpc.clone());
        let mut sender = Sender {
            wallet: L1Wallet::new(l1, self.deployer.clone(), self.chain_id),
            polls,
            pause,
        };
        let deployments = l1_deployments(&self.plan.settings, &self.plan.addresses)?;
        for (expected, deployment) in (self.first_nonce..).zip(deployments) {
            let code: Bytes = self.rpc.call("eth_getCode", &(deployment.address, "latest"))?;
            if code.is_empty() {
                self.create(&mut sender, expected, deployment)?;
            }
        }
        for operator in [&self.operators.batcher, &self.operators.proposer] {
            let balance: U256 = self.rpc.call("eth_getBalance", &(operator.address, "latest"))?;
            if balance < ALLOWANCE / U256::from(2) {
                let (to, input) = (TxKind::Call(operator.address), Bytes::new());
                let call = Call { to, value: ALLOWANCE, input, gas_limit: TRANSFER_GAS };
                let nonce = sender.nonce()?;
                sender.send(nonce, call)?;
            }
        }
        Ok(())
    }

    fn create<P: Fn(Duration)>(
        &self,
        sender: &mut Sender<P>,
        expected: u64,
        deployment: Deployment,
    ) -> Result<(), ForeignL1Error> {
        let Deployment { address: contract, init_code: input } = deployment;
        let nonce = sender.nonce()?;
        if nonce != expected {
            let account = self.deployer.address;
            return Err(ForeignL1Error::NonceUsed { account, expected, contract });
        }
        let call = Call { to: TxKind::Create, value: U256::ZERO, input, gas_limit: CREATE_GAS };
        sender.send(nonce, call)?;
        tracing::info!(target: "lockstep_devnet", address = %contract, "created a contract");
        Ok(())
    }
}

/// Sends one transaction after the other.
struct Sender<P> {
    wallet: L1Wallet<RpcL1>,
    polls: u32,
    pause: P,
}

impl<P: Fn(Duration)> Sender<P> {
    /// The next nonce, once nothing of the account waits.
    fn nonce(&mut self) -> Result<u64, ForeignL1Error> {
        for _ in 0..self.polls {
            if let Some(nonce) = self.wallet.free_nonce()? {
                return Ok(nonce);
            }
            (self.pause)(POLL_INTERVAL);
        }
        Err(ForeignL1Error::Waiting(self.wallet.address()))
    }

    /// Sends a transaction and waits until it is in a block.
    fn send(&mut self, nonce: u64, call: Call) -> Result<(), ForeignL1Error> {
        let hash = self.wallet.send(nonce, call)?;
        for _ in 0..self.polls {
            match self.wallet.l1().inclusion(hash).map_err(WalletError::from)? {
                Some(inclusion) if inclusion.succeeded => return Ok(()),
                Some(_) => return Err(ForeignL1Error::Failed(hash)),
                None => (self.pause)(POLL_INTERVAL),
            }
        }
        Err(ForeignL1Error::NotIncluded(hash))
    }
}
