// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Bls, G1Point, G2Point} from "../../src/lib/Bls.sol";
import {Lookahead} from "../../src/union/Lookahead.sol";
import {Registry} from "../../src/union/Registry.sol";
import {vm} from "../lib/Vm.sol";
import {Beacon} from "./Beacon.sol";
import {Signer} from "./Signer.sol";

/// A beacon chain by the minimal preset, and a registry for its proposers.
abstract contract Union {
    uint64 internal constant GENESIS_S = 1_000_000;
    uint64 internal constant SLOT_S = 12;
    uint64 internal constant EPOCH = 8;
    uint64 internal constant START = 1000;
    uint64 internal constant EXIT_DELAY = 50;
    uint256 internal constant COLLATERAL = 1 ether;
    address internal constant OWNER = address(0xa11ce);

    Lookahead internal lookahead;
    Registry internal registry;

    function deployUnion() internal {
        Lookahead.Layout[] memory layouts = new Lookahead.Layout[](1);
        layouts[0] = Beacon.fulu(0);
        lookahead = new Lookahead(Lookahead.Chain(GENESIS_S, SLOT_S, EPOCH, 1 << 40), layouts);
        registry = new Registry(Registry.Config(lookahead, COLLATERAL, EXIT_DELAY));
        goTo(START);
    }

    /// To the begin of a slot.
    function goTo(uint64 slot) internal {
        vm.warp(GENESIS_S + slot * SLOT_S);
    }

    function current() internal view returns (uint64) {
        return lookahead.slotAt(block.timestamp);
    }

    function rootOf(uint256 secret) internal view returns (bytes32) {
        return Bls.rootOf(Signer.keyOf(secret));
    }

    function register(uint256 secret, address owner, uint256 collateral) internal {
        uint64 count = registry.registrationCount(rootOf(secret));
        G2Point memory signature = Signer.sign(secret, registry.registrationRoot(owner, count));
        vm.deal(address(this), address(this).balance + collateral);
        registry.register{value: collateral}(Signer.keyOf(secret), owner, signature);
    }

    function delegate(uint256 secret, uint64 first, uint64 last, address gateway) internal {
        Registry.Delegation memory delegation = Registry.Delegation(uint48(first), uint48(last), gateway);
        (G1Point memory key, G2Point memory signature) = signed(secret, delegation);
        registry.delegate(key, delegation, signature);
    }

    /// What the key signs in its present registration.
    function signed(uint256 secret, Registry.Delegation memory delegation)
        internal
        view
        returns (G1Point memory key, G2Point memory signature)
    {
        key = Signer.keyOf(secret);
        uint64 count = registry.registrationCount(rootOf(secret));
        signature = Signer.sign(secret, registry.delegationRoot(delegation, count == 0 ? 0 : count - 1));
    }
}
