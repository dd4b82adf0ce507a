//! What the nodes of a network have in common.

use crate::DevnetConfig;
use alloy_genesis::Genesis;
use lockstep_node::{NodeBuilder, NodeChain};
use lockstep_pool::PoolConfig;
use lockstep_rpc::{RpcSettings, ServerSettings};
use lockstep_storage::{GenesisBlock, Options, StorageError};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Slots in the pool that one account may fill.
const MAX_SENDER_SLOTS: usize = 16_384;

/// A node in `folder`, or in memory.
pub(crate) fn node_builder<C: NodeChain>(
    chain: C,
    genesis: &Genesis,
    first: &GenesisBlock<C>,
    folder: Option<&Path>,
    execution_threads: usize,
) -> Result<NodeBuilder<C>, StorageError> {
    // Tools and load generators send from few accounts.
    let pool = PoolConfig { sender_slots: MAX_SENDER_SLOTS, ..PoolConfig::default() };
    let builder = NodeBuilder::new(chain, first).pool(pool).execution_threads(execution_threads);
    match folder {
        Some(folder) => builder.folder(folder, genesis, first, Options::default()),
        None => Ok(builder),
    }
}

pub(crate) fn rpc_settings(config: &DevnetConfig, genesis: &Genesis, name: &str) -> RpcSettings {
    RpcSettings {
        network_id: genesis.config.chain_id,
        data_dir: config.data_dir.as_ref().map(|folder: &PathBuf| folder.join(name)),
        chain_config: serde_json::to_value(&genesis.config).ok(),
        limits: config.limits.clone(),
        ..Default::default()
    }
}

/// Every namespace, on a loopback port.
pub fn dev_server(port: u16, ipc_path: Option<PathBuf>) -> ServerSettings {
    ServerSettings {
        address: Some(SocketAddr::from(([127, 0, 0, 1], port))),
        http: vec!["*".to_owned()],
        websocket: vec!["*".to_owned()],
        ipc_path,
        ipc: vec!["*".to_owned()],
        origins: vec!["*".to_owned()],
        ..Default::default()
    }
}
