//! Blocks as the node hands them around: by reference, with all that is known of them.

use crate::TrieNodes;
use alloy_consensus::{BlockHeader, transaction::TxHashRef};
use alloy_eips::{BlockNumHash, eip7685::Requests};
use alloy_primitives::{
    Address, B256, Sealed, U256,
    map::{AddressMap, B256Map, HashMap},
};
use lockstep_chain::{Block, Chain};
use lockstep_execution::{AccountInfo, Bytecode, StateChanges};
use std::sync::Arc;

/// A block with its hash and the senders of its transactions.
#[derive(Clone, Debug)]
pub struct RecoveredBlock<C: Chain> {
    /// The block and its hash.
    pub block: Sealed<Block<C>>,
    /// One sender per transaction.
    pub senders: Vec<Address>,
}

impl<C: Chain> RecoveredBlock<C> {
    /// The block's hash.
    pub fn hash(&self) -> B256 {
        self.block.seal()
    }

    /// The block's number.
    pub fn number(&self) -> u64 {
        self.block.header.number()
    }

    /// The parent's hash.
    pub fn parent_hash(&self) -> B256 {
        self.block.header.parent_hash()
    }

    /// Number and hash.
    pub fn num_hash(&self) -> BlockNumHash {
        BlockNumHash::new(self.number(), self.hash())
    }

    /// The header with its hash.
    pub fn sealed_header(&self) -> Sealed<C::Header> {
        Sealed::new_unchecked(self.block.header.clone(), self.hash())
    }

    /// The transactions.
    pub fn transactions(&self) -> &[C::Transaction] {
        &self.block.body.transactions
    }
}

/// A block that was executed and found valid, with everything that its execution left behind.
///
/// It is immutable and shared: tree, persistence, notifications and RPC hold the same one.
#[derive(Debug)]
pub struct ExecutedBlock<C: Chain> {
    /// The block itself.
    pub block: Arc<RecoveredBlock<C>>,
    /// One receipt per transaction.
    pub receipts: Arc<Vec<C::Receipt>>,
    /// Requests to the consensus layer (EIP-7685).
    pub requests: Requests,
    /// The sum of difficulties up to and including this block; does not grow after the merge.
    pub total_difficulty: U256,
    /// What changed in the state.
    pub changes: StateChanges,
    /// The new nodes of the state trie.
    pub nodes: TrieNodes,
    accounts: AddressMap<AccountAfter>,
    codes: B256Map<Bytecode>,
    transactions: B256Map<usize>,
}

/// An account after a block that changed it.
#[derive(Clone, Debug)]
pub(crate) struct AccountAfter {
    pub(crate) info: Option<AccountInfo>,
    /// Slots that the block does not list are zero.
    pub(crate) storage_cleared: bool,
    /// The slots that changed.
    pub(crate) slots: HashMap<U256, U256>,
}

impl<C: Chain> ExecutedBlock<C> {
    /// Puts together what validation and execution found out, and indexes it.
    pub fn new(
        block: Arc<RecoveredBlock<C>>,
        receipts: Vec<C::Receipt>,
        requests: Requests,
        total_difficulty: U256,
        changes: StateChanges,
        nodes: TrieNodes,
    ) -> Self {
        let mut accounts = AddressMap::default();
        for account in changes.accounts() {
            let address = account.address();
            let info = account.after().cloned();
            let storage_cleared = account.storage_cleared() || info.is_none();
            let slots = changes.slots(account).map(|slot| (slot.slot, slot.after)).collect();
            accounts.insert(address, AccountAfter { info, storage_cleared, slots });
        }
        let codes = changes.codes().iter().cloned().collect();
        let hashes = block.transactions().iter().map(|transaction| *transaction.tx_hash());
        let transactions = hashes.enumerate().map(|(index, hash)| (hash, index)).collect();
        Self {
            block,
            receipts: Arc::new(receipts),
            requests,
            total_difficulty,
            changes,
            nodes,
            accounts,
            codes,
            transactions,
        }
    }

    /// Number and hash.
    pub fn num_hash(&self) -> BlockNumHash {
        self.block.num_hash()
    }

    /// The state root after the block.
    pub fn state_root(&self) -> B256 {
        self.block.block.header.state_root()
    }

    /// The position of a transaction in the block.
    pub fn transaction_index(&self, hash: &B256) -> Option<usize> {
        self.transactions.get(hash).copied()
    }

    /// The account after the block, if the block changed it.
    pub(crate) fn account(&self, address: &Address) -> Option<&AccountAfter> {
        self.accounts.get(address)
    }

    /// A code that was deployed in the block.
    pub(crate) fn code(&self, code_hash: &B256) -> Option<&Bytecode> {
        self.codes.get(code_hash)
    }
}
