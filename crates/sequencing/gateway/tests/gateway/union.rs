//! What a union for tests consists of: its rollups, their contracts, its users.

use crate::l1::{FakeL1, GENESIS_TIME};
use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::{BlockNumHash, eip2718::Encodable2718};
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes, ChainId, TxKind, U256, bytes};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_chain::{OpHardfork, Rollup};
use lockstep_contracts::{FeeRecipient, predeploys, union_predeploys};
use lockstep_execution::MemoryState;
use lockstep_protocol::{ChainOpConfig, RollupConfig, RollupGenesis, SystemConfig, UnionConfig};
use lockstep_storage::GenesisBlock;
use lockstep_union::{proxy_code, proxy_of};
use op_alloy_consensus::OpTxEnvelope;
use std::sync::Arc;

pub(crate) const SLOT_S: u64 = 4;
pub(crate) const GAS_LIMIT: u64 = 30_000_000;
const ELASTICITY: u32 = 6;
const DENOMINATOR: u32 = 250;

/// On every rollup: adds one to slot 0; with calldata, calls the address in its first word with the rest, adds one
/// to slot 1 if that worked, and returns slot 0.
pub(crate) const APP: Address = Address::repeat_byte(0xc0);
const APP_CODE: Bytes = bytes!(
    "5f546001015f5536156027576020360360205f375f5f602036035f5f5f355af1600154016001555b5f545f5260205ff3"
);

/// Uses up all gas that it gets.
pub(crate) const BURNER: Address = Address::repeat_byte(0xb0);

/// Rollup number `n`.
pub(crate) const fn chain(n: usize) -> ChainId {
    1_001 + n as u64
}

/// A rollup, as it begins.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) chain: Rollup,
    pub(crate) config: Arc<RollupConfig>,
    pub(crate) first: GenesisBlock<Rollup>,
}

pub(crate) fn user(n: u64) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::from(U256::from(n + 1))).unwrap()
}

/// Uses its gas up to the last 400,000, and then calls the address in the first word of its calldata.
pub(crate) const SPENDER: Address = Address::repeat_byte(0x5e);
const SPENDER_CODE: Bytes = bytes!("5b62061a805a115f575f5f5f5f5f5f355af100");

/// The rollups of a union of so many, with the users. Jovian begins with the first block, or `late` seconds after
/// it.
pub(crate) fn union(
    rollups: usize,
    users: &[PrivateKeySigner],
    l1: &FakeL1,
    late: Option<u64>,
) -> Vec<Plan> {
    let jovian = late.map_or(0, |seconds| GENESIS_TIME + seconds);
    let union = UnionConfig {
        inbox: Address::repeat_byte(0x1b),
        chains: (0..rollups).map(chain).collect(),
        slot_seconds: SLOT_S,
        genesis_time: GENESIS_TIME,
        block_time: 1,
        seq_window_size: 3_600,
        isthmus_time: Some(0),
        jovian_time: Some(jovian),
    };
    let origin = BlockNumHash::new(0, l1.blocks.lock()[0].hash_slow());
    let plan = |n| {
        let genesis = genesis(n, rollups, users, jovian);
        let chain = Rollup::from_genesis(&genesis).unwrap();
        let state = MemoryState::from_genesis(&genesis);
        let first: GenesisBlock<Rollup> =
            GenesisBlock::new(chain.genesis_header(&genesis), state).unwrap();
        let l2 = BlockNumHash::new(0, first.block().seal());
        let config = config(&genesis, origin, l2, &union, jovian);
        config.validate().unwrap();
        Plan { chain: config.chain(), config: Arc::new(config), first }
    };
    (0..rollups).map(plan).collect()
}

