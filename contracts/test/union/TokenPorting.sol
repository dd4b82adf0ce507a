// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Portal} from "../../src/l1/Portal.sol";
import {Predeploys} from "../../src/lib/Predeploys.sol";
import {IWithdrawalFinalizer, TOKEN_WITHDRAWAL_GAS} from "../../src/lib/TokenBridging.sol";
import {OutputRootProof, Withdrawal, Withdrawals} from "../../src/lib/Withdrawals.sol";
import {TokenPortal} from "../../src/union/TokenPortal.sol";
import {UnionPortal} from "../../src/union/UnionPortal.sol";
import {Vault} from "../../src/union/Vault.sol";
import {Bridge} from "../lib/Bridge.sol";
import {vm} from "../lib/Vm.sol";

/// Two rollups on L1 with their portals of tokens.
abstract contract TokenPorting is Bridge {
    address internal constant ADMIN = address(0xad);
    address internal constant SETTLEMENT = address(0x5e);
    address internal constant ALICE = address(0xa11ce);
    address internal constant BOB = address(0xb0b);
    uint256 internal constant A = 901;
    uint256 internal constant B = 902;
    uint256 internal constant GAS = TOKEN_WITHDRAWAL_GAS;

    Vault internal vault;
    UnionPortal internal portalA;
    TokenPortal internal tokensA;
    TokenPortal internal tokensB;
    uint256 private nonce;

    function deployPortals() internal {
        deployBridge();
        tokensA = new TokenPortal(portalA);
        UnionPortal portalB = new UnionPortal(oracle, config, vault);
        tokensB = new TokenPortal(portalB);
        vm.prank(ADMIN);
        vault.addRollup(A, address(portalA), address(tokensA));
        vm.prank(ADMIN);
        vault.addRollup(B, address(portalB), address(tokensB));
    }

    function makePortal() internal override returns (Portal) {
        vault = new Vault(ADMIN, SETTLEMENT);
        portalA = new UnionPortal(oracle, config, vault);
        return portalA;
    }

    /// Alice gives the portal an allowance and deposits for Bob.
    function deposit(IERC20 what, uint256 amount) internal returns (uint256) {
        vm.prank(ALICE);
        (bool success,) = address(what).call(abi.encodeCall(IERC20.approve, (address(tokensA), amount)));
        require(success, "approved");
        vm.prank(ALICE);
        return tokensA.deposit(what, BOB, amount);
    }

    /// The gas and the call data of a deposit's event, and whether its selector is that of `finalizeDeposit`.
    function opened(bytes memory data) internal pure returns (uint64 gas, bytes4 selector, bytes memory arguments) {
        bytes memory opaque = abi.decode(data, (bytes));
        // Mint, value, gas, whether it creates, and then the call data.
        for (uint256 i = 64; i < 72; ++i) {
            gas = gas << 8 | uint8(opaque[i]);
        }
        arguments = new bytes(opaque.length - 77);
        for (uint256 i = 0; i < arguments.length; ++i) {
            arguments[i] = opaque[77 + i];
        }
        for (uint256 i = 0; i < 4; ++i) {
            selector |= bytes4(opaque[73 + i]) >> (8 * i);
        }
    }

    /// A withdrawal by `sender` on rollup A, ready to be finalized.
    function proven(address sender, bytes memory data) internal returns (Withdrawal memory withdrawal) {
        withdrawal = Withdrawal((1 << 240) + nonce++, sender, address(tokensA), 0, GAS, data);
        bytes32 hash = Withdrawals.hash(withdrawal);
        (uint256 index, OutputRootProof memory proof) = claim(one(hash));
        portalA.proveWithdrawalTransaction(withdrawal, index, proof, proofOf(one(hash), hash));
        vm.warp(block.timestamp + PERIOD_S + 1);
    }

    function ofBob(IERC20 what, uint256 amount) internal returns (Withdrawal memory) {
        bytes memory data = abi.encodeCall(IWithdrawalFinalizer.finalizeWithdrawal, (address(what), BOB, amount));
        return proven(Predeploys.TOKEN_BRIDGE, data);
    }
}
