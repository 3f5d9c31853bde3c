//! Judges again and again whether the machine serves: whenever something is seen, something is set, and time passes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use computepool_sensors::Observation;
use computepool_transport::Carried;
use jiff::Zoned;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::settings::Settings;
use super::traffic::Traffic;
use crate::policy::{Moment, Policy, Verdict, Wishes};

/// Time passes in steps of this: schedules, pauses and what must last.
const TICK: Duration = Duration::from_millis(250);

/// What a verdict is made of.
pub(super) struct Owner {
    /// What the machine says.
    pub(super) seen: watch::Receiver<Observation>,
    /// What the owner has set.
    pub(super) settings: watch::Receiver<Settings>,
    /// Whether the owner has agreed to sharing.
    pub(super) agreed: watch::Receiver<bool>,
    /// What went over the network since it was started.
    pub(super) carried: watch::Receiver<Carried>,
    /// What was carried this month.
    pub(super) traffic: Arc<Mutex<Traffic>>,
    /// Where the verdict goes.
    pub(super) verdict: watch::Sender<Verdict>,
    /// Ends it.
    pub(super) stop: CancellationToken,
}

impl Owner {
    pub(super) async fn run(mut self) {
        let started = Instant::now();
        let mut policy = Policy::default();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                Ok(()) = self.seen.changed() => {}
                Ok(()) = self.settings.changed() => {}
                Ok(()) = self.agreed.changed() => {}
                _ = ticks.tick() => {}
            }
            let now = Zoned::now();
            let wishes = self.wishes(&now);
            let seen = self.seen.borrow_and_update().clone();
            let rules = self.settings.borrow_and_update().rules.clone();
            let verdict = policy.judge(moment(started, &now), &seen, &rules, &wishes);
            self.verdict.send_if_modified(|old| {
                if old.duty != verdict.duty {
                    tracing::info!(duty = ?verdict.duty, reason = %verdict.reason(), "the machine's duty changes");
                }
                std::mem::replace(old, verdict.clone()) != verdict
            });
        }
    }

    fn wishes(&mut self, now: &Zoned) -> Wishes {
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        traffic.count(&format!("{:04}-{:02}", now.year(), now.month()), *self.carried.borrow());
        let settings = self.settings.borrow();
        Wishes {
            earn: settings.sharing.earn,
            agreed: *self.agreed.borrow_and_update(),
            pause: settings.sharing.pause,
            carried_bytes: traffic.month_bytes(),
        }
    }
}

fn moment(started: Instant, now: &Zoned) -> Moment {
    Moment {
        uptime: started.elapsed(),
        now_ms: now.timestamp().as_millisecond().max(0) as u64,
        weekday: now.weekday().to_monday_zero_offset().unsigned_abs(),
        minute: now.hour().unsigned_abs() as u16 * 60 + now.minute().unsigned_abs() as u16,
    }
}
