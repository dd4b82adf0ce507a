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
    fee_vault: FeeVault, "artifacts/FeeVault.json";
    gas_price_oracle: GasPriceOracle, "artifacts/GasPriceOracle.json";
    l1_block: L1Block, "artifacts/L1Block.json";
    message_passer: L2ToL1MessagePasser, "artifacts/L2ToL1MessagePasser.json";
    output_oracle: OutputOracle, "artifacts/OutputOracle.json";
    portal: Portal, "artifacts/Portal.json";
    system_config: SystemConfig, "artifacts/SystemConfig.json";
    weth: WETH9, "artifacts/WETH9.json";
}
