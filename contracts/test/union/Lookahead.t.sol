// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Ssz} from "../../src/lib/Ssz.sol";
import {Lookahead} from "../../src/union/Lookahead.sol";
import {bound, vm} from "../lib/Vm.sol";
import {Beacon} from "./Beacon.sol";

contract LookaheadTest {
    uint64 private constant GENESIS_S = 1_000_000;
    uint64 private constant SLOT_S = 12;
    /// The first slot of Fulu, and the first that nobody knows yet.
    uint64 private constant FULU = 64;
    uint64 private constant END = 1 << 20;

    Lookahead private mainnet = deploy(32);
    Lookahead private minimal = deploy(8);

    function setUp() public {
        vm.warp(GENESIS_S + 100_000 * SLOT_S);
    }

    function deploy(uint64 slotsPerEpoch) private returns (Lookahead) {
        Lookahead.Layout[] memory layouts = new Lookahead.Layout[](1);
        layouts[0] = Beacon.fulu(FULU);
        return new Lookahead(Lookahead.Chain(GENESIS_S, SLOT_S, slotsPerEpoch, END), layouts);
    }

    function stateAt(uint64 slot, uint64 slotsPerEpoch, uint256 seed) private pure returns (Beacon.State memory state) {
        state.slot = slot;
        state.slotsPerEpoch = slotsPerEpoch;
        state.seed = keccak256(abi.encode(seed));
        state.keys = new bytes32[](1 + seed % 9);
        for (uint256 i = 0; i < state.keys.length; ++i) {
            state.keys[i] = keccak256(abi.encode("key", i, seed));
        }
        state.lookahead = new uint64[](2 * slotsPerEpoch);
        for (uint256 i = 0; i < state.lookahead.length; ++i) {
            state.lookahead[i] = uint64(uint256(keccak256(abi.encode("proposer", i, seed))) % state.keys.length);
        }
    }

    /// A proof of `count` slots from `first`, whose root is on L1.
    function provenAt(Beacon.State memory state, uint64 first, uint256 count)
        private
        returns (Lookahead.Proof memory proof)
    {
        proof = Beacon.prove(state, first, count, GENESIS_S + (state.slot + 1) * SLOT_S);
        Beacon.record(proof.timestamp, Beacon.rootOf(proof.header));
    }

    /// A proof by the minimal preset that holds, to be spoilt.
    function example() private returns (Lookahead.Proof memory) {
        return provenAt(stateAt(1003, 8, 5), 1005, 2);
    }

    function testFuzz_every_run_of_slots_is_proven(uint256 seed, uint64 slot, uint256 from, uint256 count, bool small)
        public
    {
        uint64 slotsPerEpoch = small ? 8 : 32;
        slot = uint64(bound(slot, FULU, 99_000));
        from = bound(from, 0, 2 * slotsPerEpoch - 1);
        count = bound(count, 1, 2 * slotsPerEpoch - from);
        if (count > 4) count = 4;
        Beacon.State memory state = stateAt(slot, slotsPerEpoch, seed);
        uint64 first = slot - slot % slotsPerEpoch + uint64(from);
        Lookahead.Proof memory proof = provenAt(state, first, count);
        bytes32[] memory keys = (small ? minimal : mainnet).proposers(first, proof);
        require(keys.length == count, "count");
        for (uint256 i = 0; i < count; ++i) {
            require(keys[i] == state.keys[state.lookahead[from + i]], "key");
        }
    }

    /// Nothing in a proof can be anything else: a bit changed anywhere, and nothing is proven.
    function testFuzz_a_changed_proof_proves_nothing(uint256 part, uint256 place, uint8 bit) public {
        Lookahead.Proof memory proof = example();
        bytes32 flip = bytes32(uint256(2) ** bit);
        part = part % 9;
        if (part == 0) proof.header.slot ^= uint64(2 ** (bit % 64));
        else if (part == 1) proof.header.proposerIndex ^= uint64(2 ** (bit % 64));
        else if (part == 2) proof.header.parentRoot ^= flip;
        else if (part == 3) proof.header.stateRoot ^= flip;
        else if (part == 4) proof.header.bodyRoot ^= flip;
        else if (part == 5) proof.lookahead[place % 4] ^= flip;
        else if (part == 6) proof.lookaheadBranch[place % 6] ^= flip;
        else if (part == 7) proof.keys[place % 2] ^= flip;
        else proof.keyBranches[place % 2][(place >> 1) % 50] ^= flip;
        vm.expectRevert();
        minimal.proposers(1005, proof);
    }

    function testFuzz_another_slot_is_not_proven(uint64 slot) public {
        // The keys of five validators repeat, so a proof may hold for a slot with the same proposers; not this one, whose
        // proposers are all different.
        Beacon.State memory state = stateAt(1003, 8, 5);
        state.keys = new bytes32[](16);
        for (uint64 i = 0; i < 16; ++i) {
            state.keys[i] = keccak256(abi.encode(i));
            state.lookahead[i] = i;
        }
        Lookahead.Proof memory proof = provenAt(state, 1005, 1);
        if (slot != 1005) vm.expectRevert();
        minimal.proposers(slot, proof);
    }

    function test_a_root_that_l1_does_not_have_proves_nothing() public {
        Lookahead.Proof memory proof = example();
        proof.timestamp += 1;
        vm.expectRevert(abi.encodeWithSelector(Lookahead.NoBeaconRoot.selector, proof.timestamp));
        minimal.proposers(1005, proof);
        proof.timestamp = 0;
        vm.expectRevert(abi.encodeWithSelector(Lookahead.NoBeaconRoot.selector, 0));
        minimal.proposers(1005, proof);
        // The ring holds 8191 timestamps, and this one's place is taken.
        proof = example();
        Beacon.record(proof.timestamp + 8191, keccak256("later"));
        vm.expectRevert(abi.encodeWithSelector(Lookahead.NoBeaconRoot.selector, proof.timestamp));
        minimal.proposers(1005, proof);
    }

    function test_without_the_contract_of_roots_nothing_is_proven() public {
        Lookahead.Proof memory proof = example();
        vm.etch(Beacon.ROOTS, "");
        vm.expectRevert(abi.encodeWithSelector(Lookahead.NoBeaconRoot.selector, proof.timestamp));
        minimal.proposers(1005, proof);
    }

    function test_another_header_proves_nothing() public {
        Lookahead.Proof memory proof = example();
        bytes32 expected = Beacon.rootOf(proof.header);
        proof.header.proposerIndex += 1;
        bytes32 found = Beacon.rootOf(proof.header);
        vm.expectRevert(abi.encodeWithSelector(Lookahead.WrongHeader.selector, expected, found));
        minimal.proposers(1005, proof);
    }

    function test_slots_outside_the_look_ahead_are_refused() public {
        // The state of slot 1003 tells of 1000 to 1015.
        Lookahead.Proof memory proof = example();
        uint64[4] memory slots = [999, 1015, 1016, type(uint64).max];
        for (uint256 i = 0; i < slots.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Lookahead.SlotOutsideLookahead.selector, slots[i], 1000, 1016));
            minimal.proposers(slots[i], proof);
        }
        proof.keys = new bytes32[](0);
        proof.keyBranches = new bytes32[][](0);
        vm.expectRevert(Lookahead.NoKeys.selector);
        minimal.proposers(1005, proof);
    }

    function test_states_of_unknown_forks_are_refused() public {
        uint64[2] memory slots = [FULU - 1, END];
        for (uint256 i = 0; i < slots.length; ++i) {
            Lookahead.Proof memory proof = provenAt(stateAt(slots[i], 8, 1), slots[i], 1);
            vm.expectRevert(abi.encodeWithSelector(Lookahead.UnknownFork.selector, slots[i]));
            minimal.proposers(slots[i], proof);
        }
        minimal.proposers(FULU, provenAt(stateAt(FULU, 8, 1), FULU, 1));
        minimal.proposers(END - 1, provenAt(stateAt(END - 1, 8, 1), END - 1, 1));
    }

    function test_each_fork_has_its_own_layout() public {
        Lookahead.Layout[] memory layouts = new Lookahead.Layout[](2);
        // As if the fields were elsewhere before.
        layouts[0] = Lookahead.Layout(0, 64 + 36, 64 + 11);
        layouts[1] = Beacon.fulu(FULU);
        Lookahead both = new Lookahead(Lookahead.Chain(GENESIS_S, SLOT_S, 8, END), layouts);
        both.proposers(FULU, provenAt(stateAt(FULU, 8, 1), FULU, 1));
        Lookahead.Proof memory before = provenAt(stateAt(FULU - 1, 8, 1), FULU - 1, 1);
        // The branch is of the other place, and so leads elsewhere.
        vm.expectRevert();
        both.proposers(FULU - 1, before);
        require(both.layoutCount() == 2 && both.layoutOf(0).proposerLookahead == 100, "layouts");
    }

    function test_lengths_are_checked() public {
        Lookahead.Proof memory proof = example();
        bytes32[] memory whole = proof.lookahead;
        proof.lookahead = new bytes32[](8);
        vm.expectRevert(abi.encodeWithSelector(Lookahead.LookaheadLength.selector, 4, 8));
        minimal.proposers(1005, proof);
        proof.lookahead = new bytes32[](0);
        vm.expectRevert(abi.encodeWithSelector(Lookahead.LookaheadLength.selector, 4, 0));
        minimal.proposers(1005, proof);
        proof.lookahead = whole;

        bytes32[] memory branch = proof.lookaheadBranch;
        proof.lookaheadBranch = new bytes32[](7);
        vm.expectRevert(abi.encodeWithSelector(Ssz.BranchLength.selector, 6, 7));
        minimal.proposers(1005, proof);
        proof.lookaheadBranch = branch;

        branch = proof.keyBranches[1];
        proof.keyBranches[1] = new bytes32[](49);
        vm.expectRevert(abi.encodeWithSelector(Ssz.BranchLength.selector, 50, 49));
        minimal.proposers(1005, proof);
        proof.keyBranches[1] = branch;

        bytes32[] memory keys = proof.keys;
        proof.keys = new bytes32[](1);
        vm.expectRevert(abi.encodeWithSelector(Lookahead.KeyBranches.selector, 1, 2));
        minimal.proposers(1005, proof);
        proof.keys = keys;
        minimal.proposers(1005, proof);
    }

    /// No state names such a validator; if one did, its key would be looked for in another field.
    function test_an_index_that_no_list_can_have_is_refused() public {
        Beacon.State memory state = stateAt(1003, 8, 5);
        Lookahead.Proof memory proof = provenAt(state, 1005, 1);
        state.lookahead[5] = 1 << 40;
        // The look-ahead is proven first, and the state is now another.
        Lookahead.Proof memory other = Beacon.prove(state, 1006, 1, proof.timestamp);
        Beacon.record(other.timestamp, Beacon.rootOf(other.header));
        vm.expectRevert(abi.encodeWithSelector(Lookahead.ValidatorIndex.selector, 1 << 40));
        minimal.proposers(1005, other);
    }

    function test_senseless_settings_are_refused() public {
        Lookahead.Layout[] memory layouts = new Lookahead.Layout[](1);
        layouts[0] = Beacon.fulu(FULU);
        refused(Lookahead.Chain(0, 0, 8, END), layouts, Lookahead.InvalidChain.selector);
        refused(Lookahead.Chain(0, 12, 12, END), layouts, Lookahead.InvalidChain.selector);
        refused(Lookahead.Chain(0, 12, 1, END), layouts, Lookahead.InvalidChain.selector);
        refused(Lookahead.Chain(0, 12, 128, END), layouts, Lookahead.InvalidChain.selector);
        refused(Lookahead.Chain(0, 12, 8, FULU), layouts, Lookahead.InvalidChain.selector);
        refused(Lookahead.Chain(0, 12, 8, END), new Lookahead.Layout[](0), Lookahead.InvalidChain.selector);
        layouts[0].validators = 1;
        refused(Lookahead.Chain(0, 12, 8, END), layouts, abi.encodeWithSelector(Lookahead.InvalidLayout.selector, 0));
        layouts[0] = Beacon.fulu(FULU);
        layouts[0].proposerLookahead = 1 << 32;
        refused(Lookahead.Chain(0, 12, 8, END), layouts, abi.encodeWithSelector(Lookahead.InvalidLayout.selector, 0));
        layouts = new Lookahead.Layout[](2);
        layouts[0] = Beacon.fulu(FULU);
        layouts[1] = Beacon.fulu(FULU);
        refused(Lookahead.Chain(0, 12, 8, END), layouts, abi.encodeWithSelector(Lookahead.InvalidLayout.selector, 1));
    }

    function refused(Lookahead.Chain memory chain, Lookahead.Layout[] memory layouts, bytes4 reason) private {
        refused(chain, layouts, abi.encodePacked(reason));
    }

    function refused(Lookahead.Chain memory chain, Lookahead.Layout[] memory layouts, bytes memory reason) private {
        vm.expectRevert(reason);
        new Lookahead(chain, layouts);
    }

    function test_slots_of_times() public {
        require(minimal.slotAt(GENESIS_S) == 0 && minimal.slotAt(GENESIS_S + 23) == 1, "slot");
        vm.expectRevert();
        minimal.slotAt(GENESIS_S - 1);
    }

    /// What a proof of one slot costs on a chain like Ethereum's.
    function test_gas_of_one_slot() public {
        Lookahead.Proof memory proof = provenAt(stateAt(90_000, 32, 8), 90_007, 1);
        mainnet.proposers(90_007, proof);
    }
}
