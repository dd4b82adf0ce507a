//! A chain imported into memory, with the state after every block.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

use alloy_consensus::{Header, Sealable, Sealed};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::Decodable;
use lockstep_chain::{Block, Chain, Ethereum, genesis};
use lockstep_execution::{
    AccountInfo, Bytecode, ExecuteOptions, MemoryState, StateReader, execute_block,
    validate_output, validate_state_root,
};
use lockstep_inspect::ReplayBlock;
use lockstep_testkit::fixtures::archive;
use lockstep_trie::{NoSource, NodePath, NodeSet, NodeSource, StateTrie};
use std::{collections::HashMap, convert::Infallible, path::Path, sync::Arc};

/// A state in memory with the nodes of its trie.
#[derive(Clone, Debug)]
pub(crate) struct TestState {
    pub(crate) memory: Arc<MemoryState>,
    pub(crate) nodes: Arc<NodeSet>,
}

impl StateReader for TestState {
    type Error = Infallible;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Infallible> {
        self.memory.account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Infallible> {
        self.memory.storage(address, slot)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, Infallible> {
        self.memory.has_storage(address)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, Infallible> {
        self.memory.code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, Infallible> {
        self.memory.block_hash(number)
    }
}

impl NodeSource for TestState {
    type Error = Infallible;

    fn node(&self, at: &NodePath, hash: B256) -> Result<Option<Bytes>, Infallible> {
        self.nodes.node(at, hash)
    }
}

/// A block with everything that a replay needs.
#[derive(Debug)]
pub(crate) struct Imported {
    pub(crate) block: Block<Ethereum>,
    pub(crate) header: Sealed<Header>,
    pub(crate) senders: Vec<Address>,
    /// The state after the block.
    pub(crate) memory: Arc<MemoryState>,
}

/// A chain in memory.
#[derive(Debug)]
pub(crate) struct TestChain {
    pub(crate) chain: Ethereum,
    pub(crate) blocks: Vec<Imported>,
    nodes: Arc<NodeSet>,
}

impl TestChain {
    /// Imports the blocks of `chain.rlp` on the genesis file.
    pub(crate) fn import(json: &[u8], mut rlp: &[u8]) -> Self {
        let genesis = genesis::parse(json).expect("the genesis file parses");
        let chain = Ethereum::from_genesis(&genesis).expect("the genesis file is valid");
        let header = chain.genesis_header(&genesis).seal_slow();
        let mut state = MemoryState::from_genesis(&genesis);
        state.set_block_hash(header.number, header.hash());
        let mut trie = StateTrie::empty();
        for (address, account) in state.accounts() {
            let (hashed, info) = (keccak256(address), &account.info);
            trie.set_account(hashed, info.nonce, info.balance, info.code_hash);
            for (slot, value) in &account.storage {
                trie.set_slot(hashed, keccak256(slot.to_be_bytes::<32>()), *value);
            }
        }
        let mut nodes = NodeSet::new();
        let mut keep = |_: &NodePath, _: B256, rlp: &[u8]| {
            nodes.insert(Bytes::copy_from_slice(rlp));
        };
        trie.commit(&NoSource, &mut keep).expect("the whole trie is known");
        let block = header.inner().clone().into_block(Default::default());
        let memory = Arc::new(state.clone());
        let mut blocks = vec![Imported { block, header, senders: Vec::new(), memory }];
        while !rlp.is_empty() {
            let block = Block::<Ethereum>::decode(&mut rlp).expect("the block decodes");
            let number = block.header.number;
            let senders = chain.recover_senders(&block).expect("the signatures recover");
            let output = execute_block(&chain, &block, &senders, &state, ExecuteOptions::default())
                .unwrap_or_else(|error| panic!("block {number}: {error}"));
            validate_output(&chain, &block.header, &output)
                .unwrap_or_else(|error| panic!("block {number}: {error}"));
            output.changes.apply_to(&mut trie);
            let root = trie.commit(&NoSource, &mut keep).expect("the whole trie is known");
            validate_state_root(&block.header, root)
                .unwrap_or_else(|error| panic!("block {number}: {error}"));
            state.apply(&output.changes);
            let header = block.header.clone().seal_slow();
            state.set_block_hash(number, header.hash());
            blocks.push(Imported { block, header, senders, memory: Arc::new(state.clone()) });
        }
        Self { chain, blocks, nodes: Arc::new(nodes) }
    }

    /// The state after block `number`.
    pub(crate) fn state(&self, number: usize) -> TestState {
        let memory = self.blocks[number].memory.clone();
        TestState { memory, nodes: self.nodes.clone() }
    }

    pub(crate) fn replay(&self, number: usize) -> ReplayBlock<'_, Ethereum> {
        let Imported { block, header, senders, .. } = &self.blocks[number];
        ReplayBlock { block, hash: header.hash(), senders }
    }

    pub(crate) fn head(&self) -> usize {
        self.blocks.len() - 1
    }

    /// The chain of the official JSON-RPC transcripts, and its other files.
    pub(crate) fn rpc_compat(fixtures: &Path) -> (Self, HashMap<String, Vec<u8>>) {
        let files =
            archive(&fixtures.join("rpc-compat/tests.tar.zst")).expect("the archive is whole");
        let chain = Self::import(&files["genesis.json"], &files["chain.rlp"]);
        (chain, files)
    }
}
