// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {G1Point, G2Point} from "../../src/lib/Bls.sol";
import {Registry} from "../../src/union/Registry.sol";
import {bound, vm} from "../lib/Vm.sol";
import {Union} from "./Union.sol";

/// What proposers and strangers can do with the registry, in any order, held against a model.
contract Proposers is Union {
    uint256 public constant KEYS = 3;

    struct Model {
        bool registered;
        uint64 exitSlot;
        uint256 collateral;
        uint64 lastDelegated;
    }

    mapping(uint256 secret => Model) private models;
    mapping(uint256 secret => mapping(uint64 slot => address)) private gateways;
    uint64 private lastSlot;
    uint256 public paid;

    constructor() {
        deployUnion();
    }

    receive() external payable {}

    function join(uint256 which, uint256 collateral) external {
        uint256 secret = 1 + which % KEYS;
        Model storage model = models[secret];
        collateral = bound(collateral, COLLATERAL, 100 ether);
        if (model.registered) return;
        register(secret, address(this), collateral);
        (model.registered, model.exitSlot, model.collateral) = (true, 0, collateral);
    }

    function add(uint256 which, uint256 collateral) external {
        uint256 secret = 1 + which % KEYS;
        Model storage model = models[secret];
        collateral = bound(collateral, 0, 10 ether);
        vm.deal(address(this), address(this).balance + collateral);
        try registry.addCollateral{value: collateral}(rootOf(secret)) {
            require(model.registered && model.exitSlot == 0, "added");
            model.collateral += collateral;
        } catch {
            require(!model.registered || model.exitSlot != 0, "not added");
        }
    }

    function give(uint256 which, uint64 first, uint64 count, address gateway) external {
        uint256 secret = 1 + which % KEYS;
        Model storage model = models[secret];
        first = current() + first % 60;
        uint64 last = first + count % 20;
        bool allowed = model.registered && model.exitSlot == 0 && gateway != address(0)
            && first >= current() + 2 * EPOCH && first > model.lastDelegated;
        Registry.Delegation memory delegation = Registry.Delegation(uint48(first), uint48(last), gateway);
        (G1Point memory key, G2Point memory signature) = signed(secret, delegation);
        try registry.delegate(key, delegation, signature) {
            require(allowed, "delegated");
            model.lastDelegated = last;
            for (uint64 slot = first; slot <= last; ++slot) {
                gateways[secret][slot] = gateway;
            }
            if (last > lastSlot) lastSlot = last;
        } catch {
            require(!allowed, "not delegated");
        }
    }

    function quit(uint256 which) external {
        uint256 secret = 1 + which % KEYS;
        Model storage model = models[secret];
        try registry.exit(rootOf(secret)) {
            require(model.registered && model.exitSlot == 0, "left");
            uint64 last = model.lastDelegated > current() ? model.lastDelegated : current();
            model.exitSlot = last + EXIT_DELAY;
        } catch {
            require(!model.registered || model.exitSlot != 0, "not left");
        }
    }

    function take(uint256 which) external {
        uint256 secret = 1 + which % KEYS;
        Model storage model = models[secret];
        bool allowed = model.registered && model.exitSlot != 0 && current() > model.exitSlot;
        uint256 before = address(this).balance;
        try registry.withdraw(rootOf(secret), payable(address(this))) {
            require(allowed, "taken");
            require(address(this).balance == before + model.collateral, "amount");
            paid += 1;
            (model.registered, model.exitSlot, model.collateral) = (false, 0, 0);
        } catch {
            require(!allowed, "not taken");
        }
    }

    function wait(uint64 slots) external {
        goTo(current() + 1 + slots % 80);
    }

    function check() external view {
        uint256 sum = 0;
        for (uint256 secret = 1; secret <= KEYS; ++secret) {
            Model memory model = models[secret];
            bytes32 key = rootOf(secret);
            sum += model.collateral;
            // Who has slots to come, or had some a short while ago, has collateral.
            if (model.lastDelegated != 0 && model.lastDelegated + EXIT_DELAY >= current()) {
                require(model.registered && model.collateral >= COLLATERAL, "owner without collateral");
            }
            uint64 from = lastSlot > 40 ? lastSlot - 40 : 0;
            for (uint64 slot = from; slot <= lastSlot; ++slot) {
                require(registry.gatewayAt(key, slot) == gateways[secret][slot], "gateway");
            }
        }
        require(address(registry).balance == sum, "balance");
    }
}

contract RegistryInvariantsTest {
    Proposers private proposers;

    function setUp() public {
        proposers = new Proposers();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(proposers);
    }

    /// The proposers can do what the invariant is about.
    function test_the_proposers_come_and_go() public {
        proposers.join(0, 5 ether);
        proposers.give(0, 30, 5, address(1));
        proposers.give(0, 50, 5, address(2));
        proposers.quit(0);
        proposers.take(0);
        require(proposers.paid() == 0, "too early");
        proposers.check();
        proposers.wait(79);
        proposers.wait(79);
        proposers.take(0);
        require(proposers.paid() == 1, "paid");
        proposers.join(0, 5 ether);
        proposers.check();
    }

    function invariant_slots_have_owners_with_collateral_and_the_registry_holds_it() public view {
        proposers.check();
    }
}
