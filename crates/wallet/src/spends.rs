//! What was signed in the last day, held against the limits, and written down before a signature is given out.
//!
//! A signature counts from when it was written down, used or not: who has it may use it at any time. The same bytes
//! signed again count once, because it is the same signature.
//!
//! Time does not go back here. A clock that is behind the last entry is taken to stand still, so that setting it back
//! frees nothing; where it was ahead for a while by mistake, the owner says so with [`Spends::accept_clock`].

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use computepool_core::money::{B256, U256};
use computepool_core::ports::Purpose;
use computepool_core::{Account, Amount, Asset, ChainId, MoneyError};
use serde::{Deserialize, Serialize};

use crate::append_log::{AppendLog, Held, LogError};
use crate::limits::{Limit, Limits};
use crate::private_file::FileError;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// A log of this many bytes is put aside: some thirty thousand signatures.
const ASIDE: u64 = 8 << 20;

/// One signature, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spend {
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// What for.
    pub purpose: Purpose,
    /// As whom.
    pub account: Account,
    /// Where, unless what was signed is bound to no chain.
    pub chain: Option<ChainId>,
    /// Whom it pays or calls.
    pub to: Option<Account>,
    /// What it lets go: at most one sum of each asset.
    pub amounts: Vec<Amount>,
    /// What was signed.
    pub digest: B256,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Spend(Spend),
    /// The owner says that this is the time.
    Clock {
        at_ms: u64,
    },
}

/// A stretch of time that a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// One signature.
    Signature,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
}

/// Why a signature is not given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpendError {
    /// Nothing may be spent of this.
    #[error("there is no limit for {purpose} in {asset} on chain {chain}, so that nothing may be spent")]
    NoLimit {
        /// For what.
        purpose: Purpose,
        /// Where.
        chain: ChainId,
        /// Of what.
        asset: Asset,
    },
    /// More than is left.
    #[error("{asked} for {purpose} is more than the {left} that may be spent {}", match window {
        Window::Signature => "at once",
        Window::Hour => "in this hour",
        Window::Day => "today",
    })]
    TooMuch {
        /// For what.
        purpose: Purpose,
        /// How much was asked for.
        asked: Amount,
        /// How much could be had.
        left: Amount,
        /// By which limit.
        window: Window,
        /// In how many milliseconds there is more, where waiting helps.
        wait_ms: Option<u64>,
    },
    /// Too many signatures.
    #[error("{purpose} has had its {limit} signatures of this hour")]
    TooMany {
        /// For what.
        purpose: Purpose,
        /// How many an hour has.
        limit: u32,
    },
    /// Sums beyond all reckoning.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// It cannot be written down.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// How much of a limit is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The limit.
    pub limit: Limit,
    /// Spent in the last 60 minutes.
    pub hour: Amount,
    /// Spent in the last 24 hours.
    pub day: Amount,
}

/// What the spends of a day come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// For each limit.
    pub usage: Vec<Usage>,
    /// The signatures, oldest first.
    pub signatures: Vec<Spend>,
    /// By how much the clock is behind the last signature. Where it is much, limits do not come free again.
    pub clock_behind_ms: u64,
}

/// The last day in memory; the rest on the disk.
#[derive(Default)]
struct Recent {
    spends: VecDeque<Spend>,
    latest_ms: u64,
}

/// The spends of one wallet. Several processes may have it open.
pub(crate) struct Spends {
    log: AppendLog<Line>,
    recent: Mutex<Recent>,
}

impl Spends {
    pub(crate) fn create(path: &Path) -> Result<Self, FileError> {
        Ok(Self { log: AppendLog::create(path)?, recent: Mutex::default() })
    }

    pub(crate) fn at(path: &Path) -> Self {
        Self { log: AppendLog::at(path), recent: Mutex::default() }
    }

    /// Writes a spend down if the limits let it pass. Its time is set here.
    pub(crate) fn admit(&self, now_ms: u64, limits: &Limits, mut spend: Spend) -> Result<(), SpendError> {
        let (mut held, mut recent) = self.caught_up()?;
        let now = recent.time(now_ms);
        if recent.spends.iter().any(|old| (old.account, old.digest) == (spend.account, spend.digest)) {
            return Ok(());
        }
        recent.check(now, limits, &spend)?;
        spend.at_ms = now;
        held.append(&Line::Spend(spend.clone()))?;
        recent.see(Line::Spend(spend));
        if held.length() > ASIDE {
            let kept: Vec<Line> = recent.spends.iter().cloned().map(Line::Spend).collect();
            if let Err(error) = held.put_aside(&kept) {
                tracing::warn!(%error, path = %self.log.path().display(), "the old part of a log stays where it is");
            }
        }
        Ok(())
    }

