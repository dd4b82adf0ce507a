// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {OutputOracle} from "../src/l1/OutputOracle.sol";
import {Portal} from "../src/l1/Portal.sol";
import {ResourceMeter} from "../src/l1/ResourceMeter.sol";
import {SystemConfig} from "../src/l1/SystemConfig.sol";
import {Senders} from "../src/lib/Senders.sol";
import {Bridge} from "./lib/Bridge.sol";
import {Vm, bound, vm} from "./lib/Vm.sol";

contract DepositsTest is Bridge {
    address internal constant ALICE = address(0xa11ce);

    function setUp() public {
        deployBridge();
        vm.fee(1 gwei);
    }

    /// The only event of the portal since recording began.
    function deposit() private returns (address from, address to, bytes memory data) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1 && logs[0].emitter == address(portal), "one event");
        require(logs[0].topics.length == 4, "topics");
        require(logs[0].topics[0] == keccak256("TransactionDeposited(address,address,uint256,bytes)"), "event");
        require(logs[0].topics[3] == bytes32(0), "version");
        from = address(uint160(uint256(logs[0].topics[1])));
        to = address(uint160(uint256(logs[0].topics[2])));
        data = abi.decode(logs[0].data, (bytes));
    }

    function testFuzz_a_deposit_is_told_in_full(
        address to,
        uint256 value,
        uint64 gasLimit,
        bytes calldata input,
        uint96 mint
    ) public {
        gasLimit = uint64(bound(gasLimit, portal.minimumGasLimit(uint64(input.length)), 200_000));
        vm.deal(ALICE, mint);
        vm.recordLogs();
        vm.prank(ALICE, ALICE);
        portal.depositTransaction{value: mint}(to, value, gasLimit, false, input);
        (address from, address target, bytes memory data) = deposit();
        require(from == ALICE && target == to, "parties");
        bytes memory expected = abi.encodePacked(uint256(mint), value, gasLimit, uint8(0), input);
        require(keccak256(data) == keccak256(expected), "data");
        require(address(portal).balance == mint, "balance");
    }

    function test_a_creation_is_told_as_such() public {
        vm.recordLogs();
        vm.prank(ALICE, ALICE);
        portal.depositTransaction(address(0), 5, 100_000, true, hex"60");
        (, address to, bytes memory data) = deposit();
        require(to == address(0), "to");
        require(keccak256(data) == keccak256(abi.encodePacked(uint256(0), uint256(5), uint64(100_000), true, hex"60")));
    }

    function test_a_creation_has_no_target() public {
        vm.expectRevert(Portal.BadTarget.selector);
        portal.depositTransaction(ALICE, 0, 100_000, true, "");
    }

    function testFuzz_a_contract_is_told_by_its_alias(uint160 sender) public {
        vm.recordLogs();
        vm.prank(address(sender), ALICE);
        portal.depositTransaction(ALICE, 0, 100_000, false, "");
        (address from,,) = deposit();
        unchecked {
            uint160 aliased = sender + uint160(0x1111000000000000000000000000000000001111);
            require(from == (address(sender) == ALICE ? ALICE : address(aliased)), "alias");
        }
    }

    function test_an_account_that_delegates_its_code_keeps_its_address() public {
        // A delegation, a contract that is as long as one, and a short one.
        bytes[3] memory codes =
            [abi.encodePacked(hex"ef0100", address(1)), abi.encodePacked(hex"600100", address(1)), bytes(hex"600100")];
        for (uint256 i = 0; i < codes.length; ++i) {
            vm.etch(ALICE, codes[i]);
            vm.recordLogs();
            vm.prank(ALICE, OWNER);
            portal.depositTransaction(ALICE, 0, 100_000, false, "");
            (address from,,) = deposit();
            require((from == ALICE) == (i == 0), "from");
        }
    }

    function test_a_plain_transfer_is_a_deposit_to_oneself() public {
        vm.deal(ALICE, 3 ether);
        vm.recordLogs();
        vm.prank(ALICE, ALICE);
        (bool success,) = address(portal).call{value: 3 ether}("");
        require(success, "transfer");
        (address from, address to, bytes memory data) = deposit();
        require(from == ALICE && to == ALICE, "parties");
        require(
            keccak256(data) == keccak256(abi.encodePacked(uint256(3 ether), uint256(3 ether), uint64(100_000), false))
        );
    }

    function test_a_plain_transfer_by_a_contract_arrives_at_its_own_address() public {
        vm.deal(ALICE, 3 ether);
        vm.recordLogs();
        vm.prank(ALICE, OWNER);
        (bool success,) = address(portal).call{value: 3 ether}("");
        require(success, "transfer");
        (address from, address to,) = deposit();
        require(from == Senders.aliased(ALICE) && to == ALICE, "parties");
    }

    function test_a_portal_from_which_nothing_could_be_withdrawn_is_refused() public {
        vm.expectRevert(abi.encodeWithSelector(Portal.NotAContract.selector, ALICE));
        new Portal(OutputOracle(ALICE), config);
        vm.expectRevert(abi.encodeWithSelector(Portal.NotAContract.selector, ALICE));
        new Portal(oracle, SystemConfig(ALICE));
    }

    function test_a_donation_is_no_deposit() public {
        vm.deal(ALICE, 1 ether);
        vm.recordLogs();
        vm.prank(ALICE, ALICE);
        portal.donateETH{value: 1 ether}();
        require(vm.getRecordedLogs().length == 0 && address(portal).balance == 1 ether, "donation");
    }

    function testFuzz_gas_must_pay_for_the_call_data(uint256 length) public {
        length = bound(length, 0, 5_000);
        uint64 least = uint64(21_000 + 40 * length);
        portal.depositTransaction(ALICE, 0, least, false, new bytes(length));
        vm.expectRevert(abi.encodeWithSelector(Portal.SmallGasLimit.selector, least));
        portal.depositTransaction(ALICE, 0, least - 1, false, new bytes(length));
    }

    function test_call_data_has_a_limit() public {
        portal.depositTransaction(ALICE, 0, 10_000_000, false, new bytes(120_000));
        vm.expectRevert(abi.encodeWithSelector(Portal.LargeCalldata.selector, 120_000));
        portal.depositTransaction(ALICE, 0, 10_000_000, false, new bytes(120_001));
    }

    function test_a_block_sells_no_more_gas_than_its_limit() public {
        vm.fee(10_000 gwei);
        portal.depositTransaction(ALICE, 0, 15_000_000, false, "");
        portal.depositTransaction(ALICE, 0, 5_000_000, false, "");
        vm.expectRevert(abi.encodeWithSelector(ResourceMeter.ResourceLimit.selector, 20_021_000, 20_000_000));
        portal.depositTransaction(ALICE, 0, 21_000, false, "");
        vm.roll(block.number + 1);
        portal.depositTransaction(ALICE, 0, 21_000, false, "");
    }

    function test_the_price_follows_demand() public {
        vm.fee(10_000 gwei);
        (uint128 price,,) = portal.params();
        require(price == 1 gwei, "beginning");
        portal.depositTransaction(ALICE, 0, 20_000_000, false, "");
        vm.roll(block.number + 1);
        portal.depositTransaction(ALICE, 0, 2_000_000, false, "");
        (price,,) = portal.params();
        // Ten times the target: up by nine eighths.
        require(price == 2.125 gwei, "full");
        vm.roll(block.number + 1);
        portal.depositTransaction(ALICE, 0, 21_000, false, "");
        (price,,) = portal.params();
        require(price == 2.125 gwei, "at the target");
        vm.roll(block.number + 1);
        portal.depositTransaction(ALICE, 0, 21_000, false, "");
        (price,,) = portal.params();
        require(price < 2.125 gwei && price > 1.85 gwei, "nearly empty");
        vm.roll(block.number + 3);
        portal.depositTransaction(ALICE, 0, 21_000, false, "");
        (price,,) = portal.params();
        require(price < 1.3 gwei && price > 1.2 gwei, "three blocks");
        vm.roll(block.number + 1_000_000);
        portal.depositTransaction(ALICE, 0, 21_000, false, "");
        (price,,) = portal.params();
        require(price == 1 gwei, "minimum");
    }

    function testFuzz_the_price_stays_within_its_bounds(uint128 price, uint64 bought, uint64 blocks) public {
        vm.fee(type(uint64).max);
        bought = uint64(bound(bought, 0, 20_000_000));
        price = uint128(bound(price, 1 gwei, 2 ** 100));
        blocks = uint64(bound(blocks, 1, type(uint32).max));
        uint256 packed = uint256(price) | uint256(bought) << 128 | uint256(block.number) << 192;
        vm.store(address(portal), bytes32(0), bytes32(packed));
        vm.roll(block.number + blocks);
        try portal.depositTransaction{gas: 3_000_000}(ALICE, 0, 21_000, false, "") {
            (uint128 now_, uint64 sold, uint64 number) = portal.params();
            require(now_ >= 1 gwei && now_ <= uint256(price) * 17 / 8 + 1, "price");
            require(sold == 21_000 && number == block.number, "sold");
            if (bought <= 2_000_000) require(now_ <= price, "down");
        } catch (bytes memory reason) {
            // The only failure is too little gas to burn, which leaves no reason.
            require(reason.length == 0, "reason");
        }
    }

    function test_gas_is_paid_for_by_burning_gas() public {
        vm.fee(2 gwei);
        uint256 before = gasleft();
        portal.depositTransaction(ALICE, 0, 4_000_000, false, "");
        uint256 used = before - gasleft();
        // At 1 gwei a piece, against 2 gwei.
        require(used >= 2_000_000 && used < 2_050_000, "burnt");
    }
}
