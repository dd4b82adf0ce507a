//! The parts of a rollup in real time. Each works on a thread of its own while it has something to do.

use crate::{
    Agreement, AgreementError, Clock, DevAccount, JointAgreement, LocalRollup, Proposer, Sequencer,
    foreign::{POLLS_LATER, Settlement},
    posted::PostedInChannels,
};
use alloy_primitives::keccak256;
use lockstep_batcher::{
    Batcher, BatcherConfig, BatcherError, ErrorClass, KzgProver, ResetReason, RpcL1, Throttle,
};
use lockstep_chain::Rollup;
use lockstep_gateway::{Poster, PosterTime};
use lockstep_node::{FollowedRollup, NodeContext, PartError};
use lockstep_providers::L1Client;
use metrics::{counter, gauge};
use std::{sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    task,
    time::{self, Instant},
};

/// How long a part waits after a failure that may pass.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is seen whether the rollup has been derived, before it is sequenced.
const CATCH_UP_POLL: Duration = Duration::from_millis(50);

/// How often it is seen whether the rollup's contracts are still there.
const SETTLEMENT_INTERVAL: Duration = Duration::from_secs(4);

/// Why a part did not get further.
enum Failure {
    /// It tries again.
    MayPass(PartError),
    /// The network cannot go on.
    Fatal(PartError),
}

impl Failure {
    fn may_pass(error: impl Into<PartError>) -> Self {
        Self::MayPass(error.into())
    }

    fn fatal(error: impl Into<PartError>) -> Self {
        Self::Fatal(error.into())
    }
}

/// How long it is until a moment given in Unix time; zero once it has passed.
fn until(clock: &dyn Clock, unix_time: Duration) -> Duration {
    unix_time.saturating_sub(clock.unix_time())
}

/// Lets a part take steps until the node stops; each says how long to wait for the next.
async fn repeat<P, F>(
    node: NodeContext<Rollup>,
    name: &'static str,
    mut part: P,
    mut step: F,
) -> Result<(), PartError>
where
    P: Send + 'static,
    F: FnMut(&mut P) -> Result<Duration, Failure> + Send + 'static,
{
    loop {
        let outcome;
        (part, step, outcome) = task::spawn_blocking(move || {
            let outcome = step(&mut part);
            (part, step, outcome)
        })
        .await?;
        let wait = match outcome {
            Ok(wait) => wait,
            Err(Failure::Fatal(error)) => {
                tracing::error!(target: "lockstep_devnet", part = name, %error, "a part of the rollup ended");
                return Err(error);
            }
            Err(Failure::MayPass(error)) => {
                counter!("lockstep_devnet_failures_total", "part" => name).increment(1);
                tracing::warn!(
                    target: "lockstep_devnet",
                    part = name, %error,
                    "a part of the rollup did not get further; trying again"
                );
                RETRY_INTERVAL
            }
        };
        tokio::select! {
            () = node.stopping() => return Ok(()),
            () = time::sleep(wait) => {}
        }
    }
}

/// Waits until the rollup has been derived from all that L1 had at first; `false` if the node stops before. A
/// node that lost its newest blocks with the power would otherwise make others of the same numbers,
/// although its batcher has posted them.
pub(crate) async fn caught_up(node: &NodeContext<Rollup>, rollup: &FollowedRollup) -> bool {
    let mut target = None;
    loop {
        let status = rollup.status.read();
        target = target.or_else(|| status.l1.map(|l1| l1.head.number));
        let derived = status.derived_up_to.map_or(rollup.config.genesis.l1.number, |l1| l1.number);
        if status.is_idle && target.is_some_and(|target| derived >= target) {
            tracing::info!(target: "lockstep_devnet", l1_block = derived, "sequencing begins");
            return true;
        }
        tokio::select! {
            () = node.stopping() => return false,
            () = time::sleep(CATCH_UP_POLL) => {}
        }
    }
}

/// Makes the blocks of a rollup as the clock says, once `rollup` has been derived.
pub(crate) async fn sequence(
    node: NodeContext<Rollup>,
    rollup: FollowedRollup,
    sequencer: Sequencer<L1Client>,
    clock: Arc<dyn Clock>,
) -> Result<(), PartError> {
    if !caught_up(&node, &rollup).await {
        return Ok(());
    }
    let block_time = Duration::from_secs(rollup.config.block_time);
    let step = move |sequencer: &mut Sequencer<L1Client>| {
        let due = |sequencer: &Sequencer<L1Client>| {
            until(&*clock, Duration::from_secs(sequencer.next_timestamp()))
        };
        let head = Duration::from_secs(sequencer.next_timestamp()).saturating_sub(block_time);
        let lag = clock.unix_time().saturating_sub(head);
        gauge!("lockstep_devnet_lag_seconds").set(lag.as_secs_f64());
        if due(sequencer).is_zero() {
            sequencer.next_block().map_err(Failure::may_pass)?;
        }
        Ok(due(sequencer))
    };
    repeat(node, "sequencer", sequencer, step).await
}

/// What posts the blocks of a rollup.
pub(crate) struct Posting {
    pub(crate) config: BatcherConfig,
    pub(crate) account: DevAccount,
    pub(crate) l1: RpcL1,
    pub(crate) l2: LocalRollup,
    /// What the sequencer may put into blocks.
    pub(crate) throttle: Arc<Throttle>,
    /// What L1 has.
    pub(crate) posted: Arc<PostedInChannels>,
}

