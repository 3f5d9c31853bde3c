//! A route of real nodes, a clock the test owns, and a peer that writes whatever it is told to.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use computepool_core::ports::{Clock, IncomingLane, Signer};
use computepool_core::{
    Activation, ActivationType, ContentHash, Fault, GenerationId, HopFrame, LayerRange, NodeId, RouteHop, RouteTicket,
    SessionId, SessionLimits, SignedTicket,
};
use computepool_transport::{AcceptLimits, HopLinks, Identity, LaneOptions, Network, NetworkOptions};
use futures::stream::BoxStream;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, SwarmBuilder, noise, tcp, yamux};

pub(crate) const HIDDEN: u32 = 64;
pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

/// Waits for something that should take milliseconds; the machine may be busy.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("did not happen within 30 s")
}

#[derive(Debug)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn at(ms: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(ms)))
    }

    pub(crate) fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Asks again and again; for what nobody announces.
pub(crate) async fn eventually(what: impl AsyncFn() -> bool) {
    soon(async {
        while !what().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// What a node listens on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Over {
    Tcp,
    Quic,
    Both,
}

pub(crate) fn network_options(over: Over) -> NetworkOptions {
    let mut options = NetworkOptions::loopback();
    match over {
        Over::Tcp => options.listen.truncate(1),
        Over::Quic => drop(options.listen.remove(0)),
        Over::Both => {}
    }
    options
}

/// A node of the network.
pub(crate) struct Node {
    pub(crate) identity: Identity,
    pub(crate) network: Network,
    pub(crate) links: HopLinks,
}

impl Node {
    pub(crate) async fn start(over: Over) -> Self {
        Self::start_with(over, LaneOptions::default()).await
    }

    pub(crate) async fn start_with(over: Over, options: LaneOptions) -> Self {
        Self::start_as(new_identity().0, network_options(over), options).await
    }

    /// A node set up in its own way.
    pub(crate) async fn start_on(options: NetworkOptions) -> Self {
        Self::start_as(new_identity().0, options, LaneOptions::default()).await
    }

    pub(crate) async fn start_as(identity: Identity, options: NetworkOptions, lanes: LaneOptions) -> Self {
        let network = Network::start(&identity, options).await.unwrap();
        let links = HopLinks::new(network.clone(), lanes);
        Self { identity, network, links }
    }

    /// Waits until what the node knows of its network is as wanted.
    pub(crate) async fn until(&self, what: impl Fn(&Network) -> bool) {
        let mut surroundings = self.network.surroundings();
        soon(async {
            while !what(&self.network) {
                surroundings.changed().await.unwrap();
            }
        })
        .await;
    }

    pub(crate) fn id(&self) -> &NodeId {
        self.identity.id()
    }

    pub(crate) fn hop(&self, layers: std::ops::Range<u32>) -> RouteHop {
        RouteHop {
            node: self.id().clone(),
            layers: LayerRange::new(layers.start, layers.end).unwrap(),
            addresses: self.network.addresses(),
        }
    }

    pub(crate) async fn accept(
        &self,
        issuer: &Identity,
        clock: &Arc<TestClock>,
        limits: AcceptLimits,
    ) -> BoxStream<'static, IncomingLane> {
        let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
        self.links.accept(issuer.id().clone(), clock, limits).await.unwrap()
    }
}

/// An identity together with its libp2p key, taken from the file as any other libp2p program would.
pub(crate) fn new_identity() -> (Identity, Keypair) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity.key");
    let identity = Identity::load_or_create(&path).unwrap();
    let keys = Keypair::from_protobuf_encoding(&std::fs::read(&path).unwrap()).unwrap();
    (identity, keys)
}

pub(crate) fn ticket(hops: Vec<RouteHop>) -> RouteTicket {
    RouteTicket {
        session: SessionId([7; 16]),
        model: ContentHash([1; 32]),
        hops,
        hidden: HIDDEN,
        activation: ActivationType::F32,
        limits: SessionLimits { max_generations: 4, max_rows: 16_384, max_context: 32_768 },
        not_before_ms: NOW_MS,
        expires_ms: NOW_MS + 60_000,
    }
}

pub(crate) fn sealed(ticket: &RouteTicket, issuer: &dyn Signer) -> SignedTicket {
    SignedTicket::seal(ticket, issuer).unwrap()
}

