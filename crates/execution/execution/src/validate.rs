//! What a header commits to, held against what execution produced.

use crate::BlockOutput;
use alloy_consensus::BlockHeader;
use alloy_primitives::B256;
use lockstep_chain::{Chain, HeaderError};

/// A commitment of the header that execution does not bear out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// The header states something else than execution produced.
    #[error("header field `{field}` is {expected}, execution gives {got}")]
    Mismatch {
        /// The field's name in JSON-RPC.
        field: &'static str,
        /// What the header states.
        expected: alloc::string::String,
        /// What execution gives.
        got: alloc::string::String,
    },
    /// The header itself is malformed.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

fn compare<T: PartialEq + core::fmt::Display>(
    field: &'static str,
    stated: &T,
    got: &T,
) -> Result<(), OutputError> {
    if stated == got {
        return Ok(());
    }
    Err(OutputError::Mismatch {
        field,
        expected: alloc::format!("{stated}"),
        got: alloc::format!("{got}"),
    })
}

/// Checks gas used, receipts root, bloom, requests hash and blob gas.
///
/// Receipts that lack intermediate state roots (see [`crate::ExecuteOptions`]) are checked by
/// bloom and gas alone.
///
/// # Errors
/// The first commitment that does not hold.
pub fn validate_output<C: Chain>(
    chain: &C,
    header: &C::Header,
    output: &BlockOutput<C::Receipt>,
) -> Result<(), OutputError> {
    compare("gasUsed", &header.gas_used(), &output.gas_used)?;
    let (receipts_root, bloom) = chain.receipts_root(header, &output.receipts);
    if !output.lacks_intermediate_roots {
        compare("receiptsRoot", &header.receipts_root(), &receipts_root)?;
    }
    compare("logsBloom", &header.logs_bloom(), &bloom)?;
    if let Some(requests_hash) = header.requests_hash() {
        compare("requestsHash", &requests_hash, &output.requests.requests_hash())?;
    }
    if let Some(blob_gas_used) = header.blob_gas_used() {
        compare("blobGasUsed", &blob_gas_used, &output.blob_gas_used)?;
    }
    Ok(())
}

/// Checks the state root.
///
/// # Errors
/// [`OutputError::Mismatch`] with both roots.
pub fn validate_state_root(header: &impl BlockHeader, state_root: B256) -> Result<(), OutputError> {
    compare("stateRoot", &header.state_root(), &state_root)
}
