// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ITokenPayer, Vault} from "../../src/union/Vault.sol";
import {vm} from "../lib/Vm.sol";

/// A portal that does what it is told, for ether and tokens.
contract Puppet is ITokenPayer {
    Vault private vault;
    bool public greedy;

    constructor(Vault vault_) {
        vault = vault_;
    }

    function beGreedy() external {
        greedy = true;
    }

    function depositEther() external payable {
        vault.depositEther{value: msg.value}();
    }

    function depositToken(IERC20 token, uint256 amount) external returns (uint256) {
        return vault.depositToken(token, address(this), amount);
    }

    function payToken(IERC20 token, address, uint256 amount) external {
        SafeERC20.safeTransfer(token, address(vault), amount);
    }

    function withdrawEther(uint256 amount) external {
        vault.withdrawEther(amount);
    }

    function withdrawToken(IERC20 token, address to, uint256 amount) external {
        vault.withdrawToken(token, to, amount);
    }

    function donateETH() external payable {
        uint256 left = vault.balanceOf(vault.rollupOf(address(this)), address(0));
        if (greedy && left >= msg.value) vault.withdrawEther(msg.value);
    }
}

abstract contract Vaulting {
    address internal constant ETHER = address(0);
    address internal constant ADMIN = address(0xad);
    address internal constant SETTLEMENT = address(0x5e);
    uint256 internal constant A = 901;
    uint256 internal constant B = 902;

    Vault internal vault;
    Puppet internal portalA;
    Puppet internal portalB;

    function deployVault() internal {
        vault = new Vault(ADMIN, SETTLEMENT);
        portalA = new Puppet(vault);
        portalB = new Puppet(vault);
        vm.prank(ADMIN);
        vault.addRollup(A, address(portalA), address(portalA));
        vm.prank(ADMIN);
        vault.addRollup(B, address(portalB), address(portalB));
    }

    function move(uint256 from, uint256 to, address token, uint256 amount) internal {
        vm.prank(SETTLEMENT);
        vault.move(from, to, token, amount);
    }
}
