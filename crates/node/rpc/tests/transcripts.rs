//! The official JSON-RPC transcripts against a node in this process. The truth is what
//! go-ethereum answered when they were recorded.

mod common;

use common::{Node, choose, fixtures};
use lockstep_rpc::Limits;
use lockstep_testkit::{
    source,
    transcripts::{Transcripts, run},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_official_transcript_is_answered_as_recorded() {
    let Some(fixtures) = fixtures() else { return };
    let path = fixtures.join("rpc-compat/tests.tar.zst");
    let loaded = Transcripts::load(&path, &source::Limits::default()).unwrap();
    assert!(loaded.transcripts.len() > 150, "{} transcripts", loaded.transcripts.len());
    let node = Node::start(&loaded.genesis, &loaded.chain, Limits::default()).await;
    choose(&node.engine, loaded.head().unwrap());
    let url = node.url();
    let report = tokio::task::spawn_blocking(move || {
        run(&url, &loaded.transcripts, None, &mut |_| {}).unwrap()
    });
    let report = report.await.unwrap();
    for failure in &report.failures {
        eprintln!("{}: {}", failure.case, failure.reason);
    }
    eprintln!("{:?}", report.counts);
    assert_eq!(report.counts.failed, 0);
    node.server.stopped().await;
}
