//! Where what two executors made of one block differs.

use crate::mainnet::Mismatch;
use core::fmt::Debug;
use lockstep_execution::{AccountChange, BlockOutput, ExecutionError, StateChanges};

/// Characters of a value that are kept.
const MAX_VALUE_CHARS: usize = 400;

/// The first difference between what the serial and the parallel executor made of a block, errors included; `None`
/// if every bit is the same.
pub fn difference_of_results<R: PartialEq + Debug, E: core::error::Error>(
    serial: &Result<BlockOutput<R>, ExecutionError<E>>,
    parallel: &Result<BlockOutput<R>, ExecutionError<E>>,
) -> Option<Mismatch> {
    let text = |result: &Result<_, ExecutionError<E>>| match result {
        Ok(_) => "valid".to_owned(),
        Err(error) => error.to_string(),
    };
    let mut found = match (serial, parallel) {
        (Ok(serial), Ok(parallel)) => first_difference(serial, parallel)?,
        (serial, parallel) => {
            let (expected, got) = (text(serial), text(parallel));
            if expected == got {
                return None;
            }
            Mismatch { field: "execution".into(), transaction: None, expected, got }
        }
    };
    found.field = format!("parallel {}", found.field);
    Some(found)
}

/// The first difference between what was expected of a block and what came of it; `None` if every bit is
/// the same.
pub fn first_difference<R: PartialEq + Debug>(
    expected: &BlockOutput<R>,
    got: &BlockOutput<R>,
) -> Option<Mismatch> {
    if expected == got {
        return None;
    }
    let receipts = expected.receipts.iter().zip(&got.receipts).enumerate();
    for (index, (expected, got)) in receipts {
        if expected != got {
            return Some(mismatch("receipt", Some(index), expected, got));
        }
    }
    different("number of receipts", &expected.receipts.len(), &got.receipts.len())
        .or_else(|| different("gas used", &expected.gas_used, &got.gas_used))
        .or_else(|| different("blob gas used", &expected.blob_gas_used, &got.blob_gas_used))
        .or_else(|| different("requests", &expected.requests, &got.requests))
        .or_else(|| different("accessed", &expected.accessed, &got.accessed))
        .or_else(|| different("hints", &expected.hints, &got.hints))
        .or_else(|| changes(&expected.changes, &got.changes))
        .or_else(|| {
            Some(mismatch(
                "lacks intermediate roots",
                None,
                &expected.lacks_intermediate_roots,
                &got.lacks_intermediate_roots,
            ))
        })
}

fn changes(expected: &StateChanges, got: &StateChanges) -> Option<Mismatch> {
    let accounts = expected.accounts().zip(got.accounts()).enumerate();
    for (index, (left, right)) in accounts {
        let place = format!("address of changed account {index}");
        let difference = different(&place, &left.address(), &right.address())
            .or_else(|| account((expected, left), (got, right)));
        if difference.is_some() {
            return difference;
        }
    }
    let count = |changes: &StateChanges| changes.accounts().count();
    different("number of changed accounts", &count(expected), &count(got)).or_else(|| {
        let hashes = |changes: &StateChanges| -> Vec<_> {
            changes.codes().iter().map(|(hash, _)| *hash).collect()
        };
        different("hashes of deployed codes", &hashes(expected), &hashes(got))
            .or_else(|| different("deployed codes", &expected.codes(), &got.codes()))
    })
}

fn account(
    (expected, left): (&StateChanges, &AccountChange),
    (got, right): (&StateChanges, &AccountChange),
) -> Option<Mismatch> {
    let of = |what: &str| format!("{}: {what}", left.address());
    let slots =
        |changes: &StateChanges, account| -> Vec<_> { changes.slots(account).copied().collect() };
    let (left_slots, right_slots) = (slots(expected, left), slots(got, right));
    let slot = left_slots.iter().zip(&right_slots).find(|(left, right)| left != right);
    different(&of("before"), &left.before(), &right.before())
        .or_else(|| different(&of("after"), &left.after(), &right.after()))
        .or_else(|| {
            different(&of("storage cleared"), &left.storage_cleared(), &right.storage_cleared())
        })
        .or_else(|| slot.map(|(left, right)| mismatch(&of("slot"), None, left, right)))
        .or_else(|| different(&of("changed slots"), &left_slots.len(), &right_slots.len()))
}

fn different<T: PartialEq + Debug>(field: &str, expected: &T, got: &T) -> Option<Mismatch> {
    (expected != got).then(|| mismatch(field, None, expected, got))
}

fn mismatch<T: Debug>(field: &str, transaction: Option<usize>, expected: &T, got: &T) -> Mismatch {
    let text = |value: &T| format!("{value:?}").chars().take(MAX_VALUE_CHARS).collect();
    Mismatch { field: field.into(), transaction, expected: text(expected), got: text(got) }
}
