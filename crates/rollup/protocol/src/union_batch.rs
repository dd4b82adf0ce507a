//! Union batches: what a union posts for one slot (every rollup's blocks, and its parts of the super
//! transactions in them).
//!
//! The blobs that the inbox's event names carry, in the OP Stack's blob encoding and one behind the
//! other, the version byte and a compressed stream, as channels have it (zlib, or 0x01 and Brotli).
//! What is compressed is an RLP list:
//!
//! ```text
//! [slot, [[chain_id, span_batch, [[block, position, part], …]], …]]
//! ```
//!
//! There is one encoding of the list, and nothing may stand behind the stream or in it; but what is
//! compressed can be so in many ways.

use crate::{
    BatchError, BlobError, Compression, CompressionError, MAX_BLOB_DATA_BYTES, RawSpanBatch,
    SpanBatch, UnionConfig, compress_channel,
    compression::{Decompressor, compress_padded},
    decode_blob, encode_blob,
    rlp::{Items, put_header, put_string, put_u64},
};
use alloc::{boxed::Box, vec::Vec};
use alloy_eips::eip4844::Blob;
use alloy_primitives::Bytes;
use core::ops::Deref;

/// The version byte in front of the compressed stream.
pub const UNION_BATCH_VERSION_0: u8 = 0;
/// The most bytes of a union batch before compression.
pub const MAX_UNION_BATCH_BYTES: usize = 32 << 20;
/// The most bytes for which each compressed byte of a union batch stands, beyond the first 64 KiB. Who makes
/// everybody decompress and read 32 MiB pays for the blobs that hold a sixteenth of them.
pub const MAX_UNION_EXPANSION: usize = 16;
/// Bytes before compression that a union batch may have however few it has behind it.
const FREE_BYTES: usize = 64 << 10;
/// The most rollups of a union.
pub const MAX_UNION_ROLLUPS: usize = 64;
/// The most parts of one rollup in a union batch.
pub const MAX_UNION_PARTS: usize = 65_536;
/// The most blocks of one rollup in a union batch: those of its slot, and the empty ones of as many
/// slots before it as had no batch, which are a sequencing window's at most.
pub const MAX_UNION_BLOCKS: usize = 1 << 17;
/// The most blobs that the inbox takes for one batch (`MAX_BLOBS` of the contract).
pub const MAX_UNION_BLOBS: usize = 16;

/// Bytes of the shortest part: a list of slot and index, a chain id, an address, and a list. Keeps the
/// memory of a decoded batch within a few times its bytes.
const MIN_PART_BYTES: usize = 1 + 3 + 1 + 21 + 1;

/// What a union posts for one slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnionBatch {
    /// The L1 slot.
    pub slot: u64,
    /// The rollups that have blocks in it, in the order of their chain ids.
    pub rollups: Vec<RollupBatch>,
}

/// One rollup's blocks in a [`UnionBatch`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollupBatch {
    /// The chain id.
    pub chain_id: u64,
    /// The blocks ([`Self::span`]): a span batch without its type byte, whose timestamp counts from
    /// the union's slot 0 instead of the rollup's genesis. So it says when the blocks are to those,
    /// too, who do not follow the rollup. What it holds is not looked at when the union batch is decoded.
    pub span_batch: Bytes,
    /// The rollup's parts of super transactions, in the order in which they stand in its blocks.
    pub parts: Vec<PartEntry>,
}

/// A part of a super transaction, and where in the rollup's blocks it belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartEntry {
    /// The position of the block in the span batch.
    pub block: u32,
    /// How many of the batch's transactions stand before it in the block.
    pub position: u32,
    /// The RLP of the part, a list. What it holds is not looked at here.
    pub part: Bytes,
}

