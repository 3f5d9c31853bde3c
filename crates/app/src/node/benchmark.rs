//! How fast this machine runs a model, over and over for a while: what comes before anybody is asked to share.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use computepool_core::ports::Engine as _;
use computepool_core::{Fault, FaultCode, ModelSummary};
use computepool_engine::client::{EngineClient, EngineLaunch};
use computepool_engine::pipe::DeviceChoice;
use computepool_model::catalogue::ModelSource;

use super::own_folder;
use crate::models;

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Which model.
    pub model: String,
    /// What computed.
    pub device: String,
    /// Its blocks.
    pub layers: u32,
    /// Bytes of its weights.
    pub weights: u64,
    /// Measurements.
    pub rounds: u32,
    /// Tokens a second of the whole model here, one after the other: the middle of all measurements.
    pub tokens_per_second: f64,
    /// The slowest of them, and the fastest.
    pub between: (f64, f64),
}

/// Measures the largest model on the disk that runs here, for about `span`.
pub async fn benchmark(
    sources: Vec<ModelSource>,
    engines: Option<PathBuf>,
    threads: u32,
    span: Duration,
    mut told: impl FnMut(f64),
) -> Result<Measured, Fault> {
    let catalogue = models::scan(sources).await?;
    let mut entries: Vec<_> = catalogue.entries().to_vec();
    entries.sort_by_key(|entry| std::cmp::Reverse(bytes(&entry.summary)));
    if entries.is_empty() {
        return Err(Fault::new(FaultCode::ModelNotFound, "there is no model on this computer to measure with")
            .hint("download one under Models, then try again"));
    }
    let chosen = EngineLaunch::choose(&engines.map_or_else(own_folder, Ok)?).await?;
    let best = chosen.devices.first();
    let paths: std::collections::HashMap<_, _> =
        entries.iter().map(|entry| (entry.summary.hash, entry.path.clone())).collect();
    let launch = EngineLaunch {
        threads,
        device: best.map_or(DeviceChoice::Cpu, |report| report.device),
        ..EngineLaunch::new(chosen.executable.clone(), std::sync::Arc::new(move |hash| paths.get(hash).cloned()))
    };
    let (engine, _events) = EngineClient::start(launch);
    let device = best.map_or_else(|| "CPU".to_owned(), |report| report.name.clone());
    let mut last = None;
    let mut measured = None;
    for entry in &entries {
        match rounds(&engine, entry.summary.hash, entry.summary.layer_count, span, &mut told).await {
            Ok(speeds) => {
                measured = Some((entry, speeds));
                break;
            }
            Err(fault) => last = Some(fault),
        }
    }
    engine.stop().await;
    let none = || Fault::new(FaultCode::NoCapacity, "no model could be measured");
    let (entry, mut speeds) = measured.ok_or_else(|| last.unwrap_or_else(none))?;
    speeds.sort_by(f64::total_cmp);
    Ok(Measured {
        model: entry.summary.id.to_string(),
        device,
        layers: entry.summary.layer_count,
        weights: bytes(&entry.summary),
        rounds: u32::try_from(speeds.len()).unwrap_or(u32::MAX),
        tokens_per_second: speeds[speeds.len() / 2],
        between: (speeds[0], speeds[speeds.len() - 1]),
    })
}

fn bytes(model: &ModelSummary) -> u64 {
    model.layer_bytes.iter().sum::<u64>() + model.embedding_bytes + model.head_bytes
}

/// One measurement at least.
async fn rounds(
    engine: &EngineClient,
    model: computepool_core::ContentHash,
    layers: u32,
    span: Duration,
    told: &mut impl FnMut(f64),
) -> Result<Vec<f64>, Fault> {
    let (began, mut speeds) = (Instant::now(), Vec::new());
    loop {
        let speed = engine.measure(model).await?;
        let token_ns = u64::from(layers) * speed.layer_ns + speed.head_ns;
        speeds.push(1e9 / token_ns.max(1) as f64);
        told((began.elapsed().as_secs_f64() / span.as_secs_f64()).min(1.0));
        if began.elapsed() >= span {
            return Ok(speeds);
        }
    }
}
