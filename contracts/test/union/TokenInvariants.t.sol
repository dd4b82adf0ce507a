// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC1363Receiver} from "@openzeppelin/contracts/interfaces/IERC1363Receiver.sol";
import {BridgedToken} from "../../src/l2/BridgedToken.sol";
import {L2ToL1MessagePasser} from "../../src/l2/L2ToL1MessagePasser.sol";
import {TokenBridge} from "../../src/l2/TokenBridge.sol";
import {Predeploys} from "../../src/lib/Predeploys.sol";
import {Senders} from "../../src/lib/Senders.sol";
import {TokenPortal} from "../../src/union/TokenPortal.sol";
import {UnionPortal} from "../../src/union/UnionPortal.sol";
import {Vault} from "../../src/union/Vault.sol";
import {Vm, bound, vm} from "../lib/Vm.sol";
import {FeeToken, Token} from "./Tokens.sol";
import {TwoRollups} from "./TwoRollups.sol";

/// Brings what is deposited to the rollup at once, and finalizes what it is given.
contract Carrier {
    Vault public vault;
    TokenBridge private bridge;
    address public l2Sender;

    constructor(Vault vault_) {
        vault = vault_;
    }

    function serve(TokenBridge bridge_) external {
        bridge = bridge_;
    }

    function depositTransaction(address to, uint256 value, uint64 gas, bool isCreation, bytes calldata data) external {
        require(to == Predeploys.TOKEN_BRIDGE && value == 0 && !isCreation, "a call of the bridge");
        vm.prank(Senders.aliased(msg.sender));
        (bool success,) = address(bridge).call{gas: gas}(data);
        require(success, "a deposit cannot fail");
    }

    function finalize(address target, bytes calldata data) external {
        l2Sender = Predeploys.TOKEN_BRIDGE;
        (bool success,) = target.call(data);
        l2Sender = address(0);
        require(success, "a withdrawal cannot fail");
    }
}

/// Takes tokens or does not, and may send some of them on to the other rollup first.
contract Fickle is IERC1363Receiver {
    TokenBridge private bridge;

    constructor(TokenBridge bridge_) {
        bridge = bridge_;
    }

    function onTransferReceived(address, address, uint256 amount, bytes calldata data) external returns (bytes4) {
        (uint256 peer, address to, uint256 back, bool fails) = abi.decode(data, (uint256, address, uint256, bool));
        bridge.send(msg.sender, peer, to, amount < back ? amount : back);
        require(!fails, "fickle");
        return IERC1363Receiver.onTransferReceived.selector;
    }
}

