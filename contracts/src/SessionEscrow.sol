// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {ICoalition} from "./ICoalition.sol";
import {IPermit2} from "./IPermit2.sol";
import {IUsdc} from "./IUsdc.sol";
import {Quote, Quotes} from "./Quote.sol";
import {Session} from "./Session.sol";
import {ISuperToken} from "./superfluid/ISuperfluid.sol";

/// @title Opens sessions. Holds no money: every session is an account of its own.
/// @notice A server quotes {account} as the x402 `payTo`. The voucher is an ERC-3009 authorization of the quote's amount to
/// that address. It may reach the token in any way, or the money by any other (a plain transfer, Permit2): this contract
/// finds it there.
contract SessionEscrow is AccessControl, Pausable {
    /// @notice The x402 voucher's fields that the quote does not fix.
    struct Authorization {
        address from;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }

    /// @notice May stop the opening of sessions, and nothing else.
    bytes32 public constant PAUSER = keccak256("PAUSER");

    /// @notice Seconds after a quote's expiry during which the meter alone says whose money an account holds.
    uint256 public constant ATTRIBUTION = 1 days;

    bytes32 private constant TRANSFER_WITH_AUTHORIZATION = keccak256(
        "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );

    /// @notice Where Permit2 is, on every chain that has it.
    IPermit2 public constant PERMIT2 = IPermit2(0x000000000022D473030F116dDEE9F6B43aC78BA3);

    bytes32 private constant SESSION_WITNESS = keccak256("SessionWitness(address account)");
    string private constant WITNESS =
        "SessionWitness witness)SessionWitness(address account)TokenPermissions(address token,uint256 amount)";

    ICoalition public immutable COALITION;
    IUsdc public immutable USDC;
    ISuperToken public immutable USDCX;

    /// @notice The code of every session's account.
    address public immutable SESSION;

    event SessionOpened(
        address indexed account, bytes32 indexed coalition, address indexed payer, address from, bytes32 nonce
    );
    event SessionDeclined(address indexed account, bytes32 indexed coalition, address indexed payer);

    /// @notice There was a session at this account already.
    error SessionExists(address account);
    /// @notice The quote expired, in unix seconds.
    error QuoteExpired(uint256 expires);
    /// @notice The coalition takes no sessions now.
    error CoalitionNotOpen(bytes32 coalition);
    /// @notice The voucher was not signed by `from`, or not for this account and amount.
    error VoucherInvalid(address from);
    /// @notice The voucher was never executed, so that there is nothing to give back.
    error VoucherUnused(address from, bytes32 nonce);
    /// @notice The account holds less than the quote's amount.
    error AccountShort(address account, uint256 held, uint256 amount);
    /// @notice Whose the money is, only the meter may say (see {ATTRIBUTION}).
    error NotYours(address caller);
    /// @notice The quote names no payer.
    error PayerUnknown();

    /// @param admin gives and takes the {PAUSER} role
    /// @param coalition the coalitions, and with them the tokens
    constructor(
        address admin,
        ICoalition coalition
    ) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(PAUSER, admin);
        COALITION = coalition;
        USDCX = coalition.USDCX();
        USDC = coalition.USDC();
        SESSION = address(new Session(USDCX, coalition.DISTRIBUTION()));
    }

    /// @notice Where a quote is paid to.
    function account(
        Quote calldata quote
    ) public view returns (address) {
        return Clones.predictDeterministicAddressWithImmutableArgs(SESSION, Quotes.encode(quote), 0);
    }

    /// @notice Executes a voucher, where nobody did before, and opens the session. Anybody may where the quote names the
    /// payer, else the meter alone.
    /// @param signature 65 bytes of a key, or what an ERC-1271 wallet takes
    /// @param start whether the stream starts at once; only the meter may say so
    function open(
        Quote calldata quote,
        Authorization calldata voucher,
        bytes calldata signature,
        bool start
    ) external returns (address opened) {
        opened = _vacant(quote);
        address payer = quote.payer;
        bool executed = USDC.authorizationState(voucher.from, voucher.nonce);
        if (payer == address(0)) {
            // A stranger could open another's quote with a voucher of his own, or with one that he cancelled (it reads as
            // used), and be the payer when the other's money arrives: the meter, who gave out the quote, says whose it is.
            require(msg.sender == COALITION.meter(quote.coalition), NotYours(msg.sender));
            if (executed) _checkVoucher(opened, quote.amount, voucher, signature);
            payer = voucher.from;
        }
        if (!executed) _execute(opened, quote.amount, voucher, signature);
        _open(quote, opened, payer, start);
        emit SessionOpened(opened, quote.coalition, payer, voucher.from, voucher.nonce);
    }

    /// @notice Draws the quote's amount by Permit2 and opens the session. Anybody may where the quote names the payer, else the
    /// meter alone.
    /// @param from who signed, for this contract as the spender, a `PermitWitnessTransferFrom` of the amount whose witness is
    /// `SessionWitness(address account)` with the session's account: it is good for these terms and for no others
    /// @param nonce of the permit
    /// @param deadline of the permit, in unix seconds
    /// @param start as for {open}
    function openWithPermit2(
        Quote calldata quote,
        address from,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature,
        bool start
    ) external returns (address opened) {
        opened = _vacant(quote);
        address payer = quote.payer;
        if (payer == address(0)) {
            require(msg.sender == COALITION.meter(quote.coalition), NotYours(msg.sender));
            payer = from;
        }
        PERMIT2.permitWitnessTransferFrom(
            IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(address(USDC), quote.amount), nonce, deadline),
            IPermit2.SignatureTransferDetails(opened, quote.amount),
            from,
            keccak256(abi.encode(SESSION_WITNESS, opened)),
            WITNESS,
            signature
        );
        _open(quote, opened, payer, start);
        emit SessionOpened(opened, quote.coalition, payer, from, bytes32(nonce));
    }

    /// @notice Opens a session whose money is there already, however it came. The quote names the payer.
    /// @param start as for {open}
    function openFunded(
        Quote calldata quote,
        bool start
    ) external returns (address opened) {
        require(quote.payer != address(0), PayerUnknown());
        opened = _vacant(quote);
        _open(quote, opened, quote.payer, start);
        emit SessionOpened(opened, quote.coalition, quote.payer, address(0), 0);
    }

    /// @notice Gives back what lies at the account of a quote that was never opened and will not be. By the payer or the
    /// meter at any time; by anybody once the quote expired, or, where it names no payer, {ATTRIBUTION} seconds later. Works
    /// when nothing else does: while paused, after the coalition's end.
    /// @param voucher as executed; read only where the quote names no payer
    /// @param signature as for {open}
    function reclaim(
        Quote calldata quote,
        Authorization calldata voucher,
        bytes calldata signature
    ) external returns (address declined) {
        declined = _vacant(quote);
        address payer = quote.payer;
        uint256 from = quote.expires;
        if (payer == address(0)) {
            payer = voucher.from;
            from += ATTRIBUTION;
            require(USDC.authorizationState(payer, voucher.nonce), VoucherUnused(payer, voucher.nonce));
            _checkVoucher(declined, quote.amount, voucher, signature);
        }
        require(
            block.timestamp > from || msg.sender == quote.payer || msg.sender == COALITION.meter(quote.coalition),
            NotYours(msg.sender)
        );
        _deploy(quote);
        emit SessionDeclined(declined, quote.coalition, payer);
        Session(declined).decline(payer);
        Session(declined).sweep();
    }

    /// @notice No new sessions. Those that are open go on, and every way out stays open.
    function pause() external onlyRole(PAUSER) {
        _pause();
    }

    /// @notice New sessions again.
    function unpause() external onlyRole(PAUSER) {
        _unpause();
    }

    function _open(
        Quote calldata quote,
        address opened,
        address payer,
        bool start
    ) private whenNotPaused {
        require(block.timestamp <= quote.expires, QuoteExpired(quote.expires));
        ICoalition.Offer memory offer = COALITION.offer(quote.coalition);
        require(offer.open, CoalitionNotOpen(quote.coalition));
        require(!start || msg.sender == offer.meter, NotYours(msg.sender));
        uint256 held = USDC.balanceOf(opened);
        require(held >= quote.amount, AccountShort(opened, held, quote.amount));
        uint256 endsAt = block.timestamp + quote.lifetime;
        if (endsAt > offer.deadline) endsAt = offer.deadline;
        _deploy(quote);
        Session(opened).open(payer, offer.pool, offer.rate, offer.meter, uint40(endsAt));
        if (start) Session(opened).start();
    }

    function _deploy(
        Quote calldata quote
    ) private {
        Clones.cloneDeterministicWithImmutableArgs(SESSION, Quotes.encode(quote), 0);
    }

    function _vacant(
        Quote calldata quote
    ) private view returns (address found) {
        found = account(quote);
        require(found.code.length == 0, SessionExists(found));
    }

    function _execute(
        address to,
        uint256 amount,
        Authorization calldata voucher,
        bytes calldata signature
    ) private {
        (address from, uint256 validAfter, uint256 validBefore, bytes32 nonce) =
            (voucher.from, voucher.validAfter, voucher.validBefore, voucher.nonce);
        if (signature.length == 65) {
            // Most vouchers are signed by a key. A contract wallet's signature may have 65 bytes as well.
            try USDC.transferWithAuthorization(
                from,
                to,
                amount,
                validAfter,
                validBefore,
                nonce,
                uint8(signature[64]),
                bytes32(signature[:32]),
                bytes32(signature[32:64])
            ) {
                return;
            } catch {}
        }
        USDC.transferWithAuthorization(from, to, amount, validAfter, validBefore, nonce, signature);
    }

    function _checkVoucher(
        address to,
        uint256 amount,
        Authorization calldata voucher,
        bytes calldata signature
    ) private view {
        bytes32 message = keccak256(
            abi.encode(
                TRANSFER_WITH_AUTHORIZATION,
                voucher.from,
                to,
                amount,
                voucher.validAfter,
                voucher.validBefore,
                voucher.nonce
            )
        );
        bytes32 digest = MessageHashUtils.toTypedDataHash(USDC.DOMAIN_SEPARATOR(), message);
        require(
            SignatureChecker.isValidSignatureNowCalldata(voucher.from, digest, signature), VoucherInvalid(voucher.from)
        );
    }
}
