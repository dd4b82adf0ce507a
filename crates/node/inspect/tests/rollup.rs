//! Calls and traces on real OP Sepolia blocks, over the pre-images they came with.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, Sealable, TxReceipt};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B64, B256, Bytes, U64, U256, address, bytes, hex};
use alloy_rpc_types_eth::{TransactionInput, TransactionRequest};
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use lockstep_chain::{Block, Chain, Rollup};
use lockstep_execution::{ExecuteOptions, StateReader, execute_block};
use lockstep_inspect::{
    InspectError, Limits, Overrides, ReplayBlock, SimulateRequest, block_traces, call,
    estimate_gas, simulate_v1, trace_block,
};
use lockstep_testkit::{fixtures, source, stateless::Stateless};
use lockstep_trie::NodeSet;
use serde::Deserialize;
use serde_json::json;
use std::{io::Read, path::Path};

const BLOCK: u64 = 26207960;

/// The predeploy that knows the L1 block, and its function `number()`.
const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");
const NUMBER: Bytes = bytes!("8381f58a");

#[derive(Deserialize)]
struct Fixture {
    parent_header: Header,
    executing_payload: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    timestamp: U64,
    prev_randao: B256,
    suggested_fee_recipient: Address,
    parent_beacon_block_root: B256,
    transactions: Vec<Bytes>,
    gas_limit: U64,
    eip1559_params: B64,
}

/// A block, its senders, its parent and the parent's state.
struct Case {
    chain: Rollup,
    block: Block<Rollup>,
    senders: Vec<Address>,
    parent: alloy_primitives::Sealed<Header>,
    preimages: NodeSet,
}

fn read(path: &Path) -> String {
    let mut text = String::new();
    let mut reader = source::open(path, &source::Limits::default()).expect("the fixture opens");
    reader.read_to_string(&mut text).expect("the fixture is text");
    text
}

impl Case {
    fn load() -> Option<Self> {
        let folder = fixtures::folder()?.join("op-blocks/blocks");
        let fixture: Fixture =
            serde_json::from_str(&read(&folder.join(format!("block-{BLOCK}.fixture.json"))))
                .expect("the fixture parses");
        let preimages = read(&folder.join(format!("block-{BLOCK}.preimages.hex.zst")))
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(_, value)| Bytes::from(hex::decode(value).expect("hex")))
            .collect();
        let chain = Rollup::op_sepolia();
        let parent = fixture.parent_header.seal_slow();
        let payload = fixture.executing_payload;
        let timestamp = payload.timestamp.to();
        let header = Header {
            parent_hash: parent.hash(),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: payload.suggested_fee_recipient,
            number: parent.number + 1,
            gas_limit: payload.gas_limit.to(),
            timestamp,
            extra_data: [&[0], payload.eip1559_params.as_slice()].concat().into(),
            mix_hash: payload.prev_randao,
            base_fee_per_gas: chain.next_base_fee(&parent, timestamp),
            withdrawals_root: Some(EMPTY_ROOT_HASH),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(payload.parent_beacon_block_root),
            ..Default::default()
        };
        let mut block: Block<Rollup> = header.into_block(Default::default());
        let transactions = payload.transactions.iter();
        block.body.transactions = transactions
            .map(|tx| Decodable2718::decode_2718_exact(tx).expect("the transaction decodes"))
            .collect();
        let senders = chain.recover_senders(&block).expect("the signatures recover");
        Some(Self { chain, block, senders, parent, preimages })
    }

    fn state(&self) -> Stateless {
        Stateless::new(self.parent.state_root, self.preimages.clone())
    }

    fn replay(&self) -> ReplayBlock<'_, Rollup> {
        ReplayBlock {
            block: &self.block,
            hash: self.block.header.hash_slow(),
            senders: &self.senders,
        }
    }
}

/// From an account that the pre-images know.
fn number_of_l1_block(case: &Case) -> TransactionRequest {
    TransactionRequest::default()
        .from(case.senders[0])
        .to(L1_BLOCK)
        .input(TransactionInput::new(NUMBER))
}

#[test]
fn traces_of_a_real_block_use_the_gas_of_its_receipts() {
    let Some(case) = Case::load() else { return };
    let state = case.state();
    let output =
        execute_block(&case.chain, &case.block, &case.senders, &state, ExecuteOptions::default())
            .expect("the block executes");
    let options: GethDebugTracingOptions =
        serde_json::from_value(json!({ "tracer": "callTracer" })).expect("the options parse");
    let traces = trace_block(&case.chain, case.replay(), case.state(), &options, &Limits::DEFAULT)
        .expect("the block replays");
    assert_eq!(traces.len(), output.receipts.len());
    let mut before = 0;
    for (trace, receipt) in traces.iter().zip(&output.receipts) {
        let gas_used = receipt.cumulative_gas_used() - before;
        before = receipt.cumulative_gas_used();
        let trace = json!(trace);
        assert_eq!(trace["result"]["gasUsed"], json!(U256::from(gas_used)), "{trace}");
        assert_eq!(trace["result"].get("error").is_none(), receipt.status(), "{trace}");
    }
    let flat = block_traces(&case.chain, case.replay(), case.state(), &Limits::DEFAULT)
        .expect("the block replays");
    let outermost = flat.iter().filter(|trace| trace.trace.trace_address.is_empty());
    assert_eq!(outermost.count(), traces.len(), "a rollup pays no rewards");
}

#[test]
fn a_call_reads_the_state_and_pays_nothing() {
    let Some(case) = Case::load() else { return };
    let state = case.state();
    let stored = state.storage(&L1_BLOCK, &U256::ZERO).expect("the slot is known");
    let limits = Limits::DEFAULT;
    let overrides = Overrides::default();
    let request = number_of_l1_block(&case);
    let outcome = call(&case.chain, &case.parent, &state, &request, &overrides, &limits)
        .expect("the call runs");
    let number = U256::from_be_slice(&outcome.into_output().expect("the call succeeds"));
    assert_eq!(number, stored & U256::from(u64::MAX));
    assert!(number > U256::ZERO);
    let gas = estimate_gas(&case.chain, &case.parent, &state, &request, &overrides, &limits)
        .expect("the call succeeds");
    assert!((21_000..60_000).contains(&gas), "{gas}");
}

#[test]
fn value_that_nobody_has_is_refused() {
    let Some(case) = Case::load() else { return };
    let request = number_of_l1_block(&case).value(U256::MAX);
    let result = call(
        &case.chain,
        &case.parent,
        case.state(),
        &request,
        &Overrides::default(),
        &Limits::DEFAULT,
    );
    assert!(matches!(result, Err(InspectError::Refused { .. })), "{result:?}");
}

#[test]
fn a_simulated_block_follows_its_parent() {
    let Some(case) = Case::load() else { return };
    let call = number_of_l1_block(&case);
    let request: SimulateRequest = serde_json::from_value(json!({ "blockStateCalls": [{
            // The slots of system contracts go by the time; the real block's are known.
            "blockOverrides": { "time": U256::from(case.block.header.timestamp) },
            "calls": [call],
        }] }))
    .expect("the request parses");
    let limits = Limits::DEFAULT;
    let blocks = simulate_v1(&case.chain, &case.parent, case.state(), &request, &limits)
        .expect("the pre-images hold what the block touches");
    assert_eq!(blocks[0]["parentHash"], json!(case.parent.hash()));
    assert_eq!(blocks[0]["calls"][0]["status"], "0x1", "{}", blocks[0]);
    assert_eq!(blocks[0]["extraData"], json!(case.parent.extra_data));
}
