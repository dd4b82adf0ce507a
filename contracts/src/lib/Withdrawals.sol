// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// A message from the rollup to L1, as the message passer recorded it (OP specification: withdrawals).
struct Withdrawal {
    /// Unique per message; the upper two bytes are the version of the format.
    uint256 nonce;
    address sender;
    address target;
    /// In wei.
    uint256 value;
    /// Gas that the call on L1 gets at least.
    uint256 gasLimit;
    bytes data;
}

/// What an output root is the hash of (OP specification: L2 output commitment).
struct OutputRootProof {
    bytes32 version;
    bytes32 stateRoot;
    bytes32 messagePasserStorageRoot;
    bytes32 latestBlockhash;
}

/// Hashes of withdrawals and outputs, the same on both sides.
library Withdrawals {
    function hash(Withdrawal memory withdrawal) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                withdrawal.nonce,
                withdrawal.sender,
                withdrawal.target,
                withdrawal.value,
                withdrawal.gasLimit,
                withdrawal.data
            )
        );
    }

    function outputRoot(OutputRootProof memory proof) internal pure returns (bytes32) {
        return
            keccak256(abi.encode(proof.version, proof.stateRoot, proof.messagePasserStorageRoot, proof.latestBlockhash));
    }

    /// The key, in the storage trie of the message passer, of the mark that it sent a withdrawal: the hash of slot
    /// `sentMessages[withdrawalHash]`, where `sentMessages` is the contract's first variable.
    function trieKey(bytes32 withdrawalHash) internal pure returns (bytes32) {
        return keccak256(abi.encode(keccak256(abi.encode(withdrawalHash, uint256(0)))));
    }
}
