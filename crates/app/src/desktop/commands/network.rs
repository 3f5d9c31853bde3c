//! The network that the machine is in, and the models: who holds what, how fast, and what would fit here.

use computepool_core::ports::{NetworkStatus, ShardPhase};
use computepool_core::{Fault, FaultCode, LayerRange, PathKind};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::super::Desktop;
use super::Nothing;
use crate::models;

/// A network as its orchestrator knows it.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct NetworkView {
    /// How each model is served.
    pools: Vec<PoolView>,
    /// The machines.
    nodes: Vec<PeerView>,
    /// Answers under way.
    #[ts(type = "number")]
    generations: u64,
    /// Answers that went on elsewhere after a loss.
    #[ts(type = "number")]
    failovers: u64,
    /// Answers that were handed over because a machine left.
    #[ts(type = "number")]
    handovers: u64,
}

/// How a model is served.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct PoolView {
    /// Which model.
    model: String,
    /// The places of a route, in order.
    places: Vec<PlaceView>,
    /// How many machines could be lost at any place without a gap; nothing while there is a gap.
    spares: Option<u32>,
    /// Microseconds from one token to the next, as it was lately.
    #[ts(type = "number | null")]
    token_us: Option<u64>,
    /// The same, as it was predicted.
    #[ts(type = "number | null")]
    predicted_token_us: Option<u64>,
    /// What would help it.
    advice: Option<String>,
}

/// A place of a route.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct PlaceView {
    /// Its first block.
    from: u32,
    /// The block after its last.
    to: u32,
    /// Machines that serve it.
    ready: Vec<String>,
    /// Machines that are loading it.
    coming: Vec<String>,
}

/// A machine of the network.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct PeerView {
    /// Its peer id.
    id: String,
    /// What its owner calls it.
    name: String,
    /// It is this one.
    mine: bool,
    /// `idle`, `loading`, `ready`, `down` or `draining`.
    phase: String,
    /// Why.
    reason: String,
    /// Bytes of weights that it holds.
    #[ts(type = "number | null")]
    weight_bytes: Option<u64>,
    /// Answers it takes part in.
    #[ts(type = "number")]
    generations: u64,
    /// Paths that it has measured.
    links: Vec<LinkView>,
    /// Who is paid for it.
    operator: Option<String>,
}

/// A path between two machines.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct LinkView {
    /// To whom.
    to: String,
    /// Microseconds there and back.
    #[ts(type = "number")]
    rtt_us: u64,
    /// `lan`, `direct` or `relayed`.
    kind: String,
}

/// A context to reckon with.
#[derive(Clone, Copy, Debug, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Context {
    /// Tokens of KV, all conversations together.
    tokens: u32,
}

/// A model on the disk.
#[derive(Serialize, TS)]
pub(in crate::desktop) struct ModelView {
    /// Its name.
    id: String,
    /// Its content's hash.
    hash: String,
    /// Its architecture.
    architecture: String,
    /// Its blocks.
    layers: u32,
    /// The longest conversation that it was made for, in tokens.
    context: u32,
    /// Where it lies.
    path: String,
    /// Bytes of its weights.
    #[ts(type = "number")]
    weights: u64,
    /// Bytes of KV for the context that was asked about.
    #[ts(type = "number")]
    kv: u64,
    /// Bytes beside these.
    #[ts(type = "number")]
    reserve: u64,
    /// Bytes that this machine could offer: a GPU's memory less the owner's reserve, or half of its own.
    #[ts(type = "number")]
    memory: u64,
    /// How it fits.
    fit: Fit,
    /// With how many machines like this one it would fit.
    machines: u32,
}

/// How a model fits into a machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "snake_case")]
pub(in crate::desktop) enum Fit {
    /// With room to spare.
    Comfortable,
    /// Just so.
    Tight,
    /// With others' machines.
    Shared,
    /// Not with a hundred of them.
    TooLarge,
}

/// What may be used of what there is before it counts as tight.
const COMFORTABLE_PERCENT: u64 = 70;
const MOST_MACHINES: u64 = 100;

impl NetworkView {
    /// The places of the longest route.
    pub(super) fn most_places(&self) -> u32 {
        u32::try_from(self.pools.iter().map(|pool| pool.places.len()).max().unwrap_or(0)).unwrap_or(u32::MAX)
    }
}

impl Desktop {
    /// Answers that the network is giving now.
    pub(in crate::desktop) async fn answers_under_way(&self) -> Result<u64, Fault> {
        Ok(network(self, Nothing {}).await?.generations)
    }
}

