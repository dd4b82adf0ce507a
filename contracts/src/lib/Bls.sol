// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// A point of the group of keys, as EIP-2537 encodes it: each coordinate 64 bytes, of which the first 16 are zero.
struct G1Point {
    bytes32 xHigh;
    bytes32 xLow;
    bytes32 yHigh;
    bytes32 yLow;
}

/// A point of the group of signatures; each coordinate has two parts.
struct G2Point {
    bytes32 x0High;
    bytes32 x0Low;
    bytes32 x1High;
    bytes32 x1Low;
    bytes32 y0High;
    bytes32 y0Low;
    bytes32 y1High;
    bytes32 y1Low;
}

/// Signatures by validators' keys (consensus specifications: BLS signatures; RFC 9380; EIP-2537).
library Bls {
    /// A precompile refused its input, which nobody can choose here, or is not there: the chain is before Pectra.
    error PrecompileFailed(uint160 precompile);

    uint160 private constant MODEXP = 0x05;
    uint160 private constant G2ADD = 0x0d;
    uint160 private constant PAIRING_CHECK = 0x0f;
    uint160 private constant MAP_FP2_TO_G2 = 0x11;

    /// The ciphersuite, and its length in one byte.
    bytes private constant DST_PRIME = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_\x2b";
    /// The field's modulus.
    bytes private constant MODULUS =
        hex"1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";
    /// Half the modulus, rounded down: a key's second coordinate is the larger of the two if it is above.
    uint256 private constant HALF_MODULUS_HIGH = 0x0d0088f51cbff34d258dd3db21a5d66b;
    uint256 private constant HALF_MODULUS_LOW = 0xb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffffffd555;
    /// Compressed points begin with these bits, in the first of their 48 bytes.
    uint256 private constant COMPRESSED = 1 << 127;
    uint256 private constant LARGER = 1 << 125;

    /// Whether `signature` is that of `key` for `message`. No key or signature makes this revert, but what is no point of
    /// the groups costs nearly all the gas that there is.
    function verify(G1Point memory key, bytes32 message, G2Point memory signature) internal view returns (bool) {
        // The key of nobody signs everything.
        if (key.xHigh | key.xLow | key.yHigh | key.yLow == bytes32(0)) return false;
        bytes memory pairs = abi.encode(_negatedGenerator(), signature, key, hashToPoint(message));
        // The precompile refuses what is not in the groups.
        (bool success, bytes memory answer) = address(PAIRING_CHECK).staticcall(pairs);
        return success && answer.length == 32 && bytes32(answer) == bytes32(uint256(1));
    }

    /// The root of a key in a state: that of its 48 bytes, compressed, in two chunks. For keys that signed alone: of
    /// other points this may be the root of another's key.
    function rootOf(G1Point memory key) internal pure returns (bytes32) {
        uint256 yHigh = uint256(key.yHigh);
        bool larger = yHigh > HALF_MODULUS_HIGH || (yHigh == HALF_MODULUS_HIGH && uint256(key.yLow) > HALF_MODULUS_LOW);
        uint256 high = uint256(key.xHigh) | COMPRESSED | (larger ? LARGER : 0);
        return sha256(abi.encodePacked(uint128(high), key.xLow, bytes16(0)));
    }

    /// RFC 9380 § `hash_to_curve`, of 32 bytes.
    function hashToPoint(bytes32 message) internal view returns (G2Point memory) {
        bytes32[8] memory uniform = _expand(message);
        bytes memory sum = abi.encodePacked(
            _map(_field(uniform[0], uniform[1]), _field(uniform[2], uniform[3])),
            _map(_field(uniform[4], uniform[5]), _field(uniform[6], uniform[7]))
        );
        // Adding stays outside the group that signatures are of; mapping, as EIP-2537 has it, ends within.
        return abi.decode(_call(G2ADD, sum, 256), (G2Point));
    }

    /// RFC 9380 § `expand_message_xmd`, to 256 bytes.
    function _expand(bytes32 message) private pure returns (bytes32[8] memory blocks) {
        bytes32 first = sha256(abi.encodePacked(bytes32(0), bytes32(0), message, uint16(256), uint8(0), DST_PRIME));
        bytes32 last = 0;
        for (uint256 i = 0; i < 8; ++i) {
            last = sha256(abi.encodePacked(first ^ last, uint8(i + 1), DST_PRIME));
            blocks[i] = last;
        }
    }

    /// 64 bytes as an element of the field.
    function _field(bytes32 high, bytes32 low) private view returns (bytes memory) {
        bytes memory power = abi.encodePacked(uint256(64), uint256(1), uint256(48), high, low, uint8(1), MODULUS);
        return abi.encodePacked(bytes16(0), _call(MODEXP, power, 48));
    }

    function _map(bytes memory part0, bytes memory part1) private view returns (bytes memory) {
        return _call(MAP_FP2_TO_G2, abi.encodePacked(part0, part1), 256);
    }

    function _call(uint160 precompile, bytes memory input, uint256 length) private view returns (bytes memory) {
        (bool success, bytes memory answer) = address(precompile).staticcall(input);
        if (!success || answer.length != length) revert PrecompileFailed(precompile);
        return answer;
    }

    function _negatedGenerator() private pure returns (G1Point memory) {
        return G1Point({
            xHigh: bytes32(uint256(0x17f1d3a73197d7942695638c4fa9ac0f)),
            xLow: 0xc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb,
            yHigh: bytes32(uint256(0x114d1d6855d545a8aa7d76c8cf2e21f2)),
            yLow: 0x67816aef1db507c96655b9d5caac42364e6f38ba0ecb751bad54dcd6b939c2ca
        });
    }
}
