//! Nodes in one process and the script of their orchestrator.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use computepool_core::control::{CONTROL_VERSION, GenerationPart, NodeMessage, OrchestratorMessage};
use computepool_core::ports::{Adopt, IncomingLane, Weights};
use computepool_core::{
    ActivationType, Fault, Generate, GenerationId, LayerRange, NodeId, RouteHop, RouteTicket, Sampling, Sealed,
    SessionId, SessionLimits, ShardSpec, SignedReceipt, SignedTicket,
};
use computepool_node::{ExitReason, Feed, Node, NodeHandle, NodeOptions, NodeParts, NodeSnapshot, SharedEngine};
use futures::StreamExt;
use tokio::sync::{mpsc, watch};

use super::{FakeEngine, FakeWeights, HIDDEN, MODEL, Name, Names, Net, SetClock, name};

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Machine {
    pub id: NodeId,
    pub layers: LayerRange,
    pub engine: Arc<FakeEngine>,
    pub shared: Arc<SharedEngine>,
    pub handle: NodeHandle,
    /// Unset: the orchestrator does not read what this node says.
    pub listening: watch::Sender<bool>,
    lanes: Feed<IncomingLane>,
    control: mpsc::Sender<OrchestratorMessage>,
}

/// Everything said so far, by whom.
type Log = watch::Sender<Vec<(usize, NodeMessage)>>;

pub struct Cluster {
    pub net: Arc<Net>,
    pub clock: Arc<SetClock>,
    pub machines: Vec<Machine>,
    pub log: Log,
    options: NodeOptions,
    weights: Option<Arc<FakeWeights>>,
    ids: AtomicU64,
    parts: Mutex<Vec<(GenerationId, Vec<usize>)>>,
}

/// A session that all machines in its route hold.
#[derive(Clone)]
pub struct Opened {
    pub session: SessionId,
    pub ticket: RouteTicket,
    pub members: Vec<usize>,
}

pub fn spec(layers: LayerRange) -> ShardSpec {
    ShardSpec { model: MODEL, layers, kv_bytes: 1 << 20, max_context: 4096 }
}

/// Nodes pass their advert on as it is; what it says is no business of theirs.
fn advert(id: &NodeId) -> Sealed {
    Sealed { body: Vec::new(), by: id.clone(), signature: Vec::new() }
}

fn quick() -> NodeOptions {
    NodeOptions {
        prefill_rows: 32,
        chunk_rows: 8,
        sweep: Duration::from_millis(5),
        lane_patience: Duration::from_millis(500),
        close_patience: Duration::from_millis(1000),
        ..NodeOptions::default()
    }
}

impl Cluster {
    /// One machine for each of these layer ranges, loaded and ready.
    pub async fn start(layers: &[&str]) -> Self {
        Self::with(layers, |_| {}).await
    }

    pub async fn with(layers: &[&str], adjust: impl FnOnce(&mut NodeOptions)) -> Self {
        let cluster = Self::idle(layers, None, adjust);
        for i in 0..cluster.machines.len() {
            cluster.assign(i, 1, cluster.machines[i].layers).await;
        }
        cluster
    }

    /// Machines with nothing loaded, which get their weights from `weights`.
    pub fn idle(layers: &[&str], weights: Option<Arc<FakeWeights>>, adjust: impl FnOnce(&mut NodeOptions)) -> Self {
        let mut options = quick();
        adjust(&mut options);
        let mut cluster = Self {
            net: Arc::default(),
            clock: Arc::new(SetClock::new(1_000_000)),
            machines: Vec::new(),
            log: Log::default(),
            options,
            weights,
            ids: AtomicU64::new(1),
            parts: Mutex::default(),
        };
        for (i, layers) in layers.iter().enumerate() {
            cluster.add(i, layers.parse().unwrap());
        }
        cluster
    }

    fn add(&mut self, i: usize, layers: LayerRange) {
        let id = name(&format!("machine-{i}"));
        let (engine, events) = FakeEngine::start();
        let shared = SharedEngine::new(engine.clone(), events);
        let mut doors = self.net.join(&id);
        let lanes = Feed::new(futures::stream::poll_fn(move |context| doors.poll_recv(context)).boxed());
        let listening = watch::Sender::new(true);
        let (control, handle) = self.launch(i, &id, &shared, &lanes, &listening);
        self.machines.push(Machine { id, layers, engine, shared, handle, listening, lanes, control });
    }

