//! Interfaces and code, generated from the artifacts.

/// Generates the module `$module` with everything in one artifact.
macro_rules! bind {
    ($($module:ident: $contract:ident, $artifact:literal;)*) => {$(
        pub(crate) mod $module {
            #![allow(
                missing_docs,
                clippy::indexing_slicing,
                clippy::panic,
                clippy::too_many_arguments,
                unreachable_pub,
                reason = "generated; the documentation is in the Solidity source"
            )]
            alloy_sol_types::sol!($contract, $artifact);
        }
        pub use $module::$contract;
    )*};
}

bind! {
    bridged_token: BridgedToken, "artifacts/BridgedToken.json";
    cafe: Cafe, "artifacts/examples/Cafe.json";
    fee_vault: FeeVault, "artifacts/FeeVault.json";
    gas_price_oracle: GasPriceOracle, "artifacts/GasPriceOracle.json";
    gate: Gate, "artifacts/Gate.json";
    inbox: Inbox, "artifacts/Inbox.json";
    l1_block: L1Block, "artifacts/L1Block.json";
    lookahead: Lookahead, "artifacts/Lookahead.json";
    message_passer: L2ToL1MessagePasser, "artifacts/L2ToL1MessagePasser.json";
    output_oracle: OutputOracle, "artifacts/OutputOracle.json";
    portal: Portal, "artifacts/Portal.json";
    registry: Registry, "artifacts/Registry.json";
    system_config: SystemConfig, "artifacts/SystemConfig.json";
    token_bridge: TokenBridge, "artifacts/TokenBridge.json";
    token_portal: TokenPortal, "artifacts/TokenPortal.json";
    union_portal: UnionPortal, "artifacts/UnionPortal.json";
    vault: Vault, "artifacts/Vault.json";
    weth: WETH9, "artifacts/WETH9.json";
}

/// The proof of proposers, as [`Inbox`] takes it: a [`Lookahead::Proof`].
pub use inbox::Lookahead::Proof as ProposersProof;

/// The beacon block that a [`ProposersProof`] begins at.
pub use inbox::Lookahead::Header as BeaconHeader;

// Interfaces are generated one by one, so that what they share is generated twice.
impl From<ProposersProof> for Lookahead::Proof {
    fn from(proof: ProposersProof) -> Self {
        let BeaconHeader { slot, proposerIndex, parentRoot, stateRoot, bodyRoot } = proof.header;
        Self {
            timestamp: proof.timestamp,
            header: Lookahead::Header { slot, proposerIndex, parentRoot, stateRoot, bodyRoot },
            lookahead: proof.lookahead,
            lookaheadBranch: proof.lookaheadBranch,
            keys: proof.keys,
            keyBranches: proof.keyBranches,
        }
    }
}
