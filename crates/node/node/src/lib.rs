//! Assemble a node from replaceable parts.

mod builder;
mod context;
mod driver;
mod error;
mod folder;
mod metrics;
mod node;
mod precompiles;

pub use builder::{NodeBuilder, RpcExtension};
pub use context::NodeContext;
pub use driver::{ConsensusDriver, PartError, Running};
pub use error::NodeError;
pub use folder::{open_folder, stored_genesis};
pub use metrics::Metrics;
pub use node::Node;
pub use precompiles::{PrecompilesFactory, WithPrecompiles};

use lockstep_engine::Payloads;
use lockstep_rpc::RpcChain;

/// A chain that a node can run: it executes ([`lockstep_execution::Execute`]), its transactions
/// wait in a pool ([`lockstep_pool::Pooled`]), its blocks go to and come from a consensus layer
/// ([`Payloads`]), and it can be told in JSON ([`RpcChain`]). Implemented for all that qualify.
pub trait NodeChain: Payloads + RpcChain {}

impl<C: Payloads + RpcChain> NodeChain for C {}
