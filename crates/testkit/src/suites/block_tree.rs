//! Import blocks into a tree, as a node without network, disk and clock would.

use super::Seals;
use crate::{
    executors::{BlockError, Executors},
    model::account::Accounts,
    world::memory_state,
};
use alloy_consensus::{Header, Sealable};
use alloy_primitives::{Address, B256, Sealed, U256, keccak256, map::B256Map};
use core::convert::Infallible;
use lockstep_chain::{Ancestor, Block, Chain, Ethereum, ommers::MAX_OMMER_DEPTH};
use lockstep_execution::{
    AccountInfo, BlockOutput, Bytecode, MemoryState, StateChanges, StateReader, validate_output,
    validate_state_root,
};
use lockstep_trie::{NoSource, StateTrie};

/// The deepest ancestor whose hash `BLOCKHASH` gives.
const MAX_HASH_DEPTH: u64 = 256;

/// Valid blocks with the states after them, and the head that fork choice prefers.
#[derive(Debug)]
pub struct BlockTree<'a> {
    chain: Ethereum,
    seals: Option<&'a Seals>,
    executors: &'a Executors,
    nodes: B256Map<Node>,
    head: B256,
}

#[derive(Debug)]
struct Node {
    header: Sealed<Header>,
    ommers: Vec<B256>,
    total_difficulty: U256,
    /// `None` once the only child that was to come has taken it.
    state: Option<State>,
}

/// A state in both forms: flat for reading, as a trie for its root.
#[derive(Clone, Debug)]
struct State {
    flat: MemoryState,
    trie: StateTrie,
}

impl<'a> BlockTree<'a> {
    /// A tree of nothing but the first block; `seals` check proofs of work, if there are any.
    ///
    /// # Errors
    /// If `accounts` are not the state that `genesis` commits to.
    pub fn new(
        chain: Ethereum,
        genesis: Header,
        accounts: &Accounts,
        seals: Option<&'a Seals>,
        executors: &'a Executors,
    ) -> Result<Self, String> {
        let flat = memory_state(accounts);
        let mut trie = trie_of(&flat);
        let root = trie.root(&NoSource).map_err(|error| error.to_string())?;
        if root != genesis.state_root {
            return Err(format!("genesis stateRoot: expected {}, got {root}", genesis.state_root));
        }
        let header = genesis.seal_slow();
        let head = header.hash();
        let total_difficulty = header.difficulty;
        let node = Node {
            header,
            ommers: Vec::new(),
            total_difficulty,
            state: Some(State { flat, trie }),
        };
        let nodes = B256Map::from_iter([(head, node)]);
        Ok(Self { chain, seals, executors, nodes, head })
    }

    /// The hash of the head.
    pub const fn head(&self) -> B256 {
        self.head
    }

    /// The chain of the tree.
    pub const fn chain(&self) -> &Ethereum {
        &self.chain
    }

    /// The state of the head, flat.
    pub fn head_state(&self) -> Option<&MemoryState> {
        Some(&self.nodes.get(&self.head)?.state.as_ref()?.flat)
    }

    /// Makes a known block the head, as a fork-choice update does.
    ///
    /// # Errors
    /// If the block is not in the tree.
    pub fn set_head(&mut self, hash: B256) -> Result<(), String> {
        if !self.nodes.contains_key(&hash) {
            return Err(format!("block {hash} is unknown"));
        }
        self.head = hash;
        Ok(())
    }

    /// Validates and executes `block` on its parent, keeps it, and moves the head if it should.
    ///
    /// With `is_last_child`, the parent's state moves into the block instead of being copied:
    /// no later block builds on that parent.
    ///
    /// # Errors
    /// The first broken rule, or that executors differ; the tree stays as it was.
    pub fn import(
        &mut self,
        block: Block<Ethereum>,
        is_last_child: bool,
    ) -> Result<B256, BlockError> {
        let hash = block.header.hash_slow();
        if self.nodes.contains_key(&hash) {
            self.prefer(hash);
            return Ok(hash);
        }
        let parent_hash = block.header.parent_hash;
        let parent = self.nodes.get(&parent_hash).ok_or("the parent is unknown or invalid")?;
        let total_difficulty = parent.total_difficulty.saturating_add(block.header.difficulty);
        self.validate(&block, parent)?;
        let output = self.execute(&block, parent)?;
        let state = self.state_after(&block, parent_hash, &output.changes, is_last_child)?;
        let ommers = block.body.ommers.iter().map(Sealable::hash_slow).collect();
        let header = block.header.seal_unchecked(hash);
        self.nodes.insert(hash, Node { header, ommers, total_difficulty, state: Some(state) });
        self.prefer(hash);
        Ok(hash)
    }

