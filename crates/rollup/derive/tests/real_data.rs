//! OP Mainnet's own batches (`op-blocks/derivation` of the shared fixtures), from the L1 transaction to
//! the attributes. Their truth is what a separate decoder made of them, where every signature recovers
//! and every nonce follows the one before.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope, transaction::SignerRecoverable};
use alloy_eips::{BlockNumHash, eip2718::Decodable2718, eip4844::Blob};
use alloy_primitives::{Address, B256, Bytes, address, keccak256};
use common::{Batcher, INBOX};
use lockstep_chain::{Block, Ethereum, Rollup};
use lockstep_derive::{
    BlobProvider, IndexedBlobHash, L1Provider, L2Provider, Pipeline, ProviderError, Severity, Step,
};
use lockstep_protocol::{
    BlockInfo, L2BlockInfo, RollupConfig, RollupGenesis, SystemConfig, encode_blob, encode_frames,
};
use op_alloy_consensus::OpTxEnvelope;
use serde_json::Value;
use std::{cell::RefCell, collections::HashMap, path::PathBuf, rc::Rc, sync::Arc};

/// OP Mainnet's batcher and inbox.
const BATCHER: Address = address!("6887246668a3b87F54DeB3b94Ba47a6f63F32985");
const MAINNET_INBOX: Address = address!("ff00000000000000000000000000000000000010");
const GENESIS_TIME: u64 = 1_686_068_903;
const GENESIS_NUMBER: u64 = 105_235_063;
/// Rollup blocks for each L1 block.
const PER_EPOCH: u64 = 6;
/// How many L1 blocks after its last origin the batch is included.
const INCLUDED_AFTER: u64 = 5;

fn fixtures() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests find the fixtures by the environment")]
    let Ok(path) = std::env::var("LOCKSTEP_FIXTURES") else {
        eprintln!("skipped: set LOCKSTEP_FIXTURES to the folder with the fixtures");
        return None;
    };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..").join(path);
    Some(path.join("op-blocks/derivation"))
}

#[derive(Debug)]
struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Missing {}

impl ProviderError for Missing {
    fn severity(&self) -> Severity {
        Severity::Critical
    }
}

/// The chains around a real span batch. Of their hashes only 20 bytes are known, and nothing else needs
/// to be real.
#[derive(Clone, Debug)]
struct World {
    config: RollupConfig,
    /// The block that the span builds on.
    parent: L2BlockInfo,
    headers: HashMap<B256, Header>,
    hashes: HashMap<u64, B256>,
    included: u64,
    transactions: Vec<TxEnvelope>,
    blobs: Vec<Box<Blob>>,
    /// What was derived.
    derived: Rc<RefCell<Vec<L2BlockInfo>>>,
    batcher: Address,
}

impl World {
    fn new(span: &Value, config: RollupConfig, batcher: Address) -> Self {
        let number = |key: &str| span[key].as_u64().expect("the fixture has the number");
        let check = |key: &str| -> B256 {
            let text = span[key].as_str().expect("the fixture has the hash");
            let check: alloy_primitives::FixedBytes<20> = text.parse().expect("it is a hash");
            B256::right_padding_from(check.as_slice())
        };
        let timestamp = number("rel_timestamp") + GENESIS_TIME;
        let (last, bits) = (number("l1_origin_num"), number("origin_bits_set"));
        let starts = u64::from(span["origin_bits"].as_str().unwrap().starts_with('1'));
        let parent_origin = last - bits;
        assert_eq!(starts, 0, "the fixtures begin within an epoch");
        let included = last + INCLUDED_AFTER;
        let (mut headers, mut hashes, mut parent_hash) =
            (HashMap::new(), HashMap::new(), B256::ZERO);
        for number in parent_origin - 310..=included + 1 {
            let header = Header {
                number,
                parent_hash,
                // The blocks of the span's epochs come as the origin bits need them.
                timestamp: (timestamp - 12 + 12 * (number + 400 - parent_origin)) - 4_800,
                base_fee_per_gas: Some(7),
                excess_blob_gas: Some(0),
                parent_beacon_block_root: Some(B256::ZERO),
                ..Header::default()
            };
            let hash = if number == last {
                check("l1_origin_check")
            } else {
                keccak256(number.to_be_bytes())
            };
            parent_hash = hash;
            headers.insert(hash, header);
            hashes.insert(number, hash);
        }
        let parent = L2BlockInfo {
            block: BlockInfo {
                hash: check("parent_check"),
                number: GENESIS_NUMBER + number("rel_timestamp") / 2 - 1,
                parent_hash: B256::ZERO,
                timestamp: timestamp - 2,
            },
            l1_origin: BlockNumHash { number: parent_origin, hash: hashes[&parent_origin] },
            sequence_number: PER_EPOCH - 1,
        };
        Self {
            config,
            parent,
            headers,
            hashes,
            included,
            transactions: Vec::new(),
            blobs: Vec::new(),
            derived: Rc::default(),
            batcher,
        }
    }

