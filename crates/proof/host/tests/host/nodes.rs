//! Nodes that know the world of the program's own tests.

use crate::{
    fake::{FakeNode, FakeTransport, Outcome, UNKNOWN_METHOD, ok},
    fake_l1::{FakeBlock, FakeL1},
    world::{Posting, World, writes},
};
use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, Sealable, Sealed, keccak256};
use lockstep_chain::OpHardfork;
use lockstep_host::Sources;
use lockstep_preimage::{Hint, PreimageKey, PreimageOracle};
use lockstep_providers::{BeaconClient, L1Client, L2Client, Retry, Transport, VerifiedBlob};
use lockstep_trie::{KECCAK_EMPTY, Nibbles, NodePath, NodeSet, NodeSource, SparseTrie, StateTrie};
use op_alloy_consensus::OpTxEnvelope;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};

/// What the rollup's node serves beside blocks and proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serves {
    /// `debug_executionWitness`.
    Witnesses,
    /// `debug_dbGet`.
    Database,
}

/// An L1 and a rollup, as nodes know them.
pub(crate) struct Nodes {
    pub(crate) sources: Sources,
    pub(crate) l1_genesis: Bytes,
    /// The rollup's node.
    pub(crate) l2: FakeNode,
}

struct L2 {
    blocks: Vec<(Sealed<Header>, Vec<OpTxEnvelope>)>,
    nodes: NodeSet,
    codes: HashMap<B256, Bytes>,
    serves: Serves,
}

/// Three epochs with deposits, transactions and deletions, all batched; and a block that is not.
pub(crate) fn busy_world(fork: OpHardfork) -> World {
    busy_world_in(fork, Posting::Calldata)
}

pub(crate) fn busy_world_in(fork: OpHardfork, posting: Posting) -> World {
    let mut world = World::new(fork, posting);
    for epoch in 0..3_u64 {
        for block in 0..if epoch == 0 { 5 } else { 6 } {
            let transactions = (0..block % 3)
                .map(|n| world.write(&[(n, epoch), (10 * epoch + block, 0), (n + 100, 9)]))
                .collect();
            world.sequence(transactions);
        }
        world.deposit(writes(&[(40 + epoch, 0), (200, epoch)]));
        world.mine();
    }
    world.sequence(Vec::new());
    world
}

/// The items of an ordered list that a hint announces.
fn list<T: Decodable2718>(world: &World, hint: &Hint, root: B256) -> Vec<T> {
    world.host.hint(hint).expect("it is known");
    let nodes: NodeSet =
        world.host.given.borrow().iter().map(|(_, preimage)| preimage.clone()).collect();
    let mut trie = SparseTrie::from_root(root);
    let mut items = Vec::new();
    loop {
        let key = Nibbles::unpack(alloy_rlp::encode(items.len()));
        match trie.get(&key, &nodes).expect("its nodes are known") {
            Some(item) => items.push(T::decode_2718_exact(item).expect("an item")),
            None => return items,
        }
    }
}

fn l1_chain(world: &World) -> Vec<FakeBlock> {
    let local = |number| world.host.given.borrow().get(PreimageKey::local(number));
    let mut hash = B256::from_slice(&local(1).expect("it was claimed"));
    let mut blocks = Vec::new();
    while !hash.is_zero() {
        world.host.hint(&Hint::L1Header(hash)).expect("it is known");
        let rlp = world.host.given.borrow().get(PreimageKey::keccak256(hash)).expect("it is given");
        let header: Header = alloy_rlp::decode_exact(&rlp).expect("a header");
        let parent = header.parent_hash;
        let transactions: Vec<TxEnvelope> =
            list(world, &Hint::L1Transactions(hash), header.transactions_root);
        let receipts: Vec<ReceiptEnvelope> =
            list(world, &Hint::L1Receipts(hash), header.receipts_root);
        let header = Sealed::new_unchecked(header, hash);
        blocks.push(FakeBlock { header, transactions, receipts });
        hash = parent;
    }
    blocks.reverse();
    blocks
}

/// The nodes of a world. `change` may change what the rollup's node answers.
pub(crate) fn nodes(
    world: World,
    serves: Serves,
    change: impl Fn(&str, &Value, &mut Value) + Send + Sync + 'static,
) -> Nodes {
    nodes_on_fork(world, serves, usize::MAX, change)
}

/// As [`nodes`], but from block `fork` on the rollup's node has other blocks, and does not know those that L1
/// makes.
pub(crate) fn nodes_on_fork(
    mut world: World,
    serves: Serves,
    fork: usize,
    change: impl Fn(&str, &Value, &mut Value) + Send + Sync + 'static,
) -> Nodes {
    world.claim(0, 1, B256::ZERO);
    let l1_genesis =
        world.host.given.borrow().get(PreimageKey::local(7)).expect("it is no public L1");
    let l1 = Mutex::new(FakeL1 { canonical: l1_chain(&world), orphans: Vec::new() });
    let l1 = FakeNode::new(move |method, params| match method {
        "eth_chainId" => Ok(json!("0x384")),
        _ => l1.lock().answer(method, params),
    });
    let blocks = world.l2.iter().map(|(header, _)| {
        let hint = Hint::L2Transactions(header.hash());
        (header.clone(), list(&world, &hint, header.transactions_root))
    });
    let mut blocks: Vec<(Sealed<Header>, Vec<OpTxEnvelope>)> = blocks.collect();
    for at in fork..blocks.len() {
        let header = Header {
            parent_hash: blocks[at - 1].0.hash(),
            state_root: B256::repeat_byte(0xe0 + at as u8),
            ..blocks[at].0.inner().clone()
        };
        blocks[at].0 = header.seal_slow();
    }
    let (nodes, codes) = (world.host.nodes.clone(), world.host.codes.clone());
    let l2 = L2 { blocks, nodes, codes, serves };
    let l2 = FakeNode::new(move |method, params| {
        let mut answer = l2.answer(method, params)?;
        change(method, params, &mut answer);
        Ok(answer)
    });
    let beacon = beacon(&world);
    let sources = Sources {
        l1: L1Client::new(l1.rpc()),
        beacon: BeaconClient::new(vec![beacon], Retry::at_once(1)).expect("a node"),
        l2: L2Client::new(l2.rpc(), Arc::new(world.config.clone())),
    };
    Nodes { sources, l1_genesis, l2 }
}

