// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Ssz} from "../../src/lib/Ssz.sol";
import {Lookahead} from "../../src/union/Lookahead.sol";
import {vm} from "../lib/Vm.sol";

/// States of a beacon chain, as far as proofs of proposers go, and the contract that keeps the roots of its blocks.
///
/// Trees are built here from their leaves, and branches are read off them: nothing is shared with what is tested but the
/// hash of two nodes.
library Beacon {
    /// What a state says; all else in it comes from `seed`.
    struct State {
        uint64 slot;
        uint64 slotsPerEpoch;
        /// Indices of validators, two epochs of them.
        uint64[] lookahead;
        /// The roots of all validators' keys.
        bytes32[] keys;
        bytes32 seed;
    }

    address internal constant ROOTS = 0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02;
    address internal constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;
    /// EIP-4788 § "Beacon roots contract".
    bytes internal constant ROOTS_CODE =
        hex"3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f35801560495762001fff810690815414603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f359062001fff015500";
    /// A state of Fulu has 38 fields.
    uint256 internal constant STATE_LEAVES = 64;
    uint256 internal constant STATE_FIELDS = 38;
    uint256 internal constant VALIDATORS = 11;
    uint256 internal constant LOOKAHEAD = 37;
    uint256 private constant LIST_DEPTH = 40;

    function fulu(uint64 firstSlot) internal pure returns (Lookahead.Layout memory) {
        return Lookahead.Layout(firstSlot, uint64(STATE_LEAVES + LOOKAHEAD), uint64(STATE_LEAVES + VALIDATORS));
    }

    /// Puts a root where the L1 block at `timestamp` would.
    function record(uint256 timestamp, bytes32 root) internal {
        uint256 now_ = block.timestamp;
        if (ROOTS.code.length == 0) vm.etch(ROOTS, ROOTS_CODE);
        vm.warp(timestamp);
        vm.prank(SYSTEM);
        (bool success,) = ROOTS.call(abi.encode(root));
        require(success, "beacon root");
        vm.warp(now_);
    }

    /// Proves the proposers of `count` slots from `firstSlot` by the state, whose block the L1 block at `timestamp` has
    /// for its parent's.
    function prove(State memory state, uint64 firstSlot, uint256 count, uint64 timestamp)
        internal
        view
        returns (Lookahead.Proof memory proof)
    {
        bytes32[] memory fields = _fields(state);
        proof.timestamp = timestamp;
        proof.header = Lookahead.Header({
            slot: state.slot,
            proposerIndex: uint64(uint256(state.seed)),
            parentRoot: keccak256(abi.encode("parent", state.seed)),
            stateRoot: _root(fields),
            bodyRoot: keccak256(abi.encode("body", state.seed))
        });
        proof.lookahead = _chunks(state.lookahead);
        proof.lookaheadBranch = _branch(fields, LOOKAHEAD);
        proof.keys = new bytes32[](count);
        proof.keyBranches = new bytes32[][](count);
        bytes32[] memory above = _branch(fields, VALIDATORS);
        uint64 first = state.slot / state.slotsPerEpoch * state.slotsPerEpoch;
        for (uint256 i = 0; i < count; ++i) {
            uint64 validator = state.lookahead[firstSlot - first + i];
            proof.keys[i] = state.keys[validator];
            proof.keyBranches[i] = _keyBranch(state, validator, above);
        }
    }

    function rootOf(Lookahead.Header memory header) internal view returns (bytes32) {
        bytes32[] memory leaves = new bytes32[](8);
        leaves[0] = _number(header.slot);
        leaves[1] = _number(header.proposerIndex);
        leaves[2] = header.parentRoot;
        leaves[3] = header.stateRoot;
        leaves[4] = header.bodyRoot;
        return _root(leaves);
    }

    function _fields(State memory state) private view returns (bytes32[] memory fields) {
        fields = new bytes32[](STATE_LEAVES);
        for (uint256 i = 0; i < STATE_FIELDS; ++i) {
            fields[i] = keccak256(abi.encode("field", i, state.seed));
        }
        fields[LOOKAHEAD] = _root(_chunks(state.lookahead));
        bytes32[] memory layer = new bytes32[](state.keys.length);
        for (uint256 i = 0; i < layer.length; ++i) {
            layer[i] = _root(_validator(state, i));
        }
        bytes32 zero = bytes32(0);
        for (uint256 depth = 0; depth < LIST_DEPTH; ++depth) {
            layer = _parents(layer, zero);
            zero = Ssz.hash(zero, zero);
        }
        fields[VALIDATORS] = Ssz.hash(layer[0], _number(uint64(state.keys.length)));
    }

    /// The leaves of a validator: its key and seven more.
    function _validator(State memory state, uint256 index) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](8);
        leaves[0] = state.keys[index];
        for (uint256 i = 1; i < 8; ++i) {
            leaves[i] = keccak256(abi.encode("validator", index, i, state.seed));
        }
    }

    function _keyBranch(State memory state, uint256 index, bytes32[] memory above)
        private
        view
        returns (bytes32[] memory branch)
    {
        branch = new bytes32[](3 + LIST_DEPTH + 1 + above.length);
        bytes32[] memory within = _branch(_validator(state, index), 0);
        for (uint256 i = 0; i < 3; ++i) {
            branch[i] = within[i];
        }
        bytes32[] memory layer = new bytes32[](state.keys.length);
        for (uint256 i = 0; i < layer.length; ++i) {
            layer[i] = _root(_validator(state, i));
        }
        bytes32 zero = bytes32(0);
        for (uint256 depth = 0; depth < LIST_DEPTH; ++depth) {
            uint256 sibling = index ^ 1;
            branch[3 + depth] = sibling < layer.length ? layer[sibling] : zero;
            layer = _parents(layer, zero);
            zero = Ssz.hash(zero, zero);
            index /= 2;
        }
        branch[3 + LIST_DEPTH] = _number(uint64(state.keys.length));
        for (uint256 i = 0; i < above.length; ++i) {
            branch[3 + LIST_DEPTH + 1 + i] = above[i];
        }
    }

    function _chunks(uint64[] memory entries) private pure returns (bytes32[] memory chunks) {
        chunks = new bytes32[](entries.length / 4);
        for (uint256 i = 0; i < entries.length; ++i) {
            chunks[i / 4] |= _number(entries[i]) >> (64 * (i % 4));
        }
    }

    /// Byte by byte, so that it is not the tested code's way.
    function _number(uint64 value) private pure returns (bytes32 chunk) {
        for (uint256 i = 0; i < 8; ++i) {
            chunk |= bytes32(bytes1(uint8(value >> (8 * i)))) >> (8 * i);
        }
    }

    function _parents(bytes32[] memory layer, bytes32 zero) private view returns (bytes32[] memory parents) {
        parents = new bytes32[]((layer.length + 1) / 2);
        for (uint256 i = 0; i < parents.length; ++i) {
            bytes32 right = 2 * i + 1 < layer.length ? layer[2 * i + 1] : zero;
            parents[i] = Ssz.hash(layer[2 * i], right);
        }
    }

    function _root(bytes32[] memory layer) private view returns (bytes32) {
        while (layer.length > 1) layer = _parents(layer, bytes32(0));
        return layer[0];
    }

    /// The siblings of a leaf of a full tree, lowest first.
    function _branch(bytes32[] memory layer, uint256 index) private view returns (bytes32[] memory branch) {
        uint256 depth;
        for (uint256 width = layer.length; width > 1; width /= 2) {
            ++depth;
        }
        branch = new bytes32[](depth);
        for (uint256 i = 0; i < depth; ++i) {
            branch[i] = layer[index ^ 1];
            layer = _parents(layer, bytes32(0));
            index /= 2;
        }
    }
}
