// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IERC1363Receiver} from "@openzeppelin/contracts/interfaces/IERC1363Receiver.sol";
import {ERC1363Utils} from "@openzeppelin/contracts/token/ERC20/utils/ERC1363Utils.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {BridgedToken} from "../../src/l2/BridgedToken.sol";
import {L2ToL1MessagePasser} from "../../src/l2/L2ToL1MessagePasser.sol";
import {TokenBridge} from "../../src/l2/TokenBridge.sol";
import {Predeploys} from "../../src/lib/Predeploys.sol";
import {Senders} from "../../src/lib/Senders.sol";
import {IWithdrawalFinalizer, TOKEN_DEPOSIT_GAS, TOKEN_WITHDRAWAL_GAS} from "../../src/lib/TokenBridging.sol";
import {Metadata} from "../../src/lib/TokenMetadata.sol";
import {Withdrawal, Withdrawals} from "../../src/lib/Withdrawals.sol";
import {bound, vm} from "../lib/Vm.sol";
import {CallNotMade, TwoRollups} from "./TwoRollups.sol";

/// Takes tokens, and does with them what it is told.
contract Taker is IERC1363Receiver {
    enum Mode {
        Keep,
        Fail,
        FailQuietly,
        AnswerWrong,
        SendBack
    }

    error Unwelcome(uint256 amount);

    TokenBridge private bridge;
    Mode private mode;
    address public caller;
    address public operator;
    address public from;
    uint256 public amount;
    uint256 public balance;
    bytes public data;

    constructor(TokenBridge bridge_) {
        bridge = bridge_;
    }

    function set(Mode mode_) external {
        mode = mode_;
    }

    function onTransferReceived(address operator_, address from_, uint256 amount_, bytes calldata data_)
        external
        returns (bytes4)
    {
        (caller, operator, from, amount, data) = (msg.sender, operator_, from_, amount_, data_);
        balance = BridgedToken(msg.sender).balanceOf(address(this));
        if (mode == Mode.Fail) revert Unwelcome(amount_);
        if (mode == Mode.FailQuietly) {
            assembly ("memory-safe") {
                revert(0, 0)
            }
        }
        if (mode == Mode.AnswerWrong) return 0xffffffff;
        // In the middle of being sent some.
        if (mode == Mode.SendBack) bridge.send(msg.sender, 901, abi.decode(data_, (address)), amount_);
        return IERC1363Receiver.onTransferReceived.selector;
    }
}

/// Sends, and goes on whatever comes of it.
contract Trier {
    function attempt(address target, bytes calldata call) external returns (bool success) {
        (success,) = target.call(call);
    }
}

/// The bridge of a peer that says what it likes.
contract Liar {
    Metadata private metadata;

    function say(Metadata calldata metadata_) external {
        metadata = metadata_;
    }

    function metadataOf(address) external view returns (Metadata memory) {
        return metadata;
    }
}

