//! Putting blocks on top.

use super::{Shared, changes::ChangeSet, rows};
use crate::{
    ExecutedBlock, ForkChoice, StorageError, WriteOperation,
    db::{
        BlockRow, Environment, NodeWriter, Position, Table, Writer, account, decode_value,
        encode_account, encode_value, history, slot_key,
    },
    files::{Kind, Pending},
};
use alloy_consensus::transaction::TxHashRef;
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, U256, keccak256};
use lockstep_execution::{AccountChange, AccountInfo, Execute, StateChanges, StateCommitment};
use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

/// Writes blocks and returns what was the tip before. Static files come first, then the one commit that makes
/// them count.
pub(super) fn append<C: Execute>(
    shared: &Shared,
    blocks: &[Arc<ExecutedBlock<C>>],
    fork_choice: ForkChoice,
) -> Result<BlockNumHash, StorageError> {
    let started = shared.options.clock.map(|clock| clock());
    let tx = shared.environment.write()?;
    let position = Position::read(&tx)?;
    let mut tip = position.tip;
    for block in blocks {
        let number = block.block.number();
        if number != tip.number + 1 || block.block.parent_hash() != tip.hash {
            return Err(StorageError::NotNext { number, tip: tip.number });
        }
        tip = block.num_hash();
    }
    let mut pending = Pending::new(shared.files.segment_blocks(), position.lengths);
    let parent = tx.get(Table::Blocks, &position.tip.number.to_be_bytes(), BlockRow::decode)?;
    let mut root = parent.map(|row| row.state_root).unwrap_or_default();
    for block in blocks {
        write_block(&tx, block, root, &mut pending)?;
        root = block.state_root();
    }
    let new = Position { tip, fork_choice, lengths: pending.lengths() };
    tx.put(Table::Meta, Position::KEY, &new.encode())?;
    let written =
        shared.files.write(&pending).and_then(|()| admit_commit(&shared.environment, shared));
    if let Err(error) = written {
        // Whatever remains is behind the committed lengths and is written over.
        if let Err(error) = shared.files.truncate(position.tip.number, position.lengths) {
            tracing::warn!(%error, "rows that were not committed remain until the next start");
        }
        return Err(error);
    }
    // A commit that fails may yet have reached the disk, so the rows stay until that is known: at
    // the next append, which reads the position anew, or at the next start.
    tx.commit()?;
    shared.measure.appended(blocks.len(), pending.bytes(), tip.number);
    if let (Some(started), Some(clock)) = (started, shared.options.clock) {
        shared.measure.append_took(clock().saturating_sub(started));
    }
    tracing::debug!(blocks = blocks.len(), tip = tip.number, "blocks were appended");
    Ok(position.tip)
}

/// Asks the gate about a commit.
pub(super) fn admit_commit(environment: &Environment, shared: &Shared) -> Result<(), StorageError> {
    let path = environment.path();
    shared
        .options
        .gate
        .admit(WriteOperation::Commit, path)
        .map_err(|(_, source)| StorageError::Io { operation: "commit", path: path.into(), source })
}

fn write_block<C: Execute>(
    tx: &Writer,
    executed: &ExecutedBlock<C>,
    parent_root: B256,
    pending: &mut Pending,
) -> Result<(), StorageError> {
    let block = &executed.block;
    let (number, hash) = (block.number(), block.hash());
    let mut state = StateWriter::new(tx);
    state.write(&executed.changes)?;
    if C::Commitment::is_trie() {
        NodeWriter {
            tx,
            old_root: parent_root,
            new_root: executed.state_root(),
            written: &state.written,
            cleared: &state.cleared,
        }
        .write(&executed.nodes)?;
    }
    let changes = ChangeSet::new(state.accounts, state.slots);
    for address in changes.accounts() {
        history::push(tx, Table::AccountHistory, address.as_slice(), number)?;
    }
    for (address, slot) in changes.slots() {
        let subject = slot_key(address.as_slice(), slot);
        history::push(tx, Table::StorageHistory, &subject, number)?;
    }
    for (code_hash, code) in executed.changes.codes() {
        tx.put(Table::Codes, code_hash.as_slice(), code.original_byte_slice())?;
    }
    let row = BlockRow {
        hash,
        state_root: executed.state_root(),
        total_difficulty: executed.total_difficulty,
    };
    tx.put(Table::Blocks, &number.to_be_bytes(), &row.encode())?;
    tx.put(Table::BlockNumbers, hash.as_slice(), &number.to_be_bytes())?;
    for (index, transaction) in (0u32..).zip(block.transactions()) {
        let place = [number.to_be_bytes().as_slice(), &index.to_be_bytes()].concat();
        tx.put(Table::Transactions, transaction.tx_hash().as_slice(), &place)?;
    }
    let contents = [
        (Kind::Headers, alloy_rlp::encode(&block.block.header)),
        (Kind::Bodies, alloy_rlp::encode(&block.block.body)),
        (Kind::Senders, rows::encode_senders(&block.senders)),
        (Kind::Receipts, rows::encode_receipts(&executed.receipts)),
        (Kind::Changes, changes.encode()),
    ];
    for (kind, content) in contents {
        pending.push(kind, number, &hash, &content, false)?;
    }
    Ok(())
}

