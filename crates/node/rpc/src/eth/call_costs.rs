//! Which calls are so short that handing them to a worker would cost more than they do.

use alloy_primitives::TxKind;
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

/// Code that runs without being deployed is known by so many of its first bytes: what it is given
/// follows it.
const CODE_BYTES: usize = 1024;

/// Remembers, by called contract and function or by code that is only run, whether the last calls
/// were short.
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

    /// The place of a call.
    pub(crate) fn place(&self, request: &TransactionRequest) -> Place {
        let input = request.input.input().map_or(&[][..], |input| input);
        let (to, known_by) = match request.to {
            Some(TxKind::Call(to)) => (Some(to), 4),
            Some(TxKind::Create) | None => (None, CODE_BYTES),
        };
        let hash = self.hasher.hash_one((to, input.get(..known_by).unwrap_or(input)));
        Place(hash as usize % PLACES)
    }

    /// Whether calls of this kind have proven short.
    pub(crate) fn is_short(&self, place: Place) -> bool {
        let streak = self.streaks.get(place.0).map(|streak| streak.load(Ordering::Relaxed));
        streak.is_some_and(|streak| streak >= STREAK)
    }

    /// The right to run a short call where it was received; `None` if too many do.
    pub(crate) fn at_once(&self) -> Option<AtOnce<'_>> {
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
    use alloy_primitives::Address;

    fn place(costs: &CallCosts) -> Place {
        costs.place(&TransactionRequest::default().to(Address::repeat_byte(1)))
    }

    #[test]
    fn a_kind_of_call_must_prove_itself_short() {
        let costs = CallCosts::new(1);
        let place = place(&costs);
        for _ in 0..STREAK {
            assert!(!costs.is_short(place));
            costs.note(place, 30_000);
        }
        assert!(costs.is_short(place));
        costs.note(place, SHORT_GAS + 1);
        assert!(!costs.is_short(place));
    }

    #[test]
    fn no_more_calls_than_allowed_run_at_once() {
        let costs = CallCosts::new(1);
        let first = costs.at_once();
        assert!(first.is_some());
        assert!(costs.at_once().is_none());
        drop(first);
        assert!(costs.at_once().is_some());
    }

    #[test]
    fn calls_are_told_apart_by_function_and_creations_by_code() {
        let costs = CallCosts::new(1);
        let called = |to: TxKind, input: Vec<u8>| {
            let mut request = TransactionRequest::default().input(input.into());
            request.to = Some(to);
            costs.place(&request)
        };
        let to = TxKind::Call(Address::repeat_byte(1));
        assert_eq!(called(to, vec![1, 2, 3, 4, 5]), called(to, vec![1, 2, 3, 4, 6]));
        assert_ne!(called(to, vec![1, 2, 3, 4]), called(to, vec![1, 2, 3, 5]));
        assert_ne!(called(to, vec![1; 2000]), called(TxKind::Create, vec![1; 2000]));
        assert_ne!(called(TxKind::Create, vec![1; 2000]), called(TxKind::Create, vec![2; 2000]));
    }
}
