// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {SimulatedUnion} from "@lockstep/app/testing/SimulatedUnion.sol";
import {CrossSwap} from "../src/CrossSwap.sol";
import {Pool} from "../src/Pool.sol";
import {Token} from "../src/Token.sol";
import {cheats} from "./Cheats.sol";

/// Both rollups are in one EVM here (see `SimulatedUnion`).
contract CrossSwapTest is SimulatedUnion {
    uint256 private constant A = 901;
    uint256 private constant B = 902;
    address private constant ALICE = address(0xa11ce);
    address private constant BOB = address(0xb0b);

    Token private tokenA;
    Token private tokenB;
    Pool private poolA;
    Pool private poolB;
    CrossSwap private swapper;

    function setUp() public {
        startUnion(A, B);
        cheats.deal(address(this), 300 ether);

        switchTo(B);
        tokenB = new Token(address(this), 1_000_000);
        poolB = new Pool(tokenB);
        tokenB.approve(address(poolB), 1_000_000);
        poolB.fund{value: 200 ether}(1_000_000);

        switchTo(A);
        tokenA = new Token(address(this), 1_010_000);
        poolA = new Pool(tokenA);
        tokenA.approve(address(poolA), 1_000_000);
        poolA.fund{value: 100 ether}(1_000_000);
        require(tokenA.transfer(ALICE, 10_000), "transfer");
        swapper = new CrossSwap(poolA, B, address(poolB));
        cheats.prank(ALICE);
        tokenA.approve(address(swapper), 10_000);
    }

    /// What a formula gives that is not the contract's.
    function out(uint256 amount, uint256 from, uint256 to) private pure returns (uint256) {
        return to - (from * to * 1000 + from * 1000 + amount * 997 - 1) / (from * 1000 + amount * 997);
    }

    function testFuzz_a_swap_goes_over_both_pools(uint256 amount) public {
        amount = 1 + amount % 10_000;
        cheats.prank(ALICE);
        uint256 bought = swapper.swap(amount, 0, BOB);
        require(tokenB.balanceOf(BOB) == bought, "bought");
        require(tokenA.balanceOf(ALICE) == 10_000 - amount, "sold");
        uint256 etherOnB = address(poolB).balance - 200 ether;
        require(etherOnB == 100 ether - address(poolA).balance, "ether went over");
        require(poolB.etherReserve() == address(poolB).balance, "reserve");
        require(address(swapper).balance == 0 && tokenA.balanceOf(address(swapper)) == 0, "nothing on the way");
    }

    function test_too_little_undoes_both_rollups() public {
        uint256 bought = quote();
        cheats.prank(ALICE);
        cheats.expectRevert(abi.encodeWithSelector(CrossSwap.TooLittle.selector, bought, bought + 1));
        swapper.swap(10_000, bought + 1, BOB);
        require(tokenA.balanceOf(ALICE) == 10_000 && tokenB.balanceOf(BOB) == 0, "tokens");
        require(address(poolA).balance == 100 ether && poolA.etherReserve() == 100 ether, "A");
        require(address(poolB).balance == 200 ether && poolB.etherReserve() == 200 ether, "B");
        require(poolB.tokenReserve() == 1_000_000 && block.chainid == A, "B's tokens, and control");

        cheats.prank(ALICE);
        require(swapper.swap(10_000, bought, BOB) == bought, "exactly as much");
    }

    /// What 10,000 tokens would bring, by a formula of its own.
    function quote() private view returns (uint256) {
        uint256 paid = out(10_000, poolA.tokenReserve(), poolA.etherReserve());
        return out(paid, poolB.etherReserve(), poolB.tokenReserve());
    }
}
