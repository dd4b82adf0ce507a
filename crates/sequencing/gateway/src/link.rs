//! The way between the gateways of a union.

use crate::{Bell, SealedBatch};
use alloy_primitives::B256;
use parking_lot::Mutex;
use std::{collections::VecDeque, fmt, sync::Arc};

/// Batches that a [`Board`] keeps: those that L1 may not have yet, and more.
const MAX_KEPT: usize = 256;

/// The other gateways of a union. No call waits for them: the thread that makes blocks calls.
pub trait GatewayLink: fmt::Debug + Send + Sync {
    /// Tells the others of a batch that was sealed, and is on the disk. It may be lost on the way.
    fn hand_over(&self, batch: &Arc<SealedBatch>);

    /// What others say was sealed on the batch with this hash (zero: the first one). The slot, the parent, the data, the
    /// hashes of its blobs and the signature count, and are checked; nothing else in it is believed.
    fn sealed_after(&self, parent: B256) -> Vec<Arc<SealedBatch>>;
}

/// Gateways of one process that hand their batches to each other.
#[derive(Debug, Default)]
pub struct Board {
    batches: Mutex<VecDeque<Arc<SealedBatch>>>,
    bells: Mutex<Vec<Arc<Bell>>>,
}

impl Board {
    /// Announces batches with this bell, too.
    pub fn join(&self, bell: Arc<Bell>) {
        self.bells.lock().push(bell);
    }
}

impl GatewayLink for Board {
    fn hand_over(&self, batch: &Arc<SealedBatch>) {
        let mut batches = self.batches.lock();
        if batches.len() >= MAX_KEPT {
            batches.pop_front();
        }
        batches.push_back(batch.clone());
        drop(batches);
        self.bells.lock().iter().for_each(|bell| bell.announce_batch());
    }

    fn sealed_after(&self, parent: B256) -> Vec<Arc<SealedBatch>> {
        self.batches.lock().iter().filter(|batch| batch.parent == parent).cloned().collect()
    }
}
