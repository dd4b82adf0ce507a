// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// A call that whoever pays for the transaction can neither starve of gas nor drown in return data.
library SafeCall {
    /// The transaction has too little gas for the call to get what it must.
    error OutOfGas();

    /// What the call itself costs at most: a cold account, a transfer of value, a new account; and what is left to the
    /// caller for writing down the result.
    uint256 private constant CALL_GAS = 40_000;
    uint256 private constant RESERVED_GAS = 40_000;

    /// Calls `target` with at least `minGas` and all gas beyond, and drops what it returns.
    function callWithMinGas(address target, uint256 minGas, uint256 value, bytes memory data)
        internal
        returns (bool success)
    {
        // EIP-150 passes on all but one 64th. A limit for which this overflows can never be met.
        if (minGas > type(uint64).max || gasleft() * 63 < minGas * 64 + (CALL_GAS + RESERVED_GAS) * 63) {
            revert OutOfGas();
        }
        assembly ("memory-safe") {
            success := call(gas(), target, value, add(data, 32), mload(data), 0, 0)
        }
    }
}