pub(super) async fn network(desktop: &Desktop, _: Nothing) -> Result<NetworkView, Fault> {
    let network: NetworkStatus = serde_json::from_value(desktop.0.chat.owner(desktop)?.get("/network").await?)
        .map_err(|error| Fault::new(FaultCode::BadFrame, format!("the endpoint says of its network: {error}")))?;
    let mine = desktop.0.sharing.borrow().node.clone();
    let pools = network.pools.iter().map(|pool| PoolView {
        model: pool.model.to_string(),
        places: pool
            .places
            .iter()
            .map(|place| PlaceView {
                from: place.layers.start(),
                to: place.layers.end(),
                ready: place.ready.iter().map(ToString::to_string).collect(),
                coming: place.coming.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        spares: pool.spares,
        token_us: pool.measured.map(|pace| pace.token_us),
        predicted_token_us: pool.predicted.map(|pace| pace.token_us),
        advice: pool.advice.clone(),
    });
    let nodes = network.nodes.iter().map(|node| PeerView {
        id: node.node.to_string(),
        name: node.name.clone(),
        mine: mine.as_deref() == Some(node.node.as_str()),
        phase: match node.phase {
            ShardPhase::Idle => "idle",
            ShardPhase::Loading => "loading",
            ShardPhase::Ready => "ready",
            ShardPhase::Down => "down",
            ShardPhase::Draining => "draining",
        }
        .to_owned(),
        reason: node.reason.clone(),
        weight_bytes: node.shard.as_ref().map(|shard| shard.weight_bytes),
        generations: node.generations,
        links: node
            .links
            .iter()
            .map(|link| LinkView {
                to: link.peer.to_string(),
                rtt_us: link.rtt_us,
                kind: match link.kind {
                    PathKind::Lan => "lan",
                    PathKind::Direct => "direct",
                    PathKind::Relayed => "relayed",
                }
                .to_owned(),
            })
            .collect(),
        operator: node.operator.map(|operator| operator.to_string()),
    });
    Ok(NetworkView {
        pools: pools.collect(),
        nodes: nodes.collect(),
        generations: network.generations,
        failovers: network.failovers,
        handovers: network.handovers,
    })
}

pub(super) async fn local_models(desktop: &Desktop, context: Context) -> Result<Vec<ModelView>, Fault> {
    let catalogue = models::scan(desktop.model_sources()).await?;
    let memory = desktop.memory();
    let mut views = Vec::new();
    for entry in catalogue.entries() {
        let summary = &entry.summary;
        let whole = LayerRange::new(0, summary.layer_count)?;
        let estimate = models::fit(entry, whole, u64::from(context.tokens.max(1)))?;
        let machines = machines(estimate.weights.saturating_add(estimate.kv), estimate.reserve, memory);
        views.push(ModelView {
            id: summary.id.to_string(),
            hash: summary.hash.to_string(),
            architecture: summary.architecture.clone(),
            layers: summary.layer_count,
            context: summary.context,
            path: entry.path.display().to_string(),
            weights: estimate.weights,
            kv: estimate.kv,
            reserve: estimate.reserve,
            memory,
            fit: fit(estimate.total(), memory, machines, summary.layer_count),
            machines: u32::try_from(machines).unwrap_or(u32::MAX),
        });
    }
    Ok(views)
}

/// Each machine needs its reserve, and what is shared out is shared evenly.
fn machines(shared: u64, reserve: u64, memory: u64) -> u64 {
    match memory.saturating_sub(reserve) {
        0 => u64::MAX,
        room => shared.div_ceil(room).max(1),
    }
}

fn fit(total: u64, memory: u64, machines: u64, layers: u32) -> Fit {
    match machines {
        _ if total.saturating_mul(100) <= memory.saturating_mul(COMFORTABLE_PERCENT) => Fit::Comfortable,
        1 => Fit::Tight,
        // No machine holds less than a block.
        some if some <= MOST_MACHINES.min(u64::from(layers)) => Fit::Shared,
        _ => Fit::TooLarge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_follow_from_the_memory() {
        let of = |shared: u64, memory: u64| fit(shared + 10, memory, machines(shared, 10, memory), 32);
        assert_eq!(of(60, 100), Fit::Comfortable);
        assert_eq!(of(61, 100), Fit::Tight);
        assert_eq!(of(90, 100), Fit::Tight);
        assert_eq!(of(91, 100), Fit::Shared);
        assert_eq!(machines(181, 10, 100), 3);
        assert_eq!(of(90 * 32, 100), Fit::Shared);
        assert_eq!(of(90 * 32 + 1, 100), Fit::TooLarge);
        assert_eq!(of(1, 5), Fit::TooLarge);
    }
}
