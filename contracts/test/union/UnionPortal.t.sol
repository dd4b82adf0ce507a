// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Portal} from "../../src/l1/Portal.sol";
import {OutputRootProof, Withdrawal, Withdrawals} from "../../src/lib/Withdrawals.sol";
import {UnionPortal} from "../../src/union/UnionPortal.sol";
import {Vault} from "../../src/union/Vault.sol";
import {Bridge} from "../lib/Bridge.sol";
import {vm} from "../lib/Vm.sol";

contract UnionPortalTest is Bridge {
    address private constant ADMIN = address(0xad);
    address private constant SETTLEMENT = address(0x5e);
    address private constant BOB = address(0xb0b);
    uint256 private constant A = 901;
    uint256 private constant B = 902;

    Vault private vault;
    UnionPortal private portalA;
    UnionPortal private portalB;

    function setUp() public {
        deployBridge();
        // Both rollups' claims are made by the same proposer here, who can claim anything.
        portalB = new UnionPortal(oracle, config, vault);
        vm.prank(ADMIN);
        vault.addRollup(A, address(portalA), address(0x70));
        vm.prank(ADMIN);
        vault.addRollup(B, address(portalB), address(0x71));
        vm.deal(address(this), 1000 ether);
    }

    function makePortal() internal override returns (Portal) {
        vault = new Vault(ADMIN, SETTLEMENT);
        portalA = new UnionPortal(oracle, config, vault);
        return portalA;
    }

    function deposit(UnionPortal to, uint256 value) private {
        to.depositTransaction{value: value}(BOB, value, 100_000, false, "");
    }

    function prove(UnionPortal by, Withdrawal memory withdrawal) private {
        bytes32 hash = Withdrawals.hash(withdrawal);
        (uint256 index, OutputRootProof memory proof) = claim(one(hash));
        by.proveWithdrawalTransaction(withdrawal, index, proof, proofOf(one(hash), hash));
        vm.warp(block.timestamp + PERIOD_S + 1);
    }

    function asks(address target, uint256 value, bytes memory data) private pure returns (Withdrawal memory) {
        return Withdrawal(1 << 240, BOB, target, value, 100_000, data);
    }

    function testFuzz_ether_is_kept_in_the_vault(uint64 value, bool plainly) public {
        if (plainly) {
            (bool success,) = address(portalA).call{value: value}("");
            require(success, "transfer");
        } else {
            deposit(portalA, value);
        }
        require(vault.balanceOf(A, address(0)) == value && address(vault).balance == value, "vault");
        require(address(portalA).balance == 0 && vault.balanceOf(B, address(0)) == 0, "nowhere else");
    }

    function test_a_withdrawal_is_paid_from_the_vault() public {
        deposit(portalA, 10 ether);
        Withdrawal memory withdrawal = asks(BOB, 4 ether, "");
        prove(portalA, withdrawal);
        portalA.finalizeWithdrawalTransaction(withdrawal);
        require(BOB.balance == 4 ether && vault.balanceOf(A, address(0)) == 6 ether, "paid");
        require(address(portalA).balance == 0, "nothing stays");
        vm.expectRevert(Portal.AlreadyFinalized.selector);
        portalA.finalizeWithdrawalTransaction(withdrawal);
    }

    /// Whatever is claimed and proven of a rollup, its peers keep what is theirs.
    function test_a_broken_rollup_takes_no_more_than_its_own() public {
        deposit(portalA, 5 ether);
        deposit(portalB, 100 ether);
        Withdrawal memory withdrawal = asks(BOB, 6 ether, "");
        prove(portalA, withdrawal);
        vm.expectRevert(abi.encodeWithSelector(Portal.InsufficientBalance.selector, 5 ether));
        portalA.finalizeWithdrawalTransaction(withdrawal);
        // It can be paid when the rollup has been given enough, as by a peer.
        vm.prank(SETTLEMENT);
        vault.move(B, A, address(0), 1 ether);
        portalA.finalizeWithdrawalTransaction(withdrawal);
        require(vault.balanceOf(A, address(0)) == 0 && vault.balanceOf(B, address(0)) == 99 ether, "accounts");
    }

    /// The vault would take the call for the portal's own, and empty the rollup's account.
    function test_no_withdrawal_calls_the_vault() public {
        deposit(portalA, 10 ether);
        address[2] memory targets = [address(vault), address(portalA)];
        for (uint256 i = 0; i < 2; ++i) {
            Withdrawal memory withdrawal = asks(targets[i], 0, abi.encodeCall(Vault.withdrawEther, (10 ether)));
            bytes32 hash = Withdrawals.hash(withdrawal);
            (uint256 index, OutputRootProof memory proof) = claim(one(hash));
            bytes[] memory nodes = proofOf(one(hash), hash);
            vm.expectRevert(Portal.BadTarget.selector);
            portalA.proveWithdrawalTransaction(withdrawal, index, proof, nodes);
        }
    }

    function test_a_call_that_fails_leaves_all_in_the_vault() public {
        deposit(portalA, 10 ether);
        Withdrawal memory withdrawal = asks(address(this), 4 ether, "");
        prove(portalA, withdrawal);
        // This contract takes no ether.
        vm.expectRevert(Portal.CallFailed.selector);
        portalA.finalizeWithdrawalTransaction(withdrawal);
        require(vault.balanceOf(A, address(0)) == 10 ether && address(portalA).balance == 0, "kept");
    }

    function test_donations_are_the_rollups() public {
        portalA.donateETH{value: 3 ether}();
        require(vault.balanceOf(A, address(0)) == 3 ether && address(portalA).balance == 0, "donation");
    }

    function test_a_portal_that_the_vault_does_not_know_takes_no_ether() public {
        UnionPortal unknown = new UnionPortal(oracle, config, vault);
        vm.expectRevert(abi.encodeWithSelector(Vault.NotAPortal.selector, address(unknown)));
        unknown.depositTransaction{value: 1}(BOB, 1, 100_000, false, "");
        unknown.depositTransaction(BOB, 0, 100_000, false, "");
        vm.expectRevert(abi.encodeWithSelector(Portal.NotAContract.selector, BOB));
        new UnionPortal(oracle, config, Vault(BOB));
    }
}
