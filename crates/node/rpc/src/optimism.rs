//! The `optimism` namespace: what rollup tools ask of a rollup node.

use crate::{Args, Context, RpcError, RpcResult, chain::output_root, register::Registrar};
use alloy_eips::{BlockNumHash, BlockNumberOrTag};
use alloy_primitives::{B256, keccak256};
use jsonrpsee::{Methods, core::RegisterMethodError};
use lockstep_chain::{Chain, OpHardfork, Rollup, genesis::L2_TO_L1_MESSAGE_PASSER};
use lockstep_engine::ChainSnapshot;
use lockstep_protocol::{BlockInfo, L2BlockInfo, RollupConfig};
use lockstep_storage::RecoveredBlock;
use lockstep_trie::StateTrie;
use serde::Serialize;
use serde_json::{Value, json};
use std::{fmt, sync::Arc};

/// An L1 block as rollup tools name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct L1BlockRef {
    /// The hash.
    pub hash: B256,
    /// The number.
    pub number: u64,
    /// The parent's hash.
    pub parent_hash: B256,
    /// The time in seconds since 1970.
    pub timestamp: u64,
}

/// What a rollup node knows of L1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1Status {
    /// The block up to which the rollup has been derived.
    pub current: L1BlockRef,
    /// The newest block.
    pub head: L1BlockRef,
    /// The newest safe block.
    pub safe: L1BlockRef,
    /// The newest finalized block.
    pub finalized: L1BlockRef,
}

/// The part of a rollup node that looks at L1.
pub trait RollupNode: fmt::Debug + Send + Sync {
    /// What is known of L1 now.
    fn l1_status(&self) -> L1Status;

    /// The rollup's configuration.
    fn config(&self) -> &RollupConfig;
}

/// A block of the rollup as rollup tools name it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct L2BlockRef {
    hash: B256,
    number: u64,
    parent_hash: B256,
    timestamp: u64,
    #[serde(rename = "l1origin")]
    l1_origin: BlockId,
    sequence_number: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct BlockId {
    hash: B256,
    number: u64,
}

impl L2BlockRef {
    fn of(block: &RecoveredBlock<Rollup>, config: &RollupConfig) -> RpcResult<Self> {
        let (header, first) = (&block.block.header, block.transactions().first());
        let info = L2BlockInfo::from_parts(header, block.hash(), first, &config.genesis)
            .map_err(|error| RpcError::Internal(error.to_string()))?;
        let L2BlockInfo { block, l1_origin, sequence_number } = info;
        let BlockInfo { hash, number, parent_hash, timestamp } = block;
        let l1_origin = BlockId { hash: l1_origin.hash, number: l1_origin.number };
        Ok(Self { hash, number, parent_hash, timestamp, l1_origin, sequence_number })
    }
}

/// All methods of the namespace.
///
/// # Errors
/// When two methods have the same name.
pub fn rollup_methods(
    context: &Arc<Context<Rollup>>,
    node: Arc<dyn RollupNode>,
) -> Result<Methods, RegisterMethodError> {
    let mut registrar = Registrar::new(context);
    let for_output = node.clone();
    registrar.task("optimism_outputAtBlock", move |context, params| {
        let node = for_output.clone();
        async move {
            let workers = context.workers.clone();
            workers.run(move || output_at(&context, &*node, &mut Args::new(&params)?)).await
        }
    });
    let for_status = node.clone();
    registrar.task("optimism_syncStatus", move |context, _| {
        let node = for_status.clone();
        async move { sync_status(&context, &*node) }
    });
    registrar.task("optimism_rollupConfig", move |_, _| {
        // A configuration that was read is one that can be written.
        let config = serde_json::to_value(node.config()).unwrap_or_default();
        async move { Ok(config) }
    });
    registrar.read("optimism_version", |context, _| Ok(context.settings.client_version.clone()));
    registrar.finish()
}

fn output_at(
    context: &Context<Rollup>,
    node: &dyn RollupNode,
    args: &mut Args<'_>,
) -> RpcResult<Value> {
    let tag: BlockNumberOrTag = args.required()?;
    args.end()?;
    context.refuse_pending(tag.into(), "output root")?;
    let now = context.now();
    let number = now.snapshot.resolve(tag).ok_or(RpcError::UnknownBlock)?;
    let block = now.snapshot.block(number)?.ok_or(RpcError::UnknownBlock)?;
    let header = &block.block.header;
    let chain = context.view.chain();
    let message_passer_root = match header.withdrawals_root {
        Some(root) if chain.fork(header) >= OpHardfork::Isthmus => root,
        _ => message_passer_root(&now.snapshot, number)?,
    };
    Ok(json!({
        "version": B256::ZERO,
        "outputRoot": output_root(header.state_root, message_passer_root, block.hash()),
        "blockRef": L2BlockRef::of(&block, node.config())?,
        "withdrawalStorageRoot": message_passer_root,
        "stateRoot": header.state_root,
        "syncStatus": sync_status(context, node)?,
    }))
}

/// The storage root of the message passer after a block.
fn message_passer_root(snapshot: &ChainSnapshot<Rollup>, number: u64) -> RpcResult<B256> {
    let state = snapshot.state(number)?;
    let mut trie = StateTrie::from_root(state.state_root());
    let account = trie
        .account(keccak256(L2_TO_L1_MESSAGE_PASSER), &&*state)
        .map_err(|error| RpcError::Internal(error.to_string()))?;
    Ok(account.map_or(lockstep_trie::EMPTY_ROOT_HASH, |account| account.storage_root))
}

fn sync_status(context: &Context<Rollup>, node: &dyn RollupNode) -> RpcResult<Value> {
    let now = context.now();
    let snapshot = &now.snapshot;
    let reference = |number: u64| -> RpcResult<Option<L2BlockRef>> {
        snapshot.block(number)?.map(|block| L2BlockRef::of(&block, node.config())).transpose()
    };
    let genesis = node.config().genesis.l2;
    let of = |block: Option<BlockNumHash>| reference(block.unwrap_or(genesis).number);
    let head = reference(snapshot.head().number)?;
    let safe = of(snapshot.safe())?;
    let L1Status { current, head: l1_head, safe: l1_safe, finalized } = node.l1_status();
    Ok(json!({
        "current_l1": current,
        "current_l1_finalized": finalized,
        "head_l1": l1_head,
        "safe_l1": l1_safe,
        "finalized_l1": finalized,
        "unsafe_l2": head,
        "queued_unsafe_l2": head,
        "cross_unsafe_l2": head,
        "pending_safe_l2": safe,
        "local_safe_l2": safe,
        "safe_l2": safe,
        "finalized_l2": of(snapshot.finalized())?,
    }))
}
