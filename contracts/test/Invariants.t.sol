// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Quote} from "../src/Quote.sol";
import {Session} from "../src/Session.sol";
import {SessionEscrow} from "../src/SessionEscrow.sol";
import {ISuperfluidPool} from "../src/superfluid/ISuperfluid.sol";
import {World} from "./kit/World.sol";
import {vm} from "./kit/Vm.sol";

/// @dev Everybody, doing anything in any order; and a keeper, who closes what is over before its margin is used up.
contract Everybody is World {
    uint256 private constant MOST = 6;

    Session[] public sessions;
    uint256 public paidIn;
    mapping(Session session => uint64 served) private _served;

    /// @dev A voucher that somebody executed, and that no session was opened for.
    struct Stray {
        Quote quote;
        SessionEscrow.Authorization voucher;
        bytes signature;
    }

    Stray[] private _strays;
    uint256 private _astray;

    function setUp() public override {
        super.setUp();
        for (uint256 place = 0; place < 3; ++place) {
            _sign(id, uint16(place), operator(7));
            _sign(id, uint16(place), operator((place + 1) % 3));
        }
    }

    function open(
        uint64 amount,
        bool start,
        uint256 way
    ) external {
        if (sessions.length == MOST) return;
        amount = 1e6 + amount % 20e6;
        Quote memory quote = _quote(amount);
        // A stranger may submit the vouchers of quotes that name their payer.
        if (way % 3 == 1) quote.payer = payer;
        (SessionEscrow.Authorization memory voucher, bytes memory signature) = _voucher(quote, PAYER_KEY);
        if (way % 3 == 0) _executeDirectly(quote, voucher, signature);
        if (way % 3 == 1) {
            vm.prank(stranger);
            sessions.push(Session(escrow.open(quote, voucher, signature, false)));
        } else {
            vm.prank(meter);
            sessions.push(Session(escrow.open(quote, voucher, signature, start)));
        }
        paidIn += amount * WEI_PER_UNIT;
    }

    function stray(
        uint64 amount
    ) external {
        if (_strays.length == MOST) return;
        Stray storage made = _strays.push();
        made.quote = _quote(1e6 + amount % 20e6);
        (made.voucher, made.signature) = _voucher(made.quote, PAYER_KEY);
        _executeDirectly(made.quote, made.voucher, made.signature);
        _astray += made.quote.amount * WEI_PER_UNIT;
    }

    function reclaim(
        uint256 which
    ) external {
        if (_strays.length > 0) _reclaim(which % _strays.length, meter);
    }

    function start(
        uint256 which
    ) external {
        Session session = _any(which);
        if (address(session) == address(0) || session.state() != Session.State.Open) return;
        if (block.timestamp >= session.endsAt()) return;
        if (session.left() < (LIQUIDATION + session.MARGIN()) * _rate()) return;
        vm.prank(meter);
        session.start();
    }

    function pause(
        uint256 which,
        uint32 served
    ) external {
        Session session = _any(which);
        if (address(session) == address(0) || session.state() > Session.State.Streaming) return;
        vm.prank(meter);
        session.pause(_more(session, served));
    }

    function close(
        uint256 which,
        uint32 served,
        uint256 by
    ) external {
        Session session = _any(which);
        if (address(session) == address(0) || session.state() == Session.State.Closed) return;
        if (by % 2 == 0) {
            vm.prank(meter);
            session.close(_more(session, served));
        } else if (session.state() != Session.State.Ending) {
            vm.prank(payer);
            session.close();
        } else if (block.timestamp >= session.changedAt() + session.SETTLEMENT()) {
            vm.prank(stranger);
            session.close();
        }
    }

    function reassign(
        uint256 place,
        uint256 to
    ) external {
        place %= 3;
        address[3] memory able = [operator(place), operator((place + 1) % 3), operator(7)];
        if (coalitions.places(id)[place].holder == able[to % 3]) return;
        vm.prank(meter);
        coalitions.reassign(id, uint16(place), able[to % 3]);
    }

    function claim(
        uint256 who
    ) external {
        uint256 i = who % 4;
        _pool().claimAll(operator(i == 3 ? 7 : i));
    }

    function pass(
        uint256 time
    ) external {
        _passAndKeep(time % 20);
    }

    function passLong(
        uint256 time
    ) external {
        // In steps that the keeper keeps up with.
        for (uint256 i = 0; i < 10; ++i) {
            _passAndKeep(time % 40);
        }
    }

    /// @dev Meter and operators are gone: whoever is left gets everybody's money out.
    function abandon() external {
        for (uint256 i = 0; i < sessions.length; ++i) {
            if (sessions[i].state() > Session.State.Streaming) continue;
            vm.prank(payer);
            sessions[i].close();
        }
        _pass(5 minutes);
        for (uint256 i = 0; i < sessions.length; ++i) {
            if (sessions[i].state() == Session.State.Ending) sessions[i].close();
        }
        _pass(escrow.ATTRIBUTION() + 5 minutes);
        for (uint256 i = _strays.length; i > 0; --i) {
            _reclaim(i - 1, stranger);
        }
    }

    function count() external view returns (uint256) {
        return sessions.length;
    }

    function received() public view returns (uint256) {
        return _received(3) + _pool().getTotalAmountReceivedByMember(operator(7));
    }

    function refunded() external view returns (uint256) {
        uint256 gone = (1_000_000e6 - usdc.balanceOf(payer)) * WEI_PER_UNIT - _astray;
        return paidIn + usdcx.balanceOf(payer) - gone;
    }

    function buffer(
        Session session
    ) external view returns (uint256 locked) {
        (,, locked) = coalitions.DISTRIBUTION().getFlow(usdcx, address(session), _pool());
    }

    function pool() external view returns (ISuperfluidPool) {
        return _pool();
    }

    function adjustment() external view returns (int96) {
        return coalitions.DISTRIBUTION().getPoolAdjustmentFlowRate(address(_pool()));
    }

    function held(
        address account
    ) external view returns (uint256 wei_, uint256 units) {
        return (usdcx.balanceOf(account), usdc.balanceOf(account));
    }

    function backing() external view returns (uint256 wrapped, uint256 locked) {
        return (usdcx.totalSupply(), usdc.balanceOf(address(usdcx)) * WEI_PER_UNIT);
    }

    function addresses() external view returns (address, address) {
        return (address(escrow), address(coalitions));
    }

    function _reclaim(
        uint256 which,
        address by
    ) private {
        Stray memory found = _strays[which];
        vm.prank(by);
        escrow.reclaim(found.quote, found.voucher, found.signature);
        _astray -= found.quote.amount * WEI_PER_UNIT;
        _strays[which] = _strays[_strays.length - 1];
        _strays.pop();
    }

    function _any(
        uint256 which
    ) private view returns (Session) {
        return sessions.length == 0 ? Session(address(0)) : sessions[which % sessions.length];
    }

    function _more(
        Session session,
        uint32 served
    ) private returns (uint64) {
        return _served[session] += served % 120_000;
    }

    function _passAndKeep(
        uint256 time
    ) private {
        uint256 margin = sessions.length == 0 ? 30 : sessions[0].MARGIN();
        _pass(time < margin ? time : margin);
        for (uint256 i = 0; i < sessions.length; ++i) {
            Session session = sessions[i];
            if (session.state() <= Session.State.Streaming && session.isOver()) {
                vm.prank(stranger);
                session.close();
            }
        }
    }
}

