//! L1 and L2 nodes behind JSON-RPC.

use crate::{
    BatchBlock, Inclusion, L1Head, L1Submit, L2Blocks, L2Status, NonceAt, SendOutcome, SourceError,
};
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, Bytes, U64, U128, U256};
use lockstep_providers::{ClientError, L2Client, RpcClient};
use serde::Deserialize;

/// An L1 node behind JSON-RPC. What it says of its pool and its chain is its word.
///
/// Ask one node, not several behind one address: a pool that has a transaction and one that has not
/// look like one that loses it.
#[derive(Clone, Debug)]
pub struct RpcL1 {
    rpc: RpcClient,
}

impl RpcL1 {
    /// The node that `rpc` asks.
    pub const fn new(rpc: RpcClient) -> Self {
        Self { rpc }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RpcHead {
    number: U64,
    hash: B256,
    parent_hash: B256,
    timestamp: U64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RpcFees {
    base_fee_per_gas: Vec<U128>,
    #[serde(default)]
    base_fee_per_blob_gas: Vec<U128>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RpcReceipt {
    block_hash: B256,
    block_number: U64,
    #[serde(default)]
    status: Option<U64>,
    gas_used: U64,
    #[serde(default)]
    effective_gas_price: Option<U128>,
    #[serde(default)]
    blob_gas_used: Option<U64>,
    #[serde(default)]
    blob_gas_price: Option<U128>,
}

impl RpcReceipt {
    fn inclusion(&self) -> Inclusion {
        let cost = |gas: U64, price: Option<U128>| {
            u128::from(gas.to::<u64>()).saturating_mul(price.unwrap_or_default().to())
        };
        let blob_gas = self.blob_gas_used.unwrap_or_default();
        Inclusion {
            block: BlockNumHash { number: self.block_number.to(), hash: self.block_hash },
            succeeded: self.status.is_none_or(|status| !status.is_zero()),
            fee: cost(self.gas_used, self.effective_gas_price)
                .saturating_add(cost(blob_gas, self.blob_gas_price)),
        }
    }
}

impl L1Submit for RpcL1 {
    fn head(&mut self) -> Result<L1Head, SourceError> {
        let failed = |error| SourceError::new("head", error);
        let head: Option<RpcHead> =
            self.rpc.call("eth_getBlockByNumber", &("latest", false)).map_err(failed)?;
        let head = head.ok_or_else(|| SourceError::new("head", "the node has no block"))?;
        let no_percentiles: [f64; 0] = [];
        let fees: RpcFees = self
            .rpc
            .call("eth_feeHistory", &(U64::from(1), head.number, no_percentiles))
            .map_err(failed)?;
        let tip: U128 = self.rpc.call("eth_maxPriorityFeePerGas", &[(); 0]).map_err(failed)?;
        // The last of each list is that of the block after.
        let next = |fees: &[U128]| fees.last().copied().unwrap_or_default().to();
        Ok(L1Head {
            block: BlockNumHash { number: head.number.to(), hash: head.hash },
            parent_hash: head.parent_hash,
            timestamp: head.timestamp.to(),
            base_fee: next(&fees.base_fee_per_gas),
            blob_base_fee: next(&fees.base_fee_per_blob_gas),
            tip: tip.to(),
        })
    }

    fn nonce(&mut self, account: Address, at: NonceAt) -> Result<u64, SourceError> {
        let at = match at {
            NonceAt::Latest => "latest",
            NonceAt::Pending => "pending",
        };
        let nonce: U64 = self
            .rpc
            .call("eth_getTransactionCount", &(account, at))
            .map_err(|error| SourceError::new("nonce", error))?;
        Ok(nonce.to())
    }

    fn balance(&mut self, account: Address) -> Result<u128, SourceError> {
        let balance: U256 = self
            .rpc
            .call("eth_getBalance", &(account, "latest"))
            .map_err(|error| SourceError::new("balance", error))?;
        Ok(balance.saturating_to())
    }

    fn send(&mut self, raw: &[u8]) -> Result<SendOutcome, SourceError> {
        let raw = Bytes::copy_from_slice(raw);
        match self.rpc.call::<B256>("eth_sendRawTransaction", &[raw]) {
            Ok(_) => Ok(SendOutcome::Accepted),
            Err(ClientError::Rpc { message, .. }) => Ok(SendOutcome::from_message(&message)),
            Err(error) => Err(SourceError::new("send", error)),
        }
    }

    fn inclusion(&mut self, hash: B256) -> Result<Option<Inclusion>, SourceError> {
        let receipt: Option<RpcReceipt> = self
            .rpc
            .call("eth_getTransactionReceipt", &[hash])
            .map_err(|error| SourceError::new("inclusion", error))?;
        Ok(receipt.map(|receipt| receipt.inclusion()))
    }
}

/// An L2 node behind JSON-RPC: its blocks, and where the rollup node stands
/// (`optimism_syncStatus`). Both may be one.
#[derive(Clone, Debug)]
pub struct RpcL2 {
    rollup: RpcClient,
    blocks: L2Client,
}

impl RpcL2 {
    /// `rollup` knows where derivation stands, `blocks` has the blocks.
    pub const fn new(rollup: RpcClient, blocks: L2Client) -> Self {
        Self { rollup, blocks }
    }
}

#[derive(Debug, Deserialize)]
struct RpcStatus {
    unsafe_l2: RpcRef,
    safe_l2: RpcRef,
    current_l1: RpcRef,
}

/// Rollup nodes write numbers as such.
#[derive(Clone, Copy, Debug, Deserialize)]
struct RpcRef {
    hash: B256,
    number: u64,
}

impl From<RpcRef> for BlockNumHash {
    fn from(RpcRef { hash, number }: RpcRef) -> Self {
        Self { number, hash }
    }
}

impl L2Blocks for RpcL2 {
    fn status(&mut self) -> Result<L2Status, SourceError> {
        let status: RpcStatus = self
            .rollup
            .call("optimism_syncStatus", &[(); 0])
            .map_err(|error| SourceError::new("status", error))?;
        Ok(L2Status {
            unsafe_head: status.unsafe_l2.into(),
            safe_head: status.safe_l2.into(),
            current_l1: status.current_l1.into(),
        })
    }

    fn block(&mut self, number: u64) -> Result<Option<BatchBlock>, SourceError> {
        let failed = |error: ClientError| SourceError::new("block", error);
        let block = match self.blocks.block_by_number(number) {
            Ok(block) => block,
            Err(ClientError::NoBlock { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        BatchBlock::from_block(&block, &self.blocks.config().genesis)
            .map(Some)
            .map_err(|error| SourceError::new("block", error))
    }
}
