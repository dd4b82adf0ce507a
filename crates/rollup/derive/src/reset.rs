//! Where the pipeline begins after a reset (OP specification: derivation § resetting the pipeline).

use crate::{DeriveError, L1Provider, L2Provider};
use alloy_eips::BlockNumHash;
use lockstep_chain::OpHardfork;
use lockstep_protocol::{
    BlockInfo, CHANNEL_TIMEOUT_GRANITE, L2BlockInfo, RollupConfig, SystemConfig,
};

/// A search for the L1 block to begin at: so far back that no channel that was still open at the
/// safe head is missed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reset {
    safe_head: L2BlockInfo,
    /// How far back the search has come.
    at: L2BlockInfo,
}

impl Reset {
    pub(crate) const fn new(safe_head: L2BlockInfo) -> Self {
        Self { safe_head, at: safe_head }
    }

    /// The block that derivation is to continue.
    pub(crate) const fn safe_head(&self) -> &L2BlockInfo {
        &self.safe_head
    }

    /// Finds the L1 block to begin at, and the system config there. An error keeps how far the
    /// search has come.
    pub(crate) fn find<L1: L1Provider, L2: L2Provider>(
        &mut self,
        config: &RollupConfig,
        l1: &mut L1,
        l2: &mut L2,
    ) -> Result<(BlockInfo, SystemConfig), DeriveError> {
        let genesis = &config.genesis;
        while self.at.block.number > genesis.l2.number
            && self.at.l1_origin.number > genesis.l1.number
            && self.may_miss_channels(config, l1)?
        {
            self.at = l2
                .block_info(self.at.block.number - 1)
                .map_err(DeriveError::provider("a block before the safe head"))?;
        }
        let origin = header(l1, self.at.l1_origin)?;
        let system_config = l2
            .system_config(self.at.block.number)
            .map_err(DeriveError::provider("the system config to begin with"))?;
        Ok((origin, system_config))
    }

    /// Whether a channel that was opened before the L1 origin where the search is may still be open
    /// at that of the safe head.
    fn may_miss_channels<L1: L1Provider>(
        &self,
        config: &RollupConfig,
        l1: &mut L1,
    ) -> Result<bool, DeriveError> {
        if config.union.is_some() {
            // A union batch is whole in its L1 block.
            return Ok(false);
        }
        let distance = self.safe_head.l1_origin.number.saturating_sub(self.at.l1_origin.number);
        let (bedrock, granite) = (config.channel_timeout, CHANNEL_TIMEOUT_GRANITE);
        // The timeout depends on the time of the L1 origin, which is worth asking for only near the
        // fork: no rollup block is older than its L1 origin.
        let timeout = if distance < bedrock.min(granite) || distance >= bedrock.max(granite) {
            granite
        } else if !config.is_active(OpHardfork::Granite, self.at.block.timestamp) {
            bedrock
        } else {
            config.channel_timeout(header(l1, self.at.l1_origin)?.timestamp)
        };
        Ok(distance < timeout)
    }
}

fn header<L1: L1Provider>(l1: &mut L1, id: BlockNumHash) -> Result<BlockInfo, DeriveError> {
    let header =
        l1.header_by_hash(id.hash).map_err(DeriveError::provider("the header of an L1 origin"))?;
    Ok(BlockInfo::from_header(&header, id.hash))
}
