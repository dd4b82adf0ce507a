//! Claim outputs on L1, so that withdrawals can be proven.

use crate::{
    DevAccount, LocalRollup, SafeBlock,
    l1_wallet::{Call, L1Wallet, WalletError},
};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_sol_types::SolCall;
use lockstep_batcher::{L1Submit, RpcL1};
use lockstep_contracts::OutputOracle;
use lockstep_providers::{ClientError, RpcClient};
use lockstep_storage::StorageError;
use serde_json::json;

/// Gas of a claim; it takes a third of it.
const GAS_LIMIT: u64 = 400_000;

/// Why nothing was claimed. All of it may pass.
#[derive(Debug, thiserror::Error)]
pub enum ProposerError {
    /// The L1 does not answer.
    #[error("the L1 does not answer: {0}")]
    L1(#[from] ClientError),
    /// The contract does not answer as it must.
    #[error("the output oracle at {oracle} answers {answer}")]
    Oracle {
        /// Where it should be.
        oracle: Address,
        /// What was answered.
        answer: Bytes,
    },
    /// The rollup's chain cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The claim could not be sent.
    #[error(transparent)]
    Wallet(#[from] WalletError),
}

/// Claims the newest safe output of a node, as often as the contract takes one.
///
/// It keeps nothing: what is next the contract says, and what is on its way the L1's pool.
#[derive(Debug)]
pub struct Proposer {
    rpc: RpcClient,
    wallet: L1Wallet<RpcL1>,
    oracle: Address,
    rollup: LocalRollup,
}

impl Proposer {
    /// Claims outputs of `rollup` at the contract `oracle` on the L1 behind `rpc`, from `account`.
    pub fn new(rpc: RpcClient, account: DevAccount, oracle: Address, rollup: LocalRollup) -> Self {
        let chain_id = rollup.rollup.config.l1_chain_id;
        let wallet = L1Wallet::new(RpcL1::new(rpc.clone()), account, chain_id);
        Self { rpc, wallet, oracle, rollup }
    }

    /// Claims the output of the newest safe block if it is due. The claim holds only on the L1 chain
    /// that the block was derived from.
    ///
    /// # Errors
    /// When the L1 or the rollup's chain cannot be read, or the claim is not taken; try again later.
    pub fn step(&mut self) -> Result<Option<SafeBlock>, ProposerError> {
        let Some(safe) = self.rollup.safe_block()? else { return Ok(None) };
        if safe.block.number < self.next_block()? {
            return Ok(None);
        }
        // The contract takes no claim about a block that is younger than the L1 block.
        let head = self.wallet.l1().head().map_err(WalletError::from)?;
        if head.timestamp <= safe.timestamp {
            return Ok(None);
        }
        let Some(nonce) = self.wallet.free_nonce()? else { return Ok(None) };
        let claim = OutputOracle::proposeL2OutputCall {
            outputRoot: safe.output_root,
            l2BlockNumber: U256::from(safe.block.number),
            l1BlockHash: safe.derived_up_to.hash,
            l1BlockNumber: U256::from(safe.derived_up_to.number),
        };
        let call = Call {
            to: TxKind::Call(self.oracle),
            value: U256::ZERO,
            input: claim.abi_encode().into(),
            gas_limit: GAS_LIMIT,
        };
        self.wallet.send(nonce, call)?;
        tracing::info!(
            target: "lockstep_devnet",
            number = safe.block.number, output_root = %safe.output_root,
            "claimed an output"
        );
        Ok(Some(safe))
    }

    /// The first block that the contract takes a claim about.
    fn next_block(&self) -> Result<u64, ProposerError> {
        let input = Bytes::from(OutputOracle::nextBlockNumberCall {}.abi_encode());
        let call = (json!({ "to": self.oracle, "data": input }), "latest");
        let answer: Bytes = self.rpc.call("eth_call", &call)?;
        let number = OutputOracle::nextBlockNumberCall::abi_decode_returns(&answer)
            .ok()
            .and_then(|number| u64::try_from(number).ok());
        number.ok_or(ProposerError::Oracle { oracle: self.oracle, answer })
    }
}
