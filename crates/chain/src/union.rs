//! What the rollups of a union agree on: members, limits and prices.

use alloc::collections::BTreeSet;
use alloy_primitives::{Address, ChainId, address};

/// The contract that makes proxies and whose storage holds the transcripts
/// (`docs/super-transactions.md`, rule 1.1).
pub const GATE: Address = address!("42000000000000000000000000000000000000E0");
/// Where proxies send their calls, for the executor to intercept (rule 1.1); and whom the transactions
/// come from that hold a rollup's part of a super transaction (rule 8.6).
pub const PORT: Address = address!("42000000000000000000000000000000000000E1");

/// The rules of one union. All its rollups have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnionRules {
    /// The chain ids of the rollups.
    pub chains: BTreeSet<ChainId>,
    /// Gas of the caller for each call of the port, made or not, and of the peer for each that arrives.
    pub lock_gas: u64,
    /// Gas for each byte that a script carries: of caller and peer for input, of the peer for output.
    pub byte_gas: u64,
    /// Gas of the peer for the proxy of a caller that has none there yet.
    pub proxy_gas: u64,
    /// How deep cross-rollup calls nest: the first has depth 1.
    pub max_depth: u32,
    /// No call is made at this or a later step of a super transaction.
    pub max_steps: u32,
    /// Bytes of a call's input.
    pub max_input_bytes: usize,
    /// Bytes of a call's output; a call that returns more has failed.
    pub max_output_bytes: usize,
}

impl UnionRules {
    /// The default limits and prices for a union of these rollups.
    pub fn new(chains: impl IntoIterator<Item = ChainId>) -> Self {
        Self {
            chains: chains.into_iter().collect(),
            lock_gas: 10_000,
            byte_gas: 16,
            proxy_gas: 60_000,
            max_depth: 16,
            max_steps: 4_096,
            max_input_bytes: 64 << 10,
            max_output_bytes: 64 << 10,
        }
    }

    /// What a call with input of this length takes on the rollup that it arrives on, in its gas (rule 5.3).
    pub const fn arrival_gas(&self, input_bytes: usize) -> u64 {
        self.lock_gas.saturating_add(self.byte_gas.saturating_mul(input_bytes as u64))
    }

    /// How many steps one rollup's part can have: a call has an answer, and may be undone.
    pub const fn max_part_steps(&self) -> usize {
        self.max_steps as usize * 4
    }
}
