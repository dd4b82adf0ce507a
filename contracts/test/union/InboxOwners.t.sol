// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Inbox} from "../../src/union/Inbox.sol";
import {Lookahead} from "../../src/union/Lookahead.sol";
import {bound, vm} from "../lib/Vm.sol";
import {Beacon} from "./Beacon.sol";
import {Posting} from "./Posting.sol";

/// Whose a slot is, and whose signature counts.
contract InboxOwnersTest is Posting {
    function setUp() public {
        deployAndOptIn();
    }

    /// Slots 0 to 2 are the second validator's, slots 3 to 5 the fifth's, and slots 6 and 7 the second's again, as far as
    /// one look-ahead goes.
    function test_a_slot_is_of_the_next_that_opted_in() public {
        uint64[7] memory slots = [uint64(0), 1, 2, 3, 4, 5, 6];
        uint256[7] memory owners = [uint256(2), 2, 2, 5, 5, 5, 2];
        uint256[7] memory proposers = [uint256(3), 2, 1, 3, 2, 1, 5];
        for (uint256 i = 0; i < slots.length; ++i) {
            post(FIRST + slots[i], proposers[i], owners[i]);
        }
        require(inbox.count() == 7, "all");
    }

    /// The look-ahead of the epoch before shows the same.
    function test_an_older_state_proves_the_same_owner() public {
        uint64 slot = FIRST + 1;
        Beacon.State memory state = stateAt(FIRST - EPOCH + 3);
        uint64 at_ = GENESIS_S + (state.slot + 1) * SLOT_S;
        Lookahead.Proof memory proof = Beacon.prove(state, slot, 2, at_);
        Beacon.record(at_, Beacon.rootOf(proof.header));
        (address owner, uint64 ownerSlot) = inbox.ownerOf(slot, proof);
        require(owner == vm.addr(gatewayOf(2)) && ownerSlot == FIRST + 2, "owner");
    }

    function test_a_later_proposer_does_not_own_an_earlier_ones_slot() public {
        bytes memory earlier = abi.encodeWithSelector(Inbox.EarlierOwner.selector, FIRST + 2, vm.addr(gatewayOf(2)));
        // The fifth validator's gateway, over the second validator's slot.
        refuse(FIRST + 1, 5, 5, earlier);
    }

    function test_a_proof_ends_with_who_opted_in() public {
        refuse(FIRST + 3, 1, 5, abi.encodeWithSelector(Inbox.NoOwner.selector, FIRST + 3));
        refuse(FIRST + 3, 2, 5, abi.encodeWithSelector(Inbox.NoOwner.selector, FIRST + 4));
        post(FIRST + 3, 3, 5);
    }

    function testFuzz_only_the_owner_signs(uint256 secret) public {
        carry(BLOB, OTHER);
        secret = bound(secret, 1, type(uint128).max);
        if (secret == gatewayOf(2)) return;
        Lookahead.Proof memory proof = proofOf(FIRST + 2, 1);
        bytes32 hash = inbox.batchHash(Inbox.Batch(FIRST + 2, bytes32(0), blobsOf(BLOB)));
        bytes memory signature = sign(secret, hash);
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotOwner.selector, vm.addr(gatewayOf(2)), vm.addr(secret)));
        inbox.post(FIRST + 2, bytes32(0), 0, 1, proof, signature);
    }

    /// No signature that is malformed, or mirrored, is anybody's.
    function testFuzz_a_changed_signature_is_not_the_owners(uint256 place, uint8 change, bytes calldata noise) public {
        carry(BLOB, OTHER);
        Lookahead.Proof memory proof = proofOf(FIRST + 2, 1);
        bytes memory signature = signedBy(2, FIRST + 2, blobsOf(BLOB));
        if (change == 0) signature = noise;
        else signature[place % 65] ^= bytes1(change);
        (bool success,) =
            address(inbox).call(abi.encodeCall(Inbox.post, (FIRST + 2, bytes32(0), 0, 1, proof, signature)));
        require(!success, "accepted");
    }

    function test_a_mirrored_signature_is_refused() public {
        carry(BLOB, OTHER);
        Lookahead.Proof memory proof = proofOf(FIRST + 2, 1);
        bytes32 hash = inbox.batchHash(Inbox.Batch(FIRST + 2, bytes32(0), blobsOf(BLOB)));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(gatewayOf(2), hash);
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        bytes memory mirrored = abi.encodePacked(r, order - uint256(s), v == 27 ? uint8(28) : uint8(27));
        vm.expectRevert(abi.encodeWithSelector(Inbox.NotOwner.selector, vm.addr(gatewayOf(2)), address(0)));
        inbox.post(FIRST + 2, bytes32(0), 0, 1, proof, mirrored);
    }

    function test_what_is_signed_is_what_is_posted() public {
        carry(BLOB, OTHER);
        Lookahead.Proof memory proof = proofOf(FIRST + 2, 1);
        bytes memory signature = signedBy(2, FIRST + 2, blobsOf(BLOB));
        // Another blob, more blobs, another inbox, another chain.
        uint256[2] memory firsts = [uint256(1), 0];
        uint256[2] memory counts = [uint256(1), 2];
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert();
            inbox.post(FIRST + 2, bytes32(0), firsts[i], counts[i], proof, signature);
        }
        Inbox other = new Inbox(Inbox.Config(lookahead, registry, START, WINDOW));
        vm.expectRevert();
        other.post(FIRST + 2, bytes32(0), 0, 1, proof, signature);
        vm.chainId(block.chainid + 1);
        vm.expectRevert();
        inbox.post(FIRST + 2, bytes32(0), 0, 1, proof, signature);
    }

    function test_anybody_posts_what_the_owner_signed() public {
        Lookahead.Proof memory proof = proofOf(FIRST + 2, 1);
        bytes memory signature = signedBy(2, FIRST + 2, blobsOf(BLOB));
        // The batch's blob may be anywhere in the transaction.
        carry(OTHER, BLOB);
        vm.prank(address(0xfeed));
        inbox.post(FIRST + 2, bytes32(0), 1, 1, proof, signature);
    }
}
