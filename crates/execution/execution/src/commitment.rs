//! How headers commit to the state.

use crate::{AccountChange, MemoryState, SlotChange, StateChanges};
use alloc::vec::Vec;
use alloy_primitives::{B256, keccak256};
use core::{convert::Infallible, fmt::Debug};
use lockstep_trie::{NoSource, NodePath, NodeSource, StateTrie, TrieError};

/// The part of a chain definition that says what the `stateRoot` of a header is. A value stands for
/// one state and moves on with it from block to block.
///
/// Ethereum's is [`StateTrie`], a Merkle Patricia trie: against it accounts and slots can be
/// proven. [`DiffHash`] costs next to nothing and proves nothing.
pub trait StateCommitment: Clone + Debug + Send + Sync + 'static {
    /// The commitment to the state without accounts.
    fn empty() -> Self;

    /// The commitment whose root is `root`.
    fn from_root(root: B256) -> Self;

    /// Moves on to the state after `changes` and returns its root.
    ///
    /// `source` serves the nodes of the state before, `on_node` is given those that are new; a
    /// commitment without nodes uses neither. After an error the value must not be used again.
    ///
    /// # Errors
    /// When a node is missing or malformed.
    fn commit<S: NodeSource>(
        &mut self,
        changes: &StateChanges,
        source: &S,
        on_node: impl FnMut(&NodePath, B256, &[u8]),
    ) -> Result<B256, TrieError<S::Error>>;

    /// Nodes that are held in memory.
    fn node_count(&self) -> usize {
        0
    }

    /// Ethereum's trie, if that is what commits to the state. It is needed to prove accounts and
    /// to state the root of an account's storage.
    fn trie(&mut self) -> Option<&mut StateTrie> {
        None
    }

    /// Whether [`Self::trie`] is there.
    fn is_trie() -> bool {
        Self::empty().trie().is_some()
    }
}

impl StateCommitment for StateTrie {
    fn empty() -> Self {
        Self::empty()
    }

    fn from_root(root: B256) -> Self {
        Self::from_root(root)
    }

    fn commit<S: NodeSource>(
        &mut self,
        changes: &StateChanges,
        source: &S,
        on_node: impl FnMut(&NodePath, B256, &[u8]),
    ) -> Result<B256, TrieError<S::Error>> {
        changes.apply_to(self);
        Self::commit(self, source, on_node)
    }

    fn node_count(&self) -> usize {
        Self::node_count(self)
    }

    fn trie(&mut self) -> Option<&mut StateTrie> {
        Some(self)
    }
}

/// Commits to a state by its history: the root is the hash of the root before and of what changed.
///
/// For chains that trust whoever computes their state, or prove it by other means: the root costs
/// one hash of the changes, and nothing can be proven against it. The root before genesis is zero.
///
/// What is hashed: the root before (32 bytes), then each changed account, ascending: its address
/// (20 bytes); `0` if it is gone, otherwise `1`, or `2` if its storage was cleared, nonce (8 bytes),
/// balance (32) and code hash (32); the number of changed slots (8), and these, ascending (32 each,
/// and 32 for the value). Numbers are big-endian. What did not change does not count: a root
/// without changes is the root before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiffHash {
    root: B256,
}

impl StateCommitment for DiffHash {
    fn empty() -> Self {
        Self { root: B256::ZERO }
    }

    fn from_root(root: B256) -> Self {
        Self { root }
    }

    fn commit<S: NodeSource>(
        &mut self,
        changes: &StateChanges,
        _: &S,
        _: impl FnMut(&NodePath, B256, &[u8]),
    ) -> Result<B256, TrieError<S::Error>> {
        let mut accounts: Vec<&AccountChange> = changes.accounts().collect();
        if accounts.is_empty() {
            return Ok(self.root);
        }
        accounts.sort_unstable_by_key(|account| account.address());
        let mut preimage = self.root.to_vec();
        for account in accounts {
            encode(changes, account, &mut preimage);
        }
        self.root = keccak256(preimage);
        Ok(self.root)
    }
}

