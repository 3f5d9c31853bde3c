//! Proposals to operators, and their answers: beside what orchestrator and nodes say of shards, on the same links.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_core::ports::{CoalitionId, ControlEvent, ControlServer};
use computepool_core::{Commitment, Fault, FaultCode, NodeId, Proposal};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::oneshot;

/// How long an operator may take to sign: its wallet may have to write to a slow disk.
const ANSWER: Duration = Duration::from_secs(20);
/// Proposals that may be out at once.
const MOST: usize = 256;

type Key = (NodeId, CoalitionId, u32);
type Waiting = BTreeMap<Key, oneshot::Sender<Result<Commitment, Fault>>>;

/// Asks operators to sign.
pub(crate) struct Engagements {
    control: Arc<dyn ControlServer>,
    waiting: Mutex<Waiting>,
}

impl Engagements {
    /// Over these links.
    pub(crate) fn new(control: Arc<dyn ControlServer>) -> Arc<Self> {
        Arc::new(Self { control, waiting: Mutex::default() })
    }

    /// Listens to what nodes say; the stream goes on as it is, without the answers to proposals.
    pub(crate) fn listen(
        self: &Arc<Self>,
        events: BoxStream<'static, ControlEvent>,
    ) -> BoxStream<'static, ControlEvent> {
        let this = self.clone();
        let rest = move |event: ControlEvent| {
            let rest = match event {
                ControlEvent::Message(node, message) => match *message {
                    NodeMessage::Committed { coalition, place, commitment } => {
                        if let Some(asker) = this.waiting().remove(&(node, coalition, place)) {
                            // Whoever asked may have stopped waiting.
                            let _ = asker.send(commitment);
                        }
                        None
                    }
                    message => Some(ControlEvent::Message(node, Box::new(message))),
                },
                other => Some(other),
            };
            futures::future::ready(rest)
        };
        events.filter_map(rest).boxed()
    }

    /// Has the operator of a node sign for a place.
    pub(crate) async fn ask(&self, node: &NodeId, proposal: Proposal) -> Result<Commitment, Fault> {
        let key = (node.clone(), proposal.id, proposal.place);
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if waiting.len() >= MOST {
                return Err(Fault::new(FaultCode::NoCapacity, "too many operators are being asked at once"));
            }
            waiting.insert(key.clone(), answer);
        }
        let lost = || Fault::new(FaultCode::NodeLost, format!("{node} does not answer a proposal"));
        if !self.control.send(node, OrchestratorMessage::Propose(Box::new(proposal))) {
            self.waiting().remove(&key);
            return Err(lost());
        }
        let answered = tokio::time::timeout(ANSWER, answered).await;
        self.waiting().remove(&key);
        answered.map_err(|_| lost())?.map_err(|_| lost())?
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
