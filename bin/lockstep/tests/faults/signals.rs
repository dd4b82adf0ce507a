//! `lockstep dev` is told to stop while it waits.

use crate::program::Program;
use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

/// Far less than a question that nobody answers takes: twice 30 seconds.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_signal_ends_a_program_that_waits_for_an_l1_which_does_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let l1 = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", l1.local_addr().unwrap());
    let args = ["dev", "--json", "--rollups", "1", "--l1", &url, "--l1-beacon", &url];
    let ports = ["--rollup-http-port", "0", "--follower-http-port", "0"];
    let program = Program::start(&[&args[..], &ports].concat(), &folder.path().join("errors.log"));
    let question = l1.accept().unwrap();
    let begin = Instant::now();
    let ended = program.stop();
    assert!(ended.status.success(), "{ended:?}");
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    drop(question);
}
