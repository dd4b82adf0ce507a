// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

import {CallNotMade, IGate} from "../IGate.sol";
import {TOKEN_BRIDGE} from "../ITokenBridge.sol";
import {Rollups} from "../Rollups.sol";
import {SimulatedToken, SimulatedTokenBridge} from "./SimulatedTokens.sol";

/// @title A union of rollups inside one EVM, for tests with Foundry
/// @notice Derive your test from this, say which chains there are (`startUnion`), and where what follows happens
/// (`switchTo`). Calls through proxies then run as on a union: `msg.sender`, `msg.value`, `block.chainid`, return data,
/// reverts on both sides, calls back, static calls, and proxies of callers that appear by themselves.
///
/// @dev What is *not* simulated; a development union (`lockstep dev`) has all of it:
///  - All chains share one state. A contract is on all of them, and so is its storage and its ether: give contracts of
///    different chains different addresses, and do not count on a call to the wrong chain to fail.
///  - `block.number`, `block.timestamp`, base fee and `tx.origin` are the same on all chains.
///  - A token of L1 has the same balances on all chains, as all state is the same. Withdrawn, it is gone.
///    It lacks `permit`, `transferFromAndCall`, `approveAndCall` and `supportsInterface`, its errors are its own, and it is
///    called "Simulated" whatever it is on L1.
///  - Calls between rollups cost only what they do, and have no limits of number or depth.
///  - There are no transcripts.
///  - Which chain runs is kept by a cheat code that no revert undoes. It is set back when a call returns or reverts, but not
///    if the port itself runs out of gas.
abstract contract SimulatedUnion {
    IVm private constant VM = IVm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @notice Puts Gate, port and token bridge where they are on every rollup, for a union of these chains.
    function startUnion(uint256[] memory chains) internal {
        VM.etch(address(Rollups.GATE), type(SimulatedGate).runtimeCode);
        VM.etch(SIMULATED_PORT, type(SimulatedPort).runtimeCode);
        SimulatedPort(payable(SIMULATED_PORT)).join(chains);
        VM.etch(address(TOKEN_BRIDGE), type(SimulatedTokenBridge).runtimeCode);
    }

    /// @notice As `startUnion`, for two chains.
    function startUnion(uint256 one, uint256 other) internal {
        uint256[] memory chains = new uint256[](2);
        (chains[0], chains[1]) = (one, other);
        startUnion(chains);
    }

    /// @notice Gives somebody tokens of L1, as if they were deposited there.
    /// @return token The token on the chains of the union.
    function depositTokens(address l1Token, address to, uint256 amount) internal returns (SimulatedToken token) {
        return SimulatedTokenBridge(address(TOKEN_BRIDGE)).deposit(l1Token, to, amount);
    }

    /// @notice What follows happens on this chain.
    function switchTo(uint256 chainId) internal {
        VM.chainId(chainId);
    }
}

/// @dev Where proxies send their calls (rule 1.1).
address constant SIMULATED_PORT = 0x42000000000000000000000000000000000000e1;

/// @dev The cheat codes that are used here.
interface IVm {
    function chainId(uint256 id) external;
    function etch(address account, bytes calldata code) external;
    function prank(address sender) external;
}

/// @dev Makes the proxies that the Gate makes.
contract SimulatedGate is IGate {
    error NotDeployed();

    function proxyOf(uint256 chainId, address target) external pure returns (address) {
        return Rollups.proxyOf(chainId, target);
    }

    function deployProxy(uint256 chainId, address target) external returns (address proxy) {
        proxy = Rollups.proxyOf(chainId, target);
        if (proxy.code.length != 0) return proxy;
        bytes memory code = Rollups.proxyInitCode(chainId, target);
        address made;
        assembly ("memory-safe") {
            made := create2(0, add(code, 32), mload(code), 0)
        }
        if (made != proxy) revert NotDeployed();
    }

    function transcript(uint256) external pure returns (bytes32, uint256, uint256) {
        return (0, 0, 0);
    }
}

/// @dev Does at the port what the executor of a union does: checks who calls, and calls the target as the caller's proxy.
contract SimulatedPort {
    IVm private constant VM = IVm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 private constant MAX_INPUT_BYTES = 65_536;
    /// @dev Enough to change a slot that is not zero.
    uint256 private constant PROBE_GAS = 10_000;

    /// @dev For want of gas.
    error NotMinted();

    mapping(uint256 chainId => bool) private _isMember;
    uint256 private _probed;

    function join(uint256[] calldata chains) external {
        for (uint256 i = 0; i < chains.length; ++i) {
            _isMember[chains[i]] = true;
        }
        _probed = 1;
    }

    /// @dev Fails in a static call.
    function probe() external {
        _probed = _probed == 1 ? 2 : 1;
    }

    receive() external payable {
        revert CallNotMade(1);
    }

    fallback(bytes calldata data) external payable returns (bytes memory) {
        return _carryOut(data);
    }

    function _carryOut(bytes calldata data) private returns (bytes memory) {
        if (data.length < 96) revert CallNotMade(1);
        (uint256 chain, uint256 target, uint256 caller) = abi.decode(data[:96], (uint256, uint256, uint256));
        if (target > type(uint160).max || caller > type(uint160).max) revert CallNotMade(1);
        if (msg.sender != Rollups.proxyOf(chain, address(uint160(target)))) revert CallNotMade(1);
        uint256 here = block.chainid;
        if (chain == here || !_isMember[chain]) revert CallNotMade(2);
        if (target == uint160(address(this))) revert CallNotMade(3);
        if (data.length - 96 > MAX_INPUT_BYTES) revert CallNotMade(6);

        address proxy = Rollups.proxyOf(here, address(uint160(caller)));
        if (proxy.code.length == 0 && !_isStatic()) Rollups.GATE.deployProxy(here, address(uint160(caller)));
        if (msg.value != 0) _mint(proxy);
        VM.chainId(chain);
        VM.prank(proxy);
        (bool success, bytes memory output) = address(uint160(target)).call{value: msg.value}(data[96:]);
        VM.chainId(here);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(output, 32), mload(output))
            }
        }
        return output;
    }

    /// @dev Gives what was sent to an account without calling it, since a proxy would hand it on: by a contract that
    /// destroys itself (PUSH20, SELFDESTRUCT).
    function _mint(address to) private {
        bytes memory code = abi.encodePacked(hex"73", to, hex"ff");
        address made;
        assembly ("memory-safe") {
            made := create(callvalue(), add(code, 32), mload(code))
        }
        if (made == address(0)) revert NotMinted();
    }

    function _isStatic() private returns (bool) {
        (bool success,) = address(this).call{gas: PROBE_GAS}(abi.encodeCall(this.probe, ()));
        return !success;
    }
}
