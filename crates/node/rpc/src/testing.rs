//! The `testing` namespace: builds blocks on demand, for test suites.

use crate::{Args, Context, RpcChain, RpcError, RpcResult, register::Registrar};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bytes};
use jsonrpsee::{Methods, core::RegisterMethodError};
use lockstep_engine::{
    BlockBuilder, BuildError, Engine, EngineError, PayloadBuilder, Payloads, PoolBuilder, Refusal,
};
use lockstep_pool::Pool;
use serde_json::{Value, value::RawValue};
use std::{fmt, sync::Arc};

/// Builds a block that does not become part of the chain.
pub trait TestBlocks: fmt::Debug + Send + Sync {
    /// Builds a block on `parent`.
    ///
    /// `transactions` are encoded as in a block; `None` takes them from the pool. `extra_data`
    /// replaces the node's own. The answer is that of the newest `engine_getPayload`.
    ///
    /// # Errors
    /// When the parent is not known, or attributes or transactions are not valid.
    fn build(
        &self,
        parent: B256,
        attributes: &RawValue,
        transactions: Option<Vec<Bytes>>,
        extra_data: Option<Bytes>,
    ) -> RpcResult<Value>;
}

/// Builds blocks for tests with an engine.
#[derive(Debug)]
pub struct EngineTestBlocks<C: RpcChain + Payloads> {
    engine: Engine<C>,
    pool: Pool<C>,
}

impl<C: RpcChain + Payloads> EngineTestBlocks<C> {
    /// Builds with this engine, from this pool where a request gives no transactions.
    pub const fn new(engine: Engine<C>, pool: Pool<C>) -> Self {
        Self { engine, pool }
    }
}

/// Exactly these transactions, in this order.
#[derive(Debug)]
struct Fixed<C: RpcChain>(Vec<(C::Transaction, Address)>);

impl<C: RpcChain + Payloads> PayloadBuilder<C> for Fixed<C> {
    fn build(&self, block: &mut BlockBuilder<'_, C>) -> Result<(), BuildError> {
        for (index, (transaction, sender)) in self.0.iter().enumerate() {
            match block.push(transaction.clone(), *sender, None) {
                Ok(_) => {}
                Err(Refusal::Failed(error)) => return Err(error),
                Err(refusal) => {
                    return Err(BuildError::Forced { index, reason: refusal.to_string() });
                }
            }
        }
        Ok(())
    }
}

fn engine_error(error: &EngineError) -> RpcError {
    RpcError::refused(error.to_string())
}

impl<C: RpcChain + Payloads> TestBlocks for EngineTestBlocks<C> {
    fn build(
        &self,
        parent: B256,
        attributes: &RawValue,
        transactions: Option<Vec<Bytes>>,
        extra_data: Option<Bytes>,
    ) -> RpcResult<Value> {
        let attributes: C::Attributes = serde_json::from_str(attributes.get())
            .map_err(|error| RpcError::invalid(format!("invalid argument 1: {error}")))?;
        let built = match transactions {
            Some(transactions) => {
                let fixed = Fixed::<C>(decode::<C>(&transactions)?);
                self.engine.build_with(parent, &attributes, &fixed, extra_data)
            }
            None => {
                let pooled = PoolBuilder::new(self.pool.clone());
                self.engine.build_with(parent, &attributes, &pooled, extra_data)
            }
        };
        let built = built.map_err(|error| engine_error(&error))?;
        let chain = self.engine.chain();
        let envelope = built.envelope(chain, chain.newest_versions().get_payload);
        let envelope =
            envelope.ok_or_else(|| RpcError::refused("no Engine API version has this block"))?;
        serde_json::to_value(envelope).map_err(|error| RpcError::Internal(error.to_string()))
    }
}

fn decode<C: RpcChain>(transactions: &[Bytes]) -> RpcResult<Vec<(C::Transaction, Address)>> {
    let decode = |(index, bytes): (usize, &Bytes)| {
        let wrong =
            |error: String| RpcError::invalid(format!("invalid transaction {index}: {error}"));
        let transaction =
            C::Transaction::decode_2718_exact(bytes).map_err(|error| wrong(error.to_string()))?;
        let sender = transaction.recover_signer().map_err(|error| wrong(error.to_string()))?;
        Ok((transaction, sender))
    };
    transactions.iter().enumerate().map(decode).collect()
}

/// All methods of the namespace.
pub(crate) fn methods<C: RpcChain>(
    context: &Arc<Context<C>>,
) -> Result<Methods, RegisterMethodError> {
    Registrar::new(context).work("testing_buildBlockV1", build).finish()
}

fn build<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<Value> {
    let parent: B256 = args.required()?;
    let attributes: Box<RawValue> = args.required()?;
    let transactions: Option<Vec<Bytes>> = args.optional()?;
    let extra_data = args.optional_bytes()?;
    args.end()?;
    match &context.test_blocks {
        Some(builder) => builder.build(parent, &attributes, transactions, extra_data),
        None => Err(RpcError::refused("this node builds no blocks for tests")),
    }
}
