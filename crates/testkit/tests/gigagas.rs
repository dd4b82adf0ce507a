//! Made-up blocks do what they are named after, and `mixed` is like mainnet's.

use alloy_consensus::{Transaction, TxReceipt};
use alloy_primitives::{Address, B256, U256, b256};
use lockstep_execution::{
    BlockOutput, ExecuteOptions, MemoryState, StateReader, execute_block, validate_output,
};
use lockstep_testkit::{
    census::{Census, Count, Group, Kind, TRANSFER_EVENT},
    fixtures,
    gigagas::{GeneratedBlock, Generator, MAINNET, MAX_GAS, MIN_GAS, Settings, Share, Workload},
    mainnet::{Limits, visit},
};
use std::{collections::BTreeSet, ops::ControlFlow};

const GAS: u64 = 20_000_000;

/// Swap(address,uint256,uint256,uint256,uint256,address)
const SWAP_EVENT: B256 = b256!("d78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822");

/// Of a thousand transactions in mainnet blocks, those whose sender, whose recipient or whose slot was one
/// before, and those that depend on another one.
const MAINNET_TOTALS: [u64; 4] = [204, 601, 78, 625];

fn generator(workload: Workload, gas: u64) -> Generator {
    Generator::new(Settings::new(workload, gas, 1).expect("within the limits"))
}

/// Two blocks of a workload, executed again on their own, with what they leave behind.
fn blocks(workload: Workload) -> Vec<(GeneratedBlock, MemoryState, MemoryState)> {
    let mut generator = generator(workload, GAS);
    let mut made = Vec::new();
    for _ in 0..2 {
        let next = generator.next_block().expect("every transaction succeeds");
        let before = generator.state().clone();
        let options = ExecuteOptions::default();
        let output = execute_block(generator.chain(), &next.block, &next.senders, &before, options)
            .expect("the block is valid");
        assert_eq!(output, next.output);
        validate_output(generator.chain(), &next.block.header, &output).expect("the header holds");
        assert!(output.receipts.iter().all(TxReceipt::status));
        assert!((GAS..GAS + GAS / 100).contains(&output.gas_used), "{}", output.gas_used);
        let mut after = before.clone();
        after.apply(&output.changes);
        made.push((next, before, after));
    }
    made
}

fn census(workload: Workload, gas: u64, blocks: u64) -> Census {
    let mut generator = generator(workload, gas);
    let mut census = Census::default();
    for _ in 0..blocks {
        let next = generator.next_block().expect("every transaction succeeds");
        let state = generator.state().clone();
        census.add(generator.chain(), &next.block, &next.senders, state).expect("it is valid");
    }
    census
}

fn balance(state: &MemoryState, account: Address) -> U256 {
    state.get(&account).map_or(U256::ZERO, |account| account.info.balance)
}

/// The number of logs of this event.
fn count_logs<R: TxReceipt<Log = alloy_primitives::Log>>(
    output: &BlockOutput<R>,
    event: B256,
) -> usize {
    let logs = output.receipts.iter().flat_map(TxReceipt::logs);
    logs.filter(|log| log.topics().first() == Some(&event)).count()
}

#[test]
fn ether_arrives() {
    for (made, before, after) in blocks(Workload::Transfers) {
        let transactions = &made.block.body.transactions;
        assert!(transactions.iter().all(|it| it.input().is_empty() && it.gas_limit() == 21_000));
        let senders: BTreeSet<Address> = made.senders.iter().copied().collect();
        let mut arrived = 0;
        for to in transactions.iter().filter_map(Transaction::to) {
            if !senders.contains(&to) {
                assert!(balance(&after, to) > balance(&before, to), "{to}");
                arrived += 1;
            }
        }
        assert!(arrived > transactions.len() / 2, "{arrived}");
    }
}

#[test]
fn ether_is_handed_on() {
    let blocks = blocks(Workload::Relay);
    let runners = blocks.iter().flat_map(|(made, ..)| {
        made.senders.iter().copied().zip(made.block.body.transactions.iter())
    });
    let mut holder = None;
    for (sender, transaction) in runners {
        assert!(holder.is_none_or(|holder| holder == sender));
        holder = transaction.to();
    }
    for (made, before, after) in &blocks {
        let last = made.block.body.transactions.last().and_then(Transaction::to);
        let last = last.expect("there are transactions");
        assert_eq!(balance(before, last), U256::ZERO);
        assert!(balance(after, last) > balance(before, made.senders[0]) / U256::from(2));
    }
}

