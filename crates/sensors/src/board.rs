//! Where every sense writes what it sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::{Blind, GpuReading, Observation, Sense};

/// The longest that a thread sleeps before it looks whether it is still wanted.
const NAP: Duration = Duration::from_millis(250);

/// Shared by all senses.
#[derive(Clone, Default)]
pub(crate) struct Board {
    seen: Arc<watch::Sender<Observation>>,
    closed: Arc<AtomicBool>,
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

    /// A sense cannot tell, and why.
    pub(crate) fn blind(&self, what: Sense, why: impl Into<String>) {
        let why = why.into();
        self.seen.send_if_modified(|seen| {
            match seen.cannot_tell.iter_mut().find(|blind| blind.what == what) {
                Some(blind) if blind.why == why => return false,
                Some(blind) => blind.why = why,
                None => seen.cannot_tell.push(Blind { what, why }),
            }
            seen.cannot_tell.sort_by_key(|blind| blind.what);
            true
        });
    }

    /// A sense can tell.
    pub(crate) fn sees(&self, what: Sense) {
        self.seen.send_if_modified(|seen| {
            let before = seen.cannot_tell.len();
            seen.cannot_tell.retain(|blind| blind.what != what);
            seen.cannot_tell.len() != before
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
