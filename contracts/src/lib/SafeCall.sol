// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// A call that whoever pays for the transaction can neither starve of gas nor drown in return data.
library SafeCall {
    /// The transaction has too little gas for the call to get what it must.
    error OutOfGas();

    /// What the call itself costs at most: a cold account, a transfer of value, a new account.
    uint256 private constant CALL_GAS = 40_000;
    /// What is kept from the call, so that the caller can write down the result whatever the call uses.
    uint256 private constant RESERVED_GAS = 40_000;

    /// Calls `target` with at least `minGas`, and all gas beyond but for what is reserved, and drops what it returns.
    function callWithMinGas(address target, uint256 minGas, uint256 value, bytes memory data)
        internal
        returns (bool success)
    {
        uint256 left = gasleft();
        // EIP-150 passes on all but one 64th. A limit for which this overflows can never be met.
        if (minGas > type(uint64).max || left * 63 < minGas * 64 + (CALL_GAS + RESERVED_GAS) * 63) revert OutOfGas();
        uint256 passed = left - CALL_GAS - RESERVED_GAS;
        assembly ("memory-safe") {
            success := call(passed, target, value, add(data, 32), mload(data), 0, 0)
        }
    }
}
