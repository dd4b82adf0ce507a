//! Run the tests of each suite.

mod block_tree;
pub mod blockchain;
pub mod difficulty;
pub mod engine;
pub mod rlp;
mod seals;
pub mod state;
pub mod transaction;
pub mod trie;
pub mod vm;

pub use block_tree::BlockTree;
pub use seals::Seals;

use crate::{
    model::blockchain::Config,
    network::{Network, parse_fork},
    report::Outcome,
};
use lockstep_chain::Ethereum;

/// The chain that a fixture runs on.
///
/// # Errors
/// [`Outcome::Skipped`] if the network's fork is not implemented, [`Outcome::Failed`] if its name
/// means nothing.
pub fn chain(network: &str, config: Option<&Config>) -> Result<Ethereum, Outcome> {
    let forks = match Network::parse(network) {
        Ok(Network::Known(forks)) => forks,
        Ok(Network::NotImplemented(fork)) => {
            return Err(Outcome::Skipped(format!("{fork} is not implemented by the pinned revm")));
        }
        Err(error) => return Err(Outcome::Failed(error.to_string())),
    };
    let chain_id = config.and_then(|config| config.chainid).map_or(1, |id| id.0);
    let mut chain = Ethereum::new(chain_id, forks);
    for (name, fields) in config.into_iter().flat_map(|config| &config.blob_schedule) {
        // A schedule may name forks beyond the network's.
        let Some(fork) = parse_fork(name) else { continue };
        let params = fields.params().ok_or_else(|| {
            Outcome::Failed(format!("config.blobSchedule.{name}: no blob parameters: {fields:?}"))
        })?;
        chain = chain.with_blob_params(fork, params);
    }
    Ok(chain)
}
