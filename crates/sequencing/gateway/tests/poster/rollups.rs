//! The union's rollups: what the gateway makes of them, and what is derived from the batches on L1.

use crate::{
    blocks::{
        BLOCK_TIME, CHAINS, GENESIS_TIME, SEQ_WINDOW, SLOT_SECONDS, config, first_block, is_empty,
        next_block, super_transaction, transaction, union,
    },
    l1::{Accepted, SimBlock, SimL1},
    rng::Rng,
};
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, Bytes, keccak256};
use lockstep_batcher::{UnionBlock, build_union_batch};
use lockstep_derive::open_union_batch;
use lockstep_protocol::{Compression, RollupConfig};
use lockstep_union::SuperId;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// A rollup loses what is not on L1 after so many seconds, and goes on with empty blocks.
pub(crate) const WINDOW_SECONDS: u64 = SEQ_WINDOW * SLOT_SECONDS;

type Chain = Vec<Arc<UnionBlock>>;

/// What is derived up to an L1 block.
#[derive(Clone, Debug)]
pub(crate) struct Safe {
    pub(crate) chains: [Chain; 2],
    /// Batches of ours that were dropped, for some rollup.
    pub(crate) dropped: usize,
}

#[derive(Debug)]
pub(crate) struct Rollups {
    configs: [Arc<RollupConfig>; 2],
    /// With unsafe blocks.
    pub(crate) chains: [Chain; 2],
    /// By L1 block.
    derived: HashMap<B256, Safe>,
    /// Until when a rollup makes no blocks.
    stalled_until: [u64; 2],
    unique: u64,
    /// Super transactions of a slot.
    supers: (u64, u64),
    /// Bytes of a transaction that is in no other block, to fill slots.
    pub(crate) ballast: usize,
    /// A rollup loses what is not on L1 after so many seconds, and goes on with empty blocks.
    pub(crate) window_seconds: u64,
    /// Users' transactions that derivation took away, without a word.
    pub(crate) taken_away: usize,
    /// Those that the gateway took back, loudly.
    pub(crate) given_up: usize,
    /// Those that were shown.
    pub(crate) shown: usize,
}

impl Rollups {
    pub(crate) fn new() -> Self {
        let genesis = CHAINS.map(|chain| vec![Arc::new(first_block(chain))]);
        Self {
            configs: CHAINS.map(config),
            chains: genesis,
            derived: HashMap::new(),
            stalled_until: [0; 2],
            unique: 0,
            supers: (0, 0),
            ballast: 0,
            window_seconds: WINDOW_SECONDS,
            taken_away: 0,
            given_up: 0,
            shown: 0,
        }
    }

    pub(crate) fn config(&self, rollup: usize) -> Arc<RollupConfig> {
        self.configs[rollup].clone()
    }

    /// What is derived up to the canonical L1 block `number`.
    pub(crate) fn derive(&mut self, l1: &SimL1, number: u64) -> Safe {
        let known = (0..=number as usize)
            .rev()
            .find(|at| self.derived.contains_key(&l1.blocks[*at].id.hash));
        let mut safe = match known {
            Some(at) => self.derived[&l1.blocks[at].id.hash].clone(),
            None => {
                let chains = CHAINS.map(|chain| vec![Arc::new(first_block(chain))]);
                Safe { chains, dropped: 0 }
            }
        };
        let begin = known.map_or(0, |at| at + 1);
        for block in &l1.blocks[begin..=number as usize] {
            self.derive_block(block, &mut safe);
            self.derived.insert(block.id.hash, safe.clone());
        }
        safe
    }

    fn derive_block(&self, block: &SimBlock, safe: &mut Safe) {
        for accepted in &block.accepted {
            // As followers do for all rollups, if the blocks of one come too late.
            if self.is_too_late(accepted, block.id.number) {
                safe.dropped += usize::from(accepted.is_ours);
                continue;
            }
            for (rollup, chain) in safe.chains.iter_mut().enumerate() {
                let is_good = self.derive_batch(accepted, rollup, chain);
                safe.dropped += usize::from(!is_good && accepted.is_ours);
            }
        }
        for chain in &mut safe.chains {
            let window = self.window_seconds;
            let slot_of = |timestamp: u64| (timestamp - GENESIS_TIME) / SLOT_SECONDS;
            let next = |chain: &Chain| chain.last().unwrap().block.timestamp + BLOCK_TIME;
            while slot_of(next(chain)) + window / SLOT_SECONDS <= slot_of(block.timestamp) {
                chain.push(Arc::new(next_block(chain.last().unwrap(), &[])));
            }
        }
    }

