// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Token} from "./Token.sol";

/// Trades ether for a token at the price that keeps the product of both reserves, for a fee of 0.3 %.
///
/// It knows nothing of other rollups: whoever calls it from one is a caller like any other.
contract Pool {
    uint256 private constant FEE = 3;
    uint256 private constant FEE_UNIT = 1000;

    error NotPaid();
    error PaymentFailed();

    Token public token;
    uint256 public etherReserve;
    uint256 public tokenReserve;

    constructor(Token token_) {
        token = token_;
    }

    /// Takes reserves, for good.
    function fund(uint256 amount) external payable {
        require(token.transferFrom(msg.sender, address(this), amount), NotPaid());
        etherReserve += msg.value;
        tokenReserve += amount;
    }

    /// Sells tokens for the ether that is sent, to `recipient`, and returns how many.
    function buy(address recipient) external payable returns (uint256 bought) {
        bought = _out(msg.value, etherReserve, tokenReserve);
        etherReserve += msg.value;
        tokenReserve -= bought;
        require(token.transfer(recipient, bought), PaymentFailed());
    }

    /// Takes tokens from the caller's allowance, pays it in ether, and returns how much.
    function sell(uint256 amount) external returns (uint256 paid) {
        paid = _out(amount, tokenReserve, etherReserve);
        tokenReserve += amount;
        etherReserve -= paid;
        require(token.transferFrom(msg.sender, address(this), amount), NotPaid());
        (bool success,) = msg.sender.call{value: paid}("");
        require(success, PaymentFailed());
    }

    function _out(uint256 amount, uint256 reserveIn, uint256 reserveOut) private pure returns (uint256) {
        uint256 kept = amount * (FEE_UNIT - FEE);
        return kept * reserveOut / (reserveIn * FEE_UNIT + kept);
    }
}
