//! Keeps a node linked to its orchestrator: one after another around the same engine, as the link comes and goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use computepool_core::control::{CONTROL_VERSION, NodeMessage, OrchestratorMessage};
use computepool_core::ports::{IncomingLane, SystemClock, Weights};
use computepool_core::{EngineUsage, Fault, NodeId, Proposal};
use computepool_engine::client::EngineSnapshot;
use computepool_node::{ExitReason, Feed, Node, NodeOptions, NodeParts, SharedEngine};
use computepool_transport::control::{ControlClient, ControlOptions, ControlSender};
use computepool_transport::lanes::HopLinks;
use computepool_transport::{Identity, Network, PeerVerifier};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::advert::Announcer;
use super::operator::Operator;

/// The wait before the orchestrator is tried again; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A link that lasted this long was a good one: after it the first pause is short again.
const GOOD_LINK: Duration = Duration::from_secs(30);

/// How long a node that was told to leave lets running generations go on, and how long its engine may take to free
/// them.
const DRAIN: Duration = Duration::from_secs(10);
const FREE: Duration = Duration::from_secs(3);

/// How often the engine is asked what it uses, and the orchestrator told, where that has changed.
pub(super) const USAGE_EVERY: Duration = Duration::from_millis(250);

/// Lists of peers to probe that may wait; the orchestrator asks again for what finds no room.
const PROBES: usize = 4;

/// Proposals of coalitions that may wait; the orchestrator makes those again that find no room.
const PROPOSALS: usize = 4;

pub(super) struct Keeper {
    pub(super) identity: Arc<Identity>,
    pub(super) issuer: NodeId,
    pub(super) addresses: Vec<String>,
    pub(super) network: Network,
    pub(super) engine: Arc<SharedEngine>,
    pub(super) snapshot: watch::Receiver<EngineSnapshot>,
    pub(super) links: Arc<HopLinks>,
    pub(super) lanes: Feed<IncomingLane>,
    pub(super) weights: Option<Arc<dyn Weights>>,
    pub(super) announcer: Arc<Announcer>,
    pub(super) operator: Option<Arc<Operator>>,
    pub(super) leaving: CancellationToken,
}

