//! Made-up blocks of as much gas as one asks for.

use crate::{
    load::{Load, Set},
    peer_workloads,
};
use core::num::NonZeroU64;
use eyre::{Result, ensure};
use lockstep_execution::{ExecuteOptions, execute_block};
use lockstep_testkit::gigagas::{Generator, MAX_GAS, Settings, Workload as Ours};
use std::collections::BTreeMap;

/// What choices of our workloads follow from.
const SEED: u64 = 1;

/// What transactions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Workload {
    /// Ours: ether goes from account to account.
    Transfers,
    /// Ours: four ERC-20 tokens do.
    Erc20,
    /// Ours: swaps in pairs as those of Uniswap v2.
    Uniswap,
    /// Ours: transactions as in mainnet blocks.
    Mixed,
    /// Ours: swaps in one pair, each of which needs what the one before left.
    Conflict,
    /// pevm's: each account pays itself.
    PevmTransfers,
    /// pevm's: each holder of one ERC-20 token sends some to itself.
    PevmErc20,
    /// pevm's: swaps on Uniswap v3, each on a pair of its own.
    PevmUniswap,
}

impl Workload {
    /// One block of about that much gas.
    ///
    /// # Errors
    /// If it is too much, or the block cannot be executed.
    pub(crate) fn set(self, gas: NonZeroU64) -> Result<Set> {
        ensure!(gas.get() <= MAX_GAS, "{gas} gas in one block; at most {MAX_GAS} can be measured");
        let (name, load) = match self {
            Self::Transfers => ("transfers", made(Ours::Transfers, gas)?),
            Self::Erc20 => ("erc20", made(Ours::Erc20, gas)?),
            Self::Uniswap => ("uniswap", made(Ours::Uniswap, gas)?),
            Self::Mixed => ("mixed", made(Ours::Mixed, gas)?),
            Self::Conflict => ("conflict", made(Ours::Conflict, gas)?),
            Self::PevmTransfers => ("pevm's transfers", peer_workloads::transfers(gas.get())),
            Self::PevmErc20 => ("pevm's erc20", peer_workloads::erc20(gas.get())),
            Self::PevmUniswap => ("pevm's uniswap", peer_workloads::uniswap(gas.get())),
        };
        Ok(Set { name: name.into(), loads: vec![completed(load)?] })
    }
}

/// The first block of one of our workloads.
fn made(workload: Ours, gas: NonZeroU64) -> Result<Load> {
    let mut generator = Generator::new(Settings::new(workload, gas.get(), SEED)?);
    let made = generator.next_block()?;
    Ok(Load {
        number: made.block.header.number,
        chain: generator.chain().clone(),
        block: made.block,
        senders: made.senders,
        state: generator.state().clone(),
        block_hashes: BTreeMap::new(),
    })
}

/// Writes the gas that is used into the header: pevm decides by it whether a block is worth several threads.
fn completed(mut load: Load) -> Result<Load> {
    let Load { chain, block, senders, state, .. } = &load;
    let output = execute_block(chain, block, senders, state, ExecuteOptions::default())?;
    load.block.header.gas_used = output.gas_used;
    Ok(load)
}
