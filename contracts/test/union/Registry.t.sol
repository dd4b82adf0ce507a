// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {G1Point, G2Point} from "../../src/lib/Bls.sol";
import {Lookahead} from "../../src/union/Lookahead.sol";
import {Registry} from "../../src/union/Registry.sol";
import {bound, vm} from "../lib/Vm.sol";
import {Signer} from "./Signer.sol";
import {Union} from "./Union.sol";

contract Refusing {
    receive() external payable {
        revert("no");
    }
}

contract RegistryTest is Union {
    uint256 private constant SECRET = 77;
    address private constant GATEWAY = address(0x9a);
    bytes32 private key;

    function setUp() public {
        deployUnion();
        key = rootOf(SECRET);
    }

    function registrationOf(bytes32 root) private view returns (Registry.Registration memory registration) {
        (registration.owner, registration.exitSlot, registration.collateral) = registry.registrations(root);
    }

    function quit() private {
        vm.prank(OWNER);
        registry.exit(key);
    }

    function withdraw(address to) private {
        vm.prank(OWNER);
        registry.withdraw(key, payable(to));
    }

    function test_a_key_is_registered_by_its_own_signature() public {
        register(SECRET, OWNER, 2 ether);
        Registry.Registration memory registration = registrationOf(key);
        require(registration.owner == OWNER && registration.exitSlot == 0, "registration");
        require(registration.collateral == 2 ether && address(registry).balance == 2 ether, "collateral");
        require(registry.registrationCount(key) == 1, "count");
    }

    function test_nobody_registers_the_key_of_another() public {
        G1Point memory point = Signer.keyOf(SECRET);
        vm.deal(address(this), 10 ether);
        G2Point[4] memory signatures = [
            // By another key; for another owner; for another time; for nothing in particular.
            Signer.sign(78, registry.registrationRoot(OWNER, 0)),
            Signer.sign(SECRET, registry.registrationRoot(address(this), 0)),
            Signer.sign(SECRET, registry.registrationRoot(OWNER, 1)),
            Signer.sign(SECRET, bytes32(0))
        ];
        for (uint256 i = 0; i < signatures.length; ++i) {
            vm.expectRevert(Registry.InvalidSignature.selector);
            registry.register{value: 1 ether}(point, OWNER, signatures[i]);
        }
        // Another registry's registration.
        Registry other = new Registry(Registry.Config(lookahead, COLLATERAL, EXIT_DELAY));
        G2Point memory elsewhere = Signer.sign(SECRET, other.registrationRoot(OWNER, 0));
        vm.expectRevert(Registry.InvalidSignature.selector);
        registry.register{value: 1 ether}(point, OWNER, elsewhere);
        // Another chain's.
        G2Point memory here = Signer.sign(SECRET, registry.registrationRoot(OWNER, 0));
        vm.chainId(block.chainid + 1);
        vm.expectRevert(Registry.InvalidSignature.selector);
        registry.register{value: 1 ether}(point, OWNER, here);
    }

    function test_what_is_no_registration_is_refused() public {
        G1Point memory point = Signer.keyOf(SECRET);
        G2Point memory signature = Signer.sign(SECRET, registry.registrationRoot(OWNER, 0));
        vm.deal(address(this), 10 ether);
        vm.expectRevert(abi.encodeWithSelector(Registry.SmallCollateral.selector, COLLATERAL));
        registry.register{value: COLLATERAL - 1}(point, OWNER, signature);
        vm.expectRevert(Registry.NoOwner.selector);
        registry.register{value: COLLATERAL}(point, address(0), signature);
        registry.register{value: COLLATERAL}(point, OWNER, signature);
        vm.expectRevert(Registry.AlreadyRegistered.selector);
        registry.register{value: COLLATERAL}(point, OWNER, signature);
    }

    function test_slots_are_delegated_by_the_key() public {
        register(SECRET, OWNER, COLLATERAL);
        uint64 open = registry.firstOpenSlot();
        require(open == START + 2 * EPOCH, "open");
        delegate(SECRET, open, open + 9, GATEWAY);
        delegate(SECRET, open + 20, open + 20, address(0x9b));
        require(registry.delegationCount(key) == 2 && registry.lastDelegatedSlot(key) == open + 20, "kept");
        require(registry.delegationOf(key, 0).gateway == GATEWAY, "first");
    }

    function test_nobody_delegates_the_slots_of_another() public {
        register(SECRET, OWNER, COLLATERAL);
        uint48 open = uint48(registry.firstOpenSlot());
        Registry.Delegation memory delegation = Registry.Delegation(open, open, GATEWAY);
        (G1Point memory point, G2Point memory signature) = signed(SECRET, delegation);
        // One field after another is not what was signed.
        Registry.Delegation[3] memory others = [
            Registry.Delegation(open + 1, open + 1, GATEWAY),
            Registry.Delegation(open, open + 1, GATEWAY),
            Registry.Delegation(open, open, address(0x9b))
        ];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.expectRevert(Registry.InvalidSignature.selector);
            registry.delegate(point, others[i], signature);
        }
        signature = Signer.sign(78, registry.delegationRoot(delegation, 0));
        vm.expectRevert(Registry.InvalidSignature.selector);
        registry.delegate(point, delegation, signature);
        signature = Signer.sign(SECRET, registry.delegationRoot(delegation, 1));
        vm.expectRevert(Registry.InvalidSignature.selector);
        registry.delegate(point, delegation, signature);
        // Without a registration, nothing is delegated.
        point = Signer.keyOf(78);
        vm.expectRevert(Registry.NotRegistered.selector);
        registry.delegate(point, delegation, signature);
    }

    function tryDelegate(uint64 first, uint64 last, address gateway, bytes memory reason) private {
        Registry.Delegation memory delegation = Registry.Delegation(uint48(first), uint48(last), gateway);
        (G1Point memory point, G2Point memory signature) = signed(SECRET, delegation);
        vm.expectRevert(reason);
        registry.delegate(point, delegation, signature);
    }

    function test_delegations_do_not_reach_back() public {
        register(SECRET, OWNER, COLLATERAL);
        uint64 open = registry.firstOpenSlot();
        tryDelegate(open - 1, open, GATEWAY, abi.encodeWithSelector(Registry.TooEarly.selector, open));
        delegate(SECRET, open, open + 9, GATEWAY);
        // What is delegated is never replaced.
        bytes memory taken = abi.encodeWithSelector(Registry.TooEarly.selector, open + 10);
        tryDelegate(open, open + 9, address(0x9b), taken);
        tryDelegate(open + 9, open + 12, address(0x9b), taken);
        uint64 end = open + registry.HORIZON_SLOTS();
        bytes memory slots = abi.encodeWithSelector(Registry.InvalidSlots.selector, end);
        tryDelegate(open + 11, open + 10, GATEWAY, slots);
        tryDelegate(open + 10, end, GATEWAY, slots);
        tryDelegate(end, end, GATEWAY, slots);
        tryDelegate(open + 10, open + 10, address(0), abi.encodePacked(Registry.NoGateway.selector));
        delegate(SECRET, open + 10, end - 1, address(0x9b));
    }

    /// Any delegations; every slot then has the gateway of the one that it is in.
    function testFuzz_a_slot_has_the_gateway_that_it_was_given(uint256 seed, uint8 count) public {
        register(SECRET, OWNER, COLLATERAL);
        uint64 open = registry.firstOpenSlot();
        address[] memory expected = new address[](160);
        uint64 next = open;
        for (uint256 i = 0; i < count % 6; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint64 first = next + uint64(seed % 12);
            uint64 last = first + uint64((seed >> 16) % 12);
            address gateway = address(uint160(1000 + i));
            delegate(SECRET, first, last, gateway);
            for (uint64 slot = first; slot <= last; ++slot) {
                expected[slot - open + 8] = gateway;
            }
            next = last + 1;
        }
        for (uint64 i = 0; i < expected.length; ++i) {
            require(registry.gatewayAt(key, open - 8 + i) == expected[i], "gateway");
        }
        require(registry.gatewayAt(rootOf(78), open) == address(0), "another key");
        require(registry.gatewayAt(key, type(uint64).max) == address(0), "the last slot");
    }

    /// Who owns the slots that a look-ahead shows is settled: nothing that anybody does changes it.
    function testFuzz_the_owners_of_known_slots_are_settled(uint64 present, uint64 first) public {
        register(SECRET, OWNER, COLLATERAL);
        present = uint64(bound(present, START, START + 500));
        goTo(present);
        uint64 known = present - present % EPOCH + 2 * EPOCH - 1;
        first = uint64(bound(first, present - 10, present + 40));
        Registry.Delegation memory delegation = Registry.Delegation(uint48(first), uint48(first + 3), GATEWAY);
        (G1Point memory point, G2Point memory signature) = signed(SECRET, delegation);
        try registry.delegate(point, delegation, signature) {
            require(first > known, "too late");
        } catch {
            require(first < present + 2 * EPOCH, "in time");
        }
        for (uint64 slot = present - 10; slot <= known; ++slot) {
            require(registry.gatewayAt(key, slot) == address(0), "changed");
        }
    }

    function test_collateral_stays_until_all_delegated_slots_are_long_past() public {
        register(SECRET, OWNER, COLLATERAL);
        uint64 open = registry.firstOpenSlot();
        delegate(SECRET, open, open + 100, GATEWAY);
        vm.expectRevert(Registry.NotExiting.selector);
        withdraw(OWNER);
        quit();
        uint64 exitSlot = open + 100 + EXIT_DELAY;
        require(registrationOf(key).exitSlot == exitSlot, "exit");
        goTo(exitSlot);
        vm.expectRevert(abi.encodeWithSelector(Registry.NotYet.selector, exitSlot));
        withdraw(OWNER);
        goTo(exitSlot + 1);
        withdraw(address(0xcafe));
        require(address(0xcafe).balance == COLLATERAL && address(registry).balance == 0, "paid");
        vm.expectRevert(Registry.NotRegistered.selector);
        withdraw(OWNER);
        // What was, is still told.
        require(registry.gatewayAt(key, open) == GATEWAY, "history");
    }

    function test_a_proposer_that_leaves_does_nothing_else() public {
        register(SECRET, OWNER, COLLATERAL);
        quit();
        bytes memory exiting = abi.encodeWithSelector(Registry.IsExiting.selector, START + EXIT_DELAY);
        uint64 open = registry.firstOpenSlot();
        tryDelegate(open, open, GATEWAY, exiting);
        vm.expectRevert(exiting);
        quit();
        vm.deal(address(this), 1 ether);
        vm.expectRevert(exiting);
        registry.addCollateral{value: 1 ether}(key);
    }

    function testFuzz_only_the_owner_leaves(address caller) public {
        register(SECRET, OWNER, COLLATERAL);
        if (caller == OWNER) return;
        vm.expectRevert(Registry.NotOwner.selector);
        vm.prank(caller);
        registry.exit(key);
        quit();
        goTo(START + EXIT_DELAY + 1);
        vm.expectRevert(Registry.NotOwner.selector);
        vm.prank(caller);
        registry.withdraw(key, payable(caller));
    }

    function test_nothing_signed_holds_for_another_registration() public {
        G1Point memory point = Signer.keyOf(SECRET);
        G2Point memory first = Signer.sign(SECRET, registry.registrationRoot(OWNER, 0));
        vm.deal(address(this), 10 ether);
        registry.register{value: COLLATERAL}(point, OWNER, first);
        uint48 slot = uint48(START + 1000);
        Registry.Delegation memory delegation = Registry.Delegation(slot, slot, GATEWAY);
        (, G2Point memory unused) = signed(SECRET, delegation);
        quit();
        goTo(START + EXIT_DELAY + 1);
        withdraw(OWNER);
        vm.expectRevert(Registry.InvalidSignature.selector);
        registry.register{value: COLLATERAL}(point, OWNER, first);
        register(SECRET, OWNER, COLLATERAL);
        vm.expectRevert(Registry.InvalidSignature.selector);
        registry.delegate(point, delegation, unused);
    }

    function test_collateral_can_be_added_and_a_refused_payment_loses_nothing() public {
        register(SECRET, OWNER, COLLATERAL);
        vm.deal(address(this), 3 ether);
        registry.addCollateral{value: 3 ether}(key);
        bytes32 other = rootOf(78);
        vm.expectRevert(Registry.NotRegistered.selector);
        registry.addCollateral(other);
        quit();
        goTo(START + EXIT_DELAY + 1);
        address refusing = address(new Refusing());
        vm.expectRevert(Registry.PaymentFailed.selector);
        withdraw(refusing);
        require(registrationOf(key).collateral == COLLATERAL + 3 ether, "kept");
        withdraw(OWNER);
        require(OWNER.balance == COLLATERAL + 3 ether, "paid");
    }

    function test_the_domain_is_of_an_application() public view {
        require(bytes4(registry.domain()) == 0x4c530001, "type");
        bytes32 here = keccak256(abi.encode(block.chainid, address(registry)));
        require(registry.domain() << 32 == bytes32(uint256(here) >> 32 << 32), "chain and contract");
        bytes32 object =
            keccak256(abi.encode(keccak256("Register(address owner,uint64 registration)"), OWNER, uint64(3)));
        require(registry.registrationRoot(OWNER, 3) == sha256(abi.encode(object, registry.domain())), "root");
    }

    function test_senseless_settings_are_refused() public {
        vm.expectRevert(Registry.InvalidConfig.selector);
        new Registry(Registry.Config(Lookahead(address(1)), COLLATERAL, EXIT_DELAY));
        vm.expectRevert(Registry.InvalidConfig.selector);
        new Registry(Registry.Config(lookahead, 0, EXIT_DELAY));
        vm.expectRevert(Registry.InvalidConfig.selector);
        new Registry(Registry.Config(lookahead, COLLATERAL, 0));
        vm.expectRevert(Registry.InvalidConfig.selector);
        new Registry(Registry.Config(lookahead, COLLATERAL, 2_628_001));
    }
}
