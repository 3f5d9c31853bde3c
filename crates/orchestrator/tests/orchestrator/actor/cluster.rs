//! A fake control server and nodes that answer as they are wont to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use computepool_core::control::{NodeMessage, OrchestratorMessage};
use computepool_core::ports::{
    ChatPrompt, Clock, ControlEvent, ControlServer, Journal, Record, SystemClock, Text, TextDecoder, ToolDialect,
};
use computepool_core::{Advert, Fault, FaultCode, FinishReason, GenerationId, LayerRange, NodeId, SessionId};
use computepool_orchestrator::{Limits, Orchestrator, OrchestratorHandle, PoolSettings, Ports};
use futures::StreamExt;
use futures::future::BoxFuture;
use rand::SeedableRng;
use tokio::sync::{mpsc, watch};

use crate::script::{FakeKey, FakeVerifier, advert, info, node, receipt, says_hello, summary, token_event};

/// What the nodes of a cluster do.
#[derive(Clone, Copy, PartialEq)]
pub enum Habit {
    /// Everything, at once.
    Generous,
    /// Everything, but no token after the first.
    OneToken,
    /// Admit nothing.
    Refuse,
    /// Say nothing to an opened generation.
    NeverAdmit,
}

type Mailboxes = Arc<Mutex<BTreeMap<NodeId, mpsc::Sender<OrchestratorMessage>>>>;

struct FakeServer {
    mailboxes: Mailboxes,
}

impl ControlServer for FakeServer {
    fn send(&self, node: &NodeId, message: OrchestratorMessage) -> bool {
        self.mailboxes.lock().unwrap().get(node).is_some_and(|mailbox| mailbox.try_send(message).is_ok())
    }
    fn disconnect(&self, node: &NodeId) {
        self.mailboxes.lock().unwrap().remove(node);
    }
}

/// An orchestrator with its nodes.
pub struct Cluster {
    pub handle: OrchestratorHandle,
    /// Numbers of nodes that were asked to open a generation.
    pub opened: mpsc::Receiver<usize>,
    closed: mpsc::Receiver<usize>,
    mailboxes: Mailboxes,
    left: watch::Receiver<usize>,
    shards: usize,
}

impl Cluster {
    /// Returns when the route is up.
    pub async fn start(shards: usize, habit: Habit, limits: Limits) -> Self {
        Self::start_with(shards, shards, habit, limits, None).await
    }

    /// The same, with more nodes and a journal.
    pub async fn start_with(
        shards: usize,
        nodes: usize,
        habit: Habit,
        limits: Limits,
        journal: Option<Arc<dyn Journal>>,
    ) -> Self {
        let mailboxes = Mailboxes::default();
        let (events, heard) = mpsc::channel(1024);
        let (opening, opened) = mpsc::channel(1024);
        let (closing, closed) = mpsc::channel(1024);
        let (leaving, left) = watch::channel(0);
        let leaving = Arc::new(leaving);
        let control = Arc::new(FakeServer { mailboxes: mailboxes.clone() });
        let ports = Ports {
            control,
            events: futures::stream::unfold(heard, |mut heard| async { heard.recv().await.map(|it| (it, heard)) })
                .boxed(),
            signer: Arc::new(FakeKey(NodeId::new("orchestrator").unwrap())),
            verifier: Arc::new(FakeVerifier),
            clock: Arc::new(SystemClock),
            random: Box::new(rand::rngs::StdRng::seed_from_u64(1)),
            journal,
        };
        let text: Arc<dyn Text> = Arc::new(NoText);
        let handle = Orchestrator::start(ports, vec![(PoolSettings::new(summary(30), shards), text)], limits).unwrap();
        for number in 0..nodes {
            let (mailbox, inbox) = mpsc::channel(1024);
            mailboxes.lock().unwrap().insert(node(number), mailbox);
            let fake = FakeNode {
                number,
                habit,
                events: events.clone(),
                mailboxes: mailboxes.clone(),
                opening: opening.clone(),
                closing: closing.clone(),
                layers: None,
                sessions: BTreeMap::new(),
                exits: BTreeMap::new(),
                wanted: BTreeMap::new(),
            };
            let leaving = leaving.clone();
            fake.says_first().await;
            tokio::spawn(async move {
                fake.run(inbox).await;
                leaving.send_modify(|left| *left += 1);
            });
        }
        handle.subscribe().wait_for(|snapshot| snapshot.available == [true]).await.unwrap();
        Self { handle, opened, closed, mailboxes, left, shards: nodes }
    }

    /// The number of the next node that was asked to close a generation.
    pub async fn next_closed(&mut self) -> usize {
        self.closed.recv().await.unwrap()
    }

    /// How many nodes have left, once all have.
    pub async fn left(&self) -> usize {
        let shards = self.shards;
        *self.left.clone().wait_for(|left| *left >= shards).await.unwrap()
    }

    /// Drops the only handle; the future says how many nodes have left once one has.
    pub fn forget_handle(self) -> impl Future<Output = usize> {
        let mut left = self.left.clone();
        drop(self.handle);
        async move { *left.wait_for(|left| *left > 0).await.unwrap() }
    }

    /// Breaks the link of a node.
    pub async fn cut(&self, number: usize) {
        self.mailboxes.lock().unwrap().remove(&node(number));
    }

    /// Returns when no generation is left.
    pub async fn idle(&self) {
        self.handle.subscribe().wait_for(|snapshot| snapshot.network.generations == 0).await.unwrap();
    }
}

/// A journal in memory, which can be broken.
#[derive(Default)]
pub struct Memory {
    pub records: Mutex<Vec<Record>>,
    pub broken: AtomicBool,
}

