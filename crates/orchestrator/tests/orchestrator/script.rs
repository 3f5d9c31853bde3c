//! The kit: a state machine with a clock of its own, nodes that answer when told to, and effects kept for looking at.

use std::collections::BTreeSet;
use std::sync::Arc;

use computepool_core::control::{CONTROL_VERSION, GenerationPart, NodeMessage, OrchestratorMessage};
use computepool_core::ports::{ControlEvent, NodeStatus, Record, Signer, Verifier};
use computepool_core::{
    ActivationType, Advert, ClientId, ContentHash, Fault, FinishReason, Generate, GenerationEvent, GenerationId,
    HeldModel, LayerRange, ModelId, ModelSummary, NodeId, Reach, Receipt, Sampling, Sealed, SessionId, ShardInfo,
    ShardSpec, SignedReceipt, TokenEvent, advert,
};
use computepool_orchestrator::{Asked, Cancelling, Effect, Event, EventKind, Limits, PoolSettings, State, apply};

/// "Signs" with a checksum over name and bytes: forging it takes intent, which tests have.
pub struct FakeKey(pub NodeId);

pub fn checksum(node: &NodeId, bytes: &[u8]) -> Vec<u8> {
    let all = node.as_str().bytes().chain(bytes.iter().copied());
    all.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)).to_le_bytes().to_vec()
}

impl Signer for FakeKey {
    fn node(&self) -> NodeId {
        self.0.clone()
    }
    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        checksum(&self.0, bytes)
    }
}

pub struct FakeVerifier;

impl Verifier for FakeVerifier {
    fn verify(&self, node: &NodeId, bytes: &[u8], signature: &[u8]) -> bool {
        checksum(node, bytes) == signature
    }
}

pub fn node(n: usize) -> NodeId {
    NodeId::new(format!("node-{n}")).unwrap()
}

/// Which node that is.
pub fn number(node: &NodeId) -> usize {
    node.as_str().trim_start_matches("node-").parse().unwrap()
}

pub fn model() -> ModelId {
    ModelId::new("small").unwrap()
}

pub fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

pub fn range(text: &str) -> LayerRange {
    text.parse().unwrap()
}

pub fn summary(layers: u32) -> ModelSummary {
    ModelSummary {
        id: model(),
        hash: ContentHash([7; 32]),
        architecture: "llama".into(),
        layer_count: layers,
        hidden: 64,
        vocabulary: 1000,
        context: 2048,
        layer_bytes: vec![100; layers as usize],
        embedding_bytes: 50,
        head_bytes: 50,
        kv_bytes_per_token_layer: 1,
    }
}

pub fn request(prompt: usize, max_tokens: u32) -> Generate {
    Generate {
        prompt: (0..prompt as u32).map(|i| i % 1000).collect(),
        produced: Vec::new(),
        max_tokens,
        sampling: Sampling::default(),
        constraint: None,
        logprobs: None,
        ignore_eos: false,
    }
}

pub fn info(spec: &ShardSpec) -> ShardInfo {
    ShardInfo {
        model: spec.model,
        layers: spec.layers,
        hidden: 64,
        activation: ActivationType::F32,
        weight_bytes: 1,
        kv_bytes_per_token: 1,
        kv_tokens: 4096,
        device: "CPU".into(),
        kernels: "plain".into(),
    }
}

pub fn advert(n: usize, layers: Option<LayerRange>, memory_bytes: u64) -> Advert {
    Advert {
        node: node(n),
        issued_ms: 1_000,
        expires_ms: 1_000 + advert::MAX_ADVERT_MS,
        name: "box".into(),
        addresses: vec!["/ip4/127.0.0.1/tcp/1".into()],
        reach: Reach::Public,
        device: "CPU".into(),
        memory_bytes,
        disk_bytes: 0,
        models: vec![HeldModel { model: ContentHash([7; 32]), layers: None }],
        speeds: Vec::new(),
        links: Vec::new(),
        layers,
        price_per_hour: 0,
        upload_limit: None,
        operator: None,
    }
}

/// The advert of node `n`, by its own hand.
pub fn sealed(n: usize, advert: &Advert) -> Sealed {
    Sealed::seal(advert, &FakeKey(node(n))).unwrap()
}

pub fn says_hello(n: usize, advert: &Advert) -> NodeMessage {
    NodeMessage::Hello { version: CONTROL_VERSION, advert: sealed(n, advert) }
}

pub fn hello(n: usize, layers: Option<LayerRange>, memory_bytes: u64) -> NodeMessage {
    says_hello(n, &advert(n, layers, memory_bytes))
}

