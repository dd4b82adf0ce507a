// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// What an account may delegate to (EIP-7702): it sends several calls in one transaction.
contract Delegate {
    struct Call {
        address to;
        uint256 value;
        bytes data;
    }

    event Executed(address indexed account, uint256 calls);

    error OnlyTheAccountItself(address sender);

    function execute(Call[] calldata calls) external payable {
        if (msg.sender != address(this)) revert OnlyTheAccountItself(msg.sender);
        for (uint256 i = 0; i < calls.length; i++) {
            (bool success, bytes memory output) = calls[i].to.call{value: calls[i].value}(calls[i].data);
            if (!success) {
                assembly {
                    revert(add(output, 32), mload(output))
                }
            }
        }
        emit Executed(address(this), calls.length);
    }

    receive() external payable {}
}
