//! The application with all that it looks through and, to try it, a network with play money around it: the same for every
//! host.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use computepool_core::Fault;
use computepool_model::catalogue::ModelSource;
use computepool_sensors::{SensorOptions, Sensors};

use super::{Desktop, DesktopOptions, Host};
use crate::cluster::{Cluster, ClusterSettings};

/// How the application is launched.
pub struct Launch {
    /// Where settings, wallets and conversations are; the user's data folder where none is named.
    pub data: Option<PathBuf>,
    /// The models on the disk.
    pub models: Vec<ModelSource>,
    /// The folder of the engine executables; that of this program where none is named.
    pub engines: Option<PathBuf>,
    /// The chain's card; the user's where none is named.
    pub chain: Option<PathBuf>,
    /// A network of processes on this machine, to try everything with play money.
    pub trial: Option<ClusterSettings>,
    /// What carries it.
    pub host: Arc<dyn Host>,
}

/// A launched application.
pub struct Launched {
    desktop: Desktop,
    trial: Option<Cluster>,
    _sensors: Sensors,
}

impl Launched {
    /// Launches it.
    pub async fn start(launch: Launch) -> Result<Self, Fault> {
        let trial = match &launch.trial {
            Some(settings) => Some(Cluster::start(settings).await?),
            None => None,
        };
        let pids: Arc<Mutex<Vec<u32>>> = Arc::default();
        let own = pids.clone();
        let own = move || own.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sensors = Sensors::start(SensorOptions { own: Arc::new(own), ..SensorOptions::default() });
        let devnet = trial.as_ref().and_then(Cluster::devnet);
        let desktop = Desktop::start(DesktopOptions {
            folder: launch.data,
            models: launch.models,
            engines: launch.engines,
            seen: sensors.watch(),
            pids,
            loopback: trial.is_some(),
            chain: devnet.map(|devnet| devnet.chain.clone()).or(launch.chain),
            wallets: None,
            invite: trial.as_ref().map(|trial| trial.address().invite.to_string()),
            endpoint: trial.as_ref().map(|trial| trial.api().to_owned()),
            endpoint_key: trial.as_ref().and_then(|trial| trial.key().map(str::to_owned)),
            host: launch.host,
        })?;
        Ok(Self { desktop, trial, _sensors: sensors })
    }

    /// The application.
    pub fn desktop(&self) -> &Desktop {
        &self.desktop
    }

    /// The network around it, where it was launched with one.
    pub fn trial(&mut self) -> Option<&mut Cluster> {
        self.trial.as_mut()
    }

    /// Hands everything over and ends; whether every process left in order.
    pub async fn quit(self) -> bool {
        self.desktop.quit().await;
        match self.trial {
            Some(trial) => trial.leave().await,
            None => true,
        }
    }
}
