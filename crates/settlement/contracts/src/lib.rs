//! Interfaces and code of the contracts in `contracts/`, and how they begin in a genesis.
//!
//! The artifacts of the Solidity sources are checked in; their interfaces become the types
//! [`Portal`], [`SystemConfig`], [`OutputOracle`] on L1 and [`L1Block`], [`L2ToL1MessagePasser`],
//! [`GasPriceOracle`], [`FeeVault`], [`WETH9`] on the rollup, with `BYTECODE` (to create one) and
//! `DEPLOYED_BYTECODE` (of one that is there). [`predeploys`] gives the accounts of a rollup's
//! genesis. The contracts on L1 are either created by transactions ([`l1_deployments`]) or part of a
//! development chain's genesis ([`l1_genesis_accounts`]); both end in the same state. [`preinstalls`]
//! are contracts of others, which tools expect at the same address on every chain.
//!
//! A union of rollups has [`Lookahead`], [`Registry`], [`Inbox`] and [`Vault`] on L1, and there for each rollup
//! an [`OutputOracle`], a [`SystemConfig`], a [`UnionPortal`] and a [`TokenPortal`] ([`union_deployments`],
//! [`union_genesis_accounts`]); on each rollup a [`Gate`], the port, and a [`TokenBridge`] with the code of its tokens,
//! [`BridgedToken`] ([`union_predeploys`]). What the owner of a slot signs is [`union_batch_hash`]. [`Cafe`] is an example of an app over several rollups.
//!
//! ```
//! use alloy_primitives::{Address, U256};
//! use lockstep_chain::OpHardfork;
//! use lockstep_contracts::{FeeRecipient, L1Addresses, L1_BLOCK, predeploys};
//!
//! let recipient = FeeRecipient::OnRollup(Address::repeat_byte(1));
//! let genesis = predeploys(OpHardfork::Isthmus, recipient, U256::ZERO);
//! assert!(genesis.contains_key(&L1_BLOCK));
//!
//! // Where the contracts on L1 will be if this account creates them with its first transactions.
//! let addresses = L1Addresses::created_by(Address::repeat_byte(2), 0);
//! assert_ne!(addresses.portal, addresses.system_config);
//! ```
//!
//! # Assumptions
//! - Whoever creates the contracts by transactions sends those first, in order, from that account, and
//!   checks every receipt before the next one: the portal refuses to exist without the other two, and
//!   nobody may be told of a portal that does not.
//! - In a genesis, the portal's account has no balance. Ether that the rollup's genesis gives to accounts can
//!   only be withdrawn if whoever makes the L1's genesis puts as much into the portal, or of a union's rollup into the
//!   vault ([`UnionHoldings::ether`]).
//! - Keys of proposers that a genesis names as registered are points of the curve: nobody has checked a signature.
//!
//! # Invariants
//! - Storage in a genesis is what the constructor would write; tests run the constructors and compare.
//! - `contracts/check` compares the artifacts with the sources.
//!
//! # Limits
//! - The contracts cannot be upgraded; a new version is a new set of addresses.

mod batch;
mod bindings;
mod l1;
mod predeploys;
mod preinstalls;
mod settings;
mod storage;
mod union_l1;
mod union_settings;

pub use batch::union_batch_hash;
pub use bindings::{
    BeaconHeader, BridgedToken, Cafe, FeeVault, GasPriceOracle, Gate, Inbox, L1Block,
    L2ToL1MessagePasser, Lookahead, OutputOracle, Portal, ProposersProof, Registry, SystemConfig,
    TokenBridge, TokenPortal, UnionPortal, Vault, WETH9,
};
pub use l1::{Deployment, L1Addresses, l1_deployments, l1_genesis_accounts};
pub use predeploys::{
    BASE_FEE_VAULT, BRIDGED_TOKEN, FeeRecipient, GAS_PRICE_ORACLE, GATE, L1_BLOCK, L1_FEE_VAULT,
    MESSAGE_PASSER, OPERATOR_FEE_VAULT, PORT, SEQUENCER_FEE_VAULT, TOKEN_BRIDGE, WETH, predeploys,
    union_predeploys,
};
pub use preinstalls::{CREATE2_DEPLOYER, MULTICALL3, preinstalls};
pub use settings::{L1Settings, MAX_ELASTICITY, MAX_GAS_LIMIT, MIN_GAS_LIMIT, SettingsError};
pub use union_l1::{MemberAddresses, UnionAddresses, union_deployments, union_genesis_accounts};
pub use union_settings::{
    BeaconChain, Delegation, MAX_EXIT_DELAY_SLOTS, OptedInProposer, StateLayout, UnionHoldings,
    UnionSettings, validator_key_root,
};
