// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IUsdc} from "../IUsdc.sol";
import {Membership} from "./Membership.sol";
import {Place} from "./Terms.sol";

/// @title Accusations: made with a deposit, decided by the founders' majority or the terms' arbiter, never by one party.
abstract contract Breaches is Membership {
    using SafeERC20 for IUsdc;

    /// @notice What became of an accusation. `Lapsed`: nobody decided in time.
    enum Verdict {
        Open,
        Upheld,
        Rejected,
        Lapsed
    }

    /// @notice An accusation.
    /// @param deposit units of USDC: the accuser's again if upheld, else the accused's
    /// @param until unix seconds until which it may be decided
    /// @param guilty founders' votes that it is true
    /// @param innocent founders' votes that it is not
    struct Accusation {
        bytes32 coalition;
        address accuser;
        address accused;
        uint64 deposit;
        uint40 until;
        uint8 guilty;
        uint8 innocent;
        Verdict verdict;
    }

    /// @notice Seconds in which an accusation is decided, or lapses.
    uint256 public constant DECISION = 3 days;

    /// @notice The deposit is the stake divided by this.
    uint256 public constant DEPOSIT_DIVISOR = 4;

    /// @notice Bytes of an evidence's address at most.
    uint256 public constant MAX_URI = 256;

    Accusation[] private _accusations;
    mapping(uint256 accusation => mapping(address founder => bool)) private _voted;
    mapping(bytes32 id => mapping(address accuser => mapping(address accused => bool))) private _pending;

    event Accused(
        uint256 indexed accusation,
        bytes32 indexed id,
        address indexed accused,
        address accuser,
        bytes32 evidence,
        string uri
    );
    event Voted(uint256 indexed accusation, address indexed founder, bool guilty);
    event Decided(uint256 indexed accusation, Verdict verdict, address by);
    event Slashed(bytes32 indexed id, address indexed operator, uint256 units);

    /// @notice The accuser has an open accusation against the same operator.
    error AlreadyAccused(address accused);
    /// @notice The accusation was decided.
    error AlreadyDecided(uint256 accusation, Verdict verdict);
    /// @notice This founder has voted.
    error AlreadyVoted(address founder);
    /// @notice The time to decide ends then, in unix seconds.
    error DecisionTime(uint256 until);
    /// @notice The evidence's address is too long, in bytes.
    error UriTooLong(uint256 length);

    /// @notice Accuses an operator of a breach. By a member, the meter or the pool's owner, with a deposit of a quarter of the
    /// stake (by allowance). As long as the accused's stake is bound.
    /// @param evidence hash of the evidence
    /// @param uri where the evidence lies
    function accuse(
        bytes32 id,
        address accused,
        bytes32 evidence,
        string calldata uri
    ) external nonReentrant returns (uint256 accusation) {
        Record storage record = _records[id];
        require(record.stage == Stage.Active || record.stage == Stage.Dissolved, WrongStage(id, record.stage));
        Member storage accuser = _members[id][msg.sender];
        require(
            (accuser.signed && !accuser.expelled) || msg.sender == record.meter || msg.sender == record.owner,
            NotAllowed(msg.sender)
        );
        Member storage target = _members[id][accused];
        require(
            target.signed && !target.expelled && accused != msg.sender && block.timestamp < exitAt(id, accused),
            NotAllowed(accused)
        );
        require(!_pending[id][msg.sender][accused], AlreadyAccused(accused));
        require(bytes(uri).length <= MAX_URI, UriTooLong(bytes(uri).length));
        _pending[id][msg.sender][accused] = true;
        target.accusations += 1;
        accusation = _accusations.length;
        uint64 deposit = uint64((record.stake + DEPOSIT_DIVISOR - 1) / DEPOSIT_DIVISOR);
        _accusations.push(
            Accusation({
                coalition: id,
                accuser: msg.sender,
                accused: accused,
                deposit: deposit,
                until: uint40(block.timestamp + DECISION),
                guilty: 0,
                innocent: 0,
                verdict: Verdict.Open
            })
        );
        emit Accused(accusation, id, accused, msg.sender, evidence, uri);
        USDC.safeTransferFrom(msg.sender, address(this), deposit);
        if (accuser.founder && accuser.signed) _vote(accusation, msg.sender, true);
    }

    /// @notice A founder's vote; not the accused's. More than half of all founders, and two at least, decide.
    function vote(
        uint256 accusation,
        bool guilty
    ) external nonReentrant {
        _vote(accusation, msg.sender, guilty);
    }

    /// @notice The arbiter's decision.
    function decide(
        uint256 accusation,
        bool guilty
    ) external nonReentrant {
        Accusation storage open = _undecided(accusation);
        require(msg.sender == _records[open.coalition].arbiter, NotAllowed(msg.sender));
        require(block.timestamp < open.until, DecisionTime(open.until));
        _conclude(accusation, guilty ? Verdict.Upheld : Verdict.Rejected);
    }

    /// @notice Ends an accusation that nobody decided in time. Anybody may.
    function lapse(
        uint256 accusation
    ) external nonReentrant {
        Accusation storage open = _undecided(accusation);
        require(block.timestamp >= open.until, DecisionTime(open.until));
        _conclude(accusation, Verdict.Lapsed);
    }

    /// @notice An accusation, by its number.
    function accusationOf(
        uint256 accusation
    ) external view returns (Accusation memory) {
        return _accusations[accusation];
    }

    /// @notice How many founders decide: more than half of `all`, and two at least.
    function quorum(
        uint256 all
    ) public pure returns (uint256) {
        uint256 most = all / 2 + 1;
        return most < 2 ? 2 : most;
    }

    function _vote(
        uint256 accusation,
        address founder,
        bool guilty
    ) private {
        Accusation storage open = _undecided(accusation);
        require(block.timestamp < open.until, DecisionTime(open.until));
        Member storage voter = _members[open.coalition][founder];
        require(voter.founder && voter.signed && !voter.expelled && founder != open.accused, NotAllowed(founder));
        require(!_voted[accusation][founder], AlreadyVoted(founder));
        _voted[accusation][founder] = true;
        emit Voted(accusation, founder, guilty);
        uint256 needed = quorum(_records[open.coalition].founders.length);
        if (guilty) {
            open.guilty += 1;
            if (open.guilty >= needed) _conclude(accusation, Verdict.Upheld);
        } else {
            open.innocent += 1;
            if (open.innocent >= needed) _conclude(accusation, Verdict.Rejected);
        }
    }

    function _conclude(
        uint256 accusation,
        Verdict verdict
    ) private {
        Accusation storage open = _accusations[accusation];
        open.verdict = verdict;
        bytes32 id = open.coalition;
        Member storage accused = _members[id][open.accused];
        accused.accusations -= 1;
        _pending[id][open.accuser][open.accused] = false;
        emit Decided(accusation, verdict, msg.sender);
        // Where another accusation was upheld meanwhile, this one was not false either, for all that was decided.
        bool cleared = verdict != Verdict.Upheld && !accused.expelled;
        _credit(cleared ? open.accused : open.accuser, open.deposit);
        if (verdict == Verdict.Upheld && !accused.expelled) _expel(id, open.accused);
    }

    function _expel(
        bytes32 id,
        address operator
    ) private {
        Record storage record = _records[id];
        Member storage expelled = _members[id][operator];
        if (_present(expelled)) record.gaps += expelled.holds;
        expelled.expelled = true;
        uint256 units = expelled.staked;
        expelled.staked = 0;
        emit Slashed(id, operator, units);
        _share(record, operator, units);
    }

    /// @dev To those who hold the other places, by layers, what does not divide to the last of them; to the pool's owner or
    /// else the protocol where there are none.
    function _share(
        Record storage record,
        address operator,
        uint256 units
    ) private {
        uint256 layers = 0;
        uint256 count = record.places.length;
        for (uint256 i = 0; i < count; ++i) {
            Place storage place = record.places[i];
            if (place.holder != operator) layers += place.end - place.start;
        }
        if (layers == 0) {
            _credit(record.owner == address(0) ? record.feeReceiver : record.owner, units);
            return;
        }
        uint256 shared = 0;
        for (uint256 i = 0; i < count && layers > 0; ++i) {
            Place storage place = record.places[i];
            if (place.holder == operator) continue;
            uint256 width = place.end - place.start;
            uint256 part = (units - shared) * width / layers;
            layers -= width;
            shared += part;
            _credit(place.holder, part);
        }
    }

    function _undecided(
        uint256 accusation
    ) private view returns (Accusation storage open) {
        open = _accusations[accusation];
        require(open.verdict == Verdict.Open, AlreadyDecided(accusation, open.verdict));
    }
}
