//! A program of one's own takes up the arguments of a node.

use crate::world::{ethereum, first_block, genesis_file, result};
use clap::{CommandFactory, Parser};
use lockstep_node::{Node, NodeArgs, NodeBuilder, NodeError};
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    node: NodeArgs,
    /// An argument of the program's own.
    #[arg(long, default_value = "hello")]
    slogan: String,
}

fn parse(folder: &Path, more: &[&str]) -> Cli {
    let folder = folder.to_str().unwrap();
    let always = ["program", "--datadir", folder, "--http-port", "0", "--authrpc-port", "0"];
    Cli::try_parse_from(always.iter().chain(more)).unwrap()
}

async fn launch(args: &NodeArgs) -> Result<Node<lockstep_chain::Ethereum>, NodeError> {
    let first = first_block();
    let builder = NodeBuilder::new(ethereum(), &first);
    builder.args(args, &genesis_file(), &first, || 0)?.launch().await
}

#[test]
fn the_definition_of_the_arguments_is_sound() {
    Cli::command().debug_assert();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_what_its_arguments_say() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("new");
    let cli = parse(&folder, &["--slogan", "mine", "--http-api", "net,admin"]);
    assert_eq!(cli.slogan, "mine");
    let node = launch(&cli.node).await.unwrap();
    assert!(node.engine_api_address().is_some());
    assert!(cli.node.ipc_path().exists());
    let rpc = node.rpc_address().unwrap();
    assert_eq!(result(rpc, "net_version", json!([])).await, json!("1337"));
    assert_eq!(result(rpc, "admin_datadir", json!([])).await, json!(folder));
    let modules = result(rpc, "rpc_modules", json!([])).await;
    assert_eq!(modules, json!({ "admin": "1.0", "net": "1.0", "rpc": "1.0" }));
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_made_once_and_only_for_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let args = parse(folder.path(), &[]).node;
    let made = args.engine_api(|| 0).unwrap().secret.to_hex();
    let path = folder.path().join("jwt.hex");
    assert_eq!(fs::read_to_string(&path).unwrap(), made);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(args.engine_api(|| 0).unwrap().secret.to_hex(), made);
}

#[test]
fn a_secret_that_was_named_must_be_there_and_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.hex");
    let args = parse(folder.path(), &["--jwt-secret", path.to_str().unwrap()]).node;
    let missing = args.engine_api(|| 0).map(|_| ()).unwrap_err().to_string();
    assert!(missing.starts_with("--jwt-secret") && missing.contains("mine.hex"), "{missing}");
    fs::write(&path, "0x1234").unwrap();
    assert!(matches!(args.engine_api(|| 0), Err(NodeError::JwtSecret { .. })));
    fs::write(&path, format!("0x{}\n", "ab".repeat(32))).unwrap();
    assert_eq!(args.engine_api(|| 0).unwrap().secret.to_hex(), "ab".repeat(32));
}
