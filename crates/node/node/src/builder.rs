//! Put a node together from parts.

use crate::{
    ConsensusDriver, Node, NodeChain, NodeContext, NodeError, PartError, folder::JOURNAL_FILE,
    node::Servers, open_folder,
};
use alloy_genesis::Genesis;
use lockstep_engine::{Engine, EngineConfig, PayloadBuilder, PoolBuilder};
use lockstep_inspect::Peers;
use lockstep_pool::{Pool, PoolConfig, PoolHead};
use lockstep_rpc::{
    Context, EngineTestBlocks, LocalSigner, Modules, Parts, PendingBlocks, RpcServer, RpcSettings,
    ServerSettings,
    engine_api::{ClientVersion, EngineServer, EngineServerSettings, engine_methods},
};
use lockstep_storage::{GenesisBlock, MemoryStorage, Options, Storage, StorageError};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::watch;

type MakePayloadBuilder<C> = Box<dyn FnOnce(&Pool<C>) -> Arc<dyn PayloadBuilder<C>> + Send>;
type ExtendRpc<C> = Box<dyn FnOnce(&mut RpcExtension<'_, C>) -> Result<(), PartError> + Send>;

/// What an extension of JSON-RPC works with.
#[derive(Debug)]
pub struct RpcExtension<'a, C: NodeChain> {
    /// The node.
    pub node: &'a NodeContext<C>,
    /// What our own methods work on.
    pub rpc: &'a Arc<Context<C>>,
    /// The methods by namespace; add to them.
    pub modules: &'a mut Modules,
}

/// What consensus clients ask for beside the `engine` namespace (execution-apis:
/// `engine/common.md`).
const CONSENSUS_CLIENT_NAMESPACES: [&str; 3] = ["eth", "net", "web3"];

/// Puts a node together. Each part has a default and can be replaced.
///
/// The chain definition says what a block is and how it executes; everything else is a part:
///
/// | part | default | replaced by |
/// |---|---|---|
/// | storage | in memory | [`Self::storage`], [`Self::folder`] |
/// | pool | [`PoolConfig::default`] | [`Self::pool`] |
/// | executor, precompiles, state commitment | the chain's | [`Customized`](crate::Customized), or an own [`Execute`](lockstep_execution::Execute) |
/// | payload builder | [`PoolBuilder`]: who pays most comes first | [`Self::payload_builder`] |
/// | consensus driver | none: only [`NodeContext::engine`] moves the chain | [`Self::engine_api`], [`Self::consensus`] |
/// | RPC | none | [`Self::rpc`], [`Self::peers`], [`Self::extend_rpc`] |
/// | command line | none | [`NodeArgs`](crate::NodeArgs) among arguments of one's own, [`Self::args`] |
pub struct NodeBuilder<C: NodeChain> {
    chain: C,
    storage: Arc<dyn Storage<C>>,
    engine: EngineConfig,
    pool: PoolConfig,
    journal: Option<PathBuf>,
    payload_builder: MakePayloadBuilder<C>,
    consensus: Option<Box<dyn ConsensusDriver<C>>>,
    rpc: RpcSettings,
    server: Option<ServerSettings>,
    engine_api: Option<EngineServerSettings>,
    signer: Option<Arc<dyn LocalSigner>>,
    pending: Option<Arc<dyn PendingBlocks<C>>>,
    peers: Option<Arc<dyn Peers>>,
    extensions: Vec<ExtendRpc<C>>,
}

impl<C: NodeChain> fmt::Debug for NodeBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("chain", &self.chain)
            .field("storage", &self.storage)
            .finish_non_exhaustive()
    }
}

