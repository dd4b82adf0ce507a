//! Logs that match a filter.

use crate::{
    RpcChain, RpcError, RpcResult,
    chain::rpc_log,
    context::{block_of, locate, receipts_of},
    deadline::Deadline,
    settings::Limits,
};
use alloy_consensus::{TxReceipt, transaction::TxHashRef};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use lockstep_engine::ChainSnapshot;
use lockstep_storage::RecoveredBlock;
use std::ops::RangeInclusive;

/// A filter with more addresses and topics together is refused.
pub(crate) const MAX_FILTER_ENTRIES: usize = 1_000;

/// The canonical blocks that a filter asks for.
pub(crate) enum Wanted {
    /// One block, canonical or not.
    Hash(alloy_primitives::B256),
    /// Canonical blocks by number.
    Range(RangeInclusive<u64>),
}

/// Checks a filter and finds out which blocks it asks for.
///
/// # Errors
/// When the filter is too large, the range is reversed, reaches beyond the head, or is too long.
pub(crate) fn wanted_blocks<C: RpcChain>(
    snapshot: &ChainSnapshot<C>,
    filter: &Filter,
    limits: &Limits,
) -> RpcResult<Wanted> {
    check_size(filter)?;
    let (from, to) = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => return Ok(Wanted::Hash(hash)),
        FilterBlockOption::Range { from_block, to_block } => (from_block, to_block),
    };
    let number = |tag: Option<BlockNumberOrTag>| match tag.unwrap_or(BlockNumberOrTag::Latest) {
        BlockNumberOrTag::Number(number) => Ok(number),
        tag => snapshot.resolve(tag).ok_or(RpcError::UnknownBlock),
    };
    let (from, to) = (number(from)?, number(to)?);
    if from > to {
        return Err(RpcError::invalid("invalid block range params"));
    }
    if to > snapshot.head().number {
        return Err(RpcError::invalid("block range extends beyond current head block"));
    }
    let blocks = to - from + 1;
    if blocks > limits.log_blocks {
        let limit = limits.log_blocks;
        return Err(RpcError::Limit { what: "block range of logs", asked: blocks, limit });
    }
    Ok(Wanted::Range(from..=to))
}

/// Refuses filters that would take long to hold against each log.
pub(crate) fn check_size(filter: &Filter) -> RpcResult<()> {
    let entries = entries(filter);
    if entries > MAX_FILTER_ENTRIES {
        return Err(RpcError::invalid(format!(
            "a filter may have {MAX_FILTER_ENTRIES} addresses and topics at most, this has {entries}"
        )));
    }
    Ok(())
}

/// The addresses and topics of a filter.
pub(crate) fn entries(filter: &Filter) -> usize {
    let topics: usize = filter.topics.iter().map(|topics| topics.len()).sum();
    filter.address.len() + topics
}

/// The logs that a request asks for.
///
/// # Errors
/// As [`wanted_blocks`]; when the block is not known; when there are too many; when it takes too
/// long.
pub(crate) fn query<C: RpcChain>(
    snapshot: &ChainSnapshot<C>,
    filter: &Filter,
    wanted: Wanted,
    limit: usize,
    deadline: Option<&Deadline>,
) -> RpcResult<Vec<Log>> {
    let mut found = Vec::new();
    match wanted {
        Wanted::Hash(hash) => {
            let located = locate(snapshot, BlockId::hash(hash))?;
            let located = located.ok_or_else(|| RpcError::refused("unknown block"))?;
            let block = block_of(snapshot, located)?.ok_or(RpcError::UnknownBlock)?;
            if filter.matches_bloom(block.block.header.logs_bloom) {
                let receipts = receipts_of(snapshot, located)?.ok_or(RpcError::UnknownBlock)?;
                block_logs(filter, &block, &receipts, false, limit, &mut found)?;
            }
        }
        Wanted::Range(range) => {
            for number in range {
                deadline.map_or(Ok(()), Deadline::check)?;
                range_block(snapshot, filter, number, limit, &mut found)?;
            }
        }
    }
    Ok(found)
}

/// Adds the logs of one canonical block.
pub(crate) fn range_block<C: RpcChain>(
    snapshot: &ChainSnapshot<C>,
    filter: &Filter,
    number: u64,
    limit: usize,
    found: &mut Vec<Log>,
) -> RpcResult<()> {
    let header = snapshot.header(number)?.ok_or(RpcError::UnknownBlock)?;
    if header.logs_bloom.is_zero() || !filter.matches_bloom(header.logs_bloom) {
        return Ok(());
    }
    let receipts = snapshot.receipts(number)?.ok_or(RpcError::UnknownBlock)?;
    let is_match = |receipt: &C::Receipt| receipt.logs().iter().any(|log| filter.matches(log));
    if !receipts.iter().any(is_match) {
        return Ok(());
    }
    let block = snapshot.block(number)?.ok_or(RpcError::UnknownBlock)?;
    block_logs(filter, &block, &receipts, false, limit, found)
}

/// Adds the logs of a block.
///
/// # Errors
/// When there are more than `limit` then.
pub(crate) fn block_logs<C: RpcChain>(
    filter: &Filter,
    block: &RecoveredBlock<C>,
    receipts: &[C::Receipt],
    removed: bool,
    limit: usize,
    found: &mut Vec<Log>,
) -> RpcResult<()> {
    let mut log_index = 0;
    for (index, (receipt, transaction)) in receipts.iter().zip(block.transactions()).enumerate() {
        for log in receipt.logs() {
            if filter.matches(log) {
                if found.len() >= limit {
                    let asked = limit as u64 + 1;
                    let limit = limit as u64;
                    return Err(RpcError::Limit { what: "logs in one answer", asked, limit });
                }
                let hash = *transaction.tx_hash();
                found.push(rpc_log(log, &block.block, hash, index, log_index, removed));
            }
            log_index += 1;
        }
    }
    Ok(())
}
