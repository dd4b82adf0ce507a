//! Makes real blocks: generated transactions, executed by `lockstep_execution`.

use alloy_consensus::{
    BlockBody, Header, SignableTransaction, TxEip1559, constants::EMPTY_WITHDRAWALS,
};
use alloy_primitives::{Address, B256, Bytes, Sealed, Signature, TxKind, U256, hex, keccak256};
use lockstep_chain::{
    Block, Chain, Ethereum, EthereumHardfork, EthereumTransaction, ForkSchedule, body,
};
use lockstep_execution::{Bytecode, ExecuteOptions, MemoryState, execute_block};
use lockstep_storage::{
    DiskStorage, ExecutedBlock, ForkChoice, GenesisBlock, Options, RecoveredBlock, SyncPolicy,
    TrieNodesBuilder,
};
use lockstep_trie::{NodeSet, StateTrie};
use proptest::prelude::*;
use std::{path::Path, sync::Arc};

/// Stores word 1 of the input at slot word 0; without input, destroys itself.
const WRITER: &[u8] = &hex!("3615600c576020355f3555005b33ff");

/// Deploys [`WRITER`] after writing 7 to slot 1.
const WRITER_INIT: &[u8] = &hex!("600760015560 0f600f5f39600f5ff3 3615600c576020355f3555005b33ff");

/// Deploys [`WRITER_INIT`] with word 0 of the input as salt (CREATE2).
const FACTORY: &[u8] = &hex!(
    "601e600e5f395f35601e5f5ff500" "600760015560 0f600f5f39600f5ff3 3615600c576020355f3555005b33ff"
);

pub(crate) const FACTORY_ADDRESS: Address = Address::repeat_byte(0xfa);
/// A [`WRITER`] that is there from the beginning, with some slots.
pub(crate) const WRITER_ADDRESS: Address = Address::repeat_byte(0xaa);

const SENDERS: u8 = 6;
const SALTS: u8 = 3;
const SLOTS: u8 = 8;

/// A transaction to be.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Transfer { from: u8, to: u8, amount: u16 },
    Write { target: u8, slot: u8, value: u8 },
    Create { salt: u8 },
    Destroy { target: u8 },
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        2 => (0..SENDERS, 0..40u8, any::<u16>())
            .prop_map(|(from, to, amount)| Action::Transfer { from, to, amount }),
        6 => (0..=SALTS, 0..SLOTS, 0..4u8)
            .prop_map(|(target, slot, value)| Action::Write { target, slot, value }),
        3 => (0..SALTS).prop_map(|salt| Action::Create { salt }),
        2 => (0..=SALTS).prop_map(|target| Action::Destroy { target }),
    ]
}

/// A block with everything that is known of it, and the state after it.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) executed: Arc<ExecutedBlock<Ethereum>>,
    pub(crate) state: MemoryState,
}

/// A chain under construction.
pub(crate) struct Forge {
    pub(crate) chain: Ethereum,
    pub(crate) genesis: GenesisBlock<Ethereum>,
    pub(crate) blocks: Vec<Made>,
    nodes: NodeSet,
    /// Enters into every block, so that a branch differs from the one it replaces.
    branch: u64,
}

