//! A union on the L1 in memory: rollups that are sequenced together, super transactions between them,
//! and the owner of the slots.

use super::{
    BLOCK_TIME, Follower, GENESIS_TIME, L1, L1_BLOCK_TIME, L2, L2_CHAIN_ID, Numbers, SharedL1,
    config, l1::Sender, l1::blob_hash, rollup_genesis,
};
use alloy_eips::{
    eip2718::{Decodable2718, Encodable2718},
    eip4844::Blob,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, keccak256};
use lockstep_chain::OpHardfork;
use lockstep_protocol::{
    BatchPosted, Compression, PartEntry, RollupBatch, RollupConfig, SpanBatch, UnionBatch,
    UnionConfig,
};
use lockstep_union::{Call, Message, Part, Return, Step, SuperId};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

/// Where union batches are taken.
pub(crate) const UNION_INBOX: Address = address!("000000000000000000000000000000000001b0c5");
/// Whose deposits are parts.
pub(crate) const PORT: Address = address!("42000000000000000000000000000000000000E1");
const GATE: Address = address!("42000000000000000000000000000000000000E0");
/// The slot of the first L1 block.
pub(crate) const FIRST_SLOT: u64 = 5;
/// Level 6, as batchers use it.
const ZLIB: Compression = Compression::Zlib { level: 6 };

/// The union with rollups of these chain ids.
fn union_config(rollups: usize) -> UnionConfig {
    UnionConfig {
        inbox: UNION_INBOX,
        chains: (L2_CHAIN_ID..).take(rollups).collect(),
        slot_seconds: L1_BLOCK_TIME,
        genesis_time: GENESIS_TIME - FIRST_SLOT * L1_BLOCK_TIME,
        ..UnionConfig::default()
    }
}

/// The L1, the rollups as the gateway has them, and the gateway.
pub(crate) struct UnionWorld {
    pub(crate) configs: Vec<Arc<RollupConfig>>,
    pub(crate) l1: SharedL1,
    pub(crate) l2s: Vec<L2>,
    pub(crate) sender: Sender,
    /// The slot that is being sequenced.
    pub(crate) slot: u64,
    /// The last block that is in a batch.
    pub(crate) posted: u64,
    sequence: u64,
    next_super: u64,
    numbers: Numbers,
}

impl UnionWorld {
    pub(crate) fn new(rollups: usize) -> Self {
        Self::with(rollups, |_| {})
    }

    /// A union of rollups whose configurations are changed.
    pub(crate) fn with(rollups: usize, change: impl Fn(&mut RollupConfig)) -> Self {
        let l1 = SharedL1::new(L1::new());
        let sender = Sender::new(7);
        let genesis = rollup_genesis(l1.borrow().head(), sender.address());
        let configs: Vec<_> = union_config(rollups)
            .chains
            .into_iter()
            .map(|l2_chain_id| {
                let mut config =
                    RollupConfig { l2_chain_id, genesis, ..config(OpHardfork::Jovian) };
                change(&mut config);
                config.union = Some(UnionConfig {
                    block_time: config.block_time,
                    seq_window_size: config.seq_window_size,
                    isthmus_time: config.isthmus_time,
                    jovian_time: config.jovian_time,
                    ..union_config(rollups)
                });
                config.validate().expect("it can be derived");
                Arc::new(config)
            })
            .collect();
        let l2s = configs.iter().map(|config| L2::new(config.clone())).collect();
        let numbers = Numbers(rollups as u64);
        Self {
            configs,
            l1,
            l2s,
            sender,
            slot: FIRST_SLOT,
            posted: 0,
            sequence: 0,
            next_super: 0,
            numbers,
        }
    }

    pub(crate) fn union(&self) -> UnionConfig {
        self.configs[0].union.clone().expect("it is of a union")
    }

    pub(crate) fn head(&self) -> u64 {
        self.l2s[0].head().block.number
    }

    /// Sequences the blocks of the current slot, with random transactions and super transactions.
    pub(crate) fn sequence(&mut self) {
        while self.has_next_block() {
            self.sequence_block();
        }
    }

    /// Sequences the blocks of the current slot without any.
    pub(crate) fn sequence_empty(&mut self) {
        while self.has_next_block() {
            self.sequence_contents(vec![Vec::new(); self.l2s.len()]);
        }
    }

    /// Whether the next block is in the current slot.
    fn has_next_block(&self) -> bool {
        let timestamp = self.l2s[0].head().block.timestamp + BLOCK_TIME;
        timestamp < self.union().slot_start(self.slot + 1)
    }

