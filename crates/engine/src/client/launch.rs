//! Which executable to start, and how.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use computepool_core::{ContentHash, Fault, FaultCode};
use tokio::process::Command;

use super::environment;
use crate::child::{DeviceReport, ProbeReport};
use crate::pipe::{DeviceChoice, EngineOptions};

/// Finds the weights of a model on this machine's disk.
pub type Catalogue = Arc<dyn Fn(&ContentHash) -> Option<PathBuf> + Send + Sync>;

/// How an engine process is started and watched.
#[derive(Clone)]
pub struct EngineLaunch {
    /// The executable.
    pub executable: PathBuf,
    /// Threads on the processor, at least one. The process is told in its environment too (`RAYON_NUM_THREADS`,
    /// `CANDLE_NUM_THREADS`), before any library counts the processors by itself.
    pub threads: u32,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Where weights are.
    pub catalogue: Catalogue,
    /// Environment variables for the process, besides the few that it is allowed to inherit.
    pub environment: Vec<(String, String)>,
    /// How long things may take.
    pub timing: Timing,
    /// What happens when processes die.
    pub restart: RestartPolicy,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Reading weights, from start to serving.
    pub load: Duration,
    /// Timing a model, from start to end.
    pub measure: Duration,
    /// One step, with everything before it in the queue: a process that neither answers nor says anything for as long is
    /// taken to hang.
    pub silence: Duration,
    /// Between pings.
    pub ping: Duration,
    /// Ending of its own accord; then it is killed.
    pub stop: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            load: Duration::from_secs(15 * 60),
            measure: Duration::from_secs(3 * 60),
            silence: Duration::from_secs(60),
            ping: Duration::from_secs(1),
            stop: Duration::from_millis(1_500),
        }
    }
}

/// What happens when processes die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// A process that served at least this long did not die quickly.
    pub stable_after: Duration,
    /// The wait after a second quick death; doubled with every further one. There is none after the first.
    pub first_delay: Duration,
    /// The longest wait.
    pub longest_delay: Duration,
    /// Quick deaths in a row after which it is given up.
    pub deaths: u32,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            stable_after: Duration::from_secs(30),
            first_delay: Duration::from_millis(250),
            longest_delay: Duration::from_secs(30),
            deaths: 8,
        }
    }
}

impl RestartPolicy {
    /// How long to wait after this many quick deaths in a row; `None` to give up.
    pub(super) fn delay(&self, deaths: u32) -> Option<Duration> {
        match deaths {
            _ if deaths >= self.deaths => None,
            0 | 1 => Some(Duration::ZERO),
            _ => Some(self.first_delay.saturating_mul(1 << (deaths - 2).min(20)).min(self.longest_delay)),
        }
    }
}

/// What [`EngineLaunch::choose`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenEngine {
    /// The executable.
    pub executable: PathBuf,
    /// The devices it can use here, best first; never empty.
    pub devices: Vec<DeviceReport>,
}

const PLAIN: &str = "computepool-engine";
const CUDA: &str = "computepool-engine-cuda";

/// A probe that takes longer has failed. (A first contact with a driver takes seconds.)
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

impl EngineLaunch {
    /// One processor thread of `executable`, with the usual timing.
    pub fn new(executable: impl Into<PathBuf>, catalogue: Catalogue) -> Self {
        Self {
            executable: executable.into(),
            threads: 1,
            device: DeviceChoice::Cpu,
            catalogue,
            environment: Vec::new(),
            timing: Timing::default(),
            restart: RestartPolicy::default(),
        }
    }

    /// Chooses among the engines in `folder` (that of the current executable): the one for CUDA where it is installed,
    /// starts, and finds a device; otherwise the plain one. Without driver or libraries the loader ends the former before
    /// it begins (status 127), which only means that there is no CUDA here.
    pub async fn choose(folder: &Path) -> Result<ChosenEngine, Fault> {
        let named = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        let cuda = named(CUDA);
        if cuda.is_file() {
            match probe(&cuda).await {
                Ok(mut report) => {
                    report.devices.retain(|device| matches!(device.device, DeviceChoice::Cuda(_)));
                    if !report.devices.is_empty() {
                        return Ok(ChosenEngine { executable: cuda, devices: report.devices });
                    }
                    tracing::info!("no CUDA device here: using the engine for processors");
                }
                Err(reason) => {
                    tracing::info!(reason, "the CUDA engine does not start here: using the one for processors")
                }
            }
        }
        let plain = named(PLAIN);
        match probe(&plain).await {
            Ok(report) if !report.devices.is_empty() => Ok(ChosenEngine { executable: plain, devices: report.devices }),
            Ok(_) => Err(unusable(&plain, "it finds no device")),
            Err(reason) => Err(unusable(&plain, &reason)),
        }
    }

    /// What the process is told of how to compute.
    pub(super) fn options(&self) -> EngineOptions {
        EngineOptions { threads: self.threads.max(1), device: self.device }
    }

    /// The command that starts the process, in an environment of its own.
    pub(super) fn command(&self) -> Command {
        let mut command = environment::command(&self.executable);
        let threads = self.threads.max(1).to_string();
        command.env("RAYON_NUM_THREADS", &threads).env("CANDLE_NUM_THREADS", &threads);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

fn unusable(executable: &Path, reason: &str) -> Fault {
    Fault::new(FaultCode::Io, format!("the engine {} cannot be used: {reason}", executable.display()))
        .hint("install ComputePool again, or build the whole workspace")
}

/// Asks an executable for its devices.
async fn probe(executable: &Path) -> Result<ProbeReport, String> {
    let mut command = environment::command(executable);
    command.arg("--probe").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let output = tokio::time::timeout(PROBE_TIMEOUT, command.output())
        .await
        .map_err(|_| format!("it did not answer within {} s", PROBE_TIMEOUT.as_secs()))?
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("its answer cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_their_limit_and_then_it_is_given_up() {
        let policy = RestartPolicy {
            first_delay: Duration::from_millis(100),
            longest_delay: Duration::from_millis(350),
            deaths: 6,
            ..RestartPolicy::default()
        };
        let waits: Vec<_> = (1..8).map(|deaths| policy.delay(deaths).map(|delay| delay.as_millis())).collect();
        assert_eq!(waits, [Some(0), Some(100), Some(200), Some(350), Some(350), None, None]);
        let endless = RestartPolicy { deaths: u32::MAX, ..RestartPolicy::default() };
        assert_eq!(endless.delay(4_000_000), Some(endless.longest_delay));
    }
}
