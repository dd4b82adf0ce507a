//! Nodes that follow a rollup, and know nothing else.

use crate::l1::L1;
use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use lockstep_chain::Rollup;
use lockstep_derive::Severity;
use lockstep_devnet::{LocalRollup, RollupPlan};
use lockstep_engine::{ChainSnapshot, Engine, EngineConfig, NoTransactions};
use lockstep_execution::MemoryState;
use lockstep_follower::{Follower, Progress};
use lockstep_node::FollowedRollup;
use lockstep_protocol::{RollupConfig, UnionConfig};
use lockstep_providers::{
    BeaconClient, Endpoint, HttpTransport, L1Client, Request, Response, Retry, RpcClient, Timeouts,
    Transport, TransportError,
};
use lockstep_storage::{DiskStorage, GenesisBlock, MemoryStorage, Options, Storage, SyncPolicy};
use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};
use tempfile::TempDir;

/// Steps after which a part that is not done never will be.
const PATIENCE: u32 = 100_000;

/// What a beacon node answers that is asked for blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlobAnswer {
    /// What is so.
    True,
    /// That it has none.
    Missing,
    /// Others.
    Forged,
}

/// How all beacon nodes answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlobAnswers(Arc<AtomicU8>);

impl BlobAnswers {
    pub(crate) fn set(&self, answer: BlobAnswer) {
        self.0.store(answer as u8, Ordering::Relaxed);
    }
}

/// A beacon node that may have lost its blobs, or lie.
#[derive(Debug)]
struct Beacon {
    node: HttpTransport,
    answers: BlobAnswers,
}

impl Transport for Beacon {
    fn endpoint(&self) -> &Endpoint {
        self.node.endpoint()
    }

    fn exchange(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        if !request.path.contains("blob") {
            return self.node.exchange(request);
        }
        let answer = self.answers.0.load(Ordering::Relaxed);
        if answer == BlobAnswer::Missing as u8 {
            return Ok(Response { status: 404, body: Vec::new() });
        }
        let mut response = self.node.exchange(request)?;
        if answer == BlobAnswer::Forged as u8 {
            // Another digit in the middle of each blob.
            for byte in response.body.iter_mut().skip(1_000).step_by(100_000) {
                *byte = if *byte == b'1' { b'2' } else { b'1' };
            }
        }
        Ok(response)
    }
}

/// A rollup of the union, as it begins.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) chain: Rollup,
    pub(crate) config: Arc<RollupConfig>,
    first: GenesisBlock<Rollup>,
}

impl Member {
    pub(crate) fn new(plan: &RollupPlan, union: &UnionConfig, l1: BlockNumHash) -> Self {
        let header = Rollup::from_genesis(&plan.genesis).unwrap().genesis_header(&plan.genesis);
        let state = MemoryState::from_genesis(&plan.genesis);
        let first: GenesisBlock<Rollup> = GenesisBlock::new(header, state).unwrap();
        let l2 = BlockNumHash::new(0, first.block().seal());
        let config = plan.config(lockstep_devnet::L1_CHAIN_ID, l1, l2);
        let seq_window_size = union.seq_window_size;
        let config = RollupConfig { union: Some(union.clone()), seq_window_size, ..config };
        config.validate().unwrap();
        Self { chain: config.chain(), config: Arc::new(config), first }
    }

    pub(crate) fn id(&self) -> u64 {
        self.config.l2_chain_id
    }
}

/// What a node of a rollup needs of L1.
#[derive(Clone)]
pub(crate) struct Link {
    l1: L1Client,
    blobs: BeaconClient,
    chain: Arc<lockstep_chain::Ethereum>,
}

impl Link {
    /// A link; its copies share what they were told.
    pub(crate) fn new(l1: &L1, answers: &BlobAnswers) -> Self {
        let client = L1Client::new(RpcClient::http(&l1.url, Timeouts::default()).unwrap());
        let node = HttpTransport::new(&l1.beacon_url, Timeouts::default()).unwrap();
        let beacon = Beacon { node, answers: answers.clone() };
        let blobs = BeaconClient::new(vec![Arc::new(beacon)], Retry::default()).unwrap();
        Self { l1: client, blobs, chain: l1.chain.clone() }
    }

