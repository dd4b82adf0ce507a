//! What the rules make of what L1 has (docs/union-batches.md), from its events and what the owner knows of its own batches.

use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, ChainId, map::HashMap};
use lockstep_protocol::BatchPosted;
use std::collections::BTreeMap;

/// What a batch holds, as its owner knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    /// The blocks of each rollup; nothing if the batch breaks a rule for all, and is dropped whole.
    pub(crate) spans: Option<BTreeMap<ChainId, Span>>,
}

impl Content {
    /// Of a batch that is dropped whole.
    pub(crate) const DROPPED: Self = Self { spans: None };
}

/// Blocks of a rollup.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// The block that they continue.
    pub(crate) parent: BlockNumHash,
    /// The L1 origin of the last.
    pub(crate) origin: BlockNumHash,
    pub(crate) blocks: Vec<Block>,
}

/// A block that followers come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// The one that the owner has made.
    Made(B256),
    /// One with the deposits of L1 alone, since what the batch has in its place is invalid. Nothing follows it.
    Deposits,
    /// One that the owner has not executed; all followers come to the same.
    Forged,
}

/// A block of the chain that followers must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Is(B256),
    /// Not known yet: what the first follower made there is learnt.
    ToLearn(Block),
}

/// The batches that were ever posted, and what was learnt of blocks that the owner has not made.
#[derive(Debug, Default)]
pub(crate) struct Model {
    batches: HashMap<B256, Content>,
    learnt: HashMap<(ChainId, B256), B256>,
}

/// Chains from genesis on, by chain id.
pub(crate) type Chains = BTreeMap<ChainId, Vec<Expected>>;

impl Model {
    /// A batch was signed.
    pub(crate) fn knows(&mut self, hash: B256, content: Content) {
        self.batches.insert(hash, content);
    }

    /// The block on `parent` turned out to be this one.
    pub(crate) fn learn(&mut self, chain: ChainId, parent: B256, block: B256) {
        self.learnt.insert((chain, parent), block);
    }

    /// The safe chains after these events, on an L1 with these blocks.
    pub(crate) fn chains(
        &self,
        genesis: &BTreeMap<ChainId, B256>,
        events: &[BatchPosted],
        l1_hash: impl Fn(u64) -> Option<B256>,
    ) -> Chains {
        let mut chains: Chains =
            genesis.iter().map(|(chain, hash)| (*chain, vec![Expected::Is(*hash)])).collect();
        for event in events {
            let content = self.batches.get(&event.batch_hash).expect("the owner signed it");
            let Some(spans) = &content.spans else { continue };
            let is_of_this_l1 = |span: &Span| l1_hash(span.origin.number) == Some(span.origin.hash);
            if !spans.values().all(is_of_this_l1) {
                continue;
            }
            for (chain, span) in spans {
                self.extend(*chain, chains.get_mut(chain).unwrap(), span);
            }
        }
        chains
    }

    /// Adds a span to its rollup's chain, if it continues that.
    fn extend(&self, chain: ChainId, blocks: &mut Vec<Expected>, span: &Span) {
        let at = span.parent.number as usize;
        if blocks.get(at) != Some(&Expected::Is(span.parent.hash)) {
            return;
        }
        let mut grown = blocks[..=at].to_vec();
        for block in &span.blocks {
            let expected = match block {
                Block::Made(hash) => Expected::Is(*hash),
                other => {
                    let Some(Expected::Is(parent)) = grown.last() else { break };
                    let learnt = self.learnt.get(&(chain, *parent));
                    learnt.map_or(Expected::ToLearn(*other), |hash| Expected::Is(*hash))
                }
            };
            grown.push(expected);
            if *block == Block::Deposits || matches!(expected, Expected::ToLearn(_)) {
                break;
            }
        }
        // Where it overlaps the chain it must be the same, or nothing of it counts.
        if grown.len() > blocks.len() && grown.starts_with(blocks) {
            *blocks = grown;
        }
    }
}
