// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {vm} from "../../test/lib/Vm.sol";
import {CallNotMade} from "../IGate.sol";
import {Rollups} from "../Rollups.sol";
import {SIMULATED_PORT, SimulatedUnion} from "../testing/SimulatedUnion.sol";

/// Remembers who called, with what, and where; and calls back.
contract Echo {
    address public caller;
    uint256 public value;
    uint256 public chain;
    uint256 public calls;

    error Refused(uint256 value);

    receive() external payable {}

    function hear(bytes calldata said) external payable returns (bytes memory) {
        (caller, value, chain) = (msg.sender, msg.value, block.chainid);
        ++calls;
        return bytes.concat("heard ", said);
    }

    function refuse() external payable {
        ++calls;
        revert Refused(msg.value);
    }

    function where() external view returns (uint256, address) {
        return (block.chainid, msg.sender);
    }

    /// Calls its caller, and answers with what it says.
    function ask() external payable returns (bytes memory) {
        ++calls;
        return Echo(payable(msg.sender)).hear{value: msg.value}("back");
    }

    /// Calls its caller, which refuses, and goes on.
    function askInVain() external payable returns (bytes memory reason) {
        ++calls;
        try Echo(payable(msg.sender)).refuse{value: msg.value}() {
            revert("it does not refuse");
        } catch (bytes memory output) {
            return output;
        }
    }

    /// Calls another contract on another chain.
    function pass(uint256 to, address target, bytes calldata said) external payable returns (bytes memory) {
        return Echo(payable(Rollups.deployProxy(to, target))).hear{value: msg.value}(said);
    }

    /// Calls another contract, on its behalf: `ask` and `askInVain` call back here.
    function run(address target, bytes calldata input) external payable returns (bool success, bytes memory output) {
        (success, output) = target.call{value: msg.value}(input);
    }

    function runStatic(address target, bytes calldata input) external view returns (bool success, bytes memory output) {
        (success, output) = target.staticcall{gas: 1_000_000}(input);
    }

    function runDelegate(address target, bytes calldata input) external returns (bool success, bytes memory output) {
        (success, output) = target.delegatecall(input);
    }
}

contract SimulatedUnionTest is SimulatedUnion {
    uint256 private constant A = 901;
    uint256 private constant B = 902;
    uint256 private constant C = 903;

    Echo private onA;
    Echo private onB;
    address private proxyOfB;

    function setUp() public {
        uint256[] memory chains = new uint256[](3);
        (chains[0], chains[1], chains[2]) = (A, B, C);
        startUnion(chains);
        (onA, onB) = (new Echo(), new Echo());
        switchTo(A);
        proxyOfB = Rollups.deployProxy(B, address(onB));
        vm.deal(address(this), 100 ether);
    }

    function testFuzz_a_call_arrives_from_the_callers_proxy(bytes calldata said, uint64 value) public {
        (bool success, bytes memory output) = onA.run{value: value}(proxyOfB, abi.encodeCall(Echo.hear, (said)));
        require(success, "made");
        require(keccak256(abi.decode(output, (bytes))) == keccak256(bytes.concat("heard ", said)), "answer");
        require(onB.caller() == Rollups.proxyOf(A, address(onA)), "caller");
        require(onB.value() == value && onB.chain() == B, "value and chain");
        require(address(onB).balance == value && block.chainid == A, "ether");
        require(proxyOfB.balance == 0 && SIMULATED_PORT.balance == 0 && onB.caller().balance == 0, "none on the way");
    }

    function test_a_revert_comes_back_with_its_data_and_ether() public {
        (bool success, bytes memory output) = onA.run{value: 5}(proxyOfB, abi.encodeCall(Echo.refuse, ()));
        require(!success && keccak256(output) == keccak256(abi.encodeWithSelector(Echo.Refused.selector, 5)), "data");
        require(address(onA).balance == 5 && onB.calls() == 0 && block.chainid == A, "undone");
        require(Rollups.reasonNotMade(output) == 0, "it was made");
    }

    function test_a_peer_calls_back() public {
        (bool success, bytes memory output) = onA.run{value: 7}(proxyOfB, abi.encodeCall(Echo.ask, ()));
        require(success, "made");
        require(keccak256(abi.decode(output, (bytes))) == keccak256("heard back"), "answer");
        require(onA.caller() == proxyOfB && onA.chain() == A && onA.value() == 7, "back here");
        require(address(onA).balance == 7 && onB.calls() == 1 && onA.calls() == 1, "ether came back");
    }

    function test_what_a_caught_call_did_is_undone() public {
        (bool success, bytes memory output) = onA.run{value: 7}(proxyOfB, abi.encodeCall(Echo.askInVain, ()));
        require(success, "made");
        bytes memory reason = abi.decode(output, (bytes));
        require(keccak256(reason) == keccak256(abi.encodeWithSelector(Echo.Refused.selector, 7)), "reason");
        require(address(onB).balance == 7 && onB.calls() == 1 && onA.calls() == 0, "B stands, A is undone");
    }

    /// The caller of a reverting frame undoes what peers did for it.
    function test_a_revert_at_home_undoes_the_peer() public {
        try this.callAndRevert{value: 3}() {
            revert("it reverts");
        } catch (bytes memory) {}
        require(onB.calls() == 0 && address(onB).balance == 0 && block.chainid == A, "undone");
    }

    function callAndRevert() external payable {
        Echo(payable(proxyOfB)).hear{value: msg.value}("");
        require(onB.calls() == 1, "it was made");
        revert("undone");
    }

    function test_three_rollups() public {
        Echo onC = new Echo();
        bytes memory input = abi.encodeCall(Echo.pass, (C, address(onC), "on"));
        (bool success,) = onA.run{value: 2}(proxyOfB, input);
        require(success && onC.caller() == Rollups.proxyOf(B, address(onB)) && onC.chain() == C, "from B to C");
        require(address(onC).balance == 2 && block.chainid == A, "ether and chain");
    }

    /// Also from a caller without a proxy, which a static call cannot make.
    function test_static_calls() public view {
        (bool success, bytes memory output) = onA.runStatic(proxyOfB, abi.encodeCall(Echo.where, ()));
        require(success, "reads");
        (uint256 chain, address caller) = abi.decode(output, (uint256, address));
        require(chain == B && caller == Rollups.proxyOf(A, address(onA)) && caller.code.length == 0, "where and who");
        (success,) = onA.runStatic(proxyOfB, abi.encodeCall(Echo.hear, ("")));
        require(!success && block.chainid == A, "does not write");
    }

    function notMade(address target, bytes memory input, uint8 reason) private {
        (bool success, bytes memory output) = onA.run(target, input);
        require(!success && Rollups.reasonNotMade(output) == reason, "reason");
        require(onB.calls() == 0 && onA.calls() == 0, "nothing happened");
    }

    function test_calls_that_cannot_be_made() public {
        bytes memory input = abi.encodeCall(Echo.hear, (""));
        notMade(SIMULATED_PORT, abi.encodePacked(B, uint256(uint160(address(onB))), address(onA), input), 1);
        notMade(Rollups.deployProxy(A, address(onB)), input, 2);
        notMade(Rollups.deployProxy(904, address(onB)), input, 2);
        notMade(Rollups.deployProxy(B, SIMULATED_PORT), input, 3);
        notMade(proxyOfB, new bytes(65_537), 6);
        (bool success, bytes memory output) = onA.runDelegate(proxyOfB, input);
        require(!success && Rollups.reasonNotMade(output) == 1, "delegate");
    }
}