    fn l1_block(&self, number: u64) -> Option<BlockInfo> {
        let hash = *self.hashes.get(&number)?;
        Some(BlockInfo::from_header(&self.headers[&hash], hash))
    }
}

impl L1Provider for World {
    type Error = Missing;

    fn header_by_hash(&mut self, hash: B256) -> Result<Header, Missing> {
        self.headers.get(&hash).cloned().ok_or_else(|| Missing(format!("L1 block {hash}")))
    }

    fn block_by_number(&mut self, number: u64) -> Result<Option<BlockInfo>, Missing> {
        Ok(self.l1_block(number))
    }

    fn receipts(&mut self, _: B256) -> Result<Vec<ReceiptEnvelope>, Missing> {
        Ok(Vec::new())
    }

    fn transactions(&mut self, hash: B256) -> Result<(BlockInfo, Vec<TxEnvelope>), Missing> {
        let number = self.header_by_hash(hash)?.number;
        let transactions =
            if number == self.included { self.transactions.clone() } else { Vec::new() };
        Ok((self.l1_block(number).expect("it has a header"), transactions))
    }
}

impl BlobProvider for World {
    type Error = Missing;

    fn blobs(
        &mut self,
        _: &BlockInfo,
        hashes: &[IndexedBlobHash],
    ) -> Result<Vec<Box<Blob>>, Missing> {
        Ok(hashes.iter().map(|wanted| self.blobs[wanted.index as usize].clone()).collect())
    }
}

impl L2Provider for World {
    type Error = Missing;

    fn block_info(&mut self, number: u64) -> Result<L2BlockInfo, Missing> {
        let back = self.parent.block.number - number;
        let origin = self.parent.l1_origin.number - back.div_ceil(PER_EPOCH);
        let mut info = self.parent;
        info.block.number = number;
        info.block.timestamp -= 2 * back;
        info.block.hash = keccak256(number.to_be_bytes());
        info.l1_origin = BlockNumHash { number: origin, hash: self.hashes[&origin] };
        Ok(info)
    }

    fn block(&mut self, number: u64) -> Result<Block<Rollup>, Missing> {
        Err(Missing(format!("block {number}: nothing overlaps")))
    }

    fn system_config(&mut self, _: u64) -> Result<SystemConfig, Missing> {
        Ok(SystemConfig { batcher_address: self.batcher, ..self.config.genesis.system_config })
    }
}

/// OP Mainnet, as far as these batches need it.
fn config(inbox: Address) -> RollupConfig {
    RollupConfig {
        genesis: RollupGenesis {
            l1: BlockNumHash { number: 17_422_590, hash: B256::ZERO },
            l2: BlockNumHash { number: GENESIS_NUMBER, hash: B256::ZERO },
            l2_time: GENESIS_TIME,
            system_config: SystemConfig {
                batcher_address: BATCHER,
                gas_limit: 30_000_000,
                scalar: alloy_primitives::U256::from(1) << 248,
                ..SystemConfig::default()
            },
        },
        block_time: 2,
        max_sequencer_drift: 600,
        seq_window_size: 3_600,
        channel_timeout: 300,
        l1_chain_id: 1,
        l2_chain_id: 10,
        regolith_time: Some(0),
        canyon_time: Some(1_704_992_401),
        delta_time: Some(1_708_560_000),
        ecotone_time: Some(1_710_374_401),
        fjord_time: Some(1_720_627_201),
        batch_inbox_address: inbox,
        ..RollupConfig::default()
    }
}

