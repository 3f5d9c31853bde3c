//! The actor that owns the process: one state, one handler for each.

use computepool_core::ports::EngineEvent;
use computepool_core::{Fault, FaultCode, ShardInfo, ShardSpec};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

use super::death::{LastWords, Loss};
use super::lane::Lane;
use super::launch::EngineLaunch;
use super::process::Process;
use super::snapshot::{EnginePhase, EngineSnapshot};

/// What a client asks.
pub(super) enum Request {
    Load { spec: ShardSpec, reply: oneshot::Sender<Result<ShardInfo, Fault>> },
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
    /// A process serves; `deaths` quick ones came before it.
    Serve { process: Box<Process>, spec: ShardSpec, deaths: u32 },
    /// The last process was lost, the `deaths`-th in a row.
    Recover { spec: ShardSpec, deaths: u32, fault: Fault },
    /// The client is gone.
    Ended,
}

/// What came of starting a process.
enum Attempt {
    Ready(Box<Process>, ShardInfo),
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
            Attempt::Ready(process, info) => {
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

    async fn serve(&mut self, mut process: Box<Process>, spec: ShardSpec, deaths: u32) -> State {
        let since = Instant::now();
        let timing = self.launch.timing;
        let loss = tokio::select! {
            biased;
            request = next(&mut self.stashed, &mut self.requests) => {
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
                request = next(&mut self.stashed, &mut self.requests) => return self.after(request),
                () = sleep(delay) => {}
            }
        }
        match self.attempt(&spec).await {
            Attempt::Ready(process, info) => {
                self.open(&process);
                self.emit(EngineEvent::Ready { info }).await;
                State::Serve { process, spec, deaths }
            }
            Attempt::Failed(fault) => State::Recover { spec, deaths: deaths + 1, fault },
            Attempt::Interrupted(request) => self.after(request),
        }
    }

    /// Starts a process and has it load the shard.
    async fn attempt(&mut self, spec: &ShardSpec) -> Attempt {
        let Some(path) = (self.launch.catalogue)(&spec.model) else {
            let message = format!("the weights {} are not on this machine", spec.model);
            return Attempt::Failed(Fault::new(FaultCode::ModelNotFound, message));
        };
        let mut process = match Process::start(&self.launch, self.events.clone()) {
            Ok(process) => Box::new(process),
            Err(error) => return Attempt::Failed(Loss::NotStarted(error).fault(None, &LastWords::default())),
        };
        self.forget(EnginePhase::Loading);
        self.snapshot.send_modify(|snapshot| {
            snapshot.pid = process.child.id();
            snapshot.starts += 1;
        });
        let timing = self.launch.timing;
        if let Err(fault) = process.lane.load(&path, spec, self.launch.options()) {
            process.end(timing.stop).await;
            return Attempt::Failed(fault);
        }
        let loss = tokio::select! {
            biased;
            request = next(&mut self.stashed, &mut self.requests) => {
                process.end(timing.stop).await;
                return Attempt::Interrupted(request);
            }
            loaded = process.loaded(timing.load) => match loaded {
                Ok(info) => return Attempt::Ready(process, info),
                Err(loss) => loss,
            }
        };
        Attempt::Failed(self.mourn(*process, loss).await)
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
