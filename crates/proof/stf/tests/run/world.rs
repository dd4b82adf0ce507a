//! An L1, and a rollup whose batches are on it.

#[path = "spans.rs"]
mod spans;

use crate::host::Host;
use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, Receipt, ReceiptEnvelope, Sealable,
    SignableTransaction, TxEip1559, TxEip4844, TxEip4844Variant, TxEnvelope,
};
use alloy_eips::{
    BlockNumHash,
    eip2718::Encodable2718,
    eip4844::{Blob, c_kzg, env_settings::EnvKzgSettings, kzg_to_versioned_hash},
};
use alloy_primitives::{Address, B256, Bytes, Log, Sealed, TxKind, U256, address, hex, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_chain::{Ethereum, OpHardfork, Rollup, genesis};
use lockstep_execution::{Bytecode, ExecuteOptions, MemoryState, StateCommitment, execute_block};
use lockstep_preimage::{Hint, PreimageKey, PreimageKind, blob_points};
use lockstep_protocol::{
    Batch, Compression, DepositSource, Frame, L1Attributes, OutputRoot, RollupConfig,
    RollupGenesis, SingleBatch, SystemConfig, compress_channel, deposit_log, encode_blob,
    encode_frames, put_batch, upgrade_transactions,
};
use lockstep_stf::{BootInfo, StatelessExecutor};
use lockstep_trie::{NoSource, StateTrie};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use op_alloy_rpc_types_engine::OpPayloadAttributes;
use std::mem;

const GENESIS_TIME: u64 = 1_000;
const L1_CHAIN: u64 = 900;
const L2_CHAIN: u64 = 901;
const INBOX: Address = address!("ff00000000000000000000000000000000000901");
const PORTAL: Address = address!("00000000000000000000000000000000de9051ff");
const SYSTEM_CONFIG: Address = address!("00000000000000000000000000000000c0f16000");
const FEE_VAULT: Address = address!("4200000000000000000000000000000000000011");
const WRITER: Address = address!("0000000000000000000000000000000000c0de01");
/// Takes pairs of slot and value, and writes them.
const WRITER_CODE: &[u8] = &hex!("60005b803611600a57005b8060200135813555604001600256");

const L1_GENESIS: &str = r#"{
    "config": {
        "chainId": 900, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
        "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0,
        "berlinBlock": 0, "londonBlock": 0, "terminalTotalDifficulty": 0,
        "terminalTotalDifficultyPassed": true, "shanghaiTime": 0, "cancunTime": 0
    },
    "gasLimit": "0x1c9c380", "difficulty": "0x0", "alloc": {}
}"#;

/// The forks whose first block has transactions of its own.
const UPGRADES: [OpHardfork; 4] =
    [OpHardfork::Ecotone, OpHardfork::Fjord, OpHardfork::Isthmus, OpHardfork::Jovian];

/// How batches get to L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Posting {
    Calldata,
    Blobs,
}

pub(crate) struct World {
    pub(crate) config: RollupConfig,
    pub(crate) host: Host,
    posting: Posting,
    l1_chain: Ethereum,
    l1: Vec<Sealed<Header>>,
    /// For the next L1 block.
    l1_deposits: Vec<TxDeposit>,
    /// In the newest L1 block.
    announced_deposits: Vec<TxDeposit>,
    chain: Rollup,
    state: MemoryState,
    trie: StateTrie,
    /// How many transactions each block of the rollup has.
    pub(crate) transaction_counts: Vec<usize>,
    /// The rollup's headers and output roots, from its first block on.
    pub(crate) l2: Vec<(Sealed<Header>, B256)>,
    sequence_number: u64,
    batches: Vec<Batch>,
    /// All blobs that were posted.
    pub(crate) blobs: Vec<Box<Blob>>,
    user_nonce: u64,
    batcher_nonce: u64,
    user: PrivateKeySigner,
    batcher: PrivateKeySigner,
}

impl World {
    /// A rollup at `fork` from its beginning on.
    pub(crate) fn new(fork: OpHardfork, posting: Posting) -> Self {
        Self::activating(fork, fork, posting)
    }

