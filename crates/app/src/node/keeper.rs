//! Keeps a node linked to its orchestrator: one after another around the same engine, as the link comes and goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use computepool_core::control::{CONTROL_VERSION, NodeMessage, OrchestratorMessage};
use computepool_core::ports::{IncomingLane, SystemClock, Weights};
use computepool_core::{EngineUsage, Fault, NodeId, Proposal};
use computepool_engine::client::EngineSnapshot;
use computepool_node::{ExitReason, Feed, Node, NodeHandle, NodeOptions, NodeParts, SharedEngine};
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

/// What a node is to do with its machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duty {
    /// Serve.
    #[default]
    Serve,
    /// Take nothing new, finish what runs, then give the machine back.
    Finish,
    /// Give the machine back now; what runs goes on elsewhere.
    Release,
}

/// Whether a node is linked to its orchestrator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// It has not been yet, and nothing was wrong so far; or it rests, and needs no link.
    #[default]
    Unneeded,
    /// It is.
    Up,
    /// It was, or should be, and is tried again and again.
    Lost {
        /// Why, for people.
        why: String,
    },
}

/// The wait before the orchestrator is tried again; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A link that lasted this long was a good one: after it the first pause is short again.
const GOOD_LINK: Duration = Duration::from_secs(30);

/// How long a node that was told to leave lets running generations go on, and how long its engine may take to free
/// them.
const DRAIN: Duration = Duration::from_secs(10);
const FREE: Duration = Duration::from_secs(3);

/// How long what runs has to be handed over when the owner comes back, and how long after that the engine is left to end
/// by itself. With the time that a process takes to go, the memory is back within two seconds.
const HAND_OVER: Duration = Duration::from_millis(1_000);
const CUT: Duration = Duration::from_millis(200);

/// How long a node that is to finish what runs may take for it.
const FINISH: Duration = Duration::from_secs(15 * 60);

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
    pub(super) duty: watch::Receiver<Duty>,
    pub(super) link: watch::Sender<Link>,
    pub(super) leaving: CancellationToken,
}

impl Keeper {
    pub(super) async fn run(self) -> ExitReason {
        let mut pause = FIRST_PAUSE;
        loop {
            if self.duty() != Duty::Serve {
                self.link.send_replace(Link::Unneeded);
                if self.rest().await.is_none() {
                    return ExitReason::Shutdown;
                }
                pause = FIRST_PAUSE;
            }
            let options = ControlOptions::default();
            self.engine.rouse();
            let connect = async {
                tokio::select! {
                    biased;
                    () = self.off_duty() => None,
                    linked = ControlClient::connect(&self.network, &self.issuer, &self.addresses, options) => Some(linked),
                }
            };
            let Some(linked) = self.leaving.run_until_cancelled(connect).await else { return ExitReason::Shutdown };
            match linked {
                None => continue,
                Some(Ok((sender, messages))) => {
                    let linked = Instant::now();
                    tracing::info!(orchestrator = %self.issuer, "linked to the orchestrator");
                    self.link.send_replace(Link::Up);
                    match self.serve(sender.clone(), messages).await {
                        // An orchestrator that goes away in order comes back like one that crashed.
                        Ok(reason @ (ExitReason::ControlLost | ExitReason::ControlStalled | ExitReason::Left)) => {
                            let why = sender.ended().map(|fault| fault.to_string()).unwrap_or_default();
                            tracing::warn!(%reason, why, "no longer linked to the orchestrator; trying again");
                            self.link.send_replace(Link::Lost { why: reason.to_string() });
                        }
                        Ok(ExitReason::Shutdown) if !self.leaving.is_cancelled() => continue,
                        Ok(reason) => return reason,
                        Err(fault) => tracing::error!(%fault, "this node cannot describe itself; trying again"),
                    }
                    if linked.elapsed() > GOOD_LINK {
                        pause = FIRST_PAUSE;
                    }
                }
                Some(Err(fault)) => {
                    tracing::warn!(%fault, "the orchestrator cannot be reached; trying again");
                    self.link.send_replace(Link::Lost { why: fault.message });
                }
            }
            let slept = async {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.off_duty() => {}
                }
            };
            if self.leaving.run_until_cancelled(slept).await.is_none() {
                return ExitReason::Shutdown;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn duty(&self) -> Duty {
        *self.duty.borrow()
    }

    /// Waits until it is to do something else than serve. Its setter lives as long as the node.
    async fn off_duty(&self) {
        let mut duty = self.duty.clone();
        if duty.wait_for(|duty| *duty != Duty::Serve).await.is_err() {
            std::future::pending().await
        }
    }

    /// Gives the machine back, and waits until it is to serve again; `None` if it is to leave instead.
    async fn rest(&self) -> Option<()> {
        self.engine.rest().await;
        tracing::info!("this node rests: its memory is given back");
        let mut duty = self.duty.clone();
        let serve = async {
            if duty.wait_for(|duty| *duty == Duty::Serve).await.is_err() {
                std::future::pending().await
            }
        };
        self.leaving.run_until_cancelled(serve).await
    }

    /// Sees a node to its end when the machine is wanted back. Whoever comes back to the machine does not wait for what
    /// runs: it has a moment to be handed over, and what was not goes on elsewhere as after a loss.
    async fn hand_over(&self, node: &mut NodeHandle) -> ExitReason {
        let mut duty = self.duty.clone();
        loop {
            let told = *duty.borrow_and_update();
            // Told to serve again while it finishes, it finishes first: what was promised to others is under way.
            node.drain_within(if told == Duty::Release { HAND_OVER } else { FINISH });
            let cut = async {
                match told {
                    Duty::Release => tokio::time::sleep(HAND_OVER + CUT).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                reason = node.wait() => return reason,
                () = cut => {
                    self.engine.rest().await;
                    return node.wait().await;
                }
                () = self.leaving.cancelled() => {
                    node.drain();
                    return node.wait().await;
                }
                Ok(()) = duty.changed() => {}
            }
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
            () = self.leaving.cancelled() => {
                node.drain();
                node.wait().await
            }
            () = self.off_duty() => self.hand_over(&mut node).await,
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
