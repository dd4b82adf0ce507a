// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Vault} from "../../src/union/Vault.sol";
import {bound, vm} from "../lib/Vm.sol";
import {FeeToken, HookToken, QuietToken, Token} from "./Tokens.sol";
import {Puppet, Vaulting} from "./Vaulting.sol";

contract VaultTest is Vaulting {
    Token private token = new Token();

    function setUp() public {
        deployVault();
    }

    function overdrawn(uint256 rollup, address what, uint256 balance, uint256 amount) private {
        vm.expectRevert(abi.encodeWithSelector(Vault.Overdrawn.selector, rollup, what, balance, amount));
    }

    function testFuzz_ether_comes_and_goes(uint96 first, uint96 second, uint96 out) public {
        vm.deal(address(this), uint256(first) + second);
        portalA.depositEther{value: first}();
        portalB.depositEther{value: second}();
        if (out > first) overdrawn(A, ETHER, first, out);
        portalA.withdrawEther(out);
        uint256 paid = out > first ? 0 : out;
        require(vault.balanceOf(A, ETHER) == first - paid && vault.balanceOf(B, ETHER) == second, "accounts");
        require(address(portalA).balance == paid && address(vault).balance == uint256(first) + second - paid, "ether");
    }

    function testFuzz_tokens_come_and_go(uint128 first, uint128 second, uint128 out) public {
        token.mint(address(portalA), first);
        token.mint(address(portalB), second);
        require(portalA.depositToken(token, first) == first, "arrived");
        portalB.depositToken(token, second);
        if (out > first) overdrawn(A, address(token), first, out);
        portalA.withdrawToken(token, address(0xb0b), out);
        uint256 paid = out > first ? 0 : out;
        require(vault.balanceOf(A, address(token)) == first - paid, "account");
        require(vault.balanceOf(B, address(token)) == second, "the other's");
        require(token.balanceOf(address(0xb0b)) == paid, "paid");
    }

    function testFuzz_value_moves_between_rollups(uint96 has, uint96 moved, bool back) public {
        vm.deal(address(this), has);
        portalA.depositEther{value: has}();
        if (moved > has) overdrawn(A, ETHER, has, moved);
        move(A, B, ETHER, moved);
        if (moved > has) return;
        require(vault.balanceOf(A, ETHER) == has - moved && vault.balanceOf(B, ETHER) == moved, "moved");
        if (back) move(B, A, ETHER, moved);
        portalB.withdrawEther(back ? 0 : moved);
        // To itself, nothing changes.
        move(A, A, ETHER, vault.balanceOf(A, ETHER));
        require(vault.balanceOf(A, ETHER) == address(vault).balance, "the rest");
    }

    /// Ether of one is no token of the other, and no rollup has what another has.
    function test_accounts_are_of_one_rollup_and_one_token() public {
        vm.deal(address(this), 5 ether);
        portalA.depositEther{value: 5 ether}();
        token.mint(address(portalB), 7);
        portalB.depositToken(token, 7);
        overdrawn(B, ETHER, 0, 1);
        portalB.withdrawEther(1);
        overdrawn(A, address(token), 0, 1);
        portalA.withdrawToken(token, address(this), 1);
        overdrawn(A, address(token), 0, 1);
        move(A, B, address(token), 1);
        vm.expectRevert(Vault.NotAToken.selector);
        portalA.withdrawToken(IERC20(ETHER), address(this), 1);
        vm.expectRevert(abi.encodeWithSelector(Vault.NotAPortal.selector, address(this)));
        vault.withdrawEther(1);
    }

    function testFuzz_strangers_do_nothing(address caller) public {
        if (caller == ADMIN || caller == SETTLEMENT || caller == address(portalA) || caller == address(portalB)) {
            return;
        }
        bytes memory stranger = abi.encodeWithSelector(Vault.NotAPortal.selector, caller);
        vm.deal(caller, 1 ether);
        vm.expectRevert(stranger);
        vm.prank(caller);
        vault.depositEther{value: 1}();
        vm.expectRevert(stranger);
        vm.prank(caller);
        vault.depositToken(token, caller, 1);
        vm.expectRevert(stranger);
        vm.prank(caller);
        vault.withdrawEther(0);
        vm.expectRevert(stranger);
        vm.prank(caller);
        vault.withdrawToken(token, caller, 0);
        vm.expectRevert(Vault.NotSettlement.selector);
        vm.prank(caller);
        vault.move(A, B, ETHER, 0);
        vm.expectRevert(Vault.NotAdmin.selector);
        vm.prank(caller);
        vault.addRollup(903, caller, caller);
        vm.expectRevert(Vault.NotAdmin.selector);
        vm.prank(caller);
        vault.changeAdmin(caller);
    }

    function refuses(uint256 rollup, address portal, address tokenPortal, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(ADMIN);
        vault.addRollup(rollup, portal, tokenPortal);
    }

    function test_a_rollup_and_its_portals_are_added_for_good() public {
        (address one, address other) = (address(new Puppet(vault)), address(new Puppet(vault)));
        (uint256[3] memory rollups, address[3] memory portals) = ([A, 903, 903], [one, address(portalA), one]);
        address[3] memory tokenPortals = [other, other, address(portalA)];
        for (uint256 i = 0; i < 3; ++i) {
            (uint256 rollup, address portal, address tokenPortal) = (rollups[i], portals[i], tokenPortals[i]);
            bytes4 selector = Vault.AlreadyAdded.selector;
            refuses(rollup, portal, tokenPortal, abi.encodeWithSelector(selector, rollup, portal, tokenPortal));
        }
        bytes memory invalid = abi.encodeWithSelector(Vault.InvalidConfig.selector);
        refuses(0, one, other, invalid);
        refuses(903, address(0), other, invalid);
        refuses(903, one, address(0), invalid);
        vm.expectRevert(abi.encodeWithSelector(Vault.UnknownRollup.selector, 903));
        move(A, 903, ETHER, 0);
        vm.expectRevert(abi.encodeWithSelector(Vault.UnknownRollup.selector, 903));
        move(903, A, ETHER, 0);
        // Closed, the union stays as it is.
        vm.prank(ADMIN);
        vault.changeAdmin(address(0));
        vm.expectRevert(Vault.NotAdmin.selector);
        vm.prank(ADMIN);
        vault.addRollup(903, one, other);
        require(vault.portalOf(903) == address(0) && vault.rollupOf(other) == 0, "not added");
    }

    function testFuzz_a_token_that_keeps_a_fee_counts_for_what_arrives(uint128 amount) public {
        FeeToken fee = new FeeToken();
        fee.mint(address(portalA), amount);
        uint256 arrived = portalA.depositToken(fee, amount);
        require(arrived == amount - uint256(amount) / 100, "arrived");
        require(vault.balanceOf(A, address(fee)) == arrived && fee.balanceOf(address(vault)) == arrived, "account");
    }

    function test_a_token_that_says_no_is_no_deposit() public {
        IERC20 quiet = IERC20(address(new QuietToken()));
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(quiet)));
        portalA.depositToken(quiet, 1);
        vm.expectRevert(Vault.NotAToken.selector);
        portalA.depositToken(IERC20(ETHER), 1);
    }

    /// A portal that asks again while it is paid gets what its rollup has, and no more.
    function testFuzz_asking_again_while_being_paid_gains_nothing(uint64 has, uint64 other, uint64 amount) public {
        amount = uint64(bound(amount, uint256(has) / 20 + 1, uint256(has) + 1));
        vm.deal(address(this), uint256(has) + other);
        portalA.depositEther{value: has}();
        portalB.depositEther{value: other}();
        portalA.beGreedy();
        if (amount > has) overdrawn(A, ETHER, has, amount);
        portalA.withdrawEther(amount);
        require(address(portalA).balance == has - has % amount || amount > has, "paid");
        require(vault.balanceOf(A, ETHER) == has % amount && vault.balanceOf(B, ETHER) == other, "accounts");
        require(address(vault).balance == has % amount + uint256(other), "ether");
    }

    /// What arrives of a token is not measured while the token moves.
    function test_tokens_cannot_be_moved_in_the_middle_of_a_move() public {
        HookToken hooked = new HookToken();
        hooked.mint(address(portalB), 100);
        bytes memory again = abi.encodeCall(Puppet.depositToken, (hooked, 10));
        hooked.aim(address(portalB), again);
        portalB.depositToken(hooked, 50);
        require(!hooked.reached() && vault.balanceOf(B, address(hooked)) == 50, "deposit");
        hooked.aim(address(portalB), abi.encodeCall(Puppet.withdrawToken, (hooked, address(this), 10)));
        portalB.withdrawToken(hooked, address(this), 20);
        require(!hooked.reached() && vault.balanceOf(B, address(hooked)) == 30, "payment");
    }

    function test_senseless_settings_are_refused() public {
        vm.expectRevert(Vault.InvalidConfig.selector);
        new Vault(address(0), SETTLEMENT);
        vm.expectRevert(Vault.InvalidConfig.selector);
        new Vault(ADMIN, address(0));
    }
}
