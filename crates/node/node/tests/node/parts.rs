//! Parts of a node: the defaults, and replaced ones.

use crate::world::{
    CALLER, attributes, call, ethereum, first_block, genesis_file, key, mine, result, server, words,
};
use alloy_eips::BlockNumHash;
use alloy_primitives::Bytes;
use jsonrpsee::RpcModule;
use lockstep_chain::Ethereum;
use lockstep_engine::{BlockBuilder, BuildError, PayloadBuilder, Refusal};
use lockstep_node::{Node, NodeBuilder, NodeContext, NodeError, PartError};
use lockstep_pool::{Origin, Pool};
use lockstep_rpc::RpcSettings;
use lockstep_storage::{MemoryStorage, Options, Storage};
use serde_json::json;
use std::{path::Path, sync::Arc};
use tokio::sync::oneshot;

const GWEI: u128 = 1_000_000_000;

fn builder() -> NodeBuilder<Ethereum> {
    NodeBuilder::new(ethereum(), &first_block())
}

fn store(nonce: u64, value: u64) -> Bytes {
    call(0, nonce, GWEI, CALLER, words(&[value]))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_parts_keep_a_chain_in_memory_and_serve_nobody() {
    let node = builder().launch().await.unwrap();
    assert_eq!((node.rpc_address(), node.engine_api_address()), (None, None));
    // Who pays more comes first.
    let cheap = call(0, 0, GWEI, CALLER, words(&[1]));
    let dear = call(1, 0, 2 * GWEI, CALLER, words(&[2]));
    let block = mine(&node, &[cheap, dear]);
    assert_eq!(block.block.senders, [key(1).address(), key(0).address()]);
    assert_eq!(node.context().view().head().number, 1);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_storage_is_where_the_chain_is_kept() {
    let first = first_block();
    let storage = Arc::new(MemoryStorage::new(&first));
    let node = NodeBuilder::new(ethereum(), &first).storage(storage.clone()).launch().await;
    let node = node.unwrap();
    let block = mine(&node, &[store(0, 5)]);
    node.shutdown().await.unwrap();
    let tip = storage.snapshot().unwrap().tip();
    assert_eq!(tip, BlockNumHash::new(1, block.block.hash()));
}

/// Takes the transactions that pay least first.
#[derive(Debug)]
struct CheapestFirst(Pool<Ethereum>);

impl PayloadBuilder<Ethereum> for CheapestFirst {
    fn build(&self, block: &mut BlockBuilder<'_, Ethereum>) -> Result<(), BuildError> {
        let best: Vec<_> = self.0.best(block.base_fee(), None).collect();
        for tx in best.iter().rev() {
            if let Err(Refusal::Failed(error)) = block.push(tx.consensus(), tx.sender, None) {
                return Err(error);
            }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_payload_builder_chooses_the_order() {
    let node = builder().payload_builder(|pool| CheapestFirst(pool.clone())).launch().await;
    let node = node.unwrap();
    let cheap = call(0, 0, GWEI, CALLER, words(&[1]));
    let dear = call(1, 0, 2 * GWEI, CALLER, words(&[2]));
    let block = mine(&node, &[dear, cheap]);
    assert_eq!(block.block.senders, [key(0).address(), key(1).address()]);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_adds_methods_that_know_the_node() {
    let extended = builder().rpc(RpcSettings::default(), server()).extend_rpc(|extension| {
        let mut methods = RpcModule::new(extension.node.clone());
        methods.register_method("demo_height", |_, node, _| node.view().head().number)?;
        extension.modules.add("demo", methods)?;
        Ok(())
    });
    let node = extended.launch().await.unwrap();
    let rpc = node.rpc_address().unwrap();
    assert_eq!(result(rpc, "demo_height", json!([])).await, json!(0));
    mine(&node, &[]);
    assert_eq!(result(rpc, "demo_height", json!([])).await, json!(1));
    assert_eq!(result(rpc, "rpc_modules", json!([])).await["demo"], json!("1.0"));
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_that_fails_fails_the_launch() {
    let extended =
        builder().rpc(RpcSettings::default(), server()).extend_rpc(|_| Err("no such luck".into()));
    let error = extended.launch().await.map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "JSON-RPC: no such luck");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_async_closure_drives_the_chain_until_the_node_stops() {
    let (send, receive) = oneshot::channel();
    let driven = builder().consensus(|node: NodeContext<Ethereum>| async move {
        for _ in 0..3 {
            let engine = node.engine().clone();
            let parent_timestamp = engine.view().head().timestamp;
            let produce = move || engine.produce(&attributes(parent_timestamp)).map(|_| ());
            tokio::task::spawn_blocking(produce).await??;
        }
        send.send(node.view().head().number).map_err(|_| "nobody waits")?;
        node.stopping().await;
        Ok(())
    });
    let node = driven.launch().await.unwrap();
    assert_eq!(receive.await, Ok(3));
    node.shutdown().await.unwrap();
}

/// A node whose driver ends as soon as it is told to.
async fn driven_to(end: Result<(), PartError>) -> (Node<Ethereum>, oneshot::Sender<()>) {
    let (send, receive) = oneshot::channel::<()>();
    let driven = builder().consensus(|_: NodeContext<Ethereum>| async move {
        receive.await?;
        end
    });
    (driven.launch().await.unwrap(), send)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_fails_is_told() {
    let (mut node, end) = driven_to(Err("L1 is gone".into())).await;
    end.send(()).unwrap();
    let error = node.failed().await.unwrap_err();
    assert!(matches!(error, NodeError::Part { part: "consensus driver", .. }), "{error}");
    assert_eq!(error.to_string(), "consensus driver: L1 is gone");
    // The rest still stops in order.
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_ends_early_or_panics_is_told_too() {
    let (mut node, end) = driven_to(Ok(())).await;
    end.send(()).unwrap();
    node.failed().await.unwrap();
    node.shutdown().await.unwrap();

    let driven = builder().consensus(|_: NodeContext<Ethereum>| async { panic!("a bug") });
    let mut node = driven.launch().await.unwrap();
    let error = node.failed().await.unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    node.shutdown().await.unwrap();
}

async fn in_folder(folder: &Path) -> Node<Ethereum> {
    let first = first_block();
    let builder = NodeBuilder::new(ethereum(), &first);
    let builder = builder.folder(folder, &genesis_file(), &first, Options::default()).unwrap();
    builder.launch().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_gives_chain_and_waiting_transactions_back() {
    let folder = tempfile::tempdir().unwrap();
    let node = in_folder(folder.path()).await;
    let block = mine(&node, &[store(0, 5)]);
    let waiting = node.context().pool().add_raw(&store(1, 6), Origin::Local).unwrap();
    node.shutdown().await.unwrap();

    assert_eq!(lockstep_node::stored_genesis(folder.path()).unwrap(), Some(genesis_file()));
    let node = in_folder(folder.path()).await;
    assert_eq!(node.context().view().head().seal(), block.block.hash());
    assert!(node.context().pool().contains(&waiting));
    let block = mine(&node, &[]);
    assert_eq!(block.block.transactions()[0].tx_hash(), &waiting);
    // As if the process had been killed: what was acknowledged comes back from the log.
    drop(node);
    let node = in_folder(folder.path()).await;
    assert_eq!(node.context().view().head().seal(), block.block.hash());
    node.shutdown().await.unwrap();
}
