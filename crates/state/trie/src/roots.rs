//! Roots of whole tries, computed from all their leaves in one pass.

use crate::{
    decode::MAX_KEY_NIBBLES,
    node::{NodeRef, encode_branch, encode_extension, encode_leaf},
};
use alloc::vec::Vec;
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};
use core::mem;

/// Compute the root of leaves that come in ascending order of their keys.
///
/// Holds only the branches on the path of the last key, and each node is encoded once.
#[derive(Debug, Default)]
pub struct RootBuilder {
    /// The branches on the path of the last leaf that have a finished child, from the root down.
    open: Vec<OpenBranch>,
    /// The key of the last leaf, which stays open until the next key tells where it hangs.
    last: Option<Nibbles>,
    value: Vec<u8>,
    buffer: Vec<u8>,
}

/// A branch that may still get children.
#[derive(Debug)]
struct OpenBranch {
    depth: usize,
    children: [NodeRef; 16],
    value: Vec<u8>,
}

/// A leaf that [`RootBuilder::push`] refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// The key does not come after the one before it.
    #[error("key {key:?} does not follow {last:?} in ascending order")]
    Order {
        /// The last key that was accepted.
        last: Nibbles,
        /// The key that was refused.
        key: Nibbles,
    },
    /// The value is empty, which means that the key is not in the trie.
    #[error("the value of key {0:?} is empty")]
    EmptyValue(Nibbles),
}

impl RootBuilder {
    /// A builder without leaves.
    pub const fn new() -> Self {
        Self { open: Vec::new(), last: None, value: Vec::new(), buffer: Vec::new() }
    }

    /// Adds the next leaf.
    ///
    /// # Errors
    ///
    /// A [`LeafError`] when the key is not greater than all before, or the value is empty. The
    /// builder stays as it was.
    pub fn push(&mut self, key: &Nibbles, value: &[u8]) -> Result<(), LeafError> {
        if value.is_empty() {
            return Err(LeafError::EmptyValue(*key));
        }
        if let Some(last) = self.last {
            if *key <= last {
                return Err(LeafError::Order { last, key: *key });
            }
            self.close_to(&last, Some(last.common_prefix_length(key)));
        }
        self.last = Some(*key);
        self.value.clear();
        self.value.extend_from_slice(value);
        Ok(())
    }

    /// The root of all leaves added.
    pub fn root(mut self) -> B256 {
        let Some(last) = self.last else { return EMPTY_ROOT_HASH };
        self.close_to(&last, None);
        // Nothing is open any more, so the buffer holds the root node.
        keccak256(&self.buffer)
    }

    /// Finishes the leaf `last` and every branch deeper than `fork`, the depth at which the next
    /// key leaves `last`; `None` when there is no next key. Afterwards the deepest open branch
    /// is the one at `fork`.
    fn close_to(&mut self, last: &Nibbles, fork: Option<usize>) {
        self.open_at(fork);
        let Some(parent) = self.open.last().map(|branch| branch.depth) else {
            self.buffer.clear();
            encode_leaf(last, &self.value, &mut self.buffer);
            return;
        };
        if parent == last.len() {
            let value = mem::take(&mut self.value);
            self.open.last_mut().expect("a parent is open").value = value;
        } else {
            self.buffer.clear();
            encode_leaf(&last.slice(parent + 1..), &self.value, &mut self.buffer);
            self.set_child(last);
        }
        while let Some(branch) = self.open.pop_if(|branch| fork.is_none_or(|to| branch.depth > to))
        {
            self.buffer.clear();
            encode_branch(&branch.children, &branch.value, &mut self.buffer);
            self.open_at(fork);
            let top = self.open.last().map_or(0, |parent| parent.depth + 1);
            if top < branch.depth {
                let child = NodeRef::to_node(&self.buffer);
                self.buffer.clear();
                encode_extension(&last.slice(top..branch.depth), &child, &mut self.buffer);
            }
            self.set_child(last);
        }
    }

