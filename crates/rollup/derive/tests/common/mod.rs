//! An L1 in memory, a rollup that is sequenced on it by the rules, and a batcher: what derivation is
//! held against.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

pub(crate) mod batcher;
pub(crate) mod l1;
pub(crate) mod l2;
pub(crate) mod union;

use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, U256, address};
use lockstep_chain::{Ethereum, EthereumHardfork, ForkSchedule, OpHardfork};
use lockstep_derive::{DerivedAttributes, Pipeline, Severity, Signal, Step};
use lockstep_protocol::{BlockInfo, L2BlockInfo, RollupConfig, RollupGenesis, SystemConfig};
use std::sync::Arc;

pub(crate) use batcher::Batcher;
pub(crate) use l1::{L1, SharedL1};
pub(crate) use l2::{L2, SharedL2};

/// The chain id of the L1.
pub(crate) const L1_CHAIN_ID: u64 = 900;
/// The chain id of the rollup.
pub(crate) const L2_CHAIN_ID: u64 = 901;
/// Where batches go.
pub(crate) const INBOX: Address = address!("ff00000000000000000000000000000000000901");
/// Where deposits come from.
pub(crate) const PORTAL: Address = address!("00000000000000000000000000000000de9051ff");
/// Where the system config comes from.
pub(crate) const SYSTEM_CONFIG: Address = address!("00000000000000000000000000000000c0f16000");
/// The timestamp of the first L1 block, and of the first rollup block, in seconds.
pub(crate) const GENESIS_TIME: u64 = 10_000;
/// Seconds between L1 blocks.
pub(crate) const L1_BLOCK_TIME: u64 = 12;
/// Seconds between rollup blocks.
pub(crate) const BLOCK_TIME: u64 = 2;

/// The L1 as far as blobs are priced on it.
pub(crate) fn l1_chain() -> Arc<Ethereum> {
    let forks = ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Osaka);
    Arc::new(Ethereum::new(L1_CHAIN_ID, forks))
}

/// A rollup that has all rules up to those of `fork` from the beginning.
pub(crate) fn config(fork: OpHardfork) -> RollupConfig {
    let at = |wanted| (fork >= wanted).then_some(0);
    RollupConfig {
        block_time: BLOCK_TIME,
        max_sequencer_drift: 600,
        seq_window_size: 20,
        channel_timeout: 10,
        l1_chain_id: L1_CHAIN_ID,
        l2_chain_id: L2_CHAIN_ID,
        regolith_time: at(OpHardfork::Regolith),
        canyon_time: at(OpHardfork::Canyon),
        delta_time: at(OpHardfork::Canyon),
        ecotone_time: at(OpHardfork::Ecotone),
        fjord_time: at(OpHardfork::Fjord),
        granite_time: at(OpHardfork::Granite),
        holocene_time: at(OpHardfork::Holocene),
        isthmus_time: at(OpHardfork::Isthmus),
        jovian_time: at(OpHardfork::Jovian),
        batch_inbox_address: INBOX,
        deposit_contract_address: PORTAL,
        l1_system_config_address: SYSTEM_CONFIG,
        ..RollupConfig::default()
    }
}

/// The beginning of a rollup on the L1 block `l1`.
pub(crate) fn rollup_genesis(l1: BlockInfo, batcher_address: Address) -> RollupGenesis {
    let mut scalar = [0; 32];
    scalar[0] = 1;
    scalar[31] = 11;
    scalar[27] = 22;
    RollupGenesis {
        l1: l1.id(),
        l2: BlockNumHash { number: 0, hash: l2::genesis().hash_slow() },
        l2_time: GENESIS_TIME,
        system_config: SystemConfig {
            batcher_address,
            scalar: U256::from_be_bytes(scalar),
            overhead: U256::from(188),
            gas_limit: 30_000_000,
            ..SystemConfig::default()
        },
    }
}

/// A world: the L1, the rollup as the sequencer has it, and the batcher.
pub(crate) struct World {
    pub(crate) config: Arc<RollupConfig>,
    pub(crate) l1: SharedL1,
    /// The sequencer's chain.
    pub(crate) l2: L2,
    pub(crate) batcher: Batcher,
}

impl World {
    pub(crate) fn new(mut config: RollupConfig) -> Self {
        let batcher = Batcher::new(7);
        let l1 = SharedL1::new(L1::new());
        config.genesis = rollup_genesis(l1.borrow().head(), batcher.address());
        let config = Arc::new(config);
        let l2 = L2::new(config.clone());
        Self { config, l1, l2, batcher }
    }

    pub(crate) fn at(fork: OpHardfork) -> Self {
        Self::new(config(fork))
    }

    /// Sequences blocks until the next one would be at `timestamp` or later.
    pub(crate) fn sequence_until(&mut self, timestamp: u64) {
        while self.l2.head().block.timestamp + BLOCK_TIME < timestamp {
            let txs = self.l2.some_transactions();
            self.l2.sequence(&self.l1.borrow(), txs);
        }
    }

