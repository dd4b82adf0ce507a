//! `lockstep dev` is killed while users send transactions to all of its chains, and in a union from one
//! rollup to the other.

use crate::{
    client::{CallError, Client},
    ledger::{Blocks, Transactions, assert_canonical},
    program::{Program, assert_sound, check, text},
    random::{Random, kills},
    sender::{Place, Sender, quantity},
};
use alloy_primitives::B256;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::mpsc::{self, RecvTimeoutError, Sender as Channel},
    thread,
    time::{Duration, Instant},
};

/// How long a chain may take to grow by a block; they make one each second.
const GROWTH_PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take until a rollup's blocks are in L1 blocks and derived from them.
const POSTING_PATIENCE: Duration = Duration::from_secs(180);

/// How often that is asked.
const POSTING_POLL: Duration = Duration::from_millis(200);

/// Kills of one network; then another one begins.
const LIVES: u64 = 12;

/// Accounts that send at the same time, on each chain.
const SENDERS: usize = 2;

/// A network in a folder.
struct Network {
    folder: tempfile::TempDir,
    /// Whether it was ever ready.
    has_begun: bool,
    /// Of the L1 and of each rollup.
    acknowledged: Vec<Acknowledged>,
}

/// What one chain acknowledged.
#[derive(Default)]
struct Acknowledged {
    /// Blocks that were seen as the newest one.
    blocks: Blocks,
    transactions: Transactions,
    /// Where transactions were shown in blocks that were not complete.
    shown: BTreeMap<B256, Place>,
}

/// What a chain did under load.
enum Seen {
    Block(usize, u64, B256),
    Transaction(usize, B256),
    Shown(usize, B256, Place),
}

#[test]
fn a_development_network_that_is_killed_anywhere_goes_on_and_has_lost_nothing() {
    kill_networks(1);
}

#[test]
fn a_union_that_is_killed_anywhere_goes_on_and_has_lost_nothing() {
    kill_networks(2);
}

