// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Rollups} from "@lockstep/app/Rollups.sol";
import {Pool} from "./Pool.sol";
import {Token} from "./Token.sol";

/// Swaps a token of this rollup for one of another, in one transaction.
///
/// It sells in the pool here, and buys in the pool there with the ether that this brought. If what it gets is too little,
/// neither has happened, on either rollup: nobody is ever left with ether on the way.
contract CrossSwap {
    error NotPaid();
    error TooLittle(uint256 bought, uint256 least);

    Pool public pool;
    Token public token;
    uint256 public peerChain;
    /// The pool's proxy on this rollup.
    Pool public peerPool;

    /// `pool_` is on this rollup, `peerPool_` on chain `peerChain_`.
    constructor(Pool pool_, uint256 peerChain_, address peerPool_) {
        pool = pool_;
        token = pool_.token();
        peerChain = peerChain_;
        peerPool = Pool(Rollups.deployProxy(peerChain_, peerPool_));
    }

    /// From the pool, when it buys.
    receive() external payable {}

    /// Swaps `amount` of the caller's tokens for at least `least` of the peer's, which `recipient` gets there.
    function swap(uint256 amount, uint256 least, address recipient) external returns (uint256 bought) {
        require(token.transferFrom(msg.sender, address(this), amount), NotPaid());
        token.approve(address(pool), amount);
        uint256 paid = pool.sell(amount);
        // On the other rollup, now.
        bought = peerPool.buy{value: paid}(recipient);
        require(bought >= least, TooLittle(bought, least));
    }
}
