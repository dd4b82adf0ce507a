// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Ledger} from "../../contracts/Ledger.sol";
import {vm} from "../Vm.sol";

/// Deploys a ledger and uses it, in two transactions.
contract Deploy {
    bool public constant IS_SCRIPT = true;

    function run() external returns (address) {
        vm.startBroadcast(vm.envUint("PRIVATE_KEY"));
        Ledger ledger = new Ledger(500);
        ledger.move(vm.envAddress("FRIEND"), 11, "scripted");
        vm.stopBroadcast();
        return address(ledger);
    }
}
