// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {BondAccount} from "../BondAccount.sol";
import {ICoalition} from "../ICoalition.sol";
import {IUsdc} from "../IUsdc.sol";
import {Place, Terms, TermsLibrary} from "./Terms.sol";
import {
    DISTRIBUTION_V1,
    IDistribution,
    ISuperfluidHost,
    ISuperfluidPool,
    ISuperToken
} from "../superfluid/ISuperfluid.sol";

/// @title Who belongs to a coalition, who holds which place of it, and what is at stake.
abstract contract Membership is ICoalition, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IUsdc;
    using TermsLibrary for Terms;

    /// @notice Where a coalition stands.
    enum Stage {
        None,
        Proposed,
        Active,
        Dissolved
    }

    /// @dev What is kept of the {Terms}, and what became of them.
    struct Record {
        ISuperfluidPool pool;
        int96 rate;
        address meter;
        uint64 deadline;
        Stage stage;
        /// Founders that have not signed yet.
        uint8 unsigned;
        /// Places whose holder left or was expelled.
        uint8 gaps;
        address arbiter;
        uint64 stake;
        uint32 exitDelay;
        address owner;
        uint16 feeBps;
        uint16 royaltyBps;
        uint40 dissolvedAt;
        address feeReceiver;
        Place[] places;
        address[] founders;
    }

    /// @notice An operator in a coalition.
    /// @param staked units of USDC put up, and not slashed
    /// @param leftAt when it left, in unix seconds; zero while it is there
    /// @param signed whether it belongs to the coalition
    /// @param founder whether the terms name it: founders have votes, stand-ins have none
    /// @param bonding whether its stake is built from earnings
    /// @param expelled whether a breach was upheld against it
    /// @param accusations open ones
    /// @param holds places it holds
    struct Member {
        uint64 staked;
        uint40 leftAt;
        bool signed;
        bool founder;
        bool bonding;
        bool expelled;
        uint32 accusations;
        uint8 holds;
    }

    /// @notice An ERC-3009 authorization of the stake, whose nonce is the digest of the membership that it pays for.
    struct StakeVoucher {
        uint256 validAfter;
        uint256 validBefore;
        bytes signature;
    }

    bytes32 private constant MEMBERSHIP_TYPEHASH =
        keccak256("Membership(bytes32 coalition,uint16 place,address operator)");

    IUsdc public immutable USDC;
    ISuperToken public immutable USDCX;
    ISuperfluidHost public immutable HOST;
    IDistribution public immutable DISTRIBUTION;

    /// @notice The code of every bond account.
    address public immutable BOND;

    /// @notice What others owe to an address, in units of USDC: see {collect}.
    mapping(address account => uint256 units) public credits;

    mapping(bytes32 id => Record record) internal _records;
    mapping(bytes32 id => mapping(address operator => Member member)) internal _members;
    mapping(bytes32 id => mapping(uint256 place => mapping(address operator => bool))) internal _mayHold;
    mapping(bytes32 digest => bool) private _spent;

    event Proposed(bytes32 indexed id, bytes32 indexed model, address indexed meter, Terms terms);
    event Signed(bytes32 indexed id, address indexed operator, uint256 place, uint256 staked);
    event Activated(bytes32 indexed id, address pool, int96 rate);
    event Reassigned(bytes32 indexed id, uint256 indexed place, address indexed from, address to);
    event Resigned(bytes32 indexed id, address indexed operator);
    event Withdrawn(bytes32 indexed id, address indexed operator, uint256 units);
    event Credited(address indexed account, uint256 units);
    event Collected(address indexed account, uint256 units);

    /// @notice The coalition is in another stage than the call needs.
    error WrongStage(bytes32 id, Stage stage);
    /// @notice The same terms were proposed before.
    error AlreadyProposed(bytes32 id);
    /// @notice The terms name another fee than the fee of the day, `feeBps`.
    error WrongFee(uint256 feeBps);
    /// @notice There is no such place.
    error NoSuchPlace(uint256 place);
    /// @notice The caller, or the operator named, may not do this.
    error NotAllowed(address who);
    /// @notice The operator belongs to the coalition already, or has left it.
    error AlreadySigned(address operator);
    /// @notice The signature is not the operator's, or was used.
    error BadSignature(address operator);
    /// @notice Founders are missing.
    error NotComplete(uint256 unsigned);
    /// @notice The stake is bound until then, in unix seconds, or until accusations are decided.
    error StakeBound(uint256 until, uint256 accusations);

    constructor(
        ISuperToken usdcx
    ) {
        USDCX = usdcx;
        USDC = IUsdc(usdcx.getUnderlyingToken());
        HOST = ISuperfluidHost(usdcx.getHost());
        DISTRIBUTION = IDistribution(HOST.getAgreementClass(DISTRIBUTION_V1));
        BOND = address(new BondAccount(this));
    }

    /// @notice Puts terms up for signing. Anybody may; nothing is agreed by it.
    function propose(
        Terms calldata terms
    ) external returns (bytes32 id) {
        id = termsId(terms);
        Record storage record = _records[id];
        require(record.stage == Stage.None, AlreadyProposed(id));
        uint256 layers = terms.check();
        (uint16 feeBps, address feeReceiver) = _feeOfTheDay();
        require(terms.feeBps == feeBps, WrongFee(feeBps));

        record.stage = Stage.Proposed;
        record.rate = int96(uint96(terms.unitRate * layers * TermsLibrary.UNITS));
        record.meter = terms.meter;
        record.deadline = terms.deadline;
        record.arbiter = terms.arbiter;
        record.stake = terms.stake;
        record.exitDelay = terms.exitDelay;
        record.owner = terms.owner;
        record.feeBps = feeBps;
        record.royaltyBps = terms.royaltyBps;
        record.feeReceiver = feeReceiver;
        for (uint256 i = 0; i < terms.places.length; ++i) {
            Place calldata place = terms.places[i];
            record.places.push(place);
            Member storage member = _members[id][place.holder];
            if (!member.founder) {
                member.founder = true;
                member.bonding = place.bond;
                record.founders.push(place.holder);
            }
            require(member.bonding == place.bond, TermsLibrary.BadTerms("one founder, one way to stake"));
            member.holds += 1;
            _mayHold[id][i][place.holder] = true;
        }
        record.unsigned = uint8(record.founders.length);
        emit Proposed(id, terms.model, terms.meter, terms);
    }

    /// @notice Joins the coalition and stakes (by allowance): before activation as the founder who holds `place`, afterwards as
    /// a stand-in for it. Who belongs already adds a place that it may hold.
    function sign(
        bytes32 id,
        uint16 place
    ) external nonReentrant {
        if (_join(id, place, msg.sender)) USDC.safeTransferFrom(msg.sender, address(this), _records[id].stake);
    }

    /// @notice {sign} on behalf of an operator that signed {membershipDigest}: it needs no gas.
    /// @param voucher pays the stake; without a signature the stake is taken by allowance
    function signFor(
        bytes32 id,
        uint16 place,
        address operator,
        bytes calldata signature,
        StakeVoucher calldata voucher
    ) external nonReentrant {
        bytes32 digest = membershipDigest(id, place, operator);
        require(
            !_spent[digest] && SignatureChecker.isValidSignatureNowCalldata(operator, digest, signature),
            BadSignature(operator)
        );
        _spent[digest] = true;
        if (!_join(id, place, operator)) return;
        uint256 stake = _records[id].stake;
        if (voucher.signature.length == 0) {
            USDC.safeTransferFrom(operator, address(this), stake);
        } else {
            USDC.receiveWithAuthorization(
                operator, address(this), stake, voucher.validAfter, voucher.validBefore, digest, voucher.signature
            );
        }
    }

    /// @notice Creates the pool, once every founder has signed. Anybody may.
    function activate(
        bytes32 id
    ) external nonReentrant {
        Record storage record = _at(id, Stage.Proposed);
        require(record.unsigned == 0, NotComplete(record.unsigned));
        require(block.timestamp < record.deadline, WrongStage(id, Stage.Proposed));
        record.stage = Stage.Active;
        ISuperfluidPool created = DISTRIBUTION.createPool(USDCX, address(this), IDistribution.PoolConfig(false, true));
        record.pool = created;
        emit Activated(id, address(created), record.rate);

        uint256 layers = 0;
        for (uint256 i = 0; i < record.places.length; ++i) {
            Place storage place = record.places[i];
            layers = place.end;
            if (place.bond && payee(id, place.holder).code.length == 0) {
                Clones.cloneDeterministicWithImmutableArgs(BOND, _bondArgs(id, place.holder), 0);
            }
            _addUnits(created, payee(id, place.holder), _weight(record, place));
        }
        if (record.feeBps > 0) _addUnits(created, record.feeReceiver, layers * record.feeBps);
        if (record.royaltyBps > 0) _addUnits(created, record.owner, layers * record.royaltyBps);
    }

    /// @notice Gives a place to a stand-in of it. By the meter, when a holder is lost or back; or by the holder, before it
    /// leaves. The place's units go with it; nobody else's change.
    function reassign(
        bytes32 id,
        uint16 place,
        address to
    ) external nonReentrant {
        Record storage record = _at(id, Stage.Active);
        require(place < record.places.length, NoSuchPlace(place));
        Place storage held = record.places[place];
        address from = held.holder;
        require(msg.sender == record.meter || msg.sender == from, NotAllowed(msg.sender));
        Member storage next = _members[id][to];
        require(_mayHold[id][place][to] && to != from && _present(next), NotAllowed(to));
        Member storage last = _members[id][from];
        if (!_present(last)) record.gaps -= 1;
        last.holds -= 1;
        next.holds += 1;
        held.holder = to;
        emit Reassigned(id, place, from, to);

        uint256 weight = _weight(record, held);
        address losing = payee(id, from);
        uint256 units = record.pool.getUnits(losing);
        require(record.pool.updateMemberUnits(losing, uint128(units - weight)));
        _addUnits(record.pool, payee(id, to), weight);
        // Between the two the streams did not divide among the units; what was left over flows to the pool's admin, which
        // is this contract. A stream of its own, of nothing, makes the protocol divide anew.
        if (DISTRIBUTION.getPoolAdjustmentFlowRate(address(record.pool)) != 0) {
            HOST.callAgreement(
                address(DISTRIBUTION),
                abi.encodeCall(IDistribution.distributeFlow, (USDCX, address(this), record.pool, 0, new bytes(0))),
                new bytes(0)
            );
        }
    }

    /// @notice Leaves an active coalition: the stake may be withdrawn after the exit delay. While the leaver still holds a
    /// place, the coalition takes no new sessions.
    function resign(
        bytes32 id
    ) external {
        Record storage record = _at(id, Stage.Active);
        Member storage member = _members[id][msg.sender];
        require(member.signed && _present(member), NotAllowed(msg.sender));
        member.leftAt = uint40(block.timestamp);
        record.gaps += member.holds;
        emit Resigned(id, msg.sender);
    }

    /// @notice Takes the stake out: at once while the coalition is a proposal, else after the exit delay that follows leaving
    /// or the coalition's end, and not while an accusation is open.
    function withdraw(
        bytes32 id
    ) external nonReentrant {
        Record storage record = _records[id];
        Member storage member = _members[id][msg.sender];
        require(member.signed, NotAllowed(msg.sender));
        if (record.stage == Stage.Proposed) {
            record.unsigned += 1;
        } else {
            uint256 until = exitAt(id, msg.sender);
            require(block.timestamp >= until && member.accusations == 0, StakeBound(until, member.accusations));
            if (member.leftAt == 0) member.leftAt = uint40(block.timestamp);
        }
        member.signed = false;
        uint256 units = member.staked;
        member.staked = 0;
        emit Withdrawn(id, msg.sender, units);
        USDC.safeTransfer(msg.sender, units);
    }

    /// @notice Pays what an address was credited. Anybody may.
    function collect(
        address account
    ) external nonReentrant {
        uint256 units = credits[account];
        credits[account] = 0;
        emit Collected(account, units);
        USDC.safeTransfer(account, units);
    }

    /// @inheritdoc ICoalition
    function offer(
        bytes32 id
    ) external view returns (Offer memory) {
        Record storage record = _records[id];
        return Offer({
            pool: record.pool,
            rate: record.rate,
            meter: record.meter,
            deadline: record.deadline,
            open: record.stage == Stage.Active && record.gaps == 0 && block.timestamp < record.deadline
        });
    }

    /// @inheritdoc ICoalition
    function meter(
        bytes32 id
    ) external view returns (address) {
        return _records[id].meter;
    }

    /// @notice Where a coalition stands.
    function stage(
        bytes32 id
    ) external view returns (Stage) {
        return _records[id].stage;
    }

    /// @notice What a coalition's stream is cut into beside the places: fee and royalty, in hundredths of a percent.
    function shares(
        bytes32 id
    ) external view returns (uint16 feeBps, address feeReceiver, uint16 royaltyBps, address owner) {
        Record storage record = _records[id];
        return (record.feeBps, record.feeReceiver, record.royaltyBps, record.owner);
    }

    /// @notice A coalition's places and who holds them now.
    function places(
        bytes32 id
    ) external view returns (Place[] memory) {
        return _records[id].places;
    }

    /// @notice The operators that the terms name.
    function founders(
        bytes32 id
    ) external view returns (address[] memory) {
        return _records[id].founders;
    }

    /// @notice What a coalition knows of an operator.
    function memberOf(
        bytes32 id,
        address operator
    ) external view returns (Member memory) {
        return _members[id][operator];
    }

    /// @notice Whether an operator signed for a place.
    function mayHold(
        bytes32 id,
        uint256 place,
        address operator
    ) external view returns (bool) {
        return _mayHold[id][place][operator];
    }

    /// @notice The pool member that is paid for an operator: itself, or its bond account.
    function payee(
        bytes32 id,
        address operator
    ) public view returns (address) {
        if (!_members[id][operator].bonding) return operator;
        return Clones.predictDeterministicAddressWithImmutableArgs(BOND, _bondArgs(id, operator), 0);
    }

    /// @notice When an operator's stake is free, in unix seconds; the far future while it is a member.
    function exitAt(
        bytes32 id,
        address operator
    ) public view returns (uint256) {
        Record storage record = _records[id];
        uint256 from = _members[id][operator].leftAt;
        if (from == 0) from = record.dissolvedAt;
        return from == 0 ? type(uint256).max : from + record.exitDelay;
    }

    /// @notice The id of a coalition with these terms, on this chain and in this contract.
    function termsId(
        Terms calldata terms
    ) public view returns (bytes32) {
        return _hashTypedDataV4(terms.hash());
    }

    /// @notice What an operator signs for {signFor}.
    function membershipDigest(
        bytes32 id,
        uint16 place,
        address operator
    ) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(MEMBERSHIP_TYPEHASH, id, place, operator)));
    }

    /// @dev Books the membership; true where a stake is to be paid for it.
    function _join(
        bytes32 id,
        uint16 place,
        address operator
    ) private returns (bool pays) {
        Record storage record = _records[id];
        Member storage joining = _members[id][operator];
        require(place < record.places.length, NoSuchPlace(place));
        if (record.stage == Stage.Proposed) {
            require(record.places[place].holder == operator, NotAllowed(operator));
            require(!joining.signed, AlreadySigned(operator));
            record.unsigned -= 1;
            pays = !joining.bonding;
        } else {
            require(record.stage == Stage.Active, WrongStage(id, record.stage));
            require(operator != record.meter && operator != record.arbiter, NotAllowed(operator));
            require(_present(joining) && !_mayHold[id][place][operator], AlreadySigned(operator));
            _mayHold[id][place][operator] = true;
            pays = !joining.signed;
        }
        joining.signed = true;
        if (pays) joining.staked = record.stake;
        emit Signed(id, operator, place, joining.staked);
    }

    function _credit(
        address account,
        uint256 units
    ) internal {
        credits[account] += units;
        emit Credited(account, units);
    }

    function _at(
        bytes32 id,
        Stage wanted
    ) internal view returns (Record storage record) {
        record = _records[id];
        require(record.stage == wanted, WrongStage(id, record.stage));
    }

    /// @dev Neither left nor expelled; true for those who never came as well.
    function _present(
        Member storage one
    ) internal view returns (bool) {
        return one.leftAt == 0 && !one.expelled;
    }

    /// @dev The protocol's fee for new coalitions and who gets it.
    function _feeOfTheDay() internal view virtual returns (uint16 feeBps, address feeReceiver);

    function _weight(
        Record storage record,
        Place storage place
    ) private view returns (uint256) {
        uint256 share = TermsLibrary.UNITS - record.feeBps - record.royaltyBps;
        return uint256(place.end - place.start) * share;
    }

    function _addUnits(
        ISuperfluidPool pool,
        address account,
        uint256 units
    ) private {
        require(pool.updateMemberUnits(account, uint128(pool.getUnits(account) + units)));
    }

    function _bondArgs(
        bytes32 id,
        address operator
    ) private pure returns (bytes memory) {
        return abi.encodePacked(id, operator);
    }
}
