// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Bls, G1Point, G2Point} from "../lib/Bls.sol";
import {Lookahead} from "./Lookahead.sol";

/// Proposers of L1 that opted in: their keys, their collateral, and to whom they gave the slots that they will propose.
///
/// A key is registered with a signature by it, checked at once, and so is every delegation: what stands here is proven,
/// and needs no time in which somebody could object. A key is named by its root in a beacon state.
///
/// Who owns the slots of a look-ahead is settled before the look-ahead is known: a delegation begins no sooner than two
/// epochs after it was recorded, and is never replaced. Whoever owns a slot has collateral: it can be taken no sooner than
/// `exitDelaySlots` after the last slot that was delegated. Slashing will take from it.
contract Registry {
    struct Registration {
        /// Who may leave and take the collateral. The key signed for it.
        address owner;
        /// From which slot on the collateral can be taken; zero while the proposer has not left.
        uint64 exitSlot;
        /// In wei.
        uint256 collateral;
    }

    /// Slots, both included, and who orders the union's transactions in those that the proposer proposes.
    struct Delegation {
        uint48 firstSlot;
        uint48 lastSlot;
        address gateway;
    }

    struct Config {
        Lookahead lookahead;
        /// The least collateral of a key, in wei.
        uint256 minCollateral;
        /// For how many slots after its last delegated one a proposer's collateral stays: the time to prove a fault.
        uint64 exitDelaySlots;
    }

    event Registered(bytes32 indexed key, address indexed owner, uint64 registration, uint256 collateral);
    event CollateralAdded(bytes32 indexed key, uint256 collateral);
    event Delegated(bytes32 indexed key, address indexed gateway, uint64 firstSlot, uint64 lastSlot);
    event Exiting(bytes32 indexed key, uint64 exitSlot);
    event Withdrawn(bytes32 indexed key, address indexed to, uint256 collateral);

    error InvalidConfig();
    error NoOwner();
    error NoGateway();
    error AlreadyRegistered();
    error NotRegistered();
    error NotOwner();
    error SmallCollateral(uint256 least);
    error InvalidSignature();
    /// The proposer has left.
    error IsExiting(uint64 exitSlot);
    error NotExiting();
    error NotYet(uint64 exitSlot);
    /// The slots are out of order, or end too late.
    error InvalidSlots(uint64 end);
    /// A delegation begins after all before it, and after the look-ahead that may be known.
    error TooEarly(uint64 least);
    error PaymentFailed();

    /// How many slots from the first open one on can be delegated: a week at 12 seconds. What is delegated cannot be taken
    /// back, and holds the owner's collateral, whoever has the key.
    uint64 public constant HORIZON_SLOTS = 50_400;
    /// The longest exit delay: a year at 12 seconds.
    uint64 public constant MAX_EXIT_DELAY_SLOTS = 2_628_000;
    /// The domain type of what is signed here: no duty of a validator has it, and its last bit says that it is of an
    /// application (consensus specifications: `DOMAIN_APPLICATION_MASK`).
    bytes4 public constant DOMAIN_TYPE = 0x4c530001;

    bytes32 private constant REGISTER = keccak256("Register(address owner,uint64 registration)");
    bytes32 private constant DELEGATE =
        keccak256("Delegate(address gateway,uint64 firstSlot,uint64 lastSlot,uint64 registration)");

    Lookahead public lookahead;
    uint256 public minCollateral;
    uint64 public exitDelaySlots;
    mapping(bytes32 key => Registration) public registrations;
    /// How often a key was registered. It is part of what the key signs, so that nothing signed holds for another time.
    mapping(bytes32 key => uint64) public registrationCount;
    /// In the order of their slots, which do not overlap.
    mapping(bytes32 key => Delegation[]) private _delegations;

    constructor(Config memory config) {
        if (
            address(config.lookahead).code.length == 0 || config.minCollateral == 0 || config.exitDelaySlots == 0
                || config.exitDelaySlots > MAX_EXIT_DELAY_SLOTS
        ) revert InvalidConfig();
        lookahead = config.lookahead;
        minCollateral = config.minCollateral;
        exitDelaySlots = config.exitDelaySlots;
    }

    /// Registers a key, by its own signature (`registrationRoot`), with what is sent as collateral.
    function register(G1Point calldata key, address owner, G2Point calldata signature) external payable {
        if (owner == address(0)) revert NoOwner();
        if (msg.value < minCollateral) revert SmallCollateral(minCollateral);
        bytes32 root = Bls.rootOf(key);
        if (registrations[root].owner != address(0)) revert AlreadyRegistered();
        uint64 count = registrationCount[root];
        if (!Bls.verify(key, registrationRoot(owner, count), signature)) revert InvalidSignature();

        registrationCount[root] = count + 1;
        registrations[root] = Registration(owner, 0, msg.value);
        emit Registered(root, owner, count, msg.value);
    }

    /// Adds to a key's collateral. It is the owner's when the key leaves.
    function addCollateral(bytes32 key) external payable {
        Registration storage registration = _registered(key);
        if (registration.exitSlot != 0) revert IsExiting(registration.exitSlot);
        registration.collateral += msg.value;
        emit CollateralAdded(key, registration.collateral);
    }

    /// Gives slots to a gateway, by the key's signature (`delegationRoot`). Anybody may record what the key signed.
    function delegate(G1Point calldata key, Delegation calldata delegation, G2Point calldata signature) external {
        if (delegation.gateway == address(0)) revert NoGateway();
        bytes32 root = Bls.rootOf(key);
        uint64 exitSlot = _registered(root).exitSlot;
        if (exitSlot != 0) revert IsExiting(exitSlot);
        _checkSlots(root, delegation);
        bytes32 signed = delegationRoot(delegation, registrationCount[root] - 1);
        if (!Bls.verify(key, signed, signature)) revert InvalidSignature();

        _delegations[root].push(delegation);
        emit Delegated(root, delegation.gateway, delegation.firstSlot, delegation.lastSlot);
    }

    /// Ends a registration: nothing more is delegated, and when all that was is past for long enough, the collateral
    /// can be taken.
    function exit(bytes32 key) external {
        Registration storage registration = _registered(key);
        if (msg.sender != registration.owner) revert NotOwner();
        if (registration.exitSlot != 0) revert IsExiting(registration.exitSlot);
        uint64 last = _slot();
        uint64 delegated = lastDelegatedSlot(key);
        if (delegated > last) last = delegated;
        registration.exitSlot = last + exitDelaySlots;
        emit Exiting(key, registration.exitSlot);
    }

    /// Pays the collateral out.
    function withdraw(bytes32 key, address payable to) external {
        Registration memory registration = _registered(key);
        if (msg.sender != registration.owner) revert NotOwner();
        if (registration.exitSlot == 0) revert NotExiting();
        if (_slot() <= registration.exitSlot) revert NotYet(registration.exitSlot);

        delete registrations[key];
        emit Withdrawn(key, to, registration.collateral);
        (bool success,) = to.call{value: registration.collateral}("");
        if (!success) revert PaymentFailed();
    }

    /// Who orders the union's transactions if the key's validator proposes `slot`; nobody if it did not opt in for it.
    function gatewayAt(bytes32 key, uint64 slot) external view returns (address) {
        Delegation[] storage delegations = _delegations[key];
        // The first delegation that does not end before the slot.
        uint256 low = 0;
        uint256 high = delegations.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (delegations[middle].lastSlot < slot) low = middle + 1;
            else high = middle;
        }
        if (low == delegations.length || delegations[low].firstSlot > slot) return address(0);
        return delegations[low].gateway;
    }

    function delegationCount(bytes32 key) external view returns (uint256) {
        return _delegations[key].length;
    }

    function delegationOf(bytes32 key, uint256 index) external view returns (Delegation memory) {
        return _delegations[key][index];
    }

    /// Zero if the key never delegated.
    function lastDelegatedSlot(bytes32 key) public view returns (uint64) {
        uint256 count = _delegations[key].length;
        return count == 0 ? 0 : _delegations[key][count - 1].lastSlot;
    }

    /// The first slot that can still be delegated: whose proposer no look-ahead shows yet.
    function firstOpenSlot() public view returns (uint64) {
        return _slot() + 2 * lookahead.slotsPerEpoch();
    }

    /// What a key signs to be registered, for its `registration`-th time from zero.
    function registrationRoot(address owner, uint64 registration) public view returns (bytes32) {
        return _signingRoot(keccak256(abi.encode(REGISTER, owner, registration)));
    }

    /// What a key signs to delegate in that registration.
    function delegationRoot(Delegation calldata delegation, uint64 registration) public view returns (bytes32) {
        return _signingRoot(
            keccak256(abi.encode(DELEGATE, delegation.gateway, delegation.firstSlot, delegation.lastSlot, registration))
        );
    }

    /// The domain of all that is signed for this contract, as `compute_domain` makes it, of chain and contract.
    function domain() public view returns (bytes32) {
        bytes32 here = keccak256(abi.encode(block.chainid, address(this)));
        return bytes32(DOMAIN_TYPE) | here >> 32;
    }

    /// Reverts unless `delegation` may follow those that the key has.
    function _checkSlots(bytes32 key, Delegation calldata delegation) private view {
        uint64 least = firstOpenSlot();
        uint64 end = least + HORIZON_SLOTS;
        if (delegation.lastSlot < delegation.firstSlot || delegation.lastSlot >= end) revert InvalidSlots(end);
        uint64 last = lastDelegatedSlot(key);
        if (least <= last) least = last + 1;
        if (delegation.firstSlot < least) revert TooEarly(least);
    }

    function _registered(bytes32 key) private view returns (Registration storage registration) {
        registration = registrations[key];
        if (registration.owner == address(0)) revert NotRegistered();
    }

    function _slot() private view returns (uint64) {
        return lookahead.slotAt(block.timestamp);
    }

    /// `compute_signing_root`, so that a validator's signer can be asked for it.
    function _signingRoot(bytes32 object) private view returns (bytes32) {
        return sha256(abi.encode(object, domain()));
    }
}