/// Writes the newest state and notes what was there before.
///
/// What was there is read, not taken from the changes: it is what can be restored.
struct StateWriter<'a> {
    tx: &'a Writer,
    accounts: BTreeMap<Address, Option<AccountInfo>>,
    slots: BTreeMap<(Address, B256), U256>,
    /// Hashed addresses, as [`NodeWriter`] wants them.
    written: Vec<B256>,
    cleared: Vec<B256>,
}

impl<'a> StateWriter<'a> {
    const fn new(tx: &'a Writer) -> Self {
        Self {
            tx,
            accounts: BTreeMap::new(),
            slots: BTreeMap::new(),
            written: Vec::new(),
            cleared: Vec::new(),
        }
    }

    fn write(&mut self, changes: &StateChanges) -> Result<(), StorageError> {
        for change in changes.accounts() {
            let address = change.address();
            let hashed = keccak256(address);
            self.write_account(&address, &hashed, change)?;
            if change.storage_cleared() || change.after().is_none() {
                self.clear_storage(&address, &hashed)?;
            }
            if change.after().is_none() {
                continue;
            }
            let mut has_written = false;
            for slot in changes.slots(change) {
                let key = B256::from(slot.slot);
                has_written |= self.write_slot(&address, &hashed, &key, slot.after)?;
            }
            if has_written {
                self.written.push(hashed);
            }
        }
        Ok(())
    }

    fn write_account(
        &mut self,
        address: &Address,
        hashed: &B256,
        change: &AccountChange,
    ) -> Result<(), StorageError> {
        let before = account(self.tx, address)?;
        if before.as_ref() == change.after() {
            return Ok(());
        }
        put_account(self.tx, address, hashed, change.after())?;
        self.accounts.insert(*address, before);
        Ok(())
    }

    fn clear_storage(&mut self, address: &Address, hashed: &B256) -> Result<(), StorageError> {
        let mut found = Vec::new();
        self.tx.walk(Table::Storage, address.as_slice(), |key, value| {
            let slot = key.strip_prefix(address.as_slice()).and_then(|s| B256::try_from(s).ok());
            match (slot, decode_value(value)) {
                (Some(slot), Ok(value)) => found.push((slot, value)),
                _ => return Err(self.tx.corrupt(Table::Storage, key, "the row is malformed")),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for (slot, value) in found {
            put_slot(self.tx, address, hashed, &slot, &U256::ZERO)?;
            self.slots.insert((*address, slot), value);
        }
        self.cleared.push(*hashed);
        Ok(())
    }

    /// Returns whether that changed anything.
    fn write_slot(
        &mut self,
        address: &Address,
        hashed: &B256,
        slot: &B256,
        after: U256,
    ) -> Result<bool, StorageError> {
        let key = slot_key(address.as_slice(), slot);
        let before = self.tx.get(Table::Storage, &key, decode_value)?.unwrap_or_default();
        if before == after {
            return Ok(false);
        }
        put_slot(self.tx, address, hashed, slot, &after)?;
        self.slots.entry((*address, *slot)).or_insert(before);
        Ok(true)
    }
}

/// Writes an account of the newest state, plain and hashed.
pub(super) fn put_account(
    tx: &Writer,
    address: &Address,
    hashed: &B256,
    info: Option<&AccountInfo>,
) -> Result<(), StorageError> {
    let keys = [(Table::Accounts, address.as_slice()), (Table::HashedAccounts, hashed.as_slice())];
    match info {
        Some(info) => {
            let mut encoded = Vec::with_capacity(74);
            encode_account(info, &mut encoded);
            keys.into_iter().try_for_each(|(table, key)| tx.put(table, key, &encoded))
        }
        None => keys.into_iter().try_for_each(|(table, key)| tx.delete(table, key)),
    }
}

/// Writes a slot of the newest state, plain and hashed. Zero removes it.
pub(super) fn put_slot(
    tx: &Writer,
    address: &Address,
    hashed: &B256,
    slot: &B256,
    value: &U256,
) -> Result<(), StorageError> {
    let keys = [
        (Table::Storage, slot_key(address.as_slice(), slot)),
        (Table::HashedStorage, slot_key(hashed.as_slice(), &keccak256(slot))),
    ];
    if value.is_zero() {
        return keys.iter().try_for_each(|(table, key)| tx.delete(*table, key));
    }
    let encoded = encode_value(value);
    keys.iter().try_for_each(|(table, key)| tx.put(*table, key, &encoded))
}
