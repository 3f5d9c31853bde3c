//! One click leaves: what runs is handed over, what is owed is settled, what was earned and staked is fetched, what was
//! agreed to is taken back, and, where that is wanted, keys and everything else are forgotten. What remains is said.

use std::time::Duration;

use computepool_core::{Account, Amount, Asset, Fault, FaultCode};
use computepool_wallet::Forget;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::commands::{earner, name_of, take};
use super::consents::Scope;
use super::wire::{HostEvent, Money, Problem};
use super::{Desktop, SharingPhase};
use crate::accounts::{Accounts, Way};
use crate::earnings::{Question, Statement, name};

/// How long what runs may take to be handed over.
const DRAIN: Duration = Duration::from_secs(60);
/// Steps out of one coalition: leaving it, and taking its stake back.
const STEPS: usize = 2;

/// How somebody leaves.
#[derive(Clone, Copy, Debug, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(super) struct Leaving {
    /// Throws the key of the wallet away that was paid: only where a backup of it was shown to exist, and nothing of it is
    /// left on the chain.
    forget_wallet: bool,
    /// Deletes what is kept on this machine beside wallets.
    delete_data: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, TS)]
pub(super) struct Report {
    /// What was done, in its order.
    lines: Vec<Line>,
    /// What remains; nothing, where all is well.
    remains: Vec<Remainder>,
}

/// Something that was done, or was not.
#[derive(Clone, Debug, Serialize, TS)]
pub(super) struct Line {
    /// `handed_over`, `session_closed`, `claimed`, `left_coalition`, `unwrapped`, `consents_revoked`, `wallet_forgotten` or
    /// `data_deleted`.
    step: String,
    /// In words.
    text: String,
    /// Why it was not done.
    problem: Option<Problem>,
}

/// Something that remains.
#[derive(Clone, Debug, Serialize, TS)]
pub(super) struct Remainder {
    /// `stake`, `pending` or `balance`.
    kind: String,
    /// How much.
    amount: Money,
    /// Of which coalition.
    coalition: Option<String>,
    /// From when on it can be fetched.
    #[ts(type = "number | null")]
    until_ms: Option<u64>,
}

impl Report {
    fn add(&mut self, step: &str, done: Result<String, Fault>) {
        let (text, problem) = match done {
            Ok(text) => (text, None),
            Err(fault) => (fault.message.clone(), Some(fault.into())),
        };
        self.lines.push(Line { step: step.to_owned(), text, problem });
    }

    fn keep(&mut self, kind: &str, amount: Amount, coalition: Option<String>, until_ms: Option<u64>) {
        if !amount.is_zero() {
            self.remains.push(Remainder { kind: kind.to_owned(), amount: amount.into(), coalition, until_ms });
        }
    }
}

/// Leaves. Whatever cannot be done is said, and what comes after it is done all the same.
pub(super) async fn leave(desktop: &Desktop, leaving: Leaving) -> Result<Report, Fault> {
    let mut report = Report::default();
    report.add("handed_over", hand_over(desktop).await);
    if let Some(session) = desktop.0.chat.session() {
        let closed = session.delete("/session").await;
        desktop.0.chat.forget_payer();
        report.add("session_closed", closed.map(|_| "the session that paid for answers is closed".to_owned()));
    }
    let wallet = desktop.settings().sharing.wallet;
    if let Some(wallet) = &wallet {
        match settle(desktop, wallet, &mut report).await {
            Ok(()) => {}
            Err(fault) => report.add("claimed", Err(fault)),
        }
    }
    report.add("consents_revoked", revoke(desktop));
    if let Some(wallet) = wallet.filter(|_| leaving.forget_wallet) {
        let clear = report.remains.is_empty() && report.lines.iter().all(|line| line.problem.is_none());
        report.add("wallet_forgotten", forget(desktop, &wallet, clear).await);
    }
    if leaving.delete_data {
        report.add("data_deleted", desktop.delete_data().await);
    }
    Ok(report)
}

async fn hand_over(desktop: &Desktop) -> Result<String, Fault> {
    desktop.set(|settings| settings.sharing.earn = false)?;
    let mut sharing = desktop.sharing();
    let off = sharing.wait_for(|sharing| sharing.phase == SharingPhase::Off && sharing.engine.pid.is_none());
    match tokio::time::timeout(DRAIN, off).await {
        Ok(_) => Ok("what ran was handed over, and no engine runs".to_owned()),
        Err(_) => Err(Fault::new(FaultCode::NodeLost, "the engine has not ended yet").hint("quit the application")),
    }
}

