//! The machine's node: started when it may serve, at rest when its owner needs it, gone when sharing is off.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use computepool_core::Fault;
use computepool_engine::client::EngineSnapshot;
use computepool_transport::Carried;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::node::{Duty, Link, NodeSettings, RunningNode};
use crate::policy::{Reason, Verdict};

/// How often what the node does is looked at.
const TICK: Duration = Duration::from_millis(100);

/// The wait after a node could not be started, doubled up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What is known of the node.
#[derive(Clone, Debug, Default)]
pub struct SharingState {
    /// How far it is.
    pub phase: SharingPhase,
    /// Its peer id, while it runs.
    pub node: Option<String>,
    /// Its engine process.
    pub engine: EngineSnapshot,
    /// Why it could not be started, has ended, or reaches nobody.
    pub fault: Option<Fault>,
}

/// How far a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, ts_rs::TS)]
#[serde(rename_all = "snake_case")]
pub enum SharingPhase {
    /// There is none.
    #[default]
    Off,
    /// It is being started.
    Starting,
    /// It runs, and has nothing to serve yet.
    Waiting,
    /// It loads its layers.
    Loading,
    /// It serves.
    Serving,
    /// It finishes what runs, or hands it over.
    HandingOver,
    /// Its memory is given back; it comes back when it may.
    Resting,
    /// It could not be started, or has ended; it is tried again.
    Failed,
    /// Its network cannot be reached; it is tried again.
    Unreachable,
}

/// What is to run: `None` where sharing is not set up.
pub(super) type Plan = Option<NodeSettings>;

/// Runs the node.
pub(super) struct Keeper {
    pub(super) plan: watch::Receiver<Plan>,
    pub(super) verdict: watch::Receiver<Verdict>,
    pub(super) state: watch::Sender<SharingState>,
    pub(super) carried: watch::Sender<Carried>,
    /// The processes that are ours, for those who look at what others use.
    pub(super) pids: Arc<Mutex<Vec<u32>>>,
    pub(super) stop: CancellationToken,
}

enum Current {
    Off,
    Starting(JoinHandle<Result<RunningNode, Fault>>),
    On(Box<RunningNode>),
    Failed { again: Instant, fault: Fault },
}

