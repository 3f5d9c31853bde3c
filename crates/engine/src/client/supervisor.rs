//! The actor that owns the process: one state, one handler for each.

use std::path::PathBuf;

use computepool_core::ports::EngineEvent;
use computepool_core::{ContentHash, Fault, FaultCode, ModelSpeed, ShardInfo, ShardSpec};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

use super::death::{LastWords, Loss};
use super::lane::Lane;
use super::launch::EngineLaunch;
use super::process::Process;
use super::snapshot::{EnginePhase, EngineSnapshot};
use crate::pipe::HostMessage;

/// What a client asks.
pub(super) enum Request {
    Load { spec: ShardSpec, reply: oneshot::Sender<Result<ShardInfo, Fault>> },
    Measure { model: ContentHash, reply: oneshot::Sender<Result<ModelSpeed, Fault>> },
    Stop { reply: oneshot::Sender<()> },
}

/// Owns the process.
pub(super) struct Supervisor {
    launch: EngineLaunch,
    requests: mpsc::Receiver<Request>,
    /// A request that came while something else was waited for.
    stashed: Option<Request>,
    events: mpsc::Sender<EngineEvent>,
    lane: watch::Sender<Option<Lane>>,
    snapshot: watch::Sender<EngineSnapshot>,
}

enum State {
    /// No process, and none wanted.
    Idle,
    /// A shard was asked for.
    Load { spec: ShardSpec, reply: oneshot::Sender<Result<ShardInfo, Fault>> },
    /// A model is to be timed.
    Measure { model: ContentHash, reply: oneshot::Sender<Result<ModelSpeed, Fault>> },
    /// A process serves; `deaths` quick ones came before it.
    Serve { process: Box<Process>, spec: ShardSpec, deaths: u32 },
    /// The last process was lost, the `deaths`-th in a row.
    Recover { spec: ShardSpec, deaths: u32, fault: Fault },
    /// The client is gone.
    Ended,
}

/// What came of starting a process.
enum Attempt<T> {
    Ready(T),
    Failed(Fault),
    /// Something else is wanted instead; nothing, when the client is gone.
    Interrupted(Option<Request>),
}

impl Supervisor {
    pub(super) fn new(
        launch: EngineLaunch,
        requests: mpsc::Receiver<Request>,
        events: mpsc::Sender<EngineEvent>,
        lane: watch::Sender<Option<Lane>>,
        snapshot: watch::Sender<EngineSnapshot>,
    ) -> Self {
        Self { launch, requests, stashed: None, events, lane, snapshot }
    }

    pub(super) async fn run(mut self) {
        let mut state = State::Idle;
        loop {
            state = match state {
                State::Idle => {
                    let request = next(&mut self.stashed, &mut self.requests).await;
                    self.after(request)
                }
                State::Load { spec, reply } => self.load(spec, reply).await,
                State::Measure { model, reply } => self.measure(model, reply).await,
                State::Serve { process, spec, deaths } => self.serve(process, spec, deaths).await,
                State::Recover { spec, deaths, fault } => self.recover(spec, deaths, fault).await,
                State::Ended => return,
            }
        }
    }

    /// What follows a request when no process runs.
    fn after(&mut self, request: Option<Request>) -> State {
        match request {
            Some(Request::Load { spec, reply }) => State::Load { spec, reply },
            Some(Request::Measure { model, reply }) => State::Measure { model, reply },
            Some(Request::Stop { reply }) => {
                self.forget(EnginePhase::Idle);
                // Whoever asked may have stopped waiting.
                let _ = reply.send(());
                State::Idle
            }
            None => State::Ended,
        }
    }

