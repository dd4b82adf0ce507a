// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Bls, G1Point, G2Point} from "../../src/lib/Bls.sol";
import {vm} from "../lib/Vm.sol";
import {Signer} from "./Signer.sol";

contract BlsTest {
    uint256 private constant VECTORS = 6;
    /// The order of the groups.
    uint256 private constant ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;

    struct Vector {
        uint256 secret;
        bytes32 message;
        G1Point key;
        bytes32 root;
        G2Point point;
        G2Point signature;
    }

    function vectorOf(uint256 index) private view returns (Vector memory vector) {
        string memory json = vm.readFile("test/vectors/bls.json");
        string memory prefix = string.concat(".vectors[", vm.toString(index), "]");
        vector.secret = uint256(vm.parseJsonBytes32(json, string.concat(prefix, ".secret")));
        vector.message = vm.parseJsonBytes32(json, string.concat(prefix, ".message"));
        vector.key = abi.decode(vm.parseJsonBytes(json, string.concat(prefix, ".key")), (G1Point));
        vector.root = vm.parseJsonBytes32(json, string.concat(prefix, ".root"));
        vector.point = abi.decode(vm.parseJsonBytes(json, string.concat(prefix, ".point")), (G2Point));
        vector.signature = abi.decode(vm.parseJsonBytes(json, string.concat(prefix, ".signature")), (G2Point));
    }

    function same(G2Point memory a, G2Point memory b) private pure returns (bool) {
        return keccak256(abi.encode(a)) == keccak256(abi.encode(b));
    }

    /// Half of interop keys have the larger second coordinate; six of them are of both kinds.
    function test_another_implementation_agrees() public view {
        bool larger;
        bool smaller;
        for (uint256 i = 0; i < VECTORS; ++i) {
            Vector memory vector = vectorOf(i);
            require(same(Bls.hashToPoint(vector.message), vector.point), "point");
            require(Bls.rootOf(vector.key) == vector.root, "root");
            require(Bls.verify(vector.key, vector.message, vector.signature), "signature");
            require(keccak256(abi.encode(Signer.keyOf(vector.secret))) == keccak256(abi.encode(vector.key)), "key");
            require(same(Signer.sign(vector.secret, vector.message), vector.signature), "signer");
            if (uint256(vector.key.yHigh) > 0x0d0088f51cbff34d258dd3db21a5d66b) larger = true;
            else smaller = true;
        }
        require(larger && smaller, "both kinds of key");
    }

    function testFuzz_what_is_signed_is_that_message_by_that_key(uint256 secret, bytes32 message, uint256 other)
        public
        view
    {
        secret = 1 + secret % (ORDER - 1);
        other = 1 + other % (ORDER - 1);
        G1Point memory key = Signer.keyOf(secret);
        G2Point memory signature = Signer.sign(secret, message);
        require(Bls.verify(key, message, signature), "signed");
        require(!Bls.verify(key, bytes32(uint256(message) ^ 1), signature), "another message");
        if (other != secret) {
            require(!Bls.verify(Signer.keyOf(other), message, signature), "another key");
            require(!Bls.verify(key, message, Signer.sign(other, message)), "another's signature");
        }
    }

    /// The negative of a key has the same first coordinate: its root must differ nevertheless.
    function testFuzz_a_key_and_its_negative_have_their_own_roots(uint256 secret) public view {
        secret = 1 + secret % (ORDER - 1);
        G1Point memory key = Signer.keyOf(secret);
        G1Point memory negative = Signer.keyOf(ORDER - secret);
        require(key.xHigh == negative.xHigh && key.xLow == negative.xLow, "negative");
        require(Bls.rootOf(key) != Bls.rootOf(negative), "roots");
    }

    function test_nobody_signs_nothing() public view {
        G1Point memory nobody;
        G2Point memory nothing;
        require(!Bls.verify(nobody, bytes32(0), nothing), "by nobody");
        require(!Bls.verify(vectorOf(0).key, vectorOf(0).message, nothing), "no signature");
    }

    /// A point that is on no curve, in no group, or in no canonical form verifies nothing, and does not revert.
    function testFuzz_what_is_no_point_verifies_nothing(uint8 word, bytes32 change) public view {
        if (change == bytes32(0)) return;
        Vector memory vector = vectorOf(0);
        G1Point memory key = vector.key;
        G2Point memory signature = vector.signature;
        assembly ("memory-safe") {
            word := mod(word, 12)
            let at := add(key, mul(word, 32))
            if gt(word, 3) { at := add(signature, mul(sub(word, 4), 32)) }
            mstore(at, xor(mload(at), change))
        }
        require(!Bls.verify(key, vector.message, signature), "verified");
    }

    /// On the curve y² = x³ + 4, but not in the group: (0, 2).
    function test_a_key_outside_the_group_signs_nothing() public view {
        G1Point memory key;
        key.yLow = bytes32(uint256(2));
        // Precompiles take all the gas that they are given for a point that is none.
        require(!this.verify{gas: 1_000_000}(key, vectorOf(0).message, vectorOf(0).signature), "verified");
    }

    function verify(G1Point calldata key, bytes32 message, G2Point calldata signature) external view returns (bool) {
        return Bls.verify(key, message, signature);
    }
}