/// Why bytes are no union batch, or one cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnionBatchError {
    /// There is nothing.
    #[error("the union batch is empty")]
    Empty,
    /// The version is not known.
    #[error("version {0} of union batches is not known")]
    Version(u8),
    /// A blob is not in the blob encoding.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// It cannot be decompressed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The compressed stream does not end with the data, or its checksum is wrong.
    #[error("the compressed union batch does not end where its stream ends")]
    End,
    /// It is too large before compression.
    #[error("the union batch has more than {MAX_UNION_BATCH_BYTES} bytes before compression")]
    TooLong,
    /// It is too large before compression for what it is after.
    #[error(
        "the union batch holds more than the {0} bytes that its compressed bytes may stand for"
    )]
    Expansion(usize),
    /// The RLP is malformed, or not canonical.
    #[error("field `{field}`: {error}")]
    Rlp {
        /// Where.
        field: &'static str,
        /// What is wrong.
        error: alloy_rlp::Error,
    },
    /// There is too much of something.
    #[error("{got} {what} exceed the limit of {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How much there is, or at which one decoding stopped.
        got: usize,
        /// The limit.
        limit: usize,
    },
    /// The rollups are not in ascending order.
    #[error("rollup {chain_id} stands behind {before}")]
    ChainOrder {
        /// The chain id.
        chain_id: u64,
        /// The one before it.
        before: u64,
    },
    /// The parts of a rollup are not in the order of its blocks and transactions.
    #[error("part {index} of rollup {chain_id} belongs before the one that it follows")]
    PartOrder {
        /// The rollup.
        chain_id: u64,
        /// The position of the part among the rollup's.
        index: usize,
    },
    /// A part is no RLP list, or too short to be one of a part.
    #[error("part {index} of rollup {chain_id}, {bytes} bytes, is not the list of a part")]
    Part {
        /// The rollup.
        chain_id: u64,
        /// The position of the part among the rollup's.
        index: usize,
        /// Its length.
        bytes: usize,
    },
    /// The blocks of a rollup are no span batch.
    #[error("the blocks of rollup {chain_id}: {error}")]
    Span {
        /// The rollup.
        chain_id: u64,
        /// What is wrong.
        error: BatchError,
    },
    /// The blocks of a rollup are a span batch that could be encoded in fewer bytes.
    #[error("the blocks of rollup {0} are not in canonical form")]
    SpanForm(u64),
}

impl UnionBatch {
    /// Reads version byte and compressed stream. What was read shares the memory of what was
    /// decompressed.
    ///
    /// # Errors
    /// [`UnionBatchError`] for what is malformed or too large.
    pub fn decode(data: &Bytes) -> Result<Self, UnionBatchError> {
        match data.first() {
            None => return Err(UnionBatchError::Empty),
            Some(&UNION_BATCH_VERSION_0) => {}
            Some(version) => return Err(UnionBatchError::Version(*version)),
        }
        let mut decompressor = Decompressor::new(data.slice(1..), true)?;
        let (mut list, limit) = (Vec::new(), content_limit(data.len()));
        // One byte more than allowed tells what is too long, and that the stream has ended otherwise.
        decompressor.fill(&mut list, limit + 1)?;
        if list.len() > limit {
            return Err(if limit < MAX_UNION_BATCH_BYTES {
                UnionBatchError::Expansion(limit)
            } else {
                UnionBatchError::TooLong
            });
        }
        if !decompressor.is_complete(&list) {
            return Err(UnionBatchError::End);
        }
        Self::decode_rlp(&list.into())
    }

    /// The version byte and the compressed list. What compresses better than [`MAX_UNION_EXPANSION`] allows
    /// is padded, with zlib in any case.
    ///
    /// # Errors
    /// [`UnionBatchError`] if the batch is too large or not in order.
    pub fn encode(&self, compression: Compression) -> Result<Vec<u8>, UnionBatchError> {
        let list = self.encode_rlp()?;
        let mut stream = compress_channel(compression, &list);
        if list.len() > content_limit(1 + stream.len()) {
            let least = list.len().saturating_sub(FREE_BYTES).div_ceil(MAX_UNION_EXPANSION);
            stream = compress_padded(&list, least);
        }
        stream.insert(0, UNION_BATCH_VERSION_0);
        Ok(stream)
    }

