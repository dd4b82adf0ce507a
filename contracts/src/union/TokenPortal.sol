// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {ERC165Checker} from "@openzeppelin/contracts/utils/introspection/ERC165Checker.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Predeploys} from "../lib/Predeploys.sol";
import {IDepositFinalizer, IWithdrawalFinalizer, TOKEN_DEPOSIT_GAS} from "../lib/TokenBridging.sol";
import {TokenMetadata} from "../lib/TokenMetadata.sol";
import {UnionPortal} from "./UnionPortal.sol";
import {ITokenPayer, Vault} from "./Vault.sol";

/// Where tokens enter and leave a rollup of a union. They are in the vault, never here.
///
/// A deposit is a transaction on the rollup that cannot fail: what it runs there is the token bridge and nothing of
/// strangers, and its gas is given here, not chosen by who deposits.
///
/// A withdrawal is a message from the rollup, which the portal finalizes once, at a moment that anybody chooses, whether or
/// not it succeeds. So nothing is lost by a payment that fails then: first it is noted who is owed what, which cannot fail,
/// and then it is tried to pay it. What could not be paid is claimed later, by anybody, for the one that it belongs to.
contract TokenPortal is ITokenPayer, IWithdrawalFinalizer {
    using SafeERC20 for IERC20;

    event Deposited(address indexed token, address indexed from, address indexed to, uint256 amount);
    /// A withdrawal was finalized.
    event Owed(address indexed token, address indexed to, uint256 amount);
    event Paid(address indexed token, address indexed to, uint256 amount);

    error NotAContract(address account);
    error NoReceiver();
    /// The token was asked to move some, and nothing has arrived.
    error NothingArrived();
    /// The token has moved something else than an amount.
    error TooMuchArrived(uint256 amount, uint256 arrived);
    /// The token says that it is an ERC-721, of which no amount could be paid back.
    error NotFungible(address token);
    error NotVault(address caller);
    /// Not the portal, with a withdrawal by the token bridge of its rollup.
    error NotTokenBridge(address caller);
    error NotOwed(uint256 owed, uint256 amount);

    UnionPortal public portal;
    Vault public vault;
    /// What was withdrawn and is not paid yet.
    mapping(IERC20 token => mapping(address to => uint256)) public owed;

    constructor(UnionPortal portal_) {
        if (address(portal_).code.length == 0) revert NotAContract(address(portal_));
        portal = portal_;
        vault = portal_.vault();
    }

    /// Moves tokens of the caller, by its allowance for this contract, to the vault, and gives `to` on the rollup what
    /// arrived there: some tokens keep a fee.
    ///
    /// On the rollup its name, symbol and decimals are those that it has here at the newest deposit.
    ///
    /// ERC-721 moves a single token by the call with which ERC-20 moves an amount, but has none to pay one with, so it would
    /// stay in the vault for good. It is refused if it says what it is (ERC-165), or if more arrives than was asked for.
    function deposit(IERC20 token, address to, uint256 amount) external returns (uint256 arrived) {
        if (to == address(0)) revert NoReceiver();
        // Each question is asked with 30,000 gas, or what is left is too little to read the metadata below.
        if (ERC165Checker.supportsInterface(address(token), type(IERC721).interfaceId)) {
            revert NotFungible(address(token));
        }
        arrived = vault.depositToken(token, msg.sender, amount);
        if (arrived == 0) revert NothingArrived();
        if (arrived > amount) revert TooMuchArrived(amount, arrived);
        emit Deposited(address(token), msg.sender, to, arrived);
        bytes memory message = abi.encodeCall(
            IDepositFinalizer.finalizeDeposit,
            (address(token), msg.sender, to, arrived, TokenMetadata.read(address(token)))
        );
        portal.depositTransaction(Predeploys.TOKEN_BRIDGE, 0, TOKEN_DEPOSIT_GAS, false, message);
    }

    /// Moves what is deposited to the vault, when that asks for it.
    function payToken(IERC20 token, address from, uint256 amount) external {
        if (msg.sender != address(vault)) revert NotVault(msg.sender);
        token.safeTransferFrom(from, msg.sender, amount);
    }

    /// Notes what was withdrawn, and tries to pay it.
    function finalizeWithdrawal(address token, address to, uint256 amount) external {
        if (msg.sender != address(portal) || portal.l2Sender() != Predeploys.TOKEN_BRIDGE) {
            revert NotTokenBridge(msg.sender);
        }
        // A rollup that was made to say that it owes more than there can be must not keep others from being owed.
        owed[IERC20(token)][to] = Math.saturatingAdd(owed[IERC20(token)][to], amount);
        emit Owed(token, to, amount);
        // Nothing is left to do after this, for which a payment that uses up all gas would leave none.
        try this.claim(IERC20(token), to, amount) {} catch {}
    }

    /// Pays from the vault what `to` is owed, or some of it. Anybody may ask.
    function claim(IERC20 token, address to, uint256 amount) external {
        uint256 all = owed[token][to];
        if (all < amount) revert NotOwed(all, amount);
        owed[token][to] = all - amount;
        emit Paid(address(token), to, amount);
        vault.withdrawToken(token, to, amount);
    }
}
