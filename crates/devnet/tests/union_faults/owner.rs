//! The owner of the union's slots: makes blocks as a gateway does, and batches of them.

use crate::{
    followers::Node,
    l1::SLOT_S,
    model::{Block, Content, Span},
    world::Dice,
};
use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, Bytes, ChainId, TxKind, U256, bytes};
use alloy_signer::SignerSync;
use alloy_sol_types::SolCall;
use lockstep_batcher::{UnionBlock, build_union_batch};
use lockstep_contracts::Cafe;
use lockstep_devnet::{CAFE, DevAccount, UnionPlan};
use lockstep_engine::pool_head;
use lockstep_execution::StateReader;
use lockstep_gateway::{Bell, Clock, Gateway, GatewaySettings, Member, Preconfirmed, Sequencer};
use lockstep_pool::{Origin, Pool, PoolConfig};
use lockstep_protocol::{UnionBatch, UnionConfig};
use lockstep_union::{proxy_code, proxy_of};
use op_alloy_consensus::OpTxEnvelope;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// On every rollup: adds one to slot 0; with calldata, calls the address in its first word with the rest, adds one
/// to slot 1 if that worked, and returns slot 0.
pub(crate) const APP: Address = Address::repeat_byte(0xc0);
const APP_CODE: Bytes = bytes!(
    "5f546001015f5536156027576020360360205f375f5f602036035f5f5f355af1600154016001555b5f545f5260205ff3"
);

const TICK_MS: u64 = 100;
const GWEI: u128 = 1_000_000_000;

/// Puts the app on all rollups, and its proxies.
pub(crate) fn put_app_into(plan: &mut UnionPlan) {
    let chains: Vec<_> = plan.rollups.iter().map(|rollup| rollup.genesis.config.chain_id).collect();
    let code = |code| GenesisAccount { nonce: Some(1), code: Some(code), ..Default::default() };
    for rollup in &mut plan.rollups {
        let own = rollup.genesis.config.chain_id;
        rollup.genesis.alloc.insert(APP, code(APP_CODE));
        for peer in chains.iter().copied().filter(|peer| *peer != own) {
            rollup.genesis.alloc.insert(proxy_of(peer, APP), code(proxy_code(peer, APP)));
        }
    }
}

/// What users' transactions call on other rollups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Nothing.
    None,
    /// Something that answers, and does not look at who calls.
    Single,
    /// Something that calls back, or sends ether back, too.
    Nested,
}

/// The blocks of a slot, and those before it that no batch has.
#[derive(Clone, Debug)]
pub(crate) struct Honest {
    pub(crate) batch: UnionBatch,
    pub(crate) content: Content,
    /// How many parts of super transactions it has.
    pub(crate) parts: usize,
}

impl Honest {
    pub(crate) fn spans(&self) -> &BTreeMap<ChainId, Span> {
        self.content.spans.as_ref().unwrap()
    }
}

/// A clock that goes on when it is asked, to the end of a slot.
#[derive(Debug)]
struct SlotTime {
    asked_ms: AtomicU64,
    end_ms: u64,
}

impl Clock for SlotTime {
    fn unix_time(&self) -> Duration {
        let now = self.asked_ms.fetch_add(TICK_MS, Ordering::Relaxed) + TICK_MS;
        Duration::from_millis(now.min(self.end_ms))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.asked_ms.load(Ordering::Relaxed))
    }
}

/// Makes the blocks of a slot on what is safe, with transactions of users; `calls` says whether they call
/// other rollups, too.
pub(crate) fn make_slot(
    nodes: &[Node],
    union: &UnionConfig,
    users: &[DevAccount],
    slot: u64,
    calls: Calls,
    dice: &mut Dice,
) -> Honest {
    let mut members = Vec::new();
    for node in nodes {
        let safe = node.safe();
        while node.engine().rewind_towards(safe.hash).unwrap().hash != safe.hash {}
        let head = pool_head(&node.snapshot()).unwrap();
        let pool = Pool::new(node.member.chain.clone(), PoolConfig::default(), head);
        for transaction in wishes(node, union, users, calls, dice) {
            pool.add_raw(&transaction.encoded_2718(), Origin::User).unwrap();
        }
        let (l1, chain) = node.link.l1();
        let (engine, config) = (node.engine().clone(), node.member.config.clone());
        let sequencer = Sequencer::new(engine, config, chain, l1);
        members.push(Member { sequencer, pool, shown: Arc::new(Preconfirmed::default()) });
    }
    // So short that nobody waits.
    let update_interval = Duration::from_millis(1);
    let settings = GatewaySettings { update_interval, ..GatewaySettings::default() };
    let mut gateway = Gateway::new(members, settings, None).unwrap();
    let start_ms = union.slot_start(slot) * 1_000;
    let clock =
        SlotTime { asked_ms: AtomicU64::new(start_ms), end_ms: start_ms + SLOT_S * 1_000 - 1 };
    let bell = Bell::default();
    let end = union.slot_start(slot + 1);
    let is_short = |node: &Node| node.engine().view().head().timestamp + union.block_time < end;
    for _ in 0..10_000 {
        if !nodes.iter().any(is_short) {
            return collect(nodes, union, slot);
        }
        gateway.make_blocks(&clock, &bell).unwrap();
    }
    panic!("the slot is never full");
}

