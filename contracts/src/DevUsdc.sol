// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IUsdc} from "./IUsdc.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title A USDC for devnet and testnets: worth nothing, and free for all.
/// @notice Six decimals, ERC-3009 in the domain "USD Coin", "2" as x402 clients expect it, and a faucet. It does not deploy
/// on any other chain.
contract DevUsdc is ERC20, ERC3009, IUsdc {
    /// @notice What the faucet gives at a time: 1,000 USDC.
    uint256 public constant DRIP = 1_000e6;

    /// @notice Seconds until the faucet gives to the same address again.
    uint256 public constant DRIP_EVERY = 1 hours;

    /// @notice When the faucet last gave to an address, in unix seconds.
    mapping(address to => uint256 at) public dripped;

    /// @notice The chain is neither a devnet (31337) nor 0G Galileo (16602).
    error NotATestChain(uint256 chain);

    /// @notice The faucet gives to this address again from `next` on, in unix seconds.
    error FaucetDry(address to, uint256 next);

    constructor() ERC20("USD Coin", "USDC") EIP712("USD Coin", "2") {
        require(block.chainid == 31337 || block.chainid == 16602, NotATestChain(block.chainid));
    }

    /// @notice Gives {DRIP} to `to`, once in {DRIP_EVERY}.
    function faucet(
        address to
    ) external {
        uint256 last = dripped[to];
        require(last == 0 || block.timestamp >= last + DRIP_EVERY, FaucetDry(to, last + DRIP_EVERY));
        dripped[to] = block.timestamp;
        _mint(to, DRIP);
    }

    /// @notice {transferWithAuthorization} for contract wallets (ERC-1271) as well as keys.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external {
        _checkSignature(
            TRANSFER_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce, signature
        );
        _transferWithAuthorization(from, to, value, validAfter, validBefore, nonce);
    }

    /// @notice {receiveWithAuthorization} for contract wallets (ERC-1271) as well as keys.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external {
        require(to == msg.sender, ERC20InvalidReceiver(to));
        _checkSignature(RECEIVE_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce, signature);
        _transferWithAuthorization(from, to, value, validAfter, validBefore, nonce);
    }

    /// @notice EIP-712 domain separator of the authorizations.
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @inheritdoc ERC20
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @dev Unix seconds only, as Circle's token has it: OpenZeppelin's draft would read some values as block numbers.
    function _checkValidity(
        uint256 validAfter,
        uint256 validBefore
    ) internal view override {
        require(
            block.timestamp > validAfter && block.timestamp < validBefore,
            ERC3009InvalidAuthorizationTime(validAfter, validBefore)
        );
    }

    function _checkSignature(
        bytes32 typeHash,
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) private view {
        bytes32 digest =
            _hashTypedDataV4(keccak256(abi.encode(typeHash, from, to, value, validAfter, validBefore, nonce)));
        require(SignatureChecker.isValidSignatureNowCalldata(from, digest, signature), ERC3009InvalidSignature());
    }
}
