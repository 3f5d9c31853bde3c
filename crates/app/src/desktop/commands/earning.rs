//! What the machine has earned, by the chain's own word.

use std::path::PathBuf;

use computepool_core::{Account, Fault, FaultCode};
use serde::Serialize;
use ts_rs::TS;

use super::super::wire::Money;
use super::super::{Desktop, unknown};
use super::Nothing;
use super::money::account;
use crate::accounts::Accounts;
use crate::earnings::{PayoutKind, Question, Statement, name};

/// What an operator has earned. What is settled, what is pending and what is an estimate are three things.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct EarningsView {
    /// Who.
    account: String,
    /// What came to the account.
    settled: Money,
    /// What waits to be claimed.
    pending: Money,
    /// An estimate: what an hour would bring if what flows now flowed on.
    per_hour: Money,
    /// What flows now, a second.
    per_second: Money,
    /// How it stands in each coalition.
    seats: Vec<SeatView>,
    /// What sessions paid, oldest first.
    sessions: Vec<SessionView>,
    /// What reached the account, oldest first.
    payouts: Vec<PayoutView>,
}

/// A place in a coalition.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct SeatView {
    /// Which coalition.
    coalition: String,
    /// Its part of what is paid, in percent.
    percent: f64,
    /// What is at stake.
    staked: Money,
    /// The stake is still being built from what is earned.
    bonding: bool,
    /// What waits to be claimed.
    pending: Money,
    /// What flows now, a second.
    per_second: Money,
}

/// A session that paid.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct SessionView {
    /// Its account.
    session: String,
    /// Of which coalition.
    coalition: String,
    /// When it was opened.
    #[ts(type = "number")]
    opened_ms: u64,
    /// When it was closed.
    #[ts(type = "number | null")]
    closed_ms: Option<u64>,
    /// The operator's part so far.
    amount: Money,
}

/// Money that reached the account.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct PayoutView {
    /// `paid`, `collected` or `staked`.
    kind: String,
    /// When.
    #[ts(type = "number")]
    at_ms: u64,
    /// How much.
    amount: Money,
    /// By which transaction.
    transaction: String,
    /// Where to look at it.
    link: Option<String>,
}

/// Where a file was written.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct Written {
    /// The file.
    path: String,
}

/// Who is paid for sharing.
pub(in crate::desktop) async fn earner(desktop: &Desktop) -> Result<Account, Fault> {
    let wallet = desktop.settings().sharing.wallet.ok_or_else(|| {
        Fault::new(FaultCode::InvalidRequest, "no wallet is chosen to be paid")
            .hint("choose one where sharing is set up")
    })?;
    account(desktop, &wallet).await
}

pub(super) async fn earnings(desktop: &Desktop, _: Nothing) -> Result<EarningsView, Fault> {
    let accounts = Accounts::on(desktop.0.purses.card()?)?;
    let owner = earner(desktop).await?;
    let statement = Statement::ask(accounts.card(), owner, &Question::default()).await?;
    let total = statement.total()?;
    let zero = computepool_core::Amount::zero(computepool_core::Asset::Usdcx);
    let per_second = statement.seats.iter().try_fold(zero, |all, seat| all.plus(seat.flowing))?;
    let sessions = statement.record.sessions.iter().map(|earning| SessionView {
        session: earning.session.to_string(),
        coalition: name(earning.coalition),
        opened_ms: earning.opened_s * 1000,
        closed_ms: earning.closed.map(|(at_s, _)| at_s * 1000),
        amount: earning.amount.into(),
    });
    let payouts = statement.record.payouts.iter().map(|payout| PayoutView {
        kind: match payout.kind {
            PayoutKind::Paid => "paid",
            PayoutKind::Collected => "collected",
            PayoutKind::Staked => "staked",
        }
        .to_owned(),
        at_ms: payout.at_s * 1000,
        amount: payout.amount.into(),
        transaction: payout.transaction.to_string(),
        link: accounts.link(payout.transaction),
    });
    let seats = statement.seats.iter().map(|seat| {
        Ok(SeatView {
            coalition: name(seat.coalition),
            percent: if seat.units.1 == 0 { 0.0 } else { seat.units.0 as f64 * 100.0 / seat.units.1 as f64 },
            staked: seat.staked.into(),
            bonding: seat.bonding,
            pending: seat.claimable.plus(seat.bonded)?.into(),
            per_second: seat.flowing.into(),
        })
    });
    Ok(EarningsView {
        seats: seats.collect::<Result<_, Fault>>()?,
        account: owner.to_string(),
        settled: total.settled.into(),
        pending: total.pending.into(),
        per_hour: total.per_hour.into(),
        per_second: per_second.into(),
        sessions: sessions.collect(),
        payouts: payouts.collect(),
    })
}

/// Writes the table into the owner's folder for downloads; a page has no way to files.
pub(super) async fn earnings_export(desktop: &Desktop, _: Nothing) -> Result<Written, Fault> {
    let card = desktop.0.purses.card()?;
    let statement = Statement::ask(&card, earner(desktop).await?, &Question::default()).await?;
    let folder = directories::UserDirs::new().and_then(|folders| folders.download_dir().map(PathBuf::from));
    let folder = folder.unwrap_or_else(|| desktop.0.folder.clone());
    let stamp = jiff::Zoned::now().strftime("%Y-%m-%d-%H%M%S").to_string();
    let path = folder.join(format!("computepool-earnings-{stamp}.csv"));
    let failed = |error: std::io::Error| unknown(format!("{} was not written: {error}", path.display()));
    crate::paths::make_folder(&folder)?;
    std::fs::write(&path, statement.csv()).map_err(failed)?;
    Ok(Written { path: path.display().to_string() })
}
