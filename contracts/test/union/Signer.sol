// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Bls, G1Point, G2Point} from "../../src/lib/Bls.sol";

/// What a validator's signer does, by the precompiles for multiples of points (EIP-2537).
library Signer {
    function keyOf(uint256 secret) internal view returns (G1Point memory) {
        G1Point memory generator = G1Point({
            xHigh: bytes32(uint256(0x17f1d3a73197d7942695638c4fa9ac0f)),
            xLow: 0xc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb,
            yHigh: bytes32(uint256(0x08b3f481e3aaa0f1a09e30ed741d8ae4)),
            yLow: 0xfcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1
        });
        (bool success, bytes memory answer) = address(0x0c).staticcall(abi.encode(generator, secret));
        require(success, "G1MSM");
        return abi.decode(answer, (G1Point));
    }

    function sign(uint256 secret, bytes32 message) internal view returns (G2Point memory) {
        return multiply(Bls.hashToPoint(message), secret);
    }

    function multiply(G2Point memory point, uint256 factor) internal view returns (G2Point memory) {
        (bool success, bytes memory answer) = address(0x0e).staticcall(abi.encode(point, factor));
        require(success, "G2MSM");
        return abi.decode(answer, (G2Point));
    }
}
