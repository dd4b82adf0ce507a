// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Portal} from "../../src/l1/Portal.sol";
import {Predeploys} from "../../src/lib/Predeploys.sol";
import {Senders} from "../../src/lib/Senders.sol";
import {IDepositFinalizer, IWithdrawalFinalizer, TOKEN_DEPOSIT_GAS} from "../../src/lib/TokenBridging.sol";
import {Metadata} from "../../src/lib/TokenMetadata.sol";
import {OutputRootProof, Withdrawal, Withdrawals} from "../../src/lib/Withdrawals.sol";
import {TokenPortal} from "../../src/union/TokenPortal.sol";
import {UnionPortal} from "../../src/union/UnionPortal.sol";
import {Vault} from "../../src/union/Vault.sol";
import {Vm, bound, vm} from "../lib/Vm.sol";
import {TokenPorting} from "./TokenPorting.sol";
import {DearToken, QuietToken, Token} from "./Tokens.sol";

contract TokenPortalTest is TokenPorting {
    Token private token = new Token();

    function setUp() public {
        deployPortals();
    }

    function testFuzz_a_deposit_is_in_the_vault_and_on_its_way(uint128 amount) public {
        amount = uint128(bound(amount, 1, type(uint128).max));
        token.mint(ALICE, amount);
        vm.recordLogs();
        require(deposit(token, amount) == amount, "arrived");
        require(vault.balanceOf(A, address(token)) == amount && vault.balanceOf(B, address(token)) == 0, "account");
        require(token.balanceOf(address(vault)) == amount && token.balanceOf(address(tokensA)) == 0, "vault");

        Vm.Log[] memory logs = vm.getRecordedLogs();
        Vm.Log memory log = logs[logs.length - 1];
        require(log.emitter == address(portalA), "by the portal");
        require(log.topics[0] == Portal.TransactionDeposited.selector, "event");
        require(address(uint160(uint256(log.topics[1]))) == Senders.aliased(address(tokensA)), "from");
        require(address(uint160(uint256(log.topics[2]))) == Predeploys.TOKEN_BRIDGE, "to");
        (uint64 gas, bytes4 selector, bytes memory arguments) = opened(log.data);
        require(gas == TOKEN_DEPOSIT_GAS && selector == IDepositFinalizer.finalizeDeposit.selector, "call");
        bytes memory expected = abi.encode(token, ALICE, BOB, amount, Metadata("Token", "TOK", 18));
        require(keccak256(arguments) == keccak256(expected), "arguments");
    }

    function test_what_cannot_arrive_is_no_deposit() public {
        token.mint(ALICE, 5);
        vm.expectRevert(TokenPortal.NoReceiver.selector);
        tokensA.deposit(token, address(0), 5);
        vm.expectRevert(TokenPortal.NothingArrived.selector);
        tokensA.deposit(token, BOB, 0);
        vm.expectRevert();
        vm.prank(ALICE);
        tokensA.deposit(token, BOB, 5);
        IERC20 quiet = IERC20(address(new QuietToken()));
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, quiet));
        tokensA.deposit(quiet, BOB, 5);
        vm.expectRevert();
        tokensA.deposit(IERC20(BOB), BOB, 5);
        vm.expectRevert(abi.encodeWithSelector(TokenPortal.NotVault.selector, ALICE));
        vm.prank(ALICE);
        tokensA.payToken(token, ALICE, 5);
        vm.expectRevert(abi.encodeWithSelector(TokenPortal.NotAContract.selector, BOB));
        new TokenPortal(UnionPortal(payable(BOB)));
    }

    function test_an_allowance_for_one_rollup_is_none_for_another() public {
        token.mint(ALICE, 5);
        vm.prank(ALICE);
        token.approve(address(tokensA), 5);
        vm.expectRevert();
        vm.prank(ALICE);
        tokensB.deposit(token, BOB, 5);
        vm.expectRevert();
        tokensA.deposit(token, BOB, 5);
        vm.prank(ALICE);
        tokensA.deposit(token, BOB, 5);
    }

    function testFuzz_a_withdrawal_is_paid_once(uint128 all, uint128 amount) public {
        all = uint128(bound(all, 1, type(uint128).max));
        amount = uint128(bound(amount, 0, all));
        token.mint(ALICE, all);
        deposit(token, all);
        Withdrawal memory withdrawal = ofBob(token, amount);
        portalA.finalizeWithdrawalTransaction(withdrawal);
        require(token.balanceOf(BOB) == amount && vault.balanceOf(A, address(token)) == all - amount, "paid");
        require(tokensA.owed(token, BOB) == 0, "nothing is owed");
        vm.expectRevert(Portal.AlreadyFinalized.selector);
        portalA.finalizeWithdrawalTransaction(withdrawal);
        vm.expectRevert(abi.encodeWithSelector(TokenPortal.NotOwed.selector, 0, 1));
        tokensA.claim(token, BOB, 1);
    }

    function test_only_the_bridge_of_the_rollup_withdraws() public {
        token.mint(ALICE, 10);
        deposit(token, 10);
        bytes memory data = abi.encodeCall(IWithdrawalFinalizer.finalizeWithdrawal, (address(token), BOB, 10));
        // A withdrawal by somebody else, and one of another rollup: final, and of no effect.
        portalA.finalizeWithdrawalTransaction(proven(ALICE, data));
        Withdrawal memory ofA = Withdrawal(1 << 240, Predeploys.TOKEN_BRIDGE, address(tokensB), 0, GAS, data);
        bytes32 hash = Withdrawals.hash(ofA);
        (uint256 index, OutputRootProof memory proof) = claim(one(hash));
        portalA.proveWithdrawalTransaction(ofA, index, proof, proofOf(one(hash), hash));
        vm.warp(block.timestamp + PERIOD_S + 1);
        portalA.finalizeWithdrawalTransaction(ofA);
        vm.expectRevert(abi.encodeWithSelector(TokenPortal.NotTokenBridge.selector, BOB));
        vm.prank(BOB);
        tokensA.finalizeWithdrawal(address(token), BOB, 10);
        require(tokensA.owed(token, BOB) == 0 && tokensB.owed(token, BOB) == 0, "owed");
        require(vault.balanceOf(A, address(token)) == 10 && token.balanceOf(BOB) == 0, "kept");
    }

    function test_no_withdrawal_keeps_another_from_being_owed() public {
        token.mint(ALICE, 10);
        deposit(token, 10);
        for (uint256 i = 0; i < 2; ++i) {
            portalA.finalizeWithdrawalTransaction(ofBob(token, type(uint256).max - i));
        }
        require(tokensA.owed(token, BOB) == type(uint256).max, "more than there can be");
        portalA.finalizeWithdrawalTransaction(ofBob(token, 10));
        require(token.balanceOf(BOB) == 10, "paid");
    }

    function test_what_a_peer_has_not_settled_is_claimed_later() public {
        token.mint(ALICE, 10);
        deposit(token, 10);
        // Five that came from B are in B's account until settlement moves them.
        portalA.finalizeWithdrawalTransaction(ofBob(token, 15));
        require(tokensA.owed(token, BOB) == 15 && token.balanceOf(BOB) == 0, "owed");
        tokensA.claim(token, BOB, 10);
        require(tokensA.owed(token, BOB) == 5 && token.balanceOf(BOB) == 10, "some of it");
        vm.expectRevert(abi.encodeWithSelector(Vault.Overdrawn.selector, A, address(token), 0, 5));
        tokensA.claim(token, BOB, 5);
        token.mint(ALICE, 5);
        vm.prank(ALICE);
        token.approve(address(tokensB), 5);
        vm.prank(ALICE);
        tokensB.deposit(token, BOB, 5);
        vm.prank(SETTLEMENT);
        vault.move(B, A, address(token), 5);
        tokensA.claim(token, BOB, 5);
        require(token.balanceOf(BOB) == 15 && tokensA.owed(token, BOB) == 0, "all");
    }

    /// Else a stranger could make the first deposit of a token, which gives it its name, with too little gas for its answer.
    function test_a_deposit_with_too_little_gas_to_ask_is_none() public {
        DearToken dear = new DearToken();
        dear.mint(ALICE, 2);
        // The gas of the rollup costs next to nothing, so that little is enough for all that follows the questions; and after
        // one deposit the slots are warm.
        vm.fee(100_000 gwei);
        deposit(dear, 1);
        vm.prank(ALICE);
        dear.approve(address(tokensA), 1);
        bytes memory call = abi.encodeCall(TokenPortal.deposit, (dear, BOB, 1));
        for (uint256 gas = 50_000; gas < 500_000; gas += 1_000) {
            vm.recordLogs();
            vm.prank(ALICE);
            (bool success,) = address(tokensA).call{gas: gas}(call);
            if (!success) continue;
            Vm.Log[] memory logs = vm.getRecordedLogs();
            (,, bytes memory arguments) = opened(logs[logs.length - 1].data);
            (,,,, Metadata memory metadata) = abi.decode(arguments, (address, address, address, uint256, Metadata));
            require(keccak256(abi.encode(metadata)) == keccak256(abi.encode(Metadata("Dear", "DEAR", 18))), "as it is");
            return;
        }
        revert("no gas is enough");
    }

    function test_the_vault_is_not_paid() public {
        token.mint(ALICE, 10);
        deposit(token, 10);
        bytes memory data =
            abi.encodeCall(IWithdrawalFinalizer.finalizeWithdrawal, (address(token), address(vault), 10));
        portalA.finalizeWithdrawalTransaction(proven(Predeploys.TOKEN_BRIDGE, data));
        require(tokensA.owed(token, address(vault)) == 10 && vault.balanceOf(A, address(token)) == 10, "owed");
        vm.expectRevert(Vault.PaidToVault.selector);
        tokensA.claim(token, address(vault), 10);
    }
}
