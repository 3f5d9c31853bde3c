// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IUsdc} from "./IUsdc.sol";
import {Quote, Quotes} from "./Quote.sol";
import {IDistribution, ISuperfluidHost, ISuperfluidPool, ISuperToken} from "./superfluid/ISuperfluid.sol";

/// @title One paid session: the account that a voucher pays into, and the sender of its stream.
/// @notice A minimal clone per session. Its address binds the quote ({Quotes}), so that who signs a voucher to it agrees to
/// the coalition, the amount and the lifetime, whoever submits the voucher. Sessions share no money.
///
/// Open -> start -> Streaming -> pause -> Open … -> close -> Closed. The meter (the orchestrator) does that. Without it the
/// payer at any time, and anybody once the money or the time is used up, calls {close} twice: the first call stops the
/// stream, the second, {SETTLEMENT} seconds later, pays the rest back. In between the meter may still settle.
///
/// Seconds are served (work was done, by the meter's word) and streamed (by the chain's clock). What was served and not
/// streamed is topped up when a generation ends; what was streamed and not served counts towards what is served next.
///
/// Wei are wei of USDCx (18 decimals); units are units of USDC (6 decimals).
contract Session {
    using SafeERC20 for IUsdc;

    /// @notice Where a session stands. `None`: the clone was never opened.
    enum State {
        None,
        Open,
        Streaming,
        Ending,
        Closed
    }

    /// @notice Wei in a unit.
    uint256 public constant WEI_PER_UNIT = 1e12;

    /// @notice Seconds of streaming that must be left beside the buffer, so that somebody can close in time.
    uint256 public constant MARGIN = 30;

    /// @notice Seconds that may have been served before the opening was in a block.
    uint256 public constant HEAD_START = 30;

    /// @notice Seconds without a stream after which anybody may close.
    uint256 public constant IDLE = 15 minutes;

    /// @notice Seconds that the meter has to settle after somebody else stopped the stream.
    uint256 public constant SETTLEMENT = 5 minutes;

    /// @dev Gas that paying the payer takes at most. Who estimates a transaction's gas finds the least with which it does not
    /// fail: without this, one with which the refund fails and is held back.
    uint256 private constant SWEEP_GAS = 400_000;

    address public immutable ESCROW;
    IUsdc public immutable USDC;
    ISuperToken public immutable USDCX;
    ISuperfluidHost public immutable HOST;
    IDistribution public immutable DISTRIBUTION;

    /// @notice The coalition's pool: who is paid.
    ISuperfluidPool public pool;
    /// @notice Wei per second while streaming.
    int96 public rate;

    /// @notice The orchestrator's key: starts, pauses and settles, and can send money to the pool and the payer only.
    address public meter;
    /// @notice Block time of the opening, in unix seconds.
    uint40 public openedAt;
    /// @notice Block time of the last change of {state}.
    uint40 public changedAt;
    State private _state;

    /// @notice Who gets what is not used.
    address public payer;
    /// @notice Until when the session may stream, in unix seconds.
    uint40 public endsAt;

    uint128 private _streamed;
    uint128 private _toppedUp;

    /// @notice Milliseconds of service accepted so far.
    uint64 public servedMs;

    event Opened(
        address indexed payer, address indexed pool, address meter, uint256 budget, int96 rate, uint256 endsAt
    );
    event Started(int96 rate, uint256 buffer, uint256 left);
    event Paused(uint64 servedMs, uint256 streamed, uint256 toppedUp);
    event ToppedUp(uint256 amount);
    /// @dev Stopped by somebody else than the meter.
    event Stopped(address indexed by, uint256 streamed);
    /// @dev In wei: budget + found = streamed + toppedUp + refundUnits x 1e12 + refundDust + lost, unless a stream outlived
    /// its money (then streamed is more than the budget, and the protocol bore the difference).
    /// `lost` went to whoever liquidated the stream; `found` was sent here by strangers.
    event Closed(
        uint64 servedMs,
        uint256 streamed,
        uint256 toppedUp,
        uint256 refundUnits,
        uint256 refundDust,
        uint256 lost,
        uint256 found
    );
    /// @dev The token refused to pay the payer: the money lies here until {sweep} gets through.
    event RefundHeld();
    event Swept(address indexed payer, uint256 units, uint256 dust);

    /// @notice The session is in another state than the call needs.
    error WrongState(State state);
    /// @notice The caller may not do this, or not yet.
    error NotAllowed(address caller);
    /// @notice `left` wei do not pay the buffer and {MARGIN} seconds, `needed` wei.
    error TooLittleLeft(uint256 left, uint256 needed);
    /// @notice The pool did not take the whole rate.
    error RateNotMet(int96 wanted, int96 got);
    /// @notice The meter may settle until then, in unix seconds.
    error StillSettling(uint256 until);
    /// @notice The transaction brings too little gas to pay the rest back; `left` of it is there.
    error TooLittleGas(uint256 left);
    /// @notice The session's time is over since `endsAt`, in unix seconds.
    error TimeOver(uint256 endsAt);

    modifier onlyMeter() {
        require(msg.sender == meter, NotAllowed(msg.sender));
        _;
    }

    modifier onlyEscrow() {
        require(msg.sender == ESCROW, NotAllowed(msg.sender));
        _;
    }

    /// @dev The clones' code, deployed once by the escrow.
    constructor(
        ISuperToken usdcx,
        IDistribution distribution
    ) {
        ESCROW = msg.sender;
        USDCX = usdcx;
        USDC = IUsdc(usdcx.getUnderlyingToken());
        HOST = ISuperfluidHost(usdcx.getHost());
        DISTRIBUTION = distribution;
    }

    /// @notice Wraps the quote's amount, which lies here already, and opens the session. By the escrow, once.
    function open(
        address payer_,
        ISuperfluidPool pool_,
        int96 rate_,
        address meter_,
        uint40 endsAt_
    ) external onlyEscrow {
        require(_state == State.None, WrongState(_state));
        _state = State.Open;
        payer = payer_;
        pool = pool_;
        rate = rate_;
        meter = meter_;
        openedAt = changedAt = uint40(block.timestamp);
        endsAt = endsAt_;
        uint256 units = quote().amount;
        emit Opened(payer_, address(pool_), meter_, units * WEI_PER_UNIT, rate_, endsAt_);
        USDC.forceApprove(address(USDCX), units);
        USDCX.upgrade(units * WEI_PER_UNIT);
    }

    /// @notice Closes a session that never opened, so that {sweep} can give back what lies here. By the escrow, once.
    function decline(
        address payer_
    ) external onlyEscrow {
        require(_state == State.None, WrongState(_state));
        _state = State.Closed;
        payer = payer_;
        changedAt = uint40(block.timestamp);
    }

    /// @notice Starts the stream. By the meter, or by the escrow on its behalf.
    function start() external {
        require(msg.sender == meter || msg.sender == ESCROW, NotAllowed(msg.sender));
        require(_state == State.Open, WrongState(_state));
        require(block.timestamp < endsAt, TimeOver(endsAt));
        uint256 left_ = left();
        _state = State.Streaming;
        changedAt = uint40(block.timestamp);
        _setRate(rate);
        (, int96 got, uint256 buffer) = DISTRIBUTION.getFlow(USDCX, address(this), pool);
        require(got == rate, RateNotMet(rate, got));
        uint256 needed = buffer + MARGIN * _rate();
        require(left_ >= needed, TooLittleLeft(left_, needed));
        emit Started(got, buffer, left_);
    }

    /// @notice Stops the stream, if one runs, and tops up what was served and not streamed. By the meter. Never reverts for a
    /// wrong figure: a stream must stop. See {served}.
    /// @param served_ milliseconds served since the session opened, all generations together
    function pause(
        uint64 served_
    ) external onlyMeter {
        require(_state == State.Open || _state == State.Streaming, WrongState(_state));
        if (_state == State.Streaming) _stop(State.Open);
        _settle(served_);
        emit Paused(servedMs, _streamed, _toppedUp);
    }

    /// @notice Stops the stream, tops up, and pays the rest back. By the meter.
    /// @param served_ as for {pause}
    function close(
        uint64 served_
    ) external onlyMeter {
        require(_state != State.None && _state != State.Closed, WrongState(_state));
        if (_state != State.Ending) _stop(State.Ending);
        _settle(served_);
        _finish();
    }

    /// @notice Without the meter: the first call stops the stream; another, {SETTLEMENT} seconds later, pays the rest back.
    /// The first is the payer's at any time, and anybody's once {isOver}; the second is anybody's.
    function close() external {
        if (_state == State.Ending) {
            uint256 until = changedAt + SETTLEMENT;
            require(block.timestamp >= until, StillSettling(until));
            _finish();
            return;
        }
        require(_state == State.Open || _state == State.Streaming, WrongState(_state));
        require(msg.sender == payer || isOver(), NotAllowed(msg.sender));
        _stop(State.Ending);
        emit Stopped(msg.sender, _streamed);
    }

    /// @notice Pays whatever lies here to the payer. Anybody may, once the session is closed.
    function sweep() external {
        require(_state == State.Closed, WrongState(_state));
        uint256 found = USDCX.balanceOf(address(this));
        uint256 dust = found % WEI_PER_UNIT;
        uint256 units = found / WEI_PER_UNIT;
        uint256 plain = USDC.balanceOf(address(this));
        emit Swept(payer, units + plain, dust);
        if (units > 0) USDCX.downgradeTo(payer, units * WEI_PER_UNIT);
        if (plain > 0) USDC.safeTransfer(payer, plain);
        if (dust > 0) require(USDCX.transfer(payer, dust));
    }

    /// @notice The quote that the account's address binds.
    function quote() public view returns (Quote memory) {
        return Quotes.decode(Clones.fetchCloneArgs(address(this)));
    }

    /// @notice What the voucher brought, in wei.
    function budget() public view returns (uint256) {
        return quote().amount * WEI_PER_UNIT;
    }

    /// @notice Where the session stands.
    function state() external view returns (State) {
        return _state;
    }

    /// @notice Wei streamed up to this block.
    function streamed() public view returns (uint256 amount) {
        amount = _streamed;
        if (_state == State.Streaming) {
            (uint256 until,) = _flow();
            amount += (until - changedAt) * _rate();
        }
    }

    /// @notice Wei topped up so far.
    function toppedUp() external view returns (uint256) {
        return _toppedUp;
    }

    /// @notice Wei of the budget that are not paid out, the buffer included.
    function left() public view returns (uint256) {
        return Math.saturatingSub(budget(), streamed() + _toppedUp);
    }

    /// @notice The most service that counts by now, in milliseconds, and not more than `claimed`: the time since the
    /// opening, {HEAD_START} added, until the stream was stopped for good.
    function served(
        uint64 claimed
    ) public view returns (uint64) {
        uint256 until = _state == State.Ending ? changedAt : block.timestamp;
        uint256 most = (until - openedAt + HEAD_START) * 1000;
        return claimed > most ? uint64(most) : claimed;
    }

    /// @notice Whether anybody may close: the money or the time is used up, nothing streams for {IDLE} seconds, or the stream
    /// was liquidated.
    function isOver() public view returns (bool) {
        if (block.timestamp >= endsAt) return true;
        if (_state == State.Streaming) {
            (, uint256 buffer) = _flow();
            // A stream has a buffer; where it has none any more, somebody liquidated it.
            return buffer == 0 || left() < buffer + MARGIN * _rate();
        }
        return block.timestamp >= changedAt + IDLE || left() < MARGIN * _rate();
    }

    /// @dev Until when the stream ran (now, while it does) and the buffer that is locked for it.
    function _flow() private view returns (uint256 until, uint256 buffer) {
        int96 got;
        (until, got, buffer) = DISTRIBUTION.getFlow(USDCX, address(this), pool);
        if (got != 0) until = block.timestamp;
        else buffer = 0;
    }

    function _rate() private view returns (uint256) {
        return uint256(uint96(rate));
    }

    /// @dev Ends the stream, if one runs, and books it. A liquidator may have ended it before.
    function _stop(
        State next
    ) private {
        uint256 buffer = 0;
        if (_state == State.Streaming) {
            uint256 until;
            (until, buffer) = _flow();
            _streamed += uint128((until - changedAt) * _rate());
        }
        _state = next;
        changedAt = uint40(block.timestamp);
        if (buffer > 0) _setRate(0);
    }

    /// @dev Books the service and pays what was not streamed of it, as far as the money goes.
    function _settle(
        uint64 claimed
    ) private {
        uint64 accepted = served(claimed);
        if (accepted > servedMs) servedMs = accepted;
        uint256 due = Math.ceilDiv(servedMs, 1000) * _rate();
        uint256 paid = uint256(_streamed) + _toppedUp;
        if (due <= paid) return;
        // After a liquidation there is less here than the books say.
        uint256 amount = Math.min(due - paid, Math.min(left(), USDCX.balanceOf(address(this))));
        uint256 poolUnits = pool.getTotalUnits();
        if (poolUnits == 0) return;
        // The pool takes whole multiples of its units.
        amount -= amount % poolUnits;
        if (amount == 0) return;
        _toppedUp += uint128(amount);
        emit ToppedUp(amount);
        HOST.callAgreement(
            address(DISTRIBUTION),
            abi.encodeCall(IDistribution.distribute, (USDCX, address(this), pool, amount, new bytes(0))),
            new bytes(0)
        );
    }

    /// @dev Books the end and pays the payer. Nobody can keep the session from closing by refusing the money.
    function _finish() private {
        _state = State.Closed;
        changedAt = uint40(block.timestamp);
        uint256 here = USDCX.balanceOf(address(this));
        uint256 owed = left();
        emit Closed(
            servedMs,
            _streamed,
            _toppedUp,
            here / WEI_PER_UNIT,
            here % WEI_PER_UNIT,
            Math.saturatingSub(owed, here),
            Math.saturatingSub(here, owed)
        );
        // A call gets 63 parts in 64 of what is left.
        require(gasleft() > SWEEP_GAS + SWEEP_GAS / 63, TooLittleGas(gasleft()));
        try this.sweep() {}
        catch {
            emit RefundHeld();
        }
    }

    function _setRate(
        int96 wanted
    ) private {
        HOST.callAgreement(
            address(DISTRIBUTION),
            abi.encodeCall(IDistribution.distributeFlow, (USDCX, address(this), pool, wanted, new bytes(0))),
            new bytes(0)
        );
    }
}
