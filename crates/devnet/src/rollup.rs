//! The nodes of the rollup: one sequences it and posts its blocks, one derives it independently.

use crate::{
    Agreement, Clock, DevnetConfig, DevnetError, LocalRollup, Operators, Proposer, Sequencer,
    drive::{self, Posting},
    foreign::Settlement,
    parts::{node_builder, rpc_settings},
    settings::store_rollup_config,
    signer::DevSigner,
};
use alloy_genesis::Genesis;
use alloy_primitives::Address;
use lockstep_batcher::{BatcherConfig, ChannelPolicy, RpcL1, SubmissionPolicy};
use lockstep_chain::{Ethereum, Rollup};
use lockstep_node::{FollowedL1, FollowedRollup, Node, NodeBuilder, NodeContext};
use lockstep_protocol::RollupConfig;
use lockstep_providers::{BeaconClient, L1Client};
use lockstep_rpc::ServerSettings;
use lockstep_storage::GenesisBlock;
use std::{sync::Arc, time::Duration};

/// How often an L1 is asked for something new at least, and at most.
const MAX_POLL: Duration = Duration::from_secs(2);
const MIN_POLL: Duration = Duration::from_millis(200);

/// L1 blocks after which what the batcher has is posted, so that nobody waits for long.
const CHANNEL_DURATION: u64 = 3;

/// The L1 as the rollup's nodes see it.
#[derive(Clone)]
pub(crate) struct L1Access {
    pub(crate) client: L1Client,
    pub(crate) beacon: BeaconClient,
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
    pub(crate) genesis: &'a Genesis,
    pub(crate) first: &'a GenesisBlock<Rollup>,
    pub(crate) rollup: Arc<RollupConfig>,
    pub(crate) output_oracle: Address,
    pub(crate) operators: Operators,
    pub(crate) signer: Arc<DevSigner>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// The nodes of the rollup.
#[derive(Debug)]
pub(crate) struct RollupNodes {
    pub(crate) sequencer: Node<Rollup>,
    pub(crate) follower: Node<Rollup>,
}

impl L1Access {
    fn poll(&self) -> Duration {
        (Duration::from_secs(self.block_time_s) / 4).clamp(MIN_POLL, MAX_POLL)
    }

    fn followed(&self) -> FollowedL1<L1Client, BeaconClient> {
        FollowedL1 {
            chain: self.chain.clone(),
            blocks: self.client.clone(),
            blobs: self.beacon.clone(),
            poll: self.poll(),
        }
    }
}

impl RollupNodes {
    pub(crate) async fn start(
        config: &DevnetConfig,
        start: RollupStart<'_>,
        l1: L1Access,
    ) -> Result<Self, DevnetError> {
        if let Some(folder) = &config.data_dir {
            store_rollup_config(&folder.join(&config.rollup_name), &start.rollup)?;
        }
        let name = format!("{}-follower", config.rollup_name);
        let rollup = FollowedRollup::new(start.rollup.clone());
        let (told, followed) = (rollup.clone(), l1.followed());
        let follower = builder(config, &start, &name, &config.follower_server, &rollup)?
            .consensus(move |node| told.follow(node, followed))
            .launch()
            .await
            .map_err(DevnetError::node(&name))?;
        let derived = LocalRollup { view: follower.context().view(), rollup };
        let sequencer = Self::start_sequencer(config, &start, l1, derived).await;
        match sequencer {
            Ok(sequencer) => Ok(Self { sequencer, follower }),
            Err(error) => {
                // The first failure is told.
                let _ = follower.shutdown().await;
                Err(error)
            }
        }
    }

    async fn start_sequencer(
        config: &DevnetConfig,
        start: &RollupStart<'_>,
        l1: L1Access,
        derived: LocalRollup,
    ) -> Result<Node<Rollup>, DevnetError> {
        let name = &config.rollup_name;
        let rollup = FollowedRollup::new(start.rollup.clone());
        let (told, clock) = (rollup.clone(), start.clock.clone());
        let batcher = start.operators.batcher.clone();
        let settings = batcher_config(config, &l1);
        let proposer = Proposer::new(
            l1.client.rpc().clone(),
            start.operators.proposer.clone(),
            start.output_oracle,
            derived.clone(),
        );
        builder(config, start, name, &config.rollup_server, &rollup)?
            .consensus(move |node: NodeContext<Rollup>| async move {
                let own = LocalRollup { view: node.view(), rollup: told.clone() };
                let sequencer = Sequencer::new(
                    node.engine().clone(),
                    told.config.clone(),
                    l1.chain.clone(),
                    l1.client.clone(),
                );
                let posting = Posting {
                    config: settings,
                    account: batcher,
                    l1: RpcL1::new(l1.client.rpc().clone()),
                    l2: own.clone(),
                };
                let poll = l1.poll();
                tokio::try_join!(
                    told.follow(node.clone(), l1.followed()),
                    drive::sequence(node.clone(), sequencer, clock.clone()),
                    drive::post(node.clone(), posting, clock, poll),
                    drive::keep_settled(node.clone(), l1.settlement),
                    drive::propose(node.clone(), proposer, poll),
                    drive::compare(node, Agreement::new(own, derived), poll),
                )?;
                Ok(())
            })
            .launch()
            .await
            .map_err(DevnetError::node(name))
    }
}

/// A node of the rollup which keeps its chain under `name`.
fn builder(
    config: &DevnetConfig,
    start: &RollupStart<'_>,
    name: &str,
    server: &ServerSettings,
    rollup: &FollowedRollup,
) -> Result<NodeBuilder<Rollup>, DevnetError> {
    let folder = config.data_dir.as_ref().map(|folder| folder.join(name));
    let chain = Rollup::from_genesis(start.genesis)?;
    Ok(node_builder(chain, start.genesis, start.first, folder.as_deref())?
        .rpc(rpc_settings(config, start.genesis, name), server.clone())
        .signer(start.signer.clone())
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