fn encode(changes: &StateChanges, account: &AccountChange, out: &mut Vec<u8>) {
    out.extend_from_slice(account.address().as_slice());
    let Some(info) = account.after() else {
        out.push(0);
        return;
    };
    out.push(if account.storage_cleared() { 2 } else { 1 });
    out.extend_from_slice(&info.nonce.to_be_bytes());
    out.extend_from_slice(&info.balance.to_be_bytes::<32>());
    out.extend_from_slice(info.code_hash.as_slice());
    let mut slots: Vec<&SlotChange> = changes.slots(account).collect();
    slots.sort_unstable_by_key(|change| change.slot);
    out.extend_from_slice(&(slots.len() as u64).to_be_bytes());
    for change in slots {
        out.extend_from_slice(&change.slot.to_be_bytes::<32>());
        out.extend_from_slice(&change.after.to_be_bytes::<32>());
    }
}

/// The root of the state that a chain begins with, whose nodes are given to `on_node`.
///
/// # Errors
/// When the commitment refuses; [`StateTrie`] and [`DiffHash`] never do.
pub fn genesis_root<S: StateCommitment>(
    state: &MemoryState,
    on_node: impl FnMut(&NodePath, B256, &[u8]),
) -> Result<B256, TrieError<Infallible>> {
    S::empty().commit(&state.as_changes(), &NoSource, on_node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, U256};
    use revm::bytecode::Bytecode;

    const ONE: Address = Address::repeat_byte(1);
    const TWO: Address = Address::repeat_byte(2);

    /// Two accounts, one with a slot, put together in either order.
    fn state(turned: bool) -> MemoryState {
        let mut state = MemoryState::default();
        let mut accounts = [(ONE, 1_u64), (TWO, 2)];
        if turned {
            accounts.reverse();
        }
        for (address, nonce) in accounts {
            state.set_account(address, nonce, U256::from(7), Bytecode::default());
        }
        state.set_slot(TWO, U256::from(3), U256::from(4));
        state
    }

    fn root<S: StateCommitment>(state: &MemoryState) -> B256 {
        genesis_root::<S>(state, |_, _, _| ()).expect("both never refuse")
    }

    #[test]
    fn the_trie_of_a_genesis_state_has_the_root_computed_from_scratch() {
        assert_eq!(root::<StateTrie>(&state(false)), state(false).state_root());
        assert_eq!(root::<StateTrie>(&MemoryState::default()), MemoryState::default().state_root());
    }

    #[test]
    fn a_diff_hash_is_the_hash_of_the_documented_bytes() {
        let mut expected = B256::ZERO.to_vec();
        for (address, nonce, slots) in [(ONE, 1_u64, 0_u64), (TWO, 2, 1)] {
            expected.extend_from_slice(address.as_slice());
            expected.push(1);
            expected.extend_from_slice(&nonce.to_be_bytes());
            expected.extend_from_slice(&U256::from(7).to_be_bytes::<32>());
            expected.extend_from_slice(alloy_primitives::KECCAK256_EMPTY.as_slice());
            expected.extend_from_slice(&slots.to_be_bytes());
        }
        expected.extend_from_slice(&U256::from(3).to_be_bytes::<32>());
        expected.extend_from_slice(&U256::from(4).to_be_bytes::<32>());
        assert_eq!(root::<DiffHash>(&state(false)), keccak256(expected));
    }

    #[test]
    fn a_diff_hash_depends_on_changes_and_history_but_not_on_their_order() {
        assert_eq!(root::<DiffHash>(&state(false)), root::<DiffHash>(&state(true)));
        let mut other = state(false);
        other.set_slot(TWO, U256::from(3), U256::from(5));
        assert_ne!(root::<DiffHash>(&state(false)), root::<DiffHash>(&other));
        let commit = |from: B256, changes: &StateChanges| {
            DiffHash::from_root(from).commit(changes, &NoSource, |_, _, _| ()).expect("as above")
        };
        let changes = state(false).as_changes();
        assert_ne!(commit(B256::ZERO, &changes), commit(B256::repeat_byte(1), &changes));
        let unchanged = commit(B256::repeat_byte(1), &StateChanges::default());
        assert_eq!(unchanged, B256::repeat_byte(1));
    }
}
