//! Taking blocks back.

use super::{
    Shared,
    append::{admit_commit, put_account, put_slot},
    changes::{ChangeSet, Reversal},
    rows::{self, Body},
    view::NodesOf,
};
use crate::{
    ForkChoice, StorageError, TrieNodes,
    db::{BlockRow, NodeWriter, Position, Table, Writer, history, slot_key},
    files::Kind,
};
use alloy_consensus::transaction::TxHashRef;
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, keccak256, map::B256Set};
use lockstep_chain::Chain;
use lockstep_execution::{Execute, StateCommitment};
use std::sync::atomic::Ordering;

/// Accounts and slots of one step, in memory at a time. A step of one block may have more.
const MAX_STEP_CHANGES: usize = 1_000_000;

/// Takes back every block above `number` in steps, the newest blocks first. After each the chain is
/// whole, only shorter, and so it is where a step fails or the process ends between two.
pub(super) fn unwind<C: Execute>(shared: &Shared, number: u64) -> Result<(), StorageError> {
    while step::<C>(shared, number)? > number {}
    Ok(())
}

/// Takes one step down to block `number`; returns the number of the newest block then. One commit
/// makes the blocks go; then the static files are cut.
fn step<C: Execute>(shared: &Shared, number: u64) -> Result<u64, StorageError> {
    let tx = shared.environment.write()?;
    let position = Position::read(&tx)?;
    let tip = position.tip.number;
    let earliest = shared.identity.genesis.number;
    if number > tip || number < earliest {
        return Err(StorageError::NotRetained { number, earliest, tip });
    }
    if number == tip {
        return Ok(tip);
    }
    let newest = block_row(&tx, tip)?;
    let (reversal, number) = take_blocks::<C>(shared, &tx, tip, number)?;
    let kept = block_row(&tx, number)?;
    // From the nodes of the newest state, so before anything is written.
    let tries = if C::Commitment::is_trie() {
        Some(Tries::computed(&tx, &reversal, number, newest.state_root, kept.state_root)?)
    } else {
        None
    };
    let touched = restore(&tx, &reversal, number)?;
    if let Some(tries) = tries {
        tries.write(&tx, touched)?;
    }
    let new = Position {
        tip: BlockNumHash::new(number, kept.hash),
        fork_choice: fork_choice_after(&tx, position.fork_choice, kept.hash)?,
        lengths: shared.files.lengths_at(number)?,
    };
    tx.put(Table::Meta, Position::KEY, &new.encode())?;
    admit_commit(&shared.environment, shared)?;
    tx.commit()?;
    shared.unwinds.fetch_add(1, Ordering::SeqCst);
    if let Err(error) = shared.files.truncate(number, new.lengths) {
        tracing::warn!(%error, "rows that were taken back remain until the next start");
    }
    shared.measure.unwound(tip - number, number);
    tracing::info!(from = tip, to = number, "blocks were taken back");
    Ok(number)
}

/// Removes the blocks of one step from the indices. Returns what they changed, and the number of the
/// block that becomes the newest: `number`, or one above it if that is too far for one step.
fn take_blocks<C: Chain>(
    shared: &Shared,
    tx: &Writer,
    tip: u64,
    number: u64,
) -> Result<(Reversal, u64), StorageError> {
    let lowest = number.max(tip.saturating_sub(shared.options.unwind_blocks.max(1)));
    let mut reversal = Reversal::default();
    let mut newest = tip;
    while newest > lowest && reversal.len() < MAX_STEP_CHANGES {
        let row = block_row(tx, newest)?;
        let content = shared.files.read(Kind::Changes, newest, &row.hash)?;
        let changes = ChangeSet::decode(&content)
            .map_err(|reason| tx.corrupt(Table::Blocks, &newest.to_be_bytes(), reason))?;
        reversal.add_older(changes);
        remove_block::<C>(shared, tx, newest, &row)?;
        newest -= 1;
    }
    Ok((reversal, newest))
}

fn block_row(tx: &Writer, number: u64) -> Result<BlockRow, StorageError> {
    let key = number.to_be_bytes();
    let row = tx.get(Table::Blocks, &key, BlockRow::decode)?;
    row.ok_or_else(|| tx.corrupt(Table::Blocks, &key, "the row is missing"))
}

