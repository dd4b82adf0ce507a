//! The whole transition over an L1 with real batches, by nothing but what is hinted at.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

mod host;
mod world;

use alloy_primitives::{B256, Bytes};
use lockstep_chain::OpHardfork;
use lockstep_preimage::{
    Hint, HintReader, OracleServer, Pipe, PipeOracle, PreimageKind, PreimageOracle,
};
use lockstep_protocol::OutputRoot;
use lockstep_stf::{StfError, Verdict, run};
use std::{
    io::{self, PipeReader, PipeWriter, Read, Write},
    sync::Mutex,
    thread,
};
use world::{Posting, World, writes};

/// Three epochs with deposits, transactions and deletions, all batched.
fn busy_world(fork: OpHardfork, posting: Posting) -> World {
    let mut world = World::new(fork, posting);
    for epoch in 0..3_u64 {
        for block in 0..if epoch == 0 { 5 } else { 6 } {
            let transactions = (0..block % 3)
                .map(|n| world.write(&[(n, epoch), (10 * epoch + block, 0), (n + 100, 9)]))
                .collect();
            world.sequence(transactions);
        }
        world.deposit(writes(&[(40 + epoch, 0), (200, epoch)]));
        world.mine();
    }
    world
}

fn judge(world: &mut World, agreed: usize, block: u64, root: B256) -> Verdict {
    world.claim(agreed, block, root);
    let outcome = run(&world.host).expect("there is a verdict");
    assert_eq!(outcome.boot.claimed_l2_output_root, root);
    assert_eq!(outcome.agreed.hash, world.l2[agreed].0.hash());
    outcome.verdict
}

#[test]
fn a_claim_holds_exactly_if_it_is_the_output_root_of_its_block() {
    let cases = [
        (OpHardfork::Granite, Posting::Calldata),
        (OpHardfork::Holocene, Posting::Blobs),
        (OpHardfork::Isthmus, Posting::Calldata),
        (OpHardfork::Jovian, Posting::Calldata),
    ];
    for (fork, posting) in cases {
        let mut world = busy_world(fork, posting);
        assert_eq!(world.l2.len(), 18);
        for (agreed, claimed) in [(0, 17), (0, 1), (5, 9), (16, 17), (17, 17)] {
            let (header, root) = world.l2[claimed].clone();
            let verdict = judge(&mut world, agreed, claimed as u64, root);
            assert_eq!(verdict.head.hash, header.hash(), "{fork}: {agreed} to {claimed}");
            assert_eq!((verdict.holds, verdict.output_root), (true, root));
            for wrong in [B256::ZERO, world.l2[claimed - 1].1] {
                let verdict = judge(&mut world, agreed, claimed as u64, wrong);
                assert_eq!((verdict.holds, verdict.output_root), (false, root));
            }
        }
    }
}

#[test]
fn the_first_block_of_a_fork_executes_its_upgrades() {
    let cases = [
        (OpHardfork::Canyon, OpHardfork::Ecotone, 6),
        (OpHardfork::Ecotone, OpHardfork::Fjord, 3),
        (OpHardfork::Granite, OpHardfork::Holocene, 0),
        (OpHardfork::Holocene, OpHardfork::Isthmus, 8),
        (OpHardfork::Isthmus, OpHardfork::Jovian, 5),
    ];
    for (fork, next, upgrades) in cases {
        let mut world = World::activating(fork, next, Posting::Calldata);
        for epoch in 0..3_u64 {
            for _ in 0..if epoch == 0 { 5 } else { 6 } {
                world.sequence(Vec::new());
            }
            world.deposit(writes(&[(40 + epoch, 0)]));
            world.mine();
        }
        assert_eq!(world.transaction_counts[3..6], [1, 1 + upgrades, 1], "{next}");
        let root = world.l2[17].1;
        assert!(judge(&mut world, 0, 17, root).holds, "{fork} to {next}");
    }
}

#[test]
fn where_l1_ends_before_the_claimed_block_the_newest_output_root_is_the_true_claim() {
    let mut world = busy_world(OpHardfork::Isthmus, Posting::Calldata);
    let (newest, last) = (world.l2[17].1, world.l2[16].1);
    let verdict = judge(&mut world, 3, 400, newest);
    assert_eq!((verdict.holds, verdict.head.number), (true, 17));
    assert!(!judge(&mut world, 3, 400, last).holds);
}

#[test]
fn a_block_below_the_agreed_one_cannot_be_claimed() {
    let mut world = busy_world(OpHardfork::Isthmus, Posting::Calldata);
    let agreed = world.l2[9].1;
    for root in [agreed, world.l2[8].1] {
        assert!(!judge(&mut world, 9, 8, root).holds);
    }
}

