// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// What a token says of itself, for people.
struct Metadata {
    string name;
    string symbol;
    uint8 decimals;
}

/// Asks tokens for it. All of it is optional (ERC-20), and the answers are a stranger's: their length is bounded, and so is
/// the gas to give them.
library TokenMetadata {
    /// What follows could be asked with so little gas that the token cannot answer, and be taken for without a name.
    error OutOfGas();

    /// In bytes. What is longer is cut, before a character of UTF-8 that would not be whole.
    uint256 internal constant MAX_NAME_BYTES = 64;
    uint256 internal constant MAX_SYMBOL_BYTES = 32;
    /// For each answer.
    uint256 private constant ANSWER_GAS = 50_000;
    /// What may be gone between the check of the gas and the call.
    uint256 private constant CALL_GAS = 5_000;

    /// What `token` says; of what it does not say, nothing, and zero decimals.
    function read(address token) internal view returns (Metadata memory metadata) {
        metadata.name = _text(token, "name()", MAX_NAME_BYTES);
        metadata.symbol = _text(token, "symbol()", MAX_SYMBOL_BYTES);
        bytes memory answer = _ask(token, "decimals()", 32);
        if (answer.length == 32 && uint256(bytes32(answer)) <= type(uint8).max) {
            metadata.decimals = uint8(uint256(bytes32(answer)));
        }
    }

    /// A text of `most` bytes at most: a string, or as some old tokens have it a `bytes32` that ends with the first zero.
    function _text(address token, string memory signature, uint256 most) private view returns (string memory) {
        // One byte more shows whether a character ends where the text is cut.
        bytes memory answer = _ask(token, signature, 64 + most + 1);
        uint256 start;
        uint256 length;
        if (answer.length == 32) {
            while (length < 32 && answer[length] != 0) ++length;
        } else {
            if (answer.length < 64) return "";
            (uint256 offset, uint256 told) = abi.decode(answer, (uint256, uint256));
            if (offset != 32) return "";
            start = 64;
            uint256 there = answer.length - start;
            length = told < there ? told : there;
            if (length > most) {
                length = most;
                while (length > 0 && answer[start + length] & 0xC0 == 0x80) --length;
            }
        }
        bytes memory text = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            text[i] = answer[start + i];
        }
        return string(text);
    }

    /// The first `most` bytes of what `token` answers; none if it fails.
    function _ask(address token, string memory signature, uint256 most) private view returns (bytes memory answer) {
        // EIP-150 passes on all but one 64th.
        if (gasleft() * 63 < (ANSWER_GAS + CALL_GAS) * 64) revert OutOfGas();
        bytes memory question = abi.encodeWithSignature(signature);
        answer = new bytes(most);
        assembly ("memory-safe") {
            let success := staticcall(ANSWER_GAS, token, add(question, 32), mload(question), add(answer, 32), most)
            let length := returndatasize()
            if gt(length, most) { length := most }
            mstore(answer, mul(success, length))
        }
    }
}
