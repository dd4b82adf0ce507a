// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {SystemConfig} from "../src/l1/SystemConfig.sol";
import {Bridge} from "./lib/Bridge.sol";
import {Vm, bound, vm} from "./lib/Vm.sol";

contract SystemConfigTest is Bridge {
    function setUp() public {
        deployBridge();
    }

    /// The next call is the owner's, and tells of one update.
    function begin() private {
        vm.recordLogs();
        vm.prank(OWNER);
    }

    function requireUpdate(uint256 kind, bytes memory data) private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1, "one event");
        require(logs[0].topics[0] == keccak256("ConfigUpdate(uint256,uint8,bytes)"), "event");
        require(logs[0].topics[1] == bytes32(0) && uint256(logs[0].topics[2]) == kind, "kind");
        require(keccak256(abi.decode(logs[0].data, (bytes))) == keccak256(data), "data");
    }

    function test_it_begins_as_configured() public view {
        require(config.owner() == OWNER, "owner");
        require(config.batcherHash() == bytes32(uint256(0xbb)), "batcher");
        require(config.batchInbox() == address(0xff), "inbox");
        require(config.unsafeBlockSigner() == address(0xee), "signer");
        require(config.optimismPortal() == address(0x0d), "portal");
        require(config.l2ChainId() == 901 && config.startBlock() == 7, "chain");
        require(config.gasLimit() == 60_000_000, "gas limit");
        require(config.basefeeScalar() == 1_368 && config.blobbasefeeScalar() == 810_949, "scalars");
        require(config.scalar() == (1 << 248 | 810_949 << 32 | 1_368) && config.overhead() == 0, "packed scalars");
        require(config.eip1559Denominator() == 250 && config.eip1559Elasticity() == 6, "base fee");
        require(config.operatorFeeScalar() == 3 && config.operatorFeeConstant() == 4, "operator fee");
        require(config.minBaseFee() == 5 && config.daFootprintGasScalar() == 400, "Jovian");
    }

    function testFuzz_batchers(address batcher, uint160 hash) public {
        begin();
        config.setBatcherHash(batcher);
        requireUpdate(0, abi.encode(batcher));
        begin();
        config.setBatcherHash(bytes32(uint256(hash)));
        requireUpdate(0, abi.encode(hash));
        require(config.batcherHash() == bytes32(uint256(hash)), "stored");
    }

    function testFuzz_a_batcher_is_an_address(bytes32 hash) public {
        if (uint256(hash) >> 160 == 0) return;
        vm.prank(OWNER);
        vm.expectRevert(SystemConfig.BatcherNotAnAddress.selector);
        config.setBatcherHash(hash);
        require(config.batcherHash() == bytes32(uint256(0xbb)), "as before");
    }

    function test_a_batcher_of_one_bit_more_is_refused() public {
        testFuzz_a_batcher_is_an_address(bytes32(uint256(1) << 160));
    }

    function testFuzz_fee_scalars(uint32 baseFee, uint32 blobBaseFee) public {
        begin();
        config.setGasConfigEcotone(baseFee, blobBaseFee);
        uint256 scalar = uint256(1) << 248 | uint256(blobBaseFee) << 32 | baseFee;
        requireUpdate(1, abi.encode(uint256(0), scalar));
        require(config.scalar() == scalar, "stored");
    }

    function testFuzz_fee_scalars_before_ecotone(uint256 overhead, uint256 scalar) public {
        if (scalar >> 248 != 0) {
            vm.prank(OWNER);
            vm.expectRevert(SystemConfig.ScalarFormat.selector);
            config.setGasConfig(overhead, scalar);
        }
        scalar &= type(uint248).max;
        begin();
        config.setGasConfig(overhead, scalar);
        requireUpdate(1, abi.encode(overhead, scalar));
    }

    function testFuzz_gas_limits(uint64 limit) public {
        begin();
        if (limit < 21_000_000) {
            vm.expectRevert(abi.encodeWithSelector(SystemConfig.GasLimitTooLow.selector, 21_000_000));
        } else if (limit > 500_000_000) {
            vm.expectRevert(abi.encodeWithSelector(SystemConfig.GasLimitTooHigh.selector, 500_000_000));
        }
        config.setGasLimit(limit);
        if (limit >= 21_000_000 && limit <= 500_000_000) {
            requireUpdate(2, abi.encode(limit));
            require(config.gasLimit() == limit, "stored");
        }
    }

    function testFuzz_a_gas_limit_within_its_bounds_is_taken(uint64 limit) public {
        testFuzz_gas_limits(uint64(bound(limit, 20_999_999, 500_000_001)));
    }

    function testFuzz_signers(address signer) public {
        begin();
        config.setUnsafeBlockSigner(signer);
        requireUpdate(3, abi.encode(signer));
        require(config.unsafeBlockSigner() == signer, "stored");
        // Consensus clients read this slot.
        bytes32 slot = 0x65a7ed542fb37fe237fdfbdd70b31598523fe5b32879e307bae27a0bd9581c08;
        require(uint256(vm.load(address(config), slot)) == uint160(signer), "slot");
    }

    function testFuzz_base_fee_parameters(uint32 denominator, uint32 elasticity) public {
        begin();
        if (denominator == 0) {
            vm.expectRevert(SystemConfig.DenominatorZero.selector);
        } else if (elasticity == 0) {
            vm.expectRevert(SystemConfig.ElasticityZero.selector);
        } else if (elasticity > 21_000_000) {
            vm.expectRevert(abi.encodeWithSelector(SystemConfig.ElasticityTooHigh.selector, 21_000_000));
        }
        config.setEIP1559Params(denominator, elasticity);
        if (denominator == 0 || elasticity == 0 || elasticity > 21_000_000) return;
        requireUpdate(4, abi.encode(uint256(denominator) << 32 | elasticity));
        require(config.eip1559Denominator() == denominator && config.eip1559Elasticity() == elasticity, "stored");
    }

    function test_base_fee_parameters_are_not_zero() public {
        testFuzz_base_fee_parameters(0, 1);
        testFuzz_base_fee_parameters(1, 0);
    }

    function test_the_gas_target_is_not_zero() public {
        testFuzz_base_fee_parameters(1, 21_000_000);
        testFuzz_base_fee_parameters(1, 21_000_001);
    }

    function testFuzz_operator_fees(uint32 scalar, uint64 constant_) public {
        begin();
        config.setOperatorFeeScalars(scalar, constant_);
        requireUpdate(5, abi.encode(uint256(scalar) << 64 | constant_));
        require(config.operatorFeeScalar() == scalar && config.operatorFeeConstant() == constant_, "stored");
    }

    function testFuzz_jovian_parameters(uint64 minBaseFee, uint16 footprint) public {
        begin();
        config.setMinBaseFee(minBaseFee);
        requireUpdate(6, abi.encode(minBaseFee));
        begin();
        config.setDAFootprintGasScalar(footprint);
        requireUpdate(7, abi.encode(footprint));
        require(config.minBaseFee() == minBaseFee && config.daFootprintGasScalar() == footprint, "stored");
    }

    function testFuzz_only_the_owner_changes_anything(address caller) public {
        if (caller == OWNER) return;
        bytes[12] memory calls = [
            abi.encodeWithSignature("setBatcherHash(bytes32)", 0),
            abi.encodeWithSignature("setBatcherHash(address)", 0),
            abi.encodeCall(SystemConfig.setUnsafeBlockSigner, (caller)),
            abi.encodeCall(SystemConfig.setGasConfig, (0, 0)),
            abi.encodeCall(SystemConfig.setGasConfigEcotone, (0, 0)),
            abi.encodeCall(SystemConfig.setGasLimit, (30_000_000)),
            abi.encodeCall(SystemConfig.setEIP1559Params, (1, 1)),
            abi.encodeCall(SystemConfig.setOperatorFeeScalars, (0, 0)),
            abi.encodeCall(SystemConfig.setMinBaseFee, (0)),
            abi.encodeCall(SystemConfig.setDAFootprintGasScalar, (0)),
            abi.encodeCall(SystemConfig.transferOwnership, (caller)),
            abi.encodeCall(SystemConfig.renounceOwnership, ())
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(caller);
            (bool success, bytes memory reason) = address(config).call(calls[i]);
            require(!success && bytes4(reason) == SystemConfig.NotOwner.selector, "refused");
        }
    }

    function test_ownership_moves_and_ends() public {
        vm.prank(OWNER);
        vm.expectRevert(SystemConfig.NoOwner.selector);
        config.transferOwnership(address(0));
        vm.prank(OWNER);
        config.transferOwnership(PROPOSER);
        require(config.owner() == PROPOSER, "moved");
        vm.prank(PROPOSER);
        config.renounceOwnership();
        require(config.owner() == address(0), "ended");
    }
}
