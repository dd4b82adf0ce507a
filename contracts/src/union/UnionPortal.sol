// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {OutputOracle} from "../l1/OutputOracle.sol";
import {Portal} from "../l1/Portal.sol";
import {SystemConfig} from "../l1/SystemConfig.sol";
import {Vault} from "./Vault.sol";

/// The portal of a rollup in a union: what it takes, it puts into the vault, and what it pays, it takes from there.
///
/// Until the vault knows it (`Vault.addRollup`), it refuses deposits of value.
contract UnionPortal is Portal {
    Vault public vault;

    constructor(OutputOracle oracle, SystemConfig config, Vault vault_) Portal(oracle, config) {
        if (address(vault_).code.length == 0) revert NotAContract(address(vault_));
        vault = vault_;
    }

    /// Takes ether without a deposit: from the vault for a payment, from anybody else for the rollup.
    function donateETH() external payable override {
        if (msg.sender != address(vault)) _keep(msg.value);
    }

    function _balance() internal view override returns (uint256) {
        return vault.balanceOf(vault.rollupOf(address(this)), vault.ETHER());
    }

    function _keep(uint256 value) internal override {
        if (value != 0) vault.depositEther{value: value}();
    }

    function _release(uint256 value) internal override {
        if (value != 0) vault.withdrawEther(value);
    }

    /// The vault would take a call for the portal's own.
    function _isBadTarget(address target) internal view override returns (bool) {
        return super._isBadTarget(target) || target == address(vault);
    }
}
