//! The last stage: what a block is to be made of (OP specification: derivation § deriving payload
//! attributes).

use crate::{DeriveError, L1Provider, L2Provider, check_fork, part::is_part};
use alloc::{boxed::Box, vec::Vec};
use alloy_consensus::Header;
use alloy_eips::{BlockNumHash, eip2718::Encodable2718};
use alloy_primitives::{B64, Bytes};
use alloy_rpc_types_engine::PayloadAttributes;
use lockstep_chain::{Ethereum, OpHardfork};
use lockstep_protocol::{
    BlockInfo, L1Attributes, L2BlockInfo, RollupConfig, SingleBatch, SystemConfig,
    deposits_from_receipts, predeploys::SEQUENCER_FEE_VAULT, upgrade_transactions,
};
use op_alloy_consensus::OpTxType;
use op_alloy_rpc_types_engine::OpPayloadAttributes;

/// What the next rollup block is to be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedAttributes {
    /// What the engine is to be given. `transactions` is the whole block, and `no_tx_pool` is true.
    pub attributes: OpPayloadAttributes,
    /// The block to build on: the safe head that [`Pipeline::step`](crate::Pipeline::step) was given.
    pub parent: L2BlockInfo,
    /// The L1 block with which the block became known: when it is finalized, so is the block.
    pub derived_from: BlockInfo,
    /// Whether no further block of the same span batch is waiting. Before Holocene a block of a span
    /// is safe only when the whole span is.
    pub is_last_in_span: bool,
}

impl DerivedAttributes {
    /// The same block with nothing but the deposits of L1, without parts of super transactions: what takes the place of a block that turned out
    /// to be invalid, where [`Self::replaces_invalid_payload`] (OP specification: Holocene § engine
    /// queue). The driver sends [`Signal::FlushChannel`](crate::Signal::FlushChannel) with it.
    #[must_use]
    pub fn deposits_only(mut self) -> Self {
        if let Some(transactions) = &mut self.attributes.transactions {
            transactions.retain(is_deposit);
        }
        self.is_last_in_span = true;
        self
    }

    /// Whether the block, if it turns out to be invalid, is replaced by [`Self::deposits_only`]
    /// (Holocene); if not, it is left out, and the next batch is asked for.
    ///
    /// Like all rules of derivation this one holds by the L1 block derived from, not by the block
    /// itself: a block of before Holocene, in a batch that was posted after it, is replaced.
    pub fn replaces_invalid_payload(&self, config: &RollupConfig) -> bool {
        config.is_holocene_at(self.derived_from.timestamp)
    }

    /// Whether the block has no other transactions than deposits of L1. If such a block is invalid, the
    /// chain cannot go on.
    pub fn is_deposits_only(&self) -> bool {
        self.attributes.transactions.iter().flatten().all(is_deposit)
    }
}

/// Whether L1 put the transaction into the block: parts come from a batch.
fn is_deposit(transaction: &Bytes) -> bool {
    transaction.first() == Some(&(OpTxType::Deposit as u8)) && !is_part(transaction)
}

/// Makes attributes out of batches.
#[derive(Debug)]
pub(crate) struct AttributesBuilder<'a, L1, L2> {
    pub(crate) config: &'a RollupConfig,
    pub(crate) l1_chain: &'a Ethereum,
    pub(crate) l1: &'a mut L1,
    pub(crate) l2: &'a mut L2,
}

/// The L1 origin of a block, and what the block takes from it.
struct Epoch {
    header: Header,
    sequence_number: u64,
    /// Of the users, in the first block of the epoch.
    deposits: Vec<Bytes>,
    system_config: SystemConfig,
}