pub fn token_event(index: u32, finish: Option<FinishReason>) -> TokenEvent {
    TokenEvent { index, id: 10 + index, logprob: None, finish }
}

pub fn receipt(node: &NodeId, generation: GenerationId, session: SessionId, layers: LayerRange) -> SignedReceipt {
    let receipt = Receipt {
        generation,
        session,
        node: node.clone(),
        model: ContentHash([7; 32]),
        layers,
        prefill_rows: 4,
        decode_rows: 2,
        steps: 3,
        compute_us: 10,
        hop_us: 1,
        bytes_sent: 100,
    };
    receipt.seal(&FakeKey(node.clone())).unwrap()
}

/// Limits under which a generation that loses its route is given up at once.
pub fn limits() -> Limits {
    Limits { failover_ms: 0, ..Limits::default() }
}

/// One orchestrator under test.
pub struct Script {
    pub state: State,
    pub now_ms: u64,
    /// Effects of the last event, but for requests for signs of life and measurements.
    pub last: Vec<Effect>,
    /// These requests, of all events.
    pub asides: Vec<(NodeId, OrchestratorMessage)>,
    /// Everything that nodes were told, in order.
    pub sent: Vec<(NodeId, OrchestratorMessage)>,
    /// Everything that clients were told, in order.
    pub heard: Vec<(GenerationId, GenerationEvent)>,
    /// Everything that was to be written down.
    pub written: Vec<Record>,
    /// Nodes that answer nothing when all are asked to.
    pub mute: BTreeSet<usize>,
    /// How much of `sent` was answered, and of `asides`.
    answered: (usize, usize),
    asked: u8,
}

impl Script {
    pub fn new(shards: usize) -> Self {
        Self::with(PoolSettings::new(summary(30), shards), limits())
    }

    pub fn with(pool: PoolSettings, limits: Limits) -> Self {
        let signer = Arc::new(FakeKey(NodeId::new("orchestrator").unwrap()));
        let state = State::new(vec![pool], limits, signer, Arc::new(FakeVerifier)).unwrap();
        Self {
            state,
            now_ms: 1_000_000,
            last: Vec::new(),
            asides: Vec::new(),
            sent: Vec::new(),
            heard: Vec::new(),
            written: Vec::new(),
            mute: BTreeSet::new(),
            answered: (0, 0),
            asked: 0,
        }
    }

    pub fn event(&mut self, kind: EventKind) -> &[Effect] {
        self.last.clear();
        for effect in apply(&mut self.state, Event { at_ms: self.now_ms, kind }) {
            match effect {
                Effect::Send(
                    node,
                    message @ (OrchestratorMessage::Ping { .. } | OrchestratorMessage::Probe { .. }),
                ) => self.asides.push((node, message)),
                effect => {
                    match &effect {
                        Effect::Send(node, message) => self.sent.push((node.clone(), message.clone())),
                        Effect::Tell(generation, event) => self.heard.push((*generation, event.clone())),
                        Effect::Write(records) => self.written.extend(records.iter().cloned()),
                        _ => {}
                    }
                    self.last.push(effect);
                }
            }
        }
        &self.last
    }

    pub fn says(&mut self, n: usize, message: NodeMessage) -> &[Effect] {
        self.event(EventKind::Control(ControlEvent::Message(node(n), Box::new(message))))
    }

    pub fn connect(&mut self, n: usize) {
        self.event(EventKind::Control(ControlEvent::Connected(node(n))));
    }

    pub fn disconnect(&mut self, n: usize) {
        self.event(EventKind::Control(ControlEvent::Disconnected(node(n))));
    }

    /// Connects and says hello.
    pub fn join(&mut self, n: usize, layers: Option<&str>) {
        self.connect(n);
        self.says(n, hello(n, layers.map(range), 1 << 40));
    }

    /// The shard the node was last asked to load.
    pub fn assigned(&self, n: usize) -> Option<(u64, ShardSpec)> {
        self.sent.iter().rev().find_map(|(to, message)| match message {
            OrchestratorMessage::Assign { assignment, spec, .. } if to == &node(n) => Some((*assignment, spec.clone())),
            _ => None,
        })
    }

    pub fn ready(&mut self, n: usize) {
        let (assignment, spec) = self.assigned(n).expect("the node has an assignment");
        self.says(n, NodeMessage::ShardReady { assignment, info: info(&spec) });
    }

    /// A route of `shards` ready nodes, `node-0` at the entry.
    pub fn up(shards: usize) -> Self {
        let mut script = Self::new(shards);
        script.bring_up(shards);
        script
    }