    fn is_too_late(&self, accepted: &Accepted, number: u64) -> bool {
        let window = self.window_seconds / SLOT_SECONDS;
        self.configs.iter().any(|config| {
            let opened = open_union_batch(&accepted.data, accepted.slot, config, &union());
            opened.unwrap().is_some_and(|span| span.blocks[0].epoch_num + window < number)
        })
    }

    /// Whether all of a rollup's blocks are safe afterwards.
    fn derive_batch(&self, accepted: &Accepted, rollup: usize, chain: &mut Chain) -> bool {
        let opened =
            open_union_batch(&accepted.data, accepted.slot, &self.configs[rollup], &union());
        let Some(span) = opened.expect("no gateway posts what all followers drop") else {
            return true;
        };
        let first = span.blocks[0].timestamp;
        let parent = chain.iter().position(|it| it.block.timestamp + BLOCK_TIME == first);
        let Some(parent) = parent.filter(|at| span.matches_parent(chain[*at].block.hash)) else {
            return false;
        };
        for (at, block) in (parent + 1..).zip(&span.blocks) {
            let next = next_block(&chain[at - 1], &block.transactions);
            assert_eq!(next.block.timestamp, block.timestamp);
            match chain.get(at) {
                Some(known) if known.block.hash == next.block.hash => {}
                Some(_) => return false,
                None => chain.push(Arc::new(next)),
            }
        }
        true
    }

    /// Takes over what is derived where it is not what was made. What one rollup loses its peers lose too, since
    /// they may have called each other.
    pub(crate) fn follow(&mut self, safe: &Safe) {
        let before = self.contents();
        let mut lost_from = u64::MAX;
        for (chain, safe) in self.chains.iter_mut().zip(&safe.chains) {
            let tip = safe.last().unwrap();
            if chain.get(safe.len() - 1).is_none_or(|block| block.block.hash != tip.block.hash) {
                let common = chain.iter().zip(safe).take_while(|(made, derived)| made == derived);
                let common = common.count();
                // Who only goes on without the gateway loses nothing.
                if common < chain.len() {
                    let first = chain[0].block.timestamp + common as u64 * BLOCK_TIME;
                    lost_from = lost_from.min(first);
                }
                *chain = safe.clone();
            }
        }
        for (chain, safe) in self.chains.iter_mut().zip(&safe.chains) {
            let kept = chain.partition_point(|block| block.block.timestamp < lost_from);
            chain.truncate(kept.max(safe.len()));
        }
        self.taken_away += before.saturating_sub(self.contents());
    }

    /// How many transactions of users there are.
    fn contents(&self) -> usize {
        let blocks = self.chains.iter().flatten();
        blocks.map(|block| block.block.transactions.len()).sum()
    }

    /// Takes blocks of a rollup back, because the gateway says so.
    pub(crate) fn rewind(&mut self, rollup: usize, to: BlockNumHash) {
        let chain = &mut self.chains[rollup];
        let at = chain.iter().position(|block| block.block.id() == to).unwrap();
        let lost = chain.split_off(at + 1);
        self.given_up += lost.iter().map(|block| block.block.transactions.len()).sum::<usize>();
    }

    /// When the next blocks are to be made for, if they are due at `now`.
    pub(crate) fn due(&self, now: u64) -> Option<u64> {
        let next = |chain: &Chain| chain.last().unwrap().block.timestamp + BLOCK_TIME;
        let due = (0..2).filter(|rollup| now >= self.stalled_until[*rollup]);
        due.map(|it| next(&self.chains[it])).min().filter(|timestamp| *timestamp <= now)
    }

    /// Makes the blocks of a time, as a gateway does: with transactions if `is_open`, and no rollup is ahead.
    pub(crate) fn sequence(
        &mut self,
        timestamp: u64,
        now: u64,
        is_open: bool,
        late: [bool; 2],
        rng: &mut Rng,
    ) {
        let is_stalled = self.stalled_until.iter().any(|until| now < *until);
        let next = |chain: &Chain| chain.last().unwrap().block.timestamp + BLOCK_TIME;
        let slot = (timestamp - GENESIS_TIME) / SLOT_SECONDS;
        let together = !is_stalled
            && late == [false; 2]
            && self.chains.iter().all(|chain| next(chain) == timestamp);
        let is_open = is_open && self.chains.iter().all(|chain| next(chain) <= timestamp);
        let contents = if is_open { self.content(slot, together, rng) } else { Default::default() };
        for (rollup, content) in contents.iter().enumerate() {
            let content = if late[rollup] { &[][..] } else { content };
            let chain = &mut self.chains[rollup];
            if now >= self.stalled_until[rollup] && next(chain) == timestamp {
                let block = next_block(chain.last().unwrap(), content);
                self.shown += block.block.transactions.len();
                chain.push(Arc::new(block));
            }
        }
    }