    fn sequence_block(&mut self) {
        let mut contents: Vec<Vec<Bytes>> =
            self.l2s.iter_mut().map(L2::some_transactions).collect();
        for _ in 0..self.numbers.below(3) {
            self.add_super_transaction(&mut contents);
        }
        self.sequence_contents(contents);
    }

    /// Sequences a block of each rollup.
    pub(crate) fn sequence_contents(&mut self, contents: Vec<Vec<Bytes>>) {
        for (l2, transactions) in self.l2s.iter_mut().zip(contents) {
            l2.sequence(&self.l1.borrow(), transactions);
        }
    }

    /// Adds a super transaction with its parts to the contents of blocks.
    pub(crate) fn add_super_transaction(&mut self, contents: &mut [Vec<Bytes>]) {
        let home = self.numbers.below(self.l2s.len() as u64) as usize;
        for (chain, part) in self.parts(home) {
            let rollup = (chain - L2_CHAIN_ID) as usize;
            let content = &mut contents[rollup];
            // Behind all that is there: super transactions have an order.
            content.push(part_transaction(&part, chain));
            if rollup == home {
                let transaction = self.l2s[rollup].transaction(2);
                content.push(transaction);
            } else if self.numbers.below(2) == 0 {
                content.push(self.l2s[rollup].transaction(0));
            }
        }
    }

    /// The parts of a new super transaction, which calls some peers and is called back.
    pub(crate) fn parts(&mut self, home: usize) -> BTreeMap<u64, Part> {
        let chains: Vec<u64> = self.union().chains.into_iter().collect();
        let id = SuperId { slot: self.slot, index: self.next_super };
        self.next_super += 1;
        let (mut parts, mut number) = (BTreeMap::new(), 0);
        let mut say = |from: u64, to: u64, message: Message| {
            number += 1;
            for (chain, peer, is_sent) in [(from, to, true), (to, from, false)] {
                let (home, origin) = (chains[home], Address::repeat_byte(3));
                let part = parts.entry(chain).or_insert(Part {
                    id,
                    home,
                    origin,
                    gas_limit: 0,
                    steps: vec![],
                });
                let message = message.clone();
                part.steps.push(Step { index: number, peer, is_sent, message });
            }
        };
        let home = chains[home];
        for peer in chains.iter().copied().filter(|peer| *peer != home) {
            let size = self.numbers.below(90) as usize;
            let input: Bytes = self.numbers.bytes(size).into();
            say(home, peer, call(input.clone(), 1));
            if self.numbers.below(2) == 0 {
                say(peer, home, call(input.clone(), 2));
                say(home, peer, back(input.clone()));
            }
            say(peer, home, back(input));
        }
        parts
    }

    /// The blocks of a rollup.
    pub(crate) fn rollup_batch(&self, rollup: usize, range: RangeInclusive<u64>) -> RollupBatch {
        let (config, l2) = (&self.configs[rollup], &self.l2s[rollup]);
        let starts_epoch = l2.block(*range.start()).info.sequence_number == 0;
        let (mut blocks, mut parts) = (Vec::new(), Vec::new());
        for (block, number) in (0..).zip(range) {
            let mut position = 0;
            for raw in l2.block(number).attributes.transactions.iter().flatten() {
                match OpTxEnvelope::decode_2718_exact(raw).expect("blocks are valid") {
                    OpTxEnvelope::Deposit(deposit) if deposit.from == PORT => {
                        let part = deposit.input.clone();
                        parts.push(PartEntry { block, position, part });
                    }
                    OpTxEnvelope::Deposit(_) => {}
                    _ => position += 1,
                }
            }
            blocks.push(l2.batch(number));
        }
        let span = SpanBatch::from_blocks(&blocks, starts_epoch).expect("there are blocks");
        let union = config.union.as_ref().expect("it is of a union");
        RollupBatch::new(config.l2_chain_id, &span, parts, union)
            .expect("the blocks follow each other")
    }

    /// What is not posted yet, as the batch of the current slot.
    pub(crate) fn batch(&self) -> UnionBatch {
        self.batch_of(self.posted + 1..=self.head())
    }

    /// These blocks, as the batch of the current slot.
    pub(crate) fn batch_of(&self, range: RangeInclusive<u64>) -> UnionBatch {
        let rollup = |rollup| self.rollup_batch(rollup, range.clone());
        UnionBatch { slot: self.slot, rollups: (0..self.l2s.len()).map(rollup).collect() }
    }