    pub fn bring_up(&mut self, shards: usize) {
        (0..shards).for_each(|n| self.join(n, None));
        (0..shards).for_each(|n| self.ready(n));
        assert_eq!(self.state.available(), [true]);
    }

    pub fn wait(&mut self, ms: u64) -> &[Effect] {
        self.now_ms += ms;
        self.event(EventKind::Tick)
    }

    pub fn ask(&mut self, by: &str, request: Generate) -> GenerationId {
        self.asked += 1;
        let (generation, session) = (GenerationId([self.asked; 16]), SessionId([self.asked; 16]));
        let asked = Asked { generation, session, client: client(by), model: model(), request };
        self.event(EventKind::Ask(Box::new(asked)));
        generation
    }

    pub fn cancel(&mut self, generation: GenerationId) {
        self.event(EventKind::Cancel(generation, Cancelling::Dropped));
    }

    /// A generation that runs on nodes `0..shards`: its session and itself are opened.
    pub fn running(&mut self, shards: usize) -> (GenerationId, SessionId) {
        let generation = self.ask("ann", request(4, 8));
        let session = self.opening_session();
        (0..shards).for_each(|n| {
            self.says(n, NodeMessage::SessionOpened { session });
        });
        self.admit(generation, shards);
        (generation, session)
    }

    pub fn admit(&mut self, generation: GenerationId, shards: usize) {
        (0..shards).for_each(|n| {
            self.says(n, NodeMessage::GenerationOpened { generation });
        });
    }

    /// The session that was opened last.
    pub fn opening_session(&self) -> SessionId {
        let opened = |message: &OrchestratorMessage| match message {
            OrchestratorMessage::OpenSession { ticket } => {
                Some(ticket.open(&NodeId::new("orchestrator").unwrap(), &FakeVerifier, self.now_ms).unwrap().session)
            }
            _ => None,
        };
        self.sent.iter().rev().find_map(|(_, message)| opened(message)).expect("a session was opened")
    }

    pub fn token(&mut self, n: usize, generation: GenerationId, index: u32, finish: Option<FinishReason>) {
        self.says(n, NodeMessage::Token { generation, event: token_event(index, finish) });
    }

    pub fn closed(&mut self, n: usize, generation: GenerationId) {
        self.says(n, NodeMessage::Closed { generation, receipt: None });
    }

    /// `nodes` ready nodes around places for `shards`, under limits that let generations go on elsewhere.
    pub fn lossless(shards: usize, nodes: usize) -> Self {
        let mut script = Self::with(PoolSettings::new(summary(30), shards), Limits::default());
        (0..nodes).for_each(|n| script.join(n, None));
        script.settle();
        assert_eq!(script.state.available(), [true]);
        script
    }

    /// Everybody who is not mute answers what they were sent, and what follows from that, until nothing is left.
    pub fn settle(&mut self) {
        self.settle_some(|_| true);
    }

    /// The same, as long as the messages are of a kind.
    pub fn settle_some(&mut self, kind: impl Fn(&OrchestratorMessage) -> bool) {
        while let Some((to, message)) = self.sent.get(self.answered.0).cloned() {
            if !kind(&message) {
                return;
            }
            self.answered.0 += 1;
            let n = number(&to);
            if !self.mute.contains(&n) {
                self.answer(n, message);
            }
        }
    }

    fn answer(&mut self, n: usize, message: OrchestratorMessage) {
        match message {
            OrchestratorMessage::Assign { assignment, spec, .. } => {
                self.says(n, NodeMessage::ShardReady { assignment, info: info(&spec) });
            }
            OrchestratorMessage::OpenSession { ticket } => {
                let session = ticket.claimed_session().unwrap();
                self.says(n, NodeMessage::SessionOpened { session });
            }
            OrchestratorMessage::OpenGeneration { generation, part, .. } => {
                self.says(n, NodeMessage::GenerationOpened { generation });
                if let Some(adopt) = part.adopt {
                    self.closed(n, adopt.generation);
                }
            }
            OrchestratorMessage::CloseGeneration { generation } => self.closed(n, generation),
            OrchestratorMessage::Leave => self.disconnect(n),
            _ => {}
        }
    }

    /// Time passes in ticks, and everybody who is not mute answers pings.
    pub fn pass(&mut self, ms: u64) {
        let until_ms = self.now_ms + ms;
        while self.now_ms < until_ms {
            self.wait(Limits::default().tick_ms);
            while let Some((to, message)) = self.asides.get(self.answered.1).cloned() {
                self.answered.1 += 1;
                let n = number(&to);
                if let OrchestratorMessage::Ping { nonce } = message
                    && !self.mute.contains(&n)
                {
                    self.says(n, NodeMessage::Pong { nonce });
                }
            }
            self.settle();
        }
    }

