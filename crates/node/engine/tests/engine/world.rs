//! Chains, storages and engines for tests.

use alloy_consensus::Header;
use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip4895::Withdrawal;
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B256, TxKind, U256, keccak256};
use alloy_rpc_types_engine::{ForkchoiceState, PayloadAttributes};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_chain::{
    Chain, Ethereum, EthereumHardfork, EthereumTransaction, ForkSchedule, genesis::state_root,
};
use lockstep_engine::{
    BlockBuilder, BuildError, Engine, EngineConfig, NoTransactions, PayloadBuilder, Payloads,
};
use lockstep_execution::{Execute, MemoryState};
use lockstep_storage::{
    DiskStorage, ExecutedBlock, ForkChoice, GenesisBlock, LogEntry, LoggedEntry, MemoryStorage,
    Options, Snapshot, Storage, StorageError, SyncPolicy, WriteGate, WriteOperation,
};
use parking_lot::Mutex;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// A chain in memory that remembers its log, and whose writes can be made to fail.
#[derive(Debug)]
pub(crate) struct RecordedStorage<C: Chain> {
    inner: MemoryStorage<C>,
    log: Mutex<Vec<LogEntry<C>>>,
    /// Appends fail as on a full disk.
    pub(crate) is_full: AtomicBool,
    /// How many of the next snapshots are unwound before they can be read.
    pub(crate) unwinds: AtomicUsize,
    /// The next append is done, and reports that it failed.
    pub(crate) forgets: AtomicBool,
}

impl<C: Chain> RecordedStorage<C> {
    pub(crate) fn new(genesis: &GenesisBlock<C>) -> Self {
        Self {
            inner: MemoryStorage::new(genesis),
            log: Mutex::default(),
            is_full: AtomicBool::default(),
            unwinds: AtomicUsize::default(),
            forgets: AtomicBool::default(),
        }
    }
}

fn full() -> StorageError {
    StorageError::Io {
        operation: "write",
        path: "test".into(),
        source: std::io::ErrorKind::StorageFull.into(),
    }
}

impl<C: Chain> Storage<C> for RecordedStorage<C> {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot<C>>, StorageError> {
        let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
        if self.unwinds.fetch_update(set, fetch, |left| left.checked_sub(1)).is_ok() {
            return Err(StorageError::Unwound { number: 0 });
        }
        self.inner.snapshot()
    }

    fn append(
        &self,
        blocks: &[Arc<ExecutedBlock<C>>],
        fork_choice: ForkChoice,
    ) -> Result<(), StorageError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(full());
        }
        self.inner.append(blocks, fork_choice)?;
        if self.forgets.swap(false, Ordering::SeqCst) { Err(full()) } else { Ok(()) }
    }

    fn unwind(&self, number: u64) -> Result<(), StorageError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(full());
        }
        self.inner.unwind(number)
    }

    fn log(&self, entry: &LogEntry<C>) -> Result<(), StorageError> {
        self.log.lock().push(entry.clone());
        Ok(())
    }

    fn logged(&self) -> Result<Vec<LoggedEntry<C>>, StorageError> {
        let entries = self.log.lock();
        let entries = entries.iter().map(|entry| match entry {
            LogEntry::Block(block) => LoggedEntry::Block(block.block.clone()),
            LogEntry::ForkChoice(choice) => LoggedEntry::ForkChoice(*choice),
        });
        Ok(entries.collect())
    }
}

/// Where a chain is kept from one engine to the next.
#[derive(Debug)]
pub(crate) enum Place<C: Chain> {
    Memory(Arc<RecordedStorage<C>>),
    Disk { folder: tempfile::TempDir, chain: C, genesis: Box<GenesisBlock<C>>, gate: Arc<Gate> },
}

/// While it is shut, nothing is committed to the database; the log goes on.
#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicBool);

impl WriteGate for Gate {
    fn admit(&self, operation: WriteOperation, _: &Path) -> Result<(), (usize, std::io::Error)> {
        match operation {
            WriteOperation::Commit if self.0.load(Ordering::SeqCst) => {
                Err((0, std::io::ErrorKind::StorageFull.into()))
            }
            _ => Ok(()),
        }
    }
}

impl<C: Execute> Place<C> {
    pub(crate) fn memory(genesis: &GenesisBlock<C>) -> Self {
        Self::Memory(Arc::new(RecordedStorage::new(genesis)))
    }

    pub(crate) fn disk(chain: &C, genesis: &GenesisBlock<C>) -> Self {
        Self::Disk {
            folder: tempfile::tempdir().unwrap(),
            chain: chain.clone(),
            genesis: Box::new(genesis.clone()),
            gate: Arc::default(),
        }
    }

    /// Lets nothing be persisted any more, or again.
    pub(crate) fn shut(&self, shut: bool) {
        match self {
            Self::Memory(storage) => storage.is_full.store(shut, Ordering::SeqCst),
            Self::Disk { gate, .. } => gate.0.store(shut, Ordering::SeqCst),
        }
    }

    pub(crate) fn open(&self) -> Arc<dyn Storage<C>> {
        match self {
            Self::Memory(storage) => storage.clone(),
            Self::Disk { folder, chain, genesis, gate } => {
                let options = Options {
                    sync: SyncPolicy::Never,
                    segment_blocks: 16,
                    unwind_blocks: 3,
                    max_database_bytes: 1 << 30,
                    gate: gate.clone(),
                    ..Default::default()
                };
                Arc::new(DiskStorage::open(folder.path(), chain, genesis, options).unwrap())
            }
        }
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Disk { .. } => "disk",
        }
    }
}

