// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Lookahead} from "./Lookahead.sol";
import {Registry} from "./Registry.sol";

/// Where the union's batches are posted: for a slot that is over, one at most, and only what its owner signed.
///
/// A slot's owner is the gateway of its proposer; if the proposer did not opt in, that of the next one that did, as far
/// as the look-ahead goes. Who posts does not matter. What the blobs hold is not looked at here: derivation drops what
/// is malformed.
contract Inbox {
    /// What a slot's owner signs.
    struct Batch {
        uint64 slot;
        /// The hash of the batch before it, so that it is executed where its owner executed it, or not at all.
        bytes32 parent;
        /// Versioned hashes, in order.
        bytes32[] blobHashes;
    }

    struct Config {
        Lookahead lookahead;
        Registry registry;
        /// The first slot that can have a batch.
        uint64 firstSlot;
        /// For how many slots after its own a batch can be posted.
        uint64 windowSlots;
    }

    event BatchPosted(
        uint64 indexed slot,
        address indexed owner,
        uint64 indexed sequence,
        /// The slot of the proposer who delegated: the batch's own, or a later one.
        uint64 ownerSlot,
        bytes32 batchHash,
        bytes32 parent,
        bytes32[] blobHashes
    );

    error InvalidConfig();
    /// The slot has a batch, or a later one has.
    error SlotPassed(uint64 least);
    /// The slot is not over.
    error SlotNotOver(uint64 current);
    error WindowClosed(uint64 lastSlot);
    /// The batch follows another than the newest.
    error WrongParent(bytes32 head);
    error BlobCount(uint256 most);
    /// The transaction has no such blob.
    error NoBlob(uint256 index);
    /// The slot belongs to this gateway, of an earlier proposer than the proof says.
    error EarlierOwner(uint64 slot, address gateway);
    /// The last proposer of the proof did not opt in for its slot.
    error NoOwner(uint64 slot);
    error NotOwner(address expected, address signer);

    /// The most blobs of a batch: what a transaction can carry is less.
    uint256 public constant MAX_BLOBS = 16;

    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant BATCH = keccak256("UnionBatch(uint64 slot,bytes32 parent,bytes32[] blobHashes)");

    Lookahead public lookahead;
    Registry public registry;
    uint64 public windowSlots;
    /// The first slot that can still have a batch.
    uint64 public nextSlot;
    /// How many batches there are; the next one's sequence.
    uint64 public count;
    /// The hash of the newest batch; zero before the first.
    bytes32 public head;

    constructor(Config memory config) {
        if (
            address(config.lookahead).code.length == 0 || address(config.registry).code.length == 0
                || address(config.registry.lookahead()) != address(config.lookahead) || config.windowSlots == 0
        ) revert InvalidConfig();
        lookahead = config.lookahead;
        registry = config.registry;
        nextSlot = config.firstSlot;
        windowSlots = config.windowSlots;
    }

    /// Posts the batch of `slot`: the transaction's blobs from `firstBlob` on, `blobCount` of them.
    ///
    /// `proof` gives the proposers from `slot` to the first that opted in, whose gateway signed (`batchHash`).
    function post(
        uint64 slot,
        bytes32 parent,
        uint256 firstBlob,
        uint256 blobCount,
        Lookahead.Proof calldata proof,
        bytes calldata signature
    ) external {
        _checkSlot(slot);
        if (parent != head) revert WrongParent(head);
        Batch memory batch = Batch(slot, parent, _blobs(firstBlob, blobCount));
        (address owner, uint64 ownerSlot) = ownerOf(slot, proof);
        bytes32 hash = batchHash(batch);
        (address signer,,) = ECDSA.tryRecover(hash, signature);
        if (signer != owner) revert NotOwner(owner, signer);

        _accept(batch, hash, owner, ownerSlot);
    }

    /// Who owns `slot`, and by the proposer of which slot.
    function ownerOf(uint64 slot, Lookahead.Proof calldata proof)
        public
        view
        returns (address owner, uint64 ownerSlot)
    {
        bytes32[] memory keys = lookahead.proposers(slot, proof);
        for (uint256 i = 0; i < keys.length; ++i) {
            ownerSlot = slot + uint64(i);
            owner = registry.gatewayAt(keys[i], ownerSlot);
            bool isLast = i == keys.length - 1;
            if (isLast && owner == address(0)) revert NoOwner(ownerSlot);
            if (!isLast && owner != address(0)) revert EarlierOwner(ownerSlot, owner);
        }
    }

    /// What the owner of a batch's slot signs (EIP-712), and the name of the batch.
    function batchHash(Batch memory batch) public view returns (bytes32) {
        bytes32 domain =
            keccak256(abi.encode(DOMAIN, keccak256("Lockstep Inbox"), keccak256("1"), block.chainid, address(this)));
        bytes32 blobs = keccak256(abi.encodePacked(batch.blobHashes));
        bytes32 content = keccak256(abi.encode(BATCH, batch.slot, batch.parent, blobs));
        return keccak256(abi.encodePacked(hex"1901", domain, content));
    }

    function _accept(Batch memory batch, bytes32 hash, address owner, uint64 ownerSlot) private {
        emit BatchPosted(batch.slot, owner, count, ownerSlot, hash, batch.parent, batch.blobHashes);
        nextSlot = batch.slot + 1;
        count += 1;
        head = hash;
    }

    /// Reverts unless a batch of `slot` can be posted now.
    function _checkSlot(uint64 slot) private view {
        if (slot < nextSlot) revert SlotPassed(nextSlot);
        uint64 current = lookahead.slotAt(block.timestamp);
        // The block of a slot is the first that can have the batch of the slot before, and its proposer's gateway owns the
        // slot as a rule: its own batch in it would shut that one out for good.
        if (slot >= current) revert SlotNotOver(current);
        if (current - slot > windowSlots) revert WindowClosed(slot + windowSlots);
    }

    function _blobs(uint256 first, uint256 blobCount) private view returns (bytes32[] memory hashes) {
        if (blobCount == 0 || blobCount > MAX_BLOBS) revert BlobCount(MAX_BLOBS);
        hashes = new bytes32[](blobCount);
        for (uint256 i = 0; i < blobCount; ++i) {
            hashes[i] = blobhash(first + i);
            if (hashes[i] == bytes32(0)) revert NoBlob(first + i);
        }
    }
}
