// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Metadata, TokenMetadata} from "../../src/lib/TokenMetadata.sol";
import {LoudToken, OddToken, OldToken, Token} from "./Tokens.sol";

contract TokenMetadataTest {
    function ask(address token) private view returns (Metadata memory) {
        return TokenMetadata.read(token);
    }

    function same(Metadata memory metadata, string memory name, string memory symbol, uint8 decimals) private pure {
        require(keccak256(bytes(metadata.name)) == keccak256(bytes(name)), "name");
        require(keccak256(bytes(metadata.symbol)) == keccak256(bytes(symbol)), "symbol");
        require(metadata.decimals == decimals, "decimals");
    }

    function test_a_token_says_what_it_is() public {
        same(ask(address(new Token())), "Token", "TOK", 18);
        same(ask(address(0xb0b)), "", "", 0);
    }

    function testFuzz_no_answer_is_too_odd(bytes calldata answer, bool fails) public {
        OddToken odd = new OddToken();
        fails ? odd.fail(answer) : odd.say(answer);
        Metadata memory metadata = ask(address(odd));
        require(bytes(metadata.name).length <= 64 && bytes(metadata.symbol).length <= 32, "bounded");
    }

    function test_tokens_may_say_little_of_themselves() public {
        OldToken old = new OldToken();
        same(ask(address(old)), "Old", "OLD", 0);

        OddToken odd = new OddToken();
        odd.fail("no");
        same(ask(address(odd)), "", "", 0);
        odd.say("");
        same(ask(address(odd)), "", "", 0);
        odd.say(new bytes(63));
        same(ask(address(odd)), "", "", 0);
        odd.say(abi.encode(uint256(255)));
        same(ask(address(odd)), "", "", 255);
        odd.say(abi.encode(uint256(256)));
        same(ask(address(odd)), "", "", 0);
        // A text that is not where it always is, one that is said to be longer than it is, and one that is long.
        odd.say(abi.encode(uint256(64), uint256(0), uint256(1), bytes32("x")));
        same(ask(address(odd)), "", "", 64);
        odd.say(abi.encode(uint256(32), type(uint256).max, bytes2("xy")));
        same(ask(address(odd)), string(abi.encode(bytes2("xy"))), string(abi.encode(bytes2("xy"))), 32);
        bytes memory text = new bytes(1_000);
        for (uint256 i = 0; i < text.length; ++i) {
            text[i] = bytes1(uint8(33 + i % 90));
        }
        odd.say(abi.encode(string(text)));
        Metadata memory cut = ask(address(odd));
        require(bytes(cut.name).length == 64 && bytes(cut.symbol).length == 32, "cut");
        require(bytes(cut.name)[63] == text[63] && bytes(cut.symbol)[31] == text[31], "as it begins");
    }

    function test_a_text_is_cut_between_characters() public {
        OddToken odd = new OddToken();
        odd.say(abi.encode(unicode"xéééééééééééééééééééééééééééééééééééééééé"));
        same(
            ask(address(odd)),
            unicode"xééééééééééééééééééééééééééééééé",
            unicode"xééééééééééééééé",
            32
        );
        odd.say(abi.encode(unicode"éééééééééééééééééééééééééééééééé"));
        same(
            ask(address(odd)),
            unicode"éééééééééééééééééééééééééééééééé",
            unicode"éééééééééééééééé",
            32
        );
        // Not one character begins.
        bytes memory text = new bytes(100);
        for (uint256 i = 0; i < text.length; ++i) {
            text[i] = 0x80;
        }
        odd.say(abi.encode(string(text)));
        same(ask(address(odd)), "", "", 32);
    }

    function test_tokens_cannot_drown_a_deposit_in_answers() public {
        LoudToken loud = new LoudToken();
        uint256 before = gasleft();
        same(ask(address(loud)), "", "", 18);
        require(before - gasleft() < 200_000, "gas");
    }
}
