//! A rollup node that is truthful, lacks methods, or lies.

use crate::fake::{FakeNode, Outcome, UNKNOWN_METHOD};
use alloy_consensus::{Header, Sealable};
use alloy_eips::{BlockNumberOrTag, eip2718::Encodable2718};
use alloy_primitives::{Address, B256, Bytes, Sealed, U256, keccak256};
use lockstep_chain::OpHardfork;
use lockstep_derive::{L2Provider, Severity};
use lockstep_protocol::{L1Attributes, RollupConfig, RollupGenesis};
use lockstep_providers::{ClientError, L1Client, L2Client, MAX_PROVEN_SLOTS, MESSAGE_PASSER};
use lockstep_trie::{KECCAK_EMPTY, NoSource, NodeSet, StateTrie};
use op_alloy_consensus::OpTxEnvelope;
use serde_json::{Value, json};
use std::sync::Arc;

const NUMBER: u64 = 7;
const SLOT: B256 = B256::repeat_byte(3);
const CODE: &[u8] = &[0x60, 0x00];

/// A state of two accounts, and the nodes of its tries.
struct State {
    root: B256,
    storage_root: B256,
    trie: StateTrie,
    nodes: NodeSet,
}

fn state() -> State {
    let mut trie = StateTrie::empty();
    let passer = keccak256(MESSAGE_PASSER);
    trie.set_account(passer, 1, U256::ZERO, KECCAK_EMPTY);
    trie.set_slot(passer, keccak256(SLOT), U256::from(1));
    trie.set_account(keccak256(Address::ZERO), 0, U256::from(5), KECCAK_EMPTY);
    let mut nodes = NodeSet::new();
    let root = trie
        .commit(&NoSource, |_, _, rlp| {
            nodes.insert(Bytes::copy_from_slice(rlp));
        })
        .expect("a new trie needs no nodes");
    let account = trie.account(passer, &NoSource).expect("it is revealed").expect("it is there");
    State { root, storage_root: account.storage_root, trie, nodes }
}

fn config(isthmus: bool) -> Arc<RollupConfig> {
    let isthmus_time = isthmus.then_some(0);
    Arc::new(RollupConfig {
        l2_chain_id: 901,
        block_time: 2,
        regolith_time: Some(0),
        canyon_time: Some(0),
        delta_time: Some(0),
        ecotone_time: Some(0),
        fjord_time: Some(0),
        granite_time: Some(0),
        isthmus_time,
        holocene_time: isthmus_time,
        ..RollupConfig::default()
    })
}

fn attributes() -> L1Attributes {
    L1Attributes {
        number: 3,
        hash: B256::repeat_byte(9),
        sequence_number: 2,
        base_fee: 8,
        ..Default::default()
    }
}

fn deposit(fork: OpHardfork) -> OpTxEnvelope {
    OpTxEnvelope::Deposit(attributes().deposit(fork).seal_slow())
}

fn header(isthmus: bool) -> Sealed<Header> {
    let state = state();
    let fork = if isthmus { OpHardfork::Isthmus } else { OpHardfork::Granite };
    let transactions = [deposit(fork)];
    Header {
        number: NUMBER,
        timestamp: 14,
        state_root: state.root,
        transactions_root: lockstep_trie::ordered_root(&transactions, |tx, out| {
            tx.encode_2718(out)
        }),
        withdrawals_root: Some(if isthmus {
            state.storage_root
        } else {
            lockstep_trie::EMPTY_ROOT_HASH
        }),
        extra_data: if isthmus {
            Bytes::from_static(&[0, 0, 0, 0, 250, 0, 0, 0, 6])
        } else {
            Bytes::new()
        },
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(1),
        ..Header::default()
    }
    .seal_slow()
}

