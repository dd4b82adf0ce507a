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
    /// Those before a batch, or of one; L1 has them.
    Before,
}

impl Sealer {
    /// Whether a chain lacks blocks that sealed batches have.
    pub(crate) fn short(&self, chains: &impl UnionChains) -> Result<Short, GatewayError> {
        let mut is_short = false;
        let newest = self.ledger.with(|state| state.newest_blocks());
        for (chain, last) in newest.into_iter().filter(|it| self.rollups.contains_key(&it.0)) {
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
            let spans = batch.spans.iter().filter(|it| self.rollups.contains_key(it.0));
            for (chain, span) in spans {
                if chains.hash(*chain, span.last.number)?.is_none() {
                    let parent = chains.hash(*chain, span.parent.number)?;
                    if parent.is_some_and(|found| found != span.parent.hash) {
                        return Ok(Short::No);
                    }
                    // What its blobs hold was forgotten since L1 has it for good.
                    is_before |= parent.is_none() || batch.data.is_empty();
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
