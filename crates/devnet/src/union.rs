//! The gateway of a development union: it makes the blocks of all rollups, posts them, and claims their outputs.

use crate::{
    Clock, DevRollup, DevnetConfig, DevnetError, JointAgreement, L1_CHAIN_ID, Operators, Proposer,
    drive,
    network_plan::PlannedRollup,
    rollup::{Network, RollupNodes},
};
use lockstep_batcher::{Account, KzgProver, RpcL1};
use lockstep_chain::Rollup;
use lockstep_contracts::UnionAddresses;
use lockstep_gateway::{
    Audits, Bell, Gateway, GatewayKey, GatewaySettings, Ledger, LocalMember, LookaheadOwners,
    Member, Poster, PosterMember, PosterParts, PosterSettings, RpcInbox, SealSettings, Sealer,
    SealerParts, Sequencer,
};
use lockstep_node::{FollowedRollup, NodeContext, PartError};
use lockstep_providers::L1Client;
use lockstep_ssz::Preset;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::oneshot,
    task::{self, JoinHandle},
    time,
};

/// The file of the gateway's decisions in the folder of the network.
const DECISIONS_FILE: &str = "gateway-decisions";

/// The file of the batches that it has signed.
const SEALED_FILE: &str = "gateway-sealed";

/// The file of what proves to L1 who owned slots.
const OWNERS_FILE: &str = "gateway-owners";

/// For how many L1 slots at most, and for how long, a gateway that ends waits for L1 to take what users were shown.
const DRAIN_SLOTS: u64 = 5;
const MAX_DRAIN: Duration = Duration::from_secs(20);

/// How often it is seen meanwhile whether L1 has taken it.
const DRAIN_POLL: Duration = Duration::from_millis(200);

/// How long the gateway waits after a failure that may pass.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A running gateway.
#[derive(Debug)]
pub(crate) struct UnionGateway {
    bell: Arc<Bell>,
    /// Whether it has begun to make blocks.
    is_ordering: Arc<AtomicBool>,
    drained: Option<oneshot::Receiver<()>>,
    ordering: Option<JoinHandle<Result<(), PartError>>>,
}

impl UnionGateway {
    /// Starts the gateway for these rollups, whose batches `sealer` makes.
    pub(crate) fn start(
        network: &Network<'_>,
        rollups: &[DevRollup],
        contracts: &UnionAddresses,
        sealer: Sealer,
    ) -> Result<Self, DevnetError> {
        let poster = poster(network, rollups, contracts, sealer.ledger())?;
        let audits = Arc::new(Audits::default());
        let gateway = gateway(network, rollups)?.with_sealer(sealer).with_audits(audits.clone());
        let proposers = rollups.iter().map(|rollup| proposer(network, rollup));
        let followers = rollups.iter().map(|it| it.nodes().derived.clone()).collect();
        let bell = Arc::new(Bell::default());
        for rollup in rollups {
            ring_for_transactions(rollup.nodes(), &bell);
        }
        let slots = Duration::from_secs(network.l1.block_time_s.saturating_mul(DRAIN_SLOTS));
        let is_ordering = Arc::new(AtomicBool::new(false));
        let (drains, drained) = oneshot::channel();
        let running = Running {
            gateway,
            audits: RunningAudits(audits),
            poster,
            proposers: proposers.collect::<Result<_, _>>()?,
            agreement: JointAgreement::new(followers),
            followed: rollups.iter().map(|rollup| followed(rollup.nodes())).collect(),
            bell: bell.clone(),
            clock: network.clock.clone(),
            poll: network.l1.poll(),
            patience: slots.min(MAX_DRAIN),
            is_ordering: is_ordering.clone(),
            drains,
        };
        let ordering = Some(task::spawn(running.run()));
        Ok(Self { bell, is_ordering, drained: Some(drained), ordering })
    }

    /// Completes when the gateway has failed so that the network cannot go on.
    pub(crate) async fn failed(&mut self) -> Result<(), DevnetError> {
        let Some(ordering) = &mut self.ordering else { return std::future::pending().await };
        let ended = ordering.await;
        self.ordering = None;
        ended.map_err(PartError::from).flatten().map_err(DevnetError::Task)
    }

    /// Tells the gateway to end, and waits until L1 has what users were shown, or that has taken too long. Its nodes must
    /// still run.
    pub(crate) async fn stop(&mut self) {
        self.bell.stop();
        if let Some(drained) = self.drained.take()
            && self.is_ordering.load(Ordering::SeqCst)
        {
            // It says so, or has failed.
            let _ = drained.await;
        }
    }

