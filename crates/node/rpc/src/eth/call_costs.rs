//! Which calls are so short that handing them to a worker would cost more than they do.

use alloy_primitives::{Address, TxKind};
use alloy_rpc_types_eth::TransactionRequest;
use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};

/// How many kinds of calls are told apart; some share a place, which does no harm.
const PLACES: usize = 4096;

/// A call that uses less gas is short: some hundred microseconds.
const SHORT_GAS: u64 = 200_000;

/// After so many short calls in a row, the next one of its kind is expected to be short, too.
const STREAK: u32 = 16;

/// Remembers, by called contract and function, whether the last calls were short.
///
/// A short call runs where its request was received, so it holds up the connections that this
/// thread serves. That bounds the damage of a wrong guess: it happens once in [`STREAK`] calls, and
/// one thread at least stays free.
#[derive(Debug)]
pub(crate) struct CallCosts {
    /// How many short calls came in a row, up to [`STREAK`].
    streaks: Box<[AtomicU32]>,
    hasher: RandomState,
    running: AtomicUsize,
    limit: usize,
}

/// A place among [`CallCosts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(usize);

/// The right to run a call at once, until it is dropped.
#[derive(Debug)]
pub(crate) struct AtOnce<'a>(&'a AtomicUsize);

impl Drop for AtOnce<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl CallCosts {
    /// At most `limit` calls run at once where they were received.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            streaks: (0..PLACES).map(|_| AtomicU32::new(0)).collect(),
            hasher: RandomState::new(),
            running: AtomicUsize::new(0),
            limit,
        }
    }

    /// The place of a call; `None` for one that creates a contract.
    pub(crate) fn place(&self, request: &TransactionRequest) -> Option<Place> {
        let Some(TxKind::Call(to)) = request.to else { return None };
        let selector = request.input.input().and_then(|input| input.first_chunk::<4>());
        let hash = self.hasher.hash_one::<(Address, Option<&[u8; 4]>)>((to, selector));
        Some(Place(hash as usize % PLACES))
    }

    /// Whether a call of this kind may run where it was received.
    pub(crate) fn at_once(&self, place: Place) -> Option<AtOnce<'_>> {
        let streak = self.streaks.get(place.0)?.load(Ordering::Relaxed);
        if streak < STREAK {
            return None;
        }
        let permit = AtOnce(&self.running);
        (self.running.fetch_add(1, Ordering::Relaxed) < self.limit).then_some(permit)
    }

    /// Takes note of what a call used.
    pub(crate) fn note(&self, place: Place, gas_used: u64) {
        let Some(streak) = self.streaks.get(place.0) else { return };
        if gas_used > SHORT_GAS {
            streak.store(0, Ordering::Relaxed);
        } else if streak.load(Ordering::Relaxed) < STREAK {
            streak.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(costs: &CallCosts) -> Place {
        let request = TransactionRequest::default().to(Address::repeat_byte(1));
        costs.place(&request).unwrap()
    }

    #[test]
    fn a_kind_of_call_must_prove_itself_short() {
        let costs = CallCosts::new(1);
        let place = place(&costs);
        for _ in 0..STREAK {
            assert!(costs.at_once(place).is_none());
            costs.note(place, 30_000);
        }
        assert!(costs.at_once(place).is_some());
        costs.note(place, SHORT_GAS + 1);
        assert!(costs.at_once(place).is_none());
    }

    #[test]
    fn no_more_calls_than_allowed_run_at_once() {
        let costs = CallCosts::new(1);
        let place = place(&costs);
        (0..STREAK).for_each(|_| costs.note(place, 1));
        let first = costs.at_once(place);
        assert!(first.is_some());
        assert!(costs.at_once(place).is_none());
        drop(first);
        assert!(costs.at_once(place).is_some());
    }

    #[test]
    fn creations_have_no_place() {
        let request = TransactionRequest { to: Some(TxKind::Create), ..Default::default() };
        assert_eq!(CallCosts::new(1).place(&request), None);
    }
}
