//! `lockstep dev` is killed while users send transactions to both of its chains.

use crate::{
    client::{CallError, Client},
    ledger::{Blocks, Transactions, assert_canonical},
    program::{Program, assert_sound, check, text},
    random::{Random, kills},
    sender::{Sender, quantity},
};
use alloy_primitives::B256;
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    sync::mpsc::{self, RecvTimeoutError, Sender as Channel},
    thread,
    time::{Duration, Instant},
};

/// How long both chains may take to grow by a block; they make one each second.
const GROWTH_PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take until the rollup's blocks are in L1 blocks and derived from them.
const POSTING_PATIENCE: Duration = Duration::from_secs(180);

/// How often that is asked.
const POSTING_POLL: Duration = Duration::from_millis(200);

/// Kills of one network; then another one begins.
const LIVES: u64 = 12;

/// Accounts that send at the same time, on each chain.
const SENDERS: usize = 2;

/// The two chains of a network.
const CHAINS: [(&str, &str); 2] = [("L1", "/l1/http"), ("rollup", "/rollups/0/http")];

/// A network in a folder.
struct Network {
    folder: tempfile::TempDir,
    /// Whether it was ever ready.
    has_begun: bool,
    acknowledged: [Acknowledged; 2],
}

/// What one chain acknowledged.
#[derive(Default)]
struct Acknowledged {
    /// Blocks that were seen as the newest one.
    blocks: Blocks,
    transactions: Transactions,
}

/// What a chain did under load.
enum Seen {
    Block(usize, u64, B256),
    Transaction(usize, B256),
}

#[test]
fn a_development_network_that_is_killed_anywhere_goes_on_and_has_lost_nothing() {
    let mut random = Random::from_environment(1);
    let (mut kills_at_start, mut blocks, mut transactions) = (0, 0, 0);
    let kills = (kills() * 3).div_ceil(10);
    let mut kill = 0;
    while kill < kills {
        let mut network = Network::new();
        for _ in 0..LIVES.min(kills - kill) {
            let what = format!("kill {kill} of dev");
            if random.one_in(4) {
                network.kill_at_start(random.duration(600));
                kills_at_start += 1;
            } else {
                network.kill_under_load(random.duration(1_500), &what);
            }
            network.check(&what);
            kill += 1;
        }
        network.end();
        blocks += network.acknowledged.iter().map(|chain| chain.blocks.len()).sum::<usize>();
        transactions +=
            network.acknowledged.iter().map(|chain| chain.transactions.count()).sum::<usize>();
    }
    eprintln!(
        "dev: {kills} kills, {kills_at_start} of them while it started; nothing lost of {blocks} \
         blocks and {transactions} transactions"
    );
    assert!(kills < 6 || transactions > 100, "there was load");
}

