// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {L1Block} from "../src/l2/L1Block.sol";
import {vm} from "./lib/Vm.sol";

contract L1BlockTest {
    address internal constant DEPOSITOR = 0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001;

    struct Attributes {
        uint32 baseFeeScalar;
        uint32 blobBaseFeeScalar;
        uint64 sequenceNumber;
        uint64 timestamp;
        uint64 number;
        uint256 basefee;
        uint256 blobBaseFee;
        bytes32 hash;
        bytes32 batcherHash;
        uint32 operatorFeeScalar;
        uint64 operatorFeeConstant;
        uint16 daFootprintGasScalar;
    }

    L1Block internal l1;

    function setUp() public {
        l1 = new L1Block();
    }

    function packed(Attributes memory a) private pure returns (bytes memory ecotone, bytes memory operatorFee) {
        ecotone = abi.encodePacked(
            abi.encodePacked(a.baseFeeScalar, a.blobBaseFeeScalar, a.sequenceNumber, a.timestamp, a.number),
            abi.encodePacked(a.basefee, a.blobBaseFee, a.hash, a.batcherHash)
        );
        operatorFee = abi.encodePacked(a.operatorFeeScalar, a.operatorFeeConstant);
    }

    function set(string memory setter, bytes memory fields) private {
        vm.prank(DEPOSITOR);
        (bool success,) = address(l1).call(abi.encodePacked(bytes4(keccak256(bytes(setter))), fields));
        require(success, "set");
    }

    function slot(uint256 number) private view returns (uint256) {
        return uint256(vm.load(address(l1), bytes32(number)));
    }

    function requireEcotone(Attributes memory a) private view {
        require(l1.number() == a.number && l1.timestamp() == a.timestamp, "block");
        require(l1.basefee() == a.basefee && l1.blobBaseFee() == a.blobBaseFee, "fees");
        require(l1.hash() == a.hash && l1.batcherHash() == a.batcherHash, "hashes");
        require(l1.sequenceNumber() == a.sequenceNumber, "sequence number");
        require(l1.baseFeeScalar() == a.baseFeeScalar && l1.blobBaseFeeScalar() == a.blobBaseFeeScalar, "scalars");
        // Where the execution engine reads.
        require(slot(0) == (uint256(a.timestamp) << 64 | a.number), "slot 0");
        require(slot(1) == a.basefee && slot(2) == uint256(a.hash) && slot(4) == uint256(a.batcherHash), "1, 2, 4");
        uint256 three = uint256(a.baseFeeScalar) << 96 | uint256(a.blobBaseFeeScalar) << 64 | a.sequenceNumber;
        require(slot(3) == three && slot(7) == a.blobBaseFee, "3, 7");
    }

    function testFuzz_ecotone(Attributes memory a) public {
        (bytes memory ecotone,) = packed(a);
        set("setL1BlockValuesEcotone()", ecotone);
        requireEcotone(a);
        require(slot(8) == 0, "slot 8");
    }

    function testFuzz_isthmus(Attributes memory a) public {
        (bytes memory ecotone, bytes memory operatorFee) = packed(a);
        set("setL1BlockValuesIsthmus()", abi.encodePacked(ecotone, operatorFee));
        requireEcotone(a);
        require(slot(8) == (uint256(a.operatorFeeScalar) << 64 | a.operatorFeeConstant), "slot 8");
    }

    function testFuzz_jovian(Attributes memory a) public {
        (bytes memory ecotone, bytes memory operatorFee) = packed(a);
        set("setL1BlockValuesJovian()", abi.encodePacked(ecotone, operatorFee, a.daFootprintGasScalar));
        requireEcotone(a);
        require(l1.operatorFeeScalar() == a.operatorFeeScalar, "scalar");
        require(l1.operatorFeeConstant() == a.operatorFeeConstant, "constant");
        require(l1.daFootprintGasScalar() == a.daFootprintGasScalar, "footprint");
        uint256 eight =
            uint256(a.daFootprintGasScalar) << 96 | uint256(a.operatorFeeScalar) << 64 | a.operatorFeeConstant;
        require(slot(8) == eight, "slot 8");
    }

    function testFuzz_bedrock(Attributes memory a, uint256 overhead, uint256 scalar) public {
        vm.prank(DEPOSITOR);
        l1.setL1BlockValues(a.number, a.timestamp, a.basefee, a.hash, a.sequenceNumber, a.batcherHash, overhead, scalar);
        require(l1.number() == a.number && l1.timestamp() == a.timestamp && l1.basefee() == a.basefee, "block");
        require(l1.hash() == a.hash && l1.batcherHash() == a.batcherHash, "hashes");
        require(slot(5) == overhead && slot(6) == scalar, "slots 5, 6");
    }

    function test_the_selectors_are_those_of_the_specification() public pure {
        require(L1Block.setL1BlockValues.selector == 0x015d8eb9, "Bedrock");
        require(L1Block.setL1BlockValuesEcotone.selector == 0x440a5e20, "Ecotone");
        require(L1Block.setL1BlockValuesIsthmus.selector == 0x098999be, "Isthmus");
        require(L1Block.setL1BlockValuesJovian.selector == 0x3db6be2b, "Jovian");
    }

    function testFuzz_nobody_else_sets_anything(address caller) public {
        if (caller == DEPOSITOR) return;
        bytes4[3] memory setters = [
            L1Block.setL1BlockValuesEcotone.selector,
            L1Block.setL1BlockValuesIsthmus.selector,
            L1Block.setL1BlockValuesJovian.selector
        ];
        for (uint256 i = 0; i < setters.length; ++i) {
            vm.prank(caller);
            (bool success, bytes memory reason) = address(l1).call(abi.encodePacked(setters[i], new bytes(174)));
            require(!success && bytes4(reason) == L1Block.NotDepositor.selector, "refused");
        }
        vm.prank(caller);
        vm.expectRevert(L1Block.NotDepositor.selector);
        l1.setL1BlockValues(0, 0, 0, 0, 0, 0, 0, 0);
    }

    function test_short_input_sets_nothing() public {
        vm.prank(DEPOSITOR);
        (bool success,) = address(l1).call(abi.encodePacked(L1Block.setL1BlockValuesJovian.selector, new bytes(173)));
        require(!success, "refused");
    }
}
