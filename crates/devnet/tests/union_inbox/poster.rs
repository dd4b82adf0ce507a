//! The gateway's poster against the inbox's own code.

use crate::{World, gateway_of, proof::proof};
use alloy_consensus::{
    SignableTransaction, Signed, Transaction, TxEip1559, TxEip4844WithSidecar,
    transaction::{EthereumTxEnvelope, SignerRecoverable},
};
use alloy_eips::{
    BlockNumHash,
    eip2718::{Decodable2718, Encodable2718},
    eip7594::BlobTransactionSidecarVariant,
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use alloy_sol_types::SolEvent;
use lockstep_batcher::{
    Account, BatchBlock, Inclusion, KzgProver, L1Head, L1Submit, NonceAt, SendOutcome, SourceError,
    UnionBlock,
};
use lockstep_chain::EthereumTransaction;
use lockstep_contracts::{Inbox, ProposersProof};
use lockstep_derive::open_union_batch;
use lockstep_devnet::{
    L1_CHAIN_ID,
    beacon::{ImportedBlock, Preset},
};
use lockstep_gateway::{
    GatewayError, GatewayKey, InboxState, L1Inbox, MemberStatus, Poster, PosterError, PosterMember,
    PosterParts, PosterSettings, PosterTime, RollupStatus, SealSettings, Sealer, SealerParts,
    SlotOwners, UnionChains,
};
use lockstep_lookahead::{Owner, Ownership};
use lockstep_protocol::{RollupConfig, RollupGenesis, UnionBatch, UnionConfig};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

const CHAIN: u64 = 901;
const WINDOW_SLOTS: u64 = 16;

type Tx = EthereumTxEnvelope<TxEip4844WithSidecar<BlobTransactionSidecarVariant>>;

/// The world, as it is after each L1 block, and a rollup.
struct Scene {
    world: World,
    config: Arc<RollupConfig>,
    blocks: Vec<UnionBlock>,
    safe: usize,
    /// Who owns slots, as it was known before each.
    owners: BTreeMap<u64, Owner>,
    /// By epoch, a state of it, and when L1 has its root.
    anchors: BTreeMap<u64, (Arc<ImportedBlock>, u64)>,
    pool: Vec<Tx>,
    included: Vec<(B256, Inclusion)>,
    inbox: InboxState,
    posted: Vec<u64>,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Scene>>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Scene {
    fn new(preset: &'static Preset) -> Self {
        let world = World::new(preset);
        let view = world.beacon.view();
        let (genesis_time, slot_seconds) =
            (view.genesis().state.genesis_time, view.spec().seconds_per_slot);
        let union = UnionConfig {
            inbox: world.inbox,
            chains: [CHAIN].into(),
            slot_seconds,
            genesis_time,
            block_time: 1,
            seq_window_size: 3_600,
            ..UnionConfig::default()
        };
        let first =
            BatchBlock { hash: keccak256("first"), timestamp: genesis_time, ..Default::default() };
        let config = RollupConfig {
            l1_chain_id: L1_CHAIN_ID,
            l2_chain_id: CHAIN,
            block_time: 1,
            union: Some(union),
            genesis: RollupGenesis { l2: first.id(), l2_time: genesis_time, ..Default::default() },
            ..RollupConfig::default()
        };
        Self {
            world,
            config: Arc::new(config),
            blocks: vec![UnionBlock { block: first, parts: Vec::new() }],
            safe: 0,
            owners: BTreeMap::new(),
            anchors: BTreeMap::new(),
            pool: Vec::new(),
            included: Vec::new(),
            inbox: InboxState { window_slots: WINDOW_SLOTS, ..InboxState::default() },
            posted: Vec::new(),
        }
    }

    fn head_id(&self) -> BlockNumHash {
        BlockNumHash::new(self.world.number, keccak256(self.world.number.to_be_bytes()))
    }

    /// The next L1 block, with what is in the pool.
    fn mine(&mut self) {
        let slot = self.world.next_slot();
        let by_slot = self.world.owned_slot(slot);
        self.owners.insert(slot, Owner { gateway: self.world.owner(slot).address(), by_slot });
        let timestamp = self.world.beacon.view().spec().slot_time(slot);
        let head = self.world.beacon.view().head();
        let epoch = self.world.preset.epoch(head.slot());
        self.anchors.insert(epoch, (head, timestamp));
        let mut pool = std::mem::take(&mut self.pool).into_iter();
        let tx = pool.next();
        self.pool = pool.collect();
        let executed = tx.as_ref().map(without_blobs);
        let outcome = self.world.include(executed.as_ref().map(|(tx, from)| (tx, *from)));
        let (Some(tx), Some((gas_used, logs))) = (tx, outcome) else { return };
        let block = self.head_id();
        let succeeded = logs.is_some();
        assert!(succeeded, "the inbox takes what the poster sends");
        // Enough to spare, whatever the contract's compiler does next.
        let limit = tx.gas_limit();
        assert!(gas_used * 5 / 4 < limit, "{gas_used} of {limit}");
        self.included.push((*tx.tx_hash(), Inclusion { block, succeeded, fee: 1 }));
        let event = Inbox::BatchPosted::decode_log(&logs.unwrap()[0]).unwrap().data;
        self.inbox.head = event.batchHash;
        self.inbox.next_slot = event.slot + 1;
        self.posted.push(event.slot);
        self.derive(&tx, event.slot);
    }

    /// Finds the blocks in what was posted.
    fn derive(&mut self, tx: &Tx, slot: u64) {
        let EthereumTxEnvelope::Eip4844(tx) = tx else { panic!("it has blobs") };
        let blobs: Vec<_> = tx.tx().sidecar.blobs().iter().collect();
        let data = UnionBatch::join_blobs(&blobs).unwrap();
        let union = self.config.union.as_ref().unwrap();
        let span = open_union_batch(&data, slot, &self.config, union).unwrap().unwrap();
        assert!(span.matches_parent(self.blocks[self.safe].block.hash));
        for block in span.blocks {
            self.safe += 1;
            let expected = &self.blocks[self.safe].block;
            assert_eq!(block.timestamp, expected.timestamp);
            assert_eq!(block.transactions, expected.transactions);
        }
    }

    /// Makes the rollup's blocks of the newest slot.
    fn sequence(&mut self) {
        let slot = self.world.beacon.view().slot();
        let is_ours = self.owners[&slot].gateway == self.world.gateways[0].address();
        let end = self.config.union.as_ref().unwrap().slot_start(slot + 1);
        while self.blocks.last().unwrap().block.timestamp + 1 < end {
            let parent = &self.blocks.last().unwrap().block;
            let timestamp = parent.timestamp + 1;
            let is_filled = is_ours && timestamp + 3 > end;
            let transactions = if is_filled { vec![transaction(timestamp)] } else { Vec::new() };
            let block = BatchBlock {
                number: parent.number + 1,
                hash: keccak256([&parent.hash[..], &timestamp.to_be_bytes()].concat()),
                parent_hash: parent.hash,
                timestamp,
                epoch: BlockNumHash::new(1, B256::repeat_byte(1)),
                starts_epoch: false,
                transactions,
            };
            self.blocks.push(UnionBlock { block, parts: Vec::new() });
        }
    }
}

/// What is executed of a transaction, and who sent it.
fn without_blobs(tx: &Tx) -> (EthereumTransaction, Address) {
    let EthereumTxEnvelope::Eip4844(signed) = tx else { panic!("it has blobs") };
    let plain = signed.tx().tx().clone();
    let plain = Signed::new_unchecked(plain, *signed.signature(), *signed.hash());
    (plain.into(), tx.recover_signer().unwrap())
}

fn transaction(unique: u64) -> Bytes {
    let tx = TxEip1559 {
        chain_id: CHAIN,
        nonce: unique,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(7)),
        ..Default::default()
    };
    let signature = Signature::new(U256::from(unique), U256::ONE, false);
    EthereumTransaction::from(tx.into_signed(signature)).encoded_2718().into()
}

impl L1Submit for Shared {
    fn head(&mut self) -> Result<L1Head, SourceError> {
        let scene = self.0.lock();
        let view = scene.world.beacon.view();
        Ok(L1Head {
            block: scene.head_id(),
            parent_hash: keccak256(scene.world.number.wrapping_sub(1).to_be_bytes()),
            timestamp: view.spec().slot_time(view.slot()),
            base_fee: 7,
            blob_base_fee: 1,
            tip: 1,
        })
    }

    fn nonce(&mut self, _account: Address, at: NonceAt) -> Result<u64, SourceError> {
        let scene = self.0.lock();
        let pending = if at == NonceAt::Pending { scene.pool.len() } else { 0 };
        Ok((scene.included.len() + pending) as u64)
    }

    fn balance(&mut self, _account: Address) -> Result<u128, SourceError> {
        Ok(1)
    }

    fn send(&mut self, mut raw: &[u8]) -> Result<SendOutcome, SourceError> {
        self.0.lock().pool.push(Tx::decode_2718(&mut raw).unwrap());
        Ok(SendOutcome::Accepted)
    }

    fn inclusion(&mut self, hash: B256) -> Result<Option<Inclusion>, SourceError> {
        let scene = self.0.lock();
        Ok(scene.included.iter().find(|(known, _)| *known == hash).map(|(_, at)| *at))
    }
}

impl L1Inbox for Shared {
    fn inbox(&mut self, at: B256) -> Result<Option<InboxState>, SourceError> {
        let scene = self.0.lock();
        Ok((at == scene.head_id().hash).then_some(scene.inbox))
    }
}

impl SlotOwners for Shared {
    fn ownership(&mut self, slot: u64, _now_s: u64) -> Result<Ownership, PosterError> {
        Ok(self.0.lock().owners.get(&slot).map_or(Ownership::Unknown, |it| Ownership::Owned(*it)))
    }

    fn secure(&mut self, _: &BTreeSet<u64>, _: u64, _: u64) -> Result<Option<u64>, PosterError> {
        Ok(None)
    }

    fn prove(&mut self, slot: u64, owner: Owner) -> Result<Option<ProposersProof>, PosterError> {
        let scene = self.0.lock();
        let preset = scene.world.preset;
        let Some((head, timestamp)) = scene.anchors.get(&preset.epoch(slot)) else {
            return Ok(None);
        };
        let first = preset.start_slot(preset.epoch(slot));
        let proposer = |slot: u64| head.state.proposer_lookahead.get((slot - first) as usize);
        let validators: Vec<usize> =
            (slot..=owner.by_slot).map(|slot| proposer(slot).unwrap() as usize).collect();
        assert!(gateway_of(*validators.last().unwrap() as u64).is_some());
        Ok(Some(proof(&head.block, &head.state, *timestamp, &validators, preset)))
    }
}

impl RollupStatus for Shared {
    fn status(&mut self) -> Result<MemberStatus, SourceError> {
        let scene = self.0.lock();
        let safe_head = scene.blocks[scene.safe].block.id();
        Ok(MemberStatus { safe_head, derived_up_to: Some(scene.head_id()) })
    }
}

impl UnionChains for Shared {
    fn head(&self, _chain: u64) -> Result<BlockNumHash, GatewayError> {
        Ok(self.0.lock().blocks.last().unwrap().block.id())
    }

    fn safe(&self, _chain: u64) -> Result<u64, GatewayError> {
        Ok(self.0.lock().safe as u64)
    }

    fn hash(&self, _chain: u64, number: u64) -> Result<Option<B256>, GatewayError> {
        Ok(self.0.lock().blocks.get(number as usize).map(|block| block.block.hash))
    }

    fn block(&self, _chain: u64, number: u64) -> Result<Option<UnionBlock>, GatewayError> {
        Ok(self.0.lock().blocks.get(number as usize).cloned())
    }

    fn rewind(
        &mut self,
        _chain: u64,
        _head: BlockNumHash,
        to: BlockNumHash,
    ) -> Result<(), GatewayError> {
        panic!("everything can be posted, and nothing is taken back to {to:?}")
    }
}

#[test]
fn what_the_poster_sends_the_inbox_takes() {
    for preset in [&Preset::MINIMAL, &Preset::MAINNET] {
        let scene = Shared(Arc::new(Mutex::new(Scene::new(preset))));
        let (config, gateway, payer) = {
            let scene = scene.0.lock();
            (scene.config.clone(), scene.world.gateways[0].clone(), scene.world.payer.clone())
        };
        let parts = SealerParts {
            rollups: vec![config.clone()],
            key: GatewayKey { address: gateway.address(), signer: Box::new(gateway.clone()) },
            prover: Box::new(KzgProver),
        };
        let mut sealer = Sealer::new(SealSettings::default(), parts, None).unwrap();
        let parts = PosterParts {
            l1: Box::new(scene.clone()),
            owners: Box::new(scene.clone()),
            members: vec![PosterMember { config, node: Box::new(scene.clone()) }],
            ledger: sealer.ledger(),
            payer: Account {
                address: payer.address(),
                signer: Box::new(payer),
                chain_id: L1_CHAIN_ID,
            },
            prover: Box::new(KzgProver),
        };
        let mut poster = Poster::new(PosterSettings::default(), parts).unwrap();
        for _ in 0..preset.slots_per_epoch * 5 / 2 {
            let now = {
                let mut scene = scene.0.lock();
                scene.mine();
                scene.sequence();
                let view = scene.world.beacon.view();
                Duration::from_secs(view.spec().slot_time(view.slot()))
            };
            let time = PosterTime { unix: now, elapsed: now };
            // It tells whose the slot is, and posts what is sealed then.
            for _ in 0..2 {
                let progress = poster.step(time).unwrap();
                assert_eq!(progress.reset, None);
                sealer.keep_up(&mut scene.clone(), now, false).unwrap();
            }
            assert_eq!(poster.step(time).unwrap().reset, None);
        }
        let scene = scene.0.lock();
        let newest = scene.world.beacon.view().slot();
        let owned = scene.owners.iter().filter(|(_, it)| it.gateway == gateway.address());
        // The batch of a slot is in the L1 block of the next one.
        let expected: Vec<u64> =
            owned.map(|(slot, _)| *slot).filter(|slot| *slot < newest).collect();
        assert_eq!(scene.posted, expected, "{}", preset.name);
        assert!(scene.owners.iter().any(|(slot, owner)| owner.by_slot > *slot));
    }
}
