//! Two rollups of a union with their JSON-RPC, and blocks that are made jointly.

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::{BlockNumHash, eip2718::Encodable2718};
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B64, B256, Bytes, ChainId, TxKind, U256, bytes, hex};
use alloy_rpc_types_engine::{ForkchoiceState, PayloadAttributes};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_chain::{
    FeeParams, ForkSchedule, GATE, OpHardfork, PORT, Rollup, UnionRules,
    genesis::L2_TO_L1_MESSAGE_PASSER,
};
use lockstep_engine::{
    BlockBuilder, Engine, EngineConfig, NoTransactions, PendingBlock, PendingPeer, PendingPeers,
    pool_head, push_jointly,
};
use lockstep_execution::{Bytecode, MemoryState};
use lockstep_pool::{Origin, Pool, PoolConfig};
use lockstep_rpc::{
    Confirmations, Context, Limits, Modules, Parts, PendingBlocks, RpcServer, RpcSettings,
    ServerSettings, UnionMembers, lockstep_methods,
};
use lockstep_storage::{GenesisBlock, MemoryStorage};
use lockstep_union::{SuperId, proxy_code, proxy_of};
use op_alloy_consensus::OpTxEnvelope;
use op_alloy_rpc_types_engine::OpPayloadAttributes;
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
};
use tokio::sync::watch;

pub(crate) const HOME: ChainId = 901;
pub(crate) const PEER: ChainId = 902;
/// On the home: calls [`TARGET`] on the peer and returns what it returns.
pub(crate) const CALLER: Address = Address::repeat_byte(0xc0);
/// Counts, logs the count and returns it; on both rollups.
pub(crate) const TARGET: Address = Address::repeat_byte(0xd0);

const COUNT: &[u8] = &hex!("5f54600101805f555f5260205fa060205ff3");
const BLOCK_TIME: u64 = 2;

static NEVER: AtomicBool = AtomicBool::new(false);

fn key() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(0x42)).unwrap()
}

/// Whose account the genesis files fund.
pub(crate) fn user() -> Address {
    key().address()
}

/// A word as output.
pub(crate) fn word(value: u64) -> Bytes {
    B256::from(U256::from(value)).to_vec().into()
}

/// The block of a rollup that is open, if one is.
struct Open {
    block: RwLock<Option<PendingBlock<Rollup>>>,
    changes: watch::Sender<()>,
    /// Done when somebody asks for the block.
    on_ask: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("block", &self.block).finish_non_exhaustive()
    }
}

impl Open {
    fn show(&self, block: Option<PendingBlock<Rollup>>) {
        *self.block.write() = block;
        self.changes.send_replace(());
    }
}

impl PendingBlocks<Rollup> for Open {
    fn pending(&self) -> Option<PendingBlock<Rollup>> {
        let on_ask = self.on_ask.lock().take();
        if let Some(on_ask) = on_ask {
            on_ask();
        }
        self.block.read().clone()
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}

/// What is said to be posted and settled.
#[derive(Debug, Default)]
struct OnL1(RwLock<(Option<BlockNumHash>, Option<BlockNumHash>)>);

impl Confirmations for OnL1 {
    fn posted(&self) -> Option<BlockNumHash> {
        self.0.read().0
    }

    fn settled(&self) -> Option<BlockNumHash> {
        self.0.read().1
    }
}

/// When a block becomes complete.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Close {
    Not,
    Now,
    WhenAsked,
}

struct Member {
    engine: Engine<Rollup>,
    pool: Pool<Rollup>,
    open: Arc<Open>,
    server: RpcServer,
}

pub(crate) struct World {
    members: BTreeMap<ChainId, Member>,
    peers: Arc<UnionMembers>,
    on_l1: Arc<OnL1>,
}

