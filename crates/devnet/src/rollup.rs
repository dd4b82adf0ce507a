//! The nodes of a rollup: on one its blocks are made, one derives it independently.

use crate::{
    Agreement, Clock, DevnetConfig, DevnetError, LocalRollup, Operators, Proposer, Sequencer,
    ThrottledBuilder,
    drive::{self, Posting},
    foreign::Settlement,
    parts::{node_builder, rpc_settings},
    settings::{nth_server, store_rollup_config},
    signer::DevSigner,
};
use alloy_genesis::Genesis;
use alloy_primitives::Address;
use lockstep_batcher::{BatcherConfig, ChannelPolicy, RpcL1, SubmissionPolicy, Throttle};
use lockstep_chain::{Ethereum, Rollup};
use lockstep_gateway::Preconfirmed;
use lockstep_node::{FollowedL1, FollowedRollup, Node, NodeBuilder, NodeContext};
use lockstep_protocol::RollupConfig;
use lockstep_providers::{BeaconClient, ClientError, L1Client, Retry, RpcClient, Timeouts};
use lockstep_rpc::{ServerSettings, UnionMembers};
use lockstep_storage::GenesisBlock;
use std::{sync::Arc, time::Duration};

/// How often an L1 is asked for something new at least, and at most.
const MAX_POLL: Duration = Duration::from_secs(2);
const MIN_POLL: Duration = Duration::from_millis(200);

/// L1 blocks after which what the batcher has is posted, so that nobody waits for long.
const CHANNEL_DURATION: u64 = 3;

/// How long the sequencer waits for an L1 that says nothing, each of the two times that it asks. A block
/// is late by twice as much at most, and keeps its origin then.
const SEQUENCER_TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(1), total: Duration::from_secs(3) };

/// The L1 as the rollup's nodes see it.
#[derive(Clone)]
pub(crate) struct L1Access {
    pub(crate) url: String,
    pub(crate) beacon_url: String,
    pub(crate) chain: Arc<Ethereum>,
    /// Whether blobs come with cell proofs.
    pub(crate) has_osaka: bool,
    /// Seconds from one block to the next, as far as that is known.
    pub(crate) block_time_s: u64,
    /// What must be there, on an L1 that others run.
    pub(crate) settlement: Option<Settlement>,
}

/// How a rollup begins.
pub(crate) struct RollupStart<'a> {
    pub(crate) name: String,
    /// Its number, from 0.
    pub(crate) index: usize,
    pub(crate) genesis: &'a Genesis,
    pub(crate) first: &'a GenesisBlock<Rollup>,
    pub(crate) rollup: Arc<RollupConfig>,
    pub(crate) output_oracle: Address,
    pub(crate) operators: Operators,
    pub(crate) signer: Arc<DevSigner>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) members: &'a Members,
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

impl L1Access {
    pub(crate) fn poll(&self) -> Duration {
        (Duration::from_secs(self.block_time_s) / 4).clamp(MIN_POLL, MAX_POLL)
    }

    /// A client of its own for whoever asks: no two share what they were told.
    pub(crate) fn client(&self) -> Result<L1Client, ClientError> {
        l1_client(&self.url)
    }

    /// The L1 for one that makes blocks and cannot wait for long.
    pub(crate) fn sequencer_client(&self) -> Result<L1Client, ClientError> {
        Ok(L1Client::new(RpcClient::http(&self.url, SEQUENCER_TIMEOUTS)?))
    }

    /// The beacon node of the L1.
    pub(crate) fn beacon(&self) -> Result<BeaconClient, ClientError> {
        BeaconClient::http(
            std::slice::from_ref(&self.beacon_url),
            Timeouts::default(),
            Retry::default(),
        )
    }

    fn followed(&self) -> Result<FollowedL1<L1Client, BeaconClient>, ClientError> {
        Ok(FollowedL1 {
            chain: self.chain.clone(),
            blocks: self.client()?,
            blobs: self.beacon()?,
            poll: self.poll(),
        })
    }
}

/// The L1 behind this URL.
pub(crate) fn l1_client(url: &str) -> Result<L1Client, ClientError> {
    Ok(L1Client::new(RpcClient::http(url, Timeouts::default())?))
}

