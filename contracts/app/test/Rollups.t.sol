// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Gate} from "../../src/l2/Gate.sol";
import {vm} from "../../test/lib/Vm.sol";
import {CallNotMade} from "../IGate.sol";
import {Rollups} from "../Rollups.sol";
import {SimulatedGate} from "../testing/SimulatedUnion.sol";

contract RollupsTest {
    error Made(bytes code);

    function setUp() public {
        vm.etch(address(Rollups.GATE), type(Gate).runtimeCode);
    }

    /// The test vector of the rule book.
    function test_a_proxy_is_where_the_rule_book_says() public pure {
        address proxy = Rollups.proxyOf(1002, 0x1111111111111111111111111111111111111111);
        require(proxy == 0xb80a3F150ea4665aa576b8B610C872361f1dc33e, "vector");
    }

    function testFuzz_a_proxy_is_where_the_gate_says(uint256 chain, address target) public {
        address proxy = Rollups.GATE.proxyOf(chain, target);
        require(Rollups.proxyOf(chain, target) == proxy && proxy.code.length == 0, "before");
        require(Rollups.deployProxy(chain, target) == proxy && proxy.code.length == 124, "made");
        require(Rollups.deployProxy(chain, target) == proxy, "again");
    }

    /// Tells what code the proxy has that the Gate makes, and undoes it.
    function make(uint256 chain, address target) external {
        revert Made(Rollups.GATE.deployProxy(chain, target).code);
    }

    function testFuzz_the_simulated_gate_makes_what_the_gate_makes(uint256 chain, address target) public {
        address proxy = Rollups.proxyOf(chain, target);
        bytes memory made;
        try this.make(chain, target) {}
        catch (bytes memory output) {
            made = output;
        }
        require(proxy.code.length == 0, "undone");
        vm.etch(address(Rollups.GATE), type(SimulatedGate).runtimeCode);
        require(Rollups.GATE.proxyOf(chain, target) == proxy, "place");
        require(Rollups.GATE.deployProxy(chain, target) == proxy, "again");
        require(keccak256(made) == keccak256(abi.encodeWithSelector(Made.selector, proxy.code)), "code");
    }

    function test_without_a_gate_there_is_no_proxy() public {
        vm.etch(address(Rollups.GATE), "");
        vm.expectRevert();
        this.deploy();
    }

    function deploy() external {
        Rollups.deployProxy(902, address(this));
    }

    function testFuzz_why_a_call_was_not_made(uint8 reason, bytes calldata other) public pure {
        bytes memory output = abi.encodeWithSelector(CallNotMade.selector, reason);
        require(Rollups.reasonNotMade(output) == reason, "reason");
        require(Rollups.reasonNotMade(bytes.concat(output, hex"00")) == 0, "longer");
        require(Rollups.reasonNotMade(abi.encodeWithSelector(CallNotMade.selector, 256)) == 0, "no uint8");
        if (other.length != 36) require(Rollups.reasonNotMade(other) == 0, "other");
    }
}
