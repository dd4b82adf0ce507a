//! Both ends of real pipes, and one end against everything that the other should not do.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

use alloy_primitives::{B256, Bytes, hex, keccak256};
use lockstep_preimage::{
    CachingOracle, Hint, HintReader, HintWriter, MAX_HINT_BYTES, MAX_PREIMAGE_BYTES, OracleClient,
    OracleServer, Pipe, PipeOracle, PreimageError, PreimageKey, PreimageOracle, PreimageSet,
};
use proptest::prelude::*;
use std::{
    io::{self, PipeReader, PipeWriter, Read, Write},
    thread,
};

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

/// Both ends.
fn system_pipes() -> (SystemPipes, SystemPipes) {
    let (here_reader, there_writer) = io::pipe().expect("the system gives a pipe");
    let (there_reader, here_writer) = io::pipe().expect("the system gives a pipe");
    let here = SystemPipes { reader: here_reader, writer: here_writer };
    (here, SystemPipes { reader: there_reader, writer: there_writer })
}

/// What the other end says is known beforehand, and comes in pieces of one size.
#[derive(Debug)]
struct Script<'a> {
    said: &'a [u8],
    piece: usize,
    heard: Vec<u8>,
}

impl<'a> Script<'a> {
    fn new(said: &'a [u8]) -> Self {
        Self { said, piece: usize::MAX, heard: Vec::new() }
    }
}

impl Pipe for &mut Script<'_> {
    type Error = io::Error;

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.piece.min(buffer.len()).min(self.said.len());
        let (now, later) = self.said.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.said = later;
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.heard.extend_from_slice(bytes);
        Ok(())
    }
}

fn witness() -> (PreimageSet, Vec<PreimageKey>) {
    let mut set = PreimageSet::new();
    for length in [0_usize, 1, 31, 4096, 65_536, 65_537, 1_000_000] {
        let preimage: Vec<u8> = (0..length).map(|at| (at * 31 + length) as u8).collect();
        set.insert_keccak256(preimage.clone().into());
        set.insert_sha256(preimage.into());
    }
    set.insert(PreimageKey::local(4), Bytes::from_static(&[0, 7])).expect("no hash to be wrong");
    let keys = set.iter().map(|(key, _)| *key).collect();
    (set, keys)
}

#[test]
fn a_client_gets_every_preimage_and_every_hint_arrives() {
    let (witness, keys) = witness();
    let (client_preimages, server_preimages) = system_pipes();
    let (client_hints, server_hints) = system_pipes();
    let hints: Vec<Hint> = keys.iter().map(|key| Hint::L2StateNode(key.to_bytes())).collect();

    thread::scope(|scope| {
        let served = scope.spawn(|| {
            let mut server = OracleServer::new(server_preimages);
            let mut served = 0;
            while let Some(key) = server.next_key().expect("the client writes keys") {
                server.answer(&witness.get(key).expect("it is here")).expect("the client reads");
                served += 1;
            }
            served
        });
        let heard = scope.spawn(|| {
            let mut reader = HintReader::new(server_hints);
            let mut heard = Vec::new();
            while let Some(hint) = reader.next_hint().expect("the client writes hints") {
                heard.push(Hint::decode(&hint).expect("our own hint"));
                reader.acknowledge().expect("the client waits");
            }
            heard
        });
        let oracle = CachingOracle::new(PipeOracle::new(client_preimages, client_hints), 1 << 24);
        for _ in 0..2 {
            for (key, hint) in keys.iter().zip(&hints) {
                oracle.hint(hint).expect("the host acknowledges");
                assert_eq!(oracle.get(*key).expect("the host answers"), witness.get(*key).unwrap());
            }
        }
        drop(oracle);
        assert_eq!(served.join().expect("no panic"), keys.len(), "the cache asks once");
        assert_eq!(heard.join().expect("no panic"), [hints.clone(), hints].concat());
    });
}

