//! The execution payload inside a beacon block, and what it is in the Engine API.

use super::{BlsPublicKey, BlsSignature};
use crate::{
    beacon::Preset,
    ssz::{
        ByteList, Const, List, Ssz, SszError, container,
        preset::{
            MaxConsolidationRequests, MaxDepositRequests, MaxWithdrawalRequests,
            MaxWithdrawalsPerPayload,
        },
    },
};
use alloy_eips::{eip4895, eip7685::Requests};
use alloy_primitives::{Address, B256, Bloom, Bytes, U256};
use alloy_rpc_types_engine::{ExecutionPayloadV1, ExecutionPayloadV2, ExecutionPayloadV3};

/// A transaction, at most `MAX_BYTES_PER_TRANSACTION` long.
pub type Transaction = ByteList<Const<{ 1 << 30 }>>;
/// A block's extra data, at most `MAX_EXTRA_DATA_BYTES` long.
pub type ExtraData = ByteList<Const<32>>;

container! {
    /// `Withdrawal`.
    #[derive(Copy)]
    pub struct Withdrawal {
        /// Counts all withdrawals.
        pub index: u64,
        /// Whose balance is withdrawn.
        pub validator_index: u64,
        /// To whom.
        pub address: Address,
        /// How much, in gwei.
        pub amount: u64,
    }

    /// `ExecutionPayload`: an execution block, as Deneb and later forks have it.
    pub struct ExecutionPayload {
        /// The parent's hash.
        pub parent_hash: B256,
        /// Who gets the fees.
        pub fee_recipient: Address,
        /// The execution state's root.
        pub state_root: B256,
        /// The receipts' root.
        pub receipts_root: B256,
        /// The receipts' bloom filter.
        pub logs_bloom: Bloom,
        /// The randomness of the slot.
        pub prev_randao: B256,
        /// The block's number.
        pub block_number: u64,
        /// The block's gas limit.
        pub gas_limit: u64,
        /// The gas used.
        pub gas_used: u64,
        /// Unix time, in seconds.
        pub timestamp: u64,
        /// The builder's remark.
        pub extra_data: ExtraData,
        /// The base fee, in wei.
        pub base_fee_per_gas: U256,
        /// The block's hash.
        pub block_hash: B256,
        /// The transactions.
        pub transactions: List<Transaction, Const<{ 1 << 20 }>>,
        /// The withdrawals.
        pub withdrawals: List<Withdrawal, MaxWithdrawalsPerPayload>,
        /// The gas used for blobs.
        pub blob_gas_used: u64,
        /// The excess that sets the blob fee.
        pub excess_blob_gas: u64,
    }

    /// `ExecutionPayloadHeader`: a payload with roots in place of its lists.
    pub struct ExecutionPayloadHeader {
        /// The parent's hash.
        pub parent_hash: B256,
        /// Who gets the fees.
        pub fee_recipient: Address,
        /// The execution state's root.
        pub state_root: B256,
        /// The receipts' root.
        pub receipts_root: B256,
        /// The receipts' bloom filter.
        pub logs_bloom: Bloom,
        /// The randomness of the slot.
        pub prev_randao: B256,
        /// The block's number.
        pub block_number: u64,
        /// The block's gas limit.
        pub gas_limit: u64,
        /// The gas used.
        pub gas_used: u64,
        /// Unix time, in seconds.
        pub timestamp: u64,
        /// The builder's remark.
        pub extra_data: ExtraData,
        /// The base fee, in wei.
        pub base_fee_per_gas: U256,
        /// The block's hash.
        pub block_hash: B256,
        /// The SSZ root of the transactions.
        pub transactions_root: B256,
        /// The SSZ root of the withdrawals.
        pub withdrawals_root: B256,
        /// The gas used for blobs.
        pub blob_gas_used: u64,
        /// The excess that sets the blob fee.
        pub excess_blob_gas: u64,
    }

    /// `DepositRequest` (EIP-6110).
    pub struct DepositRequest {
        /// The validator's key.
        pub pubkey: BlsPublicKey,
        /// To whom withdrawals go.
        pub withdrawal_credentials: B256,
        /// The amount, in gwei.
        pub amount: u64,
        /// The validator's signature.
        pub signature: BlsSignature,
        /// Counts all deposits.
        pub index: u64,
    }

    /// `WithdrawalRequest` (EIP-7002).
    pub struct WithdrawalRequest {
        /// Who asks.
        pub source_address: Address,
        /// Whose balance.
        pub validator_pubkey: BlsPublicKey,
        /// How much, in gwei; zero asks for an exit.
        pub amount: u64,
    }

    /// `ConsolidationRequest` (EIP-7251).
    pub struct ConsolidationRequest {
        /// Who asks.
        pub source_address: Address,
        /// Whose balance moves.
        pub source_pubkey: BlsPublicKey,
        /// To whom it moves.
        pub target_pubkey: BlsPublicKey,
    }

    /// `ExecutionRequests`: what contracts ask of the consensus side.
    #[derive(Default)]
    pub struct ExecutionRequests {
        /// Type 0.
        pub deposits: List<DepositRequest, MaxDepositRequests>,
        /// Type 1.
        pub withdrawals: List<WithdrawalRequest, MaxWithdrawalRequests>,
        /// Type 2.
        pub consolidations: List<ConsolidationRequest, MaxConsolidationRequests>,
    }
}

