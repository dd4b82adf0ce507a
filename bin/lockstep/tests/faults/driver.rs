//! A consensus client that makes blocks as fast as the node takes them, and knows what the node
//! owes it.

use crate::{
    client::{CallError, Client},
    ledger::{Transactions, assert_canonical},
    program::{Program, text},
    random::Random,
    sender::{Sender, quantity},
};
use alloy_primitives::{Address, B256};
use lockstep_chain::EthereumHardfork;
use lockstep_devnet::{ACCOUNTS, MNEMONIC, accounts, l1_genesis};
use lockstep_rpc::engine_api::JwtSecret;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const GENESIS_TIME: u64 = 1_700_000_000;

/// A finalized block is this far below the newest one ever.
const FINALITY: u64 = 80;

/// The deepest reorg: some undo blocks that are persisted.
const DEEPEST_REORG: u64 = 60;

/// Blocks beside the chain outlive the process if they are no deeper than this; consensus clients
/// deliver older ones again.
const REMEMBERED: u64 = 64;

/// The folder of a node, and how to start a node there.
pub(crate) struct NodeFolder {
    folder: tempfile::TempDir,
}

impl NodeFolder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = accounts(MNEMONIC, ACCOUNTS).unwrap();
        let funded: Vec<Address> = accounts.iter().map(|account| account.address).collect();
        let genesis = l1_genesis(EthereumHardfork::Osaka, GENESIS_TIME, &funded);
        let json = serde_json::to_vec(&genesis).unwrap();
        fs::write(folder.path().join("genesis.json"), json).unwrap();
        Self { folder }
    }

    /// The folder of the chain.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("chain")
    }

    /// A file beside the chain.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn start(&self) -> Program {
        self.start_in(&self.data())
    }

    /// Starts a node on a copy of the folder.
    pub(crate) fn start_in(&self, data: &Path) -> Program {
        self.with_args(data, |args| Program::start(args, &self.log()))
    }

    /// Starts a node whose files can have this size at most.
    pub(crate) fn start_limited(&self, kib: u64) -> Program {
        self.with_args(&self.data(), |args| Program::start_limited(args, &self.log(), kib))
    }

    pub(crate) fn with_args<T>(&self, data: &Path, use_args: impl FnOnce(&[&str]) -> T) -> T {
        let genesis = self.beside("genesis.json");
        let chain = ["node", "--json", "--chain", text(&genesis), "--datadir", text(data)];
        let ports = ["--http-port", "0", "--authrpc-port", "0"];
        use_args(&[&chain[..], &ports].concat())
    }

    fn log(&self) -> PathBuf {
        self.beside("errors.log")
    }
}

/// A block that the node called valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    timestamp: u64,
    parent: B256,
}

/// A fork choice.
#[derive(Clone, Debug, Default)]
struct Choice {
    head: B256,
    /// Safe and finalized alike.
    finalized: B256,
}

impl Choice {
    fn state(&self) -> Value {
        json!({
            "headBlockHash": self.head,
            "safeBlockHash": self.finalized,
            "finalizedBlockHash": self.finalized,
        })
    }
}

/// What the node acknowledged in all its lives.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The canonical chain from the genesis block on, as of the last answered fork choice.
    chain: Vec<Block>,
    choice: Choice,
    /// A fork choice that was not answered.
    unanswered: Option<Choice>,
    /// Valid blocks that descend from the finalized one, also beside the chain.
    valid: BTreeMap<B256, Block>,
    /// A block beside the chain that will be chosen later.
    rival: Option<Block>,
    /// The greatest number of a finalized block.
    finalized: u64,
    /// The greatest number of a block that was the head.
    highest: u64,
    pub(crate) transactions: Transactions,
    /// Payloads that were answered `VALID`.
    pub(crate) blocks: u64,
    pub(crate) reorgs: u64,
}

impl Ledger {
    fn head(&self) -> &Block {
        self.chain.last().expect("the chain has its genesis block")
    }

    pub(crate) fn tip(&self) -> u64 {
        self.head().number
    }

    pub(crate) fn canonical(&self) -> impl Iterator<Item = &Block> {
        self.chain.iter()
    }

    /// What choosing this block for the head would be.
    fn choice(&self, head: &Block) -> Choice {
        let finalized = self.finalized.max(head.number.saturating_sub(FINALITY));
        let hash = match self.chain.get(usize::try_from(finalized).unwrap()) {
            Some(block) if finalized > 0 => block.hash,
            _ => B256::ZERO,
        };
        Choice { head: head.hash, finalized: hash }
    }

