//! The rollups' engines, as the sealer sees them.

use crate::{GatewayError, Member, UnionChains};
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, ChainId};
use lockstep_batcher::UnionBlock;
use lockstep_chain::Rollup;
use lockstep_derive::L1Provider;
use lockstep_engine::{ChainSnapshot, Engine, EngineError};
use metrics::counter;
use std::collections::BTreeMap;

/// The chains of the gateway's rollups.
pub(crate) struct Engines<'a, L1>(pub(crate) &'a BTreeMap<ChainId, Member<L1>>);

impl<L1: L1Provider> Engines<'_, L1> {
    fn member(&self, chain: ChainId) -> Result<&Member<L1>, GatewayError> {
        self.0.get(&chain).ok_or(GatewayError::NoUnion(chain))
    }

    fn snapshot(&self, chain: ChainId) -> Result<ChainSnapshot<Rollup>, GatewayError> {
        Ok(self.member(chain)?.sequencer.engine().view().snapshot())
    }
}

impl<L1: L1Provider> UnionChains for Engines<'_, L1> {
    fn head(&self, chain: ChainId) -> Result<BlockNumHash, GatewayError> {
        let snapshot = self.snapshot(chain)?;
        let head = snapshot.head();
        Ok(BlockNumHash::new(head.number, head.seal()))
    }

    fn safe(&self, chain: ChainId) -> Result<u64, GatewayError> {
        Ok(self.snapshot(chain)?.safe().map_or(0, |safe| safe.number))
    }

    fn hash(&self, chain: ChainId, number: u64) -> Result<Option<B256>, GatewayError> {
        let snapshot = self.snapshot(chain)?;
        snapshot.hash(number).map_err(|source| GatewayError::Storage { chain, source })
    }

    fn block(&self, chain: ChainId, number: u64) -> Result<Option<UnionBlock>, GatewayError> {
        let failed = |source| GatewayError::Storage { chain, source };
        let Some(block) = self.snapshot(chain)?.block(number).map_err(failed)? else {
            return Ok(None);
        };
        let genesis = &self.member(chain)?.sequencer.config().genesis;
        UnionBlock::from_block(block.block.inner(), genesis)
            .map(Some)
            .map_err(|error| GatewayError::Block { chain, number, reason: error.to_string() })
    }

    fn rewind(
        &mut self,
        chain: ChainId,
        head: BlockNumHash,
        to: BlockNumHash,
    ) -> Result<(), GatewayError> {
        let engine = self.member(chain)?.sequencer.engine();
        rewind(engine, head.hash, to.hash).map_err(GatewayError::engine(chain))?;
        let count = head.number.saturating_sub(to.number);
        counter!("lockstep_gateway_rewound_blocks_total").increment(count);
        Ok(())
    }
}

/// Takes back the blocks after `to`, by any depth, if `head` is the head and none of them is safe.
pub(crate) fn rewind(engine: &Engine<Rollup>, mut head: B256, to: B256) -> Result<(), EngineError> {
    while head != to {
        head = engine.rewind_from(head, to)?.hash;
    }
    Ok(())
}
