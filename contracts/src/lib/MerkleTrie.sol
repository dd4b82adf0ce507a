// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Rlp} from "./Rlp.sol";

/// Proves that a Merkle Patricia trie with keys of 32 bytes holds a value (Yellow Paper, appendix D).
///
/// A proof is the list of nodes from the root to the leaf. A node shorter than 32 bytes is part of its parent; it may
/// be repeated as an element of its own, as some tools do, or be left out, as `eth_getProof` does.
library MerkleTrie {
    /// Element `index` of the proof is not the node that its parent refers to.
    error ProofNodeUnexpected(uint256 index);
    /// A node on the way is not a node of such a trie.
    error ProofNodeMalformed();
    /// The proof ends before the value is reached.
    error ProofIncomplete();
    /// The proof goes on after the value was reached.
    error ProofTooLong();
    /// The nodes lead elsewhere: the trie does not hold the key.
    error ProofKeyAbsent();

    uint256 private constant NIBBLES = 64;
    uint256 private constant BRANCH_ITEMS = 17;
    uint256 private constant HASH_BYTES = 32;

    /// The value at `key` in the trie with this root. Reverts unless `proof` proves just that.
    function get(bytes32 key, bytes[] calldata proof, bytes32 root) internal pure returns (bytes calldata item) {
        if (proof.length == 0) revert ProofIncomplete();
        item = proof[0];
        if (keccak256(item) != root) revert ProofNodeUnexpected(0);
        uint256 used = 1;
        uint256 left = NIBBLES;
        bool isLeaf = false;
        // Ends, since each turn but the last consumes a part of the key.
        while (true) {
            uint256 consumed;
            (isLeaf, consumed, item) = _step(key, left, item);
            if (isLeaf) break;
            key <<= 4 * consumed;
            left -= consumed;
            (item, used) = _follow(item, proof, used);
        }
        if (used != proof.length) revert ProofTooLong();
    }

    /// Goes through `node` with the `left` nibbles that `key` begins with: how many it consumes, and the value, or the
    /// items of which the first refers to the next node.
    function _step(bytes32 key, uint256 left, bytes calldata node)
        private
        pure
        returns (bool isLeaf, uint256 consumed, bytes calldata item)
    {
        item = _items(node);
        uint256 count = _count(item);
        if (count == BRANCH_ITEMS) {
            if (left == 0) revert ProofNodeMalformed();
            return (false, 1, _skip(item, uint256(key) >> 252));
        }
        if (count != 2) revert ProofNodeMalformed();

        bool isList;
        bytes32 nibbles;
        (isList, node, item) = Rlp.next(item);
        if (isList) revert ProofNodeMalformed();
        (isLeaf, consumed, nibbles) = _path(node);
        // All keys have the same length: leaves end there, and nothing else does.
        if (consumed > left || isLeaf != (consumed == left) || (!isLeaf && consumed == 0)) revert ProofNodeMalformed();
        if (uint256(key ^ nibbles) >> (256 - 4 * consumed) != 0) revert ProofKeyAbsent();
        if (isLeaf) {
            (isList, item,) = Rlp.next(item);
            if (isList) revert ProofNodeMalformed();
        }
    }

    /// The node that the first of `items` refers to, and how many elements of the proof are used up then.
    function _follow(bytes calldata items, bytes[] calldata proof, uint256 used)
        private
        pure
        returns (bytes calldata, uint256)
    {
        (bool isList, bytes calldata payload,) = Rlp.next(items);
        if (isList) {
            items = items[:items.length - _skip(items, 1).length];
            if (items.length >= HASH_BYTES) revert ProofNodeMalformed();
            bool isRepeated = used < proof.length && keccak256(proof[used]) == keccak256(items);
            return (items, isRepeated ? used + 1 : used);
        }
        if (payload.length == 0) revert ProofKeyAbsent();
        if (payload.length != HASH_BYTES) revert ProofNodeMalformed();
        if (used == proof.length) revert ProofIncomplete();
        if (keccak256(proof[used]) != bytes32(payload)) revert ProofNodeUnexpected(used);
        return (proof[used], used + 1);
    }

    /// What is inside the list that `node` is.
    function _items(bytes calldata node) private pure returns (bytes calldata) {
        (bool isList, bytes calldata payload, bytes calldata rest) = Rlp.next(node);
        if (!isList || rest.length != 0) revert ProofNodeMalformed();
        return payload;
    }

    /// How many items there are, or 18 for more than 17.
    function _count(bytes calldata items) private pure returns (uint256 count) {
        while (items.length != 0 && count <= BRANCH_ITEMS) {
            (,, items) = Rlp.next(items);
            count += 1;
        }
    }

    /// `items` without the first `count` of them.
    function _skip(bytes calldata items, uint256 count) private pure returns (bytes calldata) {
        for (uint256 i = 0; i < count; ++i) {
            (,, items) = Rlp.next(items);
        }
        return items;
    }

    /// Reads a path in hex-prefix encoding: its nibbles are the first `length` of `nibbles`.
    function _path(bytes calldata path) private pure returns (bool isLeaf, uint256 length, bytes32 nibbles) {
        if (path.length == 0 || path.length > 33) revert ProofNodeMalformed();
        uint256 flags = uint8(path[0]) >> 4;
        if (flags > 3) revert ProofNodeMalformed();
        isLeaf = flags >= 2;
        if (flags & 1 == 1) {
            length = 2 * path.length - 1;
            nibbles = bytes32(path) << 4;
        } else {
            if (uint8(path[0]) & 0x0f != 0) revert ProofNodeMalformed();
            length = 2 * path.length - 2;
            nibbles = bytes32(path[1:]);
        }
    }
}
