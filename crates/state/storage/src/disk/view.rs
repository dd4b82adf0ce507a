//! States to read.

use super::{changes::Reversal, snapshot::DiskSnapshot};
use crate::{
    Snapshot, State, StorageError, TrieNodes,
    db::{Table, Tx, account, decode_value, history, node_key, slot_key},
};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use lockstep_chain::Chain;
use lockstep_execution::{AccountInfo, Bytecode, StateReader, code_from};
use lockstep_trie::{NodePath, NodeSource};
use signet_libmdbx::TransactionKind;
use std::{
    ops::ControlFlow,
    sync::{Arc, OnceLock},
};

/// Accounts and slots by which a state may differ from the newest, for its trie to be computed.
const MAX_REVERSED_CHANGES: usize = 8_000_000;

/// The nodes of the newest state's tries.
pub(super) struct NodesOf<'a, K: TransactionKind>(pub(super) &'a Tx<K>);

impl<K: TransactionKind> NodeSource for NodesOf<'_, K> {
    type Error = StorageError;

    fn node(&self, at: &NodePath, hash: B256) -> Result<Option<Bytes>, StorageError> {
        let Some(node) = any_node(self.0, at)? else { return Ok(None) };
        let found = keccak256(&node);
        if found == hash {
            return Ok(Some(node));
        }
        let (table, key) = node_key(at);
        Err(self.0.corrupt(table, &key, &format!("the node has hash {found}, expected {hash}")))
    }

    fn is_trusted(&self) -> bool {
        true
    }
}

fn any_node<K: TransactionKind>(tx: &Tx<K>, at: &NodePath) -> Result<Option<Bytes>, StorageError> {
    let (table, key) = node_key(at);
    tx.get(table, &key, |rlp| Ok(Bytes::copy_from_slice(rlp)))
}

/// The code with this hash.
fn code<C: Chain>(snapshot: &DiskSnapshot<C>, code_hash: &B256) -> Result<Bytecode, StorageError> {
    let shared = &snapshot.shared;
    if *code_hash == KECCAK256_EMPTY {
        return Ok(Bytecode::default());
    }
    if let Some(code) = shared.codes.get(code_hash) {
        return Ok(code);
    }
    let read = |raw: &[u8]| Ok(Bytes::copy_from_slice(raw));
    let raw = snapshot.moment.lease().get(Table::Codes, code_hash.as_slice(), read)?;
    let raw = raw.ok_or_else(|| StorageError::Missing(format!("code {code_hash}")))?;
    let bytes = raw.len() * 2 + 128;
    let code = code_from(raw);
    shared.codes.insert(*code_hash, code.clone(), bytes);
    Ok(code)
}

fn block_hash<C: Chain>(snapshot: &DiskSnapshot<C>, number: u64) -> Result<B256, StorageError> {
    let hash = snapshot.hash(number)?;
    hash.ok_or_else(|| StorageError::Missing(format!("block {number}")))
}

/// The state after the tip.
#[derive(Debug)]
pub(super) struct NewestView<C: Chain> {
    pub(super) snapshot: Arc<DiskSnapshot<C>>,
    pub(super) root: B256,
}

