// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// Sells gas of the rollup for gas of L1: deposits pay for their execution by burning gas where they are made.
///
/// The price follows EIP-1559 with a tenth of the limit as target, and at most `maxResourceLimit` gas is sold per L1
/// block, so that deposits cannot fill the rollup's blocks (OP specification: guaranteed gas market).
abstract contract ResourceMeter {
    /// What was sold, in one slot.
    struct ResourceParams {
        /// The price of the newest block with deposits, in wei per gas.
        uint128 prevBaseFee;
        /// The gas sold in it.
        uint64 prevBoughtGas;
        /// Its number.
        uint64 prevBlockNum;
    }

    struct ResourceConfig {
        uint32 maxResourceLimit;
        uint8 elasticityMultiplier;
        uint8 baseFeeMaxChangeDenominator;
        uint32 minimumBaseFee;
        uint32 systemTxMaxGas;
        uint128 maximumBaseFee;
    }

    /// This L1 block has no gas left to sell.
    error ResourceLimit(uint256 bought, uint256 limit);

    /// What gas on L1 is taken to cost at least, in wei, when the price is turned into gas to burn.
    uint256 private constant LEAST_L1_PRICE = 1 gwei;
    /// After so many blocks without deposits, any price is down at the minimum: (7/8)^512 < 2^-98.
    uint256 private constant MOST_EMPTY_BLOCKS = 512;
    uint256 private constant ONE = 1e18;

    /// Slot 0.
    ResourceParams public params;

    /// Runs the function and then burns what `amount` of gas costs, less what the function itself used.
    modifier metered(uint64 amount, ResourceConfig memory config) {
        uint256 gasBefore = gasleft();
        _;
        _meter(amount, gasBefore, config);
    }

    /// Sells `amount` of gas to a caller who had `gasBefore` when the function began.
    function _meter(uint64 amount, uint256 gasBefore, ResourceConfig memory config) private {
        ResourceParams memory last = params;
        if (block.number != last.prevBlockNum) {
            last.prevBaseFee = _baseFee(last, block.number - last.prevBlockNum, config);
            last.prevBoughtGas = 0;
            last.prevBlockNum = uint64(block.number);
        }
        uint256 bought = uint256(last.prevBoughtGas) + amount;
        if (bought > config.maxResourceLimit) revert ResourceLimit(bought, config.maxResourceLimit);
        last.prevBoughtGas = uint64(bought);
        params = last;

        uint256 price = block.basefee > LEAST_L1_PRICE ? block.basefee : LEAST_L1_PRICE;
        uint256 cost = uint256(amount) * last.prevBaseFee / price;
        uint256 used = gasBefore - gasleft();
        if (cost > used) _burn(cost - used);
    }

    /// The price `blocks` blocks after `last`, of which all but the first had no deposits.
    function _baseFee(ResourceParams memory last, uint256 blocks, ResourceConfig memory config)
        private
        pure
        returns (uint128)
    {
        uint256 target = config.maxResourceLimit / config.elasticityMultiplier;
        uint256 denominator = config.baseFeeMaxChangeDenominator;
        uint256 fee = last.prevBaseFee;
        if (last.prevBoughtGas > target) {
            fee += fee * (last.prevBoughtGas - target) / target / denominator;
        } else {
            fee -= fee * (target - last.prevBoughtGas) / target / denominator;
        }
        if (blocks > 1) {
            uint256 factor = ONE - ONE / denominator;
            fee = fee * _power(factor, blocks > MOST_EMPTY_BLOCKS ? MOST_EMPTY_BLOCKS : blocks - 1) / ONE;
        }
        if (fee < config.minimumBaseFee) return config.minimumBaseFee;
        return fee > config.maximumBaseFee ? config.maximumBaseFee : uint128(fee);
    }

    /// `base` to the power of `exponent`, both factor and result in units of 1e-18.
    function _power(uint256 base, uint256 exponent) private pure returns (uint256 result) {
        result = ONE;
        for (; exponent > 0; exponent >>= 1) {
            if (exponent & 1 == 1) result = result * base / ONE;
            base = base * base / ONE;
        }
    }

    /// Uses up `amount` of gas, which fails the transaction if it has less.
    function _burn(uint256 amount) private view {
        uint256 begin = gasleft();
        while (begin - gasleft() < amount) {}
    }
}
