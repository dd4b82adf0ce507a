//! Chains that are shorter than what was signed, as after a power failure.

use super::{Offer, Sealer, UnionChains};
use crate::GatewayError;
use std::collections::BTreeMap;

/// Whether chains lack blocks that sealed batches have.
#[derive(Debug)]
pub(crate) enum Short {
    No,
    /// Those of this batch, on these rollups, and perhaps of others after it.
    Of(Box<Offer>),
    /// Those before a batch; L1 has them.
    Before,
}

impl Sealer {
    /// Whether a chain lacks blocks that sealed batches have.
    pub(crate) fn short(&self, chains: &impl UnionChains) -> Result<Short, GatewayError> {
        let mut is_short = false;
        for (chain, last) in self.ledger.with(|state| state.newest_blocks()) {
            match chains.hash(chain, last.number)? {
                None => is_short = true,
                // The batches are found to be replaced.
                Some(found) if found != last.hash => return Ok(Short::No),
                Some(_) => {}
            }
        }
        if !is_short {
            return Ok(Short::No);
        }
        for batch in self.ledger.with(|state| state.batches.clone()) {
            let (mut cursors, mut is_before) = (BTreeMap::new(), false);
            for (chain, span) in &batch.spans {
                if chains.hash(*chain, span.last.number)?.is_none() {
                    let parent = chains.hash(*chain, span.parent.number)?;
                    if parent.is_some_and(|found| found != span.parent.hash) {
                        return Ok(Short::No);
                    }
                    is_before |= parent.is_none();
                    cursors.insert(*chain, span.parent);
                }
            }
            if is_before {
                return Ok(Short::Before);
            }
            if !cursors.is_empty() {
                return Ok(Short::Of(Box::new(Offer::own((*batch).clone(), cursors))));
            }
        }
        Ok(Short::No)
    }
}