impl<C: Chain> StateReader for NewestView<C> {
    type Error = StorageError;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StorageError> {
        account(&self.snapshot.moment.lease(), address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StorageError> {
        let key = slot_key(address.as_slice(), &B256::from(*slot));
        let value = self.snapshot.moment.lease().get(Table::Storage, &key, decode_value)?;
        Ok(value.unwrap_or_default())
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StorageError> {
        let first = self.snapshot.moment.lease().seek(Table::Storage, address.as_slice())?;
        Ok(first.is_some_and(|(key, _)| key.starts_with(address.as_slice())))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, StorageError> {
        code(&self.snapshot, code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StorageError> {
        block_hash(&self.snapshot, number)
    }
}

impl<C: Chain> NodeSource for NewestView<C> {
    type Error = StorageError;

    fn node(&self, at: &NodePath, hash: B256) -> Result<Option<Bytes>, StorageError> {
        NodesOf(&self.snapshot.moment.lease()).node(at, hash)
    }

    fn is_trusted(&self) -> bool {
        true
    }
}

impl<C: Chain> State for NewestView<C> {
    fn state_root(&self) -> B256 {
        self.root
    }

    fn prepare_for_threads(&self, threads: usize) {
        self.snapshot.moment.prepare(threads);
    }
}

/// The state after an older block: the newest one, but for what changed since.
#[derive(Debug)]
pub(super) struct HistoricalView<C: Chain> {
    snapshot: Arc<DiskSnapshot<C>>,
    number: u64,
    root: B256,
    /// The nodes that the newest state does not have, once they were asked for.
    nodes: OnceLock<TrieNodes>,
}

impl<C: Chain> HistoricalView<C> {
    pub(super) const fn new(snapshot: Arc<DiskSnapshot<C>>, number: u64, root: B256) -> Self {
        Self { snapshot, number, root, nodes: OnceLock::new() }
    }

    /// The first block after this state that changed `subject`.
    fn next_change(&self, table: Table, subject: &[u8]) -> Result<Option<u64>, StorageError> {
        history::first_after(&self.snapshot.moment.lease(), table, subject, self.number)
    }

    fn slot(&self, address: &Address, slot: &B256) -> Result<U256, StorageError> {
        let key = slot_key(address.as_slice(), slot);
        let Some(changed) = self.next_change(Table::StorageHistory, &key)? else {
            let value = self.snapshot.moment.lease().get(Table::Storage, &key, decode_value)?;
            return Ok(value.unwrap_or_default());
        };
        let before = self.snapshot.changes(changed)?.slot(address, slot);
        before.ok_or_else(|| self.not_in_changes(changed, &format!("slot {slot} of {address}")))
    }

    fn not_in_changes(&self, block: u64, what: &str) -> StorageError {
        StorageError::Corrupt {
            path: self.snapshot.shared.folder.clone(),
            reason: format!("the change set of block {block} lacks {what}, which the index names"),
        }
    }

    /// The nodes that differ from the newest state's.
    fn nodes(&self) -> Result<&TrieNodes, StorageError> {
        if let Some(nodes) = self.nodes.get() {
            return Ok(nodes);
        }
        let tip = self.snapshot.tip().number;
        let mut reversal = Reversal::default();
        for number in self.number + 1..=tip {
            reversal.add(&*self.snapshot.changes(number)?);
            if reversal.len() > MAX_REVERSED_CHANGES {
                let limit = MAX_REVERSED_CHANGES;
                return Err(StorageError::TooFar { number: self.number, tip, limit });
            }
        }
        let Some(newest) = self.snapshot.row(tip)? else {
            return Err(StorageError::Missing(format!("block {tip}")));
        };
        let (root, nodes) =
            reversal.nodes(newest.state_root, &NodesOf(&self.snapshot.moment.lease()))?;
        if root != self.root {
            let (number, expected) = (self.number, self.root);
            let reason = format!("the state after block {number} has root {root}, not {expected}");
            return Err(StorageError::Trie(reason));
        }
        Ok(self.nodes.get_or_init(|| nodes))
    }
}

impl<C: Chain> StateReader for HistoricalView<C> {
    type Error = StorageError;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StorageError> {
        let Some(changed) = self.next_change(Table::AccountHistory, address.as_slice())? else {
            return account(&self.snapshot.moment.lease(), address);
        };
        let changes = self.snapshot.changes(changed)?;
        let before = changes.account(address).cloned();
        before.ok_or_else(|| self.not_in_changes(changed, &format!("account {address}")))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StorageError> {
        self.slot(address, &B256::from(*slot))
    }

    /// Looks at every slot that the account ever had. It is asked for accounts without code and
    /// nonce, which have none or a few.
    fn has_storage(&self, address: &Address) -> Result<bool, StorageError> {
        let mut slots = std::collections::BTreeSet::new();
        for table in [Table::Storage, Table::StorageHistory] {
            self.snapshot.moment.lease().walk(table, address.as_slice(), |key, _| {
                slots.extend(key.get(20..52).and_then(|slot| B256::try_from(slot).ok()));
                Ok(ControlFlow::Continue(()))
            })?;
        }
        for slot in slots {
            if !self.slot(address, &slot)?.is_zero() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, StorageError> {
        code(&self.snapshot, code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StorageError> {
        if number > self.number {
            return Err(StorageError::Missing(format!("block {number} before {}", self.number)));
        }
        block_hash(&self.snapshot, number)
    }
}

impl<C: Chain> NodeSource for HistoricalView<C> {
    type Error = StorageError;

    fn node(&self, at: &NodePath, hash: B256) -> Result<Option<Bytes>, StorageError> {
        if let Some(node) = self.nodes()?.get(&hash) {
            return Ok(Some(node.clone()));
        }
        // At this path the newest state may have another node.
        Ok(any_node(&self.snapshot.moment.lease(), at)?.filter(|node| keccak256(node) == hash))
    }

    fn is_trusted(&self) -> bool {
        true
    }
}

impl<C: Chain> State for HistoricalView<C> {
    fn state_root(&self) -> B256 {
        self.root
    }

    fn prepare_for_threads(&self, threads: usize) {
        self.snapshot.moment.prepare(threads);
    }
}