#[test]
fn an_invalid_block_is_replaced_by_its_deposits_from_holocene_on() {
    for fork in [OpHardfork::Holocene, OpHardfork::Jovian] {
        let mut world = World::new(fork, Posting::Calldata);
        let transaction = world.write(&[(1, 2)]);
        world.sequence(vec![transaction]);
        let invalid = world.invalid_transaction();
        world.sequence_invalid(vec![invalid]);
        world.sequence_invalid(vec![b"no transaction".as_slice().into()]);
        let transaction = world.write(&[(3, 4)]);
        world.sequence(vec![transaction]);
        world.mine();
        let root = world.l2[4].1;
        let verdict = judge(&mut world, 0, 4, root);
        assert_eq!((verdict.holds, verdict.head.number), (true, 4), "{fork}");
    }
}

#[test]
fn before_holocene_an_invalid_block_is_left_out_and_the_next_batch_for_its_place_is_taken() {
    let mut world = World::new(OpHardfork::Granite, Posting::Calldata);
    let transaction = world.write(&[(1, 2)]);
    world.sequence(vec![transaction]);
    let invalid = world.invalid_transaction();
    world.batch(vec![invalid]);
    world.mine();
    let root = world.l2[1].1;
    let verdict = judge(&mut world, 0, 2, root);
    assert_eq!((verdict.holds, verdict.head.number), (true, 1));
}

#[test]
fn a_block_of_before_holocene_that_was_posted_after_it_is_replaced() {
    // The fourth block is Holocene's first; the L1 block that holds them all is later than that.
    let mut world = World::activating(OpHardfork::Granite, OpHardfork::Holocene, Posting::Calldata);
    world.sequence(Vec::new());
    let invalid = world.invalid_transaction();
    world.sequence_invalid(vec![invalid]);
    let transaction = world.write(&[(1, 2)]);
    world.sequence(vec![transaction]);
    world.mine();
    let root = world.l2[3].1;
    let verdict = judge(&mut world, 0, 3, root);
    assert_eq!((verdict.holds, verdict.head.number), (true, 3));
}

#[test]
fn before_holocene_an_invalid_block_takes_its_span_with_it() {
    let mut world = World::new(OpHardfork::Granite, Posting::Calldata);
    let transaction = world.write(&[(1, 2)]);
    world.sequence(vec![transaction]);
    // Two blocks of this span are valid, and yet they never were.
    let first = world.write(&[(3, 4), (5, 0)]);
    let second = world.write(&[(6, 7)]);
    let taken_back = world.batch_invalid_span(vec![vec![first], vec![second]]);
    // The batches that come instead are taken.
    let transaction = world.write(&[(8, 9), (5, 1)]);
    world.sequence(vec![transaction]);
    world.sequence(Vec::new());
    world.mine();
    for block in [2, 3] {
        let root = world.l2[block].1;
        let verdict = judge(&mut world, 0, block as u64, root);
        assert_eq!((verdict.holds, verdict.head.number), (true, block as u64));
        assert_ne!(taken_back[block - 2], root);
        assert!(!judge(&mut world, 0, block as u64, taken_back[block - 2]).holds);
    }
}

#[test]
fn before_holocene_nothing_comes_of_a_span_that_ends_with_an_invalid_block() {
    let mut world = World::new(OpHardfork::Granite, Posting::Calldata);
    world.sequence(Vec::new());
    let transaction = world.write(&[(3, 4)]);
    let taken_back = world.batch_invalid_span(vec![vec![transaction]]);
    world.mine();
    let root = world.l2[1].1;
    let verdict = judge(&mut world, 0, 2, root);
    assert_eq!((verdict.holds, verdict.head.number), (true, 1));
    assert!(!judge(&mut world, 0, 2, taken_back[0]).holds);
}

#[test]
fn a_block_in_the_midst_of_a_span_can_be_claimed() {
    for fork in [OpHardfork::Granite, OpHardfork::Holocene] {
        let mut world = World::new(fork, Posting::Calldata);
        let blocks = (0..4).map(|n| vec![world.write(&[(n, n + 7)])]).collect();
        world.sequence_span(blocks);
        world.mine();
        for claimed in 1..=4 {
            let root = world.l2[claimed].1;
            let verdict = judge(&mut world, 0, claimed as u64, root);
            assert_eq!((verdict.holds, verdict.head.number), (true, claimed as u64), "{fork}");
            let other = world.l2[claimed - 1].1;
            assert!(!judge(&mut world, 0, claimed as u64, other).holds);
        }
    }
}

#[test]
fn a_single_wrong_answer_leads_to_no_verdict() {
    let mut world = busy_world(OpHardfork::Isthmus, Posting::Calldata);
    let root = world.l2[6].1;
    world.claim(3, 6, root);
    run(&world.host).expect("there is a verdict");
    let asked: Vec<_> = world.host.given.borrow().iter().map(|(key, _)| *key).collect();
    let hashed = |key: &&_| lockstep_preimage::PreimageKey::kind(key) == PreimageKind::Keccak256;
    let (mut found_out, mut unused) = (0, 0);
    for lie in asked.iter().filter(hashed).step_by(5) {
        world.claim(3, 6, root);
        world.host.lie = Some(*lie);
        match run(&world.host) {
            Ok(outcome) => {
                assert!(outcome.verdict.holds, "a lie changed the verdict");
                unused += 1;
            }
            Err(StfError::Boot { .. }) => panic!("no lie was about the boot information"),
            Err(_) => found_out += 1,
        }
    }
    assert!(found_out > unused, "{found_out} of {} lies were asked for", found_out + unused);
}

