//! `lockstep trace`: the calls of a super transaction, over all rollups that took part.

mod tree;

use crate::{
    fate::Fate,
    network::{NetworkArgs, RollupNode, expect_chain, transaction_hash},
    output::{print_json, print_line},
};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use clap::Args as ClapArgs;
use eyre::{Result, WrapErr, bail, eyre};
use lockstep_chain::{PORT, UnionRules};
use lockstep_rpc::ConfirmationLevel;
use lockstep_union::{CallNode, CallTree, Part};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How often, and how many times, a receipt is asked for.
const RECEIPT_POLL: Duration = Duration::from_millis(150);
const RECEIPT_POLLS: u32 = 20;

/// The type of a deposit, which holds a part.
const DEPOSIT: &str = "0x7e";

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The user's transaction, or one that holds a rollup's part of it.
    #[arg(value_name = "TXHASH", value_parser = transaction_hash)]
    hash: B256,
    #[command(flatten)]
    network: NetworkArgs,
    /// Print the calls as JSON.
    #[arg(long)]
    json: bool,
}

/// What a rollup knows of a super transaction (`lockstep_getSuperTransaction`).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    chain: U64,
    transaction_hash: Option<B256>,
    part_hash: B256,
    block_number: U64,
    block_hash: Option<B256>,
    part: Bytes,
}

/// The user's transaction.
#[derive(Clone, Debug, Deserialize)]
struct Transaction {
    from: Address,
    to: Option<Address>,
    value: U256,
    input: Bytes,
}

/// What became of the user's transaction.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Root {
    transaction_hash: B256,
    chain_id: u64,
    block_number: Option<u64>,
    level: Option<ConfirmationLevel>,
    from: Address,
    /// Nobody if it creates a contract.
    to: Option<Address>,
    value: U256,
    input: Bytes,
    success: Option<bool>,
    gas_used: Option<u64>,
}

/// Where a rollup's part stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    chain_id: u64,
    part_hash: B256,
    block_number: u64,
    /// Not known before the block is complete.
    block_hash: Option<B256>,
}

/// What the command prints.
#[derive(Clone, Debug)]
struct Trace {
    /// Not known if no node of the home rollup was asked.
    root: Option<Root>,
    /// Absent of a transaction that reached no other rollup.
    tree: Option<CallTree>,
    places: Vec<Place>,
    /// Rollups that took part, and whose nodes were not asked.
    not_asked: BTreeSet<u64>,
    /// Rollups that took part, and whose nodes do not have their parts (yet).
    not_found: BTreeSet<u64>,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let nodes = args.network.connect()?;
    let trace = Trace::find(args.hash, &nodes)?;
    if args.json {
        print_json(&trace.json())?;
    } else {
        print_line(&tree::lines(&trace).join("\n"))?;
    }
    Ok(true)
}

impl Trace {
    fn find(hash: B256, nodes: &[RollupNode]) -> Result<Self> {
        for node in nodes {
            let known: Option<Known> = node.call("lockstep_getSuperTransaction", &json!([hash]))?;
            if let Some(known) = known {
                return Self::of_super_transaction(known, node, nodes);
            }
        }
        for node in nodes {
            if let Some(root) = Root::ask(hash, node)? {
                return Ok(Self {
                    root: Some(root),
                    tree: None,
                    places: Vec::new(),
                    not_asked: BTreeSet::new(),
                    not_found: BTreeSet::new(),
                });
            }
        }
        let asked: Vec<_> = nodes.iter().map(|node| node.url.as_str()).collect();
        bail!(
            "no transaction {hash} is known at {}: it is of another network, or was replaced by another one of its \
             sender; --rollup URL asks other nodes",
            asked.join(", ")
        )
    }

    fn of_super_transaction(
        first: Known,
        found: &RollupNode,
        nodes: &[RollupNode],
    ) -> Result<Self> {
        expect_chain(found, first.chain.to())?;
        let time = found.time_of(first.block_number.to())?;
        let id = first.part()?.id;
        let mut known = BTreeMap::from([(found.chain_id(), first)]);
        for node in nodes.iter().filter(|node| node.chain_id() != found.chain_id()) {
            for hash in parts_at(node, time)? {
                let other: Option<Known> =
                    node.call("lockstep_getSuperTransaction", &json!([hash]))?;
                if let Some(other) = other
                    && other.part()?.id == id
                {
                    expect_chain(node, other.chain.to())?;
                    known.insert(node.chain_id(), other);
                    break;
                }
            }
        }
        let parts: BTreeMap<u64, Part> = known
            .iter()
            .map(|(chain, known)| Ok((*chain, known.part()?)))
            .collect::<Result<_>>()?;
        let tree = CallTree::assemble(&parts).wrap_err("the nodes tell of different executions")?;
        let reached = parts.values().flat_map(|part| part.steps.iter().map(|step| step.peer));
        let missing = reached.filter(|chain| !parts.contains_key(chain));
        let (not_found, not_asked) =
            missing.partition(|chain| nodes.iter().any(|node| node.chain_id() == *chain));
        let home = nodes.iter().find(|node| node.chain_id() == tree.home);
        let user = known.get(&tree.home).and_then(|known| known.transaction_hash);
        let root = match (home, user) {
            (Some(home), Some(user)) => Root::ask(user, home)?,
            _ => None,
        };
        let place = |(chain, known): (&u64, &Known)| Place {
            chain_id: *chain,
            part_hash: known.part_hash,
            block_number: known.block_number.to(),
            block_hash: known.block_hash,
        };
        let places = known.iter().map(place).collect();
        Ok(Self { root, tree: Some(tree), places, not_asked, not_found })
    }

