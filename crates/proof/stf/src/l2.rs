//! The rollup's safe chain: what was there at the start by the pre-images of its hashes, and what was
//! derived since.

use crate::{DataError, data};
use alloc::{string::ToString, sync::Arc, vec::Vec};
use alloy_consensus::{BlockBody, Header};
use alloy_primitives::{B256, Bytes, Sealed};
use lockstep_chain::{Block, OpHardfork, Rollup};
use lockstep_derive::L2Provider;
use lockstep_preimage::{Hint, PreimageOracle};
use lockstep_protocol::{L2BlockError, L2BlockInfo, RollupConfig, SystemConfig};
use op_alloy_consensus::OpTxEnvelope;

/// How far back from the agreed block the rollup is walked.
pub const MAX_L2_ANCESTORS: usize = 1 << 20;

/// The rollup's safe chain.
#[derive(Debug)]
pub(crate) struct OracleL2<'a, O> {
    oracle: &'a O,
    config: Arc<RollupConfig>,
    /// From the agreed block down.
    ancestors: Vec<Sealed<Header>>,
    /// From the first block that was derived up.
    derived: Vec<Sealed<Block<Rollup>>>,
}

/// Where a block is.
enum Place<'a> {
    Ancestor(&'a Sealed<Header>),
    Derived(&'a Sealed<Block<Rollup>>),
}

impl<'a, O: PreimageOracle> OracleL2<'a, O> {
    /// The chain that ends with the agreed block.
    pub(crate) fn new(oracle: &'a O, config: Arc<RollupConfig>, agreed: Sealed<Header>) -> Self {
        Self { oracle, config, ancestors: alloc::vec![agreed], derived: Vec::new() }
    }

    /// Adds a block that was derived.
    pub(crate) fn push(&mut self, block: Sealed<Block<Rollup>>) {
        self.derived.push(block);
    }

    /// Forgets the derived blocks above this one.
    pub(crate) fn truncate(&mut self, number: u64) {
        let agreed = self.ancestors.first().map_or(0, |agreed| agreed.number);
        let kept = usize::try_from(number.saturating_sub(agreed)).unwrap_or(usize::MAX);
        self.derived.truncate(kept);
    }

    /// The newest block.
    pub(crate) fn head(&mut self) -> Result<L2BlockInfo, DataError<O::Error>> {
        let agreed = self.ancestors.first().map_or(0, |agreed| agreed.number);
        self.block_info(agreed.saturating_add(self.derived.len() as u64))
    }

    fn find(&mut self, number: u64) -> Result<Place<'_>, DataError<O::Error>> {
        let agreed = self.ancestors.first().map_or(0, |agreed| agreed.number);
        let head = agreed.saturating_add(self.derived.len() as u64);
        let fault = DataError::NotAnAncestor { number, head };
        if let Some(above) = number.checked_sub(agreed).and_then(|above| above.checked_sub(1)) {
            let above = usize::try_from(above).unwrap_or(usize::MAX);
            return self.derived.get(above).map(Place::Derived).ok_or(fault);
        }
        let below = usize::try_from(agreed - number).unwrap_or(usize::MAX);
        if below >= MAX_L2_ANCESTORS {
            return Err(fault);
        }
        while self.ancestors.len() <= below {
            let Some(hash) = self.ancestors.last().map(|header| header.parent_hash) else { break };
            self.oracle.hint(&Hint::L2Header(hash)).map_err(DataError::Oracle)?;
            self.ancestors.push(data::header(self.oracle, hash)?);
        }
        self.ancestors.get(below).map(Place::Ancestor).ok_or(fault)
    }

    /// What tells the place of a block: its header, hash and first transaction.
    fn beginning(&mut self, number: u64) -> Result<Beginning<'_>, DataError<O::Error>> {
        let oracle = self.oracle;
        let header = match self.find(number)? {
            Place::Derived(block) => {
                let first = block.body.transactions.first().cloned();
                return Ok(Beginning { header: &block.header, hash: block.hash(), first });
            }
            Place::Ancestor(header) => header,
        };
        oracle.hint(&Hint::L2Transactions(header.hash())).map_err(DataError::Oracle)?;
        let root = header.transactions_root;
        let decode = |item: Bytes| data::decode_2718("the transaction", root, &item);
        let first = data::ordered_item(oracle, root, 0)?.map(decode).transpose()?;
        Ok(Beginning { header, hash: header.hash(), first })
    }
}

/// How a block begins.
struct Beginning<'a> {
    header: &'a Header,
    hash: B256,
    first: Option<OpTxEnvelope>,
}

fn malformed<E>(hash: B256, error: &L2BlockError) -> DataError<E> {
    DataError::Malformed { what: "the rollup block", hash, reason: error.to_string() }
}

impl<O: PreimageOracle> L2Provider for OracleL2<'_, O> {
    type Error = DataError<O::Error>;

    fn block_info(&mut self, number: u64) -> Result<L2BlockInfo, Self::Error> {
        let config = Arc::clone(&self.config);
        let Beginning { header, hash, first } = self.beginning(number)?;
        L2BlockInfo::from_parts(header, hash, first.as_ref(), &config.genesis)
            .map_err(|error| malformed(hash, &error))
    }

    fn block(&mut self, number: u64) -> Result<Block<Rollup>, Self::Error> {
        let (oracle, config) = (self.oracle, Arc::clone(&self.config));
        let header = match self.find(number)? {
            Place::Derived(block) => return Ok(block.inner().clone()),
            Place::Ancestor(header) => header,
        };
        oracle.hint(&Hint::L2Transactions(header.hash())).map_err(DataError::Oracle)?;
        let root = header.transactions_root;
        let items = data::ordered_list(oracle, root)?;
        let decode = |item: &Bytes| data::decode_2718("the transaction", root, item);
        let transactions = items.iter().map(decode).collect::<Result<_, _>>()?;
        let canyon = config.is_active(OpHardfork::Canyon, header.timestamp);
        let withdrawals = canyon.then(Default::default);
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
        Ok(Block::<Rollup> { header: header.inner().clone(), body })
    }

    fn system_config(&mut self, number: u64) -> Result<SystemConfig, Self::Error> {
        let config = Arc::clone(&self.config);
        let Beginning { header, hash, first } = self.beginning(number)?;
        SystemConfig::from_l2_parts(header, hash, first.as_ref(), &config)
            .map_err(|error| malformed(hash, &error))
    }
}