fn kill_networks(rollups: usize) {
    let mut random = Random::from_environment(rollups as u64);
    let (mut kills_at_start, mut blocks, mut transactions) = (0, 0, 0);
    let kills = (kills() * 3).div_ceil(10);
    let mut kill = 0;
    while kill < kills {
        let mut network = Network::new(rollups);
        for _ in 0..LIVES.min(kills - kill) {
            let what = format!("kill {kill} of dev with {rollups} rollups");
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
        "dev --rollups {rollups}: {kills} kills, {kills_at_start} of them while it started; nothing lost of {blocks} \
         blocks and {transactions} transactions"
    );
    assert!(kills < 6 || transactions > 100, "there was load");
}

impl Network {
    fn new(rollups: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let acknowledged = (0..=rollups).map(|_| Acknowledged::default()).collect();
        Self { folder, has_begun: false, acknowledged }
    }

    const fn rollups(&self) -> usize {
        self.acknowledged.len() - 1
    }

    /// The nodes of the L1 and of each rollup.
    fn clients(&self, ready: &Value) -> Vec<Client> {
        let rollups = (0..self.rollups()).map(|rollup| format!("/rollups/{rollup}/http"));
        let urls = std::iter::once("/l1/http".to_owned()).chain(rollups);
        urls.map(|url| Client::new(ready.pointer(&url).unwrap())).collect()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("network")
    }

    fn start(&self) -> Program {
        let data = self.data();
        let args = ["dev", "--json", "--datadir", text(&data), "--slot-time", "1"];
        let rollups = self.rollups().to_string();
        let more = ["--block-time", "1", "--rollups", &rollups];
        let ports = ["--http-port", "0", "--beacon-port", "0", "--rollup-http-port", "0"];
        let args = [&args[..], &more, &ports, &["--follower-http-port", "0"]].concat();
        Program::start(&args, &self.folder.path().join("errors.log"))
    }

    fn kill_at_start(&mut self, after: Duration) {
        let program = self.start();
        rest(after);
        program.kill();
    }

    fn kill_under_load(&mut self, after: Duration, what: &str) {
        let program = self.start();
        let ready = program.ready();
        self.has_begun = true;
        self.assert_kept(&ready, what);
        let (send, seen) = mpsc::channel();
        let mut threads = Vec::new();
        let clients = self.clients(&ready);
        let ids: Vec<u64> =
            clients.iter().map(|client| quantity(&client.ask("eth_chainId", json!([])))).collect();
        for (chain, client) in clients.into_iter().enumerate() {
            // The next rollup, in a circle; L1 has no peers, nor has a rollup that is alone.
            let rollups = self.rollups();
            let peer = (chain > 0 && rollups > 1).then(|| ids[chain % rollups + 1]);
            for sender in Sender::all(&client).into_iter().take(SENDERS) {
                let (client, send) = (client.clone(), send.clone());
                threads.push(thread::spawn(move || send_all(chain, peer, &client, sender, &send)));
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
            Seen::Shown(chain, hash, place) => {
                self.acknowledged[chain].transactions.acknowledge([hash]);
                self.acknowledged[chain].shown.insert(hash, place);
            }
        }
    }

    fn assert_kept(&mut self, ready: &Value, what: &str) {
        let clients = self.clients(ready);
        for (chain, (client, acknowledged)) in
            clients.iter().zip(&mut self.acknowledged).enumerate()
        {
            let what = format!("{what}: chain {chain}");
            assert_canonical(client, &acknowledged.blocks, &what);
            let newest = acknowledged.blocks.keys().last().copied().unwrap_or_default();
            acknowledged.transactions.assert_kept(client, newest, &what);
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

    /// What was there at the last kill, and a block more, is posted by one that knows nothing of its
    /// predecessors, and derived from L1 alone by the other node, which comes to the same blocks.
    fn assert_posted(&self, ready: &Value, rollup: usize) {
        let [sequencer, follower] = ["http", "follower/http"]
            .map(|url| Client::new(ready.pointer(&format!("/rollups/{rollup}/{url}")).unwrap()));
        let Acknowledged { blocks, shown, .. } = &self.acknowledged[rollup + 1];
        let seen = blocks.keys().last().copied().unwrap_or_default();
        let newest = shown.values().map(|place| place.block).fold(seen, u64::max);
        let begin = Instant::now();
        for (name, node) in [("sequencer", &sequencer), ("follower", &follower)] {
            // A node that has not derived anything yet has no safe block.
            while node
                .call("eth_getBlockByNumber", json!(["safe", false]))
                .is_ok_and(|safe| safe["number"].is_null() || quantity(&safe["number"]) <= newest)
            {
                let is_late = begin.elapsed() >= POSTING_PATIENCE;
                assert!(!is_late, "{name} of rollup {rollup}: {newest} is not safe");
                rest(POSTING_POLL);
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
        let wanted = shown.keys().map(|hash| json!([hash]));
        for (tx, place) in
            follower.ask_each("eth_getTransactionByHash", wanted).iter().zip(shown.values())
        {
            assert_eq!(Place::of(tx), *place, "{tx} was shown elsewhere");
        }
    }

    /// The last life: everything is there, all chains grow, and the rollups' blocks are posted.
    fn end(&mut self) {
        let program = self.start();
        let ready = program.ready();
        self.assert_kept(&ready, "the end");
        for (chain, client) in self.clients(&ready).into_iter().enumerate() {
            let newest = || quantity(&client.ask("eth_blockNumber", json!([])));
            let (before, begin) = (newest(), Instant::now());
            while newest() == before {
                assert!(begin.elapsed() < GROWTH_PATIENCE, "chain {chain} does not grow");
            }
        }
        (0..self.rollups()).for_each(|rollup| self.assert_posted(&ready, rollup));
        let ended = program.stop();
        assert!(ended.status.success(), "{ended:?}");
        assert_sound(&self.data(), "the end");
    }
}

/// Passes the time.
fn rest(time: Duration) {
    // Nobody ever sends anything: this is but a timer that ends with the program.
    let (_timer, never) = mpsc::channel::<()>();
    assert_eq!(never.recv_timeout(time), Err(RecvTimeoutError::Timeout));
}

/// Sends transactions as fast as they are taken, until the program is gone; to a peer of the rollup, too.
fn send_all(
    chain: usize,
    peer: Option<u64>,
    client: &Client,
    mut sender: Sender,
    seen: &Channel<Seen>,
) {
    if peer.is_some_and(|peer| sender.cross_to(peer, client).is_err()) {
        return;
    }
    for round in 0_u64.. {
        let sent = if peer.is_some() && round.is_multiple_of(2) {
            sender.send_and_see(client).map(|(hash, place)| Seen::Shown(chain, hash, place))
        } else {
            sender.send(client).map(|hash| Seen::Transaction(chain, hash))
        };
        let sent = match sent {
            Ok(sent) => {
                seen.send(sent).unwrap();
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
