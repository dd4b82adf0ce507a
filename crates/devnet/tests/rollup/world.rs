//! An L1 under the dev beacon and two nodes of a rollup on it, slot by slot, without a clock.

use crate::users::{Call, submit};
use alloy_consensus::{TxType, Typed2718};
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_sol_types::SolCall;
use lockstep_batcher::{
    Batcher, BatcherConfig, ChannelPolicy, KzgProver, Progress as BatcherProgress, RpcL1,
    SubmissionPolicy, Throttle,
};
use lockstep_chain::{Chain, Ethereum, EthereumHardfork, Rollup};
use lockstep_contracts::{L1Addresses, Portal};
use lockstep_derive::Severity;
use lockstep_devnet::{
    Agreement, AgreementError, Beginning, DataAvailability, DevAccount, LocalRollup, MNEMONIC,
    Operators, Proposer, RollupPlan, Sequencer, SequencerError, ThrottledBuilder, accounts,
    beacon::{BeaconConfig, BeaconSpec, DevBeacon, Replacement, serve_beacon_api},
    dev_server, l1_genesis, operators,
};
use lockstep_engine::Engine;
use lockstep_execution::MemoryState;
use lockstep_follower::{Follower, Progress};
use lockstep_host::Sources;
use lockstep_node::{FollowedRollup, Node, NodeBuilder};
use lockstep_protocol::RollupConfig;
use lockstep_providers::{
    BeaconClient, Endpoint, HttpTransport, L1Client, L2Client, Request, Response, Retry, RpcClient,
    Timeouts, Transport, TransportError,
};
use lockstep_rpc::RpcSettings;
use lockstep_storage::GenesisBlock;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};

const GENESIS_TIME: u64 = 1_700_000_000;
pub(crate) const SLOT_S: u64 = 2;
/// Steps after which a part that is not done never will be.
const PATIENCE: u32 = 10_000;

type RollupFollower = Follower<L1Client, BeaconClient>;

/// A beacon node that can lose all blobs.
#[derive(Debug)]
struct ForgetfulBeacon {
    node: HttpTransport,
    has_lost_blobs: Arc<AtomicBool>,
}

impl Transport for ForgetfulBeacon {
    fn endpoint(&self) -> &Endpoint {
        self.node.endpoint()
    }

    fn exchange(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        if request.path.contains("blob") && self.has_lost_blobs.load(Ordering::Relaxed) {
            return Ok(Response { status: 404, body: Vec::new() });
        }
        self.node.exchange(request)
    }
}

/// A node of the rollup which follows L1.
pub(crate) struct RollupNode {
    node: Node<Rollup>,
    follower: RollupFollower,
    pub(crate) local: LocalRollup,
    /// How often it could not go on.
    pub(crate) failures: usize,
}

pub(crate) struct World {
    runtime: Runtime,
    _beacon_stop: oneshot::Sender<()>,
    l1: Node<Ethereum>,
    pub(crate) beacon: DevBeacon<Engine<Ethereum>>,
    pub(crate) accounts: Vec<DevAccount>,
    operators: Operators,
    pub(crate) addresses: L1Addresses,
    config: Arc<RollupConfig>,
    rpc: RpcClient,
    beacon_url: String,
    pub(crate) l1_genesis: Bytes,
    settings: BatcherConfig,
    pub(crate) sequencer: Sequencer<L1Client>,
    /// What the sequencer may put into blocks.
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) batcher: Batcher<RpcL1, LocalRollup>,
    pub(crate) proposer: Proposer,
    pub(crate) sequencing: RollupNode,
    pub(crate) following: RollupNode,
    /// What the follower's beacon node has lost.
    pub(crate) has_lost_blobs: Arc<AtomicBool>,
    agreement: Agreement,
    batchers: u64,
    pub(crate) posted: usize,
    pub(crate) claims: usize,
}

impl World {
    pub(crate) fn new(data_availability: DataAvailability) -> Self {
        Self::with_follower(data_availability, |_| ())
    }

