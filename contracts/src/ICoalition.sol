// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IUsdc} from "./IUsdc.sol";
import {IDistribution, ISuperfluidPool, ISuperToken} from "./superfluid/ISuperfluid.sol";

/// @notice What others ask of the coalitions.
interface ICoalition {
    /// @param pool who is paid
    /// @param rate wei of USDCx per second for one session
    /// @param meter the orchestrator's key
    /// @param deadline unix seconds until which sessions may run
    /// @param open whether new sessions are taken
    struct Offer {
        ISuperfluidPool pool;
        int96 rate;
        address meter;
        uint64 deadline;
        bool open;
    }

    function USDC() external view returns (IUsdc);

    function USDCX() external view returns (ISuperToken);

    function DISTRIBUTION() external view returns (IDistribution);

    /// @notice What a session of coalition `id` gets. Pool, rate, meter and deadline never change.
    function offer(
        bytes32 id
    ) external view returns (Offer memory);

    /// @notice The orchestrator's key of coalition `id`; zero where there is no such coalition.
    function meter(
        bytes32 id
    ) external view returns (address);
}
