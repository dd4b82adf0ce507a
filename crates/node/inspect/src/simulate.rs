//! `eth_simulateV1`: blocks that nobody built, on top of one of the chain.

mod block;
mod schedule;
mod transfers;

use crate::{Inspect, InspectError, Limits, Overlay};
use alloy_consensus::Header;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::Sealed;
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use block::Simulation;
use lockstep_execution::{StateCommitment, StateReader};
use lockstep_trie::NodeSource;
use serde::Deserialize;
use serde_json::Value;

/// What to simulate: the first parameter of `eth_simulateV1`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SimulateRequest {
    /// The blocks, in order.
    #[serde(default)]
    pub block_state_calls: Vec<BlockStateCall>,
    /// Whether transfers of ether are told as logs, too.
    #[serde(default)]
    pub trace_transfers: bool,
    /// Whether transactions must pay the base fee and have the right nonce.
    #[serde(default)]
    pub validation: bool,
    /// Whether blocks show their transactions instead of the hashes alone.
    #[serde(default)]
    pub return_full_transactions: bool,
}

/// One block to simulate.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockStateCall {
    /// What is different in its header.
    #[serde(default)]
    pub block_overrides: Option<SimulatedOverrides>,
    /// What is different in the state before it.
    #[serde(default)]
    pub state_overrides: Option<StateOverride>,
    /// Its transactions.
    #[serde(default)]
    pub calls: Option<Vec<TransactionRequest>>,
}

/// What is different in a simulated block.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SimulatedOverrides {
    /// The header.
    #[serde(flatten)]
    pub header: BlockOverrides,
    /// The withdrawals (EIP-4895).
    #[serde(default)]
    pub withdrawals: Option<Vec<Withdrawal>>,
}

/// Simulates blocks on top of `base`, whose state (after it) is `state`.
///
/// Returns one JSON object per block, those that fill gaps included: the block as
/// `eth_getBlockByNumber` shows it, with the result of each call under `calls`. Hashes, roots and
/// receipts are those that the blocks would have.
///
/// # Errors
/// A call that cannot run ends the simulation with [`InspectError::Refused`]; its code is
/// [`InspectError::simulation_code`]. One that runs and fails is a result.
pub fn simulate_v1<C: Inspect, S: StateReader + NodeSource>(
    chain: &C,
    base: &Sealed<Header>,
    state: S,
    request: &SimulateRequest,
    limits: &Limits<'_>,
) -> Result<Vec<Value>, InspectError> {
    if request.block_state_calls.is_empty() {
        return Err(InspectError::Parameters("empty input".into()));
    }
    for block in &request.block_state_calls {
        if let Some(accounts) = &block.state_overrides {
            limits.check_overrides(accounts)?;
        }
    }
    let planned = schedule::plan(base, &request.block_state_calls, limits)?;
    let mut overlay = Overlay::new(state);
    overlay.set_block_hash(base.number, base.hash());
    let mut simulation = Simulation {
        chain,
        request,
        limits,
        overlay,
        commitment: C::Commitment::from_root(base.state_root),
        gas_left: limits.gas_cap,
        timestamp: base.timestamp,
    };
    let mut parent = base.clone();
    let mut blocks = Vec::with_capacity(planned.len());
    for block in &planned {
        let (header, json) = simulation.run(block, &parent)?;
        blocks.push(json);
        parent = header;
    }
    Ok(blocks)
}
