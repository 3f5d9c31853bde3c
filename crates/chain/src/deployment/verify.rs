//! Whether a deployment is what it should be: the wiring, and then a stream that really runs.

use std::time::Duration;

use alloy::primitives::{Address, U256, Uint, aliases::I96};
use alloy::sol_types::SolCall;
use computepool_core::money::Account;
use computepool_core::ports::Purpose;

use super::book::AddressBook;
use super::plan::{cfa_type, gda_type};
use crate::contracts::{
    CFAv1Forwarder, Coalition, Ownable, SessionEscrow, SuperToken, SuperTokenFactory, Superfluid,
    SuperfluidUpgradeableBeacon, TestGovernance, UUPSProxiable, Usdc,
};
use crate::rpc::Rpc;
use crate::sender::{Intent, Sender, Until};
use crate::{ChainError, Network};

/// What is streamed to see that streams run: a thousandth of a USDCx a second.
const TRIAL_RATE: u64 = 1_000_000_000_000_000;
/// What is wrapped for it: a tenth of a USDC, for the buffer and some seconds.
const TRIAL_WEI: u64 = 100_000_000_000_000_000;
/// Who gets it: nobody has this address's key, and the sum is worth nothing.
const NOBODY: Address = Address::repeat_byte(0x5f);
/// How long it is streamed at least: blocks tell seconds apart, and nothing less.
const TRIAL: Duration = Duration::from_millis(1_200);

/// What was seen of a deployment that is sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many things were compared.
    pub checks: u32,
    /// What had arrived when the trial stream was stopped, in wei of USDCx; none where nothing was streamed.
    pub streamed: Option<U256>,
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

/// Verifies the wiring, then wraps a tenth of a USDC of `sender`'s, streams it, and reads from the chain that it arrives.
/// `stream` false leaves the second half out: nothing is sent.
///
/// # Errors
/// Those of [`wiring`] and [`Sender::send`]; [`ChainError::Wiring`] where nothing arrives.
pub async fn verify(
    sender: &Sender,
    network: &Network,
    book: &AddressBook,
    stream: bool,
) -> Result<Verified, ChainError> {
    let checks = wiring(sender.rpc(), network, book).await?;
    let streamed = if stream { Some(trial(sender, network, book).await?) } else { None };
    Ok(Verified { checks, streamed })
}

async fn trial(sender: &Sender, network: &Network, book: &AddressBook) -> Result<U256, ChainError> {
    let rpc = sender.rpc();
    let (usdc, usdcx, forwarder) = (book.usdc.0, book.usdcx.0, book.superfluid.cfa_forwarder.0);
    let send = async |what: &str, to: Address, input: Vec<u8>| {
        let intent = Intent { input: input.into(), ..Intent::new(what, Purpose::Deployment, to) };
        sender.send(intent, Until::Final).await
    };
    let wei = U256::from(TRIAL_WEI);
    let units = wei / U256::from(1_000_000_000_000_u64);
    let me = sender.account();
    let balance = async || rpc.call(usdc, &Usdc::balanceOfCall { account: me }).await;
    if balance().await? < units && network.usdc == crate::Usdc::Own {
        send("faucet", usdc, Usdc::faucetCall { to: me }.abi_encode()).await?;
    }
    let has = balance().await?;
    if has < units {
        return Err(ChainError::Funds {
            account: me,
            has,
            needs: units,
            what: "a trial stream, in units of USDC".into(),
        });
    }
    send("approve", usdc, Usdc::approveCall { spender: usdcx, amount: units }.abi_encode()).await?;
    send("wrap", usdcx, SuperToken::upgradeCall { amount: wei }.abi_encode()).await?;
    let arrived = async || rpc.call(usdcx, &SuperToken::balanceOfCall { account: NOBODY }).await;
    let rate = I96::from_raw(Uint::from(TRIAL_RATE));
    let flow = |flowrate| CFAv1Forwarder::setFlowrateCall { token: usdcx, receiver: NOBODY, flowrate }.abi_encode();
    let before = arrived().await?;
    send("stream", forwarder, flow(rate)).await?;
    let question = CFAv1Forwarder::getFlowrateCall { token: usdcx, sender: me, receiver: NOBODY };
    let runs = rpc.call(forwarder, &question).await?;
    tokio::time::sleep(TRIAL).await;
    send("stop", forwarder, flow(I96::ZERO)).await?;
    let streamed = arrived().await?.saturating_sub(before);
    if runs != rate {
        return Err(wrong("the trial stream's rate", rate, runs));
    }
    if streamed.is_zero() || streamed % U256::from(TRIAL_RATE) != U256::ZERO {
        return Err(wrong("what the trial stream brought", "whole seconds of its rate", streamed));
    }
    Ok(streamed)
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
