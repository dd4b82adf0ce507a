// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Who is behind a deposit (OP specification: deposits § address aliasing).
library Senders {
    uint160 private constant ALIAS_OFFSET = uint160(0x1111000000000000000000000000000000001111);

    /// The address that a contract of L1 has on the rollup: another contract may live at its own address there.
    function aliased(address sender) internal pure returns (address) {
        unchecked {
            return address(uint160(sender) + ALIAS_OFFSET);
        }
    }

    /// Whether a key, and no contract, speaks for the caller, so that it is the same party on both chains. An account
    /// that delegates its code (EIP-7702) has a key, and its code is the mark 0xef0100 and an address.
    function callerHasKey() internal view returns (bool) {
        if (msg.sender == tx.origin) return true;
        return msg.sender.code.length == 23 && bytes3(msg.sender.code) == 0xef0100;
    }
}