    /// A world whose follower has another idea of the rollup than the sequencer.
    pub(crate) fn with_follower(
        data_availability: DataAvailability,
        change: impl FnOnce(&mut RollupConfig),
    ) -> Self {
        let runtime = Runtime::new().unwrap();
        let accounts = accounts(MNEMONIC, 3).unwrap();
        let operators = operators(MNEMONIC).unwrap();
        let funded: Vec<Address> = accounts.iter().map(|account| account.address).collect();
        let beginning = Beginning { timestamp: GENESIS_TIME, l1_origin: 0, block_time_s: 1 };
        let addresses = L1Addresses::created_by(Address::repeat_byte(0x77), 0);
        let plan = RollupPlan::new(&beginning, addresses, &funded, &operators);
        let mut genesis = l1_genesis(EthereumHardfork::Osaka, GENESIS_TIME, &funded);
        plan.put_into(&mut genesis).unwrap();

        let chain = Ethereum::from_genesis(&genesis).unwrap();
        let state = MemoryState::from_genesis(&genesis);
        let first: GenesisBlock<Ethereum> =
            GenesisBlock::new(chain.genesis_header(&genesis), state).unwrap();
        let l1 = NodeBuilder::new(chain.clone(), &first)
            .rpc(RpcSettings { network_id: 1337, ..RpcSettings::default() }, dev_server(0, None));
        let l1 = runtime.block_on(l1.launch()).unwrap();
        let spec = BeaconSpec {
            seconds_per_slot: SLOT_S,
            fulu_epoch: 0,
            ..BeaconSpec::dev(GENESIS_TIME, chain.chain_id())
        };
        let engine = l1.context().engine().clone();
        let block = first.block();
        let beacon =
            DevBeacon::open(BeaconConfig::new(spec), engine, &block.header, block.seal()).unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let beacon_url = format!("http://{}", listener.local_addr().unwrap());
        let (beacon_stop, stopped) = oneshot::channel();
        runtime.spawn(serve_beacon_api(listener, beacon.view(), None, async {
            // The sender goes with the world.
            let _ = stopped.await;
        }));

        let chain = Arc::new(chain);
        let url = format!("http://{}", l1.rpc_address().unwrap());
        let rpc = RpcClient::http(&url, Timeouts::default()).unwrap();
        let rollup_chain = Rollup::from_genesis(&plan.genesis).unwrap();
        let state = MemoryState::from_genesis(&plan.genesis);
        let rollup_first: GenesisBlock<Rollup> =
            GenesisBlock::new(rollup_chain.genesis_header(&plan.genesis), state).unwrap();
        let origin = BlockNumHash::new(0, block.seal());
        let rollup_block = BlockNumHash::new(0, rollup_first.block().seal());
        let config = Arc::new(plan.config(1337, origin, rollup_block));
        let has_lost_blobs = Arc::new(AtomicBool::new(false));
        let throttle = Arc::new(Throttle::default());
        let start = |config: &Arc<RollupConfig>, has_lost_blobs: Arc<AtomicBool>| {
            let settings = RpcSettings { network_id: config.l2_chain_id, ..RpcSettings::default() };
            let throttle = throttle.clone();
            let node = NodeBuilder::new(rollup_chain.clone(), &rollup_first)
                .payload_builder(move |pool| ThrottledBuilder::new(pool.clone(), throttle))
                .rpc(settings, dev_server(0, None))
                .launch();
            let node = runtime.block_on(node).unwrap();
            // Clients of its own, so that nothing is shared but the L1.
            let client = L1Client::new(RpcClient::http(&url, Timeouts::default()).unwrap());
            let node_api = HttpTransport::new(&beacon_url, Timeouts::default()).unwrap();
            let beacon = ForgetfulBeacon { node: node_api, has_lost_blobs };
            let blobs = BeaconClient::new(vec![Arc::new(beacon)], Retry::default()).unwrap();
            let engine = node.context().engine().clone();
            let follower = Follower::new(engine, config.clone(), chain.clone(), client, blobs);
            let rollup = FollowedRollup { config: config.clone(), status: follower.status() };
            let local = LocalRollup { view: node.context().view(), rollup };
            RollupNode { node, follower, local, failures: 0 }
        };
        let mut changed = (*config).clone();
        change(&mut changed);
        let sequencing = start(&config, Arc::default());
        let following = start(&Arc::new(changed), has_lost_blobs.clone());
        let sequencer = Sequencer::new(
            sequencing.node.context().engine().clone(),
            config.clone(),
            chain,
            L1Client::new(rpc.clone()),
        );
        let proposer = Proposer::new(
            rpc.clone(),
            operators.proposer.clone(),
            addresses.output_oracle,
            following.local.clone(),
        );
        let settings = BatcherConfig {
            data_availability,
            channel: ChannelPolicy {
                target_num_frames: 1,
                max_duration: 6,
                ..ChannelPolicy::default()
            },
            submission: SubmissionPolicy {
                resubmit_after: Duration::from_secs(8),
                patience: Duration::from_secs(8),
                ..SubmissionPolicy::default()
            },
            l1_block_time: SLOT_S,
            ..BatcherConfig::default()
        };
        let batcher = new_batcher(settings, &operators, &rpc, &sequencing.local, 0);
        let agreement = Agreement::new(sequencing.local.clone(), following.local.clone());
        Self {
            runtime,
            _beacon_stop: beacon_stop,
            l1,
            beacon,
            accounts,
            operators,
            addresses,
            config,
            rpc,
            beacon_url,
            l1_genesis: serde_json::to_vec(&genesis).unwrap().into(),
            settings,
            sequencer,
            throttle,
            batcher,
            proposer,
            sequencing,
            following,
            has_lost_blobs,
            agreement,
            batchers: 1,
            posted: 0,
            claims: 0,
        }
    }

