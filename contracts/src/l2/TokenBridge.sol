// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {Predeploys} from "../lib/Predeploys.sol";
import {Senders} from "../lib/Senders.sol";
import {IDepositFinalizer, IWithdrawalFinalizer, TOKEN_WITHDRAWAL_GAS} from "../lib/TokenBridging.sol";
import {Metadata} from "../lib/TokenMetadata.sol";
import {BridgedToken} from "./BridgedToken.sol";
import {Gate} from "./Gate.sol";
import {L2ToL1MessagePasser} from "./L2ToL1MessagePasser.sol";

/// Tokens of L1 on this rollup of a union: they come from L1, go back there, and go to other rollups of the union and come
/// from those within one transaction.
///
/// A token of L1 is one address on all rollups, and on none before somebody brings it there. Who has tokens sends them
/// without an allowance: the bridge burns what its caller has.
///
/// What this contract is told counts only if it comes from the portal of tokens on L1, or from the contract at this very
/// address on a peer. The second is who calls through this contract's proxy of `peer` (rule 4.2 of super transactions), and
/// nobody else can: the proxy's code calls the port and nothing else, and the executor lets it call only for a rollup of the
/// union that is not this one. So any number may be claimed to be a peer's, but none is believed that is not.
contract TokenBridge is IDepositFinalizer {
    /// What was sent to a peer of a token, and received from it, ever.
    struct Carried {
        uint256 sent;
        uint256 received;
    }

    event TokenMade(address indexed l1Token, address indexed token);
    event Deposited(address indexed token, address indexed from, address indexed to, uint256 amount);
    event Withdrawn(address indexed token, address indexed from, address indexed to, uint256 amount);
    /// `to` is an address of the peer.
    event Sent(address indexed token, uint256 indexed peer, address indexed from, address to, uint256 amount);
    /// `from` is an address of the peer.
    event Received(address indexed token, uint256 indexed peer, address from, address indexed to, uint256 amount);

    error NotTokenPortal(address caller);
    /// The caller is not the bridge of this peer.
    error NotPeer(uint256 peer, address caller);
    /// This is no token of L1 that was brought here.
    error NotBridged(address token);
    error NoReceiver();
    /// There is no bridge on the peer.
    error NotReceived(uint256 peer);
    /// No token has so many, or leaves no room for deposits.
    error TooMany(uint256 amount);

    /// The length of a clone's code (ERC-1167), which the token's address on L1 follows.
    uint256 private constant CLONE_BYTES = 45;
    /// What peers can bring the supply to. A lie of theirs must not make deposits overflow, which would be lost.
    uint256 private constant MAX_SUPPLY = type(uint256).max / 2;
    Gate private constant GATE = Gate(Predeploys.GATE);

    /// On L1. Slot 0; a genesis sets it.
    address public tokenPortal;
    /// Slot 1. Settlement compares what two rollups have here of each other.
    mapping(uint256 peer => mapping(address l1Token => Carried)) public carried;

    /// Where a token of L1 is, or would be: at the same address on every rollup of the union.
    function tokenOf(address l1Token) public view returns (address) {
        return Clones.predictDeterministicAddressWithImmutableArgs(
            Predeploys.BRIDGED_TOKEN, abi.encodePacked(l1Token), bytes32(0)
        );
    }

    /// What a token says of itself that was brought here.
    function metadataOf(address l1Token) external view returns (Metadata memory) {
        BridgedToken token = BridgedToken(tokenOf(l1Token));
        return Metadata(token.name(), token.symbol(), token.decimals());
    }

    /// Gives `to` what arrived in the vault on L1. Nothing in here depends on `to`, on the token or on what was there before
    /// in a way that could make it fail; what it costs is bounded, and less than the gas that the portal gives it.
    function finalizeDeposit(address l1Token, address from, address to, uint256 amount, Metadata calldata metadata)
        external
    {
        if (msg.sender != Senders.aliased(tokenPortal)) revert NotTokenPortal(msg.sender);
        address token = tokenOf(l1Token);
        // If it came from a peer first, that has said what it is called; L1 knows.
        if (token.code.length == 0) _make(l1Token, metadata);
        else BridgedToken(token).describe(metadata);
        BridgedToken(token).mint(to, amount);
        emit Deposited(token, from, to, amount);
    }

    /// Burns tokens of the caller, for `to` to get them on L1: by a message that is proven and finalized there as any
    /// withdrawal, which pays at once or leaves them to be claimed from the token portal. The vault is not paid: what is
    /// withdrawn to it is owed for good, and stays in the rollup's account.
    function withdraw(address token, address to, uint256 amount) external {
        if (to == address(0)) revert NoReceiver();
        address l1Token = _l1TokenOf(token);
        BridgedToken(token).burn(msg.sender, amount);
        emit Withdrawn(token, msg.sender, to, amount);
        bytes memory message = abi.encodeCall(IWithdrawalFinalizer.finalizeWithdrawal, (l1Token, to, amount));
        L2ToL1MessagePasser(payable(Predeploys.MESSAGE_PASSER))
            .initiateWithdrawal(tokenPortal, TOKEN_WITHDRAWAL_GAS, message);
    }

    /// Burns tokens of the caller here, and mints them for `to` on another rollup of the union, in this transaction.
    function send(address token, uint256 peer, address to, uint256 amount) external {
        _send(token, peer, to, amount, false, "");
    }

    /// As `send`, and then calls `to` there, which must be a contract that takes tokens so: its
    /// `onTransferReceived(operator, from, amount, data)` (ERC-1363), by the token, with the caller's proxy there as
    /// `operator` and `from`. If that reverts, or does not answer as it must, so does this, and nothing was sent.
    function sendAndCall(address token, uint256 peer, address to, uint256 amount, bytes calldata data) external {
        _send(token, peer, to, amount, true, data);
    }

    /// Takes tokens that the bridge of `peer` burnt, and answers with this function's selector.
    function receiveTokens(
        uint256 peer,
        address l1Token,
        address from,
        address to,
        uint256 amount,
        bool isCall,
        bytes calldata data
    ) external returns (bytes4) {
        if (msg.sender != GATE.proxyOf(peer, address(this))) revert NotPeer(peer, msg.sender);
        address token = tokenOf(l1Token);
        // The first of its kind here: its bridge there is asked what it is called, in the middle of its call.
        if (token.code.length == 0) _make(l1Token, TokenBridge(msg.sender).metadataOf(l1Token));
        uint256 supply = BridgedToken(token).totalSupply();
        if (supply > MAX_SUPPLY || amount > MAX_SUPPLY - supply) revert TooMany(amount);
        carried[peer][l1Token].received += amount;
        emit Received(token, peer, from, to, amount);
        if (isCall) {
            BridgedToken(token).mintAndCall(GATE.proxyOf(peer, from), to, amount, data);
        } else {
            BridgedToken(token).mint(to, amount);
        }
        return this.receiveTokens.selector;
    }

    function _send(address token, uint256 peer, address to, uint256 amount, bool isCall, bytes memory data) private {
        address l1Token = _l1TokenOf(token);
        BridgedToken(token).burn(msg.sender, amount);
        carried[peer][l1Token].sent += amount;
        emit Sent(token, peer, msg.sender, to, amount);
        TokenBridge bridge = TokenBridge(GATE.deployProxy(peer, address(this)));
        bytes4 answer = bridge.receiveTokens(block.chainid, l1Token, msg.sender, to, amount, isCall, data);
        if (answer != this.receiveTokens.selector) revert NotReceived(peer);
    }

    /// Reads the token's code, and calls nothing of it before it is known to be one of ours.
    function _l1TokenOf(address token) private view returns (address l1Token) {
        if (token.code.length < CLONE_BYTES) revert NotBridged(token);
        l1Token = address(bytes20(Clones.fetchCloneArgs(token)));
        if (token != tokenOf(l1Token)) revert NotBridged(token);
    }

    /// Makes a token, and is the first to describe it, and so its bridge.
    function _make(address l1Token, Metadata memory metadata) private {
        address token =
            Clones.cloneDeterministicWithImmutableArgs(Predeploys.BRIDGED_TOKEN, abi.encodePacked(l1Token), bytes32(0));
        BridgedToken(token).describe(metadata);
        emit TokenMade(l1Token, token);
    }
}
