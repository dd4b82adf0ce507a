// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Predeploys} from "../lib/Predeploys.sol";

/// What the rollup knows of its L1 origin: written by the first transaction of every block, read by contracts, and,
/// slot by slot, by the execution engine, which takes fee parameters from here (OP specification: L1 attributes).
///
/// The packed setters take their arguments as one string of big-endian fields, without ABI encoding.
contract L1Block {
    error NotDepositor();

    string public constant version = "1.0.0";

    /// Slot 0.
    uint64 public number;
    uint64 public timestamp;
    /// Slot 1, in wei.
    uint256 public basefee;
    /// Slot 2.
    bytes32 public hash;
    /// Slot 3. How many rollup blocks with this origin came before.
    uint64 public sequenceNumber;
    uint32 public blobBaseFeeScalar;
    uint32 public baseFeeScalar;
    /// Slot 4.
    bytes32 public batcherHash;
    /// Slots 5 and 6: the fee parameters before Ecotone.
    uint256 public l1FeeOverhead;
    uint256 public l1FeeScalar;
    /// Slot 7, in wei.
    uint256 public blobBaseFee;
    /// Slot 8.
    uint64 public operatorFeeConstant;
    uint32 public operatorFeeScalar;
    uint16 public daFootprintGasScalar;

    modifier onlyDepositor() {
        if (msg.sender != Predeploys.DEPOSITOR_ACCOUNT) revert NotDepositor();
        _;
    }

    function DEPOSITOR_ACCOUNT() external pure returns (address) {
        return Predeploys.DEPOSITOR_ACCOUNT;
    }

    /// The attributes before Ecotone.
    function setL1BlockValues(
        uint64 newNumber,
        uint64 newTimestamp,
        uint256 newBasefee,
        bytes32 newHash,
        uint64 newSequenceNumber,
        bytes32 newBatcherHash,
        uint256 newL1FeeOverhead,
        uint256 newL1FeeScalar
    ) external onlyDepositor {
        number = newNumber;
        timestamp = newTimestamp;
        basefee = newBasefee;
        hash = newHash;
        sequenceNumber = newSequenceNumber;
        batcherHash = newBatcherHash;
        l1FeeOverhead = newL1FeeOverhead;
        l1FeeScalar = newL1FeeScalar;
    }

    /// The attributes from Ecotone on: 160 bytes.
    function setL1BlockValuesEcotone() external onlyDepositor {
        _setEcotone(msg.data[4:164]);
    }

    /// From Isthmus on: 172 bytes.
    function setL1BlockValuesIsthmus() external onlyDepositor {
        _setEcotone(msg.data[4:164]);
        _setOperatorFee(msg.data[164:176]);
    }

    /// From Jovian on: 174 bytes.
    function setL1BlockValuesJovian() external onlyDepositor {
        _setEcotone(msg.data[4:164]);
        _setOperatorFee(msg.data[164:176]);
        daFootprintGasScalar = uint16(bytes2(msg.data[176:178]));
    }

    function _setEcotone(bytes calldata fields) private {
        baseFeeScalar = uint32(bytes4(fields[0:4]));
        blobBaseFeeScalar = uint32(bytes4(fields[4:8]));
        sequenceNumber = uint64(bytes8(fields[8:16]));
        timestamp = uint64(bytes8(fields[16:24]));
        number = uint64(bytes8(fields[24:32]));
        basefee = uint256(bytes32(fields[32:64]));
        blobBaseFee = uint256(bytes32(fields[64:96]));
        hash = bytes32(fields[96:128]);
        batcherHash = bytes32(fields[128:160]);
    }

    function _setOperatorFee(bytes calldata fields) private {
        operatorFeeScalar = uint32(bytes4(fields[0:4]));
        operatorFeeConstant = uint64(bytes8(fields[4:12]));
    }
}
