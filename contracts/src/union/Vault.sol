// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// What the vault asks of a portal that takes ether out.
interface IEtherReceiver {
    /// Takes ether without a deposit.
    function donateETH() external payable;
}

/// What the vault asks of a portal that brings tokens in.
interface ITokenPayer {
    /// Moves tokens of `from` to the vault, which is asking in a call by this very portal.
    function payToken(IERC20 token, address from, uint256 amount) external;
}

/// Keeps the ether and the tokens of all rollups of a union, and an account of whose they are.
///
/// Whatever is proven elsewhere, no rollup gives more than it was given: its account is checked here, at every payment
/// and every move. So a rollup whose proofs are broken loses what is its own at most.
///
/// Ether is the token at address zero. An account is debited before anything is paid, so calling back gains nothing; but
/// what arrives of a token is measured, and must not be measured while a token is being moved.
contract Vault is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    event RollupAdded(uint256 indexed rollup, address indexed portal, address indexed tokenPortal);
    event AdminChanged(address indexed before, address indexed admin);
    event Deposited(uint256 indexed rollup, address indexed token, uint256 amount);
    event Paid(uint256 indexed rollup, address indexed token, address indexed to, uint256 amount);
    event Moved(uint256 indexed from, uint256 indexed to, address indexed token, uint256 amount);

    error InvalidConfig();
    error NotAdmin();
    error NotSettlement();
    /// No rollup has this portal.
    error NotAPortal(address caller);
    error UnknownRollup(uint256 rollup);
    error AlreadyAdded(uint256 rollup, address portal, address tokenPortal);
    /// The rollup has less than it is to give.
    error Overdrawn(uint256 rollup, address token, uint256 balance, uint256 amount);
    /// Ether is not deposited as a token.
    error NotAToken();
    /// What the vault paid itself would be in no account.
    error PaidToVault();

    /// What stands for ether.
    address public constant ETHER = address(0);

    /// Who adds rollups. It has no say over those that are there, nor over what is kept.
    address public admin;
    /// Who moves value between rollups, as it is proven that their transactions did.
    address public settlement;
    mapping(uint256 rollup => address) public portalOf;
    mapping(uint256 rollup => address) public tokenPortalOf;
    /// The rollup of a portal of either kind; zero is none.
    mapping(address portal => uint256) public rollupOf;
    mapping(uint256 rollup => mapping(address token => uint256)) public balanceOf;

    constructor(address admin_, address settlement_) {
        if (admin_ == address(0) || settlement_ == address(0)) revert InvalidConfig();
        admin = admin_;
        settlement = settlement_;
        emit AdminChanged(address(0), admin_);
    }

    /// Adds a rollup, by its chain id, with the contracts that deposit and withdraw for it, ether and tokens. All for good.
    function addRollup(uint256 rollup, address portal, address tokenPortal) external {
        if (msg.sender != admin) revert NotAdmin();
        if (rollup == 0 || portal == address(0) || tokenPortal == address(0)) revert InvalidConfig();
        if (portalOf[rollup] != address(0) || rollupOf[portal] != 0 || rollupOf[tokenPortal] != 0) {
            revert AlreadyAdded(rollup, portal, tokenPortal);
        }
        (portalOf[rollup], tokenPortalOf[rollup]) = (portal, tokenPortal);
        (rollupOf[portal], rollupOf[tokenPortal]) = (rollup, rollup);
        emit RollupAdded(rollup, portal, tokenPortal);
    }

    /// Hands the right to add rollups on; to address zero, the union is closed.
    function changeAdmin(address next) external {
        if (msg.sender != admin) revert NotAdmin();
        emit AdminChanged(admin, next);
        admin = next;
    }

    /// Takes ether for the caller's rollup.
    function depositEther() external payable {
        _credit(_rollupOfCaller(), ETHER, msg.value);
    }

    /// Has the caller move tokens of `from` here, for its rollup, and returns what arrived: some tokens keep a fee.
    ///
    /// The portal moves them and not the vault, so that an allowance is for the portal of one rollup, and no other can use
    /// it; and it moves them straight here, so that a fee is kept once.
    function depositToken(IERC20 token, address from, uint256 amount) external nonReentrant returns (uint256 arrived) {
        if (address(token) == ETHER) revert NotAToken();
        uint256 rollup = _rollupOfCaller();
        uint256 before = token.balanceOf(address(this));
        ITokenPayer(msg.sender).payToken(token, from, amount);
        arrived = token.balanceOf(address(this)) - before;
        _credit(rollup, address(token), arrived);
    }

    /// Gives the caller ether of its rollup.
    function withdrawEther(uint256 amount) external {
        uint256 rollup = _rollupOfCaller();
        _debit(rollup, ETHER, amount);
        emit Paid(rollup, ETHER, msg.sender, amount);
        IEtherReceiver(msg.sender).donateETH{value: amount}();
    }

    /// Pays tokens of the caller's rollup.
    function withdrawToken(IERC20 token, address to, uint256 amount) external nonReentrant {
        if (address(token) == ETHER) revert NotAToken();
        if (to == address(this)) revert PaidToVault();
        uint256 rollup = _rollupOfCaller();
        _debit(rollup, address(token), amount);
        emit Paid(rollup, address(token), to, amount);
        token.safeTransfer(to, amount);
    }

    /// Moves value from one rollup's account to another's. Only what `from` has.
    function move(uint256 from, uint256 to, address token, uint256 amount) external {
        if (msg.sender != settlement) revert NotSettlement();
        if (portalOf[from] == address(0)) revert UnknownRollup(from);
        if (portalOf[to] == address(0)) revert UnknownRollup(to);
        _debit(from, token, amount);
        balanceOf[to][token] += amount;
        emit Moved(from, to, token, amount);
    }

    function _credit(uint256 rollup, address token, uint256 amount) private {
        balanceOf[rollup][token] += amount;
        emit Deposited(rollup, token, amount);
    }

    function _debit(uint256 rollup, address token, uint256 amount) private {
        uint256 balance = balanceOf[rollup][token];
        if (balance < amount) revert Overdrawn(rollup, token, balance, amount);
        balanceOf[rollup][token] = balance - amount;
    }

    function _rollupOfCaller() private view returns (uint256 rollup) {
        rollup = rollupOf[msg.sender];
        if (rollup == 0) revert NotAPortal(msg.sender);
    }
}
