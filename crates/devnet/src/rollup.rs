//! The nodes of a rollup: on one its blocks are made, one derives it independently.

use crate::{
    Agreement, Clock, DevnetConfig, DevnetError, LocalRollup, Operators, Proposer, Sequencer,
    ThrottledBuilder,
    drive::{self, Posting},
    l1_access::L1Access,
    network_plan::PlannedRollup,
    parts::{node_builder, rpc_settings},
    posted::{PostedInBatches, PostedInChannels},
    settings::{nth_server, store_rollup_config},
    signer::DevSigner,
};
use lockstep_batcher::{BatcherConfig, ChannelPolicy, RpcL1, SubmissionPolicy, Throttle};
use lockstep_chain::Rollup;
use lockstep_gateway::{Ledger, Preconfirmed};
use lockstep_node::{FollowedRollup, Node, NodeBuilder, NodeContext};
use lockstep_rpc::{ServerSettings, UnionMembers};
use std::{sync::Arc, time::Duration};

/// L1 blocks after which what the batcher has is posted, so that nobody waits for long.
const CHANNEL_DURATION: u64 = 3;

/// What all rollups of a network work with.
pub(crate) struct Network<'a> {
    pub(crate) config: &'a DevnetConfig,
    pub(crate) l1: &'a L1Access,
    pub(crate) operators: &'a Operators,
    pub(crate) signer: &'a Arc<DevSigner>,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) members: &'a Members,
    /// What L1 has of a union.
    pub(crate) ledger: Option<&'a Arc<Ledger>>,
}

/// The rollups of the network, for calls from one to another: the nodes on which blocks are made, and those
/// that only derive.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub(crate) sequencers: Arc<UnionMembers>,
    pub(crate) followers: Arc<UnionMembers>,
}

/// The nodes of a rollup.
#[derive(Debug)]
pub(crate) struct RollupNodes {
    pub(crate) sequencer: Node<Rollup>,
    pub(crate) follower: Node<Rollup>,
    /// How far the sequencer's node has derived.
    pub(crate) told: FollowedRollup,
    /// What the follower has derived.
    pub(crate) derived: LocalRollup,
    /// What users are shown of blocks that are not complete.
    pub(crate) shown: Arc<Preconfirmed>,
}

impl RollupNodes {
    pub(crate) async fn start(
        network: &Network<'_>,
        planned: &PlannedRollup,
    ) -> Result<Self, DevnetError> {
        if let Some(folder) = &network.config.data_dir {
            store_rollup_config(&folder.join(&planned.name), &planned.config)?;
        }
        let (follower, derived) = start_follower(network, planned).await?;
        network.members.followers.add(derived.view.clone(), None);
        let told = FollowedRollup::new(planned.config.clone());
        let shown = Arc::new(Preconfirmed::default());
        let parts = (told.clone(), derived.clone());
        let sequencer = match network.ledger {
            None => start_sequencer(network, planned, parts).await,
            Some(ledger) => start_member(network, planned, parts, shown.clone(), ledger).await,
        };
        match sequencer {
            Ok(sequencer) => {
                let view = sequencer.context().view();
                network.members.sequencers.add(view, Some(shown.clone()));
                Ok(Self { sequencer, follower, told, derived, shown })
            }
            Err(error) => {
                // The first failure is told.
                let _ = follower.shutdown().await;
                Err(error)
            }
        }
    }
}

/// A node that derives the rollup from L1, and nothing else.
async fn start_follower(
    network: &Network<'_>,
    planned: &PlannedRollup,
) -> Result<(Node<Rollup>, LocalRollup), DevnetError> {
    let name = format!("{}-follower", planned.name);
    let rollup = FollowedRollup::new(planned.config.clone());
    let (told, followed) = (rollup.clone(), network.l1.followed()?);
    let server = nth_server(&network.config.follower_server, planned.index);
    let node = builder(network, planned, &name, server, &rollup)?
        .lockstep_rpc(None)
        .peers(network.members.followers.clone())
        .consensus(move |node| told.follow(node, followed))
        .launch()
        .await
        .map_err(DevnetError::node(&name))?;
    let derived = LocalRollup { view: node.context().view(), rollup };
    Ok((node, derived))
}

