// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

/// @notice What a server offers for one voucher. The address of the session's account is a function of it.
/// @param coalition id of the coalition that serves; it fixes pool, rate and meter
/// @param amount what the voucher pays, in units of USDC
/// @param lifetime seconds from the opening until the session ends at the latest
/// @param expires unix seconds until which the session may be opened
/// @param payer who is refunded; zero where the server does not know yet: then it is who signed the voucher
/// @param salt makes quotes differ; what it means is the server's affair
struct Quote {
    bytes32 coalition;
    uint64 amount;
    uint32 lifetime;
    uint64 expires;
    address payer;
    bytes32 salt;
}

/// @title The immutable arguments of a session's account: a quote, packed.
library Quotes {
    /// @dev 104 bytes: coalition 32 | amount 8 | lifetime 4 | expires 8 | payer 20 | salt 32, numbers big endian.
    function encode(
        Quote memory quote
    ) internal pure returns (bytes memory) {
        return abi.encodePacked(quote.coalition, quote.amount, quote.lifetime, quote.expires, quote.payer, quote.salt);
    }

    function decode(
        bytes memory packed
    ) internal pure returns (Quote memory quote) {
        bytes32 coalition;
        bytes32 numbers;
        bytes32 salt;
        assembly ("memory-safe") {
            coalition := mload(add(packed, 32))
            numbers := mload(add(packed, 64)) // amount, lifetime, expires, and the payer's first 12 bytes
            salt := mload(add(packed, 104))
        }
        quote.coalition = coalition;
        quote.amount = uint64(uint256(numbers) >> 192);
        quote.lifetime = uint32(uint256(numbers) >> 160);
        quote.expires = uint64(uint256(numbers) >> 96);
        bytes32 payer;
        assembly ("memory-safe") {
            payer := mload(add(packed, 84))
        }
        quote.payer = address(bytes20(payer));
        quote.salt = salt;
    }
}
