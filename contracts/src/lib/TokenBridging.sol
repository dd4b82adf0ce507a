// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Metadata} from "./TokenMetadata.sol";

// What the two ends of a rollup's way for tokens say to each other.

/// @dev The gas of a deposit on the rollup: half as much again as the dearest one uses, which makes the token.
uint64 constant TOKEN_DEPOSIT_GAS = 450_000;
/// @dev The gas of a withdrawal on L1: what it takes to note who is owed, and then to pay an ordinary token.
uint256 constant TOKEN_WITHDRAWAL_GAS = 300_000;

interface IDepositFinalizer {
    /// On the rollup, by the token portal: gives `to` what `from` deposited.
    function finalizeDeposit(address l1Token, address from, address to, uint256 amount, Metadata calldata metadata)
        external;
}

interface IWithdrawalFinalizer {
    /// On L1, in a withdrawal by the rollup's token bridge: gives `to` what was withdrawn.
    function finalizeWithdrawal(address l1Token, address to, uint256 amount) external;
}
