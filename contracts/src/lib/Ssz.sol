// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Merkle trees as the consensus layer builds them (consensus specifications: simple serialize, Merkle proofs).
library Ssz {
    /// The index is none of a node below a root.
    error NoSuchNode(uint256 generalisedIndex);
    /// A branch has one sibling for each level between its leaf and the root.
    error BranchLength(uint256 expected, uint256 found);
    /// Trees are built here over a power of two of chunks alone.
    error ChunkCount(uint256 found);
    /// The SHA-256 precompile failed, which it does out of gas alone.
    error HashFailed();

    /// The parent of two nodes.
    function hash(bytes32 left, bytes32 right) internal view returns (bytes32 parent) {
        bool success;
        assembly ("memory-safe") {
            // The scratch space.
            mstore(0x00, left)
            mstore(0x20, right)
            success := staticcall(gas(), 0x02, 0x00, 0x40, 0x00, 0x20)
            parent := mload(0x00)
        }
        if (!success) revert HashFailed();
    }

    /// The root above `leaf`, which is at `generalisedIndex` below it (the root's own is 1).
    function rootAbove(bytes32 leaf, bytes32[] calldata branch, uint256 generalisedIndex)
        internal
        view
        returns (bytes32 node)
    {
        if (generalisedIndex == 0) revert NoSuchNode(generalisedIndex);
        uint256 depth = log2(generalisedIndex);
        if (branch.length != depth) revert BranchLength(depth, branch.length);
        node = leaf;
        for (uint256 i = 0; i < depth; ++i) {
            node = generalisedIndex & 1 == 0 ? hash(node, branch[i]) : hash(branch[i], node);
            generalisedIndex >>= 1;
        }
    }

    /// The root of a full tree. `nodes` is used up.
    function merkleize(bytes32[] memory nodes) internal view returns (bytes32) {
        uint256 count = nodes.length;
        if (count == 0 || count & (count - 1) != 0) revert ChunkCount(count);
        for (; count > 1; count >>= 1) {
            for (uint256 i = 0; i < count; i += 2) {
                nodes[i >> 1] = hash(nodes[i], nodes[i + 1]);
            }
        }
        return nodes[0];
    }

    /// A number as a chunk: little-endian, then zeros.
    function chunk(uint64 value) internal pure returns (bytes32) {
        return bytes32(uint256(_reverse(value)) << 192);
    }

    /// One of the four numbers that a chunk of a list of `uint64` holds.
    function uint64At(bytes32 packed, uint256 place) internal pure returns (uint64) {
        return _reverse(uint64(uint256(packed) >> (192 - 64 * place)));
    }

    /// How many levels a node is below the root.
    function log2(uint256 generalisedIndex) internal pure returns (uint256 depth) {
        for (; generalisedIndex > 1; generalisedIndex >>= 1) {
            ++depth;
        }
    }

    function _reverse(uint64 value) private pure returns (uint64) {
        value = (value & 0x00ff00ff00ff00ff) << 8 | (value >> 8) & 0x00ff00ff00ff00ff;
        value = (value & 0x0000ffff0000ffff) << 16 | (value >> 16) & 0x0000ffff0000ffff;
        return value << 32 | value >> 32;
    }
}
