// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BridgedToken} from "../../src/l2/BridgedToken.sol";
import {L2ToL1MessagePasser} from "../../src/l2/L2ToL1MessagePasser.sol";
import {TokenBridge} from "../../src/l2/TokenBridge.sol";
import {Predeploys} from "../../src/lib/Predeploys.sol";
import {Senders} from "../../src/lib/Senders.sol";
import {vm} from "../lib/Vm.sol";

/// A call to a rollup that is none (rule 6.2).
error CallNotMade(uint8 reason);

/// Stands for the contracts of one rollup on the other: what calls it there calls `target` on its own rollup, as the
/// caller's proxy.
contract Proxy {
    uint256 private immutable chain;
    address private immutable target;

    constructor(uint256 chain_, address target_) {
        (chain, target) = (chain_, target_);
    }

    fallback(bytes calldata data) external returns (bytes memory) {
        uint256 here = block.chainid;
        if (here == chain || target == address(0)) revert CallNotMade(2);
        address caller = TwoGates(Predeploys.GATE).proxyOf(here, msg.sender);
        vm.chainId(chain);
        vm.prank(caller);
        (bool success, bytes memory output) = target.call(data);
        vm.chainId(here);
        if (success) return output;
        assembly ("memory-safe") {
            revert(add(output, 32), mload(output))
        }
    }
}

/// The Gates of two rollups in one EVM. Their bridges are at different addresses here, each with a state of its own; a
/// bridge that asks for its own proxy gets that of the other.
contract TwoGates {
    mapping(uint256 chain => mapping(address target => address)) private proxies;
    mapping(uint256 chain => address) private bridges;

    function join(uint256 chain, address bridge) external {
        bridges[chain] = bridge;
        _make(chain, bridge);
    }

    function deployProxy(uint256 chain, address target) external returns (address) {
        address there = _there(chain, target);
        if (proxies[chain][there] == address(0)) _make(chain, there);
        return proxies[chain][there];
    }

    function proxyOf(uint256 chain, address target) external view returns (address) {
        address there = _there(chain, target);
        address made = proxies[chain][there];
        return made == address(0) ? address(uint160(uint256(keccak256(abi.encode(chain, there))))) : made;
    }

    function _make(uint256 chain, address target) private {
        proxies[chain][target] = address(new Proxy(chain, bridges[chain] == address(0) ? address(0) : target));
    }

    /// One bridge is at the address of the other.
    function _there(uint256 chain, address target) private view returns (address) {
        bool isBridge = target == bridges[901] || target == bridges[902];
        return isBridge && bridges[chain] != address(0) ? bridges[chain] : target;
    }
}

/// The token bridges of two rollups.
abstract contract TwoRollups {
    uint256 internal constant A = 901;
    uint256 internal constant B = 902;

    TokenBridge internal bridgeA;
    TokenBridge internal bridgeB;

    /// Each with its portal of tokens on L1.
    function deployBridges(address portalA, address portalB) internal {
        vm.etch(Predeploys.GATE, address(new TwoGates()).code);
        vm.etch(Predeploys.BRIDGED_TOKEN, address(new BridgedToken()).code);
        vm.etch(Predeploys.MESSAGE_PASSER, address(new L2ToL1MessagePasser()).code);
        bridgeA = deployBridge(A, portalA);
        bridgeB = deployBridge(B, portalB);
    }

    function deployBridge(uint256 chain, address portal) private returns (TokenBridge bridge) {
        bridge = new TokenBridge();
        vm.store(address(bridge), bytes32(0), bytes32(uint256(uint160(portal))));
        TwoGates(Predeploys.GATE).join(chain, address(bridge));
    }

    function proxyOf(uint256 chain, address target) internal view returns (address) {
        return TwoGates(Predeploys.GATE).proxyOf(chain, target);
    }

    /// A token of L1 on one of the rollups.
    function tokenOn(TokenBridge bridge, address l1Token) internal view returns (BridgedToken) {
        return BridgedToken(bridge.tokenOf(l1Token));
    }

    /// The next call is by the token portal of a bridge.
    function asPortal(TokenBridge bridge) internal {
        vm.prank(Senders.aliased(bridge.tokenPortal()));
    }
}
