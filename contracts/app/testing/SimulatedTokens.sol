// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

import {ITokenBridge, ITokenReceiver} from "../ITokenBridge.sol";
import {Rollups} from "../Rollups.sol";

/// @dev A token of L1 on the chains of a simulated union, which share its balances as they share all state.
contract SimulatedToken {
    event Transfer(address indexed from, address indexed to, uint256 amount);
    event Approval(address indexed owner, address indexed spender, uint256 amount);

    error NotBridge();
    error NotTaken(address receiver);
    error NoAccount();

    string public constant name = "Simulated";
    string public constant symbol = "SIM";
    uint8 public constant decimals = 18;
    address public immutable l1Token;
    address private immutable bridge;
    uint256 public totalSupply;
    mapping(address owner => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    constructor(address l1Token_) {
        (l1Token, bridge) = (l1Token_, msg.sender);
    }

    modifier notZero(address account) {
        if (account == address(0)) revert NoAccount();
        _;
    }

    function approve(address spender, uint256 amount) external notZero(spender) returns (bool) {
        allowance[msg.sender][spender] = amount;
        emit Approval(msg.sender, spender, amount);
        return true;
    }

    function transfer(address to, uint256 amount) public returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        if (allowance[from][msg.sender] != type(uint256).max) allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return true;
    }

    function transferAndCall(address to, uint256 amount, bytes calldata data) external returns (bool) {
        transfer(to, amount);
        _call(msg.sender, to, amount, data);
        return true;
    }

    function mint(address to, uint256 amount) public notZero(to) {
        if (msg.sender != bridge) revert NotBridge();
        totalSupply += amount;
        balanceOf[to] += amount;
        emit Transfer(address(0), to, amount);
    }

    function mintAndCall(address from, address to, uint256 amount, bytes calldata data) external {
        mint(to, amount);
        _call(from, to, amount, data);
    }

    function burn(address from, uint256 amount) external {
        if (msg.sender != bridge) revert NotBridge();
        balanceOf[from] -= amount;
        totalSupply -= amount;
        emit Transfer(from, address(0), amount);
    }

    function _move(address from, address to, uint256 amount) private notZero(to) {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        emit Transfer(from, to, amount);
    }

    function _call(address from, address to, uint256 amount, bytes calldata data) private {
        bytes4 answer = ITokenReceiver(to).onTransferReceived(from, from, amount, data);
        if (answer != ITokenReceiver.onTransferReceived.selector) revert NotTaken(to);
    }
}

/// @dev Does what the token bridge of a rollup does, over the simulated Gate.
contract SimulatedTokenBridge is ITokenBridge {
    struct Carried {
        uint256 sent;
        uint256 received;
    }

    error NotPeer(uint256 peer, address caller);
    error NotBridged(address token);
    error NoReceiver();

    mapping(uint256 peer => mapping(address l1Token => Carried)) public carried;
    /// @dev Tokens that are there.
    mapping(address token => address) private _l1TokenOf;

    function tokenOf(address l1Token) public view returns (address) {
        bytes32 init = keccak256(abi.encodePacked(type(SimulatedToken).creationCode, abi.encode(l1Token)));
        return address(uint160(uint256(keccak256(abi.encodePacked(hex"ff", address(this), bytes32(0), init)))));
    }

    /// @dev As a deposit on L1.
    function deposit(address l1Token, address to, uint256 amount) external returns (SimulatedToken token) {
        token = SimulatedToken(tokenOf(l1Token));
        if (address(token).code.length == 0) new SimulatedToken{salt: 0}(l1Token);
        _l1TokenOf[address(token)] = l1Token;
        token.mint(to, amount);
    }

    function send(address token, uint256 peer, address to, uint256 amount) external {
        _send(token, peer, to, amount, false, "");
    }

    function sendAndCall(address token, uint256 peer, address to, uint256 amount, bytes calldata data) external {
        _send(token, peer, to, amount, true, data);
    }

    function withdraw(address token, address to, uint256 amount) external {
        if (to == address(0)) revert NoReceiver();
        _check(token);
        SimulatedToken(token).burn(msg.sender, amount);
    }

    function receiveTokens(
        uint256 peer,
        address token,
        address from,
        address to,
        uint256 amount,
        bytes calldata data,
        bool isCall
    ) external returns (bool) {
        if (msg.sender != Rollups.proxyOf(peer, address(this))) revert NotPeer(peer, msg.sender);
        carried[peer][_l1TokenOf[token]].received += amount;
        if (isCall) SimulatedToken(token).mintAndCall(Rollups.proxyOf(peer, from), to, amount, data);
        else SimulatedToken(token).mint(to, amount);
        return true;
    }

    function _send(address token, uint256 peer, address to, uint256 amount, bool isCall, bytes memory data) private {
        _check(token);
        SimulatedToken(token).burn(msg.sender, amount);
        carried[peer][_l1TokenOf[token]].sent += amount;
        SimulatedTokenBridge there = SimulatedTokenBridge(Rollups.deployProxy(peer, address(this)));
        there.receiveTokens(block.chainid, token, msg.sender, to, amount, data, isCall);
    }

    function _check(address token) private view {
        if (_l1TokenOf[token] == address(0)) revert NotBridged(token);
    }
}