impl Keeper {
    pub(super) async fn run(self) -> ExitReason {
        let mut pause = FIRST_PAUSE;
        loop {
            let options = ControlOptions::default();
            let connect = ControlClient::connect(&self.network, &self.issuer, &self.addresses, options);
            match self.leaving.run_until_cancelled(connect).await {
                None => return ExitReason::Shutdown,
                Some(Ok((sender, messages))) => {
                    let linked = Instant::now();
                    tracing::info!(orchestrator = %self.issuer, "linked to the orchestrator");
                    match self.serve(sender.clone(), messages).await {
                        // An orchestrator that goes away in order comes back like one that crashed.
                        Ok(reason @ (ExitReason::ControlLost | ExitReason::ControlStalled | ExitReason::Left)) => {
                            let why = sender.ended().map(|fault| fault.to_string()).unwrap_or_default();
                            tracing::warn!(%reason, why, "no longer linked to the orchestrator; trying again");
                        }
                        Ok(reason) => return reason,
                        Err(fault) => tracing::error!(%fault, "this node cannot describe itself; trying again"),
                    }
                    if linked.elapsed() > GOOD_LINK {
                        pause = FIRST_PAUSE;
                    }
                }
                Some(Err(fault)) => tracing::warn!(%fault, "the orchestrator cannot be reached; trying again"),
            }
            if self.leaving.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return ExitReason::Shutdown;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn serve(
        &self,
        sender: ControlSender,
        messages: BoxStream<'static, OrchestratorMessage>,
    ) -> Result<ExitReason, Fault> {
        let hello = NodeMessage::Hello { version: CONTROL_VERSION, advert: self.announcer.advert()? };
        let (control_out, queue) = mpsc::channel(256);
        let (probes, asked) = mpsc::channel(PROBES);
        let adverts = self.announcer.subscribe();
        let forward = tokio::spawn(forward(queue, self.snapshot.clone(), adverts, sender));
        let announcer = self.announcer.clone();
        // Ends with the link: the sender of what is asked lives in the stream of its messages.
        let probing = tokio::spawn(async move { announcer.probe_all(asked).await });
        let (proposals, proposed) = mpsc::channel(PROPOSALS);
        let engaging = self.operator.clone().map(|operator| operator.answer_all(proposed, control_out.clone()));
        let engaging = engaging.map(tokio::spawn);
        let mut node = Node::start(NodeParts {
            identity: self.identity.clone(),
            verifier: Arc::new(PeerVerifier),
            clock: Arc::new(SystemClock),
            issuer: self.issuer.clone(),
            engine: self.engine.clone(),
            links: self.links.clone(),
            lanes: self.lanes.clone(),
            weights: self.weights.clone(),
            control_out,
            control_in: without_asides(messages, probes, proposals),
            hello,
            options: NodeOptions { drain_patience: DRAIN, close_patience: FREE, ..NodeOptions::default() },
        });
        let reason = tokio::select! {
            reason = node.wait() => reason,
            () = self.leaving.cancelled() => node.shutdown().await,
        };
        probing.abort();
        if let Some(engaging) = engaging {
            engaging.abort();
        }
        forward.await.ok();
        Ok(reason)
    }
}

/// Takes what is not about the shard out of what the orchestrator says: requests to probe, and proposals of coalitions.
fn without_asides(
    messages: BoxStream<'static, OrchestratorMessage>,
    probes: mpsc::Sender<Vec<computepool_core::control::Contact>>,
    proposals: mpsc::Sender<Proposal>,
) -> BoxStream<'static, OrchestratorMessage> {
    let sorted = messages.filter_map(move |message| {
        let rest = match message {
            OrchestratorMessage::Probe { peers } => {
                if probes.try_send(peers).is_err() {
                    tracing::debug!("more peers are to be probed than there is time for");
                }
                None
            }
            OrchestratorMessage::Propose(proposal) => {
                // Fails also where nobody is to be paid: then the orchestrator should not have asked.
                if proposals.try_send(*proposal).is_err() {
                    tracing::debug!("a proposal is left unanswered");
                }
                None
            }
            other => Some(other),
        };
        futures::future::ready(rest)
    });
    sorted.boxed()
}

/// Writes what a node says onto its control link, and between that what its engine uses and how it describes itself.
async fn forward(
    mut queue: mpsc::Receiver<NodeMessage>,
    engine: watch::Receiver<EngineSnapshot>,
    mut adverts: watch::Receiver<Option<computepool_core::Sealed>>,
    sender: ControlSender,
) {
    let mut told = None;
    let mut ticks = tokio::time::interval(USAGE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut greeted = false;
    loop {
        let message = tokio::select! {
            biased;
            message = queue.recv() => match message {
                Some(message) => message,
                None => return,
            },
            // The first message is the hello; nothing may go before it.
            Ok(()) = adverts.changed(), if greeted => match adverts.borrow_and_update().clone() {
                Some(advert) => NodeMessage::Advert(advert),
                None => continue,
            },
            _ = ticks.tick(), if greeted => match news(&mut told, &engine.borrow()) {
                Some(usage) => NodeMessage::Usage(usage),
                None => continue,
            },
        };
        greeted = true;
        if let Err(fault) = sender.send(&message).await {
            tracing::debug!(%fault, "the control link ended");
            return;
        }
    }
}

/// What the engine uses, where that is not what was told last.
fn news(told: &mut Option<EngineUsage>, engine: &EngineSnapshot) -> Option<EngineUsage> {
    let usage = EngineUsage {
        pid: engine.pid,
        rss_bytes: engine.rss_bytes,
        peak_rss_bytes: engine.peak_rss_bytes,
        kv_tokens_used: engine.kv_tokens_used,
    };
    (told.replace(usage) != Some(usage)).then_some(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_told_once_and_again_when_it_changes() {
        let mut told = None;
        let mut engine = EngineSnapshot { pid: Some(7), kv_tokens_used: 40, ..EngineSnapshot::default() };
        let first = news(&mut told, &engine).unwrap();
        assert_eq!((first.pid, first.kv_tokens_used), (Some(7), 40));
        engine.starts += 1;
        assert_eq!(news(&mut told, &engine), None, "nothing the orchestrator is told has changed");
        engine.kv_tokens_used = 0;
        assert_eq!(news(&mut told, &engine).unwrap().kv_tokens_used, 0);
    }
}