    fn launch(
        &self,
        i: usize,
        id: &NodeId,
        engine: &Arc<SharedEngine>,
        lanes: &Feed<IncomingLane>,
        listening: &watch::Sender<bool>,
    ) -> (mpsc::Sender<OrchestratorMessage>, NodeHandle) {
        let (control, mut orders) = mpsc::channel(64);
        let (control_out, mut said) = mpsc::channel(4);
        let (log, mut listening) = (self.log.clone(), listening.subscribe());
        tokio::spawn(async move {
            while listening.wait_for(|listening| *listening).await.is_ok()
                && let Some(message) = said.recv().await
            {
                log.send_modify(|log| log.push((i, message)));
            }
        });
        let handle = Node::start(NodeParts {
            identity: Arc::new(Name(id.clone())),
            verifier: Arc::new(Names),
            clock: self.clock.clone(),
            issuer: name("orchestrator"),
            engine: engine.clone(),
            links: self.net.links(id),
            lanes: lanes.clone(),
            control_out,
            control_in: futures::stream::poll_fn(move |context| orders.poll_recv(context)).boxed(),
            weights: self.weights.clone().map(|weights| weights as Arc<dyn Weights>),
            hello: NodeMessage::Hello { version: CONTROL_VERSION, advert: advert(id) },
            options: self.options.clone(),
        });
        (control, handle)
    }

    /// Ends the control link of a machine, waits for its node, and starts the next one around the same engine.
    pub async fn restart(&mut self, i: usize) -> ExitReason {
        self.machines[i].control = mpsc::channel(1).0;
        let reason = self.machines[i].handle.wait().await;
        let machine = &self.machines[i];
        let (control, handle) = self.launch(i, &machine.id, &machine.shared, &machine.lanes, &machine.listening);
        (self.machines[i].control, self.machines[i].handle) = (control, handle);
        reason
    }

    pub async fn say(&self, i: usize, message: OrchestratorMessage) {
        self.machines[i].control.send(message).await.unwrap();
    }

