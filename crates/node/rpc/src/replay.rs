//! Blocks that are run again to see what they did.

use crate::{
    Args, Context, RpcChain, RpcError, RpcResult,
    context::{Current, block_of, locate},
    deadline::Deadline,
    eth::Target,
};
use alloy_eips::BlockId;
use alloy_primitives::B256;
use lockstep_inspect::{InspectError, Limits as InspectLimits, ReplayBlock};
use lockstep_storage::{RecoveredBlock, State};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// A block with the state that it runs on.
pub(crate) struct Replayable<C: RpcChain> {
    pub(crate) block: Arc<RecoveredBlock<C>>,
    pub(crate) parent_state: Arc<dyn State>,
    /// Whether the block is under construction, and has no hash.
    pub(crate) is_pending: bool,
}

impl<C: RpcChain> Replayable<C> {
    /// The block that a request named; `None` if it is not known.
    pub(crate) fn find(
        context: &Context<C>,
        now: &Current<C>,
        id: BlockId,
    ) -> RpcResult<Option<Self>> {
        if id.is_pending()
            && let Some(pending) = context.pending_block()
        {
            let found = Self::new(now, pending.block)?;
            return Ok(Some(Self { is_pending: true, ..found }));
        }
        let Some(located) = locate(&now.snapshot, id)? else { return Ok(None) };
        let Some(block) = block_of(&now.snapshot, located)? else { return Ok(None) };
        Self::new(now, block).map(Some)
    }

    /// The block of a transaction, and its position; `None` if it is not known.
    pub(crate) fn find_transaction(
        now: &Current<C>,
        hash: &B256,
    ) -> RpcResult<Option<(Self, usize)>> {
        let Some((block, index)) = now.snapshot.transaction(hash)? else { return Ok(None) };
        Ok(Some((Self::new(now, block)?, index)))
    }

    /// A block on the state of its parent.
    pub(crate) fn new(now: &Current<C>, block: Arc<RecoveredBlock<C>>) -> RpcResult<Self> {
        if block.number() == 0 {
            return Err(RpcError::refused(InspectError::Genesis.to_string()));
        }
        let parent_state = now.snapshot.state_by_hash(&block.parent_hash())?;
        Ok(Self { block, parent_state, is_pending: false })
    }

    /// The block as the tracers take it.
    pub(crate) fn replay(&self) -> ReplayBlock<'_, C> {
        ReplayBlock {
            block: self.block.block.inner(),
            hash: self.block.hash(),
            senders: &self.block.senders,
        }
    }
}

/// When a trace must end: in time, and as soon as nobody waits for it any more.
#[derive(Clone, Debug)]
pub(crate) struct TraceEnd {
    end: Instant,
    deadline: Option<Deadline>,
}

impl TraceEnd {
    /// The end of a trace that begins now.
    ///
    /// `wanted` is the time that the client grants; it cannot exceed the operator's limit.
    pub(crate) fn new<C: RpcChain>(
        context: &Context<C>,
        args: &Args<'_>,
        wanted: Option<Duration>,
    ) -> Self {
        let allowed = context.settings.limits.trace_timeout;
        let end = Instant::now() + wanted.map_or(allowed, |wanted| wanted.min(allowed));
        Self { end, deadline: args.deadline().cloned() }
    }

    pub(crate) fn has_come(&self) -> bool {
        self.deadline.as_ref().is_some_and(Deadline::has_passed) || Instant::now() >= self.end
    }
}

/// Runs a call under the limits of traces.
pub(crate) fn limited_on<C: RpcChain, T>(
    context: &Context<C>,
    target: &Target,
    end: &TraceEnd,
    run: impl FnOnce(&InspectLimits<'_>) -> Result<T, InspectError>,
) -> RpcResult<T> {
    let stop = || end.has_come();
    let limits = InspectLimits { stop: Some(&stop), ..target.limits(context) };
    run(&limits).map_err(crate::eth::call_error)
}

/// Runs something under the limits of traces.
pub(crate) fn limited<C: RpcChain, T>(
    context: &Context<C>,
    end: &TraceEnd,
    run: impl FnOnce(&InspectLimits<'_>) -> Result<T, InspectError>,
) -> RpcResult<T> {
    let stop = || end.has_come();
    let limits = InspectLimits { stop: Some(&stop), ..crate::eth::call_limits(context) };
    run(&limits).map_err(crate::eth::call_error)
}
