// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

// The calls that ComputePool makes into the Superfluid Protocol 1.15, and no more of it. All amounts are wei of a Super
// Token (18 decimals), all rates wei per second, all times unix seconds.

/// @notice What Superfluid calls its host: agreements are called through it.
interface ISuperfluidHost {
    /// @notice Calls `agreement` in the name of the caller. `callData` ends in an empty placeholder for the context.
    function callAgreement(
        address agreement,
        bytes calldata callData,
        bytes calldata userData
    ) external returns (bytes memory);

    /// @notice The registered agreement of a type.
    function getAgreementClass(
        bytes32 agreementType
    ) external view returns (address);
}

/// @notice A wrapped token (here USDCx) whose balances may change with every second.
interface ISuperToken is IERC20 {
    /// @notice Wraps: takes the underlying amount from the caller and mints `amount` to it.
    function upgrade(
        uint256 amount
    ) external;

    /// @notice Unwraps: burns `amount` of the caller and pays the underlying to `to`, rounded down to whole units of it.
    function downgradeTo(
        address to,
        uint256 amount
    ) external;

    /// @notice The wrapped token.
    function getUnderlyingToken() external view returns (address);

    /// @notice The host that the token belongs to.
    function getHost() external view returns (address);
}

/// @notice A pool: pays what it is sent to its members, in proportion of their units.
interface ISuperfluidPool {
    /// @notice Sets a member's units. Only the pool's admin may.
    function updateMemberUnits(
        address member,
        uint128 units
    ) external returns (bool);

    /// @notice Pays out what a member that is not connected has accrued. Anyone may.
    function claimAll(
        address member
    ) external returns (bool);

    function getUnits(
        address member
    ) external view returns (uint128);

    function getTotalUnits() external view returns (uint128);

    /// @notice What `member` ever received through the pool, claimed or not.
    function getTotalAmountReceivedByMember(
        address member
    ) external view returns (uint256);

    /// @notice What `claimAll` would pay now, and the time of it.
    function getClaimableNow(
        address member
    ) external view returns (int256 claimable, uint256 timestamp);
}

/// @notice The General Distribution Agreement: streams from one sender to all members of a pool.
interface IDistribution {
    /// @param transferabilityForUnitsOwner members may give their units away
    /// @param distributionFromAnyAddress others than the admin may pay into the pool
    struct PoolConfig {
        bool transferabilityForUnitsOwner;
        bool distributionFromAnyAddress;
    }

    function createPool(
        ISuperToken token,
        address admin,
        PoolConfig memory config
    ) external returns (ISuperfluidPool pool);

    /// @notice Pays `amount` at once, rounded down to a multiple of the pool's units. Through the host only.
    function distribute(
        ISuperToken token,
        address from,
        ISuperfluidPool pool,
        uint256 amount,
        bytes calldata ctx
    ) external returns (bytes memory newCtx);

    /// @notice Sets the rate of the stream from `from` to `pool`, rounded down to a multiple of the pool's units. Locks
    /// rate x liquidation period as a buffer; setting the rate to zero gives it back. Through the host only.
    function distributeFlow(
        ISuperToken token,
        address from,
        ISuperfluidPool pool,
        int96 rate,
        bytes calldata ctx
    ) external returns (bytes memory newCtx);

    /// @notice The stream from `from` to `pool`: when its rate was last set (by `from`, or to zero by a liquidator), the
    /// rate, and the buffer locked for it.
    function getFlow(
        ISuperToken token,
        address from,
        ISuperfluidPool pool
    ) external view returns (uint256 lastUpdated, int96 rate, uint256 buffer);

    /// @notice What the pool pays to its admin because it does not divide among the units.
    function getPoolAdjustmentFlowRate(
        address pool
    ) external view returns (int96);
}

/// @dev Agreement type of the General Distribution Agreement.
bytes32 constant DISTRIBUTION_V1 = keccak256("org.superfluid-finance.agreements.GeneralDistributionAgreement.v1");