async fn settle(desktop: &Desktop, wallet: &str, report: &mut Report) -> Result<(), Fault> {
    let accounts = Accounts::on(desktop.0.purses.card()?)?;
    let owner = earner(desktop).await?;
    let statement = Statement::ask(accounts.card(), owner, &Question::default()).await?;
    for seat in &statement.seats {
        let claimed = match accounts.claim(owner, seat).await {
            Ok(None) => None,
            Ok(Some(step)) => Some(take(desktop, &accounts, wallet, vec![step]).await),
            Err(fault) => Some(Err(fault)),
        };
        if let Some(claimed) = claimed {
            report.add("claimed", claimed.map(|_| "what waited in a pool was claimed".to_owned()));
        }
        for _ in 0..STEPS {
            match accounts.way_out(seat.coalition, owner).await {
                Ok(Way::Now(step)) => {
                    let what = step.what.clone();
                    let done = take(desktop, &accounts, wallet, vec![step]).await;
                    let failed = done.is_err();
                    report.add("left_coalition", done.map(|_| what));
                    if failed {
                        break;
                    }
                }
                Ok(Way::Later { staked, until_s, .. }) => {
                    let until_ms = until_s.saturating_mul(1_000);
                    report.keep("stake", staked, Some(name(seat.coalition)), Some(until_ms));
                    break;
                }
                Ok(Way::Out) => break,
                Err(fault) => {
                    report.add("left_coalition", Err(fault));
                    break;
                }
            }
        }
    }
    if let Some(step) = accounts.unwrap(owner).await? {
        let what = step.what.clone();
        report.add("unwrapped", take(desktop, &accounts, wallet, vec![step]).await.map(|_| what));
    }
    remaining(&accounts, owner, report).await
}

/// By the chain's own word, once more.
async fn remaining(accounts: &Accounts, owner: Account, report: &mut Report) -> Result<(), Fault> {
    let statement = Statement::ask(accounts.card(), owner, &Question::default()).await?;
    for seat in &statement.seats {
        report.keep("pending", seat.claimable.plus(seat.bonded)?, Some(name(seat.coalition)), None);
    }
    let has = accounts.balances(owner).await?;
    for asset in [Asset::Usdc, Asset::Usdcx, Asset::Native] {
        report.keep("balance", has.of(asset), None, None);
    }
    Ok(())
}

fn revoke(desktop: &Desktop) -> Result<String, Fault> {
    for scope in [Scope::Share, Scope::Reach] {
        if desktop.0.consents.agreed(scope)? {
            desktop.0.consents.revoke(scope)?;
        }
    }
    desktop.0.agreed.send_replace(false);
    desktop.tell(HostEvent::Consents);
    Ok("sharing is not agreed to any more".to_owned())
}

async fn forget(desktop: &Desktop, wallet: &str, clear: bool) -> Result<String, Fault> {
    if !clear {
        return Err(Fault::new(FaultCode::InvalidRequest, format!("the wallet {wallet} still holds something"))
            .hint("send it to an account of yours, or wait until the stake is free; then forget it"));
    }
    let name = name_of(wallet)?;
    desktop.0.purses.with(move |wallets| Ok(wallets.forget(&name, Forget::BackedUp)?)).await?;
    desktop.0.purses.lock(&name_of(wallet)?);
    desktop.set(|settings| {
        settings.sharing.wallet = None;
        if settings.using.wallet.as_deref() == Some(wallet) {
            settings.using.wallet = None;
        }
    })?;
    desktop.tell(HostEvent::Wallets);
    Ok(format!("the key of the wallet {wallet} is forgotten here"))
}

impl Desktop {
    /// Deletes what is kept here beside wallets, their books, and the record of consents.
    pub(super) async fn delete_data(&self) -> Result<String, Fault> {
        if self.settings().sharing.earn {
            return Err(Fault::new(FaultCode::InvalidRequest, "this machine shares").hint("switch Earn off first"));
        }
        self.0.keys.revoke_all()?;
        self.0.requests.clear();
        self.set(|settings| *settings = super::Settings::default())?;
        let folder = self.0.folder.clone();
        let deleted = tokio::task::spawn_blocking(move || {
            let gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
            for name in ["conversations", "weights"] {
                match std::fs::remove_dir_all(folder.join(name)) {
                    Err(error) if !gone(&error) => return Err(error),
                    _ => {}
                }
            }
            for name in ["node.key", "settings.toml.bad"] {
                match std::fs::remove_file(folder.join(name)) {
                    Err(error) if !gone(&error) => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        });
        let deleted = deleted.await.map_err(|error| Fault::new(FaultCode::Internal, error.to_string()))?;
        deleted.map_err(|error| Fault::new(FaultCode::Io, format!("not everything was deleted: {error}")))?;
        self.tell(HostEvent::Settings);
        Ok("conversations, keys, settings, weights and this machine's name in the network are deleted".to_owned())
    }
}
