//! The `net` and `web3` namespaces.

use crate::{Context, RpcChain, register::Registrar};
use alloy_primitives::{B256, Bytes, U64, keccak256};
use jsonrpsee::{Methods, core::RegisterMethodError};
use std::sync::Arc;

/// The methods of `net`.
pub(crate) fn net_methods<C: RpcChain>(
    context: &Arc<Context<C>>,
) -> Result<Methods, RegisterMethodError> {
    Registrar::new(context)
        .read("net_version", |context, _| Ok(context.settings.network_id.to_string()))
        // There are no peers until there is a network.
        .read("net_listening", |_, _| Ok(true))
        .read("net_peerCount", |_, _| Ok(U64::ZERO))
        .finish()
}

/// The methods of `web3`.
pub(crate) fn web3_methods<C: RpcChain>(
    context: &Arc<Context<C>>,
) -> Result<Methods, RegisterMethodError> {
    Registrar::new(context)
        .read("web3_clientVersion", |context, _| Ok(context.settings.client_version.clone()))
        .read("web3_sha3", |_, args| {
            let bytes: Bytes = args.required()?;
            let hash: B256 = keccak256(&bytes);
            Ok(hash)
        })
        .finish()
}