/// Deposits, sends with and without calls, withdrawals, payments and settlement, in any order.
contract Travelers is TwoRollups {
    struct Message {
        uint256 rollup;
        bytes data;
    }

    address private constant SETTLEMENT = address(0x5e);
    address[3] private people = [address(0xa1), address(0xb2), address(0xc3)];

    Vault private vault = new Vault(address(this), SETTLEMENT);
    mapping(uint256 rollup => Carrier) private carrierOf;
    mapping(uint256 rollup => TokenPortal) private portalOf;
    mapping(uint256 rollup => TokenBridge) private bridgeOf;
    mapping(uint256 rollup => Fickle) private fickleOf;
    mapping(address l1Token => mapping(uint256 rollup => uint256)) private movedOut;
    /// Withdrawals that are not finalized.
    Message[] private messages;
    mapping(address l1Token => mapping(uint256 rollup => uint256)) private inFlight;
    address[2] private tokens = [address(new Token()), address(new FeeToken())];
    uint256 public undone;
    uint256 public sent;

    constructor() {
        (carrierOf[A], carrierOf[B]) = (new Carrier(vault), new Carrier(vault));
        for (uint256 rollup = A; rollup <= B; ++rollup) {
            portalOf[rollup] = new TokenPortal(UnionPortal(payable(address(carrierOf[rollup]))));
            vault.addRollup(rollup, address(carrierOf[rollup]), address(portalOf[rollup]));
        }
        deployBridges(address(portalOf[A]), address(portalOf[B]));
        (bridgeOf[A], bridgeOf[B]) = (bridgeA, bridgeB);
        for (uint256 rollup = A; rollup <= B; ++rollup) {
            carrierOf[rollup].serve(bridgeOf[rollup]);
            fickleOf[rollup] = new Fickle(bridgeOf[rollup]);
        }
    }

    function deposit(uint256 which, uint256 kind, uint256 who, uint256 amount) external {
        uint256 rollup = pick(which);
        Token token = Token(tokens[kind % 2]);
        amount = bound(amount, 2, 1e24);
        token.mint(address(this), amount);
        token.approve(address(portalOf[rollup]), amount);
        portalOf[rollup].deposit(token, people[who % 3], amount);
    }

    function send(uint256 which, uint256 kind, uint256 from, uint256 to, uint256 amount) external {
        (uint256 rollup, BridgedToken token, address sender) = holder(which, kind, from);
        if (address(token).code.length == 0) return;
        amount = bound(amount, 0, token.balanceOf(sender));
        vm.chainId(rollup);
        vm.prank(sender);
        bridgeOf[rollup].send(address(token), other(rollup), people[to % 3], amount);
        sent += 1;
    }

    function sendAndCall(uint256 which, uint256 kind, uint256 from, uint256 amount, uint256 back, bool fails) external {
        (uint256 rollup, BridgedToken token, address sender) = holder(which, kind, from);
        if (address(token).code.length == 0) return;
        uint256 balance = token.balanceOf(sender);
        amount = bound(amount, 0, balance);
        bytes memory data = abi.encode(rollup, people[back % 3], back, fails);
        address fickle = address(fickleOf[other(rollup)]);
        vm.chainId(rollup);
        vm.prank(sender);
        try bridgeOf[rollup].sendAndCall(address(token), other(rollup), fickle, amount, data) {
            require(!fails, "it did not fail");
        } catch {
            require(fails && token.balanceOf(sender) == balance, "it failed");
            undone += 1;
        }
        require(block.chainid == rollup, "here");
    }

    function withdraw(uint256 which, uint256 kind, uint256 from, uint256 amount) external {
        (uint256 rollup, BridgedToken token, address sender) = holder(which, kind, from);
        if (address(token).code.length == 0) return;
        amount = bound(amount, 0, token.balanceOf(sender));
        vm.recordLogs();
        vm.prank(sender);
        bridgeOf[rollup].withdraw(address(token), sender, amount);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        Vm.Log memory log = logs[logs.length - 1];
        require(log.topics[0] == L2ToL1MessagePasser.MessagePassed.selector, "a message");
        (,, bytes memory data,) = abi.decode(log.data, (uint256, uint256, bytes, bytes32));
        messages.push(Message(rollup, data));
        inFlight[tokens[kind % 2]][rollup] += amount;
    }

    function finalize(uint256 which) external {
        if (messages.length == 0) return;
        Message memory message = messages[which % messages.length];
        messages[which % messages.length] = messages[messages.length - 1];
        messages.pop();
        bytes memory arguments = new bytes(96);
        for (uint256 i = 0; i < 96; ++i) {
            arguments[i] = message.data[4 + i];
        }
        (address l1Token,, uint256 amount) = abi.decode(arguments, (address, address, uint256));
        inFlight[l1Token][message.rollup] -= amount;
        carrierOf[message.rollup].finalize(address(portalOf[message.rollup]), message.data);
    }

    function claim(uint256 which, uint256 kind, uint256 who) external {
        TokenPortal portal = portalOf[pick(which)];
        Token token = Token(tokens[kind % 2]);
        address to = people[who % 3];
        uint256 account = vault.balanceOf(pick(which), address(token));
        uint256 due = portal.owed(token, to);
        portal.claim(token, to, due < account ? due : account);
    }

    /// Moves in the vault what a rollup has sent and its peer has received.
    function settle(uint256 which, uint256 kind) external {
        uint256 rollup = pick(which);
        address l1Token = tokens[kind % 2];
        (uint256 out,) = bridgeOf[rollup].carried(other(rollup), l1Token);
        (, uint256 into) = bridgeOf[other(rollup)].carried(rollup, l1Token);
        require(out == into, "one received what the other sent");
        uint256 amount = out - movedOut[l1Token][rollup];
        uint256 account = vault.balanceOf(rollup, l1Token);
        if (amount > account) amount = account;
        movedOut[l1Token][rollup] += amount;
        vm.prank(SETTLEMENT);
        vault.move(rollup, other(rollup), l1Token, amount);
    }

    function check() external view {
        for (uint256 kind = 0; kind < 2; ++kind) {
            address l1Token = tokens[kind];
            uint256 all;
            for (uint256 rollup = A; rollup <= B; ++rollup) {
                TokenBridge bridge = bridgeOf[rollup];
                (uint256 out, uint256 into) = bridge.carried(other(rollup), l1Token);
                uint256 account = vault.balanceOf(rollup, l1Token);
                // What came from L1 and did not go back there, and what came from the peer.
                uint256 got = account + movedOut[l1Token][rollup] + into;
                uint256 gave = out + movedOut[l1Token][other(rollup)];
                uint256 here = supply(bridge, l1Token) + inFlight[l1Token][rollup] + owed(rollup, l1Token);
                require(got == here + gave, "of a rollup");
                require(heldOn(bridge, rollup, l1Token) == supply(bridge, l1Token), "of its people");
                all += account;
            }
            require(Token(l1Token).balanceOf(address(vault)) == all, "in the vault");
        }
    }

    function supply(TokenBridge bridge, address l1Token) private view returns (uint256) {
        BridgedToken token = tokenOn(bridge, l1Token);
        return address(token).code.length == 0 ? 0 : token.totalSupply();
    }

    function heldOn(TokenBridge bridge, uint256 rollup, address l1Token) private view returns (uint256 sum) {
        BridgedToken token = tokenOn(bridge, l1Token);
        if (address(token).code.length == 0) return 0;
        for (uint256 i = 0; i < people.length; ++i) {
            sum += token.balanceOf(people[i]);
        }
        sum += token.balanceOf(address(fickleOf[rollup]));
    }

    function owed(uint256 rollup, address l1Token) private view returns (uint256 sum) {
        for (uint256 i = 0; i < people.length; ++i) {
            sum += portalOf[rollup].owed(Token(l1Token), people[i]);
        }
    }

    function holder(uint256 which, uint256 kind, uint256 who)
        private
        view
        returns (uint256 rollup, BridgedToken token, address account)
    {
        rollup = pick(which);
        token = tokenOn(bridgeOf[rollup], tokens[kind % 2]);
        account = people[who % 3];
    }

    function pick(uint256 which) private pure returns (uint256) {
        return which % 2 == 0 ? A : B;
    }

    function other(uint256 rollup) private pure returns (uint256) {
        return A + B - rollup;
    }
}

contract TokenInvariantsTest {
    Travelers private travelers;

    function setUp() public {
        travelers = new Travelers();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(travelers);
    }

    /// What the invariant is about can happen.
    function test_the_travelers_travel() public {
        travelers.deposit(0, 0, 0, 100);
        travelers.deposit(1, 1, 1, 1_000);
        travelers.send(0, 0, 0, 1, 60);
        travelers.sendAndCall(0, 0, 0, 20, 5, false);
        travelers.sendAndCall(1, 1, 1, 20, 5, true);
        require(travelers.sent() == 1 && travelers.undone() == 1, "sent");
        travelers.check();
        travelers.withdraw(1, 0, 1, 60);
        travelers.finalize(0);
        travelers.check();
        travelers.settle(0, 0);
        travelers.claim(1, 0, 1);
        travelers.check();
    }

    function invariant_nothing_is_made_or_lost() public view {
        travelers.check();
    }
}