impl Journal for Memory {
    fn write(&self, records: Vec<Record>) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            if self.broken.load(Ordering::Relaxed) {
                return Err(Fault::new(FaultCode::Io, "the disk is full"));
            }
            self.records.lock().unwrap().extend(records);
            Ok(())
        })
    }
    fn read(&self) -> BoxFuture<'_, Result<Vec<Record>, Fault>> {
        Box::pin(async move { Ok(self.records.lock().unwrap().clone()) })
    }
}

struct FakeNode {
    number: usize,
    habit: Habit,
    events: mpsc::Sender<ControlEvent>,
    mailboxes: Mailboxes,
    opening: mpsc::Sender<usize>,
    closing: mpsc::Sender<usize>,
    layers: Option<LayerRange>,
    sessions: BTreeMap<GenerationId, SessionId>,
    exits: BTreeMap<SessionId, NodeId>,
    /// Tokens the exit is to make.
    wanted: BTreeMap<GenerationId, std::ops::Range<u32>>,
}

impl FakeNode {
    async fn says(&self, message: NodeMessage) {
        self.events.send(ControlEvent::Message(node(self.number), Box::new(message))).await.unwrap();
    }

    async fn says_first(&self) {
        self.events.send(ControlEvent::Connected(node(self.number))).await.unwrap();
        let issued_ms = Clock::now_ms(&SystemClock);
        let expires_ms = issued_ms + 60_000;
        let advert = Advert { issued_ms, expires_ms, ..advert(self.number, None, 1 << 40) };
        self.says(says_hello(self.number, &advert)).await;
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<OrchestratorMessage>) {
        while let Some(message) = inbox.recv().await {
            if message == OrchestratorMessage::Leave {
                break;
            }
            self.answer(message).await;
        }
        self.mailboxes.lock().unwrap().remove(&node(self.number));
        // The orchestrator may have stopped already.
        let _ = self.events.send(ControlEvent::Disconnected(node(self.number))).await;
    }

    async fn answer(&mut self, message: OrchestratorMessage) {
        match message {
            OrchestratorMessage::Assign { assignment, spec, .. } => {
                self.layers = Some(spec.layers);
                self.says(NodeMessage::ShardReady { assignment, info: info(&spec) }).await;
            }
            OrchestratorMessage::OpenSession { ticket } => {
                let orchestrator = NodeId::new("orchestrator").unwrap();
                let now_ms = Clock::now_ms(&SystemClock);
                let ticket = ticket.open(&orchestrator, &FakeVerifier, now_ms).unwrap();
                self.exits.insert(ticket.session, ticket.hops.last().unwrap().node.clone());
                self.says(NodeMessage::SessionOpened { session: ticket.session }).await;
            }
            OrchestratorMessage::OpenGeneration { session, generation, part } => {
                // Few tests look.
                let _ = self.opening.send(self.number).await;
                self.sessions.insert(generation, session);
                let produced = part.request.as_ref().map_or(0, |told| told.produced.len() as u32);
                let left = part.max_len - part.prompt_len;
                self.wanted.insert(generation, produced..produced + left);
                match self.habit {
                    Habit::Generous | Habit::OneToken => {
                        self.says(NodeMessage::GenerationOpened { generation }).await;
                    }
                    Habit::Refuse => {
                        let fault = Fault::new(FaultCode::NoCapacity, "no KV left");
                        self.says(NodeMessage::GenerationFailed { generation, fault }).await;
                    }
                    Habit::NeverAdmit => {}
                }
            }
            OrchestratorMessage::Begin { generation } if self.layers.is_some_and(|it| it.is_exit(30)) => {
                self.generate(generation).await;
            }
            // The entry's tokens run through the other shards; here that is one message to the exit.
            OrchestratorMessage::Begin { generation } => {
                let exit = self.exits.get(&self.sessions[&generation]).cloned().unwrap();
                let exit = self.mailboxes.lock().unwrap().get(&exit).cloned();
                // It may be gone by now.
                if let Some(exit) = exit {
                    let _ = exit.send(message).await;
                }
            }
            OrchestratorMessage::CloseGeneration { generation } => {
                let (session, layers) = (self.sessions.remove(&generation).unwrap(), self.layers.unwrap());
                let receipt = Some(receipt(&node(self.number), generation, session, layers));
                self.says(NodeMessage::Closed { generation, receipt }).await;
                let _ = self.closing.send(self.number).await;
            }
            OrchestratorMessage::Ping { nonce } => self.says(NodeMessage::Pong { nonce }).await,
            _ => {}
        }
    }

    async fn generate(&self, generation: GenerationId) {
        let wanted = self.wanted[&generation].clone();
        let made = if self.habit == Habit::OneToken { 1 } else { usize::MAX };
        for index in wanted.clone().take(made) {
            let finish = (index + 1 == wanted.end).then_some(FinishReason::Length);
            self.says(NodeMessage::Token { generation, event: token_event(index, finish) }).await;
        }
    }
}

/// Offered with the model, and never asked for anything here.
struct NoText;

impl Text for NoText {
    fn render(&self, _: &ChatPrompt<'_>) -> Result<String, Fault> {
        Ok(String::new())
    }
    fn encode(&self, _: &str, _: bool) -> Result<Vec<u32>, Fault> {
        Ok(Vec::new())
    }
    fn token_bytes(&self, _: u32) -> Vec<u8> {
        Vec::new()
    }
    fn is_end(&self, _: u32) -> bool {
        false
    }
    fn decoder(&self) -> Box<dyn TextDecoder> {
        Box::new(NoText)
    }
    fn tool_dialect(&self) -> ToolDialect {
        ToolDialect::Described
    }
}

impl TextDecoder for NoText {
    fn push(&mut self, _: u32) -> String {
        String::new()
    }
    fn finish(&mut self) -> String {
        String::new()
    }
}
