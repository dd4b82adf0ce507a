//! The rollup, derived and executed block by block.

use crate::{
    BootInfo, PayloadError, StatelessExecutor, StfError,
    l1::{OracleBlobs, OracleL1},
    l2::OracleL2,
};
use alloc::{boxed::Box, sync::Arc};
use alloy_consensus::Header;
use alloy_primitives::{B256, Sealed};
use lockstep_chain::{OpHardfork, Rollup};
use lockstep_derive::{DeriveError, DerivedAttributes, Pipeline, Severity, Signal, Step};
use lockstep_preimage::PreimageOracle;
use lockstep_protocol::{L2BlockInfo, RollupConfig};

type OraclePipeline<'a, O> = Pipeline<OracleL1<'a, O>, OracleBlobs<'a, O>, OracleL2<'a, O>>;

/// The rollup from the agreed block on.
pub(crate) struct DerivedChain<'a, O> {
    config: &'a RollupConfig,
    pipeline: OraclePipeline<'a, O>,
    executor: StatelessExecutor<'a, O>,
    safe_head: L2BlockInfo,
    /// The safe head at which derivation started over last.
    last_reset: Option<u64>,
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
        let safe_head = l2.head()?;
        let l1 = OracleL1::new(oracle, boot.l1_head)?;
        let l1_chain = Arc::new(boot.l1_chain.clone());
        let blobs = OracleBlobs::new(oracle);
        Ok(Self {
            config: &boot.rollup_config,
            pipeline: Pipeline::new(config, l1_chain, l1, blobs, l2, safe_head),
            executor: StatelessExecutor::new(chain, oracle, agreed),
            safe_head,
            last_reset: None,
        })
    }

    /// The newest block.
    pub(crate) const fn head(&self) -> &L2BlockInfo {
        &self.safe_head
    }

    /// The output root of the newest block.
    pub(crate) fn output_root(&self) -> Result<B256, StfError<O::Error>> {
        Ok(self.executor.output_root()?)
    }

    /// What the next block is made from; `None` if L1 tells of none.
    pub(crate) fn derive_next(
        &mut self,
    ) -> Result<Option<Box<DerivedAttributes>>, StfError<O::Error>> {
        loop {
            match self.pipeline.step(&self.safe_head) {
                Ok(Step::Attributes(attributes)) => return Ok(Some(attributes)),
                Ok(Step::Idle) => return Ok(None),
                Ok(Step::Advanced(_) | Step::Progress) => {}
                Err(error) => self.start_over_after(error)?,
            }
        }
    }

    /// Makes the block that was derived. One that is invalid is replaced by its deposits from Holocene
    /// on, and left out before (OP spec: derivation § processing unsafe payload attributes; Holocene §
    /// engine queue).
    pub(crate) fn execute(
        &mut self,
        derived: Box<DerivedAttributes>,
    ) -> Result<(), StfError<O::Error>> {
        match self.make(&derived) {
            Err(error) if error.is_invalid_payload() && !derived.is_deposits_only() => {
                let timestamp = derived.attributes.payload_attributes.timestamp;
                if self.config.is_active(OpHardfork::Holocene, timestamp) {
                    self.make(&derived.deposits_only())?;
                    self.pipeline.signal(Signal::FlushChannel);
                }
                Ok(())
            }
            result => Ok(result?),
        }
    }

    fn make(&mut self, derived: &DerivedAttributes) -> Result<(), PayloadError<O::Error>> {
        let made = self.executor.execute(&derived.attributes)?;
        let (_, _, l2) = self.pipeline.providers();
        l2.push(made.block);
        self.safe_head = l2.head()?;
        Ok(())
    }

    /// Derivation starts over where it asks for it, once for each safe head: the second time it would
    /// come to the same.
    fn start_over_after(&mut self, error: DeriveError) -> Result<(), StfError<O::Error>> {
        let number = self.safe_head.block.number;
        if error.severity() != Severity::Reset || self.last_reset == Some(number) {
            return Err(StfError::Derive(error.into()));
        }
        self.last_reset = Some(number);
        self.pipeline.signal(Signal::Reset { safe_head: self.safe_head });
        Ok(())
    }
}
