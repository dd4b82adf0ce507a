// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC1363} from "@openzeppelin/contracts/token/ERC20/extensions/ERC1363.sol";
import {ERC1363Utils} from "@openzeppelin/contracts/token/ERC20/utils/ERC1363Utils.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Metadata, TokenMetadata} from "../lib/TokenMetadata.sol";

/// A token of L1 on a rollup: an ERC-20 with ERC-2612's `permit` and ERC-1363's transfers that call their receiver.
///
/// This contract is the code that all of them share. Each is a clone of it (ERC-1167) that the bridge makes, and carries
/// the address of the token on L1 behind its code.
contract BridgedToken is ERC1363, Nonces {
    error NotBridge(address caller);
    error PermitExpired(uint256 deadline);
    error NotSignedByOwner(address signer, address owner);
    error TextTooLong();

    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant PERMIT =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    /// Who mints and burns. Slot 6, with the decimals; a genesis sets it in the code that is shared.
    address public bridge;
    uint8 private _tokenDecimals;
    string private _tokenName;
    string private _tokenSymbol;

    modifier onlyBridge() {
        if (msg.sender != bridge) revert NotBridge(msg.sender);
        _;
    }

    constructor() ERC20("", "") {}

    /// Says what the token is called, and makes whoever does so first its bridge: the one that has just made the clone.
    ///
    /// Texts are bounded, so that what it costs to replace them is: a deposit does, and must not fail.
    function describe(Metadata calldata metadata) external {
        if (bridge == address(0)) bridge = msg.sender;
        else if (msg.sender != bridge) revert NotBridge(msg.sender);
        if (bytes(metadata.name).length > TokenMetadata.MAX_NAME_BYTES) revert TextTooLong();
        if (bytes(metadata.symbol).length > TokenMetadata.MAX_SYMBOL_BYTES) revert TextTooLong();
        _tokenDecimals = metadata.decimals;
        _tokenName = metadata.name;
        _tokenSymbol = metadata.symbol;
    }

    function mint(address to, uint256 amount) external onlyBridge {
        _mint(to, amount);
    }

    /// Mints, and tells `to` of it as a transfer by `from` does (ERC-1363). If `to` is no contract or does not take it, this
    /// reverts.
    function mintAndCall(address from, address to, uint256 amount, bytes calldata data) external onlyBridge {
        _mint(to, amount);
        ERC1363Utils.checkOnERC1363TransferReceived(from, from, to, amount, data);
    }

    function burn(address from, uint256 amount) external onlyBridge {
        _burn(from, amount);
    }

    /// Sets an allowance that `owner` signed (ERC-2612), for the name that the token has now: if L1 renames it, what was
    /// signed before is void. A name that is not UTF-8 is signed as its bytes are, not as a wallet shows them.
    function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
    {
        if (block.timestamp > deadline) revert PermitExpired(deadline);
        bytes32 signed = keccak256(abi.encode(PERMIT, owner, spender, value, _useNonce(owner), deadline));
        address signer = ECDSA.recover(keccak256(abi.encodePacked(hex"1901", DOMAIN_SEPARATOR(), signed)), v, r, s);
        if (signer != owner) revert NotSignedByOwner(signer, owner);
        _approve(owner, spender, value);
    }

    /// EIP-712's domain: the token's name, and version 1.
    function DOMAIN_SEPARATOR() public view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN, keccak256(bytes(name())), keccak256("1"), block.chainid, address(this)));
    }

    /// The token on L1.
    function l1Token() external view returns (address) {
        return address(bytes20(Clones.fetchCloneArgs(address(this))));
    }

    function name() public view override returns (string memory) {
        return _tokenName;
    }

    function symbol() public view override returns (string memory) {
        return _tokenSymbol;
    }

    function decimals() public view override returns (uint8) {
        return _tokenDecimals;
    }
}
