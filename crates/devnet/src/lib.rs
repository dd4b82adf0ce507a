//! An embedded L1 with a development beacon chain.

mod accounts;
pub mod beacon;
mod beacon_engine;
mod clock;
mod devnet;
mod genesis;
mod l1_origin;
mod remote_l1;
mod rollup_node;
mod sequencer;
mod settings;
mod signer;
pub mod ssz;

pub use accounts::{ACCOUNTS, DevAccount, MNEMONIC, accounts};
pub use clock::Clock;
pub use devnet::{Devnet, DevnetError, dev_server};
pub use genesis::{BALANCE, GAS_LIMIT, L1_CHAIN_ID, ROLLUP_CHAIN_ID, l1_genesis, rollup_genesis};
pub use l1_origin::{L1Heads, L1Origin, L1Origins};
pub use remote_l1::{RemoteL1, RemoteL1Error};
pub use sequencer::{Sequencer, SequencerConfig, SequencerError};
pub use settings::{DevnetConfig, EmbeddedL1, FolderError, L1Source, stored_l1_genesis};
pub use signer::DevSigner;
