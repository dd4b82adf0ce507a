//! A super transaction on all its rollups.

use crate::{
    SuperId, UnionError,
    control::{Event, Fault},
    participant::{Observer, PartOutcome, PartSize, Participant},
};
use alloc::collections::BTreeMap;
use alloy_evm::Database;
use alloy_op_evm::OpTx;
use alloy_primitives::ChainId;
use revm::DatabaseCommit;

/// What a super transaction did on each rollup that took part, by chain id.
pub type JointOutcome = BTreeMap<ChainId, PartOutcome>;

/// What the parts of a super transaction take in a batch, by chain id.
pub type PartSizes = BTreeMap<ChainId, PartSize>;

/// Executes a user's transaction on its home rollup, and what it calls on the others.
///
/// Control goes from rollup to rollup with the messages; each runs its part as it would alone.
///
/// # Errors
/// [`UnionError::Transaction`] if it cannot run; [`UnionError::PeerUnavailable`] and
/// [`UnionError::PeerGas`] if it must wait for another block; otherwise the state's or the EVM's
/// failure. No rollup has then changed.
pub fn execute_jointly<DB: Database + DatabaseCommit, I: Observer<DB>>(
    rollups: &mut BTreeMap<ChainId, Participant<'_, DB, I>>,
    id: SuperId,
    home: ChainId,
    tx: OpTx,
) -> Result<JointOutcome, UnionError<DB::Error>> {
    execute_jointly_if(rollups, id, home, tx, &|_| true)
}

/// As [`execute_jointly`], if `accepts` what the parts take in a batch: it is asked before any rollup
/// changes, and not about a transaction without calls.
///
/// # Errors
/// As [`execute_jointly`], and [`UnionError::Unaccepted`].
pub fn execute_jointly_if<DB: Database + DatabaseCommit, I: Observer<DB>>(
    rollups: &mut BTreeMap<ChainId, Participant<'_, DB, I>>,
    id: SuperId,
    home: ChainId,
    tx: OpTx,
    accepts: &dyn Fn(&PartSizes) -> bool,
) -> Result<JointOutcome, UnionError<DB::Error>> {
    if !rollups.contains_key(&home) {
        return Err(UnionError::UnknownHome(home));
    }
    let origin = tx.0.base.caller;
    for rollup in rollups.values_mut() {
        rollup.begin(id, home, origin);
    }
    let done = pass_control(rollups, home, tx).and_then(|()| seal(rollups));
    let error = match done {
        Ok(()) if is_accepted(rollups, accepts) => return Ok(commit(rollups)),
        Ok(()) => UnionError::Unaccepted,
        Err(Failed { chain, fault }) => match rollups.get_mut(&chain) {
            Some(rollup) => rollup.explain(fault),
            None => UnionError::PeerUnavailable(chain),
        },
    };
    count_waste(rollups, home);
    rollups.values_mut().for_each(Participant::discard);
    Err(error)
}

fn is_accepted<DB: Database, I: Observer<DB>>(
    rollups: &mut BTreeMap<ChainId, Participant<'_, DB, I>>,
    accepts: &dyn Fn(&PartSizes) -> bool,
) -> bool {
    let sizes = rollups.iter_mut().map(|(chain, rollup)| (*chain, rollup.part_size()));
    let sizes: PartSizes = sizes.filter(|(_, size)| size.steps > 0).collect();
    sizes.is_empty() || accepts(&sizes)
}

/// Notes at the home what of the transaction's gas was used. A peer's gas counts as the home's: it is
/// bought for no less.
fn count_waste<DB: Database, I: Observer<DB>>(
    rollups: &mut BTreeMap<ChainId, Participant<'_, DB, I>>,
    home: ChainId,
) {
    let peers = rollups.iter_mut().filter(|(chain, _)| **chain != home);
    let unspent = peers.fold(0, |sum: u64, (_, it)| sum.saturating_add(it.take_unspent_gas()));
    if let Some(home) = rollups.get_mut(&home) {
        home.wasted_gas = home.home_gas_used().saturating_sub(unspent);
    }
}

/// A rollup that cannot go on.
struct Failed<E> {
    chain: ChainId,
    fault: Fault<E>,
}

fn pass_control<DB: Database, I: Observer<DB>>(
    rollups: &mut BTreeMap<ChainId, Participant<'_, DB, I>>,
    home: ChainId,
    tx: OpTx,
) -> Result<(), Failed<DB::Error>> {
    let base_fees: BTreeMap<_, _> =
        rollups.iter().map(|(chain, rollup)| (*chain, rollup.base_fee())).collect();
    let fees = |chain| base_fees.get(&chain).copied();
    let unavailable = |chain| Failed { chain, fault: Fault::PeerUnavailable(chain) };
    let mut from = home;
    let rollup = rollups.get_mut(&home).ok_or_else(|| unavailable(home))?;
    let mut event = rollup.start(tx, &fees).map_err(|fault| Failed { chain: home, fault })?;
    while let Event::Sent(step) = event {
        let to = step.peer;
        let rollup = rollups.get_mut(&to).ok_or_else(|| unavailable(to))?;
        event = rollup
            .receive(step.index, from, step.message, &fees)
            .map_err(|fault| Failed { chain: to, fault })?;
        from = to;
    }
    Ok(())
}

fn seal<DB: Database, I: Observer<DB>>(
    rollups: &mut BTreeMap<ChainId, Participant<'_, DB, I>>,
) -> Result<(), Failed<DB::Error>> {
    for (chain, rollup) in rollups {
        rollup.seal().map_err(|fault| Failed { chain: *chain, fault })?;
    }
    Ok(())
}

fn commit<DB: Database + DatabaseCommit, I: Observer<DB>>(
    rollups: &mut BTreeMap<ChainId, Participant<'_, DB, I>>,
) -> JointOutcome {
    let mut outcomes = JointOutcome::new();
    for (chain, rollup) in rollups {
        let (outcome, state) = rollup.conclude();
        if outcome.result.is_some() || !outcome.part.steps.is_empty() {
            rollup.context().journaled_state.database.commit(state);
            outcomes.insert(*chain, outcome);
        }
    }
    outcomes
}
