//! What the node says of itself and its chain.

use crate::{
    Args, Context, RpcChain, RpcResult, chain::ForkConfigs, error::RpcError, register::Registrar,
};
use alloy_primitives::{Address, U64};
use serde_json::{Value, json};

pub(super) fn register<C: RpcChain>(registrar: &mut Registrar<C>) {
    registrar
        .read("eth_chainId", chain_id)
        .read("eth_blockNumber", block_number)
        .read("eth_syncing", |context, _| Ok(syncing(context)))
        .read("eth_accounts", accounts)
        .read("eth_protocolVersion", |_, _| Ok("0x44"))
        .read("eth_mining", |_, _| Ok(false))
        .read("eth_hashrate", |_, _| Ok(U64::ZERO))
        .read("eth_coinbase", |_, _| -> RpcResult<Address> {
            Err(RpcError::refused(
                "this node does not mine; the consensus layer names the fee recipient",
            ))
        })
        .read("eth_config", config)
        .read("eth_capabilities", capabilities);
}

fn chain_id<C: RpcChain>(context: &Context<C>, _: &mut Args<'_>) -> RpcResult<U64> {
    Ok(U64::from(context.view.chain().chain_id()))
}

fn block_number<C: RpcChain>(context: &Context<C>, _: &mut Args<'_>) -> RpcResult<U64> {
    Ok(U64::from(context.now().snapshot.head().number))
}

/// `false`, or how far the node is.
pub(crate) fn syncing<C: RpcChain>(context: &Context<C>) -> Value {
    let head = context.now().snapshot.head().number;
    match context.sync.as_ref().and_then(|sync| sync.target()).filter(|target| *target > head) {
        None => Value::Bool(false),
        Some(target) => json!({
            "startingBlock": "0x0",
            "currentBlock": U64::from(head),
            "highestBlock": U64::from(target),
        }),
    }
}

fn accounts<C: RpcChain>(context: &Context<C>, _: &mut Args<'_>) -> RpcResult<Vec<Address>> {
    Ok(context.signer.as_ref().map(|signer| signer.accounts()).unwrap_or_default())
}

fn config<C: RpcChain>(context: &Context<C>, _: &mut Args<'_>) -> RpcResult<ForkConfigs> {
    let now = context.now();
    let genesis = &context.genesis;
    let configs =
        context.view.chain().fork_configs(now.snapshot.head(), genesis.seal(), genesis.timestamp);
    configs.ok_or_else(|| RpcError::refused("this chain has no EIP-7910 configuration"))
}

/// What can be asked for, and how far back.
fn capabilities<C: RpcChain>(context: &Context<C>, _: &mut Args<'_>) -> RpcResult<Value> {
    let now = context.now();
    let head = now.snapshot.head();
    let since = |number: u64| json!({ "disabled": false, "oldestBlock": U64::from(number) });
    let oldest_state = now.snapshot.earliest_state()?;
    let oldest_proof =
        oldest_state.max(head.number.saturating_sub(context.settings.limits.proof_blocks));
    Ok(json!({
        "head": { "number": U64::from(head.number), "hash": head.seal() },
        "state": since(oldest_state),
        "tx": since(0),
        "logs": since(0),
        "receipts": since(0),
        "blocks": since(0),
        "stateproofs": since(oldest_proof),
    }))
}
