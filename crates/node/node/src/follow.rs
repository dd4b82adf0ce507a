//! Follow a rollup for as long as its node runs.

#[cfg(test)]
mod tests;

use crate::{NodeBuilder, NodeContext, PartError};
use lockstep_chain::{Ethereum, Rollup};
use lockstep_derive::{BlobProvider, Severity};
use lockstep_follower::{Follower, FollowerError, FollowerStatus, L1Watch, Progress, StatusReader};
use lockstep_protocol::{BlockInfo, RollupConfig};
use lockstep_rpc::{
    Confirmations, L1BlockRef, L1Status, RollupNode, lockstep_methods, rollup_methods,
};
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
    let mut failures = 0;
    loop {
        let is_due = watched.is_none_or(|at| at.elapsed() >= poll);
        if is_due {
            watched = Some(Instant::now());
        }
        let burst;
        (follower, burst) = task::spawn_blocking(move || {
            let burst = Burst::of(&mut follower, is_due);
            (follower, burst)
        })
        .await?;
        failures = if burst.progress.is_ok() { 0 } else { failures + 1 };
        let wait = burst.wait(poll, failures);
        for error in [burst.progress.err(), burst.watched.err()].into_iter().flatten() {
            if error.severity() == Severity::Critical {
                return Err(error.into());
            }
            warn(&error, failures, wait);
        }
        tokio::select! {
            () = node.stopping() => return Ok(()),
            () = time::sleep(wait) => {}
        }
    }
}

/// Failures in a row from which on a person should know: minutes, with the pauses in between.
const MANY_FAILURES: u32 = 8;

fn warn(error: &FollowerError, failures: u32, wait: Duration) {
    let again_in_s = wait.as_secs_f64();
    if failures < MANY_FAILURES {
        tracing::warn!(
            target: "lockstep_node",
            %error, again_in_s, "could not follow the rollup; trying again"
        );
    } else {
        tracing::error!(
            target: "lockstep_node",
            %error, failures, again_in_s,
            "could not follow the rollup for long; trying again, but look at it"
        );
    }
}

/// What came of some steps.
#[derive(Debug)]
struct Burst {
    progress: Result<Progress, FollowerError>,
    /// How often in a row the follower has begun anew in vain, if it did so in the last step.
    restarts: u32,
    /// Whether L1 said where it is. Derivation asks it for other things, which it may well answer.
    watched: Result<(), FollowerError>,
}

impl Burst {
    fn of<L1, B>(follower: &mut Follower<L1, B>, watch: bool) -> Self
    where
        L1: L1Watch + Clone,
        B: BlobProvider + Clone,
    {
        let watched = if watch { follower.watch_l1() } else { Ok(()) };
        let mut burst = Self { progress: Ok(Progress::Worked), restarts: 0, watched };
        for _ in 0..BURST {
            let before = follower.restarts();
            burst.progress = follower.step();
            if follower.restarts() > before {
                burst.restarts = follower.restarts();
            }
            if burst.restarts > 0 || !matches!(burst.progress, Ok(Progress::Worked)) {
                break;
            }
        }
        burst
    }

    /// How long to wait before the next steps, after so many failures in a row.
    fn wait(&self, poll: Duration, failures: u32) -> Duration {
        let after = |times: u32| poll.saturating_mul(1 << times.min(16)).min(MAX_PAUSE.max(poll));
        match &self.progress {
            Ok(Progress::Idle) => poll,
            // What L1 took back once is no reason to wait; to begin anew again and again is.
            Ok(Progress::Worked) => self.restarts.checked_sub(2).map_or(Duration::ZERO, after),
            Err(_) => after(failures.saturating_sub(1)),
        }
    }
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

    /// Serves the `lockstep` namespace, if JSON-RPC is served. `confirmations` tells what the node knows
    /// of L1 beyond its fork choice.
    #[must_use]
    pub fn lockstep_rpc(self, confirmations: Option<Arc<dyn Confirmations>>) -> Self {
        self.extend_rpc(move |extension| {
            let methods = lockstep_methods(extension.rpc, confirmations)?;
            extension.modules.add("lockstep", methods)?;
            Ok(())
        })
    }

    /// Lets what is derived from L1 decide which block is next, and serves the `optimism` and
    /// `lockstep` namespaces.
    #[must_use]
    pub fn follow<L1, B>(self, config: Arc<RollupConfig>, l1: FollowedL1<L1, B>) -> Self
    where
        L1: L1Watch + Clone + Send + 'static,
        B: BlobProvider + Clone + Send + 'static,
    {
        let rollup = FollowedRollup::new(config);
        let builder = self.rollup_rpc(rollup.clone()).lockstep_rpc(None);
        builder.consensus(move |node| rollup.follow(node, l1))
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
