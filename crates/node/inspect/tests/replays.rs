//! All blocks of a chain that crosses every fork, run again and told in every way: the truth is the
//! receipts and the states that the import left behind.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

mod common;

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, U256, address, map::HashSet};
use alloy_rpc_types_trace::{
    geth::GethDebugTracingOptions,
    parity::{Action, Delta, TraceType},
};
use common::TestChain;
use lockstep_execution::StateReader;
use lockstep_inspect::{
    Limits, block_traces, contract_creation, first_block_with_code, issuance, otterscan_trace,
    replay_block_transactions, replay_transaction, state_before, trace_block, trace_transaction,
    transaction_traces,
};
use lockstep_testkit::fixtures;
use serde_json::json;

const LIMITS: Limits<'static> = Limits::DEFAULT;

/// EIP-7002 and EIP-7251.
const SYSTEM_CONTRACTS: [Address; 2] = [
    address!("00000961Ef480Eb55e80D19ad83579A64c007002"),
    address!("0000BBdDc7CE488642fb579F8B00f3a590007251"),
];

fn chain() -> Option<TestChain> {
    Some(TestChain::rpc_compat(&fixtures::folder()?).0)
}

#[test]
fn state_differences_lead_to_the_state_after_the_block() {
    let Some(chain) = chain() else { return };
    let types: HashSet<TraceType> =
        [TraceType::Trace, TraceType::StateDiff, TraceType::VmTrace].into_iter().collect();
    let mut compared = 0;
    for number in 1..=chain.head() {
        let (block, parent) = (chain.replay(number), chain.state(number - 1));
        let results =
            replay_block_transactions(&chain.chain, block, parent.clone(), &types, &LIMITS)
                .unwrap_or_else(|error| panic!("block {number}: {error}"));
        assert_eq!(results.len(), block.block.body.transactions.len());
        let after = chain.state(number);
        let mut nonces = std::collections::HashMap::new();
        let mut slots = std::collections::HashMap::new();
        for (index, result) in results.iter().enumerate() {
            let transaction = &block.block.body.transactions[index];
            assert_eq!(result.transaction_hash, *transaction.tx_hash());
            let diff = result.full_trace.state_diff.as_ref().expect("it was asked for");
            for (address, account) in diff.iter() {
                match &account.nonce {
                    Delta::Added(nonce) => nonces.insert(*address, nonce.to::<u64>()),
                    Delta::Changed(change) => nonces.insert(*address, change.to.to::<u64>()),
                    _ => None,
                };
                for (slot, delta) in &account.storage {
                    match delta {
                        Delta::Added(value) => slots.insert((*address, *slot), *value),
                        Delta::Changed(change) => slots.insert((*address, *slot), change.to),
                        _ => None,
                    };
                }
            }
            let alone =
                replay_transaction(&chain.chain, block, parent.clone(), index, &types, &LIMITS)
                    .expect("the transaction replays");
            assert_eq!(alone, result.full_trace, "block {number}, transaction {index}");
        }
        // System calls at the end of the block change these once more.
        slots.retain(|(address, _), _| !SYSTEM_CONTRACTS.contains(address));
        for (address, nonce) in nonces {
            let Ok(account) = after.account(&address);
            assert_eq!(account.map_or(0, |info| info.nonce), nonce, "block {number}, {address}");
            compared += 1;
        }
        for ((address, slot), value) in slots {
            let Ok(stored) = after.storage(&address, &slot.into());
            assert_eq!(B256::from(stored), value, "block {number}, {address}, {slot}");
            compared += 1;
        }
    }
    assert!(compared > 100, "only {compared} values compared");
}

