//! The task around the state machine: it stamps what happens with the time, and carries out what follows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use computepool_core::control::OrchestratorMessage;
use computepool_core::ports::{Clock, ControlEvent, ControlServer, Journal, Signer, Text, Verifier};
use computepool_core::{ClientId, Fault, Generate, GenerationEvent, GenerationId, ModelId, NodeId, SessionId};
use futures::StreamExt;
use futures::future::{self, BoxFuture, Either};
use futures::stream::{BoxStream, FuturesUnordered};
use rand::RngCore;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use tracing::Instrument;

use crate::handle::Offer;
use crate::journaling::JournalWriter;
use crate::{
    Asked, Cancelling, Effect, Event, EventKind, Limits, Loss, OrchestratorHandle, PoolSettings, SettingsError,
    Snapshot, State, apply,
};

/// What an orchestrator needs of the outside world.
pub struct Ports {
    /// Its end of the control links.
    pub control: Arc<dyn ControlServer>,
    /// What happens on them.
    pub events: BoxStream<'static, ControlEvent>,
    /// Seals route tickets.
    pub signer: Arc<dyn Signer>,
    /// Checks receipts.
    pub verifier: Arc<dyn Verifier>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from. Must not be guessable.
    pub random: Box<dyn RngCore + Send>,
    /// What must be found again after a restart; without one, nothing is.
    pub journal: Option<Arc<dyn Journal>>,
}

/// What a handle asks of the task.
pub(crate) enum Command {
    Ask {
        client: ClientId,
        model: ModelId,
        /// Boxed: it is far larger than everything else here.
        request: Box<Generate>,
        events: mpsc::Sender<GenerationEvent>,
        /// Ends when the client is gone.
        gone: oneshot::Receiver<()>,
    },
    Drain {
        within: Duration,
        done: oneshot::Sender<()>,
    },
}

/// The task. It ends after a drain, or when every handle has been dropped and all is closed.
pub struct Orchestrator {
    state: State,
    control: Arc<dyn ControlServer>,
    clock: Arc<dyn Clock>,
    random: Box<dyn RngCore + Send>,
    clients: BTreeMap<GenerationId, Client>,
    /// One for each client, ending when it goes away (with its id) or has been told an end (without).
    departures: FuturesUnordered<BoxFuture<'static, Option<GenerationId>>>,
    journal: Option<JournalWriter>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    published: u64,
    journal_fault: Option<String>,
    drained: Vec<oneshot::Sender<()>>,
    stopped: bool,
}

/// The way to the client of a generation.
struct Client {
    events: mpsc::Sender<GenerationEvent>,
    /// Room kept for the last event, so that even a client that reads nothing learns how it ended.
    last: mpsc::OwnedPermit<GenerationEvent>,
    /// An event found no room: what follows would not be what was generated.
    missed: bool,
    /// Dropped with the client, which ends its departure.
    _ended: oneshot::Sender<()>,
}

impl Orchestrator {
    /// Starts an orchestrator on the current tokio runtime, offering these models.
    pub fn start(
        ports: Ports,
        pools: Vec<(PoolSettings, Arc<dyn Text>)>,
        limits: Limits,
    ) -> Result<OrchestratorHandle, SettingsError> {
        let created = ports.clock.now_ms() / 1000;
        let (settings, texts): (Vec<_>, Vec<_>) = pools.into_iter().unzip();
        let offer = |(settings, text): (&PoolSettings, _)| Offer {
            summary: settings.summary.clone(),
            max_context: settings.context(),
            created,
            text,
        };
        let offers: Arc<[Offer]> = settings.iter().zip(texts).map(offer).collect();
        let (client_buffer, tick) = (limits.client_buffer, Duration::from_millis(limits.tick_ms));
        let command_buffer = limits.command_buffer;
        let state = State::new(settings, limits, ports.signer, ports.verifier)?;
        let (commands, inbox) = mpsc::channel(command_buffer);
        let (snapshot, shown) = watch::channel(Arc::new(Snapshot::of(&state)));
        let orchestrator = Self {
            published: state.revision(),
            state,
            control: ports.control,
            clock: ports.clock,
            random: ports.random,
            clients: BTreeMap::new(),
            departures: FuturesUnordered::new(),
            journal: None,
            snapshot,
            journal_fault: None,
            drained: Vec::new(),
            stopped: false,
        };
        let span = tracing::info_span!("orchestrator");
        tokio::spawn(orchestrator.run(ports.journal, inbox, ports.events, tick).instrument(span));
        Ok(OrchestratorHandle::new(commands, shown, offers, client_buffer))
    }

