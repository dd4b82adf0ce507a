//! A rollup with a sequencer, and engines that follow it.

use crate::l1::{INBOX, L1_BLOCK_TIME, L1_CHAIN_ID, MemoryL1, PORTAL};
use alloy_consensus::{Header, SignableTransaction, TxEip1559};
use alloy_eips::{BlockNumHash, eip2718::Encodable2718};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_chain::{Ethereum, EthereumHardfork, ForkSchedule, OpHardfork, Rollup};
use lockstep_derive::sequencer_attributes;
use lockstep_engine::{
    BlockBuilder, BuildError, Engine, EngineConfig, NoTransactions, PayloadBuilder,
};
use lockstep_execution::{Bytecode, MemoryState};
use lockstep_follower::{Follower, FollowerError, Progress, RollupChain};
use lockstep_protocol::{L2BlockInfo, RollupConfig, RollupGenesis, SingleBatch, SystemConfig};
use lockstep_storage::{GenesisBlock, MemoryStorage, Storage};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use parking_lot::Mutex;
use std::sync::Arc;

const GENESIS_TIME: u64 = 10_000;
const BLOCK_TIME: u64 = 2;
const L2_CHAIN_ID: u64 = 901;

/// Puts exactly these transactions into the next block.
#[derive(Debug, Default)]
struct Scripted(Mutex<Vec<(OpTxEnvelope, Address)>>);

impl PayloadBuilder<Rollup> for Scripted {
    fn build(&self, block: &mut BlockBuilder<'_, Rollup>) -> Result<(), BuildError> {
        for (tx, sender) in self.0.lock().drain(..) {
            block.push(tx, sender, None).unwrap();
        }
        Ok(())
    }
}

/// An L1, and a rollup that is sequenced on it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) l1: MemoryL1,
    pub(crate) config: Arc<RollupConfig>,
    genesis: GenesisBlock<Rollup>,
    pub(crate) sequencer: Engine<Rollup>,
    sequencer_storage: Arc<dyn Storage<Rollup>>,
    script: Arc<Scripted>,
    user: PrivateKeySigner,
    /// The first block that was not posted.
    pub(crate) unposted: u64,
}

impl World {
    /// A rollup at Isthmus.
    pub(crate) fn new() -> Self {
        Self::at(|fork| (fork <= OpHardfork::Isthmus).then_some(0))
    }

    /// A rollup whose forks begin at these seconds after genesis.
    pub(crate) fn at(begins: impl Fn(OpHardfork) -> Option<u64>) -> Self {
        let user = PrivateKeySigner::from_bytes(&B256::repeat_byte(0x42)).unwrap();
        let mut state = MemoryState::default();
        state.set_account(user.address(), 0, U256::from(10).pow(U256::from(24)), Bytecode::new());
        let l1 = MemoryL1::new(GENESIS_TIME);
        let at = |fork| begins(fork).map(|after| GENESIS_TIME + after);
        let since = |fork| begins(fork) == Some(0);
        let mut config = RollupConfig {
            block_time: BLOCK_TIME,
            max_sequencer_drift: 600,
            seq_window_size: 10,
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
            batch_inbox_address: INBOX,
            deposit_contract_address: PORTAL,
            ..RollupConfig::default()
        };
        let holocene = since(OpHardfork::Holocene);
        let extra_data: &'static [u8] = if holocene { &[0, 0, 0, 0, 250, 0, 0, 0, 6] } else { &[] };
        let header = Header {
            timestamp: GENESIS_TIME,
            gas_limit: 30_000_000,
            base_fee_per_gas: Some(1_000_000_000),
            extra_data: Bytes::from_static(extra_data),
            withdrawals_root: Some(alloy_consensus::EMPTY_ROOT_HASH),
            requests_hash: since(OpHardfork::Isthmus)
                .then_some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            state_root: state.state_root(),
            ..Header::default()
        };
        let genesis: GenesisBlock<Rollup> = GenesisBlock::new(header, state).unwrap();
        let mut scalar = [0; 32];
        scalar[0] = 1;
        let l1_head = l1.chain().head();
        let batcher_address = l1.chain().batcher();
        config.genesis = RollupGenesis {
            l1: l1_head.id(),
            l2: BlockNumHash { number: 0, hash: genesis.block().seal() },
            l2_time: GENESIS_TIME,
            system_config: SystemConfig {
                batcher_address,
                scalar: U256::from_be_bytes(scalar),
                gas_limit: 30_000_000,
                ..SystemConfig::default()
            },
        };
        let script = Arc::new(Scripted::default());
        let storage: Arc<dyn Storage<Rollup>> = Arc::new(MemoryStorage::new(&genesis));
        let engine_config = EngineConfig::default();
        let sequencer =
            Engine::open(config.chain(), storage.clone(), script.clone(), engine_config).unwrap();
        Self {
            l1,
            config: Arc::new(config),
            genesis,
            sequencer,
            sequencer_storage: storage,
            script,
            user,
            unposted: 1,
        }
    }