    /// The node has answered a fork choice, or is found to have made it.
    fn adopt(&mut self, choice: Choice) {
        self.unanswered = None;
        if choice.head != self.head().hash {
            let head = self.valid[&choice.head].clone();
            self.reorgs += u64::from(head.parent != self.head().hash);
            // Branches are one block long.
            self.chain.truncate(usize::try_from(head.number).unwrap());
            assert_eq!(self.head().hash, head.parent);
            self.chain.push(head);
            self.highest = self.highest.max(self.head().number);
        }
        let finalized = self.chain.iter().rev().find(|block| block.hash == choice.finalized);
        self.finalized = finalized.map_or(0, |block| block.number);
        self.forget_final();
        self.choice = choice;
    }

    /// Blocks that do not descend from the finalized one will never be chosen.
    fn forget_final(&mut self) {
        let finalized = self.chain[usize::try_from(self.finalized).unwrap()].clone();
        let mut above: Vec<Block> = std::mem::take(&mut self.valid).into_values().collect();
        above.sort_by_key(|block| block.number);
        for block in above {
            if block.parent == finalized.hash || self.valid.contains_key(&block.parent) {
                self.valid.insert(block.hash, block);
            }
        }
    }

    /// Everything is there after a restart.
    pub(crate) fn assert_kept(&mut self, client: &Client, what: &str) {
        let latest = client.ask("eth_getBlockByNumber", json!(["latest", false]));
        let head: B256 = serde_json::from_value(latest["hash"].clone()).unwrap();
        if self.chain.is_empty() {
            self.chain.push(genesis(&latest));
        }
        let known = if self.choice.head.is_zero() { self.head().hash } else { self.choice.head };
        // The node may have made a choice whose answer it could not send.
        match self.unanswered.take() {
            Some(choice) if head == choice.head && head != known => self.adopt(choice),
            Some(choice) => {
                assert_eq!(head, known, "{what}: the head was lost");
                // The same head may have been chosen with another finalized block.
                self.unanswered = (choice.head == head).then_some(choice);
            }
            None => assert_eq!(head, known, "{what}: the head was lost"),
        }
        self.assert_finalized(client, what);
        // What is final was found before, but for a sample.
        let open = self.finalized.saturating_sub(FINALITY);
        let blocks = self.chain.iter().map(|block| (&block.number, &block.hash));
        let due = blocks.filter(|(number, _)| **number >= open || number.is_multiple_of(23));
        assert_canonical(client, due, what);
        let remembered = |block: &&Block| block.number + REMEMBERED > self.highest;
        let valid: Vec<&Block> = self.valid.values().filter(remembered).collect();
        let hashes = valid.iter().map(|block| json!([block.hash, false]));
        let found = client.ask_each("eth_getBlockByHash", hashes);
        for (block, found) in valid.into_iter().zip(found) {
            assert_eq!(
                found["hash"],
                json!(block.hash),
                "{what}: {block:?} was lost; {}",
                self.place()
            );
        }
        self.transactions.assert_kept(client, self.finalized, what);
    }

    fn place(&self) -> String {
        let (tip, highest, finalized) = (self.tip(), self.highest, self.finalized);
        format!("the head is {tip}, the highest was {highest}, {finalized} is final")
    }

    fn assert_finalized(&mut self, client: &Client, what: &str) {
        let choices = [Some(self.choice.clone()), self.unanswered.take()];
        let known: Vec<Value> = choices
            .iter()
            .flatten()
            .map(|choice| match choice.finalized {
                B256::ZERO => Value::Null,
                hash => json!(hash),
            })
            .collect();
        for tag in ["safe", "finalized"] {
            let found = match client.call("eth_getBlockByNumber", json!([tag, false])) {
                Ok(block) => block["hash"].clone(),
                // Nothing is finalized yet.
                Err(CallError::Refused(_)) => Value::Null,
                Err(CallError::Broken) => panic!("{what}: no answer"),
            };
            assert!(known.contains(&found), "{what}: {tag} is {found}, expected one of {known:?}");
        }
    }
}

fn genesis(block: &Value) -> Block {
    assert_eq!(block["number"], "0x0", "nothing was chosen yet");
    block_of(block, "hash")
}

/// A block or payload.
fn block_of(value: &Value, hash: &str) -> Block {
    let word = |name: &str| serde_json::from_value(value[name].clone()).unwrap();
    let number = |name: &str| quantity(&value[name]);
    let number_field = if hash == "hash" { "number" } else { "blockNumber" };
    Block {
        number: number(number_field),
        hash: word(hash),
        timestamp: number("timestamp"),
        parent: word("parentHash"),
    }
}

