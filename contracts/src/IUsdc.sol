// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC3009} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";

/// @notice What ComputePool calls of USDC, Circle's or {DevUsdc}: ERC-20 with six decimals, and ERC-3009 both for keys
/// (v, r, s) and for contract wallets (bytes).
interface IUsdc is IERC20, IERC3009 {
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;

    /// @notice EIP-712 domain separator of the authorizations.
    function DOMAIN_SEPARATOR() external view returns (bytes32);
}
