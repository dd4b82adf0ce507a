//! An embedded L1 with a development beacon chain, and a rollup on it, or a union of several.
//!
//! [`Devnet`] runs all of it in one process and in real time: our L1 node under a development beacon
//! ([`beacon`]), or an L1 that others run; a node that sequences the rollup, with a batcher that posts
//! its blocks; a second node that derives the rollup from the L1's JSON-RPC and Beacon API and
//! nothing else; and a proposer that claims what that one found, so that withdrawals can be proven.
//! The two nodes are compared ([`Agreement`]), and the followers of a union's rollups with each other
//! ([`JointAgreement`]); that they disagree ends the network.
//!
//! Several rollups are a union ([`UnionPlan`]): a gateway makes the blocks of all, so that contracts on one call those
//! on another, and posts them in the slots of the L1's proposers that opted in.
//!
//! ```
//! use lockstep_devnet::{Beginning, MNEMONIC, RollupPlan, accounts, operators};
//! use lockstep_contracts::L1Addresses;
//!
//! let funded: Vec<_> = accounts(MNEMONIC, 10)?.iter().map(|account| account.address).collect();
//! let beginning = Beginning { timestamp: 1_700_000_000, l1_origin: 0, block_time_s: 1 };
//! let addresses = L1Addresses::created_by(funded[0], 0);
//! let plan = RollupPlan::new(&beginning, addresses, &funded, &operators(MNEMONIC)?);
//! assert_eq!(plan.genesis.config.chain_id, 901);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Assumptions
//! - Everybody knows the keys: nothing of value is sent to these accounts.
//! - A foreign L1 is Ethereum at Osaka or before, without blob schedules of its own, and keeps the block
//!   that was its newest when the rollup began.
//!
//! # Invariants
//! - The parts have no clock; only [`Devnet`] asks for the time.
//! - The follower shares no state with the sequencer.
//!
//! # Metrics
//! All begin with `lockstep_devnet_`: gauges `agreed_block`, `agreed_time` (Unix time up to which a union's
//! followers tell of the same calls), `lag_seconds` (of the sequencer behind the
//! clock), `last_post_seconds` (Unix time of the batcher's last good step); counters
//! `disagreements_total`, `failures_total` (by `part`).
//!
//! # Limits
//! - Several rollups need the embedded L1, at Osaka.
//! - What waits to be posted: the sequencer takes less and less into its blocks
//!   (`lockstep_batcher::ThrottlePolicy`).

mod accounts;
mod agreement;
pub mod beacon;
mod beacon_engine;
mod devnet;
mod drive;
mod embedded;
mod error;
mod foreign;
mod genesis;
mod joint_agreement;
mod l1_access;
mod l1_wallet;
mod local_rollup;
mod network_plan;
mod parts;
mod plan;
mod posted;
mod proposer;
mod rollup;
mod settings;
mod signer;
mod throttle;
mod union;
mod union_plan;

pub use lockstep_ssz as ssz;

pub use accounts::{ACCOUNTS, DevAccount, MNEMONIC, Operators, accounts, operators};
pub use agreement::{Agreement, AgreementError};
pub use devnet::{DevRollup, Devnet};
pub use error::DevnetError;
pub use foreign::ForeignL1Error;
pub use genesis::{
    BALANCE, CAFE, GAS_LIMIT, L1_CHAIN_ID, ROLLUP_CHAIN_ID, l1_genesis, rollup_genesis,
};
pub use joint_agreement::JointAgreement;
pub use l1_wallet::WalletError;
pub use local_rollup::{LocalRollup, SafeBlock};
pub use lockstep_batcher::DataAvailability;
pub use lockstep_gateway::{Clock, Sequencer, SequencerError};
pub use network_plan::dev_l1_genesis;
pub use parts::dev_server;
pub use plan::{Beginning, FINALIZATION_PERIOD_S, RollupPlan};
pub use proposer::{Proposer, ProposerError};
pub use settings::{
    DevnetConfig, EmbeddedL1, FolderError, L1Source, rollup_name, stored_l1_genesis,
};
pub use signer::DevSigner;
pub use throttle::ThrottledBuilder;
pub use union_plan::{OptedInValidator, UnionPlan};
