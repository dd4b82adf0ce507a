//! Sequence a development rollup: a block at each tick, with transactions from its pool.

use crate::{L1Origin, L1Origins};
use alloy_consensus::{BlockHeader, Transaction, Typed2718};
use alloy_eips::{eip2718::Encodable2718, eip4895::Withdrawals};
use alloy_primitives::{Address, B64, B256, Sealable};
use alloy_rpc_types_engine::PayloadAttributes;
use lockstep_chain::{Chain, OpHardfork};
use lockstep_engine::{Engine, EngineError, Payloads};
use lockstep_protocol::{L1Attributes, L1AttributesError};
use lockstep_storage::{ExecutedBlock, RecoveredBlock, StorageError};
use op_alloy_consensus::{DEPOSIT_TX_TYPE_ID, OpTxEnvelope};
use op_alloy_rpc_types_engine::OpPayloadAttributes;
use std::{error::Error, sync::Arc};

/// How a development rollup is sequenced.
#[derive(Clone, Copy, Debug)]
pub struct SequencerConfig {
    /// Seconds from one block to the next, at least one.
    pub block_time_s: u64,
    /// Who receives the tips.
    pub fee_recipient: Address,
    /// The gas limit of every block.
    pub gas_limit: u64,
    /// The L1 block from which the first rollup block takes its origin.
    pub first_origin: u64,
}

/// Why no block could be sequenced. What the L1 is the reason for passes by itself; so do errors of
/// the engine and of storage that are temporary.
#[derive(Debug, thiserror::Error)]
pub enum SequencerError {
    /// The L1 could not be asked.
    #[error("the L1 does not answer: {0}")]
    L1(Box<dyn Error + Send + Sync>),
    /// The L1 does not show a block that it has shown before: it is behind, or being reorganised.
    #[error("the L1 does not show block {0}")]
    NoOrigin(u64),
    /// The L1 was reorganised between two questions.
    #[error("L1 block {0} changed while it was looked at")]
    Changed(u64),
    /// The engine did not produce or take back a block.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The chain could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A block of the chain does not begin with L1 attributes: it was not sequenced here.
    #[error("rollup block {number} does not begin with L1 attributes: {reason}")]
    Attributes {
        /// The block.
        number: u64,
        /// What is wrong.
        reason: String,
    },
}

/// Sequences a rollup on its own engine. It has no clock: each call makes one block, whose time
/// is that of its parent and the block time.
#[derive(Debug)]
pub struct Sequencer<C: Payloads> {
    engine: Engine<C>,
    l1: Arc<dyn L1Origins>,
    config: SequencerConfig,
}

/// Where a rollup block took its origin.
#[derive(Clone, Copy, Debug)]
struct OriginOf {
    number: u64,
    /// Not known for the first block of the rollup.
    hash: Option<B256>,
    sequence_number: u64,
}

