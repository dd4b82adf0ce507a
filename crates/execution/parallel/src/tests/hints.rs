//! What is recorded for those who execute a block again, and what becomes of it there.

use super::{CASES, generate::Case, recording, rng::Rng, serial};
use crate::ParallelExecutor;
use alloy_eips::eip7928::{
    AccountChanges, BlockAccessIndex, BlockAccessList, CodeChange, SlotChanges, StorageChange,
    validate_block_access_list,
};
use alloy_primitives::{Address, KECCAK256_EMPTY, U256, map::U256Map};
use lockstep_chain::{Chain, Ethereum, EthereumHardfork};
use lockstep_execution::{
    AccountInfo, BlockHints, Bytecode, Dependencies, ExecuteOptions, Hints, MemoryAccount,
    MemoryState, Needs,
};
use std::{collections::BTreeMap, iter};

/// A block with what its serial execution records, if it is valid.
pub(super) fn recorded(seed: u64) -> Option<(Case<Ethereum>, BlockHints)> {
    let case = Case::<Ethereum>::new(seed);
    let hints = serial(&case).ok()?.hints.expect("it was asked for");
    Some((case, hints))
}

/// The state after a block, by its access list.
fn applied(list: &BlockAccessList, before: &MemoryState) -> MemoryState {
    let mut state = before.clone();
    for changes in list.iter().filter(|changes| changes.has_changes()) {
        let known = state.get(&changes.address).map(|account| account.info.clone());
        let info = known.unwrap_or_default();
        let nonce = changes.nonce_post_state().unwrap_or(info.nonce);
        let balance = changes.balance_post_state().unwrap_or(info.balance);
        let code = match changes.code_post_state() {
            Some(code) => Bytecode::new_raw_checked(code.clone()).expect("it is code"),
            None => state.code_of(&info.code_hash).cloned().unwrap_or_default(),
        };
        state.set_account(changes.address, nonce, balance, code);
        for (slot, value) in changes.storage_post_states() {
            state.set_slot(changes.address, slot, value);
        }
    }
    state
}

/// The accounts that are not empty, with their slots.
fn contents(state: &MemoryState) -> BTreeMap<Address, (AccountInfo, U256Map<U256>)> {
    let accounts = state.accounts().filter(|(_, account)| !account.info.is_empty());
    accounts
        .map(|(address, account)| (*address, (account.info.clone(), account.storage.clone())))
        .collect()
}

#[test]
fn an_access_list_says_what_becomes_of_the_state() {
    let (mut blocks, mut changed) = (0, 0);
    for seed in 0..CASES {
        let case = Case::<Ethereum>::new(seed);
        let Ok(output) = serial(&case) else { continue };
        let Case { chain, block, state, .. } = &case;
        let list = output.hints.expect("it was asked for").access_list;
        let transactions = block.body.transactions.len();
        assert_eq!(validate_block_access_list(&list, transactions), Ok(()), "seed {seed}");
        // Before EIP-161 a list cannot tell an empty account from none.
        if chain.fork(&block.header) < EthereumHardfork::SpuriousDragon {
            continue;
        }
        let mut expected = state.clone();
        expected.apply(&output.changes);
        let (mut expected, mut found) = (contents(&expected), contents(&applied(&list, state)));
        // What an account had that destroyed itself and was made anew is not all listed.
        for change in output.changes.accounts().filter(|change| change.storage_cleared()) {
            expected.remove(&change.address());
            found.remove(&change.address());
        }
        assert_eq!(found, expected, "seed {seed}");
        blocks += 1;
        changed += list.iter().filter(|account| account.has_storage_changes()).count();
    }
    assert!(blocks > 300 && changed > 300, "{blocks} blocks, {changed} accounts with slots");
}

#[test]
fn transactions_need_only_earlier_ones() {
    let (mut needed, mut waiting) = (0, 0);
    for seed in 0..CASES {
        let Some((case, hints)) = recorded(seed) else { continue };
        let dependencies = hints.dependencies.transactions;
        assert_eq!(dependencies.len(), case.senders.len(), "seed {seed}");
        for (index, needs) in (0..).zip(&dependencies) {
            match needs {
                Needs::These(places) => {
                    assert!(places.is_sorted_by(|one, other| one < other), "seed {seed}");
                    assert!(places.last().is_none_or(|last| *last < index), "seed {seed}");
                    needed += places.len();
                }
                Needs::AllBefore => waiting += 1,
            }
        }
    }
    assert!(needed > 1_000 && waiting > 10, "{needed} needed, {waiting} wait");
}

