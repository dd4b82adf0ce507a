// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Withdrawal, Withdrawals} from "../lib/Withdrawals.sol";

/// Records messages to L1. Its storage root is part of every output, which is how L1 learns of them.
contract L2ToL1MessagePasser {
    event MessagePassed(
        uint256 indexed nonce,
        address indexed sender,
        address indexed target,
        uint256 value,
        uint256 gasLimit,
        bytes data,
        bytes32 withdrawalHash
    );
    event WithdrawerBalanceBurnt(uint256 indexed amount);

    /// No transaction on L1 could make the call.
    error GasLimitTooHigh(uint256 most);
    error DataTooLong(uint256 most);

    string public constant version = "1.0.0";
    /// The format of messages, in the upper two bytes of their nonce.
    uint16 public constant MESSAGE_VERSION = 1;
    /// The largest gas limit: with the longest data and what the portal needs, a transaction on L1 stays below the
    /// 16,777,216 gas of EIP-7825. What asks for more could never be finalized.
    uint256 public constant MAX_GAS_LIMIT = 13_000_000;
    /// The longest data, as for deposits: with a proof, a transaction on L1 stays below the 128 KiB that nodes relay.
    uint256 public constant MAX_DATA_BYTES = 120_000;
    /// The gas limit on L1 of a withdrawal by plain transfer.
    uint256 internal constant RECEIVE_DEFAULT_GAS_LIMIT = 100_000;

    /// Slot 0: proofs depend on it.
    mapping(bytes32 withdrawalHash => bool) public sentMessages;
    /// Slot 1.
    uint240 internal _nonce;

    /// Withdraws what is sent to the sender's address on L1.
    receive() external payable {
        initiateWithdrawal(msg.sender, RECEIVE_DEFAULT_GAS_LIMIT, "");
    }

    /// The nonce of the next message.
    function messageNonce() public view returns (uint256) {
        return (uint256(MESSAGE_VERSION) << 240) | _nonce;
    }

    /// Sends a message, and `msg.value` with it, to `target` on L1.
    function initiateWithdrawal(address target, uint256 gasLimit, bytes memory data) public payable {
        if (gasLimit > MAX_GAS_LIMIT) revert GasLimitTooHigh(MAX_GAS_LIMIT);
        if (data.length > MAX_DATA_BYTES) revert DataTooLong(MAX_DATA_BYTES);
        uint256 nonce = messageNonce();
        bytes32 withdrawalHash = Withdrawals.hash(Withdrawal(nonce, msg.sender, target, msg.value, gasLimit, data));
        sentMessages[withdrawalHash] = true;
        emit MessagePassed(nonce, msg.sender, target, msg.value, gasLimit, data, withdrawalHash);
        _nonce += 1;
    }

    /// Destroys the ether of withdrawals: it exists on L1 again.
    function burn() external {
        uint256 amount = address(this).balance;
        new Burner{value: amount}();
        emit WithdrawerBalanceBurnt(amount);
    }
}

/// Takes the ether that it is made with out of the world.
contract Burner {
    constructor() payable {
        // In the transaction that creates it, a contract still disappears, with its ether (EIP-6780).
        selfdestruct(payable(address(this)));
    }
}