    pub(crate) fn l1(&self) -> (L1Client, Arc<lockstep_chain::Ethereum>) {
        (self.l1.clone(), self.chain.clone())
    }
}

/// A node that follows a rollup.
pub(crate) struct Node {
    pub(crate) member: Arc<Member>,
    pub(crate) link: Link,
    /// Its folder, if it has one; without, it lives as long as the test.
    folder: Option<TempDir>,
    running: Option<Running>,
    /// How often it could not go on.
    pub(crate) failures: usize,
}

struct Running {
    engine: Engine<Rollup>,
    follower: Follower<L1Client, BeaconClient>,
}

impl Node {
    pub(crate) fn new(member: &Arc<Member>, link: Link, is_on_disk: bool) -> Self {
        let folder = is_on_disk.then(|| tempfile::tempdir().unwrap());
        let member = member.clone();
        let mut node = Self { member, link, folder, running: None, failures: 0 };
        node.start();
        node
    }

    fn start(&mut self) {
        let Member { chain, config, first } = &*self.member;
        let storage: Arc<dyn Storage<Rollup>> = match &self.folder {
            Some(folder) => {
                let options = Options {
                    sync: SyncPolicy::Never,
                    max_database_bytes: 1 << 28,
                    ..Options::default()
                };
                Arc::new(DiskStorage::open(folder.path(), chain, first, options).unwrap())
            }
            None => Arc::new(MemoryStorage::new(first)),
        };
        // So few that blocks are on the disk which L1 takes back.
        let keep_in_memory = if self.folder.is_some() { 4 } else { 64 };
        let settings = EngineConfig { keep_in_memory, ..EngineConfig::default() };
        let engine =
            Engine::open(chain.clone(), storage, Arc::new(NoTransactions), settings).unwrap();
        let Link { l1, blobs, chain } = self.link.clone();
        let follower = Follower::new(engine.clone(), config.clone(), chain, l1, blobs);
        self.running = Some(Running { engine, follower });
    }

    /// Ends it where it is, as a kill does, and starts it again.
    pub(crate) fn kill(&mut self) {
        assert!(self.folder.is_some(), "it would lose everything");
        self.running = None;
        self.start();
    }

    /// Follows L1 for so many steps, or until there is nothing to do. Whether there is nothing.
    pub(crate) fn steps(&mut self, count: u32) -> bool {
        let Running { follower, .. } = self.running.as_mut().unwrap();
        follower.watch_l1().unwrap();
        for _ in 0..count {
            match follower.step() {
                Ok(Progress::Worked) => {}
                Ok(Progress::Idle) => return true,
                // It goes on there the next time.
                Err(error) => {
                    assert_eq!(error.severity(), Severity::Temporary, "{error}");
                    self.failures += 1;
                    return true;
                }
            }
        }
        false
    }

    /// Follows L1 as far as it goes.
    pub(crate) fn run(&mut self) {
        assert!(self.steps(PATIENCE), "it never rests");
    }

    pub(crate) fn engine(&self) -> &Engine<Rollup> {
        &self.running.as_ref().unwrap().engine
    }

    pub(crate) fn snapshot(&self) -> ChainSnapshot<Rollup> {
        self.engine().view().snapshot()
    }

    /// The rollup as others in this process read it.
    pub(crate) fn local(&self) -> LocalRollup {
        let Running { engine, follower } = self.running.as_ref().unwrap();
        let rollup =
            FollowedRollup { config: self.member.config.clone(), status: follower.status() };
        LocalRollup { view: engine.view(), rollup }
    }

    pub(crate) fn safe(&self) -> BlockNumHash {
        self.snapshot().safe().unwrap_or(self.member.config.genesis.l2)
    }

    /// The hashes of the safe chain, from genesis on.
    pub(crate) fn safe_chain(&self) -> Vec<B256> {
        let snapshot = self.snapshot();
        (0..=self.safe().number).map(|number| snapshot.hash(number).unwrap().unwrap()).collect()
    }
}
