//! `computepool node`, `computepool orchestrator` and `computepool relay`: one serving process.

use std::num::NonZeroU32;
use std::time::Duration;

use computepool_app::node::{NodeSettings, RunningNode, invite};
use computepool_app::orchestrator::{OrchestratorSettings, RunningOrchestrator};
use computepool_app::relay::{RelaySettings, RunningRelay};
use computepool_app::supervised::{announce, asked_to_end, told_to_leave};
use computepool_app::{ApiKey, KeyLimits, ModelSource, RelayLimits, paths};
use computepool_core::{Fault, FaultCode};

use crate::arguments::{AcceptedKey, NodeArguments, OrchestratorArguments, RelayArguments, ServingArguments};

/// An orchestrator's port: nodes are given its address, so it must be the same after a restart.
const ORCHESTRATOR: [&str; 2] = ["/ip4/0.0.0.0/tcp/8643", "/ip4/0.0.0.0/udp/8643/quic-v1"];
/// A relay's port, for the same reason.
const RELAY: [&str; 2] = ["/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1"];
const EVERYWHERE: [&str; 2] = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];
const LOOPBACK: [&str; 2] = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"];

impl ServingArguments {
    fn addresses(&self, usual: [&str; 2]) -> Vec<String> {
        match (self.loopback, self.listen.is_empty()) {
            (true, true) => LOOPBACK.map(str::to_owned).to_vec(),
            (false, true) => usual.map(str::to_owned).to_vec(),
            (_, false) => self.listen.clone(),
        }
    }

    fn identity(&self, role: &str) -> Result<Option<std::path::PathBuf>, Fault> {
        match (&self.identity, self.ephemeral) {
            (_, true) => Ok(None),
            (Some(path), false) => Ok(Some(path.clone())),
            (None, false) => Ok(Some(paths::data_folder()?.join(format!("{role}.key")))),
        }
    }

    /// Until the parent closes the pipe, or the user presses Ctrl-C.
    async fn told_to_leave(&self) {
        if self.supervised {
            told_to_leave().await;
        } else {
            asked_to_end().await;
        }
    }
}

/// The given sources, or the user's model folder.
pub(crate) fn sources(given: Vec<ModelSource>) -> Result<Vec<ModelSource>, Fault> {
    if given.is_empty() {
        let folder = paths::cache_folder()?.join("models");
        paths::make_folder(&folder)?;
        return Ok(vec![ModelSource { id: None, path: folder }]);
    }
    Ok(given)
}

/// Serves as a node until told to leave.
pub(crate) async fn node(arguments: NodeArguments) -> Result<(), Fault> {
    let serving = &arguments.serving;
    let spare = std::thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).max(1)) as u32;
    let settings = NodeSettings {
        name: arguments.name.unwrap_or_else(|| "node".to_owned()),
        identity: serving.identity("node")?,
        listen: serving.addresses(EVERYWHERE),
        external: serving.external.clone(),
        join: match arguments.join {
            Some(invite) => invite,
            None => invite(&arguments.orchestrator)?,
        },
        outward: !serving.loopback,
        models: match (arguments.models.is_empty(), arguments.shelf.fetch.is_some()) {
            (true, true) => Vec::new(),
            _ => sources(arguments.models)?,
        },
        shelf: arguments.shelf.settings(),
        layers: arguments.layers,
        memory_bytes: arguments.memory_mb.map(|mb| mb << 20),
        threads: arguments.threads.unwrap_or(spare),
        earn: arguments.earn.settings()?,
        engines: None,
    };
    let mut node = RunningNode::start(settings).await?;
    if serving.supervised {
        announce(node.address())?;
    } else {
        println!("Node {} is up. Ctrl-C finishes what runs and leaves.", node.address().node);
    }
    let ended = tokio::select! {
        () = serving.told_to_leave() => None,
        reason = node.ended() => Some(reason),
    };
    node.leave().await;
    match ended {
        None => Ok(()),
        Some(reason) => Err(Fault::new(FaultCode::NodeLost, format!("this node has ended: {reason}"))),
    }
}

/// Serves as an orchestrator until told to leave.
pub(crate) async fn orchestrator(arguments: OrchestratorArguments) -> Result<(), Fault> {
    let serving = &arguments.serving;
    let key_limits = KeyLimits {
        generations: arguments.key_generations,
        per_minute: NonZeroU32::new(arguments.key_requests_per_minute),
        burst: None,
    };
    let money = arguments.sell.settings(serving.ephemeral)?;
    if !arguments.api.ip().is_loopback() && arguments.key_sha256.is_empty() && money.is_none() {
        return Err(Fault::new(FaultCode::InvalidRequest, "an endpoint that others can reach needs an API key")
            .hint("give the SHA-256 of a key with --key-sha256, be paid with --wallet, or listen on 127.0.0.1"));
    }
    let key = |accepted: AcceptedKey| ApiKey {
        digest: accepted.digest,
        limits: accepted.per_minute.map(|rate| KeyLimits { per_minute: Some(rate), ..key_limits }),
    };
    let settings = OrchestratorSettings {
        identity: serving.identity("orchestrator")?,
        listen: serving.addresses(ORCHESTRATOR),
        external: serving.external.clone(),
        relays: arguments.relays_via,
        relay: arguments.relay,
        outward: !serving.loopback,
        state: match (arguments.state, serving.ephemeral) {
            (Some(state), _) => Some(state),
            (None, true) => None,
            (None, false) => Some(paths::data_folder()?.join("orchestrator.db").display().to_string()),
        },
        models: sources(arguments.model)?,
        share: arguments.shelf.settings().map(|shelf| (shelf, arguments.weights_url)),
        shards: arguments.shards,
        patience: Duration::from_secs(arguments.patience),
        max_context: arguments.context,
        kv_bytes: arguments.kv_mb << 20,
        max_generations: arguments.key_generations,
        api: Some(arguments.api),
        keys: arguments.key_sha256.into_iter().map(key).collect(),
        key_limits,
        allowed_origins: arguments.allow_origin,
        money,
    };
    let running = RunningOrchestrator::start(settings).await?;
    if serving.supervised {
        announce(running.address())?;
    } else {
        println!("Endpoint: {}", running.address().api.as_deref().unwrap_or("none"));
        println!("Nodes join with:\n  computepool node --join '{}'", running.address().invite);
    }
    serving.told_to_leave().await;
    running.leave().await;
    Ok(())
}

/// Serves as a relay until told to leave.
pub(crate) async fn relay(arguments: RelayArguments) -> Result<(), Fault> {
    let serving = &arguments.serving;
    let limits = RelayLimits {
        max_reservations: arguments.reservations,
        max_circuits: arguments.circuits,
        ..RelayLimits::default()
    };
    let settings = RelaySettings {
        identity: serving.identity("relay")?,
        listen: serving.addresses(RELAY),
        external: serving.external.clone(),
        limits,
    };
    let relay = RunningRelay::start(settings).await?;
    if serving.supervised {
        announce(relay.address())?;
    } else {
        println!("Relay {} is up. Name it to an orchestrator with:", relay.address().node);
        for address in &relay.address().addresses {
            println!("  --relays-via {address}");
        }
    }
    serving.told_to_leave().await;
    relay.leave().await;
    Ok(())
}
