//! The first stage: walks along the L1 chain and keeps the system config of where it is.

use crate::{Counters, DeriveError, Dropped, L1Provider, check_fork, part::port_deposits};
use lockstep_chain::OpHardfork;
use lockstep_protocol::{BlockInfo, RollupConfig, SystemConfig};

/// Where derivation is on L1.
#[derive(Clone, Debug)]
pub(crate) struct Traversal {
    origin: BlockInfo,
    system_config: SystemConfig,
    /// Whether the data of `origin` was handed on.
    is_taken: bool,
}

impl Traversal {
    /// Begins at `origin`, with the system config of the rollup block that derivation goes on from.
    pub(crate) const fn new(origin: BlockInfo, system_config: SystemConfig) -> Self {
        Self { origin, system_config, is_taken: false }
    }

    pub(crate) const fn origin(&self) -> BlockInfo {
        self.origin
    }

    /// The system config that holds at the origin.
    pub(crate) const fn system_config(&self) -> &SystemConfig {
        &self.system_config
    }

    /// The L1 block whose data comes next; once for each block.
    pub(crate) fn take(&mut self) -> Option<BlockInfo> {
        let is_taken = core::mem::replace(&mut self.is_taken, true);
        (!is_taken).then_some(self.origin)
    }

    /// Goes to the next L1 block, if it is there.
    pub(crate) fn advance<L1: L1Provider>(
        &mut self,
        l1: &mut L1,
        config: &RollupConfig,
        counters: &mut Counters,
    ) -> Result<Option<BlockInfo>, DeriveError> {
        let number = self.origin.number.saturating_add(1);
        let next =
            l1.block_by_number(number).map_err(DeriveError::provider("the next L1 block"))?;
        let Some(next) = next else { return Ok(None) };
        if next.parent_hash != self.origin.hash || next.number != number {
            let (origin, parent) = (self.origin.id(), next.parent_hash);
            return Err(DeriveError::L1Reorg { origin, next: next.hash, parent });
        }
        check_fork(config, next.timestamp)?;
        let receipts = l1
            .receipts(next.hash)
            .map_err(DeriveError::provider("the receipts of the next L1 block"))?;
        let ecotone = config.is_active(OpHardfork::Ecotone, next.timestamp);
        let mut system_config = self.system_config;
        let contract = config.l1_system_config_address;
        let ignored = system_config.update_with_receipts(&receipts, contract, ecotone);
        counters.record_many(Dropped::SystemConfigUpdate, ignored.len(), next.number);
        if config.union.is_some() {
            let left_out = port_deposits(&receipts, config.deposit_contract_address);
            counters.record_many(Dropped::PortDeposit, left_out, next.number);
        }
        *self = Self::new(next, system_config);
        Ok(Some(next))
    }
}