impl Network {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, has_begun: false, acknowledged: Default::default() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("network")
    }

    fn start(&self) -> Program {
        let data = self.data();
        let args = ["dev", "--json", "--rollups", "1", "--datadir", text(&data)];
        let more =
            ["--slot-time", "1", "--block-time", "1", "--http-port", "0", "--beacon-port", "0"];
        let args =
            [&args[..], &more, &["--rollup-http-port", "0", "--follower-http-port", "0"]].concat();
        Program::start(&args, &self.folder.path().join("errors.log"))
    }

    fn kill_at_start(&mut self, after: Duration) {
        let program = self.start();
        // Nobody ever sends anything: this is but a timer that ends with the program.
        let (_timer, never) = mpsc::channel::<()>();
        assert_eq!(never.recv_timeout(after), Err(RecvTimeoutError::Timeout));
        program.kill();
    }

    fn kill_under_load(&mut self, after: Duration, what: &str) {
        let program = self.start();
        let ready = program.ready();
        self.has_begun = true;
        self.assert_kept(&ready, what);
        let (send, seen) = mpsc::channel();
        let mut threads = Vec::new();
        for (chain, (_, url)) in CHAINS.iter().enumerate() {
            let client = Client::new(ready.pointer(url).unwrap());
            for sender in Sender::all(&client).into_iter().take(SENDERS) {
                let (client, send) = (client.clone(), send.clone());
                threads.push(thread::spawn(move || send_all(chain, &client, sender, &send)));
            }
            let send = send.clone();
            threads.push(thread::spawn(move || watch(chain, &client, &send)));
        }
        drop(send);
        let begin = Instant::now();
        // What was seen in time counts, and what was acknowledged until the kill, too.
        while let Ok(seen) = seen.recv_timeout(after.saturating_sub(begin.elapsed())) {
            self.acknowledge(seen);
        }
        program.kill();
        seen.iter().for_each(|seen| self.acknowledge(seen));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    fn acknowledge(&mut self, seen: Seen) {
        match seen {
            Seen::Block(chain, number, hash) => {
                let before = self.acknowledged[chain].blocks.insert(number, hash);
                assert!(before.is_none_or(|before| before == hash), "block {number} was replaced");
            }
            Seen::Transaction(chain, hash) => {
                self.acknowledged[chain].transactions.acknowledge([hash]);
            }
        }
    }

    fn assert_kept(&mut self, ready: &Value, what: &str) {
        for ((name, url), acknowledged) in CHAINS.iter().zip(&mut self.acknowledged) {
            let client = Client::new(ready.pointer(url).unwrap());
            let what = format!("{what}: {name}");
            assert_canonical(&client, &acknowledged.blocks, &what);
            let newest = acknowledged.blocks.keys().last().copied().unwrap_or_default();
            acknowledged.transactions.assert_kept(&client, newest, &what);
        }
    }

    fn check(&self, what: &str) {
        if self.has_begun {
            return assert_sound(&self.data(), what);
        }
        // There may be no chain yet; it must be the only complaint.
        let checked = check(&self.data());
        let is_empty = checked.status.code() == Some(2)
            && ["neither a chain nor a folder of chains", "it holds no chain", "No such file"]
                .iter()
                .any(|reason| checked.errors.contains(reason));
        assert!(is_empty || checked.status.success(), "{what}: {checked:?}");
    }

    /// What was there at the last kill, and a block more, is posted by a batcher that knows nothing of its
    /// predecessors, and derived from L1 alone by the other node, which comes to the same blocks.
    fn assert_posted(&self, ready: &Value) {
        let [sequencer, follower] = ["/rollups/0/http", "/rollups/0/follower/http"]
            .map(|url| Client::new(ready.pointer(url).unwrap()));
        let [_, rollup] = &self.acknowledged;
        let newest = rollup.blocks.keys().last().copied().unwrap_or_default();
        let (_timer, never) = mpsc::channel::<()>();
        let begin = Instant::now();
        for (name, node) in [("sequencer", &sequencer), ("follower", &follower)] {
            // A node that has not derived anything yet has no safe block.
            while node
                .call("eth_getBlockByNumber", json!(["safe", false]))
                .is_ok_and(|safe| safe["number"].is_null() || quantity(&safe["number"]) <= newest)
            {
                assert!(begin.elapsed() < POSTING_PATIENCE, "{name}: {newest} is not safe");
                assert_eq!(never.recv_timeout(POSTING_POLL), Err(RecvTimeoutError::Timeout));
            }
        }
        let hashes = |node: &Client| -> Vec<Value> {
            let numbers = (0..=newest + 1).map(|number| json!([format!("{number:#x}"), false]));
            let blocks = node.ask_each("eth_getBlockByNumber", numbers);
            blocks.into_iter().map(|block| block["hash"].clone()).collect()
        };
        let found = hashes(&follower);
        assert!(found.iter().all(Value::is_string), "{found:?}");
        assert_eq!(hashes(&sequencer), found);
    }

    /// The last life: everything is there, both chains grow, and the rollup's blocks are posted.
    fn end(&mut self) {
        let program = self.start();
        let ready = program.ready();
        self.assert_kept(&ready, "the end");
        for (name, url) in CHAINS {
            let client = Client::new(ready.pointer(url).unwrap());
            let newest = || quantity(&client.ask("eth_blockNumber", json!([])));
            let (before, begin) = (newest(), Instant::now());
            while newest() == before {
                assert!(begin.elapsed() < GROWTH_PATIENCE, "{name} does not grow");
            }
        }
        self.assert_posted(&ready);
        let ended = program.stop();
        assert!(ended.status.success(), "{ended:?}");
        assert_sound(&self.data(), "the end");
    }
}

/// Sends transactions as fast as they are taken, until the program is gone.
fn send_all(chain: usize, client: &Client, mut sender: Sender, seen: &Channel<Seen>) {
    loop {
        let sent = match sender.send(client) {
            Ok(hash) => {
                seen.send(Seen::Transaction(chain, hash)).unwrap();
                Ok(())
            }
            // The pool is full, or knows more of the account than we do.
            Err(CallError::Refused(_)) => sender.refresh(client),
            Err(CallError::Broken) => return,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Watches the head until the program is gone.
fn watch(chain: usize, client: &Client, seen: &Channel<Seen>) {
    let mut last = B256::ZERO;
    while let Ok(block) = client.call("eth_getBlockByNumber", json!(["latest", false])) {
        let hash: B256 = serde_json::from_value(block["hash"].clone()).unwrap();
        if hash != last {
            last = hash;
            seen.send(Seen::Block(chain, quantity(&block["number"]), hash)).unwrap();
        }
    }
}
