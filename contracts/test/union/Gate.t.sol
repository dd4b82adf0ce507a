// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Gate} from "../../src/l2/Gate.sol";
import {vm} from "../lib/Vm.sol";

/// Stands at the port and does what the executor does first: it takes calls of the proxies that their inputs imply, and
/// of nobody else. Then it tells what arrived, or fails with it.
contract Port {
    address public from;
    uint256 public value;
    bytes public input;
    /// Slot 3.
    bool private fails;

    receive() external payable {
        revert("no proxy calls without input");
    }

    fallback(bytes calldata data) external payable returns (bytes memory) {
        (uint256 chain, address target) = abi.decode(data[:64], (uint256, address));
        require(msg.sender == GATE.proxyOf(chain, target), "not the proxy");
        (from, value, input) = (msg.sender, msg.value, data);
        if (fails) {
            bytes memory reason = abi.encodePacked("failed: ", data[96:]);
            assembly ("memory-safe") {
                revert(add(reason, 32), mload(reason))
            }
        }
        return abi.encodePacked("answer to ", data[96:]);
    }
}

/// Runs other code as its own.
contract Delegator {
    function run(address code, bytes calldata data) external returns (bool success) {
        (success,) = code.delegatecall(data);
    }
}

Gate constant GATE = Gate(0x42000000000000000000000000000000000000E0);
Port constant PORT = Port(payable(0x42000000000000000000000000000000000000e1));

contract GateTest {
    address private constant TARGET = 0x5555555555555555555555555555555555555555;
    uint256 private constant PEER = 902;

    receive() external payable {}

    function setUp() public {
        vm.etch(address(GATE), address(new Gate()).code);
        vm.etch(address(PORT), address(new Port()).code);
    }

    /// Rules 1.2 and 1.3, byte by byte.
    function testFuzz_a_proxy_is_where_and_what_it_is_said_to_be(uint256 chain, address target, address maker) public {
        bytes memory code = bytes.concat(
            hex"6040603c5f39",
            hex"33604052",
            hex"365f606037",
            hex"5f5f366060015f",
            abi.encodePacked(hex"3473", address(PORT), hex"5af1"),
            hex"3d5f5f3e",
            hex"6038573d5ffd",
            hex"5b3d5ff3",
            abi.encode(chain, target)
        );
        require(code.length == 124, "length");
        bytes32 init = keccak256(bytes.concat(hex"607c8060093d393df3", code));
        bytes32 hash = keccak256(abi.encodePacked(hex"ff", address(GATE), bytes32(0), init));
        address expected = address(uint160(uint256(hash)));
        require(GATE.proxyOf(chain, target) == expected && expected.code.length == 0, "before");

        vm.prank(maker);
        require(GATE.deployProxy(chain, target) == expected, "made");
        require(keccak256(expected.code) == keccak256(code), "code");
        // Once more changes nothing.
        require(GATE.deployProxy(chain, target) == expected && GATE.proxyOf(chain, target) == expected, "again");
    }

    function testFuzz_each_target_has_its_own_proxy(uint256 chain, address target, uint256 other, address another)
        public
        view
    {
        if (chain == other && target == another) return;
        require(GATE.proxyOf(chain, target) != GATE.proxyOf(other, another), "same");
    }

    function testFuzz_a_call_is_handed_on_whole(bytes calldata data, uint96 value) public {
        address proxy = GATE.deployProxy(PEER, TARGET);
        vm.deal(address(this), value);
        (bool success, bytes memory answer) = proxy.call{value: value}(data);
        require(success, "call");
        require(keccak256(answer) == keccak256(abi.encodePacked("answer to ", data)), "answer");
        require(PORT.from() == proxy && PORT.value() == value && proxy.balance == 0, "sender and value");
        bytes memory input = bytes.concat(abi.encode(PEER, TARGET, address(this)), data);
        require(keccak256(PORT.input()) == keccak256(input), "input");
    }

    function testFuzz_a_failure_is_handed_back_whole(bytes calldata data, uint96 value) public {
        address proxy = GATE.deployProxy(PEER, TARGET);
        vm.deal(address(this), value);
        vm.store(address(PORT), bytes32(uint256(3)), bytes32(uint256(1)));
        (bool success, bytes memory answer) = proxy.call{value: value}(data);
        require(!success && address(this).balance == value, "undone");
        require(keccak256(answer) == keccak256(abi.encodePacked("failed: ", data)), "reason");
    }

    /// Code of a proxy, run by somebody else, speaks as that somebody.
    function test_nobody_speaks_for_a_proxy() public {
        address proxy = GATE.deployProxy(PEER, TARGET);
        require(!new Delegator().run(proxy, "hello"), "delegated");
        (bool success,) = address(PORT).call(abi.encode(PEER, TARGET, address(0xa11ce)));
        require(!success, "directly");
        // A proxy says who called it: nobody can name another as the caller through it.
        (success,) = proxy.call(abi.encode(PEER, TARGET, address(0xa11ce)));
        bytes memory input = bytes.concat(abi.encode(PEER, TARGET, this), abi.encode(PEER, TARGET, address(0xa11ce)));
        require(success && keccak256(PORT.input()) == keccak256(input), "caller");
    }

    /// Where the executor writes, rule 1.7.
    function testFuzz_the_transcript_is_what_the_executor_wrote(uint256 peer, bytes32 hash, uint256 sent, uint256 got)
        public
    {
        uint256 slot = uint256(keccak256(abi.encodePacked(peer, uint256(0))));
        vm.store(address(GATE), bytes32(slot), hash);
        vm.store(address(GATE), bytes32(slot + 1), bytes32(sent));
        vm.store(address(GATE), bytes32(slot + 2), bytes32(got));
        (bytes32 transcript, uint256 out, uint256 into) = GATE.transcript(peer);
        require(transcript == hash && out == sent && into == got, "pair");
        (transcript, out, into) = GATE.transcript(peer ^ 1);
        require(transcript == 0 && out == 0 && into == 0, "another peer");
    }
}
