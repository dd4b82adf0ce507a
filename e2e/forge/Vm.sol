// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// The few cheat codes that we use.
interface Vm {
    function deal(address account, uint256 balance) external;
    function envAddress(string calldata name) external view returns (address);
    function envUint(string calldata name) external view returns (uint256);
    function expectRevert(bytes calldata output) external;
    function prank(address sender) external;
    function rollFork(uint256 number) external;
    function startBroadcast(uint256 privateKey) external;
    function stopBroadcast() external;
}

Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
