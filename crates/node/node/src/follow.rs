//! Follow a rollup for as long as its node runs.

use crate::{NodeBuilder, NodeContext, PartError};
use lockstep_chain::{Ethereum, Rollup};
use lockstep_derive::{BlobProvider, Severity};
use lockstep_follower::{Follower, FollowerError, FollowerStatus, L1Watch, Progress, StatusReader};
use lockstep_protocol::{BlockInfo, RollupConfig};
use lockstep_rpc::{L1BlockRef, L1Status, RollupNode, rollup_methods};
use std::{sync::Arc, time::Duration};
use tokio::{
    task,
    time::{self, Instant},
};

/// Steps that the follower takes before it is seen whether the node stops.
const BURST: usize = 64;

/// The longest pause after failures that may pass.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Drives a follower until its node stops.
async fn follow<L1, B>(
    node: NodeContext<Rollup>,
    mut follower: Follower<L1, B>,
    poll: Duration,
) -> Result<(), PartError>
where
    L1: L1Watch + Clone + Send + 'static,
    B: BlobProvider + Clone + Send + 'static,
{
    let mut watched: Option<Instant> = None;
    let mut pause = poll;
    loop {
        let is_due = watched.is_none_or(|at| at.elapsed() >= poll);
        if is_due {
            watched = Some(Instant::now());
        }
        let outcome;
        (follower, outcome) = task::spawn_blocking(move || {
            let outcome = burst(&mut follower, is_due);
            (follower, outcome)
        })
        .await?;
        if outcome.is_ok() {
            pause = poll;
        }
        let wait = match outcome {
            Ok(Progress::Worked) => Duration::ZERO,
            Ok(Progress::Idle) => poll,
            Err(error) if error.severity() == Severity::Critical => return Err(error.into()),
            Err(error) => {
                tracing::warn!(
                    target: "lockstep_node",
                    %error, again_in_s = pause.as_secs_f64(),
                    "could not follow the rollup; trying again"
                );
                let wait = pause;
                pause = pause.saturating_mul(2).min(MAX_PAUSE);
                wait
            }
        };
        tokio::select! {
            () = node.stopping() => return Ok(()),
            () = time::sleep(wait) => {}
        }
    }
}

fn burst<L1, B>(follower: &mut Follower<L1, B>, watch: bool) -> Result<Progress, FollowerError>
where
    L1: L1Watch + Clone,
    B: BlobProvider + Clone,
{
    if watch {
        follower.watch_l1()?;
    }
    for _ in 0..BURST {
        if follower.step()? == Progress::Idle {
            return Ok(Progress::Idle);
        }
    }
    Ok(Progress::Worked)
}

/// A rollup that a node follows: what the `optimism` namespace tells of it. Copies tell the same.
#[derive(Clone, Debug)]
pub struct FollowedRollup {
    /// The rollup's configuration.
    pub config: Arc<RollupConfig>,
    /// How far its follower is.
    pub status: StatusReader,
}

/// The L1 that a rollup is derived from.
#[derive(Clone, Debug)]
pub struct FollowedL1<L1, B> {
    /// What chain it is, as far as blobs are priced on it.
    pub chain: Arc<Ethereum>,
    /// Its blocks.
    pub blocks: L1,
    /// Its blobs.
    pub blobs: B,
    /// How often it is asked for something new.
    pub poll: Duration,
}

impl FollowedRollup {
    /// The rollup with this configuration, of which nothing has been derived yet.
    pub fn new(config: Arc<RollupConfig>) -> Self {
        Self { config, status: StatusReader::default() }
    }

    /// Follows the rollup on the engine of `node`, until the node stops.
    ///
    /// # Errors
    /// What a person must look at. What may pass is logged and tried again, after pauses of up to
    /// 30 s.
    pub async fn follow<L1, B>(
        self,
        node: NodeContext<Rollup>,
        l1: FollowedL1<L1, B>,
    ) -> Result<(), PartError>
    where
        L1: L1Watch + Clone + Send + 'static,
        B: BlobProvider + Clone + Send + 'static,
    {
        let FollowedL1 { chain, blocks, blobs, poll } = l1;
        let follower = Follower::new(node.engine().clone(), self.config, chain, blocks, blobs);
        follow(node, follower.with_status(self.status), poll).await
    }
}

impl NodeBuilder<Rollup> {
    /// Serves the `optimism` namespace for this rollup, if JSON-RPC is served.
    #[must_use]
    pub fn rollup_rpc(self, rollup: FollowedRollup) -> Self {
        self.extend_rpc(move |extension| {
            let methods = rollup_methods(extension.rpc, Arc::new(rollup))?;
            extension.modules.add("optimism", methods)?;
            Ok(())
        })
    }

    /// Lets what is derived from L1 decide which block is next, and serves the `optimism`
    /// namespace.
    #[must_use]
    pub fn follow<L1, B>(self, config: Arc<RollupConfig>, l1: FollowedL1<L1, B>) -> Self
    where
        L1: L1Watch + Clone + Send + 'static,
        B: BlobProvider + Clone + Send + 'static,
    {
        let rollup = FollowedRollup::new(config);
        self.rollup_rpc(rollup.clone()).consensus(move |node| rollup.follow(node, l1))
    }
}

impl RollupNode for FollowedRollup {
    fn l1_status(&self) -> L1Status {
        let FollowerStatus { derived_up_to, l1, .. } = self.status.read();
        let reference = |block: Option<BlockInfo>| {
            block.map_or_else(L1BlockRef::default, |block| L1BlockRef {
                hash: block.hash,
                number: block.number,
                parent_hash: block.parent_hash,
                timestamp: block.timestamp,
            })
        };
        L1Status {
            current: reference(derived_up_to),
            head: reference(l1.map(|l1| l1.head)),
            safe: reference(l1.and_then(|l1| l1.safe)),
            finalized: reference(l1.and_then(|l1| l1.finalized)),
        }
    }

    fn config(&self) -> &RollupConfig {
        &self.config
    }
}
