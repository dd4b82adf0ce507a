// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {MerkleTrie} from "../lib/MerkleTrie.sol";
import {SafeCall} from "../lib/SafeCall.sol";
import {Senders} from "../lib/Senders.sol";
import {OutputRootProof, Withdrawal, Withdrawals} from "../lib/Withdrawals.sol";
import {OutputOracle} from "./OutputOracle.sol";
import {ResourceMeter} from "./ResourceMeter.sol";
import {SystemConfig} from "./SystemConfig.sol";

/// Where value and messages enter and leave the rollup. It keeps all ether that is on the rollup, unless a contract that
/// derives from it keeps it elsewhere.
///
/// The interface is that of OP's `OptimismPortal` before dispute games.
contract Portal is ResourceMeter {
    /// A withdrawal that was shown to be part of an output.
    struct ProvenWithdrawal {
        bytes32 outputRoot;
        /// When it was shown, in seconds.
        uint128 timestamp;
        uint128 l2OutputIndex;
    }

    event TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData);
    event WithdrawalProven(bytes32 indexed withdrawalHash, address indexed from, address indexed to);
    event WithdrawalFinalized(bytes32 indexed withdrawalHash, bool success);

    /// The target of a withdrawal is this contract, or that of a contract creation is not empty.
    error BadTarget();
    /// The gas limit does not pay for the call data.
    error SmallGasLimit(uint64 least);
    error LargeCalldata(uint256 most);
    /// The output root is not that of the proof.
    error InvalidOutputRootProof();
    /// The storage proof is right, but proves another value.
    error InvalidWithdrawalProof();
    /// It is proven already, by an output that stands.
    error AlreadyProven();
    error AlreadyFinalized();
    error Unproven();
    /// Proven or claimed too recently.
    error NotFinal(uint256 until);
    /// The output that it was proven by was deleted. Prove it again.
    error OutputReplaced();
    /// There is less ether here than the withdrawal asks for.
    error InsufficientBalance(uint256 balance);
    error NonReentrant();
    /// The call failed, and there is value that would be lost. The withdrawal can be tried again.
    error CallFailed();
    /// The call failed while its gas was being estimated.
    error GasEstimation();
    /// There is no contract at this address.
    error NotAContract(address account);

    /// Below 3, which for tools means: outputs are claimed in an oracle, not in dispute games.
    string public constant version = "2.0.0";

    /// The longest call data of a deposit: it becomes part of a rollup transaction as it is.
    uint256 public constant MAX_CALLDATA_BYTES = 120_000;
    /// The gas limit of a deposit by plain transfer.
    uint64 public constant RECEIVE_DEFAULT_GAS_LIMIT = 100_000;
    /// The format of the event.
    uint256 private constant DEPOSIT_VERSION = 0;
    /// `l2Sender` while no withdrawal is being finalized.
    address private constant NOBODY = address(0xdEaD);
    /// Tools estimate gas in this account's name.
    address private constant ESTIMATION_ADDRESS = address(1);

    /// Who sent, on the rollup, the withdrawal that is being finalized.
    address public l2Sender;
    OutputOracle public l2Oracle;
    SystemConfig public systemConfig;
    mapping(bytes32 withdrawalHash => bool) public finalizedWithdrawals;
    mapping(bytes32 withdrawalHash => ProvenWithdrawal) public provenWithdrawals;

    /// Without both contracts the portal would take ether that nobody could withdraw: create them first.
    constructor(OutputOracle oracle, SystemConfig config) {
        if (address(oracle).code.length == 0) revert NotAContract(address(oracle));
        if (address(config).code.length == 0) revert NotAContract(address(config));
        l2Sender = NOBODY;
        l2Oracle = oracle;
        systemConfig = config;
        params = ResourceParams({prevBaseFee: 1 gwei, prevBoughtGas: 0, prevBlockNum: uint64(block.number)});
    }

    /// Deposits what is sent, to the sender's own address on the rollup, which for a contract is not its alias. Contracts
    /// should call `depositTransaction` with an address that they, or somebody, can use there.
    receive() external payable {
        depositTransaction(msg.sender, msg.value, RECEIVE_DEFAULT_GAS_LIMIT, false, "");
    }

    /// Takes ether without a deposit.
    function donateETH() external payable virtual {}

    /// The least gas limit of a deposit with so much call data: what the cheapest transaction costs.
    function minimumGasLimit(uint64 byteCount) public pure returns (uint64) {
        return byteCount * 40 + 21_000;
    }

    /// Sends a transaction to the rollup, which cannot refuse it.
    ///
    /// `msg.value` is minted there for the sender; `value` is what the transaction moves on to `to`. Gas is paid for
    /// by burning gas here.
    function depositTransaction(address to, uint256 value, uint64 gasLimit, bool isCreation, bytes memory data)
        public
        payable
        metered(gasLimit, systemConfig.resourceConfig())
    {
        if (isCreation && to != address(0)) revert BadTarget();
        if (data.length > MAX_CALLDATA_BYTES) revert LargeCalldata(MAX_CALLDATA_BYTES);
        uint64 least = minimumGasLimit(uint64(data.length));
        if (gasLimit < least) revert SmallGasLimit(least);
        _keep(msg.value);

        address from = Senders.callerHasKey() ? msg.sender : Senders.aliased(msg.sender);
        bytes memory opaqueData = abi.encodePacked(msg.value, value, gasLimit, isCreation, data);
        emit TransactionDeposited(from, to, DEPOSIT_VERSION, opaqueData);
    }

    /// Shows that claim `l2OutputIndex` is about a state in which the message passer had sent `withdrawal`.
    ///
    /// Anybody may call this. A proof cannot be replaced while its output stands, so that nobody can delay others.
    function proveWithdrawalTransaction(
        Withdrawal calldata withdrawal,
        uint256 l2OutputIndex,
        OutputRootProof calldata outputRootProof,
        bytes[] calldata withdrawalProof
    ) external {
        if (_isBadTarget(withdrawal.target)) revert BadTarget();
        bytes32 outputRoot = l2Oracle.getL2Output(l2OutputIndex).outputRoot;
        if (outputRootProof.version != bytes32(0) || outputRoot != Withdrawals.outputRoot(outputRootProof)) {
            revert InvalidOutputRootProof();
        }
        bytes32 withdrawalHash = Withdrawals.hash(withdrawal);
        ProvenWithdrawal memory before = provenWithdrawals[withdrawalHash];
        if (before.timestamp != 0 && _stands(before)) revert AlreadyProven();

        bytes calldata mark = MerkleTrie.get(
            Withdrawals.trieKey(withdrawalHash), withdrawalProof, outputRootProof.messagePasserStorageRoot
        );
        if (mark.length != 1 || mark[0] != 0x01) revert InvalidWithdrawalProof();

        provenWithdrawals[withdrawalHash] =
            ProvenWithdrawal(outputRoot, uint128(block.timestamp), uint128(l2OutputIndex));
        emit WithdrawalProven(withdrawalHash, withdrawal.sender, withdrawal.target);
    }

    /// Makes the call that a proven withdrawal asks for, once.
    ///
    /// Anybody may call this when both the output and the proof are older than the finalization period. The caller
    /// chooses the moment and what the target is doing then, so a call that fails must not cost anybody's ether: with
    /// value, all is undone and can be tried again. Without value, the withdrawal is final whether or not the call
    /// succeeded, as in OP's portal.
    function finalizeWithdrawalTransaction(Withdrawal calldata withdrawal) external {
        if (l2Sender != NOBODY) revert NonReentrant();
        bytes32 withdrawalHash = Withdrawals.hash(withdrawal);
        if (finalizedWithdrawals[withdrawalHash]) revert AlreadyFinalized();
        _checkProof(provenWithdrawals[withdrawalHash]);
        uint256 balance = _balance();
        if (balance < withdrawal.value) revert InsufficientBalance(balance);

        finalizedWithdrawals[withdrawalHash] = true;
        _release(withdrawal.value);
        l2Sender = withdrawal.sender;
        bool success =
            SafeCall.callWithMinGas(withdrawal.target, withdrawal.gasLimit, withdrawal.value, withdrawal.data);
        l2Sender = NOBODY;

        if (!success && withdrawal.value != 0) revert CallFailed();
        emit WithdrawalFinalized(withdrawalHash, success);
        if (!success && tx.origin == ESTIMATION_ADDRESS) revert GasEstimation();
    }

    /// Whether a claim can no longer be deleted.
    function isOutputFinalized(uint256 l2OutputIndex) external view returns (bool) {
        return l2Oracle.isFinal(l2OutputIndex);
    }

    /// Names that tools know.
    function L2_ORACLE() external view returns (OutputOracle) {
        return l2Oracle;
    }

    function SYSTEM_CONFIG() external view returns (SystemConfig) {
        return systemConfig;
    }

    /// The rollup's ether.
    function _balance() internal view virtual returns (uint256) {
        return address(this).balance;
    }

    /// Puts deposited ether where the rollup's is kept: here.
    function _keep(uint256 value) internal virtual {}

    /// Brings ether here for a payment, no more than there is.
    function _release(uint256 value) internal virtual {}

    /// Whether a withdrawal must not call `target`, with which this contract has rights.
    function _isBadTarget(address target) internal view virtual returns (bool) {
        return target == address(this);
    }

    /// Reverts unless `proven` allows a withdrawal to be finalized.
    function _checkProof(ProvenWithdrawal memory proven) private view {
        if (proven.timestamp == 0) revert Unproven();
        if (!_stands(proven)) revert OutputReplaced();
        uint256 until = proven.timestamp + l2Oracle.finalizationPeriodSeconds();
        if (block.timestamp <= until) revert NotFinal(until);
        // A claim that was deleted and made again begins anew.
        if (!l2Oracle.isFinal(proven.l2OutputIndex)) {
            uint256 claimed = l2Oracle.getL2Output(proven.l2OutputIndex).timestamp;
            revert NotFinal(claimed + l2Oracle.finalizationPeriodSeconds());
        }
    }

    /// Whether the output of a proof is still claimed.
    function _stands(ProvenWithdrawal memory proven) private view returns (bool) {
        return proven.l2OutputIndex < l2Oracle.nextOutputIndex()
            && l2Oracle.getL2Output(proven.l2OutputIndex).outputRoot == proven.outputRoot;
    }
}