impl<L1: L1Provider, L2: L2Provider> AttributesBuilder<'_, L1, L2> {
    /// The attributes of the block that `batch` describes, on top of `parent`.
    pub(crate) fn build(
        &mut self,
        batch: &SingleBatch,
        parent: &L2BlockInfo,
    ) -> Result<OpPayloadAttributes, DeriveError> {
        let timestamp = parent.block.timestamp.saturating_add(self.config.block_time);
        if batch.parent_hash != parent.block.hash || batch.timestamp != timestamp {
            return Err(DeriveError::ParentMismatch {
                batch_parent: batch.parent_hash,
                parent: parent.block.hash,
                timestamp: batch.timestamp,
                expected: timestamp,
            });
        }
        check_fork(self.config, timestamp)?;
        let id = BlockNumHash { number: batch.epoch_num, hash: batch.epoch_hash };
        let epoch = self.epoch(id, parent)?;
        if timestamp < epoch.header.timestamp {
            let origin_timestamp = epoch.header.timestamp;
            return Err(DeriveError::TimeInvariant { timestamp, origin_timestamp });
        }
        let transactions = self.transactions(&epoch, id, timestamp, batch)?;
        Ok(self.attributes(&epoch, timestamp, transactions))
    }

    /// Reads what the block takes from L1.
    fn epoch(&mut self, id: BlockNumHash, parent: &L2BlockInfo) -> Result<Epoch, DeriveError> {
        let origin = parent.l1_origin;
        let mut system_config = self
            .l2
            .system_config(parent.block.number)
            .map_err(DeriveError::provider("the system config of the safe head"))?;
        let header = self
            .l1
            .header_by_hash(id.hash)
            .map_err(DeriveError::provider("the header of the L1 origin"))?;
        let mismatch = DeriveError::EpochMismatch { epoch: id, parent: header.parent_hash, origin };
        if id.number == origin.number {
            if id.hash != origin.hash {
                return Err(mismatch);
            }
            let sequence_number = parent.sequence_number.saturating_add(1);
            return Ok(Epoch { header, sequence_number, deposits: Vec::new(), system_config });
        }
        if header.parent_hash != origin.hash {
            return Err(mismatch);
        }
        let receipts = self
            .l1
            .receipts(id.hash)
            .map_err(DeriveError::provider("the receipts of the L1 origin"))?;
        let contract = self.config.deposit_contract_address;
        let mut deposits = deposits_from_receipts(&receipts, contract, id.hash)
            .map_err(|error| DeriveError::Deposits { block: id.hash, reason: Box::new(error) })?;
        if self.config.union.is_some() {
            // No account of L1 has the port's address. A deposit of it would pass for a part, so it
            // would be left out; it was counted when the L1 block was passed.
            deposits.retain(|deposit| !is_part(deposit));
        }
        let ecotone = self.config.is_active(OpHardfork::Ecotone, header.timestamp);
        let contract = self.config.l1_system_config_address;
        // What is malformed was counted when the L1 block was passed.
        let _ignored = system_config.update_with_receipts(&receipts, contract, ecotone);
        Ok(Epoch { header, sequence_number: 0, deposits, system_config })
    }

    /// The transactions of the block: L1 attributes, deposits of users, upgrades, and those of the
    /// batch.
    fn transactions(
        &self,
        epoch: &Epoch,
        id: BlockNumHash,
        timestamp: u64,
        batch: &SingleBatch,
    ) -> Result<Vec<Bytes>, DeriveError> {
        let attributes = L1Attributes::new(
            self.config,
            self.l1_chain,
            &epoch.system_config,
            epoch.sequence_number,
            (&epoch.header, id.hash),
            timestamp,
        )
        .map_err(|error| DeriveError::L1Attributes { block: id.hash, reason: Box::new(error) })?;
        let deposit = attributes.deposit_at(self.config, timestamp);
        let mut transactions = Vec::with_capacity(1 + epoch.deposits.len());
        transactions.push(deposit.encoded_2718().into());
        transactions.extend(epoch.deposits.iter().cloned());
        for fork in UPGRADES {
            if self.config.activates(fork, timestamp) {
                transactions.extend(upgrade_transactions(fork));
            }
        }
        transactions.extend(batch.transactions.iter().cloned());
        Ok(transactions)
    }

    fn attributes(
        &self,
        epoch: &Epoch,
        timestamp: u64,
        transactions: Vec<Bytes>,
    ) -> OpPayloadAttributes {
        let since = |fork| self.config.is_active(fork, timestamp);
        let system_config = &epoch.system_config;
        let beacon_root = epoch.header.parent_beacon_block_root.unwrap_or_default();
        // The first block of Holocene has the parameters that the chain had before.
        let is_first = self.config.activates(OpHardfork::Holocene, timestamp);
        let fees = || if is_first { B64::ZERO } else { system_config.eip1559_params() };
        OpPayloadAttributes {
            payload_attributes: PayloadAttributes {
                timestamp,
                prev_randao: epoch.header.mix_hash,
                suggested_fee_recipient: SEQUENCER_FEE_VAULT,
                withdrawals: since(OpHardfork::Canyon).then(Vec::new),
                parent_beacon_block_root: since(OpHardfork::Ecotone).then_some(beacon_root),
                slot_number: None,
                target_gas_limit: None,
            },
            transactions: Some(transactions),
            no_tx_pool: Some(true),
            gas_limit: Some(system_config.gas_limit),
            eip_1559_params: since(OpHardfork::Holocene).then(fees),
            min_base_fee: since(OpHardfork::Jovian).then_some(system_config.min_base_fee),
        }
    }
}

/// What a sequencer begins the block after `parent` with, given the L1 origin that it chooses: all
/// that derivation will later ask of the block, but for the transactions of users. Whether these
/// may follow is `no_tx_pool`: not where a fork's first block upgrades contracts, nor too far from
/// the L1 origin in time.
///
/// # Errors
/// [`DeriveError`], as from [`Pipeline::step`](crate::Pipeline::step): the L1 origin must be that of
/// `parent` or the block after it, and not be younger than the block. `l1_chain` is as in
/// [`Pipeline::new`](crate::Pipeline::new).
pub fn sequencer_attributes<L1: L1Provider, L2: L2Provider>(
    config: &RollupConfig,
    l1_chain: &Ethereum,
    (l1, l2): (&mut L1, &mut L2),
    parent: &L2BlockInfo,
    l1_origin: BlockNumHash,
) -> Result<OpPayloadAttributes, DeriveError> {
    let timestamp = parent.block.timestamp.saturating_add(config.block_time);
    let empty = SingleBatch {
        parent_hash: parent.block.hash,
        epoch_num: l1_origin.number,
        epoch_hash: l1_origin.hash,
        timestamp,
        transactions: Vec::new(),
    };
    let mut builder = AttributesBuilder { config, l1_chain, l1, l2 };
    let epoch = builder.epoch(l1_origin, parent)?;
    let drift = config.max_sequencer_drift(epoch.header.timestamp);
    let is_too_far = timestamp > epoch.header.timestamp.saturating_add(drift);
    let is_upgrade = UPGRADES.iter().any(|fork| config.activates(*fork, timestamp));
    let attributes = builder.build(&empty, parent)?;
    Ok(OpPayloadAttributes { no_tx_pool: Some(is_too_far || is_upgrade), ..attributes })
}

/// The forks whose first block upgrades contracts, in order.
const UPGRADES: [OpHardfork; 4] =
    [OpHardfork::Ecotone, OpHardfork::Fjord, OpHardfork::Isthmus, OpHardfork::Jovian];
