// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// Exchanges two tokens so that the product of its reserves never falls, for a fee of 0.3 %.
///
/// For benchmarks: a swap reads, writes, calls and logs what one of Uniswap v2 does, in contracts of their own. There are
/// no shares: what is given to the pair belongs to it for good.
contract BenchPair {
    using SafeERC20 for IERC20;

    error AlreadyInitialized();
    error Locked();
    error NothingAsked();
    error NothingPaid();
    error NotEnoughPaid();
    error ReserveTooSmall(uint256 reserve0, uint256 reserve1);
    error ReceiverIsToken(address receiver);
    error BalanceTooLarge(uint256 balance0, uint256 balance1);

    event Sync(uint112 reserve0, uint112 reserve1);
    event Swap(
        address indexed sender,
        uint256 amount0In,
        uint256 amount1In,
        uint256 amount0Out,
        uint256 amount1Out,
        address indexed to
    );

    /// Slots 0 and 1; the token with the lower address is the first.
    address public token0;
    address public token1;
    /// Slot 2: reserves and the time of the newest change, packed.
    uint112 private _reserve0;
    uint112 private _reserve1;
    uint32 private _changedAt;
    /// Sums of the prices, as fixed-point numbers with 112 binary digits after the point, over the seconds that they held.
    uint256 public price0Cumulative;
    uint256 public price1Cumulative;
    /// Slot 5.
    uint256 private _lock = OPEN;

    uint256 private constant OPEN = 1;
    uint256 private constant CLOSED = 2;
    /// The fee, and what it is a fraction of.
    uint256 private constant FEE = 3;
    uint256 private constant WHOLE = 1000;

    modifier lock() {
        if (_lock != OPEN) revert Locked();
        _lock = CLOSED;
        _;
        _lock = OPEN;
    }

    /// Says once what is exchanged here. The creator does so at once: creation takes no arguments, so that the address
    /// depends on the tokens by its salt alone.
    function initialize(address first, address second) external {
        if (token0 != address(0)) revert AlreadyInitialized();
        token0 = first;
        token1 = second;
    }

    function getReserves() public view returns (uint112 reserve0, uint112 reserve1, uint32 changedAt) {
        return (_reserve0, _reserve1, _changedAt);
    }

    /// Takes what the pair has for its reserves.
    function sync() external lock {
        (uint112 reserve0, uint112 reserve1,) = getReserves();
        _update(IERC20(token0).balanceOf(address(this)), IERC20(token1).balanceOf(address(this)), reserve0, reserve1);
    }

    /// Pays out what is asked for, if what was paid in before is worth it.
    function swap(uint256 amount0Out, uint256 amount1Out, address to) external lock {
        if (amount0Out == 0 && amount1Out == 0) revert NothingAsked();
        (uint112 reserve0, uint112 reserve1,) = getReserves();
        if (amount0Out >= reserve0 || amount1Out >= reserve1) revert ReserveTooSmall(reserve0, reserve1);
        uint256 balance0;
        uint256 balance1;
        {
            IERC20 first = IERC20(token0);
            IERC20 second = IERC20(token1);
            if (to == address(first) || to == address(second)) revert ReceiverIsToken(to);
            if (amount0Out > 0) first.safeTransfer(to, amount0Out);
            if (amount1Out > 0) second.safeTransfer(to, amount1Out);
            balance0 = first.balanceOf(address(this));
            balance1 = second.balanceOf(address(this));
        }
        uint256 amount0In = _paid(balance0, reserve0 - amount0Out);
        uint256 amount1In = _paid(balance1, reserve1 - amount1Out);
        if (amount0In == 0 && amount1In == 0) revert NothingPaid();
        uint256 product = (balance0 * WHOLE - amount0In * FEE) * (balance1 * WHOLE - amount1In * FEE);
        if (product < uint256(reserve0) * reserve1 * WHOLE ** 2) revert NotEnoughPaid();
        _update(balance0, balance1, reserve0, reserve1);
        emit Swap(msg.sender, amount0In, amount1In, amount0Out, amount1Out, to);
    }

    function _paid(uint256 balance, uint256 kept) private pure returns (uint256) {
        return balance > kept ? balance - kept : 0;
    }

    /// Makes balances the reserves, and counts the prices that held until now.
    function _update(uint256 balance0, uint256 balance1, uint112 reserve0, uint112 reserve1) private {
        if (balance0 > type(uint112).max || balance1 > type(uint112).max) revert BalanceTooLarge(balance0, balance1);
        uint32 time = uint32(block.timestamp);
        // Times and sums wrap around; differences are right all the same. A price is a rounded quotient.
        unchecked {
            uint32 elapsed = time - _changedAt;
            if (elapsed > 0 && reserve0 != 0 && reserve1 != 0) {
                // forge-lint: disable-next-line(divide-before-multiply)
                price0Cumulative += ((uint256(reserve1) << 112) / reserve0) * elapsed;
                // forge-lint: disable-next-line(divide-before-multiply)
                price1Cumulative += ((uint256(reserve0) << 112) / reserve1) * elapsed;
            }
        }
        _reserve0 = uint112(balance0);
        _reserve1 = uint112(balance1);
        _changedAt = time;
        emit Sync(uint112(balance0), uint112(balance1));
    }
}
