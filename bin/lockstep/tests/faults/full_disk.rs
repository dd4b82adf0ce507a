//! Files that cannot grow any more.

use crate::{
    client::{CallError, Client},
    driver::{Driver, Ledger, NodeFolder},
    program::{Program, assert_sound, text},
    random::Random,
};
use serde_json::json;

/// Blocks that the chain has before its files are limited.
const BLOCKS_BEFORE: u64 = 20;

/// Steps within which the limit is met.
const MAX_STEPS: u64 = 5_000;

/// The greatest size of a file, in KiB. Different files meet each first.
const LIMITS: [u64; 4] = [16, 48, 160, 400];

#[test]
fn a_node_whose_files_cannot_grow_says_which_and_has_lost_nothing() {
    let mut random = Random::from_environment(4);
    for kib in LIMITS {
        let what = format!("files of at most {kib} KiB");
        let (folder, mut ledger) = begin(&mut random);
        let program = folder.start_limited(kib);
        match program.ready_or_ended() {
            Some(ready) => {
                ledger.assert_kept(&Client::new(&ready["http"]), &what);
                let mut driver = Driver::connect(&folder.data(), &ready, random.fork());
                let refused = drive_until_refused(&mut driver, &mut ledger);
                assert_refused(&refused, &folder, &what);
                eprintln!("{what}: block {}: {refused}", ledger.tip());
                if refused.contains("the engine has stopped") {
                    // The node ends, soon after.
                    assert_ended(program, &folder, &what);
                } else {
                    // What is there is still served.
                    ledger.assert_kept(&driver.users, &what);
                    let tip = driver.users.ask("eth_blockNumber", json!([]));
                    assert_eq!(tip, json!(format!("{:#x}", ledger.tip())));
                    drop(program);
                }
            }
            None => eprintln!("{what}: {}", assert_ended(program, &folder, &what)),
        }
        assert_sound(&folder.data(), &what);
        let program = folder.start();
        go_on(&program, &folder, &mut ledger, &mut random, &what);
        assert!(program.stop().status.success());
        assert_sound(&folder.data(), &what);
    }
}

/// The program ends, and says why.
fn assert_ended(program: Program, folder: &NodeFolder, what: &str) -> String {
    let ended = program.end();
    assert_eq!(ended.status.code(), Some(1), "{what}: {ended:?}");
    assert_refused(&ended.errors, folder, what);
    ended.errors.trim().to_owned()
}

/// A chain of a few blocks.
fn begin(random: &mut Random) -> (NodeFolder, Ledger) {
    let folder = NodeFolder::new();
    let mut ledger = Ledger::default();
    let program = folder.start();
    let ready = program.ready();
    ledger.assert_kept(&Client::new(&ready["http"]), "the beginning");
    let mut driver = Driver::connect(&folder.data(), &ready, random.fork());
    while ledger.blocks < BLOCKS_BEFORE {
        driver.step(&mut ledger).unwrap();
    }
    program.kill();
    (folder, ledger)
}

/// Makes blocks until the node refuses: why it does.
fn drive_until_refused(driver: &mut Driver, ledger: &mut Ledger) -> String {
    for _ in 0..MAX_STEPS {
        match driver.step(ledger) {
            Ok(()) => {}
            Err(CallError::Refused(reason)) => return reason,
            Err(CallError::Broken) => panic!("the node is gone"),
        }
    }
    panic!("the limit was never met");
}

/// The error names a file of the chain, and what the system said.
fn assert_refused(error: &str, folder: &NodeFolder, what: &str) {
    assert!(error.contains(text(&folder.data())), "{what}: which file? {error}");
    // MDBX calls a write that ended halfway by the second name.
    let reasons = ["File too large", "Input/output error"];
    assert!(reasons.iter().any(|reason| error.contains(reason)), "{what}: {error}");
}

/// Without the limit, everything is there and the chain grows.
fn go_on(
    program: &Program,
    folder: &NodeFolder,
    ledger: &mut Ledger,
    random: &mut Random,
    what: &str,
) {
    let ready = program.ready();
    ledger.assert_kept(&Client::new(&ready["http"]), what);
    let mut driver = Driver::connect(&folder.data(), &ready, random.fork());
    for _ in 0..50 {
        driver.step(ledger).unwrap();
    }
    ledger.assert_kept(&driver.users, what);
}
