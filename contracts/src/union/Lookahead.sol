// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Ssz} from "../lib/Ssz.sol";

/// Proves who proposes slots of the beacon chain.
///
/// The proof begins at a root that the chain itself keeps in a system contract (EIP-4788), and goes over the block's
/// header to its state, in the state to `proposer_lookahead` (EIP-7917), and from there to the keys of the validators
/// that it names. Nothing is believed that is not below that root.
///
/// A state's fields move when forks add to it, so their places are given per fork, once, at creation. Slots from
/// `endSlot` on are refused: what a fork after it puts in those places, nobody knows yet.
contract Lookahead {
    /// A beacon block's header, whose root is the block's.
    struct Header {
        uint64 slot;
        uint64 proposerIndex;
        bytes32 parentRoot;
        bytes32 stateRoot;
        bytes32 bodyRoot;
    }

    /// Where things are in the states of a fork, as generalised indices below the state's root.
    struct Layout {
        /// The first slot of the fork.
        uint64 firstSlot;
        /// The vector `proposer_lookahead`.
        uint64 proposerLookahead;
        /// The list `validators`, with its length.
        uint64 validators;
    }

    /// What is the same on a beacon chain for good.
    struct Chain {
        /// The time of slot 0, in seconds.
        uint64 genesisTime;
        uint64 secondsPerSlot;
        uint64 slotsPerEpoch;
        /// The first slot whose states this contract does not know.
        uint64 endSlot;
    }

    /// Proof of the proposers of consecutive slots.
    struct Proof {
        /// The timestamp of an L1 block; the root that it carries is that of its parent's beacon block.
        uint64 timestamp;
        /// That beacon block.
        Header header;
        /// All of `proposer_lookahead`, four entries to a chunk.
        bytes32[] lookahead;
        /// From its root to the state's, lowest sibling first.
        bytes32[] lookaheadBranch;
        /// Of each slot in turn, the root of its proposer's key.
        bytes32[] keys;
        /// From each of them to the state's root.
        bytes32[][] keyBranches;
    }

    error InvalidChain();
    /// The layouts are not in the order of their slots, or one of them is of no tree.
    error InvalidLayout(uint256 index);
    /// EIP-4788 has no root for this time: no block has it, or it is too old.
    error NoBeaconRoot(uint64 timestamp);
    error WrongHeader(bytes32 expected, bytes32 found);
    /// No layout is known for the states of this slot.
    error UnknownFork(uint64 slot);
    /// The slot is in neither the state's epoch nor the next.
    error SlotOutsideLookahead(uint64 slot, uint64 first, uint64 end);
    error LookaheadLength(uint256 expected, uint256 found);
    error WrongLookahead(bytes32 stateRoot, bytes32 found);
    error KeyBranches(uint256 keys, uint256 branches);
    error NoKeys();
    /// No list of validators has a place for this index.
    error ValidatorIndex(uint64 index);
    error WrongKey(uint64 validatorIndex, bytes32 stateRoot, bytes32 found);

    /// EIP-4788 § `BEACON_ROOTS_ADDRESS`.
    address public constant BEACON_ROOTS = 0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02;
    /// `VALIDATOR_REGISTRY_LIMIT`, and the depth of a tree of so many.
    uint256 private constant MAX_VALIDATORS = 2 ** VALIDATORS_DEPTH;
    uint256 private constant VALIDATORS_DEPTH = 40;
    /// The fields of a validator: eight, of which `pubkey` is the first.
    uint256 private constant VALIDATOR_FIELDS = 8;
    /// The right half of a header's tree has `body_root` and three empty chunks.
    bytes32 private constant EMPTY_PAIR = 0xf5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b;
    /// A preset's epoch has no more slots than this.
    uint64 private constant MAX_SLOTS_PER_EPOCH = 64;

    uint64 public genesisTime;
    uint64 public secondsPerSlot;
    uint64 public slotsPerEpoch;
    uint64 public endSlot;
    Layout[] private _layouts;

    constructor(Chain memory chain, Layout[] memory layouts) {
        uint64 slots = chain.slotsPerEpoch;
        // Two epochs fill a full tree of chunks.
        bool slotsFit = slots >= 2 && slots <= MAX_SLOTS_PER_EPOCH && slots & (slots - 1) == 0;
        if (!slotsFit || chain.secondsPerSlot == 0 || layouts.length == 0) revert InvalidChain();
        for (uint256 i = 0; i < layouts.length; ++i) {
            Layout memory places = layouts[i];
            bool ordered = i == 0 || places.firstSlot > layouts[i - 1].firstSlot;
            // Far above any state's fields, and far below where indices of validators' keys would overflow.
            bool fits = places.proposerLookahead > 1 && places.validators > 1
                && places.proposerLookahead <= type(uint32).max && places.validators <= type(uint32).max;
            if (!ordered || !fits) revert InvalidLayout(i);
            _layouts.push(places);
        }
        if (chain.endSlot <= layouts[layouts.length - 1].firstSlot) revert InvalidChain();
        genesisTime = chain.genesisTime;
        secondsPerSlot = chain.secondsPerSlot;
        slotsPerEpoch = slots;
        endSlot = chain.endSlot;
    }

    /// The slot of a time, which is not before genesis.
    function slotAt(uint256 timestamp) external view returns (uint64) {
        return uint64((timestamp - genesisTime) / secondsPerSlot);
    }

    /// The roots of the keys of those who propose `firstSlot` and the slots after it, as many as are proven.
    ///
    /// The root of a key is SSZ's: SHA-256 of its 48 bytes and 16 zeros.
    function proposers(uint64 firstSlot, Proof calldata proof) external view returns (bytes32[] memory) {
        _checkHeader(proof.timestamp, proof.header);
        Layout memory places = _layoutAt(proof.header.slot);
        uint256 offset = _offset(firstSlot, proof.keys.length, proof.header.slot);
        if (proof.keys.length != proof.keyBranches.length) {
            revert KeyBranches(proof.keys.length, proof.keyBranches.length);
        }

        bytes32 stateRoot = proof.header.stateRoot;
        uint256 chunks = slotsPerEpoch / 2;
        if (proof.lookahead.length != chunks) revert LookaheadLength(chunks, proof.lookahead.length);
        bytes32 vectorRoot = Ssz.merkleize(proof.lookahead);
        bytes32 found = Ssz.rootAbove(vectorRoot, proof.lookaheadBranch, places.proposerLookahead);
        if (found != stateRoot) revert WrongLookahead(stateRoot, found);

        for (uint256 i = 0; i < proof.keys.length; ++i) {
            uint256 entry = offset + i;
            uint64 index = Ssz.uint64At(proof.lookahead[entry / 4], entry % 4);
            found = Ssz.rootAbove(proof.keys[i], proof.keyBranches[i], _keyIndex(places.validators, index));
            if (found != stateRoot) revert WrongKey(index, stateRoot, found);
        }
        return proof.keys;
    }

    function layoutCount() external view returns (uint256) {
        return _layouts.length;
    }

    function layoutOf(uint256 index) external view returns (Layout memory) {
        return _layouts[index];
    }

    /// Reverts unless `header` is that of the beacon block whose root the L1 block at `timestamp` carries.
    function _checkHeader(uint64 timestamp, Header calldata header) private view {
        (bool success, bytes memory answer) = BEACON_ROOTS.staticcall(abi.encode(uint256(timestamp)));
        if (!success || answer.length != 32) revert NoBeaconRoot(timestamp);
        bytes32 expected = abi.decode(answer, (bytes32));
        bytes32 left = Ssz.hash(
            Ssz.hash(Ssz.chunk(header.slot), Ssz.chunk(header.proposerIndex)),
            Ssz.hash(header.parentRoot, header.stateRoot)
        );
        bytes32 found = Ssz.hash(left, Ssz.hash(Ssz.hash(header.bodyRoot, bytes32(0)), EMPTY_PAIR));
        if (found != expected) revert WrongHeader(expected, found);
    }

    /// Where the fields are in the state at `slot`.
    function _layoutAt(uint64 slot) private view returns (Layout memory places) {
        if (slot >= endSlot) revert UnknownFork(slot);
        for (uint256 i = _layouts.length; i > 0; --i) {
            places = _layouts[i - 1];
            if (slot >= places.firstSlot) return places;
        }
        revert UnknownFork(slot);
    }

    /// The place of `firstSlot` in the look-ahead of the state at `stateSlot`, which holds `count` slots from there.
    function _offset(uint64 firstSlot, uint256 count, uint64 stateSlot) private view returns (uint256) {
        if (count == 0) revert NoKeys();
        uint64 first = stateSlot - stateSlot % slotsPerEpoch;
        uint64 end = first + 2 * slotsPerEpoch;
        if (firstSlot < first || firstSlot >= end || count > end - firstSlot) {
            revert SlotOutsideLookahead(firstSlot, first, end);
        }
        return firstSlot - first;
    }

    /// The generalised index of a validator's key.
    function _keyIndex(uint64 validators, uint64 index) private pure returns (uint256) {
        // Beyond, it would be the index of another field.
        if (index >= MAX_VALIDATORS) revert ValidatorIndex(index);
        // The left child of a list is the tree of its elements.
        uint256 element = (uint256(validators) * 2 << VALIDATORS_DEPTH) | index;
        return element * VALIDATOR_FIELDS;
    }
}