impl ExecutionPayload {
    /// The payload that the Engine API gave.
    ///
    /// # Errors
    /// If a list or the extra data is longer than the preset allows.
    pub fn from_engine(payload: &ExecutionPayloadV3, preset: &Preset) -> Result<Self, SszError> {
        let v2 = &payload.payload_inner;
        let v1 = &v2.payload_inner;
        let transactions =
            v1.transactions.iter().map(|bytes| Transaction::new(bytes.clone(), preset));
        let withdrawals = v2.withdrawals.iter().map(Withdrawal::from_engine).collect();
        Ok(Self {
            parent_hash: v1.parent_hash,
            fee_recipient: v1.fee_recipient,
            state_root: v1.state_root,
            receipts_root: v1.receipts_root,
            logs_bloom: v1.logs_bloom,
            prev_randao: v1.prev_randao,
            block_number: v1.block_number,
            gas_limit: v1.gas_limit,
            gas_used: v1.gas_used,
            timestamp: v1.timestamp,
            extra_data: ExtraData::new(v1.extra_data.clone(), preset)?,
            base_fee_per_gas: v1.base_fee_per_gas,
            block_hash: v1.block_hash,
            transactions: List::new(transactions.collect::<Result<_, _>>()?, preset)?,
            withdrawals: List::new(withdrawals, preset)?,
            blob_gas_used: payload.blob_gas_used,
            excess_blob_gas: payload.excess_blob_gas,
        })
    }

    /// The payload as the Engine API takes it.
    pub fn to_engine(&self) -> ExecutionPayloadV3 {
        ExecutionPayloadV3 {
            payload_inner: ExecutionPayloadV2 {
                payload_inner: ExecutionPayloadV1 {
                    parent_hash: self.parent_hash,
                    fee_recipient: self.fee_recipient,
                    state_root: self.state_root,
                    receipts_root: self.receipts_root,
                    logs_bloom: self.logs_bloom,
                    prev_randao: self.prev_randao,
                    block_number: self.block_number,
                    gas_limit: self.gas_limit,
                    gas_used: self.gas_used,
                    timestamp: self.timestamp,
                    extra_data: self.extra_data.bytes().clone(),
                    base_fee_per_gas: self.base_fee_per_gas,
                    block_hash: self.block_hash,
                    transactions: self.transactions.iter().map(|tx| tx.bytes().clone()).collect(),
                },
                withdrawals: self.withdrawals.iter().map(Withdrawal::to_engine).collect(),
            },
            blob_gas_used: self.blob_gas_used,
            excess_blob_gas: self.excess_blob_gas,
        }
    }

    /// The header of this payload.
    pub fn header(&self, preset: &Preset) -> ExecutionPayloadHeader {
        ExecutionPayloadHeader {
            parent_hash: self.parent_hash,
            fee_recipient: self.fee_recipient,
            state_root: self.state_root,
            receipts_root: self.receipts_root,
            logs_bloom: self.logs_bloom,
            prev_randao: self.prev_randao,
            block_number: self.block_number,
            gas_limit: self.gas_limit,
            gas_used: self.gas_used,
            timestamp: self.timestamp,
            extra_data: self.extra_data.clone(),
            base_fee_per_gas: self.base_fee_per_gas,
            block_hash: self.block_hash,
            transactions_root: self.transactions.root(preset),
            withdrawals_root: self.withdrawals.root(preset),
            blob_gas_used: self.blob_gas_used,
            excess_blob_gas: self.excess_blob_gas,
        }
    }
}

impl Withdrawal {
    const fn from_engine(withdrawal: &eip4895::Withdrawal) -> Self {
        Self {
            index: withdrawal.index,
            validator_index: withdrawal.validator_index,
            address: withdrawal.address,
            amount: withdrawal.amount,
        }
    }

    /// The withdrawal as the Engine API takes it.
    pub const fn to_engine(&self) -> eip4895::Withdrawal {
        eip4895::Withdrawal {
            index: self.index,
            validator_index: self.validator_index,
            address: self.address,
            amount: self.amount,
        }
    }
}

/// Why the execution side's requests cannot be put into a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestsError {
    /// The type is not known to Fulu, or out of order.
    #[error("a request of type {0} is unknown, out of order or given twice")]
    Type(u8),
    /// The content is not a list of requests of that type.
    #[error("the requests of type {0} cannot be decoded: {1}")]
    Content(u8, SszError),
}

impl ExecutionRequests {
    /// Reads the requests of EIP-7685: at most one item for each type, in ascending order.
    ///
    /// # Errors
    /// For items of other types, order or content.
    pub fn from_engine(requests: &Requests, preset: &Preset) -> Result<Self, RequestsError> {
        let mut read = Self::default();
        let mut next = 0;
        for item in requests.iter() {
            let (&kind, content) = item.split_first().ok_or(RequestsError::Type(next))?;
            if kind < next || content.is_empty() {
                return Err(RequestsError::Type(kind));
            }
            let wrong = |error| RequestsError::Content(kind, error);
            match kind {
                0 => read.deposits = List::read(content, preset).map_err(wrong)?,
                1 => read.withdrawals = List::read(content, preset).map_err(wrong)?,
                2 => read.consolidations = List::read(content, preset).map_err(wrong)?,
                _ => return Err(RequestsError::Type(kind)),
            }
            next = kind + 1;
        }
        Ok(read)
    }

    /// The requests as EIP-7685 has them: empty lists are left out.
    pub fn to_engine(&self, preset: &Preset) -> Requests {
        let lists = [
            self.deposits.encode(preset),
            self.withdrawals.encode(preset),
            self.consolidations.encode(preset),
        ];
        let item = |(kind, list): (u8, Vec<u8>)| {
            (!list.is_empty()).then(|| Bytes::from([&[kind], list.as_slice()].concat()))
        };
        Requests::new((0..).zip(lists).filter_map(item).collect())
    }
}
