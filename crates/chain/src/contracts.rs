//! What we say to contracts: constructors, and the few functions that are called.
//!
//! Superfluid's are those of `@superfluid-finance/ethereum-contracts` 1.15.2.

use alloy::sol;

sol! {
    /// The owner's CREATE2 factory (`contracts/src/Deployer.sol`).
    #[derive(Debug)]
    contract Deployer {
        struct Call {
            address target;
            uint256 value;
            bytes data;
        }
        constructor(address owner_);
        function owner() external view returns (address);
        function deploy(bytes32 salt, bytes calldata initcode, Call[] calldata calls) external payable returns (address deployed);
        function execute(Call[] calldata calls) external payable;
    }

    contract Ownable {
        function owner() external view returns (address);
        function transferOwnership(address newOwner) external;
    }

    contract TestGovernance {
        function initialize(address host, address rewardAddress, uint256 liquidationPeriod, uint256 patricianPeriod, address[] calldata trustedForwarders) external;
        function registerAgreementClass(address host, address agreementClass) external;
        function updateContracts(address host, address hostNewLogic, address[] calldata agreementClassNewLogics, address superTokenFactoryNewLogic, address poolBeaconNewLogic) external;
        function enableTrustedForwarder(address host, address superToken, address forwarder) external;
        function isTrustedForwarder(address host, address superToken, address forwarder) external view returns (bool);
        function getPPPConfig(address host, address superToken) external view returns (uint256 liquidationPeriod, uint256 patricianPeriod);
    }

    contract Superfluid {
        constructor(bool nonUpgradable, bool appWhiteListingEnabled, uint64 callbackGasLimit, address simpleForwarder, address erc2771Forwarder, address simpleAcl);
        function initialize(address gov) external;
        function getGovernance() external view returns (address);
        function getAgreementClass(bytes32 agreementType) external view returns (address);
        function getSuperTokenFactory() external view returns (address);
        function getSimpleACL() external view returns (address);
    }

    contract ConstantFlowAgreementV1 {
        constructor(address host);
    }

    contract SuperfluidPool {
        constructor(address gda);
        function getTotalAmountReceivedByMember(address memberAddr) external view returns (uint256 totalAmountReceived);
        function getMemberFlowRate(address memberAddr) external view returns (int96);
        function getUnits(address memberAddr) external view returns (uint128);
        function getClaimableNow(address member) external view returns (int256 claimable, uint256 timestamp);
    }

    contract SuperfluidUpgradeableBeacon {
        constructor(address implementation);
        function implementation() external view returns (address);
        function upgradeTo(address newImplementation) external;
    }

    contract GeneralDistributionAgreementV1 {
        constructor(address host, address superfluidPoolBeacon);
    }

    contract SimpleACL {
        function setRoleAdmin(bytes32 role, bytes32 adminRole) external;
        function grantRole(bytes32 role, address account) external;
        function hasRole(bytes32 role, address account) external view returns (bool);
        function getRoleAdmin(bytes32 role) external view returns (bytes32);
    }

    contract UUPSProxy {
        function initializeProxy(address initialAddress) external;
    }

    contract UUPSProxiable {
        function castrate() external;
        function getCodeAddress() external view returns (address);
    }

    contract PoolAdminNFT {
        constructor(address host, address gda);
        function initialize(string memory nftName, string memory nftSymbol) external;
    }

    contract CFAv1Forwarder {
        constructor(address host);
    }

    contract GDAv1Forwarder {
        constructor(address host);
    }

    contract SuperTokenFactory {
        constructor(address host, address superTokenLogic, address poolAdminNftLogic, address poolMemberNftLogic);
        function initializeCustomSuperToken(address customSuperTokenProxy) external;
        function getSuperTokenLogic() external view returns (address);
    }

    contract SuperToken {
        constructor(address host, address poolAdminNft);
        function initialize(address underlyingToken, uint8 underlyingDecimals, string calldata n, string calldata s) external;
        function getHost() external view returns (address);
        function getUnderlyingToken() external view returns (address);
        function decimals() external view returns (uint8);
        function balanceOf(address account) external view returns (uint256);
        function upgrade(uint256 amount) external;
    }

    contract Usdc {
        function approve(address spender, uint256 amount) external returns (bool);
        function balanceOf(address account) external view returns (uint256);
        function decimals() external view returns (uint8);
        function authorizationState(address authorizer, bytes32 nonce) external view returns (bool);
        function faucet(address to) external;
    }

    contract Coalition {
        struct Offer {
            address pool;
            int96 rate;
            address meter;
            uint64 deadline;
            bool open;
        }
        struct Place {
            uint16 start;
            uint16 end;
            address holder;
            bool bond;
        }
        struct Terms {
            bytes32 model;
            Place[] places;
            uint96 unitRate;
            uint16 feeBps;
            uint16 royaltyBps;
            address owner;
            uint64 stake;
            address arbiter;
            address meter;
            uint32 exitDelay;
            uint64 deadline;
            bytes32 salt;
        }
        struct Member {
            uint64 staked;
            uint40 leftAt;
            bool signed;
            bool founder;
            bool bonding;
            bool expelled;
            uint32 accusations;
            uint8 holds;
        }
        struct StakeVoucher {
            uint256 validAfter;
            uint256 validBefore;
            bytes signature;
        }
        event Signed(bytes32 indexed id, address indexed operator, uint256 place, uint256 staked);
        event Reassigned(bytes32 indexed id, uint256 indexed place, address indexed from, address to);
        constructor(address admin, address usdcx);
        function USDC() external view returns (address);
        function USDCX() external view returns (address);
        function DISTRIBUTION() external view returns (address);
        function offer(bytes32 id) external view returns (Offer memory);
        function places(bytes32 id) external view returns (Place[] memory);
        function shares(bytes32 id) external view returns (uint16 feeBps, address feeReceiver, uint16 royaltyBps, address owner);
        function reassign(bytes32 id, uint16 place, address to) external;
        function propose(Terms calldata terms) external returns (bytes32 id);
        function signFor(bytes32 id, uint16 place, address operator, bytes calldata signature, StakeVoucher calldata voucher) external;
        function activate(bytes32 id) external;
        function feeBps() external view returns (uint16);
        function stage(bytes32 id) external view returns (uint8);
        function memberOf(bytes32 id, address operator) external view returns (Member memory);
        function mayHold(bytes32 id, uint256 place, address operator) external view returns (bool);
        function payee(bytes32 id, address operator) external view returns (address);
        function exitAt(bytes32 id, address operator) external view returns (uint256);
        function resign(bytes32 id) external;
        function withdraw(bytes32 id) external;
    }

    contract SessionEscrow {
        struct Quote {
            bytes32 coalition;
            uint64 amount;
            uint32 lifetime;
            uint64 expires;
            address payer;
            bytes32 salt;
        }
        struct Authorization {
            address from;
            uint256 validAfter;
            uint256 validBefore;
            bytes32 nonce;
        }
        event SessionOpened(address indexed account, bytes32 indexed coalition, address indexed payer, address from, bytes32 nonce);
        constructor(address admin, address coalition);
        function COALITION() external view returns (address);
        function USDC() external view returns (address);
        function USDCX() external view returns (address);
        function SESSION() external view returns (address);
        function account(Quote calldata quote) external view returns (address);
        function open(Quote calldata quote, Authorization calldata voucher, bytes calldata signature, bool start) external returns (address opened);
        function reclaim(Quote calldata quote, Authorization calldata voucher, bytes calldata signature) external returns (address declined);
    }

    contract Session {
        event Closed(uint64 servedMs, uint256 streamed, uint256 toppedUp, uint256 refundUnits, uint256 refundDust, uint256 lost, uint256 found);
        function start() external;
        function pause(uint64 served_) external;
        function close(uint64 served_) external;
        function sweep() external;
        function quote() external view returns (SessionEscrow.Quote memory);
        function payer() external view returns (address);
        function state() external view returns (uint8);
        function rate() external view returns (int96);
        function openedAt() external view returns (uint40);
        function servedMs() external view returns (uint64);
        function streamed() external view returns (uint256 amount);
        function toppedUp() external view returns (uint256);
    }
}
