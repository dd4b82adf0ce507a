//! The L1 in this process: our node under the dev beacon.

use crate::{
    Clock, DevnetConfig, DevnetError, EmbeddedL1,
    beacon::{
        BeaconConfig, BeaconRunner, BeaconSpec, Control, ControlError, DevBeacon, FAR_FUTURE_EPOCH,
        StoreOptions, serve_beacon_api,
    },
    parts::{node_builder, rpc_settings},
    settings::L1_FOLDER,
    signer::DevSigner,
};
use alloy_genesis::Genesis;
use alloy_primitives::Address;
use lockstep_chain::{Chain, Ethereum, EthereumHardfork};
use lockstep_engine::Engine;
use lockstep_execution::MemoryState;
use lockstep_node::{Node, NodeContext, PartError};
use lockstep_storage::GenesisBlock;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task, time};

/// How often a busy beacon is told to stop.
const STOP_INTERVAL: Duration = Duration::from_millis(10);

/// The L1 in this process.
#[derive(Debug)]
pub(crate) struct L1 {
    pub(crate) node: Node<Ethereum>,
    pub(crate) beacon_address: SocketAddr,
}

impl L1 {
    pub(crate) async fn start(
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
        let spec = beacon_spec(settings, genesis.timestamp, chain.chain_id())?;
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
        let threads = config.execution_threads;
        let node = node_builder(chain, genesis, &first, folder.as_deref(), threads)?
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

/// The beacon chain of an embedded L1 that begins at `genesis_time`, in seconds.
pub(crate) fn beacon_spec(
    settings: &EmbeddedL1,
    genesis_time: u64,
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
        ..BeaconSpec::dev(genesis_time, chain_id)
    })
}