impl<C: NodeChain> NodeBuilder<C> {
    /// A node for `chain`, which begins with `genesis`, with the default parts.
    pub fn new(chain: C, genesis: &GenesisBlock<C>) -> Self {
        Self {
            chain,
            storage: Arc::new(MemoryStorage::new(genesis)),
            engine: EngineConfig::default(),
            pool: PoolConfig::default(),
            journal: None,
            payload_builder: Box::new(|pool| Arc::new(PoolBuilder::new(pool.clone()))),
            consensus: None,
            rpc: RpcSettings::default(),
            server: None,
            engine_api: None,
            signer: None,
            pending: None,
            peers: None,
            extensions: Vec::new(),
        }
    }

    /// Keeps the chain elsewhere than in memory.
    #[must_use]
    pub fn storage(mut self, storage: Arc<dyn Storage<C>>) -> Self {
        self.storage = storage;
        self
    }

    /// Keeps the chain, and the transactions of this node's users, in a folder. `genesis` is where
    /// `first`, the block that the node was made with, comes from.
    ///
    /// # Errors
    /// As [`open_folder`].
    pub fn folder(
        self,
        folder: &Path,
        genesis: &Genesis,
        first: &GenesisBlock<C>,
        options: Options,
    ) -> Result<Self, StorageError> {
        let storage = open_folder(folder, &self.chain, genesis, first, options)?;
        Ok(self.storage(Arc::new(storage)).journal(folder.join(JOURNAL_FILE)))
    }

    /// Lets so many threads execute a block together.
    #[must_use]
    pub const fn execution_threads(mut self, threads: usize) -> Self {
        self.engine.execution_threads = threads;
        self
    }

    /// Other limits and habits of the engine.
    #[must_use]
    pub fn engine(mut self, config: EngineConfig) -> Self {
        self.engine = config;
        self
    }

    /// Other rules of the pool.
    #[must_use]
    pub const fn pool(mut self, config: PoolConfig) -> Self {
        self.pool = config;
        self
    }

    /// Keeps the transactions of this node's users in this file.
    #[must_use]
    pub fn journal(mut self, path: PathBuf) -> Self {
        self.journal = Some(path);
        self
    }

    /// Another choice and order of transactions.
    #[must_use]
    pub fn payload_builder<B: PayloadBuilder<C>>(
        mut self,
        make: impl FnOnce(&Pool<C>) -> B + Send + 'static,
    ) -> Self {
        self.payload_builder = Box::new(|pool| Arc::new(make(pool)));
        self
    }

    /// Who decides which block is next.
    #[must_use]
    pub fn consensus(mut self, driver: impl ConsensusDriver<C>) -> Self {
        self.consensus = Some(Box::new(driver));
        self
    }

    /// Serves JSON-RPC.
    #[must_use]
    pub fn rpc(mut self, settings: RpcSettings, server: ServerSettings) -> Self {
        self.rpc = settings;
        self.server = Some(server);
        self
    }

    /// Lets a consensus client drive the node through the Engine API.
    #[must_use]
    pub fn engine_api(mut self, settings: EngineServerSettings) -> Self {
        self.engine_api = Some(settings);
        self
    }

    /// Keys that the node signs with on demand, for development chains.
    #[must_use]
    pub fn signer(mut self, signer: Arc<dyn LocalSigner>) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Shows the block under construction as `pending`.
    #[must_use]
    pub fn pending(mut self, blocks: Arc<dyn PendingBlocks<C>>) -> Self {
        self.pending = Some(blocks);
        self
    }

    /// Lets calls go on to other rollups of the chain's union, as
    /// [`UnionMembers`](lockstep_rpc::UnionMembers) has them.
    #[must_use]
    pub fn peers(mut self, peers: Arc<dyn Peers>) -> Self {
        self.peers = Some(peers);
        self
    }

