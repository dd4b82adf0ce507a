//! The newest state: plain against hashed, and its root.

use super::Check;
use crate::{
    Snapshot, StorageError,
    db::{Table, decode_account, decode_value, slot_key},
};
use alloy_primitives::{B256, KECCAK256_EMPTY, keccak256, map::B256Set};
use lockstep_chain::Chain;
use lockstep_trie::{Nibbles, RootBuilder, TrieAccount};
use std::ops::ControlFlow;

impl<C: Chain> Check<'_, C> {
    pub(super) fn state(&mut self) -> Result<(), StorageError> {
        self.plain_accounts()?;
        self.plain_slots()?;
        self.codes()
    }

    pub(super) fn state_root(&mut self) -> Result<(), StorageError> {
        let root = self.root();
        let Some(root) = self.note(root)? else { return Ok(()) };
        let row = self.snapshot.row(self.snapshot.tip().number);
        if let Some(row) = self.note(row)?.flatten()
            && row.state_root != root
        {
            let reason = format!("the state has root {root}, its block says {}", row.state_root);
            self.problem("hashed_accounts", reason);
        }
        Ok(())
    }

    /// Every account has a hashed twin, and the other way round.
    fn plain_accounts(&mut self) -> Result<(), StorageError> {
        let tx = self.snapshot.moment.first();
        let total = tx.stat(Table::Accounts)?.entries() as u64;
        let mut accounts = 0;
        let mut twinless = Vec::new();
        let mut code_hashes = B256Set::default();
        let walked = tx.walk(Table::Accounts, &[], |key, value| {
            accounts += 1;
            let info =
                decode_account(value).map_err(|reason| tx.corrupt(Table::Accounts, key, reason))?;
            code_hashes.insert(info.code_hash);
            let hashed = keccak256(key);
            let twin =
                tx.get(Table::HashedAccounts, hashed.as_slice(), |twin| Ok(twin == value))?;
            if twin != Some(true) {
                twinless.push(alloy_primitives::hex::encode_prefixed(key));
            }
            Ok(ControlFlow::Continue(()))
        });
        self.note(walked)?;
        self.report.accounts = accounts;
        self.report_progress("accounts", accounts, total);
        for address in twinless {
            self.problem(format!("account {address}"), "its hashed row differs");
        }
        let hashed = self.snapshot.moment.first().stat(Table::HashedAccounts)?.entries() as u64;
        self.expect_count("hashed_accounts", hashed, total);
        for code_hash in code_hashes.iter().filter(|hash| **hash != KECCAK256_EMPTY) {
            let tx = self.snapshot.moment.first();
            let code = tx.get(Table::Codes, code_hash.as_slice(), |_| Ok(()));
            if self.note(code)?.flatten().is_none() {
                self.problem(format!("code {code_hash}"), "an account has it, and it is missing");
            }
        }
        Ok(())
    }

    /// Every slot has a hashed twin, and the other way round.
    fn plain_slots(&mut self) -> Result<(), StorageError> {
        let tx = self.snapshot.moment.first();
        let total = tx.stat(Table::Storage)?.entries() as u64;
        let mut slots = 0;
        let mut twinless = Vec::new();
        let walked = tx.walk(Table::Storage, &[], |key, value| {
            slots += 1;
            let Some((address, slot)) = key.split_first_chunk::<20>() else {
                return Err(tx.corrupt(Table::Storage, key, "the key is malformed"));
            };
            let key_of_twin = slot_key(keccak256(address).as_slice(), &keccak256(slot));
            let twin = tx.get(Table::HashedStorage, &key_of_twin, |twin| Ok(twin == value))?;
            if twin != Some(true) {
                twinless.push(alloy_primitives::hex::encode_prefixed(key));
            }
            Ok(ControlFlow::Continue(()))
        });
        self.note(walked)?;
        self.report.slots = slots;
        self.report_progress("slots", slots, total);
        for slot in twinless {
            self.problem(format!("slot {slot}"), "its hashed row differs");
        }
        let hashed = self.snapshot.moment.first().stat(Table::HashedStorage)?.entries() as u64;
        self.expect_count("hashed_storage", hashed, total);
        Ok(())
    }

    fn codes(&mut self) -> Result<(), StorageError> {
        let mut wrong = Vec::new();
        let mut codes = 0;
        let walked = self.snapshot.moment.first().walk(Table::Codes, &[], |key, code| {
            codes += 1;
            if keccak256(code).as_slice() != key {
                wrong.push(alloy_primitives::hex::encode_prefixed(key));
            }
            Ok(ControlFlow::Continue(()))
        });
        self.note(walked)?;
        self.report.codes = codes;
        for hash in wrong {
            self.problem(format!("code {hash}"), "it has another hash");
        }
        Ok(())
    }

    /// The state root, from the hashed tables alone.
    fn root(&mut self) -> Result<B256, StorageError> {
        let tx = self.snapshot.moment.first();
        let total = tx.stat(Table::HashedAccounts)?.entries() as u64;
        let mut done = 0;
        let mut accounts = RootBuilder::new();
        let corrupt = |table, key: &[u8], reason: &str| Err(tx.corrupt(table, key, reason));
        let progress = &mut *self.progress;
        tx.walk(Table::HashedAccounts, &[], |hashed, value| {
            let mut slots = RootBuilder::new();
            tx.walk(Table::HashedStorage, hashed, |key, value| {
                let slot = key.get(32..).unwrap_or_default();
                let rlp = decode_value(value).map(|value| alloy_rlp::encode_fixed_size(&value));
                match rlp.map(|rlp| slots.push(&Nibbles::unpack(slot), &rlp)) {
                    Ok(Ok(())) => Ok(ControlFlow::Continue(())),
                    _ => corrupt(Table::HashedStorage, key, "the row is malformed"),
                }
            })?;
            let Ok(info) = decode_account(value) else {
                return corrupt(Table::HashedAccounts, hashed, "the row is malformed");
            };
            let account = TrieAccount {
                nonce: info.nonce,
                balance: info.balance,
                storage_root: slots.root(),
                code_hash: info.code_hash,
            };
            if accounts.push(&Nibbles::unpack(hashed), &alloy_rlp::encode(account)).is_err() {
                return corrupt(Table::HashedAccounts, hashed, "the key is malformed");
            }
            done += 1;
            if done % super::PROGRESS_STEP == 0 || done == total {
                progress(super::CheckProgress { stage: "state root", done, total });
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(accounts.root())
    }
}
