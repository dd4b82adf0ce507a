// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Where the rollup's own contracts are, and who speaks for its protocol (OP specification: predeploys).
library Predeploys {
    address internal constant MESSAGE_PASSER = 0x4200000000000000000000000000000000000016;
    address internal constant L1_BLOCK = 0x4200000000000000000000000000000000000015;
    /// On rollups of a union alone, as the two after it: makes proxies of contracts of other rollups.
    address internal constant GATE = 0x42000000000000000000000000000000000000E0;
    address internal constant TOKEN_BRIDGE = 0x42000000000000000000000000000000000000e2;
    /// The code of every bridged token.
    address internal constant BRIDGED_TOKEN = 0x42000000000000000000000000000000000000E3;
    /// The sender of the deposit that every block begins with.
    address internal constant DEPOSITOR_ACCOUNT = 0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001;
}
