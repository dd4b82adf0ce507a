//! Nodes in this process: the dev beacon's API, and an L1 that has headers and storage.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, Sealed, U256, keccak256};
use axum::{Router, body::Body, http};
use http_body_util::BodyExt;
use lockstep_execution::MemoryState;
use lockstep_providers::{Accept, Endpoint, Request, Response, Transport, TransportError};
use lockstep_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY, NoSource, NodeSet, StateTrie};
use serde_json::{Value, json};
use std::fmt;
use tower::ServiceExt;

/// What becomes of an answer before it is given: by path.
pub(crate) type Tamper = fn(&str, Vec<u8>) -> Vec<u8>;

/// A beacon node.
pub(crate) struct BeaconNode {
    pub(crate) endpoint: Endpoint,
    pub(crate) api: Router,
    pub(crate) tamper: Tamper,
}

impl fmt::Debug for BeaconNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BeaconNode")
    }
}

impl Transport for BeaconNode {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn exchange(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let accept: Accept = request.accept;
        let sent = http::Request::get(request.path).header("accept", accept.media_type());
        let sent = sent.body(Body::empty()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (status, body) = runtime.block_on(async {
            let answer = self.api.clone().oneshot(sent).await.unwrap();
            (answer.status(), answer.into_body().collect().await.unwrap().to_bytes().to_vec())
        });
        Ok(Response { status: status.as_u16(), body: (self.tamper)(request.path, body) })
    }
}

/// An L1 node: headers, and the state after each of them, which is one and the same.
pub(crate) struct L1Node {
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: Vec<Sealed<Header>>,
    pub(crate) state: MemoryState,
}

impl fmt::Debug for L1Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("L1Node")
    }
}

impl L1Node {
    fn answer(&self, method: &str, params: &Value) -> Value {
        let block = |header: Option<&Sealed<Header>>| {
            let header = alloy_rpc_types_eth::Header::from_sealed(header?.clone());
            let mut block = serde_json::to_value(header).unwrap();
            block["transactions"] = json!([]);
            block["uncles"] = json!([]);
            Some(block)
        };
        match (method, params[0].as_str().unwrap()) {
            ("eth_getBlockByNumber", "latest") => json!(block(self.headers.last())),
            ("eth_getBlockByNumber", number) => {
                let number = usize::from_str_radix(&number[2..], 16).unwrap();
                json!(block(self.headers.get(number)))
            }
            ("eth_getBlockByHash", hash) => {
                let hash: B256 = hash.parse().unwrap();
                json!(block(self.headers.iter().find(|header| header.hash() == hash)))
            }
            ("eth_getProof", address) => self.proof(address.parse().unwrap(), &params[1]),
            _ => panic!("{method} is not asked for"),
        }
    }

    fn proof(&self, address: Address, slots: &Value) -> Value {
        let slots: Vec<B256> = serde_json::from_value(slots.clone()).unwrap();
        let hashed: Vec<B256> = slots.iter().map(keccak256).collect();
        let (mut trie, nodes) = trie(&self.state);
        let key = keccak256(address);
        let proof = trie.prove(key, &hashed, &nodes).unwrap();
        let account = trie.account(key, &nodes).unwrap();
        let slots = proof.storage.iter().zip(&slots);
        let slots: Vec<Value> = slots
            .map(|(slot, key)| json!({ "key": key, "value": slot.value, "proof": slot.proof }))
            .collect();
        json!({
            "address": address,
            "balance": account.map_or(U256::ZERO, |account| account.balance),
            "nonce": format!("{:#x}", account.map_or(0, |account| account.nonce)),
            "codeHash": account.map_or(KECCAK_EMPTY, |account| account.code_hash),
            "storageHash": account.map_or(EMPTY_ROOT_HASH, |account| account.storage_root),
            "accountProof": proof.proof,
            "storageProof": slots,
        })
    }
}

/// The trie of a state, and its nodes.
fn trie(state: &MemoryState) -> (StateTrie, NodeSet) {
    let mut trie = StateTrie::empty();
    for (address, account) in state.accounts() {
        let (key, info) = (keccak256(address), &account.info);
        trie.set_account(key, info.nonce, info.balance, info.code_hash);
        for (slot, value) in &account.storage {
            trie.set_slot(key, keccak256(B256::from(*slot)), *value);
        }
    }
    let mut nodes = NodeSet::new();
    trie.commit(&NoSource, |_, _, rlp| {
        nodes.insert(Bytes::copy_from_slice(rlp));
    })
    .expect("a new trie needs no nodes");
    (trie, nodes)
}

impl Transport for L1Node {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn exchange(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let calls: Value = serde_json::from_slice(request.body.unwrap()).unwrap();
        let one = |call: &Value| {
            let result = self.answer(call["method"].as_str().unwrap(), &call["params"]);
            json!({ "jsonrpc": "2.0", "id": call["id"], "result": result })
        };
        let answer = match &calls {
            Value::Array(calls) => calls.iter().map(one).collect(),
            call => one(call),
        };
        Ok(Response { status: 200, body: serde_json::to_vec(&answer).unwrap() })
    }
}
