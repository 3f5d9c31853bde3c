//! The actor that drives the swarm.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use computepool_core::{Fault, FaultCode, NodeId, Reach};
use futures::StreamExt as _;
use libp2p::core::transport::ListenerId;
use libp2p::identity::Keypair;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Inbound;
use super::behaviour::Behaviour;
use super::peers::{Peers, Way};
use super::queries::Queries;
use super::refusals::Ledger;
use super::relays::Relays;
use super::streams::{OpenStream, Opened};
use super::surroundings::Surroundings;

mod events;
mod relaying;
mod tabling;

/// How often what is due is looked at: relays, spare connections, what the table should be told.
const TICK: Duration = Duration::from_millis(250);

/// How long a shutdown waits for peers to be told.
const FAREWELL: Duration = Duration::from_secs(1);

type Reply<T> = oneshot::Sender<T>;
type Dialled = Reply<Result<(), Fault>>;

/// What a handle asks of the swarm.
#[derive(Debug)]
pub(super) enum Command {
    Dial { peer: PeerId, addresses: Vec<Multiaddr>, way: Way, reply: Dialled },
    Open { peer: PeerId, connection: ConnectionId, protocol: StreamProtocol, reply: Opened },
    Accept { protocol: StreamProtocol, sender: mpsc::Sender<Inbound>, reply: Reply<Result<(), Fault>> },
    Disconnect { peer: PeerId },
    Relays { addresses: Vec<(PeerId, Multiaddr)> },
    Provide { key: [u8; 32], reply: Reply<Result<(), Fault>> },
    StopProviding { key: [u8; 32] },
    Providers { key: [u8; 32], reply: Reply<Vec<PeerId>> },
    Find { peer: PeerId, reply: Reply<Vec<Multiaddr>> },
}

/// A dial under way, and everybody who waits for it.
struct Dial {
    peer: PeerId,
    way: Way,
    waiting: Vec<Dialled>,
}

/// What of the table a node takes part in.
#[derive(Default)]
struct Tabling {
    queries: Queries,
    /// What this node says it has.
    provided: BTreeSet<[u8; 32]>,
    /// What of it the table does not know yet, or not everybody who should.
    untold: BTreeSet<[u8; 32]>,
    /// The whereabouts that were last told.
    told: Vec<String>,
    /// Set when somebody new could be told.
    fresh: bool,
}

/// What is fixed when an actor starts.
pub(super) struct Setup {
    pub(super) keys: Keypair,
    pub(super) listen_timeout: Duration,
    /// The relay server is to offer the listeners' addresses, since the owner named no others.
    pub(super) offer_listeners: bool,
    /// It listens on this machine only, so that its loopback addresses are of use to those who can reach it at all.
    pub(super) loopback_only: bool,
    /// The table's queries are answered, however this node can be reached.
    pub(super) serve_table: bool,
    pub(super) peers: Arc<Peers>,
    pub(super) refusals: Arc<Ledger>,
    pub(super) stop: CancellationToken,
}

/// What an actor tells all who look.
pub(super) struct Boards {
    pub(super) surroundings: watch::Sender<Surroundings>,
    pub(super) reach: watch::Sender<Reach>,
    pub(super) changes: watch::Sender<()>,
}

pub(super) struct SwarmActor {
    swarm: Swarm<Behaviour>,
    inbox: mpsc::Receiver<Command>,
    setup: Setup,
    boards: Boards,
    dials: HashMap<ConnectionId, Dial>,
    relays: Relays,
    tabling: Tabling,
    /// Listeners that have no address yet, and whom to tell when all have.
    unready: HashSet<ListenerId>,
    ready: Option<Reply<()>>,
    /// When relays are dialled, whether or not every listener has an address by then.
    unready_until: Instant,
}

