//! Who sent what they should not have.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most that are remembered; beyond them nobody new is.
const MAX: usize = 4096;

/// Those who sent wrong blocks, and how often. An honest peer checks what it reads before it sends it, so that once is
/// enough to be asked no more while this process lives.
#[derive(Debug, Default)]
pub(super) struct Offenders(Mutex<HashMap<String, u32>>);

impl Offenders {
    pub(super) fn add(&self, who: &str) {
        let mut offenders = self.lock();
        if offenders.len() < MAX || offenders.contains_key(who) {
            let count = offenders.entry(who.to_owned()).or_default();
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn has(&self, who: &str) -> bool {
        self.lock().contains_key(who)
    }

    pub(super) fn list(&self) -> Vec<(String, u32)> {
        let mut list: Vec<_> = self.lock().iter().map(|(who, count)| (who.clone(), *count)).collect();
        list.sort();
        list
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
