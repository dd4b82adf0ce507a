//! A gateway that runs, is killed and started again; and what its users were shown.

use crate::{
    l1::{FakeL1, GENESIS_TIME, L1_SLOT_S},
    storage::Kept,
    union::{APP, BURNER, Plan, Wish, chain, raw, union, user},
};
use alloy_primitives::{Address, B256, ChainId, U256};
use alloy_signer_local::PrivateKeySigner;
use lockstep_chain::{Ethereum, EthereumHardfork, ForkSchedule, GATE, Rollup};
use lockstep_engine::{
    ChainSnapshot, Engine, EngineConfig, NoTransactions, PendingBlock, pool_head,
};
use lockstep_execution::StateReader;
use lockstep_gateway::{
    Bell, Clock, Gateway, GatewayError, GatewaySettings, Member, Preconfirmed, RoundReport, Sealer,
    Sequencer,
};
use lockstep_pool::{Origin, Pool, PoolConfig};
use lockstep_rpc::PendingBlocks;
use lockstep_storage::{MemoryStorage, Storage};
use lockstep_union::{pair_slot, proxy_of};
use op_alloy_consensus::{OpReceipt, OpTxEnvelope};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// By how much the clock moves each time that it is asked.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// A generator of test cases (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

type Hook = Box<dyn FnMut() + Send>;

/// A clock that moves when it is asked, and lets the test act then: that is once after every update.
pub(crate) struct TestClock {
    now_ms: AtomicU64,
    /// By how much it moves each time that it is asked.
    tick_ms: AtomicU64,
    /// By how much it was set back.
    set_back_ms: AtomicU64,
    hook: Mutex<Option<Hook>>,
}

impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClock").field("now_ms", &self.now_ms).finish_non_exhaustive()
    }
}

impl TestClock {
    pub(crate) fn set(&self, hook: impl FnMut() + Send + 'static) {
        *self.hook.lock() = Some(Box::new(hook));
    }

    /// Lets it stand still but for [`Self::pass`].
    #[allow(dead_code, reason = "the benchmark uses it")]
    pub(crate) fn stop(&self) {
        self.tick_ms.store(0, Ordering::SeqCst);
    }

    /// Lets it move by so much each time that it is asked.
    #[allow(dead_code, reason = "the benchmark does not use it")]
    pub(crate) fn set_tick(&self, tick: Duration) {
        self.tick_ms.store(u64::try_from(tick.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.now_ms.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Somebody sets it back.
    pub(crate) fn set_back(&self, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap();
        self.set_back_ms.fetch_add(time, Ordering::SeqCst);
    }

    /// The time, without asking for it.
    pub(crate) fn now(&self) -> Duration {
        let set_back = self.set_back_ms.load(Ordering::SeqCst);
        Duration::from_millis(self.now_ms.load(Ordering::SeqCst) - set_back)
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.now().as_secs()
    }
}

impl Clock for TestClock {
    fn unix_time(&self) -> Duration {
        if let Some(hook) = &mut *self.hook.lock() {
            hook();
        }
        self.pass(Duration::from_millis(self.tick_ms.load(Ordering::SeqCst)));
        self.now()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now_ms.load(Ordering::SeqCst))
    }
}

/// What users were shown of a block.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) chain: ChainId,
    pub(crate) block: PendingBlock<Rollup>,
}

impl Shown {
    pub(crate) fn number(&self) -> u64 {
        self.block.block.number()
    }

    pub(crate) fn transactions(&self) -> &[OpTxEnvelope] {
        self.block.block.transactions()
    }
}

/// What outlives a gateway.
pub(crate) struct World {
    pub(crate) users: Vec<PrivateKeySigner>,
    pub(crate) plans: Vec<Plan>,
    pub(crate) storages: Vec<Arc<Kept>>,
    /// The L1 as each rollup sees it.
    pub(crate) l1: Vec<FakeL1>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) settings: GatewaySettings,
    /// Of each rollup's engine.
    pub(crate) execution_threads: usize,
    folder: tempfile::TempDir,
    /// Everything that users sent, by home rollup.
    pub(crate) sent: Vec<(ChainId, OpTxEnvelope)>,
    nonces: BTreeMap<(ChainId, usize), u64>,
}

