// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// OpenZeppelin's ERC-20, as most tokens are. Balances are in slot 0, allowances in slot 1, the supply in slot 2.
contract BenchToken is ERC20 {
    /// All there is belongs to `holder`.
    constructor(address holder, uint256 supply) ERC20("Benchmark", "BENCH") {
        _mint(holder, supply);
    }
}
