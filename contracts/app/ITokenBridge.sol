// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// @dev At this address on every rollup of a union.
ITokenBridge constant TOKEN_BRIDGE = ITokenBridge(0x42000000000000000000000000000000000000e2);

/// @title The bridge for tokens of L1 on a rollup in a union
/// @notice An ERC-20 of L1 is at one address on all rollups of a union (`tokenOf`), once somebody has brought it there. The
/// bridge burns what its caller has, so it needs no allowance.
interface ITokenBridge {
    /// @notice Where a token of L1 is on every rollup, or would be: it has no code on a rollup that it was never brought to.
    function tokenOf(address l1Token) external view returns (address token);

    /// @notice Sends tokens of the caller to an account on another rollup, in this transaction.
    /// @dev To the caller's own proxy there, for instance, which can then spend them in calls by the caller.
    /// @param token The token here.
    /// @param peer The other rollup's chain id.
    /// @param to An address there.
    function send(address token, uint256 peer, address to, uint256 amount) external;

    /// @notice As `send`, and then calls the receiver, which must be an `ITokenReceiver`. If that reverts, so does this.
    /// @param data Handed to the receiver.
    function sendAndCall(address token, uint256 peer, address to, uint256 amount, bytes calldata data) external;

    /// @notice Sends tokens of the caller to an account on L1, by a withdrawal that is proven and finalized there.
    function withdraw(address token, address to, uint256 amount) external;

    /// @notice How many of a token this rollup has ever sent to a peer, and received from it.
    /// @param l1Token The token on L1.
    function carried(uint256 peer, address l1Token) external view returns (uint256 sent, uint256 received);
}

/// @title A contract that takes tokens with a call (ERC-1363)
interface ITokenReceiver {
    /// @notice Called by a token after `from` has sent some of it here, from this rollup (`transferAndCall`) or another.
    /// @dev Check that `msg.sender` is the token that you want: anybody can call this.
    /// @param operator Who asked for it. From another rollup: the same as `from`.
    /// @param from Whose they were. From another rollup: the sender's proxy here, `Rollups.proxyOf(chainId, sender)`.
    /// @return The selector of this function, for "taken".
    function onTransferReceived(address operator, address from, uint256 amount, bytes calldata data)
        external
        returns (bytes4);
}