    fn validate(&self, block: &Block<Ethereum>, parent: &Node) -> Result<(), String> {
        let text = |error: &dyn core::error::Error| error.to_string();
        self.chain.validate_header(&block.header).map_err(|error| text(&error))?;
        self.chain
            .validate_header_against_parent(
                &block.header,
                &parent.header,
                Some(parent.total_difficulty),
            )
            .map_err(|error| text(&error))?;
        self.chain.validate_body(block).map_err(|error| text(&error))?;
        let ancestors = self.ancestors(block.header.parent_hash);
        self.chain.validate_ommers(block, &ancestors).map_err(|error| text(&error))?;
        if let Some(seals) = self.seals {
            for header in block.body.ommers.iter().chain([&block.header]) {
                seals.verify(header).map_err(|error| text(&error))?;
            }
        }
        Ok(())
    }

    fn execute(
        &self,
        block: &Block<Ethereum>,
        parent: &Node,
    ) -> Result<BlockOutput<<Ethereum as Chain>::Receipt>, BlockError> {
        let senders = self.chain.recover_senders(block).map_err(|error| error.to_string())?;
        let state = parent.state.as_ref().ok_or("the parent's state is gone")?;
        let reader = AtBlock { tree: self, state: &state.flat, parent: &parent.header };
        let mut root_after = |changes: &StateChanges| {
            let mut trie = state.trie.clone();
            Ok(changes_root(changes, &mut trie)?)
        };
        let output =
            self.executors.execute(&self.chain, block, &senders, &reader, &mut root_after)?;
        validate_output(&self.chain, &block.header, &output).map_err(|error| error.to_string())?;
        Ok(output)
    }

    /// The parent's state with `changes`, if its root is the one that the block commits to.
    fn state_after(
        &mut self,
        block: &Block<Ethereum>,
        parent: B256,
        changes: &StateChanges,
        is_last_child: bool,
    ) -> Result<State, String> {
        let parent = self.nodes.get_mut(&parent).ok_or("the parent is unknown")?;
        let before = parent.state.as_ref().ok_or("the parent's state is gone")?;
        let mut trie = before.trie.clone();
        let root = changes_root(changes, &mut trie)?;
        validate_state_root(&block.header, root).map_err(|error| error.to_string())?;
        let flat = if is_last_child {
            parent.state.take().map(|state| state.flat)
        } else {
            Some(before.flat.clone())
        };
        let mut flat = flat.ok_or("the parent's state is gone")?;
        flat.apply(changes);
        Ok(State { flat, trie })
    }

    /// Proof of work: the heaviest chain, the first seen among equals. Proof of stake: the newest
    /// block, and never proof of work again (EIP-3675).
    fn prefer(&mut self, hash: B256) {
        let (Some(block), Some(head)) = (self.nodes.get(&hash), self.nodes.get(&self.head)) else {
            return;
        };
        let is_stake = block.header.difficulty.is_zero();
        let was_stake = head.header.difficulty.is_zero() && head.header.number > 0;
        if is_stake || (!was_stake && block.total_difficulty > head.total_difficulty) {
            self.head = hash;
        }
    }

    /// The nearest ancestors that ommers can refer to, the parent first.
    fn ancestors(&self, parent: B256) -> Vec<Ancestor> {
        core::iter::successors(self.nodes.get(&parent), |node| {
            self.nodes.get(&node.header.parent_hash)
        })
        .take(MAX_OMMER_DEPTH)
        .map(|node| Ancestor { header: node.header.clone(), ommers: node.ommers.clone() })
        .collect()
    }
}

/// The root of `trie` with `changes`. The trie holds every node, so none can be missing.
fn changes_root(changes: &StateChanges, trie: &mut StateTrie) -> Result<B256, String> {
    changes.apply_to(trie);
    trie.root(&NoSource).map_err(|error| error.to_string())
}

/// The trie of a whole state.
fn trie_of(state: &MemoryState) -> StateTrie {
    let mut trie = StateTrie::empty();
    for (address, account) in state.accounts() {
        let key = keccak256(address);
        let AccountInfo { nonce, balance, code_hash, .. } = account.info;
        trie.set_account(key, nonce, balance, code_hash);
        for (slot, value) in &account.storage {
            trie.set_slot(key, keccak256(slot.to_be_bytes::<32>()), *value);
        }
    }
    trie
}

/// The state after a block of the tree, with the hashes of the blocks above it.
struct AtBlock<'a> {
    tree: &'a BlockTree<'a>,
    state: &'a MemoryState,
    parent: &'a Sealed<Header>,
}

impl StateReader for AtBlock<'_> {
    type Error = Infallible;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Infallible> {
        self.state.account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Infallible> {
        self.state.storage(address, slot)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, Infallible> {
        self.state.has_storage(address)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, Infallible> {
        self.state.code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, Infallible> {
        let mut header = self.parent;
        while header.number > number && self.parent.number - number < MAX_HASH_DEPTH {
            match self.tree.nodes.get(&header.parent_hash) {
                Some(node) => header = &node.header,
                None => return Ok(B256::ZERO),
            }
        }
        Ok(if header.number == number { header.hash() } else { B256::ZERO })
    }
}
