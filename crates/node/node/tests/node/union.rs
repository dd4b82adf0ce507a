//! Rollups of a union as nodes of one process.

use crate::world::{result, server};
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B256, Bytes, ChainId, U256};
use lockstep_chain::{FeeParams, ForkSchedule, GATE, OpHardfork, PORT, Rollup, UnionRules};
use lockstep_execution::{Bytecode, MemoryState};
use lockstep_node::{Node, NodeBuilder};
use lockstep_rpc::{RpcSettings, UnionMembers};
use lockstep_storage::GenesisBlock;
use lockstep_union::{proxy_code, proxy_of};
use serde_json::{Value, json};
use std::sync::Arc;

const HOME: ChainId = 901;
const PEER: ChainId = 902;

/// On the peer: returns 42.
const ANSWERER: Address = Address::repeat_byte(0xd0);

async fn start(on: ChainId, peers: &Arc<UnionMembers>) -> Node<Rollup> {
    let forks = ForkSchedule::<OpHardfork>::at(OpHardfork::Granite);
    let chain =
        Rollup::new(on, forks, FeeParams::OP_MAINNET).with_union(UnionRules::new([HOME, PEER]));
    let mut state = MemoryState::default();
    let mut place = |address: Address, code: Bytes| {
        state.set_account(address, 1, U256::ZERO, Bytecode::new_raw(code));
    };
    place(GATE, Bytes::from_static(&[0]));
    place(PORT, Bytes::from_static(&[0xfe]));
    if on == HOME {
        place(proxy_of(PEER, ANSWERER), proxy_code(PEER, ANSWERER));
    } else {
        place(ANSWERER, alloy_primitives::bytes!("602a5f5260205ff3"));
    }
    let file = Genesis { gas_limit: 30_000_000, base_fee_per_gas: Some(7), ..Genesis::default() };
    let mut header = chain.genesis_header(&file);
    header.state_root = state.state_root();
    let genesis = GenesisBlock::new(header, state).unwrap();
    let builder = NodeBuilder::new(chain, &genesis).peers(peers.clone()).lockstep_rpc(None);
    builder.rpc(RpcSettings::default(), server()).launch().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_reach_other_nodes_of_the_union() {
    let peers = Arc::new(UnionMembers::default());
    let nodes = [start(HOME, &peers).await, start(PEER, &peers).await];
    for node in &nodes {
        peers.add(node.context().view(), None);
    }
    let at = nodes[0].rpc_address().unwrap();
    let call = json!([{ "to": proxy_of(PEER, ANSWERER) }, "latest"]);
    let answer = result(at, "eth_call", call).await;
    assert_eq!(answer, json!(B256::from(U256::from(42))));
    let unknown = json!([B256::repeat_byte(1)]);
    assert_eq!(result(at, "lockstep_confirmation", unknown).await, Value::Null);
    for (node, chain) in nodes.into_iter().zip([HOME, PEER]) {
        peers.remove(chain);
        node.shutdown().await.unwrap();
    }
}
