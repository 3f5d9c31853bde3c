// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Session} from "../src/Session.sol";
import {ISuperfluidPool} from "../src/superfluid/ISuperfluid.sol";
import {World} from "./kit/World.sol";
import {vm} from "./kit/Vm.sol";

/// @dev A session's life, its sums, and who may do what.
contract SessionTest is World {
    uint64 internal constant AMOUNT = 10e6;

    Session private session;
    uint256 private before;

    function setUp() public override {
        super.setUp();
        before = usdc.balanceOf(payer);
        session = _open(AMOUNT, true);
    }

    function test_it_streams_by_the_second_and_the_rest_goes_back() public {
        vm.assertEq(before - usdc.balanceOf(payer), AMOUNT);
        _pass(100);
        uint256 paid = 100 * _rate();
        vm.assertEq(session.streamed(), paid);
        uint256 refund = 10e18 - paid;
        vm.expectEmit(address(session));
        emit Session.Closed(100_000, paid, 0, refund / WEI_PER_UNIT, refund % WEI_PER_UNIT, 0, 0);
        _close(100_000);
        _checkSums(paid);
    }

    function test_nothing_streams_while_it_is_paused() public {
        _pass(10);
        _pause(10_000);
        _pass(100);
        vm.assertEq(session.streamed(), 10 * _rate());
        vm.prank(meter);
        session.start();
        _pass(5);
        _close(15_000);
        _checkSums(15 * _rate());
    }

    function test_what_was_served_and_not_streamed_is_topped_up() public {
        _pass(3);
        _pause(7_200);
        vm.assertEq(session.toppedUp(), 5 * _rate());
        _close(7_200);
        _checkSums(8 * _rate());
    }

    function test_what_was_streamed_and_not_served_counts_towards_what_is_served_next() public {
        _pass(10);
        _pause(4_000);
        _pause(9_500);
        vm.assertEq(session.toppedUp(), 0);
        _pause(12_000);
        vm.assertEq(session.toppedUp(), 2 * _rate());
        _close(0);
        _checkSums(12 * _rate());
    }

    function test_the_meter_cannot_claim_more_time_than_there_was() public {
        _pass(10);
        _close(type(uint64).max);
        _checkSums((10 + session.HEAD_START()) * _rate());
    }

    function test_the_meter_cannot_claim_more_than_the_budget() public {
        Session small = _open(1e6, false);
        _pass(50 minutes);
        uint256 received = _received(3);
        vm.prank(meter);
        small.close(50 minutes * 1000);
        uint256 paid = _received(3) - received;
        vm.assertLe(paid, 1e18);
        vm.assertGe(paid, 1e18 - 240_000, "all but what does not divide among the units");
        vm.assertEq(small.left(), 1e18 - paid);
    }

    function test_the_payer_stops_it_at_once_and_the_meter_settles() public {
        _pass(10);
        vm.prank(payer);
        session.close();
        _pass(60);
        vm.assertEq(session.streamed(), 10 * _rate());
        _close(12_000);
        _checkSums(12 * _rate());
    }

    function test_service_after_the_payer_stopped_it_does_not_count() public {
        _pass(10);
        vm.prank(payer);
        session.close();
        _pass(200);
        _close(200_000);
        _checkSums((10 + session.HEAD_START()) * _rate());
    }

    function test_the_payer_gets_the_rest_with_the_meter_gone() public {
        _pass(10);
        vm.prank(payer);
        session.close();
        uint256 until = block.timestamp + session.SETTLEMENT();
        vm.warp(until - 1);
        vm.expectRevert(abi.encodeWithSelector(Session.StillSettling.selector, until));
        session.close();
        vm.warp(until);
        vm.prank(stranger);
        session.close();
        _checkSums(10 * _rate());
    }

    function test_anybody_closes_once_the_money_is_used_up_and_no_buffer_is_lost() public {
        uint256 seconds_ = 10e18 / _rate() - LIQUIDATION - session.MARGIN();
        _pass(seconds_);
        vm.prank(stranger);
        vm.expectPartialRevert(Session.NotAllowed.selector);
        session.close();
        _pass(1);
        vm.prank(stranger);
        session.close();
        _pass(session.SETTLEMENT());
        session.close();
        _checkSums((seconds_ + 1) * _rate());
    }

    function test_anybody_closes_once_the_time_is_over() public {
        uint256 endsAt = session.endsAt();
        _pass(20);
        _pause(20_000);
        vm.warp(endsAt);
        vm.prank(meter);
        vm.expectRevert(abi.encodeWithSelector(Session.TimeOver.selector, endsAt));
        session.start();
        vm.startPrank(stranger);
        session.close();
        _pass(session.SETTLEMENT());
        session.close();
        vm.stopPrank();
        _checkSums(20 * _rate());
    }

    function test_anybody_closes_what_idles() public {
        _pass(20);
        _pause(20_000);
        _pass(session.IDLE() - 1);
        vm.assertFalse(session.isOver());
        _pass(1);
        vm.assertTrue(session.isOver());
        vm.prank(stranger);
        session.close();
    }

    function test_it_does_not_start_without_money_for_buffer_and_margin() public {
        uint256 least = (LIQUIDATION + session.MARGIN()) * _rate() / WEI_PER_UNIT;
        Session small = _open(uint64(least), false);
        vm.prank(meter);
        vm.expectPartialRevert(Session.TooLittleLeft.selector);
        small.start();
        Session enough = _open(uint64(least + 1), true);
        vm.assertTrue(enough.state() == Session.State.Streaming);
    }

    function test_a_liquidated_stream_costs_its_buffer_and_no_more() public {
        // Nobody closes, not even when anybody may.
        uint256 ran = 10e18 / _rate() - LIQUIDATION + 20;
        _pass(ran);
        uint256 rewarded = usdcx.balanceOf(stranger) + usdcx.balanceOf(REWARDS);
        _liquidate(address(session), stranger);
        rewarded = usdcx.balanceOf(stranger) + usdcx.balanceOf(REWARDS) - rewarded;
        _pass(1000);
        vm.assertTrue(session.isOver());
        vm.assertEq(session.streamed(), ran * _rate());
        vm.expectEmit(address(session));
        emit Session.Closed(uint64(ran + 5) * 1000, ran * _rate(), 0, 0, 0, rewarded, 0);
        _close(uint64(ran + 5) * 1000);
        vm.assertEq(_received(3), ran * _rate());
        vm.assertEq(10e18, ran * _rate() + rewarded);
        vm.assertEq(usdcx.balanceOf(address(session)), 0);
    }

    function test_a_stream_that_nobody_stopped_at_all_ends_in_a_close_too() public {
        _pass(10e18 / _rate() + 1000);
        uint256 streamed = session.streamed();
        _close(0);
        vm.assertEq(_received(3), streamed);
        vm.assertEq(usdc.balanceOf(payer), before - AMOUNT);
        vm.assertEq(session.left(), 0);
    }

    function test_what_strangers_send_goes_to_the_payer() public {
        _fund(address(session), 3e6);
        _fund(stranger, 2e6);
        vm.startPrank(stranger);
        usdc.approve(address(usdcx), 2e6);
        usdcx.upgrade(2e18);
        require(usdcx.transfer(address(session), 2e18));
        vm.stopPrank();
        _pass(10);
        uint256 back = 12e18 - 10 * _rate();
        vm.expectEmit(address(session));
        emit Session.Closed(10_000, 10 * _rate(), 0, back / WEI_PER_UNIT, back % WEI_PER_UNIT, 0, 2e18);
        _close(10_000);
        vm.assertEq(_received(3), 10 * _rate());
        vm.assertEq(usdc.balanceOf(payer), before - AMOUNT + 3e6 + back / WEI_PER_UNIT);
        _fund(address(session), 7);
        session.sweep();
        vm.assertEq(usdc.balanceOf(payer), before - AMOUNT + 3e6 + back / WEI_PER_UNIT + 7);
    }

    function test_a_payer_who_cannot_be_paid_does_not_keep_the_stream_running() public {
        _pass(10);
        bytes memory transfer = abi.encodeWithSelector(IERC20.transfer.selector, payer);
        vm.mockCallRevert(address(usdc), transfer, "blocked");
        _close(10_000);
        vm.assertTrue(session.state() == Session.State.Closed);
        vm.assertEq(usdc.balanceOf(payer), before - AMOUNT);
        vm.clearMockedCalls();
        vm.prank(stranger);
        session.sweep();
        _checkSums(10 * _rate());
    }

    function testFuzz_a_close_pays_or_fails_however_little_gas_it_gets(
        uint256 gas
    ) public {
        gas = 200_000 + gas % 1_800_000;
        _pass(10);
        vm.prank(meter);
        (bool closed,) = address(session).call{gas: gas}(abi.encodeWithSignature("close(uint64)", 10_000));
        vm.assertTrue(closed == (session.state() == Session.State.Closed));
        if (!closed) _close(10_000);
        _checkSums(10 * _rate());
    }

    function test_only_who_may_can() public {
        ISuperfluidPool pool = _pool();
        address[4] memory others = [stranger, operator(0), owner, arbiter];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.startPrank(others[i]);
            bytes memory reason = abi.encodeWithSelector(Session.NotAllowed.selector, others[i]);
            vm.expectRevert(reason);
            session.pause(1);
            vm.expectRevert(reason);
            session.close(1);
            vm.expectRevert(reason);
            session.close();
            vm.expectRevert(reason);
            session.start();
            vm.expectRevert(reason);
            session.open(others[i], pool, 1, others[i], 1);
            vm.expectRevert(reason);
            session.decline(others[i]);
            vm.expectPartialRevert(Session.WrongState.selector);
            session.sweep();
            vm.stopPrank();
        }
        vm.startPrank(payer);
        vm.expectPartialRevert(Session.NotAllowed.selector);
        session.pause(1);
        vm.expectPartialRevert(Session.NotAllowed.selector);
        session.close(1);
    }

    function test_a_closed_session_stays_closed() public {
        _close(0);
        vm.startPrank(meter);
        vm.expectPartialRevert(Session.WrongState.selector);
        session.start();
        vm.expectPartialRevert(Session.WrongState.selector);
        session.pause(0);
        vm.expectPartialRevert(Session.WrongState.selector);
        session.close(0);
        vm.expectPartialRevert(Session.WrongState.selector);
        session.close();
    }

    function test_an_operator_that_claims_twice_is_paid_once() public {
        _pass(100);
        uint256 share = 100 * _rate() * 97 / 300;
        _pool().claimAll(operator(0));
        vm.assertEq(usdcx.balanceOf(operator(0)), share);
        _pool().claimAll(operator(0));
        vm.prank(operator(0));
        _pool().claimAll(operator(0));
        vm.assertEq(usdcx.balanceOf(operator(0)), share);
    }

    function test_shares_are_by_layers_fee_and_royalty() public {
        _pass(1000);
        _close(1_000_000);
        uint256 all = 1000 * _rate();
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(_pool().getTotalAmountReceivedByMember(operator(i)), all * 97 / 300);
        }
        vm.assertEq(_pool().getTotalAmountReceivedByMember(treasury), all / 100);
        vm.assertEq(_pool().getTotalAmountReceivedByMember(owner), all / 50);
    }

    /// forge-config: default.fuzz.runs = 512
    function testFuzz_sums_to_the_wei(
        uint64 amount,
        uint16[6] calldata times,
        uint24[6] calldata claims
    ) public {
        _close(0); // the other tests' session; nothing was streamed
        vm.assertEq(_received(3), 0);
        amount = 1 + amount % 100e6;
        before = usdc.balanceOf(payer);
        uint256 dust = usdcx.balanceOf(payer);
        session = _open(amount, false);
        uint64 served = 0;
        for (uint256 i = 0; i < times.length; ++i) {
            bool start = session.state() == Session.State.Open && claims[i] % 3 != 0;
            if (start && session.left() >= (LIQUIDATION + session.MARGIN()) * _rate()) {
                vm.prank(meter);
                session.start();
            } else {
                _pause(served += claims[i] % 300_000);
            }
            // As long as somebody closes in time.
            _pass(times[i] % (session.MARGIN() + 1));
            if (session.isOver()) break;
        }
        _close(served);
        uint256 back = (usdc.balanceOf(payer) + amount - before) * WEI_PER_UNIT + usdcx.balanceOf(payer) - dust;
        vm.assertEq(_received(3) + back, amount * WEI_PER_UNIT);
        vm.assertEq(session.streamed() + session.toppedUp(), _received(3));
        vm.assertEq(usdcx.balanceOf(address(session)), 0);
        vm.assertEq(usdc.balanceOf(address(session)), 0);
    }

    function _pause(
        uint64 served
    ) private {
        vm.prank(meter);
        session.pause(served);
    }

    function _close(
        uint64 served
    ) private {
        vm.prank(meter);
        session.close(served);
    }

    /// @dev The pool got `paid` wei and the payer the rest, to the wei.
    function _checkSums(
        uint256 paid
    ) private view {
        vm.assertEq(_received(3), paid, "received");
        vm.assertEq(session.streamed() + session.toppedUp(), paid, "paid");
        uint256 refund = AMOUNT * WEI_PER_UNIT - paid;
        vm.assertEq(usdc.balanceOf(payer), before - AMOUNT + refund / WEI_PER_UNIT, "refund");
        vm.assertEq(usdcx.balanceOf(payer), refund % WEI_PER_UNIT, "dust");
        vm.assertEq(usdcx.balanceOf(address(session)), 0, "left behind");
        vm.assertTrue(session.state() == Session.State.Closed, "closed");
    }
}
