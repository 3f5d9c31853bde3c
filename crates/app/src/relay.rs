//! A relay: a public machine through which nodes are reached that nobody can dial, and that tells nodes how they look
//! from outside. It carries what passes between them sealed, and knows no model and no orchestrator.

use std::path::PathBuf;

use computepool_core::{Fault, NodeId};
use computepool_transport::{Network, NetworkOptions, RelayLimits};
use serde::{Deserialize, Serialize};

use crate::identity::{IdentityLock, identity};

/// How a relay is set up.
#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// Where its identity is kept; `None` makes one for this run.
    pub identity: Option<PathBuf>,
    /// Where it listens, as multiaddresses.
    pub listen: Vec<String>,
    /// Public addresses of this machine that its owner knows of, as multiaddresses.
    pub external: Vec<String>,
    /// What it carries.
    pub limits: RelayLimits,
}

/// How a running relay is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RelayAddress {
    /// Its peer id.
    pub node: NodeId,
    /// Multiaddresses with the peer id at the end, for `computepool orchestrator --relays-via`.
    pub addresses: Vec<String>,
}

/// A running relay.
pub struct RunningRelay {
    network: Network,
    address: RelayAddress,
    _identity: IdentityLock,
}

impl RunningRelay {
    /// Starts one.
    pub async fn start(settings: RelaySettings) -> Result<Self, Fault> {
        let (identity, lock) = identity(settings.identity.as_deref())?;
        let options = NetworkOptions {
            listen: settings.listen,
            external: settings.external.clone(),
            relay_server: Some(settings.limits),
            nat: true,
            kad: true,
            max_connections: 4096,
            ..NetworkOptions::default()
        };
        let network = Network::start(&identity, options).await?;
        let node = network.node().clone();
        let at = if settings.external.is_empty() { network.addresses() } else { settings.external };
        let addresses = at.iter().map(|address| format!("{address}/p2p/{node}")).collect();
        Ok(Self { network, address: RelayAddress { node, addresses }, _identity: lock })
    }

    /// How it is reached.
    pub fn address(&self) -> &RelayAddress {
        &self.address
    }

    /// Ends all circuits and stops.
    pub async fn leave(self) {
        self.network.shutdown().await;
    }
}
