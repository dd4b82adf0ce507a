// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Portal} from "../../src/l1/Portal.sol";
import {Withdrawal, Withdrawals} from "../../src/lib/Withdrawals.sol";
import {TokenPortal} from "../../src/union/TokenPortal.sol";
import {vm} from "../lib/Vm.sol";
import {TokenPorting} from "./TokenPorting.sol";
import {
    AgreeableToken,
    BlockingToken,
    FeeToken,
    HookToken,
    LoudToken,
    OldToken,
    OldUniqueToken,
    RebasingToken,
    Token,
    UniqueToken
} from "./Tokens.sol";

/// Tokens that are not as one expects, and what becomes of withdrawals then.
contract TokenTricksTest is TokenPorting {
    Token private token = new Token();

    function setUp() public {
        deployPortals();
    }

    function test_what_arrives_is_what_counts() public {
        FeeToken fee = new FeeToken();
        fee.mint(ALICE, 1_000);
        require(deposit(fee, 1_000) == 990, "arrived");
        require(vault.balanceOf(A, address(fee)) == 990 && fee.balanceOf(address(vault)) == 990, "account");
        portalA.finalizeWithdrawalTransaction(ofBob(fee, 990));
        require(fee.balanceOf(BOB) == 981 && vault.balanceOf(A, address(fee)) == 0, "paid");
    }

    function test_a_token_that_returns_nothing_comes_and_goes() public {
        OldToken old = new OldToken();
        old.mint(ALICE, 7);
        deposit(IERC20(address(old)), 7);
        portalA.finalizeWithdrawalTransaction(ofBob(IERC20(address(old)), 7));
        require(old.balanceOf(BOB) == 7, "paid");
    }

    function test_what_is_one_of_its_kind_is_not_taken() public {
        UniqueToken unique = new UniqueToken();
        refuse(address(unique), 0, abi.encodeWithSelector(TokenPortal.NotFungible.selector, unique));
        refuse(address(unique), 1, abi.encodeWithSelector(TokenPortal.NotFungible.selector, unique));
        refuse(address(unique), 7, abi.encodeWithSelector(TokenPortal.NotFungible.selector, unique));
        // Of those that do not say what they are, one shows it.
        refuse(address(new OldUniqueToken()), 0, abi.encodeWithSelector(TokenPortal.TooMuchArrived.selector, 0, 1));
    }

    function refuse(address what, uint256 id, bytes memory reason) private {
        UniqueToken(what).mint(ALICE, id);
        vm.prank(ALICE);
        UniqueToken(what).approve(address(tokensA), id);
        vm.expectRevert(reason);
        vm.prank(ALICE);
        tokensA.deposit(IERC20(what), BOB, id);
        require(UniqueToken(what).ownerOf(id) == ALICE, "hers");
    }

    function test_a_token_that_says_yes_to_everything_is_taken() public {
        AgreeableToken agreeable = new AgreeableToken();
        agreeable.mint(ALICE, 7);
        require(deposit(agreeable, 7) == 7, "arrived");
    }

    function test_who_is_blocked_claims_when_it_is_not() public {
        BlockingToken blocking = new BlockingToken();
        blocking.mint(ALICE, 10);
        deposit(blocking, 10);
        blocking.setBlocked(BOB, true);
        portalA.finalizeWithdrawalTransaction(ofBob(blocking, 10));
        vm.expectRevert(bytes("blocked"));
        tokensA.claim(blocking, BOB, 10);
        require(tokensA.owed(blocking, BOB) == 10 && vault.balanceOf(A, address(blocking)) == 10, "kept");
        blocking.setBlocked(BOB, false);
        tokensA.claim(blocking, BOB, 10);
        require(blocking.balanceOf(BOB) == 10, "paid");
    }

    /// Anybody can finalize a withdrawal at a moment when the vault is busy: in the middle of a transfer of any token.
    function test_a_withdrawal_in_the_middle_of_a_deposit_is_not_lost() public {
        token.mint(ALICE, 10);
        deposit(token, 10);
        Withdrawal memory withdrawal = ofBob(token, 10);
        HookToken hooked = new HookToken();
        hooked.mint(ALICE, 2);
        vm.prank(ALICE);
        hooked.approve(address(tokensA), 2);
        hooked.aim(address(portalA), abi.encodeCall(Portal.finalizeWithdrawalTransaction, (withdrawal)));
        vm.prank(ALICE);
        tokensA.deposit(hooked, BOB, 1);
        require(hooked.reached() && portalA.finalizedWithdrawals(Withdrawals.hash(withdrawal)), "final");
        require(token.balanceOf(BOB) == 0 && tokensA.owed(token, BOB) == 10, "owed");
        tokensA.claim(token, BOB, 10);
        require(token.balanceOf(BOB) == 10, "paid");
        // Nor does a deposit within a deposit count twice.
        hooked.aim(address(tokensA), abi.encodeCall(TokenPortal.deposit, (hooked, BOB, 1)));
        vm.prank(ALICE);
        tokensA.deposit(hooked, BOB, 1);
        require(!hooked.reached() && vault.balanceOf(A, address(hooked)) == 2, "once");
    }

    function test_claiming_again_while_being_paid_gains_nothing() public {
        HookToken hooked = new HookToken();
        hooked.mint(ALICE, 10);
        deposit(hooked, 10);
        hooked.aim(address(tokensA), abi.encodeCall(TokenPortal.claim, (hooked, BOB, 5)));
        portalA.finalizeWithdrawalTransaction(ofBob(hooked, 5));
        require(!hooked.reached() && hooked.balanceOf(BOB) == 5, "once");
        require(vault.balanceOf(A, address(hooked)) == 5 && tokensA.owed(hooked, BOB) == 0, "accounts");
    }

    function test_a_payment_that_uses_up_its_gas_is_noted() public {
        LoudToken loud = new LoudToken();
        loud.mint(ALICE, 10);
        deposit(loud, 10);
        HookToken greedy = new HookToken();
        greedy.mint(ALICE, 10);
        deposit(greedy, 10);
        Withdrawal memory withdrawal = ofBob(greedy, 10);
        greedy.aim(address(loud), abi.encodeCall(loud.symbol, ()));
        // The portal gives no less than the bridge asked for, and that is enough to note it.
        for (uint256 gas = 400_000; gas < 520_000; gas += 10_000) {
            (bool success,) =
                address(portalA).call{gas: gas}(abi.encodeCall(Portal.finalizeWithdrawalTransaction, (withdrawal)));
            if (success) break;
        }
        require(portalA.finalizedWithdrawals(Withdrawals.hash(withdrawal)), "final");
        require(tokensA.owed(greedy, BOB) == 10 && greedy.balanceOf(BOB) == 0, "owed");
        greedy.aim(address(0), "");
        tokensA.claim(greedy, BOB, 10);
    }

    /// What grows is nobody's; of what shrinks, who comes last finds nothing.
    function test_a_rebasing_token_breaks_its_own_rollups_and_no_other_token() public {
        RebasingToken rebasing = new RebasingToken();
        rebasing.mint(ALICE, 200);
        deposit(rebasing, 100);
        token.mint(ALICE, 100);
        deposit(token, 100);
        rebasing.rebase(150);
        portalA.finalizeWithdrawalTransaction(ofBob(rebasing, 50));
        require(
            rebasing.balanceOf(BOB) == 49 && vault.balanceOf(A, address(rebasing)) == 50, "no more than was counted"
        );
        rebasing.rebase(50);
        portalA.finalizeWithdrawalTransaction(ofBob(rebasing, 50));
        require(tokensA.owed(rebasing, BOB) == 50, "too little is there");
        portalA.finalizeWithdrawalTransaction(ofBob(token, 100));
        require(token.balanceOf(BOB) == 100, "another token");
    }
}
