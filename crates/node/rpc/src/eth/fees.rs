//! What gas costs, cost, and will cost.

use crate::{
    Args, Context, RpcChain, RpcError, RpcResult, deadline::Deadline, register::Registrar,
};
use alloy_consensus::{Header, Transaction, TxReceipt};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Sealed, U256};
use alloy_rpc_types_eth::FeeHistory;
use lockstep_engine::ChainSnapshot;
use parking_lot::Mutex;

/// The blocks that a suggested tip looks at (go-ethereum's default).
const SUGGESTION_BLOCKS: u64 = 20;
/// The cheapest transactions of each that count.
const SUGGESTION_SAMPLES: usize = 3;
/// The percentile of the sampled tips that is suggested.
const SUGGESTION_PERCENTILE: usize = 60;
/// Tips below this, in wei, are taken for the work of block builders.
const IGNORED_TIP: u128 = 2;
/// The most percentiles in a request.
const MAX_PERCENTILES: usize = 100;

pub(super) fn register<C: RpcChain>(registrar: &mut Registrar<C>) {
    registrar
        .work("eth_gasPrice", gas_price)
        .work("eth_maxPriorityFeePerGas", |context, _| Ok(U256::from(suggest_tip(context)?)))
        .read("eth_baseFee", base_fee)
        .read("eth_blobBaseFee", blob_base_fee)
        .work("eth_feeHistory", fee_history);
}

/// The base fee of a child of `header`.
fn next_base_fee<C: RpcChain>(chain: &C, header: &Header) -> Option<u64> {
    chain.next_base_fee(header, header.timestamp.saturating_add(1))
}

fn base_fee<C: RpcChain>(context: &Context<C>, _: &mut Args<'_>) -> RpcResult<Option<U256>> {
    let now = context.now();
    Ok(next_base_fee(context.view.chain(), now.snapshot.head()).map(U256::from))
}

fn blob_base_fee<C: RpcChain>(context: &Context<C>, _: &mut Args<'_>) -> RpcResult<Option<U256>> {
    let now = context.now();
    let head = now.snapshot.head();
    let fee = context.view.chain().next_blob_base_fee(head, head.timestamp.saturating_add(1));
    Ok(fee.map(U256::from))
}

fn gas_price<C: RpcChain>(context: &Context<C>, _: &mut Args<'_>) -> RpcResult<U256> {
    let now = context.now();
    let base_fee = next_base_fee(context.view.chain(), now.snapshot.head()).unwrap_or_default();
    Ok(U256::from(suggest_tip(context)?) + U256::from(base_fee))
}

/// The tip that was suggested last, and the head that it holds for.
pub(crate) type TipCache = Mutex<Option<(alloy_primitives::B256, u128)>>;

/// The tip that gets a transaction into a block soon, by what recent blocks took.
pub(crate) fn suggest_tip<C: RpcChain>(context: &Context<C>) -> RpcResult<u128> {
    let now = context.now();
    let head = now.snapshot.head();
    if let Some((hash, tip)) = *context.suggested_tip.lock()
        && hash == head.seal()
    {
        return Ok(tip);
    }
    let mut tips = Vec::new();
    let oldest = head.number.saturating_sub(SUGGESTION_BLOCKS - 1);
    for number in oldest..=head.number {
        let Some(block) = now.snapshot.block(number)? else { continue };
        let header = &block.block.header;
        let mut of_block: Vec<u128> = block
            .transactions()
            .iter()
            .zip(&block.senders)
            .filter(|(_, sender)| **sender != header.beneficiary)
            .filter_map(|(transaction, _)| effective_tip(transaction, header))
            .filter(|tip| *tip >= IGNORED_TIP)
            .collect();
        of_block.sort_unstable();
        tips.extend(of_block.into_iter().take(SUGGESTION_SAMPLES));
    }
    tips.sort_unstable();
    let at = tips.len().saturating_sub(1) * SUGGESTION_PERCENTILE / 100;
    let tip = tips.get(at).copied().unwrap_or_else(|| context.settings.default_tip.into());
    let tip = tip.min(context.settings.max_suggested_tip.into());
    *context.suggested_tip.lock() = Some((head.seal(), tip));
    Ok(tip)
}

/// What the beneficiary gets per gas; `None` for a transaction that pays no fee (a deposit).
fn effective_tip(transaction: &impl Transaction, header: &Header) -> Option<u128> {
    match header.base_fee_per_gas {
        Some(base_fee) => transaction.effective_tip_per_gas(base_fee),
        None => Some(transaction.max_fee_per_gas()),
    }
}

