// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {vm} from "./Vm.sol";
import {ISuperToken} from "../../src/superfluid/ISuperfluid.sol";

interface IGovernance {
    function initialize(
        address host,
        address rewards,
        uint256 liquidation,
        uint256 patrician,
        address[] calldata trusted
    ) external;
    function registerAgreementClass(
        address host,
        address agreement
    ) external;
    function enableTrustedForwarder(
        address host,
        address token,
        address forwarder
    ) external;
    function updateContracts(
        address host,
        address logic,
        address[] calldata agreements,
        address factory,
        address beacon
    ) external;
}

interface IParts {
    function initialize(
        address governance
    ) external;
    function initialize(
        string calldata name,
        string calldata symbol
    ) external;
    function initializeProxy(
        address logic
    ) external;
    function transferOwnership(
        address owner
    ) external;
    function castrate() external;
    function upgradeTo(
        address logic
    ) external;
    function setRoleAdmin(
        bytes32 role,
        bytes32 admin
    ) external;
    function grantRole(
        bytes32 role,
        address account
    ) external;
    function ACL_POOL_CONNECT_EXCLUSIVE_ROLE() external view returns (bytes32);
    function getSuperTokenFactory() external view returns (address);
    function createERC20Wrapper(
        address underlying,
        uint8 decimals,
        uint8 upgradability,
        string calldata name,
        string calldata symbol
    ) external returns (ISuperToken);
}

/// @dev The real Superfluid Protocol, from the byte code that its package ships: as deployments do it, step by step.
abstract contract Protocol {
    uint256 internal constant LIQUIDATION = 60;
    uint256 internal constant PATRICIAN = 12;
    address internal constant REWARDS = address(0x5eed);

    address internal governance;
    address internal host;
    address internal cfa;
    address internal gda;

    string private _artifacts;

    function _deployProtocol() internal {
        _artifacts = vm.readFile("superfluid/artifacts.json");
        vm.etch(
            0x1820a4B7618BdE71Dce8cdc73aAB6C95905faD24, _made(vm.parseJsonBytes(_artifacts, ".erc1820.bytecode")).code
        );
        governance = _new("TestGovernance", "");
        address simple = _new("SimpleForwarder", "");
        address trusting = _new("ERC2771Forwarder", "");
        address acl = _new("SimpleACL", "");
        host = _new("Superfluid", abi.encode(true, false, 3_000_000, simple, trusting, acl));
        IParts(simple).transferOwnership(host);
        IParts(trusting).transferOwnership(host);
        IParts(host).initialize(governance);
        IGovernance(governance).initialize(host, REWARDS, LIQUIDATION, PATRICIAN, new address[](0));

        cfa = _new("ConstantFlowAgreementV1", abi.encode(host));
        address beacon = _new("SuperfluidUpgradeableBeacon", abi.encode(_new("SuperfluidPool", abi.encode(address(0)))));
        gda = _made(bytes.concat(_linked(), abi.encode(host, beacon)));
        IGovernance(governance).registerAgreementClass(host, cfa);
        IGovernance(governance).registerAgreementClass(host, gda);
        address pool = _new("SuperfluidPool", abi.encode(gda));
        IParts(pool).castrate();
        IParts(beacon).upgradeTo(pool);
        IParts(beacon).transferOwnership(host);
        bytes32 admin = keccak256("ACL_POOL_CONNECT_EXCLUSIVE_ROLE_ADMIN");
        IParts(acl).setRoleAdmin(IParts(gda).ACL_POOL_CONNECT_EXCLUSIVE_ROLE(), admin);
        IParts(acl).grantRole(admin, gda);

        address proxy = _new("UUPSProxy", "");
        address logic = _new("PoolAdminNFT", abi.encode(host, gda));
        IParts(logic).castrate();
        IParts(proxy).initializeProxy(logic);
        IParts(proxy).initialize("Pool Admin NFT", "PA");
        address token = _new("SuperToken", abi.encode(host, proxy));
        address factory = _new("SuperTokenFactory", abi.encode(host, token, logic, address(0)));
        IGovernance(governance).updateContracts(host, address(0), new address[](0), factory, address(0));
    }

    function _wrapper(
        address underlying
    ) internal returns (ISuperToken) {
        return IParts(IParts(host).getSuperTokenFactory()).createERC20Wrapper(underlying, 6, 1, "Super USDC", "USDCx");
    }

    function _linked() private returns (bytes memory code) {
        code = _code("GeneralDistributionAgreementV1");
        string[2] memory libraries = ["SlotsBitmapLibrary", "SuperfluidPoolDeployerLibrary"];
        for (uint256 i = 0; i < libraries.length; ++i) {
            bytes20 library_ = bytes20(_new(libraries[i], ""));
            string memory key = string.concat(".contracts.GeneralDistributionAgreementV1.linkReferences.", libraries[i]);
            uint256[] memory spots = vm.parseJsonUintArray(_artifacts, key);
            for (uint256 j = 0; j < spots.length; ++j) {
                for (uint256 k = 0; k < 20; ++k) {
                    code[spots[j] + k] = library_[k];
                }
            }
        }
    }

    function _code(
        string memory name
    ) private view returns (bytes memory) {
        return vm.parseJsonBytes(_artifacts, string.concat(".contracts.", name, ".bytecode"));
    }

    function _new(
        string memory name,
        bytes memory arguments
    ) private returns (address) {
        return _made(bytes.concat(_code(name), arguments));
    }

    function _made(
        bytes memory code
    ) private returns (address made) {
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
        require(made != address(0), "creation failed");
    }
}
