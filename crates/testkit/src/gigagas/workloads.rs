//! What the transactions of each workload are.

mod mixed;
mod payments;
mod relay;
mod swaps;

use super::{Settings, Workload, random::Random};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use core::fmt;
use lockstep_execution::MemoryState;
use mixed::Mixed;
use payments::{TokenTransfers, Transfers};
use relay::Relay;
use swaps::Swaps;

pub use mixed::{MAINNET, Share};

/// A transaction that somebody wants.
#[derive(Debug)]
pub(super) struct Intent {
    pub(super) sender: Address,
    pub(super) to: TxKind,
    pub(super) value: U256,
    pub(super) input: Bytes,
    pub(super) gas_limit: u64,
}

impl Intent {
    /// A call that carries no ether.
    fn call(sender: Address, (to, input): (Address, Bytes), gas_limit: u64) -> Self {
        Self { sender, to: TxKind::Call(to), value: U256::ZERO, input, gas_limit }
    }
}

/// Says which transaction comes next.
pub(super) trait Script: fmt::Debug {
    /// A transaction that succeeds after all those before it.
    fn next(&mut self, random: &mut Random) -> Intent;

    /// A block begins.
    fn begin_block(&mut self) {}
}

/// The script of a workload, whose accounts and contracts are written to `state`.
pub(super) fn script(settings: &Settings, state: &mut MemoryState) -> Box<dyn Script> {
    let gas = settings.gas();
    match settings.workload() {
        Workload::Transfers => Box::new(Transfers::independent(state, gas)),
        Workload::Erc20 => Box::new(TokenTransfers::independent(state, gas)),
        Workload::Uniswap => Box::new(Swaps::independent(state, gas)),
        Workload::Mixed => Box::new(Mixed::new(state, gas)),
        Workload::Conflict => Box::new(Swaps::in_one_pair(state, gas)),
        Workload::Relay => Box::new(Relay::new(state)),
    }
}