impl<C> Sequencer<C>
where
    C: Chain<Transaction = OpTxEnvelope, Fork = OpHardfork>
        + Payloads<Attributes = OpPayloadAttributes>,
{
    /// A sequencer for the rollup that `engine` drives.
    pub fn new(engine: Engine<C>, l1: Arc<dyn L1Origins>, config: SequencerConfig) -> Self {
        let config = SequencerConfig { block_time_s: config.block_time_s.max(1), ..config };
        Self { engine, l1, config }
    }

    /// When the next block is due, in seconds.
    pub fn next_timestamp(&self) -> u64 {
        self.engine.view().head().timestamp().saturating_add(self.config.block_time_s)
    }

    /// Makes the next block. If the L1 has taken back the origin of the head, first takes back
    /// the blocks that refer to it.
    ///
    /// # Errors
    /// When the L1 or the chain cannot be read, or the engine refuses.
    pub fn next_block(&self) -> Result<Arc<ExecutedBlock<C>>, SequencerError> {
        let parent = self.follow_l1()?;
        let timestamp = self.next_timestamp();
        let (origin, sequence_number) = self.next_origin(parent, timestamp)?;
        Ok(self.engine.produce(&self.attributes(&origin, sequence_number, timestamp))?)
    }

    /// Takes back the blocks whose origin the L1 has replaced; where the head has its origin. That
    /// the L1 does not show a block says nothing: then this waits.
    fn follow_l1(&self) -> Result<OriginOf, SequencerError> {
        let snapshot = self.engine.view().snapshot();
        let head = snapshot.head().number();
        let mut number = head;
        let mut replaced = None;
        loop {
            let block = snapshot.block(number)?;
            let block = block.ok_or_else(|| StorageError::Missing(format!("block {number}")))?;
            let origin = self.origin_of(&block)?;
            let is_canonical = match origin.hash {
                // The blocks of one origin are asked about once.
                Some(hash) if replaced == Some(hash) => false,
                Some(hash) => {
                    let found = self.ask(origin.number)?;
                    found.ok_or(SequencerError::NoOrigin(origin.number))?.hash == hash
                }
                None => true,
            };
            if is_canonical {
                if number < head {
                    self.engine.rewind(block.hash())?;
                    tracing::warn!(
                        target: "lockstep_devnet",
                        from = head,
                        to = number,
                        "took rollup blocks back because their L1 origin is gone"
                    );
                }
                return Ok(origin);
            }
            replaced = origin.hash;
            number = number.saturating_sub(1);
        }
    }

    /// The origin of the next block and its position among the blocks of that origin: the next L1
    /// block once it is not younger than the rollup block, otherwise that of the parent.
    fn next_origin(
        &self,
        parent: OriginOf,
        timestamp: u64,
    ) -> Result<(L1Origin, u64), SequencerError> {
        let expect = |found: B256, number: u64| match parent.hash {
            Some(hash) if hash != found => Err(SequencerError::Changed(number)),
            _ => Ok(()),
        };
        let next = self.ask(parent.number.saturating_add(1))?;
        if let Some(next) = next.filter(|next| next.timestamp <= timestamp) {
            expect(next.parent_hash, parent.number)?;
            return Ok((next, 0));
        }
        let same = self.ask(parent.number)?.ok_or(SequencerError::NoOrigin(parent.number))?;
        expect(same.hash, parent.number)?;
        let sequence_number = match parent.hash {
            Some(_) => parent.sequence_number.saturating_add(1),
            None => 0,
        };
        Ok((same, sequence_number))
    }

    fn ask(&self, number: u64) -> Result<Option<L1Origin>, SequencerError> {
        self.l1.origin(number).map_err(SequencerError::L1)
    }

    fn origin_of(&self, block: &RecoveredBlock<C>) -> Result<OriginOf, SequencerError> {
        if block.number() == 0 {
            let number = self.config.first_origin;
            return Ok(OriginOf { number, hash: None, sequence_number: 0 });
        }
        let number = block.number();
        let malformed = |reason: String| SequencerError::Attributes { number, reason };
        let first = block.transactions().first().filter(|tx| tx.ty() == DEPOSIT_TX_TYPE_ID);
        let first = first.ok_or_else(|| malformed("there is no deposit".to_owned()))?;
        let attributes = L1Attributes::decode(first.input())
            .map_err(|error: L1AttributesError| malformed(error.to_string()))?;
        Ok(OriginOf {
            number: attributes.number,
            hash: Some(attributes.hash),
            sequence_number: attributes.sequence_number,
        })
    }

    fn attributes(
        &self,
        origin: &L1Origin,
        sequence_number: u64,
        timestamp: u64,
    ) -> OpPayloadAttributes {
        let l1 = L1Attributes {
            number: origin.number,
            timestamp: origin.timestamp,
            base_fee: origin.base_fee,
            hash: origin.hash,
            sequence_number,
            blob_base_fee: origin.blob_base_fee,
            ..Default::default()
        };
        let deposit = OpTxEnvelope::Deposit(l1.deposit(OpHardfork::Isthmus).seal_slow());
        OpPayloadAttributes {
            payload_attributes: PayloadAttributes {
                timestamp,
                prev_randao: origin.prev_randao,
                suggested_fee_recipient: self.config.fee_recipient,
                withdrawals: Some(Withdrawals::default().into_inner()),
                parent_beacon_block_root: Some(origin.parent_beacon_block_root),
                ..Default::default()
            },
            transactions: Some(vec![deposit.encoded_2718().into()]),
            no_tx_pool: Some(false),
            gas_limit: Some(self.config.gas_limit),
            // Zero: the parameters of the chain definition.
            eip_1559_params: Some(B64::ZERO),
            min_base_fee: None,
        }
    }
}
