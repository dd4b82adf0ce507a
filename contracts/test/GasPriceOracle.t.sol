// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {FastLz} from "../src/lib/FastLz.sol";
import {GasPriceOracle} from "../src/l2/GasPriceOracle.sol";
import {L1Block} from "../src/l2/L1Block.sol";
import {bound, vm} from "./lib/Vm.sol";

contract GasPriceOracleTest {
    address internal constant DEPOSITOR = 0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001;
    address internal constant L1_BLOCK = 0x4200000000000000000000000000000000000015;

    GasPriceOracle internal oracle;

    function setUp() public {
        vm.etch(L1_BLOCK, type(L1Block).runtimeCode);
        oracle = new GasPriceOracle();
    }

    function bedrock(uint256 basefee, uint256 overhead, uint256 scalar) private {
        vm.prank(DEPOSITOR);
        L1Block(L1_BLOCK).setL1BlockValues(0, 0, basefee, 0, 0, 0, overhead, scalar);
    }

    /// The attributes of Isthmus, which hold those of the forks before.
    function isthmus(uint256 basefee, uint256 blobBaseFee, uint32 operatorScalar, uint64 operatorConstant) private {
        vm.prank(DEPOSITOR);
        (bool success,) = L1_BLOCK.call(
            abi.encodePacked(
                abi.encodePacked(L1Block.setL1BlockValuesIsthmus.selector, uint32(1_368), uint32(810_949)),
                abi.encodePacked(uint64(0), uint64(0), uint64(0), basefee, blobBaseFee),
                abi.encodePacked(bytes32(0), bytes32(0), operatorScalar, operatorConstant)
            )
        );
        require(success, "set");
    }

    function activate(uint256 forks) private {
        function() external[4] memory setters =
            [oracle.setEcotone, oracle.setFjord, oracle.setIsthmus, oracle.setJovian];
        for (uint256 i = 0; i < forks; ++i) {
            vm.prank(DEPOSITOR);
            setters[i]();
        }
    }

    function test_forks_are_activated_in_order_by_the_protocol() public {
        vm.expectRevert(GasPriceOracle.NotDepositor.selector);
        oracle.setEcotone();
        function() external[4] memory setters =
            [oracle.setEcotone, oracle.setFjord, oracle.setIsthmus, oracle.setJovian];
        for (uint256 active = 0; active <= 4; ++active) {
            for (uint256 i = 0; i < 4; ++i) {
                if (i == active) continue;
                vm.prank(DEPOSITOR);
                vm.expectRevert(GasPriceOracle.ForkOrder.selector);
                setters[i]();
            }
            if (active < 4) {
                vm.prank(DEPOSITOR);
                setters[active]();
            }
        }
        // Genesis writes them here.
        require(vm.load(address(oracle), bytes32(0)) == bytes32(uint256(0x01010101)), "slot");
    }

    function test_the_fee_of_bedrock() public {
        bedrock(30 gwei, 188, 684_000);
        // Two zeros, one other byte, and the signature.
        uint256 gas = 2 * 4 + 16 + 68 * 16;
        require(oracle.getL1GasUsed(hex"000100") == gas + 188, "gas");
        require(oracle.getL1Fee(hex"000100") == (gas + 188) * 30 gwei * 684_000 / 1e6, "fee");
        require(oracle.overhead() == 188 && oracle.scalar() == 684_000, "parameters");
    }

    function test_the_fee_of_ecotone() public {
        isthmus(30 gwei, 2 gwei, 0, 0);
        activate(1);
        uint256 gas = 2 * 4 + 16 + 68 * 16;
        require(oracle.getL1GasUsed(hex"000100") == gas, "gas");
        uint256 price = 16 * 30 gwei * uint256(1_368) + 2 gwei * uint256(810_949);
        require(oracle.getL1Fee(hex"000100") == gas * price / 16e6, "fee");
        vm.expectRevert(GasPriceOracle.NotAtThisFork.selector);
        oracle.overhead();
        vm.expectRevert(GasPriceOracle.NotAtThisFork.selector);
        oracle.scalar();
        vm.expectRevert(GasPriceOracle.NotAtThisFork.selector);
        oracle.getL1FeeUpperBound(1);
    }

    function test_the_fee_of_fjord() public {
        isthmus(30 gwei, 2 gwei, 0, 0);
        activate(2);
        uint256 price = 16 * 30 gwei * uint256(1_368) + 2 gwei * uint256(810_949);
        // Short transactions count as a hundred bytes.
        require(oracle.getL1Fee("") == 100e6 * price / 1e12, "least");
        require(oracle.getL1GasUsed("") == 1_600, "least gas");
        bytes memory data = new bytes(300);
        for (uint256 i = 0; i < data.length; ++i) {
            data[i] = bytes1(uint8(uint256(keccak256(abi.encode(i)))));
        }
        // Nothing of it repeats: 300 bytes, 10 lengths, the signature.
        uint256 size = 836_500 * uint256(300 + 10 + 68) - 42_585_600;
        require(oracle.getL1Fee(data) == size * price / 1e12, "fee");
        require(oracle.getL1GasUsed(data) == size * 16 / 1e6, "gas");
    }

    function testFuzz_the_operator_fee(uint256 gas, uint32 scalar, uint64 constant_) public {
        isthmus(0, 0, scalar, constant_);
        require(oracle.getOperatorFee(gas) == 0, "before Isthmus");
        gas = bound(gas, 0, type(uint64).max);
        activate(3);
        require(oracle.getOperatorFee(gas) == gas * scalar / 1e6 + constant_, "Isthmus");
        vm.prank(DEPOSITOR);
        oracle.setJovian();
        require(oracle.getOperatorFee(gas) == gas * scalar * 100 + constant_, "Jovian");
        isthmus(0, 0, 2, 1);
        require(oracle.getOperatorFee(type(uint256).max) == type(uint256).max, "saturated");
    }

    /// The Rust tests compare with the execution engine; these are the edges.
    function test_compressed_lengths() public pure {
        require(FastLz.compressedLength("") == 0, "nothing");
        require(FastLz.compressedLength(hex"00") == 2, "a byte");
        require(FastLz.compressedLength(new bytes(100)) < 20, "zeros");
    }

    function testFuzz_the_upper_bound_holds(bytes memory data) public {
        isthmus(30 gwei, 2 gwei, 0, 0);
        activate(2);
        if (data.length > 512) return;
        require(oracle.getL1Fee(data) <= oracle.getL1FeeUpperBound(data.length), "bound");
    }
}
