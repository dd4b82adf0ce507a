// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ResourceMeter} from "./ResourceMeter.sol";

/// The parameters of a rollup that its owner may change while it runs. Derivation reads them from the events
/// (OP specification: system config).
contract SystemConfig {
    /// What an event changes.
    enum UpdateType {
        BATCHER,
        FEE_SCALARS,
        GAS_LIMIT,
        UNSAFE_BLOCK_SIGNER,
        EIP_1559_PARAMS,
        OPERATOR_FEE_PARAMS,
        MIN_BASE_FEE,
        DA_FOOTPRINT_GAS_SCALAR
    }

    /// What the rollup begins with.
    struct Config {
        address owner;
        address optimismPortal;
        address batchInbox;
        address batcher;
        address unsafeBlockSigner;
        uint256 l2ChainId;
        uint256 startBlock;
        uint64 gasLimit;
        uint32 basefeeScalar;
        uint32 blobbasefeeScalar;
        uint32 eip1559Denominator;
        uint32 eip1559Elasticity;
        uint32 operatorFeeScalar;
        uint64 operatorFeeConstant;
        uint64 minBaseFee;
        uint16 daFootprintGasScalar;
    }

    event ConfigUpdate(uint256 indexed version, UpdateType indexed updateType, bytes data);
    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);

    error NotOwner();
    error NoOwner();
    error GasLimitTooLow(uint64 least);
    error GasLimitTooHigh(uint64 most);
    /// The scalar uses the byte that marks the format of Ecotone.
    error ScalarFormat();
    /// Derivation takes the batcher for an address and stops at anything longer.
    error BatcherNotAnAddress();
    error DenominatorZero();
    error ElasticityZero();
    /// At the least gas limit, the gas target would be zero.
    error ElasticityTooHigh(uint64 most);

    string public constant version = "1.0.0";
    /// The version of the event.
    uint256 public constant VERSION = 0;
    uint64 public constant maximumGasLimit = 500_000_000;
    /// Consensus clients read the signer's address from this slot, without a call.
    bytes32 public constant UNSAFE_BLOCK_SIGNER_SLOT = keccak256("systemconfig.unsafeblocksigner");

    address public owner;
    uint64 public gasLimit;
    uint32 public basefeeScalar;
    uint256 public overhead;
    uint256 public scalar;
    bytes32 public batcherHash;
    uint32 public blobbasefeeScalar;
    uint32 public eip1559Denominator;
    uint32 public eip1559Elasticity;
    uint32 public operatorFeeScalar;
    uint64 public operatorFeeConstant;
    uint64 public minBaseFee;
    uint16 public daFootprintGasScalar;
    address public batchInbox;
    address public optimismPortal;
    uint256 public startBlock;
    uint256 public l2ChainId;

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner();
        _;
    }

    constructor(Config memory config) {
        _setOwner(config.owner);
        optimismPortal = config.optimismPortal;
        batchInbox = config.batchInbox;
        l2ChainId = config.l2ChainId;
        startBlock = config.startBlock;
        _setBatcherHash(bytes32(uint256(uint160(config.batcher))));
        _setUnsafeBlockSigner(config.unsafeBlockSigner);
        _setGasLimit(config.gasLimit);
        _setGasConfigEcotone(config.basefeeScalar, config.blobbasefeeScalar);
        _setEIP1559Params(config.eip1559Denominator, config.eip1559Elasticity);
        _setOperatorFeeScalars(config.operatorFeeScalar, config.operatorFeeConstant);
        _setMinBaseFee(config.minBaseFee);
        _setDAFootprintGasScalar(config.daFootprintGasScalar);
    }

    function unsafeBlockSigner() external view returns (address signer) {
        bytes32 slot = UNSAFE_BLOCK_SIGNER_SLOT;
        assembly ("memory-safe") {
            signer := sload(slot)
        }
    }

    /// The least gas limit of a block: the deposits of one L1 block must fit.
    function minimumGasLimit() public pure returns (uint64) {
        ResourceMeter.ResourceConfig memory config = resourceConfig();
        return uint64(config.maxResourceLimit) + config.systemTxMaxGas;
    }

    /// How the gas of deposits is priced.
    function resourceConfig() public pure returns (ResourceMeter.ResourceConfig memory) {
        return ResourceMeter.ResourceConfig({
            maxResourceLimit: 20_000_000,
            elasticityMultiplier: 10,
            baseFeeMaxChangeDenominator: 8,
            minimumBaseFee: 1 gwei,
            systemTxMaxGas: 1_000_000,
            maximumBaseFee: type(uint128).max
        });
    }

    function transferOwnership(address newOwner) external onlyOwner {
        _setOwner(newOwner);
    }

    /// Leaves the parameters as they are for ever.
    function renounceOwnership() external onlyOwner {
        emit OwnershipTransferred(owner, address(0));
        owner = address(0);
    }

    function setBatcherHash(bytes32 newBatcherHash) external onlyOwner {
        _setBatcherHash(newBatcherHash);
    }

    function setBatcherHash(address newBatcher) external onlyOwner {
        _setBatcherHash(bytes32(uint256(uint160(newBatcher))));
    }

    function setUnsafeBlockSigner(address newSigner) external onlyOwner {
        _setUnsafeBlockSigner(newSigner);
    }

    /// The parameters of the L1 fee before Ecotone.
    function setGasConfig(uint256 newOverhead, uint256 newScalar) external onlyOwner {
        if (newScalar >> 248 != 0) revert ScalarFormat();
        overhead = newOverhead;
        scalar = newScalar;
        emit ConfigUpdate(VERSION, UpdateType.FEE_SCALARS, abi.encode(newOverhead, newScalar));
    }

    /// The parameters of the L1 fee from Ecotone on.
    function setGasConfigEcotone(uint32 newBasefeeScalar, uint32 newBlobbasefeeScalar) external onlyOwner {
        _setGasConfigEcotone(newBasefeeScalar, newBlobbasefeeScalar);
    }

    function setGasLimit(uint64 newGasLimit) external onlyOwner {
        _setGasLimit(newGasLimit);
    }

    function setEIP1559Params(uint32 newDenominator, uint32 newElasticity) external onlyOwner {
        _setEIP1559Params(newDenominator, newElasticity);
    }

    function setOperatorFeeScalars(uint32 newScalar, uint64 newConstant) external onlyOwner {
        _setOperatorFeeScalars(newScalar, newConstant);
    }

    function setMinBaseFee(uint64 newMinBaseFee) external onlyOwner {
        _setMinBaseFee(newMinBaseFee);
    }

    function setDAFootprintGasScalar(uint16 newScalar) external onlyOwner {
        _setDAFootprintGasScalar(newScalar);
    }

    function _setOwner(address newOwner) private {
        if (newOwner == address(0)) revert NoOwner();
        emit OwnershipTransferred(owner, newOwner);
        owner = newOwner;
    }

    function _setBatcherHash(bytes32 newBatcherHash) private {
        if (uint256(newBatcherHash) >> 160 != 0) revert BatcherNotAnAddress();
        batcherHash = newBatcherHash;
        emit ConfigUpdate(VERSION, UpdateType.BATCHER, abi.encode(newBatcherHash));
    }

    function _setUnsafeBlockSigner(address newSigner) private {
        bytes32 slot = UNSAFE_BLOCK_SIGNER_SLOT;
        assembly ("memory-safe") {
            sstore(slot, newSigner)
        }
        emit ConfigUpdate(VERSION, UpdateType.UNSAFE_BLOCK_SIGNER, abi.encode(newSigner));
    }

    function _setGasConfigEcotone(uint32 newBasefeeScalar, uint32 newBlobbasefeeScalar) private {
        basefeeScalar = newBasefeeScalar;
        blobbasefeeScalar = newBlobbasefeeScalar;
        // Format 1: the two scalars, packed.
        scalar = (uint256(1) << 248) | (uint256(newBlobbasefeeScalar) << 32) | newBasefeeScalar;
        emit ConfigUpdate(VERSION, UpdateType.FEE_SCALARS, abi.encode(overhead, scalar));
    }

    function _setGasLimit(uint64 newGasLimit) private {
        if (newGasLimit < minimumGasLimit()) revert GasLimitTooLow(minimumGasLimit());
        if (newGasLimit > maximumGasLimit) revert GasLimitTooHigh(maximumGasLimit);
        gasLimit = newGasLimit;
        emit ConfigUpdate(VERSION, UpdateType.GAS_LIMIT, abi.encode(newGasLimit));
    }

    function _setEIP1559Params(uint32 newDenominator, uint32 newElasticity) private {
        if (newDenominator == 0) revert DenominatorZero();
        if (newElasticity == 0) revert ElasticityZero();
        if (newElasticity > minimumGasLimit()) revert ElasticityTooHigh(minimumGasLimit());
        eip1559Denominator = newDenominator;
        eip1559Elasticity = newElasticity;
        bytes memory data = abi.encode((uint256(newDenominator) << 32) | newElasticity);
        emit ConfigUpdate(VERSION, UpdateType.EIP_1559_PARAMS, data);
    }

    function _setOperatorFeeScalars(uint32 newScalar, uint64 newConstant) private {
        operatorFeeScalar = newScalar;
        operatorFeeConstant = newConstant;
        bytes memory data = abi.encode((uint256(newScalar) << 64) | newConstant);
        emit ConfigUpdate(VERSION, UpdateType.OPERATOR_FEE_PARAMS, data);
    }

    function _setMinBaseFee(uint64 newMinBaseFee) private {
        minBaseFee = newMinBaseFee;
        emit ConfigUpdate(VERSION, UpdateType.MIN_BASE_FEE, abi.encode(newMinBaseFee));
    }

    function _setDAFootprintGasScalar(uint16 newScalar) private {
        daFootprintGasScalar = newScalar;
        emit ConfigUpdate(VERSION, UpdateType.DA_FOOTPRINT_GAS_SCALAR, abi.encode(newScalar));
    }
}