fn fee_history<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<FeeHistory> {
    let blocks = args.quantity()?;
    let newest: BlockNumberOrTag = args.required()?;
    let percentiles: Option<Vec<f64>> = args.optional()?;
    // go-ethereum tells no rewards at no percentiles.
    let percentiles = percentiles.filter(|percentiles| !percentiles.is_empty());
    check_percentiles(percentiles.as_deref().unwrap_or_default())?;
    let now = context.now();
    let snapshot = &now.snapshot;
    let newest = snapshot.resolve(newest).ok_or_else(|| match newest {
        BlockNumberOrTag::Number(number) => RpcError::refused(format!(
            "request beyond head block: requested {number}, head {}",
            snapshot.head().number
        )),
        _ => RpcError::UnknownBlock,
    })?;
    let blocks = blocks.min(context.settings.limits.fee_history_blocks).min(newest + 1);
    let mut history = FeeHistory::default();
    if blocks == 0 {
        return Ok(history);
    }
    history.oldest_block = newest + 1 - blocks;
    history.reward = percentiles.as_ref().map(|_| Vec::new());
    let chain = context.view.chain();
    for number in history.oldest_block..=newest {
        args.deadline().map_or(Ok(()), Deadline::check)?;
        let header = snapshot.header(number)?.ok_or(RpcError::UnknownBlock)?;
        add_block(chain, &header, &mut history);
        if let (Some(percentiles), Some(rewards)) = (&percentiles, &mut history.reward) {
            rewards.push(rewards_of(snapshot, &header, percentiles)?);
        }
        if number == newest {
            add_next(chain, snapshot, &header, &mut history)?;
        }
    }
    Ok(history)
}

fn check_percentiles(percentiles: &[f64]) -> RpcResult<()> {
    let invalid =
        |reason: String| Err(RpcError::refused(format!("invalid reward percentile: {reason}")));
    if percentiles.len() > MAX_PERCENTILES {
        return invalid(format!("over the query limit {MAX_PERCENTILES}"));
    }
    if let Some(wrong) = percentiles.iter().find(|each| !(0.0..=100.0).contains(*each)) {
        return invalid(wrong.to_string());
    }
    let pairs = percentiles.iter().zip(percentiles.iter().skip(1));
    for (before, after) in pairs {
        if before >= after {
            return invalid(format!("{before} is not below {after}"));
        }
    }
    Ok(())
}

fn ratio(used: u64, limit: u64) -> f64 {
    if limit == 0 { 0.0 } else { used as f64 / limit as f64 }
}

fn add_block<C: RpcChain>(chain: &C, header: &Header, history: &mut FeeHistory) {
    history.base_fee_per_gas.push(header.base_fee_per_gas.unwrap_or_default().into());
    history.gas_used_ratio.push(ratio(header.gas_used, header.gas_limit));
    history.base_fee_per_blob_gas.push(chain.blob_base_fee(header).unwrap_or_default());
    let blob_ratio = ratio(header.blob_gas_used.unwrap_or_default(), chain.max_blob_gas(header));
    history.blob_gas_used_ratio.push(blob_ratio);
}

/// The prices of the block after the newest: its own if it exists, predicted otherwise.
fn add_next<C: RpcChain>(
    chain: &C,
    snapshot: &ChainSnapshot<C>,
    newest: &Sealed<Header>,
    history: &mut FeeHistory,
) -> RpcResult<()> {
    let (base_fee, blob_base_fee) = match snapshot.header(newest.number + 1)? {
        Some(next) => (next.base_fee_per_gas, chain.blob_base_fee(&next)),
        None => {
            let timestamp = newest.timestamp.saturating_add(1);
            (chain.next_base_fee(newest, timestamp), chain.next_blob_base_fee(newest, timestamp))
        }
    };
    history.base_fee_per_gas.push(base_fee.unwrap_or_default().into());
    history.base_fee_per_blob_gas.push(blob_base_fee.unwrap_or_default());
    Ok(())
}

/// The tips at the given percentiles of a block's gas.
fn rewards_of<C: RpcChain>(
    snapshot: &ChainSnapshot<C>,
    header: &Sealed<Header>,
    percentiles: &[f64],
) -> RpcResult<Vec<u128>> {
    let block = snapshot.block(header.number)?.ok_or(RpcError::UnknownBlock)?;
    let receipts = snapshot.receipts(header.number)?.ok_or(RpcError::UnknownBlock)?;
    let mut before = 0;
    let mut tips: Vec<(u128, u64)> = Vec::with_capacity(receipts.len());
    for (transaction, receipt) in block.transactions().iter().zip(receipts.iter()) {
        let gas = receipt.cumulative_gas_used().saturating_sub(before);
        before = receipt.cumulative_gas_used();
        tips.push((effective_tip(transaction, header).unwrap_or_default(), gas));
    }
    tips.sort_unstable();
    let mut rewards = Vec::with_capacity(percentiles.len());
    let mut tips = tips.into_iter();
    let (mut tip, mut gas) = tips.next().unwrap_or_default();
    for percentile in percentiles {
        let threshold = (header.gas_used as f64 * percentile / 100.0) as u64;
        while gas < threshold {
            let Some((next_tip, next_gas)) = tips.next() else { break };
            tip = next_tip;
            gas += next_gas;
        }
        rewards.push(tip);
    }
    Ok(rewards)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_ordered_and_within_a_hundred() {
        assert!(check_percentiles(&[0.0, 50.5, 100.0]).is_ok());
        for wrong in [&[1.0, 1.0][..], &[2.0, 1.0], &[-0.1], &[100.1], &[f64::NAN]] {
            assert!(check_percentiles(wrong).is_err(), "{wrong:?}");
        }
        assert!(check_percentiles(&[0.5; MAX_PERCENTILES + 1]).is_err());
    }
}
