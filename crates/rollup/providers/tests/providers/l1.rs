//! An L1 node that is truthful, changes its mind, or lies.

use crate::{
    fake::{FakeNode, UNKNOWN_METHOD},
    fake_l1::{FakeBlock, FakeL1, SharedL1, node},
};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::B256;
use lockstep_derive::Severity;
use lockstep_providers::{ClientError, L1CacheLimits, L1Client};
use serde_json::{Value, json};
use std::sync::Arc;

fn newest(l1: &SharedL1) -> FakeBlock {
    l1.lock().canonical.last().expect("a chain").clone()
}

/// A node whose answers to one method are changed on their way.
fn liar(
    l1: &SharedL1,
    method: &'static str,
    lie: impl Fn(&mut Value) + Send + Sync + 'static,
) -> L1Client {
    let l1 = Arc::clone(l1);
    let node = FakeNode::new(move |asked, params| {
        let mut answer = l1.lock().answer(asked, params)?;
        if asked == method {
            lie(&mut answer);
        }
        Ok(answer)
    });
    L1Client::new(node.rpc())
}

#[test]
fn a_block_is_read_with_its_transactions_and_receipts_and_remembered() {
    let l1 = FakeL1::shared(8);
    let node = node(&l1);
    let client = L1Client::new(node.rpc());
    let block = newest(&l1);
    let hash = block.header.hash();

    let (header, transactions) = client.transactions(hash).unwrap();
    assert_eq!((&header, &*transactions), (block.header.inner(), &block.transactions));
    assert_eq!(*client.receipts(hash).unwrap(), block.receipts);
    assert_eq!(block.transactions.len(), 3);
    assert_eq!(node.take_asked(), ["eth_getBlockByHash", "eth_getBlockReceipts"]);

    assert_eq!(client.header_by_hash(hash).unwrap(), header);
    assert_eq!(client.transactions(hash).unwrap().1, transactions);
    let clone = client.clone();
    assert_eq!(*clone.receipts(hash).unwrap(), *client.receipts(hash).unwrap());
    assert!(node.take_asked().is_empty(), "all of it was asked for before");
}

#[test]
fn what_is_canonical_is_asked_anew_each_time() {
    let l1 = FakeL1::shared(5);
    let client = L1Client::new(node(&l1).rpc());
    let at = |number| client.block(BlockNumberOrTag::Number(number)).unwrap();
    let (before, hash) = (at(4).expect("it is there"), newest(&l1).header.hash());
    assert_eq!(before.hash, hash);
    assert_eq!(at(5), None);

    l1.lock().reorg(2, 9);
    let after = at(4).expect("it is there");
    assert_ne!(after.hash, before.hash);
    assert_eq!(after.hash, newest(&l1).header.hash());
    assert_eq!(client.header_by_hash(hash).unwrap().number, 4, "by hash it is still known");
    let head = client.block(BlockNumberOrTag::Latest).unwrap();
    assert_eq!(head, Some(after));
    assert_eq!(
        client.block(BlockNumberOrTag::Finalized).unwrap().map(|block| block.number),
        Some(0)
    );
}

#[test]
fn nothing_final_yet_is_no_error() {
    let node = FakeNode::new(|_, _| Err((-39_001, "finalized block not found")));
    let client = L1Client::new(node.rpc());
    assert_eq!(client.block(BlockNumberOrTag::Finalized).unwrap(), None);
    assert!(client.block(BlockNumberOrTag::Latest).is_err());
}

#[test]
fn what_is_not_known_by_its_hash_asks_for_a_reset() {
    let client = L1Client::new(node(&FakeL1::shared(2)).rpc());
    let hash = B256::repeat_byte(7);
    let errors = [
        client.header_by_hash(hash).map(drop),
        client.transactions(hash).map(drop),
        client.receipts(hash).map(drop),
    ];
    for error in errors {
        let error = error.unwrap_err();
        assert!(matches!(error, ClientError::NotFound { .. }), "{error}");
        assert_eq!(error.severity(), Severity::Reset);
    }
}

#[test]
fn lies_are_found_out_and_not_remembered() {
    let l1 = FakeL1::shared(8);
    let hash = newest(&l1).header.hash();
    let is_untrue = |result: Result<(), ClientError>, expected: &str| {
        let error = result.unwrap_err();
        let ClientError::Untrue { what, .. } = &error else { panic!("{error}") };
        assert_eq!(*what, expected);
        assert_eq!(error.severity(), Severity::Temporary);
    };

    let header = liar(&l1, "eth_getBlockByHash", |block| block["timestamp"] = json!("0x1"));
    for _ in 0..2 {
        is_untrue(header.header_by_hash(hash).map(drop), "block hash");
    }
    let other = liar(&l1, "eth_getBlockByHash", {
        let other = l1.lock().canonical[3].json(true);
        move |block| *block = other.clone()
    });
    is_untrue(other.transactions(hash).map(drop), "block hash");
    let dropped = liar(&l1, "eth_getBlockByHash", |block| {
        block["transactions"].as_array_mut().expect("a list").pop();
    });
    is_untrue(dropped.transactions(hash).map(drop), "transactions root");
    let swapped = liar(&l1, "eth_getBlockByHash", |block| {
        block["transactions"].as_array_mut().expect("a list").swap(0, 1);
    });
    is_untrue(swapped.transactions(hash).map(drop), "transactions root");
    let receipts = liar(&l1, "eth_getBlockReceipts", |receipts| {
        receipts[0]["logs"][0]["data"] = json!("0xff");
    });
    for _ in 0..2 {
        is_untrue(receipts.receipts(hash).map(drop), "receipts root");
    }
    let number = liar(&l1, "eth_getBlockByNumber", {
        let other = l1.lock().canonical[3].json(false);
        move |block| *block = other.clone()
    });
    is_untrue(number.block(BlockNumberOrTag::Number(4)).map(drop), "block number");
}

