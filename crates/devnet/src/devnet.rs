//! A whole development network in one process, in real time.

use crate::{
    Clock, DevAccount, DevnetConfig, EmbeddedL1, FolderError, L1Origins, L1Source, RemoteL1,
    RemoteL1Error, Sequencer, SequencerConfig, SequencerError, accounts,
    beacon::{
        BeaconConfig, BeaconError, BeaconRunner, BeaconSpec, Control, ControlError, DevBeacon,
        FAR_FUTURE_EPOCH, StoreOptions, serve_beacon_api,
    },
    clock::until,
    l1_genesis, rollup_genesis,
    rollup_node::RollupInfo,
    settings::{Identity, L1_FOLDER},
    signer::DevSigner,
};
use alloy_eips::BlockNumHash;
use alloy_genesis::Genesis;
use alloy_primitives::Address;
use lockstep_chain::{Chain, Ethereum, EthereumHardfork, GenesisError, Rollup};
use lockstep_engine::Engine;
use lockstep_execution::MemoryState;
use lockstep_node::{Node, NodeBuilder, NodeChain, NodeContext, NodeError, PartError};
use lockstep_pool::PoolConfig;
use lockstep_rpc::{RpcSettings, ServerSettings, rollup_methods};
use lockstep_storage::{GenesisBlock, Options, StorageError};
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, task, time};

/// Slots in the pool that one account may fill.
const MAX_SENDER_SLOTS: usize = 16_384;

/// How often a busy beacon is told to stop.
const STOP_INTERVAL: Duration = Duration::from_millis(10);