#[test]
fn a_host_that_is_gone_is_an_error_and_not_a_wait() {
    let (client, server) = system_pipes();
    drop(server);
    let mut client = OracleClient::new(client);
    let error = client.get(PreimageKey::local(1)).expect_err("nobody is there");
    assert!(matches!(error, PreimageError::Beneath(_)), "{error}");
    let error = client.get(PreimageKey::local(1)).expect_err("it failed before");
    assert!(matches!(error, PreimageError::OutOfStep), "{error}");
}

#[test]
fn a_host_that_lies_is_found_out_unless_its_answers_are_attested() {
    let key = PreimageKey::keccak256(keccak256("truth"));
    let lie = hex!("000000000000000361626b").as_slice();
    let mut hints = Script::new(&[]);
    let mut said = Script::new(lie);
    let oracle = CachingOracle::new(PipeOracle::new(&mut said, &mut hints), 1 << 20);
    // Hashing makes it trusted with hashes, and with nothing else.
    assert!(oracle.is_trusted() && !oracle.attests_blobs());
    let error = oracle.get(key).expect_err("another hash");
    assert!(matches!(error, PreimageError::Mismatch { .. }), "{error}");

    let mut said = Script::new(lie);
    let oracle = CachingOracle::new(PipeOracle::attested(&mut said, &mut hints), 1 << 20);
    assert!(oracle.is_trusted() && oracle.attests_blobs());
    assert_eq!(oracle.get(key).expect("not hashed"), b"abk"[..]);
}

