//! What another implementation found for the same block.

use super::check::Mismatch;
use crate::{Error, fields::Quantity, json, source::File};
use alloy_consensus::TxReceipt;
use alloy_primitives::{Address, B256, Bloom, KECCAK256_EMPTY, U256};
use lockstep_chain::EthereumReceipt;
use lockstep_execution::MemoryState;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Results after all transactions, before rewards and withdrawals.
#[derive(Clone, Debug, Deserialize)]
pub struct OracleResults {
    logs_hash: B256,
    receipts: Vec<OracleReceipt>,
    post_diff: BTreeMap<Address, AccountDiff>,
}

#[derive(Clone, Debug, Deserialize)]
struct OracleReceipt {
    tx: B256,
    cumulative_gas_used: u64,
    success: Option<bool>,
    bloom: Bloom,
}

/// The fields of an account that changed, with their new values.
#[derive(Clone, Debug, Default, Deserialize)]
struct AccountDiff {
    balance: Option<Quantity>,
    nonce: Option<Quantity>,
    code_hash: Option<B256>,
    #[serde(default)]
    storage: BTreeMap<Quantity, Quantity>,
    #[serde(default)]
    deleted: bool,
}

impl OracleResults {
    /// Parses a result file.
    ///
    /// # Errors
    /// If it is malformed, naming the field.
    pub fn parse(file: &File) -> Result<Self, Error> {
        json::parse(&file.name, "", json::utf8(&file.name, &file.bytes)?)
    }

    /// Compares what the transactions left behind; `hashes` are those of the transactions.
    pub(super) fn compare(
        &self,
        hashes: &[B256],
        receipts: &[EthereumReceipt],
        before: &MemoryState,
        after: &MemoryState,
    ) -> Vec<Mismatch> {
        let mut found = Vec::new();
        self.compare_receipts(hashes, receipts, &mut found);
        let logs: Vec<_> = receipts.iter().flat_map(|receipt| receipt.logs()).cloned().collect();
        let logs_hash = crate::world::logs_hash(&logs);
        found.extend(Mismatch::of("oracle logs_hash", None, &self.logs_hash, &logs_hash));
        self.compare_accounts(before, after, &mut found);
        found
    }

    fn compare_receipts(
        &self,
        hashes: &[B256],
        receipts: &[EthereumReceipt],
        found: &mut Vec<Mismatch>,
    ) {
        let counts = (self.receipts.len(), receipts.len());
        found.extend(Mismatch::of("oracle receipts", None, &counts.0, &counts.1));
        let pairs = self.receipts.iter().zip(receipts).zip(hashes).enumerate();
        for (index, ((expected, got), hash)) in pairs {
            let at = Some(index);
            let gas = (expected.cumulative_gas_used, got.cumulative_gas_used());
            let differences = [
                Mismatch::of("oracle receipt.tx", at, &expected.tx, hash),
                Mismatch::of("oracle receipt.cumulative_gas_used", at, &gas.0, &gas.1),
                // Before Byzantium receipts hold no status, and the oracle names none.
                expected.success.and_then(|success| {
                    Mismatch::of("oracle receipt.success", at, &success, &got.status())
                }),
                Mismatch::of("oracle receipt.bloom", at, &expected.bloom, &got.bloom()),
            ];
            let before = found.len();
            found.extend(differences.into_iter().flatten());
            // Whatever follows the first difference follows from it.
            if found.len() > before {
                return;
            }
        }
    }

    fn compare_accounts(
        &self,
        before: &MemoryState,
        after: &MemoryState,
        found: &mut Vec<Mismatch>,
    ) {
        let mut addresses: BTreeSet<Address> = self.post_diff.keys().copied().collect();
        addresses.extend(before.accounts().map(|(address, _)| *address));
        addresses.extend(after.accounts().map(|(address, _)| *address));
        let unchanged = AccountDiff::default();
        for address in addresses {
            let expected = self.post_diff.get(&address).unwrap_or(&unchanged);
            compare_account(&address, expected, before, after, found);
        }
    }
}

/// The account after the transactions is the one before, with the expected changes.
fn compare_account(
    address: &Address,
    expected: &AccountDiff,
    before: &MemoryState,
    after: &MemoryState,
    found: &mut Vec<Mismatch>,
) {
    let info = |state: &MemoryState| {
        let info = state.get(address).map(|account| &account.info);
        let code_hash = info.map_or(KECCAK256_EMPTY, |info| info.code_hash);
        info.map_or((U256::ZERO, 0, code_hash), |info| (info.balance, info.nonce, code_hash))
    };
    let ((balance, nonce, code_hash), got) = (info(before), info(after));
    let mut compare = |field: &str, expected: String, got: String| {
        found.extend(Mismatch::of(&format!("oracle {address}.{field}"), None, &expected, &got));
    };
    let balance = expected.balance.map_or(balance, |balance| balance.0);
    compare("balance", balance.to_string(), got.0.to_string());
    let nonce = expected.nonce.map_or(U256::from(nonce), |nonce| nonce.0);
    compare("nonce", nonce.to_string(), got.1.to_string());
    let code_hash = expected.code_hash.unwrap_or(code_hash);
    compare("code_hash", code_hash.to_string(), got.2.to_string());
    if expected.deleted {
        compare("deleted", "true".into(), after.get(address).is_none().to_string());
        return;
    }
    let storage = |state: &MemoryState| {
        state.get(address).map(|account| account.storage.clone()).unwrap_or_default()
    };
    let (storage_before, storage_after) = (storage(before), storage(after));
    let mut slots: BTreeSet<U256> = expected.storage.keys().map(|slot| slot.0).collect();
    slots.extend(storage_before.keys().chain(storage_after.keys()).copied());
    for slot in slots {
        let changed = expected.storage.get(&Quantity(slot)).map(|value| value.0);
        let value = |storage: &alloy_primitives::map::U256Map<U256>| {
            storage.get(&slot).copied().unwrap_or_default()
        };
        let wanted = changed.unwrap_or_else(|| value(&storage_before));
        let got = value(&storage_after);
        compare(&format!("storage[{slot:#x}]"), format!("{wanted:#x}"), format!("{got:#x}"));
    }
}
