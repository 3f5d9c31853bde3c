// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Terms} from "../src/coalition/Terms.sol";
import {Quote} from "../src/Quote.sol";
import {Session} from "../src/Session.sol";
import {SessionEscrow} from "../src/SessionEscrow.sol";
import {World} from "./kit/World.sol";
import {vm} from "./kit/Vm.sol";

/// @dev What everything costs, as whole transactions (run with --isolate). The figures are kept in snapshots/.
contract GasTest is World {
    function test_gas_of_sessions() public {
        uint256[3] memory counts = [uint256(2), 4, 8];
        for (uint256 i = 0; i < counts.length; ++i) {
            _sessions(counts[i], string(abi.encodePacked("n", bytes1(uint8(48 + counts[i])))));
        }
    }

    function test_gas_of_coalitions() public {
        uint256[3] memory counts = [uint256(2), 4, 8];
        for (uint256 i = 0; i < counts.length; ++i) {
            _coalition(counts[i], string(abi.encodePacked("n", bytes1(uint8(48 + counts[i])))));
        }
    }

    function _sessions(
        uint256 count,
        string memory name
    ) private {
        id = _found(count);
        // The first session of a pool writes what later ones find; what is measured is the second.
        Session session = _open(10e6, true);
        _pass(10);
        vm.prank(meter);
        session.close(10_000);

        Quote memory quote = _quote(10e6);
        (SessionEscrow.Authorization memory voucher, bytes memory signature) = _voucher(quote, PAYER_KEY);
        vm.prank(meter);
        session = Session(escrow.open(quote, voucher, signature, true));
        vm.snapshotGasLastCall(name, "1 open and start");
        _pass(10);
        vm.prank(meter);
        session.pause(10_000);
        vm.snapshotGasLastCall(name, "2 pause");
        _pass(10);
        vm.prank(meter);
        session.start();
        vm.snapshotGasLastCall(name, "3 start again");
        _pass(10);
        vm.prank(meter);
        session.pause(25_000);
        vm.snapshotGasLastCall(name, "4 pause and top up");
        vm.prank(meter);
        session.start();
        _pass(10);
        vm.prank(meter);
        session.close(30_000);
        vm.snapshotGasLastCall(name, "5 close and refund");
    }

    function _coalition(
        uint256 count,
        string memory name
    ) private {
        Terms memory drawn = _terms(count);
        id = coalitions.propose(drawn);
        vm.snapshotGasLastCall(name, "6 coalition: propose");
        for (uint256 i = 0; i < count; ++i) {
            _sign(id, uint16(i), operator(i));
        }
        vm.snapshotGasLastCall(name, "7 coalition: sign and stake");
        coalitions.activate(id);
        vm.snapshotGasLastCall(name, "8 coalition: activate");
        _sign(id, 0, operator(40));
        _open(10e6, true);
        _pass(10);
        vm.prank(meter);
        coalitions.reassign(id, 0, operator(40));
        vm.snapshotGasLastCall(name, "9 coalition: reassign under a stream");
    }
}