impl Posting {
    /// A batcher that begins at this time.
    fn begin(self, now: Duration) -> Result<Batcher<RpcL1, LocalRollup>, BatcherError> {
        let Self { config, account: DevAccount { address, signer }, l1, l2, .. } = self;
        // No two batchers of the account begin in the same nanosecond.
        let seed = keccak256([address.as_slice(), &now.as_nanos().to_be_bytes()].concat());
        let rollup = l2.rollup.config.clone();
        let (signer, prover) = (Box::new(signer), Box::new(KzgProver));
        Batcher::new(config, rollup, l1, l2, address, signer, prover, seed)
    }
}

/// Posts the blocks of a rollup to its L1.
pub(crate) async fn post(
    node: NodeContext<Rollup>,
    posting: Posting,
    clock: Arc<dyn Clock>,
    poll: Duration,
) -> Result<(), PartError> {
    let (throttle, posted) = (posting.throttle.clone(), posting.posted.clone());
    let batcher = posting.begin(clock.unix_time())?;
    // Not the clock: somebody may set it.
    let start = Instant::now();
    let step = move |batcher: &mut Batcher<RpcL1, LocalRollup>| {
        let outcome = batcher.step(start.elapsed());
        throttle.set(batcher.limits());
        posted.set(batcher.posted());
        if outcome.is_ok() {
            let now = clock.unix_time().as_secs_f64();
            gauge!("lockstep_devnet_last_post_seconds").set(now);
        }
        match outcome {
            Ok(progress) if progress.has_more => Ok(Duration::ZERO),
            Ok(progress) => {
                if let Some(reason) = progress.reset.filter(|reason| *reason != ResetReason::Start)
                {
                    tracing::debug!(
                        target: "lockstep_devnet",
                        reason = reason.name(),
                        "the batcher began anew"
                    );
                }
                Ok(poll)
            }
            Err(error) if error.class() == ErrorClass::Critical => Err(Failure::fatal(error)),
            Err(error) => Err(Failure::may_pass(error)),
        }
    };
    repeat(node, "batcher", batcher, step).await
}

/// Posts the batches of a union to its L1. A failure that an operator must mend stops the gateway from taking users'
/// transactions, and nothing else.
pub(crate) async fn post_union(
    node: NodeContext<Rollup>,
    poster: Poster,
    clock: Arc<dyn Clock>,
    poll: Duration,
) -> Result<(), PartError> {
    let step = move |poster: &mut Poster| {
        let now = PosterTime { unix: clock.unix_time(), elapsed: clock.monotonic() };
        match poster.step(now) {
            Ok(progress) => Ok(if progress.has_more { Duration::ZERO } else { poll }),
            Err(error) => Err(Failure::may_pass(error)),
        }
    };
    repeat(node, "poster", poster, step).await
}

/// Sees to it that the rollup keeps what it needs on a foreign L1, which may take back what it was told.
pub(crate) async fn keep_settled(
    node: NodeContext<Rollup>,
    settlement: Option<Settlement>,
) -> Result<(), PartError> {
    let Some(settlement) = settlement else {
        node.stopping().await;
        return Ok(());
    };
    let runtime = Handle::current();
    let step = move |settlement: &mut Settlement| {
        let pause = |duration| runtime.block_on(time::sleep(duration));
        match settlement.settle(POLLS_LATER, pause) {
            Ok(()) => Ok(SETTLEMENT_INTERVAL),
            Err(error) if error.may_pass() => Err(Failure::may_pass(error)),
            Err(error) => Err(Failure::fatal(error)),
        }
    };
    repeat(node, "settlement", settlement, step).await
}

/// Claims the rollups' outputs on their L1, from one account: it sends one transaction at a time, so the
/// rollups take turns.
pub(crate) async fn propose(
    node: NodeContext<Rollup>,
    proposers: Vec<Proposer>,
    poll: Duration,
) -> Result<(), PartError> {
    let step = move |proposers: &mut Vec<Proposer>| {
        let mut failure = None;
        for turn in 0..proposers.len() {
            match proposers.get_mut(turn).map(Proposer::step) {
                Some(Ok(Some(_))) => {
                    let next = (turn + 1) % proposers.len();
                    proposers.rotate_left(next);
                    break;
                }
                Some(Err(error)) => failure = Some(error),
                Some(Ok(None)) | None => {}
            }
        }
        failure.map_or(Ok(poll), |error| Err(Failure::may_pass(error)))
    };
    repeat(node, "proposer", proposers, step).await
}

/// Compares the followers of a union's rollups with each other. That they disagree ends the network.
pub(crate) async fn compare_union(
    node: NodeContext<Rollup>,
    agreement: JointAgreement,
    poll: Duration,
) -> Result<(), PartError> {
    let step = move |agreement: &mut JointAgreement| match agreement.check() {
        Ok(agreed) => {
            if let Some(time) = agreed {
                gauge!("lockstep_devnet_agreed_time").set(time as f64);
            }
            Ok(poll)
        }
        Err(error @ AgreementError::Calls { .. }) => {
            counter!("lockstep_devnet_disagreements_total").increment(1);
            Err(Failure::fatal(error))
        }
        Err(error) => Err(Failure::may_pass(error)),
    };
    repeat(node, "comparison of the union", agreement, step).await
}

/// Compares the two nodes of the rollup. That they disagree ends the network.
pub(crate) async fn compare(
    node: NodeContext<Rollup>,
    agreement: Agreement,
    poll: Duration,
) -> Result<(), PartError> {
    let step = move |agreement: &mut Agreement| match agreement.check() {
        Ok(agreed) => {
            if let Some(number) = agreed {
                gauge!("lockstep_devnet_agreed_block").set(number as f64);
            }
            Ok(poll)
        }
        Err(error @ AgreementError::Differs { .. }) => {
            counter!("lockstep_devnet_disagreements_total").increment(1);
            Err(Failure::fatal(error))
        }
        Err(error) => Err(Failure::may_pass(error)),
    };
    repeat(node, "comparison", agreement, step).await
}
