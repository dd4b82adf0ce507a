// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {bound, vm} from "../lib/Vm.sol";
import {Token} from "./Tokens.sol";
import {Puppet, Vaulting} from "./Vaulting.sol";

/// Deposits, payments and moves in any order, each answer held against a model.
contract Movers is Vaulting {
    Token private token = new Token();
    mapping(uint256 rollup => mapping(address what => uint256)) private model;
    uint256 public payments;

    constructor() {
        deployVault();
    }

    function deposit(uint256 which, uint256 amount, bool ofToken) external {
        (uint256 rollup, Puppet portal) = pick(which);
        amount = bound(amount, 0, 1e30);
        if (ofToken) {
            token.mint(address(portal), amount);
            portal.depositToken(token, amount);
        } else {
            vm.deal(address(this), amount);
            portal.depositEther{value: amount}();
        }
        model[rollup][what(ofToken)] += amount;
    }

    function withdraw(uint256 which, uint256 amount, bool ofToken) external {
        (uint256 rollup, Puppet portal) = pick(which);
        uint256 balance = model[rollup][what(ofToken)];
        amount = bound(amount, 0, balance + balance / 4 + 1);
        bytes memory call = ofToken
            ? abi.encodeCall(Puppet.withdrawToken, (token, address(0xb0b), amount))
            : abi.encodeCall(Puppet.withdrawEther, (amount));
        (bool success,) = address(portal).call(call);
        require(success == (amount <= balance), "withdrawn");
        if (success) model[rollup][what(ofToken)] -= amount;
        if (success) payments += 1;
    }

    function transfer(uint256 from, uint256 to, uint256 amount, bool ofToken) external {
        (from,) = pick(from);
        (to,) = pick(to);
        uint256 balance = model[from][what(ofToken)];
        amount = bound(amount, 0, balance + balance / 4 + 1);
        vm.prank(SETTLEMENT);
        try vault.move(from, to, what(ofToken), amount) {
            require(amount <= balance, "moved");
            model[from][what(ofToken)] -= amount;
            model[to][what(ofToken)] += amount;
        } catch {
            require(amount > balance, "not moved");
        }
    }

    /// What nobody deposited is nobody's.
    function donate(uint128 amount) external {
        token.mint(address(vault), amount % 1e30);
        gift += amount % 1e30;
    }

    uint256 private gift;

    function check() external view {
        uint256[2] memory rollups = [A, B];
        for (uint256 i = 0; i < 2; ++i) {
            require(vault.balanceOf(rollups[i], ETHER) == model[rollups[i]][ETHER], "ether of a rollup");
            require(vault.balanceOf(rollups[i], address(token)) == model[rollups[i]][address(token)], "its tokens");
        }
        require(address(vault).balance == model[A][ETHER] + model[B][ETHER], "all ether");
        uint256 tokens = model[A][address(token)] + model[B][address(token)];
        require(token.balanceOf(address(vault)) == tokens + gift, "all tokens");
    }

    function what(bool ofToken) private view returns (address) {
        return ofToken ? address(token) : ETHER;
    }

    function pick(uint256 which) private view returns (uint256, Puppet) {
        return which % 2 == 0 ? (A, portalA) : (B, portalB);
    }
}

contract VaultInvariantsTest {
    Movers private movers;

    function setUp() public {
        movers = new Movers();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(movers);
    }

    /// The movers can do what the invariant is about.
    function test_the_movers_move() public {
        movers.deposit(0, 10 ether, false);
        movers.deposit(1, 100, true);
        movers.transfer(0, 1, 4 ether, false);
        movers.withdraw(1, 4 ether, false);
        movers.transfer(1, 0, 60, true);
        movers.withdraw(0, 60, true);
        require(movers.payments() == 2, "paid");
        movers.check();
    }

    function invariant_what_is_kept_is_what_the_rollups_have() public view {
        movers.check();
    }
}