    /// Waits until the gateway has ended; its nodes must have been told to, too.
    pub(crate) async fn ended(self) -> Result<(), DevnetError> {
        match self.ordering {
            Some(ordering) => {
                ordering.await.map_err(PartError::from).flatten().map_err(DevnetError::Task)
            }
            None => Ok(()),
        }
    }
}

/// A gateway in real time, and what works beside it.
struct Running {
    gateway: Gateway<L1Client>,
    audits: RunningAudits,
    poster: Poster,
    proposers: Vec<Proposer>,
    agreement: JointAgreement,
    /// The nodes of the rollups, and how far each has derived.
    followed: Vec<(NodeContext<Rollup>, FollowedRollup)>,
    bell: Arc<Bell>,
    clock: Arc<dyn Clock>,
    poll: Duration,
    /// How long L1 is waited for at the end.
    patience: Duration,
    /// Set when it begins to make blocks.
    is_ordering: Arc<AtomicBool>,
    /// Told when L1 has what users were shown, or nobody waits for that any more.
    drains: oneshot::Sender<()>,
}

impl Running {
    /// Makes and posts blocks until the bell is stopped.
    async fn run(self) -> Result<(), PartError> {
        for (node, rollup) in &self.followed {
            if !drive::caught_up(node, rollup).await {
                return Ok(());
            }
        }
        let Some((node, _)) = self.followed.into_iter().next() else { return Ok(()) };
        let (gateway, bell, clock, poll) = (self.gateway, self.bell, self.clock, self.poll);
        let audits = self.audits;
        // It ends with the node, and none of its failures is final.
        tokio::spawn(drive::propose(node.clone(), self.proposers, poll));
        let post = drive::post_union(node.clone(), self.poster, clock.clone(), poll);
        self.is_ordering.store(true, Ordering::SeqCst);
        let order = async {
            let kept = clock.clone();
            let gateway = task::spawn_blocking(move || order(gateway, &*kept, &bell)).await?;
            drain(gateway, clock, self.patience).await?;
            audits.0.stop();
            // Nobody may wait for it.
            let _ = self.drains.send(());
            Ok::<_, PartError>(())
        };
        let compare = drive::compare_union(node, self.agreement, poll);
        let judging = audits.0.clone();
        let judge =
            async { task::spawn_blocking(move || judging.run()).await.map_err(PartError::from) };
        tokio::try_join!(order, post, compare, judge)?;
        Ok(())
    }
}

/// Audits that end when nobody waits for them any more.
struct RunningAudits(Arc<Audits>);