fn block_json(isthmus: bool) -> Value {
    let fork = if isthmus { OpHardfork::Isthmus } else { OpHardfork::Granite };
    let mut block =
        serde_json::to_value(alloy_rpc_types_eth::Header::from_sealed(header(isthmus))).unwrap();
    let mut transaction = serde_json::to_value(deposit(fork)).unwrap();
    transaction["gasPrice"] = json!("0x0");
    transaction["nonce"] = json!("0x6");
    block["transactions"] = json!([transaction]);
    block["uncles"] = json!([]);
    block
}

fn proof_json(params: &Value) -> Value {
    let mut state = state();
    let address: Address = serde_json::from_value(params[0].clone()).unwrap();
    let slots: Vec<B256> = serde_json::from_value(params[1].clone()).unwrap();
    let hashed: Vec<B256> = slots.iter().map(keccak256).collect();
    let (key, nodes) = (keccak256(address), &state.nodes);
    let proof = state.trie.prove(key, &hashed, nodes).unwrap();
    let account = state.trie.account(key, nodes).unwrap();
    let slot_proofs: Vec<Value> = proof
        .storage
        .iter()
        .zip(&slots)
        .map(|(slot, key)| json!({ "key": key, "value": slot.value, "proof": slot.proof }))
        .collect();
    json!({
        "address": address,
        "balance": account.map_or(U256::ZERO, |account| account.balance),
        "nonce": format!("{:#x}", account.map_or(0, |account| account.nonce)),
        "codeHash": account.map_or(KECCAK_EMPTY, |account| account.code_hash),
        "storageHash": account.map_or(lockstep_trie::EMPTY_ROOT_HASH, |account| account.storage_root),
        "accountProof": proof.proof,
        "storageProof": slot_proofs,
    })
}

fn answer(isthmus: bool, method: &str, params: &Value) -> Outcome {
    Ok(match method {
        "eth_chainId" => json!("0x385"),
        "eth_getBlockByNumber" if params[0] == json!("0x7") || params[0] == json!("latest") => {
            block_json(isthmus)
        }
        "eth_getBlockByHash" if params[0] == json!(header(isthmus).hash()) => block_json(isthmus),
        "eth_getBlockByNumber" | "eth_getBlockByHash" => Value::Null,
        "eth_getProof" => proof_json(params),
        "debug_codeByHash" if params[0] == json!(keccak256(CODE)) => {
            json!(Bytes::from_static(CODE))
        }
        "debug_executionWitness" => {
            json!({ "state": ["0x80"], "codes": [], "keys": [], "headers": [] })
        }
        _ => return UNKNOWN_METHOD,
    })
}

fn truthful(isthmus: bool) -> (FakeNode, L2Client) {
    let node = FakeNode::new(move |method, params| answer(isthmus, method, params));
    let client = L2Client::new(node.rpc(), config(isthmus));
    (node, client)
}

/// A node whose answers are changed on their way.
fn changed(
    isthmus: bool,
    change: impl Fn(&str, &Value, Outcome) -> Outcome + Send + Sync + 'static,
) -> L2Client {
    let node = FakeNode::new(move |method, params| {
        change(method, params, answer(isthmus, method, params))
    });
    L2Client::new(node.rpc(), config(isthmus))
}

#[test]
fn a_block_is_read_with_its_place_and_configuration() {
    for isthmus in [false, true] {
        let (_, mut client) = truthful(isthmus);
        let hash = header(isthmus).hash();
        let block = client.block_by_number(NUMBER).unwrap();
        assert_eq!(block.header, *header(isthmus).inner());
        assert_eq!(block, client.block_by_hash(hash).unwrap());
        assert_eq!(client.header_by_hash(hash).unwrap(), block.header);
        assert_eq!(L2Provider::block(&mut client, NUMBER).unwrap(), *block);
        let info = client.block_info(NUMBER).unwrap();
        assert_eq!((info.block.hash, info.l1_origin.number, info.sequence_number), (hash, 3, 2));
        assert_eq!(client.system_config(NUMBER).unwrap().gas_limit, 30_000_000);
        let latest = client.header(BlockNumberOrTag::Latest).unwrap();
        assert_eq!(latest.map(|header| header.hash()), Some(hash));
        assert_eq!(client.header(BlockNumberOrTag::Number(8)).unwrap(), None);
        assert_eq!(client.chain_id().unwrap(), 901);
    }
}

