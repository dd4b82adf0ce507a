// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Portal} from "../src/l1/Portal.sol";
import {OutputRootProof, Withdrawal, Withdrawals} from "../src/lib/Withdrawals.sol";
import {Bridge} from "./lib/Bridge.sol";
import {bound, vm} from "./lib/Vm.sol";

/// Takes ether and tries to have the same withdrawal finalized once more while it does.
contract Greedy {
    Portal internal portal;
    Withdrawal internal again;

    function aim(Portal portal_, Withdrawal calldata withdrawal) external {
        portal = portal_;
        again = withdrawal;
    }

    receive() external payable {
        try portal.finalizeWithdrawalTransaction(again) {
            revert("twice");
        } catch {}
    }
}

/// Takes ether, or a call without ether, when it is in the mood.
contract Moody {
    bool public refuses;

    function change() external {
        refuses = !refuses;
    }

    receive() external payable {
        require(!refuses, "not now");
    }
}

/// Does what users, proposer and challenger can do, in any order, and holds every answer of the contracts against a
/// model of them.
contract Actors is Bridge {
    struct Output {
        bytes32[] hashes;
        OutputRootProof proof;
        bytes32 root;
        uint256 timestamp;
    }

    struct Proof {
        uint256 timestamp;
        uint256 output;
        bytes32 root;
    }

    Greedy internal greedy = new Greedy();
    Moody internal moody = new Moody();
    Withdrawal[] internal withdrawals;
    Output[] internal outputs;
    mapping(bytes32 hash => Proof) internal proofs;
    mapping(bytes32 hash => bool) internal done;

    /// Ether that was given to the portal, that proven withdrawals ask for, and that was paid out.
    uint256 public deposited;
    uint256 public proven;
    uint256 public paid;

    constructor() {
        deployBridge();
    }

    function portalBalance() external view returns (uint256) {
        return address(portal).balance;
    }

    function deposit(uint256 value, uint64 gasLimit, bool plainly) external {
        value = bound(value, 0, 100 ether);
        vm.deal(address(this), value);
        if (plainly) {
            (bool success,) = address(portal).call{value: value}("");
            require(success, "transfer");
        } else {
            gasLimit = uint64(bound(gasLimit, 21_000, 50_000));
            portal.depositTransaction{value: value}(address(this), value, gasLimit, false, "");
        }
        deposited += value;
        vm.roll(block.number + 1);
    }

    /// A withdrawal on the rollup; it comes to L1 with the next claims.
    function withdraw(uint256 value, uint8 to) external {
        if (withdrawals.length == 12) return;
        address[3] memory targets = [address(0xb0b), address(greedy), address(moody)];
        withdrawals.push(
            Withdrawal({
                nonce: 1 << 240 | withdrawals.length,
                sender: address(this),
                target: targets[to % 3],
                value: bound(value, 0, 60 ether),
                gasLimit: 400_000,
                data: ""
            })
        );
    }

    function propose() external {
        if (withdrawals.length == 0) return;
        bytes32[] memory hashes = new bytes32[](withdrawals.length);
        for (uint256 i = 0; i < hashes.length; ++i) {
            hashes[i] = Withdrawals.hash(withdrawals[i]);
        }
        (uint256 index, OutputRootProof memory proof) = claim(hashes);
        require(index == outputs.length, "index");
        outputs.push(Output(hashes, proof, Withdrawals.outputRoot(proof), block.timestamp));
    }

    function changeMood() external {
        moody.change();
    }

    function challenge(uint256 index) external {
        if (outputs.length == 0) return;
        index = bound(index, 0, outputs.length - 1);
        bool isFinal = block.timestamp > outputs[index].timestamp + PERIOD_S;
        vm.prank(CHALLENGER);
        try oracle.deleteL2Outputs(index) {
            require(!isFinal, "deleted though final");
            while (outputs.length > index) outputs.pop();
        } catch {
            require(isFinal, "not deleted");
        }
    }

    function prove(uint256 which, uint256 index) external {
        if (withdrawals.length == 0 || outputs.length == 0) return;
        Withdrawal memory withdrawal = withdrawals[bound(which, 0, withdrawals.length - 1)];
        index = bound(index, 0, outputs.length - 1);
        Output memory output = outputs[index];
        bytes32 hash = Withdrawals.hash(withdrawal);
        bool isIn = bound(which, 0, withdrawals.length - 1) < output.hashes.length;
        bool allowed = isIn && (proofs[hash].timestamp == 0 || !stands(proofs[hash]));
        // Of a withdrawal that is not in the output, the best proof is that of another.
        bytes[] memory nodes = proofOf(output.hashes, isIn ? hash : output.hashes[0]);
        try portal.proveWithdrawalTransaction(withdrawal, index, output.proof, nodes) {
            require(allowed, "proven");
            if (proofs[hash].timestamp == 0) proven += withdrawal.value;
            proofs[hash] = Proof(block.timestamp, index, output.root);
        } catch {
            require(!allowed, "not proven");
        }
    }

    function finalize(uint256 which) external {
        if (withdrawals.length == 0) return;
        Withdrawal memory withdrawal = withdrawals[bound(which, 0, withdrawals.length - 1)];
        bytes32 hash = Withdrawals.hash(withdrawal);
        Proof memory proof = proofs[hash];
        bool allowed = !done[hash] && proof.timestamp != 0 && stands(proof)
            && block.timestamp > proof.timestamp + PERIOD_S
            && block.timestamp > outputs[proof.output].timestamp + PERIOD_S
            && address(portal).balance >= withdrawal.value
            && (withdrawal.target != address(moody) || !moody.refuses() || withdrawal.value == 0);
        greedy.aim(portal, withdrawal);
        uint256 before = withdrawal.target.balance;
        try portal.finalizeWithdrawalTransaction(withdrawal) {
            require(allowed, "finalized");
            require(withdrawal.target.balance == before + withdrawal.value, "paid");
            done[hash] = true;
            paid += withdrawal.value;
        } catch {
            require(!allowed, "not finalized");
        }
    }

    function wait(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1, 2 * PERIOD_S));
    }

    /// All at once, so that withdrawals come to an end more often than by chance.
    function settle(uint256 which) external {
        if (withdrawals.length == 0) return;
        this.propose();
        this.prove(which, outputs.length - 1);
        vm.warp(block.timestamp + PERIOD_S + 1);
        this.finalize(which);
    }

    function stands(Proof memory proof) private view returns (bool) {
        return proof.output < outputs.length && outputs[proof.output].root == proof.root;
    }
}