    /// Waits until the log holds something.
    pub async fn heard<T>(&self, what: impl Debug, find: impl Fn(usize, &NodeMessage) -> Option<T>) -> T {
        let mut log = self.log.subscribe();
        let found = async {
            loop {
                let hit = log.borrow_and_update().iter().find_map(|(i, message)| find(*i, message));
                match hit {
                    Some(hit) => return hit,
                    None => log.changed().await.unwrap(),
                }
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(hit) => hit,
            Err(_) => panic!("never heard {what:?}, only {:#?}", self.log.borrow()),
        }
    }

    /// Waits until what was heard so far is enough. Not to be asked from within [`Self::heard`], which holds the log.
    pub async fn until(&self, what: impl Debug, enough: impl Fn() -> bool) {
        let mut log = self.log.subscribe();
        let waiting = async {
            while !enough() {
                log.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("never came to {what:?}, only to {:#?}", self.log.borrow());
        }
    }

    /// Waits until so many tokens were heard.
    pub async fn some_tokens(&self, generation: GenerationId, count: usize) {
        self.until(("tokens", generation, count), || self.tokens_so_far(generation).len() >= count).await;
    }

    /// How many messages fit.
    pub fn count(&self, fits: impl Fn(usize, &NodeMessage) -> bool) -> usize {
        self.log.borrow().iter().filter(|(i, message)| fits(*i, message)).count()
    }

    pub async fn assign(&self, i: usize, assignment: u64, layers: LayerRange) {
        self.say(i, OrchestratorMessage::Assign { assignment, spec: spec(layers), source: None }).await;
        self.ready(i, assignment).await;
    }

    /// Waits until a shard is loaded.
    pub async fn ready(&self, i: usize, assignment: u64) {
        self.heard(("ready", i, assignment), |who, message| match message {
            NodeMessage::ShardReady { assignment: which, .. } if who == i && *which == assignment => Some(()),
            _ => None,
        })
        .await;
    }

    fn id(&self) -> [u8; 16] {
        u128::from(self.ids.fetch_add(1, Ordering::SeqCst)).to_le_bytes()
    }

    pub fn generation_id(&self) -> GenerationId {
        GenerationId(self.id())
    }

    /// A ticket over all machines in order.
    pub fn ticket(&self) -> RouteTicket {
        self.ticket_with(&[], &[])
    }

    /// A ticket with strangers before and after the machines.
    pub fn ticket_with(&self, before: &[(&str, &str)], after: &[(&str, &str)]) -> RouteTicket {
        let hop = |node: NodeId, layers: LayerRange| RouteHop { node, layers, addresses: Vec::new() };
        let stranger = |(node, layers): &(&str, &str)| hop(name(node), layers.parse().unwrap());
        let mine = self.machines.iter().map(|machine| hop(machine.id.clone(), machine.layers));
        RouteTicket {
            session: SessionId(self.id()),
            model: MODEL,
            hops: before.iter().map(stranger).chain(mine).chain(after.iter().map(stranger)).collect(),
            hidden: HIDDEN,
            activation: ActivationType::F32,
            limits: SessionLimits { max_generations: 64, max_rows: 16, max_context: 1024 },
            not_before_ms: 0,
            expires_ms: 2_000_000,
        }
    }

    pub fn sealed(ticket: &RouteTicket) -> SignedTicket {
        SignedTicket::seal(ticket, &Name(name("orchestrator"))).unwrap()
    }

    pub async fn open_session(&self) -> Opened {
        self.open_ticket(self.ticket()).await
    }

    /// Opens a session on every machine that has a place in its route.
    pub async fn open_ticket(&self, ticket: RouteTicket) -> Opened {
        let members: Vec<usize> =
            (0..self.machines.len()).filter(|i| ticket.place_of(&self.machines[*i].id).is_some()).collect();
        let session = ticket.session;
        for i in &members {
            self.say(*i, OrchestratorMessage::OpenSession { ticket: Self::sealed(&ticket) }).await;
        }
        for i in &members {
            self.heard(("session opened", i), |who, message| match message {
                NodeMessage::SessionOpened { session: which } if who == *i && *which == session => Some(Ok(())),
                NodeMessage::SessionRefused { session: which, fault } if *which == session => Some(Err(fault.clone())),
                _ => None,
            })
            .await
            .unwrap();
        }
        Opened { session, ticket, members }
    }

    pub async fn close_session(&self, session: &Opened) {
        for i in &session.members {
            self.say(*i, OrchestratorMessage::CloseSession { session: session.session }).await;
        }
    }

    pub async fn refused(&self, i: usize, session: SessionId) -> Fault {
        self.heard(("session refused", i), |who, message| match message {
            NodeMessage::SessionRefused { session: which, fault } if who == i && *which == session => {
                Some(fault.clone())
            }
            _ => None,
        })
        .await
    }

    pub fn request(prompt: &[u32], max_tokens: u32) -> Generate {
        Generate {
            prompt: prompt.to_vec(),
            produced: Vec::new(),
            max_tokens,
            sampling: Sampling::default(),
            constraint: None,
            logprobs: None,
            ignore_eos: true,
        }
    }

    /// Asks every member to open a generation.
    pub async fn ask(&self, session: &Opened, prompt: &[u32], max_tokens: u32) -> GenerationId {
        self.ask_for(session, Self::request(prompt, max_tokens), None).await
    }

    /// Asks every member to open a generation that may have been begun elsewhere.
    pub async fn ask_for(&self, session: &Opened, request: Generate, adopt: Option<Adopt>) -> GenerationId {
        self.ask_as(session, request, adopt, false).await
    }

    /// The same, where maybe nobody waits for it.
    pub async fn ask_as(
        &self,
        session: &Opened,
        request: Generate,
        adopt: Option<Adopt>,
        unhurried: bool,
    ) -> GenerationId {
        let generation = self.generation_id();
        for i in &session.members {
            let layers = self.machines[*i].layers;
            let mut told = request.clone();
            if !layers.is_entry() {
                told.prompt.clear();
            }
            let part = GenerationPart {
                max_len: request.prompt.len() as u32 + request.max_tokens,
                prompt_len: (request.prompt.len() + request.produced.len()) as u32,
                adopt,
                unhurried,
                request: (layers.is_entry() || layers.is_exit(super::LAYERS)).then_some(told),
            };
            let session = session.session;
            self.say(*i, OrchestratorMessage::OpenGeneration { session, generation, part }).await;
        }
        self.parts.lock().unwrap().push((generation, session.members.clone()));
        generation
    }

    /// Opens a generation on every member.
    pub async fn open(&self, session: &Opened, prompt: &[u32], max_tokens: u32) -> GenerationId {
        let generation = self.ask(session, prompt, max_tokens).await;
        self.opened(session, generation).await;
        generation
    }

    /// Waits until every member has opened a generation.
    pub async fn opened(&self, session: &Opened, generation: GenerationId) {
        for i in &session.members {
            self.heard(("generation opened", i), |who, message| match message {
                NodeMessage::GenerationOpened { generation: which } if who == *i && *which == generation => {
                    Some(Ok(()))
                }
                NodeMessage::GenerationFailed { generation: which, fault } if *which == generation => {
                    Some(Err(fault.clone()))
                }
                _ => None,
            })
            .await
            .unwrap();
        }
    }

    /// Opens a generation and lets its entry begin.
    pub async fn begin(&self, session: &Opened, prompt: &[u32], max_tokens: u32) -> GenerationId {
        let generation = self.open(session, prompt, max_tokens).await;
        self.say(session.members[0], OrchestratorMessage::Begin { generation }).await;
        generation
    }

    /// Tokens heard of so far.
    pub fn tokens_so_far(&self, generation: GenerationId) -> Vec<u32> {
        let token = |message: &NodeMessage| match message {
            NodeMessage::Token { generation: which, event } if *which == generation => Some(event.id),
            _ => None,
        };
        self.log.borrow().iter().filter_map(|(_, message)| token(message)).collect()
    }

    /// Waits for the last token; all of them.
    pub async fn tokens(&self, generation: GenerationId) -> Vec<u32> {
        self.heard(("last token", generation), |_, message| match message {
            NodeMessage::Token { generation: which, event } if *which == generation && event.finish.is_some() => {
                Some(Ok(()))
            }
            NodeMessage::GenerationFailed { generation: which, fault } if *which == generation => {
                Some(Err(fault.clone()))
            }
            _ => None,
        })
        .await
        .unwrap();
        self.tokens_so_far(generation)
    }

    pub async fn failed(&self, i: usize, generation: GenerationId) -> Fault {
        self.heard(("generation failed", i, generation), |who, message| match message {
            NodeMessage::GenerationFailed { generation: which, fault } if who == i && *which == generation => {
                Some(fault.clone())
            }
            _ => None,
        })
        .await
    }

    /// Closes a generation everywhere; the accounts, in order of the members.
    pub async fn close(&self, generation: GenerationId) -> Vec<Option<SignedReceipt>> {
        let members = self.parts.lock().unwrap().iter().find(|(id, _)| *id == generation).unwrap().1.clone();
        for i in &members {
            self.say(*i, OrchestratorMessage::CloseGeneration { generation }).await;
        }
        let mut receipts = Vec::new();
        for i in &members {
            receipts.push(self.closed(*i, generation).await);
        }
        receipts
    }

    pub async fn closed(&self, i: usize, generation: GenerationId) -> Option<SignedReceipt> {
        self.heard(("closed", i, generation), |who, message| match message {
            NodeMessage::Closed { generation: which, receipt } if who == i && *which == generation => {
                Some(receipt.clone())
            }
            _ => None,
        })
        .await
    }

    /// A whole generation, which must say what the model says.
    pub async fn run(&self, session: &Opened, prompt: &[u32], max_tokens: u32) -> Vec<Option<SignedReceipt>> {
        let generation = self.begin(session, prompt, max_tokens).await;
        assert_eq!(self.tokens(generation).await, super::expected(prompt, max_tokens));
        self.close(generation).await
    }

    /// Waits until a machine's state is as wanted.
    pub async fn status(&self, i: usize, what: &str, fits: impl Fn(&NodeSnapshot) -> bool) -> NodeSnapshot {
        let mut status = self.machines[i].handle.status();
        let waiting = tokio::time::timeout(PATIENCE, status.wait_for(|status| fits(status))).await;
        match waiting {
            Ok(Ok(status)) => status.clone(),
            _ => panic!("machine {i} never came to: {what}; it is {:?}", *self.machines[i].handle.status().borrow()),
        }
    }

    /// Nothing may be left: no session, no generation, no row, no KV, no complaint.
    pub async fn end(self) {
        let sessions: Vec<SessionId> = self.sessions_opened();
        for (i, session) in (0..self.machines.len()).flat_map(|i| sessions.iter().map(move |session| (i, *session))) {
            self.say(i, OrchestratorMessage::CloseSession { session }).await;
        }
        for i in 0..self.machines.len() {
            self.status(i, "empty", |s| s.sessions == 0 && s.generations == 0 && s.prefill_rows == 0).await;
        }
        for machine in self.machines {
            assert_eq!(machine.handle.shutdown().await, ExitReason::Shutdown);
            assert_eq!(machine.engine.open(), 0, "{} leaks KV", machine.id);
            assert_eq!(machine.shared.open_generations(), 0, "{} leaks a name", machine.id);
            assert_eq!(*machine.engine.complaints.lock().unwrap(), Vec::<String>::new());
        }
    }

    fn sessions_opened(&self) -> Vec<SessionId> {
        let log = self.log.borrow();
        let opened = log.iter().filter_map(|(_, message)| match message {
            NodeMessage::SessionOpened { session } => Some(*session),
            _ => None,
        });
        let mut sessions: Vec<_> = opened.collect();
        sessions.sort();
        sessions.dedup();
        sessions
    }
}