/// A gateway that runs.
pub(crate) struct Running {
    pub(crate) gateway: Gateway<FakeL1>,
    pub(crate) engines: BTreeMap<ChainId, Engine<Rollup>>,
    pub(crate) pools: BTreeMap<ChainId, Pool<Rollup>>,
    pub(crate) shown: BTreeMap<ChainId, Arc<Preconfirmed>>,
    pub(crate) bell: Arc<Bell>,
}

impl World {
    pub(crate) fn new(rollups: usize, users: u64) -> Self {
        Self::with_late_fork(rollups, users, None)
    }

    /// With Jovian, which begins so many seconds later.
    pub(crate) fn with_late_fork(rollups: usize, users: u64, late: Option<u64>) -> Self {
        let l1 = FakeL1::default();
        l1.grow(0, 0, 0);
        let users: Vec<_> = (0..users).map(user).collect();
        let plans = union(rollups, &users, &l1, late);
        let clock = TestClock {
            now_ms: AtomicU64::new(GENESIS_TIME * 1_000),
            tick_ms: AtomicU64::new(u64::try_from(TICK.as_millis()).unwrap()),
            set_back_ms: AtomicU64::default(),
            hook: Mutex::default(),
        };
        Self {
            users,
            storages: plans.iter().map(|plan| Arc::new(Kept::new(&plan.first))).collect(),
            plans,
            l1: (0..rollups).map(|_| l1.another()).collect(),
            clock: Arc::new(clock),
            settings: GatewaySettings { update_interval: TICK, ..GatewaySettings::default() },
            // What several threads make is audited by one.
            execution_threads: 3,
            folder: tempfile::tempdir().unwrap(),
            sent: Vec::new(),
            nonces: BTreeMap::new(),
        }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("decisions")
    }

    /// Starts a gateway; pools get everything that was ever sent, as from their journals.
    pub(crate) fn start(&self) -> Running {
        self.start_some(self.plans.len())
    }

    /// The file of sealed batches.
    pub(crate) fn sealed(&self) -> PathBuf {
        self.folder.path().join("sealed")
    }

    /// As [`Self::start`], with what makes the batches of slots.
    pub(crate) fn start_sealed(&self, sealer: Sealer) -> Running {
        let Running { gateway, engines, pools, shown, bell } = self.start();
        Running { gateway: gateway.with_sealer(sealer), engines, pools, shown, bell }
    }

    /// As [`Self::start`], for the first `rollups` only.
    pub(crate) fn start_some(&self, rollups: usize) -> Running {
        let (mut engines, mut pools, mut shown) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut members = Vec::new();
        let parts = self.plans.iter().zip(&self.storages).zip(&self.l1);
        for ((plan, storage), l1) in parts.take(rollups) {
            let id = plan.config.l2_chain_id;
            let engine = open(plan, storage.clone(), self.execution_threads);
            let head = pool_head(&engine.view().snapshot()).unwrap();
            let pool = Pool::new(plan.chain.clone(), PoolConfig::default(), head);
            let preconfirmed = Arc::new(Preconfirmed::default());
            let sequencer =
                Sequencer::new(engine.clone(), plan.config.clone(), l1_chain(), l1.clone());
            members.push(Member { sequencer, pool: pool.clone(), shown: preconfirmed.clone() });
            engines.insert(id, engine);
            pools.insert(id, pool);
            shown.insert(id, preconfirmed);
        }
        self.send_again(&pools);
        let gateway = Gateway::new(members, self.settings, Some(&self.log())).unwrap();
        Running { gateway, engines, pools, shown, bell: Arc::default() }
    }

    /// Somebody else who makes blocks of a rollup.
    pub(crate) fn sequencer(&self, rollup: usize, running: &Running) -> Sequencer<FakeL1> {
        let (engine, config) = (&running.engines[&chain(rollup)], &self.plans[rollup].config);
        Sequencer::new(engine.clone(), config.clone(), l1_chain(), self.l1[rollup].clone())
    }

