//! Which blocks must go so that no super transaction stands on one rollup and not on the other.

use crate::GatewayError;
use alloy_consensus::BlockHeader;
use alloy_primitives::{B256, ChainId, Sealed, U256};
use lockstep_chain::{Chain, GATE, Rollup};
use lockstep_engine::ChainSnapshot;
use lockstep_execution::StateReader;
use lockstep_storage::StorageError;
use lockstep_union::pair_slot;
use std::collections::{BTreeMap, BTreeSet};

type Snapshots = BTreeMap<ChainId, ChainSnapshot<Rollup>>;
type Pair = (ChainId, ChainId);

/// A rollup at one of its blocks, at first its head.
struct Standing<'a> {
    snapshot: &'a ChainSnapshot<Rollup>,
    header: Sealed<<Rollup as Chain>::Header>,
    /// The transcripts with its peers (rule 1.7).
    transcripts: BTreeMap<ChainId, U256>,
}

impl<'a> Standing<'a> {
    fn new(
        snapshot: &'a ChainSnapshot<Rollup>,
        header: Sealed<<Rollup as Chain>::Header>,
        peers: &Snapshots,
    ) -> Result<Self, StorageError> {
        let state = snapshot.state_by_hash(&header.seal())?;
        let transcript = |peer: &ChainId| Ok((*peer, state.storage(&GATE, &pair_slot(*peer))?));
        let transcripts = peers.keys().map(transcript).collect::<Result<_, StorageError>>()?;
        Ok(Self { snapshot, header, transcripts })
    }

    /// Steps to the block before; `false` if the block must not be taken back: it is safe, or the first.
    fn step_back(&mut self, peers: &Snapshots) -> Result<bool, StorageError> {
        let number = self.header.number();
        if self.snapshot.safe().is_some_and(|safe| safe.number >= number) {
            return Ok(false);
        }
        let Some(number) = number.checked_sub(1) else { return Ok(false) };
        let Some(header) = self.snapshot.header(number)? else { return Ok(false) };
        *self = Self::new(self.snapshot, header, peers)?;
        Ok(true)
    }
}

/// What a gateway knows of how its rollups agree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agreement {
    /// Heads that agree about what the rollups have sent each other, but for those that are estranged.
    pub(crate) heads: BTreeMap<ChainId, B256>,
    pub(crate) estranged: Estranged,
}

/// Pairs of rollups whose safe blocks disagree about what one has sent the other. No block that follows can
/// mend that, and all that they go on to send each other stands on it; so no super transaction reaches both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Estranged(BTreeSet<Pair>);

impl Estranged {
    /// How many pairs there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether two of these rollups are estranged. A super transaction that reaches both would go on from what one of them
    /// says that the other has sent.
    pub(crate) fn are_among(&self, chains: impl IntoIterator<Item = ChainId>) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let chains: BTreeSet<_> = chains.into_iter().collect();
        self.0.iter().any(|(first, second)| chains.contains(first) && chains.contains(second))
    }
}

/// What keeps rollups from agreeing.
#[derive(Debug)]
pub(crate) struct Disagreement {
    /// What must be taken back, by chain id: the head now, and the block to go back to. Rollups that have
    /// not called each other since then keep what they have.
    pub(crate) lost: BTreeMap<ChainId, (B256, B256)>,
    /// Who disagrees about what is safe.
    pub(crate) estranged: Estranged,
}

/// Why rollups do not agree at their heads.
///
/// Two rollups agree if their transcripts with each other are equal (rule 7.3): then what each of them has
/// sent the other has received. What is safe is never given up here; where rollups disagree about that,
/// their followers have to.
///
/// # Errors
/// When a chain cannot be read.
pub(crate) fn disagreement(heads: &Snapshots) -> Result<Disagreement, GatewayError> {
    let mut hopeless = BTreeSet::new();
    loop {
        match descend(heads, &hopeless)? {
            Ok(lost) => return Ok(Disagreement { lost, estranged: Estranged(hopeless) }),
            Err((first, second)) => {
                tracing::error!(
                    target: "lockstep_gateway",
                    first, second,
                    "safe blocks of two rollups disagree about what one has sent the other"
                );
                hopeless.insert((first, second));
            }
        }
    }
}

/// As [`disagreement`], or two rollups that disagree about safe blocks and are not in `hopeless`.
#[expect(clippy::type_complexity, reason = "it is the result of one function and used once")]
fn descend(
    heads: &Snapshots,
    hopeless: &BTreeSet<Pair>,
) -> Result<Result<BTreeMap<ChainId, (B256, B256)>, Pair>, GatewayError> {
    let storage = |chain| move |source| GatewayError::Storage { chain, source };
    let mut standings = BTreeMap::new();
    for (chain, snapshot) in heads {
        let standing = Standing::new(snapshot, snapshot.head().clone(), heads);
        standings.insert(*chain, standing.map_err(storage(*chain))?);
    }
    while let Some((first, second)) = disagreeing(&standings, hopeless) {
        let time = |chain| standings.get(&chain).map(|it| it.header.timestamp());
        let mut order = [first, second];
        order.sort_by_key(|chain| std::cmp::Reverse(time(*chain)));
        let mut has_moved = false;
        for chain in order {
            let Some(standing) = standings.get_mut(&chain).filter(|_| !has_moved) else { continue };
            has_moved = standing.step_back(heads).map_err(storage(chain))?;
        }
        if !has_moved {
            return Ok(Err((first, second)));
        }
    }
    let moved = standings.into_iter().filter_map(|(chain, standing)| {
        let (head, to) = (standing.snapshot.head().seal(), standing.header.seal());
        (head != to).then_some((chain, (head, to)))
    });
    Ok(Ok(moved.collect()))
}

fn disagreeing(
    standings: &BTreeMap<ChainId, Standing<'_>>,
    hopeless: &BTreeSet<Pair>,
) -> Option<Pair> {
    let pairs = standings.iter().flat_map(|first| {
        standings.iter().skip_while(move |it| it.0 <= first.0).map(move |it| (first, it))
    });
    let mut pairs =
        pairs.filter(|((first, _), (second, _))| !hopeless.contains(&(**first, **second)));
    let ((first, _), (second, _)) = pairs.find(|((first, of_first), (second, of_second))| {
        of_first.transcripts.get(*second) != of_second.transcripts.get(*first)
    })?;
    Some((*first, *second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estranged_rollups_are_kept_from_each_other_and_from_nobody_else() {
        let estranged = Estranged([(1, 2), (2, 4), (3, 4)].into());
        for apart in [&[1, 2][..], &[4, 3], &[5, 4, 1, 2], &[1, 2, 3, 4, 5]] {
            assert!(estranged.are_among(apart.iter().copied()), "{apart:?}");
        }
        for together in [&[1, 4][..], &[5, 2], &[2, 3, 5], &[1, 3, 5], &[4, 1, 5], &[4], &[]] {
            assert!(!estranged.are_among(together.iter().copied()), "{together:?}");
        }
        assert!(!Estranged::default().are_among([7, 8, 9]));
    }
}
