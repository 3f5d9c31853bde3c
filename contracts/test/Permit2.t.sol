// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Quote} from "../src/Quote.sol";
import {Session} from "../src/Session.sol";
import {SessionEscrow} from "../src/SessionEscrow.sol";
import {World} from "./kit/World.sol";
import {vm} from "./kit/Vm.sol";

interface IDomain {
    function DOMAIN_SEPARATOR() external view returns (bytes32);
}

/// @dev Sessions that are paid by Permit2, on the code that every chain has of it.
contract Permit2Test is World {
    bytes4 private constant INVALID_SIGNER = bytes4(keccak256("InvalidSigner()"));
    bytes4 private constant INVALID_NONCE = bytes4(keccak256("InvalidNonce()"));
    bytes4 private constant EXPIRED = bytes4(keccak256("SignatureExpired(uint256)"));

    Quote private quote;
    bytes private signature;
    uint256 private deadline;

    function setUp() public override {
        super.setUp();
        address permit2 = address(escrow.PERMIT2());
        vm.etch(permit2, vm.parseJsonBytes(vm.readFile("permit2/artifact.json"), ".code"));
        vm.prank(payer);
        usdc.approve(permit2, type(uint256).max);
        quote = _quote(10e6);
        quote.payer = payer;
        deadline = block.timestamp + 300;
        signature = _permit(quote, 7);
    }

    function test_the_money_is_drawn_and_the_session_opened_at_once() public {
        uint256 had = usdc.balanceOf(payer);
        vm.prank(stranger);
        Session session = Session(escrow.openWithPermit2(quote, payer, 7, deadline, signature, false));
        vm.assertEq(session.payer(), payer);
        vm.assertEq(session.budget(), 10e18);
        vm.assertEq(usdc.balanceOf(payer), had - 10e6);
        vm.prank(meter);
        session.close(0);
        vm.assertEq(usdc.balanceOf(payer), had);
    }

    function test_the_meter_opens_what_names_nobody_for_whoever_signed() public {
        quote.payer = address(0);
        signature = _permit(quote, 8);
        vm.prank(stranger);
        vm.expectPartialRevert(SessionEscrow.NotYours.selector);
        escrow.openWithPermit2(quote, payer, 8, deadline, signature, false);
        vm.prank(meter);
        Session session = Session(escrow.openWithPermit2(quote, payer, 8, deadline, signature, true));
        vm.assertEq(session.payer(), payer);
    }

    function test_a_permit_is_good_for_one_session_and_no_other() public {
        Quote memory other = quote;
        other.lifetime += 1;
        _expectRefused(other, INVALID_SIGNER);
        other = quote;
        other.amount += 1;
        _expectRefused(other, INVALID_SIGNER);
        escrow.openWithPermit2(quote, payer, 7, deadline, signature, false);
        vm.expectPartialRevert(SessionEscrow.SessionExists.selector);
        escrow.openWithPermit2(quote, payer, 7, deadline, signature, false);
        other = _quote(10e6);
        other.payer = payer;
        bytes memory again = _permit(other, 7);
        vm.expectPartialRevert(INVALID_NONCE);
        escrow.openWithPermit2(other, payer, 7, deadline, again, false);
    }

    function test_nobody_pays_with_what_another_signed() public {
        vm.expectPartialRevert(INVALID_SIGNER);
        escrow.openWithPermit2(quote, stranger, 7, deadline, signature, false);
        vm.expectPartialRevert(INVALID_SIGNER);
        escrow.openWithPermit2(quote, payer, 9, deadline, signature, false);
    }

    function test_a_permit_that_is_too_late_opens_nothing() public {
        vm.warp(deadline + 1);
        _expectRefused(quote, EXPIRED);
    }

    function test_where_there_is_no_permit2_nothing_is_opened() public {
        vm.etch(address(escrow.PERMIT2()), "");
        vm.expectRevert();
        escrow.openWithPermit2(quote, payer, 7, deadline, signature, false);
        vm.assertEq(escrow.account(quote).code.length, 0);
    }

    function _expectRefused(
        Quote memory other,
        bytes4 why
    ) private {
        vm.expectPartialRevert(why);
        escrow.openWithPermit2(other, payer, 7, deadline, signature, false);
    }

    /// @dev What the payer signs: Permit2's own words with a session's account as the witness.
    function _permit(
        Quote memory of_,
        uint256 nonce
    ) private view returns (bytes memory) {
        bytes32 permitted = keccak256(
            abi.encode(keccak256("TokenPermissions(address token,uint256 amount)"), address(usdc), of_.amount)
        );
        bytes32 witness = keccak256(abi.encode(keccak256("SessionWitness(address account)"), escrow.account(of_)));
        bytes32 kind = keccak256(
            "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,SessionWitness witness)SessionWitness(address account)TokenPermissions(address token,uint256 amount)"
        );
        bytes32 message = keccak256(abi.encode(kind, permitted, address(escrow), nonce, deadline, witness));
        bytes32 domain = IDomain(address(escrow.PERMIT2())).DOMAIN_SEPARATOR();
        return _signed(PAYER_KEY, keccak256(abi.encodePacked("\x19\x01", domain, message)));
    }
}
