//! Which blocks a simulation consists of.

use super::{BlockStateCall, SimulatedOverrides};
use crate::{InspectError, Limits};
use alloy_consensus::Header;
use alloy_primitives::{Sealed, U256};

/// The seconds between simulated blocks that state no time.
const SECONDS_PER_BLOCK: u64 = 12;

/// A block to simulate, with its place in the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned<'a> {
    pub(super) number: u64,
    pub(super) timestamp: u64,
    /// `None` fills a gap.
    pub(super) block: Option<&'a BlockStateCall>,
}

impl Planned<'_> {
    pub(super) fn overrides(&self) -> Option<&SimulatedOverrides> {
        self.block.and_then(|block| block.block_overrides.as_ref())
    }
}

/// Gives every block number and time, and fills gaps in the numbers.
///
/// # Errors
/// [`InspectError::BlockNumber`] and [`InspectError::BlockTimestamp`] if the blocks are not in
/// order, [`InspectError::Limit`] if they span too much.
pub(super) fn plan<'a>(
    base: &Sealed<Header>,
    blocks: &'a [BlockStateCall],
    limits: &Limits<'_>,
) -> Result<Vec<Planned<'a>>, InspectError> {
    let mut planned: Vec<Planned<'a>> = Vec::new();
    let (mut number, mut timestamp) = (base.number, base.timestamp);
    for block in blocks {
        let overrides = block.block_overrides.as_ref().map(|overrides| &overrides.header);
        let next = U256::from(number) + U256::ONE;
        let wanted = overrides.and_then(|overrides| overrides.number).unwrap_or(next);
        if wanted < next {
            return Err(InspectError::BlockNumber { number: wanted, previous: number });
        }
        let span = wanted - U256::from(base.number);
        if span > U256::from(limits.simulated_blocks) {
            let got = u64::try_from(span).unwrap_or(u64::MAX);
            let limit = limits.simulated_blocks;
            return Err(InspectError::Limit { what: "simulated blocks", got, limit });
        }
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
        while number + 1 < wanted {
            number += 1;
            timestamp = timestamp.saturating_add(SECONDS_PER_BLOCK);
            planned.push(Planned { number, timestamp, block: None });
        }
        let time = overrides.and_then(|overrides| overrides.time);
        let time = time.unwrap_or_else(|| timestamp.saturating_add(SECONDS_PER_BLOCK));
        if time <= timestamp {
            return Err(InspectError::BlockTimestamp { timestamp: time, previous: timestamp });
        }
        (number, timestamp) = (wanted, time);
        planned.push(Planned { number, timestamp, block: Some(block) });
    }
    Ok(planned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::Sealable;
    use alloy_rpc_types_eth::BlockOverrides;

    fn block(number: Option<u64>, time: Option<u64>) -> BlockStateCall {
        let header = BlockOverrides { number: number.map(U256::from), time, ..Default::default() };
        let block_overrides = Some(SimulatedOverrides { header, withdrawals: None });
        BlockStateCall { block_overrides, ..Default::default() }
    }

    fn plan_on_100(blocks: &[BlockStateCall]) -> Result<Vec<(u64, u64)>, InspectError> {
        let base = Header { number: 100, timestamp: 1000, ..Default::default() }.seal_slow();
        let planned = plan(&base, blocks, &Limits::DEFAULT)?;
        Ok(planned.iter().map(|block| (block.number, block.timestamp)).collect())
    }

    #[test]
    fn gaps_are_filled() {
        let blocks = [block(None, None), block(Some(104), Some(2000)), block(None, None)];
        let expected = [(101, 1012), (102, 1024), (103, 1036), (104, 2000), (105, 2012)];
        assert_eq!(plan_on_100(&blocks).expect("the blocks are in order"), expected);
    }

    #[test]
    fn disorder_and_excess_are_refused() {
        let code = |blocks: &[BlockStateCall]| plan_on_100(blocks).map_err(|error| error.code());
        assert_eq!(code(&[block(Some(100), None)]), Err(-38020));
        assert_eq!(code(&[block(None, Some(1000))]), Err(-38021));
        assert_eq!(code(&[block(Some(356), None)]).map(|blocks| blocks.len()), Ok(256));
        assert_eq!(code(&[block(Some(357), None)]), Err(-38026));
        let huge = BlockStateCall {
            block_overrides: Some(SimulatedOverrides {
                header: BlockOverrides { number: Some(U256::MAX), ..Default::default() },
                withdrawals: None,
            }),
            ..Default::default()
        };
        assert_eq!(code(&[huge]), Err(-38026));
    }
}
