// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Inbox} from "../../src/union/Inbox.sol";
import {Lookahead} from "../../src/union/Lookahead.sol";
import {Registry} from "../../src/union/Registry.sol";
import {Vm, vm} from "../lib/Vm.sol";
import {Beacon} from "./Beacon.sol";
import {Posting} from "./Posting.sol";

contract InboxTest is Posting {
    function setUp() public {
        deployAndOptIn();
    }

    function test_the_owner_of_its_slot_posts() public {
        post(FIRST + 2, 1, 2);
        require(inbox.count() == 1 && inbox.nextSlot() == FIRST + 3, "state");
        bytes32 first = inbox.batchHash(Inbox.Batch(FIRST + 2, bytes32(0), blobsOf(BLOB)));
        require(inbox.head() == first, "head");
        post(FIRST + 5, 1, 5);
        bytes32 second = inbox.batchHash(Inbox.Batch(FIRST + 5, first, blobsOf(BLOB)));
        require(inbox.count() == 2 && inbox.head() == second, "chain");
    }

    function test_an_event_has_what_derivation_needs() public {
        carry(BLOB, OTHER);
        Lookahead.Proof memory proof = proofOf(FIRST + 1, 2);
        bytes32[] memory blobs = new bytes32[](2);
        (blobs[0], blobs[1]) = (BLOB, OTHER);
        bytes32 hash = inbox.batchHash(Inbox.Batch(FIRST + 1, bytes32(0), blobs));
        bytes memory signature = sign(gatewayOf(2), hash);
        vm.recordLogs();
        inbox.post(FIRST + 1, bytes32(0), 0, 2, proof, signature);
        Vm.Log memory log = vm.getRecordedLogs()[0];
        require(log.emitter == address(inbox) && log.topics[0] == Inbox.BatchPosted.selector, "event");
        require(uint256(log.topics[1]) == FIRST + 1, "slot");
        require(address(uint160(uint256(log.topics[2]))) == vm.addr(gatewayOf(2)), "owner");
        require(uint256(log.topics[3]) == 0, "sequence");
        bytes memory rest = abi.encode(FIRST + 2, hash, bytes32(0), blobs);
        require(keccak256(log.data) == keccak256(rest), "owner's slot, hash, parent and blobs");
    }

    function test_a_slot_has_one_batch_and_none_after_a_later_ones() public {
        carry(BLOB, OTHER);
        Lookahead.Proof memory proof = proofOf(FIRST + 2, 1);
        bytes memory signature = signedBy(2, FIRST + 2, blobsOf(BLOB));
        inbox.post(FIRST + 2, bytes32(0), 0, 1, proof, signature);
        bytes memory passed = abi.encodeWithSelector(Inbox.SlotPassed.selector, FIRST + 3);
        vm.expectRevert(passed);
        inbox.post(FIRST + 2, bytes32(0), 0, 1, proof, signature);
        refuse(FIRST + 2, 1, 2, passed);
        refuse(FIRST + 1, 2, 2, passed);
    }

    function test_a_batch_follows_the_one_that_it_was_built_on() public {
        carry(BLOB, OTHER);
        // Both gateways build on nothing; the one that comes second is not executed on the other's state.
        Lookahead.Proof memory proof = proofOf(FIRST + 5, 1);
        bytes memory signature = signedBy(5, FIRST + 5, blobsOf(BLOB));
        post(FIRST + 2, 1, 2);
        bytes32 head = inbox.head();
        vm.expectRevert(abi.encodeWithSelector(Inbox.WrongParent.selector, head));
        inbox.post(FIRST + 5, bytes32(0), 0, 1, proof, signature);
        vm.expectRevert();
        inbox.post(FIRST + 5, head, 0, 1, proof, signature);
    }

    function test_a_batch_is_posted_in_its_time() public {
        goTo(FIRST + 1);
        refuse(FIRST + 2, 1, 2, abi.encodeWithSelector(Inbox.SlotNotOver.selector, FIRST + 1));
        // In the block of the slot, too: the batch of the slot before must come first.
        goTo(FIRST + 2);
        refuse(FIRST + 2, 1, 2, abi.encodeWithSelector(Inbox.SlotNotOver.selector, FIRST + 2));
        goTo(FIRST + 2 + WINDOW + 1);
        refuse(FIRST + 2, 1, 2, abi.encodeWithSelector(Inbox.WindowClosed.selector, FIRST + 2 + WINDOW));
        goTo(FIRST + 2 + WINDOW);
        post(FIRST + 2, 1, 2);
        refuse(START - 1, 1, 2, abi.encodeWithSelector(Inbox.SlotPassed.selector, FIRST + 3));
    }

    function test_a_batch_has_blobs() public {
        carry(BLOB, OTHER);
        Lookahead.Proof memory proof = proofOf(FIRST + 2, 1);
        uint256[2] memory counts = [uint256(0), 17];
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Inbox.BlobCount.selector, 16));
            inbox.post(FIRST + 2, bytes32(0), 0, counts[i], proof, "");
        }
        vm.expectRevert(abi.encodeWithSelector(Inbox.NoBlob.selector, 2));
        inbox.post(FIRST + 2, bytes32(0), 1, 2, proof, "");
    }

    function test_the_hash_is_that_of_eip_712() public view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Lockstep Inbox"),
                keccak256("1"),
                block.chainid,
                address(inbox)
            )
        );
        bytes32 content = keccak256(
            abi.encode(
                keccak256("UnionBatch(uint64 slot,bytes32 parent,bytes32[] blobHashes)"),
                uint256(7),
                OTHER,
                keccak256(abi.encode(BLOB))
            )
        );
        bytes32 hash = keccak256(abi.encodePacked(hex"1901", domain, content));
        require(inbox.batchHash(Inbox.Batch(7, OTHER, blobsOf(BLOB))) == hash, "hash");
    }

    function test_senseless_settings_are_refused() public {
        vm.expectRevert(Inbox.InvalidConfig.selector);
        new Inbox(Inbox.Config(lookahead, registry, START, 0));
        vm.expectRevert(Inbox.InvalidConfig.selector);
        new Inbox(Inbox.Config(lookahead, Registry(address(1)), START, WINDOW));
        Lookahead.Layout[] memory layouts = new Lookahead.Layout[](1);
        layouts[0] = Beacon.fulu(0);
        Lookahead other = new Lookahead(Lookahead.Chain(0, SLOT_S, EPOCH, 1 << 40), layouts);
        vm.expectRevert(Inbox.InvalidConfig.selector);
        new Inbox(Inbox.Config(other, registry, START, WINDOW));
    }
}
