//! Transactions that users send.

use crate::{
    Args, Context, RpcChain, RpcError, RpcResult,
    error::{INTERNAL_ERROR, SERVER_ERROR},
    eth::{fees, incomplete::Told, transactions},
    feed::FeedEnd,
    register::Registrar,
};
use alloy_consensus::{SignableTransaction, TypedTransaction, transaction::TxHashRef};
use alloy_eips::eip2718::{Decodable2718, EIP7702_TX_TYPE_ID, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, Signature, U64, U256, eip191_hash_message};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::types::Params;
use lockstep_pool::{Origin, PoolError};
use serde::Serialize;
use std::{sync::Arc, time::Duration};

/// Transactions larger than this have proofs to check, which takes milliseconds.
const MAX_INLINE_BYTES: usize = 32 * 1024;

/// As above for transactions with authorizations, each of which is a signature to check.
const MAX_INLINE_AUTHORIZED_BYTES: usize = 2 * 1024;

/// How long `eth_sendRawTransactionSync` waits if the client does not say (EIP-7966).
const DEFAULT_SYNC_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest that it waits, whatever the client says.
const MAX_SYNC_TIMEOUT: Duration = Duration::from_secs(30);

/// EIP-7966: the transaction is in the pool, but was not included in time.
const SYNC_TIMEOUT: i32 = 4;
/// EIP-7966: the transaction cannot be included before others of its sender.
const SYNC_NONCE_GAP: i32 = 6;

pub(super) fn register<C: RpcChain>(registrar: &mut Registrar<C>) {
    // As in go-ethereum, it makes no difference how a transaction came, not even by the operator's
    // own socket: it is kept, but has no privileges.
    registrar
        .task("eth_sendRawTransaction", |context, params| async move {
            let bytes = raw_transaction(&params)?;
            add(context, bytes, Origin::User).await
        })
        .task("eth_sendPrivateTransaction", |context, params| async move {
            let bytes = raw_transaction(&params)?;
            add(context, bytes, Origin::Private).await
        })
        .task("eth_sendRawTransactionSync", send_sync)
        .work("eth_sendTransaction", send)
        .work("eth_signTransaction", sign_transaction)
        .work("eth_fillTransaction", fill_transaction)
        .read("eth_sign", |context, args| {
            let account: Address = args.required()?;
            let message: Bytes = args.required()?;
            sign_message(context, &account, &message)
        })
        .read("personal_sign", |context, args| {
            let message: Bytes = args.required()?;
            let account: Address = args.required()?;
            args.optional::<String>()?;
            sign_message(context, &account, &message)
        });
}

fn raw_transaction(params: &Params<'_>) -> RpcResult<Bytes> {
    let mut args = Args::new(params)?;
    let bytes = args.required()?;
    args.end()?;
    Ok(bytes)
}

/// Why the pool refused a transaction, as tools expect it.
pub(crate) fn pool_error(error: &PoolError) -> RpcError {
    let code = if error.is_internal() { INTERNAL_ERROR } else { SERVER_ERROR };
    RpcError::Refused { code, message: error.to_string() }
}

async fn add<C: RpcChain>(
    context: Arc<Context<C>>,
    bytes: Bytes,
    origin: Origin,
) -> RpcResult<B256> {
    submit(&context, bytes, origin).await?.map_err(|error| pool_error(&error))
}

/// What the pool says to a transaction; the outer error is that no worker had time to ask it.
async fn submit<C: RpcChain>(
    context: &Arc<Context<C>>,
    bytes: Bytes,
    origin: Origin,
) -> RpcResult<Result<B256, PoolError>> {
    if is_quick(&bytes) {
        return Ok(context.pool.add_raw(&bytes, origin));
    }
    let pool = context.pool.clone();
    context.workers.run(move || Ok(pool.add_raw(&bytes, origin))).await
}

