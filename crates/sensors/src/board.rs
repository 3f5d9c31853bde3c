//! Where every sense writes what it sees.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::{Blind, GpuReading, Observation, Sense};

/// The longest that a thread sleeps before it looks whether it is still wanted.
const NAP: Duration = Duration::from_millis(250);

/// How often it is looked whether all senses are alive.
const LOOK: Duration = Duration::from_millis(500);

/// Shared by all senses.
#[derive(Clone, Default)]
pub(crate) struct Board {
    seen: Arc<watch::Sender<Observation>>,
    closed: Arc<AtomicBool>,
    /// When each sense that can tell has told last.
    told: Arc<Mutex<BTreeMap<Sense, Instant>>>,
}

/// How long what a sense told is believed; for ever, where it does not depend on anybody's answer. A display or a bus that
/// hangs says nothing at all, and what it said last may be true no longer.
fn believed(sense: Sense) -> Option<Duration> {
    match sense {
        Sense::Input | Sense::Fullscreen => Some(Duration::from_secs(4)),
        Sense::Lock | Sense::Network => Some(Duration::from_secs(15)),
        Sense::Apps | Sense::Power | Sense::Gpus => None,
    }
}

/// Takes off the board what a sense told.
fn forget(seen: &mut Observation, sense: Sense) {
    match sense {
        Sense::Input => seen.idle = None,
        Sense::Lock => seen.locked = None,
        Sense::Fullscreen => seen.fullscreen = None,
        Sense::Network => seen.network = None,
        Sense::Apps | Sense::Power | Sense::Gpus => {}
    }
}

impl Board {
    pub(crate) fn watch(&self) -> watch::Receiver<Observation> {
        self.seen.subscribe()
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Writes something down; listeners are told where it is new.
    pub(crate) fn set<T: PartialEq>(&self, place: impl Fn(&mut Observation) -> &mut T, value: T) {
        self.seen.send_if_modified(|seen| {
            let place = place(seen);
            let new = *place != value;
            *place = value;
            new
        });
    }

    /// Puts GPUs in place of those that the same driver named before; other drivers' stay.
    pub(crate) fn gpus(&self, of: impl Fn(&GpuReading) -> bool, fresh: Vec<GpuReading>) {
        self.seen.send_if_modified(|seen| {
            let mut gpus = fresh;
            gpus.extend(seen.gpus.iter().filter(|gpu| !of(gpu)).cloned());
            gpus.sort_by(|one, other| one.id.cmp(&other.id));
            let new = seen.gpus != gpus;
            seen.gpus = gpus;
            new
        });
    }

    /// A sense cannot tell, and why. What it told is true no longer.
    pub(crate) fn blind(&self, what: Sense, why: impl Into<String>) {
        let why = why.into();
        self.told().remove(&what);
        self.seen.send_if_modified(|seen| {
            forget(seen, what);
            match seen.cannot_tell.iter_mut().find(|blind| blind.what == what) {
                Some(blind) if blind.why == why => return false,
                Some(blind) => blind.why = why,
                None => seen.cannot_tell.push(Blind { what, why }),
            }
            seen.cannot_tell.sort_by_key(|blind| blind.what);
            true
        });
    }

    /// A sense can tell, and has just done so.
    pub(crate) fn sees(&self, what: Sense) {
        self.told().insert(what, Instant::now());
        self.seen.send_if_modified(|seen| {
            let before = seen.cannot_tell.len();
            seen.cannot_tell.retain(|blind| blind.what != what);
            seen.cannot_tell.len() != before
        });
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<Sense, Instant>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches over the senses: whoever hangs is blind until it tells again.
    pub(crate) fn watch_over(&self) {
        self.spawn("watch", |board| {
            while board.sleep(LOOK) {
                let told = board.told().clone();
                for (sense, at) in told {
                    let silent = at.elapsed();
                    if believed(sense).is_some_and(|longest| silent > longest) {
                        board.blind(sense, format!("it has not been told for {} seconds", silent.as_secs()));
                    }
                }
            }
        });
    }

    /// Sleeps; `false` once nobody looks any more.
    pub(crate) fn sleep(&self, span: Duration) -> bool {
        let until = Instant::now() + span;
        loop {
            if self.is_closed() {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(NAP));
        }
    }

    /// Runs a sense in a thread of its own.
    pub(crate) fn spawn(&self, name: &str, sense: impl FnOnce(&Self) + Send + 'static) {
        let board = self.clone();
        let started = thread::Builder::new().name(format!("sense-{name}")).spawn(move || sense(&board));
        if let Err(error) = started {
            tracing::error!(%error, name, "a sense cannot be started");
        }
    }
}