#[test]
fn a_walk_back_ends_where_the_chain_is_another() {
    let (node, client) = truthful(true);
    let chain = client.blocks_back(header(true).hash(), 100).unwrap();
    assert_eq!(chain.len(), 1, "the node does not know the parents");
    assert_eq!(node.take_asked(), ["eth_getBlockByHash", "eth_getBlockByNumber*7"]);
}

#[test]
fn a_configuration_is_read_from_a_rollup_node() {
    let expected = RollupConfig {
        seq_window_size: 100,
        channel_timeout: 50,
        l1_chain_id: 900,
        batch_inbox_address: Address::repeat_byte(1),
        deposit_contract_address: Address::repeat_byte(2),
        l1_system_config_address: Address::repeat_byte(3),
        genesis: RollupGenesis { l2_time: 1, ..RollupGenesis::default() },
        ..RollupConfig::clone(&config(true))
    };
    let json = serde_json::to_value(&expected).unwrap();
    let node = FakeNode::new(move |_, _| Ok(json.clone()));
    assert_eq!(L2Client::fetch_config(&node.rpc()).unwrap(), expected);
    let node = FakeNode::new(|_, _| Ok(json!({ "genesis": 7 })));
    assert!(matches!(L2Client::fetch_config(&node.rpc()), Err(ClientError::Malformed { .. })));
}

#[test]
fn what_is_not_there_is_told() {
    let (_, client) = truthful(true);
    let error = client.block_by_number(99).unwrap_err();
    assert!(matches!(error, ClientError::NoBlock { number: 99, .. }), "{error}");
    assert_eq!(error.severity(), Severity::Temporary);
    let error = client.block_by_hash(B256::ZERO).unwrap_err();
    assert_eq!(error.severity(), Severity::Reset);
}

#[test]
fn the_output_root_comes_from_the_header_or_from_a_proof() {
    let (node, client) = truthful(true);
    let output = client.output(&header(true)).unwrap();
    assert_eq!(output.message_passer_storage_root, state().storage_root);
    assert!(node.take_asked().is_empty(), "the header says it all");

    let (node, client) = truthful(false);
    let output = client.output(&header(false)).unwrap();
    assert_eq!(output.message_passer_storage_root, state().storage_root);
    assert_eq!(output.block_hash, header(false).hash());
    assert_eq!(node.take_asked(), ["eth_getProof"]);
}

#[test]
fn proofs_are_followed_from_the_state_root() {
    let (_, client) = truthful(true);
    let absent = B256::repeat_byte(8);
    let proof = client.account_proof(&header(true), MESSAGE_PASSER, &[SLOT, absent]).unwrap();
    assert_eq!(proof.storage_root, state().storage_root);
    assert_eq!(keccak256(&proof.account_nodes[0]), state().root);
    assert_eq!(proof.slot_nodes.len(), 2);
    let nobody = client.account_proof(&header(true), Address::repeat_byte(1), &[]).unwrap();
    assert_eq!(nobody.storage_root, lockstep_trie::EMPTY_ROOT_HASH);
    let too_many = vec![B256::ZERO; MAX_PROVEN_SLOTS + 1];
    let error = client.account_proof(&header(true), MESSAGE_PASSER, &too_many).unwrap_err();
    assert!(matches!(error, ClientError::Limit { .. }), "{error}");
}

