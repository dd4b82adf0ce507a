// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Who takes a flash loan.
interface IBorrower {
    /// Is called by the lender with the loan. When it returns, `amount + fee` must be back.
    function onFlashLoan(uint256 amount, uint256 fee, bytes calldata data) external payable;
}

/// Lends its owner's ether for the length of a call, for a fee of 0.05 %, to anybody on any rollup of the union.
///
/// A borrower on another rollup calls through a proxy, and is called back through one. Ether comes and goes with the calls:
/// in between it is on the borrower's rollup.
contract Lender {
    uint256 private constant FEE = 5;
    uint256 private constant FEE_UNIT = 10_000;

    error NotOwner();
    error PaymentFailed();
    error NotRepaid(uint256 balance, uint256 expected);

    address public owner;

    constructor(address owner_) payable {
        owner = owner_;
    }

    /// Repayments, and the owner's deposits. Nobody gets a claim by sending ether: one who repaid could take it out again.
    receive() external payable {}

    function feeOf(uint256 amount) public pure returns (uint256) {
        return amount * FEE / FEE_UNIT;
    }

    function flashLoan(uint256 amount, bytes calldata data) external {
        uint256 expected = address(this).balance + feeOf(amount);
        IBorrower(msg.sender).onFlashLoan{value: amount}(amount, feeOf(amount), data);
        require(address(this).balance >= expected, NotRepaid(address(this).balance, expected));
    }

    function withdraw(uint256 amount, address payable to) external {
        require(msg.sender == owner, NotOwner());
        (bool success,) = to.call{value: amount}("");
        require(success, PaymentFailed());
    }
}