    async fn load(&mut self, spec: ShardSpec, reply: oneshot::Sender<Result<ShardInfo, Fault>>) -> State {
        let (outcome, next) = match self.attempt(&spec).await {
            Attempt::Ready((process, info)) => {
                self.open(&process);
                (Ok(info), State::Serve { process, spec, deaths: 0 })
            }
            Attempt::Failed(fault) => {
                self.forget(EnginePhase::Idle);
                (Err(fault), State::Idle)
            }
            Attempt::Interrupted(request) => {
                let fault =
                    Fault::new(FaultCode::Cancelled, "the engine was given something else to do while it was loading");
                let next = self.after(request);
                (Err(fault), next)
            }
        };
        let _ = reply.send(outcome);
        next
    }

    async fn measure(&mut self, model: ContentHash, reply: oneshot::Sender<Result<ModelSpeed, Fault>>) -> State {
        let attempt = self.time(model).await;
        self.forget(EnginePhase::Idle);
        let (outcome, next) = match attempt {
            Attempt::Ready(speed) => (Ok(speed), State::Idle),
            Attempt::Failed(fault) => (Err(fault), State::Idle),
            Attempt::Interrupted(request) => {
                let what = "the engine was given something else to do while it timed a model";
                (Err(Fault::new(FaultCode::Cancelled, what)), self.after(request))
            }
        };
        let _ = reply.send(outcome);
        next
    }

    async fn serve(&mut self, mut process: Box<Process>, spec: ShardSpec, deaths: u32) -> State {
        let since = Instant::now();
        let timing = self.launch.timing;
        let loss = tokio::select! {
            biased;
            request = next_order(&mut self.stashed, &mut self.requests) => {
                self.lane.send_replace(None);
                process.end(timing.stop).await;
                return self.after(request);
            }
            loss = process.lost(&timing, &self.snapshot) => loss,
        };
        self.lane.send_replace(None);
        let quick = since.elapsed() < self.launch.restart.stable_after;
        let fault = self.mourn(*process, loss).await;
        self.emit(EngineEvent::Down { fault: fault.clone() }).await;
        State::Recover { spec, deaths: if quick { deaths + 1 } else { 1 }, fault }
    }

    async fn recover(&mut self, spec: ShardSpec, deaths: u32, fault: Fault) -> State {
        let Some(delay) = self.launch.restart.delay(deaths) else {
            self.forget(EnginePhase::GivenUp);
            let message =
                format!("the engine was lost {deaths} times in a row and is given up; last: {}", fault.message);
            tracing::error!("{message}");
            let hint = fault.hint.unwrap_or_else(|| "look at the log, then load the shard again".to_owned());
            self.emit(EngineEvent::Down { fault: Fault::new(FaultCode::EngineLost, message).hint(hint) }).await;
            return State::Idle;
        };
        if !delay.is_zero() {
            self.forget(EnginePhase::Waiting);
            tokio::select! {
                biased;
                request = next_order(&mut self.stashed, &mut self.requests) => return self.after(request),
                () = sleep(delay) => {}
            }
        }
        match self.attempt(&spec).await {
            Attempt::Ready((process, info)) => {
                self.open(&process);
                self.emit(EngineEvent::Ready { info }).await;
                State::Serve { process, spec, deaths }
            }
            Attempt::Failed(fault) => State::Recover { spec, deaths: deaths + 1, fault },
            Attempt::Interrupted(request) => self.after(request),
        }
    }

    /// Starts a process that is to work on a model.
    fn start(&mut self, model: &ContentHash, phase: EnginePhase) -> Result<(Box<Process>, PathBuf), Fault> {
        let path = (self.launch.catalogue)(model).ok_or_else(|| {
            Fault::new(FaultCode::ModelNotFound, format!("the weights {model} are not on this machine"))
        })?;
        let process = Process::start(&self.launch, self.events.clone())
            .map_err(|error| Loss::NotStarted(error).fault(None, &LastWords::default()))?;
        self.forget(phase);
        self.snapshot.send_modify(|snapshot| {
            snapshot.pid = process.child.id();
            snapshot.starts += 1;
        });
        Ok((Box::new(process), path))
    }