    /// Sends everything once more: after blocks were taken back, too, it is in no block and no pool else.
    pub(crate) fn send_again(&self, pools: &BTreeMap<ChainId, Pool<Rollup>>) {
        for (home, transaction) in &self.sent {
            let Some(pool) = pools.get(home) else { continue };
            // Many are in blocks already.
            let _ = pool.add_raw(&raw(transaction), Origin::User);
        }
    }

    /// Signs and sends what a user wants.
    pub(crate) fn send(
        &mut self,
        pools: &BTreeMap<ChainId, Pool<Rollup>>,
        user: usize,
        wish: &Wish,
    ) -> B256 {
        let (home, raw) = self.sign(user, wish);
        pools[&home].add_raw(&raw, Origin::User).unwrap()
    }

    /// Signs what a user wants, for somebody else to send.
    pub(crate) fn sign(&mut self, user: usize, wish: &Wish) -> (ChainId, Vec<u8>) {
        let nonce = self.nonces.entry((wish.home, user)).or_default();
        let transaction = wish.sign(&self.users[user], *nonce);
        *nonce += 1;
        self.sent.push((wish.home, transaction.clone()));
        (wish.home, raw(&transaction))
    }

    /// Makes the L1 grow with the clock.
    pub(crate) fn grow_l1(&self) {
        let newest = self.clock.seconds().saturating_sub(GENESIS_TIME) / L1_SLOT_S;
        let known = self.l1[0].blocks.lock().len() as u64 - 1;
        self.l1[0].grow(known, newest.max(known), 0);
    }

    /// A round, after which the pools know of its blocks.
    pub(crate) fn round(&self, running: &mut Running) -> Result<Option<RoundReport>, GatewayError> {
        self.grow_l1();
        let made = running.gateway.make_blocks(&*self.clock, &running.bell);
        running.advance_pools();
        made
    }

    /// Rounds until all rollups have blocks of the same time, and two more.
    pub(crate) fn catch_up(&self, running: &mut Running) {
        let mut rounds = 0;
        while running.times().windows(2).any(|pair| pair[0] != pair[1]) {
            self.round(running).unwrap().unwrap();
            rounds += 1;
            assert!(rounds < 1_000, "they never catch up");
        }
        (0..2).for_each(|_| drop(self.round(running).unwrap().unwrap()));
    }

    /// A random user, and what they want.
    pub(crate) fn wish(&self, random: &mut Random) -> (usize, Wish) {
        let rollups = self.plans.len() as u64;
        let pick = |random: &mut Random| usize::try_from(random.below(rollups)).unwrap();
        let home = pick(random);
        let mut peer = |not: usize| match pick(random) {
            peer if peer == not => (peer + 1) % self.plans.len(),
            peer => peer,
        };
        let (first, second) = (peer(home), peer(home));
        let user = usize::try_from(random.below(self.users.len() as u64)).unwrap();
        let at = |on: usize| proxy_of(chain(on), APP);
        let home_id = chain(home);
        let mut wish = match random.below(8) {
            0..3 => Wish {
                value: 1 + random.below(1_000),
                ..Wish::new(home_id, Address::repeat_byte(7))
            },
            3 => Wish::new(home_id, APP),
            4 => Wish::new(home_id, BURNER),
            5 => Wish::through(home_id, &[at(first)]),
            // The peer calls back.
            6 => Wish::through(home_id, &[at(first), at(home)]),
            // The peer calls another, or itself.
            _ if first == second => Wish::through(home_id, &[at(first), APP]),
            _ => Wish::through(home_id, &[at(first), at(second)]),
        };
        wish.tip = 1 + u128::from(random.below(3));
        (user, wish)
    }
}

fn l1_chain() -> Arc<Ethereum> {
    let forks = ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Osaka);
    Arc::new(Ethereum::new(1337, forks))
}

fn open(
    plan: &Plan,
    storage: Arc<dyn Storage<Rollup>>,
    execution_threads: usize,
) -> Engine<Rollup> {
    let config = EngineConfig { execution_threads, ..EngineConfig::default() };
    Engine::open(plan.chain.clone(), storage, Arc::new(NoTransactions), config).unwrap()
}

