// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";

contract Token is ERC20("Token", "TOK") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// Keeps a hundredth of every transfer.
contract FeeToken is ERC20("Fee", "FEE") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        uint256 fee = from == address(0) ? 0 : amount / 100;
        if (fee != 0) super._update(from, address(0xfee), fee);
        super._update(from, to, amount - fee);
    }
}

/// Says that it failed, instead of reverting.
contract QuietToken {
    function balanceOf(address) external pure returns (uint256) {
        return 0;
    }

    function transfer(address, uint256) external pure returns (bool) {
        return false;
    }

    function transferFrom(address, address, uint256) external pure returns (bool) {
        return false;
    }
}

/// Calls somebody in the middle of a transfer.
contract HookToken is ERC20("Hook", "HOOK") {
    address private hook;
    bytes private data;
    bool public reached;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function aim(address hook_, bytes calldata data_) external {
        (hook, data) = (hook_, data_);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (hook != address(0)) (reached,) = hook.call(data);
    }
}

/// As tokens were before ERC-20 was final: a name of 32 bytes, transfers that return nothing.
contract OldToken {
    bytes32 public constant name = "Old";
    bytes32 public constant symbol = "OLD";
    mapping(address account => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) private allowed;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowed[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowed[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// Pays nobody that it has blocked.
contract BlockingToken is ERC20("Blocking", "BLK") {
    mapping(address account => bool) private isBlocked;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setBlocked(address account, bool blocked) external {
        isBlocked[account] = blocked;
    }

    function _update(address from, address to, uint256 amount) internal override {
        require(!isBlocked[to], "blocked");
        super._update(from, to, amount);
    }
}

/// Balances change by themselves.
contract RebasingToken is ERC20("Rebasing", "REB") {
    uint256 private percent = 100;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function rebase(uint256 percent_) external {
        percent = percent_;
    }

    function balanceOf(address account) public view override returns (uint256) {
        return super.balanceOf(account) * percent / 100;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, from == address(0) ? amount : amount * 100 / percent);
    }
}

/// Answers whatever it is asked about itself with the same bytes, or fails.
contract OddToken is ERC20("", "") {
    bytes private answer;
    bool private fails;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function say(bytes calldata answer_) external {
        (answer, fails) = (answer_, false);
    }

    function fail(bytes calldata reason) external {
        (answer, fails) = (reason, true);
    }

    function name() public view override returns (string memory) {
        _answer();
    }

    function symbol() public view override returns (string memory) {
        _answer();
    }

    function decimals() public view override returns (uint8) {
        _answer();
    }

    function _answer() private view {
        bytes memory output = answer;
        bool isRevert = fails;
        assembly ("memory-safe") {
            if isRevert { revert(add(output, 32), mload(output)) }
            return(add(output, 32), mload(output))
        }
    }
}

/// Every token is one of its kind, and it says so.
contract UniqueToken is ERC721("Unique", "UNQ") {
    function mint(address to, uint256 id) external {
        _mint(to, id);
    }
}

/// Every token is one of its kind, and it does not say so.
contract OldUniqueToken {
    mapping(uint256 id => address) public ownerOf;
    mapping(address owner => uint256) public balanceOf;

    function mint(address to, uint256 id) external {
        ownerOf[id] = to;
        balanceOf[to] += 1;
    }

    function approve(address, uint256) external {}

    function transferFrom(address from, address to, uint256 id) external {
        require(ownerOf[id] == from, "not its owner");
        ownerOf[id] = to;
        balanceOf[from] -= 1;
        balanceOf[to] += 1;
    }
}

/// Answers yes to whatever it does not know.
contract AgreeableToken is Token {
    fallback() external {
        assembly ("memory-safe") {
            mstore(0, 1)
            return(0, 32)
        }
    }
}

/// Has a name, a symbol and decimals for who asks with gas enough.
contract DearToken is ERC20("Dear", "DEAR") {
    uint256 private constant LEAST_GAS = 45_000;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function name() public view override returns (string memory) {
        return gasleft() < LEAST_GAS ? "" : super.name();
    }

    function symbol() public view override returns (string memory) {
        return gasleft() < LEAST_GAS ? "" : super.symbol();
    }

    function decimals() public view override returns (uint8) {
        return gasleft() < LEAST_GAS ? 0 : super.decimals();
    }
}

/// Answers with as much as its gas pays for.
contract LoudToken is ERC20("", "") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function name() public pure override returns (string memory) {
        assembly ("memory-safe") {
            return(0, 300000)
        }
    }

    function symbol() public pure override returns (string memory) {
        while (true) {}
        return "";
    }

    function supportsInterface(bytes4) external pure returns (bool) {
        while (true) {}
        return true;
    }
}
