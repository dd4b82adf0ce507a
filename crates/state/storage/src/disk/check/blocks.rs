//! Blocks, receipts, and the indices over them.

use super::Check;
use crate::{
    Snapshot, StorageError, TransactionLocation,
    db::{Table, history, slot_key},
};
use alloy_consensus::{BlockHeader, transaction::TxHashRef};
use alloy_primitives::{B256, Sealable, U256};
use lockstep_chain::{Chain, body::transactions_root};
use std::ops::ControlFlow;

/// How many rows the indices must have.
#[derive(Default)]
struct Expected {
    transactions: u64,
    account_changes: u64,
    slot_changes: u64,
}

impl<C: Chain> Check<'_, C> {
    pub(super) fn blocks(&mut self) -> Result<(), StorageError> {
        let (first, tip) = (self.snapshot.earliest_state(), self.snapshot.tip());
        let total = tip.number - first + 1;
        let mut expected = Expected::default();
        let mut parent: Option<(B256, U256)> = None;
        for number in first..=tip.number {
            parent = self.block(number, parent, &mut expected)?;
            self.report.blocks += 1;
            self.report_progress("blocks", number - first + 1, total);
        }
        if parent.is_some_and(|(hash, _)| hash != tip.hash) {
            self.problem(format!("block {}", tip.number), "it is not the tip");
        }
        self.report.transactions = expected.transactions;
        for (table, rows) in [
            (Table::Blocks, total),
            (Table::BlockNumbers, total),
            (Table::Transactions, expected.transactions),
        ] {
            let found = self.snapshot.moment.first().stat(table)?.entries() as u64;
            self.expect_count(table.name(), found, rows);
        }
        self.history(Table::AccountHistory, expected.account_changes)?;
        self.history(Table::StorageHistory, expected.slot_changes)
    }

    /// Checks one block and returns its hash and total difficulty, as far as they are known.
    fn block(
        &mut self,
        number: u64,
        parent: Option<(B256, U256)>,
        expected: &mut Expected,
    ) -> Result<Option<(B256, U256)>, StorageError> {
        let place = format!("block {number}");
        let snapshot = self.snapshot;
        let Some(row) = self.note(snapshot.row(number))?.flatten() else {
            self.problem(place, "its row is missing");
            return Ok(None);
        };
        if self.note(snapshot.number(&row.hash))?.flatten() != Some(number) {
            self.problem(&place, format!("its hash {} does not lead to it", row.hash));
        }
        let Some(block) = self.note(snapshot.block(number))?.flatten() else {
            return Ok(Some((row.hash, row.total_difficulty)));
        };
        let header = &block.block.header;
        if header.hash_slow() != row.hash || header.number() != number {
            self.problem(&place, "its header is that of another block");
        }
        if header.state_root() != row.state_root {
            self.problem(&place, "its row has another state root");
        }
        if let Some((hash, total_difficulty)) = parent {
            if header.parent_hash() != hash {
                self.problem(&place, "it is not the child of the block before");
            }
            if total_difficulty.saturating_add(header.difficulty()) != row.total_difficulty {
                self.problem(&place, "its total difficulty is wrong");
            }
            if let Err(error) = self.chain.validate_body(&block.block) {
                self.problem(&place, error.to_string());
            }
        }
        if transactions_root(block.transactions()) != header.transactions_root() {
            self.problem(&place, "the root of its transactions is wrong");
        }
        if self.options.recover_senders
            && self.chain.recover_senders(&block.block).ok().as_ref() != Some(&block.senders)
        {
            self.problem(&place, "its senders are wrong");
        }
        for (index, transaction) in block.transactions().iter().enumerate() {
            let hash = transaction.tx_hash();
            let location = TransactionLocation { block: number, index };
            if self.note(snapshot.transaction(hash))?.flatten() != Some(location) {
                self.problem(&place, format!("transaction {hash} does not lead to it"));
            }
        }
        expected.transactions += block.transactions().len() as u64;
        if let Some(receipts) = self.note(snapshot.receipts(number))?.flatten() {
            let (root, bloom) = self.chain.receipts_root(header, &receipts);
            if root != header.receipts_root() || bloom != header.logs_bloom() {
                self.problem(&place, "the root or bloom of its receipts is wrong");
            }
        }
        self.changes(number, expected)?;
        Ok(Some((row.hash, row.total_difficulty)))
    }

    /// Every change leads to its block.
    fn changes(&mut self, number: u64, expected: &mut Expected) -> Result<(), StorageError> {
        let snapshot = self.snapshot;
        let Some(changes) = self.note(snapshot.changes(number))? else { return Ok(()) };
        let accounts = changes.accounts().map(|a| (Table::AccountHistory, a.to_vec()));
        let slots = changes
            .slots()
            .map(|(address, slot)| (Table::StorageHistory, slot_key(address.as_slice(), slot)));
        for (table, subject) in accounts.chain(slots) {
            let before = number.saturating_sub(1);
            let found = history::first_after(snapshot.moment.first(), table, &subject, before);
            if self.note(found)?.flatten() != Some(number) {
                let subject = alloy_primitives::hex::encode_prefixed(subject);
                self.problem(table.name(), format!("{subject} lacks block {number}"));
            }
        }
        expected.account_changes += changes.accounts().count() as u64;
        expected.slot_changes += changes.slots().count() as u64;
        Ok(())
    }

    /// The index names as many changes as there are.
    fn history(&mut self, table: Table, expected: u64) -> Result<(), StorageError> {
        let tx = self.snapshot.moment.first();
        let mut found = 0;
        let walked = tx.walk(table, &[], |key, value| {
            let numbers = history::Shard::decode(value).and_then(|shard| shard.numbers());
            found += numbers.map_err(|reason| tx.corrupt(table, key, reason))?.len() as u64;
            Ok(ControlFlow::Continue(()))
        });
        if self.note(walked)?.is_some() && found != expected {
            let reason = format!("{found} changes are indexed, there were {expected}");
            self.problem(table.name(), reason);
        }
        Ok(())
    }
}
