//! The `eth` namespace.

pub(crate) mod blocks;
mod call_costs;
mod calls;
mod fees;
mod filters;
pub(crate) mod incomplete;
mod node;
mod state;
mod submit;
mod subscribe;
mod transactions;
mod updates;

pub(crate) use call_costs::{CallCosts, Place};
pub(crate) use calls::{Target, call_error, call_limits, target as call_target};
pub(crate) use fees::TipCache;
pub(crate) use transactions::{raw as raw_transaction, rpc_pooled};
pub(crate) use updates::Update;

use crate::{Context, RpcChain, register::Registrar};
use jsonrpsee::{Methods, core::RegisterMethodError};
use std::sync::Arc;

/// All methods of the namespace.
pub(crate) fn methods<C: RpcChain>(
    context: &Arc<Context<C>>,
) -> Result<Methods, RegisterMethodError> {
    let mut registrar = Registrar::new(context);
    node::register(&mut registrar);
    blocks::register(&mut registrar);
    transactions::register(&mut registrar);
    state::register(&mut registrar);
    fees::register(&mut registrar);
    calls::register(&mut registrar);
    submit::register(&mut registrar);
    filters::register(&mut registrar);
    subscribe::register(&mut registrar);
    registrar.finish()
}
