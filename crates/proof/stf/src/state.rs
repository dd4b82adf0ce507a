//! The state of a rollup of which nothing is known but its root, and whoever knows the rest.

use crate::{DataError, data};
use alloy_consensus::Header;
use alloy_primitives::{
    Address, B256, Bytes, KECCAK256_EMPTY, Sealed, U256, keccak256,
    map::{AddressMap, B256Map, HashMap},
};
use core::{cell::RefCell, fmt, mem};
use lockstep_chain::genesis::L2_TO_L1_MESSAGE_PASSER;
use lockstep_execution::{AccountInfo, Bytecode, StateChanges, StateReader, code_from};
use lockstep_preimage::{Hint, PreimageKey, PreimageOracle};
use lockstep_trie::{EMPTY_ROOT_HASH, NodePath, NodeSource, StateTrie, TrieAccount};

/// How many ancestors a block can ask for the hashes of.
const ANCESTORS: u64 = 256;

/// The state after one block, revealed node by node as it is read. It moves on from block to block and
/// keeps what was revealed.
pub struct OracleState<'a, O> {
    nodes: StateNodes<'a, O>,
    /// The block of the first state. What is not revealed of a later one was in the first already, on
    /// the way to the same key: so whoever answers need know none of the blocks that were made since.
    first: B256,
    trie: RefCell<StateTrie>,
    /// What was deployed since the first state: no oracle need know it.
    codes: B256Map<Bytecode>,
    head: Sealed<Header>,
    ancestors: RefCell<Ancestors>,
    /// The hashes of the addresses that were read: each slot that is read needs that of its account.
    hashed_addresses: RefCell<AddressMap<B256>>,
}

/// The newest ancestors, as far down as they were asked for.
#[derive(Clone, Debug)]
struct Ancestors {
    hashes: HashMap<u64, B256>,
    lowest: u64,
}

impl<O> Clone for OracleState<'_, O> {
    fn clone(&self) -> Self {
        Self {
            nodes: StateNodes::new(self.nodes.oracle),
            first: self.first,
            trie: self.trie.clone(),
            codes: self.codes.clone(),
            head: self.head.clone(),
            ancestors: self.ancestors.clone(),
            hashed_addresses: self.hashed_addresses.clone(),
        }
    }
}

impl<'a, O: PreimageOracle> OracleState<'a, O> {
    /// The state after the block with this header, whose hash must be trusted.
    pub fn new(oracle: &'a O, head: Sealed<Header>) -> Self {
        let mut ancestors = Ancestors { hashes: HashMap::default(), lowest: head.number };
        ancestors.hashes.insert(head.number, head.hash());
        Self {
            nodes: StateNodes::new(oracle),
            first: head.hash(),
            trie: RefCell::new(StateTrie::from_root(head.state_root)),
            codes: B256Map::default(),
            head,
            ancestors: RefCell::new(ancestors),
            hashed_addresses: RefCell::default(),
        }
    }

    /// The header of the block after which this is the state.
    pub const fn head(&self) -> &Sealed<Header> {
        &self.head
    }

    /// Trie nodes that were revealed or made so far: a measure of the memory in use.
    pub fn node_count(&self) -> usize {
        self.trie.borrow().node_count()
    }

    /// Makes `changes`, and returns the root after them. [`Self::advance`] completes that; after an error
    /// the state must not be used.
    pub(crate) fn apply(&mut self, changes: &StateChanges) -> Result<B256, DataError<O::Error>> {
        let trie = self.trie.get_mut();
        changes.apply_to(trie);
        let root = trie.root(&self.nodes)?;
        self.codes.extend(changes.codes().iter().cloned());
        Ok(root)
    }

    /// Makes this the state after `head`, the block whose changes were applied.
    pub(crate) fn advance(&mut self, head: Sealed<Header>) {
        let ancestors = self.ancestors.get_mut();
        ancestors.hashes.insert(head.number, head.hash());
        if let Some(old) = head.number.checked_sub(ANCESTORS) {
            ancestors.hashes.remove(&old);
            ancestors.lowest = ancestors.lowest.max(old + 1);
        }
        self.head = head;
        self.hashed_addresses.get_mut().clear();
    }

    /// The root of the message passer's storage, which withdrawals are proven against.
    ///
    /// # Errors
    /// When the oracle does not have a node.
    pub fn message_passer_root(&self) -> Result<B256, DataError<O::Error>> {
        self.storage_root(&L2_TO_L1_MESSAGE_PASSER)
    }

    /// The root of an account's storage; that of nothing if there is no such account.
    pub(crate) fn storage_root(&self, address: &Address) -> Result<B256, DataError<O::Error>> {
        let account = self.trie_account(address)?;
        Ok(account.map_or(EMPTY_ROOT_HASH, |account| account.storage_root))
    }

