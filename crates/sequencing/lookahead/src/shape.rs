//! What a beacon state consists of, and the roots of its parts.

use crate::tree::Tree;
use alloy_primitives::B256;
use lockstep_ssz::{
    Const, Limit, Preset, SszError, depth_for, field_spans, merkleize, mix_in_length,
    preset::{
        EpochsPerHistoricalVector, EpochsPerSlashingsVector, Eth1VotesPerPeriod,
        PendingConsolidationsLimit, PendingPartialWithdrawalsLimit, ProposerLookaheadLength,
        SlotsPerHistoricalRoot, SyncCommitteeSize,
    },
};

/// How many elements a collection has, or can have.
type Length = fn(&Preset) -> u64;

/// The form of a part of a state: enough to hash it, whatever it means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// A value of at most 32 bytes, in a chunk of its own. In a collection, as many as fit share a chunk.
    Value(usize),
    /// A fixed number of bytes.
    Bytes(usize),
    /// Bytes up to a limit.
    ByteList(u64),
    /// Fields in order.
    Container(&'static [Self]),
    /// As many elements as the preset says, each of a fixed length.
    Vector(&'static Self, Length),
    /// Elements up to a limit, each of a fixed length.
    List(&'static Self, Length),
}

use Shape::{ByteList, Bytes, Container, List, Value, Vector};

const BYTE: Shape = Value(1);
const NUMBER: Shape = Value(8);
const ROOT: Shape = Value(32);
const KEY: Shape = Bytes(48);
const CHECKPOINT: Shape = Container(&[NUMBER, ROOT]);
const ETH1_DATA: Shape = Container(&[ROOT, NUMBER, ROOT]);
const SYNC_COMMITTEE: Shape = Container(&[Vector(&KEY, SyncCommitteeSize::of), KEY]);

/// The fields of `Validator`: `pubkey`, `withdrawal_credentials`, `effective_balance`, `slashed`, and four epochs.
const VALIDATOR_FIELDS: [Shape; 8] = [KEY, ROOT, NUMBER, BYTE, NUMBER, NUMBER, NUMBER, NUMBER];
pub(crate) const VALIDATOR: Shape = Container(&VALIDATOR_FIELDS);

const VALIDATORS_LIMIT: Length = <Const<{ 1 << 40 }>>::of;
const HISTORICAL_LIMIT: Length = <Const<{ 1 << 24 }>>::of;
const PENDING_DEPOSITS_LIMIT: Length = <Const<{ 1 << 27 }>>::of;

/// `ExecutionPayloadHeader` since Deneb.
const PAYLOAD_HEADER: Shape = Container(&[
    ROOT,         // parent_hash
    Value(20),    // fee_recipient
    ROOT,         // state_root
    ROOT,         // receipts_root
    Bytes(256),   // logs_bloom
    ROOT,         // prev_randao
    NUMBER,       // block_number
    NUMBER,       // gas_limit
    NUMBER,       // gas_used
    NUMBER,       // timestamp
    ByteList(32), // extra_data
    Value(32),    // base_fee_per_gas
    ROOT,         // block_hash
    ROOT,         // transactions_root
    ROOT,         // withdrawals_root
    NUMBER,       // blob_gas_used
    NUMBER,       // excess_blob_gas
]);

/// The roots of a validator's fields.
pub(crate) fn validator_roots(bytes: &[u8], preset: &Preset) -> Result<Vec<B256>, SszError> {
    field_roots(&VALIDATOR_FIELDS, bytes, preset)
}

/// The place of `slot` in [`STATE`].
pub(crate) const SLOT_FIELD: usize = 2;
/// The place of `validators` in [`STATE`].
pub(crate) const VALIDATORS_FIELD: usize = 11;
/// The place of `proposer_lookahead` in [`STATE`].
pub(crate) const LOOKAHEAD_FIELD: usize = 37;

/// The fields of `BeaconState` in Fulu.
pub(crate) const STATE: [(&str, Shape); 38] = [
    ("genesis_time", NUMBER),
    ("genesis_validators_root", ROOT),
    ("slot", NUMBER),
    ("fork", Container(&[Value(4), Value(4), NUMBER])),
    ("latest_block_header", Container(&[NUMBER, NUMBER, ROOT, ROOT, ROOT])),
    ("block_roots", Vector(&ROOT, SlotsPerHistoricalRoot::of)),
    ("state_roots", Vector(&ROOT, SlotsPerHistoricalRoot::of)),
    ("historical_roots", List(&ROOT, HISTORICAL_LIMIT)),
    ("eth1_data", ETH1_DATA),
    ("eth1_data_votes", List(&ETH1_DATA, Eth1VotesPerPeriod::of)),
    ("eth1_deposit_index", NUMBER),
    ("validators", List(&VALIDATOR, VALIDATORS_LIMIT)),
    ("balances", List(&NUMBER, VALIDATORS_LIMIT)),
    ("randao_mixes", Vector(&ROOT, EpochsPerHistoricalVector::of)),
    ("slashings", Vector(&NUMBER, EpochsPerSlashingsVector::of)),
    ("previous_epoch_participation", List(&BYTE, VALIDATORS_LIMIT)),
    ("current_epoch_participation", List(&BYTE, VALIDATORS_LIMIT)),
    ("justification_bits", BYTE),
    ("previous_justified_checkpoint", CHECKPOINT),
    ("current_justified_checkpoint", CHECKPOINT),
    ("finalized_checkpoint", CHECKPOINT),
    ("inactivity_scores", List(&NUMBER, VALIDATORS_LIMIT)),
    ("current_sync_committee", SYNC_COMMITTEE),
    ("next_sync_committee", SYNC_COMMITTEE),
    ("latest_execution_payload_header", PAYLOAD_HEADER),
    ("next_withdrawal_index", NUMBER),
    ("next_withdrawal_validator_index", NUMBER),
    ("historical_summaries", List(&Container(&[ROOT, ROOT]), HISTORICAL_LIMIT)),
    ("deposit_requests_start_index", NUMBER),
    ("deposit_balance_to_consume", NUMBER),
    ("exit_balance_to_consume", NUMBER),
    ("earliest_exit_epoch", NUMBER),
    ("consolidation_balance_to_consume", NUMBER),
    ("earliest_consolidation_epoch", NUMBER),
    (
        "pending_deposits",
        List(&Container(&[KEY, ROOT, NUMBER, Bytes(96), NUMBER]), PENDING_DEPOSITS_LIMIT),
    ),
    (
        "pending_partial_withdrawals",
        List(&Container(&[NUMBER, NUMBER, NUMBER]), PendingPartialWithdrawalsLimit::of),
    ),
    ("pending_consolidations", List(&Container(&[NUMBER, NUMBER]), PendingConsolidationsLimit::of)),
    ("proposer_lookahead", Vector(&NUMBER, ProposerLookaheadLength::of)),
];

impl Shape {
    /// The length in bytes of every encoding, or `None` where it varies.
    pub(crate) fn fixed_len(&self, preset: &Preset) -> Option<usize> {
        match self {
            Value(size) | Bytes(size) => Some(*size),
            Container(fields) => fields.iter().map(|field| field.fixed_len(preset)).sum(),
            Vector(element, length) => {
                element.fixed_len(preset).map(|size| size * length(preset) as usize)
            }
            List(..) | ByteList(_) => None,
        }
    }

    /// The root of the value with this encoding.
    ///
    /// Recursion is as deep as shapes are: four levels.
    pub(crate) fn root(&self, bytes: &[u8], preset: &Preset) -> Result<B256, SszError> {
        if let Some(expected) = self.fixed_len(preset)
            && expected != bytes.len()
        {
            return Err(SszError::Length { expected, found: bytes.len() });
        }
        match self {
            Value(_) => Ok(B256::right_padding_from(bytes)),
            Bytes(size) => Ok(packed(bytes, size.div_ceil(32) as u64)),
            ByteList(limit) => {
                let found = bytes.len() as u64;
                if found > *limit {
                    return Err(SszError::Limit { limit: *limit, found });
                }
                Ok(mix_in_length(&packed(bytes, limit.div_ceil(32)), found))
            }
            Container(fields) => {
                let roots = field_roots(fields, bytes, preset)?;
                let depth = depth_for(roots.len() as u64);
                Ok(merkleize(roots, depth))
            }
            Vector(element, length) => elements_root(element, bytes, length(preset), preset),
            List(element, limit) => {
                let limit = limit(preset);
                let found = element_count(element, bytes, limit, preset)?;
                Ok(mix_in_length(&elements_root(element, bytes, limit, preset)?, found))
            }
        }
    }
}

/// How many elements a list has.
pub(crate) fn element_count(
    element: &Shape,
    bytes: &[u8],
    limit: u64,
    preset: &Preset,
) -> Result<u64, SszError> {
    let size = element.fixed_len(preset).unwrap_or_default();
    if size == 0 || !bytes.len().is_multiple_of(size) {
        return Err(SszError::Length { expected: size, found: bytes.len() });
    }
    let found = (bytes.len() / size) as u64;
    if found > limit {
        return Err(SszError::Limit { limit, found });
    }
    Ok(found)
}

/// The roots of a container's fields.
fn field_roots(fields: &[Shape], bytes: &[u8], preset: &Preset) -> Result<Vec<B256>, SszError> {
    let lengths: Vec<Option<usize>> = fields.iter().map(|field| field.fixed_len(preset)).collect();
    let spans = field_spans(bytes, &lengths)?;
    let roots = fields.iter().zip(spans);
    roots.map(|(field, span)| field.root(bytes.get(span).unwrap_or_default(), preset)).collect()
}

/// The root of a tree over elements that has room for `limit` of them.
fn elements_root(
    element: &Shape,
    bytes: &[u8],
    limit: u64,
    preset: &Preset,
) -> Result<B256, SszError> {
    match element {
        Value(size) => Ok(packed(bytes, (limit * *size as u64).div_ceil(32))),
        element => {
            let size = element.fixed_len(preset).unwrap_or_default().max(1);
            let mut tree = Tree::new(depth_for(limit), []);
            for bytes in bytes.chunks(size) {
                tree.push(element.root(bytes, preset)?);
            }
            Ok(tree.finish().0)
        }
    }
}

/// The root of a tree over bytes that has room for `chunks` chunks.
fn packed(bytes: &[u8], chunks: u64) -> B256 {
    let mut tree = Tree::new(depth_for(chunks), []);
    bytes.chunks(32).for_each(|chunk| tree.push(B256::right_padding_from(chunk)));
    tree.finish().0
}
