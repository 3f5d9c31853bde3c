//! What the page is told. Money is text, times are Unix milliseconds, and nothing here can hold a secret.

use computepool_core::{Amount, Fault};
use computepool_sensors::{Blind, GpuReading, Observation, Sense};
use serde::Serialize;
use ts_rs::TS;

use super::chat::AnswerPiece;
use super::consents::Scope;
use super::sharing::SharingPhase;
use crate::policy::{Pause, Reason};

/// Something that happened. The page asks again for what it shows of it.
#[derive(Clone, Debug, Serialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum HostEvent {
    /// The status has changed.
    Status {
        /// To this.
        status: Box<Status>,
    },
    /// Settings were set.
    Settings,
    /// A consent was given or taken back.
    Consents,
    /// A wallet was made, opened, closed or forgotten.
    Wallets,
    /// Money has moved, or may have.
    Money,
    /// A program has asked something, or a key was made.
    Requests,
    /// A model has come, goes, or is on its way.
    Models,
    /// A measurement goes on.
    Measuring {
        /// How much of it is done, from 0 to 1.
        part: f64,
    },
    /// More of an answer.
    Answer {
        /// The name that the page gave it.
        answer: String,
        /// What there is of it.
        piece: AnswerPiece,
    },
    /// Something to be shown to the owner.
    Notice {
        /// What.
        notice: Notice,
    },
}

/// Something that the owner is told once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Notice {
    /// Stable, for translations.
    pub code: String,
    /// A short line.
    pub title: String,
    /// A sentence.
    pub text: String,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Problem {
    /// Stable, for programs and translations.
    pub code: String,
    /// What happened, for people.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self { code: fault.code.to_string(), message: fault.message, hint: fault.hint }
    }
}

/// A sum of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Money {
    /// A decimal number, to the last unit.
    pub amount: String,
    /// Of what: `USDC`, `USDCx`, or `native`.
    pub asset: String,
}

impl From<Amount> for Money {
    fn from(amount: Amount) -> Self {
        Self { amount: amount.to_decimal(), asset: amount.asset.to_string() }
    }
}

/// The one state that tray, window and page show.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub struct Status {
    /// The shape and colour to show.
    pub face: Face,
    /// One sentence, with its reason.
    pub sentence: String,
    /// The reason that weighs most.
    pub reason: Reason,
    /// Whatever else stands against serving.
    pub further: Vec<Reason>,
    /// The big switch.
    pub earn: bool,
    /// The owner's pause.
    pub pause: Option<Pause>,
    /// The node.
    pub node: NodeView,
    /// The machine.
    pub machine: Machine,
    /// What should be looked at.
    pub health: Vec<Check>,
    /// An invite link that was opened, and that the owner has not answered yet.
    pub invited: Option<String>,
    /// The address of this machine's own endpoint for programs, where it has one.
    pub api: Option<String>,
    /// What was earned since midnight; nothing where that is not known, or not to be shown.
    pub earned_today: Option<Money>,
    /// Bytes carried for others this month.
    #[ts(type = "number")]
    pub carried_bytes: u64,
    /// The version of the application.
    pub version: String,
    /// What carries it: `desktop` or `headless`.
    pub host: String,
}

/// A state by its looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Face {
    /// Nothing is shared, and nothing is wrong.
    Idle,
    /// The machine serves.
    Earning,
    /// Sharing is on, and waits.
    Paused,
    /// The owner has to look.
    Attention,
    /// Sharing is on, and nobody can be reached.
    Offline,
}

/// The node.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub struct NodeView {
    /// How far it is.
    pub phase: SharingPhase,
    /// Its peer id.
    pub id: Option<String>,
    /// Its engine's process.
    pub engine_pid: Option<u32>,
    /// Bytes of memory that its engine takes.
    #[ts(type = "number")]
    pub engine_bytes: u64,
    /// Engines that were lost since it was started.
    #[ts(type = "number")]
    pub engine_losses: u64,
    /// Why it is not there.
    pub problem: Option<Problem>,
}

