// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {OutputOracle} from "../src/l1/OutputOracle.sol";
import {Portal} from "../src/l1/Portal.sol";
import {L2ToL1MessagePasser} from "../src/l2/L2ToL1MessagePasser.sol";
import {MerkleTrie} from "../src/lib/MerkleTrie.sol";
import {SafeCall} from "../src/lib/SafeCall.sol";
import {OutputRootProof, Withdrawal, Withdrawals} from "../src/lib/Withdrawals.sol";
import {Bridge} from "./lib/Bridge.sol";
import {Tries} from "./lib/Tries.sol";
import {Vm, bound, vm} from "./lib/Vm.sol";

/// Takes calls and notes what it saw.
contract Target {
    Portal public immutable portal;
    address public l2Sender;
    uint256 public gas;
    uint256 public calls;

    constructor(Portal portal_) {
        portal = portal_;
    }

    function take() external payable {
        gas = gasleft();
        l2Sender = portal.l2Sender();
        calls += 1;
    }

    function refuse() external payable {
        revert("refused");
    }

    /// Returns so much that copying it would cost more than is left.
    function bomb() external payable {
        assembly {
            revert(0, 2000000)
        }
    }

    /// Uses all gas that it is given.
    function exhaust() external payable {
        assembly {
            invalid()
        }
    }

    function reenter(Withdrawal calldata withdrawal) external payable {
        calls += 1;
        portal.finalizeWithdrawalTransaction(withdrawal);
    }
}

/// Takes ether unless it is in the middle of something, as most contracts that hold ether.
contract Vault {
    bool private locked;

    modifier nonReentrant() {
        require(!locked, "locked");
        locked = true;
        _;
        locked = false;
    }

    receive() external payable nonReentrant {}

    /// Lets the caller do something in the middle.
    function hold(Intruder intruder) external nonReentrant {
        intruder.act();
    }
}

/// Has a withdrawal finalized while its target cannot take it.
contract Intruder {
    Portal private immutable portal;
    Withdrawal private withdrawal;
    bytes4 public refusal;

    constructor(Portal portal_, Withdrawal memory withdrawal_) {
        portal = portal_;
        withdrawal = withdrawal_;
    }

    function act() external {
        try portal.finalizeWithdrawalTransaction(withdrawal) {}
        catch (bytes memory reason) {
            refusal = bytes4(reason);
        }
    }
}

