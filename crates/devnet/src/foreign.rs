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
    /// The L1 took back transactions that came before those that create contracts.
    #[error("{account} has sent {found} transactions, but {expected} came before a contract")]
    TakenBack {
        /// The account that creates the contracts.
        account: Address,
        /// The nonce of the transaction that creates the contract.
        expected: u64,
        /// The next nonce.
        found: u64,
    },
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
            if !self.is_created(deployment.address)? {
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

    fn is_created(&self, contract: Address) -> Result<bool, ForeignL1Error> {
        let code: Bytes = self.rpc.call("eth_getCode", &(contract, "latest"))?;
        Ok(!code.is_empty())
    }

    /// Creates a contract that was not there a moment ago.
    fn create<P: Fn(Duration)>(
        &self,
        sender: &mut Sender<P>,
        expected: u64,
        deployment: Deployment,
    ) -> Result<(), ForeignL1Error> {
        let Deployment { address: contract, init_code: input } = deployment;
        let nonce = sender.nonce()?;
        let account = self.deployer.address;
        if nonce < expected {
            return Err(ForeignL1Error::TakenBack { account, expected, found: nonce });
        }
        if nonce > expected {
            // What was on its way, before this process was killed or since L1 blocks were replaced, may
            // have arrived. A replacement between two questions shows one chain's nonce and another's
            // code, so both are asked for twice.
            for _ in 0..2 {
                if self.is_created(contract)? {
                    return Ok(());
                }
                if sender.nonce()? <= expected {
                    return Err(ForeignL1Error::Waiting(account));
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Beginning, MNEMONIC, accounts, operators};
    use lockstep_contracts::L1Addresses;
    use lockstep_providers::{Endpoint, Request, Response, Transport, TransportError};
    use parking_lot::Mutex;
    use serde_json::json;
    use std::{collections::HashSet, sync::Arc};

    const FIRST_NONCE: u64 = 7;

    /// What an L1 says of the deployer and its contracts.
    #[derive(Debug, Default)]
    struct State {
        latest: u64,
        pending: u64,
        created: HashSet<Address>,
        sent: usize,
    }

    #[derive(Debug)]
    struct FakeL1 {
        endpoint: Endpoint,
        contracts: Vec<Address>,
        state: Mutex<State>,
    }

    impl FakeL1 {
        /// The transactions in the pool are included.
        fn mine(&self) {
            let mut state = self.state.lock();
            let (first, last) = (state.latest - FIRST_NONCE, state.pending - FIRST_NONCE);
            state.created.extend(&self.contracts[first as usize..last as usize]);
            state.latest = state.pending;
        }

        fn answer(&self, method: &str, params: &Value) -> Value {
            let mut state = self.state.lock();
            match method {
                "eth_getCode" => {
                    let contract: Address =
                        serde_json::from_value(params[0].clone()).expect("an address");
                    json!(if state.created.contains(&contract) { "0x60" } else { "0x" })
                }
                "eth_getTransactionCount" if params[1] == "pending" => {
                    json!(U64::from(state.pending))
                }
                "eth_getTransactionCount" => json!(U64::from(state.latest)),
                "eth_getBalance" => json!(ALLOWANCE),
                "eth_getBlockByNumber" => json!({
                    "number": "0x1", "hash": B256::ZERO, "parentHash": B256::ZERO, "timestamp": "0x1",
                }),
                "eth_feeHistory" => {
                    json!({ "baseFeePerGas": ["0x1"], "baseFeePerBlobGas": ["0x1"] })
                }
                "eth_maxPriorityFeePerGas" => json!("0x1"),
                "eth_sendRawTransaction" => {
                    state.pending += 1;
                    state.sent += 1;
                    json!(B256::ZERO)
                }
                "eth_getTransactionReceipt" if state.latest < state.pending => Value::Null,
                "eth_getTransactionReceipt" => json!({
                    "blockHash": B256::ZERO, "blockNumber": "0x1", "status": "0x1", "gasUsed": "0x1",
                }),
                method => panic!("{method} is not expected"),
            }
        }
    }

    impl Transport for FakeL1 {
        fn endpoint(&self) -> &Endpoint {
            &self.endpoint
        }

        fn exchange(&self, request: &Request<'_>) -> Result<Response, TransportError> {
            let body = request.body.expect("a call has a body");
            let call: Value = serde_json::from_slice(body).expect("a call is JSON");
            let method = call["method"].as_str().expect("a call has a method");
            let result = self.answer(method, &call["params"]);
            let answer = json!({ "jsonrpc": "2.0", "id": call["id"], "result": result });
            Ok(Response { status: 200, body: answer.to_string().into_bytes() })
        }
    }

    /// An L1 on which the first `created` contracts are, and what a rollup wants to be there. After the next
    /// block the deployer's nonce is `latest`, and in the pool are transactions up to `pending`.
    fn settlement(created: usize, latest: u64, pending: u64) -> (Arc<FakeL1>, Settlement) {
        let deployer = accounts(MNEMONIC, 1).expect("the mnemonic is valid").remove(0);
        let operators = operators(MNEMONIC).expect("the mnemonic is valid");
        let beginning = Beginning { timestamp: 1_700_000_000, l1_origin: 0, block_time_s: 1 };
        let addresses = L1Addresses::created_by(deployer.address, FIRST_NONCE);
        let plan = RollupPlan::new(&beginning, addresses, &[deployer.address], &operators);
        let deployments = l1_deployments(&plan.settings, &plan.addresses).expect("they are valid");
        let contracts: Vec<Address> = deployments.into_iter().map(|one| one.address).collect();
        let state = State {
            latest: FIRST_NONCE + latest,
            pending: FIRST_NONCE + pending,
            created: contracts[..created].iter().copied().collect(),
            sent: 0,
        };
        let endpoint = Endpoint::new("http://l1").expect("it is one");
        let l1 = Arc::new(FakeL1 { endpoint, contracts, state: Mutex::new(state) });
        let rpc = RpcClient::new(l1.clone());
        let first_nonce = FIRST_NONCE;
        (l1, Settlement { rpc, chain_id: 1, plan, deployer, first_nonce, operators })
    }

    #[test]
    fn contracts_are_created_in_order() {
        let (l1, settlement) = settlement(0, 0, 0);
        settlement.settle(3, |_| l1.mine()).expect("they are created");
        let state = l1.state.lock();
        assert_eq!(state.created.len(), l1.contracts.len());
        assert_eq!(state.sent, l1.contracts.len());
    }

    /// As after a kill between a transaction and its inclusion, or after a reorganisation of L1 that took
    /// it back into the pool.
    #[test]
    fn a_contract_that_is_on_its_way_is_waited_for() {
        for on_its_way in 0..2 {
            let (l1, settlement) = settlement(on_its_way, on_its_way as u64, on_its_way as u64 + 1);
            settlement.settle(3, |_| l1.mine()).expect("it arrives");
            let state = l1.state.lock();
            assert_eq!(state.created.len(), l1.contracts.len());
            assert_eq!(state.sent, l1.contracts.len() - on_its_way - 1, "it is not sent again");
        }
    }

    /// L1 took back what was seen a moment ago, and its pool lost it.
    #[test]
    fn a_nonce_that_went_back_is_no_reason_to_end() {
        let (l1, settlement) = settlement(1, 0, 0);
        let error = settlement.settle(3, |_| l1.mine()).expect_err("the first one is gone as well");
        assert!(
            matches!(error, ForeignL1Error::TakenBack { expected: 8, found: 7, .. }),
            "{error}"
        );
        assert!(error.may_pass());
        l1.state.lock().created.clear();
        settlement.settle(3, |_| l1.mine()).expect("they are created again");
    }

    #[test]
    fn a_nonce_that_somebody_else_used_ends_it() {
        let (l1, settlement) = settlement(1, 2, 2);
        let error = settlement.settle(3, |_| l1.mine()).expect_err("the contract cannot be there");
        assert!(matches!(error, ForeignL1Error::NonceUsed { expected: 8, .. }), "{error}");
        assert!(!error.may_pass());
    }
}
