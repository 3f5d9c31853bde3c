//! The owner's money: what there is, where it goes, and what brings it back.

use computepool_core::money::ChainId;
use computepool_core::ports::Purpose;
use computepool_core::{Account, Amount, Asset, Fault, FaultCode};
use computepool_wallet::Limit;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::super::purses::first;
use super::super::wire::Money;
use super::super::{Desktop, HostEvent, unknown};
use super::wallet::{Named, name_of};
use crate::accounts::{Accounts, Preset, Standing};
use crate::earnings::{Question, Statement};
use crate::paying::PaymentBook;

/// What is in a wallet.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct BalancesView {
    /// The chain.
    chain: String,
    /// Its id.
    #[ts(type = "number")]
    chain_id: u64,
    /// Money there is play money, and a faucet gives it.
    play: bool,
    /// What vouchers are made out in.
    usdc: Money,
    /// The same money as it streams.
    usdcx: Money,
    /// For gas.
    native: Money,
}

/// Money to be sent.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Sending {
    /// From which wallet.
    name: String,
    /// Whom to: `0x` and 40 digits.
    to: String,
    /// How much, as a decimal number.
    amount: String,
    /// Of what: `USDC`, `USDCx` or `native`.
    asset: String,
}

/// What sending would do: the transaction was tried on the chain as it is now.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct Preview {
    /// In words.
    what: String,
    /// Gas, at most.
    fee: Money,
    /// What is left of what is sent.
    left: Money,
}

/// Something that was done on the chain.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct DoneView {
    /// In words.
    what: String,
    /// By which transaction.
    transaction: String,
    /// Where to look at it.
    link: Option<String>,
}

/// A spend limit.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct LimitView {
    /// What for.
    purpose: String,
    /// The most at once.
    each: Money,
    /// The most in a day.
    day: Money,
}

/// A set of limits that suits what somebody does.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Presetting {
    /// The wallet.
    name: String,
    /// `payer` or `operator`.
    preset: String,
}

/// A spend limit to be set.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct NewLimit {
    /// The wallet.
    name: String,
    /// What for: `voucher`, `transfer`, `stake`, …
    purpose: String,
    /// Of what: `USDC`, `USDCx` or `native`.
    asset: String,
    /// The most at once, as a decimal number.
    each: String,
    /// The most in a day, and in an hour of it.
    day: String,
}

/// A session that was paid for.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct PaidView {
    /// Its account.
    session: String,
    /// What was paid for.
    resource: String,
    /// How much was paid in.
    paid: Money,
    /// `nothing`, `unopened`, `open`, `stopped`, `closed`.
    standing: String,
    /// What was paid out.
    spent: Option<Money>,
    /// What came back.
    refund: Option<Money>,
    /// Something of it can be had now.
    due: bool,
}

/// A session by its account.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Session {
    /// The wallet that paid.
    name: String,
    /// Its account.
    session: String,
}

pub(super) async fn account(desktop: &Desktop, name: &str) -> Result<Account, Fault> {
    let name = name_of(name)?;
    desktop.0.purses.with(move |wallets| first(&wallets.show(&name)?.accounts, &name)).await
}

pub(super) async fn balances(desktop: &Desktop, named: Named) -> Result<BalancesView, Fault> {
    let accounts = Accounts::on(desktop.0.purses.card()?)?;
    let has = accounts.balances(account(desktop, &named.name).await?).await?;
    Ok(BalancesView {
        chain: accounts.chain_name(),
        chain_id: accounts.chain().0,
        play: [ChainId::DEVNET, ChainId::GALILEO].contains(&accounts.chain()),
        usdc: has.usdc.into(),
        usdcx: has.usdcx.into(),
        native: has.native.into(),
    })
}

