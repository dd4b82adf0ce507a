// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Reads recursive length prefix encodings straight from call data.
///
/// Only the one canonical encoding of a value is taken (Ethereum Yellow Paper, appendix B). Nothing is copied, and
/// every slice is checked against the bytes that are there.
library Rlp {
    /// The encoding ends before the item does.
    error RlpTruncated();
    /// The item has a shorter encoding.
    error RlpNotCanonical();

    /// Takes the first item off `input`: whether it is a list, what it holds, and what follows it.
    function next(bytes calldata input)
        internal
        pure
        returns (bool isList, bytes calldata payload, bytes calldata rest)
    {
        if (input.length == 0) revert RlpTruncated();
        uint256 first = uint8(input[0]);
        if (first < 0x80) return (false, input[:1], input[1:]);

        isList = first >= 0xc0;
        uint256 length = first - (isList ? 0xc0 : 0x80);
        uint256 begin = 1;
        if (length > 55) {
            begin += length - 55;
            if (input.length < begin) revert RlpTruncated();
            // Eight bytes at most, so that the sums below cannot overflow.
            length = uint256(bytes32(input[1:begin])) >> (8 * (33 - begin));
            if (input[1] == 0 || length < 56) revert RlpNotCanonical();
        }
        if (input.length - begin < length) revert RlpTruncated();
        payload = input[begin:begin + length];
        rest = input[begin + length:];
        if (!isList && length == 1 && uint8(payload[0]) < 0x80) revert RlpNotCanonical();
    }
}
