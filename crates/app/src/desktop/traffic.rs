//! What was carried for others this month.

use std::path::{Path, PathBuf};

use computepool_transport::Carried;
use serde::{Deserialize, Serialize};

/// A month's bytes, on the disk so that a restart forgets none.
#[derive(Debug)]
pub(super) struct Traffic {
    path: PathBuf,
    kept: Kept,
    /// What the running network had counted when it was looked at last.
    last: Carried,
    unsaved: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    month: String,
    bytes: u64,
}

/// So much may be forgotten by a crash.
const SAVE_EVERY: u64 = 16 << 20;

impl Traffic {
    /// As it was left. A file that cannot be read counts as a month that begins.
    pub(super) fn within(folder: &Path) -> Self {
        let path = folder.join("traffic.toml");
        let kept = std::fs::read_to_string(&path).ok().and_then(|text| toml::from_str(&text).ok()).unwrap_or_default();
        Self { path, kept, last: Carried::default(), unsaved: 0 }
    }

    /// Takes in what a network has counted since it was started; a smaller count is that of a network that is new.
    pub(super) fn count(&mut self, month: &str, now: Carried) {
        let more = |now: u64, last: u64| if now >= last { now - last } else { now };
        let fresh = more(now.sent, self.last.sent) + more(now.received, self.last.received);
        self.last = now;
        if self.kept.month != month {
            self.kept = Kept { month: month.to_owned(), bytes: 0 };
            self.unsaved = SAVE_EVERY;
        }
        self.kept.bytes += fresh;
        self.unsaved += fresh;
        if self.unsaved >= SAVE_EVERY {
            self.save();
        }
    }

    /// Bytes this month.
    pub(super) fn month_bytes(&self) -> u64 {
        self.kept.bytes
    }

    /// Writes down what is not written yet.
    pub(super) fn save(&mut self) {
        let text = toml::to_string(&self.kept).unwrap_or_default();
        let fresh = self.path.with_extension("toml.new");
        match std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, &self.path)) {
            Ok(()) => self.unsaved = 0,
            Err(error) => tracing::warn!(%error, "what was carried this month is not written down"),
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        if self.unsaved > 0 {
            self.save();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(sent: u64, received: u64) -> Carried {
        Carried { sent, received }
    }

    #[test]
    fn a_month_adds_up_over_restarts_and_ends() {
        let folder = tempfile::tempdir().unwrap();
        let mut traffic = Traffic::within(folder.path());
        traffic.count("2026-11", carried(10, 5));
        traffic.count("2026-11", carried(12, 5));
        assert_eq!(traffic.month_bytes(), 17);
        // The network was started anew.
        traffic.count("2026-11", carried(3, 1));
        assert_eq!(traffic.month_bytes(), 21);
        drop(traffic);
        let mut traffic = Traffic::within(folder.path());
        assert_eq!(traffic.month_bytes(), 21);
        traffic.count("2026-12", carried(7, 0));
        assert_eq!(traffic.month_bytes(), 7);
    }
}