impl RollupNodes {
    pub(crate) async fn start(
        config: &DevnetConfig,
        start: RollupStart<'_>,
        l1: L1Access,
    ) -> Result<Self, DevnetError> {
        if let Some(folder) = &config.data_dir {
            store_rollup_config(&folder.join(&start.name), &start.rollup)?;
        }
        let name = format!("{}-follower", start.name);
        let rollup = FollowedRollup::new(start.rollup.clone());
        let (told, followed) = (rollup.clone(), l1.followed()?);
        let server = nth_server(&config.follower_server, start.index);
        let follower = builder(config, &start, &name, server, &rollup)?
            .peers(start.members.followers.clone())
            .consensus(move |node| told.follow(node, followed))
            .launch()
            .await
            .map_err(DevnetError::node(&name))?;
        let derived = LocalRollup { view: follower.context().view(), rollup };
        start.members.followers.add(derived.view.clone(), None);
        let told = FollowedRollup::new(start.rollup.clone());
        let shown = Arc::new(Preconfirmed::default());
        let parts = (told.clone(), derived.clone());
        let sequencer = match &start.rollup.union {
            None => Self::start_sequencer(config, &start, l1, parts).await,
            Some(_) => Self::start_member(config, &start, l1, parts, shown.clone()).await,
        };
        match sequencer {
            Ok(sequencer) => {
                let view = sequencer.context().view();
                start.members.sequencers.add(view, Some(shown.clone()));
                Ok(Self { sequencer, follower, told, derived, shown })
            }
            Err(error) => {
                // The first failure is told.
                let _ = follower.shutdown().await;
                Err(error)
            }
        }
    }

    /// A node whose blocks it sequences itself, and posts in channels.
    async fn start_sequencer(
        config: &DevnetConfig,
        start: &RollupStart<'_>,
        l1: L1Access,
        (rollup, derived): (FollowedRollup, LocalRollup),
    ) -> Result<Node<Rollup>, DevnetError> {
        let name = &start.name;
        let (told, clock) = (rollup.clone(), start.clock.clone());
        let batcher = start.operators.batcher.clone();
        let settings = batcher_config(config, &l1);
        let (followed, asked) = (l1.followed()?, l1.sequencer_client()?);
        let operator = l1.client()?.rpc().clone();
        let throttle = Arc::new(Throttle::default());
        let set_by_batcher = throttle.clone();
        let proposer = Proposer::new(
            operator.clone(),
            start.operators.proposer.clone(),
            start.output_oracle,
            derived.clone(),
        );
        let server = nth_server(&config.rollup_server, start.index);
        builder(config, start, name, server, &rollup)?
            .payload_builder(move |pool| ThrottledBuilder::new(pool.clone(), throttle))
            .consensus(move |node: NodeContext<Rollup>| async move {
                let own = LocalRollup { view: node.view(), rollup: told.clone() };
                let sequencer = Sequencer::new(
                    node.engine().clone(),
                    told.config.clone(),
                    l1.chain.clone(),
                    asked,
                );
                let posting = Posting {
                    config: settings,
                    account: batcher,
                    l1: RpcL1::new(operator),
                    l2: own.clone(),
                    throttle: set_by_batcher,
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
        config: &DevnetConfig,
        start: &RollupStart<'_>,
        l1: L1Access,
        (rollup, derived): (FollowedRollup, LocalRollup),
        shown: Arc<Preconfirmed>,
    ) -> Result<Node<Rollup>, DevnetError> {
        let (told, followed) = (rollup.clone(), l1.followed()?);
        let server = nth_server(&config.rollup_server, start.index);
        builder(config, start, &start.name, server, &rollup)?
            .pending(shown)
            .peers(start.members.sequencers.clone())
            .consensus(move |node: NodeContext<Rollup>| async move {
                let own = LocalRollup { view: node.view(), rollup: told.clone() };
                tokio::try_join!(
                    told.follow(node.clone(), followed),
                    drive::compare(node, Agreement::new(own, derived), l1.poll()),
                )?;
                Ok(())
            })
            .launch()
            .await
            .map_err(DevnetError::node(&start.name))
    }
}

/// A node of the rollup which keeps its chain under `name`.
fn builder(
    config: &DevnetConfig,
    start: &RollupStart<'_>,
    name: &str,
    server: ServerSettings,
    rollup: &FollowedRollup,
) -> Result<NodeBuilder<Rollup>, DevnetError> {
    let folder = config.data_dir.as_ref().map(|folder| folder.join(name));
    let chain = start.rollup.chain();
    Ok(node_builder(chain, start.genesis, start.first, folder.as_deref())?
        .rpc(rpc_settings(config, start.genesis, name), server)
        .signer(start.signer.clone())
        .rollup_rpc(rollup.clone())
        .lockstep_rpc(None))
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
