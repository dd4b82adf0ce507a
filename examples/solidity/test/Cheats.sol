// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// The cheat codes that the tests use. A project with forge-std has them.
interface Cheats {
    function deal(address account, uint256 balance) external;
    function expectRevert(bytes calldata output) external;
    function prank(address sender) external;
}

Cheats constant cheats = Cheats(address(uint160(uint256(keccak256("hevm cheat code")))));
