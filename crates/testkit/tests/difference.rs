//! A difference between two executors is found, and named.

use alloy_primitives::U256;
use lockstep_execution::{BlockOutput, ExecuteOptions, StateChanges, execute_block};
use lockstep_testkit::{
    difference::first_difference,
    gigagas::{Generator, MIN_GAS, Settings, Workload},
};

#[test]
fn the_first_difference_is_named() {
    let settings = Settings::new(Workload::Erc20, MIN_GAS, 1).expect("there is");
    let mut generator = Generator::new(settings);
    let made = generator.next_block().expect("there is");
    let expected = made.output;
    assert_eq!(first_difference(&expected, &expected.clone()), None);
    let differing = |change: &dyn Fn(&mut BlockOutput<_>)| {
        let mut got = expected.clone();
        change(&mut got);
        first_difference(&expected, &got).expect("there is")
    };
    assert_eq!(differing(&|got| got.gas_used += 1).field, "gas used");
    assert_eq!(differing(&|got| got.blob_gas_used += 1).field, "blob gas used");
    assert_eq!(differing(&|got| got.lacks_intermediate_roots = true).got, "true");
    let fewer = differing(&|got| drop(got.receipts.pop()));
    assert_eq!(fewer.field, "number of receipts");
    let other = differing(&|got| got.receipts[3].receipt.cumulative_gas_used += 1);
    assert_eq!((other.field.as_str(), other.transaction), ("receipt", Some(3)));
    let none = differing(&|got| got.changes = StateChanges::default());
    assert_eq!((none.field.as_str(), none.got.as_str()), ("number of changed accounts", "0"));
}

/// The same block on a state in which one account, or one slot, is not the same.
#[test]
fn a_change_that_differs_is_named_with_its_account() {
    let settings = Settings::new(Workload::Erc20, MIN_GAS, 1).expect("there is");
    let mut generator = Generator::new(settings);
    let made = generator.next_block().expect("there is");
    let executed_on = |state| {
        let (block, senders) = (&made.block, &made.senders);
        let options = ExecuteOptions::default();
        execute_block(generator.chain(), block, senders, state, options).expect("there is")
    };
    let sender = made.senders[0];
    let mut richer = generator.state().clone();
    let balance = richer.get(&sender).expect("there is").info.balance;
    richer.set_account(sender, 0, balance + U256::ONE, Default::default());
    let difference = first_difference(&made.output, &executed_on(&richer)).expect("there is");
    assert_eq!(difference.field, format!("{sender}: before"));

    let changes = &made.output.changes;
    let token = changes.accounts().find(|it| changes.slots(it).count() > 0).expect("there is");
    let slot = changes.slots(token).last().expect("there is");
    let mut other = generator.state().clone();
    other.set_slot(token.address(), slot.slot, slot.before + U256::ONE);
    let difference = first_difference(&made.output, &executed_on(&other)).expect("there is");
    assert_eq!(difference.field, format!("{}: slot", token.address()));
}
