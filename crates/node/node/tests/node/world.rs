//! A chain with a funded key and two contracts, and what tests do with nodes of it.

use alloy_consensus::{
    EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip4844, transaction::TxHashRef,
};
use alloy_eips::eip2718::Encodable2718;
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B256, Bytes, U256, address};
use alloy_rpc_types_engine::PayloadAttributes;
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_chain::{Ethereum, genesis};
use lockstep_execution::{Execute, MemoryState, StateCommitment, genesis_root};
use lockstep_node::{Node, NodeChain};
use lockstep_pool::Origin;
use lockstep_rpc::ServerSettings;
use lockstep_storage::{ExecutedBlock, GenesisBlock};
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Nothing in a test takes this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the tests put a precompiled contract.
pub(crate) const ADDER: Address = address!("000000000000000000000000000000000000c0de");

/// Calls [`ADDER`] with its own input, stores the answer in slot 0, and returns it.
pub(crate) const CALLER: Address = address!("00000000000000000000000000000000000ca11e");

pub(crate) fn key(index: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(0x42 + index)).unwrap()
}

pub(crate) fn genesis_file() -> Genesis {
    let [one, two] = [key(0).address(), key(1).address()];
    let json = format!(
        r#"{{ "config": {{
            "chainId": 1337, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0,
            "eip158Block": 0, "byzantiumBlock": 0, "constantinopleBlock": 0,
            "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0,
            "terminalTotalDifficulty": 0, "terminalTotalDifficultyPassed": true,
            "shanghaiTime": 0, "cancunTime": 0 }},
          "timestamp": "0x1", "gasLimit": "0x3938700", "difficulty": "0x0",
          "baseFeePerGas": "0x3b9aca00",
          "alloc": {{
            "{one}": {{ "balance": "0xd3c21bcecceda1000000" }},
            "{two}": {{ "balance": "0xd3c21bcecceda1000000" }},
            "{CALLER}": {{ "balance": "0x0",
              "code": "0x3660006000376020600036600061c0de5afa5060005160005560206000f3" }}
        }} }}"#
    );
    genesis::parse(json.as_bytes()).unwrap()
}

pub(crate) fn ethereum() -> Ethereum {
    Ethereum::from_genesis(&genesis_file()).unwrap()
}

/// The block that `C`, which has Ethereum's types, begins with.
pub(crate) fn first_block<C>() -> GenesisBlock<C>
where
    C: Execute<Header = alloy_consensus::Header>,
{
    let file = genesis_file();
    let state = MemoryState::from_genesis(&file);
    let mut header = ethereum().genesis_header(&file);
    header.state_root = root::<C::Commitment>(&state);
    GenesisBlock::new(header, state).unwrap()
}

fn root<S: StateCommitment>(state: &MemoryState) -> B256 {
    genesis_root::<S>(state, |_, _, _| ()).unwrap()
}

/// JSON-RPC with all namespaces on a free port.
pub(crate) fn server() -> ServerSettings {
    let all = || vec!["*".to_owned()];
    ServerSettings {
        address: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        http: all(),
        websocket: all(),
        ..ServerSettings::default()
    }
}

/// A call of `to`, signed and encoded.
pub(crate) fn call(signer: u8, nonce: u64, tip: u128, to: Address, input: Bytes) -> Bytes {
    let transaction = TxEip1559 {
        chain_id: 1337,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: tip,
        to: to.into(),
        value: U256::ZERO,
        input,
        ..Default::default()
    };
    let signature = key(signer).sign_hash_sync(&transaction.signature_hash()).unwrap();
    let envelope: EthereumTxEnvelope<TxEip4844> = transaction.into_signed(signature).into();
    envelope.encoded_2718().into()
}

/// Words one after the other.
pub(crate) fn words(values: &[u64]) -> Bytes {
    let words = values.iter().flat_map(|value| U256::from(*value).to_be_bytes::<32>());
    words.collect::<Vec<u8>>().into()
}

pub(crate) fn attributes(parent_timestamp: u64) -> PayloadAttributes {
    PayloadAttributes {
        timestamp: parent_timestamp + 12,
        prev_randao: B256::repeat_byte(7),
        suggested_fee_recipient: Address::repeat_byte(9),
        withdrawals: Some(Vec::new()),
        parent_beacon_block_root: Some(B256::ZERO),
        slot_number: None,
        target_gas_limit: None,
    }
}

/// Puts transactions into the pool, and what the pool holds into a block on the head.
pub(crate) fn mine<C>(node: &Node<C>, transactions: &[Bytes]) -> Arc<ExecutedBlock<C>>
where
    C: NodeChain<Attributes = PayloadAttributes>,
{
    let (engine, pool) = (node.context().engine(), node.context().pool());
    for transaction in transactions {
        pool.add_raw(transaction, Origin::Local).unwrap();
    }
    let block = engine.produce(&attributes(engine.view().head().timestamp)).unwrap();
    // The pool hears of it on a thread of its own.
    let is_pooled = |hash: &B256| pool.contains(hash);
    while block.block.transactions().iter().any(|each| is_pooled(each.tx_hash())) {
        std::thread::yield_now();
    }
    block
}

/// Calls a method of JSON-RPC and returns the whole answer.
pub(crate) async fn answer(address: SocketAddr, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    serde_json::from_slice(&answer[split + 4..]).unwrap()
}

/// Calls a method of JSON-RPC and returns its result.
pub(crate) async fn result(address: SocketAddr, method: &str, params: Value) -> Value {
    let answer = answer(address, method, params).await;
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].clone()
}