#[test]
fn a_proof_that_does_not_hold_is_not_believed() {
    let lies: [fn(&mut Value); 6] = [
        |proof| proof["storageHash"] = json!(B256::repeat_byte(1)),
        |proof| proof["nonce"] = json!("0x2"),
        |proof| proof["address"] = json!(Address::ZERO),
        |proof| proof["accountProof"] = json!([]),
        |proof| proof["storageProof"] = json!([]),
        |proof| proof["storageProof"][0]["proof"] = json!(["0xc0"]),
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        let client = changed(false, move |method, _, answer| {
            let mut answer = answer?;
            if method == "eth_getProof" {
                lie(&mut answer);
            }
            Ok(answer)
        });
        let error = client.account_proof(&header(false), MESSAGE_PASSER, &[SLOT]).unwrap_err();
        assert!(matches!(error, ClientError::Untrue { .. }), "{index}: {error}");
    }
}

#[test]
fn values_of_slots_are_followed_from_the_state_root() {
    let l1 = |node: &FakeNode| L1Client::new(node.rpc());
    let (node, _) = truthful(true);
    let absent = B256::repeat_byte(8);
    let values = l1(&node).storage(&header(true), MESSAGE_PASSER, &[SLOT, absent]).unwrap();
    assert_eq!(values, [U256::from(1), U256::ZERO]);
    let nobody = l1(&node).storage(&header(true), Address::repeat_byte(1), &[SLOT]).unwrap();
    assert_eq!(nobody, [U256::ZERO]);
    let too_many = vec![B256::ZERO; MAX_PROVEN_SLOTS + 1];
    let error = l1(&node).storage(&header(true), MESSAGE_PASSER, &too_many).unwrap_err();
    assert!(matches!(error, ClientError::Limit { .. }), "{error}");

    let lies: [fn(&mut Value); 5] = [
        |proof| proof["storageProof"][0]["value"] = json!("0x2"),
        |proof| proof["storageProof"][0]["value"] = json!("0x0"),
        |proof| proof["storageProof"][1]["value"] = json!("0x1"),
        |proof| proof["storageProof"][0]["proof"] = json!([]),
        |proof| proof["storageHash"] = json!(B256::repeat_byte(1)),
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        let node = FakeNode::new(move |method, params| {
            let mut answer = answer(true, method, params)?;
            if method == "eth_getProof" {
                lie(&mut answer);
            }
            Ok(answer)
        });
        let error = l1(&node).storage(&header(true), MESSAGE_PASSER, &[SLOT, absent]).unwrap_err();
        assert!(matches!(error, ClientError::Untrue { .. }), "{index}: {error}");
    }
}

#[test]
fn a_proof_with_more_nodes_than_a_path_has_is_refused_unread() {
    let long: [fn(&mut Value); 3] = [
        |proof| proof["accountProof"] = json!(vec!["0x80"; 66]),
        |proof| proof["storageProof"][0]["proof"] = json!(vec!["0x80"; 66]),
        |proof| proof["storageProof"] = json!(vec![json!({"proof": []}); MAX_PROVEN_SLOTS + 1]),
    ];
    for lengthen in long {
        let client = changed(false, move |method, _, answer| {
            let mut answer = answer?;
            if method == "eth_getProof" {
                lengthen(&mut answer);
            }
            Ok(answer)
        });
        let error = client.account_proof(&header(false), MESSAGE_PASSER, &[SLOT]).unwrap_err();
        assert!(
            matches!(&error, ClientError::Malformed { reason, .. } if reason.contains("more than"))
        );
    }
}

#[test]
fn an_account_that_exists_cannot_be_denied() {
    let client = changed(false, |method, _, answer| {
        let mut answer = answer?;
        if method == "eth_getProof" {
            answer["nonce"] = json!("0x0");
            answer["storageHash"] = json!(lockstep_trie::EMPTY_ROOT_HASH);
        }
        Ok(answer)
    });
    let error = client.output(&header(false)).unwrap_err();
    assert!(matches!(error, ClientError::Untrue { .. }), "{error}");
}

#[test]
fn nodes_that_prove_by_number_only_are_asked_so() {
    let client = changed(false, |method, params, answer| {
        if method == "eth_getProof" && params[2] != json!("0x7") {
            return Err((-32_602, "invalid argument 2: hex number > 64 bits"));
        }
        answer
    });
    assert!(client.output(&header(false)).is_ok());
}

