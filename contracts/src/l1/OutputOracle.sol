// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// The rollup's outputs as the proposer claims them. A challenger can delete a claim until it is final.
///
/// The interface is that of OP's `L2OutputOracle`, but for proposals at irregular distances.
contract OutputOracle {
    /// A claim about the rollup's state.
    struct OutputProposal {
        bytes32 outputRoot;
        /// When it was made, in seconds.
        uint128 timestamp;
        uint128 l2BlockNumber;
    }

    struct Config {
        /// How many rollup blocks lie between two claims at least.
        uint256 submissionInterval;
        /// In seconds.
        uint256 l2BlockTime;
        /// The rollup block before the first that a claim can be about, and its timestamp.
        uint256 startingBlockNumber;
        uint256 startingTimestamp;
        address proposer;
        address challenger;
        /// For how long a claim can be deleted, in seconds.
        uint256 finalizationPeriodSeconds;
    }

    event OutputProposed(
        bytes32 indexed outputRoot, uint256 indexed l2OutputIndex, uint256 indexed l2BlockNumber, uint256 l1Timestamp
    );
    event OutputsDeleted(uint256 indexed prevNextOutputIndex, uint256 indexed newNextOutputIndex);

    error InvalidConfig();
    error NotProposer();
    error NotChallenger();
    error OutputRootZero();
    /// The block is too close to the one before.
    error BlockTooEarly(uint256 least);
    /// The block is not there yet.
    error BlockInFuture(uint256 timestamp);
    /// The claim was made on another L1 chain.
    error L1Reorganized();
    error NoSuchOutput(uint256 count);
    error OutputFinal(uint256 since);

    string public constant version = "1.0.0";

    OutputProposal[] private _outputs;
    uint256 public submissionInterval;
    uint256 public l2BlockTime;
    uint256 public startingBlockNumber;
    uint256 public startingTimestamp;
    uint256 public finalizationPeriodSeconds;
    address public proposer;
    address public challenger;

    constructor(Config memory config) {
        if (
            config.submissionInterval == 0 || config.l2BlockTime == 0 || config.startingTimestamp > block.timestamp
                || config.proposer == address(0) || config.challenger == address(0)
        ) revert InvalidConfig();
        submissionInterval = config.submissionInterval;
        l2BlockTime = config.l2BlockTime;
        startingBlockNumber = config.startingBlockNumber;
        startingTimestamp = config.startingTimestamp;
        finalizationPeriodSeconds = config.finalizationPeriodSeconds;
        proposer = config.proposer;
        challenger = config.challenger;
    }

    /// Claims an output. If `l1BlockHash` is not zero, only on the L1 chain where block `l1BlockNumber`, one of the last
    /// 256, has this hash.
    function proposeL2Output(bytes32 outputRoot, uint256 l2BlockNumber, bytes32 l1BlockHash, uint256 l1BlockNumber)
        external
    {
        if (msg.sender != proposer) revert NotProposer();
        if (outputRoot == bytes32(0)) revert OutputRootZero();
        if (l2BlockNumber < nextBlockNumber()) revert BlockTooEarly(nextBlockNumber());
        uint256 blockTimestamp = computeL2Timestamp(l2BlockNumber);
        if (blockTimestamp >= block.timestamp) revert BlockInFuture(blockTimestamp);
        if (l1BlockHash != bytes32(0) && blockhash(l1BlockNumber) != l1BlockHash) revert L1Reorganized();

        emit OutputProposed(outputRoot, _outputs.length, l2BlockNumber, block.timestamp);
        // The number was held against the clock, so that it fits.
        _outputs.push(OutputProposal(outputRoot, uint128(block.timestamp), uint128(l2BlockNumber)));
    }

    /// Takes back all claims from `l2OutputIndex` on.
    function deleteL2Outputs(uint256 l2OutputIndex) external {
        if (msg.sender != challenger) revert NotChallenger();
        uint256 count = _outputs.length;
        if (l2OutputIndex >= count) revert NoSuchOutput(count);
        uint256 end = _outputs[l2OutputIndex].timestamp + finalizationPeriodSeconds;
        if (block.timestamp > end) revert OutputFinal(end);
        assembly ("memory-safe") {
            // Shortens the array; what it held stays behind, unreachable, until it is overwritten.
            sstore(_outputs.slot, l2OutputIndex)
        }
        emit OutputsDeleted(count, l2OutputIndex);
    }

    /// Whether `l2OutputIndex` is a claim that can no longer be deleted.
    function isFinal(uint256 l2OutputIndex) external view returns (bool) {
        return l2OutputIndex < _outputs.length
            && block.timestamp > _outputs[l2OutputIndex].timestamp + finalizationPeriodSeconds;
    }

    function getL2Output(uint256 l2OutputIndex) external view returns (OutputProposal memory) {
        if (l2OutputIndex >= _outputs.length) revert NoSuchOutput(_outputs.length);
        return _outputs[l2OutputIndex];
    }

    /// The first claim about block `l2BlockNumber` or a later one.
    function getL2OutputIndexAfter(uint256 l2BlockNumber) public view returns (uint256) {
        // Tools tell "not yet" from other failures by this text.
        require(
            l2BlockNumber <= latestBlockNumber() && _outputs.length > 0,
            "L2OutputOracle: cannot get output for a block that has not been proposed"
        );
        uint256 low = 0;
        uint256 high = _outputs.length - 1;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_outputs[middle].l2BlockNumber < l2BlockNumber) low = middle + 1;
            else high = middle;
        }
        return low;
    }

    function getL2OutputAfter(uint256 l2BlockNumber) external view returns (OutputProposal memory) {
        return _outputs[getL2OutputIndexAfter(l2BlockNumber)];
    }

    function latestOutputIndex() external view returns (uint256) {
        if (_outputs.length == 0) revert NoSuchOutput(0);
        return _outputs.length - 1;
    }

    function nextOutputIndex() public view returns (uint256) {
        return _outputs.length;
    }

    function latestBlockNumber() public view returns (uint256) {
        uint256 count = _outputs.length;
        return count == 0 ? startingBlockNumber : _outputs[count - 1].l2BlockNumber;
    }

    /// The first block that the next claim can be about.
    function nextBlockNumber() public view returns (uint256) {
        return latestBlockNumber() + submissionInterval;
    }

    /// The timestamp of a block of the rollup.
    function computeL2Timestamp(uint256 l2BlockNumber) public view returns (uint256) {
        return startingTimestamp + (l2BlockNumber - startingBlockNumber) * l2BlockTime;
    }

    /// Names that tools know.
    function SUBMISSION_INTERVAL() external view returns (uint256) {
        return submissionInterval;
    }

    function L2_BLOCK_TIME() external view returns (uint256) {
        return l2BlockTime;
    }

    function FINALIZATION_PERIOD_SECONDS() external view returns (uint256) {
        return finalizationPeriodSeconds;
    }

    function PROPOSER() external view returns (address) {
        return proposer;
    }

    function CHALLENGER() external view returns (address) {
        return challenger;
    }
}
