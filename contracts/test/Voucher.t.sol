// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {DevUsdc} from "../src/DevUsdc.sol";
import {Quote} from "../src/Quote.sol";
import {Session} from "../src/Session.sol";
import {SessionEscrow} from "../src/SessionEscrow.sol";
import {ISuperfluidPool} from "../src/superfluid/ISuperfluid.sol";
import {World} from "./kit/World.sol";
import {vm} from "./kit/Vm.sol";

/// @dev A wallet that is a contract: what its owner's key signed is its word.
contract Wallet is IERC1271 {
    address private immutable KEY;

    constructor(
        address key
    ) {
        KEY = key;
    }

    function isValidSignature(
        bytes32 digest,
        bytes calldata signature
    ) external view returns (bytes4) {
        return ECDSA.recoverCalldata(digest, signature) == KEY ? this.isValidSignature.selector : bytes4(0);
    }
}

/// @dev From the voucher to the open session, and everything that somebody could do to it on the way.
contract VoucherTest is World {
    uint256 private constant THIEF_KEY = 0x7417ef;

    Quote private quote;
    SessionEscrow.Authorization private voucher;
    bytes private signature;

    function setUp() public override {
        super.setUp();
        quote = _quote(10e6);
        (voucher, signature) = _voucher(quote, PAYER_KEY);
    }

    function test_the_signer_of_a_voucher_is_the_payer() public {
        vm.prank(meter);
        Session session = Session(escrow.open(quote, voucher, signature, false));
        vm.assertEq(session.payer(), payer);
        vm.assertEq(session.meter(), meter);
        vm.assertEq(address(session), escrow.account(quote));
        vm.assertEq(session.budget(), 10e18);
        Quote memory bound = session.quote();
        vm.assertEq(keccak256(abi.encode(bound)), keccak256(abi.encode(quote)));
    }

    function test_anybody_may_submit_the_voucher_of_a_quote_that_names_its_payer() public {
        _namePayer();
        vm.prank(stranger);
        Session session = Session(escrow.open(quote, voucher, signature, false));
        vm.assertEq(session.payer(), payer);
    }

    function test_a_thief_does_not_open_what_another_is_about_to_pay() public {
        (SessionEscrow.Authorization memory own, bytes memory signed) = _voucher(quote, THIEF_KEY);
        _fund(own.from, quote.amount);
        vm.prank(own.from);
        vm.expectPartialRevert(SessionEscrow.NotYours.selector);
        escrow.open(quote, own, signed, false);
        // Where the quote names its payer a stranger may pay for him, and gains nothing by it.
        _namePayer();
        (own, signed) = _voucher(quote, THIEF_KEY);
        vm.prank(own.from);
        Session session = Session(escrow.open(quote, own, signed, false));
        _executeDirectly(quote, voucher, signature);
        vm.prank(meter);
        session.close(0);
        vm.assertEq(session.payer(), payer);
        vm.assertEq(usdc.balanceOf(own.from), 0);
    }

    function testFuzz_the_account_says_what_it_was_quoted(
        Quote calldata any
    ) public {
        Quote memory drawn = any;
        (drawn.coalition, drawn.payer) = (id, payer);
        drawn.amount = 1 + drawn.amount % 1_000_000e6;
        if (drawn.expires < block.timestamp) drawn.expires = uint64(block.timestamp);
        _transfer(escrow.account(drawn), drawn.amount);
        Session session = Session(escrow.openFunded(drawn, false));
        vm.assertEq(keccak256(abi.encode(session.quote())), keccak256(abi.encode(drawn)));
    }

    function test_a_replayed_voucher_opens_nothing() public {
        vm.prank(meter);
        escrow.open(quote, voucher, signature, false);
        vm.prank(meter);
        vm.expectPartialRevert(SessionEscrow.SessionExists.selector);
        escrow.open(quote, voucher, signature, false);
        Quote memory other = _quote(10e6);
        vm.expectPartialRevert(SessionEscrow.NotYours.selector);
        escrow.open(other, voucher, signature, false);
        vm.prank(meter);
        vm.expectPartialRevert(SessionEscrow.VoucherInvalid.selector);
        escrow.open(other, voucher, signature, false);
    }

    function test_a_voucher_for_another_amount_coalition_or_lifetime_opens_nothing() public {
        Quote memory other = quote;
        other.amount += 1;
        _expectRefused(other);
        other = quote;
        other.lifetime += 1;
        _expectRefused(other);
        other = quote;
        other.coalition = _found(2);
        _expectRefused(other);
    }

    function test_a_voucher_of_another_chain_opens_nothing() public {
        vm.chainId(16602);
        DevUsdc there = new DevUsdc();
        vm.assertTrue(there.DOMAIN_SEPARATOR() != usdc.DOMAIN_SEPARATOR());
        _expectRefused(quote);
    }

    function test_an_expired_voucher_opens_nothing() public {
        vm.warp(voucher.validBefore);
        vm.prank(meter);
        vm.expectPartialRevert(ERC3009.ERC3009InvalidAuthorizationTime.selector);
        escrow.open(quote, voucher, signature, false);
    }

    function test_an_expired_quote_opens_nothing() public {
        voucher.validBefore += 1 days;
        signature = _signVoucher(voucher, escrow.account(quote), quote.amount, PAYER_KEY);
        vm.warp(quote.expires + 1);
        vm.prank(meter);
        vm.expectPartialRevert(SessionEscrow.QuoteExpired.selector);
        escrow.open(quote, voucher, signature, false);
    }

    function test_an_underfunded_voucher_opens_nothing() public {
        (voucher, signature) = _voucher(quote, THIEF_KEY);
        vm.prank(meter);
        vm.expectRevert();
        escrow.open(quote, voucher, signature, false);
    }

    function test_a_cancelled_voucher_opens_nothing() public {
        _cancel(voucher, PAYER_KEY);
        vm.prank(meter);
        vm.expectPartialRevert(SessionEscrow.AccountShort.selector);
        escrow.open(quote, voucher, signature, true);
        vm.expectPartialRevert(SessionEscrow.NotYours.selector);
        escrow.open(quote, voucher, signature, false);
    }

    function test_a_voucher_executed_by_a_stranger_is_not_lost() public {
        vm.prank(stranger);
        _executeDirectly(quote, voucher, signature);
        vm.prank(stranger);
        vm.expectPartialRevert(SessionEscrow.NotYours.selector);
        escrow.open(quote, voucher, signature, false);
        vm.prank(meter);
        Session session = Session(escrow.open(quote, voucher, signature, true));
        vm.assertEq(session.payer(), payer);
        vm.assertTrue(session.state() == Session.State.Streaming);
    }

    function test_who_signed_and_cancelled_cannot_take_what_another_paid() public {
        _executeDirectly(quote, voucher, signature);
        (SessionEscrow.Authorization memory fake, bytes memory signed) = _voucher(quote, THIEF_KEY);
        _cancel(fake, THIEF_KEY);
        vm.prank(fake.from);
        vm.expectPartialRevert(SessionEscrow.NotYours.selector);
        escrow.open(quote, fake, signed, false);
        vm.warp(quote.expires + escrow.ATTRIBUTION());
        vm.prank(fake.from);
        vm.expectPartialRevert(SessionEscrow.NotYours.selector);
        escrow.reclaim(quote, fake, signed);
        vm.prank(meter);
        escrow.reclaim(quote, voucher, signature);
        vm.assertEq(usdc.balanceOf(payer), 1_000_000e6);
    }

    function test_an_executed_voucher_comes_back_with_the_meter_gone() public {
        _executeDirectly(quote, voucher, signature);
        vm.warp(quote.expires + escrow.ATTRIBUTION() + 1);
        vm.prank(stranger);
        escrow.reclaim(quote, voucher, signature);
        vm.assertEq(usdc.balanceOf(payer), 1_000_000e6);
    }

    function test_nothing_comes_back_that_was_not_paid() public {
        vm.warp(quote.expires + escrow.ATTRIBUTION() + 1);
        vm.expectPartialRevert(SessionEscrow.VoucherUnused.selector);
        escrow.reclaim(quote, voucher, signature);
    }

    function test_a_quote_to_a_known_payer_takes_the_money_however_it_comes() public {
        quote.payer = payer;
        vm.expectPartialRevert(SessionEscrow.AccountShort.selector);
        escrow.openFunded(quote, false);
        _transfer(escrow.account(quote), quote.amount);
        vm.prank(stranger);
        Session session = Session(escrow.openFunded(quote, false));
        vm.assertEq(session.payer(), payer);
        vm.assertEq(session.budget(), 10e18);
    }

    function test_a_known_payer_takes_back_at_any_time_and_anybody_returns_it_later() public {
        quote.payer = payer;
        address account = escrow.account(quote);
        _transfer(account, 5e6);
        vm.prank(stranger);
        vm.expectPartialRevert(SessionEscrow.NotYours.selector);
        escrow.reclaim(quote, voucher, signature);
        vm.prank(payer);
        escrow.reclaim(quote, voucher, signature);
        vm.assertEq(usdc.balanceOf(payer), 1_000_000e6);
        vm.expectPartialRevert(SessionEscrow.SessionExists.selector);
        escrow.openFunded(quote, false);

        // What arrives later goes back as well.
        _transfer(account, 5e6);
        Session(account).sweep();
        vm.assertEq(usdc.balanceOf(payer), 1_000_000e6);
    }

    function test_a_quote_without_a_payer_is_opened_by_voucher_only() public {
        vm.expectPartialRevert(SessionEscrow.PayerUnknown.selector);
        escrow.openFunded(quote, false);
    }

    function test_pausing_stops_new_sessions_and_no_way_out() public {
        Session running = _open(10e6, true);
        escrow.pause();
        vm.prank(meter);
        vm.expectRevert(abi.encodeWithSignature("EnforcedPause()"));
        escrow.open(quote, voucher, signature, false);
        _executeDirectly(quote, voucher, signature);
        vm.prank(meter);
        escrow.reclaim(quote, voucher, signature);
        _pass(10);
        vm.prank(payer);
        running.close();
        _pass(running.SETTLEMENT());
        running.close();
        vm.assertTrue(running.state() == Session.State.Closed);
        escrow.unpause();
        _open(10e6, true);
    }

    function test_only_the_pauser_pauses() public {
        vm.startPrank(stranger);
        vm.expectRevert();
        escrow.pause();
        vm.expectRevert();
        escrow.unpause();
    }

    function test_only_the_meter_starts_on_opening() public {
        _namePayer();
        vm.prank(stranger);
        vm.expectPartialRevert(SessionEscrow.NotYours.selector);
        escrow.open(quote, voucher, signature, true);
    }

    function test_a_session_ends_no_later_than_its_coalition() public {
        vm.warp(coalitions.offer(id).deadline - 100);
        Session session = _open(10e6, true);
        vm.assertEq(session.endsAt(), coalitions.offer(id).deadline);
        _pass(100);
        vm.assertTrue(session.isOver());
        Quote memory known = _knownQuote();
        vm.expectPartialRevert(SessionEscrow.CoalitionNotOpen.selector);
        escrow.openFunded(known, false);
    }

    function test_a_contract_wallet_pays_too() public {
        address wallet = address(new Wallet(payer));
        _fund(wallet, 10e6);
        voucher.from = wallet;
        signature = _signVoucher(voucher, escrow.account(quote), quote.amount, PAYER_KEY);
        vm.prank(meter);
        Session session = Session(escrow.open(quote, voucher, signature, false));
        vm.assertEq(session.payer(), wallet);
        vm.prank(meter);
        session.close(0);
        vm.assertEq(usdc.balanceOf(wallet), 10e6);
    }

    function test_the_code_of_sessions_is_nobodys_session() public {
        Session code = Session(escrow.SESSION());
        vm.prank(payer);
        vm.expectPartialRevert(Session.WrongState.selector);
        code.close();
        vm.expectPartialRevert(Session.WrongState.selector);
        code.sweep();
        ISuperfluidPool pool = _pool();
        vm.expectPartialRevert(Session.NotAllowed.selector);
        code.open(payer, pool, 1, payer, 1);
    }

    function test_the_faucet_gives_once_an_hour() public {
        usdc.faucet(stranger);
        vm.assertEq(usdc.balanceOf(stranger), usdc.DRIP());
        vm.expectPartialRevert(DevUsdc.FaucetDry.selector);
        usdc.faucet(stranger);
        _pass(1 hours);
        usdc.faucet(stranger);
    }

    function test_the_devnet_token_is_of_devnets() public {
        vm.chainId(16661);
        vm.expectRevert(abi.encodeWithSelector(DevUsdc.NotATestChain.selector, 16661));
        new DevUsdc();
    }

    function _knownQuote() private returns (Quote memory known) {
        known = _quote(10e6);
        known.payer = payer;
        _transfer(escrow.account(known), known.amount);
    }

    function _transfer(
        address to,
        uint256 units
    ) private {
        vm.prank(payer);
        require(usdc.transfer(to, units));
    }

    /// @dev From now on the quote of this test names its payer.
    function _namePayer() private {
        quote.payer = payer;
        (voucher, signature) = _voucher(quote, PAYER_KEY);
    }

    /// @dev The voucher of this test does not open `other`, whoever tries.
    function _expectRefused(
        Quote memory other
    ) private {
        vm.prank(meter);
        vm.expectPartialRevert(ERC3009.ERC3009InvalidSignature.selector);
        escrow.open(other, voucher, signature, true);
    }
}
