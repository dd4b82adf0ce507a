//! Making blocks again that were lost with the machine's power, of the sealed batches that hold them.
//!
//! Sealed batches are synced to the disk, the engines' logs are not: after a power failure a chain may be shorter than what
//! was signed. The rules of derivation make the same blocks of a batch again. Until that is done no others take their place.

use crate::{
    Gateway, GatewayError, Lost,
    ahead::{Ahead, Made},
    engines::Engines,
    seal::{Offer, Short},
};
use alloy_primitives::ChainId;
use lockstep_derive::L1Provider;
use metrics::counter;
use std::collections::BTreeMap;

impl<L1: L1Provider + Send> Gateway<L1> {
    /// Makes blocks again that sealed batches have and the chains have not. `false` while some are missing: then L1 has to
    /// show more, the followers make them when L1 has the batch, or the batch is given up since L1 has replaced what it stands
    /// on.
    ///
    /// # Errors
    /// If a chain or L1 cannot be read. The next call goes on.
    pub(crate) fn restore(&mut self) -> Result<bool, GatewayError> {
        loop {
            let Some(sealer) = &self.sealer else { return Ok(true) };
            let offer = match sealer.short(&Engines(&self.members))? {
                Short::No => return Ok(true),
                Short::Before => return Ok(false),
                Short::Of(offer) => offer,
            };
            if !self.restore_batch(&offer)? {
                return Ok(false);
            }
        }
    }

    fn restore_batch(&mut self, offer: &Offer) -> Result<bool, GatewayError> {
        let (slot, hash) = (offer.batch.slot, offer.batch.hash);
        let mut all = BTreeMap::<ChainId, Made>::new();
        let mut must_wait = false;
        for (chain, derived) in crate::adopt::derive_ahead(&mut self.members, offer) {
            let failed = |source| GatewayError::Sequencer { chain, source: Box::new(source) };
            match derived.map_err(failed)? {
                Ahead::Made(made) => drop(all.insert(chain, made)),
                Ahead::NotYet => must_wait = true,
                Ahead::Refused(reason) => {
                    tracing::debug!(
                        target: "lockstep_gateway",
                        slot, chain, reason,
                        "the blocks of a sealed batch are left to derivation"
                    );
                    return Ok(false);
                }
            }
        }
        if must_wait {
            self.give_up_replaced(offer)?;
            return Ok(false);
        }
        let mut is_same = true;
        for (chain, made) in &all {
            let Some(span) = offer.batch.spans.get(chain) else { continue };
            let head = self.member(*chain)?.sequencer.engine().view().head().seal();
            let is_on_it = head == span.parent.hash || made.blocks.iter().any(|it| it.hash == head);
            is_same &= is_on_it && made.blocks.last() == Some(&span.last);
        }
        if !is_same {
            // Other blocks stand there.
            self.lose_replaced(offer);
            return Ok(false);
        }
        let count: usize = all.values().map(|made| made.blocks.len()).sum();
        for (chain, made) in &all {
            if let Some(span) = offer.batch.spans.get(chain) {
                self.make_heads(*chain, span.parent, &made.blocks)?;
            }
        }
        counter!("lockstep_gateway_restored_batches_total").increment(1);
        tracing::warn!(
            target: "lockstep_gateway",
            slot, batch = %hash, blocks = count,
            "made blocks again that a sealed batch has and that were lost: did the machine lose its power?"
        );
        Ok(true)
    }

    /// If L1 was reorganised below blocks of a batch, of whichever rollup, and they were taken back for that, nothing brings
    /// them back.
    fn give_up_replaced(&mut self, offer: &Offer) -> Result<(), GatewayError> {
        let mut is_replaced = false;
        for chain in offer.batch.spans.keys() {
            let Some(member) = self.members.get_mut(chain) else { continue };
            let replaced = member.sequencer.is_origin_replaced(offer.batch.slot, &offer.batch.data);
            let failed =
                |source| GatewayError::Sequencer { chain: *chain, source: Box::new(source) };
            is_replaced |= replaced.map_err(failed)?;
        }
        if is_replaced {
            self.lose_replaced(offer);
        }
        Ok(())
    }

    fn lose_replaced(&self, offer: &Offer) {
        if let Some(sealer) = &self.sealer {
            sealer.ledger().lose(offer.batch.hash, Lost::Replaced);
        }
    }
}
