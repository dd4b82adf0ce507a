// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// Pays those who lock tokens up, by share and time, in points that are no tokens.
///
/// For benchmarks: as in most contracts of this kind, who comes in writes sums that everybody else reads, and an account
/// of their own.
contract BenchStaking {
    using SafeERC20 for IERC20;

    error NothingStaked();

    event Staked(address indexed account, uint256 amount);

    /// Points per second, for all together.
    uint256 public constant RATE = 1 ether;

    /// Slots 0 to 3: what is locked up, all of it, and the points that one unit has earned since the beginning, as a
    /// fixed-point number with 18 digits after the point, until when.
    IERC20 public token;
    uint256 public total;
    uint256 public pointsPerUnit;
    uint256 public countedUntil;
    /// Slots 4 to 6: by account, its part, what `pointsPerUnit` was when it was last counted, and its points then.
    mapping(address account => uint256) public staked;
    mapping(address account => uint256) public counted;
    mapping(address account => uint256) public points;

    constructor(IERC20 token_) {
        token = token_;
        countedUntil = block.timestamp;
    }

    /// Locks up more of the caller's tokens, by an allowance.
    function stake(uint256 amount) external {
        if (amount == 0) revert NothingStaked();
        _count(msg.sender);
        total += amount;
        staked[msg.sender] += amount;
        token.safeTransferFrom(msg.sender, address(this), amount);
        emit Staked(msg.sender, amount);
    }

    /// The points of an account now.
    function earned(address account) public view returns (uint256) {
        return points[account] + staked[account] * (_pointsPerUnit() - counted[account]) / 1 ether;
    }

    function _pointsPerUnit() private view returns (uint256) {
        if (total == 0) return pointsPerUnit;
        return pointsPerUnit + (block.timestamp - countedUntil) * RATE * 1 ether / total;
    }

    function _count(address account) private {
        pointsPerUnit = _pointsPerUnit();
        countedUntil = block.timestamp;
        points[account] = earned(account);
        counted[account] = pointsPerUnit;
    }
}