    /// Opens a branch at depth `fork` unless there is one, or one below it.
    fn open_at(&mut self, fork: Option<usize>) {
        if let Some(depth) = fork
            && self.open.last().is_none_or(|branch| branch.depth < depth)
        {
            let children = [NodeRef::Empty; 16];
            self.open.push(OpenBranch { depth, children, value: Vec::new() });
        }
    }

    /// Hangs the node in the buffer on the deepest open branch, if any, in the direction of
    /// `key`.
    fn set_child(&mut self, key: &Nibbles) {
        if let Some(branch) = self.open.last_mut()
            && let Some(nibble) = key.get(branch.depth)
            && let Some(child) = branch.children.get_mut(usize::from(nibble))
        {
            *child = NodeRef::to_node(&self.buffer);
        }
    }
}

/// The root of the trie that maps `rlp(index)` to each item: of transactions, receipts and
/// withdrawals (Yellow Paper, section 4.3.2).
///
/// `encode` appends what the trie stores of an item, such as the EIP-2718 envelope. An item of
/// which it stores nothing is not in the trie.
pub fn ordered_root<T>(items: &[T], mut encode: impl FnMut(&T, &mut Vec<u8>)) -> B256 {
    // In the order of their encodings: 1..=0x7f are single bytes below 0x80, which is zero.
    let (first, rest) = items.split_at(items.len().min(0x80));
    let single_bytes = (0usize..).zip(first);
    let in_key_order =
        single_bytes.clone().skip(1).chain(single_bytes.take(1)).chain((first.len()..).zip(rest));
    let mut builder = RootBuilder::new();
    let mut value = Vec::new();
    for (index, item) in in_key_order {
        value.clear();
        encode(item, &mut value);
        if value.is_empty() {
            continue;
        }
        let key = Nibbles::unpack(alloy_rlp::encode_fixed_size(&index));
        builder.push(&key, &value).expect("indices ascend in the order of their encodings");
    }
    builder.root()
}

/// The root of the storage trie with these slots, not hashed. Zero means no slot; of a slot
/// that comes twice the last value counts.
pub fn storage_root(slots: impl IntoIterator<Item = (B256, U256)>) -> B256 {
    let slots = slots.into_iter().map(|(slot, value)| (keccak256(slot), value));
    let mut builder = RootBuilder::new();
    for (hashed_slot, value) in sorted_last(slots) {
        if !value.is_zero() {
            push_hashed(&mut builder, hashed_slot, &alloy_rlp::encode_fixed_size(&value));
        }
    }
    builder.root()
}

/// The root of the account trie with these accounts, addresses not hashed. Of an address that
/// comes twice the last account counts.
///
/// Compute each `storage_root` with [`storage_root`].
pub fn state_root(accounts: impl IntoIterator<Item = (Address, TrieAccount)>) -> B256 {
    let accounts = accounts.into_iter().map(|(address, account)| (keccak256(address), account));
    let mut builder = RootBuilder::new();
    let mut value = Vec::new();
    for (hashed_address, account) in sorted_last(accounts) {
        value.clear();
        account.encode(&mut value);
        push_hashed(&mut builder, hashed_address, &value);
    }
    builder.root()
}

/// Sorts by key and keeps the last of entries with equal keys.
fn sorted_last<V>(entries: impl Iterator<Item = (B256, V)>) -> Vec<(B256, V)> {
    let mut entries: Vec<_> = entries.collect();
    // Stable, so that equal keys stay in the order they came.
    entries.sort_by_key(|(key, _)| *key);
    entries.dedup_by(|later, kept| {
        let is_same = later.0 == kept.0;
        if is_same {
            mem::swap(&mut later.1, &mut kept.1);
        }
        is_same
    });
    entries
}

fn push_hashed(builder: &mut RootBuilder, key: B256, value: &[u8]) {
    const { assert!(MAX_KEY_NIBBLES == 2 * B256::len_bytes()) };
    builder.push(&Nibbles::unpack(key), value).expect("keys are sorted and unique, values present");
}