impl Running {
    pub(crate) fn advance_pools(&self) {
        for (chain, pool) in &self.pools {
            pool.advance(pool_head(&self.snapshot(*chain)).unwrap(), &[], &[]);
        }
    }

    pub(crate) fn snapshot(&self, chain: ChainId) -> ChainSnapshot<Rollup> {
        self.engines[&chain].view().snapshot()
    }

    /// What users see now.
    pub(crate) fn now_shown(&self) -> Vec<Shown> {
        now_shown(&self.shown)
    }

    /// Where a transaction is: its block's number, and its receipt.
    pub(crate) fn find(&self, chain: ChainId, hash: &B256) -> Option<(u64, OpReceipt)> {
        let snapshot = self.snapshot(chain);
        let (block, index) = snapshot.transaction(hash).unwrap()?;
        let receipts = snapshot.receipts(block.number()).unwrap().unwrap();
        Some((block.number(), receipts[index].clone()))
    }

    pub(crate) fn slot(&self, chain: ChainId, account: Address, slot: U256) -> U256 {
        let snapshot = self.snapshot(chain);
        let state = snapshot.state_by_hash(&snapshot.head().seal()).unwrap();
        state.storage(&account, &slot).unwrap()
    }

    fn times(&self) -> Vec<u64> {
        self.engines.values().map(|engine| engine.view().head().timestamp).collect()
    }

    /// All heads have the same time, and all pairs of rollups agree about what they sent each other.
    pub(crate) fn assert_agreement(&self) {
        let times = self.times();
        assert!(times.windows(2).all(|pair| pair[0] == pair[1]), "{times:?}");
        self.assert_transcripts();
    }

    pub(crate) fn assert_transcripts(&self) {
        for first in self.engines.keys() {
            for second in self.engines.keys().filter(|second| *second != first) {
                let of = |on, with| self.slot(on, GATE, pair_slot(with));
                assert_eq!(of(*first, *second), of(*second, *first), "{first} {second}");
            }
        }
    }

    /// What was shown is at the same place in the final blocks, with the same receipts.
    pub(crate) fn assert_kept(&self, shown: &[Shown]) {
        for seen in shown {
            let snapshot = self.snapshot(seen.chain);
            let (chain, number) = (seen.chain, seen.number());
            let block = snapshot.block(number).unwrap();
            let block = block.unwrap_or_else(|| panic!("{chain} has no block {number}"));
            let receipts = snapshot.receipts(number).unwrap().unwrap();
            let count = seen.transactions().len();
            assert!(block.transactions().len() >= count, "{chain}: block {number} lost some");
            assert_eq!(block.transactions()[..count], *seen.transactions(), "{chain}: {number}");
            assert_eq!(receipts[..count], **seen.block.receipts, "{chain}: {number}");
            assert_eq!(block.parent_hash(), seen.block.block.parent_hash());
        }
    }

    /// Another engine comes to the same blocks, each rollup alone.
    pub(crate) fn assert_executes_alone(&self, world: &World) {
        for plan in &world.plans {
            let id = plan.config.l2_chain_id;
            let engine = open(plan, Arc::new(MemoryStorage::new(&plan.first)), 1);
            let snapshot = self.snapshot(id);
            for number in 1..=snapshot.head().number {
                let block = snapshot.block(number).unwrap().unwrap();
                let status = engine.insert(block.block.clone()).unwrap();
                assert!(status.is_valid(), "{id}: block {number}: {status}");
            }
        }
    }
}

pub(crate) fn now_shown(shown: &BTreeMap<ChainId, Arc<Preconfirmed>>) -> Vec<Shown> {
    let of = |(chain, shown): (&ChainId, &Arc<Preconfirmed>)| {
        shown.pending().map(|block| Shown { chain: *chain, block })
    };
    shown.iter().filter_map(of).collect()
}

pub(crate) fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

pub(crate) fn cut(path: &Path, length: u64) {
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}
