//! What can be known at one moment.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is known at one moment; `None`, or an empty list, where this machine cannot tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Since the last keyboard or mouse input of the person in this session.
    pub idle: Option<Duration>,
    /// The screen is locked.
    pub locked: Option<bool>,
    /// An application that covers a whole screen now; not the desktop itself.
    pub fullscreen: Option<AppName>,
    /// Executables that run in this user's session, sorted, each once.
    pub apps: Vec<AppName>,
    /// Where the current comes from.
    pub power: Option<Power>,
    /// What the connection costs.
    pub network: Option<NetworkCost>,
    /// The GPUs.
    pub gpus: Vec<GpuReading>,
    /// What cannot be told here, and why.
    pub cannot_tell: Vec<Blind>,
}

/// The name of an executable: without its folder and `.exe`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AppName(String);

impl From<&str> for AppName {
    fn from(name: &str) -> Self {
        let name = name.rsplit(['/', '\\']).next().unwrap_or_default().trim().to_lowercase();
        Self(name.strip_suffix(".exe").unwrap_or(&name).to_owned())
    }
}

impl AppName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the current comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// From the wall.
    Mains,
    /// From a battery.
    Battery {
        /// How full it is.
        percent: Option<u8>,
    },
}

/// What a connection costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkCost {
    /// Nothing by the byte.
    Unmetered,
    /// Something by the byte.
    Metered,
}

/// A GPU at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuReading {
    /// Stays the same: its UUID, or its place on the bus.
    pub id: String,
    /// What its maker calls it.
    pub name: String,
    /// How busy it is, in percent.
    pub utilisation: Option<u8>,
    /// Bytes of its memory.
    pub memory_total: Option<u64>,
    /// Bytes of it in use.
    pub memory_used: Option<u64>,
    /// Degrees Celsius.
    pub temperature_c: Option<u16>,
    /// The speed of its fan, in percent.
    pub fan: Option<u8>,
    /// What it draws, in watts.
    pub watts: Option<f32>,
    /// The most that it may draw, in watts.
    pub watts_limit: Option<f32>,
    /// What all processes but our own use of it.
    pub others: Option<GpuUse>,
}

/// What some processes use of a GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuUse {
    /// Bytes of memory.
    pub memory: u64,
    /// Percent of its time.
    pub utilisation: Option<u8>,
    /// The one that uses most.
    pub app: Option<AppName>,
}

/// Something that a machine can tell, or cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sense {
    /// When somebody touched keyboard or mouse.
    Input,
    /// Whether the screen is locked.
    Lock,
    /// Whether an application covers a screen.
    Fullscreen,
    /// Which applications run.
    Apps,
    /// Where the current comes from.
    Power,
    /// What the connection costs.
    Network,
    /// What the GPUs do.
    Gpus,
}

/// Something that this machine cannot tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blind {
    /// What.
    pub what: Sense,
    /// Why, in a sentence for people.
    pub why: String,
}
