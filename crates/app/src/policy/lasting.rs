//! What lasts: conditions that must hold for a while before they count, and such that count for a while after.

use std::time::Duration;

/// Something that counts on for a while after it was seen last.
#[derive(Debug)]
pub(super) struct Held<T> {
    last: Option<(Duration, T)>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { last: None }
    }
}

impl<T: Clone> Held<T> {
    /// What counts now.
    pub(super) fn see(&mut self, now: Duration, seen: Option<T>, hold: Duration) -> Option<T> {
        match seen {
            Some(seen) => self.last = Some((now, seen)),
            None => self.last = self.last.take().filter(|(at, _)| now.saturating_sub(*at) < hold),
        }
        self.last.as_ref().map(|(_, what)| what.clone())
    }
}

/// Something that counts once it has lasted.
#[derive(Debug, Default)]
pub(super) struct Sustained {
    since: Option<Duration>,
}

impl Sustained {
    /// Whether it has lasted long enough.
    pub(super) fn see(&mut self, now: Duration, holds: bool, needed: Duration) -> bool {
        if !holds {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        now.saturating_sub(since) >= needed
    }
}