    /// Transactions of blocks of the same time.
    fn content(&mut self, slot: u64, together: bool, rng: &mut Rng) -> [Vec<Bytes>; 2] {
        let mut contents: [Vec<Bytes>; 2] = Default::default();
        for (rollup, content) in contents.iter_mut().enumerate() {
            for _ in 0..rng.below(4) {
                content.push(self.transaction(rollup));
            }
        }
        if together && rng.chance(300) {
            if self.supers.0 != slot {
                self.supers = (slot, 0);
            }
            let parts = super_transaction(SuperId { slot, index: self.supers.1 });
            self.supers.1 += 1;
            for (content, part) in contents.iter_mut().zip(parts) {
                content.push(part);
            }
            let user = self.transaction(0);
            contents[0].push(user);
        }
        contents
    }

    fn transaction(&mut self, rollup: usize) -> Bytes {
        self.unique += 1;
        transaction(CHAINS[rollup], self.unique, self.ballast)
    }

    /// A rollup makes no blocks for so many seconds.
    pub(crate) fn stop(&mut self, rollup: usize, now: u64, seconds: u64) {
        self.stalled_until[rollup] = now + seconds;
    }

    /// A rollup makes no blocks for a while.
    pub(crate) fn stall(&mut self, now: u64, rng: &mut Rng) {
        self.stalled_until[rng.below(2) as usize] = now + rng.below(4 * SLOT_SECONDS);
    }

    /// Takes back the blocks of all rollups from some time after what is safe.
    pub(crate) fn take_back(&mut self, safe: &Safe, rng: &mut Rng) {
        let timestamp = |chain: &Chain| chain.last().unwrap().block.timestamp;
        let floor = safe.chains.iter().map(timestamp).max().unwrap();
        let tip = self.chains.iter().map(timestamp).max().unwrap();
        if tip > floor {
            let to = floor + rng.below(tip - floor);
            for chain in &mut self.chains {
                chain.retain(|block| block.block.timestamp <= to);
            }
        }
    }

    /// What another gateway posts for its slot, on what is derived at the tip of L1.
    pub(crate) fn other_batch(&mut self, l1: &SimL1, slot: u64) -> Accepted {
        let safe = self.derive(l1, l1.tip().id.number);
        let (start, end) = (union().slot_start(slot), union().slot_start(slot + 1));
        let mut blocks = BTreeMap::new();
        for (rollup, chain) in safe.chains.iter().enumerate() {
            let mut tip = UnionBlock::clone(chain.last().unwrap());
            let mut new = Vec::new();
            while tip.block.timestamp + BLOCK_TIME < end {
                let is_open = tip.block.timestamp + BLOCK_TIME >= start;
                let content = if is_open { vec![self.transaction(rollup)] } else { Vec::new() };
                tip = next_block(&tip, &content);
                new.push(tip.clone());
            }
            blocks.insert(CHAINS[rollup], new);
        }
        let batch = build_union_batch(slot, &union(), &blocks).unwrap();
        let data = Bytes::from(batch.encode(Compression::Brotli { quality: 1 }).unwrap());
        let hash = keccak256([&data[..], &l1.tip().id.hash[..]].concat());
        Accepted { slot, hash, is_ours: false, data }
    }

    pub(crate) fn unsafe_head(&self, rollup: usize) -> BlockNumHash {
        self.chains[rollup].last().unwrap().block.id()
    }

    pub(crate) fn block(&self, rollup: usize, number: u64) -> Option<UnionBlock> {
        let index = number.checked_sub(self.chains[rollup][0].block.number)?;
        self.chains[rollup].get(index as usize).map(|block| UnionBlock::clone(block))
    }

    /// Whether everything with content is safe.
    pub(crate) fn is_safe(&self, safe: &Safe) -> bool {
        self.chains
            .iter()
            .zip(&safe.chains)
            .all(|(chain, safe)| chain.iter().skip(safe.len()).all(|block| is_empty(block)))
    }
}
