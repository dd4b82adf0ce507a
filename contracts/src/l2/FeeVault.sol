// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Predeploys} from "../lib/Predeploys.sol";
import {L2ToL1MessagePasser} from "./L2ToL1MessagePasser.sol";

/// Collects one kind of fee, until anybody sends what is there to the recipient. Four of them are in genesis: of base
/// fees, priority fees, L1 fees and operator fees.
contract FeeVault {
    /// Where the recipient is.
    enum WithdrawalNetwork {
        L1,
        L2
    }

    event Withdrawal(uint256 value, address to, address from);
    event Withdrawal(uint256 value, address to, address from, WithdrawalNetwork withdrawalNetwork);

    error BelowMinimum(uint256 balance, uint256 minimum);
    error TransferFailed();

    string public constant version = "1.0.0";
    /// The gas limit of the transfer on L1.
    uint256 private constant WITHDRAWAL_MIN_GAS = 400_000;

    /// Slot 0, in wei. What was sent so far.
    uint256 public totalProcessed;
    /// Slot 1.
    address public recipient;
    WithdrawalNetwork public withdrawalNetwork;
    /// Slot 2, in wei. What must be there at least.
    uint256 public minWithdrawalAmount;

    constructor(address to, WithdrawalNetwork network, uint256 minimum) {
        recipient = to;
        withdrawalNetwork = network;
        minWithdrawalAmount = minimum;
    }

    receive() external payable {}

    function withdraw() external returns (uint256 value) {
        value = address(this).balance;
        if (value < minWithdrawalAmount) revert BelowMinimum(value, minWithdrawalAmount);
        totalProcessed += value;
        emit Withdrawal(value, recipient, msg.sender);
        emit Withdrawal(value, recipient, msg.sender, withdrawalNetwork);
        if (withdrawalNetwork == WithdrawalNetwork.L2) {
            (bool success,) = recipient.call{value: value}("");
            if (!success) revert TransferFailed();
        } else {
            L2ToL1MessagePasser passer = L2ToL1MessagePasser(payable(Predeploys.MESSAGE_PASSER));
            passer.initiateWithdrawal{value: value}(recipient, WITHDRAWAL_MIN_GAS, "");
        }
    }

    /// Names that tools know.
    function RECIPIENT() external view returns (address) {
        return recipient;
    }

    function WITHDRAWAL_NETWORK() external view returns (WithdrawalNetwork) {
        return withdrawalNetwork;
    }

    function MIN_WITHDRAWAL_AMOUNT() external view returns (uint256) {
        return minWithdrawalAmount;
    }
}