impl Drop for RunningAudits {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The node on which a rollup's blocks are made, and how far it has derived.
fn followed(nodes: &RollupNodes) -> (NodeContext<Rollup>, FollowedRollup) {
    (nodes.sequencer.context().clone(), nodes.told.clone())
}

/// What orders the transactions of all rollups.
fn gateway(network: &Network<'_>, rollups: &[DevRollup]) -> Result<Gateway<L1Client>, DevnetError> {
    let config = network.config;
    let member = |rollup: &DevRollup| {
        let (nodes, node) = (rollup.nodes(), rollup.sequencer().context());
        let (engine, chain) = (node.engine().clone(), network.l1.chain.clone());
        let client = network.l1.sequencer_client()?;
        Ok::<_, DevnetError>(Member {
            sequencer: Sequencer::new(engine, nodes.told.config.clone(), chain, client),
            pool: node.pool().clone(),
            shown: nodes.shown.clone(),
        })
    };
    let members = rollups.iter().map(member).collect::<Result<_, _>>()?;
    let update_interval = config.update_interval;
    let settings = GatewaySettings { update_interval, ..GatewaySettings::default() };
    let log = config.data_dir.as_ref().map(|folder| folder.join(DECISIONS_FILE));
    Ok(Gateway::new(members, settings, log.as_deref())?)
}

/// What claims the outputs of a rollup.
fn proposer(network: &Network<'_>, rollup: &DevRollup) -> Result<Proposer, DevnetError> {
    let rpc = network.l1.client()?.rpc().clone();
    let (account, derived) = (network.operators.proposer.clone(), rollup.nodes().derived.clone());
    Ok(Proposer::new(rpc, account, rollup.contracts().output_oracle, derived))
}

/// What makes the batches of the union's slots, for the gateway to which they were delegated.
pub(crate) fn sealer(
    config: &DevnetConfig,
    operators: &Operators,
    rollups: &[PlannedRollup],
) -> Result<Sealer, DevnetError> {
    let operator = &operators.batcher;
    let parts = SealerParts {
        rollups: rollups.iter().map(|rollup| rollup.config.clone()).collect(),
        key: GatewayKey { address: operator.address, signer: Box::new(operator.signer.clone()) },
        prover: Box::new(KzgProver),
    };
    let file = config.data_dir.as_ref().map(|folder| folder.join(SEALED_FILE));
    Ok(Sealer::new(SealSettings::default(), parts, file.as_deref())?)
}

/// What posts them, and pays for that.
fn poster(
    network: &Network<'_>,
    rollups: &[DevRollup],
    contracts: &UnionAddresses,
    ledger: Arc<Ledger>,
) -> Result<Poster, DevnetError> {
    let (l1, operator) = (network.l1, &network.operators.batcher);
    let client = l1.client()?;
    let rpc = client.rpc().clone();
    let owners = LookaheadOwners::new(l1.beacon()?, client, contracts.registry, &Preset::MAINNET)?;
    let owners = match &network.config.data_dir {
        Some(folder) => owners.with_file(folder.join(OWNERS_FILE))?,
        None => owners,
    };
    let members = rollups.iter().map(|rollup| {
        let nodes = rollup.nodes();
        let config = nodes.told.config.clone();
        let node = LocalMember {
            view: nodes.sequencer.context().view(),
            status: nodes.told.status.clone(),
            config: config.clone(),
        };
        PosterMember { config, node: Box::new(node) }
    });
    let parts = PosterParts {
        l1: Box::new(RpcInbox::new(rpc.clone(), RpcL1::new(rpc), contracts.inbox)),
        owners: Box::new(owners),
        members: members.collect(),
        ledger,
        payer: Account {
            address: operator.address,
            signer: Box::new(operator.signer.clone()),
            chain_id: L1_CHAIN_ID,
        },
        prover: Box::new(KzgProver),
    };
    let wait = Duration::from_secs(l1.block_time_s.saturating_mul(4));
    let mut settings = PosterSettings::default();
    settings.outbox.l1_block_time = l1.block_time_s;
    settings.outbox.submission.resubmit_after = wait;
    settings.outbox.submission.patience = wait;
    Ok(Poster::new(settings, parts)?)
}

/// Rings whenever a transaction can go into the next block of a rollup.
fn ring_for_transactions(nodes: &RollupNodes, bell: &Arc<Bell>) {
    let mut events = nodes.sequencer.context().pool().subscribe();
    let bell = Arc::downgrade(bell);
    tokio::spawn(async move {
        use tokio::sync::broadcast::error::RecvError;
        while let Ok(_) | Err(RecvError::Lagged(_)) = events.recv().await {
            let Some(bell) = bell.upgrade() else { break };
            bell.ring();
        }
    });
}

/// Makes blocks until the bell is stopped.
fn order(mut gateway: Gateway<L1Client>, clock: &dyn Clock, bell: &Bell) -> Gateway<L1Client> {
    while !bell.is_stopped() {
        match gateway.make_blocks(clock, bell) {
            Ok(Some(report)) => tracing::debug!(
                target: "lockstep_devnet",
                timestamp = report.timestamp,
                super_transactions = report.super_transactions,
                gas_used = report.gas_used,
                "made the union's blocks"
            ),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(
                    target: "lockstep_devnet",
                    %error,
                    "the union's blocks could not be made; trying again"
                );
                bell.rest(RETRY_INTERVAL);
            }
        }
    }
    gateway
}

/// Lets L1 take what users were shown, for as long as there is patience.
async fn drain(
    mut gateway: Gateway<L1Client>,
    clock: Arc<dyn Clock>,
    patience: Duration,
) -> Result<(), PartError> {
    let deadline = clock.monotonic().saturating_add(patience);
    loop {
        let told = clock.clone();
        let outcome;
        (gateway, outcome) = task::spawn_blocking(move || {
            let outcome = gateway.finish(&*told);
            (gateway, outcome)
        })
        .await?;
        match outcome {
            Ok(0) => return Ok(()),
            Ok(unposted) if clock.monotonic() >= deadline => {
                tracing::warn!(
                    target: "lockstep_devnet",
                    unposted,
                    "stopped before L1 had taken what users were shown; it is posted after the next start"
                );
                return Ok(());
            }
            Err(error) if clock.monotonic() >= deadline => {
                tracing::error!(
                    target: "lockstep_devnet",
                    %error,
                    "stopped before the last blocks were complete; they are completed after the next start"
                );
                return Ok(());
            }
            Ok(_) | Err(_) => time::sleep(DRAIN_POLL).await,
        }
    }
}
