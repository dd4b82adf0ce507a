//! An L1 whose blocks have what the test says, and nothing else: no pool decides what a reorganisation brings back.

use crate::proof::proof;
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip4844, TxReceipt};
use alloy_eips::eip7594::BlobTransactionSidecarVariant;
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_chain::{Ethereum, EthereumTransaction};
use lockstep_contracts::ProposersProof;
use lockstep_devnet::{
    L1_CHAIN_ID,
    beacon::{
        BeaconConfig, BeaconSpec, BlockId, DevBeacon, Replacement, Signing, serve_beacon_api,
    },
    dev_server,
};
use lockstep_engine::{BlockBuilder, BuildError, Engine, PayloadBuilder};
use lockstep_execution::MemoryState;
use lockstep_node::{Node, NodeBuilder};
use lockstep_protocol::{BATCH_POSTED_TOPIC, BatchPosted};
use lockstep_rpc::RpcSettings;
use lockstep_storage::GenesisBlock;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};

pub(crate) const GENESIS_TIME: u64 = 1_700_000_000;
pub(crate) const SLOT_S: u64 = 2;

/// Accounts that send one transaction each.
const PAYERS: usize = 1_024;

/// L1 blocks between a proof and the state that it is of: as deep as L1 is reorganised at most.
const PROOF_DEPTH: u64 = 8;

const GWEI: u128 = 1_000_000_000;

/// A transaction of an account that sends no other.
#[derive(Clone, Debug)]
struct Scripted {
    transaction: EthereumTransaction,
    sender: Address,
    sidecar: Option<Arc<BlobTransactionSidecarVariant>>,
}

/// What L1's blocks have, by their time.
#[derive(Clone, Debug, Default)]
struct Script(Arc<Mutex<BTreeMap<u64, Vec<Scripted>>>>);

impl PayloadBuilder<Ethereum> for Script {
    fn build(&self, block: &mut BlockBuilder<'_, Ethereum>) -> Result<(), BuildError> {
        let planned = self.0.lock().get(&block.header().timestamp).cloned();
        for Scripted { transaction, sender, sidecar } in planned.into_iter().flatten() {
            let pushed = block.push(transaction, sender, sidecar);
            pushed.map_err(|refusal| BuildError::Invalid(refusal.to_string()))?;
        }
        Ok(())
    }
}

/// The accounts that pay for transactions on L1.
pub(crate) fn payers() -> Vec<PrivateKeySigner> {
    let key = |n: usize| keccak256(format!("payer {n}"));
    (0..PAYERS).map(|n| PrivateKeySigner::from_bytes(&key(n)).unwrap()).collect()
}

pub(crate) fn beacon_spec() -> BeaconSpec {
    BeaconSpec { seconds_per_slot: SLOT_S, ..BeaconSpec::dev(GENESIS_TIME, L1_CHAIN_ID) }
}

pub(crate) struct L1 {
    runtime: Runtime,
    _beacon_stop: oneshot::Sender<()>,
    node: Node<Ethereum>,
    beacon: DevBeacon<Engine<Ethereum>>,
    script: Script,
    payers: Vec<PrivateKeySigner>,
    inbox: Address,
    /// Of blocks that were looked through.
    events: HashMap<B256, Vec<BatchPosted>>,
    pub(crate) chain: Arc<Ethereum>,
    pub(crate) url: String,
    pub(crate) beacon_url: String,
}

impl L1 {
    pub(crate) fn new(genesis: &Genesis, inbox: Address, payers: Vec<PrivateKeySigner>) -> Self {
        let runtime = Runtime::new().unwrap();
        let chain = Ethereum::from_genesis(genesis).unwrap();
        let state = MemoryState::from_genesis(genesis);
        let first: GenesisBlock<Ethereum> =
            GenesisBlock::new(chain.genesis_header(genesis), state).unwrap();
        let script = Script::default();
        let scripted = script.clone();
        let settings = RpcSettings { network_id: L1_CHAIN_ID, ..RpcSettings::default() };
        let node = NodeBuilder::new(chain.clone(), &first)
            .payload_builder(move |_| scripted)
            .rpc(settings, dev_server(0, None));
        let node = runtime.block_on(node.launch()).unwrap();
        let engine = node.context().engine().clone();
        let block = first.block();
        let config = BeaconConfig { signing: Signing::Hash, ..BeaconConfig::new(beacon_spec()) };
        let beacon = DevBeacon::open(config, engine, &block.header, block.seal()).unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let beacon_url = format!("http://{}", listener.local_addr().unwrap());
        let (beacon_stop, stopped) = oneshot::channel();
        runtime.spawn(serve_beacon_api(listener, beacon.view(), None, async {
            // The sender goes with the L1.
            let _ = stopped.await;
        }));
        let url = format!("http://{}", node.rpc_address().unwrap());
        Self {
            runtime,
            _beacon_stop: beacon_stop,
            node,
            beacon,
            script,
            payers,
            inbox,
            events: HashMap::new(),
            chain: Arc::new(chain),
            url,
            beacon_url,
        }
    }

