// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

import {CallNotMade, IGate} from "./IGate.sol";

/// @title Calls to contracts of other rollups in the union
/// @notice A contract on another rollup is called through its proxy on this one, as if it were here:
///
///     IPool pool = IPool(Rollups.deployProxy(902, 0x1234…));
///     uint256 bought = pool.buy{value: 1 ether}(recipient);
///
/// The call runs there, in this transaction, and returns or reverts here. If this transaction reverts, so does what it did
/// there. The called contract sees *your* proxy as `msg.sender`: it knows you by `Rollups.proxyOf(yourChain, you)`, and
/// can call you back by it.
/// @dev A proxy must be deployed before it is called: a call to an account without code succeeds and does nothing.
library Rollups {
    /// @notice The Gate, on every rollup of a union (rule 1.1).
    IGate internal constant GATE = IGate(0x42000000000000000000000000000000000000E0);

    /// @dev What comes before chain and target in the code that makes a proxy (rules 1.2 and 1.3).
    bytes private constant PROXY_INIT =
        hex"607c8060093d393df36040603c5f3933604052365f6060375f5f366060015f347342000000000000000000000000000000000000e15af13d5f5f3e6038573d5ffd5b3d5ff3";

    /// @notice Where the proxy of `target` on chain `chainId` is, or would be. Calls nothing.
    function proxyOf(uint256 chainId, address target) internal pure returns (address) {
        bytes32 init = keccak256(proxyInitCode(chainId, target));
        bytes32 hash = keccak256(abi.encodePacked(bytes1(0xff), address(GATE), bytes32(0), init));
        return address(uint160(uint256(hash)));
    }

    /// @notice The proxy of `target` on chain `chainId`; it is made if it is not there.
    /// @dev Costs little if it is there. Reverts on a chain without a Gate.
    function deployProxy(uint256 chainId, address target) internal returns (address proxy) {
        proxy = proxyOf(chainId, target);
        if (proxy.code.length == 0) GATE.deployProxy(chainId, target);
    }

    /// @notice What the Gate makes the proxy with.
    function proxyInitCode(uint256 chainId, address target) internal pure returns (bytes memory) {
        return abi.encodePacked(PROXY_INIT, chainId, uint256(uint160(target)));
    }

    /// @notice Why a call through a proxy could not be made, by what it reverted with; zero if it was made.
    /// @dev See `CallNotMade`, which a called contract can imitate.
    function reasonNotMade(bytes memory output) internal pure returns (uint8 reason) {
        if (output.length != 36 || bytes4(output) != CallNotMade.selector) return 0;
        uint256 word;
        assembly ("memory-safe") {
            word := mload(add(output, 36))
        }
        return word > type(uint8).max ? 0 : uint8(word);
    }
}
