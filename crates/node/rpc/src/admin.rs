//! The `admin` namespace. For operators: serve it over IPC or to yourself only.

use crate::{Args, Context, RpcChain, RpcError, RpcResult, register::Registrar};
use alloy_primitives::U64;
use jsonrpsee::{Methods, core::RegisterMethodError};
use serde_json::{Value, json};
use std::sync::Arc;

/// All methods of the namespace.
pub(crate) fn methods<C: RpcChain>(
    context: &Arc<Context<C>>,
) -> Result<Methods, RegisterMethodError> {
    Registrar::new(context)
        .read("admin_nodeInfo", node_info)
        .read("admin_peers", |_, _| Ok(Vec::<Value>::new()))
        .read("admin_addPeer", no_network)
        .read("admin_removePeer", no_network)
        .read("admin_addTrustedPeer", no_network)
        .read("admin_removeTrustedPeer", no_network)
        .read("admin_datadir", |context, _| {
            let folder = context.settings.data_dir.as_ref();
            let folder = folder.map(|folder| folder.display().to_string());
            folder.ok_or_else(|| RpcError::refused("the node keeps its chain in memory"))
        })
        .finish()
}

fn node_info<C: RpcChain>(context: &Context<C>, _: &mut Args<'_>) -> RpcResult<Value> {
    let now = context.now();
    let head = now.snapshot.head();
    let difficulty = now.snapshot.total_difficulty(head.number)?;
    Ok(json!({
        "name": context.settings.client_version,
        "ports": { "discovery": 0, "listener": 0 },
        "listenAddr": "",
        "protocols": {
            "eth": {
                "network": context.settings.network_id,
                "difficulty": difficulty,
                "genesis": context.genesis.seal(),
                "config": context.settings.chain_config,
                "head": head.seal(),
                "headNumber": U64::from(head.number),
            },
        },
    }))
}

fn no_network<C: RpcChain>(_: &Context<C>, args: &mut Args<'_>) -> RpcResult<bool> {
    args.optional::<Value>()?;
    Err(RpcError::refused("this node has no peer-to-peer network; the consensus layer feeds it"))
}
