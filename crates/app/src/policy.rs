//! Whether the machine serves others now: everything that is known of it and everything that its owner wants, in; one
//! verdict with its reason, out.
//!
//! Pure but for what it remembers of the last minute: time, observations and wishes are passed in. The owner comes first,
//! so that doubt is an argument against serving: where a rule needs something that this machine cannot tell, the verdict
//! is to give it back, and says what it is that cannot be told.

mod lasting;
mod night;
mod reason;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use computepool_sensors::{GpuReading, NetworkCost, Observation, Power, Sense};

use crate::node::Duty;
use lasting::{Held, Sustained};
pub use reason::Reason;
pub use rules::{BadRules, Night, Rules, Span, When};

/// A moment, as clocks of different kinds tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since some moment in the past; never set back.
    pub uptime: Duration,
    /// Unix milliseconds.
    pub now_ms: u64,
    /// Day of the week where the machine stands; 0 is Monday.
    pub weekday: u8,
    /// Minutes since midnight where the machine stands.
    pub minute: u16,
}

/// What the owner has asked for by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The big switch.
    pub earn: bool,
    /// The owner has agreed to what serving means.
    pub agreed: bool,
    /// A pause, which no rule ends.
    pub pause: Option<Pause>,
    /// Bytes that were sent and received this month for others.
    pub carried_bytes: u64,
}

/// A pause that the owner asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, ts_rs::TS)]
pub struct Pause {
    /// Unix milliseconds when it ends by itself; a pause without an end is ended by the owner alone.
    #[ts(type = "number | null")]
    pub until_ms: Option<u64>,
    /// What runs may finish first.
    pub finish: bool,
}

/// What is to be done, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What the node is to do.
    pub duty: Duty,
    /// Why, first what weighs most; never empty.
    pub reasons: Vec<Reason>,
}

impl Verdict {
    /// The reason to show.
    pub fn reason(&self) -> &Reason {
        &self.reasons[0]
    }
}

/// How long a game or an application counts as running after it was seen last: levels load, windows change places.
const GONE: Duration = Duration::from_secs(10);
/// How long others must use a GPU before that counts, and how long after it they count still.
const BUSY: Duration = Duration::from_millis(900);
const QUIET: Duration = Duration::from_secs(15);
/// How long the power may be above its cap before that counts, and how long it is waited after that.
const DRAWN: Duration = Duration::from_secs(2);
const REST: Duration = Duration::from_secs(60);
/// How far below its cap a GPU must have cooled, or its fan slowed, before it serves again.
const COOLER_C: u16 = 7;
const SLOWER_PERCENT: u8 = 10;

/// Judges again and again.
#[derive(Debug, Default)]
pub struct Policy {
    fullscreen: Held<Reason>,
    exclusive: Held<Reason>,
    gpus: BTreeMap<String, Remembered>,
}

/// What is remembered of a GPU.
#[derive(Debug, Default)]
struct Remembered {
    hot: bool,
    loud: bool,
    busy: Sustained,
    used: Held<Reason>,
    drawing: Sustained,
    drew: Held<Reason>,
}

impl Policy {
    /// The verdict of this moment.
    pub fn judge(&mut self, at: Moment, seen: &Observation, rules: &Rules, wishes: &Wishes) -> Verdict {
        let mut reasons = Vec::new();
        if !wishes.earn {
            reasons.push(Reason::EarnOff);
        }
        if !wishes.agreed {
            reasons.push(Reason::NotAgreed);
        }
        let paused = wishes.pause.filter(|pause| pause.until_ms.is_none_or(|until_ms| at.now_ms < until_ms));
        if let Some(pause) = paused {
            reasons.push(Reason::Paused { until_ms: pause.until_ms });
        }
        let by_hand = reasons.len();
        self.push_apps(at, seen, rules, &mut reasons);
        push_input(seen, rules, &mut reasons);
        push_power(seen, rules, &mut reasons);
        self.push_gpus(at, seen, rules, &mut reasons);
        push_network(seen, rules, wishes, &mut reasons);
        let hurried = reasons.len() > by_hand;
        let scheduled =
            rules.schedule.is_empty() || rules.schedule.iter().any(|span| span.holds(at.weekday, at.minute));
        if !scheduled {
            reasons.push(Reason::OutsideSchedule);
        }
        let duty = match reasons.is_empty() {
            true => Duty::Serve,
            // Nobody waits for the machine: what runs may finish.
            false if !hurried && wishes.earn && wishes.agreed && paused.is_none_or(|pause| pause.finish) => {
                Duty::Finish
            }
            false => Duty::Release,
        };
        if reasons.is_empty() {
            reasons.push(Reason::Free);
        }
        Verdict { duty, reasons }
    }

