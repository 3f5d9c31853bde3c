// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Coalition} from "../../src/Coalition.sol";
import {Place, Terms} from "../../src/coalition/Terms.sol";
import {DevUsdc} from "../../src/DevUsdc.sol";
import {Quote} from "../../src/Quote.sol";
import {Session} from "../../src/Session.sol";
import {SessionEscrow} from "../../src/SessionEscrow.sol";
import {IDistribution, ISuperfluidHost, ISuperfluidPool, ISuperToken} from "../../src/superfluid/ISuperfluid.sol";
import {Protocol} from "./Protocol.sol";
import {vm} from "./Vm.sol";

/// @dev Everything deployed, a coalition of three with fee and royalty, and the hands of everybody.
abstract contract World is Protocol {
    uint256 internal constant WEI_PER_UNIT = 1e12;
    uint64 internal constant STAKE = 100e6;
    uint32 internal constant EXIT = 7 days;
    uint256 internal constant PAYER_KEY = 0xa11ce;
    uint256 internal constant START = 1_800_000_000;

    address internal payer = vm.addr(PAYER_KEY);
    address internal meter = address(0x3e7e4);
    address internal arbiter = address(0xa4b17e4);
    address internal owner = address(0x0111e4);
    address internal treasury = address(0x74ea5);
    address internal stranger = address(0x57a4e4);

    DevUsdc internal usdc;
    ISuperToken internal usdcx;
    Coalition internal coalitions;
    SessionEscrow internal escrow;

    bytes32 internal id;
    Terms internal terms;
    uint256 private _salt;

    function setUp() public virtual {
        vm.warp(START);
        _deployProtocol();
        usdc = new DevUsdc();
        usdcx = _wrapper(address(usdc));
        coalitions = new Coalition(address(this), usdcx);
        escrow = new SessionEscrow(address(this), coalitions);
        coalitions.setFee(100, treasury);
        id = _found(3);
        _fund(payer, 1_000_000e6);
    }

    function operator(
        uint256 i
    ) internal pure returns (address) {
        return vm.addr(_operatorKey(i));
    }

    function _operatorKey(
        uint256 i
    ) internal pure returns (uint256) {
        return 0x09e4a704 + i;
    }

    /// @dev 24 layers cut evenly among `count` founders, at 0.01 USDC a second or a little less.
    function _terms(
        uint256 count
    ) internal returns (Terms memory made) {
        uint256 layers = 24 - 24 % count;
        made.model = keccak256("model");
        made.places = new Place[](count);
        for (uint256 i = 0; i < count; ++i) {
            made.places[i].start = uint16(layers / count * i);
            made.places[i].end = uint16(layers / count * (i + 1));
            made.places[i].holder = operator(i);
        }
        made.unitRate = uint96(0.01e18 / (layers * 10_000));
        (made.feeBps, made.royaltyBps, made.owner) = (coalitions.feeBps(), 200, owner);
        (made.stake, made.arbiter, made.meter) = (STAKE, arbiter, meter);
        (made.exitDelay, made.deadline) = (EXIT, uint64(block.timestamp + 90 days));
        made.salt = bytes32(++_salt);
    }

    function _found(
        uint256 count
    ) internal returns (bytes32 made) {
        Terms memory drawn = _terms(count);
        made = coalitions.propose(drawn);
        for (uint256 i = 0; i < count; ++i) {
            _sign(made, uint16(i), operator(i));
        }
        coalitions.activate(made);
    }

    function _sign(
        bytes32 which,
        uint16 place,
        address who
    ) internal {
        _fund(who, STAKE);
        vm.startPrank(who);
        usdc.approve(address(coalitions), STAKE);
        coalitions.sign(which, place);
        vm.stopPrank();
    }

    /// @dev Writes a balance where DevUsdc keeps it, and the supply with it: the faucet is slow.
    function _fund(
        address to,
        uint256 units
    ) internal {
        bytes32 slot = keccak256(abi.encode(to, uint256(0)));
        vm.store(address(usdc), slot, bytes32(usdc.balanceOf(to) + units));
        vm.store(address(usdc), bytes32(uint256(2)), bytes32(usdc.totalSupply() + units));
    }

    function _quote(
        uint64 amount
    ) internal returns (Quote memory) {
        return Quote({
            coalition: id,
            amount: amount,
            lifetime: 1 hours,
            expires: uint64(block.timestamp + 5 minutes),
            payer: address(0),
            salt: bytes32(++_salt)
        });
    }

    function _voucher(
        Quote memory quote,
        uint256 key
    ) internal returns (SessionEscrow.Authorization memory voucher, bytes memory signature) {
        voucher = SessionEscrow.Authorization({
            from: vm.addr(key),
            validAfter: 0,
            validBefore: block.timestamp + 300,
            nonce: keccak256(abi.encode("voucher", ++_salt))
        });
        signature = _signVoucher(voucher, escrow.account(quote), quote.amount, key);
    }

    function _signVoucher(
        SessionEscrow.Authorization memory voucher,
        address to,
        uint256 amount,
        uint256 key
    ) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256(
            "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
        bytes32 message = keccak256(
            abi.encode(typeHash, voucher.from, to, amount, voucher.validAfter, voucher.validBefore, voucher.nonce)
        );
        return _signed(key, keccak256(abi.encodePacked("\x19\x01", usdc.DOMAIN_SEPARATOR(), message)));
    }

    function _signed(
        uint256 key,
        bytes32 digest
    ) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev Executes a voucher past the escrow, as anybody who saw it may.
    function _executeDirectly(
        Quote memory quote,
        SessionEscrow.Authorization memory voucher,
        bytes memory signature
    ) internal {
        usdc.transferWithAuthorization(
            voucher.from,
            escrow.account(quote),
            quote.amount,
            voucher.validAfter,
            voucher.validBefore,
            voucher.nonce,
            signature
        );
    }

    function _cancel(
        SessionEscrow.Authorization memory voucher,
        uint256 key
    ) internal {
        bytes32 message = keccak256(
            abi.encode(keccak256("CancelAuthorization(address authorizer,bytes32 nonce)"), voucher.from, voucher.nonce)
        );
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked("\x19\x01", usdc.DOMAIN_SEPARATOR(), message)));
        usdc.cancelAuthorization(voucher.from, voucher.nonce, v, r, s);
    }

    /// @dev The meter opens a session of the payer's.
    function _open(
        uint64 amount,
        bool start
    ) internal returns (Session) {
        Quote memory quote = _quote(amount);
        (SessionEscrow.Authorization memory voucher, bytes memory signature) = _voucher(quote, PAYER_KEY);
        vm.prank(meter);
        return Session(escrow.open(quote, voucher, signature, start));
    }

    function _pool() internal view returns (ISuperfluidPool) {
        return coalitions.offer(id).pool;
    }

    function _rate() internal view returns (uint256) {
        return uint256(uint96(coalitions.offer(id).rate));
    }

    /// @dev Wei that all members of the coalition of `count` ever received through its pool.
    function _received(
        uint256 count
    ) internal view returns (uint256 sum) {
        ISuperfluidPool pool = _pool();
        for (uint256 i = 0; i < count; ++i) {
            sum += pool.getTotalAmountReceivedByMember(operator(i));
        }
        sum += pool.getTotalAmountReceivedByMember(owner) + pool.getTotalAmountReceivedByMember(treasury);
    }

    function _pass(
        uint256 time
    ) internal {
        vm.warp(block.timestamp + time);
    }

    /// @dev Closes a stream of somebody who cannot pay for it any more, in the name of `by`.
    function _liquidate(
        address sender,
        address by
    ) internal {
        bytes memory data =
            abi.encodeCall(IDistribution.distributeFlow, (usdcx, sender, _pool(), int96(0), new bytes(0)));
        vm.prank(by);
        ISuperfluidHost(host).callAgreement(gda, data, new bytes(0));
    }
}
