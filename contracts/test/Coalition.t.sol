// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {BondAccount} from "../src/BondAccount.sol";
import {Coalition} from "../src/Coalition.sol";
import {Membership} from "../src/coalition/Membership.sol";
import {Terms, TermsLibrary} from "../src/coalition/Terms.sol";
import {Session} from "../src/Session.sol";
import {ISuperfluidPool} from "../src/superfluid/ISuperfluid.sol";
import {World} from "./kit/World.sol";
import {vm} from "./kit/Vm.sol";

/// @dev Founding, signing, places and stakes.
contract CoalitionTest is World {
    function test_units_are_layers_less_fee_and_royalty() public view {
        ISuperfluidPool pool = _pool();
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(pool.getUnits(operator(i)), 8 * 9_700);
        }
        vm.assertEq(pool.getUnits(treasury), 24 * 100);
        vm.assertEq(pool.getUnits(owner), 24 * 200);
        vm.assertEq(pool.getTotalUnits(), 24 * 10_000);
        vm.assertEq(_rate() % 240_000, 0);
        (uint16 feeBps, address feeReceiver, uint16 royaltyBps, address owner_) = coalitions.shares(id);
        vm.assertEq(uint256(feeBps) + royaltyBps, 300);
        vm.assertEq(feeReceiver, treasury);
        vm.assertEq(owner_, owner);
    }

    function test_terms_that_make_no_coalition_are_refused() public {
        Terms memory bad = _terms(3);
        bad.places[1].start += 1;
        _refuse(bad);
        bad = _terms(3);
        bad.places[2].end = bad.places[2].start;
        _refuse(bad);
        bad = _terms(3);
        bad.places[0].holder = meter;
        _refuse(bad);
        bad = _terms(3);
        bad.arbiter = bad.places[0].holder;
        _refuse(bad);
        bad = _terms(3);
        bad.arbiter = meter;
        _refuse(bad);
        bad = _terms(3);
        bad.unitRate = 0;
        _refuse(bad);
        bad = _terms(3);
        bad.unitRate = type(uint96).max;
        _refuse(bad);
        bad = _terms(3);
        bad.royaltyBps = 5_000;
        _refuse(bad);
        bad = _terms(3);
        bad.owner = address(0);
        _refuse(bad);
        bad = _terms(3);
        bad.stake = 0;
        _refuse(bad);
        bad = _terms(3);
        bad.exitDelay = 1;
        _refuse(bad);
        bad = _terms(3);
        bad.deadline = uint64(block.timestamp);
        _refuse(bad);
        bad = _terms(3);
        delete bad.places;
        _refuse(bad);
    }

    function test_terms_are_proposed_once_and_at_the_fee_of_the_day() public {
        Terms memory drawn = _terms(3);
        coalitions.propose(drawn);
        vm.expectPartialRevert(Membership.AlreadyProposed.selector);
        coalitions.propose(drawn);
        drawn = _terms(3);
        drawn.feeBps = 0;
        vm.expectRevert(abi.encodeWithSelector(Membership.WrongFee.selector, 100));
        coalitions.propose(drawn);
        coalitions.setFee(0, treasury);
        coalitions.propose(drawn);
    }

    function test_the_id_is_the_eip712_hash_of_the_terms() public {
        Terms memory drawn = _terms(2);
        bytes32 first = coalitions.termsId(drawn);
        vm.assertEq(coalitions.propose(drawn), first);
        drawn.salt = bytes32(uint256(1 << 200));
        vm.assertTrue(coalitions.termsId(drawn) != first);
        vm.chainId(16602);
        drawn.salt = bytes32(uint256(drawn.salt));
        vm.assertTrue(coalitions.termsId(drawn) != first);
    }

    function test_it_is_active_when_every_founder_has_signed() public {
        bytes32 made = coalitions.propose(_terms(2));
        _sign(made, 0, operator(0));
        vm.expectRevert(abi.encodeWithSelector(Membership.NotComplete.selector, 1));
        coalitions.activate(made);
        vm.prank(operator(2));
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.sign(made, 1);
        vm.prank(operator(0));
        vm.expectPartialRevert(Membership.AlreadySigned.selector);
        coalitions.sign(made, 0);
        _sign(made, 1, operator(1));
        vm.assertFalse(coalitions.offer(made).open);
        coalitions.activate(made);
        vm.assertTrue(coalitions.offer(made).open);
        vm.expectPartialRevert(Membership.WrongStage.selector);
        coalitions.activate(made);
    }

    function test_who_signed_a_proposal_may_take_the_stake_back() public {
        bytes32 made = coalitions.propose(_terms(2));
        _sign(made, 0, operator(0));
        _withdraw(made, operator(0));
        vm.assertEq(usdc.balanceOf(operator(0)), STAKE);
        vm.prank(operator(0));
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.withdraw(made);
        _sign(made, 0, operator(0));
        _sign(made, 1, operator(1));
        coalitions.activate(made);
    }

    function test_an_operator_without_gas_signs_by_signature() public {
        bytes32 made = coalitions.propose(_terms(1));
        address who = operator(0);
        _fund(who, STAKE);
        bytes32 digest = coalitions.membershipDigest(made, 0, who);
        bytes memory signature = _signed(_operatorKey(0), digest);
        Membership.StakeVoucher memory voucher = _stakeVoucher(digest);
        vm.prank(stranger);
        vm.expectPartialRevert(Membership.BadSignature.selector);
        coalitions.signFor(made, 0, operator(1), signature, voucher);
        vm.prank(stranger);
        coalitions.signFor(made, 0, who, signature, voucher);
        vm.assertEq(coalitions.memberOf(made, who).staked, STAKE);
        _withdraw(made, who);
        vm.expectPartialRevert(Membership.BadSignature.selector);
        coalitions.signFor(made, 0, who, signature, voucher);
    }

    function test_a_stake_voucher_is_good_for_one_membership() public {
        bytes32 one = coalitions.propose(_terms(1));
        bytes32 other = coalitions.propose(_terms(1));
        address who = operator(0);
        _fund(who, STAKE);
        Membership.StakeVoucher memory voucher = _stakeVoucher(coalitions.membershipDigest(one, 0, who));
        bytes memory signature = _signed(_operatorKey(0), coalitions.membershipDigest(other, 0, who));
        vm.expectRevert();
        coalitions.signFor(other, 0, who, signature, voucher);
    }

    function test_the_meter_gives_a_place_to_a_stand_in_and_nobody_else_is_touched() public {
        _sign(id, 1, operator(7));
        ISuperfluidPool pool = _pool();
        vm.assertEq(pool.getUnits(operator(7)), 0);
        Session session = _open(10e6, true);
        _pass(10);
        _reassign(1, operator(7));
        vm.assertEq(_gdaAdjustment(), 0);
        _pass(10);
        vm.prank(meter);
        session.close(20_000);
        uint256 share = _rate() * 97 / 300;
        vm.assertEq(pool.getTotalUnits(), 240_000);
        vm.assertEq(pool.getTotalAmountReceivedByMember(operator(0)), 20 * share);
        vm.assertEq(pool.getTotalAmountReceivedByMember(operator(1)), 10 * share);
        vm.assertEq(pool.getTotalAmountReceivedByMember(operator(7)), 10 * share);
        vm.assertEq(pool.getTotalAmountReceivedByMember(operator(2)), 20 * share);
        vm.assertEq(usdcx.balanceOf(address(coalitions)), 0);
    }

    function testFuzz_reassigning_under_streams_costs_nobody_a_wei(
        uint8[8] calldata moves,
        uint8[8] calldata times
    ) public {
        for (uint256 place = 0; place < 3; ++place) {
            _sign(id, uint16(place), operator(7));
            for (uint256 i = 0; i < 3; ++i) {
                if (i != place) _sign(id, uint16(place), operator(i));
            }
        }
        Session one = _open(20e6, true);
        Session two = _open(30e6, true);
        for (uint256 i = 0; i < moves.length; ++i) {
            _pass(times[i] % 64);
            uint256 place = moves[i] % 3;
            uint256 to = (moves[i] / 3) % 4;
            address next = to == 3 ? operator(7) : operator(to);
            if (coalitions.places(id)[place].holder != next) _reassign(uint16(place), next);
            vm.assertEq(_pool().getTotalUnits(), 240_000);
            vm.assertEq(_gdaAdjustment(), 0);
        }
        vm.startPrank(meter);
        one.close(0);
        two.close(0);
        uint256 received = _received(3) + _pool().getTotalAmountReceivedByMember(operator(7));
        vm.assertEq(received, one.streamed() + two.streamed());
        vm.assertEq(usdcx.balanceOf(address(coalitions)), 0);
    }

    function test_places_go_to_who_signed_for_them_only() public {
        vm.startPrank(meter);
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.reassign(id, 1, operator(7));
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.reassign(id, 1, operator(0));
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.reassign(id, 1, meter);
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.sign(id, 1);
        vm.expectPartialRevert(Membership.NoSuchPlace.selector);
        coalitions.reassign(id, 3, operator(0));
        vm.stopPrank();
        _sign(id, 1, operator(7));
        vm.prank(stranger);
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.reassign(id, 1, operator(7));
        vm.prank(operator(0));
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.reassign(id, 1, operator(7));
        vm.prank(operator(1));
        coalitions.reassign(id, 1, operator(7));
        vm.assertEq(coalitions.places(id)[1].holder, operator(7));
    }

    function test_the_pool_obeys_nobody_but_the_coalition() public {
        ISuperfluidPool pool = _pool();
        address[3] memory others = [meter, operator(0), address(this)];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.prank(others[i]);
            vm.expectRevert();
            pool.updateMemberUnits(others[i], 1);
        }
    }

    function test_who_resigns_in_mid_stream_is_paid_until_the_place_is_taken() public {
        _sign(id, 0, operator(7));
        Session session = _open(10e6, true);
        _pass(10);
        vm.prank(operator(0));
        coalitions.resign(id);
        vm.assertFalse(coalitions.offer(id).open);
        _pass(5);
        _reassign(0, operator(7));
        vm.assertTrue(coalitions.offer(id).open);
        _pass(5);
        vm.prank(meter);
        session.close(20_000);
        vm.assertEq(_pool().getTotalAmountReceivedByMember(operator(0)), 15 * _rate() * 97 / 300);
        vm.assertEq(_pool().getTotalAmountReceivedByMember(operator(7)), 5 * _rate() * 97 / 300);
        vm.prank(meter);
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.reassign(id, 0, operator(0));
    }

    function test_the_stake_is_bound_until_the_exit_delay_is_over() public {
        address who = operator(0);
        vm.prank(who);
        vm.expectPartialRevert(Membership.StakeBound.selector);
        coalitions.withdraw(id);
        vm.prank(who);
        coalitions.resign(id);
        vm.prank(who);
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.resign(id);
        _pass(EXIT - 1);
        vm.prank(who);
        vm.expectPartialRevert(Membership.StakeBound.selector);
        coalitions.withdraw(id);
        _pass(1);
        _withdraw(id, who);
        vm.assertEq(usdc.balanceOf(who), STAKE);
        vm.prank(who);
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.withdraw(id);
    }

    function test_founders_dissolve_by_majority_and_anybody_after_the_deadline() public {
        vm.prank(stranger);
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.dissolve(id);
        vm.prank(operator(0));
        coalitions.dissolve(id);
        vm.prank(operator(0));
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.dissolve(id);
        vm.assertTrue(coalitions.offer(id).open);
        vm.prank(operator(1));
        coalitions.dissolve(id);
        vm.assertFalse(coalitions.offer(id).open);
        _pass(EXIT);
        for (uint256 i = 0; i < 3; ++i) {
            _withdraw(id, operator(i));
        }
        vm.assertEq(usdc.balanceOf(address(coalitions)), 0);

        bytes32 other = _found(2);
        vm.warp(coalitions.offer(other).deadline);
        vm.prank(stranger);
        coalitions.dissolve(other);
        _pass(EXIT);
        _withdraw(other, operator(0));
    }

    function test_sessions_of_a_dissolved_coalition_are_paid_to_their_end() public {
        Session session = _open(10e6, true);
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(operator(i));
            coalitions.dissolve(id);
        }
        _pass(30);
        vm.prank(meter);
        session.close(30_000);
        vm.assertEq(_received(3), 30 * _rate());
    }

    function test_earnings_build_the_bond_of_a_founder_without_stake() public {
        Terms memory drawn = _terms(2);
        drawn.places[1].bond = true;
        drawn.stake = 1e6;
        id = coalitions.propose(drawn);
        address novice = operator(1);
        _sign(id, 0, operator(0));
        vm.prank(novice);
        coalitions.sign(id, 1);
        vm.assertEq(coalitions.memberOf(id, novice).staked, 0);
        coalitions.activate(id);

        BondAccount bond = BondAccount(coalitions.payee(id, novice));
        (bytes32 of_, address whose) = bond.owner();
        vm.assertEq(of_, id);
        vm.assertEq(whose, novice);
        Session session = _open(10e6, true);
        _pass(100);
        uint256 share = 100 * _rate() * 97 / 200;
        vm.prank(stranger);
        bond.fill();
        uint256 staked = coalitions.memberOf(id, novice).staked;
        vm.assertEq(staked, share / WEI_PER_UNIT);
        vm.assertEq(usdcx.balanceOf(novice), share % WEI_PER_UNIT);
        _pass(300);
        bond.fill();
        vm.assertEq(coalitions.memberOf(id, novice).staked, 1e6);
        vm.assertEq(usdcx.balanceOf(novice), 4 * share - 1e18);
        vm.assertEq(usdcx.balanceOf(address(bond)), 0);
        vm.assertEq(coalitions.missing(id, novice), 0);
        vm.prank(meter);
        session.close(0);

        vm.prank(novice);
        coalitions.resign(id);
        _pass(EXIT);
        _withdraw(id, novice);
        vm.assertGe(usdc.balanceOf(novice), 1e6);
    }

    function test_nobody_books_a_bond_that_was_not_paid() public {
        vm.prank(operator(0));
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.bonded(id, operator(0), 1);
        vm.prank(stranger);
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.bonded(id, operator(0), 0);
    }

    function test_only_the_fee_admin_sets_the_fee_and_within_bounds() public {
        vm.prank(stranger);
        vm.expectRevert();
        coalitions.setFee(1, stranger);
        vm.expectPartialRevert(Coalition.BadFee.selector);
        coalitions.setFee(1_001, treasury);
        vm.expectPartialRevert(Coalition.BadFee.selector);
        coalitions.setFee(1, address(0));
        coalitions.setFee(1_000, treasury);
        vm.assertEq(_pool().getUnits(treasury), 24 * 100);
    }

    function _refuse(
        Terms memory bad
    ) private {
        vm.expectPartialRevert(TermsLibrary.BadTerms.selector);
        coalitions.propose(bad);
    }

    function _withdraw(
        bytes32 which,
        address who
    ) private {
        vm.prank(who);
        coalitions.withdraw(which);
    }

    function _reassign(
        uint16 place,
        address to
    ) private {
        vm.prank(meter);
        coalitions.reassign(id, place, to);
    }

    function _gdaAdjustment() private view returns (int256) {
        return coalitions.DISTRIBUTION().getPoolAdjustmentFlowRate(address(_pool()));
    }

    function _stakeVoucher(
        bytes32 nonce
    ) private view returns (Membership.StakeVoucher memory voucher) {
        (voucher.validAfter, voucher.validBefore) = (0, block.timestamp + 300);
        bytes32 typeHash = keccak256(
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
        bytes32 message =
            keccak256(abi.encode(typeHash, operator(0), address(coalitions), STAKE, 0, voucher.validBefore, nonce));
        voucher.signature =
            _signed(_operatorKey(0), keccak256(abi.encodePacked("\x19\x01", usdc.DOMAIN_SEPARATOR(), message)));
    }
}
