// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Inbox} from "../../src/union/Inbox.sol";
import {Lookahead} from "../../src/union/Lookahead.sol";
import {vm} from "../lib/Vm.sol";
import {Beacon} from "./Beacon.sol";
import {Union} from "./Union.sol";

/// A chain of eight validators, of whom some opted in, and an inbox.
abstract contract Posting is Union {
    uint256 internal constant VALIDATORS = 8;
    uint64 internal constant WINDOW = 20;
    /// The first slot of the epoch that the tests are in. Validator `i` proposes slots `i` and `i + 8` after it.
    uint64 internal constant FIRST = START + 10 * EPOCH;

    bytes32 internal constant BLOB = bytes32(uint256(1) << 248 | 7);
    bytes32 internal constant OTHER = bytes32(uint256(1) << 248 | 8);

    Inbox internal inbox;

    function deployInbox() internal {
        deployUnion();
        inbox = new Inbox(Inbox.Config(lookahead, registry, FIRST, WINDOW));
    }

    /// The validator's secret.
    function secretOf(uint256 validator) internal pure returns (uint256) {
        return 500 + validator;
    }

    /// The secret of its gateway.
    function gatewayOf(uint256 validator) internal pure returns (uint256) {
        return 900 + validator;
    }

    /// Has a validator give its gateway a hundred slots from those of the tests on.
    function optIn(uint256 validator) internal {
        register(secretOf(validator), OWNER, COLLATERAL);
        delegate(secretOf(validator), FIRST, FIRST + 100, vm.addr(gatewayOf(validator)));
    }

    function stateAt(uint64 slot) internal view returns (Beacon.State memory state) {
        state.slot = slot;
        state.slotsPerEpoch = EPOCH;
        state.seed = keccak256(abi.encode(slot));
        state.keys = new bytes32[](VALIDATORS);
        for (uint256 i = 0; i < VALIDATORS; ++i) {
            state.keys[i] = rootOf(secretOf(i));
        }
        state.lookahead = new uint64[](2 * EPOCH);
        for (uint256 i = 0; i < state.lookahead.length; ++i) {
            state.lookahead[i] = uint64(i % VALIDATORS);
        }
    }

    /// Proves `count` proposers from `slot` on by the state at `known`.
    function proofAt(uint64 known, uint64 slot, uint256 count) internal returns (Lookahead.Proof memory proof) {
        proof = Beacon.prove(stateAt(known), slot, count, GENESIS_S + (known + 1) * SLOT_S);
        Beacon.record(proof.timestamp, Beacon.rootOf(proof.header));
    }

    function proofOf(uint64 slot, uint256 count) internal returns (Lookahead.Proof memory) {
        return proofAt(slot / EPOCH * EPOCH, slot, count);
    }

    /// What the test's transaction carries. Nothing, before: what `setUp` carried was another transaction's.
    function carry(bytes32 first, bytes32 second) internal {
        bytes32[] memory hashes = new bytes32[](2);
        (hashes[0], hashes[1]) = (first, second);
        vm.blobhashes(hashes);
    }

    function blobsOf(bytes32 first) internal pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](1);
        hashes[0] = first;
    }

    function sign(uint256 secret, bytes32 hash) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, hash);
        return abi.encodePacked(r, s, v);
    }

    function signedBy(uint256 validator, uint64 slot, bytes32[] memory blobs) internal view returns (bytes memory) {
        return sign(gatewayOf(validator), inbox.batchHash(Inbox.Batch(slot, inbox.head(), blobs)));
    }

    /// Validators 2 and 5 opt in.
    function deployAndOptIn() internal {
        deployInbox();
        optIn(2);
        optIn(5);
        goTo(FIRST + 7);
    }

    /// Posts the transaction's first blob.
    function post(uint64 slot, uint256 proposers, uint256 validator) internal {
        Lookahead.Proof memory proof = proofOf(slot, proposers);
        bytes memory signature = signedBy(validator, slot, blobsOf(BLOB));
        carry(BLOB, OTHER);
        inbox.post(slot, inbox.head(), 0, 1, proof, signature);
    }

    function refuse(uint64 slot, uint256 proposers, uint256 validator, bytes memory reason) internal {
        Lookahead.Proof memory proof = proofOf(slot, proposers);
        bytes memory signature = signedBy(validator, slot, blobsOf(BLOB));
        carry(BLOB, OTHER);
        bytes32 head = inbox.head();
        vm.expectRevert(reason);
        inbox.post(slot, head, 0, 1, proof, signature);
    }
}
