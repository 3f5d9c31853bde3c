//! One status for tray, window and page: made in one place, so that they never disagree.

use std::sync::PoisonError;
use std::time::Duration;

use computepool_engine::client::EnginePhase;
use tokio::time::MissedTickBehavior;

use super::programs::Programs;
use super::sharing::{SharingPhase, SharingState};
use super::wire::{Check, Face, HostEvent, Machine, Money, NodeView, Problem, Status};
use super::{Desktop, Settings};
use crate::policy::{Reason, Verdict};

/// How often a status is told at most.
const TICK: Duration = Duration::from_millis(500);

impl Desktop {
    /// The status that holds.
    pub fn status(&self) -> Status {
        let inner = &self.0;
        let (verdict, settings) = (self.verdict(), self.settings());
        let sharing = inner.sharing.borrow().clone();
        let seen = inner.options.seen.borrow().clone();
        let networked = settings.sharing.invite.is_some() || inner.options.invite.is_some();
        let carried_bytes = inner.traffic.lock().unwrap_or_else(PoisonError::into_inner).month_bytes();
        Status {
            face: face(&verdict, &sharing, &settings),
            sentence: sentence(&verdict, &sharing, &settings, networked),
            reason: verdict.reason().clone(),
            further: verdict.reasons[1..].to_vec(),
            earn: settings.sharing.earn,
            pause: settings.sharing.pause,
            node: NodeView {
                phase: sharing.phase,
                id: sharing.node.clone(),
                engine_pid: sharing.engine.pid,
                engine_bytes: sharing.engine.rss_bytes,
                engine_losses: sharing.engine.losses,
                problem: sharing.fault.clone().map(Problem::from),
            },
            machine: Machine::from(&seen),
            health: health(self, &sharing),
            invited: inner.invited.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            api: match &*inner.programs.borrow() {
                Programs::Open(address) => Some(address.clone()),
                _ => None,
            },
            earned_today: inner
                .today
                .borrow()
                .filter(|_| !settings.look.hide_earnings)
                .and_then(|earned| earned.today())
                .map(Money::from),
            carried_bytes,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: inner.options.host.kind().to_owned(),
        }
    }
}

fn face(verdict: &Verdict, sharing: &SharingState, settings: &Settings) -> Face {
    if !settings.sharing.earn {
        return Face::Idle;
    }
    match (sharing.phase, verdict.reason()) {
        (_, Reason::NotAgreed | Reason::CannotSeeInput { .. }) => Face::Attention,
        (SharingPhase::Failed, _) => Face::Attention,
        _ if sharing.engine.phase == EnginePhase::GivenUp => Face::Attention,
        (SharingPhase::Serving, _) => Face::Earning,
        (SharingPhase::Off, Reason::Free) => Face::Attention,
        (SharingPhase::Waiting | SharingPhase::Starting | SharingPhase::Unreachable, Reason::Free) => Face::Offline,
        _ => Face::Paused,
    }
}

fn sentence(verdict: &Verdict, sharing: &SharingState, settings: &Settings, networked: bool) -> String {
    let reason = verdict.reason();
    match (sharing.phase, reason) {
        (_, Reason::EarnOff) => "Not sharing: Earn is off".to_owned(),
        (SharingPhase::Off, Reason::Free) if !networked => "Not sharing: no network is chosen yet".to_owned(),
        (SharingPhase::Off, Reason::Free) if settings.sharing.wallet.is_some() => {
            "Not sharing: unlock the wallet that is paid".to_owned()
        }
        (SharingPhase::Unreachable, Reason::Free) => {
            let why = sharing.fault.as_ref().map(|fault| fault.message.clone()).unwrap_or_default();
            format!("Offline: {why}; trying again")
        }
        (SharingPhase::Failed, Reason::Free) => {
            let why = sharing.fault.as_ref().map(|fault| fault.message.clone()).unwrap_or_default();
            format!("Not sharing: {why}")
        }
        (SharingPhase::Serving, Reason::Free) => "Sharing".to_owned(),
        (SharingPhase::Loading, Reason::Free) => "Loading its layers".to_owned(),
        (SharingPhase::Off | SharingPhase::Starting, Reason::Free) => "Starting".to_owned(),
        (_, Reason::Free) => "Waiting for work from the network".to_owned(),
        (SharingPhase::HandingOver, reason) => format!("Handing over: {reason}"),
        (_, reason) => format!("Paused: {reason}"),
    }
}

fn health(desktop: &Desktop, sharing: &SharingState) -> Vec<Check> {
    let check = |code: &str, good: bool, text: String| Check { code: code.to_owned(), good, text };
    let mut health = Vec::new();
    if let Some(trouble) = &desktop.0.trouble {
        health.push(check("settings", false, trouble.clone()));
    }
    if let Some(fault) = &sharing.fault {
        health.push(check("node", false, fault.message.clone()));
    }
    if sharing.engine.losses > 0 {
        let text =
            format!("the engine was lost {} times since the start, and was started again", sharing.engine.losses);
        health.push(check("engine", sharing.engine.phase != EnginePhase::GivenUp, text));
    }
    if let Programs::Failed(fault) = &*desktop.0.programs.borrow() {
        health.push(check("programs", false, fault.message.clone()));
    }
    for blind in &desktop.0.options.seen.borrow().cannot_tell {
        health.push(check("sense", true, blind.why.clone()));
    }
    health
}

/// A status as somebody sees it at a glance. How long nobody has touched the machine changes with every second, and that
/// alone is no reason to have a page drawn anew; every ten seconds will do.
fn glance(status: &Status) -> Status {
    const STEP_S: u64 = 10;
    let mut seen = status.clone();
    seen.machine.idle_s = seen.machine.idle_s.map(|idle_s| idle_s / STEP_S);
    for reason in std::iter::once(&mut seen.reason).chain(&mut seen.further) {
        if let Reason::InUse { idle_s, .. } = reason {
            *idle_s /= STEP_S;
        }
    }
    seen
}

/// Tells every change of the status, twice a second at most.
pub(super) async fn tell(desktop: Desktop) {
    let mut told: Option<Status> = None;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stop = desktop.0.stop.clone();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        desktop.end_pause();
        // Making one costs little, but nothing costs less.
        if desktop.0.events.receiver_count() == 0 {
            continue;
        }
        let status = desktop.status();
        let seen = glance(&status);
        if told.as_ref() != Some(&seen) {
            told = Some(seen);
            desktop.tell(HostEvent::Status { status: Box::new(status) });
        }
    }
}