#[test]
fn garbage_in_place_of_a_block_is_told() {
    let l1 = FakeL1::shared(3);
    let hash = newest(&l1).header.hash();
    for garbage in [json!(7), json!({}), json!([]), json!({ "hash": "0x" })] {
        let client = liar(&l1, "eth_getBlockByHash", move |block| *block = garbage.clone());
        let error = client.header_by_hash(hash).unwrap_err();
        assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
    }
}

#[test]
fn receipts_are_fetched_one_by_one_where_a_block_s_are_not_served() {
    let l1 = FakeL1::shared(8);
    let shared = Arc::clone(&l1);
    let node = FakeNode::new(move |method, params| match method {
        "eth_getBlockReceipts" => UNKNOWN_METHOD,
        _ => shared.lock().answer(method, params),
    });
    let client = L1Client::new(node.rpc());
    let (block, earlier) = (newest(&l1), l1.lock().canonical[6].clone());
    assert_eq!(*client.receipts(block.header.hash()).unwrap(), block.receipts);
    assert!(node.take_asked().contains(&"eth_getTransactionReceipt*3".to_owned()));
    assert_eq!(*client.receipts(earlier.header.hash()).unwrap(), earlier.receipts);
    assert!(!node.take_asked().contains(&"eth_getBlockReceipts".to_owned()), "it is known by now");
    let empty = l1.lock().canonical[4].clone();
    assert!(client.receipts(empty.header.hash()).unwrap().is_empty());
}

#[test]
fn a_walk_back_takes_one_round_trip_and_stays_on_its_chain() {
    let l1 = FakeL1::shared(40);
    let node = node(&l1);
    let client = L1Client::new(node.rpc());
    let hash = newest(&l1).header.hash();
    let numbers = |headers: Vec<alloy_primitives::Sealed<alloy_consensus::Header>>| -> Vec<u64> {
        headers.iter().map(|header| header.number).collect()
    };
    let walked = numbers(client.headers_back(hash, 20).unwrap());
    assert_eq!(walked, (19..40).rev().collect::<Vec<u64>>());
    assert_eq!(node.take_asked(), ["eth_getBlockByHash", "eth_getBlockByNumber*20"]);
    let parent = l1.lock().canonical[25].header.hash();
    client.header_by_hash(parent).unwrap();
    assert!(node.take_asked().is_empty(), "the walk kept what it saw");
    assert_eq!(numbers(client.headers_back(hash, 1000).unwrap()).last(), Some(&0));

    // The old head is an orphan now: by number the node shows another chain.
    l1.lock().reorg(3, 5);
    let client = L1Client::new(node.rpc());
    assert_eq!(numbers(client.headers_back(hash, 20).unwrap()), [39]);
}

#[test]
fn blocks_loaded_ahead_need_no_more_questions() {
    let l1 = FakeL1::shared(30);
    let node = node(&l1);
    let client = L1Client::new(node.rpc());
    assert_eq!(client.prefetch(25..40).unwrap(), 5);
    assert_eq!(node.take_asked(), ["eth_getBlockByNumber*15", "eth_getBlockReceipts*5"]);
    let blocks: Vec<FakeBlock> = l1.lock().canonical[25..].to_vec();
    for block in blocks {
        let hash = block.header.hash();
        assert_eq!(*client.transactions(hash).unwrap().1, block.transactions);
        assert_eq!(*client.receipts(hash).unwrap(), block.receipts);
    }
    assert!(node.take_asked().is_empty());
}

#[test]
fn a_lie_in_what_is_loaded_ahead_is_not_kept() {
    let l1 = FakeL1::shared(8);
    let client = liar(&l1, "eth_getBlockReceipts", |receipts| *receipts = json!([]));
    assert_eq!(client.prefetch(7..8).unwrap(), 1);
    let error = client.receipts(newest(&l1).header.hash()).unwrap_err();
    assert!(matches!(error, ClientError::Untrue { .. }), "{error}");
}

#[test]
fn caches_of_no_size_change_nothing_but_the_number_of_questions() {
    let l1 = FakeL1::shared(8);
    let limits = L1CacheLimits { headers: 0, transactions: 0, receipts: 0 };
    let client = L1Client::with_limits(node(&l1).rpc(), limits);
    let block = newest(&l1);
    for _ in 0..2 {
        assert_eq!(*client.receipts(block.header.hash()).unwrap(), block.receipts);
        assert_eq!(*client.transactions(block.header.hash()).unwrap().1, block.transactions);
    }
}