impl Keeper {
    pub(super) async fn run(mut self) {
        let mut current = Current::Off;
        let mut wait = FIRST_WAIT;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let planned = self.plan.has_changed().unwrap_or(false);
            let plan = self.plan.borrow_and_update().clone();
            let duty = wanted(&plan, &self.verdict.borrow_and_update());
            current = match (current, duty) {
                (Current::On(node), duty) if planned || duty.is_none() => {
                    self.leave(node).await;
                    current = Current::Off;
                    continue;
                }
                (Current::Starting(start), duty) if planned || duty != Some(Duty::Serve) => {
                    // Its engine goes with it.
                    start.abort();
                    start.await.ok();
                    Current::Off
                }
                (Current::Off, Some(Duty::Serve)) => Current::start(plan),
                (Current::Failed { again, .. }, Some(Duty::Serve)) if planned || Instant::now() >= again => {
                    Current::start(plan)
                }
                (Current::Failed { .. }, None) => Current::Off,
                (Current::On(node), Some(duty)) => {
                    node.set_duty(duty);
                    Current::On(node)
                }
                (same, _) => same,
            };
            self.tell(&current, duty);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Ok(()) = self.verdict.changed() => {}
                Ok(()) = self.plan.changed() => self.plan.mark_changed(),
                ended = settled(&mut current) => {
                    let failed = |fault: Fault, wait: &mut Duration| {
                        tracing::warn!(%fault, "the node is not there; it is tried again");
                        let again = Instant::now() + *wait;
                        *wait = (*wait * 2).min(LONGEST_WAIT);
                        Current::Failed { again, fault }
                    };
                    current = match ended {
                        Ok(node) => {
                            wait = FIRST_WAIT;
                            Current::On(Box::new(node))
                        }
                        Err(fault) => failed(fault, &mut wait),
                    };
                }
                // What is not there does nothing that could be looked at.
                _ = ticks.tick(), if !matches!(current, Current::Off) => {}
            }
        }
        match current {
            Current::On(node) => self.leave(node).await,
            Current::Starting(start) => {
                start.abort();
                start.await.ok();
            }
            _ => {}
        }
        self.tell(&Current::Off, None);
    }

    /// The machine is given back first, and quickly; then the node says goodbye.
    async fn leave(&self, node: Box<RunningNode>) {
        node.set_duty(Duty::Release);
        self.carried.send_replace(node.carried());
        let mut engine = node.engine();
        let state = SharingState {
            phase: SharingPhase::HandingOver,
            node: Some(node.address().node.to_string()),
            engine: *engine.borrow(),
            fault: None,
        };
        self.state.send_replace(state);
        let given_back = engine.wait_for(|engine| engine.pid.is_none());
        if tokio::time::timeout(Duration::from_secs(3), given_back).await.is_err() {
            tracing::warn!("the engine has not ended in time");
        }
        drop(engine);
        node.leave().await;
    }

    fn tell(&self, current: &Current, duty: Option<Duty>) {
        let state = match current {
            Current::Off => SharingState::default(),
            Current::Starting(_) => SharingState { phase: SharingPhase::Starting, ..SharingState::default() },
            Current::Failed { fault, .. } => {
                SharingState { phase: SharingPhase::Failed, fault: Some(fault.clone()), ..SharingState::default() }
            }
            Current::On(node) => {
                self.carried.send_replace(node.carried());
                let engine = *node.engine().borrow();
                let node_id = Some(node.address().node.to_string());
                match (duty, node.link()) {
                    (Some(Duty::Serve), Link::Lost { why }) => SharingState {
                        phase: SharingPhase::Unreachable,
                        node: node_id,
                        engine,
                        fault: Some(unreachable(&why)),
                    },
                    _ => SharingState { phase: phase(duty, &engine), node: node_id, engine, fault: None },
                }
            }
        };
        let pids = state.engine.pid.into_iter().collect();
        *self.pids.lock().unwrap_or_else(PoisonError::into_inner) = pids;
        self.state.send_if_modified(|old| {
            let changed = (old.phase, &old.node, &old.fault) != (state.phase, &state.node, &state.fault)
                || old.engine != state.engine;
            *old = state;
            changed
        });
    }
}

impl Current {
    fn start(plan: Plan) -> Self {
        match plan {
            Some(settings) => Self::Starting(tokio::spawn(RunningNode::start(settings))),
            None => Self::Off,
        }
    }
}

/// What the node is to do; nothing where there is to be none.
fn wanted(plan: &Plan, verdict: &Verdict) -> Option<Duty> {
    let off = verdict.reasons.iter().any(|reason| matches!(reason, Reason::EarnOff | Reason::NotAgreed));
    (plan.is_some() && !off).then_some(verdict.duty)
}

/// Waits until a start has ended, or a node has.
async fn settled(current: &mut Current) -> Result<RunningNode, Fault> {
    use computepool_core::FaultCode;
    match current {
        Current::Starting(start) => start
            .await
            .unwrap_or_else(|error| Err(Fault::new(FaultCode::Internal, format!("the node did not start: {error}")))),
        Current::On(node) => {
            let reason = node.ended().await;
            Err(Fault::new(FaultCode::NodeLost, format!("the node has ended: {reason}")))
        }
        _ => std::future::pending().await,
    }
}

fn unreachable(why: &str) -> Fault {
    Fault::new(computepool_core::FaultCode::LinkLost, format!("the network cannot be reached: {why}"))
        .hint("look at this computer's connection; it is tried again by itself")
}

fn phase(duty: Option<Duty>, engine: &EngineSnapshot) -> SharingPhase {
    use computepool_engine::client::EnginePhase;
    match (duty, engine.phase) {
        (Some(Duty::Serve), EnginePhase::Ready) => SharingPhase::Serving,
        (Some(Duty::Serve), EnginePhase::Loading) => SharingPhase::Loading,
        (Some(Duty::Serve), _) => SharingPhase::Waiting,
        (_, EnginePhase::Idle) if engine.pid.is_none() => SharingPhase::Resting,
        _ => SharingPhase::HandingOver,
    }
}
