// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Where the rollup's own contracts are, and who speaks for its protocol (OP specification: predeploys).
library Predeploys {
    address internal constant MESSAGE_PASSER = 0x4200000000000000000000000000000000000016;
    address internal constant L1_BLOCK = 0x4200000000000000000000000000000000000015;
    /// The sender of the deposit that every block begins with.
    address internal constant DEPOSITOR_ACCOUNT = 0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001;
}
