// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {MerkleTrie} from "../src/lib/MerkleTrie.sol";
import {RlpEncoder} from "./lib/RlpEncoder.sol";
import {Tries} from "./lib/Tries.sol";
import {bound, vm} from "./lib/Vm.sol";

contract MerkleTrieTest {
    function get(bytes32 key, bytes[] calldata proof, bytes32 root) external pure returns (bytes memory) {
        return MerkleTrie.get(key, proof, root);
    }

    /// Up to nine keys that have up to 63 nibbles in common, so that nodes of all kinds and sizes come about.
    function keysOf(uint256 seed) private pure returns (bytes32[] memory keys) {
        keys = new bytes32[](1 + seed % 9);
        uint256 common = 4 * bound(uint256(keccak256(abi.encode(seed, "common"))), 0, 62);
        uint256 base = uint256(keccak256(abi.encode(seed, "base")));
        for (uint256 i = 0; i < keys.length; ++i) {
            uint256 own = uint256(keccak256(abi.encode(seed, i))) >> common;
            // The last byte tells them apart.
            own = (own & ~uint256(0xff)) | (17 * i);
            keys[i] = bytes32(base & ~(type(uint256).max >> common) | own);
        }
    }

    function testFuzz_every_key_is_proven(uint256 seed, bytes memory value, bool repeated) public view {
        if (value.length > 40) return;
        bytes32[] memory keys = keysOf(seed);
        bytes32 root = Tries.root(keys, value);
        for (uint256 i = 0; i < keys.length; ++i) {
            bytes[] memory proof = Tries.prove(keys, value, keys[i], repeated);
            require(keccak256(this.get(keys[i], proof, root)) == keccak256(value), "value");
        }
    }

    function testFuzz_no_other_key_is_proven(uint256 seed, bytes32 key, uint256 flipped) public view {
        bytes32[] memory keys = keysOf(seed);
        bytes32 root = Tries.root(keys, hex"01");
        // A neighbour of a key, which shares most of its way, and any key.
        requireUnproven(keys, keys[0] ^ bytes32(2 ** (flipped % 256)), root);
        requireUnproven(keys, key, root);
    }

    function requireUnproven(bytes32[] memory keys, bytes32 key, bytes32 root) private view {
        for (uint256 i = 0; i < keys.length; ++i) {
            if (keys[i] == key) return;
        }
        for (uint256 i = 0; i < keys.length; ++i) {
            try this.get(key, Tries.prove(keys, hex"01", keys[i], false), root) {
                revert("proven");
            } catch (bytes memory reason) {
                bytes4 selector = bytes4(reason);
                require(
                    selector == MerkleTrie.ProofKeyAbsent.selector || selector == MerkleTrie.ProofIncomplete.selector
                        || selector == MerkleTrie.ProofNodeUnexpected.selector,
                    "reason"
                );
            }
        }
    }

    function testFuzz_a_changed_proof_proves_nothing(uint256 seed, uint256 element, uint256 position, uint8 by)
        public
        view
    {
        if (by == 0) return;
        bytes32[] memory keys = keysOf(seed);
        bytes32 root = Tries.root(keys, hex"01");
        bytes[] memory proof = Tries.prove(keys, hex"01", keys[0], false);
        bytes memory changed = proof[element % proof.length];
        changed[position % changed.length] ^= bytes1(by);
        try this.get(keys[0], proof, root) {
            revert("proven");
        } catch (bytes memory reason) {
            require(bytes4(reason) == MerkleTrie.ProofNodeUnexpected.selector, "reason");
        }
    }

    function testFuzz_a_proof_with_more_or_less_is_refused(uint256 seed, bytes memory more) public {
        bytes32[] memory keys = keysOf(seed);
        bytes32 root = Tries.root(keys, hex"01");
        bytes[] memory proof = Tries.prove(keys, hex"01", keys[0], false);
        vm.expectRevert(MerkleTrie.ProofIncomplete.selector);
        this.get(keys[0], resized(proof, proof.length - 1), root);
        bytes[] memory longer = resized(proof, proof.length + 1);
        longer[proof.length] = abi.encodePacked(hex"ff", more);
        vm.expectRevert(MerkleTrie.ProofTooLong.selector);
        this.get(keys[0], longer, root);
    }

    function resized(bytes[] memory proof, uint256 length) private pure returns (bytes[] memory other) {
        other = new bytes[](length);
        for (uint256 i = 0; i < length && i < proof.length; ++i) {
            other[i] = proof[i];
        }
    }

    /// A root that somebody made up, with nodes that no trie has, must neither be proven nor hang.
    function testFuzz_malformed_nodes_are_refused(bytes memory node, bytes32 key) public {
        bytes[] memory proof = new bytes[](1);
        proof[0] = node;
        vm.expectRevert();
        this.get(key, proof, keccak256(node));
    }

    function test_nodes_of_other_forms_are_refused() public {
        bytes memory hash = abi.encodePacked(hex"a0", bytes32(0));
        // A leaf too long to be part of its parent: the rest of the key, and a value.
        bytes memory leaf = RlpEncoder.list(abi.encodePacked(hex"a030", bytes31(0), hex"01"));
        bytes[9] memory nodes = [
            // Too short, too long.
            RlpEncoder.list(hex""),
            RlpEncoder.list(hex"808080"),
            RlpEncoder.list(hex"808080808080808080808080808080808080"),
            // An extension that leads nowhere, with nothing or all of the key.
            RlpEncoder.list(abi.encodePacked(hex"00", hash)),
            RlpEncoder.list(abi.encodePacked(hex"a100", bytes32(0), hash)),
            // A leaf before the end of the key; flags and padding that do not exist.
            RlpEncoder.list(hex"2001"),
            RlpEncoder.list(abi.encodePacked(hex"a140", bytes32(0), hex"01")),
            RlpEncoder.list(abi.encodePacked(hex"a121", bytes32(0), hex"01")),
            RlpEncoder.list(abi.encodePacked(leaf, hex"80808080808080808080808080808080"))
        ];
        for (uint256 i = 0; i < nodes.length; ++i) {
            bytes[] memory proof = new bytes[](1);
            proof[0] = nodes[i];
            vm.expectRevert(MerkleTrie.ProofNodeMalformed.selector);
            this.get(bytes32(0), proof, keccak256(nodes[i]));
        }
    }

    function test_an_empty_branch_holds_no_key() public {
        bytes[] memory proof = new bytes[](1);
        proof[0] = RlpEncoder.list(hex"8080808080808080808080808080808080");
        vm.expectRevert(MerkleTrie.ProofKeyAbsent.selector);
        this.get(bytes32(0), proof, keccak256(proof[0]));
    }

    function test_an_empty_proof_is_incomplete() public {
        vm.expectRevert(MerkleTrie.ProofIncomplete.selector);
        this.get(bytes32(0), new bytes[](0), keccak256(""));
    }

    /// Proofs that crates/state/trie made of tries with up to a thousand leaves.
    function test_proofs_by_our_node_are_proven() public {
        string memory json = vm.readFile("test/vectors/proofs.json");
        uint256 count = vm.parseJsonUint(json, ".count");
        require(count > 50, "few vectors");
        for (uint256 i = 0; i < count; ++i) {
            string memory entry = string.concat(".proofs[", vm.toString(i), "]");
            bytes32 root = vm.parseJsonBytes32(json, string.concat(entry, ".root"));
            bytes32 key = vm.parseJsonBytes32(json, string.concat(entry, ".key"));
            bytes memory value = vm.parseJsonBytes(json, string.concat(entry, ".value"));
            bytes[] memory proof = vm.parseJsonBytesArray(json, string.concat(entry, ".nodes"));
            // No value is how a proof of absence is written down.
            if (value.length == 0) vm.expectRevert(MerkleTrie.ProofKeyAbsent.selector);
            bytes memory found = this.get(key, proof, root);
            if (value.length != 0) require(keccak256(found) == keccak256(value), "value");
        }
    }
}