/// A node whose blocks it sequences itself, and posts in channels.
async fn start_sequencer(
    network: &Network<'_>,
    planned: &PlannedRollup,
    (rollup, derived): (FollowedRollup, LocalRollup),
) -> Result<Node<Rollup>, DevnetError> {
    let name = &planned.name;
    let (l1, operators) = (network.l1.clone(), network.operators);
    let (told, clock) = (rollup.clone(), network.clock.clone());
    let batcher = operators.batcher.clone();
    let settings = batcher_config(network.config, &l1);
    let (followed, asked) = (l1.followed()?, l1.sequencer_client()?);
    let operator = l1.client()?.rpc().clone();
    let (throttle, posted) = (Arc::new(Throttle::default()), Arc::new(PostedInChannels::default()));
    let told_by_batcher = (throttle.clone(), posted.clone());
    let output_oracle = planned.contracts.output_oracle;
    let account = operators.proposer.clone();
    let proposer = Proposer::new(operator.clone(), account, output_oracle, derived.clone());
    let server = nth_server(&network.config.rollup_server, planned.index);
    builder(network, planned, name, server, &rollup)?
        .lockstep_rpc(Some(posted))
        .payload_builder(move |pool| ThrottledBuilder::new(pool.clone(), throttle))
        .consensus(move |node: NodeContext<Rollup>| async move {
            let own = LocalRollup { view: node.view(), rollup: told.clone() };
            let engine = node.engine().clone();
            let sequencer = Sequencer::new(engine, told.config.clone(), l1.chain.clone(), asked);
            let posting = Posting {
                config: settings,
                account: batcher,
                l1: RpcL1::new(operator),
                l2: own.clone(),
                throttle: told_by_batcher.0,
                posted: told_by_batcher.1,
            };
            let poll = l1.poll();
            tokio::try_join!(
                told.clone().follow(node.clone(), followed),
                drive::sequence(node.clone(), told, sequencer, clock.clone()),
                drive::post(node.clone(), posting, clock, poll),
                drive::keep_settled(node.clone(), l1.settlement),
                drive::propose(node.clone(), vec![proposer], poll),
                drive::compare(node, Agreement::new(own, derived), poll),
            )?;
            Ok(())
        })
        .launch()
        .await
        .map_err(DevnetError::node(name))
}

/// A node of a union's member. The gateway makes its blocks.
async fn start_member(
    network: &Network<'_>,
    planned: &PlannedRollup,
    (rollup, derived): (FollowedRollup, LocalRollup),
    shown: Arc<Preconfirmed>,
    ledger: &Arc<Ledger>,
) -> Result<Node<Rollup>, DevnetError> {
    let posted = PostedInBatches { chain: planned.config.l2_chain_id, ledger: ledger.clone() };
    let (told, followed, poll) = (rollup.clone(), network.l1.followed()?, network.l1.poll());
    let server = nth_server(&network.config.rollup_server, planned.index);
    builder(network, planned, &planned.name, server, &rollup)?
        .lockstep_rpc(Some(Arc::new(posted)))
        .pending(shown)
        .peers(network.members.sequencers.clone())
        .consensus(move |node: NodeContext<Rollup>| async move {
            let own = LocalRollup { view: node.view(), rollup: told.clone() };
            tokio::try_join!(
                told.follow(node.clone(), followed),
                drive::compare(node, Agreement::new(own, derived), poll),
            )?;
            Ok(())
        })
        .launch()
        .await
        .map_err(DevnetError::node(&planned.name))
}

/// A node of the rollup which keeps its chain under `name`.
fn builder(
    network: &Network<'_>,
    planned: &PlannedRollup,
    name: &str,
    server: ServerSettings,
    rollup: &FollowedRollup,
) -> Result<NodeBuilder<Rollup>, DevnetError> {
    let (config, genesis) = (network.config, &planned.genesis);
    let folder = config.data_dir.as_ref().map(|folder| folder.join(name));
    let (chain, threads) = (planned.config.chain(), config.execution_threads);
    Ok(node_builder(chain, genesis, &planned.first, folder.as_deref(), threads)?
        .rpc(rpc_settings(config, genesis, name), server)
        .signer(network.signer.clone())
        .rollup_rpc(rollup.clone()))
}

fn batcher_config(config: &DevnetConfig, l1: &L1Access) -> BatcherConfig {
    let wait = Duration::from_secs(l1.block_time_s.saturating_mul(4));
    BatcherConfig {
        data_availability: config.data_availability,
        channel: ChannelPolicy {
            target_num_frames: 1,
            max_duration: CHANNEL_DURATION,
            ..ChannelPolicy::default()
        },
        submission: SubmissionPolicy {
            resubmit_after: wait,
            patience: wait,
            ..SubmissionPolicy::default()
        },
        l1_osaka_time: l1.has_osaka.then_some(0),
        l1_block_time: l1.block_time_s,
        ..BatcherConfig::default()
    }
}
