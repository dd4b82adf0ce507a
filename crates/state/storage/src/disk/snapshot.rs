//! The chain on disk at one moment.

use super::{
    Shared,
    changes::ChangeSet,
    rows,
    view::{HistoricalView, NewestView},
};
use crate::{
    ForkChoice, RecoveredBlock, Snapshot, State, StorageError, TransactionLocation,
    db::{BlockRow, Cursor, Malformed, Moment, Position, Table},
    files::Kind,
};
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, Sealed, U256};
use lockstep_chain::Chain;
use std::{
    marker::PhantomData,
    sync::{Arc, atomic::Ordering},
};

/// One moment of the database, and the static files up to its tip.
#[derive(Debug)]
pub(super) struct DiskSnapshot<C: Chain> {
    pub(super) shared: Arc<Shared>,
    pub(super) moment: Moment,
    position: Position,
    /// The number of unwinds before the snapshot was made.
    unwinds: u64,
    chain: PhantomData<fn() -> C>,
}

impl<C: Chain> DiskSnapshot<C> {
    pub(super) fn new(shared: Arc<Shared>) -> Result<Self, StorageError> {
        // Before the transaction begins: an unwind in between is then noticed.
        let unwinds = shared.unwinds.load(Ordering::SeqCst);
        let moment = Moment::new(shared.environment.clone())?;
        let position = Position::read(moment.first())?;
        Ok(Self { shared, moment, position, unwinds, chain: PhantomData })
    }

    pub(super) fn row(&self, number: u64) -> Result<Option<BlockRow>, StorageError> {
        self.moment.lease().get(Table::Blocks, &number.to_be_bytes(), BlockRow::decode)
    }

    /// What a static file holds of a canonical block.
    pub(super) fn content(
        &self,
        kind: Kind,
        number: u64,
        hash: &B256,
    ) -> Result<Vec<u8>, StorageError> {
        match self.shared.files.read(kind, number, hash) {
            // The files may be cut, or hold another branch by now.
            Err(StorageError::Corrupt { .. }) if self.is_outdated() => {
                Err(StorageError::Unwound { number })
            }
            read => read,
        }
    }

    fn is_outdated(&self) -> bool {
        self.shared.unwinds.load(Ordering::SeqCst) != self.unwinds
    }

    /// A static file's row that is not what it should be, though its checksum is right.
    pub(super) fn malformed(&self, kind: Kind, number: u64, reason: Malformed) -> StorageError {
        StorageError::Corrupt {
            path: self.shared.folder.join("static"),
            reason: format!("{} of block {number}: {reason}", kind.name()),
        }
    }

    /// The change set of a canonical block.
    pub(super) fn changes(&self, number: u64) -> Result<Arc<ChangeSet>, StorageError> {
        let Some(BlockRow { hash, .. }) = self.row(number)? else {
            return Err(StorageError::Missing(format!("block {number}")));
        };
        if let Some(changes) = self.shared.changes.get(&(number, hash)) {
            return Ok(changes);
        }
        let content = self.content(Kind::Changes, number, &hash)?;
        let changes = ChangeSet::decode(&content)
            .map_err(|reason| self.malformed(Kind::Changes, number, reason))?;
        let changes = Arc::new(changes);
        let bytes = changes.len() * 136;
        self.shared.changes.insert((number, hash), Arc::clone(&changes), bytes);
        Ok(changes)
    }
}

impl<C: Chain> Snapshot<C> for DiskSnapshot<C> {
    fn tip(&self) -> BlockNumHash {
        self.position.tip
    }

    fn fork_choice(&self) -> ForkChoice {
        self.position.fork_choice
    }

    fn earliest_state(&self) -> u64 {
        self.shared.identity.genesis.number
    }

    fn hash(&self, number: u64) -> Result<Option<B256>, StorageError> {
        Ok(self.row(number)?.map(|row| row.hash))
    }

    fn number(&self, hash: &B256) -> Result<Option<u64>, StorageError> {
        self.moment.lease().get(Table::BlockNumbers, hash.as_slice(), decode_number)
    }

    fn header(&self, number: u64) -> Result<Option<Sealed<C::Header>>, StorageError> {
        let Some(BlockRow { hash, .. }) = self.row(number)? else { return Ok(None) };
        let content = self.content(Kind::Headers, number, &hash)?;
        let header = rows::decode_exact(&content)
            .map_err(|reason| self.malformed(Kind::Headers, number, reason))?;
        Ok(Some(Sealed::new_unchecked(header, hash)))
    }

    fn block(&self, number: u64) -> Result<Option<Arc<RecoveredBlock<C>>>, StorageError> {
        let Some(BlockRow { hash, .. }) = self.row(number)? else { return Ok(None) };
        let header = self.content(Kind::Headers, number, &hash)?;
        let body = self.content(Kind::Bodies, number, &hash)?;
        let senders = self.content(Kind::Senders, number, &hash)?;
        let block = rows::assemble(hash, &header, &body, &senders)
            .map_err(|reason| self.malformed(Kind::Bodies, number, reason))?;
        Ok(Some(Arc::new(block)))
    }

    fn receipts(&self, number: u64) -> Result<Option<Arc<Vec<C::Receipt>>>, StorageError> {
        let Some(BlockRow { hash, .. }) = self.row(number)? else { return Ok(None) };
        let content = self.content(Kind::Receipts, number, &hash)?;
        let receipts = rows::decode_receipts(&content)
            .map_err(|reason| self.malformed(Kind::Receipts, number, reason))?;
        Ok(Some(Arc::new(receipts)))
    }

    fn total_difficulty(&self, number: u64) -> Result<Option<U256>, StorageError> {
        Ok(self.row(number)?.map(|row| row.total_difficulty))
    }

    fn transaction(&self, hash: &B256) -> Result<Option<TransactionLocation>, StorageError> {
        self.moment.lease().get(Table::Transactions, hash.as_slice(), decode_place)
    }

    fn state(self: Arc<Self>, number: u64) -> Result<Arc<dyn State>, StorageError> {
        let tip = self.position.tip.number;
        let earliest = self.earliest_state();
        if !(earliest..=tip).contains(&number) {
            return Err(StorageError::NotRetained { number, earliest, tip });
        }
        let Some(row) = self.row(number)? else {
            return Err(StorageError::Missing(format!("block {number}")));
        };
        Ok(if number == tip {
            Arc::new(NewestView { snapshot: self, root: row.state_root })
        } else {
            Arc::new(HistoricalView::new(self, number, row.state_root))
        })
    }
}

pub(super) fn decode_number(bytes: &[u8]) -> Result<u64, Malformed> {
    let bytes = bytes.try_into().map_err(|_| "a block number has 8 bytes")?;
    Ok(u64::from_be_bytes(bytes))
}

pub(super) fn decode_place(bytes: &[u8]) -> Result<TransactionLocation, Malformed> {
    let mut cursor = Cursor(bytes);
    let (block, index) = (cursor.array()?, cursor.array()?);
    cursor.end()?;
    let index = u32::from_be_bytes(index) as usize;
    Ok(TransactionLocation { block: u64::from_be_bytes(block), index })
}
