// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Breaches} from "../src/coalition/Breaches.sol";
import {Membership} from "../src/coalition/Membership.sol";
import {World} from "./kit/World.sol";
import {vm} from "./kit/Vm.sol";

/// @dev Accusations: who makes them, who decides, and what each outcome costs whom.
contract BreachesTest is World {
    uint64 private constant DEPOSIT = STAKE / 4;

    function test_a_majority_of_founders_slashes_and_the_others_share_it() public {
        uint256 one = _accuse(operator(0), operator(1));
        _vote(one, operator(2), true);
        vm.assertTrue(coalitions.accusationOf(one).verdict == Breaches.Verdict.Upheld);
        Membership.Member memory guilty = coalitions.memberOf(id, operator(1));
        vm.assertTrue(guilty.expelled);
        vm.assertEq(guilty.staked, 0);
        vm.assertEq(coalitions.credits(operator(0)), DEPOSIT + STAKE / 2);
        vm.assertEq(coalitions.credits(operator(2)), STAKE / 2);
        coalitions.collect(operator(0));
        coalitions.collect(operator(2));
        vm.assertEq(usdc.balanceOf(operator(0)), DEPOSIT + STAKE / 2);
        vm.assertEq(usdc.balanceOf(operator(2)), STAKE / 2);
        vm.assertEq(usdc.balanceOf(address(coalitions)), 2 * STAKE);
        vm.assertFalse(coalitions.offer(id).open);
        vm.prank(operator(1));
        vm.expectPartialRevert(Membership.StakeBound.selector);
        coalitions.withdraw(id);
    }

    function test_the_expelled_place_is_taken_and_sessions_go_on() public {
        _sign(id, 1, operator(7));
        _vote(_accuse(operator(0), operator(1)), operator(2), true);
        vm.prank(meter);
        coalitions.reassign(id, 1, operator(7));
        vm.assertTrue(coalitions.offer(id).open);
        _open(10e6, true);
    }

    function test_a_false_accusation_costs_its_deposit() public {
        uint256 one = _accuse(meter, operator(1));
        _vote(one, operator(0), false);
        _vote(one, operator(2), false);
        vm.assertTrue(coalitions.accusationOf(one).verdict == Breaches.Verdict.Rejected);
        vm.assertEq(coalitions.credits(operator(1)), DEPOSIT);
        vm.assertEq(coalitions.memberOf(id, operator(1)).staked, STAKE);
    }

    function test_what_nobody_decides_lapses_in_favour_of_the_accused() public {
        uint256 one = _accuse(operator(0), operator(1));
        vm.expectPartialRevert(Breaches.DecisionTime.selector);
        coalitions.lapse(one);
        _pass(coalitions.DECISION());
        vm.prank(operator(2));
        vm.expectPartialRevert(Breaches.DecisionTime.selector);
        coalitions.vote(one, true);
        coalitions.lapse(one);
        vm.assertEq(coalitions.credits(operator(1)), DEPOSIT);
        vm.expectPartialRevert(Breaches.AlreadyDecided.selector);
        coalitions.lapse(one);
    }

    function test_the_arbiter_decides_where_founders_cannot() public {
        id = _found(2);
        uint256 one = _accuse(operator(0), operator(1));
        vm.assertTrue(coalitions.accusationOf(one).verdict == Breaches.Verdict.Open);
        vm.prank(stranger);
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.decide(one, true);
        vm.prank(arbiter);
        coalitions.decide(one, true);
        vm.assertEq(coalitions.credits(operator(0)), DEPOSIT + STAKE);
    }

    function test_a_lone_operators_stake_goes_to_the_pools_owner() public {
        id = _found(1);
        uint256 one = _accuse(owner, operator(0));
        vm.prank(arbiter);
        coalitions.decide(one, true);
        vm.assertEq(coalitions.credits(owner), DEPOSIT + STAKE);
    }

    function test_no_party_alone_decides() public {
        uint256 one = _accuse(operator(0), operator(1));
        vm.startPrank(operator(0));
        vm.expectPartialRevert(Breaches.AlreadyVoted.selector);
        coalitions.vote(one, true);
        vm.stopPrank();
        address[4] memory others = [operator(1), meter, stranger, owner];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.startPrank(others[i]);
            vm.expectPartialRevert(Membership.NotAllowed.selector);
            coalitions.vote(one, true);
            vm.expectPartialRevert(Membership.NotAllowed.selector);
            coalitions.decide(one, true);
            vm.stopPrank();
        }
    }

    function test_stand_ins_have_no_vote_however_many() public {
        uint256 one = _accuse(operator(0), operator(1));
        for (uint256 i = 10; i < 14; ++i) {
            _sign(id, 0, operator(i));
            vm.prank(operator(i));
            vm.expectPartialRevert(Membership.NotAllowed.selector);
            coalitions.vote(one, true);
        }
    }

    function test_only_those_who_are_concerned_accuse_and_only_members() public {
        vm.startPrank(stranger);
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.accuse(id, operator(1), 0, "");
        vm.stopPrank();
        vm.startPrank(operator(0));
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.accuse(id, operator(0), 0, "");
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.accuse(id, stranger, 0, "");
        vm.expectPartialRevert(Breaches.UriTooLong.selector);
        coalitions.accuse(id, operator(1), 0, string(new bytes(257)));
        vm.stopPrank();
        _accuse(operator(0), operator(1));
        vm.prank(operator(0));
        vm.expectPartialRevert(Breaches.AlreadyAccused.selector);
        coalitions.accuse(id, operator(1), 0, "");
    }

    function test_the_accused_cannot_slip_out_with_the_stake() public {
        vm.prank(operator(1));
        coalitions.resign(id);
        _pass(EXIT - 1);
        uint256 one = _accuse(operator(0), operator(1));
        _pass(1);
        vm.prank(operator(1));
        vm.expectPartialRevert(Membership.StakeBound.selector);
        coalitions.withdraw(id);
        _vote(one, operator(2), true);
        vm.assertEq(coalitions.memberOf(id, operator(1)).staked, 0);
    }

    function test_accusations_do_not_hold_a_stake_for_ever() public {
        vm.prank(operator(1));
        coalitions.resign(id);
        _pass(EXIT - 1);
        uint256 one = _accuse(operator(0), operator(1));
        _pass(coalitions.DECISION());
        vm.prank(operator(2));
        vm.expectPartialRevert(Membership.NotAllowed.selector);
        coalitions.accuse(id, operator(1), 0, "");
        coalitions.lapse(one);
        vm.prank(operator(1));
        coalitions.withdraw(id);
        vm.assertEq(usdc.balanceOf(operator(1)), STAKE);
    }

    function test_two_accusations_slash_once_and_neither_was_false() public {
        uint256 one = _accuse(operator(0), operator(1));
        uint256 two = _accuse(meter, operator(1));
        _vote(one, operator(2), true);
        vm.warp(block.timestamp + coalitions.DECISION());
        coalitions.lapse(two);
        vm.assertEq(coalitions.credits(meter), DEPOSIT);
        vm.assertEq(coalitions.credits(operator(1)), 0);
        vm.assertEq(coalitions.credits(operator(0)) + coalitions.credits(operator(2)), DEPOSIT + STAKE);
    }

    function testFuzz_deposits_and_stakes_are_all_accounted_for(
        uint8[12] calldata moves
    ) public {
        uint256 paidIn = 3 * uint256(STAKE);
        for (uint256 i = 0; i < moves.length; ++i) {
            address accuser = operator(moves[i] % 3);
            address accused = operator(moves[i] / 3 % 3);
            if (accuser == accused || coalitions.memberOf(id, accused).expelled) continue;
            if (coalitions.memberOf(id, accuser).expelled) continue;
            uint256 one = _accuse(accuser, accused);
            paidIn += DEPOSIT;
            uint256 kind = moves[i] / 9 % 3;
            if (kind == 2) {
                _pass(coalitions.DECISION());
                coalitions.lapse(one);
            } else {
                vm.prank(arbiter);
                coalitions.decide(one, kind == 1);
            }
        }
        uint256 owed = 0;
        for (uint256 i = 0; i < 3; ++i) {
            owed += coalitions.credits(operator(i)) + coalitions.memberOf(id, operator(i)).staked;
        }
        owed += coalitions.credits(owner);
        vm.assertEq(owed, paidIn);
        vm.assertEq(usdc.balanceOf(address(coalitions)), paidIn);
    }

    function _accuse(
        address accuser,
        address accused
    ) private returns (uint256 accusation) {
        _fund(accuser, DEPOSIT);
        vm.startPrank(accuser);
        usdc.approve(address(coalitions), DEPOSIT);
        accusation = coalitions.accuse(id, accused, keccak256("evidence"), "ipfs://evidence");
        vm.stopPrank();
    }

    function _vote(
        uint256 accusation,
        address founder,
        bool guilty
    ) private {
        vm.prank(founder);
        coalitions.vote(accusation, guilty);
    }
}
