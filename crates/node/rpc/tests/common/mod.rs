//! A whole node in this process: storage in memory, engine, pool, and a server on loopback.

#![allow(dead_code, reason = "no test uses all of it")]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

pub(crate) mod client;
pub(crate) mod dev;

use alloy_primitives::Sealed;
use alloy_rlp::Header as RlpHeader;
use lockstep_chain::{Ethereum, decode_block, genesis};
use lockstep_engine::{Engine, EngineConfig, PoolBuilder, pool_head};
use lockstep_execution::MemoryState;
use lockstep_pool::{Pool, PoolConfig};
use lockstep_rpc::{
    Context, EngineTestBlocks, Limits, Modules, Parts, RpcServer, RpcSettings, ServerSettings,
};
use lockstep_storage::{GenesisBlock, MemoryStorage};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where the shared fixtures are; `None`, and a line that says so, where they are not.
pub(crate) fn fixtures() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let path = std::env::var_os("LOCKSTEP_FIXTURES").map(|path| root.join(path));
    let path = path.filter(|path| path.is_dir());
    if path.is_none() {
        eprintln!("SKIPPED: LOCKSTEP_FIXTURES names no folder of fixtures");
    }
    path
}

/// A node and its parts.
pub(crate) struct Node {
    pub(crate) engine: Engine<Ethereum>,
    pub(crate) pool: Pool<Ethereum>,
    pub(crate) context: Arc<Context<Ethereum>>,
    pub(crate) server: RpcServer,
}

impl Node {
    /// A node with this genesis file and these blocks.
    pub(crate) async fn start(genesis_json: &[u8], chain_rlp: &[u8], limits: Limits) -> Self {
        Self::start_with(genesis_json, chain_rlp, limits, None).await
    }

    pub(crate) async fn start_with(
        genesis_json: &[u8],
        chain_rlp: &[u8],
        limits: Limits,
        ipc_path: Option<PathBuf>,
    ) -> Self {
        let file = genesis::parse(genesis_json).unwrap();
        let chain = Ethereum::from_genesis(&file).unwrap();
        let header = chain.genesis_header(&file);
        let first =
            GenesisBlock::<Ethereum>::new(header, MemoryState::from_genesis(&file)).unwrap();
        let storage = Arc::new(MemoryStorage::new(&first));
        let builder = Arc::new(lockstep_engine::NoTransactions);
        let engine =
            Engine::open(chain.clone(), storage, builder, EngineConfig::default()).unwrap();
        for block in blocks(chain_rlp) {
            let (number, hash) = (block.header.number, block.seal());
            let status = engine.insert(block).unwrap();
            assert!(status.is_valid(), "block {number}: {status:?}");
            choose(&engine, hash);
        }
        let head = pool_head(&engine.view().snapshot()).unwrap();
        let pool = Pool::new(chain, PoolConfig::default(), head);
        engine.set_builder(Arc::new(PoolBuilder::new(pool.clone())));
        engine.connect_pool(&pool).unwrap();
        let settings = RpcSettings {
            network_id: file.config.chain_id,
            limits: limits.clone(),
            ..RpcSettings::default()
        };
        let test_blocks = Arc::new(EngineTestBlocks::new(engine.clone(), pool.clone()));
        let parts = Parts {
            test_blocks: Some(test_blocks),
            signer: Some(Arc::new(dev::DevSigner)),
            ..Parts::new(engine.view(), pool.clone())
        };
        let context = Context::start(parts, settings).unwrap();
        let modules = Modules::standard(&context).unwrap();
        let all = || vec!["*".to_owned()];
        let settings = ServerSettings {
            address: Some("127.0.0.1:0".parse().unwrap()),
            http: all(),
            websocket: all(),
            ipc_path,
            ..ServerSettings::default()
        };
        let server = RpcServer::start(&modules, &settings, &limits).await.unwrap();
        Self { engine, pool, context, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.server.address().unwrap())
    }
}

/// Makes a block head, safe and finalized.
pub(crate) fn choose(engine: &Engine<Ethereum>, hash: alloy_primitives::B256) {
    let state = alloy_rpc_types_engine::ForkchoiceState {
        head_block_hash: hash,
        safe_block_hash: hash,
        finalized_block_hash: hash,
    };
    let status = engine.fork_choice(state).unwrap();
    assert!(status.is_valid(), "{status:?}");
}

/// The blocks of a file of RLP items.
pub(crate) fn blocks(mut rlp: &[u8]) -> Vec<Sealed<lockstep_chain::Block<Ethereum>>> {
    let mut blocks = Vec::new();
    while !rlp.is_empty() {
        let mut rest = rlp;
        let header = RlpHeader::decode(&mut rest).unwrap();
        let length = rlp.len() - rest.len() + header.payload_length;
        let block = decode_block::<Ethereum>(&rlp[..length]).unwrap();
        let hash = block.header.hash_slow();
        blocks.push(Sealed::new_unchecked(block, hash));
        rlp = &rlp[length..];
    }
    blocks
}
