// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {bound, vm} from "../../test/lib/Vm.sol";
import {BenchPair} from "../BenchPair.sol";
import {BenchRouter} from "../BenchRouter.sol";
import {BenchToken} from "../BenchToken.sol";

contract SwapsTest {
    uint256 internal constant RESERVE = 1_000_000 ether;
    address internal constant ALICE = address(0xa11ce);
    uint32 internal constant START = 1_700_000_000;

    BenchRouter internal router;
    BenchToken internal first;
    BenchToken internal second;
    BenchToken internal third;
    BenchPair internal pair;

    function setUp() public {
        vm.warp(START);
        router = new BenchRouter();
        BenchToken a = new BenchToken(address(this), 10 * RESERVE);
        BenchToken b = new BenchToken(address(this), 10 * RESERVE);
        (first, second) = address(a) < address(b) ? (a, b) : (b, a);
        third = new BenchToken(address(this), 10 * RESERVE);
        pair = makePair(first, second);
        makePair(second, third);
    }

    function makePair(BenchToken a, BenchToken b) internal returns (BenchPair made) {
        made = router.createPair(address(a), address(b));
        require(a.transfer(address(made), RESERVE) && b.transfer(address(made), RESERVE), "reserves");
        made.sync();
        a.approve(address(router), type(uint256).max);
        b.approve(address(router), type(uint256).max);
    }

    function product() internal view returns (uint256) {
        (uint112 reserve0, uint112 reserve1,) = pair.getReserves();
        require(reserve0 == first.balanceOf(address(pair)), "first reserve");
        require(reserve1 == second.balanceOf(address(pair)), "second reserve");
        return uint256(reserve0) * reserve1;
    }

    function swap(BenchToken from, BenchToken to, uint256 amount) internal returns (uint256) {
        address[] memory path = new address[](2);
        (path[0], path[1]) = (address(from), address(to));
        return router.swapExactTokensForTokens(amount, 0, path, ALICE, block.timestamp)[1];
    }

    function test_the_routers_constant_is_the_hash_of_the_pairs_code() public view {
        require(router.PAIR_CODE_HASH() == keccak256(type(BenchPair).creationCode), "change PAIR_CODE_HASH");
        require(router.pairFor(address(second), address(first)) == address(pair), "place");
    }

    function testFuzz_the_product_of_the_reserves_never_falls(uint256[8] memory amounts, uint8 directions) public {
        uint256 before = product();
        for (uint256 i = 0; i < amounts.length; i++) {
            bool forth = (directions >> i) & 1 == 1;
            uint256 amount = bound(amounts[i], 1e6, RESERVE / 2);
            forth ? swap(first, second, amount) : swap(second, first, amount);
            uint256 product_ = product();
            require(product_ >= before, "it fell");
            before = product_;
        }
    }

    /// No more than the formula says, and the fee is three thousandths of what is paid.
    function testFuzz_the_pair_takes_its_fee(uint256 amount) public {
        amount = bound(amount, 1e6, RESERVE);
        uint256 out = router.getAmountOut(amount, RESERVE, RESERVE);
        uint256 free = amount * RESERVE / (RESERVE + amount);
        require(out < free && out >= free * 996 / 1000, "fee");
        require(first.transfer(address(pair), amount), "paid");
        vm.expectRevert(BenchPair.NotEnoughPaid.selector);
        pair.swap(0, out + 1, ALICE);
        pair.swap(0, out, ALICE);
        require(second.balanceOf(ALICE) == out, "given");
    }

    function test_a_pair_gives_nothing_for_nothing() public {
        vm.expectRevert(BenchPair.NothingPaid.selector);
        pair.swap(0, 1, ALICE);
        vm.expectRevert(BenchPair.NothingAsked.selector);
        pair.swap(0, 0, ALICE);
        vm.expectRevert(abi.encodeWithSelector(BenchPair.ReserveTooSmall.selector, RESERVE, RESERVE));
        pair.swap(RESERVE, 0, ALICE);
        vm.expectRevert(BenchPair.AlreadyInitialized.selector);
        pair.initialize(address(third), address(second));
    }

    function test_prices_are_summed_over_time() public {
        vm.warp(START + 10);
        uint256 out = swap(first, second, RESERVE);
        require(pair.price0Cumulative() == 10 << 112 && pair.price1Cumulative() == 10 << 112, "even");
        vm.warp(START + 13);
        pair.sync();
        uint256 price = ((RESERVE - out) << 112) / (2 * RESERVE);
        require(pair.price0Cumulative() == (10 << 112) + 3 * price, "cheaper");
        require(pair.price1Cumulative() > 16 << 112, "dearer");
    }

    function test_a_path_may_lead_over_several_pairs() public {
        address[] memory path = new address[](3);
        (path[0], path[1], path[2]) = (address(first), address(second), address(third));
        uint256[] memory amounts = router.swapExactTokensForTokens(1 ether, 0, path, ALICE, block.timestamp);
        require(third.balanceOf(ALICE) == amounts[2] && amounts[2] > 0.99 ether, "given");
        require(second.balanceOf(ALICE) == 0 && second.balanceOf(address(router)) == 0, "between");
    }

    function test_who_swaps_says_how_little_and_how_long() public {
        address[] memory path = new address[](2);
        (path[0], path[1]) = (address(first), address(second));
        uint256 out = router.getAmountOut(1 ether, RESERVE, RESERVE);
        vm.expectRevert(abi.encodeWithSelector(BenchRouter.TooLittle.selector, out, out + 1));
        router.swapExactTokensForTokens(1 ether, out + 1, path, ALICE, block.timestamp);
        vm.expectRevert(abi.encodeWithSelector(BenchRouter.Expired.selector, block.timestamp - 1));
        router.swapExactTokensForTokens(1 ether, out, path, ALICE, block.timestamp - 1);
    }
}