/// @dev What holds whatever happens.
contract InvariantsTest {
    Everybody private everybody;

    function setUp() public {
        everybody = new Everybody();
        everybody.setUp();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(everybody);
    }

    function excludeSelectors() external view returns (Excluded[] memory excluded) {
        excluded = new Excluded[](1);
        excluded[0] = Excluded(address(everybody), new bytes4[](2));
        excluded[0].selectors[0] = Everybody.abandon.selector;
        excluded[0].selectors[1] = Everybody.setUp.selector;
    }

    struct Excluded {
        address addr;
        bytes4[] selectors;
    }

    /// @dev Paid in = paid to the pool's members + refunded + what is left in open sessions, to the wei.
    function invariant_money_adds_up() external view {
        uint256 left = 0;
        uint256 spent = 0;
        for (uint256 i = 0; i < everybody.count(); ++i) {
            Session session = everybody.sessions(i);
            spent += session.streamed() + session.toppedUp();
            if (session.state() != Session.State.Closed) left += session.left();
        }
        vm.assertEq(everybody.received(), spent, "what sessions paid is what members got");
        vm.assertEq(everybody.paidIn(), spent + left + everybody.refunded(), "in = out");
    }

    /// @dev An account holds what its books say: nothing more, nothing less, buffer included; a closed one nothing.
    function invariant_accounts_are_solvent() external view {
        for (uint256 i = 0; i < everybody.count(); ++i) {
            Session session = everybody.sessions(i);
            (uint256 here, uint256 plain) = everybody.held(address(session));
            uint256 left = session.state() == Session.State.Closed ? 0 : session.left();
            vm.assertEq(here + everybody.buffer(session), left, "held");
            vm.assertEq(plain, 0, "plain");
        }
    }

    /// @dev No session pays more than its voucher, or for more time than there was.
    function invariant_nobody_overpays() external view {
        for (uint256 i = 0; i < everybody.count(); ++i) {
            Session session = everybody.sessions(i);
            uint256 paid = session.streamed() + session.toppedUp();
            vm.assertLe(paid, session.budget(), "budget");
            uint256 time = block.timestamp - session.openedAt() + session.HEAD_START();
            vm.assertLe(paid, time * uint256(uint96(session.rate())), "time");
        }
    }

    /// @dev The sum of a pool's units never changes, and nothing is rounded off to its admin.
    function invariant_units_are_constant() external view {
        vm.assertEq(everybody.pool().getTotalUnits(), 240_000);
        vm.assertEq(int256(everybody.adjustment()), 0);
    }

    /// @dev The escrow holds nothing, the coalitions no streams, and every wrapped token is backed.
    function invariant_nothing_gathers_in_between() external view {
        (address escrow, address coalitions) = everybody.addresses();
        (uint256 wei_, uint256 units) = everybody.held(escrow);
        vm.assertEq(wei_ + units, 0, "escrow");
        (wei_,) = everybody.held(coalitions);
        vm.assertEq(wei_, 0, "coalitions");
        (uint256 wrapped, uint256 locked) = everybody.backing();
        vm.assertEq(wrapped, locked, "backing");
    }

    /// @dev No order of calls locks money: with the meter gone, every session still closes and refunds.
    function afterInvariant() external {
        everybody.abandon();
        for (uint256 i = 0; i < everybody.count(); ++i) {
            Session session = everybody.sessions(i);
            vm.assertTrue(session.state() == Session.State.Closed, "closed");
            (uint256 here, uint256 plain) = everybody.held(address(session));
            vm.assertEq(here + plain, 0, "empty");
        }
        vm.assertEq(everybody.paidIn(), everybody.received() + everybody.refunded(), "all of it");
    }
}
