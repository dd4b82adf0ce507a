//! Whether all executors come to the same.

use crate::{
    load::Load,
    ours::Ours,
    peer::{self, Input, Peer},
};
use alloy_consensus::{Eip658Value, TxReceipt};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use eyre::Result;
use lockstep_chain::EthereumReceipt;
use lockstep_execution::{AccountInfo, StateChanges};
use std::collections::{BTreeMap, BTreeSet};

/// Differences that are listed; more are the same story.
const MAX_DIFFERENCES: usize = 8;

/// An account after the block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct After {
    info: Option<(u64, U256, B256)>,
    /// The slots that were named, and what they hold.
    slots: BTreeMap<U256, U256>,
    /// What was in the storage before is gone.
    is_cleared: bool,
}

type Accounts = BTreeMap<Address, After>;

/// Runs all four and says what differs: between ours everything, between pevm's everything, and between ours
/// and pevm's receipts and changed accounts.
///
/// # Errors
/// If an executor refuses the block.
pub(crate) fn differences(
    load: &Load,
    input: &Input,
    ours: &mut Ours,
    peer: &mut Peer,
) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if ours.serial(load)? != ours.parallel(load)? {
        found.push("our parallel executor came to something else than our serial one".into());
    }
    let sequential = peer.execute(input, true)?;
    let parallel = peer.execute(input, false)?;
    if sequential != parallel {
        found
            .push("pevm's parallel executor came to something else than its sequential one".into());
        compare_accounts(load, &theirs(&sequential), &theirs(&parallel), &mut found);
    }
    let (receipts, changes) = Ours::transactions_alone(load)?;
    compare_receipts(&receipts, &sequential, &mut found);
    compare_accounts(load, &of_changes(&changes), &theirs(&sequential), &mut found);
    found.truncate(MAX_DIFFERENCES);
    Ok(found)
}

fn compare_receipts(ours: &[EthereumReceipt], theirs: &peer::Output, found: &mut Vec<String>) {
    if ours.len() != theirs.len() {
        found.push(format!("{} receipts, and {} of pevm", ours.len(), theirs.len()));
    }
    for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let (gas, their_gas) = (ours.cumulative_gas_used(), theirs.receipt.cumulative_gas_used);
        if gas != their_gas {
            found.push(format!("transaction {index}: {gas} gas so far, and {their_gas} by pevm"));
        }
        // Before Byzantium a receipt did not say whether the transaction succeeded.
        let has_status = matches!(ours.status_or_post_state(), Eip658Value::Eip658(_));
        if has_status && ours.receipt.status != theirs.receipt.status {
            found.push(format!("transaction {index}: the status differs"));
        }
        if ours.logs() != theirs.receipt.logs {
            found.push(format!("transaction {index}: the logs differ"));
        }
    }
}

/// The accounts after pevm's transactions, which it leaves one by one.
fn theirs(output: &peer::Output) -> Accounts {
    let mut accounts = Accounts::new();
    for (address, change) in output.iter().flat_map(|result| &result.state) {
        let account = accounts.entry(*address).or_default();
        match change {
            None => *account = After { is_cleared: true, ..After::default() },
            Some(change) => {
                let code_hash = change.code_hash.unwrap_or(KECCAK256_EMPTY);
                account.info = Some((change.nonce, change.balance, code_hash));
                account.slots.extend(change.storage.iter().map(|(slot, value)| (*slot, *value)));
            }
        }
    }
    accounts
}

fn of_changes(changes: &StateChanges) -> Accounts {
    let after = |change: &lockstep_execution::AccountChange| After {
        info: change.after().map(known),
        slots: changes.slots(change).map(|slot| (slot.slot, slot.after)).collect(),
        is_cleared: change.storage_cleared() || change.after().is_none(),
    };
    changes.accounts().map(|change| (change.address(), after(change))).collect()
}

fn known(info: &AccountInfo) -> (u64, U256, B256) {
    (info.nonce, info.balance, info.code_hash)
}

fn compare_accounts(load: &Load, ours: &Accounts, theirs: &Accounts, found: &mut Vec<String>) {
    let addresses: BTreeSet<&Address> = ours.keys().chain(theirs.keys()).collect();
    for address in addresses {
        let (our, their) = (ours.get(address), theirs.get(address));
        let (our_info, their_info) = (info(load, address, our), info(load, address, their));
        if our_info != their_info {
            found.push(format!("account {address}: {our_info:?}, and {their_info:?} by pevm"));
        }
        let named = [our, their].into_iter().flatten().flat_map(|after| after.slots.keys());
        let named: BTreeSet<&U256> = named.collect();
        for slot in named {
            let value = slot_value(load, address, our, slot);
            let their_value = slot_value(load, address, their, slot);
            if value != their_value {
                found.push(format!(
                    "account {address}, slot {slot}: {value}, and {their_value} by pevm"
                ));
            }
        }
    }
}

fn info(load: &Load, address: &Address, after: Option<&After>) -> Option<(u64, U256, B256)> {
    match after {
        Some(after) => after.info,
        None => load.state.get(address).map(|account| known(&account.info)),
    }
}

fn slot_value(load: &Load, address: &Address, after: Option<&After>, slot: &U256) -> U256 {
    let written = after.and_then(|after| after.slots.get(slot)).copied();
    let is_cleared = after.is_some_and(|after| after.is_cleared);
    let before = || load.state.get(address)?.storage.get(slot).copied();
    written.or_else(|| if is_cleared { None } else { before() }).unwrap_or_default()
}