    /// Starts a process and has it load the shard.
    async fn attempt(&mut self, spec: &ShardSpec) -> Attempt<(Box<Process>, ShardInfo)> {
        let (mut process, path) = match self.start(&spec.model, EnginePhase::Loading) {
            Ok(started) => started,
            Err(fault) => return Attempt::Failed(fault),
        };
        let timing = self.launch.timing;
        let message = HostMessage::Load { path, spec: spec.clone(), options: self.launch.options() };
        if let Err(fault) = process.lane.begin(&message) {
            process.end(timing.stop).await;
            return Attempt::Failed(fault);
        }
        let loss = tokio::select! {
            biased;
            request = next_order(&mut self.stashed, &mut self.requests) => {
                process.end(timing.stop).await;
                return Attempt::Interrupted(request);
            }
            loaded = process.loaded(timing.load) => match loaded {
                Ok(info) => return Attempt::Ready((process, info)),
                Err(loss) => loss,
            }
        };
        Attempt::Failed(self.mourn(*process, loss).await)
    }

    /// Starts a process and has it time a model.
    async fn time(&mut self, model: ContentHash) -> Attempt<ModelSpeed> {
        let (mut process, path) = match self.start(&model, EnginePhase::Measuring) {
            Ok(started) => started,
            Err(fault) => return Attempt::Failed(fault),
        };
        let timing = self.launch.timing;
        let message = HostMessage::Measure { path, model, options: self.launch.options() };
        if let Err(fault) = process.lane.begin(&message) {
            process.end(timing.stop).await;
            return Attempt::Failed(fault);
        }
        let measured = tokio::select! {
            biased;
            request = next(&mut self.stashed, &mut self.requests) => Err(request),
            measured = process.measured(timing.measure) => Ok(measured),
        };
        match measured {
            Ok(Ok(speed)) => {
                process.end(timing.stop).await;
                Attempt::Ready(speed)
            }
            Ok(Err(loss)) => Attempt::Failed(self.mourn(*process, loss).await),
            Err(request) => {
                process.end(timing.stop).await;
                Attempt::Interrupted(request)
            }
        }
    }

    /// Lets commands through to a process.
    fn open(&mut self, process: &Process) {
        self.snapshot.send_modify(|snapshot| snapshot.phase = EnginePhase::Ready);
        self.lane.send_replace(Some(process.lane.clone()));
    }

    /// Buries a lost process.
    async fn mourn(&mut self, process: Process, loss: Loss) -> Fault {
        let fault = process.bury(loss).await;
        tracing::warn!("{}", fault.message);
        self.forget(EnginePhase::Waiting);
        self.snapshot.send_modify(|snapshot| snapshot.losses += 1);
        fault
    }

    fn forget(&self, phase: EnginePhase) {
        self.snapshot.send_modify(|snapshot| snapshot.forget(phase));
    }

    /// Says what happened. While the node does not listen, a request may come; it makes the event pointless.
    async fn emit(&mut self, event: EngineEvent) {
        tokio::select! {
            biased;
            _ = self.events.send(event) => {}
            request = self.requests.recv(), if self.stashed.is_none() => self.stashed = request,
        }
    }
}

/// The next request. Not a method, so that what else is waited for may use the rest.
async fn next(stashed: &mut Option<Request>, requests: &mut mpsc::Receiver<Request>) -> Option<Request> {
    match stashed.take() {
        Some(request) => Some(request),
        None => requests.recv().await,
    }
}

/// The next request, while a shard is loaded or wanted: nothing is timed beside it.
async fn next_order(stashed: &mut Option<Request>, requests: &mut mpsc::Receiver<Request>) -> Option<Request> {
    loop {
        match next(stashed, requests).await {
            Some(Request::Measure { reply, .. }) => {
                let what = "a model can be timed only while the engine holds no shard";
                // Whoever asked may have stopped waiting.
                let _ = reply.send(Err(Fault::new(FaultCode::NoCapacity, what).hint("stop the engine first")));
            }
            request => return request,
        }
    }
}