    /// The leg that was opened last: its id, what its entry was told, and its route.
    pub fn leg(&self) -> (GenerationId, GenerationPart, Vec<usize>) {
        let opened = |message: &OrchestratorMessage| match message {
            OrchestratorMessage::OpenGeneration { generation, part, .. } => Some((*generation, part.clone())),
            _ => None,
        };
        let (id, _) = self.sent.iter().rev().find_map(|(_, message)| opened(message)).expect("a leg was opened");
        let mut parts = self.sent.iter().filter_map(|(to, message)| {
            opened(message).filter(|(other, _)| *other == id).map(|(_, part)| (number(to), part))
        });
        let (entry, part) = parts.next().unwrap();
        (id, part, std::iter::once(entry).chain(parts.map(|(n, _)| n)).collect())
    }

    /// The route of the session that was opened last.
    pub fn route(&self) -> Vec<usize> {
        let session = self.opening_session();
        let to = |(to, message): &(NodeId, OrchestratorMessage)| match message {
            OrchestratorMessage::OpenSession { ticket } if ticket.claimed_session() == Some(session) => {
                Some(number(to))
            }
            _ => None,
        };
        self.sent.iter().filter_map(to).collect()
    }

    /// The exit of a leg gives tokens `from..to` of the one true sequence of 8.
    pub fn give(&mut self, leg: GenerationId, exit: usize, tokens: std::ops::Range<u32>) {
        for index in tokens {
            self.token(exit, leg, index, (index == 7).then_some(FinishReason::Length));
        }
    }

    /// Whether the only client saw the one true sequence of 8, each token once and in order, and then its end.
    pub fn assert_whole(&self) {
        let events: Vec<&GenerationEvent> = self.heard.iter().map(|(_, event)| event).collect();
        assert!(matches!(events[0], GenerationEvent::Started(_)), "{events:?}");
        for index in 0..8 {
            let expected = token_event(index, (index == 7).then_some(FinishReason::Length));
            assert_eq!(events[1 + index as usize], &GenerationEvent::Token(expected), "{events:?}");
        }
        assert!(matches!(events[9..], [GenerationEvent::Ended(_)]), "{events:?}");
    }

    /// What the last event said to clients.
    pub fn told(&self) -> Vec<GenerationEvent> {
        let told = |effect: &Effect| match effect {
            Effect::Tell(_, event) => Some(event.clone()),
            _ => None,
        };
        self.last.iter().filter_map(told).collect()
    }

    /// The fault the last event told the only client concerned.
    pub fn fault(&self) -> Fault {
        match self.told().as_slice() {
            [GenerationEvent::Failed(fault)] => fault.clone(),
            other => panic!("expected one failure, got {other:?}"),
        }
    }

    /// To whom the last event sent messages of this kind.
    pub fn sent_to(&self, kind: impl Fn(&OrchestratorMessage) -> bool) -> Vec<NodeId> {
        let to = |effect: &Effect| match effect {
            Effect::Send(node, message) if kind(message) => Some(node.clone()),
            _ => None,
        };
        self.last.iter().filter_map(to).collect()
    }

    /// Whom the last event disconnected.
    pub fn disconnected(&self) -> Vec<NodeId> {
        let who = |effect: &Effect| match effect {
            Effect::Disconnect { node, .. } => Some(node.clone()),
            _ => None,
        };
        self.last.iter().filter_map(who).collect()
    }

    pub fn status(&self, n: usize) -> NodeStatus {
        self.state.network().nodes.into_iter().find(|status| status.node == node(n)).expect("the node is registered")
    }
}

pub fn is_open_session(message: &OrchestratorMessage) -> bool {
    matches!(message, OrchestratorMessage::OpenSession { .. })
}

pub fn is_close_session(message: &OrchestratorMessage) -> bool {
    matches!(message, OrchestratorMessage::CloseSession { .. })
}

pub fn is_open(message: &OrchestratorMessage) -> bool {
    matches!(message, OrchestratorMessage::OpenGeneration { .. })
}

pub fn is_begin(message: &OrchestratorMessage) -> bool {
    matches!(message, OrchestratorMessage::Begin { .. })
}

pub fn is_close(message: &OrchestratorMessage) -> bool {
    matches!(message, OrchestratorMessage::CloseGeneration { .. })
}

pub fn is_leave(message: &OrchestratorMessage) -> bool {
    matches!(message, OrchestratorMessage::Leave)
}

pub fn is_close_of(message: &OrchestratorMessage, closed: GenerationId) -> bool {
    matches!(message, OrchestratorMessage::CloseGeneration { generation } if *generation == closed)
}
