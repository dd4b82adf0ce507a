// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Ledger} from "../../contracts/Ledger.sol";
import {vm} from "../Vm.sol";

/// Runs on a fork of the chain under test, where LEDGER was deployed in block DEPLOYED by OWNER with a supply of
/// 1000, of which OWNER moved 7 to FRIEND in block MOVED.
contract ForkTest {
    Ledger ledger;
    address owner;
    address friend;

    function setUp() public {
        ledger = Ledger(vm.envAddress("LEDGER"));
        owner = vm.envAddress("OWNER");
        friend = vm.envAddress("FRIEND");
    }

    function test_the_fork_is_the_chain() public view {
        require(block.chainid == vm.envUint("CHAIN_ID"), "chain id");
        require(block.number >= vm.envUint("MOVED"), "block number");
        require(block.basefee > 0, "base fee");
        require(owner.balance > 1 ether, "balance");
    }

    function test_remote_state_is_read() public view {
        require(address(ledger).code.length > 0, "code");
        require(ledger.supply() == 1000, "supply");
        require(ledger.balanceOf(owner) == 993, "owner");
        require(ledger.balanceOf(friend) == 7, "friend");
    }

    function test_the_past_is_read() public {
        vm.rollFork(vm.envUint("MOVED") - 1);
        require(ledger.balanceOf(friend) == 0, "before the transfer");
        vm.rollFork(vm.envUint("MOVED"));
        require(ledger.balanceOf(friend) == 7, "after the transfer");
        vm.rollFork(vm.envUint("DEPLOYED") - 1);
        require(address(ledger).code.length == 0, "before the deployment");
    }

    function test_the_fork_is_written_locally() public {
        vm.prank(friend);
        require(ledger.move(owner, 3, "back") == 4, "left");
        require(ledger.balanceOf(owner) == 996, "owner");
    }

    function test_a_custom_error_is_reported() public {
        vm.expectRevert(abi.encodeWithSelector(Ledger.Insufficient.selector, friend, 7, 8));
        vm.prank(friend);
        ledger.move(owner, 8, "too much");
    }

    function testFuzz_what_one_has_not_cannot_be_moved(uint256 amount) public {
        if (amount <= 7) return;
        vm.prank(friend);
        try ledger.move(owner, amount, "") {
            revert("moved");
        } catch {}
    }
}