/// `rows` positions from `position` on, whose numbers depend on both.
pub(crate) fn activation(position: u32, rows: u32) -> HopFrame {
    let numbers = (0..rows * HIDDEN).map(|i| (i ^ position) as f32);
    let data: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
    let hidden = Activation::new(rows, HIDDEN, ActivationType::F32, Bytes::from(data)).unwrap();
    HopFrame::Activation { generation: GenerationId([9; 16]), position, sample: rows == 1, hidden }
}

pub(crate) fn token(position: u32) -> HopFrame {
    HopFrame::Token { generation: GenerationId([9; 16]), position, id: position * 3 }
}

/// A peer that speaks libp2p but none of this crate's code.
pub(crate) struct RawPeer {
    control: libp2p_stream::Control,
    driver: tokio::task::JoinHandle<()>,
}

impl RawPeer {
    /// Connects to `node` with the given key.
    pub(crate) async fn connect(keys: Keypair, node: &Node) -> Self {
        let mut swarm = SwarmBuilder::with_existing_identity(keys)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_quic()
            .with_behaviour(|_| libp2p_stream::Behaviour::new())
            .unwrap()
            .build();
        let address: Multiaddr = node.network.addresses()[0].parse().unwrap();
        let peer: PeerId = node.id().as_str().parse().unwrap();
        swarm.dial(address.with_p2p(peer).unwrap()).unwrap();
        let control = swarm.behaviour().new_control();
        let (connected, wait) = tokio::sync::oneshot::channel();
        let driver = tokio::spawn(async move {
            let mut connected = Some(connected);
            loop {
                if let libp2p::swarm::SwarmEvent::ConnectionEstablished { .. } = swarm.select_next_some().await
                    && let Some(connected) = connected.take()
                {
                    connected.send(()).unwrap();
                }
            }
        });
        soon(wait).await.unwrap();
        Self { control, driver }
    }

    pub(crate) async fn open(&mut self, node: &Node, protocol: &'static str) -> Stream {
        let peer: PeerId = node.id().as_str().parse().unwrap();
        soon(self.control.open_stream(peer, StreamProtocol::new(protocol))).await.unwrap()
    }
}

impl RawPeer {
    /// Streams that others open to it.
    pub(crate) fn accept(&mut self, protocol: &'static str) -> libp2p_stream::IncomingStreams {
        self.control.accept(StreamProtocol::new(protocol)).unwrap()
    }
}

impl Drop for RawPeer {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

pub(crate) async fn write(stream: &mut Stream, bytes: &[u8]) {
    soon(stream.write_all(bytes)).await.unwrap();
    soon(stream.flush()).await.unwrap();
}

/// Reads one frame of any kind: its kind and its body.
pub(crate) async fn read_frame(stream: &mut Stream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut prefix = [0; 12];
    soon(stream.read_exact(&mut prefix)).await?;
    let length = u32::from_le_bytes(prefix[8..].try_into().unwrap());
    assert!(length <= 4096, "a reply of {length} bytes");
    let mut body = vec![0; length as usize];
    soon(stream.read_exact(&mut body)).await?;
    Ok((prefix[5], body))
}

/// Reads a reply: `None` accepts.
pub(crate) async fn read_reply(stream: &mut Stream) -> Option<Fault> {
    let (kind, body) = read_frame(stream).await.unwrap();
    assert_eq!(kind, 17);
    if body.is_empty() { None } else { Some(postcard::from_bytes(&body).unwrap()) }
}

/// xorshift64*, seeded: a failure comes back on the next run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `n`; 0 when `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// Changes up to three places, mostly among the first 44 bytes, where the fields are.
    pub(crate) fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            if bytes.is_empty() {
                return;
            }
            let room = if self.below(3) > 0 { bytes.len().min(44) } else { bytes.len() };
            let at = self.below(room);
            match self.below(4) {
                0 => bytes[at] = self.next() as u8,
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at),
                _ => bytes.insert(at, self.next() as u8),
            }
        }
    }
}

/// How many mutated inputs to try: `COMPUTEPOOL_FUZZ_CASES`, or the given number.
pub(crate) fn fuzz_cases(default: u64) -> u64 {
    std::env::var("COMPUTEPOOL_FUZZ_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
