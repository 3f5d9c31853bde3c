//! The owner's machine: the switch, pauses, settings.

use computepool_core::Fault;
use computepool_core::ports::{Clock as _, SystemClock};
use jiff::{ToSpan as _, Zoned};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::super::wire::{Notice, Status};
use super::super::{Desktop, HostEvent, Settings, unknown};
use super::Nothing;
use crate::policy::Pause;

/// Flips the switch.
#[derive(Clone, Copy, Debug, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Earn {
    /// To on, or to off.
    pub on: bool,
}

/// A pause to begin now.
#[derive(Clone, Copy, Debug, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct PauseFor {
    /// For how long.
    pub length: PauseLength,
    /// Lets what runs finish first.
    pub finish: bool,
}

/// How long a pause is.
#[derive(Clone, Copy, Debug, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub(in crate::desktop) enum PauseLength {
    /// Some minutes.
    Minutes {
        /// Up to a week of them.
        minutes: u32,
    },
    /// Until six in the morning.
    Tomorrow,
    /// Until the owner ends it.
    UntilResumed,
}

/// All settings.
#[derive(Clone, Debug, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct NewSettings {
    /// To hold from now on.
    pub settings: Settings,
}

/// An invite.
#[derive(Clone, Debug, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct InviteLink {
    /// Its link: `computepool://join/…`
    link: String,
}

/// What to do with an invite.
#[derive(Clone, Copy, Debug, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Invited {
    /// Serve in that network from now on, in place of any other.
    pub join: bool,
}

/// What carries the application.
#[derive(Clone, Debug, Serialize, TS)]
pub(in crate::desktop) struct HostView {
    /// `desktop` or `headless`.
    kind: String,
    /// Whether there is a tray; nothing where there could be none.
    tray: Option<bool>,
    /// Whether it starts when its owner logs in; nothing where it cannot.
    autostart: Option<bool>,
}

/// Starting with the login.
#[derive(Clone, Copy, Debug, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Autostart {
    /// Yes, or no longer.
    on: bool,
}

/// The hour at which tomorrow begins for people who sleep.
const MORNING: i8 = 6;
const WEEK_MINUTES: u32 = 7 * 24 * 60;

pub(super) async fn status(desktop: &Desktop, _: Nothing) -> Result<Status, Fault> {
    Ok(desktop.status())
}

pub(super) async fn host(desktop: &Desktop, _: Nothing) -> Result<HostView, Fault> {
    let host = &desktop.0.options.host;
    Ok(HostView { kind: host.kind().to_owned(), tray: host.tray(), autostart: host.autostart() })
}

pub(super) async fn autostart_set(desktop: &Desktop, wanted: Autostart) -> Result<HostView, Fault> {
    desktop.0.options.host.set_autostart(wanted.on)?;
    host(desktop, Nothing {}).await
}

pub(super) async fn quit(desktop: &Desktop, _: Nothing) -> Result<Nothing, Fault> {
    desktop.0.options.host.quit();
    Ok(Nothing {})
}

pub(super) async fn data_delete(desktop: &Desktop, _: Nothing) -> Result<Nothing, Fault> {
    desktop.delete_data().await.map(|_| Nothing {})
}

pub(super) async fn earn_set(desktop: &Desktop, earn: Earn) -> Result<Status, Fault> {
    desktop.set(|settings| settings.sharing.earn = earn.on)?;
    Ok(desktop.status())
}

pub(super) async fn pause(desktop: &Desktop, wanted: PauseFor) -> Result<Status, Fault> {
    let until_ms = match wanted.length {
        PauseLength::UntilResumed => None,
        PauseLength::Minutes { minutes } if (1..=WEEK_MINUTES).contains(&minutes) => {
            Some(SystemClock.now_ms() + u64::from(minutes) * 60_000)
        }
        PauseLength::Minutes { .. } => return Err(unknown("a pause is between a minute and a week long".to_owned())),
        PauseLength::Tomorrow => Some(morning()?),
    };
    desktop.set(|settings| settings.sharing.pause = Some(Pause { until_ms, finish: wanted.finish }))?;
    Ok(desktop.status())
}

/// The next morning that is not today's.
fn morning() -> Result<u64, Fault> {
    let tomorrow = Zoned::now()
        .checked_add(1.day())
        .and_then(|tomorrow| tomorrow.with().hour(MORNING).minute(0).second(0).subsec_nanosecond(0).build());
    let tomorrow = tomorrow.map_err(|error| unknown(format!("this machine's calendar has no tomorrow: {error}")))?;
    Ok(tomorrow.timestamp().as_millisecond().unsigned_abs())
}

pub(super) async fn resume(desktop: &Desktop, _: Nothing) -> Result<Status, Fault> {
    desktop.set(|settings| settings.sharing.pause = None)?;
    Ok(desktop.status())
}

pub(super) async fn invite_offer(desktop: &Desktop, invite: InviteLink) -> Result<Status, Fault> {
    desktop.offer_invite(&invite.link)?;
    Ok(desktop.status())
}

pub(super) async fn invite_answer(desktop: &Desktop, answer: Invited) -> Result<Status, Fault> {
    desktop.answer_invite(answer.join)?;
    Ok(desktop.status())
}

pub(super) async fn settings_get(desktop: &Desktop, _: Nothing) -> Result<Settings, Fault> {
    Ok(desktop.settings())
}

pub(super) async fn settings_set(desktop: &Desktop, new: NewSettings) -> Result<Settings, Fault> {
    desktop.set(|settings| *settings = new.settings)
}

impl Desktop {
    /// Ends a pause whose time has come, and says so.
    pub(in crate::desktop) fn end_pause(&self) {
        let until = self.settings().sharing.pause.and_then(|pause| pause.until_ms);
        if until.is_none_or(|until_ms| SystemClock.now_ms() < until_ms) {
            return;
        }
        // The policy ends it even where this cannot be written down.
        let ended = self.set(|settings| settings.sharing.pause = None);
        if ended.is_ok() && self.settings().sharing.earn {
            let notice = Notice {
                code: "pause_ended".to_owned(),
                title: "The pause is over".to_owned(),
                text: "Sharing goes on when nobody needs this computer.".to_owned(),
            };
            self.0.options.host.notify(&notice);
            self.tell(HostEvent::Notice { notice });
        }
    }
}
