// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Rollups} from "@lockstep/app/Rollups.sol";

/// A café with a branch at the same address on every rollup of a union: one call to try super transactions with.
///
/// `lockstep dev` has it in the first block of each rollup.
contract Cafe {
    event Ordered(uint256 indexed chain, address indexed guest, uint256 cups, uint256 price);
    event Served(address indexed customer, uint256 cups);

    error TooLittle(uint256 paid, uint256 price);
    error PaymentFailed();

    /// Of a cup.
    uint256 public constant PRICE = 0.003 ether;

    uint256 public ordered;
    uint256 public served;
    /// What came back of the order that is under way.
    uint256 private change;

    /// Orders at the branch on `chain`, which is paid there and then. What was too much comes back to the guest.
    function order(uint256 chain, uint256 cups) external payable returns (uint256 price) {
        Cafe branch = Cafe(Rollups.deployProxy(chain, address(this)));
        change = 0;
        // On the other rollup, now.
        price = branch.serve{value: msg.value}(cups);
        ordered += cups;
        emit Ordered(chain, msg.sender, cups, price);
        (bool success,) = msg.sender.call{value: change}("");
        require(success, PaymentFailed());
    }

    /// Serves a branch that pays enough, and calls it back with the change before it answers.
    function serve(uint256 cups) external payable returns (uint256 price) {
        price = cups * PRICE;
        require(msg.value >= price, TooLittle(msg.value, price));
        served += cups;
        emit Served(msg.sender, cups);
        Cafe(msg.sender).takeChange{value: msg.value - price}();
    }

    /// In the middle of an order: `msg.value` has come from the other rollup.
    function takeChange() external payable {
        change += msg.value;
    }
}
