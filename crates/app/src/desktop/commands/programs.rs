//! Programs of this machine: their keys, and what they asked.

use computepool_core::Fault;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::super::Desktop;
use super::super::HostEvent;
use super::super::programs::Programs;
use super::super::programs::keys::Key;
use super::super::programs::log::Entry;
use super::super::wire::Problem;
use super::Nothing;

/// The owner's own endpoint.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct ProgramsView {
    /// Where programs ask, once there is a key.
    address: Option<String>,
    /// Why it is not there.
    problem: Option<Problem>,
    /// The keys.
    keys: Vec<KeyView>,
}

/// A key. What it is was told once, when it was made.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct KeyView {
    /// What its owner calls it.
    name: String,
    /// When it was made.
    #[ts(type = "number")]
    created_ms: u64,
    /// Requests a minute, at most.
    per_minute: Option<u32>,
    /// Tokens in any 24 hours, at most.
    #[ts(type = "number | null")]
    tokens_a_day: Option<u64>,
    /// Tokens in the last 24 hours, since the application was started.
    #[ts(type = "number")]
    used: u64,
}

/// A key to be made.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct NewKey {
    /// What to call it.
    name: String,
    /// Requests a minute, at most.
    per_minute: Option<u32>,
    /// Tokens in any 24 hours, at most.
    #[ts(type = "number | null")]
    tokens_a_day: Option<u64>,
}

/// A key that was made.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct MadeKey {
    /// It; it is told this once.
    key: String,
}

/// A key by its name.
#[derive(Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct KeyName {
    /// Its name.
    name: String,
}

fn view((key, used): (Key, u64)) -> KeyView {
    let Key { name, created_ms, per_minute, tokens_a_day, .. } = key;
    KeyView { name, created_ms, per_minute, tokens_a_day, used }
}

pub(super) async fn programs(desktop: &Desktop, _: Nothing) -> Result<ProgramsView, Fault> {
    let (address, problem) = match desktop.0.programs.borrow().clone() {
        Programs::Closed => (None, None),
        Programs::Open(address) => (Some(address), None),
        Programs::Failed(fault) => (None, Some(fault.into())),
    };
    Ok(ProgramsView { address, problem, keys: desktop.0.keys.list().into_iter().map(view).collect() })
}

pub(super) async fn key_make(desktop: &Desktop, new: NewKey) -> Result<MadeKey, Fault> {
    let key = desktop.0.keys.make(&new.name, new.per_minute, new.tokens_a_day)?;
    desktop.tell(HostEvent::Requests);
    Ok(MadeKey { key })
}

pub(super) async fn key_revoke(desktop: &Desktop, key: KeyName) -> Result<ProgramsView, Fault> {
    desktop.0.keys.revoke(&key.name)?;
    programs(desktop, Nothing {}).await
}

pub(super) async fn requests(desktop: &Desktop, _: Nothing) -> Result<Vec<Entry>, Fault> {
    Ok(desktop.0.requests.list())
}