/// Removes a block from the indices.
fn remove_block<C: Chain>(
    shared: &Shared,
    tx: &Writer,
    number: u64,
    row: &BlockRow,
) -> Result<(), StorageError> {
    let body = shared.files.read(Kind::Bodies, number, &row.hash)?;
    let body: Body<C> = rows::decode_exact(&body)
        .map_err(|reason| tx.corrupt(Table::Blocks, &number.to_be_bytes(), reason))?;
    for transaction in &body.transactions {
        tx.delete(Table::Transactions, transaction.tx_hash().as_slice())?;
    }
    tx.delete(Table::BlockNumbers, row.hash.as_slice())?;
    tx.delete(Table::Blocks, &number.to_be_bytes())
}

/// The hashed addresses of accounts that a restoration concerns.
struct Touched {
    /// They do not exist any more.
    cleared: Vec<B256>,
    /// Some of their slots have other values.
    written: Vec<B256>,
}

/// Makes the state after block `number` the newest one.
fn restore(tx: &Writer, reversal: &Reversal, number: u64) -> Result<Touched, StorageError> {
    let mut touched = Touched { cleared: Vec::new(), written: Vec::new() };
    for (address, before) in &reversal.accounts {
        let hashed = keccak256(address);
        put_account(tx, address, &hashed, before.as_ref())?;
        history::pop_above(tx, Table::AccountHistory, address.as_slice(), number)?;
        if before.is_none() {
            touched.cleared.push(hashed);
        }
    }
    for ((address, slot), before) in &reversal.slots {
        let hashed = keccak256(address);
        put_slot(tx, address, &hashed, slot, before)?;
        let subject = slot_key(address.as_slice(), slot);
        history::pop_above(tx, Table::StorageHistory, &subject, number)?;
        if touched.written.last() != Some(&hashed) {
            touched.written.push(hashed);
        }
    }
    Ok(touched)
}

/// The nodes by which the tries of an older state differ from those of the newest.
struct Tries {
    nodes: TrieNodes,
    newest_root: B256,
    root: B256,
}

impl Tries {
    fn computed(
        tx: &Writer,
        reversal: &Reversal,
        number: u64,
        newest_root: B256,
        root: B256,
    ) -> Result<Self, StorageError> {
        let (computed, nodes) = reversal.nodes(newest_root, &NodesOf(tx))?;
        if computed != root {
            let reason =
                format!("the state after block {number} has root {computed}, expected {root}");
            return Err(StorageError::Trie(reason));
        }
        Ok(Self { nodes, newest_root, root })
    }

    /// Makes them the newest, once the slots were written.
    fn write(self, tx: &Writer, touched: Touched) -> Result<(), StorageError> {
        let Self { nodes, newest_root: old_root, root: new_root } = self;
        // Slots may have come back to what they were, and then their storage has no new root.
        let rooted: B256Set = nodes
            .iter()
            .filter(|(at, ..)| at.path.is_empty())
            .filter_map(|(at, ..)| at.owner)
            .collect();
        let mut emptied = Vec::new();
        for owner in touched.written {
            if !rooted.contains(&owner) && !has_slots(tx, &owner)? {
                emptied.push(owner);
            }
        }
        let (written, cleared) = (&emptied, &touched.cleared);
        NodeWriter { tx, old_root, new_root, written, cleared }.write(&nodes)
    }
}

fn has_slots(tx: &Writer, owner: &B256) -> Result<bool, StorageError> {
    let first = tx.seek(Table::HashedStorage, owner.as_slice())?;
    Ok(first.is_some_and(|(key, _)| key.starts_with(owner.as_slice())))
}

/// What of a fork choice still stands: blocks that are gone are no longer chosen.
fn fork_choice_after(
    tx: &Writer,
    choice: ForkChoice,
    tip: B256,
) -> Result<ForkChoice, StorageError> {
    let stands = |hash: B256| -> Result<bool, StorageError> {
        Ok(tx.get(Table::BlockNumbers, hash.as_slice(), |_| Ok(()))?.is_some())
    };
    let or_zero = |hash| Ok::<_, StorageError>(if stands(hash)? { hash } else { B256::ZERO });
    Ok(ForkChoice {
        head: if stands(choice.head)? { choice.head } else { tip },
        safe: or_zero(choice.safe)?,
        finalized: or_zero(choice.finalized)?,
    })
}
