// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// @notice What a call to another rollup reverts with if it could not be made at all (rule 6.2). Nothing has happened on
/// the other rollup.
/// @dev A contract on the other rollup can revert with the same data: take it as a hint, not as proof.
/// @param reason 1: not called as a proxy calls; a `delegatecall` to a proxy ends here. 2: the chain is this one, or none
/// of the union. 3: the target is the port. 4: too many calls between rollups are open. 5: too many were made in this
/// transaction. 6: the call data is too long.
error CallNotMade(uint8 reason);

/// @title The Gate of a rollup in a union
/// @notice Makes the proxies by which contracts of this rollup call those of its peers.
/// @dev It is at the same address on every rollup of a union: `Rollups.GATE`. The rules, by number, are in
/// docs/super-transactions.md.
interface IGate {
    /// @notice Where the proxy of a contract on another rollup is, or would be: the same on every rollup.
    /// @param chainId The other rollup's chain id.
    /// @param target The contract's address there.
    /// @return proxy Its proxy here. It has the interface of `target`.
    function proxyOf(uint256 chainId, address target) external view returns (address proxy);

    /// @notice Makes the proxy, unless it is there.
    /// @param chainId The other rollup's chain id.
    /// @param target The contract's address there. It need not exist.
    /// @return proxy Its proxy here.
    function deployProxy(uint256 chainId, address target) external returns (address proxy);

    /// @notice What was said with a peer, as of the last super transaction that ended. Settlement compares it with
    /// what the peer has of this rollup.
    /// @param peer The other rollup's chain id.
    /// @return hash The rolling hash of all messages between the two; zero before the first.
    /// @return sent The ether that went there, in wei.
    /// @return received The ether that came from there, in wei.
    function transcript(uint256 peer) external view returns (bytes32 hash, uint256 sent, uint256 received);
}