/// Derives the world's batch and holds each block against what the other decoder found.
fn assert_derives(world: &World, blocks: &Value) {
    let providers = || (world.clone(), world.clone(), world.clone());
    let (l1, blobs, l2) = providers();
    let chain = Arc::new(Ethereum::mainnet());
    let mut head = world.parent;
    let mut pipeline = Pipeline::new(Arc::new(world.config.clone()), chain, l1, blobs, l2, head);
    let blocks = blocks.as_array().expect("it is a list");
    let mut expected = blocks.iter();
    for _ in 0..10_000 {
        match pipeline.step(&head).expect("everything is there") {
            Step::Attributes(derived) => {
                let block = expected.next().expect("there are no more blocks than that");
                let timestamp = derived.attributes.payload_attributes.timestamp;
                assert_eq!(Some(timestamp), block["timestamp"].as_u64());
                let transactions = derived.attributes.transactions.as_ref().unwrap();
                assert_eq!(Some(transactions.len() as u64 - 1), block["tx_count"].as_u64());
                assert_transactions(&transactions[1..], block);
                let origin = head.l1_origin.number + block["origin_bit"].as_u64().unwrap();
                assert_eq!(derived.derived_from.number, world.included);
                head = L2BlockInfo {
                    block: BlockInfo {
                        hash: keccak256(timestamp.to_be_bytes()),
                        number: head.block.number + 1,
                        parent_hash: head.block.hash,
                        timestamp,
                    },
                    l1_origin: BlockNumHash { number: origin, hash: world.hashes[&origin] },
                    sequence_number: 0,
                };
                world.derived.borrow_mut().push(head);
            }
            Step::Idle => break,
            Step::Advanced(_) | Step::Progress => {}
        }
    }
    assert_eq!(expected.count(), 0, "dropped: {:?}", pipeline.dropped());
    assert_eq!(world.derived.borrow().len(), blocks.len());
    assert_eq!(pipeline.dropped().total(), 0);
}

fn assert_transactions(transactions: &[Bytes], block: &Value) {
    for (index, raw) in transactions.iter().enumerate() {
        let hash = keccak256(raw).to_string();
        assert_eq!(Some(hash.as_str()), block["tx_hashes"][index].as_str());
        let transaction = OpTxEnvelope::decode_2718_exact(raw).expect("it is a transaction");
        let sender = transaction.recover_signer().expect("its signature is valid");
        let expected = block["senders"][index].as_str().expect("the fixture has senders");
        assert_eq!(sender, expected.parse::<Address>().expect("it is an address"));
    }
}

fn read(folder: &std::path::Path, name: &str) -> Vec<u8> {
    let bytes = std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    if name.ends_with(".zst") {
        return zstd::decode_all(bytes.as_slice()).expect("it is compressed");
    }
    bytes
}

fn json(folder: &std::path::Path, name: &str) -> Value {
    serde_json::from_slice(&read(folder, name)).expect("it is JSON")
}

#[test]
fn a_batcher_transaction_of_op_mainnet_is_derived() {
    let Some(folder) = fixtures() else { return };
    let expected = json(&folder, "expected.json");
    let span = &expected["raw_batcher_tx"]["batches"][0];
    let mut world = World::new(span, config(MAINNET_INBOX), BATCHER);
    let raw = read(&folder, "raw_batcher_tx.bin");
    let transaction = TxEnvelope::decode_2718_exact(&raw).expect("it is a transaction");
    world.transactions.push(transaction);
    assert_derives(&world, &json(&folder, "raw_batcher_tx.blocks.json.zst"));
}

/// The channel came without its frames, so a batcher of ours sends it, as blobs and as calldata.
#[test]
fn a_channel_of_op_mainnet_is_derived() {
    let Some(folder) = fixtures() else { return };
    let expected = json(&folder, "expected.json");
    let span = &expected["channel_compressed"]["batches"][0];
    let text = read(&folder, "channel_compressed.hex.zst");
    let text = String::from_utf8(text).expect("it is text");
    let channel = alloy_primitives::hex::decode(text.trim()).expect("it is hexadecimal");
    let blocks = json(&folder, "channel_compressed.blocks.json.zst");
    for blobs in [true, false] {
        let mut batcher = Batcher::new(7);
        let mut world = World::new(span, config(INBOX), batcher.address());
        for frame in batcher.frames(&channel, 100_000) {
            let data = encode_frames(&[frame]);
            if blobs {
                let blob = encode_blob(&data).expect("the frame fits");
                world
                    .transactions
                    .push(batcher.sender.blobs(std::slice::from_ref(&blob), Vec::new()));
                world.blobs.push(blob);
            } else {
                world.transactions.push(batcher.sender.calldata(INBOX, data));
            }
        }
        assert_derives(&world, &blocks);
    }
}