fn genesis(n: usize, rollups: usize, users: &[PrivateKeySigner], jovian: u64) -> Genesis {
    let fields = r#"{"bedrockBlock":0,"regolithTime":0,"canyonTime":0,"ecotoneTime":0,"fjordTime":0,
        "graniteTime":0,"holoceneTime":0,"isthmusTime":0,"jovianTime":0,"optimism":
        {"eip1559Elasticity":6,"eip1559Denominator":50,"eip1559DenominatorCanyon":250}}"#;
    let mut config = ChainConfig {
        chain_id: chain(n),
        shanghai_time: Some(0),
        cancun_time: Some(0),
        prague_time: Some(0),
        terminal_total_difficulty: Some(U256::ZERO),
        ..Default::default()
    };
    config.extra_fields = serde_json::from_str(fields).unwrap();
    config.extra_fields.insert("jovianTime".into(), jovian.into());
    let mut genesis = Genesis {
        config,
        timestamp: GENESIS_TIME,
        gas_limit: GAS_LIMIT,
        base_fee_per_gas: Some(1_000_000),
        ..Default::default()
    };
    // Jovian: version 1, denominator and elasticity of four bytes each, the least base fee of eight.
    let fields = [&[1][..], &DENOMINATOR.to_be_bytes(), &ELASTICITY.to_be_bytes(), &[0; 8]];
    genesis.extra_data = fields.concat().into();
    let mut fork = OpHardfork::Jovian;
    if jovian > 0 {
        genesis.extra_data = [&[0][..], fields[1], fields[2]].concat().into();
        fork = OpHardfork::Isthmus;
    }
    let fees_to = FeeRecipient::OnRollup(Address::repeat_byte(0xfe));
    genesis.alloc.extend(predeploys(fork, fees_to, U256::ZERO));
    genesis.alloc.extend(union_predeploys(Address::ZERO));
    let code = |code| GenesisAccount { nonce: Some(1), code: Some(code), ..Default::default() };
    genesis.alloc.insert(APP, code(APP_CODE));
    genesis.alloc.insert(BURNER, code(bytes!("fe")));
    genesis.alloc.insert(SPENDER, code(SPENDER_CODE));
    for peer in (0..rollups).filter(|peer| *peer != n).map(chain) {
        genesis.alloc.insert(proxy_of(peer, APP), code(proxy_code(peer, APP)));
        genesis.alloc.insert(proxy_of(peer, BURNER), code(proxy_code(peer, BURNER)));
    }
    let balance = U256::from(10).pow(U256::from(22));
    for user in users {
        genesis.alloc.insert(user.address(), GenesisAccount { balance, ..Default::default() });
    }
    genesis
}

fn config(
    genesis: &Genesis,
    l1: BlockNumHash,
    l2: BlockNumHash,
    union: &UnionConfig,
    jovian: u64,
) -> RollupConfig {
    let now = Some(0);
    let system_config = SystemConfig {
        batcher_address: Address::repeat_byte(0xba),
        gas_limit: GAS_LIMIT,
        eip1559_denominator: DENOMINATOR,
        eip1559_elasticity: ELASTICITY,
        da_footprint_gas_scalar: 1,
        scalar: U256::from(1) << 248,
        ..Default::default()
    };
    RollupConfig {
        genesis: RollupGenesis { l1, l2, l2_time: GENESIS_TIME, system_config },
        block_time: 1,
        max_sequencer_drift: 600,
        seq_window_size: 3_600,
        channel_timeout: 300,
        l1_chain_id: 1337,
        l2_chain_id: genesis.config.chain_id,
        regolith_time: now,
        canyon_time: now,
        delta_time: now,
        ecotone_time: now,
        fjord_time: now,
        granite_time: now,
        holocene_time: now,
        isthmus_time: now,
        jovian_time: Some(jovian),
        batch_inbox_address: Address::repeat_byte(0xb1),
        deposit_contract_address: Address::repeat_byte(0xd1),
        l1_system_config_address: Address::repeat_byte(0xd2),
        chain_op_config: ChainOpConfig::default(),
        union: Some(union.clone()),
        ..RollupConfig::default()
    }
}

/// Calldata that leads [`APP`] through these addresses.
pub(crate) fn through(hops: &[Address]) -> Bytes {
    hops.iter().flat_map(|hop| hop.into_word()).collect()
}

/// What a user's transaction does.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) home: ChainId,
    pub(crate) to: Address,
    pub(crate) value: u64,
    pub(crate) input: Bytes,
    pub(crate) gas_limit: u64,
    /// In gwei.
    pub(crate) tip: u128,
}

impl Wish {
    pub(crate) fn new(home: ChainId, to: Address) -> Self {
        Self { home, to, value: 0, input: Bytes::new(), gas_limit: 100_000, tip: 1 }
    }

    /// A call of [`APP`] on the home rollup that goes on through these addresses.
    pub(crate) fn through(home: ChainId, hops: &[Address]) -> Self {
        Self { input: through(hops), gas_limit: 800_000, ..Self::new(home, APP) }
    }

    pub(crate) fn sign(&self, user: &PrivateKeySigner, nonce: u64) -> OpTxEnvelope {
        let tx = TxEip1559 {
            chain_id: self.home,
            nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: (100 + 10 * self.tip) * 1_000_000_000,
            max_priority_fee_per_gas: self.tip * 1_000_000_000,
            to: TxKind::Call(self.to),
            value: U256::from(self.value),
            input: self.input.clone(),
            ..Default::default()
        };
        let signature = user.sign_hash_sync(&tx.signature_hash()).unwrap();
        OpTxEnvelope::Eip1559(tx.into_signed(signature))
    }
}

pub(crate) fn raw(transaction: &OpTxEnvelope) -> Vec<u8> {
    transaction.encoded_2718()
}