    fn json(&self) -> Value {
        let tree = self.tree.as_ref().map(|tree| {
            json!({
                "id": { "slot": tree.id.slot, "index": tree.id.index },
                "home": tree.home,
                "origin": tree.origin,
                "calls": tree.calls.iter().map(call_json).collect::<Vec<_>>(),
            })
        });
        json!({
            "transaction": self.root,
            "superTransaction": tree,
            "parts": self.places,
            "notAsked": self.not_asked,
            "notFound": self.not_found,
        })
    }
}

fn call_json(call: &CallNode) -> Value {
    json!({
        "number": call.number,
        "parent": call.parent,
        "depth": call.depth,
        "callerChain": call.caller_chain,
        "chain": call.chain,
        "from": call.from,
        "to": call.to,
        "value": call.value,
        "isStatic": call.is_static,
        "gas": call.gas,
        "gasUsed": call.gas_used,
        "input": call.input,
        "output": call.output,
        "success": call.success,
        "isUndone": call.is_undone,
    })
}

/// The transactions that may hold parts in the block of this time, complete or not.
fn parts_at(node: &RollupNode, time: u64) -> Result<Vec<B256>> {
    let Some(number) = node.number_at(time) else { return Ok(Vec::new()) };
    let at = format!("{number:#x}");
    let ask = |tag: &str| -> Result<Option<Value>> {
        let block: Option<Value> = node.call("eth_getBlockByNumber", &json!([tag, true]))?;
        Ok(block.filter(|block| block.get("number") == Some(&json!(at))))
    };
    let mut block = None;
    // One that is closed after the first question is not pending at the second, and complete at the third.
    for tag in [&*at, "pending", &*at] {
        block = ask(tag)?;
        if block.is_some() {
            break;
        }
    }
    let transactions = block.as_ref().and_then(|block| block.get("transactions")?.as_array());
    let port = format!("{PORT:#x}");
    let is_part = |transaction: &&Value| {
        transaction.get("type") == Some(&json!(DEPOSIT))
            && transaction.get("from").and_then(Value::as_str) == Some(&*port)
    };
    let parts = transactions.into_iter().flatten().filter(is_part);
    let hashes = parts.filter_map(|part| part.get("hash")?.as_str()?.parse().ok());
    Ok(hashes.collect())
}

impl Known {
    fn part(&self) -> Result<Part> {
        let most = UnionRules::new([]).max_part_steps();
        Part::decode(&mut self.part.as_ref(), most)
            .map_err(|error| eyre!("the part of chain {} cannot be read: {error}", self.chain))
    }
}

impl Root {
    /// What became of the transaction. What it came to is known once its block is complete, for which is waited a
    /// moment.
    fn fate(hash: B256, node: &RollupNode) -> Result<Option<Fate>> {
        let mut waited = 0;
        loop {
            let fate = Fate::ask(hash, node, None)?;
            let waits = fate.is_some_and(|it| {
                it.confirmation.level > ConfirmationLevel::Pending && it.receipt.is_none()
            });
            if !waits || waited == RECEIPT_POLLS {
                return Ok(fate);
            }
            waited += 1;
            crate::clock::pause(RECEIPT_POLL);
        }
    }

    fn ask(hash: B256, node: &RollupNode) -> Result<Option<Self>> {
        let transaction: Option<Transaction> =
            node.call("eth_getTransactionByHash", &json!([hash]))?;
        let Some(Transaction { from, to, value, input }) = transaction else { return Ok(None) };
        let fate = Self::fate(hash, node)?;
        let (confirmation, receipt) =
            (fate.map(|it| it.confirmation), fate.and_then(|it| it.receipt));
        Ok(Some(Self {
            transaction_hash: hash,
            chain_id: node.chain_id(),
            block_number: confirmation.and_then(|it| it.block_number).map(|it| it.to()),
            level: confirmation.map(|it| it.level),
            from,
            to,
            value,
            input,
            success: receipt.map(|it| it.is_success()),
            gas_used: receipt.map(|it| it.gas_used()),
        }))
    }
}