impl World {
    pub(crate) async fn start() -> Self {
        let (peers, on_l1) = (Arc::new(UnionMembers::default()), Arc::new(OnL1::default()));
        let mut members = BTreeMap::new();
        for chain in [HOME, PEER] {
            members.insert(chain, Member::start(chain, &peers, &on_l1).await);
        }
        Self { members, peers, on_l1 }
    }

    pub(crate) fn address(&self, chain: ChainId) -> SocketAddr {
        self.members[&chain].server.address().unwrap()
    }

    /// Lets calls on each rollup reach the others.
    pub(crate) fn join(&self) {
        for member in self.members.values() {
            self.peers.add(member.engine.view(), Some(member.open.clone()));
        }
    }

    /// Shows no block of a rollup any more.
    pub(crate) fn hide(&self, chain: ChainId) {
        self.members[&chain].open.show(None);
    }

    /// The next transaction of the user on the home rollup, encoded.
    pub(crate) fn raw(&self, to: Address, gas_limit: u64) -> Bytes {
        self.transaction(to, gas_limit, 0).encoded_2718().into()
    }

    /// Whether the home's pool has a transaction.
    pub(crate) fn has_pooled(&self) -> bool {
        self.members[&HOME].pool.status().pending > 0
    }

    /// What the home's node knows of L1.
    pub(crate) fn on_l1(&self, posted: Option<u64>, settled: Option<u64>) {
        let chain = self.members[&HOME].engine.view().snapshot();
        let block = |number| BlockNumHash::new(number, chain.hash(number).unwrap().unwrap());
        *self.on_l1.0.write() = (posted.map(block), settled.map(block));
    }

    /// A block of this number was posted that is not the home's.
    pub(crate) fn other_on_l1(&self, number: u64) {
        *self.on_l1.0.write() = (Some(BlockNumHash::new(number, B256::repeat_byte(0xee))), None);
    }

    /// Calls the home's head safe, or finalized.
    pub(crate) fn choose(&self, is_safe: bool, is_finalized: bool) {
        let engine = &self.members[&HOME].engine;
        let head = engine.view().head().seal();
        let chosen = |is_chosen: bool| if is_chosen { head } else { B256::ZERO };
        let state = ForkchoiceState {
            head_block_hash: head,
            safe_block_hash: chosen(is_safe),
            finalized_block_hash: chosen(is_finalized),
        };
        assert!(engine.fork_choice(state).unwrap().is_valid());
    }

    /// Adds a transaction to the home's pool; returns its hash.
    pub(crate) fn add_to_pool(&self) -> Value {
        let transaction = self.transaction(TARGET, 100_000, 0);
        let pool = &self.members[&HOME].pool;
        json!(pool.add_raw(&transaction.encoded_2718(), Origin::Local).unwrap())
    }

    /// Makes a block on each rollup, with a call on the home; returns its hash.
    pub(crate) fn make_block(&self, to: Address, gas_limit: u64) -> Value {
        self.with_block(to, gas_limit, None, Close::Now)
    }

    /// The same, but the blocks stay open.
    pub(crate) fn open_block(&self, to: Address, gas_limit: u64) -> Value {
        self.with_block(to, gas_limit, None, Close::Not)
    }

    /// The open blocks of [`Self::open_block`] with one transaction more on the home; returns its hash.
    pub(crate) fn grow_block(&self, to: Address, gas_limit: u64) -> Value {
        let more = self.transaction(TARGET, 100_000, 1);
        let hash = json!(more.tx_hash());
        self.with_block(to, gas_limit, Some(more), Close::Not);
        hash
    }

    /// The same, complete on all rollups, and never shown so.
    pub(crate) fn close_grown_block(&self, to: Address, gas_limit: u64) -> Value {
        let more = self.transaction(TARGET, 100_000, 1);
        let hash = json!(more.tx_hash());
        self.with_block(to, gas_limit, Some(more), Close::Now);
        hash
    }

    /// A block on each rollup that is complete, and the home's head from the moment on at which its open block is asked
    /// for, which is gone then.
    pub(crate) fn close_when_asked(&self, to: Address, gas_limit: u64) -> Value {
        self.with_block(to, gas_limit, None, Close::WhenAsked)
    }