    /// Reads the list that is compressed. What was read shares the memory of `list`.
    ///
    /// # Errors
    /// [`UnionBatchError`] for what is malformed or too large.
    pub fn decode_rlp(list: &Bytes) -> Result<Self, UnionBatchError> {
        if list.len() > MAX_UNION_BATCH_BYTES {
            return Err(UnionBatchError::TooLong);
        }
        let mut fields = Items::of_list(list).map_err(rlp("batch"))?;
        let slot = fields.u64().map_err(rlp("slot"))?;
        let mut items = fields.list().map_err(rlp("rollups"))?;
        fields.end().map_err(rlp("batch"))?;
        let mut rollups = Vec::new();
        while !items.is_empty() {
            limited("rollups", rollups.len() + 1, MAX_UNION_ROLLUPS)?;
            let rollup = items.list().map_err(rlp("rollup"))?;
            rollups.push(RollupBatch::decode(rollup, list)?);
        }
        let batch = Self { slot, rollups };
        batch.check().map(|()| batch)
    }

    /// The list that is to be compressed.
    ///
    /// # Errors
    /// [`UnionBatchError`] if the batch is too large or not in order.
    pub fn encode_rlp(&self) -> Result<Vec<u8>, UnionBatchError> {
        self.check()?;
        let mut rollups = Vec::new();
        self.rollups.iter().for_each(|rollup| rollup.encode(&mut rollups));
        let mut payload = Vec::new();
        put_u64(self.slot, &mut payload);
        put_list(&rollups, &mut payload);
        let mut out = Vec::new();
        put_list(&payload, &mut out);
        if out.len() > MAX_UNION_BATCH_BYTES { Err(UnionBatchError::TooLong) } else { Ok(out) }
    }

    /// The blobs that carry the batch, each but the last full.
    ///
    /// # Errors
    /// [`UnionBatchError`] if the batch is too large or not in order.
    pub fn to_blobs(&self, compression: Compression) -> Result<Vec<Box<Blob>>, UnionBatchError> {
        let data = self.encode(compression)?;
        limited("blobs", data.len().div_ceil(MAX_BLOB_DATA_BYTES), MAX_UNION_BLOBS)?;
        let blobs = data.chunks(MAX_BLOB_DATA_BYTES).map(encode_blob);
        blobs.collect::<Result<_, _>>().map_err(Into::into)
    }

    /// What blobs carry together, for [`Self::decode`]. It need not be cut as [`Self::to_blobs`] does.
    ///
    /// # Errors
    /// [`BlobError`] if one is not in the blob encoding.
    pub fn join_blobs<B: Deref<Target = Blob>>(blobs: &[B]) -> Result<Bytes, BlobError> {
        if let [blob] = blobs {
            return decode_blob(blob);
        }
        let mut data = Vec::new();
        for blob in blobs {
            data.extend_from_slice(&decode_blob(blob)?);
        }
        Ok(data.into())
    }

    /// The limits and orders that hold for every encoding.
    fn check(&self) -> Result<(), UnionBatchError> {
        limited("rollups", self.rollups.len(), MAX_UNION_ROLLUPS)?;
        for pair in self.rollups.windows(2) {
            if let [RollupBatch { chain_id: before, .. }, RollupBatch { chain_id, .. }] = pair
                && before >= chain_id
            {
                return Err(UnionBatchError::ChainOrder { chain_id: *chain_id, before: *before });
            }
        }
        self.rollups.iter().try_for_each(RollupBatch::check)
    }
}

impl RollupBatch {
    /// The batch of a rollup with these blocks and parts.
    ///
    /// # Errors
    /// [`UnionBatchError`] if the blocks do not follow each other, hold transactions that span
    /// batches cannot carry, or are too many; whether the parts are in order is seen when the union
    /// batch is encoded.
    pub fn new(
        chain_id: u64,
        span: &SpanBatch,
        parts: Vec<PartEntry>,
        union: &UnionConfig,
    ) -> Result<Self, UnionBatchError> {
        limited("blocks", span.blocks.len(), MAX_UNION_BLOCKS)?;
        let raw = RawSpanBatch::new(span, union.genesis_time, union.block_time, chain_id)
            .map_err(|error| UnionBatchError::Span { chain_id, error })?;
        let mut span_batch = Vec::new();
        raw.encode(&mut span_batch);
        Ok(Self { chain_id, span_batch: span_batch.into(), parts })
    }

