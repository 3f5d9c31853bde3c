//! How fast this machine runs the models on its disk: measured once, and again when something about it has changed.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use computepool_core::ports::Engine;
use computepool_core::{ContentHash, ModelSpeed};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Models that are measured when a node starts; the speed of others is reckoned from these.
const MODELS: usize = 4;

/// A measurement is repeated after this long.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a measurement is true of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Conditions {
    /// The engine executable and its version.
    pub(super) engine: String,
    /// The device.
    pub(super) device: String,
    /// Processor threads.
    pub(super) threads: u32,
}

impl Conditions {
    /// Each kind of measurement has a file of its own: nodes that share a disk need not agree.
    fn file_of(&self, model: &ContentHash) -> String {
        let told = format!("{}\n{}\n{}", self.engine, self.device, self.threads);
        format!("{model}-{}.json", &hex::encode(Sha256::digest(told))[..12])
    }
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    conditions: Conditions,
    speed: ModelSpeed,
}

/// Measures models, or finds what was measured before. What cannot be measured is left out: the planner then reckons
/// with something slow.
pub(super) async fn speeds(
    engine: &dyn Engine,
    models: impl IntoIterator<Item = ContentHash>,
    conditions: &Conditions,
    folder: PathBuf,
) -> Vec<ModelSpeed> {
    let mut speeds = Vec::new();
    for model in models.into_iter().take(MODELS) {
        let path = folder.join(conditions.file_of(&model));
        if let Some(speed) = recall(&path, conditions).filter(|speed| speed.model == model) {
            speeds.push(speed);
            continue;
        }
        match engine.measure(model).await {
            Ok(speed) => {
                tracing::info!(%model, layer_ns = speed.layer_ns, prefill_ns = speed.prefill_ns, "measured a model");
                remember(&path, conditions, speed);
                speeds.push(speed);
            }
            Err(fault) => tracing::warn!(%model, %fault, "a model could not be measured"),
        }
    }
    speeds
}

fn recall(path: &std::path::Path, conditions: &Conditions) -> Option<ModelSpeed> {
    let age = SystemTime::now().duration_since(path.metadata().ok()?.modified().ok()?).ok()?;
    let known: Remembered = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (age < KEEP && known.conditions == *conditions).then_some(known.speed)
}

fn remember(path: &std::path::Path, conditions: &Conditions, speed: ModelSpeed) {
    let written = serde_json::to_vec_pretty(&Remembered { conditions: conditions.clone(), speed })
        .map_err(std::io::Error::other)
        .and_then(|text| {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(path, text)
        });
    if let Err(error) = written {
        tracing::debug!(%error, "a measurement could not be kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_counts_under_its_own_conditions_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/speed.json");
        let conditions = Conditions { engine: "1".into(), device: "CPU".into(), threads: 1 };
        let model = ContentHash([7; 32]);
        let speed = ModelSpeed { model, layer_ns: 1, layer_ns_8: 2, prefill_ns: 3, head_ns: 4 };
        assert_eq!(recall(&path, &conditions), None);
        remember(&path, &conditions, speed);
        assert_eq!(recall(&path, &conditions), Some(speed));
        assert_eq!(recall(&path, &Conditions { threads: 2, ..conditions }), None);
    }
}
