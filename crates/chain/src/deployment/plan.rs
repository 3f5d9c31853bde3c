//! What a deployment consists of, in order. Nothing is asked and nothing is sent here: the plan, with every address in
//! it, is a function of the network's settings, the owner, and the bytecode that is built in.
//!
//! Superfluid is laid down piece by piece, as its own deployer is too large for a block that keeps EIP-170 and EIP-7825.
//! The agreements are registered as they are, never behind proxies of ours: the host would wrap a proxy once more, and
//! every call through it would go round in circles. Whatever is open to its first caller is created and initialized in
//! one transaction.

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::sol_types::{SolCall, SolConstructor};
use computepool_core::money::Account;

use super::book::{AddressBook, SuperfluidBook};
use super::presigned::{self, PROXY, Presigned};
use crate::artifacts::Artifacts;
use crate::contracts::{
    CFAv1Forwarder, Coalition, ConstantFlowAgreementV1, Deployer, GDAv1Forwarder, GeneralDistributionAgreementV1,
    Ownable, PoolAdminNFT, SessionEscrow, SimpleACL, SuperToken, SuperTokenFactory, Superfluid, SuperfluidPool,
    SuperfluidUpgradeableBeacon, TestGovernance, UUPSProxiable, UUPSProxy,
};
use crate::{ChainError, Network, Usdc};

/// Part of every salt. A new series is a new deployment beside the old one.
const SERIES: &str = "computepool/1";
/// Gas that an app's callback gets; the least that Superfluid uses in earnest.
const CALLBACK_GAS: u64 = 3_000_000;

/// Everything that has to be done on a chain, and where everything will be.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Where everything will be.
    pub book: AddressBook,
    /// What has to be done, in this order.
    pub(crate) steps: Vec<Step>,
}

/// One thing to do. It is done when there is code at `at`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) at: Address,
    pub(crate) work: Work,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Work {
    /// Fund the signer, and hand in a transaction that was signed in advance.
    Presigned(Presigned),
    /// Call a contract with these bytes.
    Call { to: Address, input: Bytes },
}

/// The role whose admin lets a pool be connected to by its member alone.
fn connect_role() -> B256 {
    keccak256("ACL_POOL_CONNECT_EXCLUSIVE_ROLE")
}
/// The role that gives that role.
fn connect_role_admin() -> B256 {
    keccak256("ACL_POOL_CONNECT_EXCLUSIVE_ROLE_ADMIN")
}
pub(crate) fn cfa_type() -> B256 {
    keccak256("org.superfluid-finance.agreements.ConstantFlowAgreement.v1")
}
pub(crate) fn gda_type() -> B256 {
    keccak256("org.superfluid-finance.agreements.GeneralDistributionAgreement.v1")
}

