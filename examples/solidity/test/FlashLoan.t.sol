// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Rollups} from "@lockstep/app/Rollups.sol";
import {SimulatedUnion} from "@lockstep/app/testing/SimulatedUnion.sol";
import {Arbitrage} from "../src/Arbitrage.sol";
import {IBorrower, Lender} from "../src/Lender.sol";
import {Pool} from "../src/Pool.sol";
import {Token} from "../src/Token.sol";
import {cheats} from "./Cheats.sol";

/// Keeps what it is lent.
contract Thief is IBorrower {
    function take(Lender lender, uint256 amount) external {
        lender.flashLoan(amount, "");
    }

    function onFlashLoan(uint256, uint256, bytes calldata) external payable {}
}

/// Both rollups are in one EVM here (see `SimulatedUnion`).
contract FlashLoanTest is SimulatedUnion {
    uint256 private constant A = 901;
    uint256 private constant B = 902;
    address private constant TRADER = address(0x7ade);

    Lender private lender;
    Pool private cheap;
    Pool private dear;
    Arbitrage private arbitrage;

    function setUp() public {
        startUnion(A, B);
        cheats.deal(address(this), 1000 ether);

        switchTo(B);
        lender = new Lender{value: 500 ether}(address(this));

        switchTo(A);
        Token token = new Token(address(this), 3_000_000);
        cheap = new Pool(token);
        dear = new Pool(token);
        token.approve(address(cheap), 2_000_000);
        cheap.fund{value: 100 ether}(2_000_000);
        token.approve(address(dear), 1_000_000);
        dear.fund{value: 100 ether}(1_000_000);
        cheats.prank(TRADER);
        arbitrage = new Arbitrage(B, address(lender));
    }

    function test_a_trader_without_ether_earns_what_two_pools_differ_by() public {
        cheats.prank(TRADER);
        arbitrage.run(15 ether, cheap, dear);
        require(TRADER.balance > 5 ether, "profit");
        require(address(lender).balance == 500 ether + lender.feeOf(15 ether), "the lender has its fee, on its rollup");
        uint256 inPools = address(cheap).balance + address(dear).balance;
        require(inPools + TRADER.balance + address(lender).balance == 700 ether, "ether is conserved");
        require(address(arbitrage).balance == 0 && block.chainid == A, "nothing is left over");
    }

    /// The trade does not pay for the loan: nothing has happened on either rollup.
    function test_a_loan_that_cannot_be_repaid_was_never_made() public {
        cheats.prank(TRADER);
        cheats.expectRevert(abi.encodeWithSelector(Arbitrage.PaymentFailed.selector));
        arbitrage.run(15 ether, dear, cheap);
        require(address(lender).balance == 500 ether, "lender");
        require(cheap.etherReserve() == 100 ether && dear.etherReserve() == 100 ether, "pools");
        require(block.chainid == A, "control");
    }

    function test_who_keeps_the_loan_has_not_got_it() public {
        Thief thief = new Thief();
        Lender proxy = Lender(payable(Rollups.deployProxy(B, address(lender))));
        uint256 expected = 500 ether + lender.feeOf(100 ether);
        cheats.expectRevert(abi.encodeWithSelector(Lender.NotRepaid.selector, 400 ether, expected));
        thief.take(proxy, 100 ether);
        require(address(thief).balance == 0 && address(lender).balance == 500 ether, "undone");
    }

    /// The lender's proxy alone may say that there is a loan.
    function test_nobody_pretends_to_lend() public {
        bytes memory data = abi.encode(cheap, dear);
        cheats.expectRevert(abi.encodeWithSelector(Arbitrage.NotTheLender.selector));
        arbitrage.onFlashLoan{value: 1 ether}(1 ether, 0, data);
        // Nor the lender's own address here, which is whose it may be on this rollup.
        cheats.deal(address(lender), 1 ether);
        cheats.prank(address(lender));
        cheats.expectRevert(abi.encodeWithSelector(Arbitrage.NotTheLender.selector));
        arbitrage.onFlashLoan{value: 1 ether}(1 ether, 0, data);
    }

    function test_the_lenders_ether_is_its_owners() public {
        switchTo(B);
        cheats.expectRevert(abi.encodeWithSelector(Lender.NotOwner.selector));
        cheats.prank(TRADER);
        lender.withdraw(1, payable(TRADER));
        lender.withdraw(500 ether, payable(TRADER));
        require(TRADER.balance == 500 ether, "withdrawn");
    }
}
