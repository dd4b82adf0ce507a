// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Reports what a contract sees of its block and its transaction.
contract Environment {
    address constant BEACON_ROOTS = 0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02;
    address constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

    bytes32 public firstBlob;
    uint256 public blobBaseFeeSeen;

    function block_()
        external
        view
        returns (uint256 number, uint256 timestamp, address coinbase, uint256 prevrandao, uint256 chainId)
    {
        return (block.number, block.timestamp, block.coinbase, block.prevrandao, block.chainid);
    }

    /// EIP-4788: the root of the beacon block before the one with this timestamp.
    function beaconRoot(uint256 timestamp) external view returns (bytes32) {
        return read(BEACON_ROOTS, timestamp);
    }

    /// EIP-2935: the hash of one of the last 8191 blocks.
    function historicHash(uint256 number) external view returns (bytes32) {
        return read(HISTORY, number);
    }

    /// EIP-4844: remembers what the transaction that calls it carries.
    function recordBlob() external {
        firstBlob = blobhash(0);
        blobBaseFeeSeen = block.blobbasefee;
    }

    function read(address from, uint256 key) private view returns (bytes32) {
        (bool success, bytes memory output) = from.staticcall(abi.encode(key));
        require(success && output.length == 32, "no answer");
        return abi.decode(output, (bytes32));
    }
}