impl Forge {
    pub(crate) fn new() -> Self {
        let forks = ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Shanghai);
        let chain = Ethereum::new(1337, forks);
        let mut state = MemoryState::default();
        let ether = U256::from(10).pow(U256::from(18));
        for index in 0..SENDERS {
            state.set_account(sender(index), 0, ether, Bytecode::default());
        }
        state.set_account(FACTORY_ADDRESS, 1, U256::ZERO, Bytecode::new_raw(FACTORY.into()));
        state.set_account(WRITER_ADDRESS, 1, U256::ZERO, Bytecode::new_raw(WRITER.into()));
        for slot in 0..20 {
            state.set_slot(WRITER_ADDRESS, U256::from(slot), U256::from(slot + 1));
        }
        let header = Header {
            gas_limit: 30_000_000,
            base_fee_per_gas: Some(7),
            state_root: state.state_root(),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            ..Default::default()
        };
        let genesis = GenesisBlock::<Ethereum>::new(header, state).expect("the root is right");
        let mut nodes = NodeSet::new();
        let mut trie = StateTrie::empty();
        fill(&mut trie, genesis.state());
        trie.commit(&lockstep_trie::NoSource, |_, _, rlp| {
            nodes.insert(Bytes::copy_from_slice(rlp));
        })
        .expect("the whole trie is known");
        Self { chain, genesis, blocks: Vec::new(), nodes, branch: 0 }
    }

    /// The same chain, as it was when `number` was its newest block.
    pub(crate) fn prefix(&self, number: u64) -> Self {
        Self {
            chain: self.chain.clone(),
            genesis: self.genesis.clone(),
            blocks: self.blocks[..number as usize].to_vec(),
            nodes: self.nodes.clone(),
            branch: self.branch,
        }
    }

    /// A chain of blocks that are always the same.
    pub(crate) fn with_blocks(count: u64) -> Self {
        let mut forge = Self::new();
        for number in 0..count {
            forge.extend(&scripted(number));
        }
        forge
    }

    pub(crate) fn disk(&self, folder: &Path, options: Options) -> DiskStorage<Ethereum> {
        let opened = DiskStorage::open(folder, &self.chain, &self.genesis, options);
        opened.unwrap_or_else(|error| panic!("the folder opens: {error}"))
    }

    pub(crate) fn tip(&self) -> u64 {
        self.blocks.len() as u64
    }

    pub(crate) fn header(&self, number: u64) -> Sealed<Header> {
        match number.checked_sub(1) {
            None => {
                let block = self.genesis.block();
                Sealed::new_unchecked(block.header.clone(), block.seal())
            }
            Some(index) => self.blocks[index as usize].executed.block.sealed_header(),
        }
    }

    pub(crate) fn state(&self, number: u64) -> &MemoryState {
        match number.checked_sub(1) {
            None => self.genesis.state(),
            Some(index) => &self.blocks[index as usize].state,
        }
    }

    /// The blocks from `first` to `last`.
    pub(crate) fn executed(&self, first: u64, last: u64) -> Vec<Arc<ExecutedBlock<Ethereum>>> {
        let range = first as usize - 1..last as usize;
        self.blocks[range].iter().map(|made| Arc::clone(&made.executed)).collect()
    }

    pub(crate) fn fork_choice(&self, number: u64) -> ForkChoice {
        let hash = |number: u64| self.header(number).seal();
        ForkChoice {
            head: hash(number),
            safe: hash(number.saturating_sub(2)),
            finalized: hash(number.saturating_sub(4)),
        }
    }

    /// Takes back every block above `number`; further ones belong to another branch.
    pub(crate) fn rewind(&mut self, number: u64) {
        self.blocks.truncate(number as usize);
        self.branch += 1;
    }

    /// Makes the next block.
    pub(crate) fn extend(&mut self, actions: &[Action]) {
        let parent = self.header(self.tip());
        let state = self.state(self.tip()).clone();
        let (transactions, senders) = transactions(&state, actions);
        let mut header = Header {
            number: parent.number + 1,
            parent_hash: parent.seal(),
            timestamp: parent.timestamp + 12,
            gas_limit: 30_000_000,
            base_fee_per_gas: self.chain.next_base_fee(&parent, parent.timestamp + 12),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            transactions_root: body::transactions_root(&transactions),
            beneficiary: Address::repeat_byte(0xfe),
            extra_data: self.branch.to_be_bytes().to_vec().into(),
            ..Default::default()
        };
        let body =
            BlockBody { transactions, ommers: Vec::new(), withdrawals: Some(Default::default()) };
        let block = Block::<Ethereum>::new(header.clone(), body.clone());
        let options = ExecuteOptions::default();
        let output = execute_block(&self.chain, &block, &senders, &state, options)
            .unwrap_or_else(|error| panic!("the block executes: {error}"));
        let (root, nodes) = self.commit(parent.state_root, &output.changes);
        let (receipts_root, logs_bloom) = self.chain.receipts_root(&header, &output.receipts);
        header.gas_used = output.gas_used;
        header.state_root = root;
        header.receipts_root = receipts_root;
        header.logs_bloom = logs_bloom;
        let hash = header.hash_slow();
        let block = Sealed::new_unchecked(Block::<Ethereum>::new(header, body), hash);
        let mut state = state;
        state.apply(&output.changes);
        assert_eq!(state.state_root(), root, "the trie and the state agree");
        let executed = ExecutedBlock::new(
            Arc::new(RecoveredBlock { block, senders }),
            output.receipts,
            output.requests,
            U256::ZERO,
            output.changes,
            nodes.build(),
        );
        self.blocks.push(Made { executed: Arc::new(executed), state });
    }

    fn commit(
        &mut self,
        parent_root: B256,
        changes: &lockstep_execution::StateChanges,
    ) -> (B256, TrieNodesBuilder) {
        let mut trie = StateTrie::from_root(parent_root);
        changes.apply_to(&mut trie);
        let mut nodes = TrieNodesBuilder::default();
        let mut new = Vec::new();
        let root = trie
            .commit(&self.nodes, |path, hash, rlp| {
                nodes.push(path, hash, rlp);
                new.push(Bytes::copy_from_slice(rlp));
            })
            .expect("the nodes are known");
        self.nodes.extend(new);
        (root, nodes)
    }
}