    fn push_apps(&mut self, at: Moment, seen: &Observation, rules: &Rules, reasons: &mut Vec<Reason>) {
        let covering = rules.fullscreen.then_some(seen.fullscreen.as_ref()).flatten();
        let covering = covering.map(|app| Reason::Fullscreen { app: app.to_string() });
        reasons.extend(self.fullscreen.see(at.uptime, covering, GONE));
        let named =
            rules.exclusive_apps.iter().find(|app| seen.apps.iter().any(|runs| rules::is_app(app, &runs.to_string())));
        let named = named.map(|app| Reason::ExclusiveApp { app: app.clone() });
        reasons.extend(self.exclusive.see(at.uptime, named, GONE));
    }

    fn push_gpus(&mut self, at: Moment, seen: &Observation, rules: &Rules, reasons: &mut Vec<Reason>) {
        let caps = rules.caps(at.minute);
        self.gpus.retain(|id, _| seen.gpus.iter().any(|gpu| gpu.id == *id));
        for gpu in seen.gpus.iter().filter(|gpu| !rules.kept_gpus.contains(&gpu.id)) {
            let memory = self.gpus.entry(gpu.id.clone()).or_default();
            reasons.extend(memory.heat(gpu, caps.max_temperature_c));
            reasons.extend(memory.noise(gpu, caps.max_fan_percent));
            reasons.extend(memory.draw(at, gpu, caps.max_watts));
            reasons.extend(memory.others(at, gpu, rules.others_gpu_percent));
        }
    }
}

impl Remembered {
    fn heat(&mut self, gpu: &GpuReading, cap: Option<u16>) -> Option<Reason> {
        let (cap, celsius) = (cap?, gpu.temperature_c?);
        self.hot = celsius > cap || (self.hot && celsius + COOLER_C > cap);
        self.hot.then(|| Reason::TooHot { gpu: gpu.name.clone(), celsius, cap, until: cap.saturating_sub(COOLER_C) })
    }

    fn noise(&mut self, gpu: &GpuReading, cap: Option<u8>) -> Option<Reason> {
        let (cap, percent) = (cap?, gpu.fan?);
        self.loud = percent > cap || (self.loud && percent.saturating_add(SLOWER_PERCENT) > cap);
        self.loud.then(|| Reason::TooLoud { gpu: gpu.name.clone(), percent, cap })
    }

    fn draw(&mut self, at: Moment, gpu: &GpuReading, cap: Option<u16>) -> Option<Reason> {
        let cap = cap?;
        let watts = gpu.watts.unwrap_or_default().round() as u16;
        let over = self.drawing.see(at.uptime, watts > cap, DRAWN);
        let reason = over.then(|| Reason::TooMuchPower { gpu: gpu.name.clone(), watts, cap });
        self.drew.see(at.uptime, reason, REST)
    }

    fn others(&mut self, at: Moment, gpu: &GpuReading, cap: Option<u8>) -> Option<Reason> {
        let cap = cap?;
        let used = gpu.others.as_ref();
        let percent = used.and_then(|used| used.utilisation).unwrap_or(0);
        let busy = self.busy.see(at.uptime, percent >= cap, BUSY);
        let app = used.and_then(|used| used.app.as_ref()).map(ToString::to_string);
        let reason = busy.then(|| Reason::GpuInUse { gpu: gpu.name.clone(), app, percent });
        self.used.see(at.uptime, reason, QUIET)
    }
}

fn push_input(seen: &Observation, rules: &Rules, reasons: &mut Vec<Reason>) {
    let When::Idle { minutes } = rules.when else { return };
    if seen.locked == Some(true) {
        return;
    }
    let needed_s = u64::from(minutes) * 60;
    match seen.idle {
        Some(idle) if idle.as_secs() >= needed_s => {}
        Some(idle) => reasons.push(Reason::InUse { idle_s: idle.as_secs(), needed_s }),
        None => {
            let blind = seen.cannot_tell.iter().find(|blind| blind.what == Sense::Input);
            reasons.push(Reason::CannotSeeInput { why: blind.map(|blind| blind.why.clone()) });
        }
    }
}

fn push_power(seen: &Observation, rules: &Rules, reasons: &mut Vec<Reason>) {
    if let Some(Power::Battery { percent }) = seen.power
        && !rules.on_battery
    {
        reasons.push(Reason::OnBattery { percent });
    }
}

fn push_network(seen: &Observation, rules: &Rules, wishes: &Wishes, reasons: &mut Vec<Reason>) {
    if seen.network == Some(NetworkCost::Metered) && !rules.on_metered {
        reasons.push(Reason::Metered);
    }
    if let Some(cap_bytes) = rules.data_cap_bytes()
        && wishes.carried_bytes >= cap_bytes
    {
        reasons.push(Reason::DataCap { carried_bytes: wishes.carried_bytes, cap_bytes });
    }
}
