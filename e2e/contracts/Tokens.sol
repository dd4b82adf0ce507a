// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IGate} from "./Union.sol";

interface IToken {
    function approve(address spender, uint256 amount) external returns (bool);
    function balanceOf(address account) external view returns (uint256);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

interface ITokenBridge {
    function tokenOf(address l1Token) external view returns (address);
    function send(address token, uint256 peer, address to, uint256 amount) external;
    function sendAndCall(address token, uint256 peer, address to, uint256 amount, bytes calldata data) external;
}

IGate constant GATE = IGate(0x42000000000000000000000000000000000000E0);
ITokenBridge constant BRIDGE = ITokenBridge(0x42000000000000000000000000000000000000e2);

/// Sells for tokens: to who sends them here, and to who lets them be taken.
contract Shop {
    error TooCheap(uint256 paid, uint256 price);

    uint256 public constant PRICE = 10;
    IToken public immutable TOKEN;
    /// What is left of the newest payment when all is bought that it buys.
    mapping(address customer => uint256) public bought;
    address public lastCustomer;
    uint256 public tips;

    constructor(IToken token) {
        TOKEN = token;
    }

    /// Tokens that are sent here buy for who sent them (ERC-1363).
    function onTransferReceived(address, address from, uint256 amount, bytes calldata) external returns (bytes4) {
        require(msg.sender == address(TOKEN), "another token");
        _sell(from, amount);
        return this.onTransferReceived.selector;
    }

    /// Takes what the caller allows, and ether as a tip; the number of things bought.
    function buy(uint256 amount) external payable returns (uint256) {
        require(TOKEN.transferFrom(msg.sender, address(this), amount), "not paid");
        tips += msg.value;
        return _sell(msg.sender, amount);
    }

    function _sell(address customer, uint256 amount) private returns (uint256 count) {
        if (amount < PRICE) revert TooCheap(amount, PRICE);
        count = amount / PRICE;
        bought[customer] += count;
        lastCustomer = customer;
    }
}

/// Shops on another rollup with the tokens that it has here.
contract Shopper {
    uint256 public immutable PEER;
    IToken public immutable TOKEN;
    address public immutable SHOP;
    uint256 public count;
    bytes public lastError;

    constructor(uint256 peer, IToken token, address shop) {
        (PEER, TOKEN, SHOP) = (peer, token, shop);
        GATE.deployProxy(peer, address(token));
        GATE.deployProxy(peer, shop);
    }

    /// Sends tokens to its own proxy there, has that allow the shop to take them, and buys: one transaction.
    function shop(uint256 amount) public payable {
        BRIDGE.send(address(TOKEN), PEER, GATE.proxyOf(block.chainid, address(this)), amount);
        IToken(GATE.proxyOf(PEER, address(TOKEN))).approve(SHOP, amount);
        count += Shop(GATE.proxyOf(PEER, SHOP)).buy{value: msg.value}(amount);
    }

    function shopAndRegret(uint256 amount) external payable {
        shop(amount);
        revert("regret");
    }

    function trySending(uint256 amount) external {
        try BRIDGE.sendAndCall(address(TOKEN), PEER, SHOP, amount, "") {}
        catch (bytes memory reason) {
            lastError = reason;
        }
    }
}
