// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Makes the proxies by which contracts of this rollup call those of its peers, and holds what was said with each peer
/// (docs/super-transactions.md § 1).
///
/// A proxy hands every call on to the port, an account whose calls the executor carries out itself. There the rule is
/// that the caller must be the proxy of the chain and target that the input begins with.
contract Gate {
    /// What was said with a peer. The executor alone writes it.
    struct Pair {
        /// The rolling hash of all steps between the two.
        bytes32 transcript;
        /// In wei.
        uint256 sent;
        uint256 received;
    }

    /// The proxy could not be made, which is for want of gas alone.
    error NotDeployed();

    /// Returns the 124 bytes after it as the contract's code.
    bytes9 private constant INIT = 0x607c8060093d393df3;
    /// Calls the port, 0x4200…E1, with chain and target, which follow this code, with the caller, and with the call data;
    /// then returns or reverts as that did.
    bytes private constant FORWARD =
        hex"6040603c5f3933604052365f6060375f5f366060015f347342000000000000000000000000000000000000e15af13d5f5f3e6038573d5ffd5b3d5ff3";

    /// Slot 0. In slot 1, the executor keeps the newest super transaction of this rollup, for itself (rule 1.7).
    mapping(uint256 peer => Pair) private _pairs;

    /// Where the proxy of `target` on chain `chainId` is, or would be: at the same address on every rollup.
    function proxyOf(uint256 chainId, address target) external view returns (address) {
        return _addressOf(keccak256(_initCode(chainId, target)));
    }

    /// Makes the proxy unless it is there. Returns its address either way.
    function deployProxy(uint256 chainId, address target) external returns (address proxy) {
        bytes memory code = _initCode(chainId, target);
        proxy = _addressOf(keccak256(code));
        if (proxy.code.length != 0) return proxy;
        address made;
        assembly ("memory-safe") {
            made := create2(0, add(code, 32), mload(code), 0)
        }
        if (made == address(0)) revert NotDeployed();
    }

    /// The transcript with a peer, and the ether that went there and came from there, in wei.
    function transcript(uint256 peer) external view returns (bytes32 hash, uint256 sent, uint256 received) {
        Pair storage pair = _pairs[peer];
        return (pair.transcript, pair.sent, pair.received);
    }

    function _initCode(uint256 chainId, address target) private pure returns (bytes memory) {
        return abi.encodePacked(INIT, FORWARD, chainId, uint256(uint160(target)));
    }

    /// Where CREATE2 puts a contract of this one with salt 0.
    function _addressOf(bytes32 initCodeHash) private view returns (address) {
        bytes32 hash = keccak256(abi.encodePacked(hex"ff", address(this), bytes32(0), initCodeHash));
        return address(uint160(uint256(hash)));
    }
}