fn executors() -> [ParallelExecutor; 3] {
    [2, 3, 8]
        .map(|threads| ParallelExecutor::new(threads).expect("threads start").always_parallel())
}

fn executed(
    executor: &ParallelExecutor,
    case: &Case<Ethereum>,
    hints: Hints<'_>,
) -> super::Output<Ethereum> {
    let Case { chain, block, senders, state } = case;
    let options = ExecuteOptions { hints, ..recording() };
    executor.execute_block(chain, block, senders, state, options).map_err(|error| error.to_string())
}

/// Whether hints can say all that matters of a block: it is known whether an account exists (EIP-161), contracts stay
/// once the transaction is over that created them (EIP-6780), balances are far from overflowing, no account has storage
/// alone (EIP-7610), and the beneficiary exists, so that no fee is the first.
pub(super) fn can_be_foretold(case: &Case<Ethereum>) -> bool {
    let Case { chain, block, state, .. } = case;
    let is_simple = |account: &MemoryAccount| {
        let AccountInfo { balance, nonce, code_hash, .. } = &account.info;
        let has_storage_alone =
            *nonce == 0 && *code_hash == KECCAK256_EMPTY && !account.storage.is_empty();
        balance.as_limbs()[3] == 0 && !has_storage_alone
    };
    chain.fork(&block.header) >= EthereumHardfork::Cancun
        && state.get(&block.header.beneficiary).is_some()
        && state.accounts().all(|(_, account)| is_simple(account))
}

#[test]
fn with_right_hints_nothing_is_executed_again() {
    let executors = executors();
    let mut blocks = 0;
    for seed in 0..3 * CASES {
        let Some((case, hints)) = recorded(seed).filter(|(case, _)| can_be_foretold(case)) else {
            continue;
        };
        let BlockHints { access_list, dependencies } = &hints;
        for executor in &executors {
            for hints in [Hints::AccessList(access_list), Hints::Dependencies(dependencies)] {
                let before = executor.statistics().again;
                assert_eq!(executed(executor, &case, hints), serial(&case), "seed {seed}");
                let again = executor.statistics().again - before;
                assert_eq!(again, 0, "seed {seed}, {executor:?}, {hints:?}");
            }
        }
        blocks += 1;
    }
    assert!(blocks > 30, "{blocks} blocks");
}

#[test]
fn wrong_hints_change_nothing() {
    let executors = executors();
    let again = || executors.iter().map(|executor| executor.statistics().again).sum::<u64>();
    let mut other = BlockHints::default();
    // The scheduler of the threads decides how often somebody is there to believe them.
    for seed in (0..20 * CASES).take_while(|seed| *seed < CASES || again() < 50) {
        let mut rng = Rng::new(seed ^ 0x0bad);
        let case = Case::<Ethereum>::new(seed);
        let expected = serial(&case);
        let right = match &expected {
            Ok(output) => output.hints.clone().expect("it was asked for"),
            // What would have been right is not known of an invalid block.
            Err(_) => other.clone(),
        };
        let executor = &executors[rng.below(3) as usize];
        for kind in [rng.below(WRONG_LISTS), rng.below(WRONG_LISTS)] {
            let list = wrong_list(&mut rng, kind, &right, &other);
            let found = executed(executor, &case, Hints::AccessList(&list));
            assert_eq!(found, expected, "seed {seed}, access list {kind}");
        }
        for kind in [rng.below(WRONG_GRAPHS), rng.below(WRONG_GRAPHS)] {
            let dependencies = wrong_dependencies(&mut rng, kind, &right, &other);
            let found = executed(executor, &case, Hints::Dependencies(&dependencies));
            assert_eq!(found, expected, "seed {seed}, dependencies {kind}");
        }
        other = right;
    }
    assert!(again() >= 50, "wrong hints were believed {} times", again());
}

pub(super) const WRONG_LISTS: u64 = 9;