    /// Ends the sequencer, so that all of its blocks are stored, and starts it with these limits.
    pub(crate) fn restart_sequencer(&mut self, config: EngineConfig) {
        self.sequencer.shutdown().unwrap();
        let (chain, storage) = (self.config.chain(), self.sequencer_storage.clone());
        self.sequencer = Engine::open(chain, storage, self.script.clone(), config).unwrap();
    }

    /// A storage that holds nothing but the first block.
    pub(crate) fn storage(&self) -> Arc<dyn Storage<Rollup>> {
        Arc::new(MemoryStorage::new(&self.genesis))
    }

    /// An engine over a storage, without transactions of its own.
    pub(crate) fn engine(&self, storage: Arc<dyn Storage<Rollup>>) -> Engine<Rollup> {
        let chain = self.config.chain();
        Engine::open(chain, storage, Arc::new(NoTransactions), EngineConfig::default()).unwrap()
    }

    pub(crate) fn follower(&self, engine: &Engine<Rollup>) -> Follower<MemoryL1, MemoryL1> {
        let (config, l1) = (self.config.clone(), self.l1.clone());
        Follower::new(engine.clone(), config, l1_chain(), l1.clone(), l1)
    }

    fn info(&self, number: u64) -> L2BlockInfo {
        let chain = RollupChain::new(self.sequencer.view(), self.config.clone());
        let block = self.sequencer.view().snapshot().block(number).unwrap().unwrap();
        chain.info(&block).unwrap()
    }

    /// Makes the sequencer's blocks until the next L1 block is due; every third one has a transfer.
    pub(crate) fn sequence(&self) {
        let until = self.l1.chain().head().timestamp + L1_BLOCK_TIME;
        loop {
            let head = self.info(self.sequencer.view().head().number);
            let timestamp = head.block.timestamp + BLOCK_TIME;
            if timestamp >= until {
                return;
            }
            let next = self.block_at(head.l1_origin.number + 1);
            let origin = next.filter(|next| next.timestamp <= timestamp);
            let origin = origin.map_or(head.l1_origin, |next| next.id());
            let mut chain = RollupChain::new(self.sequencer.view(), self.config.clone());
            let mut l1 = self.l1.clone();
            let attributes = sequencer_attributes(
                &self.config,
                &l1_chain(),
                (&mut l1, &mut chain),
                &head,
                origin,
            )
            .unwrap();
            if head.block.number.is_multiple_of(3) {
                let nonce = self.nonce();
                self.script.0.lock().push(self.transfer(nonce));
            }
            self.sequencer.produce(&attributes).unwrap();
        }
    }

    fn block_at(&self, number: u64) -> Option<lockstep_protocol::BlockInfo> {
        use lockstep_derive::L1Provider;
        self.l1.clone().block_by_number(number).unwrap()
    }

    fn nonce(&self) -> u64 {
        let snapshot = self.sequencer.view().snapshot();
        let state = snapshot.state(snapshot.head().number).unwrap();
        state.account(&self.user.address()).unwrap().map_or(0, |account| account.nonce)
    }

