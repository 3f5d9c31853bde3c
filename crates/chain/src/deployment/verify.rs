//! Whether a deployment is what it should be: the wiring, and then a session that is really paid for.

mod trial;

use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;
use computepool_core::money::Account;

pub use self::trial::{PaidTrial, Trial};
use super::book::AddressBook;
use super::plan::{cfa_type, gda_type};
use crate::contracts::{
    Coalition, Ownable, SessionEscrow, SuperToken, SuperTokenFactory, Superfluid, SuperfluidUpgradeableBeacon,
    TestGovernance, UUPSProxiable, Usdc,
};
use crate::rpc::Rpc;
use crate::sender::Sender;
use crate::{ChainError, Network};

/// What was seen of a deployment that is sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many things were compared.
    pub checks: u32,
    /// Where the money of the trial session went; none where there was no trial.
    pub paid: Option<PaidTrial>,
}

/// Holds the wiring of `book` against the chain, and sends nothing.
///
/// # Errors
/// [`ChainError::Wiring`] names the first thing that is not as it should be.
pub async fn wiring(rpc: &Rpc, network: &Network, book: &AddressBook) -> Result<u32, ChainError> {
    let mut check = Check { rpc, checks: 0 };
    if book.chain_id != network.chain_id {
        let what = "the address book's chain";
        return Err(wrong(what, network.chain_id, book.chain_id));
    }
    let superfluid = &book.superfluid;
    let (host, governance) = (superfluid.host.0, superfluid.governance.0);
    for (name, account) in book.contracts() {
        check.checks += 1;
        if rpc.code(account.0).await?.is_empty() {
            return Err(wrong(name, "a contract", format!("nothing at {account}")));
        }
    }
    check.address("the host's governance", host, &Superfluid::getGovernanceCall {}, governance).await?;
    check.address("the host's access list", host, &Superfluid::getSimpleACLCall {}, superfluid.acl.0).await?;
    let factory = superfluid.super_token_factory.0;
    check.address("the host's factory", host, &Superfluid::getSuperTokenFactoryCall {}, factory).await?;
    // An agreement must be registered as it is: as what it is called, and not behind a second proxy.
    for (what, kind, agreement) in
        [("the registered CFA", cfa_type(), superfluid.cfa.0), ("the registered GDA", gda_type(), superfluid.gda.0)]
    {
        check.address(what, host, &Superfluid::getAgreementClassCall { agreementType: kind }, agreement).await?;
        let what = format!("the implementation behind {what}");
        check.address(&what, agreement, &UUPSProxiable::getCodeAddressCall {}, Address::ZERO).await?;
    }
    let governor = network.governance.unwrap_or(book.deployer.0);
    check.address("the governance's owner", governance, &Ownable::ownerCall {}, governor).await?;
    let beacon = superfluid.pool_beacon.0;
    check.address("the beacon's owner", beacon, &Ownable::ownerCall {}, host).await?;
    let implementation = SuperfluidUpgradeableBeacon::implementationCall {};
    check.address("the pools' code", beacon, &implementation, superfluid.pool.0).await?;
    for forwarder in [superfluid.cfa_forwarder.0, superfluid.gda_forwarder.0] {
        let trusted = TestGovernance::isTrustedForwarderCall { host, superToken: book.usdcx.0, forwarder };
        check.truth(&format!("trust in the forwarder {forwarder}"), governance, &trusted).await?;
    }
    let periods = TestGovernance::getPPPConfigCall { host, superToken: book.usdcx.0 };
    let periods = check.rpc.call(governance, &periods).await?;
    check.same("the liquidation period", U256::from(network.solvency.liquidation), periods.liquidationPeriod)?;
    check.same("the patrician period", U256::from(network.solvency.patrician), periods.patricianPeriod)?;
    let logic = SuperTokenFactory::getSuperTokenLogicCall {};
    check.address("the super tokens' code", factory, &logic, superfluid.super_token.0).await?;
    let usdcx = book.usdcx.0;
    check.address("USDCx's host", usdcx, &SuperToken::getHostCall {}, host).await?;
    check.address("USDCx's underlying token", usdcx, &SuperToken::getUnderlyingTokenCall {}, book.usdc.0).await?;
    check.address("USDCx's code", usdcx, &UUPSProxiable::getCodeAddressCall {}, superfluid.super_token.0).await?;
    let decimals = check.rpc.call(book.usdc.0, &Usdc::decimalsCall {}).await?;
    check.same("USDC's decimals", 6, decimals)?;
    let coalition = book.coalition.0;
    check.address("the coalition's USDC", coalition, &Coalition::USDCCall {}, book.usdc.0).await?;
    check.address("the coalition's USDCx", coalition, &Coalition::USDCXCall {}, usdcx).await?;
    check.address("the coalition's GDA", coalition, &Coalition::DISTRIBUTIONCall {}, superfluid.gda.0).await?;
    let escrow = book.session_escrow.0;
    check.address("the escrow's coalition", escrow, &SessionEscrow::COALITIONCall {}, coalition).await?;
    check.address("the escrow's USDC", escrow, &SessionEscrow::USDCCall {}, book.usdc.0).await?;
    check.address("the escrow's USDCx", escrow, &SessionEscrow::USDCXCall {}, usdcx).await?;
    Ok(check.checks)
}

