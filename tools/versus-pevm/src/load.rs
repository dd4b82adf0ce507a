//! Blocks to measure with, in our forms.

use alloy_primitives::{Address, B256};
use core::ops::ControlFlow;
use eyre::{Result, ensure};
use lockstep_chain::{Block, Ethereum};
use lockstep_execution::MemoryState;
use lockstep_testkit::mainnet::{Limits, visit};
use std::{collections::BTreeMap, path::Path};

/// Blocks that are added up.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) loads: Vec<Load>,
}

/// A decoded block, its senders, and the state before it in memory.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) number: u64,
    pub(crate) chain: Ethereum,
    pub(crate) block: Block<Ethereum>,
    pub(crate) senders: Vec<Address>,
    /// It knows the hashes of ancestors, too.
    pub(crate) state: MemoryState,
    pub(crate) block_hashes: BTreeMap<u64, B256>,
}

impl Set {
    /// Real blocks, all that are complete, or those that are asked for.
    ///
    /// # Errors
    /// If a file cannot be read, or there is no block.
    pub(crate) fn mainnet(path: &Path, only: &[u64]) -> Result<Self> {
        let mut loads = Vec::new();
        let mut failure = None;
        let _ = visit(path, &Limits::default(), &mut |fixture| {
            let fixture = match fixture {
                Ok(fixture) => fixture,
                Err(error) => {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            };
            let is_wanted = only.is_empty() || only.contains(&fixture.number());
            if is_wanted && fixture.is_complete() {
                let mut state = fixture.state().accounts().clone();
                let block_hashes = fixture.state().block_hashes().clone();
                for (number, hash) in &block_hashes {
                    state.set_block_hash(*number, *hash);
                }
                loads.push(Load {
                    number: fixture.number(),
                    chain: fixture.chain().clone(),
                    block: fixture.block().clone(),
                    senders: fixture.senders().to_vec(),
                    state,
                    block_hashes,
                });
            }
            ControlFlow::Continue(())
        });
        if let Some(error) = failure {
            return Err(error.into());
        }
        ensure!(!loads.is_empty(), "{} holds no complete block that was asked for", path.display());
        Ok(Self { name: "mainnet".into(), loads })
    }
}
