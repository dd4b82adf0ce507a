// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {BenchPair} from "./BenchPair.sol";

/// Makes pairs, and swaps along a path of them.
///
/// For benchmarks: a swap does what one over Uniswap v2's router does, from finding the pairs by computation to taking
/// the tokens by an allowance.
contract BenchRouter {
    using SafeERC20 for IERC20;

    error Expired(uint256 deadline);
    error SameToken(address token);
    error PathTooShort(uint256 length);
    error NothingPaid();
    error NoReserves();
    error TooLittle(uint256 amount, uint256 least);

    /// Keccak-256 of the pair's creation code. A constant, since the code itself would be hashed at each use; a test
    /// compares.
    bytes32 public constant PAIR_CODE_HASH = 0x56fcb15055aac63636c7b72c69c3d7eadd47cf76a259d7225a238dbed3b2e605;

    modifier before(uint256 deadline) {
        if (block.timestamp > deadline) revert Expired(deadline);
        _;
    }

    function createPair(address tokenA, address tokenB) external returns (BenchPair pair) {
        (address first, address second) = sortTokens(tokenA, tokenB);
        pair = new BenchPair{salt: keccak256(abi.encodePacked(first, second))}();
        pair.initialize(first, second);
    }

    /// Pays `amountIn` of the path's first token, and gives what that is worth of its last one to `to`.
    function swapExactTokensForTokens(
        uint256 amountIn,
        uint256 amountOutMin,
        address[] calldata path,
        address to,
        uint256 deadline
    ) external before(deadline) returns (uint256[] memory amounts) {
        amounts = getAmountsOut(amountIn, path);
        uint256 amountOut = amounts[amounts.length - 1];
        if (amountOut < amountOutMin) revert TooLittle(amountOut, amountOutMin);
        IERC20(path[0]).safeTransferFrom(msg.sender, pairFor(path[0], path[1]), amounts[0]);
        for (uint256 i = 0; i < path.length - 1; i++) {
            (address input, address output) = (path[i], path[i + 1]);
            (address first,) = sortTokens(input, output);
            (uint256 amount0Out, uint256 amount1Out) =
                input == first ? (uint256(0), amounts[i + 1]) : (amounts[i + 1], uint256(0));
            address receiver = i < path.length - 2 ? pairFor(output, path[i + 2]) : to;
            BenchPair(pairFor(input, output)).swap(amount0Out, amount1Out, receiver);
        }
    }

    /// What comes out of each pair of the path.
    function getAmountsOut(uint256 amountIn, address[] calldata path) public view returns (uint256[] memory amounts) {
        if (path.length < 2) revert PathTooShort(path.length);
        amounts = new uint256[](path.length);
        amounts[0] = amountIn;
        for (uint256 i = 0; i < path.length - 1; i++) {
            (uint256 reserveIn, uint256 reserveOut) = _reserves(path[i], path[i + 1]);
            amounts[i + 1] = getAmountOut(amounts[i], reserveIn, reserveOut);
        }
    }

    /// The most that a pair gives for `amountIn`.
    function getAmountOut(uint256 amountIn, uint256 reserveIn, uint256 reserveOut) public pure returns (uint256) {
        if (amountIn == 0) revert NothingPaid();
        if (reserveIn == 0 || reserveOut == 0) revert NoReserves();
        uint256 afterFee = amountIn * 997;
        return afterFee * reserveOut / (reserveIn * 1000 + afterFee);
    }

    /// Where the pair of two tokens is, or would be.
    function pairFor(address tokenA, address tokenB) public view returns (address) {
        (address first, address second) = sortTokens(tokenA, tokenB);
        bytes32 salt = keccak256(abi.encodePacked(first, second));
        bytes32 hash = keccak256(abi.encodePacked(hex"ff", address(this), salt, PAIR_CODE_HASH));
        return address(uint160(uint256(hash)));
    }

    function sortTokens(address tokenA, address tokenB) public pure returns (address first, address second) {
        if (tokenA == tokenB) revert SameToken(tokenA);
        return tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
    }

    function _reserves(address tokenA, address tokenB) private view returns (uint256, uint256) {
        (address first,) = sortTokens(tokenA, tokenB);
        (uint112 reserve0, uint112 reserve1,) = BenchPair(pairFor(tokenA, tokenB)).getReserves();
        return tokenA == first ? (reserve0, reserve1) : (reserve1, reserve0);
    }
}