    /// Mines an L1 block, and sequences the rollup's blocks that fit before the next one.
    pub(crate) fn mine(&mut self) {
        self.l1.borrow_mut().mine();
        let next = self.l1.borrow().head().timestamp + L1_BLOCK_TIME;
        self.sequence_until(next);
    }

    /// A follower that begins at genesis.
    pub(crate) fn follower(&self) -> Follower {
        Follower::new(self.config.clone(), &self.l1)
    }

    /// Derives what is on L1 and holds it against the sequencer's chain up to `safe`.
    pub(crate) fn assert_derives_up_to(&self, safe: u64) -> Follower {
        let mut follower = self.follower();
        follower.run();
        follower.assert_is(&self.l2, safe);
        follower
    }
}

/// A node that follows a rollup by deriving it.
pub(crate) struct Follower {
    config: Arc<RollupConfig>,
    pub(crate) pipeline: Pipeline<SharedL1, SharedL1, SharedL2>,
    pub(crate) l2: SharedL2,
    /// All that was derived.
    pub(crate) derived: Vec<DerivedAttributes>,
    /// The most steps that one run may take.
    pub(crate) max_steps: usize,
    /// How often a provider failed.
    pub(crate) temporary: usize,
    pub(crate) resets: usize,
}

impl Follower {
    pub(crate) fn new(config: Arc<RollupConfig>, l1: &SharedL1) -> Self {
        Self::from(config.clone(), l1, L2::new(config))
    }

    /// One that continues a chain.
    pub(crate) fn from(config: Arc<RollupConfig>, l1: &SharedL1, l2: L2) -> Self {
        let head = l2.head();
        let l2 = SharedL2::new(l2);
        let (blocks, blobs) = (l1.clone(), l1.clone());
        let pipeline = Pipeline::new(config.clone(), l1_chain(), blocks, blobs, l2.clone(), head);
        let derived = Vec::new();
        Self { config, pipeline, l2, derived, max_steps: 1 << 22, temporary: 0, resets: 0 }
    }

    pub(crate) fn head(&self) -> L2BlockInfo {
        self.l2.borrow().head()
    }

    /// Steps until there is nothing left to read.
    pub(crate) fn run(&mut self) {
        self.run_with(|_| true);
    }

    /// The same, where `is_valid` is the engine's verdict on each block. An invalid one is replaced
    /// from Holocene on, and left out before.
    pub(crate) fn run_with(&mut self, is_valid: impl Fn(&DerivedAttributes) -> bool) {
        for _ in 0..self.max_steps {
            let head = self.head();
            match self.pipeline.step(&head) {
                Ok(Step::Attributes(attributes)) => {
                    assert_eq!(attributes.parent, head);
                    self.execute(*attributes, &is_valid);
                }
                Ok(Step::Idle) => return,
                Ok(Step::Advanced(_) | Step::Progress) => {}
                Err(error) => match error.severity() {
                    Severity::Temporary => self.temporary += 1,
                    Severity::Reset => {
                        self.resets += 1;
                        return;
                    }
                    Severity::Critical => panic!("{error}"),
                },
            }
        }
        panic!("no end after {} steps", self.max_steps);
    }

    fn execute(
        &mut self,
        attributes: DerivedAttributes,
        is_valid: &impl Fn(&DerivedAttributes) -> bool,
    ) {
        if is_valid(&attributes) {
            self.l2.borrow_mut().apply(&attributes.attributes);
            self.derived.push(attributes);
        } else if attributes.replaces_invalid_payload(&self.config) {
            self.pipeline.signal(Signal::FlushChannel);
            let attributes = attributes.deposits_only();
            assert!(attributes.is_deposits_only());
            self.l2.borrow_mut().apply(&attributes.attributes);
            self.derived.push(attributes);
        }
    }

    /// What was derived is the sequencer's chain up to `safe`, and no more.
    #[track_caller]
    pub(crate) fn assert_is(&self, sequenced: &L2, safe: u64) {
        let derived = self.l2.borrow();
        let last = safe.min(derived.head().block.number);
        for number in 0..=last {
            let (got, expected) = (derived.block(number), sequenced.block(number));
            assert_eq!(got.attributes, expected.attributes, "block {number}");
            assert_eq!(got.info, expected.info, "block {number}");
        }
        let got = derived.head().block.number;
        assert_eq!(got, safe, "dropped: {:?}", self.drops());
    }

    /// What was dropped by rules for single batches and frames: what an invalid batch takes with it
    /// is left out.
    pub(crate) fn drops_by_rule(&self) -> Vec<(&'static str, u64)> {
        self.drops().into_iter().filter(|(reason, _)| *reason != "channel_flushed").collect()
    }

    /// What was dropped, without the reasons that never came up.
    pub(crate) fn drops(&self) -> Vec<(&'static str, u64)> {
        let counts = self.pipeline.dropped().iter().filter(|(_, count)| *count > 0);
        counts.map(|(reason, count)| (reason.name(), count)).collect()
    }
}

/// Numbers that look random and are the same in each run.
#[derive(Clone, Debug)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    pub(crate) fn hash(&mut self) -> B256 {
        B256::from_slice(&self.bytes(32))
    }
}