    /// A rollup that begins at `fork`, and whose fourth block is the first at `next`.
    pub(crate) fn activating(fork: OpHardfork, next: OpHardfork, posting: Posting) -> Self {
        let signer = |byte| PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).expect("a key");
        let (user, batcher) = (signer(1), signer(2));
        let config = config(fork, next, batcher.address());
        let l1_genesis = genesis::parse(L1_GENESIS.as_bytes()).expect("a genesis file");
        let mut world = Self {
            chain: config.chain(),
            config,
            host: Host::default(),
            posting,
            l1_chain: Ethereum::from_genesis(&l1_genesis).expect("the forks are in order"),
            l1: Vec::new(),
            l1_deposits: Vec::new(),
            announced_deposits: Vec::new(),
            state: MemoryState::default(),
            trie: StateTrie::empty(),
            transaction_counts: Vec::new(),
            l2: Vec::new(),
            sequence_number: 0,
            batches: Vec::new(),
            blobs: Vec::new(),
            user_nonce: 0,
            batcher_nonce: 0,
            user,
            batcher,
        };
        world.mine();
        world.begin_rollup(fork);
        world
    }

    fn begin_rollup(&mut self, fork: OpHardfork) {
        let code = Bytes::from_static(WRITER_CODE);
        self.host.codes.insert(keccak256(&code), code.clone());
        self.state.set_account(WRITER, 1, U256::ZERO, Bytecode::new_raw(code));
        let rich = U256::from(10).pow(U256::from(20));
        self.state.set_account(self.user.address(), 0, rich, Bytecode::default());
        for slot in 0..50 {
            self.state.set_slot(WRITER, U256::from(slot), U256::from(slot + 1));
        }
        let nodes = &mut self.host.nodes;
        let changes = self.state.as_changes();
        let root = StateCommitment::commit(&mut self.trie, &changes, &NoSource, |_, _, rlp| {
            nodes.insert(Bytes::copy_from_slice(rlp));
        })
        .expect("nothing is blinded");
        let since = |first| fork >= first;
        let extra_data: &'static [u8] = if since(OpHardfork::Jovian) {
            &hex!("01000000fa000000060000000000000000")
        } else if since(OpHardfork::Holocene) {
            &hex!("00000000fa00000006")
        } else {
            &[]
        };
        let header = Header {
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            state_root: root,
            transactions_root: EMPTY_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            gas_limit: self.config.genesis.system_config.gas_limit,
            base_fee_per_gas: Some(1_000),
            extra_data: Bytes::from_static(extra_data),
            timestamp: GENESIS_TIME,
            withdrawals_root: Some(EMPTY_ROOT_HASH),
            blob_gas_used: since(OpHardfork::Ecotone).then_some(0),
            excess_blob_gas: since(OpHardfork::Ecotone).then_some(0),
            ..Default::default()
        };
        let head = header.seal_slow();
        let genesis = &mut self.config.genesis;
        genesis.l1 = BlockNumHash { number: 0, hash: self.l1[0].hash() };
        genesis.l2 = BlockNumHash { number: 0, hash: head.hash() };
        self.push_l2(head, &[]);
    }

    /// Makes the rollup block known, to its host as well.
    fn push_l2(&mut self, head: Sealed<Header>, transactions: &[OpTxEnvelope]) {
        let output = OutputRoot {
            state_root: head.state_root,
            message_passer_storage_root: EMPTY_ROOT_HASH,
            block_hash: head.hash(),
        };
        let encoded = transactions.iter().map(Encodable2718::encoded_2718);
        let (root, nodes) = self.host.announce_list(encoded);
        assert_eq!(root, head.transactions_root);
        self.host.announce(Hint::L2Transactions(head.hash()), nodes);
        self.host.announce(Hint::L2Header(head.hash()), [alloy_rlp::encode(head.inner()).into()]);
        let preimage = Bytes::copy_from_slice(&output.encode());
        self.host.announce(Hint::L2Output(output.hash()), [preimage]);
        self.host.roots.insert(head.hash(), head.state_root);
        self.transaction_counts.push(transactions.len());
        self.l2.push((head, output.hash()));
    }

    /// Lets the next L1 block announce a deposit to the rollup.
    pub(crate) fn deposit(&mut self, input: Bytes) {
        self.l1_deposits.push(TxDeposit {
            from: Address::repeat_byte(0xd0),
            to: TxKind::Call(WRITER),
            mint: 7,
            value: U256::ZERO,
            gas_limit: 500_000,
            input,
            ..Default::default()
        });
    }

    /// Makes an L1 block with the batches so far, each in a channel of its own.
    pub(crate) fn mine(&mut self) {
        let number = self.l1.len() as u64;
        let timestamp = GENESIS_TIME + 12 * number;
        let mut transactions = Vec::new();
        let mut blobs = Vec::new();
        for (index, batch) in mem::take(&mut self.batches).into_iter().enumerate() {
            let data = channel(&self.config, &batch, number, index as u8);
            transactions.push(self.batcher_transaction(data, &mut blobs));
        }
        let deposits = mem::take(&mut self.l1_deposits);
        if !deposits.is_empty() {
            // Whoever calls the portal: what counts is the log.
            transactions.push(self.batcher_transaction(Vec::new(), &mut blobs));
        }
        let receipts = (0..transactions.len()).map(|index| {
            let is_last = index + 1 == transactions.len();
            let logs: Vec<Log> = deposits
                .iter()
                .filter(|_| is_last)
                .map(|deposit| deposit_log(deposit, PORTAL))
                .collect();
            let receipt = Receipt { status: true.into(), cumulative_gas_used: 1, logs };
            ReceiptEnvelope::Eip1559(receipt.with_bloom()).encoded_2718()
        });
        let (receipts_root, receipt_nodes) = self.host.announce_list(receipts.collect::<Vec<_>>());
        let encoded = transactions.iter().map(Encodable2718::encoded_2718);
        let (transactions_root, nodes) = self.host.announce_list(encoded);
        let header = Header {
            parent_hash: self.l1.last().map_or(B256::ZERO, |parent| parent.hash()),
            number,
            timestamp,
            transactions_root,
            receipts_root,
            mix_hash: B256::repeat_byte(number as u8),
            base_fee_per_gas: Some(1_000_000_000 + number),
            withdrawals_root: Some(EMPTY_ROOT_HASH),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::repeat_byte(0xbb)),
            ..Default::default()
        };
        let header = header.seal_slow();
        let hash = header.hash();
        self.host.announce(Hint::L1Header(hash), [alloy_rlp::encode(header.inner()).into()]);
        self.host.announce(Hint::L1Transactions(hash), nodes);
        self.host.announce(Hint::L1Receipts(hash), receipt_nodes);
        for (index, (hash, preimages)) in (0..).zip(blobs) {
            self.host.announce_keyed(Hint::L1Blob { hash, index, timestamp }, preimages);
        }
        self.announced_deposits = deposits;
        self.l1.push(header);
        self.sequence_number = 0;
    }

    /// A transaction to the inbox, with its data in a blob or not; without data to elsewhere.
    fn batcher_transaction(
        &mut self,
        data: Vec<u8>,
        blobs: &mut Vec<(B256, Vec<(PreimageKey, Bytes)>)>,
    ) -> TxEnvelope {
        let nonce = self.batcher_nonce;
        self.batcher_nonce += 1;
        if data.is_empty() || self.posting == Posting::Calldata {
            let to = if data.is_empty() { PORTAL } else { INBOX };
            let tx = TxEip1559 {
                chain_id: L1_CHAIN,
                nonce,
                gas_limit: 1_000_000,
                to: to.into(),
                input: data.into(),
                ..Default::default()
            };
            let signature = self.batcher.sign_hash_sync(&tx.signature_hash()).expect("it signs");
            return TxEnvelope::Eip1559(tx.into_signed(signature));
        }
        let blob = encode_blob(&data).expect("it fits");
        let (hash, preimages) = blob_preimages(&blob);
        self.blobs.push(blob);
        blobs.push((hash, preimages));
        let tx = TxEip4844 {
            chain_id: L1_CHAIN,
            nonce,
            gas_limit: 1_000_000,
            to: INBOX,
            blob_versioned_hashes: vec![hash],
            ..Default::default()
        };
        let signature = self.batcher.sign_hash_sync(&tx.signature_hash()).expect("it signs");
        TxEnvelope::Eip4844(TxEip4844Variant::TxEip4844(tx).into_signed(signature))
    }

    /// A transaction of the user that writes slots.
    pub(crate) fn write(&mut self, slots: &[(u64, u64)]) -> Bytes {
        let transaction = self.signed(self.user_nonce, slots);
        self.user_nonce += 1;
        transaction
    }

    /// One that cannot stand in any block: its nonce is too high.
    pub(crate) fn invalid_transaction(&self) -> Bytes {
        self.signed(self.user_nonce + 5, &[(1, 1)])
    }

    fn signed(&self, nonce: u64, slots: &[(u64, u64)]) -> Bytes {
        let tx = TxEip1559 {
            chain_id: L2_CHAIN,
            nonce,
            gas_limit: 1_000_000,
            max_fee_per_gas: 1_000_000,
            to: WRITER.into(),
            input: writes(slots),
            ..Default::default()
        };
        let signature = self.user.sign_hash_sync(&tx.signature_hash()).expect("it signs");
        OpTxEnvelope::Eip1559(tx.into_signed(signature)).encoded_2718().into()
    }

    /// Makes the next rollup block with these transactions, and batches it.
    pub(crate) fn sequence(&mut self, transactions: Vec<Bytes>) {
        self.batch(transactions.clone());
        self.make(transactions);
    }

    /// Batches the next rollup block with these transactions, which cannot stand in it, and makes it
    /// without them.
    pub(crate) fn sequence_invalid(&mut self, transactions: Vec<Bytes>) {
        self.batch(transactions);
        self.make(Vec::new());
    }

    /// Batches the next rollup block and does not make it.
    pub(crate) fn batch(&mut self, transactions: Vec<Bytes>) {
        let batch = self.next_batch(transactions);
        self.batches.push(Batch::Single(batch));
    }

    fn next_batch(&self, transactions: Vec<Bytes>) -> SingleBatch {
        let (head, _) = self.l2.last().expect("there is a first block");
        let origin = self.l1.last().expect("there is a first block");
        SingleBatch {
            parent_hash: head.hash(),
            epoch_num: origin.number,
            epoch_hash: origin.hash(),
            timestamp: head.timestamp + 2,
            transactions,
        }
    }

    fn make(&mut self, transactions: Vec<Bytes>) {
        let attributes = self.attributes(transactions);
        let (head, _) = self.l2.last().expect("there is a first block").clone();
        let chain = self.chain.clone();
        let made = StatelessExecutor::new(&chain, &self.host, head)
            .execute(&attributes)
            .expect("the block executes")
            .block;
        let senders: Vec<Address> =
            lockstep_chain::Chain::recover_senders(&chain, &made).expect("all is signed");
        let options = ExecuteOptions::default();
        let output = execute_block(&chain, &made, &senders, &self.state, options)
            .expect("the block executes");
        self.state.apply(&output.changes);
        assert_eq!(self.state.state_root(), made.header.state_root);
        for (hash, code) in output.changes.codes() {
            self.host.codes.insert(*hash, code.original_bytes());
        }
        let nodes = &mut self.host.nodes;
        StateCommitment::commit(&mut self.trie, &output.changes, &NoSource, |_, _, rlp| {
            nodes.insert(Bytes::copy_from_slice(rlp));
        })
        .expect("nothing is blinded");
        let header = Sealed::new_unchecked(made.header.clone(), made.hash());
        self.push_l2(header, &made.body.transactions);
        self.sequence_number += 1;
    }

    fn attributes(&self, transactions: Vec<Bytes>) -> OpPayloadAttributes {
        let origin = self.l1.last().expect("there is a first block");
        let timestamp = self.l2.last().expect("there is a first block").0.timestamp + 2;
        let system_config = self.config.genesis.system_config;
        let l1 = L1Attributes::new(
            &self.config,
            &self.l1_chain,
            &system_config,
            self.number_in_epoch(),
            (origin.inner(), origin.hash()),
            timestamp,
        )
        .expect("the weights are known");
        let first =
            OpTxEnvelope::from(l1.deposit_at(&self.config, timestamp)).encoded_2718().into();
        let deposits = if self.number_in_epoch() == 0 { self.deposits_at_origin() } else { vec![] };
        let upgrades = UPGRADES
            .into_iter()
            .filter(|fork| self.config.activates(*fork, timestamp))
            .flat_map(upgrade_transactions)
            .collect();
        let since = |fork| self.config.is_active(fork, timestamp);
        let mut attributes = OpPayloadAttributes {
            transactions: Some([vec![first], deposits, upgrades, transactions].concat()),
            no_tx_pool: Some(true),
            gas_limit: Some(system_config.gas_limit),
            eip_1559_params: since(OpHardfork::Holocene).then(|| system_config.eip1559_params()),
            min_base_fee: since(OpHardfork::Jovian).then_some(system_config.min_base_fee),
            ..Default::default()
        };
        let common = &mut attributes.payload_attributes;
        common.timestamp = timestamp;
        common.prev_randao = origin.mix_hash;
        common.suggested_fee_recipient = FEE_VAULT;
        common.withdrawals = Some(Vec::new());
        common.parent_beacon_block_root =
            since(OpHardfork::Ecotone).then_some(origin.parent_beacon_block_root).flatten();
        attributes
    }

    /// The first block of the rollup counts as one of the first epoch.
    fn number_in_epoch(&self) -> u64 {
        self.sequence_number + u64::from(self.l1.len() == 1)
    }

    /// The deposits that the newest L1 block announces, as they stand in the rollup.
    fn deposits_at_origin(&self) -> Vec<Bytes> {
        let l1_block_hash = self.l1.last().expect("there is a first block").hash();
        let place = |(deposit, log_index): (&TxDeposit, u64)| {
            let source_hash = DepositSource::User { l1_block_hash, log_index }.hash();
            let deposit = TxDeposit { source_hash, ..deposit.clone() };
            OpTxEnvelope::from(deposit).encoded_2718().into()
        };
        self.announced_deposits.iter().zip(0..).map(place).collect()
    }

    /// What the claim is that block `block` has output root `root`, when block `agreed` is agreed on.
    pub(crate) fn claim(&mut self, agreed: usize, block: u64, root: B256) {
        let boot = BootInfo {
            l1_head: self.l1.last().expect("there is a first block").hash(),
            agreed_l2_output_root: self.l2[agreed].1,
            claimed_l2_output_root: root,
            claimed_l2_block: block,
            rollup_config: self.config.clone(),
            l1_chain: self.l1_chain.clone(),
        };
        self.host.boot(boot.preimages(Some(L1_GENESIS.into())));
    }
}

