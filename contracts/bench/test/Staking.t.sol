// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {bound, vm} from "../../test/lib/Vm.sol";
import {BenchStaking} from "../BenchStaking.sol";
import {BenchToken} from "../BenchToken.sol";

contract StakingTest {
    address internal constant ALICE = address(0xa11ce);
    address internal constant BOB = address(0xb0b);
    uint256 internal constant START = 1_700_000_000;

    BenchToken internal token;
    BenchToken internal reward;
    BenchStaking internal staking;

    function setUp() public {
        vm.warp(START);
        token = new BenchToken(address(this), type(uint128).max);
        reward = new BenchToken(address(this), type(uint128).max);
        staking = new BenchStaking(token, reward);
        require(reward.transfer(address(staking), 1_000 ether), "to be paid");
    }

    function stake(address account, uint256 amount) internal {
        require(token.transfer(account, amount), "given");
        vm.prank(account);
        token.approve(address(staking), amount);
        vm.prank(account);
        staking.stake(amount);
    }

    function test_accounts_are_paid_by_share_and_time() public {
        stake(ALICE, 4 ether);
        vm.warp(START + 10);
        stake(BOB, 4 ether);
        vm.warp(START + 30);
        require(staking.earned(ALICE) == 10 ether + 10 ether, "alone, then half");
        require(staking.earned(BOB) == 10 ether, "half");
        stake(BOB, 8 ether);
        require(reward.balanceOf(BOB) == 10 ether && staking.earned(BOB) == 0, "paid");
        vm.warp(START + 46);
        require(staking.earned(ALICE) == 20 ether + 4 ether, "a quarter");
        require(staking.earned(BOB) == 12 ether, "the rest");
        (uint256 amount, uint256 time) = staking.positions(BOB, 1);
        require(amount == 8 ether && time == START + 30, "position");
    }

    function testFuzz_what_is_staked_is_here(uint256[8] memory amounts) public {
        uint256 sum;
        for (uint256 i = 0; i < amounts.length; i++) {
            uint256 amount = bound(amounts[i], 1, 1e30);
            stake(i % 2 == 0 ? ALICE : BOB, amount);
            sum += amount;
            require(staking.total() == sum && token.balanceOf(address(staking)) == sum, "total");
            require(staking.staked(ALICE) + staking.staked(BOB) == sum, "parts");
        }
        vm.expectRevert(BenchStaking.NothingStaked.selector);
        staking.stake(0);
    }
}