contract WithdrawalsTest is Bridge {
    address internal constant ALICE = address(0xa11ce);
    address internal constant BOB = address(0xb0b);
    Target internal target;

    function setUp() public {
        deployBridge();
        target = new Target(portal);
        vm.deal(address(portal), 100 ether);
    }

    function transfer(uint256 value) private pure returns (Withdrawal memory) {
        return Withdrawal({nonce: 1 << 240, sender: ALICE, target: BOB, value: value, gasLimit: 100_000, data: ""});
    }

    function call_(bytes memory data, uint256 gasLimit) private view returns (Withdrawal memory) {
        return
            Withdrawal({
                nonce: 1 << 240, sender: ALICE, target: address(target), value: 1, gasLimit: gasLimit, data: data
            });
    }

    /// A call without value.
    function message(bytes memory data, uint256 gasLimit) private view returns (Withdrawal memory withdrawal) {
        withdrawal = call_(data, gasLimit);
        withdrawal.value = 0;
    }

    /// Claims an output with the withdrawal in it, and proves it.
    function prove(Withdrawal memory withdrawal) private returns (bytes32 hash) {
        hash = Withdrawals.hash(withdrawal);
        (uint256 index, OutputRootProof memory proof) = claim(one(hash));
        portal.proveWithdrawalTransaction(withdrawal, index, proof, proofOf(one(hash), hash));
    }

    function proveAndWait(Withdrawal memory withdrawal) private returns (bytes32 hash) {
        hash = prove(withdrawal);
        vm.warp(block.timestamp + PERIOD_S + 1);
    }

    function testFuzz_value_arrives_once(uint96 value) public {
        value = uint96(bound(value, 0, 100 ether));
        Withdrawal memory withdrawal = transfer(value);
        bytes32 hash = proveAndWait(withdrawal);
        portal.finalizeWithdrawalTransaction(withdrawal);
        require(BOB.balance == value, "value");
        require(portal.finalizedWithdrawals(hash), "mark");
        vm.expectRevert(Portal.AlreadyFinalized.selector);
        portal.finalizeWithdrawalTransaction(withdrawal);
    }

    function testFuzz_any_withdrawal_of_many_is_proven(uint256 count, uint256 which) public {
        bytes32[] memory hashes = new bytes32[](bound(count, 1, 40));
        Withdrawal memory withdrawal = transfer(1 ether);
        which = bound(which, 0, hashes.length - 1);
        for (uint256 i = 0; i < hashes.length; ++i) {
            hashes[i] = i == which ? Withdrawals.hash(withdrawal) : keccak256(abi.encode(count, i));
        }
        (uint256 index, OutputRootProof memory proof) = claim(hashes);
        portal.proveWithdrawalTransaction(withdrawal, index, proof, proofOf(hashes, hashes[which]));
        vm.warp(block.timestamp + PERIOD_S + 1);
        portal.finalizeWithdrawalTransaction(withdrawal);
        require(BOB.balance == 1 ether, "value");
    }

    function testFuzz_any_change_makes_another_withdrawal(uint8 field, uint256 by) public {
        if (by == 0) return;
        Withdrawal memory withdrawal = transfer(1 ether);
        bytes32 hash = Withdrawals.hash(withdrawal);
        (uint256 index, OutputRootProof memory proof) = claim(one(hash));
        field %= 6;
        unchecked {
            if (field == 0) withdrawal.nonce += by;
            if (field == 1) withdrawal.sender = address(uint160(ALICE) + uint160(bound(by, 1, 1_000)));
            if (field == 2) withdrawal.target = address(uint160(BOB) + uint160(bound(by, 1, 1_000)));
            if (field == 3) withdrawal.value += by;
            if (field == 4) withdrawal.gasLimit += by;
            if (field == 5) withdrawal.data = abi.encode(by);
        }
        bytes[] memory nodes = proofOf(one(hash), hash);
        vm.expectRevert(MerkleTrie.ProofKeyAbsent.selector);
        portal.proveWithdrawalTransaction(withdrawal, index, proof, nodes);
    }

    function test_the_sender_is_known_during_the_call_alone() public {
        Withdrawal memory withdrawal = call_(abi.encodeCall(Target.take, ()), 200_000);
        proveAndWait(withdrawal);
        require(portal.l2Sender() == address(0xdEaD), "before");
        portal.finalizeWithdrawalTransaction(withdrawal);
        require(target.l2Sender() == ALICE && target.calls() == 1, "during");
        require(portal.l2Sender() == address(0xdEaD), "after");
    }

    function testFuzz_the_call_gets_its_gas_or_nothing_happens(uint256 gasLimit, uint256 given) public {
        gasLimit = bound(gasLimit, 30_000, 1_000_000);
        given = bound(given, 60_000, 1_500_000);
        Withdrawal memory withdrawal = call_(abi.encodeCall(Target.take, ()), gasLimit + 100_000);
        bytes32 hash = proveAndWait(withdrawal);
        try portal.finalizeWithdrawalTransaction{gas: given}(withdrawal) {
            // Dispatch and the look at the gas cost a little.
            require(target.calls() == 1 && target.gas() + 1_000 >= withdrawal.gasLimit, "less gas");
        } catch (bytes memory reason) {
            require(reason.length == 0 || bytes4(reason) == SafeCall.OutOfGas.selector, "reason");
            require(!portal.finalizedWithdrawals(hash) && target.calls() == 0, "nothing");
        }
    }

    function test_a_gas_limit_that_no_block_has_is_refused() public {
        Withdrawal memory withdrawal = call_(abi.encodeCall(Target.take, ()), type(uint256).max / 64 + 1);
        proveAndWait(withdrawal);
        vm.expectRevert(SafeCall.OutOfGas.selector);
        portal.finalizeWithdrawalTransaction(withdrawal);
    }

    function test_a_failed_call_with_value_is_undone() public {
        Withdrawal memory withdrawal = call_(abi.encodeCall(Target.refuse, ()), 100_000);
        bytes32 hash = proveAndWait(withdrawal);
        vm.expectRevert(Portal.CallFailed.selector);
        portal.finalizeWithdrawalTransaction(withdrawal);
        require(!portal.finalizedWithdrawals(hash) && address(portal).balance == 100 ether, "kept");
        require(portal.l2Sender() == address(0xdEaD), "sender");
    }

    function test_a_failed_message_is_final() public {
        Withdrawal memory withdrawal = message(abi.encodeCall(Target.refuse, ()), 100_000);
        bytes32 hash = proveAndWait(withdrawal);
        vm.recordLogs();
        portal.finalizeWithdrawalTransaction(withdrawal);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1 && logs[0].topics[1] == hash, "event");
        require(!abi.decode(logs[0].data, (bool)), "success");
        require(portal.finalizedWithdrawals(hash), "mark");
        vm.expectRevert(Portal.AlreadyFinalized.selector);
        portal.finalizeWithdrawalTransaction(withdrawal);
    }

    function test_nobody_can_burn_value_by_a_moment_in_which_its_target_refuses_it() public {
        Vault vault = new Vault();
        Withdrawal memory withdrawal = transfer(50 ether);
        withdrawal.target = address(vault);
        proveAndWait(withdrawal);
        Intruder intruder = new Intruder(portal, withdrawal);
        vault.hold(intruder);
        require(intruder.refusal() == Portal.CallFailed.selector && address(vault).balance == 0, "refused");
        portal.finalizeWithdrawalTransaction(withdrawal);
        require(address(vault).balance == 50 ether && address(portal).balance == 50 ether, "value");
    }

    /// Too little gas for the call itself is the sender's mistake, which others can repair.
    function test_a_gas_limit_that_was_too_low_is_no_loss() public {
        Withdrawal memory withdrawal = call_(abi.encodeCall(Target.take, ()), 0);
        proveAndWait(withdrawal);
        vm.expectRevert(Portal.CallFailed.selector);
        portal.finalizeWithdrawalTransaction{gas: 170_000}(withdrawal);
        portal.finalizeWithdrawalTransaction{gas: 400_000}(withdrawal);
        require(target.calls() == 1 && address(target).balance == 1, "value");
    }

    function test_whatever_a_message_uses_the_portal_can_write_down_that_it_failed() public {
        Withdrawal memory withdrawal = message(abi.encodeCall(Target.exhaust, ()), 50_000);
        bytes32 hash = proveAndWait(withdrawal);
        portal.finalizeWithdrawalTransaction{gas: 230_000}(withdrawal);
        require(portal.finalizedWithdrawals(hash), "mark");
    }

    /// What the message passer takes fits into a transaction on L1 (EIP-7825), whose call data costs 16 gas per byte.
    function test_the_largest_withdrawal_fits_into_a_transaction() public {
        L2ToL1MessagePasser passer = new L2ToL1MessagePasser();
        bytes memory data = new bytes(passer.MAX_DATA_BYTES());
        for (uint256 i = 0; i < data.length; i += 32) {
            assembly ("memory-safe") {
                mstore(add(add(data, 32), i), not(0))
            }
        }
        bytes4 selector = Target.take.selector;
        for (uint256 i = 0; i < 4; ++i) {
            data[i] = selector[i];
        }
        Withdrawal memory withdrawal = call_(data, passer.MAX_GAS_LIMIT());
        proveAndWait(withdrawal);
        bytes memory input = abi.encodeCall(Portal.finalizeWithdrawalTransaction, (withdrawal));
        (bool success,) = address(portal).call{gas: 16_777_216 - 21_000 - 16 * input.length}(input);
        require(success && target.calls() == 1, "call");
        require(target.gas() + 1_000 >= withdrawal.gasLimit, "gas");
    }

    function test_a_failure_is_told_to_whoever_estimates_gas() public {
        Withdrawal memory withdrawal = message(abi.encodeCall(Target.refuse, ()), 100_000);
        proveAndWait(withdrawal);
        vm.prank(ALICE, address(1));
        vm.expectRevert(Portal.GasEstimation.selector);
        portal.finalizeWithdrawalTransaction(withdrawal);
    }

    function test_return_data_is_not_copied() public {
        Withdrawal memory withdrawal = message(abi.encodeCall(Target.bomb, ()), 20_000_000);
        bytes32 hash = proveAndWait(withdrawal);
        portal.finalizeWithdrawalTransaction{gas: 21_000_000}(withdrawal);
        require(portal.finalizedWithdrawals(hash), "mark");
    }

    function test_a_withdrawal_cannot_finalize_another() public {
        Withdrawal memory other = transfer(1 ether);
        Withdrawal memory withdrawal = message(abi.encodeCall(Target.reenter, (other)), 1_000_000);
        bytes32[] memory hashes = new bytes32[](2);
        hashes[0] = Withdrawals.hash(other);
        hashes[1] = Withdrawals.hash(withdrawal);
        (uint256 index, OutputRootProof memory proof) = claim(hashes);
        portal.proveWithdrawalTransaction(other, index, proof, proofOf(hashes, hashes[0]));
        portal.proveWithdrawalTransaction(withdrawal, index, proof, proofOf(hashes, hashes[1]));
        vm.warp(block.timestamp + PERIOD_S + 1);
        portal.finalizeWithdrawalTransaction(withdrawal);
        require(target.calls() == 0 && BOB.balance == 0, "both were undone");
        portal.finalizeWithdrawalTransaction(other);
        require(BOB.balance == 1 ether, "on its own");
    }

    function test_the_portal_is_no_target() public {
        Withdrawal memory withdrawal = transfer(0);
        withdrawal.target = address(portal);
        bytes32 hash = Withdrawals.hash(withdrawal);
        (uint256 index, OutputRootProof memory proof) = claim(one(hash));
        bytes[] memory nodes = proofOf(one(hash), hash);
        vm.expectRevert(Portal.BadTarget.selector);
        portal.proveWithdrawalTransaction(withdrawal, index, proof, nodes);
    }

    function test_more_than_is_here_waits() public {
        Withdrawal memory withdrawal = transfer(101 ether);
        proveAndWait(withdrawal);
        vm.expectRevert(abi.encodeWithSelector(Portal.InsufficientBalance.selector, 100 ether));
        portal.finalizeWithdrawalTransaction(withdrawal);
        vm.deal(address(portal), 101 ether);
        portal.finalizeWithdrawalTransaction(withdrawal);
        require(BOB.balance == 101 ether, "value");
    }

    function test_the_output_root_must_be_the_claimed_one() public {
        Withdrawal memory withdrawal = transfer(1);
        bytes32 hash = Withdrawals.hash(withdrawal);
        (uint256 index, OutputRootProof memory proof) = claim(one(hash));
        bytes[] memory nodes = proofOf(one(hash), hash);
        proof.stateRoot = bytes32(0);
        vm.expectRevert(Portal.InvalidOutputRootProof.selector);
        portal.proveWithdrawalTransaction(withdrawal, index, proof, nodes);
        vm.expectRevert(abi.encodeWithSelector(OutputOracle.NoSuchOutput.selector, 1));
        portal.proveWithdrawalTransaction(withdrawal, index + 1, proof, nodes);
    }

    function test_another_version_of_output_is_refused() public {
        Withdrawal memory withdrawal = transfer(1);
        bytes32 hash = Withdrawals.hash(withdrawal);
        OutputRootProof memory proof = OutputRootProof({
            version: bytes32(uint256(1)),
            stateRoot: bytes32(0),
            messagePasserStorageRoot: Tries.root(trieKeys(one(hash)), hex"01"),
            latestBlockhash: bytes32(0)
        });
        vm.warp(START_S + INTERVAL * BLOCK_TIME_S + 1);
        vm.prank(PROPOSER);
        oracle.proposeL2Output(Withdrawals.outputRoot(proof), INTERVAL, bytes32(0), 0);
        bytes[] memory nodes = proofOf(one(hash), hash);
        vm.expectRevert(Portal.InvalidOutputRootProof.selector);
        portal.proveWithdrawalTransaction(withdrawal, 0, proof, nodes);
    }

    function test_the_slot_must_hold_the_mark() public {
        Withdrawal memory withdrawal = transfer(1);
        bytes32[] memory keys = trieKeys(one(Withdrawals.hash(withdrawal)));
        OutputRootProof memory proof;
        proof.messagePasserStorageRoot = Tries.root(keys, hex"02");
        vm.warp(START_S + INTERVAL * BLOCK_TIME_S + 1);
        vm.prank(PROPOSER);
        oracle.proposeL2Output(Withdrawals.outputRoot(proof), INTERVAL, bytes32(0), 0);
        bytes[] memory nodes = Tries.prove(keys, hex"02", keys[0], false);
        vm.expectRevert(Portal.InvalidWithdrawalProof.selector);
        portal.proveWithdrawalTransaction(withdrawal, 0, proof, nodes);
    }

    function test_what_was_not_proven_is_not_finalized() public {
        vm.expectRevert(Portal.Unproven.selector);
        portal.finalizeWithdrawalTransaction(transfer(1));
    }

    function testFuzz_output_and_proof_must_be_old_enough(uint256 wait, uint256 delay) public {
        wait = bound(wait, 0, 2 * PERIOD_S);
        delay = bound(delay, 0, 2 * PERIOD_S);
        Withdrawal memory withdrawal = transfer(1);
        bytes32 hash = Withdrawals.hash(withdrawal);
        (uint256 index, OutputRootProof memory proof) = claim(one(hash));
        vm.warp(block.timestamp + delay);
        portal.proveWithdrawalTransaction(withdrawal, index, proof, proofOf(one(hash), hash));
        uint256 until = block.timestamp + PERIOD_S;
        vm.warp(block.timestamp + wait);
        if (wait <= PERIOD_S) vm.expectRevert(abi.encodeWithSelector(Portal.NotFinal.selector, until));
        portal.finalizeWithdrawalTransaction(withdrawal);
        require((BOB.balance == 1) == (wait > PERIOD_S), "value");
    }

    function test_a_deleted_output_takes_its_proofs_with_it() public {
        Withdrawal memory withdrawal = transfer(1);
        prove(withdrawal);
        vm.prank(CHALLENGER);
        oracle.deleteL2Outputs(0);
        vm.warp(block.timestamp + PERIOD_S + 1);
        vm.expectRevert(Portal.OutputReplaced.selector);
        portal.finalizeWithdrawalTransaction(withdrawal);
        // Another output in its place does not help.
        claim(one(keccak256("other")));
        vm.warp(block.timestamp + PERIOD_S + 1);
        vm.expectRevert(Portal.OutputReplaced.selector);
        portal.finalizeWithdrawalTransaction(withdrawal);
        // A new proof does.
        proveAndWait(withdrawal);
        portal.finalizeWithdrawalTransaction(withdrawal);
        require(BOB.balance == 1, "value");
    }

    function test_an_output_that_is_claimed_again_begins_anew() public {
        Withdrawal memory withdrawal = transfer(1);
        bytes32 hash = prove(withdrawal);
        vm.prank(CHALLENGER);
        oracle.deleteL2Outputs(0);
        vm.warp(block.timestamp + PERIOD_S);
        claim(one(hash));
        uint256 until = block.timestamp + PERIOD_S;
        vm.warp(block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSelector(Portal.NotFinal.selector, until));
        portal.finalizeWithdrawalTransaction(withdrawal);
        vm.warp(until + 1);
        portal.finalizeWithdrawalTransaction(withdrawal);
        require(BOB.balance == 1, "value");
    }

    function test_a_proof_that_stands_cannot_be_delayed_by_another() public {
        Withdrawal memory withdrawal = transfer(1);
        bytes32 hash = prove(withdrawal);
        (uint256 index, OutputRootProof memory proof) = claim(one(hash));
        bytes[] memory nodes = proofOf(one(hash), hash);
        vm.expectRevert(Portal.AlreadyProven.selector);
        portal.proveWithdrawalTransaction(withdrawal, index, proof, nodes);
    }
}
