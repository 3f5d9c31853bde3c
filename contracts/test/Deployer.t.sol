// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.26;

import {Deployer} from "../src/Deployer.sol";

interface Vm {
    function prank(
        address sender
    ) external;
    function deal(
        address account,
        uint256 balance
    ) external;
    function expectRevert(
        bytes calldata reason
    ) external;
    function assume(
        bool condition
    ) external;
    function assertEq(
        address left,
        address right
    ) external;
    function assertEq(
        uint256 left,
        uint256 right
    ) external;
    function assertTrue(
        bool condition
    ) external;
}

/// @dev Belongs to whoever is first, as many contracts do between their creation and their initialization.
contract Unclaimed {
    error Taken(address by);

    address public claimedBy;
    uint256 public immutable number;

    constructor(
        uint256 number_
    ) {
        number = number_;
    }

    function claim() external payable {
        if (claimedBy != address(0)) revert Taken(claimedBy);
        claimedBy = msg.sender;
    }
}

contract Broken {
    error Hopeless();

    constructor() {
        revert Hopeless();
    }
}

contract DeployerTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    Deployer private deployer;

    function setUp() public {
        deployer = new Deployer(address(this));
    }

    function testAddressesAreKnownBefore(
        bytes32 salt,
        uint256 number
    ) public {
        bytes memory code = initcode(number);
        address expected = deployer.addressOf(salt, keccak256(code));
        vm.assertEq(deployer.deploy(salt, code, none()), expected);
        vm.assertEq(Unclaimed(expected).number(), number);
    }

    function testTheSecondTimeNothingHappens() public {
        address claimed = deployer.deploy(0, initcode(1), claims(deployer.addressOf(0, keccak256(initcode(1)))));
        vm.assertEq(Unclaimed(claimed).claimedBy(), address(deployer));
        // The calls would revert, were they made again.
        vm.assertEq(deployer.deploy(0, initcode(1), claims(claimed)), claimed);
    }

    function testCreationAndCallsAreOneThing() public {
        address first = deployer.deploy(0, initcode(1), claims(deployer.addressOf(0, keccak256(initcode(1)))));
        // Its calls fail, so the second is not created either.
        vm.expectRevert(abi.encodeWithSelector(Unclaimed.Taken.selector, address(deployer)));
        deployer.deploy(0, initcode(2), claims(first));
        vm.assertEq(deployer.addressOf(0, keccak256(initcode(2))).code.length, 0);
    }

    function testOnlyItsOwnerMayUseIt(
        address stranger
    ) public {
        vm.assume(stranger != address(this));
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Deployer.NotOwner.selector, stranger));
        deployer.deploy(0, initcode(1), none());
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Deployer.NotOwner.selector, stranger));
        deployer.execute(none());
    }

    function testItHasAnOwner() public {
        vm.expectRevert(abi.encodeWithSelector(Deployer.NoOwner.selector));
        new Deployer(address(0));
    }

    function testAConstructorsReasonIsHandedOn() public {
        vm.expectRevert(abi.encodeWithSelector(Broken.Hopeless.selector));
        deployer.deploy(0, type(Broken).creationCode, none());
    }

    function testACreationWithoutAReasonHasOne() public {
        vm.expectRevert(abi.encodeWithSelector(Deployer.CreationFailed.selector, bytes32(uint256(7))));
        deployer.deploy(bytes32(uint256(7)), hex"fe", none());
    }

    function testACallToNothingIsAMistake() public {
        vm.expectRevert(abi.encodeWithSelector(Deployer.CallFailed.selector, 0, address(0xdead)));
        deployer.execute(claims(address(0xdead)));
    }

    function testValueIsHandedOn() public {
        Unclaimed unclaimed = new Unclaimed(1);
        Deployer.Call[] memory calls = claims(address(unclaimed));
        calls[0].value = 5;
        deployer.execute{value: 5}(calls);
        vm.assertEq(address(unclaimed).balance, 5);
        vm.assertEq(unclaimed.claimedBy(), address(deployer));
    }

    function initcode(
        uint256 number
    ) private pure returns (bytes memory) {
        return abi.encodePacked(type(Unclaimed).creationCode, abi.encode(number));
    }

    function none() private pure returns (Deployer.Call[] memory) {
        return new Deployer.Call[](0);
    }

    function claims(
        address target
    ) private pure returns (Deployer.Call[] memory calls) {
        calls = new Deployer.Call[](1);
        calls[0] = Deployer.Call({target: target, value: 0, data: abi.encodeCall(Unclaimed.claim, ())});
    }
}