    /// The time of the beacon's slot.
    fn now(&self) -> u64 {
        GENESIS_TIME + self.beacon.slot() * SLOT_S
    }

    /// A slot of L1, and what all others make of it.
    pub(crate) fn slot(&mut self, sequences: bool) {
        self.try_slot(sequences).unwrap();
    }

    /// As [`Self::slot`]; whether the nodes agree.
    pub(crate) fn try_slot(&mut self, sequences: bool) -> Result<(), AgreementError> {
        self.beacon.next_slot().unwrap();
        while sequences && self.sequencer.next_timestamp() <= self.now() {
            match self.sequencer.next_block() {
                // Safe blocks were taken back; it goes on when the follower knows.
                Err(SequencerError::Changed(_)) => break,
                made => drop(made.unwrap()),
            }
        }
        self.sequencing.catch_up();
        self.post();
        self.following.catch_up();
        self.agreement.check()?;
        if self.proposer.step().unwrap().is_some() {
            self.claims += 1;
        }
        Ok(())
    }

    pub(crate) fn slots(&mut self, count: u64) {
        (0..count).for_each(|_| self.slot(true));
    }

    fn post(&mut self) {
        let now = Duration::from_secs(self.now());
        for _ in 0..PATIENCE {
            let progress: BatcherProgress = self.batcher.step(now).unwrap();
            self.posted += progress.included;
            if !progress.has_more {
                return;
            }
        }
        panic!("the batcher never rests");
    }

    /// The nodes that somebody asks who believes none of them.
    pub(crate) fn sources(&self) -> Sources {
        let url = format!("http://{}", self.following.node.rpc_address().unwrap());
        let l2 = RpcClient::http(&url, Timeouts::default()).unwrap();
        let urls = [self.beacon_url.clone()];
        Sources {
            l1: L1Client::new(self.rpc.clone()),
            beacon: BeaconClient::http(&urls, Timeouts::default(), Retry::default()).unwrap(),
            l2: L2Client::new(l2, self.config.clone()),
        }
    }

    /// Replaces the last blocks of L1.
    pub(crate) fn reorg_l1(&mut self, depth: u64) {
        self.beacon.reorg(depth, Replacement::SameSlots).unwrap();
    }

    /// Ends the batcher, as a kill does, and begins another one.
    pub(crate) fn restart_batcher(&mut self) {
        self.batcher = new_batcher(
            self.settings,
            &self.operators,
            &self.rpc,
            &self.sequencing.local,
            self.batchers,
        );
        self.batchers += 1;
    }

    /// Goes on without new rollup blocks until all are safe for the follower.
    pub(crate) fn settle(&mut self) -> BlockNumHash {
        let head = self.sequencing.head();
        for _ in 0..200 {
            if self.following.safe() == head && self.sequencing.safe() == head {
                let agreed = self.agreement.check().unwrap();
                assert!(agreed.is_none_or(|number| number == head.number));
                return head;
            }
            self.batcher.flush();
            self.slot(false);
        }
        panic!(
            "the head is {head:?}, but only {:?} and {:?} are safe: {:?}",
            self.sequencing.safe(),
            self.following.safe(),
            self.batcher
        );
    }

    /// Gives ether to `to` on the rollup by a deposit on L1.
    pub(crate) fn deposit(&self, to: Address, value: U256) {
        let call = Portal::depositTransactionCall {
            to,
            value,
            gasLimit: 100_000,
            isCreation: false,
            data: Bytes::new(),
        };
        let input = &Bytes::from(call.abi_encode());
        let to = self.addresses.portal.into();
        let call = Call { chain_id: 1337, to, value, input };
        let account = &self.accounts[0];
        submit(&self.l1, account, |signer, nonce| {
            call.sign(TxType::Eip1559, signer, nonce, account)
        });
    }