    fn trie_account(&self, address: &Address) -> Result<Option<TrieAccount>, DataError<O::Error>> {
        let hint = || Hint::L2AccountProof { block: self.first, address: *address };
        let hashed = self.hash_address(address);
        self.nodes.announcing(hint, |nodes| Ok(self.trie.borrow_mut().account(hashed, nodes)?))
    }

    fn hash_address(&self, address: &Address) -> B256 {
        let mut hashed = self.hashed_addresses.borrow_mut();
        *hashed.entry(*address).or_insert_with(|| keccak256(address))
    }

    /// Walks down from the lowest ancestor that is known.
    fn ancestor(&self, number: u64) -> Result<B256, DataError<O::Error>> {
        let head = self.head.number;
        if number > head || head - number >= ANCESTORS {
            return Err(DataError::NotAnAncestor { number, head });
        }
        let mut ancestors = self.ancestors.borrow_mut();
        while ancestors.lowest > number {
            let lowest = ancestors.lowest;
            let Some(hash) = ancestors.hashes.get(&lowest).copied() else {
                return Err(DataError::NotAnAncestor { number, head });
            };
            let parent_hash = if hash == self.head.hash() {
                self.head.parent_hash
            } else {
                self.nodes.oracle.hint(&Hint::L2Header(hash)).map_err(DataError::Oracle)?;
                data::header(self.nodes.oracle, hash)?.parent_hash
            };
            ancestors.lowest = lowest - 1;
            ancestors.hashes.insert(lowest - 1, parent_hash);
        }
        let known = ancestors.hashes.get(&number).copied();
        known.ok_or(DataError::NotAnAncestor { number, head })
    }
}

impl<O: PreimageOracle> StateReader for OracleState<'_, O> {
    type Error = DataError<O::Error>;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Self::Error> {
        Ok(self.trie_account(address)?.map(|account| AccountInfo {
            nonce: account.nonce,
            balance: account.balance,
            code_hash: account.code_hash,
            code: None,
            account_id: None,
        }))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Self::Error> {
        let slot = B256::from(*slot);
        let hint = || Hint::L2StorageProof { block: self.first, address: *address, slot };
        let (hashed_address, hashed_slot) = (self.hash_address(address), keccak256(slot));
        self.nodes.announcing(hint, |nodes| {
            Ok(self.trie.borrow_mut().slot(hashed_address, hashed_slot, nodes)?)
        })
    }

    fn has_storage(&self, address: &Address) -> Result<bool, Self::Error> {
        let account = self.trie_account(address)?;
        Ok(account.is_some_and(|account| account.storage_root != EMPTY_ROOT_HASH))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, Self::Error> {
        if *code_hash == KECCAK256_EMPTY {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.codes.get(code_hash) {
            return Ok(code.clone());
        }
        self.nodes.oracle.hint(&Hint::L2Code(*code_hash)).map_err(DataError::Oracle)?;
        Ok(code_from(data::keccak_preimage(self.nodes.oracle, *code_hash)?))
    }

    fn block_hash(&self, number: u64) -> Result<B256, Self::Error> {
        self.ancestor(number)
    }
}

impl<O> fmt::Debug for OracleState<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OracleState")
            .field("head", &self.head.number)
            .field("nodes", &self.trie.borrow().node_count())
            .finish_non_exhaustive()
    }
}

/// Nodes of the state's tries, by hash. The first one that a walk needs is announced by a hint for the
/// whole walk; those needed for a root, which follow no key, by a hint each.
struct StateNodes<'a, O> {
    oracle: &'a O,
    announced: RefCell<Announced>,
}

/// What whoever answers was told of the walk that goes on.
enum Announced {
    /// There is no walk.
    Nothing,
    /// There is one, that so far needed nothing.
    Not(Hint),
    /// The hint for all of it.
    All,
}

impl<'a, O> StateNodes<'a, O> {
    const fn new(oracle: &'a O) -> Self {
        Self { oracle, announced: RefCell::new(Announced::Nothing) }
    }
}

impl<O: PreimageOracle> StateNodes<'_, O> {
    fn announcing<T>(&self, hint: impl FnOnce() -> Hint, walk: impl FnOnce(&Self) -> T) -> T {
        *self.announced.borrow_mut() = Announced::Not(hint());
        let result = walk(self);
        *self.announced.borrow_mut() = Announced::Nothing;
        result
    }
}

impl<O: PreimageOracle> NodeSource for StateNodes<'_, O> {
    type Error = O::Error;

    fn node(&self, _: &NodePath, hash: B256) -> Result<Option<Bytes>, O::Error> {
        let mut announced = self.announced.borrow_mut();
        match mem::replace(&mut *announced, Announced::All) {
            Announced::Not(hint) => self.oracle.hint(&hint)?,
            Announced::All => {}
            Announced::Nothing => {
                *announced = Announced::Nothing;
                self.oracle.hint(&Hint::L2StateNode(hash))?;
            }
        }
        self.oracle.get(PreimageKey::keccak256(hash)).map(Some)
    }

    fn is_trusted(&self) -> bool {
        self.oracle.is_trusted()
    }
}