/// Options for tests: small files, no waiting for the disk.
pub(crate) fn options() -> Options {
    Options {
        sync: SyncPolicy::Never,
        segment_blocks: 5,
        max_database_bytes: 1 << 30,
        cache_bytes: 1 << 16,
        ..Default::default()
    }
}

/// What block `number` of a scripted chain does.
pub(crate) fn scripted(number: u64) -> Vec<Action> {
    let byte = (number % 256) as u8;
    let salt = byte % SALTS;
    let mut actions = vec![
        Action::Transfer { from: byte % SENDERS, to: byte % 40, amount: 1 + u16::from(byte) },
        Action::Write { target: SALTS, slot: byte % SLOTS, value: byte % 5 },
        Action::Create { salt },
        Action::Write { target: salt, slot: byte % 3, value: 1 + byte % 2 },
    ];
    if byte % 3 == 2 {
        actions.push(Action::Destroy { target: salt });
        actions.push(Action::Create { salt });
    }
    if byte % 4 == 3 {
        actions.push(Action::Destroy { target: salt });
    }
    actions
}

fn sender(index: u8) -> Address {
    Address::repeat_byte(0x10 + index)
}

/// Where the factory puts a writer.
pub(crate) fn writer(target: u8) -> Address {
    if target == SALTS {
        return WRITER_ADDRESS;
    }
    let salt = B256::from(U256::from(target));
    FACTORY_ADDRESS.create2(salt, keccak256(WRITER_INIT))
}

fn transactions(
    state: &MemoryState,
    actions: &[Action],
) -> (Vec<EthereumTransaction>, Vec<Address>) {
    let mut transactions = Vec::new();
    let mut senders = Vec::new();
    let mut sent = [0u64; SENDERS as usize];
    for (index, action) in actions.iter().enumerate() {
        let words = |words: &[u8]| -> Vec<u8> {
            words.iter().flat_map(|word| U256::from(*word).to_be_bytes::<32>()).collect()
        };
        let (from, to, value, input) = match action {
            Action::Transfer { from, to, amount } => {
                (*from, Address::repeat_byte(0x40 + to), U256::from(*amount), Vec::new())
            }
            Action::Write { target, slot, value } => {
                (index as u8 % SENDERS, writer(*target), U256::ZERO, words(&[*slot, *value]))
            }
            Action::Create { salt } => {
                (index as u8 % SENDERS, FACTORY_ADDRESS, U256::ZERO, words(&[*salt]))
            }
            Action::Destroy { target } => {
                (index as u8 % SENDERS, writer(*target), U256::ZERO, Vec::new())
            }
        };
        let address = sender(from);
        let nonce = state.get(&address).map_or(0, |account| account.info.nonce);
        let transaction = TxEip1559 {
            chain_id: 1337,
            nonce: nonce + sent[usize::from(from)],
            gas_limit: 300_000,
            max_fee_per_gas: 100,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(to),
            value,
            input: input.into(),
            ..Default::default()
        };
        sent[usize::from(from)] += 1;
        // Nobody recovers it; yet equal transactions of different senders must differ.
        let signature = Signature::new(U256::from(1 + from), U256::ONE, false);
        transactions.push(EthereumTransaction::Eip1559(transaction.into_signed(signature)));
        senders.push(address);
    }
    (transactions, senders)
}

/// Writes a whole state into an empty trie.
pub(crate) fn fill(trie: &mut StateTrie, state: &MemoryState) {
    for (address, account) in state.accounts() {
        let hashed = keccak256(address);
        trie.set_account(hashed, account.info.nonce, account.info.balance, account.info.code_hash);
        for (slot, value) in &account.storage {
            trie.set_slot(hashed, keccak256(slot.to_be_bytes::<32>()), *value);
        }
    }
}