contract PortalInvariantsTest {
    Actors internal actors;

    function setUp() public {
        actors = new Actors();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    /// The actors can do what the invariants are about.
    function test_the_actors_reach_payments_of_every_kind() public {
        actors.deposit(50 ether, 21_000, true);
        actors.deposit(50 ether, 21_000, false);
        actors.withdraw(10 ether, 0);
        actors.withdraw(20 ether, 1);
        actors.withdraw(50 ether, 1);
        actors.withdraw(10 ether, 2);
        actors.withdraw(0, 2);
        actors.settle(0);
        require(actors.paid() == 10 ether, "a plain one");
        actors.settle(1);
        require(actors.paid() == 30 ether, "a greedy one");
        // Proven by an output that is then deleted.
        actors.propose();
        actors.prove(2, 2);
        actors.challenge(2);
        actors.wait(2 * 100);
        actors.finalize(2);
        require(actors.paid() == 30 ether && actors.proven() == 80 ether, "not without its output");
        actors.settle(2);
        require(actors.paid() == 80 ether && actors.portalBalance() == 20 ether, "proven again");
        // Refused at first. Without value, that is the end.
        actors.changeMood();
        actors.settle(3);
        actors.settle(4);
        require(actors.paid() == 80 ether, "not while it refuses");
        actors.changeMood();
        actors.finalize(3);
        actors.finalize(4);
        require(actors.paid() == 90 ether && actors.portalBalance() == 10 ether, "all");
    }

    function invariant_the_portal_keeps_what_it_did_not_pay() public view {
        require(actors.portalBalance() == actors.deposited() - actors.paid(), "balance");
    }

    function invariant_no_more_is_paid_than_was_proven_and_deposited() public view {
        require(actors.paid() <= actors.proven() && actors.paid() <= actors.deposited(), "paid");
    }
}
