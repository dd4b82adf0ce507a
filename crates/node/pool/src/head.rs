//! The block on which the next one will be built.

use crate::{NextBlock, Pooled};
use alloy_primitives::Sealed;
use lockstep_storage::State;
use std::sync::Arc;

/// A head, and the state after it.
#[derive(Clone, Debug)]
pub struct PoolHead<C: Pooled> {
    /// The head's header.
    pub header: Sealed<C::Header>,
    /// The state after the head.
    pub state: Arc<dyn State>,
}

/// A head with what follows from it.
#[derive(Debug)]
pub(crate) struct Head<C: Pooled> {
    pub(crate) header: Sealed<C::Header>,
    pub(crate) state: Arc<dyn State>,
    pub(crate) rules: C::Rules,
    pub(crate) next: NextBlock,
}

impl<C: Pooled> Head<C> {
    pub(crate) fn new(chain: &C, head: PoolHead<C>) -> Self {
        let PoolHead { header, state } = head;
        let rules = chain.rules(&header, &*state);
        let next = C::next_block(&rules);
        Self { header, state, rules, next }
    }
}
