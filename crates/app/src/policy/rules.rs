//! When a machine may serve, as its owner has set it.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Everything that the owner can set about when and how much the machine serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Whether it serves while somebody is at the machine.
    pub when: When,
    /// The only times at which it serves; any time where there is none.
    pub schedule: Vec<Span>,
    /// Gives the machine back while an application covers a whole screen.
    pub fullscreen: bool,
    /// Applications that want the machine for themselves: names of executables, as people write them.
    pub exclusive_apps: Vec<String>,
    /// Gives a GPU back when others use at least this much of it, in percent.
    pub others_gpu_percent: Option<u8>,
    /// Serves on battery too.
    pub on_battery: bool,
    /// Serves over a connection that costs by the byte too.
    pub on_metered: bool,
    /// The hottest that a GPU may get, in degrees Celsius.
    pub max_temperature_c: Option<u16>,
    /// The fastest that a fan may turn, in percent.
    pub max_fan_percent: Option<u8>,
    /// The most that a GPU may draw, in watts.
    pub max_watts: Option<u16>,
    /// Quieter hours.
    pub night: Option<Night>,
    /// GPU memory that is always left to the owner, in MiB.
    pub memory_reserve_mb: u32,
    /// GPUs that never serve, by their ids.
    pub kept_gpus: Vec<String>,
    /// What may be carried for others in a month, both ways together, in GB.
    pub data_cap_gb: Option<u32>,
    /// The most that giving weights to others may send, in KiB a second.
    pub upload_kib_s: Option<u32>,
}

/// Whether a machine serves while somebody is at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum When {
    /// Also while it is in use.
    Always,
    /// Once nobody has touched it for so long.
    Idle {
        /// Minutes without a key or a move of the mouse.
        minutes: u16,
    },
}

/// A time of some days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Monday first. A span that goes past midnight belongs to the day on which it begins.
    pub days: [bool; 7],
    /// Minutes since midnight when it begins.
    pub from: u16,
    /// Minutes since midnight when it ends; earlier than its beginning, it ends on the next day. The same as its
    /// beginning: the whole day.
    pub to: u16,
}

/// Quieter hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct Night {
    /// Minutes since midnight.
    pub from: u16,
    /// Minutes since midnight.
    pub to: u16,
    /// The fastest that a fan may turn in them, in percent.
    pub max_fan_percent: Option<u8>,
    /// The most that a GPU may draw in them, in watts.
    pub max_watts: Option<u16>,
}

/// Rules that make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRules {
    /// No such minute.
    #[error("{0} is no minute of a day: a day has 1440, counted from 0")]
    Minute(u16),
    /// Above a hundred.
    #[error("{what} is given in percent: {given} is too much")]
    Percent {
        /// What.
        what: &'static str,
        /// How much.
        given: u8,
    },
    /// Not between the bounds.
    #[error("{what} must be between {least} and {most}: {given} is not")]
    Bounds {
        /// What.
        what: &'static str,
        /// The least.
        least: u32,
        /// The most.
        most: u32,
        /// What was given.
        given: u32,
    },
    /// Too long a list.
    #[error("{what} can have {most} entries at most")]
    TooMany {
        /// Which list.
        what: &'static str,
        /// How many.
        most: usize,
    },
    /// No name of an application.
    #[error("{0:?} is no name of an application: give the name of its executable, such as blender")]
    App(String),
}

const DAY: u16 = 24 * 60;
const MAX_ENTRIES: usize = 64;
const MAX_NAME: usize = 128;

impl Default for Rules {
    /// What a cautious owner would set: not while somebody is there, not on battery, never too hot.
    fn default() -> Self {
        Self {
            when: When::Idle { minutes: 5 },
            schedule: Vec::new(),
            fullscreen: true,
            exclusive_apps: Vec::new(),
            others_gpu_percent: Some(25),
            on_battery: false,
            on_metered: false,
            max_temperature_c: Some(83),
            max_fan_percent: None,
            max_watts: None,
            night: None,
            memory_reserve_mb: 1024,
            kept_gpus: Vec::new(),
            data_cap_gb: None,
            upload_kib_s: None,
        }
    }
}

impl Rules {
    /// Whether they make sense.
    pub fn check(&self) -> Result<(), BadRules> {
        for span in &self.schedule {
            minute(span.from)?;
            minute(span.to)?;
        }
        if let Some(night) = &self.night {
            minute(night.from)?;
            minute(night.to)?;
            percent("a fan's speed", night.max_fan_percent)?;
        }
        percent("a fan's speed", self.max_fan_percent)?;
        percent("others' use of a GPU", self.others_gpu_percent)?;
        if let When::Idle { minutes } = self.when {
            bounds("the time without input, in minutes,", 1, 24 * 60, u32::from(minutes))?;
        }
        if let Some(celsius) = self.max_temperature_c {
            bounds("the hottest temperature, in degrees Celsius,", 40, 110, u32::from(celsius))?;
        }
        short("the schedule", self.schedule.len())?;
        short("the list of applications", self.exclusive_apps.len())?;
        short("the list of GPUs", self.kept_gpus.len())?;
        for app in &self.exclusive_apps {
            if app.trim().is_empty() || app.len() > MAX_NAME || app.contains(['/', '\\', '\0', '\n']) {
                return Err(BadRules::App(app.chars().take(40).collect()));
            }
        }
        if self.kept_gpus.iter().any(|id| id.len() > MAX_NAME) {
            return Err(BadRules::TooMany { what: "an id of a GPU", most: MAX_NAME });
        }
        Ok(())
    }

    pub(super) fn data_cap_bytes(&self) -> Option<u64> {
        self.data_cap_gb.map(|gb| u64::from(gb) * 1_000_000_000)
    }
}

impl Span {
    /// Whether it holds at a minute of a day.
    pub fn holds(&self, weekday: u8, minute: u16) -> bool {
        let on = |day: u8| self.days.get(usize::from(day % 7)).copied().unwrap_or(false);
        if self.from < self.to {
            return on(weekday) && (self.from..self.to).contains(&minute);
        }
        // Past midnight, it is yesterday's.
        (on(weekday) && minute >= self.from) || (on(weekday + 6) && minute < self.to)
    }
}

/// Whether a minute of the day lies between two others, where the day may end between them.
pub(super) fn within(minute: u16, from: u16, to: u16) -> bool {
    if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}

/// Whether a running executable is the application that somebody named: `Blender.exe` names `blender`.
pub(super) fn is_app(named: &str, runs: &str) -> bool {
    let named = named.trim().to_lowercase();
    named.strip_suffix(".exe").unwrap_or(&named) == runs
}

fn minute(given: u16) -> Result<(), BadRules> {
    if given < DAY { Ok(()) } else { Err(BadRules::Minute(given)) }
}

fn percent(what: &'static str, given: Option<u8>) -> Result<(), BadRules> {
    match given {
        Some(given) if given > 100 => Err(BadRules::Percent { what, given }),
        _ => Ok(()),
    }
}

fn bounds(what: &'static str, least: u32, most: u32, given: u32) -> Result<(), BadRules> {
    if (least..=most).contains(&given) { Ok(()) } else { Err(BadRules::Bounds { what, least, most, given }) }
}

fn short(what: &'static str, entries: usize) -> Result<(), BadRules> {
    if entries <= MAX_ENTRIES { Ok(()) } else { Err(BadRules::TooMany { what, most: MAX_ENTRIES }) }
}