pub(super) async fn faucet(desktop: &Desktop, named: Named) -> Result<BalancesView, Fault> {
    let accounts = Accounts::on(desktop.0.purses.card()?)?;
    if accounts.chain() != ChainId::DEVNET {
        return Err(unknown(format!("money on {} is not given here", accounts.chain_name()))
            .hint("`computepool wallet faucet` asks the faucet of Galileo"));
    }
    accounts.devnet_gift(account(desktop, &named.name).await?).await?;
    balances(desktop, named).await
}

async fn sending(desktop: &Desktop, wanted: &Sending) -> Result<(Accounts, Account, Account, Amount), Fault> {
    let to: Account = wanted.to.trim().parse().map_err(|error| unknown(format!("{error}")))?;
    let asset: Asset = wanted.asset.parse().map_err(Fault::from)?;
    let amount = Amount::parse(wanted.amount.trim(), asset).map_err(Fault::from)?;
    if amount.is_zero() {
        return Err(unknown("nothing is to be sent".to_owned()));
    }
    Ok((Accounts::on(desktop.0.purses.card()?)?, account(desktop, &wanted.name).await?, to, amount))
}

pub(super) async fn send_preview(desktop: &Desktop, wanted: Sending) -> Result<Preview, Fault> {
    let (accounts, from, to, amount) = sending(desktop, &wanted).await?;
    let step = accounts.send(from, to, amount).await?;
    let left = accounts.balances(from).await?.of(amount.asset).less(amount)?;
    Ok(Preview { what: step.what, fee: step.fee.into(), left: left.into() })
}

pub(super) async fn send(desktop: &Desktop, wanted: Sending) -> Result<DoneView, Fault> {
    let (accounts, from, to, amount) = sending(desktop, &wanted).await?;
    let step = accounts.send(from, to, amount).await?;
    let done = take(desktop, &accounts, &wanted.name, vec![step]).await?;
    done.into_iter().next().ok_or_else(|| Fault::new(FaultCode::Internal, "nothing was sent"))
}

/// Does steps with an open wallet, one after the other.
pub(in crate::desktop) async fn take(
    desktop: &Desktop,
    accounts: &Accounts,
    name: &str,
    steps: Vec<crate::accounts::Step>,
) -> Result<Vec<DoneView>, Fault> {
    let purse = desktop.0.purses.purse(name)?;
    let hand = accounts.hand(&purse, Some(desktop.0.purses.folder().join("outbox")))?;
    let mut done = Vec::new();
    for step in steps {
        let what = step.what.clone();
        let transaction = hand.take(step).await?.transaction;
        let link = accounts.link(transaction);
        done.push(DoneView { what, transaction: transaction.to_string(), link });
    }
    desktop.tell(HostEvent::Money);
    Ok(done)
}

pub(super) async fn withdraw(desktop: &Desktop, named: Named) -> Result<Vec<DoneView>, Fault> {
    let accounts = Accounts::on(desktop.0.purses.card()?)?;
    let owner = account(desktop, &named.name).await?;
    let statement = Statement::ask(accounts.card(), owner, &Question::default()).await?;
    let mut claims = Vec::new();
    for seat in &statement.seats {
        claims.extend(accounts.claim(owner, seat).await?);
    }
    let mut done = take(desktop, &accounts, &named.name, claims).await?;
    if let Some(unwrap) = accounts.unwrap(owner).await? {
        done.extend(take(desktop, &accounts, &named.name, vec![unwrap]).await?);
    }
    Ok(done)
}

pub(super) async fn limits(desktop: &Desktop, named: Named) -> Result<Vec<LimitView>, Fault> {
    let name = name_of(&named.name)?;
    let chain = desktop.0.purses.card()?.book.chain_id;
    let limits = desktop.0.purses.with(move |wallets| Ok(wallets.limits(&name)?)).await?;
    let shown = |limit: &Limit| LimitView {
        purpose: limit.purpose.to_string(),
        each: limit.per_signature.into(),
        day: limit.per_day.into(),
    };
    Ok(limits.spending.iter().filter(|limit| limit.chain == chain).map(shown).collect())
}

