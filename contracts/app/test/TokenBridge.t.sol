// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BridgedToken} from "../../src/l2/BridgedToken.sol";
import {L2ToL1MessagePasser} from "../../src/l2/L2ToL1MessagePasser.sol";
import {TokenBridge} from "../../src/l2/TokenBridge.sol";
import {Predeploys} from "../../src/lib/Predeploys.sol";
import {Senders} from "../../src/lib/Senders.sol";
import {Metadata} from "../../src/lib/TokenMetadata.sol";
import {vm} from "../../test/lib/Vm.sol";
import {CallNotMade} from "../IGate.sol";
import {ITokenBridge, ITokenReceiver, TOKEN_BRIDGE} from "../ITokenBridge.sol";
import {Rollups} from "../Rollups.sol";
import {SimulatedUnion} from "../testing/SimulatedUnion.sol";

contract Receiver is ITokenReceiver {
    uint256 public chain;
    address public token;
    address public from;
    uint256 public amount;
    bytes public data;

    function onTransferReceived(address, address from_, uint256 amount_, bytes calldata data_)
        external
        returns (bytes4)
    {
        (chain, token, from, amount, data) = (block.chainid, msg.sender, from_, amount_, data_);
        require(data_.length != 0, "nothing said");
        return this.onTransferReceived.selector;
    }
}

/// What apps can count on of a bridge, by the interface that they have, over real proxies. All chains share one state here,
/// and so one supply.
abstract contract BridgeTest is SimulatedUnion {
    address internal constant L1_TOKEN = address(0x701e);
    address private constant BOB = address(0xb0b);

    /// One of the two that the tests are run on.
    BridgedToken internal token;

    function test_tokens_are_sent_by_the_interface_of_apps() public {
        TOKEN_BRIDGE.send(address(token), 902, BOB, 40);
        require(token.balanceOf(BOB) == 40 && token.balanceOf(address(this)) == 60, "balances");
        (uint256 sent, uint256 received) = TOKEN_BRIDGE.carried(902, L1_TOKEN);
        require(sent == 40 && received == 0, "sent");
        (sent, received) = TOKEN_BRIDGE.carried(901, L1_TOKEN);
        require(sent == 0 && received == 40, "received");
    }

    function test_a_receiver_is_called_on_its_rollup_by_the_token() public {
        Receiver receiver = new Receiver();
        TOKEN_BRIDGE.sendAndCall(address(token), 902, address(receiver), 40, "hello");
        require(receiver.chain() == 902 && receiver.token() == address(token), "where");
        require(receiver.from() == Rollups.proxyOf(901, address(this)) && receiver.amount() == 40, "from");
        require(block.chainid == 901 && keccak256(receiver.data()) == keccak256("hello"), "data");
        vm.expectRevert(bytes("nothing said"));
        TOKEN_BRIDGE.sendAndCall(address(token), 902, address(receiver), 40, "");
        require(token.balanceOf(address(this)) == 60 && token.totalSupply() == 100, "undone");
        require(token.transferAndCall(address(receiver), 1, "here"), "at home");
        require(receiver.chain() == 901 && receiver.from() == address(this), "who");
    }

    function test_what_one_does_not_have_is_not_sent() public {
        vm.expectRevert();
        TOKEN_BRIDGE.send(address(token), 902, BOB, 101);
        vm.expectRevert();
        TOKEN_BRIDGE.send(BOB, 902, BOB, 1);
        vm.expectRevert(abi.encodeWithSelector(CallNotMade.selector, 2));
        TOKEN_BRIDGE.send(address(token), 903, BOB, 1);
        vm.expectRevert();
        TOKEN_BRIDGE.withdraw(address(token), BOB, 101);
        TOKEN_BRIDGE.withdraw(address(token), BOB, 99);
        require(token.totalSupply() == 1, "withdrawn");
    }

    function test_nobody_is_no_receiver() public {
        vm.expectRevert();
        TOKEN_BRIDGE.send(address(token), 902, address(0), 1);
        vm.expectRevert();
        TOKEN_BRIDGE.withdraw(address(token), address(0), 1);
        vm.expectRevert();
        token.transfer(address(0), 1);
        vm.expectRevert();
        token.approve(address(0), 1);
        token.approve(address(this), 1);
        vm.expectRevert();
        token.transferFrom(address(this), address(0), 1);
        require(token.totalSupply() == 100 && token.balanceOf(address(this)) == 100, "kept");
    }

    function test_what_a_proxy_has_is_its_owners() public {
        address proxy = Rollups.proxyOf(901, address(this));
        TOKEN_BRIDGE.send(address(token), 902, proxy, 40);
        require(BridgedToken(Rollups.deployProxy(902, address(token))).approve(BOB, 10), "allowed");
        require(token.allowance(proxy, BOB) == 10, "by the proxy");
        ITokenBridge(Rollups.deployProxy(902, address(TOKEN_BRIDGE))).send(address(token), 901, BOB, 25);
        require(token.balanceOf(proxy) == 15 && token.balanceOf(BOB) == 25, "sent home");
    }
}

/// The contracts of a rollup.
contract TokenBridgeTest is BridgeTest {
    address private constant TOKEN_PORTAL = address(0x90);

    function setUp() public {
        startUnion(901, 902);
        switchTo(901);
        vm.etch(address(TOKEN_BRIDGE), type(TokenBridge).runtimeCode);
        vm.etch(Predeploys.MESSAGE_PASSER, type(L2ToL1MessagePasser).runtimeCode);
        vm.etch(Predeploys.BRIDGED_TOKEN, type(BridgedToken).runtimeCode);
        vm.store(address(TOKEN_BRIDGE), bytes32(0), bytes32(uint256(uint160(TOKEN_PORTAL))));
        token = BridgedToken(TOKEN_BRIDGE.tokenOf(L1_TOKEN));
        vm.prank(Senders.aliased(TOKEN_PORTAL));
        TokenBridge(address(TOKEN_BRIDGE))
            .finalizeDeposit(L1_TOKEN, address(1), address(this), 100, Metadata("Token", "T", 18));
    }

    /// One contract is on both chains here, and its proxy calls it as it is told: by whoever calls the proxy, and not by its name.
    function test_its_proxy_lends_its_name_to_nobody() public {
        address proxy = Rollups.deployProxy(902, address(TOKEN_BRIDGE));
        bytes memory forged =
            abi.encodeCall(TokenBridge.receiveTokens, (901, L1_TOKEN, address(this), address(this), 1_000, false, ""));
        (bool success,) = proxy.call(forged);
        require(!success && token.totalSupply() == 100, "forged");
    }
}

/// What apps' own tests have in place of them.
contract SimulatedTokensTest is BridgeTest {
    function setUp() public {
        startUnion(901, 902);
        switchTo(901);
        depositTokens(L1_TOKEN, address(this), 60);
        token = BridgedToken(address(depositTokens(L1_TOKEN, address(this), 40)));
        require(
            address(token) == TOKEN_BRIDGE.tokenOf(L1_TOKEN) && token.l1Token() == L1_TOKEN, "where it is said to be"
        );
    }
}
