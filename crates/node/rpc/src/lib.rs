//! Speak JSON-RPC to users and consensus clients. The only crate that does.
//!
//! A [`Context`] is put together from the [`Parts`] of a node: a view of the chain, a pool, and
//! what else it has. [`Modules`] are the methods over it, by namespace; a node adds its own. An
//! [`RpcServer`] serves a selection of them over HTTP and WebSocket on one port, and over IPC.
//! Requests come in as bytes from anybody; answers go out as JSON. All that one request reads of
//! the chain, it reads from one snapshot.
//!
//! ```no_run
//! use lockstep_chain::Ethereum;
//! use lockstep_engine::ChainView;
//! use lockstep_pool::Pool;
//! use lockstep_rpc::{Context, Modules, Parts, RpcServer, RpcSettings, ServerSettings};
//!
//! async fn serve(view: ChainView<Ethereum>, pool: Pool<Ethereum>) -> Result<(), Box<dyn std::error::Error>> {
//!     let settings = RpcSettings { network_id: 1337, ..Default::default() };
//!     let limits = settings.limits.clone();
//!     let context = Context::start(Parts::new(view, pool), settings)?;
//!     let modules = Modules::standard(&context)?;
//!     let at = ServerSettings { address: Some("127.0.0.1:8545".parse()?), ..Default::default() };
//!     let server = RpcServer::start(&modules, &at, &limits).await?;
//!     server.stopped().await;
//!     Ok(())
//! }
//! ```
//!
//! # Assumptions
//! - The metrics recorder is installed before a server starts: handles are made once.
//! - `debug`, `trace`, `ots`, `admin` and `testing` make a node work hard or change it. Whoever
//!   serves them says to whom.
//! - There is no authentication here but for [`engine_api`]; what listens beyond this machine
//!   belongs behind a proxy.
//!
//! # Invariants
//! - What a request is answered with belongs to one chain: no mixture of before and after a reorg.
//! - A method that reads little runs where the request was received; one that executes waits for a
//!   worker, and is refused (`-32005`) if too many wait already. Reading goes on meanwhile.
//! - Codes and sentences of errors are go-ethereum's where it has one, because tools compare them.
//!
//! # Limits
//! All in [`Limits`]. Beside them:
//! - A client that does not read: messages wait in a buffer of [`Limits::client_buffer`], and no
//!   notification joins 16 MiB that wait already. A subscription whose message does not fit ends
//!   with a notification that has `error` in place of `result`, as does one that lags more than
//!   1,024 changes of the chain behind. A connection
//!   that is behind and takes less than 64 KiB in 30 s is closed; so is one without a request for 120 s, and a
//!   WebSocket that does not answer pings for 90 s.
//! - A WebSocket is not read while 64 of its requests, or 16 MiB of requests and unsent answers,
//!   are under way, and none of its requests begins while 16 MiB of answers are unsent. A few
//!   requests more may have been read at once, and each that runs then adds its answer. The same
//!   holds for IPC, but that one request more may be read.
//! - All clients of WebSockets together: [`Limits::waiting_bytes`]. Beyond it a subscription ends
//!   and an answer is replaced by code `-32005`, except for clients for whom less waits than a
//!   share of it (by [`Limits::connections`]), which takes twice the bytes at worst. One message
//!   may wait alone, however large. IPC has as much of its own. What belongs to an answer or
//!   notification is counted, frames around it are not.
//! - A request that is not complete within twice [`Limits::request_timeout`] gets status 408; one
//!   that runs longer than it, code `-32000`; a batch has no more time than one request. Work that
//!   nobody waits for any more ends and frees its worker, but for `eth_call` of a kind whose last
//!   16 calls used 200,000 gas or less each, with up to 50,000,000 gas; execution witnesses; and
//!   the tries of old states while they are rebuilt for a proof.
//! - Filters: 1,000 addresses and topics each, 200,000 of all filters and log subscriptions; when
//!   there are too many, the one that was not polled for longest goes, if that is 30 s. Logs of the newest 512 blocks that left the
//!   chain and of the newest 16,384 pending transactions are kept for those who poll.
//! - JSON may nest 128 deep.

mod admin;
mod args;
mod chain;
mod context;
mod deadline;
mod debug;
pub mod engine_api;
pub mod error;
mod eth;
mod feed;
mod filters;
mod local;
mod lockstep;
mod logs;
mod modules;
mod net;
mod optimism;
mod ots;
mod peers;
mod register;
mod replay;
mod server;
mod settings;
mod testing;
mod trace;
mod txpool;
mod waiters;
mod workers;

pub use args::Args;
pub use chain::{BlobSchedule, ForkConfig, ForkConfigs, RpcChain};
pub use context::{Context, Parts, PendingBlocks, SyncState};
pub use error::{RpcError, RpcResult};
pub use local::LocalSigner;
pub use lockstep::{ConfirmationLevel, Confirmations, lockstep_methods};
pub use modules::{Modules, ModulesError};
pub use optimism::{L1BlockRef, L1Status, RollupNode, rollup_methods};
pub use peers::UnionMembers;
pub use server::{RpcServer, ServerError};
pub use settings::{Limits, RpcSettings, ServerSettings};
pub use testing::{EngineTestBlocks, TestBlocks};
pub use workers::Workers;