#[test]
fn tokens_move() {
    for (made, before, after) in blocks(Workload::Erc20) {
        let transactions = &made.block.body.transactions;
        assert_eq!(count_logs(&made.output, TRANSFER_EVENT), transactions.len());
        let tokens: BTreeSet<Address> = transactions.iter().filter_map(Transaction::to).collect();
        assert_eq!(tokens.len(), 4);
        for token in tokens {
            let storage = |state: &MemoryState| state.get(&token).expect("it is").storage.clone();
            let (before, after) = (storage(&before), storage(&after));
            assert!(after.len() > before.len(), "some had none");
            let sum = |slots: alloy_primitives::map::U256Map<U256>| {
                slots.into_values().fold(U256::ZERO, |sum, value| sum + value)
            };
            assert_ne!(before, after);
            assert_eq!(sum(before), sum(after), "none is made or lost");
        }
    }
}

/// The reserves of each pair that changed in a block, before and after.
fn reserves(
    made: &GeneratedBlock,
    before: &MemoryState,
    after: &MemoryState,
) -> Vec<[(U256, U256); 2]> {
    let logs = made.output.receipts.iter().flat_map(TxReceipt::logs);
    let pairs: BTreeSet<Address> = logs
        .filter(|log| log.topics().first() == Some(&SWAP_EVENT))
        .map(|log| log.address)
        .collect();
    let reserves_in = |state: &MemoryState, pair: &Address| {
        let Ok(packed) = state.storage(pair, &U256::from(2));
        let mask = (U256::ONE << 112) - U256::ONE;
        (packed & mask, (packed >> 112) & mask)
    };
    pairs.iter().map(|pair| [reserves_in(before, pair), reserves_in(after, pair)]).collect()
}

#[test]
fn swaps_change_reserves() {
    for (workload, shared) in [(Workload::Uniswap, 4), (Workload::Conflict, usize::MAX)] {
        for (made, before, after) in blocks(workload) {
            let count = made.senders.len();
            assert_eq!(count_logs(&made.output, SWAP_EVENT), count);
            let pairs = reserves(&made, &before, &after);
            let expected = 1.max(count / shared);
            assert!(pairs.len().abs_diff(expected) * 10 <= expected, "{} {count}", pairs.len());
            for [(before0, before1), (after0, after1)] in pairs {
                assert!((before0, before1) != (after0, after1));
                assert!(after0 * after1 > before0 * before1, "the fee stays");
            }
        }
    }
}

#[test]
fn transactions_depend_on_others_as_their_workload_says() {
    for workload in [Workload::Transfers, Workload::Erc20] {
        let census = census(workload, GAS, 1);
        let all = census.total.all.transactions;
        assert!(census.total.dependent.transactions * 4 < all, "{workload}: {census:?}");
        assert!(census.parallelism() > 30.0, "{workload}: {census:?}");
    }
    let uniswap = census(Workload::Uniswap, GAS, 1);
    assert!(uniswap.parallelism() > 20.0, "{uniswap:?}");
    for workload in [Workload::Conflict, Workload::Relay] {
        let census = census(workload, GAS, 1);
        assert_eq!(census.longest_chain_gas, census.total.all.gas, "one after the other");
        assert_eq!(census.total.dependent.transactions + 1, census.total.all.transactions);
    }
}

