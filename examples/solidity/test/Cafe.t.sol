// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {SimulatedUnion} from "@lockstep/app/testing/SimulatedUnion.sol";
import {Cafe} from "../src/Cafe.sol";
import {cheats} from "./Cheats.sol";

/// Both rollups are in one EVM here (see `SimulatedUnion`), so both branches are one contract.
contract CafeTest is SimulatedUnion {
    uint256 private constant A = 901;
    uint256 private constant B = 902;
    address private constant ALICE = address(0xa11ce);

    Cafe private cafe;

    function setUp() public {
        startUnion(A, B);
        switchTo(A);
        cafe = new Cafe();
        cheats.deal(ALICE, 1 ether);
    }

    function test_an_order_is_paid_there_and_the_change_comes_back() public {
        cheats.prank(ALICE);
        require(cafe.order{value: 0.01 ether}(B, 2) == 0.006 ether, "price");
        require(ALICE.balance == 1 ether - 0.006 ether, "change");
        require(cafe.ordered() == 2 && cafe.served() == 2, "cups");
        require(address(cafe).balance == 0.006 ether, "paid");
    }

    function test_who_pays_too_little_is_served_nothing() public {
        cheats.prank(ALICE);
        cheats.expectRevert(abi.encodeWithSelector(Cafe.TooLittle.selector, 0.005 ether, 0.006 ether));
        cafe.order{value: 0.005 ether}(B, 2);
        require(ALICE.balance == 1 ether && cafe.ordered() == 0 && cafe.served() == 0, "nothing happened");
    }
}