    /// The blocks.
    ///
    /// # Errors
    /// [`UnionBatchError`] if they are no span batch, too many, or not in canonical form.
    pub fn span(&self, union: &UnionConfig) -> Result<SpanBatch, UnionBatchError> {
        let chain_id = self.chain_id;
        let malformed = |error| UnionBatchError::Span { chain_id, error };
        let raw = RawSpanBatch::decode(&self.span_batch).map_err(malformed)?;
        limited("blocks", raw.block_tx_counts.len(), MAX_UNION_BLOCKS)?;
        let mut canonical = Vec::with_capacity(self.span_batch.len());
        raw.encode(&mut canonical);
        if self.span_batch != canonical {
            return Err(UnionBatchError::SpanForm(chain_id));
        }
        raw.to_span_since(union.genesis_time, union.block_time, chain_id).map_err(malformed)
    }

    fn decode(mut fields: Items<'_>, list: &Bytes) -> Result<Self, UnionBatchError> {
        let chain_id = fields.u64().map_err(rlp("chain_id"))?;
        let span_batch = fields.string().map_err(rlp("span_batch"))?.payload;
        let mut items = fields.list().map_err(rlp("parts"))?;
        fields.end().map_err(rlp("rollup"))?;
        let mut parts = Vec::new();
        while !items.is_empty() {
            limited("parts", parts.len() + 1, MAX_UNION_PARTS)?;
            let mut entry = items.list().map_err(rlp("part"))?;
            let block = number(&mut entry).map_err(rlp("block"))?;
            let position = number(&mut entry).map_err(rlp("position"))?;
            let part = entry.string().map_err(rlp("part"))?.payload;
            entry.end().map_err(rlp("part"))?;
            // Looked at before it takes memory.
            check_part(part, chain_id, parts.len())?;
            parts.push(PartEntry { block, position, part: list.slice_ref(part) });
        }
        Ok(Self { chain_id, span_batch: list.slice_ref(span_batch), parts })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let (mut parts, mut entry) = (Vec::new(), Vec::new());
        for PartEntry { block, position, part } in &self.parts {
            entry.clear();
            put_u64((*block).into(), &mut entry);
            put_u64((*position).into(), &mut entry);
            put_string(part, &mut entry);
            put_list(&entry, &mut parts);
        }
        let mut payload = Vec::new();
        put_u64(self.chain_id, &mut payload);
        put_string(&self.span_batch, &mut payload);
        put_list(&parts, &mut payload);
        put_list(&payload, out);
    }

    fn check(&self) -> Result<(), UnionBatchError> {
        let chain_id = self.chain_id;
        limited("parts", self.parts.len(), MAX_UNION_PARTS)?;
        let mut before = (0, 0);
        for (index, entry) in self.parts.iter().enumerate() {
            check_part(&entry.part, chain_id, index)?;
            let at = (entry.block, entry.position);
            if at < before {
                return Err(UnionBatchError::PartOrder { chain_id, index });
            }
            before = at;
        }
        Ok(())
    }
}

/// The most bytes before compression of a batch that has so many behind it.
fn content_limit(compressed: usize) -> usize {
    let allowed = compressed.saturating_mul(MAX_UNION_EXPANSION).saturating_add(FREE_BYTES);
    allowed.min(MAX_UNION_BATCH_BYTES)
}

fn check_part(part: &[u8], chain_id: u64, index: usize) -> Result<(), UnionBatchError> {
    if part.len() < MIN_PART_BYTES || Items::of_list(part).is_err() {
        return Err(UnionBatchError::Part { chain_id, index, bytes: part.len() });
    }
    Ok(())
}

const fn limited(what: &'static str, got: usize, limit: usize) -> Result<(), UnionBatchError> {
    if got > limit { Err(UnionBatchError::TooMany { what, got, limit }) } else { Ok(()) }
}

fn rlp(field: &'static str) -> impl Fn(alloy_rlp::Error) -> UnionBatchError {
    move |error| UnionBatchError::Rlp { field, error }
}

fn number(items: &mut Items<'_>) -> alloy_rlp::Result<u32> {
    items.u64()?.try_into().map_err(|_| alloy_rlp::Error::Overflow)
}

fn put_list(payload: &[u8], out: &mut Vec<u8>) {
    put_header(true, payload.len(), out);
    out.extend_from_slice(payload);
}
