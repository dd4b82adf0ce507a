//! A replaced precompiled contract is seen by everything that executes.

use crate::world::{
    ADDER, CALLER, answer, call, ethereum, first_block, key, mine, result, server, words,
};
use alloy_consensus::TxReceipt;
use alloy_primitives::{Address, U256, address};
use lockstep_chain::Ethereum;
use lockstep_node::{
    Customized, Node, NodeBuilder,
    precompile::{
        DynPrecompile, PrecompileId, PrecompileInput, PrecompileOutput, PrecompileResult,
    },
};
use lockstep_rpc::RpcSettings;
use serde_json::json;

/// What `sha256` is on Ethereum.
const SHA256: Address = address!("0000000000000000000000000000000000000002");

/// The sum of all words of the input.
fn sum(call: &PrecompileInput<'_>) -> PrecompileResult {
    let words = call.data.chunks_exact(32).map(U256::from_be_slice);
    let sum = words.fold(U256::ZERO, |sum, word| sum.wrapping_add(word));
    Ok(PrecompileOutput::new(100, sum.to_be_bytes_vec().into(), call.reservoir))
}

/// Ethereum with one precompiled contract more, from `since` on, and another one less.
fn chain(since: u64) -> Customized<Ethereum> {
    Customized::new(ethereum()).precompiles(move |header, precompiles| {
        if header.number < since {
            return;
        }
        let adder = DynPrecompile::new(PrecompileId::custom("adder"), |call| sum(&call));
        precompiles.apply_precompile(&ADDER, |_| Some(adder));
        precompiles.apply_precompile(&SHA256, |_| None);
    })
}

async fn node(since: u64) -> Node<Customized<Ethereum>> {
    let builder = NodeBuilder::new(chain(since), &first_block());
    builder.rpc(RpcSettings::default(), server()).launch().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_see_it() {
    let node = node(0).await;
    let rpc = node.rpc_address().unwrap();
    for to in [ADDER, CALLER] {
        let params = json!([{ "to": to, "data": words(&[30, 12]) }, "latest"]);
        assert_eq!(result(rpc, "eth_call", params).await, json!(words(&[42])), "{to}");
    }
    let removed = json!([{ "to": SHA256, "data": words(&[1]) }, "latest"]);
    assert_eq!(result(rpc, "eth_call", removed).await, json!("0x"));
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_in_a_block_sees_it_and_so_do_its_traces() {
    let node = node(0).await;
    let block = mine(&node, &[call(0, 0, 1_000_000_000, CALLER, words(&[40, 2]))]);
    assert!(block.receipts[0].status());
    let state = node.context().view().snapshot().state(1).unwrap();
    assert_eq!(state.storage(&CALLER, &U256::ZERO).unwrap(), U256::from(42));

    let rpc = node.rpc_address().unwrap();
    let hash = block.block.transactions()[0].tx_hash();
    let trace = result(rpc, "debug_traceTransaction", json!([hash, { "tracer": "callTracer" }]));
    let trace = trace.await;
    assert_eq!(trace["output"], json!(words(&[42])), "{trace}");
    assert_eq!(trace["calls"][0]["to"], json!(ADDER), "{trace}");
    assert_eq!(trace["calls"][0]["output"], json!(words(&[42])), "{trace}");
    let replayed = result(rpc, "trace_replayTransaction", json!([hash, ["trace"]])).await;
    assert_eq!(replayed["output"], json!(words(&[42])), "{replayed}");
    let simulated = json!([{ "blockStateCalls": [{ "calls": [
        { "from": key(1).address(), "to": CALLER, "input": words(&[1, 2]) }
    ] }] }, "latest"]);
    let simulated = result(rpc, "eth_simulateV1", simulated).await;
    assert_eq!(simulated[0]["calls"][0]["returnData"], json!(words(&[3])), "{simulated}");
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_engine_of_the_chain_agrees_and_one_of_the_plain_chain_does_not() {
    let [producer, follower] = [node(0).await, node(0).await];
    let plain = NodeBuilder::new(ethereum(), &first_block()).launch().await.unwrap();
    let block = mine(&producer, &[call(0, 0, 1_000_000_000, CALLER, words(&[40, 2]))]);
    let block = &block.block.block;
    let followed = follower.context().engine().insert(block.clone()).unwrap();
    assert!(followed.is_valid(), "{followed:?}");
    let refused = plain.context().engine().insert(block.clone()).unwrap();
    assert!(refused.is_invalid(), "{refused:?}");
    for node in [producer, follower] {
        node.shutdown().await.unwrap();
    }
    plain.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_begins_with_the_block_that_the_definition_says() {
    let node = node(2).await;
    let stored = |number| {
        let state = node.context().view().snapshot().state(number).unwrap();
        state.storage(&CALLER, &U256::ZERO).unwrap()
    };
    // Until then there is nobody at the address, and the contract finds its own input.
    mine(&node, &[call(0, 0, 1_000_000_000, CALLER, words(&[40, 2]))]);
    assert_eq!(stored(1), U256::from(40));
    mine(&node, &[call(0, 1, 1_000_000_000, CALLER, words(&[40, 2]))]);
    assert_eq!(stored(2), U256::from(42));
    let rpc = node.rpc_address().unwrap();
    let call = json!({ "to": ADDER, "data": words(&[1, 2]) });
    assert_eq!(result(rpc, "eth_call", json!([call, "0x1"])).await, json!("0x"));
    assert_eq!(result(rpc, "eth_call", json!([call, "0x2"])).await, json!(words(&[3])));
    let proof = answer(rpc, "eth_getProof", json!([CALLER, ["0x0"], "latest"])).await;
    assert_eq!(proof["result"]["storageProof"][0]["value"], json!("0x2a"), "{proof}");
    node.shutdown().await.unwrap();
}
