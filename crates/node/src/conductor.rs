//! What the orchestrator says, and the node's own clockwork. Each message is handled without waiting; what takes time
//! runs in tasks of its own.

use std::sync::Arc;
use std::time::Duration;

use computepool_core::control::{Assignment, GenerationPart, NodeMessage, OrchestratorMessage};
use computepool_core::ports::EngineCommand;
use computepool_core::{Fault, FaultCode, GenerationId, SessionId, ShardSpec};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::errands::Errand;
use crate::generation::Generation;
use crate::node::ExitReason;
use crate::plane::Plane;
use crate::session::Session;
use crate::shared::lock;
use crate::{opening, prompt};

pub(crate) struct Conductor {
    pub(crate) plane: Arc<Plane>,
    pub(crate) control: BoxStream<'static, OrchestratorMessage>,
    pub(crate) wanted: watch::Sender<Option<(Assignment, ShardSpec)>>,
    /// Somebody asked for an orderly end.
    pub(crate) drain: CancellationToken,
    /// Nobody holds the node any more.
    pub(crate) abandoned: CancellationToken,
}

impl Conductor {
    /// Runs until there is a reason to end.
    pub(crate) async fn run(mut self) -> ExitReason {
        let plane = self.plane.clone();
        let mut sweep = tokio::time::interval(plane.options.sweep.max(Duration::from_millis(1)));
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deadline = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = self.abandoned.cancelled() => return ExitReason::Abandoned,
                () = plane.engine_gone.cancelled() => return ExitReason::EngineGone,
                () = plane.outbox.lost.cancelled() => {
                    return if plane.outbox.is_closed() { ExitReason::ControlLost } else { ExitReason::ControlStalled };
                }
                () = self.drain.cancelled(), if !plane.is_draining() => {
                    deadline = Instant::now() + plane.options.drain_patience;
                    plane.drain();
                    plane.outbox.say(NodeMessage::Draining);
                }
                () = idle(&plane, deadline), if plane.is_draining() => return ExitReason::Shutdown,
                _ = sweep.tick() => plane.sweep(),
                message = self.control.next() => match message {
                    Some(OrchestratorMessage::Leave) => return ExitReason::Left,
                    Some(message) => self.handle(message),
                    None => return ExitReason::ControlLost,
                },
            }
        }
    }

    fn handle(&self, message: OrchestratorMessage) {
        match message {
            OrchestratorMessage::Assign { assignment, spec, source: _ } => {
                *lock(&self.plane.assignment) = Some(assignment);
                self.wanted.send_replace(Some((assignment, spec)));
            }
            OrchestratorMessage::OpenSession { ticket } => opening::open(&self.plane, ticket),
            OrchestratorMessage::CloseSession { session } => self.plane.close_session(session),
            OrchestratorMessage::OpenGeneration { session, generation, part } => {
                self.handle_open_generation(session, generation, part);
            }
            OrchestratorMessage::Begin { generation } => self.handle_begin(generation),
            OrchestratorMessage::CloseGeneration { generation } => self.handle_close_generation(generation),
            OrchestratorMessage::Ping { nonce } => self.plane.outbox.say(NodeMessage::Pong { nonce }),
            // Whoever wraps the node measures, and says so in the next advert.
            OrchestratorMessage::Probe { .. } => {}
            other => tracing::warn!(?other, "the orchestrator said something unknown"),
        }
    }

    fn handle_open_generation(&self, session: SessionId, id: GenerationId, part: GenerationPart) {
        match self.open_generation(session, id, part) {
            Ok(()) => {}
            Err(None) => {
                let what = format!("generation {id} was opened twice");
                self.plane.count(&Fault::new(FaultCode::ProtocolViolation, what));
            }
            Err(Some(fault)) => {
                tracing::info!(generation = %id, %fault, "a generation was refused");
                self.plane.count(&fault);
                self.plane.outbox.say(NodeMessage::GenerationFailed { generation: id, fault });
            }
        }
    }

    fn open_generation(&self, session: SessionId, id: GenerationId, part: GenerationPart) -> Result<(), Option<Fault>> {
        let plane = &self.plane;
        let session = plane.session(session).filter(|session| session.is_open()).ok_or_else(|| {
            Fault::new(FaultCode::WrongSession, format!("session {session} is not open on this node"))
        })?;
        self.check_open(&session, &part)?;
        let GenerationPart { max_len, prompt_len, adopt, request } = part;
        let (prompt, request) = match (session.is_entry(), session.is_exit()) {
            (true, true) => (request.as_ref().map(|request| request.prompt.clone()), request),
            (true, false) => (request.map(|request| request.prompt), None),
            (false, true) => (None, request),
            (false, false) => (None, None),
        };
        // Where the ring has one place, one token at a time goes round inside it.
        let (ring, tokens) = (session.is_entry() && session.is_exit()).then(|| mpsc::channel(2)).unzip();
        let open = EngineCommand::Open { generation: id, max_len, prompt_len, adopt, request };
        let generation = Arc::new(Generation::new(session, open, id, prompt_len, max_len, ring));
        plane.add_generation(generation.clone())?;
        if let Some(prompt) = prompt {
            let feeding = prompt::feed(plane.clone(), generation.clone(), prompt, tokens);
            plane.tasks.spawn(feeding);
        }
        plane.errands.push(Errand::Open(generation));
        Ok(())
    }

    /// Whether the session can take such a generation.
    fn check_open(&self, session: &Session, part: &GenerationPart) -> Result<(), Fault> {
        if self.plane.is_draining() {
            return Err(Fault::new(FaultCode::Draining, "this node is leaving"));
        }
        if let Some(fault) = session.broken() {
            return Err(fault);
        }
        match self.plane.engine.shard() {
            Some(shard) if shard.layers == session.hop().layers && shard.model == session.ticket.model => {}
            Some(_) => return Err(Fault::new(FaultCode::WrongSession, "the node serves another shard by now")),
            None => {
                return Err(Fault::new(FaultCode::EngineLost, "no shard is loaded now").retry_after_ms(1000));
            }
        }
        let (prompt_len, max_len, context) = (part.prompt_len, part.max_len, session.ticket.limits.max_context);
        if max_len > context {
            let what = format!("{max_len} positions are more than the {context} of this session");
            return Err(Fault::new(FaultCode::ContextLength, what));
        }
        let invalid = |what: String| Err(Fault::new(FaultCode::InvalidRequest, what));
        if prompt_len == 0 || prompt_len > max_len {
            return invalid(format!("a prompt of {prompt_len} does not fit {max_len} positions"));
        }
        match &part.request {
            None if session.is_entry() || session.is_exit() => invalid("the request itself is missing".to_owned()),
            Some(request) if session.is_entry() && request.prompt.len() != prompt_len as usize => {
                invalid(format!("the prompt has {} tokens, {prompt_len} were announced", request.prompt.len()))
            }
            _ => Ok(()),
        }
    }

    fn handle_begin(&self, id: GenerationId) {
        let Some(generation) = self.plane.generation(id) else { return };
        match generation.begin() {
            Ok(true) => generation.begun.notify_one(),
            Ok(false) => {}
            Err(fault) => self.plane.fail_here(&generation, fault),
        }
    }

    fn handle_close_generation(&self, id: GenerationId) {
        match self.plane.generation(id) {
            Some(generation) => self.plane.close(&generation),
            None => self.plane.close_unknown(id),
        }
    }
}

/// Waits until no generation is left, or the patience is at its end.
async fn idle(plane: &Plane, deadline: Instant) {
    let mut status = plane.status.subscribe();
    let idle = status.wait_for(|status| status.generations == 0);
    // Both outcomes end the drain.
    let _ = tokio::time::timeout_at(deadline, idle).await;
}
