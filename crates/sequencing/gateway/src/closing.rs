//! Completing the blocks of a round, and making them heads.

use crate::{Gateway, GatewayError, RoundReport, audits::Made, gateway::Opened};
use alloy_primitives::{B256, ChainId};
use lockstep_chain::Rollup;
use lockstep_derive::L1Provider;
use lockstep_engine::{Engine, FilledBlock, OpenBlock};
use metrics::counter;
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::resume_unwind,
};

impl<L1: L1Provider + Send> Gateway<L1> {
    /// Completes the blocks, and then makes them the heads of their rollups.
    pub(crate) fn close(
        &mut self,
        opened: Opened,
        mut filled: BTreeMap<ChainId, FilledBlock<Rollup>>,
        report: &mut RoundReport,
    ) -> Result<(), GatewayError> {
        let mut closing = Vec::new();
        for (chain, open) in opened {
            let Some(filled) = filled.remove(&chain) else { continue };
            let engine = self.member(chain)?.sequencer.engine().clone();
            closing.push(Closing { chain, engine, open, filled });
        }
        let mut places = Vec::new();
        for closed in close_all(closing) {
            let Closed { chain, parent, number, hash } = closed?;
            report.blocks.insert(chain, hash);
            places.push((chain, parent, number, hash));
        }
        // Before the first becomes a head, so that all do or none.
        let mut is_head = BTreeSet::new();
        for (chain, _, number, made) in places.iter().copied() {
            match self.canonical(chain, number)? {
                None => {}
                Some(found) if found == made => drop(is_head.insert(chain)),
                Some(found) => {
                    let error = GatewayError::Replaced { chain, made, found };
                    self.abandon(&error);
                    return Err(error);
                }
            }
        }
        for (chain, parent, _, hash) in places {
            let member = self.member(chain)?;
            // A gateway that was killed may have got so far with some of them.
            if !is_head.contains(&chain) {
                let engine = member.sequencer.engine();
                engine.extend(parent, hash).map_err(GatewayError::engine(chain))?;
            }
            member.shown.clear();
            if let Some(audits) = &self.audits {
                let engine = member.sequencer.engine().clone();
                let timestamp = report.timestamp;
                audits.add(Made { chain, timestamp, hash, engine, since: timestamp });
            }
            self.agreed.heads.insert(chain, hash);
        }
        self.unfinished.clear();
        counter!("lockstep_gateway_rounds_total").increment(1);
        counter!("lockstep_gateway_super_transactions_total")
            .increment(report.super_transactions as u64);
        counter!("lockstep_gateway_gas_total").increment(report.gas_used);
        counter!("lockstep_gateway_wasted_gas_total").increment(report.wasted_gas);
        Ok(())
    }
}

/// A block that is to be completed.
struct Closing {
    chain: ChainId,
    engine: Engine<Rollup>,
    open: OpenBlock<Rollup>,
    filled: FilledBlock<Rollup>,
}

/// A block that is complete.
struct Closed {
    chain: ChainId,
    parent: B256,
    number: u64,
    hash: B256,
}

impl Closing {
    fn close(self) -> Result<Closed, GatewayError> {
        let Self { chain, engine, open, filled } = self;
        let (parent, number) = (open.header().parent_hash, open.header().number);
        let closed = engine.close_block(open, filled).map_err(GatewayError::engine(chain))?;
        Ok(Closed { chain, parent, number, hash: closed.block.hash() })
    }
}

/// Completes blocks, each on a thread of its own: a state root takes as long as the block's execution.
fn close_all(closing: Vec<Closing>) -> Vec<Result<Closed, GatewayError>> {
    if closing.len() < 2 {
        return closing.into_iter().map(Closing::close).collect();
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            closing.into_iter().map(|each| scope.spawn(move || each.close())).collect();
        let closed = threads.into_iter().map(|thread| thread.join());
        closed.map(|closed| closed.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}