impl SwarmActor {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        inbox: mpsc::Receiver<Command>,
        setup: Setup,
        boards: Boards,
        listeners: Vec<ListenerId>,
        ready: Reply<()>,
    ) -> Self {
        let (unready, ready) = (listeners.into_iter().collect(), Some(ready));
        let unready_until = Instant::now() + setup.listen_timeout;
        Self {
            swarm,
            inbox,
            setup,
            boards,
            dials: HashMap::new(),
            relays: Relays::default(),
            tabling: Tabling::default(),
            unready,
            ready,
            unready_until,
        }
    }

    pub(super) fn start(self, node: NodeId) -> JoinHandle<()> {
        let span = tracing::info_span!("network", %node);
        tokio::spawn(self.run().instrument(span))
    }

    async fn run(mut self) {
        self.check_ready();
        self.set_table_mode();
        let stop = self.setup.stop.clone();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                command = self.inbox.recv() => match command {
                    Some(command) => self.handle_command(command),
                    None => break,
                },
                _ = tick.tick() => self.handle_tick(),
                event = self.swarm.select_next_some() => self.handle_event(event),
            }
        }
        self.farewell().await;
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Dial { peer, addresses, way, reply } => self.handle_dial(peer, addresses, way, reply),
            Command::Open { peer, connection, protocol, reply } => {
                self.swarm.behaviour_mut().streams.open(peer, connection, OpenStream { protocol, reply });
            }
            Command::Accept { protocol, sender, reply } => {
                answer(reply, self.swarm.behaviour().streams.accept(protocol, sender));
            }
            Command::Disconnect { peer } => {
                if self.swarm.disconnect_peer_id(peer).is_err() {
                    tracing::debug!(%peer, "was not connected");
                }
            }
            Command::Relays { addresses } => {
                for (relay, address) in addresses {
                    self.relays.add(relay, address, Instant::now());
                }
                self.tend_relays();
            }
            Command::Provide { key, reply } => answer(reply, self.provide(key)),
            Command::StopProviding { key } => self.stop_providing(key),
            Command::Providers { key, reply } => self.ask_providers(key, reply),
            Command::Find { peer, reply } => self.ask_whereabouts(peer, reply),
        }
    }

    fn handle_tick(&mut self) {
        self.tend_relays();
        self.close_spare();
        self.tell_table();
    }

    fn handle_dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, way: Way, reply: Dialled) {
        if self.setup.peers.is_connected(&peer, way) {
            return answer(reply, Ok(()));
        }
        if let Some(dial) = self.dials.values_mut().find(|dial| dial.peer == peer && dial.way == way) {
            return dial.waiting.push(reply);
        }
        // `Always`: a second connection over another transport is wanted at times, and the table above is what decides.
        let dial = DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(addresses).build();
        let id = dial.connection_id();
        match self.swarm.dial(dial) {
            Ok(()) => {
                self.dials.insert(id, Dial { peer, way, waiting: vec![reply] });
            }
            Err(error) => answer(reply, Err(unreachable(&peer, &error))),
        }
    }

    /// Answers every dial to `peer` that the connections there are now satisfy.
    fn dials_done(&mut self, peer: &PeerId) {
        let peers = &self.setup.peers;
        self.dials.retain(|_, dial| {
            let done = dial.peer == *peer && peers.is_connected(peer, dial.way);
            if done {
                for reply in dial.waiting.drain(..) {
                    answer(reply, Ok(()));
                }
            }
            !done
        });
    }

    /// Changes what is known of the network around, and tells all who look if it did change.
    fn note(&mut self, change: impl FnOnce(&mut Surroundings)) {
        let mut after = self.boards.surroundings.borrow().clone();
        change(&mut after);
        let reach = after.reach();
        let changed = self.boards.surroundings.send_if_modified(|before| {
            let differs = *before != after;
            *before = after;
            differs
        });
        if !changed {
            return;
        }
        let turned = self.boards.reach.send_if_modified(|before| std::mem::replace(before, reach) != reach);
        self.boards.changes.send_replace(());
        if turned {
            tracing::info!(?reach, "how this node can be reached");
            self.set_table_mode();
        }
    }

    fn listener_ready(&mut self, listener: ListenerId) {
        self.unready.remove(&listener);
        self.check_ready();
        self.tend_relays();
    }

    fn check_ready(&mut self) {
        if self.unready.is_empty()
            && let Some(ready) = self.ready.take()
            && ready.send(()).is_err()
        {
            tracing::debug!("nobody waits for the listeners any more");
        }
    }

    /// Closes every connection in order, so that peers see an end and not a timeout.
    async fn farewell(mut self) {
        for peer in self.setup.peers.all() {
            if self.swarm.disconnect_peer_id(peer).is_err() {
                tracing::debug!(%peer, "was gone already");
            }
        }
        let closing = async {
            while self.setup.peers.connected() > 0 {
                let event = self.swarm.select_next_some().await;
                if let libp2p::swarm::SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } = event {
                    self.setup.peers.closed(&peer_id, connection_id);
                }
            }
        };
        if tokio::time::timeout(FAREWELL, closing).await.is_err() {
            tracing::debug!("some peers were not told");
        }
    }
}

fn unreachable(peer: &PeerId, error: &DialError) -> Fault {
    let text = error.to_string();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Fault::new(FaultCode::LinkLost, format!("cannot reach {peer}: {line}"))
        .hint("check that the peer is running and that its address and port can be reached from here")
        .retry_after_ms(1_000)
}

fn answer<T>(reply: Reply<T>, value: T) {
    // A caller who no longer waits needs no answer.
    if reply.send(value).is_err() {
        tracing::trace!("an answer came too late");
    }
}
