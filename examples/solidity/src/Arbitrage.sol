// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Rollups} from "@lockstep/app/Rollups.sol";
import {IBorrower, Lender} from "./Lender.sol";
import {Pool} from "./Pool.sol";
import {Token} from "./Token.sol";

/// Buys in one pool and sells in another of this rollup, with ether that it borrows on another rollup meanwhile.
contract Arbitrage is IBorrower {
    error NotTheLender();
    error NotOwner();
    error PaymentFailed();

    address public owner;
    /// The lender's proxy on this rollup.
    Lender public lender;

    constructor(uint256 lenderChain, address lender_) {
        owner = msg.sender;
        lender = Lender(payable(Rollups.deployProxy(lenderChain, lender_)));
    }

    /// From the pool that buys.
    receive() external payable {}

    /// Earns what two pools of one token differ by, or reverts. The owner gets it.
    function run(uint256 amount, Pool cheap, Pool dear) external {
        require(msg.sender == owner, NotOwner());
        lender.flashLoan(amount, abi.encode(cheap, dear));
        _pay(owner, address(this).balance);
    }

    /// In the middle of the loan: `msg.value` has come from the lender's rollup.
    function onFlashLoan(uint256 amount, uint256 fee, bytes calldata data) external payable {
        require(msg.sender == address(lender), NotTheLender());
        (Pool cheap, Pool dear) = abi.decode(data, (Pool, Pool));
        Token token = cheap.token();
        uint256 bought = cheap.buy{value: amount}(address(this));
        token.approve(address(dear), bought);
        dear.sell(bought);
        _pay(address(lender), amount + fee);
    }

    function _pay(address to, uint256 amount) private {
        (bool success,) = to.call{value: amount}("");
        require(success, PaymentFailed());
    }
}