/// Pairs of slot and value, as the writer takes them.
pub(crate) fn writes(slots: &[(u64, u64)]) -> Bytes {
    let words = slots.iter().flat_map(|(slot, value)| [*slot, *value]);
    words.flat_map(|word| U256::from(word).to_be_bytes::<32>()).collect::<Vec<u8>>().into()
}

fn config(fork: OpHardfork, next: OpHardfork, batcher: Address) -> RollupConfig {
    let at = |first| match first {
        first if first <= fork => Some(0),
        first if first <= next => Some(GENESIS_TIME + 8),
        _ => None,
    };
    RollupConfig {
        genesis: RollupGenesis {
            l2_time: GENESIS_TIME,
            system_config: SystemConfig {
                batcher_address: batcher,
                gas_limit: 30_000_000,
                scalar: U256::from(1) << 248,
                ..Default::default()
            },
            ..Default::default()
        },
        block_time: 2,
        max_sequencer_drift: 600,
        seq_window_size: 30,
        channel_timeout: 300,
        l1_chain_id: L1_CHAIN,
        l2_chain_id: L2_CHAIN,
        regolith_time: at(OpHardfork::Regolith),
        canyon_time: at(OpHardfork::Canyon),
        delta_time: at(OpHardfork::Canyon),
        ecotone_time: at(OpHardfork::Ecotone),
        fjord_time: at(OpHardfork::Fjord),
        granite_time: at(OpHardfork::Granite),
        holocene_time: at(OpHardfork::Holocene),
        isthmus_time: at(OpHardfork::Isthmus),
        jovian_time: at(OpHardfork::Jovian),
        batch_inbox_address: INBOX,
        deposit_contract_address: PORTAL,
        l1_system_config_address: SYSTEM_CONFIG,
        ..Default::default()
    }
}