/// How long a part waits after a failure that may pass.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Why a development network cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// The mnemonic is not one.
    #[error("the mnemonic: {0}")]
    Mnemonic(#[from] alloy_signer_local::LocalSignerError),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A genesis is malformed.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
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
    /// The foreign L1 does not answer.
    #[error("the L1: {0}")]
    RemoteL1(#[from] RemoteL1Error),
    /// The L1 cannot be asked.
    #[error("the L1: {0}")]
    L1(PartError),
    /// The fork cannot be that of an L1 with a dev beacon.
    #[error("the L1 begins with Prague or Osaka, not with {0}")]
    Fork(EthereumHardfork),
}

/// A running development network: an L1, and a rollup that is sequenced on it.
#[derive(Debug)]
pub struct Devnet {
    accounts: Vec<DevAccount>,
    l1: Option<L1>,
    rollup: Node<Rollup>,
    rollup_name: String,
}

/// The L1 in this process.
#[derive(Debug)]
struct L1 {
    node: Node<Ethereum>,
    beacon_address: SocketAddr,
}

impl DevnetError {
    /// An error of the node with this name.
    fn node(name: &str) -> impl FnOnce(NodeError) -> Self {
        let name = name.to_owned();
        |source| Self::Node { name, source: Box::new(source) }
    }
}

impl Devnet {
    /// Starts everything, anew or where the folder left off.
    ///
    /// # Errors
    /// When a part cannot start; the others end then.
    pub async fn start(config: DevnetConfig, clock: Arc<dyn Clock>) -> Result<Self, DevnetError> {
        let accounts = accounts(&config.mnemonic, config.accounts)?;
        let funded: Vec<Address> = accounts.iter().map(|account| account.address).collect();
        let signer = Arc::new(DevSigner::new(&accounts));
        let identity = {
            let (config, clock) = (config.clone(), clock.clone());
            let asked = task::spawn_blocking(move || identity(&config, &*clock)).await;
            asked.map_err(|panicked| DevnetError::L1(panicked.into()))??
        };
        let identity = match &config.data_dir {
            Some(folder) => Identity::load_or_store(folder, identity)?,
            None => identity,
        };
        let (l1, origins) = match &config.l1 {
            L1Source::Embedded(settings) => {
                let genesis = l1_genesis(settings.fork, identity.genesis_time, &funded);
                let l1 = L1::start(&config, settings, &genesis, &signer, &clock).await?;
                let origins: Arc<dyn L1Origins> = Arc::new(l1.node.context().view());
                (Some(l1), origins)
            }
            L1Source::Foreign { url } => {
                (None, Arc::new(RemoteL1::new(url.clone())) as Arc<dyn L1Origins>)
            }
        };
        let genesis = rollup_genesis(crate::ROLLUP_CHAIN_ID, identity.genesis_time, &funded);
        let chain = Rollup::from_genesis(&genesis)?;
        let first =
            GenesisBlock::new(chain.genesis_header(&genesis), MemoryState::from_genesis(&genesis))?;
        let info = rollup_info(&config, &genesis, &first, &identity, &origins)?;
        let told = info.clone();
        let sequencing = SequencerConfig {
            block_time_s: config.rollup_block_time_s,
            fee_recipient: Address::ZERO,
            gas_limit: genesis.gas_limit,
            first_origin: identity.first_origin,
        };
        let folder = config.data_dir.as_ref().map(|folder| folder.join(&config.rollup_name));
        let builder = node_builder(chain, &genesis, &first, folder.as_deref())?
            .rpc(rpc_settings(&config, &genesis, &config.rollup_name), config.rollup_server.clone())
            .signer(signer)
            .extend_rpc(move |extension| {
                let methods = rollup_methods(extension.rpc, Arc::new(told))?;
                extension.modules.add("optimism", methods)?;
                Ok(())
            })
            .consensus(move |node: NodeContext<Rollup>| {
                let sequencer = Sequencer::new(node.engine().clone(), origins.clone(), sequencing);
                sequence(node, sequencer, origins, info, clock)
            });
        let rollup = builder.launch().await.map_err(DevnetError::node(&config.rollup_name))?;
        Ok(Self { accounts, l1, rollup, rollup_name: config.rollup_name })
    }

    /// The funded accounts.
    pub fn accounts(&self) -> &[DevAccount] {
        &self.accounts
    }

    /// The L1's node, if it runs in this process.
    pub fn l1(&self) -> Option<&Node<Ethereum>> {
        self.l1.as_ref().map(|l1| &l1.node)
    }

    /// Where the Beacon API is served, if the L1 runs in this process.
    pub fn beacon_address(&self) -> Option<SocketAddr> {
        self.l1.as_ref().map(|l1| l1.beacon_address)
    }

    /// The rollup's node.
    pub const fn rollup(&self) -> &Node<Rollup> {
        &self.rollup
    }

    /// Completes when a part has failed so that the network cannot go on.
    ///
    /// # Errors
    /// Why.
    pub async fn failed(&mut self) -> Result<(), DevnetError> {
        let l1 = async {
            match &mut self.l1 {
                Some(l1) => l1.node.failed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = l1 => ended.map_err(DevnetError::node("l1")),
            ended = self.rollup.failed() => ended
                .map_err(DevnetError::node(&self.rollup_name)),
        }
    }

    /// Stops everything and persists the chains.
    ///
    /// # Errors
    /// The first failure; everything is stopped even then.
    pub async fn shutdown(self) -> Result<(), DevnetError> {
        let rollup = self.rollup.shutdown().await;
        let l1 = match self.l1 {
            Some(l1) => l1.node.shutdown().await,
            None => Ok(()),
        };
        rollup.map_err(DevnetError::node(&self.rollup_name))?;
        l1.map_err(DevnetError::node("l1"))
    }
}

impl L1 {
    async fn start(
        config: &DevnetConfig,
        settings: &EmbeddedL1,
        genesis: &Genesis,
        signer: &Arc<DevSigner>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, DevnetError> {
        let chain = Ethereum::from_genesis(genesis)?;
        let header = chain.genesis_header(genesis);
        let first: GenesisBlock<Ethereum> =
            GenesisBlock::new(header, MemoryState::from_genesis(genesis))?;
        let spec = beacon_spec(settings, genesis, chain.chain_id())?;
        let mut beacon = BeaconConfig::new(spec);
        beacon.fee_recipient = Address::ZERO;
        beacon.store = config
            .data_dir
            .as_ref()
            .map(|folder| StoreOptions { folder: folder.join("beacon"), flush: false });
        let address = settings.beacon_address;
        let refused = |source| DevnetError::BeaconApi { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let beacon_address = listener.local_addr().map_err(refused)?;

        let folder = config.data_dir.as_ref().map(|folder| folder.join(L1_FOLDER));
        let first_block = first.block().clone();
        let clock = clock.clone();
        let node = node_builder(chain, genesis, &first, folder.as_deref())?
            .rpc(rpc_settings(config, genesis, "l1"), settings.server.clone())
            .signer(signer.clone())
            .consensus(move |node: NodeContext<Ethereum>| async move {
                let engine = node.engine().clone();
                let open = move || {
                    DevBeacon::open(beacon, engine, &first_block.header, first_block.seal())
                };
                let beacon = task::spawn_blocking(open).await??;
                run_beacon(node, beacon, listener, clock).await
            })
            .launch()
            .await
            .map_err(DevnetError::node("l1"))?;
        Ok(Self { node, beacon_address })
    }
}

/// Runs the beacon by the clock and serves its API, until the node stops.
async fn run_beacon(
    node: NodeContext<Ethereum>,
    beacon: DevBeacon<Engine<Ethereum>>,
    listener: TcpListener,
    clock: Arc<dyn Clock>,
) -> Result<(), PartError> {
    let (runner, controls) = BeaconRunner::new(beacon, move || clock.unix_time());
    let stopping = node.clone();
    let stopped = async move { stopping.stopping().await };
    let api = serve_beacon_api(listener, runner.view(), Some(controls.clone()), stopped);
    let mut running = task::spawn_blocking(move || runner.run());
    let mut api = tokio::spawn(api);
    let served = tokio::select! {
        () = node.stopping() => Ok(()),
        ended = &mut running => {
            api.abort();
            ended?;
            return Err("the dev beacon has ended".into());
        }
        served = &mut api => match served {
            Ok(served) => served.map_err(PartError::from),
            Err(panicked) => Err(panicked.into()),
        },
    };
    while let Err(ControlError::Busy) = controls.send(Control::Stop).await {
        time::sleep(STOP_INTERVAL).await;
    }
    running.await?;
    if !api.is_finished() {
        api.await??;
    }
    served
}

/// Makes the blocks of a rollup as the clock says.
async fn sequence(
    node: NodeContext<Rollup>,
    sequencer: Sequencer<Rollup>,
    l1: Arc<dyn L1Origins>,
    info: RollupInfo,
    clock: Arc<dyn Clock>,
) -> Result<(), PartError> {
    let sequencer = Arc::new(sequencer);
    let mut pause = Duration::ZERO;
    loop {
        let due = Duration::from_secs(sequencer.next_timestamp());
        tokio::select! {
            () = time::sleep(until(&*clock, due).max(pause)) => {}
            () = node.stopping() => return Ok(()),
        }
        let (next, l1, info) = (sequencer.clone(), l1.clone(), info.clone());
        let made = task::spawn_blocking(move || {
            next.next_block()?;
            // What the L1 calls safe is only told, not needed.
            match l1.heads() {
                Ok(heads) => info.update(&heads),
                Err(error) => tracing::debug!(
                    target: "lockstep_devnet",
                    %error,
                    "could not ask the L1 where it stands"
                ),
            }
            Ok::<_, SequencerError>(())
        });
        match made.await? {
            Ok(()) => pause = Duration::ZERO,
            Err(error) => {
                tracing::warn!(
                    target: "lockstep_devnet",
                    %error,
                    "could not sequence a rollup block; trying again"
                );
                pause = RETRY_INTERVAL;
            }
        }
    }
}

fn rollup_info(
    config: &DevnetConfig,
    genesis: &Genesis,
    first: &GenesisBlock<Rollup>,
    identity: &Identity,
    l1: &Arc<dyn L1Origins>,
) -> Result<RollupInfo, DevnetError> {
    let origin = l1.origin(identity.first_origin).map_err(DevnetError::L1)?;
    let origin = origin.ok_or_else(|| {
        DevnetError::L1(format!("block {} is gone", identity.first_origin).into())
    })?;
    let first = BlockNumHash::new(first.block().header.number, first.block().seal());
    let l1_chain_id = identity.foreign_chain_id.unwrap_or(crate::L1_CHAIN_ID);
    Ok(RollupInfo::new(genesis, first, config.rollup_block_time_s, l1_chain_id, &origin))
}

/// What a network that begins now would be.
fn identity(config: &DevnetConfig, clock: &dyn Clock) -> Result<Identity, DevnetError> {
    let now = clock.unix_time().as_secs();
    let mut identity = Identity {
        genesis_time: now,
        fork: None,
        slot_time_s: None,
        foreign_chain_id: None,
        first_origin: 0,
        rollup_block_time_s: config.rollup_block_time_s,
        mnemonic: config.mnemonic.clone(),
        accounts: config.accounts,
    };
    match &config.l1 {
        L1Source::Embedded(l1) => {
            identity.fork = Some(l1.fork.to_string());
            identity.slot_time_s = Some(l1.slot_time_s);
        }
        L1Source::Foreign { url } => {
            let l1 = RemoteL1::new(url.clone());
            identity.foreign_chain_id = Some(l1.chain_id()?);
            identity.first_origin = l1.newest()?;
        }
    }
    Ok(identity)
}

fn beacon_spec(
    settings: &EmbeddedL1,
    genesis: &Genesis,
    chain_id: u64,
) -> Result<BeaconSpec, DevnetError> {
    let fulu_epoch = match settings.fork {
        EthereumHardfork::Prague => FAR_FUTURE_EPOCH,
        EthereumHardfork::Osaka => 0,
        fork => return Err(DevnetError::Fork(fork)),
    };
    Ok(BeaconSpec {
        seconds_per_slot: settings.slot_time_s.max(1),
        fulu_epoch,
        ..BeaconSpec::dev(genesis.timestamp, chain_id)
    })
}

/// A node in `folder`, or in memory.
fn node_builder<C: NodeChain>(
    chain: C,
    genesis: &Genesis,
    first: &GenesisBlock<C>,
    folder: Option<&Path>,
) -> Result<NodeBuilder<C>, StorageError> {
    // Tools and load generators send from few accounts.
    let pool = PoolConfig { sender_slots: MAX_SENDER_SLOTS, ..PoolConfig::default() };
    let builder = NodeBuilder::new(chain, first).pool(pool);
    match folder {
        Some(folder) => builder.folder(folder, genesis, first, Options::default()),
        None => Ok(builder),
    }
}

fn rpc_settings(config: &DevnetConfig, genesis: &Genesis, name: &str) -> RpcSettings {
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
