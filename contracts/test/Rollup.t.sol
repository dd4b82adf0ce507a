// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Withdrawal, Withdrawals} from "../src/lib/Withdrawals.sol";
import {FeeVault} from "../src/l2/FeeVault.sol";
import {L2ToL1MessagePasser} from "../src/l2/L2ToL1MessagePasser.sol";
import {WETH9} from "../src/l2/WETH9.sol";
import {Vm, bound, vm} from "./lib/Vm.sol";

/// Takes no ether.
contract Refuser {}

contract RollupTest {
    address internal constant ALICE = address(0xa11ce);
    address internal constant BOB = address(0xb0b);
    address payable internal constant PASSER = payable(0x4200000000000000000000000000000000000016);

    L2ToL1MessagePasser internal passer;
    WETH9 internal weth;

    function setUp() public {
        vm.etch(PASSER, type(L2ToL1MessagePasser).runtimeCode);
        passer = L2ToL1MessagePasser(PASSER);
        weth = new WETH9();
        vm.deal(ALICE, 1_000 ether);
    }

    function testFuzz_a_message_is_recorded_where_proofs_look(
        address sender,
        address target,
        uint96 value,
        uint256 gasLimit,
        bytes memory data
    ) public {
        gasLimit = bound(gasLimit, 0, passer.MAX_GAS_LIMIT());
        Withdrawal memory withdrawal = Withdrawal(1 << 240, sender, target, value, gasLimit, data);
        bytes32 hash = Withdrawals.hash(withdrawal);
        require(!passer.sentMessages(hash), "before");
        vm.deal(sender, value);
        vm.recordLogs();
        vm.prank(sender);
        passer.initiateWithdrawal{value: value}(target, gasLimit, data);
        require(passer.sentMessages(hash), "sent");
        require(vm.load(PASSER, keccak256(abi.encode(hash, uint256(0)))) == bytes32(uint256(1)), "slot");
        require(Withdrawals.trieKey(hash) == keccak256(abi.encode(keccak256(abi.encode(hash, uint256(0))))), "key");
        require(passer.messageNonce() == (1 << 240) + 1, "nonce");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1, "one event");
        require(logs[0].topics[0] == keccak256("MessagePassed(uint256,address,address,uint256,uint256,bytes,bytes32)"));
        require(keccak256(logs[0].data) == keccak256(abi.encode(value, gasLimit, data, hash)), "data");
    }

    /// A withdrawal that OP's bridge sent; the hash is what OP's message passer made of it.
    function test_the_hash_is_that_of_a_real_withdrawal() public pure {
        bytes memory data = hex"d764ad0b0001000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            hex"420000000000000000000000000000000000001000000000000000000000000069000000000000000000000000000000"
            hex"000000030000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            hex"000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            hex"000000c000000000000000000000000000000000000000000000000000000000000000e40166a07a0000000000000000"
            hex"0000000089d51be807d98fc974a0f41b2e67a8228d7846ef0000000000000000000000007c6b91d9be155a6db01f7492"
            hex"17d76ff02a7227f2000000000000000000000000c20c5ec92fda6e611a08485123cdc0d5b84bd3a20000000000000000"
            hex"00000000c20c5ec92fda6e611a08485123cdc0d5b84bd3a2000000000000000000000000000000000000000000000000"
            hex"00000000000001f400000000000000000000000000000000000000000000000000000000000000c00000000000000000"
            hex"000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            hex"00000000";
        Withdrawal memory withdrawal = Withdrawal({
            nonce: 0,
            sender: 0x4200000000000000000000000000000000000007,
            target: 0x6900000000000000000000000000000000000002,
            value: 0,
            gasLimit: 203648,
            data: data
        });
        require(
            Withdrawals.hash(withdrawal) == 0x0d827f8148288e3a2466018f71b968ece4ea9f9e2a81c30da9bd46cce2868285, "hash"
        );
    }

    function test_a_plain_transfer_is_withdrawn_to_oneself() public {
        Withdrawal memory withdrawal = Withdrawal(1 << 240, ALICE, ALICE, 3, 100_000, "");
        vm.prank(ALICE);
        (bool success,) = PASSER.call{value: 3}("");
        require(success && passer.sentMessages(Withdrawals.hash(withdrawal)), "sent");
    }

    function test_what_no_transaction_on_l1_could_finalize_is_refused() public {
        passer.initiateWithdrawal(BOB, 13_000_000, new bytes(120_000));
        vm.expectRevert(abi.encodeWithSelector(L2ToL1MessagePasser.GasLimitTooHigh.selector, 13_000_000));
        passer.initiateWithdrawal(BOB, 13_000_001, "");
        vm.expectRevert(abi.encodeWithSelector(L2ToL1MessagePasser.DataTooLong.selector, 120_000));
        passer.initiateWithdrawal(BOB, 0, new bytes(120_001));
        require(passer.messageNonce() == (1 << 240) + 1, "nonce");
    }

    function test_what_was_withdrawn_can_be_burnt() public {
        vm.deal(PASSER, 5 ether);
        passer.burn();
        require(PASSER.balance == 0, "burnt");
    }

    function testFuzz_a_vault_pays_its_recipient(uint96 balance, uint96 minimum, bool toL1) public {
        FeeVault.WithdrawalNetwork network = toL1 ? FeeVault.WithdrawalNetwork.L1 : FeeVault.WithdrawalNetwork.L2;
        FeeVault vault = new FeeVault(BOB, network, minimum);
        vm.deal(address(vault), balance);
        if (balance < minimum) {
            vm.expectRevert(abi.encodeWithSelector(FeeVault.BelowMinimum.selector, balance, minimum));
            vault.withdraw();
            return;
        }
        require(vault.withdraw() == balance && vault.totalProcessed() == balance, "processed");
        require(address(vault).balance == 0 && (toL1 ? PASSER : BOB).balance == balance, "moved");
        Withdrawal memory withdrawal = Withdrawal(1 << 240, address(vault), BOB, balance, 400_000, "");
        require(passer.sentMessages(Withdrawals.hash(withdrawal)) == toL1, "message");
    }

    function test_a_vault_keeps_what_its_recipient_refuses() public {
        FeeVault vault = new FeeVault(address(new Refuser()), FeeVault.WithdrawalNetwork.L2, 0);
        vm.deal(address(vault), 1);
        vm.expectRevert(FeeVault.TransferFailed.selector);
        vault.withdraw();
        require(address(vault).balance == 1 && vault.totalProcessed() == 0, "kept");
    }

    function testFuzz_ether_is_wrapped_and_unwrapped(uint96 amount, uint96 back) public {
        amount = uint96(bound(amount, 0, 1_000 ether));
        vm.prank(ALICE);
        (bool success,) = address(weth).call{value: amount}("");
        require(success && weth.balanceOf(ALICE) == amount && weth.totalSupply() == amount, "wrapped");
        vm.prank(ALICE);
        if (back > amount) vm.expectRevert(abi.encodeWithSelector(WETH9.InsufficientBalance.selector, amount));
        weth.withdraw(back);
        if (back <= amount) require(weth.balanceOf(ALICE) == amount - back, "unwrapped");
        require(ALICE.balance + weth.balanceOf(ALICE) == 1_000 ether, "nothing is lost");
    }

    function testFuzz_an_allowance_is_used_up(uint96 amount, uint96 allowed, uint96 moved) public {
        amount = uint96(bound(amount, 0, 1_000 ether));
        vm.prank(ALICE);
        weth.deposit{value: amount}();
        vm.prank(ALICE);
        weth.approve(BOB, allowed);
        bool works = moved <= allowed && moved <= amount;
        vm.prank(BOB);
        if (!works) vm.expectRevert();
        require(weth.transferFrom(ALICE, BOB, moved) == works, "moved");
        uint256 went = works ? moved : 0;
        require(weth.balanceOf(BOB) == went && weth.balanceOf(ALICE) == amount - went, "balances");
        require(weth.allowance(ALICE, BOB) == allowed - went, "allowance");
    }

    function test_the_largest_allowance_stays() public {
        vm.prank(ALICE);
        weth.deposit{value: 2}();
        vm.prank(ALICE);
        weth.approve(BOB, type(uint256).max);
        vm.prank(BOB);
        require(weth.transferFrom(ALICE, BOB, 2), "moved");
        require(weth.allowance(ALICE, BOB) == type(uint256).max, "allowance");
        vm.prank(BOB);
        require(weth.transfer(BOB, 2), "moved");
        require(weth.balanceOf(BOB) == 2, "to oneself");
    }
}