/// The data of an L1 transaction with the whole channel of one batch, in two frames.
fn channel(config: &RollupConfig, batch: &Batch, l1_number: u64, index: u8) -> Vec<u8> {
    let mut batches = Vec::new();
    put_batch(&batch.encode(config).expect("it encodes"), &mut batches);
    let compressed = compress_channel(Compression::Zlib { level: 6 }, &batches);
    let (start, end) = compressed.split_at(compressed.len() / 2);
    let mut channel = [index; 16];
    channel[0] = l1_number as u8;
    let frame = |number, data: &[u8]| Frame {
        channel: channel.into(),
        number,
        data: Bytes::copy_from_slice(data),
        is_last: number == 1,
    };
    encode_frames(&[frame(0, start), frame(1, end)])
}

/// The versioned hash of a blob, and the pre-images that tell of it: commitment, elements, and proof.
fn blob_preimages(blob: &Blob) -> (B256, Vec<(PreimageKey, Bytes)>) {
    let settings = EnvKzgSettings::Default;
    let bytes = c_kzg::Blob::from_bytes(blob.as_slice()).expect("a blob");
    let commitment =
        settings.get().blob_to_kzg_commitment(&bytes).expect("a commitment").to_bytes();
    let proof = settings.get().compute_blob_kzg_proof(&bytes, &commitment).expect("a proof");
    let commitment = commitment.into_inner();
    let key = PreimageKey::of_preimage(PreimageKind::Sha256, &commitment).expect("a hash");
    let mut preimages = vec![
        (key, Bytes::copy_from_slice(&commitment)),
        (PreimageKey::blob_proof(&commitment), Bytes::from(proof.to_bytes().into_inner())),
    ];
    for (point, element) in blob_points().iter().zip(blob.chunks_exact(32)) {
        let key = PreimageKey::blob(&commitment, point);
        preimages.push((key, Bytes::copy_from_slice(element)));
    }
    (kzg_to_versioned_hash(&commitment), preimages)
}