#[test]
fn the_bytes_on_the_pipes_are_those_of_the_specification() {
    let mut pipe = Script::new(&hex!("0000000000000002c0de"));
    let preimage = OracleClient::new(&mut pipe).get(PreimageKey::local(3)).expect("it answers");
    assert_eq!(preimage[..], hex!("c0de"));
    let key = "0100000000000000000000000000000000000000000000000000000000000003";
    assert_eq!(hex::encode(&pipe.heard), key);

    let mut pipe = Script::new(&[0]);
    HintWriter::new(&mut pipe).write(&Hint::L2Code(B256::ZERO)).expect("it is acknowledged");
    let text = format!("l2-code 0x{}", "0".repeat(64));
    assert_eq!(pipe.heard, [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat());

    let key = hex::decode(key).expect("hexadecimal");
    let mut pipe = Script::new(&key);
    let mut server = OracleServer::new(&mut pipe);
    assert_eq!(server.next_key().expect("a key"), Some(PreimageKey::local(3)));
    server.answer(&[0xc0, 0xde]).expect("it is read");
    assert_eq!(server.next_key().expect("the end"), None);
    assert_eq!(pipe.heard, hex!("0000000000000002c0de"));

    let said = [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
    let mut pipe = Script::new(&said);
    let mut reader = HintReader::new(&mut pipe);
    assert_eq!(reader.next_hint().expect("a hint"), Some(text.into_bytes().into()));
    reader.acknowledge().expect("it is read");
    assert_eq!(reader.next_hint().expect("the end"), None);
    assert_eq!(pipe.heard, [0]);
}

#[test]
fn an_answer_cut_anywhere_is_an_error_that_says_where() {
    let answer = [8_u64.to_be_bytes(), [7; 8]].concat();
    for cut in 0..answer.len() {
        let mut pipe = Script::new(&answer[..cut]);
        let mut client = OracleClient::new(&mut pipe);
        let error = client.get(PreimageKey::local(1)).expect_err("it is cut");
        let PreimageError::Truncated { wanted: 8, got, .. } = error else { panic!("{error}") };
        assert_eq!(got, cut as u64 % 8, "cut at {cut}");
        let again = client.get(PreimageKey::local(1));
        assert!(matches!(again, Err(PreimageError::OutOfStep)));
    }
    let said = [&4_u32.to_be_bytes(), b"hint".as_slice()].concat();
    for cut in 1..said.len() {
        let mut pipe = Script::new(&said[..cut]);
        let error = HintReader::new(&mut pipe).next_hint().expect_err("it is cut");
        assert!(matches!(error, PreimageError::Truncated { .. }), "cut at {cut}: {error}");
    }
    let key = PreimageKey::local(1).to_bytes();
    for cut in 1..32 {
        let mut pipe = Script::new(&key[..cut]);
        let error = OracleServer::new(&mut pipe).next_key().expect_err("it is cut");
        let PreimageError::Truncated { wanted: 32, got, .. } = error else { panic!("{error}") };
        assert_eq!(got, cut as u64);
    }
}

#[test]
fn announced_lengths_are_held_to_their_limits_and_allocate_nothing() {
    for announced in [MAX_PREIMAGE_BYTES + 1, u64::MAX] {
        let said = announced.to_be_bytes();
        let mut pipe = Script::new(&said);
        let error = OracleClient::new(&mut pipe).get(PreimageKey::local(1)).expect_err("too long");
        let PreimageError::TooLong { bytes, limit, .. } = error else { panic!("{error}") };
        assert_eq!((bytes, limit), (announced, MAX_PREIMAGE_BYTES));
    }
    let said = [&MAX_PREIMAGE_BYTES.to_be_bytes(), b"abc".as_slice()].concat();
    let mut pipe = Script::new(&said);
    let error = OracleClient::new(&mut pipe).get(PreimageKey::local(1)).expect_err("it is cut");
    let PreimageError::Truncated { wanted, got, .. } = error else { panic!("{error}") };
    assert_eq!((wanted, got), (MAX_PREIMAGE_BYTES, 3));

    let said = (MAX_HINT_BYTES + 1).to_be_bytes();
    let mut pipe = Script::new(&said);
    let error = HintReader::new(&mut pipe).next_hint().expect_err("too long");
    assert!(matches!(error, PreimageError::TooLong { .. }), "{error}");

    let input = vec![0; MAX_HINT_BYTES as usize / 2].into();
    let hint = Hint::L1Precompile { address: Default::default(), required_gas: 1, input };
    let mut pipe = Script::new(&[0]);
    let mut writer = HintWriter::new(&mut pipe);
    assert!(matches!(writer.write(&hint), Err(PreimageError::TooLong { .. })));
    writer.write(&Hint::L2Code(B256::ZERO)).expect("nothing was written before");
}

#[test]
fn a_key_of_no_kind_ends_the_service() {
    let said = [[0; 32], PreimageKey::local(1).to_bytes().0].concat();
    let mut pipe = Script::new(&said);
    let mut server = OracleServer::new(&mut pipe);
    assert!(matches!(server.next_key(), Err(PreimageError::Kind(0))));
    assert!(matches!(server.next_key(), Err(PreimageError::OutOfStep)));
    assert!(matches!(server.answer(&[]), Err(PreimageError::OutOfStep)));
}

proptest! {
    #[test]
    fn messages_are_the_same_in_pieces_of_any_size(
        preimage in prop::collection::vec(any::<u8>(), 0..2_000),
        piece in 1_usize..100,
    ) {
        let said = [&(preimage.len() as u64).to_be_bytes(), preimage.as_slice()].concat();
        let mut pipe = Script { piece, ..Script::new(&said) };
        let got = OracleClient::new(&mut pipe).get(PreimageKey::local(1)).expect("it is whole");
        prop_assert_eq!(&got[..], &preimage[..]);
    }

    #[test]
    fn any_bytes_from_the_other_end_are_an_answer_or_an_error(
        said in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..200),
        piece in 1_usize..50,
    ) {
        let mut pipe = Script { piece, ..Script::new(&said) };
        let mut client = OracleClient::new(&mut pipe);
        while client.get(PreimageKey::local(1)).is_ok() {}
        let mut pipe = Script { piece, ..Script::new(&said) };
        let mut server = OracleServer::new(&mut pipe);
        while let Ok(Some(key)) = server.next_key() {
            prop_assert_eq!(PreimageKey::try_from(key.to_bytes()), Ok(key));
        }
        let mut pipe = Script { piece, ..Script::new(&said) };
        let mut reader = HintReader::new(&mut pipe);
        while let Ok(Some(hint)) = reader.next_hint() {
            prop_assert!(hint.len() <= said.len());
        }
    }
}