/// Whether a transaction is checked at once: it has neither proofs nor many signatures.
fn is_quick(bytes: &[u8]) -> bool {
    let limit = match bytes.first() {
        Some(&EIP7702_TX_TYPE_ID) => MAX_INLINE_AUTHORIZED_BYTES,
        _ => MAX_INLINE_BYTES,
    };
    bytes.len() <= limit
}

/// Sends a transaction and waits until it is in a block (EIP-7966).
async fn send_sync<C: RpcChain>(
    context: Arc<Context<C>>,
    params: Params<'static>,
) -> RpcResult<Told<C::RpcReceipt>> {
    let (bytes, timeout) = {
        let mut args = Args::new(&params)?;
        let bytes: Bytes = args.required()?;
        let milliseconds: Option<U64> = args.optional()?;
        args.end()?;
        let timeout =
            milliseconds.map_or(DEFAULT_SYNC_TIMEOUT, |given| Duration::from_millis(given.to()));
        (bytes, timeout.min(MAX_SYNC_TIMEOUT))
    };
    let hash = match submit(&context, bytes.clone(), Origin::User).await? {
        Ok(hash) | Err(PoolError::AlreadyKnown { hash }) => hash,
        Err(error @ PoolError::NonceTooLow { .. }) => {
            // It may be sent again after a timeout, and be in a block by now.
            let receipt = match C::PooledTransaction::decode_2718_exact(&bytes) {
                Ok(transaction) => transactions::receipt(&context, transaction.tx_hash())?,
                Err(_) => None,
            };
            return receipt.ok_or_else(|| pool_error(&error));
        }
        Err(PoolError::NonceGap { gap, .. }) => return Err(nonce_gap(gap)),
        Err(error) => return Err(pool_error(&error)),
    };
    if let Some(gap) = missing_nonce(&context, &hash)? {
        return Err(nonce_gap(gap));
    }
    match tokio::time::timeout(timeout, included(&context, &hash)).await {
        Ok(receipt) => receipt,
        Err(_) => Err(RpcError::RefusedWith {
            code: SYNC_TIMEOUT,
            message: format!(
                "The transaction was added to the mempool but wasn't processed in {} ms",
                timeout.as_millis()
            ),
            data: json_string(&hash)?,
        }),
    }
}

/// The first nonce that the sender of a waiting transaction lacks, if that keeps it from blocks.
fn missing_nonce<C: RpcChain>(context: &Context<C>, hash: &B256) -> RpcResult<Option<u64>> {
    let Some(pooled) = context.pool.get(hash) else { return Ok(None) };
    let next = match context.pool.next_nonce(pooled.sender) {
        Some(next) => next,
        None => {
            let account = context.now().state()?.account(&pooled.sender)?;
            account.map_or(0, |account| account.nonce)
        }
    };
    Ok((pooled.nonce() > next).then_some(next))
}

fn nonce_gap(expected: u64) -> RpcError {
    let message = format!("The transaction was rejected due to a nonce gap: expected {expected}");
    match json_string(&U64::from(expected)) {
        Ok(data) => RpcError::RefusedWith { code: SYNC_NONCE_GAP, message, data },
        Err(error) => error,
    }
}

fn json_string(value: &impl Serialize) -> RpcResult<Box<serde_json::value::RawValue>> {
    serde_json::value::to_raw_value(value).map_err(|error| RpcError::Internal(error.to_string()))
}

/// Waits until a transaction is in a block, be it one that is not complete yet.
async fn included<C: RpcChain>(
    context: &Context<C>,
    hash: &B256,
) -> RpcResult<Told<C::RpcReceipt>> {
    let waiter = context.waiters.wait_for(*hash);
    loop {
        // Listening begins first, so that no block can be missed.
        let woken = waiter.woken();
        if let Some(receipt) = transactions::receipt(context, hash)? {
            return Ok(receipt);
        }
        if context.waiters.is_closed() {
            return Err(RpcError::Internal(FeedEnd::Closed.to_string()));
        }
        woken.await;
    }
}

/// A transaction and its encoding.
#[derive(Clone, Debug, Serialize)]
struct Prepared {
    raw: Bytes,
    tx: TypedTransaction,
}

