//! Batches of others that were refused, and whose turn it is to be looked at.

use alloy_primitives::{Address, B256};
use std::collections::{BTreeMap, VecDeque};

/// Batches that are remembered of each signer, so that nobody makes the gateway check them again and again.
const MAX_REFUSED: usize = 64;

/// Signers of whom any are remembered.
const MAX_SIGNERS: usize = 64;

/// What was refused. Each signer has room of their own, and those whose signature does not count share one.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    by_signer: BTreeMap<Address, VecDeque<B256>>,
    /// The last that was looked at.
    last: B256,
}

impl Refusals {
    pub(super) fn has(&self, id: &B256) -> bool {
        self.by_signer.values().any(|refused| refused.contains(id))
    }

    /// A batch is refused. `signer` is who has signed it, if that counts.
    pub(super) fn add(&mut self, id: B256, signer: Option<Address>) {
        self.last = id;
        let signer = signer.unwrap_or_default();
        if !self.by_signer.contains_key(&signer) && self.by_signer.len() >= MAX_SIGNERS {
            self.by_signer.pop_last();
        }
        let refused = self.by_signer.entry(signer).or_default();
        if refused.len() >= MAX_REFUSED {
            refused.pop_front();
        }
        refused.push_back(id);
    }

    /// Brings batches into the order in which they are looked at: after the last one that was. So it is each one's turn,
    /// however many there are.
    pub(super) fn sort<T>(&self, batches: &mut [(B256, T)]) {
        batches.sort_by_key(|(id, _)| (*id <= self.last, *id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signer_takes_no_room_of_others() {
        let mut refusals = Refusals::default();
        let id = |number: u64| B256::from(alloy_primitives::U256::from(number));
        refusals.add(id(1), Some(Address::repeat_byte(1)));
        (0..1_000).for_each(|number| refusals.add(id(2_000 + number), None));
        assert!(refusals.has(&id(1)) && refusals.has(&id(2_999)) && !refusals.has(&id(2_000)));
    }

    #[test]
    fn it_is_each_ones_turn() {
        let mut refusals = Refusals::default();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let id = |number: u64| alloy_primitives::keccak256(number.to_be_bytes());
            let mut batches: Vec<_> = (0..500).map(|number| (id(number), number)).collect();
            refusals.sort(&mut batches);
            refusals.add(batches[0].0, None);
            seen.insert(batches[0].1);
        }
        assert_eq!(seen.len(), 500);
    }
}
