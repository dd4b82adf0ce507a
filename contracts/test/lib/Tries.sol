// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {RlpEncoder} from "./RlpEncoder.sol";

/// Builds tries from all their leaves, the slow and obvious way. Keys must differ, and all have the same value.
library Tries {
    uint256 private constant NIBBLES = 64;

    function root(bytes32[] memory keys, bytes memory value) internal pure returns (bytes32) {
        return keccak256(_node(keys, value, 0));
    }

    /// The nodes from the root to a key; `repeated` says whether nodes inside others are elements of their own.
    function prove(bytes32[] memory keys, bytes memory value, bytes32 key, bool repeated)
        internal
        pure
        returns (bytes[] memory proof)
    {
        bytes[] memory elements = new bytes[](NIBBLES + 1);
        uint256 count = 0;
        uint256 depth = 0;
        while (true) {
            bytes memory node = _node(keys, value, depth);
            if (count == 0 || repeated || node.length >= 32) elements[count++] = node;
            uint256 shared = _shared(keys, depth);
            if (keys.length == 1) break;
            if (shared > 0) {
                depth += shared;
            } else {
                keys = _group(keys, depth, _nibble(key, depth));
                depth += 1;
                if (keys.length == 0) break;
            }
        }
        proof = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            proof[i] = elements[i];
        }
    }

    function _node(bytes32[] memory keys, bytes memory value, uint256 depth) private pure returns (bytes memory) {
        if (keys.length == 1) {
            return RlpEncoder.list(
                abi.encodePacked(RlpEncoder.string_(_path(keys[0], depth, NIBBLES, true)), RlpEncoder.string_(value))
            );
        }
        uint256 shared = _shared(keys, depth);
        if (shared > 0) {
            bytes memory path = _path(keys[0], depth, depth + shared, false);
            bytes memory child = _reference(_node(keys, value, depth + shared));
            return RlpEncoder.list(abi.encodePacked(RlpEncoder.string_(path), child));
        }
        bytes memory items;
        for (uint256 nibble = 0; nibble < 16; ++nibble) {
            bytes32[] memory group = _group(keys, depth, nibble);
            items = abi.encodePacked(
                items, group.length == 0 ? bytes(hex"80") : _reference(_node(group, value, depth + 1))
            );
        }
        return RlpEncoder.list(abi.encodePacked(items, hex"80"));
    }

    function _reference(bytes memory node) private pure returns (bytes memory) {
        return node.length < 32 ? node : RlpEncoder.string_(abi.encodePacked(keccak256(node)));
    }

    function _nibble(bytes32 key, uint256 depth) private pure returns (uint256) {
        return uint256(key << (4 * depth)) >> 252;
    }

    /// How many nibbles from `depth` on all keys have in common.
    function _shared(bytes32[] memory keys, uint256 depth) private pure returns (uint256 count) {
        if (keys.length < 2) return 0;
        for (; depth + count < NIBBLES; ++count) {
            for (uint256 i = 1; i < keys.length; ++i) {
                if (_nibble(keys[i], depth + count) != _nibble(keys[0], depth + count)) return count;
            }
        }
    }

    function _group(bytes32[] memory keys, uint256 depth, uint256 nibble)
        private
        pure
        returns (bytes32[] memory group)
    {
        uint256 count = 0;
        for (uint256 i = 0; i < keys.length; ++i) {
            if (_nibble(keys[i], depth) == nibble) count += 1;
        }
        group = new bytes32[](count);
        for (uint256 i = keys.length; i > 0; --i) {
            if (_nibble(keys[i - 1], depth) == nibble) group[--count] = keys[i - 1];
        }
    }

    /// Hex-prefix encoding of the nibbles from `begin` to `end`.
    function _path(bytes32 key, uint256 begin, uint256 end, bool isLeaf) private pure returns (bytes memory path) {
        uint256 flags = isLeaf ? 2 : 0;
        if ((end - begin) % 2 == 1) {
            path = abi.encodePacked(uint8((flags + 1) << 4 | _nibble(key, begin)));
            begin += 1;
        } else {
            path = abi.encodePacked(uint8(flags << 4));
        }
        for (; begin < end; begin += 2) {
            path = abi.encodePacked(path, uint8(_nibble(key, begin) << 4 | _nibble(key, begin + 1)));
        }
    }
}
