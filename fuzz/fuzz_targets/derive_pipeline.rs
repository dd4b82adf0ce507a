//! A hostile batcher: whatever it sends, the pipeline derives something or nothing, but it does not
//! panic, and it comes to an end.
//!
//! Input: a byte for the fork, then items, each a byte for its kind, two for its length, and its data.
//! An item becomes a blob of the batcher: its data as it is, as one frame, as the data of a channel
//! that is stored uncompressed, or as a batch in such a channel. Every fourth item is in another L1
//! block.

#![no_main]

use alloy_consensus::{
    Header, ReceiptEnvelope, SignableTransaction, TxEip4844, TxEnvelope,
    transaction::SignerRecoverable,
};
use alloy_eips::{BlockNumHash, eip2718::Decodable2718, eip4844::Blob};
use alloy_primitives::{Address, B256, Signature, U256, keccak256};
use libfuzzer_sys::fuzz_target;
use lockstep_chain::{Block, Ethereum, EthereumHardfork, ForkSchedule, Rollup};
use lockstep_derive::{
    BlobProvider, DeriveError, DerivedAttributes, IndexedBlobHash, L1Provider, L2Provider,
    Pipeline, Step,
};
use lockstep_protocol::{
    BlockInfo, Compression, Frame, L1Attributes, L2BlockInfo, RollupConfig, RollupGenesis,
    SystemConfig, compress_channel, encode_blob, encode_frames, put_batch,
};
use op_alloy_consensus::OpTxEnvelope;
use std::{convert::Infallible, sync::Arc};

const INBOX: Address = Address::repeat_byte(0xff);
const GENESIS_TIME: u64 = 1_000;
const MAX_ITEMS: usize = 16;
const PER_BLOCK: usize = 4;
const WINDOW: u64 = 8;
/// Far more than any input needs.
const MAX_STEPS: usize = 100_000;

fuzz_target!(|bytes: &[u8]| {
    let Some((fork, bytes)) = bytes.split_first() else { return };
    let items = items(bytes);
    let world = World::new(&items, *fork);
    let head = L2BlockInfo {
        block: BlockInfo {
            hash: keccak256(0_u64.to_be_bytes()),
            timestamp: GENESIS_TIME,
            ..BlockInfo::default()
        },
        l1_origin: world.l1_block(0).id(),
        sequence_number: 0,
    };
    let chain = Ethereum::new(1, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Osaka));
    let config = Arc::new(world.config.clone());
    let (l1, blobs, l2) = (world.clone(), world.clone(), world);
    run(Pipeline::new(config, Arc::new(chain), l1, blobs, l2, head), head);
});

fn run(mut pipeline: Pipeline<World, World, World>, mut head: L2BlockInfo) {
    for _ in 0..MAX_STEPS {
        match pipeline.step(&head) {
            Ok(Step::Attributes(derived)) => head = execute(&derived),
            Ok(Step::Idle) => return,
            Ok(Step::Advanced(_) | Step::Progress) => {}
            // Blocks on a made-up chain need not fit together.
            Err(error) => {
                let is_allowed = matches!(error, DeriveError::OriginMismatch { .. });
                assert!(is_allowed, "a batcher must not cause an error: {error}");
                return;
            }
        }
    }
    panic!("no end after {MAX_STEPS} steps");
}

/// The block that attributes lead to.
fn execute(derived: &DerivedAttributes) -> L2BlockInfo {
    let transactions = derived.attributes.transactions.as_ref().expect("derived blocks list them");
    let first = transactions.first().expect("the L1 attributes come first");
    let Ok(OpTxEnvelope::Deposit(deposit)) = OpTxEnvelope::decode_2718_exact(first) else {
        panic!("the L1 attributes are a deposit")
    };
    let origin = L1Attributes::decode(&deposit.input).expect("they are well formed");
    let number = derived.parent.block.number + 1;
    L2BlockInfo {
        block: BlockInfo {
            hash: keccak256(number.to_be_bytes()),
            number,
            parent_hash: derived.parent.block.hash,
            timestamp: derived.attributes.payload_attributes.timestamp,
        },
        l1_origin: BlockNumHash { number: origin.number, hash: origin.hash },
        sequence_number: origin.sequence_number,
    }
}

/// The blobs that the input describes.
fn items(mut bytes: &[u8]) -> Vec<Box<Blob>> {
    let mut blobs = Vec::new();
    while let Some(([kind, high, low], rest)) = bytes.split_first_chunk::<3>()
        && blobs.len() < MAX_ITEMS
    {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (data, rest) = rest.split_at(len);
        bytes = rest;
        let frame = |data: Vec<u8>, number: u8, is_last| {
            encode_frames(&[Frame {
                channel: [kind >> 6; 16].into(),
                number: number.into(),
                data: data.into(),
                is_last,
            }])
        };
        let stored = |data: &[u8]| compress_channel(Compression::Zlib { level: 0 }, data);
        let data = match kind & 3 {
            0 => data.to_vec(),
            1 => frame(data.to_vec(), kind >> 2 & 3, kind & 0x20 != 0),
            2 => frame(stored(data), 0, true),
            _ => {
                let mut batch = Vec::new();
                put_batch(data, &mut batch);
                frame(stored(&batch), 0, true)
            }
        };
        blobs.extend(encode_blob(&data));
    }
    blobs
}

