//! What was earned since midnight, for a glance at the tray: asked of the chain now and then, while something is shared.

use std::time::Duration;

use computepool_core::ports::{Clock as _, SystemClock};
use computepool_core::{Amount, Asset, Fault};
use jiff::Zoned;
use tokio::time::MissedTickBehavior;

use super::Desktop;
use super::commands::earner;
use crate::earnings::{Question, SessionEarning, Statement};

/// How often the chain is asked.
const EVERY: Duration = Duration::from_secs(60);

/// Asks until the application ends.
pub(super) async fn watch(desktop: Desktop) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stop = desktop.0.stop.clone();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let settings = desktop.settings();
        if !settings.sharing.earn || settings.sharing.wallet.is_none() {
            continue;
        }
        match stop.run_until_cancelled(ask(&desktop)).await {
            Some(Ok(earned)) => drop(desktop.0.today.send_replace(Some(earned))),
            // What it was a minute ago is no worse than nothing.
            Some(Err(fault)) => tracing::debug!(%fault, "what was earned today is not known"),
            None => return,
        }
    }
}

async fn ask(desktop: &Desktop) -> Result<Earned, Fault> {
    let statement = Statement::ask(&desktop.0.purses.card()?, earner(desktop).await?, &Question::default()).await?;
    let midnight_ms = midnight_ms(&Zoned::now());
    Ok(Earned { since_ms: midnight_ms, amount: since(&statement.record.sessions, midnight_ms)? })
}

/// What was earned since a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Earned {
    since_ms: u64,
    amount: Amount,
}

impl Earned {
    /// The amount, as long as the day is the same.
    pub(super) fn today(self) -> Option<Amount> {
        (self.since_ms == midnight_ms(&Zoned::now())).then_some(self.amount)
    }
}

fn midnight_ms(now: &Zoned) -> u64 {
    let midnight = now.start_of_day().map(|midnight| midnight.timestamp().as_millisecond());
    midnight.map_or_else(|_| SystemClock.now_ms(), |ms| ms.max(0) as u64)
}

/// Sessions that run, and those that ended since.
fn since(sessions: &[SessionEarning], midnight_ms: u64) -> Result<Amount, Fault> {
    let counts = |session: &&SessionEarning| session.closed.is_none_or(|(at_s, _)| at_s * 1_000 >= midnight_ms);
    Ok(Amount::sum(Asset::Usdcx, sessions.iter().filter(counts).map(|session| session.amount))?)
}

#[cfg(test)]
mod tests {
    use computepool_core::Account;
    use computepool_core::money::TxHash;
    use computepool_core::ports::CoalitionId;

    use super::*;

    #[test]
    fn a_day_has_what_ended_in_it_and_what_runs() {
        let session = |closed_s: Option<u64>, wei| SessionEarning {
            coalition: CoalitionId([7; 32].into()),
            session: Account::new([5; 20]),
            payer: Account::new([6; 20]),
            opened_s: 1,
            closed: closed_s.map(|at_s| (at_s, TxHash([9; 32].into()))),
            amount: Amount::usdcx(wei),
        };
        let sessions = [session(Some(99), 1), session(Some(100), 20), session(None, 300)];
        assert_eq!(since(&sessions, 100_000).unwrap(), Amount::usdcx(320));
        assert_eq!(since(&[], 0).unwrap(), Amount::usdcx(0));
        let yesterday = Earned { since_ms: 1, amount: Amount::usdcx(5) };
        assert_eq!(yesterday.today(), None);
    }
}
