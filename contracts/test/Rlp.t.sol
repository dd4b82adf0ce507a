// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Rlp} from "../src/lib/Rlp.sol";
import {RlpEncoder} from "./lib/RlpEncoder.sol";
import {vm} from "./lib/Vm.sol";

contract RlpTest {
    function next(bytes calldata input) external pure returns (bool isList, bytes memory payload, bytes memory rest) {
        return Rlp.next(input);
    }

    function testFuzz_what_was_encoded_is_read(bytes memory content, bytes memory rest, bool asList) public view {
        bytes memory item = asList ? RlpEncoder.list(content) : RlpEncoder.string_(content);
        (bool isList, bytes memory payload, bytes memory left) = this.next(abi.encodePacked(item, rest));
        require(isList == asList, "kind");
        require(keccak256(payload) == keccak256(content), "payload");
        require(keccak256(left) == keccak256(rest), "rest");
    }

    function testFuzz_whatever_is_read_is_the_only_encoding(bytes memory input) public view {
        try this.next(input) returns (bool isList, bytes memory payload, bytes memory rest) {
            bytes memory item = isList ? RlpEncoder.list(payload) : RlpEncoder.string_(payload);
            require(keccak256(abi.encodePacked(item, rest)) == keccak256(input), "another encoding");
        } catch {}
    }

    function testFuzz_every_prefix_is_truncated(bytes memory content, bool asList) public view {
        bytes memory item = asList ? RlpEncoder.list(content) : RlpEncoder.string_(content);
        for (uint256 length = 0; length < item.length; length += 1 + item.length / 64) {
            bytes memory cut = new bytes(length);
            for (uint256 i = 0; i < length; ++i) {
                cut[i] = item[i];
            }
            try this.next(cut) {
                revert("taken");
            } catch (bytes memory reason) {
                require(bytes4(reason) == Rlp.RlpTruncated.selector, "reason");
            }
        }
    }

    function test_long_forms_of_short_items_are_refused() public {
        bytes[7] memory inputs = [
            bytes(hex"8100"),
            hex"817f",
            hex"b801ff",
            hex"b90038",
            hex"f801c0",
            hex"b800",
            abi.encodePacked(hex"b90038", new bytes(56))
        ];
        for (uint256 i = 0; i < inputs.length; ++i) {
            vm.expectRevert(Rlp.RlpNotCanonical.selector);
            this.next(inputs[i]);
        }
    }

    function test_a_length_beyond_memory_is_truncated() public {
        vm.expectRevert(Rlp.RlpTruncated.selector);
        this.next(hex"bfffffffffffffffff00");
        vm.expectRevert(Rlp.RlpTruncated.selector);
        this.next(hex"ffffffffffffffffff00");
    }
}
