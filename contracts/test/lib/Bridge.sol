// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {OutputOracle} from "../../src/l1/OutputOracle.sol";
import {Portal} from "../../src/l1/Portal.sol";
import {SystemConfig} from "../../src/l1/SystemConfig.sol";
import {OutputRootProof, Withdrawal, Withdrawals} from "../../src/lib/Withdrawals.sol";
import {Tries} from "./Tries.sol";
import {vm} from "./Vm.sol";

/// The contracts of a rollup on L1, and outputs with withdrawals in them.
abstract contract Bridge {
    uint256 internal constant PERIOD_S = 100;
    uint256 internal constant INTERVAL = 10;
    uint256 internal constant BLOCK_TIME_S = 2;
    uint256 internal constant START_S = 1_000_000;
    address internal constant OWNER = address(0x0a);
    address internal constant PROPOSER = address(0x0b);
    address internal constant CHALLENGER = address(0x0c);

    OutputOracle internal oracle;
    SystemConfig internal config;
    Portal internal portal;

    function deployBridge() internal {
        vm.warp(START_S);
        vm.roll(1_000);
        oracle = new OutputOracle(
            OutputOracle.Config({
                submissionInterval: INTERVAL,
                l2BlockTime: BLOCK_TIME_S,
                startingBlockNumber: 0,
                startingTimestamp: START_S,
                proposer: PROPOSER,
                challenger: CHALLENGER,
                finalizationPeriodSeconds: PERIOD_S
            })
        );
        config = new SystemConfig(
            SystemConfig.Config({
                owner: OWNER,
                optimismPortal: address(0x0d),
                batchInbox: address(0xff),
                batcher: address(0xbb),
                unsafeBlockSigner: address(0xee),
                l2ChainId: 901,
                startBlock: 7,
                gasLimit: 60_000_000,
                basefeeScalar: 1_368,
                blobbasefeeScalar: 810_949,
                eip1559Denominator: 250,
                eip1559Elasticity: 6,
                operatorFeeScalar: 3,
                operatorFeeConstant: 4,
                minBaseFee: 5,
                daFootprintGasScalar: 400
            })
        );
        portal = makePortal();
    }

    function makePortal() internal virtual returns (Portal) {
        return new Portal(oracle, config);
    }

    /// Claims a block whose message passer has sent just these withdrawals, when that block can be claimed.
    function claim(bytes32[] memory hashes) internal returns (uint256 index, OutputRootProof memory proof) {
        uint256 number = oracle.nextBlockNumber();
        uint256 due = oracle.computeL2Timestamp(number) + 1;
        if (block.timestamp < due) vm.warp(due);
        proof = OutputRootProof({
            version: bytes32(0),
            stateRoot: keccak256(abi.encode("state", number)),
            messagePasserStorageRoot: Tries.root(trieKeys(hashes), hex"01"),
            latestBlockhash: keccak256(abi.encode("block", number))
        });
        index = oracle.nextOutputIndex();
        vm.prank(PROPOSER);
        oracle.proposeL2Output(Withdrawals.outputRoot(proof), number, bytes32(0), 0);
    }

    function proofOf(bytes32[] memory hashes, bytes32 hash) internal pure returns (bytes[] memory) {
        return Tries.prove(trieKeys(hashes), hex"01", Withdrawals.trieKey(hash), false);
    }

    function trieKeys(bytes32[] memory hashes) internal pure returns (bytes32[] memory keys) {
        keys = new bytes32[](hashes.length);
        for (uint256 i = 0; i < hashes.length; ++i) {
            keys[i] = Withdrawals.trieKey(hashes[i]);
        }
    }

    function one(bytes32 hash) internal pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](1);
        hashes[0] = hash;
    }
}