/// [`MAINNET`], and what its documentation says besides.
#[test]
fn the_shares_are_those_of_the_mainnet_blocks() {
    let Some(fixtures) = fixtures::folder() else { return };
    let mut census = Census::default();
    let _ = visit(&fixtures.join("mainnet-blocks"), &Limits::default(), &mut |fixture| {
        let fixture = fixture.expect("the fixture is whole");
        if fixture.is_complete() {
            let mut state = fixture.state().accounts().clone();
            for (number, hash) in fixture.state().block_hashes() {
                state.set_block_hash(*number, *hash);
            }
            let (chain, block) = (fixture.chain(), fixture.block());
            census.add(chain, block, fixture.senders(), state).expect("it is valid");
        }
        ControlFlow::Continue(())
    });
    let total = census.total;
    assert_eq!((census.blocks, total.all.transactions), (52, 12_964));
    assert_eq!(rounded(total.all.gas, total.all.transactions), 48_060);
    let totals = [total.same_sender, total.same_recipient, total.same_slot, total.dependent];
    assert_eq!(totals.map(|count| of_all(&census, count)), MAINNET_TOTALS);
    for (share, found) in MAINNET.iter().zip(shares(&census)) {
        assert_eq!(*share, found);
    }
}

fn rounded(dividend: u64, divisor: u64) -> u64 {
    (dividend + divisor / 2) / divisor.max(1)
}

fn per_mille(part: u64, whole: u64) -> u64 {
    rounded(part * 1_000, whole)
}

fn shares(census: &Census) -> Vec<Share> {
    let share = |(kind, group): (&Kind, &Group)| {
        let all = group.all.transactions;
        let of_kind = |count: Count| per_mille(count.transactions, all);
        Share {
            kind: *kind,
            gas: rounded(group.all.gas, all),
            per_mille: per_mille(all, census.total.all.transactions),
            same_sender: of_kind(group.same_sender),
            same_recipient: of_kind(group.same_recipient),
            same_slot: of_kind(group.same_slot),
            dependent: of_kind(group.dependent),
        }
    };
    census.by_kind.iter().map(share).collect()
}

/// Of a thousand transactions, those that were counted.
fn of_all(census: &Census, count: Count) -> u64 {
    per_mille(count.transactions, census.total.all.transactions)
}

#[test]
fn mixed_blocks_are_like_mainnets() {
    let census = census(Workload::Mixed, 12_000_000, 30);
    let shares = shares(&census);
    assert_eq!(shares.len(), MAINNET.len());
    for (expected, found) in MAINNET.iter().zip(&shares) {
        println!("{expected:?}\n{found:?}");
        assert_eq!(expected.kind, found.kind);
        assert!(expected.per_mille.abs_diff(found.per_mille) <= 15, "{found:?}");
        // There are few creations in these blocks.
        if expected.per_mille > 10 {
            assert!(expected.gas.abs_diff(found.gas) * 10 <= expected.gas, "{found:?}");
            assert!(expected.same_sender.abs_diff(found.same_sender) <= 60, "{found:?}");
            assert!(expected.same_slot.abs_diff(found.same_slot) <= 60, "{found:?}");
        }
    }
    let total = &census.total;
    let found = [total.same_sender, total.same_recipient, total.same_slot, total.dependent];
    let found = found.map(|count| of_all(&census, count));
    println!("{found:?}, parallelism {}", census.parallelism());
    for (expected, found) in MAINNET_TOTALS.iter().zip(found) {
        assert!(expected.abs_diff(found) <= 40, "{expected} {found}");
    }
    assert_eq!(total.failed.transactions, 0);
}

#[test]
fn the_same_settings_make_the_same_blocks() {
    for workload in Workload::ALL {
        let hash = |seed| {
            let settings = Settings::new(workload, 2_000_000, seed).expect("within the limits");
            let next = Generator::new(settings).next_block().expect("every transaction succeeds");
            next.block.header.hash_slow()
        };
        assert_eq!(hash(1), hash(1), "{workload}");
        assert_ne!(hash(1), hash(2), "{workload}");
    }
}

#[test]
fn nothing_is_made_outside_of_the_limits() {
    for gas in [0, MIN_GAS - 1, MAX_GAS + 1, u64::MAX] {
        let error = Settings::new(Workload::Transfers, gas, 1).expect_err("too little or much");
        assert!(error.to_string().contains(&gas.to_string()), "{error}");
    }
    assert_eq!("mixed".parse::<Workload>().expect("there is"), Workload::Mixed);
    let error = "none".parse::<Workload>().expect_err("there is none").to_string();
    assert!(Workload::ALL.iter().all(|workload| error.contains(workload.name())), "{error}");
}
