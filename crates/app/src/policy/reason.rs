//! Why a machine serves or does not: a code with its figures for programs, a sentence for people.

use std::fmt;

use serde::Serialize;
use ts_rs::TS;

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(tag = "code", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Nothing stands against serving.
    Free,
    /// The owner has not switched it on.
    EarnOff,
    /// The owner has not agreed to it yet.
    NotAgreed,
    /// The owner has paused it.
    Paused {
        /// Until when, in Unix milliseconds; until the owner says so where there is no end.
        #[ts(type = "number | null")]
        until_ms: Option<u64>,
    },
    /// An application covers a whole screen.
    Fullscreen {
        /// Which.
        app: String,
    },
    /// An application runs that wants the machine for itself.
    ExclusiveApp {
        /// Which.
        app: String,
    },
    /// Somebody is at the machine.
    InUse {
        /// Seconds since the last input.
        #[ts(type = "number")]
        idle_s: u64,
        /// Seconds that it takes.
        #[ts(type = "number")]
        needed_s: u64,
    },
    /// The machine does not tell whether somebody is there.
    CannotSeeInput {
        /// Why not.
        why: Option<String>,
    },
    /// It runs on its battery.
    OnBattery {
        /// How full.
        percent: Option<u8>,
    },
    /// A GPU is too hot.
    TooHot {
        /// Which.
        gpu: String,
        /// How hot.
        celsius: u16,
        /// The cap.
        cap: u16,
        /// How cool it must be again.
        until: u16,
    },
    /// A fan turns too fast.
    TooLoud {
        /// Whose.
        gpu: String,
        /// How fast.
        percent: u8,
        /// The cap.
        cap: u8,
    },
    /// A GPU draws too much.
    TooMuchPower {
        /// Which.
        gpu: String,
        /// How much.
        watts: u16,
        /// The cap.
        cap: u16,
    },
    /// Others use a GPU.
    GpuInUse {
        /// Which.
        gpu: String,
        /// Who uses it most.
        app: Option<String>,
        /// How much of it others use.
        percent: u8,
    },
    /// The connection costs by the byte.
    Metered,
    /// As much was carried this month as its owner allows.
    DataCap {
        /// So much.
        #[ts(type = "number")]
        carried_bytes: u64,
        /// Of so much.
        #[ts(type = "number")]
        cap_bytes: u64,
    },
    /// It is not the time for it.
    OutsideSchedule,
}

/// The length of a span of time, as people say it.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s if s < 60 => write!(f, "{s} s"),
            s if s < 3600 => write!(f, "{} min", s.div_ceil(60)),
            s => write!(f, "{} h", s.div_ceil(3600)),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("nothing stands against sharing"),
            Self::EarnOff => f.write_str("Earn is off"),
            Self::NotAgreed => f.write_str("you have not agreed to sharing yet"),
            Self::Paused { until_ms: Some(_) } => f.write_str("you paused it for a while"),
            Self::Paused { until_ms: None } => f.write_str("you paused it until you resume"),
            Self::Fullscreen { app } => write!(f, "{app} is in full screen"),
            Self::ExclusiveApp { app } => write!(f, "{app} is running"),
            Self::InUse { idle_s, needed_s } => {
                write!(f, "you are using this computer; sharing resumes in {}", Span(needed_s.saturating_sub(*idle_s)))
            }
            Self::CannotSeeInput { why: Some(why) } => write!(f, "this system does not tell when you are away: {why}"),
            Self::CannotSeeInput { why: None } => f.write_str("this system does not tell when you are away"),
            Self::OnBattery { percent: Some(percent) } => write!(f, "this computer runs on its battery ({percent} %)"),
            Self::OnBattery { percent: None } => f.write_str("this computer runs on its battery"),
            Self::TooHot { gpu, celsius, cap, until } => {
                write!(f, "{gpu} has {celsius} °C, above your {cap} °C; sharing resumes at {until} °C")
            }
            Self::TooLoud { gpu, percent, cap } => {
                write!(f, "the fan of {gpu} runs at {percent} %, above your {cap} %")
            }
            Self::TooMuchPower { gpu, watts, cap } => write!(f, "{gpu} draws {watts} W, above your {cap} W"),
            Self::GpuInUse { gpu, app: Some(app), percent } => write!(f, "{app} uses {percent} % of {gpu}"),
            Self::GpuInUse { gpu, app: None, percent } => write!(f, "other programs use {percent} % of {gpu}"),
            Self::Metered => f.write_str("this connection is metered"),
            Self::DataCap { cap_bytes, .. } => {
                write!(f, "this month's {} GB for others are used up", cap_bytes / 1_000_000_000)
            }
            Self::OutsideSchedule => f.write_str("it is outside your schedule"),
        }
    }
}
