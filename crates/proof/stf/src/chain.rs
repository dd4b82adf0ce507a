//! The rollup, derived and executed block by block.

use crate::{
    BootInfo, PayloadError, StatelessExecutor, StfError,
    l1::{OracleBlobs, OracleL1},
    l2::OracleL2,
};
use alloc::{boxed::Box, sync::Arc};
use alloy_consensus::Header;
use alloy_primitives::{B256, Sealed};
use lockstep_chain::Rollup;
use lockstep_derive::{DeriveError, DerivedAttributes, Pipeline, Severity, Signal, Step};
use lockstep_preimage::PreimageOracle;
use lockstep_protocol::{L2BlockInfo, RollupConfig};

type OraclePipeline<'a, O> = Pipeline<OracleL1<'a, O>, OracleBlobs<'a, O>, OracleL2<'a, O>>;

/// The rollup from the agreed block on.
pub(crate) struct DerivedChain<'a, O> {
    config: &'a RollupConfig,
    pipeline: OraclePipeline<'a, O>,
    executor: StatelessExecutor<'a, O>,
    /// The newest block that was made.
    tip: L2BlockInfo,
    /// Where the chain returns to if a block of the span batch that is being read turns out to be
    /// invalid: before Holocene, as long as the span is not at its end.
    span: Option<SpanStart<'a, O>>,
    claimed_block: u64,
    /// The claimed block and its output root, if it was made in the midst of a span.
    claimed: Option<(L2BlockInfo, B256)>,
    /// The safe head at which derivation started over last.
    last_reset: Option<u64>,
}

/// The chain as it was before a span batch.
struct SpanStart<'a, O> {
    head: L2BlockInfo,
    executor: StatelessExecutor<'a, O>,
}

impl<'a, O: PreimageOracle> DerivedChain<'a, O> {
    /// The chain that ends with the agreed block.
    pub(crate) fn new(
        oracle: &'a O,
        boot: &'a BootInfo,
        chain: &'a Rollup,
        agreed: Sealed<Header>,
    ) -> Result<Self, StfError<O::Error>> {
        let config = Arc::new(boot.rollup_config.clone());
        let mut l2 = OracleL2::new(oracle, Arc::clone(&config), agreed.clone());
        let tip = l2.head()?;
        let l1 = OracleL1::new(oracle, boot.l1_head)?;
        let l1_chain = Arc::new(boot.l1_chain.clone());
        let blobs = OracleBlobs::new(oracle);
        Ok(Self {
            config: &boot.rollup_config,
            pipeline: Pipeline::new(config, l1_chain, l1, blobs, l2, tip),
            executor: StatelessExecutor::new(chain, oracle, agreed),
            tip,
            span: None,
            claimed_block: boot.claimed_l2_block,
            claimed: None,
            last_reset: None,
        })
    }

    /// The newest safe block, or the claimed one if that is safe.
    pub(crate) fn head(&self) -> &L2BlockInfo {
        match (&self.span, &self.claimed) {
            (Some(span), _) => &span.head,
            (None, Some((claimed, _))) => claimed,
            (None, None) => &self.tip,
        }
    }

    /// The output root of [`Self::head`].
    pub(crate) fn output_root(&self) -> Result<B256, StfError<O::Error>> {
        Ok(match (&self.span, self.claimed) {
            (Some(span), _) => span.executor.output_root()?,
            (None, Some((_, output_root))) => output_root,
            (None, None) => self.executor.output_root()?,
        })
    }

    /// What the next block is made from; `None` if L1 tells of none.
    pub(crate) fn derive_next(
        &mut self,
    ) -> Result<Option<Box<DerivedAttributes>>, StfError<O::Error>> {
        loop {
            match self.pipeline.step(&self.tip) {
                Ok(Step::Attributes(attributes)) => return Ok(Some(attributes)),
                Ok(Step::Idle) => return Ok(None),
                Ok(Step::Advanced(_) | Step::Progress) => {}
                Err(error) => self.start_over_after(error)?,
            }
        }
    }

    /// Makes the block that was derived. One that is invalid is replaced by its deposits from Holocene
    /// on; before, it is left out, and with it the blocks of its span that came before it (OP spec:
    /// derivation § processing unsafe payload attributes; Holocene § engine queue).
    pub(crate) fn execute(
        &mut self,
        derived: Box<DerivedAttributes>,
    ) -> Result<(), StfError<O::Error>> {
        let is_replaced = derived.replaces_invalid_payload(self.config);
        let is_safe = is_replaced || derived.is_last_in_span;
        if !is_safe && self.span.is_none() {
            self.span = Some(SpanStart { head: self.tip, executor: self.executor.clone() });
        }
        match self.make(&derived) {
            Err(error) if error.is_invalid_payload() && !derived.is_deposits_only() => {
                if !is_replaced {
                    self.leave_span();
                    return Ok(());
                }
                self.make(&derived.deposits_only())?;
                self.pipeline.signal(Signal::FlushChannel);
            }
            result => result?,
        }
        if is_safe {
            self.span = None;
        } else if self.tip.block.number == self.claimed_block {
            self.claimed = Some((self.tip, self.executor.output_root()?));
        }
        Ok(())
    }

    fn make(&mut self, derived: &DerivedAttributes) -> Result<(), PayloadError<O::Error>> {
        let made = self.executor.execute(&derived.attributes)?;
        let (_, _, l2) = self.pipeline.providers();
        l2.push(made.block);
        self.tip = l2.head()?;
        Ok(())
    }

    /// Takes back what was made of the span that is being read.
    fn leave_span(&mut self) {
        let Some(SpanStart { head, executor }) = self.span.take() else { return };
        let (_, _, l2) = self.pipeline.providers();
        l2.truncate(head.block.number);
        self.executor = executor;
        self.tip = head;
        self.claimed = None;
    }

    /// Derivation starts over where it asks for it, once for each safe head: the second time it would
    /// come to the same.
    fn start_over_after(&mut self, error: DeriveError) -> Result<(), StfError<O::Error>> {
        self.leave_span();
        let number = self.tip.block.number;
        if error.severity() != Severity::Reset || self.last_reset == Some(number) {
            return Err(StfError::Derive(error.into()));
        }
        self.last_reset = Some(number);
        self.pipeline.signal(Signal::Reset { safe_head: self.tip });
        Ok(())
    }
}
