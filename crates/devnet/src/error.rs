//! Why a development network cannot start, or go on.

use crate::{FolderError, ForeignL1Error, beacon::BeaconError};
use lockstep_chain::{EthereumHardfork, GenesisError};
use lockstep_contracts::SettingsError;
use lockstep_gateway::{GatewayError, PosterError};
use lockstep_node::{NodeError, PartError};
use lockstep_providers::ClientError;
use lockstep_storage::StorageError;
use std::{io, net::SocketAddr};

/// Why a development network cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// The mnemonic is not one.
    #[error("the mnemonic must be 12 to 24 words of BIP-39's English list: {0}")]
    Mnemonic(#[from] alloy_signer_local::LocalSignerError),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A genesis is malformed.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The rollup's contracts would refuse their settings.
    #[error("the rollup's contracts: {0}")]
    Contracts(#[from] SettingsError),
    /// A chain cannot be stored.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A node cannot start, or has failed.
    #[error("{name}: {source}")]
    Node {
        /// Which node.
        name: String,
        /// Why.
        source: Box<NodeError>,
    },
    /// The dev beacon cannot start.
    #[error("the dev beacon: {0}")]
    Beacon(#[from] BeaconError),
    /// The Beacon API cannot be served.
    #[error("the Beacon API on {address}: {source}")]
    BeaconApi {
        /// Where it was to be served.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The rollup cannot begin on the foreign L1.
    #[error("the L1: {0}")]
    ForeignL1(#[from] ForeignL1Error),
    /// The L1 does not answer as it must.
    #[error("the L1: {0}")]
    L1(#[from] ClientError),
    /// The first origin of the rollup is no longer a block of the L1.
    #[error("the L1 has no block {0}, with which the rollup began")]
    NoOrigin(u64),
    /// The L1 in this process does not serve JSON-RPC, which the rollup's nodes need.
    #[error("the L1 serves no JSON-RPC over HTTP")]
    NoServer,
    /// A task was cut off.
    #[error("{0}")]
    Task(PartError),
    /// The gateway of a union cannot start.
    #[error("the gateway: {0}")]
    Gateway(#[from] GatewayError),
    /// The union's batches cannot be posted.
    #[error("posting: {0}")]
    Poster(#[from] PosterError),
    /// Several rollups need proposers whose slots are known.
    #[error("several rollups need the embedded L1, at Osaka: they are ordered by its proposers")]
    Union,
    /// The fork cannot be that of an L1 with a dev beacon.
    #[error("the L1 begins with Prague or Osaka, not with {0}")]
    Fork(EthereumHardfork),
}

impl DevnetError {
    /// An error of the node with this name.
    pub(crate) fn node(name: &str) -> impl FnOnce(NodeError) -> Self + use<> {
        let name = name.to_owned();
        |source| Self::Node { name, source: Box::new(source) }
    }
}