    /// What was spent, for people.
    pub(crate) fn spent(&self, now_ms: u64, limits: &Limits) -> Result<Spent, SpendError> {
        let (_held, recent) = self.caught_up()?;
        let clock_behind_ms = recent.latest_ms.saturating_sub(now_ms);
        let now = recent.time(now_ms);
        let usage = limits.spending.iter().map(|limit| {
            let (hour, day) = (recent.sum(now, HOUR, limit)?, recent.sum(now, DAY, limit)?);
            Ok(Usage { limit: *limit, hour, day })
        });
        let usage = usage.collect::<Result<_, SpendError>>()?;
        let signatures = recent.spends.iter().filter(|spend| within(spend, now, DAY)).cloned().collect();
        Ok(Spent { usage, signatures, clock_behind_ms })
    }

    /// The owner says that the clock is right, and the log's time is ahead: all that was spent counts as spent now.
    pub(crate) fn accept_clock(&self, now_ms: u64) -> Result<(), SpendError> {
        let (mut held, mut recent) = self.caught_up()?;
        if now_ms < recent.latest_ms {
            held.append(&Line::Clock { at_ms: now_ms })?;
            recent.see(Line::Clock { at_ms: now_ms });
        }
        Ok(())
    }

    /// Keeps everybody else out, and reads what they have written.
    fn caught_up(&self) -> Result<(Held<'_, Line>, MutexGuard<'_, Recent>), SpendError> {
        let mut held = self.log.hold()?;
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = held.fresh()?;
        if fresh.restarted {
            *recent = Recent::default();
        }
        for line in fresh.entries {
            recent.see(line);
        }
        Ok((held, recent))
    }
}

impl Recent {
    fn see(&mut self, line: Line) {
        match line {
            Line::Spend(spend) => {
                self.latest_ms = self.latest_ms.max(spend.at_ms);
                self.spends.push_back(spend);
                self.forget(self.latest_ms);
            }
            Line::Clock { at_ms } => {
                self.latest_ms = at_ms;
                for spend in &mut self.spends {
                    spend.at_ms = spend.at_ms.min(at_ms);
                }
            }
        }
    }

    /// The time that counts. Nothing is let go for it: it is on no record, and the clock may still go back.
    fn time(&self, now_ms: u64) -> u64 {
        now_ms.max(self.latest_ms)
    }

    fn forget(&mut self, now: u64) {
        while self.spends.front().is_some_and(|spend| !within(spend, now, DAY)) {
            self.spends.pop_front();
        }
    }

    fn check(&self, now: u64, limits: &Limits, spend: &Spend) -> Result<(), SpendError> {
        let purpose = spend.purpose;
        let hour = self.spends.iter().filter(|old| old.purpose == purpose && within(old, now, HOUR));
        if hour.count() as u64 >= u64::from(limits.signatures_per_hour) {
            return Err(SpendError::TooMany { purpose, limit: limits.signatures_per_hour });
        }
        for asked in spend.amounts.iter().filter(|amount| !amount.is_zero()).copied() {
            let chain = spend.chain.unwrap_or(ChainId(0));
            let limit = limits.of(purpose, chain, asked.asset).ok_or(SpendError::NoLimit {
                purpose,
                chain,
                asset: asked.asset,
            })?;
            let too_much = |left: Amount, window: Window, wait_ms: Option<u64>| {
                if asked.units <= left.units {
                    return Ok(());
                }
                Err(SpendError::TooMuch { purpose, asked, left, window, wait_ms })
            };
            too_much(limit.per_signature, Window::Signature, None)?;
            for (window, length, most) in [(Window::Hour, HOUR, limit.per_hour), (Window::Day, DAY, limit.per_day)] {
                let left = most.less(self.sum(now, length, limit)?)?;
                let wait = (asked.units <= most.units).then(|| self.wait(now, length, limit, asked, most));
                too_much(left, window, wait)?;
            }
        }
        Ok(())
    }

    fn sum(&self, now: u64, length: u64, limit: &Limit) -> Result<Amount, MoneyError> {
        Amount::sum(limit.asset(), self.counted(now, length, limit).map(|(_, amount)| amount))
    }

    /// What counts against a limit, oldest first.
    fn counted(&self, now: u64, length: u64, limit: &Limit) -> impl Iterator<Item = (u64, Amount)> {
        let spends = self.spends.iter().filter(move |spend| within(spend, now, length));
        let same = spends.filter(|spend| (spend.purpose, spend.chain) == (limit.purpose, Some(limit.chain)));
        same.flat_map(|spend| spend.amounts.iter().map(move |amount| (spend.at_ms, *amount)))
            .filter(|(_, amount)| amount.asset == limit.asset())
    }

    /// How long until enough of the window has passed for `asked` to fit.
    fn wait(&self, now: u64, length: u64, limit: &Limit, asked: Amount, most: Amount) -> u64 {
        let counted: Vec<_> = self.counted(now, length, limit).collect();
        let mut spent = counted.iter().fold(U256::ZERO, |sum, (_, amount)| sum.saturating_add(amount.units));
        for (at_ms, amount) in counted {
            spent = spent.saturating_sub(amount.units);
            if spent.saturating_add(asked.units) <= most.units {
                return (at_ms + length).saturating_sub(now);
            }
        }
        length
    }
}

fn within(spend: &Spend, now: u64, length: u64) -> bool {
    spend.at_ms.saturating_add(length) > now
}

#[cfg(test)]
mod tests;
