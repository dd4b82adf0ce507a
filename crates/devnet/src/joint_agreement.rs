//! Whether the followers of a union's rollups tell of the same calls between these.

use crate::{AgreementError, LocalRollup};
use alloy_eips::BlockNumHash;
use alloy_primitives::{ChainId, U256};
use lockstep_contracts::GATE;
use lockstep_execution::StateReader;
use lockstep_storage::StorageError;
use lockstep_union::pair_slot;
use std::collections::BTreeMap;

/// Compares what the safe chains of a union's rollups say of each other.
///
/// Each follower derives its rollup alone, and executes its own parts of super transactions. That what one has sent the other
/// has received is seen only where both are looked at: the transcripts of two rollups with each other must be equal (rule 7.3
/// of super transactions).
#[derive(Clone, Debug)]
pub struct JointAgreement {
    rollups: Vec<LocalRollup>,
}

/// What a rollup has of one of its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    transcript: U256,
    sent: U256,
    received: U256,
}

impl Pair {
    /// What the peer must have.
    const fn mirrored(self) -> Self {
        Self { sent: self.received, received: self.sent, ..self }
    }
}

/// What the rollups have of each other.
type Pairs = BTreeMap<(ChainId, ChainId), Pair>;

impl JointAgreement {
    /// Compares these.
    pub const fn new(rollups: Vec<LocalRollup>) -> Self {
        Self { rollups }
    }

    /// The time, in seconds, of the newest blocks that all call safe; `None` if they cannot be compared now: they can when all
    /// have been derived from L1 up to the very same block.
    ///
    /// # Errors
    /// [`AgreementError::Calls`] if two disagree; when a chain cannot be read.
    pub fn check(&self) -> Result<Option<u64>, AgreementError> {
        let Some(l1) = self.reached() else { return Ok(None) };
        let snapshots: Vec<_> = self.rollups.iter().map(|it| it.view.snapshot()).collect();
        // One that went on or back meanwhile may have shown the chain of another L1 block.
        if self.reached() != Some(l1) {
            return Ok(None);
        }
        let heads = self.rollups.iter().zip(&snapshots).map(|(rollup, snapshot)| {
            let config = &rollup.rollup.config;
            let blocks = rollup.safe_head(snapshot).number.saturating_sub(config.genesis.l2.number);
            config.genesis.l2_time.saturating_add(blocks.saturating_mul(config.block_time))
        });
        let Some(time) = heads.min() else { return Ok(None) };
        let chains: Vec<ChainId> =
            self.rollups.iter().map(|it| it.rollup.config.l2_chain_id).collect();
        let mut pairs = Pairs::new();
        for (rollup, snapshot) in self.rollups.iter().zip(&snapshots) {
            let Some(number) = number_at(rollup, time) else { return Ok(None) };
            let missing = || StorageError::Missing(format!("block {number}"));
            let state = snapshot.state_by_hash(&snapshot.hash(number)?.ok_or_else(missing)?)?;
            let chain = rollup.rollup.config.l2_chain_id;
            for peer in chains.iter().copied().filter(|peer| *peer != chain) {
                let slot = |offset: u64| {
                    let slot = pair_slot(peer).wrapping_add(U256::from(offset));
                    state.storage(&GATE, &slot)
                };
                let pair = Pair { transcript: slot(0)?, sent: slot(1)?, received: slot(2)? };
                pairs.insert((chain, peer), pair);
            }
        }
        match disagreement(&pairs) {
            None => Ok(Some(time)),
            Some((first, second)) => Err(AgreementError::Calls { first, second, time, l1 }),
        }
    }

    /// The L1 block up to which all have been derived, if it is one.
    fn reached(&self) -> Option<BlockNumHash> {
        let mut reached =
            self.rollups.iter().map(|it| it.rollup.status.read().derived_up_to.map(|l1| l1.id()));
        let first = reached.next()??;
        reached.all(|other| other == Some(first)).then_some(first)
    }
}

/// The number of the rollup's block at a time that is not before its first.
fn number_at(rollup: &LocalRollup, time: u64) -> Option<u64> {
    let config = &rollup.rollup.config;
    let since = time.checked_sub(config.genesis.l2_time)?;
    let is_of_a_block = since.checked_rem(config.block_time)? == 0;
    is_of_a_block.then(|| config.genesis.l2.number + since / config.block_time)
}

/// Two rollups of which one does not have what the other says.
fn disagreement(pairs: &Pairs) -> Option<(ChainId, ChainId)> {
    let differs = |((first, second), pair): (&(ChainId, ChainId), &Pair)| {
        let other = pairs.get(&(*second, *first)).copied();
        (other.map(Pair::mirrored) != Some(*pair)).then_some((*first, *second))
    };
    pairs.iter().find_map(differs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(transcript: u64, sent: u64, received: u64) -> Pair {
        let [transcript, sent, received] = [transcript, sent, received].map(U256::from);
        Pair { transcript, sent, received }
    }

    #[test]
    fn what_one_has_sent_the_other_has_received() {
        let agreed: Pairs = [
            ((1, 2), pair(7, 5, 0)),
            ((2, 1), pair(7, 0, 5)),
            ((1, 3), pair(0, 0, 0)),
            ((3, 1), pair(0, 0, 0)),
        ]
        .into();
        assert_eq!(disagreement(&agreed), None);
        for (chains, other) in [
            ((2, 1), pair(8, 0, 5)),
            ((2, 1), pair(7, 5, 0)),
            ((2, 1), pair(7, 0, 4)),
            ((3, 1), pair(1, 0, 0)),
        ] {
            let mut differing = agreed.clone();
            differing.insert(chains, other);
            assert_eq!(disagreement(&differing), Some((chains.1, chains.0)), "{other:?}");
        }
        let mut silent = agreed;
        silent.remove(&(3, 1));
        assert_eq!(disagreement(&silent), Some((1, 3)));
    }
}