fn unknown_account() -> RpcError {
    RpcError::refused("unknown account")
}

/// Fills in what a request leaves open: type, nonce, fees, gas limit.
fn fill<C: RpcChain>(
    context: &Context<C>,
    mut request: TransactionRequest,
) -> RpcResult<TypedTransaction> {
    let now = context.now();
    let head = now.snapshot.head();
    let chain = context.view.chain();
    let from = request.from.ok_or_else(|| RpcError::invalid("missing field `from`"))?;
    request.chain_id.get_or_insert(chain.chain_id());
    if request.nonce.is_none() {
        let account = now.state()?.account(&from)?;
        let nonce = account.map_or(0, |account| account.nonce);
        request.nonce = Some(context.pool.next_nonce(from).unwrap_or(nonce));
    }
    let next_base_fee = chain.next_base_fee(head, head.timestamp.saturating_add(1));
    let tip = fees::suggest_tip(context)?;
    match next_base_fee {
        _ if request.gas_price.is_some() => {}
        Some(base_fee) => {
            let tip = *request.max_priority_fee_per_gas.get_or_insert(tip);
            request.max_fee_per_gas.get_or_insert((u128::from(base_fee) * 2).saturating_add(tip));
        }
        None => request.gas_price = Some(tip),
    }
    if request.blob_versioned_hashes.is_some() && request.max_fee_per_blob_gas.is_none() {
        let fee = chain.next_blob_base_fee(head, head.timestamp.saturating_add(1));
        request.max_fee_per_blob_gas = Some(fee.unwrap_or(1).saturating_mul(2));
    }
    if request.gas.is_none() {
        let limits = super::calls::call_limits(context);
        let overrides = lockstep_inspect::Overrides::default();
        let state = now.state()?;
        let gas = lockstep_inspect::estimate_gas(chain, head, state, &request, &overrides, &limits);
        request.gas = Some(gas.map_err(super::calls::call_error)?);
    }
    request.to.get_or_insert(alloy_primitives::TxKind::Create);
    request
        .build_typed_tx()
        .map_err(|_| RpcError::invalid("the fields do not make a transaction of any type"))
}

fn signed<C: RpcChain>(context: &Context<C>, request: TransactionRequest) -> RpcResult<Prepared> {
    let signer = context.signer.as_ref().ok_or_else(unknown_account)?;
    let from = request.from.ok_or_else(|| RpcError::invalid("missing field `from`"))?;
    if !signer.accounts().contains(&from) {
        return Err(unknown_account());
    }
    let transaction = fill(context, request)?;
    let signature =
        signer.sign_hash(&from, &transaction.signature_hash()).ok_or_else(unknown_account)?;
    let raw = encode(&transaction, signature);
    Ok(Prepared { raw, tx: transaction })
}

fn encode(transaction: &TypedTransaction, signature: Signature) -> Bytes {
    transaction.clone().into_envelope(signature).encoded_2718().into()
}

fn send<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<B256> {
    let request: TransactionRequest = args.required()?;
    // Nothing may be sent for a client that is told of an error: it would send it again.
    args.end()?;
    let prepared = signed(context, request)?;
    context.pool.add_raw(&prepared.raw, Origin::Local).map_err(|error| pool_error(&error))
}

fn sign_transaction<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<Prepared> {
    signed(context, args.required()?)
}

fn fill_transaction<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<Prepared> {
    let transaction = fill(context, args.required()?)?;
    let unsigned = Signature::new(U256::ZERO, U256::ZERO, false);
    Ok(Prepared { raw: encode(&transaction, unsigned), tx: transaction })
}

fn sign_message<C: RpcChain>(
    context: &Context<C>,
    account: &Address,
    message: &[u8],
) -> RpcResult<Bytes> {
    let signer = context.signer.as_ref().ok_or_else(unknown_account)?;
    let signature = signer.sign_hash(account, &eip191_hash_message(message));
    let signature = signature.ok_or_else(unknown_account)?;
    Ok(Bytes::copy_from_slice(&signature.as_bytes()))
}
