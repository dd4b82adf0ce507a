//! Assemble a node from replaceable parts.
//!
//! A chain definition and the block it begins with go into a [`NodeBuilder`], with parts where the
//! defaults do not fit; out of [`NodeBuilder::launch`] comes a [`Node`]. Blocks enter through its
//! consensus driver, the Engine API, or [`NodeContext::engine`]; transactions through JSON-RPC or
//! [`NodeContext::pool`]. What happened is read from [`NodeContext::view`], and from JSON-RPC.
//! Nodes of different chains run in one process.
//!
//! ```
//! # use alloy_consensus::{EthereumTypedTransaction, SignableTransaction, TxEip1559, TxReceipt};
//! # use alloy_eips::eip2718::Encodable2718;
//! # use alloy_primitives::{Address, B256, U256};
//! # use alloy_rpc_types_engine::PayloadAttributes;
//! # use alloy_signer::SignerSync;
//! # use alloy_signer_local::PrivateKeySigner;
//! use lockstep_chain::{Ethereum, genesis};
//! use lockstep_execution::MemoryState;
//! use lockstep_node::NodeBuilder;
//! use lockstep_pool::Origin;
//! use lockstep_storage::GenesisBlock;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(0x42))?;
//! # let json = format!(
//! #     r#"{{ "config": {{ "chainId": 1337, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0,
//! #         "eip158Block": 0, "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0,
//! #         "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0, "shanghaiTime": 0,
//! #         "terminalTotalDifficulty": 0, "terminalTotalDifficultyPassed": true }},
//! #       "gasLimit": "0x3938700", "difficulty": "0x0", "baseFeePerGas": "0x3b9aca00",
//! #       "alloc": {{ "{}": {{ "balance": "0xd3c21bcecceda1000000" }} }} }}"#, key.address());
//! let genesis = genesis::parse(json.as_bytes())?;
//! let chain = Ethereum::from_genesis(&genesis)?;
//! let first = GenesisBlock::new(chain.genesis_header(&genesis), MemoryState::from_genesis(&genesis))?;
//! let node = NodeBuilder::new(chain, &first).launch().await?;
//!
//! # let transfer = TxEip1559 { chain_id: 1337, gas_limit: 21_000, max_fee_per_gas: 2_000_000_000,
//! #     to: Address::ZERO.into(), value: U256::from(1), ..Default::default() };
//! # let signature = key.sign_hash_sync(&transfer.signature_hash())?;
//! # let signed = EthereumTypedTransaction::<alloy_consensus::TxEip4844>::Eip1559(transfer)
//! #     .into_envelope(signature).encoded_2718();
//! # let attributes = PayloadAttributes { timestamp: 12, prev_randao: B256::ZERO,
//! #     suggested_fee_recipient: Address::ZERO, withdrawals: Some(Vec::new()),
//! #     parent_beacon_block_root: None, slot_number: None, target_gas_limit: None };
//! node.context().pool().add_raw(&signed, Origin::Local)?;
//! let block = node.context().engine().produce(&attributes)?;
//! let receipts = node.context().view().snapshot().receipts(block.block.number())?;
//! assert!(receipts.is_some_and(|receipts| receipts[0].status()));
//! node.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A program of one's own takes up the arguments of `lockstep node` among its own and runs the same
//! node, with whatever it replaces:
//!
//! ```no_run
//! use clap::Parser;
//! use lockstep_node::{NodeArgs, NodeBuilder, PartError};
//! # use lockstep_chain::{Ethereum, genesis};
//! # use lockstep_execution::MemoryState;
//! # use lockstep_storage::GenesisBlock;
//! # use std::path::PathBuf;
//!
//! /// Runs my chain.
//! #[derive(Parser)]
//! struct Cli {
//!     /// The genesis file.
//!     #[arg(long)]
//!     genesis: PathBuf,
//!     #[command(flatten)]
//!     node: NodeArgs,
//! }
//!
//! # fn unix_time() -> u64 { 0 }
//! #[tokio::main]
//! async fn main() -> Result<(), PartError> {
//!     let cli = Cli::parse();
//!     let genesis = genesis::parse(&std::fs::read(&cli.genesis)?)?;
//!     let chain = Ethereum::from_genesis(&genesis)?;
//!     let state = MemoryState::from_genesis(&genesis);
//!     let first = GenesisBlock::new(chain.genesis_header(&genesis), state)?;
//!     let mut node = NodeBuilder::new(chain, &first)
//!         .args(&cli.node, &genesis, &first, unix_time)?
//!         .launch()
//!         .await?;
//!     tokio::select! {
//!         failed = node.failed() => failed?,
//!         stop = tokio::signal::ctrl_c() => stop?,
//!     }
//!     Ok(node.shutdown().await?)
//! }
//! ```
//!
//! # Assumptions
//! - A node is launched within a tokio runtime with several threads, and no other process uses its
//!   folder.
//! - Replaced parts keep the contracts of their traits. What decides over the validity of blocks
//!   (the chain definition) must be the same on every node of the chain.
//!
//! # Invariants
//! - When [`NodeBuilder::launch`] fails, nothing of the node keeps running.
//! - [`Node::shutdown`] persists every canonical block. Without it nothing acknowledged is lost
//!   either: it comes back with the next launch on the same folder.
//! - A consensus driver that ends before the node is told by [`Node::failed`].
//! - Servers listen where they are told to, and by [`NodeArgs`] on this machine alone.
//!
//! # Limits
//! - Those of the parts: [`lockstep_engine::EngineConfig`], [`lockstep_pool::PoolConfig`],
//!   [`lockstep_rpc::Limits`]. The node itself holds nothing that grows.
//! - [`Customized`] does not extend to RPC methods that are written for one chain, such as
//!   `optimism_*`.

mod args;
mod builder;
mod context;
mod customized;
mod driver;
mod error;
mod folder;
mod follow;
mod metrics;
mod node;
pub mod precompile;

pub use args::NodeArgs;
pub use builder::{NodeBuilder, RpcExtension};
pub use context::NodeContext;
pub use customized::{Customized, CustomizedEvmFactory};
pub use driver::{ConsensusDriver, PartError, Running};
pub use error::NodeError;
pub use folder::{open_folder, stored_genesis, write_whole};
pub use follow::{FollowedL1, FollowedRollup};
pub use metrics::Metrics;
pub use node::Node;

use lockstep_engine::Payloads;
use lockstep_rpc::RpcChain;

/// A chain that a node can run: it executes ([`lockstep_execution::Execute`]), its transactions
/// wait in a pool ([`lockstep_pool::Pooled`]), its blocks go to and come from a consensus layer
/// ([`Payloads`]), and it can be told in JSON ([`RpcChain`]). Implemented for all that qualify.
pub trait NodeChain: Payloads + RpcChain {}

impl<C: Payloads + RpcChain> NodeChain for C {}