    /// The slot of the newest block.
    pub(crate) fn slot(&self) -> u64 {
        self.beacon.slot()
    }

    /// A block with what was planned for it.
    pub(crate) fn next_slot(&mut self) {
        self.beacon.next_slot().unwrap().unwrap();
    }

    /// Replaces the last blocks by others of the same slots, with what is planned for them now.
    pub(crate) fn reorg(&mut self, depth: u64) {
        self.beacon.reorg(depth, Replacement::SameSlots).unwrap();
    }

    /// Forgets what was planned for the blocks from this slot on.
    pub(crate) fn clear_from(&self, slot: u64) {
        let _ = self.script.0.lock().split_off(&beacon_spec().slot_time(slot));
    }

    /// Plans a transaction for the block of a slot.
    pub(crate) fn plan(
        &mut self,
        slot: u64,
        to: Address,
        input: Bytes,
        value: U256,
        sidecar: Option<BlobTransactionSidecarVariant>,
    ) {
        let payer = self.payers.pop().expect("there are enough accounts");
        let transaction = sign(&payer, to, input, value, sidecar.as_ref());
        let (sender, sidecar) = (payer.address(), sidecar.map(Arc::new));
        let scripted = Scripted { transaction, sender, sidecar };
        self.script.0.lock().entry(beacon_spec().slot_time(slot)).or_default().push(scripted);
    }

    /// The hash of a block.
    pub(crate) fn hash(&self, number: u64) -> Option<B256> {
        self.node.context().view().snapshot().hash(number).unwrap()
    }

    /// Whose transactions of a block failed.
    pub(crate) fn failures(&self, number: u64) -> usize {
        let receipts = self.node.context().view().snapshot().receipts(number).unwrap().unwrap();
        receipts.iter().filter(|receipt| !receipt.status()).count()
    }

    /// What the inbox says that it took, oldest first.
    pub(crate) fn events(&mut self) -> Vec<BatchPosted> {
        let snapshot = self.node.context().view().snapshot();
        let mut events = Vec::new();
        for number in 1..=snapshot.head().number {
            let hash = snapshot.hash(number).unwrap().unwrap();
            let of_block = self.events.entry(hash).or_insert_with(|| {
                let receipts = snapshot.receipts(number).unwrap().unwrap();
                let logs = receipts.iter().flat_map(|receipt| receipt.logs());
                let posted = logs.filter(|log| {
                    log.address == self.inbox && log.topics().first() == Some(&BATCH_POSTED_TOPIC)
                });
                posted.map(|log| BatchPosted::from_log(log).unwrap()).collect()
            });
            events.extend(of_block.iter().cloned());
        }
        events
    }

    /// Who proposes a slot, as L1's blocks prove it for some time, also if the newest of them are replaced.
    pub(crate) fn prove(&self, slot: u64) -> ProposersProof {
        let view = self.beacon.view();
        let preset = view.spec().preset;
        let anchor = (slot + 1).saturating_sub(PROOF_DEPTH).max(1);
        let before = BlockId::Slot(anchor - 1);
        let block = view.block(before).unwrap().expect("each slot has a block").block;
        let state = view.state(before).expect("it is recent").state;
        let first = preset.start_slot(preset.epoch(state.slot));
        let proposer = state.proposer_lookahead.get((slot - first) as usize).unwrap();
        proof(&block, &state, view.spec().slot_time(anchor), &[proposer as usize], preset)
    }

    pub(crate) fn end(self) {
        let Self { runtime, node, .. } = self;
        runtime.block_on(node.shutdown()).unwrap();
    }
}

fn sign(
    payer: &PrivateKeySigner,
    to: Address,
    input: Bytes,
    value: U256,
    sidecar: Option<&BlobTransactionSidecarVariant>,
) -> EthereumTransaction {
    let (chain_id, nonce, gas_limit) = (L1_CHAIN_ID, 0, 3_000_000);
    let (max_fee_per_gas, max_priority_fee_per_gas) = (10 * GWEI, 1);
    match sidecar {
        Some(sidecar) => {
            let tx = TxEip4844 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                value,
                access_list: Default::default(),
                blob_versioned_hashes: sidecar.versioned_hashes().collect(),
                max_fee_per_blob_gas: 10 * GWEI,
                input,
            };
            let signature = payer.sign_hash_sync(&tx.signature_hash()).unwrap();
            tx.into_signed(signature).into()
        }
        None => {
            let tx = TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: TxKind::Call(to),
                value,
                access_list: Default::default(),
                input,
            };
            let signature = payer.sign_hash_sync(&tx.signature_hash()).unwrap();
            tx.into_signed(signature).into()
        }
    }
}
