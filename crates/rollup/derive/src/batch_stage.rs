//! Batches from Holocene on: strictly in order, one at a time (OP specification: Holocene § span
//! batches, § batch queue).

use crate::{
    BatchContext, DeriveError, Dropped, Judge, L1Window, L2Provider, NextBatch, NextInSpan,
    SpanStream, Validity,
};
use lockstep_protocol::{Batch, BlockInfo, L2BlockInfo, SingleBatch, SpanBatch};

/// The span batch whose blocks come one after the other; no other batch waits here.
#[derive(Clone, Debug)]
pub(crate) struct BatchStage {
    window: L1Window,
    span: SpanStream,
    /// A span batch that could not be judged because a provider failed.
    pending: Option<Batch>,
}

/// What to do about the batch that comes next.
enum Candidate {
    /// Judge it.
    Batch(SingleBatch),
    /// Nothing.
    Done(NextBatch),
}

impl BatchStage {
    pub(crate) const fn new(window: L1Window) -> Self {
        Self { window, span: SpanStream::EMPTY, pending: None }
    }

    pub(crate) fn needs_input(&mut self, origin: BlockInfo, parent: &L2BlockInfo) -> bool {
        self.window.update(origin, parent);
        self.is_draining(parent) || (self.pending.is_none() && self.span.is_empty())
    }

    /// Drops what is left of the current span.
    pub(crate) fn flush(&mut self) -> usize {
        self.pending = None;
        self.span.clear()
    }

    /// Whether derivation has not passed the L1 origin of `parent`: no batch in that block or before
    /// it can hold a block that comes after `parent`.
    const fn is_draining(&self, parent: &L2BlockInfo) -> bool {
        self.window.origin().number <= parent.l1_origin.number
    }

    pub(crate) fn next<L2: L2Provider>(
        &mut self,
        input: Option<Batch>,
        origin: BlockInfo,
        context: &mut BatchContext<'_, L2>,
    ) -> Result<NextBatch, DeriveError> {
        self.window.update(origin, context.parent);
        if self.is_draining(context.parent) {
            if input.is_none() {
                return Ok(NextBatch::Exhausted);
            }
            context.counters.record(Dropped::BeforeOrigin, origin.number);
            return Ok(NextBatch::More);
        }
        self.window.checked_epoch(context.parent)?;
        let batch = match self.candidate(input, context)? {
            Candidate::Batch(batch) => batch,
            Candidate::Done(next) => return Ok(next),
        };
        let judge = Judge {
            config: context.config,
            window: &self.window,
            parent: context.parent,
            inclusion: origin,
        };
        let reason = match judge.single(&batch) {
            Validity::Accept => {
                let is_last_in_span = self.span.is_empty();
                return Ok(NextBatch::Batch { batch, is_last_in_span });
            }
            Validity::Drop(reason) => reason,
            Validity::Past => {
                context.counters.record(Dropped::Past, origin.number);
                return Ok(NextBatch::More);
            }
            Validity::Future => Dropped::Future,
            Validity::Undecided => Dropped::Undecided,
        };
        context.counters.record(reason, origin.number);
        self.flush();
        Ok(NextBatch::Flush)
    }

    /// The batch that comes next: of the current span, of the input, or made up.
    fn candidate<L2: L2Provider>(
        &mut self,
        input: Option<Batch>,
        context: &mut BatchContext<'_, L2>,
    ) -> Result<Candidate, DeriveError> {
        if !self.span.is_empty() {
            return Ok(self.next_in_span(context));
        }
        match input.or_else(|| self.pending.take()) {
            Some(Batch::Single(batch)) => Ok(Candidate::Batch(batch)),
            Some(Batch::Span(span)) => self.begin(span, context),
            None => {
                let empty = self.window.empty_batch(context.config, context.parent, true);
                Ok(Candidate::Done(empty.map_or(NextBatch::Exhausted, NextBatch::last)))
            }
        }
    }

    /// Makes a span batch the current one, if it may be.
    fn begin<L2: L2Provider>(
        &mut self,
        span: SpanBatch,
        context: &mut BatchContext<'_, L2>,
    ) -> Result<Candidate, DeriveError> {
        let inclusion = self.window.origin();
        let judge = Judge {
            config: context.config,
            window: &self.window,
            parent: context.parent,
            inclusion,
        };
        let validity = match judge.span_holocene(&span, context.l2) {
            Ok(validity) => validity,
            Err(error) => {
                self.pending = Some(Batch::Span(span));
                return Err(error);
            }
        };
        let (reason, next) = match validity {
            Validity::Accept => {
                self.span = SpanStream::new(span, context.parent);
                return Ok(self.next_in_span(context));
            }
            Validity::Drop(reason) => (reason, NextBatch::Flush),
            Validity::Past => (Dropped::Past, NextBatch::More),
            Validity::Future => (Dropped::Future, NextBatch::Flush),
            // It ends in an L1 block behind the one that it is in, or builds on what came before
            // genesis. Implementations agree that such a batch is left out without its channel.
            Validity::Undecided => (Dropped::Undecided, NextBatch::More),
        };
        context.counters.record(reason, inclusion.number);
        Ok(Candidate::Done(next))
    }

    fn next_in_span<L2>(&mut self, context: &mut BatchContext<'_, L2>) -> Candidate {
        match self.span.pop(context.config, &self.window, context.parent) {
            NextInSpan::Batch(batch) => Candidate::Batch(batch),
            NextInSpan::Empty => Candidate::Done(NextBatch::More),
            NextInSpan::Abandoned(reason) => {
                context.counters.record(reason, self.window.origin().number);
                Candidate::Done(match reason {
                    Dropped::SpanAbandoned => NextBatch::More,
                    _ => NextBatch::Flush,
                })
            }
        }
    }
}
