// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ICoalition} from "./ICoalition.sol";
import {ISuperToken} from "./superfluid/ISuperfluid.sol";

/// @notice What a bond account needs of its coalition.
interface IBondKeeper is ICoalition {
    /// @notice Units of USDC that an operator's stake still lacks.
    function missing(
        bytes32 id,
        address operator
    ) external view returns (uint256);

    /// @notice Books units that a bond account has just paid in.
    function bonded(
        bytes32 id,
        address operator,
        uint256 units
    ) external;
}

/// @title Where a new operator's earnings collect until its stake is full.
/// @notice A minimal clone per coalition and operator, and the pool's member for it. What is more than the stake is the
/// operator's.
contract BondAccount {
    uint256 private constant WEI_PER_UNIT = 1e12;

    IBondKeeper public immutable COALITION;

    event Filled(bytes32 indexed id, address indexed operator, uint256 bondedUnits, uint256 paidWei);

    /// @dev The clones' code, deployed once by the coalitions' contract.
    constructor(
        ICoalition coalition
    ) {
        COALITION = IBondKeeper(address(coalition));
    }

    /// @notice Claims what was earned, puts what the stake lacks into it, and pays the rest to the operator. Anybody may.
    function fill() external {
        (bytes32 id, address operator) = owner();
        ISuperToken usdcx = COALITION.USDCX();
        require(COALITION.offer(id).pool.claimAll(address(this)));
        uint256 here = usdcx.balanceOf(address(this));
        uint256 units = Math.min(here / WEI_PER_UNIT, COALITION.missing(id, operator));
        uint256 rest = here - units * WEI_PER_UNIT;
        emit Filled(id, operator, units, rest);
        if (units > 0) {
            usdcx.downgradeTo(address(COALITION), units * WEI_PER_UNIT);
            COALITION.bonded(id, operator, units);
        }
        if (rest > 0) require(usdcx.transfer(operator, rest));
    }

    /// @notice Whose account this is: coalition and operator.
    function owner() public view returns (bytes32 id, address operator) {
        bytes memory packed = Clones.fetchCloneArgs(address(this));
        bytes32 last;
        assembly ("memory-safe") {
            id := mload(add(packed, 32))
            last := mload(add(packed, 64))
        }
        operator = address(bytes20(last));
    }
}
