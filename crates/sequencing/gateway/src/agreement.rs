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

/// What must be taken back so that rollups agree which do not at their heads, by chain id: the head now, and the
/// block to go back to. Rollups that have not called each other since then keep what they have.
///
/// Two rollups agree if their transcripts with each other are equal (rule 7.3): then what each of them has
/// sent the other has received. What is safe is never given up here; where rollups disagree about that,
/// their followers have to.
///
/// # Errors
/// When a chain cannot be read.
pub(crate) fn disagreement(
    heads: &Snapshots,
) -> Result<BTreeMap<ChainId, (B256, B256)>, GatewayError> {
    let mut hopeless = BTreeSet::new();
    loop {
        match descend(heads, &hopeless)? {
            Ok(found) => return Ok(found),
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