    /// Posts a batch, for the slot that it names.
    pub(crate) fn post(&mut self, batch: &UnionBatch) {
        let blobs = batch.to_blobs(ZLIB).expect("it is in order");
        self.post_blobs(batch.slot, blobs);
    }

    /// Posts blobs for a slot.
    pub(crate) fn post_blobs(&mut self, slot: u64, blobs: Vec<Box<Blob>>) {
        let blob_hashes = blobs.iter().map(|blob| blob_hash(blob)).collect();
        let transaction = self.sender.blobs(&blobs, Vec::new());
        self.l1.borrow_mut().send_blobs(transaction, blobs);
        self.announce(slot, blob_hashes);
    }

    /// Announces a batch in these blobs.
    pub(crate) fn announce(&mut self, slot: u64, blob_hashes: Vec<B256>) {
        let event = self.event(slot, blob_hashes);
        self.l1.borrow_mut().log(event.to_log(UNION_INBOX));
    }

    pub(crate) fn event(&mut self, slot: u64, blob_hashes: Vec<B256>) -> BatchPosted {
        self.sequence += 1;
        BatchPosted {
            slot,
            owner: Address::repeat_byte(4),
            sequence: self.sequence - 1,
            owner_slot: slot,
            batch_hash: B256::repeat_byte(5),
            parent: B256::repeat_byte(6),
            blob_hashes,
        }
    }

    /// Posts what is not posted yet.
    pub(crate) fn post_slot(&mut self) {
        self.post(&self.batch());
        self.posted = self.head();
    }

    /// Goes to the next slot, whose L1 block is mined.
    pub(crate) fn next_slot(&mut self) {
        self.slot += 1;
        self.next_super = 0;
        self.l1.borrow_mut().mine();
    }

    /// Sequences and posts whole slots.
    pub(crate) fn run_slots(&mut self, count: usize) {
        for _ in 0..count {
            self.sequence();
            self.post_slot();
            self.next_slot();
        }
    }

    /// Followers of all rollups, that begin at genesis.
    pub(crate) fn followers(&self) -> Vec<Follower> {
        self.configs.iter().map(|config| Follower::new(config.clone(), &self.l1)).collect()
    }

    /// Derives each rollup on its own, and holds it against what was sequenced up to `safe`.
    #[track_caller]
    pub(crate) fn assert_derives_up_to(&self, safe: u64) -> Vec<Follower> {
        let mut followers = self.followers();
        for (follower, l2) in followers.iter_mut().zip(&self.l2s) {
            follower.run();
            follower.assert_is(l2, safe);
        }
        followers
    }

    /// The same; and all followers dropped exactly this.
    #[track_caller]
    pub(crate) fn assert_drops(&self, safe: u64, drops: &[(&str, u64)]) {
        for follower in self.assert_derives_up_to(safe) {
            assert_eq!(follower.drops(), drops);
        }
    }
}

pub(crate) fn call(input: Bytes, depth: u32) -> Message {
    Message::Call(Call {
        from: Address::repeat_byte(1),
        to: Address::repeat_byte(2),
        value: U256::from(5),
        gas: 90_000,
        base_fee: 7,
        is_static: false,
        depth,
        input,
    })
}

pub(crate) fn back(output: Bytes) -> Message {
    Message::Return(Return { success: true, gas_used: 21_000, output })
}

/// A part as it stands in a block.
pub(crate) fn part_transaction(part: &Part, chain: u64) -> Bytes {
    let word = |value: u64| B256::from(U256::from(value));
    let id = keccak256([word(part.id.slot), word(part.id.index)].concat());
    let deposit = TxDeposit {
        source_hash: keccak256([word(0x4c53), id].concat()),
        from: PORT,
        to: TxKind::Call(if part.home == chain { PORT } else { GATE }),
        gas_limit: part.gas_limit,
        input: alloy_rlp::encode(part).into(),
        ..TxDeposit::default()
    };
    deposit.encoded_2718().into()
}

/// The part that an entry holds.
pub(crate) fn decode_part(entry: &PartEntry) -> Part {
    Part::decode(&mut entry.part.as_ref(), usize::MAX).expect("it was encoded")
}

/// Changes a part in its entry.
pub(crate) fn change_part(entry: &mut PartEntry, change: impl FnOnce(&mut Part)) {
    let mut part = decode_part(entry);
    change(&mut part);
    entry.part = alloy_rlp::encode(part).into();
}