/// Drives a node.
pub(crate) struct Driver {
    engine: Client,
    pub(crate) users: Client,
    senders: Vec<Sender>,
    /// Transactions that wait, as far as the driver knows.
    waiting: u64,
    random: Random,
}

impl Driver {
    pub(crate) fn connect(data: &Path, ready: &Value, random: Random) -> Self {
        let secret: JwtSecret =
            fs::read_to_string(data.join("jwt.hex")).unwrap().parse().expect("a secret");
        let users = Client::new(&ready["http"]);
        let senders = Sender::all(&users);
        let engine = Client::with_secret(&ready["authrpc"], &secret);
        Self { engine, users, senders, waiting: 0, random }
    }

    /// Makes a block, or chooses another branch.
    pub(crate) fn step(&mut self, ledger: &mut Ledger) -> Result<(), CallError> {
        if let Some(rival) = ledger.rival.clone() {
            let depth = ledger.tip().saturating_sub(rival.number) + 1;
            if depth > 1 && (depth > DEEPEST_REORG || self.random.one_in(25)) {
                ledger.rival = None;
                let choice = Choice { head: rival.hash, ..ledger.choice(&rival) };
                if depth <= DEEPEST_REORG {
                    return self.choose(ledger, choice, None).map(drop);
                }
            }
        }
        let head = ledger.head().clone();
        let choice = ledger.choice(&head);
        let id = self.choose(ledger, choice.clone(), Some(&self.attributes(&head, 1)))?;
        let rival = match ledger.rival.is_none() && self.random.one_in(10) {
            true => Some(self.choose(ledger, choice, Some(&self.attributes(&head, 2)))?),
            false => None,
        };
        self.send_some(ledger)?;
        let block = self.take(ledger, &id)?;
        if let Some(id) = rival {
            ledger.rival = Some(self.take(ledger, &id)?);
        }
        let choice = ledger.choice(&block);
        self.choose(ledger, choice, None).map(drop)
    }

    fn attributes(&self, parent: &Block, seconds: u64) -> Value {
        json!({
            "timestamp": format!("{:#x}", parent.timestamp + seconds),
            "prevRandao": B256::repeat_byte(7),
            "suggestedFeeRecipient": Address::repeat_byte(9),
            "withdrawals": [],
            "parentBeaconBlockRoot": B256::ZERO,
        })
    }

    /// Makes a fork choice; the payload that is being built, if attributes are given.
    fn choose(
        &self,
        ledger: &mut Ledger,
        choice: Choice,
        attributes: Option<&Value>,
    ) -> Result<Value, CallError> {
        let params = json!([choice.state(), attributes]);
        ledger.unanswered = Some(choice.clone());
        let mut answer = self.engine.call("engine_forkchoiceUpdatedV3", params)?;
        assert_eq!(answer["payloadStatus"]["status"], "VALID", "{choice:?}: {answer}");
        ledger.adopt(choice);
        Ok(answer["payloadId"].take())
    }

    /// Takes a payload and delivers it as a block.
    fn take(&mut self, ledger: &mut Ledger, id: &Value) -> Result<Block, CallError> {
        let built = self.engine.call("engine_getPayloadV5", json!([id]))?;
        let payload = &built["executionPayload"];
        let params = json!([payload, [], B256::ZERO, built["executionRequests"]]);
        let answer = self.engine.call("engine_newPayloadV4", params)?;
        assert_eq!(answer["status"], "VALID", "{payload}: {answer}");
        let included = payload["transactions"].as_array().map_or(0, Vec::len);
        self.waiting = self.waiting.saturating_sub(included as u64);
        let block = block_of(payload, "blockHash");
        ledger.blocks += 1;
        ledger.valid.insert(block.hash, block.clone());
        Ok(block)
    }

    /// Sends a few transactions, unless many wait.
    fn send_some(&mut self, ledger: &mut Ledger) -> Result<(), CallError> {
        for _ in 0..self.random.below(6) {
            if self.waiting > 500 {
                break;
            }
            let index = self.random.index(self.senders.len());
            self.send(ledger, index)?;
        }
        Ok(())
    }

    /// Sends a transaction of one account.
    pub(crate) fn send(&mut self, ledger: &mut Ledger, index: usize) -> Result<B256, CallError> {
        let hash = self.senders[index].send(&self.users)?;
        ledger.transactions.acknowledge([hash]);
        self.waiting += 1;
        Ok(hash)
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = Address> {
        self.senders.iter().map(Sender::address)
    }
}