contract TokenBridgeTest is TwoRollups {
    address private constant ALICE = address(0xa11ce);
    address private constant BOB = address(0xb0b);
    address private constant L1_TOKEN = address(0x701e);
    address private constant PORTAL_A = address(0x90a);
    address private constant PORTAL_B = address(0x90b);

    BridgedToken private tokenA;
    BridgedToken private tokenB;
    Metadata private metadata = Metadata("Token", "TOK", 6);

    function setUp() public {
        deployBridges(PORTAL_A, PORTAL_B);
        (tokenA, tokenB) = (tokenOn(bridgeA, L1_TOKEN), tokenOn(bridgeB, L1_TOKEN));
        vm.chainId(A);
    }

    function deposit(address to, uint256 amount) private {
        asPortal(bridgeA);
        bridgeA.finalizeDeposit(L1_TOKEN, ALICE, to, amount, metadata);
    }

    function send(address to, uint256 amount) private {
        vm.prank(ALICE);
        bridgeA.send(address(tokenA), B, to, amount);
    }

    /// What A has of B, and B of A.
    function carried(uint256 aToB, uint256 bToA) private view {
        (uint256 sent, uint256 received) = bridgeA.carried(B, L1_TOKEN);
        require(sent == aToB && received == bToA, "of A");
        (sent, received) = bridgeB.carried(A, L1_TOKEN);
        require(sent == bToA && received == aToB, "of B");
    }

    function testFuzz_a_deposit_makes_the_token_once(uint128 first, uint128 second) public {
        deposit(ALICE, first);
        require(address(tokenA).code.length == 65 && tokenA.l1Token() == L1_TOKEN, "clone");
        // By another name, which is what it has from now on.
        metadata = Metadata("Another name", "ANOTHER", 7);
        deposit(BOB, second);
        require(tokenA.balanceOf(ALICE) == first && tokenA.balanceOf(BOB) == second, "balances");
        require(tokenA.totalSupply() == uint256(first) + second && tokenA.bridge() == address(bridgeA), "supply");
        same(bridgeA.metadataOf(L1_TOKEN), metadata);
    }

    function same(Metadata memory one, Metadata memory other) private pure {
        require(keccak256(abi.encode(one)) == keccak256(abi.encode(other)), "metadata");
    }

    /// Where it is depends on the bridge, the code and the token on L1 alone, and the first two are the same everywhere.
    function testFuzz_a_token_has_one_address(address l1Token) public {
        bytes memory code = abi.encodePacked(
            hex"363d3d373d3d3d363d73", Predeploys.BRIDGED_TOKEN, hex"5af43d82803e903d91602b57fd5bf3", l1Token
        );
        bytes32 init = keccak256(abi.encodePacked(hex"6100413d81600a3d39f3", code));
        bytes32 hash = keccak256(abi.encodePacked(hex"ff", address(bridgeA), bytes32(0), init));
        require(bridgeA.tokenOf(l1Token) == address(uint160(uint256(hash))), "address");
        asPortal(bridgeA);
        bridgeA.finalizeDeposit(l1Token, ALICE, BOB, 1, metadata);
        require(tokenOn(bridgeA, l1Token).balanceOf(BOB) == 1, "there");
    }

    function test_only_its_portal_deposits() public {
        address[4] memory strangers = [PORTAL_A, Senders.aliased(PORTAL_B), ALICE, address(bridgeA)];
        for (uint256 i = 0; i < strangers.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(TokenBridge.NotTokenPortal.selector, strangers[i]));
            vm.prank(strangers[i]);
            bridgeA.finalizeDeposit(L1_TOKEN, ALICE, ALICE, 1, metadata);
        }
    }

    /// The dearest deposit: it makes the token, with texts as long as the portal lets them be.
    function test_a_deposit_has_half_as_much_gas_again_as_it_can_need() public {
        metadata = Metadata(string(new bytes(64)), string(new bytes(32)), 255);
        for (uint256 i = 0; i < 64; ++i) {
            bytes(metadata.name)[i] = 0xff;
        }
        for (uint256 i = 0; i < 32; ++i) {
            bytes(metadata.symbol)[i] = 0xff;
        }
        bytes memory call =
            abi.encodeCall(TokenBridge.finalizeDeposit, (L1_TOKEN, ALICE, BOB, type(uint256).max, metadata));
        uint256 intrinsic = 21_000 + 40 * call.length;
        asPortal(bridgeA);
        uint256 before = gasleft();
        (bool success,) = address(bridgeA).call(call);
        uint256 used = before - gasleft() + intrinsic;
        require(success, "deposited");
        require(used * 3 < uint256(TOKEN_DEPOSIT_GAS) * 2, vm.toString(used));
    }

    function testFuzz_tokens_go_to_a_peer_and_come_back(uint128 amount, uint128 there, uint128 back) public {
        there = uint128(bound(there, 0, amount));
        back = uint128(bound(back, 0, there));
        deposit(ALICE, amount);
        send(BOB, there);
        require(tokenA.balanceOf(ALICE) == amount - there && tokenA.totalSupply() == amount - there, "on A");
        require(tokenB.balanceOf(BOB) == there && tokenB.totalSupply() == there, "on B");
        same(bridgeB.metadataOf(L1_TOKEN), metadata);
        vm.chainId(B);
        vm.prank(BOB);
        bridgeB.send(address(tokenB), A, BOB, back);
        require(tokenB.totalSupply() == there - back && tokenA.balanceOf(BOB) == back, "back");
        require(tokenA.totalSupply() + tokenB.totalSupply() == amount, "as many");
        carried(there, back);
    }

    function test_what_one_does_not_have_is_not_sent() public {
        deposit(ALICE, 5);
        bytes4 tooFew = IERC20Errors.ERC20InsufficientBalance.selector;
        vm.expectRevert(abi.encodeWithSelector(tooFew, ALICE, 5, 6));
        send(BOB, 6);
        vm.expectRevert(abi.encodeWithSelector(tooFew, BOB, 0, 1));
        vm.prank(BOB);
        bridgeA.send(address(tokenA), B, BOB, 1);
        vm.expectRevert(abi.encodeWithSelector(tooFew, BOB, 0, 1));
        vm.prank(BOB);
        bridgeA.withdraw(address(tokenA), BOB, 1);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(0)));
        send(address(0), 1);
        vm.expectRevert(TokenBridge.NoReceiver.selector);
        vm.prank(ALICE);
        bridgeA.withdraw(address(tokenA), address(0), 1);
        // To itself, and to what is no rollup of the union.
        uint256[3] memory chains = [A, 903, type(uint256).max];
        for (uint256 i = 0; i < chains.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(CallNotMade.selector, 2));
            vm.prank(ALICE);
            bridgeA.send(address(tokenA), chains[i], BOB, 1);
        }
        require(tokenA.totalSupply() == 5, "all are there");
        carried(0, 0);
    }

    /// What looks like one of the bridge's tokens: a clone by somebody else, of the same token of L1.
    function test_only_tokens_of_the_bridge_are_sent() public {
        address forged = Clones.cloneDeterministicWithImmutableArgs(
            Predeploys.BRIDGED_TOKEN, abi.encodePacked(L1_TOKEN), bytes32(0)
        );
        BridgedToken(forged).describe(metadata);
        BridgedToken(forged).mint(ALICE, 5);
        address[4] memory wrong = [forged, BOB, Predeploys.BRIDGED_TOKEN, address(tokenA)];
        for (uint256 i = 0; i < wrong.length; ++i) {
            bytes memory notBridged = abi.encodeWithSelector(TokenBridge.NotBridged.selector, wrong[i]);
            vm.expectRevert(notBridged);
            vm.prank(ALICE);
            bridgeA.send(wrong[i], B, BOB, 1);
            vm.expectRevert(notBridged);
            vm.prank(ALICE);
            bridgeA.withdraw(wrong[i], BOB, 1);
        }
    }

    /// Whoever says that it is a peer's bridge: a key, a contract of the rollup, one of the peer, and the bridge's proxy for
    /// another rollup.
    function testFuzz_only_the_bridge_of_the_peer_is_believed(address caller, uint256 peer) public {
        if (caller == proxyOf(A, address(bridgeB))) return;
        vm.chainId(B);
        address[4] memory callers = [caller, address(bridgeB), proxyOf(A, ALICE), proxyOf(903, address(bridgeB))];
        uint256[2] memory peers = [A, peer];
        for (uint256 i = 0; i < 8; ++i) {
            (address by, uint256 home) = (callers[i % 4], peers[i / 4]);
            if (by == proxyOf(home, address(bridgeB))) continue;
            vm.expectRevert(abi.encodeWithSelector(TokenBridge.NotPeer.selector, home, by));
            vm.prank(by);
            bridgeB.receiveTokens(home, L1_TOKEN, ALICE, ALICE, 1, false, "");
        }
        // The peer's bridge speaks for its own rollup alone.
        address proxy = proxyOf(A, address(bridgeB));
        vm.expectRevert(abi.encodeWithSelector(TokenBridge.NotPeer.selector, 903, proxy));
        vm.prank(proxy);
        bridgeB.receiveTokens(903, L1_TOKEN, ALICE, ALICE, 1, false, "");
    }

    /// A peer that lies about what a token of L1 is called is corrected by the next deposit, which cannot be made to fail by
    /// texts that are dear to replace.
    function test_l1_knows_best_what_a_token_is_called() public {
        address peer = proxyOf(A, address(bridgeB));
        vm.etch(peer, type(Liar).runtimeCode);
        vm.chainId(B);
        Metadata memory lie = Metadata("A lie", "LIE", 18);
        Liar(peer).say(lie);
        vm.prank(peer);
        bridgeB.receiveTokens(A, L1_TOKEN, ALICE, BOB, 1, false, "");
        same(bridgeB.metadataOf(L1_TOKEN), lie);
        asPortal(bridgeB);
        bridgeB.finalizeDeposit(L1_TOKEN, ALICE, BOB, 1, metadata);
        same(bridgeB.metadataOf(L1_TOKEN), metadata);

        Metadata[2] memory endless = [Metadata(string(new bytes(65)), "", 0), Metadata("", string(new bytes(33)), 0)];
        for (uint256 i = 0; i < 2; ++i) {
            Liar(peer).say(endless[i]);
            vm.expectRevert(BridgedToken.TextTooLong.selector);
            vm.prank(peer);
            bridgeB.receiveTokens(A, address(0x702e), ALICE, BOB, 1, false, "");
        }
    }

    function testFuzz_a_lying_peer_leaves_room_for_deposits(uint256 amount, uint256 again) public {
        address peer = proxyOf(A, address(bridgeB));
        deposit(ALICE, 1);
        vm.chainId(B);
        uint256 most = type(uint256).max / 2;
        uint256[2] memory amounts = [amount, again];
        uint256 supply;
        for (uint256 i = 0; i < 2; ++i) {
            bool isTooMany = amounts[i] > most - supply;
            if (isTooMany) vm.expectRevert(abi.encodeWithSelector(TokenBridge.TooMany.selector, amounts[i]));
            vm.prank(peer);
            bridgeB.receiveTokens(A, L1_TOKEN, ALICE, BOB, amounts[i], false, "");
            if (!isTooMany) supply += amounts[i];
        }
        asPortal(bridgeB);
        bridgeB.finalizeDeposit(L1_TOKEN, ALICE, BOB, most, metadata);
        require(tokenB.totalSupply() == supply + most, "deposited");
    }

    function testFuzz_a_contract_is_called_with_the_tokens(uint128 amount, bytes calldata data) public {
        deposit(ALICE, amount);
        Taker taker = new Taker(bridgeB);
        vm.prank(ALICE);
        bridgeA.sendAndCall(address(tokenA), B, address(taker), amount, data);
        address proxy = proxyOf(A, ALICE);
        require(taker.caller() == address(tokenB) && taker.operator() == proxy && taker.from() == proxy, "who");
        require(taker.amount() == amount && taker.balance() == amount, "what");
        require(keccak256(taker.data()) == keccak256(data), "data");
        carried(amount, 0);
    }

    function test_a_contract_that_does_not_take_them_undoes_all() public {
        deposit(ALICE, 5);
        Taker taker = new Taker(bridgeB);
        bytes memory invalid = abi.encodeWithSelector(ERC1363Utils.ERC1363InvalidReceiver.selector, address(taker));
        Taker.Mode[3] memory modes = [Taker.Mode.Fail, Taker.Mode.FailQuietly, Taker.Mode.AnswerWrong];
        for (uint256 i = 0; i < modes.length; ++i) {
            taker.set(modes[i]);
            vm.expectRevert(i == 0 ? abi.encodeWithSelector(Taker.Unwelcome.selector, 3) : invalid);
            vm.prank(ALICE);
            bridgeA.sendAndCall(address(tokenA), B, address(taker), 3, "");
        }
        // An account without code, the bridge itself, its proxy, the token: none of them takes tokens.
        address[4] memory others = [BOB, address(bridgeB), proxyOf(A, address(bridgeB)), address(tokenB)];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.expectRevert();
            vm.prank(ALICE);
            bridgeA.sendAndCall(address(tokenA), B, others[i], 3, "");
        }
        require(tokenA.balanceOf(ALICE) == 5 && address(tokenB).code.length == 0, "nothing happened");
        carried(0, 0);
    }

    function test_a_caught_failure_leaves_the_tokens_where_they_were() public {
        Trier trier = new Trier();
        deposit(address(trier), 5);
        Taker taker = new Taker(bridgeB);
        taker.set(Taker.Mode.Fail);
        bytes memory call = abi.encodeCall(TokenBridge.sendAndCall, (address(tokenA), B, address(taker), 5, ""));
        require(!trier.attempt(address(bridgeA), call), "failed");
        require(tokenA.balanceOf(address(trier)) == 5, "not burnt");
        carried(0, 0);
        taker.set(Taker.Mode.Keep);
        require(trier.attempt(address(bridgeA), call) && tokenB.balanceOf(address(taker)) == 5, "sent");
    }

    function test_tokens_can_be_sent_back_in_the_middle() public {
        deposit(ALICE, 5);
        Taker taker = new Taker(bridgeB);
        taker.set(Taker.Mode.SendBack);
        vm.prank(ALICE);
        bridgeA.sendAndCall(address(tokenA), B, address(taker), 4, abi.encode(BOB));
        require(tokenA.balanceOf(BOB) == 4 && tokenA.balanceOf(ALICE) == 1, "on A");
        require(tokenB.totalSupply() == 0 && block.chainid == A, "on B");
        carried(4, 4);
    }

    function testFuzz_a_withdrawal_burns_and_sends_a_message(uint128 amount, uint128 out) public {
        out = uint128(bound(out, 0, amount));
        deposit(ALICE, amount);
        vm.prank(ALICE);
        bridgeA.withdraw(address(tokenA), BOB, out);
        require(tokenA.totalSupply() == amount - out && tokenA.balanceOf(ALICE) == amount - out, "burnt");
        bytes memory message = abi.encodeCall(IWithdrawalFinalizer.finalizeWithdrawal, (L1_TOKEN, BOB, out));
        bytes32 hash =
            Withdrawals.hash(Withdrawal(1 << 240, address(bridgeA), PORTAL_A, 0, TOKEN_WITHDRAWAL_GAS, message));
        require(L2ToL1MessagePasser(payable(Predeploys.MESSAGE_PASSER)).sentMessages(hash), "message");
    }

    function test_a_token_obeys_its_bridge_alone() public {
        deposit(ALICE, 5);
        bytes memory notBridge = abi.encodeWithSelector(BridgedToken.NotBridge.selector, ALICE);
        vm.expectRevert(notBridge);
        vm.prank(ALICE);
        tokenA.mint(ALICE, 1);
        vm.expectRevert(notBridge);
        vm.prank(ALICE);
        tokenA.mintAndCall(ALICE, ALICE, 1, "");
        vm.expectRevert(notBridge);
        vm.prank(ALICE);
        tokenA.burn(ALICE, 1);
        vm.expectRevert(notBridge);
        vm.prank(ALICE);
        tokenA.describe(metadata);
    }

    function test_an_allowance_can_be_signed() public {
        uint256 secret = 7;
        address owner = vm.addr(secret);
        deposit(owner, 10);
        bytes32 kind = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Token"),
                keccak256("1"),
                A,
                tokenA
            )
        );
        require(tokenA.DOMAIN_SEPARATOR() == domain, "domain");
        uint256 deadline = block.timestamp;
        bytes32 signed = keccak256(abi.encode(kind, owner, BOB, 6, 0, deadline));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(secret, keccak256(abi.encodePacked(hex"1901", domain, signed)));
        vm.expectRevert();
        tokenA.permit(owner, BOB, 7, deadline, v, r, s);
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(BridgedToken.PermitExpired.selector, deadline));
        tokenA.permit(owner, BOB, 6, deadline, v, r, s);
        vm.warp(deadline);
        tokenA.permit(owner, BOB, 6, deadline, v, r, s);
        require(tokenA.allowance(owner, BOB) == 6 && tokenA.nonces(owner) == 1, "allowed");
        vm.expectRevert();
        tokenA.permit(owner, BOB, 6, deadline, v, r, s);
        vm.prank(BOB);
        require(tokenA.transferFrom(owner, BOB, 6), "spent");
    }

    /// The bridge's contracts take a transfer on their own rollup as one that comes from another.
    function test_a_transfer_can_call_its_receiver() public {
        deposit(ALICE, 5);
        Taker taker = new Taker(bridgeA);
        vm.prank(ALICE);
        tokenA.transferAndCall(address(taker), 2, "hello");
        require(taker.from() == ALICE && taker.balance() == 2, "called");
    }
}