/// An access list that is wrong, in one of so many ways.
pub(super) fn wrong_list(
    rng: &mut Rng,
    kind: u64,
    right: &BlockHints,
    other: &BlockHints,
) -> BlockAccessList {
    let mut list = right.access_list.clone();
    let shift = |index: &mut BlockAccessIndex, by: u64| index.0 = index.0.wrapping_add(by);
    match kind {
        0 => return other.access_list.clone(),
        1 => list.truncate(list.len() / 2),
        2 => list.reverse(),
        3 => list.extend(other.access_list.iter().chain(&right.access_list).cloned()),
        // A block access index later, or earlier.
        4 | 5 => {
            let by = if kind == 4 { 1 } else { u64::MAX };
            for_all_indices(&mut list, |index| shift(index, by));
        }
        6 => for_all_indices(&mut list, |index| {
            *index = BlockAccessIndex(rng.next() >> rng.below(64))
        }),
        7 => list.iter_mut().for_each(|account| change_values(rng, account)),
        // Slots and turns that there are not, without end.
        _ => {
            let changes = (0..30_000)
                .rev()
                .map(|index| StorageChange::new(BlockAccessIndex(index % 40), U256::from(index)));
            let slot = SlotChanges::new(U256::from(rng.below(4)), changes.collect());
            for account in &mut list {
                account.storage_changes.push(slot.clone());
                account.storage_reads.extend((0..5_000).map(U256::from));
            }
        }
    }
    list
}

fn change_values(rng: &mut Rng, account: &mut AccountChanges) {
    let AccountChanges { storage_changes, balance_changes, nonce_changes, .. } = account;
    for change in storage_changes.iter_mut().flat_map(|slot| &mut slot.changes) {
        if rng.chance(40) {
            change.new_value = U256::from(rng.below(9));
        }
    }
    for change in balance_changes {
        if rng.chance(40) {
            change.post_balance = U256::from(rng.next() >> rng.below(64));
        }
    }
    for change in nonce_changes {
        if rng.chance(40) {
            change.new_nonce = rng.next() >> rng.below(64);
        }
    }
    if rng.chance(10) {
        let code = [vec![0xef, 0x01], vec![rng.next() as u8; 70_000]].concat();
        let code = code[..rng.pick(&[0, 1, 2, 23, 70_000])].to_vec().into();
        account.code_changes.push(CodeChange::new(BlockAccessIndex(1), code));
    }
}

fn for_all_indices(list: &mut BlockAccessList, mut change: impl FnMut(&mut BlockAccessIndex)) {
    for account in list {
        let slots = account.storage_changes.iter_mut().flat_map(|slot| &mut slot.changes);
        slots.for_each(|write| change(&mut write.block_access_index));
        account.balance_changes.iter_mut().for_each(|it| change(&mut it.block_access_index));
        account.nonce_changes.iter_mut().for_each(|it| change(&mut it.block_access_index));
        account.code_changes.iter_mut().for_each(|it| change(&mut it.block_access_index));
    }
}

pub(super) const WRONG_GRAPHS: u64 = 7;

/// Dependencies that are wrong, in one of so many ways.
pub(super) fn wrong_dependencies(
    rng: &mut Rng,
    kind: u64,
    right: &BlockHints,
    other: &BlockHints,
) -> Dependencies {
    let mut dependencies = right.dependencies.clone();
    let transactions = &mut dependencies.transactions;
    let count = transactions.len() as u64;
    match kind {
        0 => return other.dependencies.clone(),
        1 => transactions.truncate(transactions.len() / 2),
        2 => transactions.reverse(),
        3 => transactions.fill(Needs::AllBefore),
        // In a ring.
        4 => {
            for (index, needs) in (0..).zip(&mut *transactions) {
                *needs = Needs::These(vec![(index + 1) % count.max(1) as u32]);
            }
        }
        5 => {
            for needs in &mut *transactions {
                let places = (0..rng.below(6)).map(|_| match rng.below(10) {
                    0 => rng.next() as u32,
                    _ => rng.below(count + 2) as u32,
                });
                *needs = Needs::These(places.collect());
            }
        }
        _ => {
            transactions.extend(iter::repeat_n(Needs::These(vec![0]), 10_000));
            for needs in transactions {
                if rng.chance(50) {
                    *needs = Needs::These((0..rng.pick(&[100, 1_000])).collect());
                }
            }
        }
    }
    dependencies
}
