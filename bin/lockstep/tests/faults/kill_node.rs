//! `lockstep node` is killed while a consensus client makes hundreds of blocks per second, with
//! transactions, reorgs within memory and below it, and finality.

use crate::{
    client::{CallError, Client},
    driver::{Driver, Ledger, NodeFolder},
    program::{Program, assert_sound},
    random::{Random, kills},
};
use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// Kills of one chain; then another one begins.
const LIVES: u64 = 25;

/// What all chains together went through.
#[derive(Default)]
struct Total {
    kills_at_start: u64,
    blocks: u64,
    reorgs: u64,
    transactions: usize,
}

#[test]
fn a_node_that_is_killed_anywhere_goes_on_and_has_lost_nothing() {
    let mut random = Random::from_environment(2);
    let kills = kills() * 7 / 10;
    let mut total = Total::default();
    let mut kill = 0;
    while kill < kills {
        let lives = LIVES.min(kills - kill);
        run_chain(&mut random, kill..kill + lives, &mut total);
        kill += lives;
    }
    let Total { kills_at_start, blocks, reorgs, transactions } = total;
    eprintln!(
        "node: {kills} kills, {kills_at_start} of them while it started; nothing lost of {blocks} \
         blocks and {transactions} transactions; {reorgs} reorgs"
    );
    assert!(kills < 14 || (blocks > 500 && reorgs > 5 && transactions > 100), "there was load");
}

/// A chain through some lives.
fn run_chain(random: &mut Random, kills: std::ops::Range<u64>, total: &mut Total) {
    let folder = NodeFolder::new();
    let mut ledger = Ledger::default();
    for kill in kills {
        let what = format!("kill {kill} of node");
        if random.one_in(5) && ledger.blocks > 0 {
            total.kills_at_start += 1;
            let program = folder.start();
            // Nobody ever sends anything: this is but a timer.
            let (_timer, never) = mpsc::channel::<()>();
            let ended = never.recv_timeout(random.duration(500));
            assert_eq!(ended, Err(RecvTimeoutError::Timeout));
            program.kill();
        } else {
            ledger = kill_under_load(&folder, random, ledger, &what);
        }
        assert_sound(&folder.data(), &what);
    }
    let program = start(&folder, &mut ledger, "the end");
    let ended = program.0.stop();
    assert!(ended.status.success(), "{ended:?}");
    assert_sound(&folder.data(), "the end");
    total.blocks += ledger.blocks;
    total.reorgs += ledger.reorgs;
    total.transactions += ledger.transactions.count();
}

/// Starts a node, which has lost nothing.
fn start(folder: &NodeFolder, ledger: &mut Ledger, what: &str) -> (Program, serde_json::Value) {
    let program = folder.start();
    let ready = program.ready();
    ledger.assert_kept(&Client::new(&ready["http"]), what);
    (program, ready)
}

fn kill_under_load(
    folder: &NodeFolder,
    random: &mut Random,
    mut ledger: Ledger,
    what: &str,
) -> Ledger {
    let (program, ready) = start(folder, &mut ledger, what);
    let mut driver = Driver::connect(&folder.data(), &ready, random.fork());
    // The chain goes on.
    let before = ledger.blocks;
    while ledger.blocks == before {
        driver.step(&mut ledger).unwrap();
    }
    let (send, ended) = mpsc::channel::<()>();
    let driving = thread::spawn(move || {
        let _send = send;
        loop {
            match driver.step(&mut ledger) {
                Ok(()) => {}
                Err(CallError::Broken) => return ledger,
                Err(error) => panic!("{error:?}"),
            }
        }
    });
    // Ends early only if the driver does.
    let _ = ended.recv_timeout(random.duration(1_500).max(Duration::from_millis(1)));
    program.kill();
    driving.join().unwrap_or_else(|_| panic!("{what}: the node did not do as it should"))
}
