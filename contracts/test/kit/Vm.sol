// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

/// @dev The cheat codes of Forge that the tests use.
interface Vm {
    function addr(
        uint256 key
    ) external pure returns (address);
    function assertEq(
        uint256 left,
        uint256 right
    ) external pure;
    function assertEq(
        uint256 left,
        uint256 right,
        string calldata what
    ) external pure;
    function assertEq(
        int256 left,
        int256 right
    ) external pure;
    function assertEq(
        address left,
        address right
    ) external pure;
    function assertEq(
        bytes32 left,
        bytes32 right
    ) external pure;
    function assertEq(
        bool left,
        bool right
    ) external pure;
    function assertGe(
        uint256 left,
        uint256 right
    ) external pure;
    function assertGe(
        uint256 left,
        uint256 right,
        string calldata what
    ) external pure;
    function assertLe(
        uint256 left,
        uint256 right
    ) external pure;
    function assertLe(
        uint256 left,
        uint256 right,
        string calldata what
    ) external pure;
    function assertTrue(
        bool condition
    ) external pure;
    function assertTrue(
        bool condition,
        string calldata what
    ) external pure;
    function assertFalse(
        bool condition
    ) external pure;
    function assume(
        bool condition
    ) external pure;
    function bound(
        uint256 value,
        uint256 least,
        uint256 most
    ) external pure returns (uint256);
    function chainId(
        uint256 id
    ) external;
    function etch(
        address account,
        bytes calldata code
    ) external;
    function expectEmit(
        address emitter
    ) external;
    function expectPartialRevert(
        bytes4 selector
    ) external;
    function expectRevert() external;
    function expectRevert(
        bytes calldata reason
    ) external;
    function mockCallRevert(
        address callee,
        bytes calldata data,
        bytes calldata reason
    ) external;
    function clearMockedCalls() external;
    function parseJsonBytes(
        string calldata json,
        string calldata key
    ) external pure returns (bytes memory);
    function parseJsonUintArray(
        string calldata json,
        string calldata key
    ) external pure returns (uint256[] memory);
    function prank(
        address sender
    ) external;
    function readFile(
        string calldata path
    ) external view returns (string memory);
    function sign(
        uint256 key,
        bytes32 digest
    ) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function snapshotGasLastCall(
        string calldata group,
        string calldata name
    ) external returns (uint256);
    function startPrank(
        address sender
    ) external;
    function stopPrank() external;
    function store(
        address target,
        bytes32 slot,
        bytes32 value
    ) external;
    function warp(
        uint256 time
    ) external;
}

Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