impl Plan {
    /// The plan for `owner` on `network`.
    ///
    /// # Errors
    /// [`ChainError::Setting`] where the network's money is real and its token was not named.
    pub fn new(network: &Network, owner: Address) -> Result<Self, ChainError> {
        let mut draft = Draft::new(owner)?;
        let superfluid = draft.superfluid(network)?;
        let usdc = match network.usdc {
            Usdc::Own => draft.create("DevUsdc", &[], &[], vec![])?,
            Usdc::Existing(token) => token,
            Usdc::ToBeNamed => {
                let what = format!("{} ({})", network.name, network.chain_id);
                let why = "its money is real: name the USDC contract that users pay with".to_owned();
                return Err(ChainError::Setting { what, why });
            }
        };
        let usdcx = draft.usdcx(&superfluid, usdc)?;
        let arguments = Coalition::constructorCall { admin: owner, usdcx }.abi_encode();
        let coalition = draft.create("Coalition", &arguments, &[], vec![])?;
        let arguments = SessionEscrow::constructorCall { admin: owner, coalition }.abi_encode();
        let session_escrow = draft.create("SessionEscrow", &arguments, &[], vec![])?;
        let book = AddressBook {
            chain_id: network.chain_id,
            owner: Account(owner),
            deployer: Account(draft.deployer),
            superfluid,
            usdc: Account(usdc),
            usdcx: Account(usdcx),
            coalition: Account(coalition),
            session_escrow: Account(session_escrow),
        };
        Ok(Self { book, steps: draft.steps })
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whom a deployment calls or pays: what the wallet that signs it has to know.
    pub fn called(&self) -> Vec<Account> {
        let mut called: Vec<Account> = self
            .steps
            .iter()
            .map(|step| match &step.work {
                Work::Presigned(creation) => Account(creation.signer),
                Work::Call { to, .. } => Account(*to),
            })
            .collect();
        called.sort_unstable();
        called.dedup();
        called
    }

    /// Whether there is nothing to do, which is never so.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

struct Draft {
    artifacts: &'static Artifacts,
    owner: Address,
    deployer: Address,
    steps: Vec<Step>,
}

impl Draft {
    /// The ground: the proxy, our factory, the registry.
    fn new(owner: Address) -> Result<Self, ChainError> {
        let artifacts = Artifacts::built_in()?;
        let arguments = Deployer::constructorCall { owner_: owner }.abi_encode();
        let initcode = artifacts.initcode("Deployer", &arguments, &[])?;
        let salt = keccak256(SERIES);
        let deployer = PROXY.create2_from_code(salt, &initcode);
        let input: Bytes = [salt.as_slice(), &initcode].concat().into();
        let presigned = |name, creation: Presigned| Step { name, at: creation.at, work: Work::Presigned(creation) };
        let steps = vec![
            presigned("deployment proxy", presigned::proxy()),
            Step { name: "Deployer", at: deployer, work: Work::Call { to: PROXY, input } },
            presigned("ERC-1820 registry", presigned::erc1820(artifacts.erc1820.clone())),
        ];
        Ok(Self { artifacts, owner, deployer, steps })
    }

    /// Has the factory create a contract and make `calls`.
    fn create(
        &mut self,
        name: &'static str,
        arguments: &[u8],
        libraries: &[(&str, Address)],
        calls: Vec<Deployer::Call>,
    ) -> Result<Address, ChainError> {
        let at = self.address(name, name, arguments, libraries)?;
        self.create_as(name, name, arguments, libraries, calls)?;
        Ok(at)
    }

    /// Where `create_as` puts it.
    fn address(
        &self,
        name: &str,
        artifact: &str,
        arguments: &[u8],
        libraries: &[(&str, Address)],
    ) -> Result<Address, ChainError> {
        let initcode = self.artifacts.initcode(artifact, arguments, libraries)?;
        Ok(self.deployer.create2_from_code(salt(name), &initcode))
    }

    /// The same for one of several contracts of the same code.
    fn create_as(
        &mut self,
        name: &'static str,
        artifact: &str,
        arguments: &[u8],
        libraries: &[(&str, Address)],
        calls: Vec<Deployer::Call>,
    ) -> Result<Address, ChainError> {
        let initcode = self.artifacts.initcode(artifact, arguments, libraries)?;
        let at = self.deployer.create2_from_code(salt(name), &initcode);
        let input = Deployer::deployCall { salt: salt(name), initcode, calls }.abi_encode().into();
        self.steps.push(Step { name, at, work: Work::Call { to: self.deployer, input } });
        Ok(at)
    }

    fn superfluid(&mut self, network: &Network) -> Result<SuperfluidBook, ChainError> {
        let governance = self.create("TestGovernance", &[], &[], vec![])?;
        let simple_forwarder = self.create("SimpleForwarder", &[], &[], vec![])?;
        let erc2771_forwarder = self.create("ERC2771Forwarder", &[], &[], vec![])?;
        let acl = self.create("SimpleACL", &[], &[], vec![])?;

        let arguments = Superfluid::constructorCall {
            nonUpgradable: true,
            appWhiteListingEnabled: false,
            callbackGasLimit: CALLBACK_GAS,
            simpleForwarder: simple_forwarder,
            erc2771Forwarder: erc2771_forwarder,
            simpleAcl: acl,
        }
        .abi_encode();
        let host = self.address("Superfluid", "Superfluid", &arguments, &[])?;
        let calls = vec![
            call(simple_forwarder, &Ownable::transferOwnershipCall { newOwner: host }),
            call(erc2771_forwarder, &Ownable::transferOwnershipCall { newOwner: host }),
            call(host, &Superfluid::initializeCall { gov: governance }),
            call(
                governance,
                &TestGovernance::initializeCall {
                    host,
                    rewardAddress: self.owner,
                    liquidationPeriod: U256::from(network.solvency.liquidation),
                    patricianPeriod: U256::from(network.solvency.patrician),
                    trustedForwarders: vec![],
                },
            ),
        ];
        self.create("Superfluid", &arguments, &[], calls)?;

        let register = |agreement| {
            call(governance, &TestGovernance::registerAgreementClassCall { host, agreementClass: agreement })
        };
        let arguments = ConstantFlowAgreementV1::constructorCall { host }.abi_encode();
        let cfa = self.address("ConstantFlowAgreementV1", "ConstantFlowAgreementV1", &arguments, &[])?;
        self.create("ConstantFlowAgreementV1", &arguments, &[], vec![register(cfa)])?;

        // A pool names its GDA, the GDA its beacon, and the beacon a pool: one that names nobody begins the round.
        let nobody = SuperfluidPool::constructorCall { gda: Address::ZERO }.abi_encode();
        let first_pool = self.create_as("SuperfluidPool (first)", "SuperfluidPool", &nobody, &[], vec![])?;
        let arguments = SuperfluidUpgradeableBeacon::constructorCall { implementation: first_pool }.abi_encode();
        let beacon = self.create("SuperfluidUpgradeableBeacon", &arguments, &[], vec![])?;
        let slots = self.create("SlotsBitmapLibrary", &[], &[], vec![])?;
        let pools = self.create("SuperfluidPoolDeployerLibrary", &[], &[], vec![])?;
        let libraries = [("SlotsBitmapLibrary", slots), ("SuperfluidPoolDeployerLibrary", pools)];
        let arguments =
            GeneralDistributionAgreementV1::constructorCall { host, superfluidPoolBeacon: beacon }.abi_encode();
        let name = "GeneralDistributionAgreementV1";
        let gda = self.address(name, name, &arguments, &libraries)?;
        self.create(name, &arguments, &libraries, vec![register(gda)])?;

        let arguments = SuperfluidPool::constructorCall { gda }.abi_encode();
        let pool = self.address("SuperfluidPool", "SuperfluidPool", &arguments, &[])?;
        let calls = vec![
            call(pool, &UUPSProxiable::castrateCall {}),
            call(beacon, &SuperfluidUpgradeableBeacon::upgradeToCall { newImplementation: pool }),
            call(beacon, &Ownable::transferOwnershipCall { newOwner: host }),
            call(acl, &SimpleACL::setRoleAdminCall { role: connect_role(), adminRole: connect_role_admin() }),
            call(acl, &SimpleACL::grantRoleCall { role: connect_role_admin(), account: gda }),
        ];
        self.create("SuperfluidPool", &arguments, &[], calls)?;

        let arguments = PoolAdminNFT::constructorCall { host, gda }.abi_encode();
        let nft_logic = self.address("PoolAdminNFT", "PoolAdminNFT", &arguments, &[])?;
        self.create("PoolAdminNFT", &arguments, &[], vec![call(nft_logic, &UUPSProxiable::castrateCall {})])?;
        let nft_name = "PoolAdminNFT (proxy)";
        let nft = self.address(nft_name, "UUPSProxy", &[], &[])?;
        let calls = vec![
            call(nft, &UUPSProxy::initializeProxyCall { initialAddress: nft_logic }),
            call(nft, &PoolAdminNFT::initializeCall { nftName: "Pool Admin NFT".into(), nftSymbol: "PA".into() }),
        ];
        self.create_as(nft_name, "UUPSProxy", &[], &[], calls)?;

        // The forwarders keep what the host answers at their creation, so they come after the agreements.
        let arguments = CFAv1Forwarder::constructorCall { host }.abi_encode();
        let cfa_forwarder = self.forwarder("CFAv1Forwarder", &arguments, host, governance)?;
        let arguments = GDAv1Forwarder::constructorCall { host }.abi_encode();
        let gda_forwarder = self.forwarder("GDAv1Forwarder", &arguments, host, governance)?;

        let arguments = SuperToken::constructorCall { host, poolAdminNft: nft }.abi_encode();
        let super_token = self.create("SuperToken", &arguments, &[], vec![])?;
        let arguments = SuperTokenFactory::constructorCall {
            host,
            superTokenLogic: super_token,
            poolAdminNftLogic: nft_logic,
            poolMemberNftLogic: Address::ZERO,
        }
        .abi_encode();
        let factory = self.address("SuperTokenFactory", "SuperTokenFactory", &arguments, &[])?;
        let mut calls = vec![call(
            governance,
            &TestGovernance::updateContractsCall {
                host,
                hostNewLogic: Address::ZERO,
                agreementClassNewLogics: vec![],
                superTokenFactoryNewLogic: factory,
                poolBeaconNewLogic: Address::ZERO,
            },
        )];
        // From here on nothing needs governance any more.
        if let Some(new_owner) = network.governance {
            calls.push(call(governance, &Ownable::transferOwnershipCall { newOwner: new_owner }));
        }
        self.create("SuperTokenFactory", &arguments, &[], calls)?;

        Ok(SuperfluidBook {
            host: Account(host),
            governance: Account(governance),
            acl: Account(acl),
            cfa: Account(cfa),
            gda: Account(gda),
            pool_beacon: Account(beacon),
            pool: Account(pool),
            cfa_forwarder: Account(cfa_forwarder),
            gda_forwarder: Account(gda_forwarder),
            super_token: Account(super_token),
            super_token_factory: Account(factory),
            pool_admin_nft: Account(nft),
        })
    }

    fn forwarder(
        &mut self,
        name: &'static str,
        arguments: &[u8],
        host: Address,
        governance: Address,
    ) -> Result<Address, ChainError> {
        let forwarder = self.address(name, name, arguments, &[])?;
        let trust = TestGovernance::enableTrustedForwarderCall { host, superToken: Address::ZERO, forwarder };
        self.create(name, arguments, &[], vec![call(governance, &trust)])
    }

    /// USDC as it streams: what the factory calls a custom super token, as only that one's address is known before.
    fn usdcx(&mut self, superfluid: &SuperfluidBook, usdc: Address) -> Result<Address, ChainError> {
        let proxy = self.address("USDCx", "UUPSProxy", &[], &[])?;
        let calls = vec![
            call(
                superfluid.super_token_factory.0,
                &SuperTokenFactory::initializeCustomSuperTokenCall { customSuperTokenProxy: proxy },
            ),
            call(
                proxy,
                &SuperToken::initializeCall {
                    underlyingToken: usdc,
                    underlyingDecimals: 6,
                    n: "Super USD Coin".into(),
                    s: "USDCx".into(),
                },
            ),
        ];
        self.create_as("USDCx", "UUPSProxy", &[], &[], calls)
    }
}

fn salt(name: &str) -> B256 {
    keccak256(format!("{SERIES}/{name}"))
}

fn call(target: Address, call: &impl SolCall) -> Deployer::Call {
    Deployer::Call { target, value: U256::ZERO, data: call.abi_encode().into() }
}

#[cfg(test)]
mod tests;
