// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// A token reduced to what clients must cope with: events with indexed and dynamic fields, custom errors
/// with arguments, a mapping in storage, and calls that fail.
contract Ledger {
    event Moved(address indexed from, address indexed to, uint256 amount, string memo);

    error Insufficient(address owner, uint256 has, uint256 wants);

    /// Slot 0.
    uint256 public supply;
    /// Slot 1.
    mapping(address owner => uint256 amount) public balanceOf;

    constructor(uint256 initialSupply) payable {
        supply = initialSupply;
        balanceOf[msg.sender] = initialSupply;
        emit Moved(address(0), msg.sender, initialSupply, "genesis");
    }

    function move(address to, uint256 amount, string calldata memo) external returns (uint256 left) {
        uint256 has = balanceOf[msg.sender];
        if (has < amount) revert Insufficient(msg.sender, has, amount);
        left = has - amount;
        balanceOf[msg.sender] = left;
        balanceOf[to] += amount;
        emit Moved(msg.sender, to, amount, memo);
    }

    /// Fails with `Error(string)`.
    function refuse() external pure {
        revert("refused");
    }

    /// Fails with `Panic(0x11)`.
    function overflow(uint256 by) external pure returns (uint256) {
        return type(uint256).max + by;
    }
}