/// What the machine says.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub struct Machine {
    /// Seconds since the last input.
    #[ts(type = "number | null")]
    pub idle_s: Option<u64>,
    /// An application that covers a screen.
    pub fullscreen: Option<String>,
    /// It runs on its battery.
    pub on_battery: Option<bool>,
    /// How full the battery is.
    pub battery_percent: Option<u8>,
    /// The connection costs by the byte.
    pub metered: Option<bool>,
    /// The GPUs.
    pub gpus: Vec<Gpu>,
    /// What cannot be told here.
    pub cannot_tell: Vec<Unknown>,
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub struct Gpu {
    /// Stays the same.
    pub id: String,
    /// What its maker calls it.
    pub name: String,
    /// How busy it is, in percent.
    pub utilisation: Option<u8>,
    /// Bytes of memory.
    #[ts(type = "number | null")]
    pub memory_total: Option<u64>,
    /// Bytes of it in use.
    #[ts(type = "number | null")]
    pub memory_used: Option<u64>,
    /// Degrees Celsius.
    pub temperature_c: Option<u16>,
    /// Percent.
    pub fan: Option<u8>,
    /// Watts.
    pub watts: Option<f32>,
    /// The most it may draw.
    pub watts_limit: Option<f32>,
    /// Bytes of memory that other programs use.
    #[ts(type = "number | null")]
    pub others_memory: Option<u64>,
}

impl From<&GpuReading> for Gpu {
    fn from(gpu: &GpuReading) -> Self {
        Self {
            id: gpu.id.clone(),
            name: gpu.name.clone(),
            utilisation: gpu.utilisation,
            memory_total: gpu.memory_total,
            memory_used: gpu.memory_used,
            temperature_c: gpu.temperature_c,
            fan: gpu.fan,
            watts: gpu.watts,
            watts_limit: gpu.watts_limit,
            others_memory: gpu.others.as_ref().map(|others| others.memory),
        }
    }
}

/// Something that cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Unknown {
    /// What: `input`, `lock`, `fullscreen`, `apps`, `power`, `network`, `gpus`.
    pub what: String,
    /// Why.
    pub why: String,
}

impl From<&Blind> for Unknown {
    fn from(blind: &Blind) -> Self {
        let what = match blind.what {
            Sense::Input => "input",
            Sense::Lock => "lock",
            Sense::Fullscreen => "fullscreen",
            Sense::Apps => "apps",
            Sense::Power => "power",
            Sense::Network => "network",
            Sense::Gpus => "gpus",
        };
        Self { what: what.to_owned(), why: blind.why.clone() }
    }
}

impl From<&Observation> for Machine {
    fn from(seen: &Observation) -> Self {
        use computepool_sensors::{NetworkCost, Power};
        let percent = match seen.power {
            Some(Power::Battery { percent }) => percent,
            _ => None,
        };
        Self {
            idle_s: seen.idle.map(|idle| idle.as_secs()),
            fullscreen: seen.fullscreen.as_ref().map(ToString::to_string),
            on_battery: seen.power.map(|power| matches!(power, Power::Battery { .. })),
            battery_percent: percent,
            metered: seen.network.map(|network| network == NetworkCost::Metered),
            gpus: seen.gpus.iter().map(Gpu::from).collect(),
            cannot_tell: seen.cannot_tell.iter().map(Unknown::from).collect(),
        }
    }
}

/// Something that is well, or is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Check {
    /// Stable, for translations.
    pub code: String,
    /// Whether it is well.
    pub good: bool,
    /// In words.
    pub text: String,
}

/// Something that the owner can agree to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub(super) struct ConsentCard {
    /// What it is about.
    pub scope: Scope,
    /// The version of its text.
    pub version: String,
    /// A short line.
    pub title: String,
    /// What runs.
    pub runs: String,
    /// What leaves the machine.
    pub leaves: String,
    /// How it ends.
    pub ends: String,
    /// It is agreed to.
    pub agreed: bool,
}

/// Something that the owner has said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub(super) struct ConsentRecord {
    /// When.
    #[ts(type = "number")]
    pub at_ms: u64,
    /// What about.
    pub scope: Scope,
    /// The version of the text.
    pub version: String,
    /// Yes, or no longer.
    pub agreed: bool,
}
