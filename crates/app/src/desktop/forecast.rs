//! What sharing might bring here, before anybody agrees to it: measured where it can be, named as a guess where not, and
//! net of electricity.

use std::time::Duration;

use computepool_core::Fault;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::wire::HostEvent;
use super::{Desktop, unknown};
use crate::node::{Measured, benchmark};

/// The longest that is measured, and the shortest that says anything.
const SECONDS: std::ops::RangeInclusive<u32> = 1..=60;
/// How often the network is looked at meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// How long to measure.
#[derive(Clone, Copy, Debug, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(super) struct Measuring {
    /// Seconds, up to a minute.
    seconds: u32,
}

/// What was measured, and what follows from it.
#[derive(Clone, Debug, Serialize, TS)]
pub(super) struct Forecast {
    /// The model that was measured.
    model: String,
    /// What computed.
    device: String,
    /// Measurements.
    rounds: u32,
    /// Tokens a second of the whole model here: the middle of all measurements.
    tokens_per_second: f64,
    /// The slowest of them.
    slowest: f64,
    /// The fastest of them.
    fastest: f64,
    /// Watts that the GPUs drew meanwhile beyond what they drew before; nothing where the machine does not tell.
    watts: Option<f64>,
    /// What it might bring; nothing where no network sells answers.
    money: Option<Estimate>,
}

/// US dollars an hour. A USDC counts as a dollar.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, TS)]
pub(super) struct Estimate {
    /// What a session pays an hour for the whole model, by the network's own quote.
    price: f64,
    /// How many machines share that, this one among them.
    machines: u32,
    /// The part of the time in which somebody was answered while this was measured, from 0 to 1; nothing where that could
    /// not be seen.
    busy: Option<f64>,
    /// What an hour of work costs in electricity; nothing where watts or their price are not known.
    electricity: Option<f64>,
    /// If nobody asks anything.
    least: f64,
    /// If it goes on as it was while this was measured.
    likely: Option<f64>,
    /// If there is work all the time.
    most: f64,
}

impl Estimate {
    fn of(price: f64, machines: u32, busy: Option<f64>, electricity: Option<f64>) -> Self {
        let full = price / f64::from(machines.max(1)) - electricity.unwrap_or(0.0);
        let likely = busy.map(|busy| full * busy);
        Self { price, machines, busy, electricity, least: full.min(0.0), likely, most: full.max(0.0) }
    }
}

pub(super) async fn forecast(desktop: &Desktop, measuring: Measuring) -> Result<Forecast, Fault> {
    if !SECONDS.contains(&measuring.seconds) {
        return Err(unknown(format!("a measurement takes between {} and {} seconds", SECONDS.start(), SECONDS.end())));
    }
    let (options, settings) = (&desktop.0.options, desktop.settings());
    let before = watts(desktop);
    let threads = settings.sharing.threads.unwrap_or_else(super::spare_threads);
    let span = Duration::from_secs(u64::from(measuring.seconds));
    let telling = desktop.clone();
    let told = move |part| telling.tell(HostEvent::Measuring { part });
    let measured = benchmark(desktop.model_sources(), options.engines.clone(), threads, span, told);
    let (measured, (busy, during)) = tokio::join!(measured, watch_network(desktop, span));
    let measured: Measured = measured?;
    let watts = before.zip(during).map(|(before, during)| (during - before).max(0.0));
    let price = settings.electricity.usd_per_kwh.as_deref().and_then(|price| price.parse::<f64>().ok());
    let electricity = watts.zip(price).map(|(watts, price)| watts / 1_000.0 * price);
    let money = match desktop.hourly_price().await {
        Ok(Some((price, machines))) => Some(Estimate::of(price, machines, busy, electricity)),
        _ => None,
    };
    Ok(Forecast {
        model: measured.model,
        device: measured.device,
        rounds: measured.rounds,
        tokens_per_second: measured.tokens_per_second,
        slowest: measured.between.0,
        fastest: measured.between.1,
        watts,
        money,
    })
}

/// Watts of all GPUs that say so.
fn watts(desktop: &Desktop) -> Option<f64> {
    let seen = desktop.0.options.seen.borrow();
    let known: Vec<f64> = seen.gpus.iter().filter_map(|gpu| gpu.watts).map(f64::from).collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

/// The part of the looks that found somebody being answered, and the most that the GPUs drew.
async fn watch_network(desktop: &Desktop, span: Duration) -> (Option<f64>, Option<f64>) {
    let (mut looks, mut busy, mut most) = (0_u32, 0_u32, None);
    let mut ticks = tokio::time::interval(LOOK);
    let until = tokio::time::Instant::now() + span;
    while tokio::time::Instant::now() < until {
        ticks.tick().await;
        if let Ok(answers) = desktop.answers_under_way().await {
            looks += 1;
            busy += u32::from(answers > 0);
        }
        most = watts(desktop).into_iter().chain(most).reduce(f64::max);
    }
    ((looks > 0).then(|| f64::from(busy) / f64::from(looks)), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_net_and_never_promise() {
        let some = Estimate::of(0.9, 3, Some(0.5), Some(0.1));
        assert!((some.most - 0.2).abs() < 1e-9 && (some.likely.unwrap() - 0.1).abs() < 1e-9);
        assert!(some.least.abs() < 1e-9, "without work nothing is earned, and nothing spent");
        // Where work costs more than it brings, that is said.
        let loss = Estimate::of(0.3, 3, Some(1.0), Some(0.15));
        assert!((loss.least + 0.05).abs() < 1e-9 && (loss.likely.unwrap() + 0.05).abs() < 1e-9);
        assert!(loss.most.abs() < 1e-9);
        assert_eq!(Estimate::of(1.0, 2, None, None).likely, None, "what was not seen is not guessed");
    }
}