/// What no batch has.
fn collect(nodes: &[Node], union: &UnionConfig, slot: u64) -> Honest {
    let (mut rollups, mut spans, mut parts) = (BTreeMap::new(), BTreeMap::new(), 0);
    for node in nodes {
        let (snapshot, parent) = (node.snapshot(), node.safe());
        let genesis = &node.member.config.genesis;
        let blocks: Vec<UnionBlock> = (parent.number + 1..=snapshot.head().number)
            .map(|number| {
                let block = snapshot.block(number).unwrap().unwrap();
                UnionBlock::from_block(block.block.inner(), genesis).unwrap()
            })
            .collect();
        parts += blocks.iter().map(|block| block.parts.len()).sum::<usize>();
        let origin = blocks.last().expect("there are blocks").block.epoch;
        let made = blocks.iter().map(|block| Block::Made(block.block.hash)).collect();
        spans.insert(node.member.id(), Span { parent, origin, blocks: made });
        rollups.insert(node.member.id(), blocks);
    }
    let batch = build_union_batch(slot, union, &rollups).unwrap();
    Honest { batch, content: Content { spans: Some(spans) }, parts }
}

/// What users want on a rollup: some transfers, and calls of an app, on this rollup or through others.
fn wishes(
    node: &Node,
    union: &UnionConfig,
    users: &[DevAccount],
    calls: Calls,
    dice: &mut Dice,
) -> Vec<OpTxEnvelope> {
    let own = node.member.id();
    let peers: Vec<_> = union.chains.iter().copied().filter(|chain| *chain != own).collect();
    let snapshot = node.snapshot();
    let state = snapshot.state_by_hash(&snapshot.head().seal()).unwrap();
    let through =
        |hops: &[Address]| -> Bytes { hops.iter().flat_map(|hop| hop.into_word()).collect() };
    let mut sent = Vec::new();
    for (index, user) in users.iter().enumerate() {
        let found = state.account(&user.address).unwrap();
        let first = found.map_or(0, |account| account.nonce);
        let peer = peers[dice.below(peers.len() as u64) as usize];
        let (count, to, value, input) = match index {
            0 => (3, Address::repeat_byte(7), 1 + dice.below(1_000), Bytes::new()),
            1 => (1, APP, 0, Bytes::new()),
            2 if calls == Calls::Nested => {
                (1, APP, 0, through(&[proxy_of(peer, APP), proxy_of(own, APP)]))
            }
            3 if calls != Calls::None => (1, APP, 0, through(&[proxy_of(peer, APP)])),
            4 if calls == Calls::Nested => {
                let call = Cafe::orderCall { chain: U256::from(peer), cups: U256::from(1) };
                (1, CAFE, 4_000_000_000_000_000, call.abi_encode().into())
            }
            _ => continue,
        };
        for nonce in first..first + count {
            let tx = TxEip1559 {
                chain_id: own,
                nonce,
                gas_limit: if input.is_empty() { 100_000 } else { 3_000_000 },
                max_fee_per_gas: 100 * GWEI,
                max_priority_fee_per_gas: GWEI,
                to: TxKind::Call(to),
                value: U256::from(value),
                input: input.clone(),
                ..Default::default()
            };
            let signature = user.signer.sign_hash_sync(&tx.signature_hash()).unwrap();
            sent.push(OpTxEnvelope::Eip1559(tx.into_signed(signature)));
        }
    }
    sent
}
