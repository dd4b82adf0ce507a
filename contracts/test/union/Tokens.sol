// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

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
