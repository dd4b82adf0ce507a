// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {FastLz} from "../lib/FastLz.sol";
import {Predeploys} from "../lib/Predeploys.sol";
import {L1Block} from "./L1Block.sol";

/// Tells wallets what a transaction costs beyond its gas: the L1 fee and the operator fee. The execution engine charges
/// them by itself; the formulas here are the same (OP specification: execution engine § fees).
contract GasPriceOracle {
    error NotDepositor();
    /// The fork is active already, or the one before it is not.
    error ForkOrder();
    /// There is no such value at this fork.
    error NotAtThisFork();

    string public constant version = "1.0.0";
    uint256 public constant DECIMALS = 6;
    L1Block private constant L1 = L1Block(Predeploys.L1_BLOCK);

    /// What the signature adds to an unsigned transaction, in bytes, none of them zero.
    uint256 private constant SIGNATURE_BYTES = 68;
    /// The estimate of a transaction's share of a batch, in millionths of a byte, from its length after FastLZ.
    uint256 private constant COST_NEGATIVE_INTERCEPT = 42_585_600;
    uint256 private constant COST_FASTLZ_COEF = 836_500;
    uint256 private constant LEAST_ESTIMATE = 100e6;

    /// Slot 0. Forks are switched on by upgrade transactions, or are on from genesis.
    bool public isEcotone;
    bool public isFjord;
    bool public isIsthmus;
    bool public isJovian;

    modifier onlyDepositor() {
        if (msg.sender != Predeploys.DEPOSITOR_ACCOUNT) revert NotDepositor();
        _;
    }

    function setEcotone() external onlyDepositor {
        if (isEcotone) revert ForkOrder();
        isEcotone = true;
    }

    function setFjord() external onlyDepositor {
        if (!isEcotone || isFjord) revert ForkOrder();
        isFjord = true;
    }

    function setIsthmus() external onlyDepositor {
        if (!isFjord || isIsthmus) revert ForkOrder();
        isIsthmus = true;
    }

    function setJovian() external onlyDepositor {
        if (!isIsthmus || isJovian) revert ForkOrder();
        isJovian = true;
    }

    /// The L1 fee, in wei, of the unsigned transaction `data`.
    function getL1Fee(bytes memory data) external view returns (uint256) {
        if (isFjord) return _fjordFee(FastLz.compressedLength(data) + SIGNATURE_BYTES);
        uint256 gas = _calldataGas(data);
        if (isEcotone) return gas * _scaledPrices() / (16 * 10 ** DECIMALS);
        return (gas + L1.l1FeeOverhead()) * l1BaseFee() * L1.l1FeeScalar() / 10 ** DECIMALS;
    }

    /// What the L1 fee of a transaction of so many bytes, unsigned, usually stays below. The formula is the one that
    /// wallets know; what does not compress at all exceeds it from some 500 bytes on.
    function getL1FeeUpperBound(uint256 unsignedTxSize) external view returns (uint256) {
        if (!isFjord) revert NotAtThisFork();
        uint256 size = unsignedTxSize + SIGNATURE_BYTES;
        return _fjordFee(size + size / 255 + 16);
    }

    /// The gas on L1 that the unsigned transaction `data` stands for.
    function getL1GasUsed(bytes memory data) external view returns (uint256) {
        if (isFjord) return _estimatedSize(FastLz.compressedLength(data) + SIGNATURE_BYTES) * 16 / 10 ** DECIMALS;
        uint256 gas = _calldataGas(data);
        return isEcotone ? gas : gas + L1.l1FeeOverhead();
    }

    /// The operator fee, in wei, of a transaction that uses so much gas. What does not fit is the largest number.
    function getOperatorFee(uint256 gasUsed) external view returns (uint256) {
        if (!isIsthmus) return 0;
        uint256 scaled = _saturatingMul(gasUsed, L1.operatorFeeScalar());
        scaled = isJovian ? _saturatingMul(scaled, 100) : scaled / 1e6;
        uint256 fixedFee = L1.operatorFeeConstant();
        return scaled > type(uint256).max - fixedFee ? type(uint256).max : scaled + fixedFee;
    }

    function gasPrice() external view returns (uint256) {
        return block.basefee;
    }

    function baseFee() external view returns (uint256) {
        return block.basefee;
    }

    function decimals() external pure returns (uint256) {
        return DECIMALS;
    }

    function overhead() external view returns (uint256) {
        if (isEcotone) revert NotAtThisFork();
        return L1.l1FeeOverhead();
    }

    function scalar() external view returns (uint256) {
        if (isEcotone) revert NotAtThisFork();
        return L1.l1FeeScalar();
    }

    function l1BaseFee() public view returns (uint256) {
        return L1.basefee();
    }

    function blobBaseFee() external view returns (uint256) {
        return L1.blobBaseFee();
    }

    function baseFeeScalar() external view returns (uint32) {
        return L1.baseFeeScalar();
    }

    function blobBaseFeeScalar() external view returns (uint32) {
        return L1.blobBaseFeeScalar();
    }

    function operatorFeeScalar() external view returns (uint32) {
        return L1.operatorFeeScalar();
    }

    function operatorFeeConstant() external view returns (uint64) {
        return L1.operatorFeeConstant();
    }

    /// The fee of a transaction that FastLZ brings down to so many bytes.
    function _fjordFee(uint256 compressed) private view returns (uint256) {
        return _estimatedSize(compressed) * _scaledPrices() / 10 ** (2 * DECIMALS);
    }

    function _estimatedSize(uint256 compressed) private pure returns (uint256) {
        uint256 scaled = COST_FASTLZ_COEF * compressed;
        return scaled < COST_NEGATIVE_INTERCEPT + LEAST_ESTIMATE ? LEAST_ESTIMATE : scaled - COST_NEGATIVE_INTERCEPT;
    }

    /// The price of 16 bytes on L1 as call data and in blobs, weighted, in millionths of wei.
    function _scaledPrices() private view returns (uint256) {
        return 16 * l1BaseFee() * L1.baseFeeScalar() + L1.blobBaseFee() * L1.blobBaseFeeScalar();
    }

    /// The gas of call data and signature: 16 per byte, 4 if it is zero.
    function _calldataGas(bytes memory data) private pure returns (uint256 gas) {
        gas = SIGNATURE_BYTES * 16;
        for (uint256 i = 0; i < data.length; ++i) {
            gas += data[i] == 0 ? 4 : 16;
        }
    }

    function _saturatingMul(uint256 a, uint256 b) private pure returns (uint256) {
        if (b != 0 && a > type(uint256).max / b) return type(uint256).max;
        return a * b;
    }
}