    fn transfer(&self, nonce: u64) -> (OpTxEnvelope, Address) {
        let tx = TxEip1559 {
            chain_id: L2_CHAIN_ID,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 100_000_000_000,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(Address::repeat_byte(0x77)),
            value: U256::from(nonce + 1),
            ..TxEip1559::default()
        };
        let signature = self.user.sign_hash_sync(&tx.signature_hash()).unwrap();
        (OpTxEnvelope::Eip1559(tx.into_signed(signature)), self.user.address())
    }

    /// A transfer that cannot be executed: its nonce is far too high.
    pub(crate) fn impossible(&self) -> Bytes {
        self.transfer(1_000_000).0.encoded_2718().into()
    }

    /// The sequencer's block as a batch.
    pub(crate) fn batch(&self, number: u64) -> SingleBatch {
        let info = self.info(number);
        let block = self.sequencer.view().snapshot().block(number).unwrap().unwrap();
        let users = block.transactions().iter().filter(|tx| !tx.is_deposit());
        SingleBatch {
            parent_hash: info.block.parent_hash,
            epoch_num: info.l1_origin.number,
            epoch_hash: info.l1_origin.hash,
            timestamp: info.block.timestamp,
            transactions: users.map(|tx| tx.encoded_2718().into()).collect(),
        }
    }

    /// Posts all blocks that were not posted yet.
    pub(crate) fn post(&mut self) {
        let head = self.sequencer.view().head().number;
        let blocks: Vec<SingleBatch> = (self.unposted..=head).map(|at| self.batch(at)).collect();
        self.post_blocks(&blocks);
    }

    /// Posts these instead of the blocks that were not posted yet.
    pub(crate) fn post_blocks(&mut self, blocks: &[SingleBatch]) {
        if !blocks.is_empty() {
            let opens_epoch = self.info(self.unposted).sequence_number == 0;
            self.l1.chain().post(&self.config, blocks, opens_epoch);
            self.unposted += u64::try_from(blocks.len()).unwrap();
        }
    }

    /// `rounds` L1 blocks, each with a deposit and the blocks of the rollup before it.
    pub(crate) fn run(&mut self, rounds: usize) {
        for round in 0..rounds {
            self.sequence();
            self.post();
            let deposit = TxDeposit {
                from: Address::repeat_byte(0x11),
                to: TxKind::Call(Address::repeat_byte(0x22)),
                mint: 1_000 + u128::try_from(round).unwrap(),
                value: U256::from(1_000),
                gas_limit: 100_000,
                ..TxDeposit::default()
            };
            let mut l1 = self.l1.chain();
            l1.deposit(&deposit);
            l1.mine();
        }
    }

    /// The L1 takes blocks back, and the sequencer what referred to them and what was posted there.
    pub(crate) fn reorg(&mut self, depth: usize) {
        let gone = self.l1.chain().head().number + 1 - u64::try_from(depth).unwrap();
        self.l1.chain().reorg(depth);
        let head = self.sequencer.view().head().number;
        let kept = (0..=head).rev().find(|at| self.info(*at).l1_origin.number < gone).unwrap();
        let snapshot = self.sequencer.view().snapshot();
        self.sequencer.rewind(snapshot.hash(kept).unwrap().unwrap()).unwrap();
        // What was posted in blocks that are gone begins where their epochs did, at the latest.
        let posted = (1..=kept).find(|at| self.info(*at).l1_origin.number + 1 >= gone);
        self.unposted = posted.unwrap_or(kept + 1);
    }
}

/// The L1 as far as blobs are priced on it.
fn l1_chain() -> Arc<Ethereum> {
    let forks = ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Osaka);
    Arc::new(Ethereum::new(L1_CHAIN_ID, forks))
}

/// Steps until there is nothing more to read.
pub(crate) fn run(follower: &mut Follower<MemoryL1, MemoryL1>) {
    while step(follower).unwrap() == Progress::Worked {}
}

pub(crate) fn step(follower: &mut Follower<MemoryL1, MemoryL1>) -> Result<Progress, FollowerError> {
    follower.step()
}

/// All canonical block hashes.
pub(crate) fn hashes(engine: &Engine<Rollup>) -> Vec<B256> {
    let snapshot = engine.view().snapshot();
    (0..=snapshot.head().number).map(|at| snapshot.hash(at).unwrap().unwrap()).collect()
}
