//! What a block changed, in a flat form.

use alloc::vec::Vec;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256};
use lockstep_trie::StateTrie;
use revm::{bytecode::Bytecode, state::AccountInfo};

/// End of a chain of slots.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// The code hash under which an account without code and nonce, but with storage, is shown to
/// the EVM: not the hash of empty code, so that creating a contract on it fails (EIP-7610).
pub(crate) const EMPTY_CODE_WITH_STORAGE: B256 = B256::ZERO;

/// A storage slot before and after a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotChange {
    /// The slot, unhashed.
    pub slot: U256,
    /// Its value before the block.
    pub before: U256,
    /// Its value after the block.
    pub after: U256,
}

/// An account before and after a block.
#[derive(Clone, Debug)]
pub struct AccountChange {
    pub(crate) address: Address,
    /// The account now.
    pub(crate) after: Option<AccountInfo>,
    /// The account before the block, once `is_written`; until then it is as `after`.
    pub(crate) before: Option<AccountInfo>,
    pub(crate) is_written: bool,
    /// Whether the account existed before the block.
    pub(crate) existed: bool,
    pub(crate) storage_cleared: bool,
    /// The newest slot in this account's chain.
    pub(crate) first_slot: u32,
}

impl AccountChange {
    /// An account that was only loaded.
    pub(crate) const fn unwritten(address: Address, info: Option<AccountInfo>) -> Self {
        Self {
            address,
            existed: info.is_some(),
            after: info,
            before: None,
            is_written: false,
            storage_cleared: false,
            first_slot: NO_SLOT,
        }
    }

    /// The account.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The account before the block; `None` if it did not exist.
    pub const fn before(&self) -> Option<&AccountInfo> {
        if self.is_written { self.before.as_ref() } else { self.after.as_ref() }
    }

    /// The account after the block; `None` if it does not exist.
    pub const fn after(&self) -> Option<&AccountInfo> {
        self.after.as_ref()
    }

    /// Whether the storage from before the block is gone as a whole. Slots that the block did not
    /// touch are then not listed among the changes.
    pub const fn storage_cleared(&self) -> bool {
        self.storage_cleared && self.existed
    }
}

/// A slot in the chain of its account.
#[derive(Clone, Debug)]
pub(crate) struct ChainedSlot {
    pub(crate) change: SlotChange,
    /// The next slot of the same account.
    pub(crate) next: u32,
}

/// Everything a block (or a part of it) changed in the state.
///
/// Accounts come in the order in which the block first loaded them. Accounts and slots lie in one
/// array each, so that nothing is allocated per account; what was only read lies among them and
/// is passed over.
#[derive(Clone, Debug, Default)]
pub struct StateChanges {
    pub(crate) accounts: Vec<AccountChange>,
    pub(crate) slots: Vec<ChainedSlot>,
    pub(crate) codes: Vec<(B256, Bytecode)>,
}

impl StateChanges {
    /// The changed accounts.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountChange> {
        self.accounts.iter().filter(|account| {
            (account.is_written && account.before != account.after)
                || account.storage_cleared()
                || self.slots(account).next().is_some()
        })
    }

    /// The changed slots of one of [`Self::accounts`], the newest first.
    ///
    /// Of an account whose storage was cleared, every slot is listed that is not zero now, also one
    /// that has its old value again: it was set anew.
    pub fn slots(&self, account: &AccountChange) -> impl Iterator<Item = &SlotChange> {
        let was_cleared = account.storage_cleared();
        self.all_slots(account)
            .filter(move |slot| slot.before != slot.after || (was_cleared && !slot.after.is_zero()))
    }

    /// The contract codes that were deployed, with their hashes.
    pub fn codes(&self) -> &[(B256, Bytecode)] {
        &self.codes
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.accounts().next().is_none()
    }

    /// Writes the changes into a trie of the state before them, so that its next root is that of
    /// the state after them.
    pub fn apply_to(&self, trie: &mut StateTrie) {
        for account in self.accounts() {
            let hashed_address = keccak256(account.address);
            let Some(info) = account.after() else {
                trie.remove_account(hashed_address);
                continue;
            };
            if account.storage_cleared() {
                trie.clear_storage(hashed_address);
            }
            trie.set_account(hashed_address, info.nonce, info.balance, info.code_hash);
            for change in self.slots(account) {
                let hashed_slot = keccak256(change.slot.to_be_bytes::<32>());
                trie.set_slot(hashed_address, hashed_slot, change.after);
            }
        }
    }

    /// Every slot of an account that was read or written, the newest first.
    pub(crate) fn all_slots(&self, account: &AccountChange) -> impl Iterator<Item = &SlotChange> {
        let first = self.slots.get(account.first_slot as usize);
        core::iter::successors(first, |slot| self.slots.get(slot.next as usize))
            .map(|slot| &slot.change)
    }

    /// Takes back what only the running EVM may see: the mark of EIP-7610, and indices.
    pub(crate) fn remove_marks(&mut self) {
        for account in &mut self.accounts {
            for info in [&mut account.before, &mut account.after].into_iter().flatten() {
                info.account_id = None;
                if info.code_hash == EMPTY_CODE_WITH_STORAGE {
                    info.code_hash = KECCAK256_EMPTY;
                }
            }
        }
    }
}

impl PartialEq for StateChanges {
    fn eq(&self, other: &Self) -> bool {
        let same_account = |(left, right): (&AccountChange, &AccountChange)| {
            left.address == right.address
                && left.before() == right.before()
                && left.after() == right.after()
                && left.storage_cleared() == right.storage_cleared()
                && self.slots(left).eq(other.slots(right))
        };
        self.accounts().count() == other.accounts().count()
            && self.accounts().zip(other.accounts()).all(same_account)
            && self.codes == other.codes
    }
}

impl Eq for StateChanges {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryState;
    use alloc::vec;

    /// Destroyed and created again in one block (before EIP-6780), with the old value in a slot
    /// that the block had read before.
    #[test]
    fn a_slot_that_gets_its_old_value_after_a_clear_is_a_change() {
        let address = Address::repeat_byte(1);
        let info = AccountInfo { nonce: 1, ..Default::default() };
        let slot = |slot: u64, before: u64, after: u64, next| ChainedSlot {
            change: SlotChange {
                slot: U256::from(slot),
                before: U256::from(before),
                after: U256::from(after),
            },
            next,
        };
        let mut changes = StateChanges {
            accounts: vec![AccountChange {
                address,
                after: Some(info.clone()),
                before: Some(info),
                is_written: true,
                existed: true,
                storage_cleared: true,
                first_slot: 1,
            }],
            slots: vec![slot(0, 7, 7, NO_SLOT), slot(1, 0, 0, 0)],
            codes: vec![],
        };
        let mut state = MemoryState::default();
        state.set_account(address, 1, U256::ZERO, Bytecode::default());
        state.set_slot(address, U256::ZERO, U256::from(7));
        state.set_slot(address, U256::from(2), U256::from(9));
        state.apply(&changes);
        let storage = |state: &MemoryState| state.get(&address).map(|a| a.storage.clone());
        let kept = [(U256::ZERO, U256::from(7))];
        assert_eq!(storage(&state), Some(kept.into_iter().collect()));

        changes.accounts[0].storage_cleared = false;
        assert_eq!(changes.slots(&changes.accounts[0]).count(), 0, "nothing was cleared");
    }
}