    fn with_block(
        &self,
        to: Address,
        gas_limit: u64,
        more: Option<OpTxEnvelope>,
        close: Close,
    ) -> Value {
        let transaction = self.transaction(to, gas_limit, 0);
        let opened: BTreeMap<_, _> = self
            .members
            .iter()
            .map(|(chain, it)| {
                let head = it.engine.view().head();
                let attributes = attributes(head.timestamp + BLOCK_TIME);
                (*chain, it.engine.open_block(head.seal(), &attributes).unwrap())
            })
            .collect();
        let mut builders: BTreeMap<ChainId, BlockBuilder<'_, Rollup>> =
            opened.iter().map(|(chain, open)| (*chain, open.builder(&NEVER).unwrap())).collect();
        let index = self.members[&HOME].engine.view().head().number;
        let id = SuperId { slot: 1, index };
        let mut blocks = builders.iter_mut().map(|(chain, it)| (*chain, it)).collect();
        push_jointly(&mut blocks, id, HOME, &transaction, user(), &|_| true).unwrap();
        if let Some(more) = more {
            builders.get_mut(&HOME).unwrap().push(more, user(), None).unwrap();
        }
        let shown = |(chain, builder): (&ChainId, &BlockBuilder<'_, Rollup>)| {
            (*chain, builder.pending(opened[chain].parent_state()))
        };
        let shown: BTreeMap<ChainId, _> = builders.iter().map(shown).collect();
        let peer = |(chain, pending): (&ChainId, &PendingBlock<Rollup>)| {
            let header = pending.block.block.header.clone();
            let (state, rollup) = (pending.state.clone(), opened[chain].chain().clone());
            (*chain, PendingPeer { chain: rollup, header, state })
        };
        let peers: Arc<PendingPeers> = Arc::new(shown.iter().map(peer).collect());
        for (chain, mut pending) in shown {
            pending.peers = peers.clone();
            let open = &self.members[&chain].open;
            match close {
                Close::Not => open.show(Some(pending)),
                Close::Now => open.show(None),
                // Whoever follows changes would ask at once.
                Close::WhenAsked => *open.block.write() = None,
            }
        }
        let filled: Vec<_> =
            builders.into_iter().map(|(chain, builder)| (chain, builder.fill().unwrap())).collect();
        let mut opened = opened;
        for (chain, filled) in filled.into_iter().filter(|_| close != Close::Not) {
            let engine = &self.members[&chain].engine;
            let parent = engine.view().head().seal();
            let block = engine.close_block(opened.remove(&chain).unwrap(), filled).unwrap();
            let (extended, hash) = (engine.clone(), block.block.hash());
            let extend = move || {
                extended.extend(parent, hash).unwrap();
            };
            if close == Close::WhenAsked && chain == HOME {
                *self.members[&chain].open.on_ask.lock() = Some(Box::new(extend));
            } else {
                extend();
            }
        }
        json!(transaction.tx_hash())
    }

    /// The user's transaction that follows so many others.
    fn transaction(&self, to: Address, gas_limit: u64, others: u64) -> OpTxEnvelope {
        let snapshot = self.members[&HOME].engine.view().snapshot();
        let state = snapshot.state_by_hash(&snapshot.head().seal()).unwrap();
        let nonce = state.account(&user()).unwrap().unwrap().nonce;
        let tx = TxEip1559 {
            chain_id: HOME,
            nonce: nonce + others,
            gas_limit,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(to),
            ..TxEip1559::default()
        };
        let signature = key().sign_hash_sync(&tx.signature_hash()).unwrap();
        OpTxEnvelope::Eip1559(tx.into_signed(signature))
    }
}