#[test]
fn lies_about_blocks_are_found_out() {
    let lies: [fn(&mut Value); 4] = [
        |block| block["stateRoot"] = json!(B256::ZERO),
        |block| block["transactions"] = json!([]),
        |block| block["transactions"][0]["input"] = json!("0x00"),
        |block| block["hash"] = json!(B256::ZERO),
    ];
    for lie in lies {
        let client = changed(true, move |_, _, answer| {
            let mut block = answer?;
            lie(&mut block);
            Ok(block)
        });
        let error = client.block_by_number(NUMBER).unwrap_err();
        assert!(matches!(error, ClientError::Untrue { .. }), "{error}");
    }
    let client = changed(true, |_, _, answer| answer);
    let node = FakeNode::new(|method, _| answer(true, method, &json!(["0x7", true])));
    let other = L2Client::new(node.rpc(), config(true));
    assert!(client.block_by_number(NUMBER).is_ok());
    assert!(matches!(other.block_by_number(6), Err(ClientError::Untrue { .. })));
}

#[test]
fn a_block_of_another_rollup_is_for_the_operator() {
    let client = changed(true, |_, _, answer| answer);
    let config = RollupConfig::clone(client.config());
    let genesis = RollupGenesis {
        l2: alloy_eips::BlockNumHash { number: NUMBER, hash: B256::ZERO },
        ..config.genesis
    };
    let config = RollupConfig { genesis, ..config };
    let client = L2Client::new(client.rpc().clone(), Arc::new(config));
    let error = client.block_info(NUMBER).unwrap_err();
    assert!(matches!(error, ClientError::Rollup { number: NUMBER, .. }), "{error}");
    assert_eq!(error.severity(), Severity::Critical);
}

#[test]
fn codes_and_nodes_are_found_wherever_the_node_keeps_them() {
    let code = keccak256(CODE);
    let (node, client) = truthful(true);
    assert_eq!(*client.code(code).unwrap(), *CODE);
    assert_eq!(node.take_asked(), ["debug_dbGet", "debug_codeByHash"]);

    let geth = changed(true, move |method, params, answer| match method {
        "debug_codeByHash" => UNKNOWN_METHOD,
        "debug_dbGet" if params[0] == json!(Bytes::from([b"c", code.as_slice()].concat())) => {
            Ok(json!(Bytes::from_static(CODE)))
        }
        "debug_dbGet" if params[0] == json!(keccak256([0x80])) => Ok(json!("0x80")),
        "debug_dbGet" => Err((-32_000, "leveldb: not found")),
        _ => answer,
    });
    assert_eq!(*geth.code(code).unwrap(), *CODE);
    assert_eq!(geth.trie_node(keccak256([0x80])).unwrap(), Bytes::from_static(&[0x80]));
    let error = geth.code(B256::ZERO).unwrap_err();
    assert!(matches!(error, ClientError::NotFound { .. }), "{error}");

    let error = client.trie_node(code).unwrap_err();
    assert!(matches!(error, ClientError::Unsupported { .. }), "{error}");
    let liar = changed(true, |method, _, answer| match method {
        "debug_dbGet" | "debug_codeByHash" => Ok(json!("0x00")),
        _ => answer,
    });
    assert!(matches!(liar.code(code), Err(ClientError::Untrue { .. })));
}

#[test]
fn a_witness_is_read_where_it_is_served() {
    let (_, client) = truthful(true);
    let witness = client.execution_witness(NUMBER).unwrap();
    assert_eq!(witness.nodes, [Bytes::from_static(&[0x80])]);
    let without = changed(true, |method, _, answer| match method {
        "debug_executionWitness" => UNKNOWN_METHOD,
        _ => answer,
    });
    assert!(matches!(without.execution_witness(NUMBER), Err(ClientError::Unsupported { .. })));
}
