// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// Pays those who lock tokens up in another token, by share and time.
///
/// For benchmarks: as in most contracts of this kind, who comes in writes sums that everybody else reads, and an account
/// of their own, and moves tokens both ways.
contract BenchStaking {
    using SafeERC20 for IERC20;

    struct Position {
        uint256 amount;
        uint256 time;
    }

    error NothingStaked();

    event Staked(address indexed account, uint256 amount, uint256 paid);

    /// What is paid per second, to all together.
    uint256 public constant RATE = 1 ether;

    /// Slots 0 to 4: what is locked up, what is paid in, all that is locked up, and what one unit of it has earned since
    /// the beginning, as a fixed-point number with 18 digits after the point, until when.
    IERC20 public token;
    IERC20 public reward;
    uint256 public total;
    uint256 public earnedPerUnit;
    uint256 public countedUntil;
    /// Slots 5 to 7: by account, its part, what `earnedPerUnit` was when it was last paid, and when it came.
    mapping(address account => uint256) public staked;
    mapping(address account => uint256) public paidPerUnit;
    mapping(address account => Position[]) public positions;

    constructor(IERC20 token_, IERC20 reward_) {
        token = token_;
        reward = reward_;
        countedUntil = block.timestamp;
    }

    /// Locks up more of the caller's tokens, by an allowance, and pays what it has earned until now.
    function stake(uint256 amount) external {
        if (amount == 0) revert NothingStaked();
        earnedPerUnit = _earnedPerUnit();
        countedUntil = block.timestamp;
        uint256 earned_ = earned(msg.sender);
        paidPerUnit[msg.sender] = earnedPerUnit;
        total += amount;
        staked[msg.sender] += amount;
        positions[msg.sender].push(Position(amount, block.timestamp));
        token.safeTransferFrom(msg.sender, address(this), amount);
        if (earned_ > 0) reward.safeTransfer(msg.sender, earned_);
        emit Staked(msg.sender, amount, earned_);
    }

    /// What an account would be paid now.
    function earned(address account) public view returns (uint256) {
        return staked[account] * (_earnedPerUnit() - paidPerUnit[account]) / 1 ether;
    }

    function _earnedPerUnit() private view returns (uint256) {
        if (total == 0) return earnedPerUnit;
        return earnedPerUnit + (block.timestamp - countedUntil) * RATE * 1 ether / total;
    }
}