    /// Adds methods or whole namespaces to JSON-RPC.
    #[must_use]
    pub fn extend_rpc(
        mut self,
        extend: impl FnOnce(&mut RpcExtension<'_, C>) -> Result<(), PartError> + Send + 'static,
    ) -> Self {
        self.extensions.push(Box::new(extend));
        self
    }

    /// Starts the node: opens the chain with all that was acknowledged before, reads the journal,
    /// and begins to serve.
    ///
    /// # Errors
    /// When a part cannot start. Nothing keeps running then.
    pub async fn launch(self) -> Result<Node<C>, NodeError> {
        let Self { chain, storage, engine, pool, journal, .. } = self;
        let pool = Pool::new(chain.clone(), pool, stored_head(&*storage)?);
        let engine = Engine::open(chain, storage, (self.payload_builder)(&pool), engine)?;
        engine.connect_pool(&pool)?;
        if let Some(path) = journal {
            let report = pool.open_journal(&path).map_err(NodeError::Journal)?;
            tracing::info!(target: "lockstep_node", ?report, "read the journal of transactions");
        }
        let (stop, stopping) = watch::channel(false);
        let context = NodeContext::new(engine, pool, stopping);
        let rpc = Rpc {
            settings: self.rpc,
            server: self.server,
            engine_api: self.engine_api,
            signer: self.signer,
            pending: self.pending,
            peers: self.peers,
            extensions: self.extensions,
        };
        let servers = rpc.start(&context).await;
        let servers = servers.map_err(|reason| NodeError::Part { part: "JSON-RPC", reason })?;
        let driver = self.consensus.map(|driver| tokio::spawn(driver.drive(context.clone())));
        Ok(Node::new(context, stop, servers, driver))
    }
}

/// The head that storage knows of; the engine may know a newer one.
fn stored_head<C: NodeChain>(storage: &dyn Storage<C>) -> Result<PoolHead<C>, StorageError> {
    let snapshot = storage.snapshot()?;
    let tip = snapshot.tip().number;
    let missing = || StorageError::Missing(format!("the header of block {tip}"));
    let header = snapshot.header(tip)?.ok_or_else(missing)?;
    Ok(PoolHead { header, state: snapshot.state(tip)? })
}

/// Everything that speaks JSON-RPC.
struct Rpc<C: NodeChain> {
    settings: RpcSettings,
    server: Option<ServerSettings>,
    engine_api: Option<EngineServerSettings>,
    signer: Option<Arc<dyn LocalSigner>>,
    pending: Option<Arc<dyn PendingBlocks<C>>>,
    peers: Option<Arc<dyn Peers>>,
    extensions: Vec<ExtendRpc<C>>,
}

impl<C: NodeChain> Rpc<C> {
    async fn start(self, node: &NodeContext<C>) -> Result<Servers, PartError> {
        let mut servers = Servers::default();
        if self.server.is_none() && self.engine_api.is_none() {
            return Ok(servers);
        }
        let limits = self.settings.limits.clone();
        let (engine, pool) = (node.engine().clone(), node.pool().clone());
        let test_blocks = Arc::new(EngineTestBlocks::new(engine.clone(), pool.clone()));
        let parts = Parts {
            signer: self.signer,
            pending: self.pending,
            peers: self.peers,
            test_blocks: Some(test_blocks),
            ..Parts::new(node.view(), pool.clone())
        };
        let rpc = Context::start(parts, self.settings)?;
        let mut modules = Modules::standard(&rpc)?;
        for extend in self.extensions {
            extend(&mut RpcExtension { node, rpc: &rpc, modules: &mut modules })?;
        }
        if let Some(settings) = &self.server {
            servers.rpc = Some(RpcServer::start(&modules, settings, &limits).await?);
        }
        if let Some(settings) = self.engine_api {
            let mut methods = engine_methods(engine, pool, client_version())?;
            methods.merge(modules.select(&CONSENSUS_CLIENT_NAMESPACES.map(String::from))?)?;
            servers.engine_api = Some(EngineServer::start(methods, settings).await?);
        }
        Ok(servers)
    }
}

/// How the node names itself to its consensus client. Builds do not know their commit.
fn client_version() -> ClientVersion {
    ClientVersion {
        code: "LS".to_owned(),
        name: "lockstep".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: "00000000".to_owned(),
    }
}