/// Verifies the wiring, and then that a session is paid to the last wei, where `trial` says with whom. Without it nothing is
/// sent.
///
/// # Errors
/// Those of [`wiring`] and [`Sender::send`]; [`ChainError::Wiring`] where a sum is not what it should be.
pub async fn verify(
    sender: &Sender,
    network: &Network,
    book: &AddressBook,
    trial: Option<&Trial>,
) -> Result<Verified, ChainError> {
    let checks = wiring(sender.rpc(), network, book).await?;
    let paid = match trial {
        Some(trial) => Some(trial::run(sender, network, book, trial).await?),
        None => None,
    };
    Ok(Verified { checks, paid })
}

impl AddressBook {
    /// Every contract in it, by name.
    pub fn contracts(&self) -> [(&'static str, Account); 17] {
        let superfluid = &self.superfluid;
        [
            ("the deployer", self.deployer),
            ("the host", superfluid.host),
            ("the governance", superfluid.governance),
            ("the access list", superfluid.acl),
            ("the CFA", superfluid.cfa),
            ("the GDA", superfluid.gda),
            ("the pools' beacon", superfluid.pool_beacon),
            ("the pools' code", superfluid.pool),
            ("the CFA's forwarder", superfluid.cfa_forwarder),
            ("the GDA's forwarder", superfluid.gda_forwarder),
            ("the super tokens' code", superfluid.super_token),
            ("the super tokens' factory", superfluid.super_token_factory),
            ("the pool admins' NFT", superfluid.pool_admin_nft),
            ("USDC", self.usdc),
            ("USDCx", self.usdcx),
            ("the coalitions", self.coalition),
            ("the escrow", self.session_escrow),
        ]
    }
}

struct Check<'a> {
    rpc: &'a Rpc,
    checks: u32,
}

impl Check<'_> {
    async fn address<C: SolCall<Return = Address>>(
        &mut self,
        what: &str,
        contract: Address,
        question: &C,
        expected: Address,
    ) -> Result<(), ChainError> {
        let found = self.rpc.call(contract, question).await?;
        self.same(what, expected, found)
    }

    async fn truth<C: SolCall<Return = bool>>(
        &mut self,
        what: &str,
        contract: Address,
        question: &C,
    ) -> Result<(), ChainError> {
        let found = self.rpc.call(contract, question).await?;
        self.same(what, true, found)
    }

    fn same<T: PartialEq + ToString>(&mut self, what: &str, expected: T, found: T) -> Result<(), ChainError> {
        self.checks += 1;
        if expected == found { Ok(()) } else { Err(wrong(what, expected, found)) }
    }
}

fn wrong(what: impl ToString, expected: impl ToString, found: impl ToString) -> ChainError {
    ChainError::Wiring { what: what.to_string(), expected: expected.to_string(), found: found.to_string() }
}