/// A beacon node with the blobs of a world, whose L1 begins at 1,000 with slots of 12 s.
fn beacon(world: &World) -> Arc<dyn Transport> {
    let blobs = world.blobs.iter().map(|blob| VerifiedBlob::of(blob.as_slice()).expect("a blob"));
    let blobs: Vec<VerifiedBlob> = blobs.collect();
    FakeTransport::serving(move |request| match request.path {
        "/eth/v1/beacon/genesis" => ok(&json!({ "data": { "genesis_time": "1000" } })),
        "/eth/v1/config/spec" => ok(&json!({ "data": { "SECONDS_PER_SLOT": "12" } })),
        path => {
            let wanted = blobs.iter().filter(|blob| path.contains(&blob.hash().to_string()));
            let wanted = wanted.map(|blob| Bytes::copy_from_slice(blob.blob().as_slice()));
            ok(&json!({ "data": wanted.collect::<Vec<Bytes>>() }))
        }
    })
}

impl L2 {
    fn answer(&self, method: &str, params: &Value) -> Outcome {
        let by_number = |at: &Value| {
            let number =
                at.as_str().and_then(|at| usize::from_str_radix(at.strip_prefix("0x")?, 16).ok());
            number.and_then(|number| self.blocks.get(number))
        };
        let by_hash =
            |hash: &Value| self.blocks.iter().find(|(header, _)| json!(header.hash()) == *hash);
        let full = params[1].as_bool().unwrap_or_default();
        Ok(match method {
            "eth_chainId" => json!("0x385"),
            "eth_getBlockByNumber" => {
                json!(by_number(&params[0]).map(|block| block_json(block, full)))
            }
            "eth_getBlockByHash" => json!(by_hash(&params[0]).map(|block| block_json(block, full))),
            "eth_getProof" => match by_hash(&params[2]) {
                Some((header, _)) => return self.proof(header.state_root, params),
                None => return Err((-32_000, "header not found")),
            },
            "debug_executionWitness" if self.serves == Serves::Witnesses => {
                let state: Vec<&Bytes> = self.nodes.iter().map(|(_, node)| node).collect();
                let codes: Vec<&Bytes> = self.codes.values().collect();
                json!({ "state": state, "codes": codes, "keys": [], "headers": [] })
            }
            "debug_dbGet" if self.serves == Serves::Database => {
                let key: Bytes = serde_json::from_value(params[0].clone()).expect("a key");
                let hash = B256::from_slice(&key[key.len() - 32..]);
                let Ok(node) = self.nodes.node(&NodePath::default(), hash);
                match node.or_else(|| self.codes.get(&hash).cloned()) {
                    Some(value) => json!(value),
                    None => return Err((-32_000, "not found")),
                }
            }
            _ => return UNKNOWN_METHOD,
        })
    }

    fn proof(&self, root: B256, params: &Value) -> Outcome {
        let address: Address = serde_json::from_value(params[0].clone()).expect("an address");
        let slots: Vec<B256> = serde_json::from_value(params[1].clone()).expect("slots");
        let hashed: Vec<B256> = slots.iter().map(keccak256).collect();
        let mut trie = StateTrie::from_root(root);
        let Ok(proof) = trie.prove(keccak256(address), &hashed, &self.nodes) else {
            return Err((-32_000, "missing trie node"));
        };
        let account = proof.account.unwrap_or(lockstep_trie::TrieAccount {
            code_hash: KECCAK_EMPTY,
            storage_root: lockstep_trie::EMPTY_ROOT_HASH,
            ..Default::default()
        });
        let slots: Vec<Value> = proof
            .storage
            .iter()
            .zip(slots)
            .map(|(slot, key)| json!({ "key": key, "value": slot.value, "proof": slot.proof }))
            .collect();
        Ok(json!({
            "address": address,
            "balance": account.balance,
            "nonce": format!("{:#x}", account.nonce),
            "codeHash": account.code_hash,
            "storageHash": account.storage_root,
            "accountProof": proof.proof,
            "storageProof": slots,
        }))
    }
}

fn block_json((header, transactions): &(Sealed<Header>, Vec<OpTxEnvelope>), full: bool) -> Value {
    let mut block = serde_json::to_value(alloy_rpc_types_eth::Header::from_sealed(header.clone()))
        .expect("JSON");
    let transaction = |tx: &OpTxEnvelope| {
        if !full {
            return json!(tx.tx_hash());
        }
        let mut value = serde_json::to_value(tx).expect("JSON");
        if let OpTxEnvelope::Deposit(_) = tx {
            value["gasPrice"] = json!("0x0");
            value["nonce"] = json!("0x0");
        } else {
            value["from"] = json!(Address::ZERO);
        }
        value
    };
    block["transactions"] = transactions.iter().map(transaction).collect();
    block["uncles"] = json!([]);
    block
}
