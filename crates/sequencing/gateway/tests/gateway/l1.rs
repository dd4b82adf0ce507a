//! An L1 whose blocks the test makes.

use crate::world::TestClock;
use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope};
use alloy_primitives::{B256, Bytes};
use lockstep_derive::{L1Provider, ProviderError, Severity};
use lockstep_protocol::BlockInfo;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

pub(crate) const GENESIS_TIME: u64 = 1_700_000_000;
pub(crate) const L1_SLOT_S: u64 = 2;

/// The L1 as one rollup sees it; clones show the same chain, each silent by itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeL1 {
    pub(crate) blocks: Arc<Mutex<Vec<Header>>>,
    is_silent: Arc<AtomicBool>,
    has_no_headers: Arc<AtomicBool>,
    /// It does not answer who asks for new blocks, and takes its time.
    hangs: Arc<Mutex<Option<Arc<TestClock>>>>,
}

#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum FakeError {
    #[error("the L1 is silent")]
    Silent,
    #[error("there is no such block")]
    Missing,
}

impl ProviderError for FakeError {
    fn severity(&self) -> Severity {
        match self {
            Self::Silent => Severity::Temporary,
            Self::Missing => Severity::Reset,
        }
    }
}

impl FakeL1 {
    /// The same L1 for another rollup.
    pub(crate) fn another(&self) -> Self {
        Self { blocks: self.blocks.clone(), ..Self::default() }
    }

    /// Blocks up to `newest`; those above `fork` are of the given branch.
    pub(crate) fn grow(&self, fork: u64, newest: u64, branch: u8) {
        let mut blocks = self.blocks.lock();
        blocks.truncate(usize::try_from(fork).unwrap() + 1);
        for number in blocks.len() as u64..=newest {
            let parent_hash = blocks.last().map(Header::hash_slow).unwrap_or_default();
            blocks.push(Header {
                number,
                parent_hash,
                timestamp: GENESIS_TIME + number * L1_SLOT_S,
                base_fee_per_gas: Some(7),
                excess_blob_gas: Some(0),
                blob_gas_used: Some(0),
                withdrawals_root: Some(B256::ZERO),
                parent_beacon_block_root: Some(B256::ZERO),
                requests_hash: Some(B256::ZERO),
                extra_data: Bytes::from(vec![branch]),
                ..Header::default()
            });
        }
    }

    /// Lets the L1 answer this rollup no more, or again.
    pub(crate) fn be_silent(&self, silent: bool) {
        self.is_silent.store(silent, Ordering::SeqCst);
    }

    /// Lets the L1 know no header by its hash, or again: a rollup cannot go on then.
    pub(crate) fn lose_headers(&self, lost: bool) {
        self.has_no_headers.store(lost, Ordering::SeqCst);
    }

    /// Lets the L1 say nothing of its blocks, after three seconds each time, or answer again.
    pub(crate) fn hang(&self, clock: Option<Arc<TestClock>>) {
        *self.hangs.lock() = clock;
    }

    fn find(&self, is: impl Fn(&Header) -> bool) -> Result<Option<Header>, FakeError> {
        if self.is_silent.load(Ordering::SeqCst) {
            return Err(FakeError::Silent);
        }
        Ok(self.blocks.lock().iter().rev().find(|header| is(header)).cloned())
    }
}

impl L1Provider for FakeL1 {
    type Error = FakeError;

    fn header_by_hash(&mut self, hash: B256) -> Result<Header, FakeError> {
        if self.has_no_headers.load(Ordering::SeqCst) {
            return Err(FakeError::Missing);
        }
        self.find(|header| header.hash_slow() == hash)?.ok_or(FakeError::Missing)
    }

    fn block_by_number(&mut self, number: u64) -> Result<Option<BlockInfo>, FakeError> {
        if let Some(clock) = &*self.hangs.lock() {
            clock.pass(Duration::from_secs(3));
            return Err(FakeError::Silent);
        }
        let header = self.find(|header| header.number == number)?;
        Ok(header.map(|header| BlockInfo::from_header(&header, header.hash_slow())))
    }

    fn receipts(&mut self, hash: B256) -> Result<Vec<ReceiptEnvelope>, FakeError> {
        self.header_by_hash(hash).map(|_| Vec::new())
    }

    fn transactions(&mut self, hash: B256) -> Result<(BlockInfo, Vec<TxEnvelope>), FakeError> {
        let header = self.header_by_hash(hash)?;
        Ok((BlockInfo::from_header(&header, hash), Vec::new()))
    }
}
