// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Inbox} from "../../src/union/Inbox.sol";
import {Lookahead} from "../../src/union/Lookahead.sol";
import {vm} from "../lib/Vm.sol";
import {Posting} from "./Posting.sol";

/// Posts batches of any slots by any gateways at any time, and holds each answer against the rules.
contract Posters is Posting {
    bool[VALIDATORS] private optedIn;
    uint64 private last = FIRST - 1;
    bytes32 private newest;
    mapping(uint64 slot => uint256) private batches;
    uint64 public posted;

    constructor() {
        deployInbox();
        uint8[3] memory who = [2, 3, 6];
        for (uint256 i = 0; i < who.length; ++i) {
            optIn(who[i]);
            optedIn[who[i]] = true;
        }
        goTo(FIRST);
    }

    function wait(uint64 slots) external {
        uint64 next = current() + slots % 6;
        goTo(next > FIRST + 70 ? FIRST + 70 : next);
    }

    function post(uint64 slot, uint256 count, uint256 signer, bool onHead) external {
        bytes32[] memory hashes = blobsOf(BLOB);
        vm.blobhashes(hashes);
        uint64 present = current();
        slot = pick(slot, present);
        uint256 offset = slot % EPOCH;
        uint256 own = owner(offset);
        // More often than not, the right proof and the right gateway.
        count = count % 3 == 0 ? 1 + count % (2 * EPOCH - offset) : own - offset + 1;
        signer = signer % 3 == 0 ? signer % VALIDATORS : own % VALIDATORS;
        bytes32 parent = onHead ? inbox.head() : bytes32(uint256(slot));
        bytes32 hash = inbox.batchHash(Inbox.Batch(slot, parent, hashes));
        bytes memory signature = sign(gatewayOf(signer), hash);
        Lookahead.Proof memory proof = proofOf(slot, count);
        bool allowed = slot > last && slot < present && present - slot <= WINDOW && onHead && count == own - offset + 1
            && signer == own % VALIDATORS;
        try inbox.post(slot, parent, 0, 1, proof, signature) {
            require(allowed, "posted");
            (last, newest, posted) = (slot, hash, posted + 1);
            batches[slot] += 1;
        } catch {
            require(!allowed, "not posted");
        }
    }

    function check() external view {
        require(inbox.count() == posted && inbox.head() == newest, "chain");
        require(inbox.nextSlot() == last + 1, "slot");
        for (uint64 slot = FIRST; slot < FIRST + 72; ++slot) {
            require(batches[slot] <= 1 && (batches[slot] == 0 || slot <= last), "one batch per slot, in order");
        }
    }

    /// More often than not, a slot that can be posted.
    function pick(uint64 seed, uint64 present) private view returns (uint64 slot) {
        uint64 least = present - last > WINDOW ? present - WINDOW : last + 1;
        bool wild = seed % 3 == 0 || present < least;
        slot = wild ? FIRST + seed % 72 : least + seed % (present - least + 1);
        if (slot > FIRST + 70) slot = FIRST + 70;
    }

    /// The place, in two epochs, of the first proposer from `offset` on that opted in.
    function owner(uint256 offset) private view returns (uint256) {
        while (!optedIn[offset % VALIDATORS]) ++offset;
        return offset;
    }
}

contract InboxInvariantsTest {
    Posters private posters;

    function setUp() public {
        posters = new Posters();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(posters);
    }

    /// The posters can do what the invariant is about.
    function test_the_posters_post() public {
        for (uint64 i = 0; i < 20; ++i) {
            posters.wait(5);
            posters.post(1, 1, 1, true);
            posters.post(1, 3, 1, true);
            posters.post(1, 1, 1, false);
        }
        require(posters.posted() >= 10, "posted");
        posters.check();
    }

    function invariant_batches_are_a_chain_of_one_per_slot() public view {
        posters.check();
    }
}
