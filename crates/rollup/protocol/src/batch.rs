//! Batches: rollup blocks without what can be derived anyway (OP specification: derivation § batch
//! format).

use crate::{
    RollupConfig, SpanBatch,
    rlp::{Items, put_header, put_string, put_u64},
    span_batch::RawSpanBatch,
};
use alloc::vec::Vec;
use alloy_primitives::{B256, Bytes};

/// The type byte of a batch of one block.
pub const SINGLE_BATCH_TYPE: u8 = 0;
/// The type byte of a batch of consecutive blocks.
pub const SPAN_BATCH_TYPE: u8 = 1;

/// A batch as it stands in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Batch {
    /// One block.
    Single(SingleBatch),
    /// Consecutive blocks.
    Span(SpanBatch),
}

/// One rollup block without its deposits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SingleBatch {
    /// The hash of the rollup block before.
    pub parent_hash: B256,
    /// The number of the L1 origin.
    pub epoch_num: u64,
    /// The hash of the L1 origin.
    pub epoch_hash: B256,
    /// The timestamp of the block, in seconds.
    pub timestamp: u64,
    /// The transactions as EIP-2718 encodes them. What they are is not looked at here.
    pub transactions: Vec<Bytes>,
}

/// Why bytes are no batch, or a batch cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// There is nothing.
    #[error("the batch is empty")]
    Empty,
    /// The type is not known.
    #[error("type {0} of batches is not known")]
    Type(u8),
    /// The RLP is malformed.
    #[error("field `{field}`: {error}")]
    Rlp {
        /// Where.
        field: &'static str,
        /// What is wrong.
        error: alloy_rlp::Error,
    },
    /// The batch ends too early.
    #[error("the span batch ends within `{0}`")]
    Truncated(&'static str),
    /// A variable-length integer is longer than 64 bits.
    #[error("field `{0}` exceeds 64 bits")]
    Overflow(&'static str),
    /// A list of bits has one set behind its end.
    #[error("field `{field}` has bits behind its {bits}")]
    TrailingBits {
        /// Which list.
        field: &'static str,
        /// How many bits it has.
        bits: usize,
    },
    /// There is more than a span batch may hold.
    #[error("field `{field}` counts {got}, the limit is {limit}")]
    TooMany {
        /// What there is too much of.
        field: &'static str,
        /// How much there is.
        got: u64,
        /// The limit.
        limit: u64,
    },
    /// A span batch has no block.
    #[error("the span batch has no block")]
    NoBlocks,
    /// A transaction has a type that span batches do not know.
    #[error("transaction {index} has type {ty}, which span batches do not carry")]
    TransactionType {
        /// The position among all transactions of the batch.
        index: usize,
        /// The type.
        ty: u8,
    },
    /// A transaction is malformed.
    #[error("transaction {index}: {error}")]
    Transaction {
        /// The position among all transactions of the batch.
        index: usize,
        /// What is wrong.
        error: alloy_rlp::Error,
    },
    /// A transaction that sets code must not create a contract (EIP-7702).
    #[error("transaction {0} sets code, but has no recipient")]
    NoRecipient(usize),
    /// A transaction was signed for another chain.
    #[error("transaction {index} is for chain {got}, not {expected}")]
    ChainId {
        /// The position among all transactions of the batch.
        index: usize,
        /// The rollup's chain id.
        expected: u64,
        /// The transaction's.
        got: u64,
    },
    /// A signature has a `v` that its transaction type does not know.
    #[error("transaction {index} has {v} as `v`")]
    Parity {
        /// The position among all transactions of the batch.
        index: usize,
        /// The value.
        v: u64,
    },
    /// Blocks of a span do not follow each other.
    #[error("block {index} of the span: `{field}` is {got}, {expected} would follow")]
    Sequence {
        /// The position of the block.
        index: usize,
        /// What does not follow.
        field: &'static str,
        /// What would.
        expected: u64,
        /// What is there.
        got: u64,
    },
}

impl Batch {
    /// Reads a batch: its type and what follows. As in other implementations, bytes behind the
    /// batch are ignored.
    ///
    /// # Errors
    /// [`BatchError`] for what is malformed.
    pub fn decode(data: &Bytes, config: &RollupConfig) -> Result<Self, BatchError> {
        match data.first() {
            None => Err(BatchError::Empty),
            Some(&SINGLE_BATCH_TYPE) => SingleBatch::decode(&data.slice(1..)).map(Self::Single),
            Some(&SPAN_BATCH_TYPE) => {
                RawSpanBatch::decode(&data.slice(1..))?.to_span(config).map(Self::Span)
            }
            Some(ty) => Err(BatchError::Type(*ty)),
        }
    }

    /// The batch with its type.
    ///
    /// # Errors
    /// [`BatchError`] if a span holds what span batches cannot carry.
    pub fn encode(&self, config: &RollupConfig) -> Result<Vec<u8>, BatchError> {
        match self {
            Self::Single(batch) => {
                let mut out = Vec::from([SINGLE_BATCH_TYPE]);
                batch.encode(&mut out);
                Ok(out)
            }
            Self::Span(batch) => {
                let mut out = Vec::from([SPAN_BATCH_TYPE]);
                batch.to_raw(config)?.encode(&mut out);
                Ok(out)
            }
        }
    }
}

/// Appends an encoded batch to what a channel will compress: as an RLP string.
pub fn put_batch(batch: &[u8], channel: &mut Vec<u8>) {
    put_string(batch, channel);
}

/// Bytes of the shortest transaction: a list of nine fields.
const MIN_TRANSACTION_BYTES: usize = 10;
/// So many fragments are kept, come what may.
const MAX_FRAGMENTS: usize = 65_536;

/// Keeps a batch of a hundred million one-byte "transactions" from taking gigabytes.
///
/// What is too short to be a transaction makes the block invalid, however many of them there are.
/// So of the fragments beyond [`MAX_FRAGMENTS`] only the first of each kind is kept; the kind is
/// all that rules about batches look at.
struct Fragments {
    seen: usize,
    kinds: [bool; 257],
}

impl Default for Fragments {
    fn default() -> Self {
        Self { seen: 0, kinds: [false; 257] }
    }
}

impl Fragments {
    fn admit(&mut self, transaction: &[u8]) -> bool {
        if transaction.len() >= MIN_TRANSACTION_BYTES {
            return true;
        }
        self.seen += 1;
        let kind = transaction.first().map_or(256, |byte| usize::from(*byte));
        let is_known = self.kinds.get_mut(kind).is_none_or(|known| core::mem::replace(known, true));
        self.seen <= MAX_FRAGMENTS || !is_known
    }
}

impl SingleBatch {
    /// Reads what follows the type. The transactions share the memory of `data`.
    ///
    /// # Errors
    /// [`BatchError::Rlp`] if it is not the list of the five fields.
    pub fn decode(data: &Bytes) -> Result<Self, BatchError> {
        let rlp = |field| move |error| BatchError::Rlp { field, error };
        let mut fields = Items::new(data).list().map_err(rlp("batch"))?;
        let parent_hash = fields.array::<32>().map_err(rlp("parent_hash"))?.into();
        let epoch_num = fields.u64().map_err(rlp("epoch_num"))?;
        let epoch_hash = fields.array::<32>().map_err(rlp("epoch_hash"))?.into();
        let timestamp = fields.u64().map_err(rlp("timestamp"))?;
        let mut list = fields.list().map_err(rlp("transactions"))?;
        fields.end().map_err(rlp("batch"))?;
        let mut transactions = Vec::new();
        let mut fragments = Fragments::default();
        while !list.is_empty() {
            let transaction = list.string().map_err(rlp("transactions"))?.payload;
            if fragments.admit(transaction) {
                transactions.push(data.slice_ref(transaction));
            }
        }
        Ok(Self { parent_hash, epoch_num, epoch_hash, timestamp, transactions })
    }

    /// Appends the batch without its type.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut transactions = Vec::new();
        self.transactions.iter().for_each(|tx| put_string(tx, &mut transactions));
        let mut payload = Vec::new();
        put_string(self.parent_hash.as_slice(), &mut payload);
        put_u64(self.epoch_num, &mut payload);
        put_string(self.epoch_hash.as_slice(), &mut payload);
        put_u64(self.timestamp, &mut payload);
        put_header(true, transactions.len(), &mut payload);
        payload.extend_from_slice(&transactions);
        put_header(true, payload.len(), out);
        out.extend_from_slice(&payload);
    }
}