/// One storage of each kind.
pub(crate) fn storages(chain: &Ethereum, genesis: &GenesisBlock<Ethereum>) -> [Place<Ethereum>; 2] {
    [Place::memory(genesis), Place::disk(chain, genesis)]
}

/// A storage that ends with the test.
pub(crate) fn memory<C: Chain>(genesis: &GenesisBlock<C>) -> Arc<dyn Storage<C>> {
    Arc::new(RecordedStorage::new(genesis))
}

pub(crate) fn engine_on<C: Payloads>(
    chain: &C,
    storage: &Arc<dyn Storage<C>>,
    config: EngineConfig,
) -> Engine<C> {
    Engine::open(chain.clone(), storage.clone(), Arc::new(NoTransactions), config).unwrap()
}

/// A chain with rich users, whose blocks tests write themselves.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chain: Ethereum,
    pub(crate) genesis: GenesisBlock<Ethereum>,
    pub(crate) users: Vec<PrivateKeySigner>,
}

/// Stores the second word of its input in the slot that the first one names.
pub(crate) const STORE: Address = Address::repeat_byte(0x5a);

pub(crate) const CHAIN_ID: u64 = 1337;
pub(crate) const ETHER: u128 = 1_000_000_000_000_000_000;

impl World {
    pub(crate) fn new(fork: EthereumHardfork) -> Self {
        let chain = Ethereum::new(CHAIN_ID, ForkSchedule::<EthereumHardfork>::at(fork));
        let users: Vec<_> = (1..=4)
            .map(|user| PrivateKeySigner::from_bytes(&B256::repeat_byte(user)).unwrap())
            .collect();
        let mut genesis = Genesis { gas_limit: 30_000_000, ..Default::default() };
        for user in &users {
            let account = alloy_genesis::GenesisAccount {
                balance: U256::from(1_000_000 * ETHER),
                ..Default::default()
            };
            genesis.alloc.insert(user.address(), account);
        }
        // PUSH1 20 CALLDATALOAD PUSH0 CALLDATALOAD SSTORE
        let code = alloy_primitives::bytes!("6020355f355500");
        let account = alloy_genesis::GenesisAccount { code: Some(code), ..Default::default() };
        genesis.alloc.insert(STORE, account);
        let header: Header = chain.genesis_header(&genesis);
        assert_eq!(header.state_root, state_root(&genesis));
        let genesis = GenesisBlock::new(header, MemoryState::from_genesis(&genesis)).unwrap();
        Self { chain, genesis, users }
    }

    pub(crate) fn engine(&self, config: EngineConfig) -> Engine<Ethereum> {
        engine_on(&self.chain, &memory(&self.genesis), config)
    }

    pub(crate) fn genesis_hash(&self) -> B256 {
        self.genesis.block().seal()
    }

    /// A transaction that writes `value` into slot `slot` of [`STORE`].
    pub(crate) fn store(&self, user: usize, nonce: u64, slot: u64, value: u64) -> Signed {
        let input = [U256::from(slot).to_be_bytes::<32>(), U256::from(value).to_be_bytes()];
        self.sign(
            user,
            TxEip1559 {
                nonce,
                gas_limit: 100_000,
                to: TxKind::Call(STORE),
                input: input.concat().into(),
                ..Default::default()
            },
        )
    }

    /// A transfer of nothing that may use so much gas.
    pub(crate) fn transfer_with_gas(&self, user: usize, nonce: u64, gas_limit: u64) -> Signed {
        let to = TxKind::Call(Address::repeat_byte(9));
        self.sign(user, TxEip1559 { nonce, gas_limit, to, ..Default::default() })
    }

    pub(crate) fn transfer(&self, user: usize, nonce: u64, to: Address, wei: u64) -> Signed {
        self.sign(
            user,
            TxEip1559 {
                nonce,
                gas_limit: 21_000,
                to: TxKind::Call(to),
                value: U256::from(wei),
                ..Default::default()
            },
        )
    }

    fn sign(&self, user: usize, tx: TxEip1559) -> Signed {
        let tx = TxEip1559 {
            chain_id: CHAIN_ID,
            max_fee_per_gas: 100_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            ..tx
        };
        let user = &self.users[user];
        let signature = user.sign_hash_sync(&tx.signature_hash()).unwrap();
        (EthereumTransaction::Eip1559(tx.into_signed(signature)), user.address())
    }
}

/// A transaction and its sender.
pub(crate) type Signed = (EthereumTransaction, Address);

/// Puts exactly these transactions into the next block.
#[derive(Debug, Default)]
pub(crate) struct Scripted(pub(crate) Mutex<Vec<Signed>>);

impl PayloadBuilder<Ethereum> for Scripted {
    fn build(&self, block: &mut BlockBuilder<'_, Ethereum>) -> Result<(), BuildError> {
        for (tx, sender) in self.0.lock().iter() {
            block.push(tx.clone(), *sender, None).unwrap();
        }
        Ok(())
    }
}

/// Attributes of a Cancun block at `timestamp`; `salt` makes siblings differ.
pub(crate) fn attributes(timestamp: u64, salt: u64) -> PayloadAttributes {
    PayloadAttributes {
        timestamp,
        prev_randao: keccak256(salt.to_be_bytes()),
        suggested_fee_recipient: Address::repeat_byte(0xfe),
        withdrawals: Some(vec![Withdrawal {
            index: salt,
            validator_index: 1,
            address: Address::repeat_byte(0x77),
            amount: 1 + salt,
        }]),
        parent_beacon_block_root: Some(keccak256(timestamp.to_be_bytes())),
        slot_number: None,
        target_gas_limit: None,
    }
}

/// A fork choice of nothing but a head.
pub(crate) fn head(hash: B256) -> ForkchoiceState {
    ForkchoiceState { head_block_hash: hash, ..Default::default() }
}