pub(super) async fn limits_preset(desktop: &Desktop, wanted: Presetting) -> Result<Vec<LimitView>, Fault> {
    let name = name_of(&wanted.name)?;
    let preset = [Preset::Payer, Preset::Operator].into_iter().find(|preset| preset.name() == wanted.preset);
    let preset = preset.ok_or_else(|| unknown("the limits are those of a `payer` or of an `operator`".to_owned()))?;
    let chain = desktop.0.purses.card()?.book.chain_id;
    let set = move |wallets: &computepool_wallet::Wallets| {
        let mut limits = wallets.limits(&name)?;
        preset.set(&mut limits, chain);
        Ok(wallets.set_limits(&name, &limits)?)
    };
    desktop.0.purses.with(set).await?;
    limits(desktop, Named { name: wanted.name }).await
}

pub(super) async fn limit_set(desktop: &Desktop, wanted: NewLimit) -> Result<Vec<LimitView>, Fault> {
    let name = name_of(&wanted.name)?;
    let purpose = Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == wanted.purpose);
    let purpose = purpose.ok_or_else(|| unknown("there is no such purpose to spend for".to_owned()))?;
    let asset: Asset = wanted.asset.parse().map_err(Fault::from)?;
    let amount = |text: &str| Amount::parse(text.trim(), asset).map_err(Fault::from);
    let (each, day) = (amount(&wanted.each)?, amount(&wanted.day)?);
    if each > day {
        return Err(unknown("more at once than in a day makes no sense".to_owned()));
    }
    let chain = desktop.0.purses.card()?.book.chain_id;
    let set = move |wallets: &computepool_wallet::Wallets| {
        let mut limits = wallets.limits(&name)?;
        limits.set(Limit { purpose, chain, per_signature: each, per_hour: day, per_day: day });
        Ok(wallets.set_limits(&name, &limits)?)
    };
    desktop.0.purses.with(set).await?;
    desktop.tell(HostEvent::Wallets);
    limits(desktop, Named { name: wanted.name }).await
}

pub(super) async fn paid(desktop: &Desktop, named: Named) -> Result<Vec<PaidView>, Fault> {
    let accounts = Accounts::on(desktop.0.purses.card()?)?;
    let owner = account(desktop, &named.name).await?;
    let book = PaymentBook::usual(Some(desktop.0.purses.folder()))?;
    let mut views = Vec::new();
    for session in accounts.paid_sessions(owner, &book).await? {
        let (standing, figures, due) = match &session.standing {
            Standing::Nothing => ("nothing", None, false),
            Standing::Unopened => ("unopened", None, true),
            Standing::Open(figures) => ("open", Some(figures), true),
            Standing::Stopped(figures) => ("stopped", Some(figures), false),
            Standing::Closed(figures, due) => ("closed", Some(figures), *due),
        };
        let spent = figures.map(|figures| figures.streamed.plus(figures.topped_up)).transpose()?;
        views.push(PaidView {
            session: session.payment.to.to_string(),
            resource: session.payment.resource.clone(),
            paid: session.payment.amount.into(),
            standing: standing.to_owned(),
            spent: spent.map(Money::from),
            refund: figures.map(|figures| figures.refund.into()),
            due,
        });
    }
    Ok(views)
}

pub(super) async fn paid_fetch(desktop: &Desktop, wanted: Session) -> Result<Vec<DoneView>, Fault> {
    let accounts = Accounts::on(desktop.0.purses.card()?)?;
    let owner = account(desktop, &wanted.name).await?;
    let book = PaymentBook::usual(Some(desktop.0.purses.folder()))?;
    let paid = accounts.paid_sessions(owner, &book).await?;
    let session = paid.iter().find(|paid| paid.payment.to.to_string() == wanted.session);
    let session = session.ok_or_else(|| unknown("this wallet has not paid for such a session from here".to_owned()))?;
    let step = accounts.fetch(session).await?;
    take(desktop, &accounts, &wanted.name, step.into_iter().collect()).await
}