impl Member {
    async fn start(chain: ChainId, peers: &Arc<UnionMembers>, on_l1: &Arc<OnL1>) -> Self {
        let genesis = genesis(chain);
        let forks = ForkSchedule::<OpHardfork>::at(OpHardfork::Isthmus);
        let rules = UnionRules::new([HOME, PEER]);
        let rollup = Rollup::new(chain, forks, FeeParams::OP_MAINNET).with_union(rules);
        let storage = Arc::new(MemoryStorage::new(&genesis));
        let builder = Arc::new(NoTransactions);
        let engine =
            Engine::open(rollup.clone(), storage, builder, EngineConfig::default()).unwrap();
        let head = pool_head(&engine.view().snapshot()).unwrap();
        let pool = Pool::new(rollup, PoolConfig::default(), head);
        engine.connect_pool(&pool).unwrap();
        let open = Arc::new(Open {
            block: RwLock::default(),
            changes: watch::Sender::new(()),
            on_ask: Mutex::default(),
        });
        let parts = Parts {
            pending: Some(open.clone()),
            peers: Some(peers.clone()),
            ..Parts::new(engine.view(), pool.clone())
        };
        let context = Context::start(parts, RpcSettings::default()).unwrap();
        let mut modules = Modules::standard(&context).unwrap();
        let methods = lockstep_methods(&context, Some(on_l1.clone())).unwrap();
        modules.add("lockstep", methods).unwrap();
        let settings = ServerSettings {
            address: Some("127.0.0.1:0".parse().unwrap()),
            http: vec!["*".to_owned()],
            ..ServerSettings::default()
        };
        let server = RpcServer::start(&modules, &settings, &Limits::default()).await.unwrap();
        Self { engine, pool, open, server }
    }
}

fn genesis(on: ChainId) -> GenesisBlock<Rollup> {
    let forks = ForkSchedule::<OpHardfork>::at(OpHardfork::Isthmus);
    let chain = Rollup::new(on, forks, FeeParams::OP_MAINNET);
    let mut state = MemoryState::default();
    let mut place = |address: Address, code: &[u8]| {
        let code = Bytecode::new_raw(Bytes::copy_from_slice(code));
        state.set_account(address, 1, U256::ZERO, code);
    };
    place(GATE, &[0]);
    place(PORT, &[0xfe]);
    place(TARGET, COUNT);
    place(L2_TO_L1_MESSAGE_PASSER, &[]);
    if on == HOME {
        let proxy = proxy_of(PEER, TARGET);
        place(proxy, &proxy_code(PEER, TARGET));
        let (before, after) =
            (hex!("60205f5f5f5f 73"), hex!("5af1602357 5f5ffd 5b 5f515f55 60205ff3"));
        place(CALLER, &[before.as_slice(), proxy.as_slice(), &after].concat());
    }
    state.set_account(user(), 0, U256::from(1_u128 << 100), Bytecode::default());
    state.set_slot(L2_TO_L1_MESSAGE_PASSER, U256::from(1), U256::from(2));
    let file = Genesis {
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(if on == HOME { 1_000_000_000 } else { 3_000_000_000 }),
        timestamp: 1_000,
        ..Genesis::default()
    };
    let mut header = chain.genesis_header(&file);
    header.extra_data = bytes!("00000000fa00000006");
    header.state_root = state.state_root();
    GenesisBlock::new(header, state).unwrap()
}

fn attributes(timestamp: u64) -> OpPayloadAttributes {
    OpPayloadAttributes {
        payload_attributes: PayloadAttributes {
            timestamp,
            prev_randao: B256::ZERO,
            suggested_fee_recipient: Address::repeat_byte(9),
            withdrawals: Some(Vec::new()),
            parent_beacon_block_root: Some(B256::ZERO),
            slot_number: None,
            target_gas_limit: None,
        },
        transactions: Some(Vec::new()),
        no_tx_pool: Some(true),
        gas_limit: Some(30_000_000),
        eip_1559_params: Some(B64::ZERO),
        min_base_fee: None,
    }
}