/// A short rollup whose batches are in blobs, and a claim that is true.
fn blob_world() -> World {
    let mut world = World::new(OpHardfork::Isthmus, Posting::Blobs);
    for n in 0..3 {
        let transaction = world.write(&[(n, 7)]);
        world.sequence(vec![transaction]);
    }
    world.mine();
    let root = world.l2[3].1;
    world.claim(0, 3, root);
    world
}

#[test]
fn invented_elements_of_a_blob_are_refused_unless_they_are_attested() {
    let mut world = blob_world();
    let root = world.l2[3].1;
    assert!(run(&world.host).expect("there is a verdict").verdict.holds);
    let given = world.host.given.borrow().clone();
    let of_blobs: Vec<_> =
        given.iter().filter(|(key, _)| key.kind() == PreimageKind::Blob).collect();
    assert_eq!(of_blobs.len(), 3 * 4097, "three blobs with their proofs");
    for (key, answer) in of_blobs.iter().step_by(1367) {
        world.claim(0, 3, root);
        world.host.lie = Some(**key);
        let error = run(&world.host).expect_err("an element or a proof is wrong").to_string();
        assert!(error.contains("the blob") && error.contains("is malformed"), "{error}: {answer}");
    }

    // No proof, no verdict.
    let is_proof = |bytes: &Bytes| bytes.len() == 48;
    let (proof, _) = of_blobs.iter().find(|(_, bytes)| is_proof(bytes)).expect("there is one");
    let mut without = given.clone();
    without.remove(proof);
    assert!(run(&without).expect_err("a proof is missing").to_string().contains("unknown"));

    // Whoever attests elements is believed, as is a fault-proof machine: nothing asks for a proof, and
    // elements that are no batch any more make another chain.
    let (first, _) = of_blobs.iter().find(|(_, bytes)| bytes[1] != 0).expect("a first element");
    world.claim(0, 3, root);
    world.host.attests_blobs = true;
    world.host.lie = Some(**first);
    assert!(!run(&world.host).expect("there is a verdict").verdict.holds);
}

#[test]
fn an_agreed_output_root_that_contradicts_its_header_is_refused() {
    let mut world = blob_world();
    let header = world.l2[0].0.clone();
    let output = OutputRoot {
        state_root: B256::repeat_byte(1),
        message_passer_storage_root: B256::ZERO,
        block_hash: header.hash(),
    };
    world.host.announce(Hint::L2Output(output.hash()), [Bytes::copy_from_slice(&output.encode())]);
    let root = world.l2[3].1;
    world.l2[0].1 = output.hash();
    world.claim(0, 3, root);
    let error = run(&world.host).expect_err("two states").to_string();
    assert!(error.contains("it names the state 0x0101"), "{error}");
}

/// One end of two pipes of the operating system.
struct SystemPipes {
    reader: PipeReader,
    writer: PipeWriter,
}

impl Pipe for SystemPipes {
    type Error = io::Error;

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }
}

fn system_pipes() -> (SystemPipes, SystemPipes) {
    let (here_reader, there_writer) = io::pipe().expect("the system gives a pipe");
    let (there_reader, here_writer) = io::pipe().expect("the system gives a pipe");
    let here = SystemPipes { reader: here_reader, writer: here_writer };
    (here, SystemPipes { reader: there_reader, writer: there_writer })
}

#[test]
fn the_verdict_is_the_same_over_pipes() {
    let mut world = busy_world(OpHardfork::Isthmus, Posting::Blobs);
    let root = world.l2[17].1;
    let expected = judge(&mut world, 0, 17, root);
    world.claim(0, 17, root);
    let host = Mutex::new(world.host);
    let (client_preimages, server_preimages) = system_pipes();
    let (client_hints, server_hints) = system_pipes();
    let verdict = thread::scope(|scope| {
        scope.spawn(|| {
            let mut server = OracleServer::new(server_preimages);
            while let Some(key) = server.next_key().expect("the client writes keys") {
                let answer = host.lock().expect("no panic").get(key).expect("it was hinted at");
                server.answer(&answer).expect("the client reads");
            }
        });
        scope.spawn(|| {
            let mut reader = HintReader::new(server_hints);
            while let Some(hint) = reader.next_hint().expect("the client writes hints") {
                let hint = Hint::decode(&hint).expect("our own hint");
                host.lock().expect("no panic").hint(&hint).expect("the host gives");
                reader.acknowledge().expect("the client waits");
            }
        });
        run(PipeOracle::new(client_preimages, client_hints)).expect("there is a verdict").verdict
    });
    assert_eq!(verdict, expected);
    assert!(verdict.holds);
}