    async fn run(
        mut self,
        journal: Option<Arc<dyn Journal>>,
        mut inbox: mpsc::Receiver<Command>,
        mut links: BoxStream<'static, ControlEvent>,
        tick: Duration,
    ) {
        if let Some(journal) = journal {
            self.take_over(journal).await;
        }
        let mut ticks = tokio::time::interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut handles_left, mut links_left) = (true, true);
        while !self.stopped {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.handle_tick(),
                Some(departed) = self.departures.next() => self.handle_departure(departed),
                command = inbox.recv(), if handles_left => match command {
                    Some(command) => self.handle_command(command),
                    None => {
                        handles_left = false;
                        self.step(EventKind::Drain { deadline_ms: 0 });
                    }
                },
                event = links.next(), if links_left => match event {
                    Some(event) => self.step(EventKind::Control(event)),
                    None => {
                        links_left = false;
                        tracing::warn!("the control links are closed, no node can be reached any more");
                        self.step(EventKind::LinksClosed);
                    }
                },
            }
        }
        if let Some(journal) = self.journal.take() {
            journal.finish().await;
        }
        for done in self.drained.drain(..) {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
    }

    /// Finds again what an earlier life wrote down, before anything else happens, and goes on writing.
    async fn take_over(&mut self, journal: Arc<dyn Journal>) {
        self.state.keep_records();
        let mut writer = JournalWriter::start(journal.clone());
        match journal.read().await {
            Ok(records) => {
                let found = records.len();
                for effect in self.state.restore(self.clock.now_ms(), records) {
                    if let Effect::Write(records) = effect {
                        writer.write(records);
                    }
                }
                tracing::info!(found, "took over what an earlier life wrote down");
            }
            Err(fault) => tracing::error!(%fault, "the journal cannot be read; starting without what it knows"),
        }
        self.journal = Some(writer);
        self.publish();
    }

    fn handle_tick(&mut self) {
        self.step(EventKind::Tick);
        let Some(journal) = &mut self.journal else { return };
        if journal.wants_all() {
            journal.write(self.state.records());
        }
        let fault = journal.fault();
        if self.journal_fault != fault {
            self.journal_fault = fault;
            self.show();
        }
    }

    fn handle_departure(&mut self, departed: Option<GenerationId>) {
        if let Some(generation) = departed {
            self.step(EventKind::Cancel(generation, Cancelling::Dropped));
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Ask { client, model, request, events, gone } => {
                let (generation, session) = (GenerationId(self.random_id()), SessionId(self.random_id()));
                // The channel is new and empty; should it be closed already, nobody waits for an answer.
                let Ok(last) = events.clone().try_reserve_owned() else { return };
                let (ended, has_ended) = oneshot::channel::<()>();
                self.clients.insert(generation, Client { events, last, missed: false, _ended: ended });
                self.departures.push(Box::pin(async move {
                    match future::select(gone, has_ended).await {
                        Either::Left(_) => Some(generation),
                        Either::Right(_) => None,
                    }
                }));
                let asked = Asked { generation, session, client, model, request: *request };
                self.step(EventKind::Ask(Box::new(asked)));
            }
            Command::Drain { within, done } => {
                self.drained.push(done);
                let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
                let deadline_ms = self.clock.now_ms().saturating_add(within_ms);
                self.step(EventKind::Drain { deadline_ms });
            }
        }
    }

    fn random_id(&mut self) -> [u8; 16] {
        let mut id = [0; 16];
        self.random.fill_bytes(&mut id);
        id
    }

    /// Applies an event and carries its effects out; what fails in doing so is the next event.
    fn step(&mut self, kind: EventKind) {
        let mut due = VecDeque::from([kind]);
        while let Some(kind) = due.pop_front() {
            let event = Event { at_ms: self.clock.now_ms(), kind };
            for effect in apply(&mut self.state, event) {
                match effect {
                    Effect::Send(node, message) => self.send(&node, message),
                    Effect::Disconnect { node, why } => {
                        tracing::warn!(%node, %why, "disconnecting a node");
                        self.control.disconnect(&node);
                    }
                    Effect::Tell(generation, event) => {
                        if !self.tell(generation, event) {
                            due.push_back(EventKind::Cancel(generation, Cancelling::Unread));
                        }
                    }
                    Effect::Write(records) => {
                        if let Some(journal) = &mut self.journal {
                            journal.write(records);
                        }
                    }
                    Effect::Stopped => self.stopped = true,
                }
            }
        }
        self.publish();
    }

    /// Shows what has changed.
    fn publish(&mut self) {
        if self.published != self.state.revision() {
            self.published = self.state.revision();
            self.show();
        }
    }

    fn show(&mut self) {
        let mut snapshot = Snapshot::of(&self.state);
        snapshot.network.journal_fault = self.journal_fault.clone();
        let before = self.snapshot.borrow().network.failovers;
        if snapshot.network.failovers > before {
            tracing::info!(so_far = snapshot.network.failovers, "a generation went on on another route");
        }
        self.snapshot.send_replace(Arc::new(snapshot));
    }

    fn send(&self, node: &NodeId, message: OrchestratorMessage) {
        if let OrchestratorMessage::Assign { assignment, spec, .. } = &message {
            tracing::info!(%node, assignment, layers = %spec.layers, model = %spec.model, "assigning a shard");
        }
        if !self.control.send(node, message) {
            tracing::debug!(%node, "a message could not be queued; the node's link is ending");
        }
    }

    /// Passes an event on; `false` the first time that there is no room for one.
    fn tell(&mut self, generation: GenerationId, event: GenerationEvent) -> bool {
        if let GenerationEvent::Ended(_) | GenerationEvent::Failed(_) = &event {
            let Some(client) = self.clients.remove(&generation) else { return true };
            let event = match event {
                GenerationEvent::Ended(_) if client.missed => GenerationEvent::Failed(Fault::from(Loss::Unread)),
                event => event,
            };
            if let GenerationEvent::Failed(fault) = &event {
                tracing::info!(%generation, code = %fault.code, fault = %fault.message, "a generation failed");
            }
            client.last.send(event);
            return true;
        }
        let Some(client) = self.clients.get_mut(&generation).filter(|client| !client.missed) else { return true };
        match client.events.try_send(event) {
            Ok(()) => true,
            // The departure is under way and cancels it.
            Err(mpsc::error::TrySendError::Closed(_)) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                client.missed = true;
                false
            }
        }
    }
}
