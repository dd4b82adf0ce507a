//! Going on from what another gateway has sealed.

use crate::{
    Gateway, GatewayError, Member, SealedSpan, SequencerError,
    ahead::{Ahead, Made},
    engines::rewind,
    seal::Offer,
};
use alloy_eips::BlockNumHash;
use alloy_primitives::ChainId;
use lockstep_derive::L1Provider;
use metrics::counter;
use std::{collections::BTreeMap, panic::resume_unwind, thread};

/// Batches that are adopted in one go: a gateway that was away catches up with some rounds in between.
const MAX_ADOPTED: usize = 8;

impl<L1: L1Provider + Send> Gateway<L1> {
    /// Makes the blocks of the batches that other gateways have sealed since the newest that is known heads of the rollups.
    /// Whether there were any. What fails is told, and tried again.
    pub(crate) fn adopt(&mut self, now_s: u64) -> bool {
        let mut adopted = 0;
        while adopted < MAX_ADOPTED {
            match self.adopt_next(now_s) {
                Ok(true) => adopted += 1,
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(
                        target: "lockstep_gateway",
                        %error,
                        "a batch of another gateway cannot be taken over now; trying again"
                    );
                    break;
                }
            }
        }
        adopted > 0
    }

    fn adopt_next(&mut self, now_s: u64) -> Result<bool, GatewayError> {
        if self.unfinished.len() > 1 {
            // Users were shown something of blocks that no batch has.
            return Ok(false);
        }
        let Some(sealer) = &mut self.sealer else { return Ok(false) };
        let Some(offer) = sealer.offered(now_s) else { return Ok(false) };
        let mut all = BTreeMap::<ChainId, Made>::new();
        for (chain, derived) in derive_ahead(&mut self.members, &offer) {
            let failed = |source| GatewayError::Sequencer { chain, source: Box::new(source) };
            match derived.map_err(failed)? {
                Ahead::Made(made) => drop(all.insert(chain, made)),
                Ahead::NotYet => return Ok(false),
                Ahead::Refused(reason) => {
                    sealer.refuse(&offer, &reason);
                    return Ok(false);
                }
            }
        }
        let cursors = offer.cursors.clone();
        let spans = all.iter().filter_map(|(chain, made)| {
            let (parent, last) = (*cursors.get(chain)?, *made.blocks.last()?);
            Some((*chain, SealedSpan { parent, last }))
        });
        let is_filled = all.values().any(|made| made.is_filled);
        // A round that was begun and shows nothing may stand on what goes now.
        self.unfinished.clear();
        if let Some(log) = &mut self.log {
            log.begin(Vec::new())?;
        }
        sealer.adopt(offer, spans.collect(), is_filled)?;
        // If one fails, the batch is found to be on no blocks, and is given up.
        for (chain, made) in &all {
            if let Some(cursor) = cursors.get(chain) {
                self.make_heads(*chain, *cursor, &made.blocks)?;
            }
        }
        Ok(true)
    }

    /// Makes blocks after `parent` heads, and takes back what stands in their place: empty ones that this gateway made
    /// while it waited.
    pub(crate) fn make_heads(
        &self,
        chain: ChainId,
        parent: BlockNumHash,
        blocks: &[BlockNumHash],
    ) -> Result<(), GatewayError> {
        let engine = self.member(chain)?.sequencer.engine();
        let snapshot = engine.view().snapshot();
        let mut common = parent;
        for block in blocks {
            let found = snapshot.hash(block.number);
            let found = found.map_err(|source| GatewayError::Storage { chain, source })?;
            if found != Some(block.hash) {
                break;
            }
            common = *block;
        }
        let Some(last) = blocks.last().filter(|last| **last != common) else { return Ok(()) };
        if snapshot.safe().is_some_and(|safe| safe.number > common.number) {
            // L1 has others.
            return Ok(());
        }
        let taken_back = snapshot.head().number.saturating_sub(common.number);
        rewind(engine, snapshot.head().seal(), common.hash).map_err(GatewayError::engine(chain))?;
        engine.extend(common.hash, last.hash).map_err(GatewayError::engine(chain))?;
        if taken_back > 0 {
            counter!("lockstep_gateway_rewound_blocks_total").increment(taken_back);
            tracing::info!(
                target: "lockstep_gateway",
                chain, from = snapshot.head().number, to = common.number,
                "took blocks back that were made in place of another gateway's"
            );
        }
        Ok(())
    }
}

/// Makes the blocks of a batch, those of each rollup on a thread of its own.
pub(crate) fn derive_ahead<L1: L1Provider + Send>(
    members: &mut BTreeMap<ChainId, Member<L1>>,
    offer: &Offer,
) -> Vec<(ChainId, Result<Ahead, SequencerError>)> {
    let (slot, data) = (offer.batch.slot, &offer.batch.data);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (chain, member) in members {
            let Some(cursor) = offer.cursors.get(chain).copied() else { continue };
            let sequencer = &mut member.sequencer;
            let work = move || sequencer.derive_ahead(slot, data, cursor);
            threads.push((*chain, scope.spawn(work)));
        }
        let joined = threads.into_iter().map(|(chain, thread)| {
            (chain, thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        joined.collect()
    })
}