    /// Sends ether on the rollup.
    pub(crate) fn transfer(&self, to: Address, value: U256) {
        let (chain_id, to) = (self.config.l2_chain_id, to.into());
        let call = Call { chain_id, to, value, input: &Bytes::new() };
        let account = &self.accounts[1];
        submit(&self.sequencing.node, account, |signer, nonce| {
            call.sign(TxType::Eip1559, signer, nonce, account)
        });
    }

    /// Sends a transaction of this type (all but blobs, which rollups refuse) on the rollup.
    pub(crate) fn send_type(&self, ty: TxType, to: TxKind, input: &Bytes) {
        let call = Call { chain_id: self.config.l2_chain_id, to, value: U256::from(1), input };
        let delegating = &self.accounts[0];
        submit(&self.sequencing.node, &self.accounts[2], |signer, nonce| {
            call.sign(ty, signer, nonce, delegating)
        });
    }

    pub(crate) fn call_l1<C: SolCall>(&self, to: Address, call: &C) -> C::Return {
        let input = Bytes::from(call.abi_encode());
        let call = (serde_json::json!({ "to": to, "data": input }), "latest");
        let answer: Bytes = self.rpc.call("eth_call", &call).unwrap();
        C::abi_decode_returns(&answer).unwrap()
    }

    pub(crate) fn end(self) {
        let Self { runtime, l1, sequencing, following, .. } = self;
        runtime.block_on(async {
            sequencing.node.shutdown().await.unwrap();
            following.node.shutdown().await.unwrap();
            l1.shutdown().await.unwrap();
        });
    }
}

impl RollupNode {
    fn catch_up(&mut self) {
        self.follower.watch_l1().unwrap();
        for _ in 0..PATIENCE {
            match self.follower.step() {
                Ok(Progress::Worked) => {}
                Ok(Progress::Idle) => return,
                // It goes on there at the next slot.
                Err(error) => {
                    assert_eq!(error.severity(), Severity::Temporary, "{error}");
                    self.failures += 1;
                    return;
                }
            }
        }
        panic!("the follower never rests");
    }

    pub(crate) fn head(&self) -> BlockNumHash {
        let head = self.local.view.head();
        BlockNumHash::new(head.number, head.seal())
    }

    pub(crate) fn safe(&self) -> BlockNumHash {
        self.local.view.snapshot().safe().unwrap_or_default()
    }

    pub(crate) fn finalized(&self) -> u64 {
        self.local.view.snapshot().finalized().unwrap_or_default().number
    }

    pub(crate) fn hashes(&self) -> Vec<B256> {
        let snapshot = self.local.view.snapshot();
        (0..=snapshot.head().number).map(|at| snapshot.hash(at).unwrap().unwrap()).collect()
    }

    /// How many transactions of users are in the chain, by type.
    pub(crate) fn transactions(&self) -> HashMap<u8, usize> {
        let snapshot = self.local.view.snapshot();
        let mut found = HashMap::new();
        for number in 1..=snapshot.head().number {
            for transaction in snapshot.block(number).unwrap().unwrap().transactions() {
                *found.entry(transaction.ty()).or_default() += 1;
            }
        }
        found
    }

    /// How many of the first slots of a contract are not zero.
    pub(crate) fn slots(&self, contract: Address, of: u64) -> u64 {
        let snapshot = self.local.view.snapshot();
        let state = snapshot.state(snapshot.head().number).unwrap();
        let is_set = |slot: &u64| !state.storage(&contract, &U256::from(*slot)).unwrap().is_zero();
        (0..of).filter(is_set).count() as u64
    }

    pub(crate) fn balance(&self, account: Address) -> U256 {
        let snapshot = self.local.view.snapshot();
        let state = snapshot.state(snapshot.head().number).unwrap();
        state.account(&account).unwrap().map(|account| account.balance).unwrap_or_default()
    }
}

fn new_batcher(
    settings: BatcherConfig,
    operators: &Operators,
    rpc: &RpcClient,
    l2: &LocalRollup,
    seed: u64,
) -> Batcher<RpcL1, LocalRollup> {
    let DevAccount { address, signer } = operators.batcher.clone();
    let rollup = l2.rollup.config.clone();
    let (signer, prover) = (Box::new(signer), Box::new(KzgProver));
    let (l1, seed) = (RpcL1::new(rpc.clone()), B256::from(U256::from(seed)));
    Batcher::new(settings, rollup, l1, l2.clone(), address, signer, prover, seed).unwrap()
}
