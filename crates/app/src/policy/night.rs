//! Which caps hold at which hour.

use super::rules::{Rules, within};

/// The caps of one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caps {
    pub(super) max_temperature_c: Option<u16>,
    pub(super) max_fan_percent: Option<u8>,
    pub(super) max_watts: Option<u16>,
}

impl Rules {
    /// The caps at a minute of the day. A cap of the night can only be lower than that of the day.
    pub(super) fn caps(&self, minute: u16) -> Caps {
        let mut caps = Caps {
            max_temperature_c: self.max_temperature_c,
            max_fan_percent: self.max_fan_percent,
            max_watts: self.max_watts,
        };
        if let Some(night) = self.night.filter(|night| within(minute, night.from, night.to)) {
            caps.max_fan_percent = lower(caps.max_fan_percent, night.max_fan_percent);
            caps.max_watts = lower(caps.max_watts, night.max_watts);
        }
        caps
    }
}

fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