/// The chains around the batcher. All is made up but the blobs.
#[derive(Clone)]
struct World {
    config: RollupConfig,
    blobs: Vec<Box<Blob>>,
    last: u64,
}

impl World {
    fn new(blobs: &[Box<Blob>], fork: u8) -> Self {
        let at = |index: u8| (fork & 0x0f >= index).then_some(0);
        let holocene = if fork & 0x10 == 0 { at(5) } else { Some(GENESIS_TIME + 30) };
        let mut config = RollupConfig {
            block_time: 2,
            max_sequencer_drift: 20,
            seq_window_size: WINDOW,
            channel_timeout: 3,
            l1_chain_id: 1,
            l2_chain_id: 2,
            regolith_time: Some(0),
            canyon_time: at(1),
            delta_time: at(1),
            ecotone_time: Some(0),
            fjord_time: at(3),
            granite_time: at(4),
            holocene_time: holocene,
            isthmus_time: at(6),
            jovian_time: at(7),
            batch_inbox_address: INBOX,
            ..RollupConfig::default()
        };
        let batcher = transaction().recover_signer().expect("one is on the curve");
        config.genesis = RollupGenesis {
            l1: BlockNumHash::default(),
            l2: BlockNumHash { number: 0, hash: keccak256(0_u64.to_be_bytes()) },
            l2_time: GENESIS_TIME,
            system_config: SystemConfig {
                batcher_address: batcher,
                gas_limit: 30_000_000,
                scalar: U256::from(1) << 248,
                ..SystemConfig::default()
            },
        };
        let last = (blobs.len() / PER_BLOCK) as u64 + 2 * WINDOW;
        Self { config, blobs: blobs.to_vec(), last }
    }

    fn l1_block(&self, number: u64) -> BlockInfo {
        let hash = |number: u64| B256::from(U256::from(number + 1));
        BlockInfo {
            hash: hash(number),
            number,
            parent_hash: number.checked_sub(1).map(hash).unwrap_or_default(),
            timestamp: GENESIS_TIME + 12 * number,
        }
    }

    fn number(hash: B256) -> u64 {
        U256::from_be_bytes(hash.0).saturating_to::<u64>().saturating_sub(1)
    }
}

/// A transaction whose signature is none of anybody's: it has one sender all the same, as long as the
/// transaction does not change.
fn transaction() -> TxEnvelope {
    let transaction = TxEip4844 {
        chain_id: 1,
        to: INBOX,
        blob_versioned_hashes: vec![B256::with_last_byte(1)],
        ..TxEip4844::default()
    };
    transaction.into_signed(Signature::new(U256::ONE, U256::ONE, false)).into()
}

impl L1Provider for World {
    type Error = Infallible;

    fn header_by_hash(&mut self, hash: B256) -> Result<Header, Infallible> {
        let block = self.l1_block(Self::number(hash));
        Ok(Header {
            number: block.number,
            parent_hash: block.parent_hash,
            timestamp: block.timestamp,
            base_fee_per_gas: Some(7),
            excess_blob_gas: Some(0),
            ..Header::default()
        })
    }

    fn block_by_number(&mut self, number: u64) -> Result<Option<BlockInfo>, Infallible> {
        Ok((number <= self.last).then(|| self.l1_block(number)))
    }

    fn receipts(&mut self, _: B256) -> Result<Vec<ReceiptEnvelope>, Infallible> {
        Ok(Vec::new())
    }

    fn transactions(&mut self, hash: B256) -> Result<(BlockInfo, Vec<TxEnvelope>), Infallible> {
        let number = Self::number(hash);
        let begin = (number.saturating_sub(1) as usize).saturating_mul(PER_BLOCK);
        let count = self.blobs.len().saturating_sub(begin).min(PER_BLOCK);
        let count = if number == 0 { 0 } else { count };
        Ok((self.l1_block(number), vec![transaction(); count]))
    }
}

impl BlobProvider for World {
    type Error = Infallible;

    fn blobs(
        &mut self,
        block: &BlockInfo,
        hashes: &[IndexedBlobHash],
    ) -> Result<Vec<Box<Blob>>, Infallible> {
        let begin = block.number.saturating_sub(1) as usize * PER_BLOCK;
        let wanted = |hash: &IndexedBlobHash| self.blobs.get(begin + hash.index as usize).cloned();
        Ok(hashes.iter().filter_map(wanted).collect())
    }
}

impl L2Provider for World {
    type Error = Infallible;

    fn block_info(&mut self, number: u64) -> Result<L2BlockInfo, Infallible> {
        let hash = |number: u64| keccak256(number.to_be_bytes());
        Ok(L2BlockInfo {
            block: BlockInfo {
                hash: hash(number),
                number,
                parent_hash: number.checked_sub(1).map(hash).unwrap_or_default(),
                timestamp: GENESIS_TIME + 2 * number,
            },
            l1_origin: self.l1_block(number / 6).id(),
            sequence_number: number % 6,
        })
    }

    fn block(&mut self, _: u64) -> Result<Block<Rollup>, Infallible> {
        Ok(Header::default().into_block(Default::default()))
    }

    fn system_config(&mut self, _: u64) -> Result<SystemConfig, Infallible> {
        Ok(self.config.genesis.system_config)
    }
}
