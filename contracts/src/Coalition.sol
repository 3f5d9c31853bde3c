// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IBondKeeper} from "./BondAccount.sol";
import {Breaches} from "./coalition/Breaches.sol";
import {Membership} from "./coalition/Membership.sol";
import {ISuperToken} from "./superfluid/ISuperfluid.sol";

/// @title All coalitions: operators who serve a model together, committed to terms with stake.
/// @notice propose -> sign (stakes) -> activate -> reassign, sign (stand-ins), resign, accuse … -> dissolve -> withdraw.
///
/// The pool's units are fixed by the terms: a layer has 10,000; its holder has what fee and royalty leave of them. Whoever
/// holds a place, their sum never changes, and a session's rate is a multiple of it: nothing is ever rounded.
contract Coalition is IBondKeeper, Breaches, AccessControl {
    /// @notice May set the fee of coalitions to come, and nothing else.
    bytes32 public constant FEE_ADMIN = keccak256("FEE_ADMIN");

    /// @notice The fee at most, in hundredths of a percent.
    uint16 public constant MAX_FEE = 1_000;

    /// @notice The fee that new terms must name, in hundredths of a percent. Zero at first.
    uint16 public feeBps;

    /// @notice Who gets the fee, and slashed stakes that nobody else has a claim to.
    address public feeReceiver;

    mapping(bytes32 id => mapping(address founder => bool)) private _wantsEnd;
    mapping(bytes32 id => uint256) private _endVotes;

    event FeeSet(uint16 feeBps, address indexed receiver);
    event EndWanted(bytes32 indexed id, address indexed founder);
    event Dissolved(bytes32 indexed id);
    event Bonded(bytes32 indexed id, address indexed operator, uint256 units);

    /// @notice The fee is above {MAX_FEE}, or nobody gets it.
    error BadFee(uint16 feeBps, address receiver);

    /// @param admin gives and takes roles, and is the first fee receiver
    /// @param usdcx the token that streams; it names USDC and Superfluid's host
    constructor(
        address admin,
        ISuperToken usdcx
    ) EIP712("ComputePool Coalition", "1") Membership(usdcx) {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(FEE_ADMIN, admin);
        _setFee(0, admin);
    }

    /// @notice Sets the fee of coalitions to come. What runs keeps its own.
    function setFee(
        uint16 bps,
        address receiver
    ) external onlyRole(FEE_ADMIN) {
        _setFee(bps, receiver);
    }

    /// @notice Ends a coalition: anybody after its deadline, before it by the founders' votes ({quorum}; a single founder
    /// alone). Sessions that run go on being paid for.
    function dissolve(
        bytes32 id
    ) external {
        Record storage record = _at(id, Stage.Active);
        if (block.timestamp < record.deadline) {
            Member storage voter = _members[id][msg.sender];
            require(
                voter.founder && voter.signed && _present(voter) && !_wantsEnd[id][msg.sender], NotAllowed(msg.sender)
            );
            _wantsEnd[id][msg.sender] = true;
            _endVotes[id] += 1;
            emit EndWanted(id, msg.sender);
            uint256 all = record.founders.length;
            if (_endVotes[id] < (all == 1 ? 1 : quorum(all))) return;
        }
        record.stage = Stage.Dissolved;
        record.dissolvedAt = uint40(block.timestamp);
        emit Dissolved(id);
    }

    /// @inheritdoc IBondKeeper
    /// @dev Zero for those who owe none.
    function missing(
        bytes32 id,
        address operator
    ) public view returns (uint256) {
        Member storage owing = _members[id][operator];
        if (!owing.bonding || !owing.signed || !_present(owing)) return 0;
        return _records[id].stake - owing.staked;
    }

    /// @inheritdoc IBondKeeper
    /// @dev By that account only.
    function bonded(
        bytes32 id,
        address operator,
        uint256 units
    ) external {
        require(msg.sender == payee(id, operator) && units <= missing(id, operator), NotAllowed(msg.sender));
        _members[id][operator].staked += uint64(units);
        emit Bonded(id, operator, units);
    }

    function _setFee(
        uint16 bps,
        address receiver
    ) private {
        require(bps <= MAX_FEE && receiver != address(0), BadFee(bps, receiver));
        feeBps = bps;
        feeReceiver = receiver;
        emit FeeSet(bps, receiver);
    }

    function _feeOfTheDay() internal view override returns (uint16, address) {
        return (feeBps, feeReceiver);
    }
}
