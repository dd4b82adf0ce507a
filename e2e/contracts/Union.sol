// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

interface IGate {
    function proxyOf(uint256 chainId, address target) external view returns (address);
    function deployProxy(uint256 chainId, address target) external returns (address);
    function transcript(uint256 peer) external view returns (bytes32 hash, uint256 sent, uint256 received);
}

/// What a caller on another rollup asks of [`Callee`], and what it asks in turn.
interface ICaller {
    function priceOf(uint256 item) external returns (uint256);
}

/// A contract that is called from another rollup, and calls back into it before it answers.
contract Callee {
    uint256 public sold;
    address public customer;

    error SoldOut(uint256 item);

    /// Doubles the price that the caller's own contract says.
    function quote(uint256 item) external payable returns (uint256) {
        if (item == 0) revert SoldOut(item);
        customer = msg.sender;
        sold += 1;
        return 2 * ICaller(msg.sender).priceOf(item);
    }
}

/// A contract that calls [`Callee`] through its proxy, and uses what comes back.
contract Caller {
    Callee public immutable CALLEE;
    uint256 public lastQuote;
    bytes public lastError;
    uint256 public asked;

    constructor(Callee callee) {
        CALLEE = callee;
    }

    /// Called back by the peer, in the middle of this contract's call.
    function priceOf(uint256 item) external returns (uint256) {
        asked += 1;
        return 10 * item;
    }

    function buy(uint256 item) external payable {
        lastQuote = CALLEE.quote{value: msg.value}(item) + 1;
    }

    function tryToBuy(uint256 item) external payable {
        try CALLEE.quote{value: msg.value}(item) returns (uint256 price) {
            lastQuote = price;
        } catch (bytes memory reason) {
            lastError = reason;
        }
    }

    /// The call succeeds, and then everything is taken back.
    function buyAndRegret(uint256 item) external payable {
        CALLEE.quote{value: msg.value}(item);
        revert("regret");
    }

    receive() external payable {}
}
