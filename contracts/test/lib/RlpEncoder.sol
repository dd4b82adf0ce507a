// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

library RlpEncoder {
    function string_(bytes memory content) internal pure returns (bytes memory) {
        if (content.length == 1 && uint8(content[0]) < 0x80) return content;
        return abi.encodePacked(_header(content.length, 0x80), content);
    }

    /// The list of items that are encoded already, one after the other.
    function list(bytes memory items) internal pure returns (bytes memory) {
        return abi.encodePacked(_header(items.length, 0xc0), items);
    }

    function _header(uint256 length, uint8 offset) private pure returns (bytes memory header) {
        if (length < 56) return abi.encodePacked(uint8(offset + length));
        uint256 rest = length;
        while (rest > 0) {
            header = abi.encodePacked(uint8(rest), header);
            rest >>= 8;
        }
        return abi.encodePacked(uint8(offset + 55 + header.length), header);
    }
}
