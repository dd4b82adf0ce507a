// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {OutputOracle} from "../src/l1/OutputOracle.sol";
import {Bridge} from "./lib/Bridge.sol";
import {bound, vm} from "./lib/Vm.sol";

contract OutputOracleTest is Bridge {
    bytes32 internal constant ROOT = keccak256("root");

    function setUp() public {
        deployBridge();
    }

    function propose(uint256 number) private {
        vm.prank(PROPOSER);
        oracle.proposeL2Output(ROOT, number, bytes32(0), 0);
    }

    /// Goes to the time at which a block can be claimed.
    function due(uint256 number) private {
        vm.warp(oracle.computeL2Timestamp(number) + 1);
    }

    function testFuzz_only_the_proposer_claims(address caller) public {
        due(INTERVAL);
        if (caller != PROPOSER) vm.expectRevert(OutputOracle.NotProposer.selector);
        vm.prank(caller);
        oracle.proposeL2Output(ROOT, INTERVAL, bytes32(0), 0);
    }

    function testFuzz_only_the_challenger_deletes(address caller) public {
        due(INTERVAL);
        propose(INTERVAL);
        if (caller != CHALLENGER) vm.expectRevert(OutputOracle.NotChallenger.selector);
        vm.prank(caller);
        oracle.deleteL2Outputs(0);
        require((oracle.nextOutputIndex() == 0) == (caller == CHALLENGER), "count");
    }

    function testFuzz_blocks_are_claimed_in_order_and_not_too_close(uint256 first, uint256 second) public {
        first = bound(first, INTERVAL, 1_000_000);
        second = bound(second, 0, 2_000_000);
        due(2_000_000);
        propose(first);
        if (second < first + INTERVAL) {
            vm.expectRevert(abi.encodeWithSelector(OutputOracle.BlockTooEarly.selector, first + INTERVAL));
        }
        propose(second);
        require(oracle.latestBlockNumber() == (second < first + INTERVAL ? first : second), "latest");
    }

    function testFuzz_the_future_is_not_claimed(uint256 number) public {
        number = bound(number, INTERVAL, type(uint64).max);
        uint256 timestamp = START_S + number * BLOCK_TIME_S;
        vm.warp(timestamp);
        vm.expectRevert(abi.encodeWithSelector(OutputOracle.BlockInFuture.selector, timestamp));
        propose(number);
        vm.warp(timestamp + 1);
        propose(number);
    }

    function test_nothing_is_no_output() public {
        due(INTERVAL);
        vm.prank(PROPOSER);
        vm.expectRevert(OutputOracle.OutputRootZero.selector);
        oracle.proposeL2Output(bytes32(0), INTERVAL, bytes32(0), 0);
    }

    function test_a_claim_can_be_tied_to_an_l1_chain() public {
        due(INTERVAL);
        vm.roll(2_000);
        bytes32 hash = blockhash(1_999);
        require(hash != bytes32(0), "a hash");
        vm.prank(PROPOSER);
        vm.expectRevert(OutputOracle.L1Reorganized.selector);
        oracle.proposeL2Output(ROOT, INTERVAL, keccak256("other"), 1_999);
        vm.prank(PROPOSER);
        oracle.proposeL2Output(ROOT, INTERVAL, hash, 1_999);
    }

    function testFuzz_a_claim_is_deleted_until_it_is_final(uint256 wait) public {
        due(INTERVAL);
        propose(INTERVAL);
        uint256 end = block.timestamp + PERIOD_S;
        wait = bound(wait, 0, 2 * PERIOD_S);
        vm.warp(block.timestamp + wait);
        bool isFinal = oracle.isFinal(0);
        require(isFinal == (wait > PERIOD_S), "final");
        require(isFinal == portal.isOutputFinalized(0), "portal");
        vm.prank(CHALLENGER);
        if (isFinal) vm.expectRevert(abi.encodeWithSelector(OutputOracle.OutputFinal.selector, end));
        oracle.deleteL2Outputs(0);
        require(oracle.nextOutputIndex() == (isFinal ? 1 : 0), "count");
    }

    function testFuzz_deleting_takes_all_that_follow(uint256 count, uint256 from) public {
        count = bound(count, 1, 20);
        from = bound(from, 0, 20);
        due(count * INTERVAL);
        for (uint256 i = 1; i <= count; ++i) {
            propose(i * INTERVAL);
        }
        vm.prank(CHALLENGER);
        if (from >= count) {
            vm.expectRevert(abi.encodeWithSelector(OutputOracle.NoSuchOutput.selector, count));
            oracle.deleteL2Outputs(from);
            return;
        }
        oracle.deleteL2Outputs(from);
        require(oracle.nextOutputIndex() == from && oracle.latestBlockNumber() == from * INTERVAL, "count");
        vm.expectRevert(abi.encodeWithSelector(OutputOracle.NoSuchOutput.selector, from));
        oracle.getL2Output(from);
        // They can be claimed again.
        propose((from + 1) * INTERVAL);
        require(oracle.getL2Output(from).l2BlockNumber == (from + 1) * INTERVAL, "again");
    }

    function testFuzz_the_claim_that_covers_a_block_is_found(uint256 seed, uint256 number) public {
        uint256 count = bound(seed, 1, 30);
        due(100_000);
        uint256 last = 0;
        for (uint256 i = 0; i < count; ++i) {
            last += INTERVAL + uint256(keccak256(abi.encode(seed, i))) % 50;
            propose(last);
        }
        number = bound(number, 0, last);
        uint256 index = oracle.getL2OutputIndexAfter(number);
        require(oracle.getL2Output(index).l2BlockNumber >= number, "covers");
        require(index == 0 || oracle.getL2Output(index - 1).l2BlockNumber < number, "first");
        require(oracle.getL2OutputAfter(number).l2BlockNumber == oracle.getL2Output(index).l2BlockNumber, "same");
    }

    function test_a_block_beyond_all_claims_is_told_in_the_words_that_tools_know() public {
        bytes memory reason = abi.encodeWithSignature(
            "Error(string)", "L2OutputOracle: cannot get output for a block that has not been proposed"
        );
        vm.expectRevert(reason);
        oracle.getL2OutputIndexAfter(0);
        due(INTERVAL);
        propose(INTERVAL);
        oracle.getL2OutputIndexAfter(INTERVAL);
        vm.expectRevert(reason);
        oracle.getL2OutputIndexAfter(INTERVAL + 1);
    }

    function test_senseless_settings_are_refused() public {
        for (uint256 i = 0; i < 5; ++i) {
            OutputOracle.Config memory settings =
                OutputOracle.Config(INTERVAL, BLOCK_TIME_S, 0, START_S, PROPOSER, CHALLENGER, PERIOD_S);
            if (i == 0) settings.submissionInterval = 0;
            if (i == 1) settings.l2BlockTime = 0;
            if (i == 2) settings.startingTimestamp = START_S + 1;
            if (i == 3) settings.proposer = address(0);
            if (i == 4) settings.challenger = address(0);
            vm.expectRevert(OutputOracle.InvalidConfig.selector);
            new OutputOracle(settings);
        }
    }
}