#[test]
fn a_block_traced_as_a_whole_is_its_transactions_traced_one_by_one() {
    let Some(chain) = chain() else { return };
    for tracer in [None, Some("callTracer"), Some("prestateTracer"), Some("flatCallTracer")] {
        let options: GethDebugTracingOptions =
            serde_json::from_value(json!({ "tracer": tracer })).expect("the options parse");
        for number in (1..=chain.head()).step_by(3) {
            let (block, parent) = (chain.replay(number), chain.state(number - 1));
            let whole = trace_block(&chain.chain, block, parent.clone(), &options, &LIMITS)
                .expect("the block replays");
            for (index, whole) in whole.iter().enumerate() {
                let alone = trace_transaction(
                    &chain.chain,
                    block,
                    parent.clone(),
                    index,
                    &options,
                    &LIMITS,
                )
                .expect("the transaction replays");
                assert_eq!(json!(whole)["result"], json!(alone), "block {number}, {index}");
            }
        }
    }
}

#[test]
fn the_state_in_the_middle_of_a_block_is_between_its_ends() {
    let Some(chain) = chain() else { return };
    for number in 1..=chain.head() {
        let (block, parent) = (chain.replay(number), chain.state(number - 1));
        let mut sent = std::collections::HashMap::new();
        for (index, sender) in block.senders.iter().enumerate() {
            let before = state_before(&chain.chain, block, parent.clone(), index, &LIMITS)
                .expect("the block replays");
            let Ok(account) = before.account(sender);
            let nonce = account.map_or(0, |info| info.nonce);
            assert_eq!(nonce, block.block.body.transactions[index].nonce());
            *sent.entry(*sender).or_insert(0) += 1;
        }
        let count = block.senders.len();
        assert!(state_before(&chain.chain, block, parent, count + 1, &LIMITS).is_err());
    }
}

#[test]
fn proof_of_work_pays_its_reward_and_proof_of_stake_none() {
    let Some(chain) = chain() else { return };
    let mut rewarded = 0;
    for number in 1..=chain.head() {
        let (block, parent) = (chain.replay(number), chain.state(number - 1));
        let traces = block_traces(&chain.chain, block, parent, &LIMITS).expect("the block replays");
        let rewards: U256 = traces
            .iter()
            .filter_map(|trace| match &trace.trace.action {
                Action::Reward(reward) => Some(reward.value),
                _ => None,
            })
            .sum();
        assert_eq!(rewards, issuance(&chain.chain, block).issuance);
        let is_work = !block.block.header.difficulty.is_zero();
        assert_eq!(is_work, !rewards.is_zero(), "block {number}");
        rewarded += usize::from(is_work);
    }
    assert!((1..chain.head()).contains(&rewarded), "both kinds of blocks");
}

#[test]
fn the_creator_of_every_contract_is_found() {
    let Some(chain) = chain() else { return };
    let head = chain.head();
    let mut found = 0;
    for number in 1..=head {
        let (block, parent) = (chain.replay(number), chain.state(number - 1));
        for (index, sender) in block.senders.iter().enumerate() {
            let transaction = &block.block.body.transactions[index];
            let Some(address) = lockstep_inspect::created_address(transaction, *sender) else {
                continue;
            };
            let first = first_block_with_code(&address, head as u64, |number| {
                Ok(chain.state(number as usize))
            })
            .expect("the states are known");
            let Some(first) = first else { continue };
            assert_eq!(first, number as u64);
            let creation = contract_creation(&chain.chain, block, parent.clone(), address, &LIMITS)
                .expect("the block replays")
                .expect("the block created it");
            assert_eq!((creation.hash, creation.creator), (*transaction.tx_hash(), *sender));
            found += 1;
        }
    }
    assert!(found > 5, "only {found} contracts");
}

#[test]
fn otterscan_has_an_entry_for_every_trace() {
    let Some(chain) = chain() else { return };
    let mut all = 0;
    for number in 1..=chain.head() {
        let (block, parent) = (chain.replay(number), chain.state(number - 1));
        for index in 0..block.senders.len() {
            let traces = transaction_traces(&chain.chain, block, parent.clone(), index, &LIMITS);
            let entries = otterscan_trace(&chain.chain, block, parent.clone(), index, &LIMITS);
            let (traces, entries) = (traces.expect("it replays"), entries.expect("it replays"));
            assert_eq!(entries.len(), traces.len());
            assert_eq!(entries[0].from, block.senders[index]);
            all += entries.len();
        }
    }
    assert!(all > chain.head(), "only {all} entries");
}
